//! Stripe's protocol, as far as a shop that charges cards and gives back speaks it: payment intents that are confirmed as
//! they are created, refunds, the search, the lists, errors in Stripe's shape. What the stand-in does not do it refuses by
//! name, so that nothing is quietly left out.

mod form;
mod objects;
mod search;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};

use self::form::{Form, Refusal};
pub(crate) use self::objects::event;
use self::objects::{intent_json, refund_json};
use crate::answer::Answer;
use crate::book::{Charge, ChargeState, Decline, Protocol};
use crate::events::Happened;
use crate::gateway::{Doing, Gateway, Peeked, is_known};
use crate::money::{NewCharge, NewRefund};
use crate::mood::CallKind;

/// What Stripe takes in most currencies.
const MOST_AMOUNT: u64 = 99_999_999;
const MOST_KEY: usize = 255;

/// What a charge is called by its caller; any other metadata is kept and not looked at.
const REFERENCE: &str = "reference";

pub(crate) fn peek(request: &Request<Bytes>) -> Peeked {
    let is_post = request.method() == Method::POST;
    let kind = match request.uri().path() {
        "/v1/payment_intents" if is_post => CallKind::Charge,
        "/v1/refunds" if is_post => CallKind::Refund,
        _ => CallKind::Ask,
    };
    let key = if is_post { key(request.headers()).ok().flatten() } else { None };
    let reference = if kind == CallKind::Charge { Form::peek(request.body(), "metadata[reference]") } else { None };
    Peeked { kind, key, reference }
}

