//! The plain protocol: JSON in, JSON out, as `docs/GATEWAY.md` describes it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::answer::Answer;
use crate::book::{Charge, ChargeState, Protocol, Refund, RefundState};
use crate::events::{Happened, Said};
use crate::gateway::{Doing, Gateway, Peeked, is_known};
use crate::money::{NewCharge, NewRefund};
use crate::mood::CallKind;
use crate::text::rfc3339;

/// Twelve digits, so that sums of many stay far from what an integer holds.
const MOST_AMOUNT: u64 = 999_999_999_999;
const MOST_KEY: usize = 255;
const MOST_REFERENCE: usize = 200;

pub(crate) fn peek(request: &Request<Bytes>) -> Peeked {
    let is_post = request.method() == Method::POST;
    let kind = match request.uri().path() {
        "/charges" if is_post => CallKind::Charge,
        "/refunds" if is_post => CallKind::Refund,
        _ => CallKind::Ask,
    };
    let key = if kind == CallKind::Ask { asked_key(request).ok().flatten() } else { key(request.headers()).ok() };
    let reference = match kind {
        CallKind::Charge => serde_json::from_slice::<Value>(request.body()).ok(),
        CallKind::Refund | CallKind::Ask => None,
    };
    let reference = reference.and_then(|body| body.get("reference")?.as_str().map(str::to_owned));
    Peeked { kind, key, reference }
}

