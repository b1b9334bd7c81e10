//! A configuration that knows both gateways, attempts to make, and a gateway that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use domain::ids::{CustomerId, IdempotencyKey, PaymentId, RefundId};
use domain::payments::{
    Answer, Attempt, Call, Charge, Gateway, GatewayKey, GatewayRef, NoAnswer, Reported, ReportedState,
};
use domain::{Amount, Currency, Timestamp};
use platform::Config;
use platform::gateways::{Carry, Gateways, Request, Response};
use platform::runtime::BoxFuture;
use serde_json::Value;

pub(crate) const AT: Timestamp = Timestamp::from_millis(1_795_240_383_000);
pub(crate) const MINOR: i64 = 150_099;

/// Both gateways, at this url.
pub(crate) fn config(url: &str, total_ms: u32) -> Config {
    Config::read(|name| {
        let value = match name {
            "CURRENCY" => "EUR",
            "WAIT_HOURS" => "72",
            "TOKEN_KEYS" => r#"{"keys":[]}"#,
            "GATEWAY" => "plain",
            "PLAIN_GATEWAY_URL" | "STRIPE_URL" => url,
            "PLAIN_GATEWAY_KEY" | "STRIPE_KEY" => "sk_hush",
            "STRIPE_PAYMENT_METHOD" => "pm_card_visa",
            "GATEWAY_CONNECT_MS" => "100",
            "GATEWAY_TIMEOUT_MS" => return Some(total_ms.to_string()),
            "AWS_REGION" | "TABLE_NAME" | "ORDER_UPDATES_URL" | "NOTIFICATIONS_URL" | "WEBHOOKS_URL"
            | "GATEWAY_CALLS_URL" | "BUS_NAME" | "TOKEN_ISSUER" | "TOKEN_AUDIENCE" => "x",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap()
}

pub(crate) fn payment() -> PaymentId {
    PaymentId::of_request(&CustomerId::of("test", "alice"), &IdempotencyKey::parse("k").unwrap())
}

pub(crate) fn refund() -> RefundId {
    RefundId::parse(&"r".repeat(32)).unwrap()
}

pub(crate) fn reference(text: &str) -> GatewayRef {
    GatewayRef::new(text).unwrap()
}

fn attempt(gateway: Gateway, key: GatewayKey, call: Call, charge: Option<Charge>) -> Attempt {
    let (amount, currency) = (Amount::from_minor(MINOR).unwrap(), Currency::from_code("EUR").unwrap());
    Attempt { key, number: 1, call, gateway, amount, currency, reference: None, charge }
}

pub(crate) fn charging(gateway: Gateway, call: Call) -> Attempt {
    attempt(gateway, GatewayKey::Charge(payment()), call, None)
}

/// Giving back from a charge that the gateway calls so.
pub(crate) fn refunding(gateway: Gateway, call: Call, charge: Option<&str>) -> Attempt {
    let charge = Charge { key: GatewayKey::Charge(payment()), reference: charge.map(reference) };
    attempt(gateway, GatewayKey::Refund(refund()), call, Some(charge))
}

pub(crate) fn named(attempt: Attempt, text: &str) -> Attempt {
    Attempt { reference: Some(reference(text)), ..attempt }
}

/// That the gateway says so of as much as was asked for.
pub(crate) fn says(state: ReportedState, named: &str) -> Answer {
    says_of(state, Some(MINOR), Some("EUR"), Some(named))
}

pub(crate) fn says_of(state: ReportedState, minor: Option<i64>, currency: Option<&str>, named: Option<&str>) -> Answer {
    Answer::Says(Reported {
        state,
        amount: minor.map(|minor| Amount::from_minor(minor).unwrap()),
        currency: currency.map(|code| Currency::from_code(code).unwrap()),
        reference: named.map(reference),
    })
}

/// Answers one exchange after another as it is told.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    answers: Arc<Mutex<VecDeque<Result<Response, NoAnswer>>>>,
    pub(crate) heard: Arc<Mutex<Vec<Request>>>,
}

impl Carry for Scripted {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        self.heard.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().expect("nothing more is asked than is answered");
        Box::pin(std::future::ready(answer))
    }
}

impl Scripted {
    pub(crate) fn of(answers: impl IntoIterator<Item = Result<Response, NoAnswer>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), heard: Arc::default() }
    }

    pub(crate) async fn call(&self, attempt: &Attempt) -> Answer {
        Gateways::answered_by(self.clone()).call(&config("https://gateway.example", 15_000), attempt, AT).await
    }
}

pub(crate) fn answered(status: u16, body: &Value) -> Result<Response, NoAnswer> {
    Ok(Response { status, headers: Vec::new(), body: body.to_string().into_bytes() })
}

pub(crate) fn with(header: &str, value: &str, answer: Result<Response, NoAnswer>) -> Result<Response, NoAnswer> {
    let mut response = answer.unwrap();
    response.headers.push((header.to_owned(), value.to_owned()));
    Ok(response)
}
