//! The plain protocol: charges, refunds, asking by key, and what is refused.

use bytes::Bytes;
use gateway::{Gateway, Mood, Settings};
use http::Request;
use serde_json::{Value, json};

use crate::support::{Caller, START, id};

const DAY_MS: i64 = 24 * 3_600_000;

#[test]
fn a_charge_is_made_once_and_asked_for_by_key_and_by_id() {
    let mut caller = Caller::calm();
    let made = caller.charge("key-1");
    assert_eq!(made.status, 201);
    let charge = made.json();
    let expected = json!({
        "id": id(&made), "key": "key-1", "reference": "order of key-1", "amount": 150_099, "currency": "EUR",
        "state": "captured", "refunded": 0, "decline": null,
        "created_at": "2026-11-21T05:53:03Z", "settled_at": "2026-11-21T05:53:03Z",
    });
    assert_eq!(charge, expected);
    let again = caller.wait(5_000).charge("key-1");
    assert_eq!((again.status, again.text.as_str(), again.is_replay()), (201, made.text.as_str(), true));
    assert!(!made.is_replay());
    assert_eq!(caller.get("/charges?key=key-1").json(), charge);
    assert_eq!(caller.get(&format!("/charges/{}", id(&made))).json(), charge);
    assert_eq!(caller.charges(), 1);
    assert_eq!(caller.gateway.book().asked(gateway::Protocol::Plain, "key-1"), 3);
}

#[test]
fn a_key_with_a_plus_or_a_percent_is_asked_for_encoded() {
    let mut caller = Caller::calm();
    caller.charge("a+b%20c/d");
    assert_eq!(caller.get("/charges?key=a%2Bb%2520c%2Fd").json()["key"], "a+b%20c/d");
    assert_eq!(caller.get("/charges?key=a+b").status, 400, "a space is in no key");
}

#[test]
fn another_request_under_the_key_is_refused_and_changes_nothing() {
    let mut caller = Caller::calm();
    let charge = id(&caller.charge("key-1"));
    for body in [
        json!({"amount": 150_100, "currency": "EUR", "reference": "order of key-1"}),
        json!({"amount": 150_099, "currency": "USD", "reference": "order of key-1"}),
        json!({"amount": 150_099, "currency": "EUR", "reference": "another"}),
    ] {
        let said = caller.post("/charges", "key-1", &body);
        assert_eq!((said.status, &said.json()["error"]["code"]), (422, &json!("key_reused")), "{body}");
    }
    let said = caller.refund("key-1", &charge, 1);
    assert_eq!((said.status, &said.json()["error"]["code"]), (422, &json!("key_reused")));
    // The order of fields and the spaces are not another request.
    let same = r#"{ "reference": "order of key-1", "currency": "EUR", "amount": 150099 }"#;
    let request =
        Request::post("/charges").header("idempotency-key", "key-1").header("content-type", "application/json");
    assert!(caller.send(request.body(Bytes::from(same)).unwrap()).is_replay());
    assert_eq!(caller.gateway.book().charges().count(), 1);
    assert_eq!(caller.gateway.book().refunds().count(), 0);
}

#[test]
fn a_key_is_forgotten_after_a_day_and_then_charges_again() {
    let mut caller = Caller::calm();
    caller.charge("key-1");
    assert!(caller.wait(DAY_MS - 1).charge("key-1").is_replay());
    assert_eq!(caller.get("/charges?key=key-1").status, 200);
    caller.wait(1);
    assert_eq!(caller.get("/charges?key=key-1").status, 404, "not found is not never charged");
    let second = caller.charge("key-1");
    assert_eq!((second.status, second.is_replay(), caller.charges()), (201, false, 2));
    let findings = json!(caller.gateway.book().findings());
    assert_eq!(findings[0]["finding"], "two_charges_for_key");
    assert_eq!(findings[0]["charges"].as_array().unwrap().len(), 2);
    assert_eq!(findings[1]["finding"], "two_charges_for_reference");
}