pub(crate) fn respond(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Answer {
    if !is_known(&gateway.settings, request) {
        let refusal = Refusal::new(401, "unauthorized", "say who you are: Authorization: Bearer KEY");
        return Answer::from(refusal).with("www-authenticate", "Bearer");
    }
    let path: Vec<_> = request.uri().path().trim_start_matches('/').split('/').collect();
    let answered = match (request.method(), path.as_slice()) {
        (&Method::POST, ["charges"]) => charge(gateway, request, doing),
        (&Method::GET, ["charges"]) => charge_by_key(gateway, request, doing),
        (&Method::GET, ["charges", id]) => charge_by_id(gateway, id),
        (&Method::POST, ["refunds"]) => refund(gateway, request, doing),
        (&Method::GET, ["refunds"]) => refund_by_key(gateway, request, doing),
        (&Method::GET, ["refunds", id]) => refund_by_id(gateway, id),
        (_, ["charges" | "refunds"]) => Ok(takes_only("GET, POST")),
        (_, ["charges" | "refunds", _]) => Ok(takes_only("GET")),
        _ => Err(Refusal::new(404, "no_such_path", "there are /charges and /refunds, and Stripe's paths under /v1")),
    };
    answered.unwrap_or_else(Answer::from)
}

fn charge(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Result<Answer, Refusal> {
    let key = key(request.headers())?;
    let fields = fields(request, &["amount", "currency", "reference"])?;
    let amount = amount(&fields)?;
    let currency = currency(&fields)?;
    let reference = text(&fields, "reference", MOST_REFERENCE)?;
    let fingerprint = json!(["charge", amount, currency, reference]).to_string();
    let new = NewCharge {
        protocol: Protocol::Plain,
        key: Some(key.clone()),
        reference: Some(reference),
        amount,
        currency,
        description: None,
        payment_method: None,
        metadata: BTreeMap::new(),
        decline: None,
    };
    Ok(gateway.once(Protocol::Plain, Some(&key), fingerprint, doing, |gateway, doing| {
        let charge = gateway.charge(new, doing);
        match charge.state {
            ChargeState::Pending => Answer::done(202, &charge_json(&charge)),
            ChargeState::Captured | ChargeState::Refunded => Answer::done(201, &charge_json(&charge)),
            ChargeState::Declined => {
                let error = json!({"code": "declined", "message": "the bank said no", "charge": charge_json(&charge)});
                Answer::done(402, &json!({ "error": error }))
            }
        }
    }))
}

fn charge_by_key(gateway: &Gateway, request: &Request<Bytes>, doing: &Doing) -> Result<Answer, Refusal> {
    let key = asked_key(request)?.ok_or_else(|| Refusal::of("key", "name the key: /charges?key=KEY"))?;
    let none = || Refusal::new(404, "not_found", "no charge was made with this key, as far as is known now");
    gateway.kept_key(&key, doing).ok_or_else(none)?;
    let charge = gateway.book.charges_under(Protocol::Plain, &key).last().ok_or_else(none)?;
    Ok(Answer::said(200, &charge_json(charge)))
}

fn charge_by_id(gateway: &Gateway, id: &str) -> Result<Answer, Refusal> {
    let charge = gateway.book.charge(id).filter(|charge| charge.protocol == Protocol::Plain);
    let charge = charge.ok_or_else(|| Refusal::new(404, "not_found", "there is no such charge"))?;
    Ok(Answer::said(200, &charge_json(charge)))
}

fn refund(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Result<Answer, Refusal> {
    let key = key(request.headers())?;
    let fields = fields(request, &["charge", "amount"])?;
    let charge = text(&fields, "charge", MOST_KEY)?;
    let amount = amount(&fields)?;
    let fingerprint = json!(["refund", charge, amount]).to_string();
    let new = NewRefund {
        protocol: Protocol::Plain,
        charge,
        key: Some(key.clone()),
        amount,
        reason: None,
        metadata: BTreeMap::new(),
    };
    Ok(gateway.once(Protocol::Plain, Some(&key), fingerprint, doing, |gateway, doing| {
        let Some(charge) = gateway.book.charge(&new.charge).filter(|charge| charge.protocol == Protocol::Plain) else {
            return Refusal::new(422, "unknown_charge", "there is no such charge").about("charge").into();
        };
        if !charge.was_captured() {
            return Refusal::new(409, "not_captured", "only what was captured can be given back").into();
        }
        let left = gateway.is_refundable(&new.charge);
        if new.amount > left {
            let message = format!("{left} is left of this charge, refunds under way taken off");
            return Refusal::new(422, "too_much", &message).about("amount").into();
        }
        let refund = gateway.refund(new, doing);
        match refund.state {
            RefundState::Pending => Answer::done(202, &refund_json(&refund)),
            RefundState::Done => Answer::done(201, &refund_json(&refund)),
            RefundState::Failed => {
                let message = "the bank did not take it back";
                let error = json!({"code": "refund_failed", "message": message, "refund": refund_json(&refund)});
                Answer::done(402, &json!({ "error": error }))
            }
        }
    }))
}

fn refund_by_key(gateway: &Gateway, request: &Request<Bytes>, doing: &Doing) -> Result<Answer, Refusal> {
    let key = asked_key(request)?.ok_or_else(|| Refusal::of("key", "name the key: /refunds?key=KEY"))?;
    let none = || Refusal::new(404, "not_found", "no refund was made with this key, as far as is known now");
    gateway.kept_key(&key, doing).ok_or_else(none)?;
    let refund = gateway.book.refunds_under(Protocol::Plain, &key).last().ok_or_else(none)?;
    Ok(Answer::said(200, &refund_json(refund)))
}

fn refund_by_id(gateway: &Gateway, id: &str) -> Result<Answer, Refusal> {
    let refund = gateway.book.refund(id).filter(|refund| refund.protocol == Protocol::Plain);
    let refund = refund.ok_or_else(|| Refusal::new(404, "not_found", "there is no such refund"))?;
    Ok(Answer::said(200, &refund_json(refund)))
}

impl Gateway {
    fn kept_key(&self, key: &str, doing: &Doing) -> Option<()> {
        self.book.key(Protocol::Plain, key, doing.now_ms, self.settings.key_retention_ms).map(|_| ())
    }
}

fn charge_json(charge: &Charge) -> Value {
    let declined = charge.state == ChargeState::Declined;
    json!({
        "id": charge.id,
        "key": charge.key,
        "reference": charge.reference,
        "amount": charge.amount,
        "currency": charge.currency,
        "state": charge.state,
        "refunded": charge.refunded,
        "decline": charge.decline.filter(|_| declined),
        "created_at": rfc3339(charge.created_ms),
        "settled_at": charge.settled_ms.map(rfc3339),
    })
}

fn refund_json(refund: &Refund) -> Value {
    json!({
        "id": refund.id,
        "key": refund.key,
        "charge": refund.charge,
        "amount": refund.amount,
        "currency": refund.currency,
        "state": refund.state,
        "created_at": rfc3339(refund.created_ms),
        "settled_at": refund.settled_ms.map(rfc3339),
    })
}

pub(crate) const fn event_kinds(happened: Happened) -> &'static [&'static str] {
    match happened {
        Happened::ChargePending => &["charge.pending"],
        Happened::ChargeCaptured => &["charge.captured"],
        Happened::ChargeDeclined => &["charge.declined"],
        Happened::RefundPending => &["refund.pending"],
        Happened::RefundDone => &["refund.done"],
        Happened::RefundFailed => &["refund.failed"],
    }
}

pub(crate) fn event(said: &Said<'_>) -> Value {
    let data = match said.refund {
        Some(refund) => json!({ "refund": refund_json(refund) }),
        None => json!({ "charge": charge_json(said.charge) }),
    };
    json!({ "type": said.kind, "timestamp": rfc3339(said.at_ms), "data": data })
}

fn takes_only(methods: &str) -> Answer {
    let refusal = Refusal::new(405, "method_not_allowed", &format!("it takes {methods}"));
    Answer::from(refusal).with("allow", methods)
}

pub(crate) fn key_reused() -> Answer {
    Refusal::new(422, "key_reused", "another request was made with this key").into()
}

pub(crate) fn key_busy() -> Answer {
    Answer::from(Refusal::new(409, "key_busy", "the first request with this key is not answered yet"))
        .with("retry-after", 1)
}

pub(crate) fn too_many() -> Answer {
    Refusal::new(429, "too_many_requests", "ask again later").into()
}

pub(crate) fn broken() -> Answer {
    Refusal::new(500, "internal", "something went wrong here").into()
}

pub(crate) fn unavailable() -> Answer {
    Refusal::new(503, "unavailable", "nobody is here now").into()
}

/// Why a request is not carried out.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), field: None }
    }

    fn of(field: &'static str, message: &str) -> Self {
        Self::new(400, "invalid", message).about(field)
    }

    fn about(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal { status, code, message, field }: Refusal) -> Self {
        let mut error = json!({"code": code, "message": message});
        if let Some(field) = field {
            error["field"] = field.into();
        }
        Self::said(status, &json!({ "error": error }))
    }
}

