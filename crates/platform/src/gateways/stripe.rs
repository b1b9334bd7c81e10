//! Stripe's API: payment intents that are confirmed as they are created, and refunds of them. It cannot be asked by key;
//! the same request under the same key is the asking, and its own name for a charge, once it has told it.
//!
//! A 500 is kept under its key like any other answer, so that repeating tells nothing more. Then, and only then, what is
//! there by our own name for it is looked for, which lags behind and so proves something by finding it and nothing by not.

use domain::Currency;
use domain::payments::{Answer, Attempt, Call, Charge, GatewayKey, GatewayRef, No, NoAnswer, Reported, ReportedState};
use serde_json::Value;

use super::{AGENT, Said, Way, amount, escaped, reported, text};
use crate::config::StripeGateway;

/// The version whose shapes are read here.
const VERSION: &str = "2025-03-31.basil";

pub(super) async fn call(way: &Way<'_>, gateway: &StripeGateway, attempt: &Attempt) -> Answer {
    match (attempt.call, &attempt.reference) {
        (Call::Ask, Some(reference)) => match ask(way, gateway, attempt.key, reference).await {
            Ok(said) => answer(&said, attempt.key, Call::Ask),
            Err(no_answer) => Answer::Silence(no_answer),
        },
        (Call::Ask, None) => {
            // `begin` asks by the name that Stripe has told, or sends.
            tracing::error!(key = %attempt.key, "Stripe cannot be asked by key");
            Answer::Silence(NoAnswer::NobodyKnows)
        }
        (Call::Send, _) => send(way, gateway, attempt).await,
    }
}

async fn ask(
    way: &Way<'_>,
    gateway: &StripeGateway,
    key: GatewayKey,
    reference: &GatewayRef,
) -> Result<Said, NoAnswer> {
    get(way, gateway, &format!("{}/{}", path(key), escaped(reference.as_str()))).await
}

async fn send(way: &Way<'_>, gateway: &StripeGateway, attempt: &Attempt) -> Answer {
    let form = match attempt.key {
        GatewayKey::Charge(_) => charge_form(gateway, attempt),
        GatewayKey::Refund(_) => {
            let Some(charge) = &attempt.charge else {
                tracing::error!(key = %attempt.key, "a refund without a charge is not sent");
                return Answer::Silence(NoAnswer::NotReached);
            };
            match located(way, gateway, charge).await {
                Ok(intent) => refund_form(attempt, &intent),
                Err(answer) => return answer,
            }
        }
    };
    let mut headers = headers(gateway);
    headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
    headers.push(("idempotency-key", attempt.key.to_string()));
    let url = format!("{}{}", gateway.url, path(attempt.key));
    let said = match way.exchange("POST", url, headers, encoded(&form)).await {
        Ok(said) => said,
        Err(no_answer) => return Answer::Silence(no_answer),
    };
    if said.status >= 500 && said.is_replay {
        let found = match (attempt.key, form.iter().find(|(name, _)| *name == "payment_intent")) {
            (GatewayKey::Charge(_), _) => search(way, gateway, attempt.key).await,
            (GatewayKey::Refund(_), Some((_, intent))) => refunds_of(way, gateway, intent, attempt.key).await,
            (GatewayKey::Refund(_), None) => None,
        };
        if let Some(reported) = found {
            return Answer::Says(reported);
        }
    }
    answer(&said, attempt.key, Call::Send)
}

/// Confirmed by us, without the customer: what would need them is declined instead of waiting for them.
fn charge_form(gateway: &StripeGateway, attempt: &Attempt) -> Vec<(&'static str, String)> {
    let mut form = vec![
        ("amount", attempt.amount.minor().to_string()),
        ("currency", attempt.currency.code().to_ascii_lowercase()),
        ("confirm", "true".to_owned()),
        ("error_on_requires_action", "true".to_owned()),
        ("payment_method", gateway.payment_method.clone()),
        ("payment_method_types[]", "card".to_owned()),
    ];
    form.extend(metadata(attempt.key));
    form
}

fn refund_form(attempt: &Attempt, intent: &GatewayRef) -> Vec<(&'static str, String)> {
    let mut form = vec![("payment_intent", intent.as_str().to_owned()), ("amount", attempt.amount.minor().to_string())];
    form.extend(metadata(attempt.key));
    form
}

