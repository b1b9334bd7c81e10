//! What a callback says, once it is known to be the gateway's: its event, as what it reports under a key of ours. Pure,
//! from bytes; amounts are whole numbers of minor units, read digit by digit and never through a float.

mod json;
mod plain;
mod stripe;

use domain::payments::{Gateway, TakeCallback};

/// Why what a gateway has signed cannot be read as an event of its protocol. For the log, and for whoever looks at what is
/// kept; nothing of the body is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is no JSON object: {0}")]
    NoObject(String),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not what it has to be")]
    Wrong(&'static str),
    #[error("it has no id")]
    NoId,
}

/// Reads an event. `signed_id` is the id that was signed beside the body, where the scheme does so. `None` is an event that
/// is not about a charge or a refund of ours: of a type that nothing follows from, or under a key that we did not make.
pub fn event(gateway: Gateway, signed_id: Option<&str>, body: &[u8]) -> Result<Option<TakeCallback>, Malformed> {
    match gateway {
        Gateway::Plain => plain::event(signed_id, body),
        Gateway::Stripe => stripe::event(body),
    }
}

#[cfg(test)]
mod tests {
    use domain::Currency;
    use domain::ids::{CustomerId, IdempotencyKey, PaymentId, RefundId};
    use domain::payments::{GatewayKey, Reported, ReportedState};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn keys() -> (GatewayKey, GatewayKey) {
        let (customer, key) = (CustomerId::of("local", "alice"), IdempotencyKey::parse("k").unwrap());
        let charge = GatewayKey::Charge(PaymentId::of_request(&customer, &key));
        (charge, GatewayKey::Refund(RefundId::of_request(&customer, &key)))
    }

    fn plain(kind: &str, amount: Value) -> Value {
        let (charge, refund) = keys();
        let data = if kind.starts_with("charge.") {
            json!({ "charge": { "id": "ch_1", "key": charge, "reference": "order 7", "amount": amount, "currency": "EUR",
                "state": "captured", "refunded": 0, "decline": null } })
        } else {
            json!({ "refund": { "id": "re_1", "key": refund, "charge": "ch_1", "amount": amount, "currency": "EUR",
                "state": "done" } })
        };
        json!({ "type": kind, "timestamp": "2026-11-21T05:53:03Z", "data": data })
    }