#[test]
fn refunds_have_keys_of_their_own_and_never_exceed_the_charge() {
    let mut caller = Caller::calm();
    let charge = id(&caller.charge("key-1"));
    let part = caller.refund("refund-1", &charge, 50_000);
    assert_eq!((part.status, &part.json()["state"]), (201, &json!("done")));
    assert_eq!(caller.get(&format!("/charges/{charge}")).json()["refunded"], 50_000);
    assert_eq!(caller.get(&format!("/charges/{charge}")).json()["state"], "captured");
    let again = caller.refund("refund-1", &charge, 50_000);
    assert!(again.is_replay() && again.text == part.text);
    let too_much = caller.refund("refund-2", &charge, 100_100);
    assert_eq!((too_much.status, &too_much.json()["error"]["code"]), (422, &json!("too_much")));
    assert_eq!(caller.refund("refund-2", &charge, 100_099).status, 201, "a refusal does not use the key up");
    assert_eq!(caller.get(&format!("/charges/{charge}")).json()["state"], "refunded");
    assert_eq!(caller.refund("refund-3", &charge, 1).status, 422);
    assert_eq!(caller.get("/refunds?key=refund-1").json(), part.json());
    assert_eq!(caller.get(&format!("/refunds/{}", id(&part))).json(), part.json());
    let given_back: u64 = caller.gateway.book().refunds().map(|refund| refund.amount).sum();
    assert_eq!(given_back, 150_099);
}

#[test]
fn what_is_not_there_is_not_found_and_what_is_not_captured_is_not_given_back() {
    let mut caller = Caller::calm();
    for path in ["/charges?key=none", "/charges/ch_none", "/refunds?key=none", "/refunds/re_none"] {
        let said = caller.get(path);
        assert_eq!((said.status, &said.json()["error"]["code"]), (404, &json!("not_found")), "{path}");
    }
    let said = caller.refund("refund-1", "ch_none", 1);
    assert_eq!((said.status, &said.json()["error"]["code"]), (422, &json!("unknown_charge")));
    let declined = caller.next(&[gateway::Mischief::Decline]).charge("key-1").json()["error"]["charge"].clone();
    let said = caller.refund("refund-1", declined["id"].as_str().unwrap(), 1);
    assert_eq!((said.status, &said.json()["error"]["code"]), (409, &json!("not_captured")));
    let intent = id(&caller.intent("key-2"));
    assert_eq!(caller.get(&format!("/charges/{intent}")).status, 404, "Stripe's are not the plain protocol's");
}

