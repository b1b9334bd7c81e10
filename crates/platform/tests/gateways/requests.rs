//! What is sent, to the letter.

use domain::payments::Call::{Ask, Send};
use domain::payments::{Attempt, Gateway};
use platform::gateways::Request;
use serde_json::{Value, json};

use crate::support::{Scripted, answered, charging, named, payment, refund, refunding};

/// What is sent for an attempt that is answered so, exchange by exchange.
async fn sent(attempt: &Attempt, answers: &[Value]) -> Vec<Request> {
    let gateway = Scripted::of(answers.iter().map(|body| answered(200, body)));
    gateway.call(attempt).await;
    std::mem::take(&mut *gateway.heard.lock().unwrap())
}

async fn sent_once(attempt: &Attempt) -> Request {
    let mut sent = sent(attempt, &[json!({})]).await;
    assert_eq!(sent.len(), 1);
    sent.remove(0)
}

fn line(request: &Request) -> String {
    format!("{} {}", request.method, request.url)
}

fn header<'r>(request: &'r Request, wanted: &str) -> Option<&'r str> {
    let mut found = request.headers.iter().filter(|(name, _)| *name == wanted);
    let first = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{wanted} is there twice");
    first
}

#[tokio::test]
async fn the_plain_protocol_is_json_under_the_key_of_the_payment() {
    let request = sent_once(&charging(Gateway::Plain, Send)).await;
    assert_eq!(line(&request), "POST https://gateway.example/charges");
    let body = json!({ "amount": 150_099, "currency": "EUR", "reference": payment().to_string() });
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), body);
    assert_eq!(header(&request, "idempotency-key"), Some(format!("charge-{}", payment()).as_str()));
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    assert_eq!(header(&request, "authorization"), Some("Bearer sk_hush"));
    assert!(!format!("{request:?}").contains("hush"), "{request:?}");

    let request = sent_once(&charging(Gateway::Plain, Ask)).await;
    assert_eq!(line(&request), format!("GET https://gateway.example/charges?key=charge-{}", payment()));
    assert_eq!((request.body.as_str(), header(&request, "idempotency-key")), ("", None));
    let request = sent_once(&named(charging(Gateway::Plain, Ask), "ch_1/../x?y")).await;
    assert_eq!(line(&request), "GET https://gateway.example/charges/ch_1%2F..%2Fx%3Fy");

    let request = sent_once(&refunding(Gateway::Plain, Send, Some("ch_1"))).await;
    assert_eq!(line(&request), "POST https://gateway.example/refunds");
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), json!({ "charge": "ch_1", "amount": 150_099 }));
    assert_eq!(header(&request, "idempotency-key"), Some(format!("refund-{}", refund()).as_str()));
    let request = sent_once(&refunding(Gateway::Plain, Ask, Some("ch_1"))).await;
    assert_eq!(line(&request), format!("GET https://gateway.example/refunds?key=refund-{}", refund()));
    let request = sent_once(&named(refunding(Gateway::Plain, Ask, Some("ch_1")), "re_1")).await;
    assert_eq!(line(&request), "GET https://gateway.example/refunds/re_1");
}

#[tokio::test]
async fn stripe_is_a_form_under_the_key_of_the_payment_and_a_version() {
    let request = sent_once(&charging(Gateway::Stripe, Send)).await;
    assert_eq!(line(&request), "POST https://gateway.example/v1/payment_intents");
    let (key, id) = (format!("charge-{}", payment()), payment());
    let form = format!(
        "amount=150099&currency=eur&confirm=true&error_on_requires_action=true&payment_method=pm_card_visa\
         &payment_method_types%5B%5D=card&metadata%5Bkey%5D={key}&metadata%5Breference%5D={id}"
    );
    assert_eq!(request.body, form);
    assert_eq!(header(&request, "idempotency-key"), Some(key.as_str()));
    assert_eq!(header(&request, "content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header(&request, "authorization"), Some("Bearer sk_hush"));
    assert_eq!(header(&request, "stripe-version"), Some("2025-03-31.basil"));

    let request = sent_once(&named(charging(Gateway::Stripe, Ask), "pi_1")).await;
    assert_eq!(line(&request), "GET https://gateway.example/v1/payment_intents/pi_1");
    assert_eq!(header(&request, "stripe-version"), Some("2025-03-31.basil"));

    let request = sent_once(&refunding(Gateway::Stripe, Send, Some("pi_1"))).await;
    assert_eq!(line(&request), "POST https://gateway.example/v1/refunds");
    let (key, id) = (format!("refund-{}", refund()), refund());
    assert_eq!(
        request.body,
        format!("payment_intent=pi_1&amount=150099&metadata%5Bkey%5D={key}&metadata%5Breference%5D={id}")
    );
    assert_eq!(header(&request, "idempotency-key"), Some(key.as_str()));
    let request = sent_once(&named(refunding(Gateway::Stripe, Ask, Some("pi_1")), "re_1")).await;
    assert_eq!(line(&request), "GET https://gateway.example/v1/refunds/re_1");
}

/// A charge that a person has taken for made may be one that the gateway has never named.
#[tokio::test]
async fn what_a_refund_is_of_is_asked_for_if_nobody_has_said() {
    let found = json!({ "id": "ch_9", "state": "captured", "amount": 150_099, "currency": "EUR" });
    let requests = sent(&refunding(Gateway::Plain, Send, None), &[found, json!({})]).await;
    assert_eq!(line(&requests[0]), format!("GET https://gateway.example/charges?key=charge-{}", payment()));
    assert_eq!(serde_json::from_str::<Value>(&requests[1].body).unwrap()["charge"], "ch_9");

    let metadata = json!({ "reference": payment().to_string() });
    let found = json!({ "data": [{ "id": "pi_9", "status": "succeeded", "metadata": metadata }] });
    let requests = sent(&refunding(Gateway::Stripe, Send, None), &[found, json!({})]).await;
    assert_eq!(
        line(&requests[0]),
        format!(
            "GET https://gateway.example/v1/payment_intents/search?query=metadata%5B%27reference%27%5D%3A%27{}%27",
            payment()
        )
    );
    assert!(requests[1].body.starts_with("payment_intent=pi_9&"), "{}", requests[1].body);
}
