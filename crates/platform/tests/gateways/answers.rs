//! What each answer comes to: those of `docs/GATEWAY.md`, those that Stripe documents, and those that nobody does.

use domain::Millis;
use domain::payments::Call::{Ask, Send};
use domain::payments::ReportedState::{Captured, Declined, Pending, Refunded};
use domain::payments::{Answer, Attempt, Gateway, No, NoAnswer};
use platform::gateways::Response;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{MINOR, Scripted, answered, charging, named, payment, refund, refunding, says, says_of, with};

fn status(status: u16, no: No) -> Answer {
    Answer::Status { status, no, retry_after: None }
}

async fn come_to(cases: Vec<(Attempt, u16, Value, Answer)>) {
    for (attempt, status, body, expected) in cases {
        let gateway = Scripted::of([answered(status, &body)]);
        assert_eq!(gateway.call(&attempt).await, expected, "{:?} of {}: {status} {body}", attempt.call, attempt.key);
    }
}

fn charge(state: &str) -> Value {
    json!({
        "id": "ch_1", "key": format!("charge-{}", payment()), "reference": payment().to_string(), "amount": MINOR,
        "currency": "EUR", "state": state, "refunded": 0, "decline": null, "created_at": "2026-11-21T05:53:03Z",
    })
}

fn plain_refund(state: &str) -> Value {
    json!({
        "id": "re_1", "key": format!("refund-{}", refund()), "charge": "ch_1", "amount": MINOR, "currency": "EUR",
        "state": state,
    })
}

