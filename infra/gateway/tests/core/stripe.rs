//! Stripe's protocol: payment intents, refunds, lists, the search, and errors in Stripe's shape.

use bytes::Bytes;
use gateway::Mischief;
use http::Request;
use serde_json::{Value, json};

use crate::support::{Caller, START, id};

const DAY_MS: i64 = 24 * 3_600_000;
const SOUND: &str = "amount=150099&currency=eur&confirm=true&payment_method=pm_card_visa";

#[test]
fn an_intent_is_confirmed_as_it_is_created() {
    let mut caller = Caller::calm();
    let made = caller.intent("key-1");
    assert_eq!(made.status, 200);
    let intent = made.json();
    for (field, expected) in [
        ("object", json!("payment_intent")),
        ("amount", json!(150_099)),
        ("amount_received", json!(150_099)),
        ("currency", json!("eur")),
        ("status", json!("succeeded")),
        ("livemode", json!(false)),
        ("created", json!(START / 1_000)),
        ("metadata", json!({"reference": "order of key-1"})),
        ("last_payment_error", Value::Null),
        ("payment_method", json!("pm_card_visa")),
    ] {
        assert_eq!(intent[field], expected, "{field}");
    }
    assert!(id(&made).starts_with("pi_") && intent["latest_charge"].as_str().unwrap().starts_with("ch_"));
    assert!(made.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(made.header("idempotency-key"), Some("key-1"));
    assert_eq!(caller.get(&format!("/v1/payment_intents/{}", id(&made))).json(), intent);
    let again = caller.intent("key-1");
    assert!(again.is_replay() && again.text == made.text && caller.charges() == 1);
}

#[test]
fn without_a_key_each_request_is_one_of_its_own() {
    let mut caller = Caller::calm();
    let mut intent = || {
        let request = Request::post("/v1/payment_intents").header("content-type", "application/x-www-form-urlencoded");
        id(&caller.send(request.body(Bytes::from(SOUND)).unwrap()))
    };
    assert_ne!(intent(), intent());
    assert_eq!(caller.charges(), 2);
}

#[test]
fn a_key_stands_for_its_parameters_at_its_endpoint_for_a_day() {
    let mut caller = Caller::calm();
    let intent = id(&caller.intent("key-1"));
    for (path, body) in [
        ("/v1/payment_intents", SOUND.to_owned()),
        ("/v1/payment_intents", format!("{SOUND}&metadata[reference]=another")),
        ("/v1/refunds", format!("payment_intent={intent}")),
    ] {
        let said = caller.form(path, "key-1", &body);
        assert_eq!((said.status, &said.json()["error"]["type"]), (400, &json!("idempotency_error")), "{path} {body}");
    }
    assert_eq!(caller.charges(), 1);
    caller.wait(DAY_MS);
    assert!(!caller.intent("key-1").is_replay());
    assert_eq!(caller.charges(), 2);
}

#[test]
fn cards_for_testing_decline_and_the_refusal_is_kept() {
    let mut caller = Caller::calm();
    for (key, method, expected) in [
        ("key-1", "pm_card_chargeDeclined", "generic_decline"),
        ("key-2", "pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("key-3", "pm_card_visa_chargeDeclined", "generic_decline"),
    ] {
        let body = SOUND.replace("pm_card_visa", method);
        let said = caller.form("/v1/payment_intents", key, &body);
        let error = said.json()["error"].clone();
        assert_eq!((said.status, &error["type"], &error["code"]), (402, &json!("card_error"), &json!("card_declined")));
        assert_eq!(error["decline_code"], expected);
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        assert_eq!(error["payment_intent"]["last_payment_error"]["decline_code"], expected);
        assert_eq!(error["payment_intent"]["amount_received"], 0);
        let again = caller.form("/v1/payment_intents", key, &body);
        assert!(again.status == 402 && again.is_replay() && again.text == said.text);
        let kinds: Vec<_> = caller.hear_all().iter().map(crate::support::Heard::kind).collect();
        assert_eq!(kinds, ["payment_intent.payment_failed"]);
    }
    assert_eq!(caller.charges(), 0);
}

#[test]
fn a_server_error_is_replayed_whether_it_was_done_or_not() {
    let mut caller = Caller::calm();
    for (key, mischief, charges) in [("key-1", Mischief::ErrorKept, 0), ("key-2", Mischief::ErrorAfter, 1)] {
        let said = caller.next(&[mischief]).intent(key);
        assert_eq!((said.status, &said.json()["error"]["type"]), (500, &json!("api_error")));
        assert!(said.header("request-id").is_some(), "what went wrong can be asked about");
        let again = caller.intent(key);
        assert!(again.status == 500 && again.is_replay(), "{key}");
        assert_eq!(caller.charges(), charges, "{key}");
    }
}

#[test]
fn refunds_name_an_intent_or_its_charge() {
    let mut caller = Caller::calm();
    let intent = id(&caller.intent("key-1"));
    let part = caller.form("/v1/refunds", "refund-1", &format!("payment_intent={intent}&amount=50000"));
    for (field, expected) in [
        ("object", json!("refund")),
        ("amount", json!(50_000)),
        ("currency", json!("eur")),
        ("status", json!("succeeded")),
        ("payment_intent", json!(intent)),
        ("charge", json!(intent.replace("pi_", "ch_"))),
    ] {
        assert_eq!(part.json()[field], expected, "{field}");
    }
    assert_eq!(caller.get(&format!("/v1/refunds/{}", id(&part))).json(), part.json());
    let too_much = caller.form("/v1/refunds", "refund-2", &format!("payment_intent={intent}&amount=100100"));
    let error = &too_much.json()["error"];
    assert_eq!((too_much.status, &error["param"]), (400, &json!("amount")));
    let again = caller.form("/v1/refunds", "refund-2", &format!("payment_intent={intent}&amount=100100"));
    assert!(again.is_replay(), "what was refused after it had begun is kept");
    let charge = intent.replace("pi_", "ch_");
    let rest = caller.form("/v1/refunds", "refund-3", &format!("charge={charge}&reason=requested_by_customer"));
    assert_eq!((rest.status, &rest.json()["amount"]), (200, &json!(100_099)));
    let none = caller.form("/v1/refunds", "refund-4", &format!("payment_intent={intent}"));
    assert_eq!((none.status, &none.json()["error"]["code"]), (400, &json!("charge_already_refunded")));
    let listed = caller.get(&format!("/v1/refunds?payment_intent={intent}")).json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|refund| refund["id"].clone()).collect();
    assert_eq!(ids, [id(&rest), id(&part)], "newest first");
    let kinds: Vec<_> = caller.hear_all().iter().map(crate::support::Heard::kind).collect();
    let expected =
        ["charge.refunded", "charge.refunded", "payment_intent.succeeded", "refund.updated", "refund.updated"];
    let mut sorted = kinds;
    sorted.sort();
    assert_eq!(sorted, expected);
}

#[test]
fn lists_are_newest_first_in_pages() {
    let mut caller = Caller::calm();
    let mut made: Vec<_> = (0..5)
        .map(|place| {
            caller.wait(10_000);
            id(&caller.intent(&format!("key-{place}")))
        })
        .collect();
    made.reverse();
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = caller.get("/v1/payment_intents?limit=2").json();
    assert_eq!((ids(&first).as_slice(), &first["has_more"]), (&made[..2], &json!(true)));
    let rest = caller.get(&format!("/v1/payment_intents?limit=3&starting_after={}", made[1])).json();
    assert_eq!((ids(&rest).as_slice(), &rest["has_more"]), (&made[2..], &json!(false)));
    let second = START / 1_000 + 20;
    let between =
        caller.get(&format!("/v1/payment_intents?created%5Bgte%5D={second}&created[lt]={}", second + 20)).json();
    assert_eq!(ids(&between), &made[2..4]);
    assert_eq!(caller.get("/v1/payment_intents?starting_after=pi_none").status, 400);
    assert_eq!(caller.get("/v1/payment_intents?limit=101").status, 400);
    assert_eq!(caller.get("/v1/payment_intents?customer=cus_1").json()["error"]["code"], "parameter_unknown");
}

#[test]
fn the_search_lags_behind() {
    let mut caller = Caller::calm();
    let intent = id(&caller.intent("key-1"));
    caller.intent("key-2");
    let search = "/v1/payment_intents/search?query=metadata%5B%27reference%27%5D%3A%27order%20of%20key-1%27";
    assert_eq!(caller.get(search).json()["data"], json!([]));
    caller.wait(30_000);
    let found = caller.get(search).json();
    assert_eq!((&found["object"], &found["has_more"]), (&json!("search_result"), &json!(false)));
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"][0]["id"], json!(intent));
    let refused = caller.get("/v1/payment_intents/search?query=amount%3E5");
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("query")));
    let mut page = caller.get("/v1/payment_intents/search?query=status:%27succeeded%27&limit=1").json();
    assert_eq!(page["has_more"], json!(true));
    let next = page["next_page"].as_str().unwrap().to_owned();
    page = caller.get(&format!("/v1/payment_intents/search?query=status:%27succeeded%27&limit=1&page={next}")).json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(intent), &json!(false)));
}