pub(crate) fn respond(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Answer {
    let answered = if is_known(&gateway.settings, request) {
        routed(gateway, request, doing)
    } else {
        Err(Refusal::new(401, "the request bears no API key that is known here: Authorization: Bearer sk_…"))
    };
    answered.unwrap_or_else(Answer::from)
}

/// What every answer bears, an error that has nothing to do with the request too.
pub(crate) fn with_ids(answer: Answer, request: &Request<Bytes>, request_id: &str) -> Answer {
    let answer = answer.with("request-id", request_id);
    match key(request.headers()) {
        Ok(Some(key)) => answer.with("idempotency-key", key),
        _ => answer,
    }
}

fn routed(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Result<Answer, Refusal> {
    let path: Vec<_> = request.uri().path().trim_start_matches("/v1/").split('/').collect();
    match (request.method(), path.as_slice()) {
        (&Method::POST, ["payment_intents"]) => create_intent(gateway, request, doing),
        (&Method::GET, ["payment_intents"]) => search::list_intents(gateway, request),
        (&Method::GET, ["payment_intents", "search"]) => search::search_intents(gateway, request, doing.now_ms),
        (&Method::GET, ["payment_intents", id]) => {
            let charge = found(gateway, id).ok_or_else(|| Refusal::missing("payment_intent", id, "intent", 404))?;
            Ok(Answer::said(200, &intent_json(charge)))
        }
        (&Method::POST, ["refunds"]) => create_refund(gateway, request, doing),
        (&Method::GET, ["refunds"]) => search::list_refunds(gateway, request),
        (&Method::GET, ["refunds", id]) => {
            let refund = gateway.book.refund(id).filter(|refund| refund.protocol == Protocol::Stripe);
            let refund = refund.ok_or_else(|| Refusal::missing("refund", id, "id", 404))?;
            Ok(Answer::said(200, &refund_json(refund)))
        }
        (method, _) => {
            let message = format!("Unrecognized request URL ({method}: {}).", request.uri().path());
            Err(Refusal::new(404, &message))
        }
    }
}

fn create_intent(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Result<Answer, Refusal> {
    let key = key(request.headers())?;
    let mut form = Form::of(request)?;
    let fingerprint = form.fingerprint("payment_intents");
    let amount = form.whole_number("amount")?.ok_or_else(|| Refusal::parameter_missing("amount"))?;
    if !(1..=MOST_AMOUNT).contains(&amount) {
        let message = format!("Invalid amount: it is from 1 to {MOST_AMOUNT} of the smallest unit.");
        return Err(Refusal::invalid("amount", Some("parameter_invalid_integer"), &message));
    }
    let currency = currency(&mut form)?;
    if form.flag("confirm")? != Some(true) {
        let message = "Only intents that are confirmed as they are created are known here: send confirm=true.";
        return Err(Refusal::invalid("confirm", None, message));
    }
    let payment_method = form.text("payment_method")?.ok_or_else(|| {
        Refusal::invalid(
            "payment_method",
            Some("parameter_missing"),
            "An intent is confirmed with a payment method, such as pm_card_visa.",
        )
    })?;
    if !payment_method.starts_with("pm_") {
        return Err(Refusal::missing("payment_method", &payment_method, "payment_method", 400));
    }
    if form.text("capture_method")?.is_some_and(|method| !matches!(method.as_str(), "automatic" | "automatic_async")) {
        let message = "Only what is captured at once is known here: capture_method=automatic.";
        return Err(Refusal::invalid("capture_method", None, message));
    }
    let description = form.text("description")?;
    let metadata = form.metadata()?;
    for ignored in
        ["off_session", "return_url", "receipt_email", "statement_descriptor_suffix", "customer", "use_stripe_sdk"]
    {
        form.text(ignored)?;
    }
    form.flag("error_on_requires_action")?;
    form.nested("automatic_payment_methods", &["enabled", "allow_redirects"])?;
    form.list("payment_method_types")?;
    form.list("expand")?;
    form.nothing_else()?;
    let new = NewCharge {
        protocol: Protocol::Stripe,
        key: key.clone(),
        reference: metadata.get(REFERENCE).cloned(),
        amount,
        currency,
        description,
        decline: declined_by(&payment_method),
        payment_method: Some(payment_method),
        metadata,
    };
    Ok(gateway.once(Protocol::Stripe, key.as_deref(), fingerprint, doing, |gateway, doing| {
        let charge = gateway.charge(new, doing);
        match charge.state {
            ChargeState::Pending | ChargeState::Captured | ChargeState::Refunded => {
                Answer::done(200, &intent_json(&charge))
            }
            ChargeState::Declined => Answer::done(402, &json!({ "error": declined(&charge) })),
        }
    }))
}

/// What Stripe's cards for testing say.
fn declined_by(payment_method: &str) -> Option<Decline> {
    match payment_method {
        "pm_card_chargeDeclinedInsufficientFunds" | "pm_card_visa_chargeDeclinedInsufficientFunds" => {
            Some(Decline::InsufficientFunds)
        }
        method if method.contains("chargeDeclined") => Some(Decline::GenericDecline),
        _ => None,
    }
}

fn declined(charge: &Charge) -> Value {
    let mut error = objects::payment_error(charge);
    error["payment_intent"] = intent_json(charge);
    error
}

fn create_refund(gateway: &mut Gateway, request: &Request<Bytes>, doing: &mut Doing) -> Result<Answer, Refusal> {
    let key = key(request.headers())?;
    let mut form = Form::of(request)?;
    let fingerprint = form.fingerprint("refunds");
    let (intent, charge) = (form.text("payment_intent")?, form.text("charge")?);
    let amount = form.whole_number("amount")?;
    let reason = form.text("reason")?;
    if reason.as_deref().is_some_and(|reason| !["duplicate", "fraudulent", "requested_by_customer"].contains(&reason)) {
        let message = "A reason is duplicate, fraudulent or requested_by_customer.";
        return Err(Refusal::invalid("reason", None, message));
    }
    let metadata = form.metadata()?;
    form.list("expand")?;
    form.nothing_else()?;
    let (id, param) = match (intent, charge) {
        (Some(intent), None) => (intent, "payment_intent"),
        (None, Some(charge)) => (charge.replacen("ch_", "pi_", 1), "charge"),
        (None, None) => return Err(Refusal::parameter_missing("payment_intent")),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid("charge", None, "Name the payment_intent or the charge, not both."));
        }
    };
    if amount == Some(0) {
        return Err(Refusal::invalid("amount", Some("parameter_invalid_integer"), "Invalid positive integer"));
    }
    Ok(gateway.once(Protocol::Stripe, key.as_deref(), fingerprint, doing, |gateway, doing| {
        let Some(charge) = found(gateway, &id) else {
            return Refusal::missing(param, &id, param, 400).into();
        };
        // From here on the request was begun, so that what is refused is kept under its key.
        let refused = |refusal: Refusal| Answer { keeps: true, ..Answer::from(refusal) };
        if !charge.was_captured() {
            let message = format!("The payment intent {id} has no successful charge to give back.");
            return refused(Refusal::invalid(param, None, &message));
        }
        let left = gateway.is_refundable(&id);
        if left == 0 {
            let message = format!("All of {id} was given back already.");
            return refused(Refusal::invalid(param, Some("charge_already_refunded"), &message));
        }
        let amount = amount.unwrap_or(left);
        if amount > left {
            let message = format!("{amount} is more than the {left} that is not given back yet.");
            return refused(Refusal::invalid("amount", Some("amount_too_large"), &message));
        }
        let new = NewRefund { protocol: Protocol::Stripe, charge: id, key: key.clone(), amount, reason, metadata };
        Answer::done(200, &refund_json(&gateway.refund(new, doing)))
    }))
}

fn found<'a>(gateway: &'a Gateway, id: &str) -> Option<&'a Charge> {
    gateway.book.charge(id).filter(|charge| charge.protocol == Protocol::Stripe)
}