fn changed(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

fn error(code: &str) -> Value {
    json!({ "error": { "code": code, "message": "so it is" } })
}

#[tokio::test]
async fn answers_of_the_plain_protocol_to_a_charge() {
    let (send, ask) = (charging(Gateway::Plain, Send), charging(Gateway::Plain, Ask));
    let declined = |charge: Value| json!({ "error": { "code": "declined", "charge": charge } });
    let cases = vec![
        (send.clone(), 201, charge("captured"), says(Captured, "ch_1")),
        (send.clone(), 202, charge("pending"), says(Pending, "ch_1")),
        (send.clone(), 201, charge("declined"), says(Declined, "ch_1")),
        (ask.clone(), 200, charge("captured"), says(Captured, "ch_1")),
        (ask.clone(), 200, charge("pending"), says(Pending, "ch_1")),
        (ask.clone(), 200, charge("declined"), says(Declined, "ch_1")),
        (named(ask.clone(), "ch_1"), 200, charge("captured"), says(Captured, "ch_1")),
        // Some or all of it has gone back, which nobody who asks has asked for.
        (
            ask.clone(),
            200,
            changed(charge("captured"), "refunded", json!(99)),
            says_of(Refunded, Some(99), Some("EUR"), Some("ch_1")),
        ),
        (ask.clone(), 200, changed(charge("refunded"), "refunded", json!(MINOR)), says(Refunded, "ch_1")),
        (send.clone(), 402, declined(charge("declined")), says(Declined, "ch_1")),
        (send.clone(), 402, declined(json!(null)), status(402, No::Declined)),
        (send.clone(), 402, json!(null), status(402, No::Declined)),
        (ask.clone(), 404, error("not_found"), Answer::NotThere),
        (named(ask.clone(), "ch_1"), 404, error("not_found"), Answer::NotThere),
        (ask.clone(), 404, error("no_such_path"), status(404, No::Unsaid)),
        (ask.clone(), 404, json!("<html>"), status(404, No::Unsaid)),
        (send.clone(), 404, error("not_found"), status(404, No::Unsaid)),
        (send.clone(), 409, error("key_busy"), status(409, No::Unsaid)),
        (send.clone(), 422, error("key_reused"), status(422, No::AboutTheKey)),
        (send.clone(), 400, error("invalid"), status(400, No::Unsaid)),
        (send.clone(), 400, error("unknown_field"), status(400, No::Unsaid)),
        (send.clone(), 400, error("invalid_key"), status(400, No::Unsaid)),
        (send.clone(), 401, error("unauthorized"), status(401, No::Unsaid)),
        (send.clone(), 415, error("not_json"), status(415, No::Unsaid)),
        (send.clone(), 429, error("too_many_requests"), status(429, No::Unsaid)),
        (send.clone(), 500, error("internal"), status(500, No::Unsaid)),
        (send.clone(), 503, error("unavailable"), status(503, No::Unsaid)),
        (send.clone(), 302, json!(null), status(302, No::Unsaid)),
        // What is odd: never more than was surely said.
        (send.clone(), 201, changed(charge("captured"), "more", json!({"of": "it"})), says(Captured, "ch_1")),
        (
            send.clone(),
            201,
            changed(charge("captured"), "amount", json!(150_098)),
            says_of(Captured, Some(150_098), Some("EUR"), Some("ch_1")),
        ),
        (
            send.clone(),
            201,
            changed(charge("captured"), "currency", json!("USD")),
            says_of(Captured, Some(MINOR), Some("USD"), Some("ch_1")),
        ),
        (
            send.clone(),
            201,
            changed(charge("captured"), "currency", json!("eur")),
            says_of(Captured, Some(MINOR), None, Some("ch_1")),
        ),
        (
            send.clone(),
            201,
            changed(charge("captured"), "id", json!("not a name")),
            says_of(Captured, Some(MINOR), Some("EUR"), None),
        ),
        (send.clone(), 201, changed(charge("captured"), "key", json!("charge-of-another")), status(201, No::Unsaid)),
        (send.clone(), 201, charge("settled"), status(201, No::Unsaid)),
        (send.clone(), 201, changed(charge("captured"), "state", json!(1)), status(201, No::Unsaid)),
        (send.clone(), 201, json!([]), status(201, No::Unsaid)),
        (send.clone(), 204, json!(null), status(204, No::Unsaid)),
        (ask.clone(), 200, json!("captured"), status(200, No::Unsaid)),
    ];
    let odd_amounts = [json!(150_099.0), json!("150099"), json!(-1), json!(1.5e300), json!(u64::MAX), json!(null)];
    let odd = odd_amounts.map(|amount| {
        let said = says_of(Captured, None, Some("EUR"), Some("ch_1"));
        (send.clone(), 201, changed(charge("captured"), "amount", amount), said)
    });
    come_to(cases.into_iter().chain(odd).collect()).await;
}

#[tokio::test]
async fn answers_of_the_plain_protocol_to_a_refund() {
    let (send, ask) = (refunding(Gateway::Plain, Send, Some("ch_1")), refunding(Gateway::Plain, Ask, Some("ch_1")));
    let failed = json!({ "error": { "code": "refund_failed", "refund": plain_refund("failed") } });
    come_to(vec![
        (send.clone(), 201, plain_refund("done"), says(Refunded, "re_1")),
        (send.clone(), 202, plain_refund("pending"), says(Pending, "re_1")),
        (ask.clone(), 200, plain_refund("done"), says(Refunded, "re_1")),
        (ask.clone(), 200, plain_refund("failed"), says(Declined, "re_1")),
        (ask.clone(), 404, error("not_found"), Answer::NotThere),
        (send.clone(), 402, failed, says(Declined, "re_1")),
        (send.clone(), 402, error("refund_failed"), status(402, No::Declined)),
        (send.clone(), 409, error("key_busy"), status(409, No::Unsaid)),
        (send.clone(), 409, error("not_captured"), status(409, No::Declined)),
        (send.clone(), 422, error("too_much"), status(422, No::Declined)),
        (send.clone(), 422, error("unknown_charge"), status(422, No::Declined)),
        (send.clone(), 422, error("key_reused"), status(422, No::AboutTheKey)),
        (send.clone(), 201, charge("captured"), status(201, No::Unsaid)),
        (send.clone(), 500, error("internal"), status(500, No::Unsaid)),
    ])
    .await;
}

fn intent(state: &str) -> Value {
    let received = if state == "succeeded" { MINOR } else { 0 };
    json!({
        "id": "pi_1", "object": "payment_intent", "amount": MINOR, "amount_received": received, "currency": "eur",
        "status": state, "metadata": { "reference": payment().to_string(), "key": format!("charge-{}", payment()) },
    })
}

fn stripe_refund(state: &str) -> Value {
    json!({
        "id": "re_1", "object": "refund", "amount": MINOR, "currency": "eur", "status": state,
        "metadata": { "reference": refund().to_string() }, "payment_intent": "pi_1",
    })
}

fn stripe_error(kind: &str, code: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": "so it is" } })
}

#[tokio::test]
async fn answers_of_stripe_to_a_charge() {
    let (send, ask) = (charging(Gateway::Stripe, Send), named(charging(Gateway::Stripe, Ask), "pi_1"));
    let declined = |intent: Value| {
        let mut said = stripe_error("card_error", "card_declined");
        said["error"]["payment_intent"] = intent;
        said
    };
    let invalid = |code: &str| stripe_error("invalid_request_error", code);
    come_to(vec![
        (send.clone(), 200, intent("succeeded"), says(Captured, "pi_1")),
        (send.clone(), 200, intent("processing"), says(Pending, "pi_1")),
        (send.clone(), 200, intent("requires_action"), says(Pending, "pi_1")),
        (send.clone(), 200, intent("canceled"), says(Declined, "pi_1")),
        (ask.clone(), 200, intent("succeeded"), says(Captured, "pi_1")),
        (ask.clone(), 200, intent("requires_payment_method"), says(Declined, "pi_1")),
        (send.clone(), 402, declined(intent("requires_payment_method")), says(Declined, "pi_1")),
        (send.clone(), 402, declined(json!(null)), status(402, No::Declined)),
        // It contradicts itself, and money goes before words.
        (send.clone(), 402, declined(intent("succeeded")), says(Captured, "pi_1")),
        (ask.clone(), 404, invalid("resource_missing"), Answer::NotThere),
        (ask.clone(), 404, json!({"error": {"type": "invalid_request_error"}}), status(404, No::Unsaid)),
        (send.clone(), 400, invalid("resource_missing"), status(400, No::Unsaid)),
        (send.clone(), 400, invalid("parameter_unknown"), status(400, No::Unsaid)),
        (send.clone(), 400, invalid("amount_too_small"), status(400, No::Declined)),
        (send.clone(), 400, invalid("amount_too_large"), status(400, No::Declined)),
        (send.clone(), 400, stripe_error("card_error", "card_declined"), status(400, No::Declined)),
        (send.clone(), 400, stripe_error("idempotency_error", ""), status(400, No::AboutTheKey)),
        (send.clone(), 409, stripe_error("idempotency_error", "idempotency_key_in_use"), status(409, No::Unsaid)),
        (send.clone(), 409, stripe_error("idempotency_error", ""), status(409, No::AboutTheKey)),
        (send.clone(), 401, invalid("api_key_expired"), status(401, No::Unsaid)),
        (send.clone(), 403, invalid(""), status(403, No::Unsaid)),
        (send.clone(), 424, stripe_error("api_error", ""), status(424, No::Unsaid)),
        (send.clone(), 429, invalid("rate_limit"), status(429, No::Unsaid)),
        (send.clone(), 429, invalid("lock_timeout"), status(429, No::Unsaid)),
        (send.clone(), 500, stripe_error("api_error", ""), status(500, No::Unsaid)),
        (send.clone(), 502, json!("<html>"), status(502, No::Unsaid)),
        // What came in is what counts.
        (
            send.clone(),
            200,
            changed(intent("succeeded"), "amount_received", json!(1)),
            says_of(Captured, Some(1), Some("EUR"), Some("pi_1")),
        ),
        (
            send.clone(),
            200,
            changed(intent("succeeded"), "amount_received", json!(null)),
            says_of(Captured, None, Some("EUR"), Some("pi_1")),
        ),
        (send.clone(), 200, intent("reversed"), status(200, No::Unsaid)),
        (
            send.clone(),
            200,
            changed(intent("succeeded"), "metadata", json!({ "reference": "another" })),
            status(200, No::Unsaid),
        ),
        (send.clone(), 200, changed(intent("succeeded"), "metadata", json!({})), says(Captured, "pi_1")),
    ])
    .await;
    let asked = Scripted::of([]).call(&charging(Gateway::Stripe, Ask)).await;
    assert_eq!(asked, Answer::Silence(NoAnswer::NobodyKnows), "it is asked by its own name alone");
}

#[tokio::test]
async fn answers_of_stripe_to_a_refund() {
    let (send, ask) = (refunding(Gateway::Stripe, Send, Some("pi_1")), refunding(Gateway::Stripe, Ask, Some("pi_1")));
    let ask = named(ask, "re_1");
    let invalid = |code: &str| stripe_error("invalid_request_error", code);
    come_to(vec![
        (send.clone(), 200, stripe_refund("succeeded"), says(Refunded, "re_1")),
        (send.clone(), 200, stripe_refund("pending"), says(Pending, "re_1")),
        (send.clone(), 200, stripe_refund("requires_action"), says(Pending, "re_1")),
        (ask.clone(), 200, stripe_refund("failed"), says(Declined, "re_1")),
        (ask.clone(), 200, stripe_refund("canceled"), says(Declined, "re_1")),
        (ask.clone(), 404, invalid("resource_missing"), Answer::NotThere),
        (send.clone(), 400, invalid("charge_already_refunded"), status(400, No::Declined)),
        (send.clone(), 400, invalid("amount_too_large"), status(400, No::Declined)),
        (send.clone(), 400, invalid("charge_disputed"), status(400, No::Declined)),
        (send.clone(), 400, invalid("resource_missing"), status(400, No::Unsaid)),
        (send.clone(), 400, stripe_error("idempotency_error", ""), status(400, No::AboutTheKey)),
        (send.clone(), 500, stripe_error("api_error", ""), status(500, No::Unsaid)),
    ])
    .await;
}

#[tokio::test]
async fn being_put_off_is_for_as_long_as_is_said() {
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        for (value, expected) in
            [("3", Some(3_000)), ("Sat, 21 Nov 2026 05:54:03 GMT", Some(60_000)), ("soon", None), ("-1", None)]
        {
            let answer = Scripted::of([with("Retry-After", value, answered(429, &json!({})))]);
            let expected = Answer::Status { status: 429, no: No::Unsaid, retry_after: expected.map(Millis) };
            assert_eq!(answer.call(&charging(gateway, Send)).await, expected, "{value}");
        }
        for no_answer in [NoAnswer::NotReached, NoAnswer::Lost] {
            let answer = Scripted::of([Err(no_answer)]).call(&charging(gateway, Send)).await;
            assert_eq!(answer, Answer::Silence(no_answer));
        }
    }
}