/// By what callbacks and lists name it: the key, and what it is called here.
fn metadata(key: GatewayKey) -> [(&'static str, String); 2] {
    [("metadata[key]", key.to_string()), ("metadata[reference]", name(key))]
}

fn name(key: GatewayKey) -> String {
    match key {
        GatewayKey::Charge(payment) => payment.to_string(),
        GatewayKey::Refund(refund) => refund.to_string(),
    }
}

fn encoded(form: &[(&'static str, String)]) -> String {
    let pairs: Vec<_> = form.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

async fn located(way: &Way<'_>, gateway: &StripeGateway, charge: &Charge) -> Result<GatewayRef, Answer> {
    if let Some(reference) = &charge.reference {
        return Ok(reference.clone());
    }
    // Of the refund nothing is sent before, whatever comes of this.
    let url = search_path(charge.key);
    let said = get(way, gateway, &url).await.map_err(|_| Answer::Silence(NoAnswer::NotReached))?;
    if !said.is_success() {
        return Err(said.as_status(No::Unsaid));
    }
    let found = only(&said.body, charge.key).and_then(|reported| reported.reference);
    found.ok_or(Answer::Status { status: 404, no: No::Unsaid, retry_after: None })
}

async fn search(way: &Way<'_>, gateway: &StripeGateway, key: GatewayKey) -> Option<Reported> {
    let said = get(way, gateway, &search_path(key)).await.ok()?;
    only(&said.body, key)
}

fn search_path(key: GatewayKey) -> String {
    // An id has letters and digits, and nothing that would have to be escaped within quotes.
    let query = format!("metadata['reference']:'{}'", name(key));
    format!("/v1/payment_intents/search?query={}", escaped(&query))
}

async fn refunds_of(way: &Way<'_>, gateway: &StripeGateway, intent: &str, key: GatewayKey) -> Option<Reported> {
    let said = get(way, gateway, &format!("/v1/refunds?payment_intent={}&limit=100", escaped(intent))).await.ok()?;
    only(&said.body, key)
}

/// What a list has under our own name. If there were several, none would be it.
fn only(list: &Value, key: GatewayKey) -> Option<Reported> {
    let name = name(key);
    let is_ours = |object: &&Value| text(&object["metadata"], "reference") == Some(name.as_str());
    let mut ours = list["data"].as_array()?.iter().filter(is_ours);
    let (first, second) = (ours.next()?, ours.next());
    if second.is_none() { object(first, key) } else { None }
}

async fn get(way: &Way<'_>, gateway: &StripeGateway, path: &str) -> Result<Said, NoAnswer> {
    way.exchange("GET", format!("{}{path}", gateway.url), headers(gateway), String::new()).await
}

fn headers(gateway: &StripeGateway) -> Vec<(&'static str, String)> {
    vec![
        ("authorization", format!("Bearer {}", gateway.key.reveal())),
        ("stripe-version", VERSION.to_owned()),
        ("user-agent", AGENT.to_owned()),
    ]
}

const fn path(key: GatewayKey) -> &'static str {
    match key {
        GatewayKey::Charge(_) => "/v1/payment_intents",
        GatewayKey::Refund(_) => "/v1/refunds",
    }
}

fn answer(said: &Said, key: GatewayKey, call: Call) -> Answer {
    if said.is_success() {
        return said.says(object(&said.body, key));
    }
    let error = &said.body["error"];
    let (kind, code) = (text(error, "type"), text(error, "code"));
    match (said.status, kind, code) {
        // A charge that is declined brings its intent along.
        (402, ..) => match object(&error["payment_intent"], key) {
            Some(reported) => Answer::Says(reported),
            None => said.as_status(No::Declined),
        },
        (404, _, Some("resource_missing")) if call == Call::Ask => Answer::NotThere,
        // The first with this key is still being carried out.
        (409, _, Some("idempotency_key_in_use")) => said.as_status(No::Unsaid),
        (400 | 409, Some("idempotency_error"), _) => said.as_status(No::AboutTheKey),
        (400, Some("card_error"), _) => said.as_status(No::Declined),
        (400, _, Some(code)) if says_no(key, code) => said.as_status(No::Declined),
        _ => said.as_status(No::Unsaid),
    }
}

/// What Stripe understands and does not do.
fn says_no(key: GatewayKey, code: &str) -> bool {
    match key {
        GatewayKey::Charge(_) => matches!(code, "amount_too_large" | "amount_too_small"),
        GatewayKey::Refund(_) => matches!(
            code,
            "amount_too_large"
                | "balance_insufficient"
                | "charge_already_refunded"
                | "charge_disputed"
                | "charge_not_refundable"
                | "insufficient_funds"
                | "refund_disputed_payment"
        ),
    }
}

fn object(object: &Value, key: GatewayKey) -> Option<Reported> {
    // What was made for another is no answer to ours.
    if text(&object["metadata"], "reference").is_some_and(|said| said != name(key)) {
        return None;
    }
    let currency = text(object, "currency").and_then(|code| Currency::from_code(&code.to_ascii_uppercase()));
    let (whole, status) = (amount(&object["amount"]), text(object, "status")?);
    match key {
        GatewayKey::Charge(_) => match status {
            // What came in, which may be another amount than what was asked for.
            "succeeded" => reported(object, ReportedState::Captured, amount(&object["amount_received"]), currency),
            "processing" | "requires_action" | "requires_capture" | "requires_confirmation" => {
                reported(object, ReportedState::Pending, whole, currency)
            }
            "requires_payment_method" | "canceled" => reported(object, ReportedState::Declined, whole, currency),
            _ => None,
        },
        GatewayKey::Refund(_) => match status {
            "succeeded" => reported(object, ReportedState::Refunded, whole, currency),
            "pending" | "requires_action" => reported(object, ReportedState::Pending, whole, currency),
            "failed" | "canceled" => reported(object, ReportedState::Declined, whole, currency),
            _ => None,
        },
    }
}