pub(crate) const fn event_kinds(happened: Happened) -> &'static [&'static str] {
    match happened {
        Happened::ChargePending => &["payment_intent.processing"],
        Happened::ChargeCaptured => &["payment_intent.succeeded"],
        Happened::ChargeDeclined => &["payment_intent.payment_failed"],
        Happened::RefundPending => &["refund.created"],
        Happened::RefundDone => &["charge.refunded", "refund.updated"],
        Happened::RefundFailed => &["refund.failed"],
    }
}

pub(crate) fn key_reused(key: &str) -> Answer {
    let message = format!("The idempotency key {key} was first used with other parameters, or at another endpoint.");
    error(400, &json!({"type": "idempotency_error", "message": message}))
}

pub(crate) fn key_busy() -> Answer {
    let message = "Another request with this idempotency key is being carried out.";
    error(409, &json!({"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message}))
}

pub(crate) fn too_many() -> Answer {
    let message = "Too many requests; ask again more slowly.";
    error(429, &json!({"type": "invalid_request_error", "code": "rate_limit", "message": message}))
}

pub(crate) fn broken() -> Answer {
    error(500, &json!({"type": "api_error", "message": "Something went wrong on our side."}))
}

pub(crate) fn unavailable() -> Answer {
    error(503, &json!({"type": "api_error", "message": "Nobody is here now."}))
}

fn error(status: u16, error: &Value) -> Answer {
    Answer::said(status, &json!({ "error": error }))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    if (1..=MOST_KEY).contains(&key.len()) {
        Ok(Some(key.to_owned()))
    } else {
        Err(Refusal::new(400, "An idempotency key has 1 to 255 characters of ASCII."))
    }
}

fn currency(form: &mut Form) -> Result<String, Refusal> {
    let code = form.text("currency")?.ok_or_else(|| Refusal::parameter_missing("currency"))?;
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(code.to_ascii_uppercase())
    } else {
        let message = format!("Invalid currency: {code}. It has three letters, such as eur.");
        Err(Refusal::invalid("currency", None, &message))
    }
}