/// Repeating tells nothing more then. What is found was done; what is not may have been.
#[tokio::test]
async fn a_500_that_stripe_keeps_has_it_looked_for_by_our_own_name() {
    let kept = || with("idempotent-replayed", "true", answered(500, &stripe_error("api_error", "")));
    let list = |objects: &[Value]| answered(200, &json!({ "object": "list", "data": objects }));
    let (charge, refund) = (charging(Gateway::Stripe, Send), refunding(Gateway::Stripe, Send, Some("pi_1")));
    let of_another = changed(intent("succeeded"), "metadata", json!({ "reference": "another" }));
    for (attempt, second, expected) in [
        (&charge, list(&[intent("succeeded")]), says(Captured, "pi_1")),
        (&charge, list(&[intent("requires_payment_method")]), says(Declined, "pi_1")),
        (&charge, list(&[of_another, intent("processing")]), says(Pending, "pi_1")),
        (&charge, list(&[]), status(500, No::Unsaid)),
        (&charge, list(&[intent("succeeded"), intent("succeeded")]), status(500, No::Unsaid)),
        (&charge, answered(500, &json!({})), status(500, No::Unsaid)),
        (&charge, Err(NoAnswer::Lost), status(500, No::Unsaid)),
        (&refund, list(&[stripe_refund("succeeded")]), says(Refunded, "re_1")),
        (&refund, list(&[]), status(500, No::Unsaid)),
    ] {
        let gateway = Scripted::of([kept(), second]);
        assert_eq!(gateway.call(attempt).await, expected);
        assert_eq!(gateway.heard.lock().unwrap().len(), 2);
    }
    let first = Scripted::of([answered(500, &stripe_error("api_error", ""))]);
    assert_eq!(first.call(&charge).await, status(500, No::Unsaid), "the first time it is repeated");
}

