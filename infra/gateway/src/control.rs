//! The gateway's own controls over HTTP: its mood, what is to go wrong next, outages, and its book. They never misbehave.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::gateway::{Gateway, Moment, Outage, OutageKind, plus};
use crate::mood::{Mood, Order, Rates, Timing};
use crate::text::{millis, rfc3339};

const MOST_OUTAGE_MS: u64 = 7 * 24 * 3_600_000;
const MOST_TIMES: u32 = 1_000_000;

/// None is that the path is of no control.
pub(crate) fn answer(gateway: &mut Gateway, now_ms: Moment, request: &Request<Bytes>) -> Option<Response<Bytes>> {
    let answered = match (request.uri().path(), request.method()) {
        ("/mood", &Method::GET) => Ok(json!(gateway.mood)),
        ("/mood", &Method::PUT) => put_mood(gateway, request),
        ("/mood", _) => Err(Refusal::method("GET, PUT")),
        ("/moods/next", &Method::GET) => Ok(orders(gateway)),
        ("/moods/next", &Method::POST) => order(gateway, request),
        ("/moods/next", &Method::DELETE) => {
            gateway.orders.clear();
            Ok(orders(gateway))
        }
        ("/moods/next", _) => Err(Refusal::method("GET, POST, DELETE")),
        ("/outage", &Method::GET) => Ok(outage(gateway, now_ms)),
        ("/outage", &Method::POST) => begin_outage(gateway, now_ms, request),
        ("/outage", &Method::DELETE) => {
            gateway.outage = None;
            Ok(outage(gateway, now_ms))
        }
        ("/outage", _) => Err(Refusal::method("GET, POST, DELETE")),
        ("/book", &Method::GET) => book(gateway, request),
        ("/book/findings", &Method::GET) => Ok(json!({ "findings": gateway.book.findings() })),
        ("/report.csv", &Method::GET) => return Some(report(gateway, request).unwrap_or_else(Refusal::response)),
        ("/book" | "/book/findings" | "/report.csv", _) => Err(Refusal::method("GET")),
        _ => return None,
    };
    Some(answered.map_or_else(Refusal::response, |said| response(200, "application/json", said.to_string())))
}

/// What is not said is as the named mood has it, or the calm one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedMood {
    name: Option<String>,
    #[serde(default)]
    rates: Rates,
    timing: Option<Timing>,
}

fn put_mood(gateway: &mut Gateway, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let AskedMood { name, rates, timing } = read(request)?;
    let mut mood = match &name {
        None => Mood::calm(),
        Some(name) => Mood::named(name).ok_or_else(|| {
            Refusal::invalid(&format!("no mood is called {name}; there are {}", Mood::NAMES.join(", ")))
        })?,
    };
    mood.rates.extend(rates);
    if let Some(timing) = timing {
        mood.timing = timing;
    }
    if let Some(objection) = mood.objection() {
        return Err(Refusal::invalid(&objection));
    }
    gateway.mood = mood;
    Ok(json!(gateway.mood))
}

fn order(gateway: &mut Gateway, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let order: Order = read(request)?;
    if !(1..=MOST_TIMES).contains(&order.times) {
        return Err(Refusal::invalid(&format!("times is {}; it is from 1 to {MOST_TIMES}", order.times)));
    }
    gateway.order(order);
    Ok(orders(gateway))
}