fn key(headers: &HeaderMap) -> Result<String, Refusal> {
    let refused = |message: &str| Refusal::new(400, "invalid_key", message);
    let mut given = headers.get_all("idempotency-key").iter();
    let key = given.next().ok_or_else(|| refused("name a key: Idempotency-Key"))?;
    if given.next().is_some() {
        return Err(refused("there is more than one Idempotency-Key"));
    }
    sound_key(key.to_str().unwrap_or_default()).ok_or_else(|| refused("a key has 1 to 255 visible ASCII characters"))
}

fn sound_key(key: &str) -> Option<String> {
    let is_sound = (1..=MOST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then(|| key.to_owned())
}

fn asked_key(request: &Request<Bytes>) -> Result<Option<String>, Refusal> {
    let mut key = None;
    for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        if name != "key" {
            return Err(Refusal::of("key", "only key can be asked by"));
        }
        let sound =
            sound_key(&value).ok_or_else(|| Refusal::of("key", "a key has 1 to 255 visible ASCII characters"))?;
        if key.replace(sound).is_some() {
            return Err(Refusal::of("key", "there is more than one key"));
        }
    }
    Ok(key)
}

fn fields(request: &Request<Bytes>, known: &[&'static str]) -> Result<Map<String, Value>, Refusal> {
    let kind = request.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(415, "not_json", "send Content-Type: application/json"));
    }
    let Fields(fields) = serde_json::from_slice(request.body())
        .map_err(|error| Refusal::new(400, "malformed", &format!("the body is not understood: {error}")))?;
    if let Some(unknown) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        let message = format!("{unknown} is not known; there are {}", known.join(", "));
        return Err(Refusal::new(400, "unknown_field", &message));
    }
    Ok(fields)
}

fn amount(fields: &Map<String, Value>) -> Result<u64, Refusal> {
    let refused = || Refusal::of("amount", "a whole number of the currency's minor unit, from 1 to 999999999999");
    let amount = fields.get("amount").and_then(Value::as_u64).ok_or_else(refused)?;
    if (1..=MOST_AMOUNT).contains(&amount) { Ok(amount) } else { Err(refused()) }
}

fn currency(fields: &Map<String, Value>) -> Result<String, Refusal> {
    let code = fields.get("currency").and_then(Value::as_str);
    let code = code.filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()));
    code.map(str::to_owned).ok_or_else(|| Refusal::of("currency", "three capital letters, such as EUR"))
}

fn text(fields: &Map<String, Value>, name: &'static str, most: usize) -> Result<String, Refusal> {
    let text = fields.get(name).and_then(Value::as_str);
    let text = text.filter(|text| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control));
    text.map(str::to_owned)
        .ok_or_else(|| Refusal::of(name, &format!("text of 1 to {most} characters, without control characters")))
}

/// A JSON object, each of whose fields is there once: of two that contradict each other nobody can say which is meant.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("{name} is there twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