/// A refund of what nobody knows the name of is not sent, so nothing of it can have arrived.
#[tokio::test]
async fn a_refund_of_what_cannot_be_found_is_not_sent() {
    let plain = refunding(Gateway::Plain, Send, None);
    let stripe = refunding(Gateway::Stripe, Send, None);
    let limited = Answer::Status { status: 429, no: No::Unsaid, retry_after: Some(Millis(2_000)) };
    for (attempt, first, expected) in [
        (&plain, Err(NoAnswer::Lost), Answer::Silence(NoAnswer::NotReached)),
        (&plain, answered(404, &error("not_found")), status(404, No::Unsaid)),
        (&plain, with("retry-after", "2", answered(429, &json!({}))), limited.clone()),
        (&stripe, Err(NoAnswer::Lost), Answer::Silence(NoAnswer::NotReached)),
        (&stripe, answered(200, &json!({ "data": [] })), status(404, No::Unsaid)),
        (&stripe, with("retry-after", "2", answered(429, &json!({}))), limited),
    ] {
        let gateway = Scripted::of([first]);
        assert_eq!(gateway.call(attempt).await, expected);
        assert_eq!(gateway.heard.lock().unwrap().len(), 1);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_0-9-]{0,20}".prop_map(Value::from),
        prop::sample::select(vec!["captured", "pending", "succeeded", "done", "refunded", "EUR", "eur", "XXX"])
            .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "id",
        "key",
        "state",
        "status",
        "amount",
        "amount_received",
        "currency",
        "refunded",
        "error",
        "code",
        "type",
        "charge",
        "refund",
        "payment_intent",
        "metadata",
        "reference",
        "data",
    ]);
    leaf.prop_recursive(4, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Whatever comes, there is an answer, and none that says that money moved without a success or a word that says so.
    #[test]
    fn whatever_comes_is_some_answer(body in any_json(), code in 100_u16..600, garbled in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut bytes = body.to_string().into_bytes();
        if garbled {
            bytes.truncate(bytes.len() / 2);
        }
        for gateway in [Gateway::Plain, Gateway::Stripe] {
            for attempt in [
                charging(gateway, Send),
                named(charging(gateway, Ask), "x_1"),
                refunding(gateway, Send, Some("x_1")),
                named(refunding(gateway, Ask, Some("x_1")), "x_2"),
            ] {
                let answer = Response { status: code, headers: Vec::new(), body: bytes.clone() };
                let said = runtime.block_on(Scripted::of([Ok(answer)]).call(&attempt));
                if let Answer::Says(reported) = said {
                    prop_assert!((200..300).contains(&code) || code == 402, "{code} {body}: {reported:?}");
                }
            }
        }
    }
}