fn orders(gateway: &Gateway) -> Value {
    let open: Vec<_> = gateway.orders.iter().filter(|order| order.times > 0).collect();
    json!({ "next": open })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedOutage {
    for_ms: u64,
    #[serde(default)]
    how: OutageKind,
}

fn begin_outage(gateway: &mut Gateway, now_ms: Moment, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let AskedOutage { for_ms, how } = read(request)?;
    if !(1..=MOST_OUTAGE_MS).contains(&for_ms) {
        return Err(Refusal::invalid(&format!("for_ms is {for_ms}; it is from 1 to {MOST_OUTAGE_MS}")));
    }
    gateway.outage = Some(Outage { until_ms: plus(now_ms, for_ms), how });
    Ok(outage(gateway, now_ms))
}

fn outage(gateway: &Gateway, now_ms: Moment) -> Value {
    let outage = gateway.outage_at(now_ms);
    json!({ "outage": outage.map(|outage| json!({ "until": rfc3339(outage.until_ms), "how": outage.how })) })
}

/// All of it, or what concerns one key or one reference.
fn book(gateway: &Gateway, request: &Request<Bytes>) -> Result<Value, Refusal> {
    let (mut key, mut reference) = (None, None);
    for (name, value) in query(request) {
        match name.as_str() {
            "key" => key = Some(value),
            "reference" => reference = Some(value),
            _ => return Err(Refusal::invalid(&format!("the book is asked by key and reference, not by {name}"))),
        }
    }
    let book = &gateway.book;
    let fits = |wanted: &Option<String>, given: &Option<String>| wanted.is_none() || wanted == given;
    let has_key = |wanted: &Option<String>, id: &str| {
        let refunded = book.refunds_of(id).any(|refund| fits(wanted, &refund.key));
        refunded || book.charge(id).is_some_and(|charge| fits(wanted, &charge.key))
    };
    let mut charges: Vec<_> = book.charges().filter(|charge| fits(&reference, &charge.reference)).collect();
    charges.retain(|charge| has_key(&key, &charge.id));
    charges.sort_by_key(|charge| charge.number);
    let is_shown = |id: &str| charges.iter().any(|charge| charge.id == id);
    let is_all = key.is_none() && reference.is_none();
    let mut refunds: Vec<_> = book.refunds().filter(|refund| is_all || is_shown(&refund.charge)).collect();
    refunds.sort_by_key(|refund| refund.number);
    let mut events: Vec<_> = book.events().filter(|event| is_all || is_shown(&event.charge)).collect();
    events.sort_by_key(|event| event.number);
    let keys: Vec<_> = charges
        .iter()
        .map(|charge| &charge.key)
        .chain(refunds.iter().map(|refund| &refund.key))
        .chain(std::iter::once(&key))
        .flatten()
        .collect();
    let calls: Vec<_> =
        book.calls().filter(|call| is_all || call.key.as_ref().is_some_and(|key| keys.contains(&key))).collect();
    Ok(json!({
        "charges": charges,
        "refunds": refunds,
        "events": events,
        "calls": calls,
        "calls_forgotten": book.calls_forgotten(),
        "findings": book.findings(),
    }))
}

fn report(gateway: &Gateway, request: &Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
    let (mut from_ms, mut to_ms) = (Moment::MIN, Moment::MAX);
    for (name, value) in query(request) {
        let bound = match name.as_str() {
            "from" => &mut from_ms,
            "to" => &mut to_ms,
            _ => return Err(Refusal::invalid(&format!("a report is bounded by from and to, not by {name}"))),
        };
        let refused = || Refusal::invalid(&format!("{name} is a moment, such as 2026-11-21T05:53:03Z, not {value}"));
        *bound = millis(&value).ok_or_else(refused)?;
    }
    Ok(response(200, "text/csv; charset=utf-8", gateway.book.report(from_ms, to_ms)))
}

fn query(request: &Request<Bytes>) -> Vec<(String, String)> {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn read<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Refusal> {
    serde_json::from_slice(request.body())
        .map_err(|error| Refusal::invalid(&format!("the body is not understood: {error}")))
}

struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    allow: Option<&'static str>,
}

impl Refusal {
    fn invalid(message: &str) -> Self {
        Self { status: 400, code: "invalid", message: message.to_owned(), allow: None }
    }

    fn method(allow: &'static str) -> Self {
        Self { status: 405, code: "method_not_allowed", message: format!("it takes {allow}"), allow: Some(allow) }
    }

    fn response(self) -> Response<Bytes> {
        let said = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = response(self.status, "application/json", said.to_string());
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

fn response(status: u16, kind: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
