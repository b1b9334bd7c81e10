//! The plain protocol: JSON in, JSON out, as `docs/GATEWAY.md` describes it. It can be asked by key.

use domain::payments::{Answer, Attempt, Call, Charge, GatewayKey, GatewayRef, No, NoAnswer, Reported, ReportedState};
use domain::{Currency, planted};
use serde_json::{Value, json};

use super::{AGENT, Said, Way, amount, escaped, reported, text};
use crate::config::PlainGateway;

/// What is called about, as its paths and answers name it.
#[derive(Clone, Copy)]
enum Kind {
    Charge,
    Refund,
}

impl Kind {
    const fn of(key: GatewayKey) -> Self {
        match key {
            GatewayKey::Charge(_) => Self::Charge,
            GatewayKey::Refund(_) => Self::Refund,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
        }
    }
}

pub(super) async fn call(way: &Way<'_>, gateway: &PlainGateway, attempt: &Attempt) -> Answer {
    let kind = Kind::of(attempt.key);
    let said = match attempt.call {
        Call::Ask => ask(way, gateway, attempt.key, attempt.reference.as_ref()).await,
        Call::Send => match body(way, gateway, attempt).await {
            Ok(body) => send(way, gateway, attempt, &body).await,
            Err(answer) => return answer,
        },
    };
    said.map_or_else(Answer::Silence, |said| answer(&said, attempt.key, attempt.call, kind))
}

/// What is sent. What a refund is of is asked for by its key, if the gateway has never said what it calls it.
async fn body(way: &Way<'_>, gateway: &PlainGateway, attempt: &Attempt) -> Result<Value, Answer> {
    let (amount, currency) = (attempt.amount.minor(), attempt.currency.code());
    match (attempt.key, &attempt.charge) {
        (GatewayKey::Charge(payment), _) => {
            Ok(json!({ "amount": amount, "currency": currency, "reference": payment.to_string() }))
        }
        (GatewayKey::Refund(_), Some(charge)) => {
            let charge = located(way, gateway, charge).await?;
            Ok(json!({ "charge": charge.as_str(), "amount": amount }))
        }
        (GatewayKey::Refund(_), None) => Err(nothing_to_refund(attempt)),
    }
}

/// `begin` always says what a refund is of.
fn nothing_to_refund(attempt: &Attempt) -> Answer {
    tracing::error!(key = %attempt.key, "a refund without a charge is not sent");
    Answer::Silence(NoAnswer::NotReached)
}

async fn located(way: &Way<'_>, gateway: &PlainGateway, charge: &Charge) -> Result<GatewayRef, Answer> {
    if let Some(reference) = &charge.reference {
        return Ok(reference.clone());
    }
    // Of the refund nothing is sent before, whatever comes of this.
    let said = ask(way, gateway, charge.key, None).await.map_err(|_| Answer::Silence(NoAnswer::NotReached))?;
    match answer(&said, charge.key, Call::Ask, Kind::Charge) {
        Answer::Says(Reported { reference: Some(reference), .. }) => Ok(reference),
        _ => Err(said.as_status(No::Unsaid)),
    }
}

async fn ask(
    way: &Way<'_>,
    gateway: &PlainGateway,
    key: GatewayKey,
    reference: Option<&GatewayRef>,
) -> Result<Said, NoAnswer> {
    let url = &gateway.url;
    let kind = Kind::of(key).name();
    let url = match reference {
        Some(reference) => format!("{url}/{kind}s/{}", escaped(reference.as_str())),
        None => format!("{url}/{kind}s?key={}", escaped(&key.to_string())),
    };
    way.exchange("GET", url, headers(gateway), String::new()).await
}

async fn send(way: &Way<'_>, gateway: &PlainGateway, attempt: &Attempt, body: &Value) -> Result<Said, NoAnswer> {
    let key = attempt.key;
    let mut headers = headers(gateway);
    headers.push(("content-type", "application/json".to_owned()));
    let by_attempt = planted!(KeyByAttempt).then(|| format!("-{}", attempt.number)).unwrap_or_default();
    headers.push(("idempotency-key", format!("{key}{by_attempt}")));
    let url = format!("{}/{}s", gateway.url, Kind::of(key).name());
    way.exchange("POST", url, headers, body.to_string()).await
}

fn headers(gateway: &PlainGateway) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {}", gateway.key.reveal())), ("user-agent", AGENT.to_owned())]
}

fn answer(said: &Said, key: GatewayKey, call: Call, kind: Kind) -> Answer {
    if said.is_success() {
        return said.says(object(&said.body, key, kind));
    }
    let error = &said.body["error"];
    let code = text(error, "code");
    match (said.status, code) {
        (404, Some("not_found")) if call == Call::Ask => Answer::NotThere,
        (402, _) => match object(&error[kind.name()], key, kind) {
            Some(reported) => Answer::Says(reported),
            None => said.as_status(No::Declined),
        },
        (409 | 422, Some("not_captured" | "too_much" | "unknown_charge")) => said.as_status(No::Declined),
        (422, Some("key_reused")) => said.as_status(No::AboutTheKey),
        _ => said.as_status(No::Unsaid),
    }
}

fn object(object: &Value, key: GatewayKey, kind: Kind) -> Option<Reported> {
    // What another key made is no answer to ours.
    if text(object, "key").is_some_and(|said| said != key.to_string()) {
        return None;
    }
    let currency = text(object, "currency").and_then(Currency::from_code);
    let state = text(object, "state")?;
    let amount_said = amount(&object["amount"]);
    match kind {
        Kind::Charge => {
            let given_back = amount(&object["refunded"]).filter(|given_back| !given_back.is_zero());
            let state = match state {
                "pending" => ReportedState::Pending,
                "declined" => ReportedState::Declined,
                // It has some back. Whether anybody asked for that is known elsewhere.
                "captured" | "refunded" if given_back.is_some() => {
                    return reported(object, ReportedState::Refunded, given_back, currency);
                }
                "captured" => ReportedState::Captured,
                "refunded" => ReportedState::Refunded,
                _ => return None,
            };
            reported(object, state, amount_said, currency)
        }
        Kind::Refund => {
            let state = match state {
                "pending" => ReportedState::Pending,
                "done" => ReportedState::Refunded,
                "failed" => ReportedState::Declined,
                _ => return None,
            };
            reported(object, state, amount_said, currency)
        }
    }
}
