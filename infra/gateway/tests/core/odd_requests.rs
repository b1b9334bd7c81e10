//! Whatever is sent, the answer is an answer and never a panic.

use bytes::Bytes;
use gateway::Mood;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::Caller;

const PATHS: &[&str] = &[
    "/charges",
    "/refunds",
    "/v1/payment_intents",
    "/v1/payment_intents/search",
    "/v1/refunds",
    "/mood",
    "/moods/next",
    "/outage",
    "/book",
    "/report.csv",
];
const FIELDS: &[&str] =
    &["amount", "currency", "reference", "charge", "mischiefs", "times", "rates", "timing", "for_ms", "name"];
const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
const KINDS: &[&str] = &["application/json", "application/x-www-form-urlencoded", "text/plain"];

fn is_sound(method: &str, uri: &str, kind: &str, key: &[u8], body: Vec<u8>) -> Result<(), TestCaseError> {
    let mut caller = Caller::of(Mood::calm(), 1);
    caller.charge("key-1");
    caller.intent("key-1");
    let mut request = Request::builder().method(method).uri(uri).header("content-type", kind);
    if let Ok(key) = http::HeaderValue::from_bytes(key) {
        request = request.header("idempotency-key", key);
    }
    let Ok(request) = request.body(Bytes::from(body)) else { return Ok(()) };
    let said = caller.send(request);
    prop_assert!((200..500).contains(&said.status) || said.status == 0, "{} {}", said.status, said.text);
    if said.status >= 400 {
        prop_assert!(said.json()["error"]["message"].is_string(), "{}", said.text);
    }
    prop_assert!(caller.charges() <= 3);
    Ok(())
}

/// Parameters that are nearly right.
fn near_form() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("amount".to_owned()),
        Just("currency".to_owned()),
        Just("confirm".to_owned()),
        Just("payment_method".to_owned()),
        Just("payment_intent".to_owned()),
        Just("query".to_owned()),
        Just("limit".to_owned()),
        Just("created[gte]".to_owned()),
        Just("metadata[é".to_owned()),
        Just("metadata[]".to_owned()),
        Just("metadata[a][b]".to_owned()),
        Just("expand[]".to_owned()),
        "\\PC{0,12}",
    ];
    let value = prop_oneof![
        Just("1".to_owned()),
        Just("eur".to_owned()),
        Just("true".to_owned()),
        Just("pm_card_visa".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("metadata['a']:'é\\'".to_owned()),
        "\\PC{0,12}",
    ];
    prop::collection::vec((name, value), 0..8)
        .prop_map(|pairs| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

fn near_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("EUR")),
        Just(json!({"slow": 1})),
        Just(json!(["slow"])),
    ];
    prop::collection::btree_map(prop::sample::select(FIELDS), leaf, 0..6).prop_map(|fields| json!(fields))
}

proptest! {
    #[test]
    fn any_bytes(
        method in prop::sample::select(METHODS),
        path in prop::sample::select(PATHS),
        kind in prop::sample::select(KINDS),
        key in prop::collection::vec(any::<u8>(), 0..20),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        is_sound(method, path, kind, &key, body)?;
    }

    #[test]
    fn any_path(method in prop::sample::select(METHODS), path in "/[!-~]{0,40}", key in "[!-~]{1,9}") {
        is_sound(method, &path, KINDS[0], key.as_bytes(), Vec::new())?;
    }

    #[test]
    fn nearly_right_forms(path in prop::sample::select(PATHS), form in near_form(), in_query in any::<bool>()) {
        if in_query {
            is_sound("GET", &format!("{path}?{form}"), KINDS[1], b"key-1", Vec::new())?;
        } else {
            is_sound("POST", path, KINDS[1], b"key-2", form.into_bytes())?;
        }
    }

    #[test]
    fn nearly_right_json(
        path in prop::sample::select(PATHS),
        method in prop::sample::select(METHODS),
        body in near_json(),
    ) {
        is_sound(method, path, KINDS[0], b"key-2", body.to_string().into_bytes())?;
    }

    #[test]
    fn any_journal(journal in "(\\{\"(charge|refund|event|key)\":\\{.{0,20}\\}\\}\n){0,3}.{0,20}") {
        let _ = gateway::Gateway::restored(crate::support::settings(), Mood::calm(), 1, &journal, 0);
    }
}