/// Each with the status, the code, and what the message names.
#[test]
fn bad_input_is_told_what_is_wrong_and_leaves_no_trace() {
    let mut caller = Caller::calm();
    let sound = json!({"amount": 1, "currency": "EUR", "reference": "r"});
    let with = |name: &str, value: Value| {
        let mut body = sound.clone();
        body[name] = value;
        body.to_string()
    };
    let without = |name: &str| {
        let mut body = sound.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let amounts = [json!(0), json!(-1), json!(1.5), json!("1"), json!(1_000_000_000_000_u64), json!(null), json!([1])];
    let amounts = amounts.into_iter().map(|amount| (with("amount", amount), 400, "invalid", "amount"));
    let currencies = [json!("eur"), json!("EURO"), json!(""), json!(978), json!("E R"), json!("ÄÖÜ")];
    let currencies = currencies.into_iter().map(|code| (with("currency", code), 400, "invalid", "currency"));
    let references = [json!(""), json!("x".repeat(201)), json!(7), json!("a\nb")];
    let references = references.into_iter().map(|name| (with("reference", name), 400, "invalid", "reference"));
    let others = [
        (without("amount"), 400, "invalid", "amount"),
        (without("currency"), 400, "invalid", "currency"),
        (without("reference"), 400, "invalid", "reference"),
        (with("card", json!("4242")), 400, "unknown_field", ""),
        (r#"{"amount":1,"currency":"EUR","reference":"r","amount":2}"#.to_owned(), 400, "malformed", ""),
        ("[]".to_owned(), 400, "malformed", ""),
        ("{\"amount\":".to_owned(), 400, "malformed", ""),
        (String::new(), 400, "malformed", ""),
    ];
    for (body, status, code, field) in amounts.chain(currencies).chain(references).chain(others) {
        let request =
            Request::post("/charges").header("idempotency-key", "key-1").header("content-type", "application/json");
        let said = caller.send(request.body(Bytes::from(body.clone())).unwrap());
        let error = &said.json()["error"];
        assert_eq!((said.status, &error["code"]), (status, &json!(code)), "{body}: {}", said.text);
        assert_eq!(error["field"].as_str().unwrap_or_default(), field, "{body}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    }
    assert_eq!(caller.gateway.book().charges().count(), 0);
    assert_eq!(caller.charge("key-1").status, 201, "the key is not used up");
}

#[test]
fn keys_media_types_paths_and_methods_are_checked() {
    let mut caller = Caller::calm();
    let body = json!({"amount": 1, "currency": "EUR", "reference": "r"}).to_string();
    let post = |keys: &[&str], kind: Option<&str>| {
        let mut request = Request::post("/charges");
        for key in keys {
            request = request.header("idempotency-key", *key);
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        request.body(Bytes::from(body.clone())).unwrap()
    };
    let json = Some("application/json");
    let long = "k".repeat(256);
    for (request, status, code) in [
        (post(&[], json), 400, "invalid_key"),
        (post(&[""], json), 400, "invalid_key"),
        (post(&["a b"], json), 400, "invalid_key"),
        (post(&["a", "a"], json), 400, "invalid_key"),
        (post(&[&long], json), 400, "invalid_key"),
        (post(&["key"], None), 415, "not_json"),
        (post(&["key"], Some("text/plain")), 415, "not_json"),
        (Request::delete("/charges").body(Bytes::new()).unwrap(), 405, "method_not_allowed"),
        (Request::post("/charges/ch_1").body(Bytes::new()).unwrap(), 405, "method_not_allowed"),
        (Request::get("/nowhere").body(Bytes::new()).unwrap(), 404, "no_such_path"),
        (Request::get("/").body(Bytes::new()).unwrap(), 404, "no_such_path"),
        (Request::get("/charges").body(Bytes::new()).unwrap(), 400, "invalid"),
        (Request::get("/charges?key=").body(Bytes::new()).unwrap(), 400, "invalid"),
        (Request::get("/charges?key=a&key=a").body(Bytes::new()).unwrap(), 400, "invalid"),
        (Request::get("/charges?id=a").body(Bytes::new()).unwrap(), 400, "invalid"),
    ] {
        let named = format!("{request:?}");
        let said = caller.send(request);
        assert_eq!((said.status, said.json()["error"]["code"].as_str().unwrap()), (status, code), "{named}");
    }
    for (path, methods) in [("/charges", "GET, POST"), ("/refunds/re_1", "GET")] {
        assert_eq!(caller.send(Request::put(path).body(Bytes::new()).unwrap()).header("allow"), Some(methods));
    }
    let charset = post(&["key"], Some("Application/JSON; charset=utf-8"));
    assert_eq!(caller.send(charset).status, 201);
}

#[test]
fn who_has_no_key_of_the_api_is_not_let_in() {
    let settings = Settings { api_key: Some("sk_test_1".to_owned()), ..Settings::default() };
    let mut gateway = Gateway::new(settings, Mood::calm(), 1);
    // sk_test_1: and sk_test_2:, as a user without a password.
    for (authorization, status) in [
        (None, 401),
        (Some("Bearer sk_test_2"), 401),
        (Some("Bearer"), 401),
        (Some("Basic c2tfdGVzdF8yOg=="), 401),
        (Some("Basic !"), 401),
        (Some("Bearer sk_test_1"), 404),
        (Some("bearer sk_test_1"), 404),
        (Some("Basic c2tfdGVzdF8xOg=="), 404),
    ] {
        for path in ["/charges/ch_1", "/v1/payment_intents/pi_1"] {
            let mut request = Request::get(path);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let reply = gateway.receive(START, &request.body(Bytes::new()).unwrap());
            assert_eq!(reply.response.unwrap().status().as_u16(), status, "{authorization:?} {path}");
        }
    }
}