#[test]
fn what_is_pending_is_processing_and_succeeds_later() {
    let mut caller = Caller::calm();
    let said = caller.next(&[Mischief::SettleLater]).intent("key-1");
    assert_eq!((said.status, &said.json()["status"]), (200, &json!("processing")));
    let kinds: Vec<_> = caller.hear_all().iter().map(crate::support::Heard::kind).collect();
    assert_eq!(kinds, ["payment_intent.processing", "payment_intent.succeeded"]);
    assert_eq!(caller.get(&format!("/v1/payment_intents/{}", id(&said))).json()["status"], "succeeded");
}

#[test]
fn bad_input_is_told_in_stripes_shape_and_leaves_no_trace() {
    let mut caller = Caller::calm();
    let change = |from: &str, to: &str| SOUND.replace(from, to);
    for (body, code, param) in [
        (change("amount=150099&", ""), Some("parameter_missing"), "amount"),
        (change("150099", "0"), Some("parameter_invalid_integer"), "amount"),
        (change("150099", "-1"), Some("parameter_invalid_integer"), "amount"),
        (change("150099", "1.5"), Some("parameter_invalid_integer"), "amount"),
        (change("150099", "%2B5"), Some("parameter_invalid_integer"), "amount"),
        (change("150099", "100000000"), Some("parameter_invalid_integer"), "amount"),
        (change("150099", "99999999999999999999999"), Some("parameter_invalid_integer"), "amount"),
        (change("currency=eur&", ""), Some("parameter_missing"), "currency"),
        (change("eur", "euro"), None, "currency"),
        (change("confirm=true&", ""), None, "confirm"),
        (change("confirm=true", "confirm=false"), None, "confirm"),
        (change("confirm=true", "confirm=yes"), None, "confirm"),
        (change("&payment_method=pm_card_visa", ""), Some("parameter_missing"), "payment_method"),
        (change("pm_card_visa", "tok_visa"), Some("resource_missing"), "payment_method"),
        (format!("{SOUND}&capture_method=manual"), None, "capture_method"),
        (format!("{SOUND}&amount=1"), None, "amount"),
        (format!("{SOUND}&application_fee_amount=1"), Some("parameter_unknown"), "application_fee_amount"),
        (format!("{SOUND}&metadata=x"), Some("parameter_unknown"), "metadata"),
        (format!("{SOUND}&metadata[{}]=x", "n".repeat(41)), None, "metadata"),
        (format!("{SOUND}&metadata[a]={}", "v".repeat(501)), None, "metadata"),
        (String::new(), Some("parameter_missing"), "amount"),
    ] {
        let said = caller.form("/v1/payment_intents", "key-1", &body);
        let error = &said.json()["error"];
        assert_eq!((said.status, &error["type"]), (400, &json!("invalid_request_error")), "{body}: {}", said.text);
        assert_eq!(error["code"].as_str(), code, "{body}");
        assert_eq!(error["param"].as_str(), Some(param), "{body}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{body}");
    }
    assert_eq!(caller.gateway.book().charges().count(), 0);
    let known = "off_session=true&automatic_payment_methods[enabled]=true&payment_method_types[]=card&\
                 payment_method_types[]=link&expand[]=latest_charge";
    let said = caller.form("/v1/payment_intents", "key-1", &format!("{SOUND}&{known}&description=An+order"));
    assert_eq!((said.status, &said.json()["description"]), (200, &json!("An order")), "the key is not used up");
}

#[test]
fn what_is_not_there_is_missing() {
    let mut caller = Caller::calm();
    for (path, status) in
        [("/v1/payment_intents/pi_none", 404), ("/v1/refunds/re_none", 404), ("/v1/customers", 404), ("/v1/", 404)]
    {
        let said = caller.get(path);
        assert_eq!((said.status, &said.json()["error"]["type"]), (status, &json!("invalid_request_error")), "{path}");
    }
    for (body, code) in [
        ("payment_intent=pi_none", Some("resource_missing")),
        ("amount=5", Some("parameter_missing")),
        ("payment_intent=pi_a&charge=ch_b", None),
        ("payment_intent=pi_a&reason=because", None),
        ("payment_intent=pi_a&amount=0", Some("parameter_invalid_integer")),
    ] {
        let said = caller.form("/v1/refunds", "key-1", body);
        assert_eq!((said.status, said.json()["error"]["code"].as_str()), (400, code), "{body}");
    }
    let json_body = Request::post("/v1/payment_intents").header("content-type", "application/json");
    assert_eq!(caller.send(json_body.body(Bytes::from("{}")).unwrap()).status, 400);
}