    fn stripe(kind: &str, object: Value) -> Value {
        json!({ "id": "evt_1", "object": "event", "api_version": "2025-03-31.basil", "type": kind,
            "data": { "object": object }, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null } })
    }

    fn intent(amount: Value) -> Value {
        let (charge, _) = keys();
        json!({ "id": "pi_1", "object": "payment_intent", "amount": amount, "amount_received": amount,
            "currency": "eur", "metadata": { "key": charge } })
    }

    fn refund(status: &str) -> Value {
        let (_, refund) = keys();
        json!({ "id": "re_1", "object": "refund", "amount": 99, "currency": "eur", "status": status,
            "metadata": { "key": refund } })
    }

    fn read(gateway: Gateway, event: &Value) -> Result<Option<(GatewayKey, Reported)>, Malformed> {
        let taken = super::event(gateway, Some("msg_1"), event.to_string().as_bytes())?;
        Ok(taken.map(|taken| (taken.of, taken.reported)))
    }

    fn says(state: ReportedState, minor: i64, reference: &str) -> Reported {
        Reported {
            state,
            amount: domain::Amount::from_minor(minor),
            currency: Currency::from_code("EUR"),
            reference: domain::payments::GatewayRef::new(reference),
        }
    }

    #[test]
    fn each_event_of_the_plain_protocol_reports_what_it_says() {
        use ReportedState::{Captured, Declined, Pending, Refunded};
        let (charge, refund) = keys();
        for (kind, of, state) in [
            ("charge.pending", charge, Pending),
            ("charge.captured", charge, Captured),
            ("charge.declined", charge, Declined),
            ("refund.pending", refund, Pending),
            ("refund.done", refund, Refunded),
            ("refund.failed", refund, Declined),
        ] {
            let id = if of == charge { "ch_1" } else { "re_1" };
            let said = read(Gateway::Plain, &plain(kind, json!(150_099))).unwrap();
            assert_eq!(said, Some((of, says(state, 150_099, id))), "{kind}");
        }
        assert_eq!(read(Gateway::Plain, &plain("charge.disputed", json!(1))), Ok(None), "nothing follows from it");
        let mut others = plain("charge.captured", json!(1));
        others["data"]["charge"]["key"] = json!("payment-7f3a");
        assert_eq!(read(Gateway::Plain, &others), Ok(None), "we made no such key");
    }

    #[test]
    fn each_event_of_stripes_reports_what_it_says() {
        use ReportedState::{Captured, Declined, Pending, Refunded};
        let (charge, of_refund) = keys();
        let given_back = json!({ "id": "ch_1", "object": "charge", "amount": 150_099, "amount_refunded": 99,
            "currency": "eur", "payment_intent": "pi_1", "metadata": { "key": charge } });
        for (kind, object, of, reported) in [
            ("payment_intent.processing", intent(json!(5)), charge, says(Pending, 5, "pi_1")),
            ("payment_intent.succeeded", intent(json!(5)), charge, says(Captured, 5, "pi_1")),
            ("payment_intent.payment_failed", intent(json!(5)), charge, says(Declined, 5, "pi_1")),
            ("payment_intent.canceled", intent(json!(5)), charge, says(Declined, 5, "pi_1")),
            ("charge.refunded", given_back, charge, says(Refunded, 99, "pi_1")),
            ("refund.created", refund("pending"), of_refund, says(Pending, 99, "re_1")),
            ("refund.updated", refund("succeeded"), of_refund, says(Refunded, 99, "re_1")),
            ("charge.refund.updated", refund("succeeded"), of_refund, says(Refunded, 99, "re_1")),
            ("refund.updated", refund("canceled"), of_refund, says(Declined, 99, "re_1")),
            ("refund.failed", refund("failed"), of_refund, says(Declined, 99, "re_1")),
        ] {
            assert_eq!(read(Gateway::Stripe, &stripe(kind, object)), Ok(Some((of, reported))), "{kind}");
        }
        assert_eq!(read(Gateway::Stripe, &stripe("payout.paid", json!({}))), Ok(None));
        let mut part = intent(json!(5));
        part["amount_received"] = json!(4);
        let (_, reported) = read(Gateway::Stripe, &stripe("payment_intent.succeeded", part)).unwrap().unwrap();
        assert_eq!(reported, says(Captured, 4, "pi_1"), "what came in counts");
    }

    /// By its metadata; by what our requests call it; by the request that caused it, where one did.
    #[test]
    fn an_event_of_stripes_is_ours_by_any_of_three_names() {
        let (charge, of_refund) = keys();
        let of = |kind: &str, object: Value, request: Value| {
            let mut event = stripe(kind, object);
            event["request"] = request;
            read(Gateway::Stripe, &event).unwrap().map(|(of, _)| of)
        };
        let named = |metadata: Value| {
            let mut object = intent(json!(5));
            object["metadata"] = metadata;
            object
        };
        let kind = "payment_intent.succeeded";
        assert_eq!(of(kind, named(json!({ "reference": charge.digest() })), Value::Null), Some(charge));
        assert_eq!(of(kind, named(json!({})), json!({ "idempotency_key": charge })), Some(charge));
        assert_eq!(of(kind, named(Value::Null), json!({ "idempotency_key": of_refund })), None, "of another kind");
        assert_eq!(of(kind, named(json!({ "key": of_refund })), Value::Null), None);
        assert_eq!(of(kind, named(json!({ "key": "k", "reference": "order 7" })), json!({})), None);
        assert_eq!(of(kind, named(json!({})), Value::Null), None);
    }

    #[test]
    fn amounts_are_whole_numbers_read_exactly() {
        for (amount, expected) in [
            ("0", Some(0)),
            ("150099", Some(150_099)),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e3", None),
            ("1.0", None),
            ("-1", None),
            ("\"5\"", None),
            ("null", None),
        ] {
            for (gateway, event) in [
                (Gateway::Plain, plain("charge.captured", json!("AMOUNT"))),
                (Gateway::Stripe, stripe("payment_intent.succeeded", intent(json!("AMOUNT")))),
            ] {
                let body = event.to_string().replace("\"AMOUNT\"", amount);
                let read = super::event(gateway, Some("msg_1"), body.as_bytes());
                let read = read.map(|taken| taken.unwrap().reported.amount.unwrap().minor());
                assert_eq!(read, expected.ok_or(Malformed::Wrong("amount")), "{gateway:?} {amount}");
            }
        }
        let mut strange = plain("charge.captured", json!(5));
        strange["data"]["charge"]["currency"] = json!("XTS?");
        let (_, reported) = read(Gateway::Plain, &strange).unwrap().unwrap();
        assert_eq!((reported.amount.map(domain::Amount::minor), reported.currency), (Some(5), None), "for a person");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (at, value, expected) in [
            ("", json!([]), Malformed::NoObject("it is JSON of another kind".to_owned())),
            ("/type", Value::Null, Malformed::Wrong("type")),
            ("/data", json!("charge"), Malformed::Wrong("data")),
            ("/data/charge", Value::Null, Malformed::Wrong("data.charge")),
            ("/data/charge/key", Value::Null, Malformed::Wrong("key")),
            ("/data/charge/key", json!(keys().1), Malformed::Wrong("key")),
            ("/data/charge/currency", json!(978), Malformed::Wrong("currency")),
            ("/data/charge/id", json!(""), Malformed::Wrong("id")),
            ("/data/charge/id", json!("x".repeat(256)), Malformed::Wrong("id")),
        ] {
            let mut event = plain("charge.captured", json!(5));
            *event.pointer_mut(at).unwrap() = value;
            assert_eq!(read(Gateway::Plain, &event), Err(expected), "{at}");
        }
        let event = plain("charge.captured", json!(5)).to_string();
        assert_eq!(super::event(Gateway::Plain, None, event.as_bytes()).unwrap_err(), Malformed::NoId);
        let mut event = stripe("payment_intent.succeeded", intent(json!(5)));
        event["id"] = json!("");
        assert_eq!(read(Gateway::Stripe, &event), Err(Malformed::NoId));
        let odd = stripe("refund.updated", refund("odd"));
        assert_eq!(read(Gateway::Stripe, &odd), Err(Malformed::Wrong("status")));
        for cut in 1..30 {
            let event = stripe("refund.updated", refund("pending")).to_string();
            let read = super::event(Gateway::Stripe, None, &event.as_bytes()[..event.len() - cut]);
            assert!(matches!(read, Err(Malformed::NoObject(_))), "{cut} bytes are missing: {read:?}");
        }
    }

    /// Stripe counts in it who has not taken it yet. Whatever else differs is another event under the same id.
    #[test]
    fn a_repeat_of_stripes_is_known_by_what_it_says() {
        let taken = |event: &Value, text: fn(&Value) -> String| {
            super::event(Gateway::Stripe, None, text(event).as_bytes()).unwrap().unwrap()
        };
        let mut event = stripe("payment_intent.succeeded", intent(json!(5)));
        let first = taken(&event, Value::to_string);
        event["pending_webhooks"] = json!(0);
        let again = taken(&event, |event| serde_json::to_string_pretty(event).unwrap());
        assert_eq!((first.id, first.body), (again.id, again.body));
        event["data"]["object"]["amount_received"] = json!(6);
        let changed = taken(&event, Value::to_string);
        assert!(changed.id == first.id && changed.body != first.body);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..300), id in prop::option::of("\\PC{0,9}")) {
            for gateway in [Gateway::Plain, Gateway::Stripe] {
                let _ = event(gateway, id.as_deref(), &body);
            }
        }
    }
}
