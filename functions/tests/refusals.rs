//! Every way in which a request can be wrong: its status and code, and that it changed nothing and used up no key.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use support::{Answer, promises_hold, system, user};

const JSON: &str = "application/json";

struct Case {
    call: &'static str,
    key: Option<&'static str>,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

fn case(call: &'static str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Case {
    Case { call, key: Some("k"), content_type: Some(JSON), body: body.into(), status, code }
}

fn cases() -> Vec<Case> {
    let order = |body: &str, status, code| case("POST /orders", body, status, code);
    let with_description = |text: &str| format!(r#"{{"amount":1,"description":{text}}}"#);
    let key = |key, status, code| Case { key, ..case("POST /orders", r#"{"amount":1}"#, status, code) };
    let typed = |content_type| Case {
        content_type,
        ..case("POST /orders", r#"{"amount":1}"#, 415, "content_type_unsupported")
    };
    let mut cases = vec![
        key(None, 400, "idempotency_key_missing"),
        key(Some(""), 400, "idempotency_key_malformed"),
        key(Some("a,b"), 400, "idempotency_key_malformed"),
        key(Some("\"open"), 400, "idempotency_key_malformed"),
        key(Some("with space"), 400, "idempotency_key_malformed"),
        typed(None),
        typed(Some("text/plain")),
        typed(Some("application/x-www-form-urlencoded")),
        order("", 400, "json_malformed"),
        order("{", 400, "json_malformed"),
        order(r#"{"amount":1,}"#, 400, "json_malformed"),
        order(r#"{"amount":NaN}"#, 400, "json_malformed"),
        order("[]", 400, "body_not_an_object"),
        order("null", 400, "body_not_an_object"),
        case("POST /orders", b"{\"description\":\"\xff\"}".as_slice(), 400, "body_not_utf8"),
        case(
            "POST /orders",
            format!(r#"{{"amount":1,"description":"{}"}}"#, "x".repeat(65_536)),
            413,
            "body_too_large",
        ),
        order("{}", 422, "field_missing"),
        order(r#"{"amount":1,"amount":1}"#, 422, "field_duplicate"),
        order(r#"{"amount":1,"customer":"bob"}"#, 422, "field_unknown"),
        order(r#"{"amount":1,"description":5}"#, 422, "field_wrong_type"),
        order(r#"{"amount":null}"#, 422, "field_wrong_type"),
        order(r#"{"amount":true}"#, 422, "field_wrong_type"),
        order(r#"{"amount":{}}"#, 422, "field_wrong_type"),
        order(&with_description(r#""a\u0000b""#), 422, "description_has_control_characters"),
        order(&with_description(r#""a\nb""#), 422, "description_has_control_characters"),
        order(&with_description(r#""a\u0085b""#), 422, "description_has_control_characters"),
        order(&with_description(r#""\ud800""#), 422, "text_malformed"),
        order(&with_description(&format!("\"{}\"", "x".repeat(501))), 422, "description_too_long"),
        order(r#"{"amount":1,"if_unpaid":"maybe"}"#, 422, "if_unpaid_unknown"),
        order(r#"{"amount":1,"currency":"USD"}"#, 422, "currency_not_of_this_stack"),
        order(r#"{"amount":1,"currency":"eur"}"#, 422, "currency_unknown"),
        case("GET /orders?limit=0", "", 400, "limit_malformed"),
        case("GET /orders?limit=101", "", 400, "limit_malformed"),
        case("GET /orders?limit=-1", "", 400, "limit_malformed"),
        case("GET /orders?limit=1&limit=2", "", 400, "limit_malformed"),
        case("GET /orders?page=2", "", 400, "parameter_unknown"),
        case("GET /account", "", 404, "account_not_found"),
        case("GET /orders/none", "", 404, "order_not_found"),
        case("POST /accounts", r#"{"owner":"x"}"#, 422, "field_unknown"),
        case("POST /accounts", "x", 400, "json_malformed"),
        case("GET /webhook", "", 404, "webhook_not_found"),
        case("PUT /webhook", "{}", 422, "field_missing"),
        case("POST /webhook/secret", r#"{"replaces":"whsec_mine"}"#, 422, "webhook_secret_malformed"),
        case("PUT /webhook", r#"{"url":null}"#, 422, "field_wrong_type"),
        case("PUT /webhook", r#"{"url":"https://shop.example/","secret":"mine"}"#, 422, "field_unknown"),
    ];
    for (url, code) in [
        ("", "webhook_url_malformed"),
        ("shop.example/hooks", "webhook_url_malformed"),
        ("https://", "webhook_url_malformed"),
        ("http://shop.example/", "webhook_url_not_https"),
        ("ftp://shop.example/", "webhook_url_not_https"),
        ("https://alice:secret@shop.example/", "webhook_url_has_credentials"),
        ("https://shop.example/#orders", "webhook_url_has_fragment"),
        ("https://shop.example:22/", "webhook_url_port"),
        ("https://localhost/", "webhook_url_not_public"),
        ("https://127.1/", "webhook_url_not_public"),
        ("https://[::ffff:169.254.169.254]/", "webhook_url_not_public"),
        ("https://10.0.0.1/", "webhook_url_not_public"),
        (&format!("https://shop.example/{}", "x".repeat(480)), "webhook_url_too_long"),
    ] {
        cases.push(case("PUT /webhook", serde_json::json!({ "url": url }).to_string(), 422, code));
    }
    for list in ["/orders", "/account/entries", "/notifications"] {
        for cursor in ["", "!", "AAAA", "b3JkZXI"] {
            let call = Box::leak(format!("GET {list}?cursor={cursor}").into_boxed_str());
            cases.push(case(call, "", 400, "cursor_malformed"));
        }
    }
    for (amount, code) in [
        ("1e400", "amount_has_exponent"),
        ("1E2", "amount_has_exponent"),
        ("\"1e2\"", "amount_has_exponent"),
        ("-0", "amount_has_sign"),
        ("-5", "amount_has_sign"),
        ("\"+5\"", "amount_has_sign"),
        ("0", "amount_not_positive"),
        ("\"0.00\"", "amount_not_positive"),
        ("0.001", "amount_too_precise"),
        ("1500.990", "amount_too_precise"),
        ("\"1,5\"", "amount_malformed"),
        ("\"\"", "amount_malformed"),
        ("\" 1\"", "amount_malformed"),
        ("\"NaN\"", "amount_malformed"),
        ("\"１２\"", "amount_malformed"),
        ("1000000000000000000000000000000", "amount_too_large"),
        ("92233720368547758.08", "amount_too_large"),
    ] {
        for call in ["POST /orders", "POST /deposits"] {
            cases.push(case(call, format!(r#"{{"amount":{amount}}}"#), 422, code));
        }
    }
    cases
}

#[tokio::test(start_paused = true)]
async fn each_wrong_request_is_refused_by_name_and_changes_nothing() {
    let system = system();
    for case in cases() {
        let (method, path) = case.call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        request = request.header("x-user-id", "alice");
        if let Some(key) = case.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(content_type) = case.content_type {
            request = request.header("content-type", content_type);
        }
        let shown = format!("{} {:?}", case.call, String::from_utf8_lossy(&case.body[..case.body.len().min(80)]));
        let response = system.call(request.body(Bytes::from(case.body)).unwrap()).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{shown}");
        let answer = Answer::from(response);
        assert_eq!((answer.status, answer.code().as_str()), (case.status, case.code), "{shown}: {}", answer.json());
        let fields: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["code", "detail", "status", "title", "type"], "{shown}");
        assert_eq!(answer.json()["status"], Value::from(case.status));
    }
    let report = platform::verify::audit(
        system.app().store.table(),
        platform::verify::Now::Moment(system.app().now()),
        domain::Millis(0),
        |_| {},
    )
    .await
    .unwrap();
    let kept = (report.accounts, report.orders.len(), report.deposits, report.endpoints);
    assert_eq!(kept, (0, 0, 0, 0), "nothing was kept");
    let alice = user(&system, "alice");
    alice.order("k", "1").await.expect(201);
    alice.deposit("k", "1").await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn the_table_of_refusals_is_complete() {
    let tried: BTreeSet<&str> = cases().iter().map(|case| case.code).collect();
    // These depend on what is there, or on the weather, and have tests of their own.
    let elsewhere = [
        "key_used_for_another_request",
        "balance_too_large",
        "unauthorized",
        "try_again",
        "outcome_unknown",
        "internal_error",
        "webhook_secret_not_current",
    ];
    let known: BTreeSet<&str> =
        platform::http::Problem::OF_REQUESTS.iter().map(|(code, _)| *code).chain(support::answered()).collect();
    let covered: BTreeSet<&str> = tried.iter().copied().chain(elsewhere).collect();
    assert_eq!(covered, known);
}

#[tokio::test(start_paused = true)]
async fn a_balance_beyond_counting_is_refused_and_stays() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "92233720368547758.07").await.expect(201);
    assert_eq!(alice.deposit("d2", "0.01").await.expect(422).code(), "balance_too_large");
    assert_eq!(alice.balance().await, "92233720368547758.07");
    let order = alice.order("o1", "92233720368547758.07").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    alice.deposit("d2", "0.01").await.expect(201);
    system.settled().await;
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_not_signed_in_is_told_so() {
    let system = system();
    for call in ["GET /account", "POST /orders", "GET /orders/x", "GET /notifications"] {
        let (method, path) = call.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let answer = Answer::from(system.call(request.body(Bytes::new()).unwrap()).await);
        assert_eq!(answer.status, 401, "{call}");
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("authorization", "Bearer not.a.token").header("x-user-id", "alice");
        let answer = Answer::from(system.call(request.body(Bytes::new()).unwrap()).await);
        assert_eq!(answer.status, 403, "{call}: a bearer token wins over the header");
    }
}

#[tokio::test(start_paused = true)]
async fn a_description_comes_back_exactly_as_it_was_sent() {
    let system = system();
    let alice = user(&system, "alice");
    for (n, text) in
        ["", "  two  spaces ", "Grüße 🫖", "e\u{301}", "\u{202e}abc", "<b>&amp;", "\"\\/"].iter().enumerate()
    {
        let body = serde_json::json!({ "amount": 1, "description": text }).to_string();
        let order = alice.post("/orders", &format!("o{n}"), body).await.expect(201);
        assert_eq!(order.get("description"), *text);
        let read = alice.get(&format!("/orders/{}", order.id())).await.expect(200);
        assert_eq!(read.get("description"), *text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_and_a_token_of_the_stack_name_the_same_customer() {
    use platform::tokens::SigningKey;
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let system = support::system_with(|mut options| {
        options.parameters.insert("TokenKeys".to_owned(), key.key_set());
        options
    });
    let opened = user(&system, "alice").post("/accounts", "k", "").await.expect(201);
    let claims = support::claims(&system, system.app().now().as_seconds() + 60, "");
    let token = key.sign(&claims).unwrap();
    let ask = || async {
        let request = Request::get("/account").header("host", "localhost").header("x-user-id", "mallory");
        let request = request.header("authorization", format!("Bearer {token}"));
        Answer::from(system.call(request.body(Bytes::new()).unwrap()).await)
    };
    assert_eq!(ask().await.expect(200).id(), opened.id());
    // The authorizer's answer is cached for five minutes; the token's life is not lengthened by that.
    tokio::time::advance(std::time::Duration::from_secs(60 + 31)).await;
    assert_eq!(ask().await.expect(401).code(), "unauthorized");
}
