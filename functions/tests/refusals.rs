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
    scopes: &'static str,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

fn case(call: &'static str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Case {
    let scopes = "stock slots courier";
    Case { call, key: Some("k"), content_type: Some(JSON), scopes, body: body.into(), status, code }
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
        order("{}", 422, "amount_or_lines"),
        case("POST /deposits", "{}", 422, "field_missing"),
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
    for call in ["POST /profiles", "POST /sessions"] {
        let with = |email: &str, password: &str| format!(r#"{{"email":"{email}","password":"{password}"}}"#);
        for (email, password, code) in [
            ("", "12345678", "email_malformed"),
            ("alice", "12345678", "email_malformed"),
            (" alice@example.com", "12345678", "email_malformed"),
            ("alice@example.com\\n", "12345678", "email_malformed"),
            ("a@b@c", "12345678", "email_malformed"),
            ("\\u0430lice@example.com", "12345678", "email_malformed"),
            (&format!("{}@b", "a.".repeat(130)), "12345678", "email_too_long"),
            ("alice@example.com", "", "password_too_short"),
            ("alice@example.com", "1234567", "password_too_short"),
            ("alice@example.com", &"🫖".repeat(129), "password_too_long"),
            ("alice@example.com", "\\ud800 lonely", "text_malformed"),
        ] {
            cases.push(case(call, with(email, password), 422, code));
        }
        cases.push(case(call, r#"{"email":"alice@example.com"}"#, 422, "field_missing"));
        cases.push(case(call, r#"{"email":"alice@example.com","password":12345678}"#, 422, "field_wrong_type"));
        cases.push(case(call, r#"{"email":"a@b","password":"12345678","scope":"stock"}"#, 422, "field_unknown"));
    }
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
    // Of orders, entries and notifications a name alone is no place.
    for (list, other) in [
        ("/orders", "b3JkZXI"),
        ("/account/entries", "b3JkZXI"),
        ("/notifications", "b3JkZXI"),
        ("/stock", "YSBi"),
        ("/slots", "YSBi"),
    ] {
        for cursor in ["", "!", "AAAA", other] {
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
    cases.extend(cases_of_goods());
    cases
}

fn cases_of_goods() -> Vec<Case> {
    let order = |body: &str, status, code| case("POST /orders", body, status, code);
    let lines = |lines: &str, code| case("POST /orders", format!(r#"{{"lines":{lines}}}"#), 422, code);
    let of_line = |fields: &str, code| lines(&format!(r#"[{{"sku":"cup","quantity":1}},{{{fields}}}]"#), code);
    let how = |field: &str, code| {
        case("POST /orders", format!(r#"{{"lines":[{{"sku":"tea","quantity":1}}],{field}}}"#), 422, code)
    };
    let product = |body: &str, code| case("PUT /stock/tea", body, 422, code);
    let receipt = |body: &str, code| case("POST /stock/tea/receipts", body, 422, code);
    let slot = |body: &str, code| case("PUT /slots/noon", body, 422, code);
    let many: Vec<String> = (0..51).map(|n| format!(r#"{{"sku":"s{n}","quantity":1}}"#)).collect();
    let without_key = Case { key: None, ..case("POST /stock/tea/receipts", r#"{"quantity":1}"#, 400, "") };
    let mut cases = vec![
        lines("{}", "field_wrong_type"),
        lines("null", "field_wrong_type"),
        lines("[5]", "field_wrong_type"),
        lines("[]", "lines_empty"),
        lines(&format!("[{}]", many.join(",")), "too_many_lines"),
        of_line("", "field_missing"),
        of_line(r#""sku":"tea""#, "field_missing"),
        of_line(r#""quantity":1"#, "field_missing"),
        of_line(r#""sku":"tea","quantity":1,"price":1"#, "field_unknown"),
        of_line(r#""sku":"tea","sku":"tea","quantity":1"#, "field_duplicate"),
        of_line(r#""sku":5,"quantity":1"#, "field_wrong_type"),
        of_line(r#""sku":"\ud800","quantity":1"#, "text_malformed"),
        of_line(r#""sku":"a b","quantity":1"#, "sku_malformed"),
        of_line(r#""sku":"","quantity":1"#, "sku_malformed"),
        of_line(r#""sku":"tea","quantity":"1""#, "field_wrong_type"),
        of_line(r#""sku":"tea","quantity":null"#, "field_wrong_type"),
        of_line(r#""sku":"tea","quantity":1.0"#, "quantity_malformed"),
        of_line(r#""sku":"tea","quantity":1e3"#, "quantity_malformed"),
        of_line(r#""sku":"tea","quantity":-1"#, "quantity_malformed"),
        of_line(r#""sku":"tea","quantity":0"#, "quantity_not_positive"),
        of_line(r#""sku":"tea","quantity":4294967296"#, "quantity_too_large"),
        of_line(r#""sku":"cup","quantity":1"#, "sku_twice"),
        of_line(r#""sku":"tea","quantity":1"#, "sku_unknown"),
        order(r#"{"amount":1,"lines":[{"sku":"tea","quantity":1}]}"#, 422, "amount_or_lines"),
        order(r#"{"amount":1,"slot":"standard"}"#, 422, "only_with_lines"),
        order(r#"{"amount":1,"reserve_first":false}"#, 422, "only_with_lines"),
        order(r#"{"amount":1,"if_unavailable":"wait"}"#, 422, "only_with_lines"),
        order(r#"{"amount":1,"if_undeliverable":"wait"}"#, 422, "only_with_lines"),
        how(r#""reserve_first":"true""#, "field_wrong_type"),
        how(r#""reserve_first":1"#, "field_wrong_type"),
        how(r#""slot":5"#, "field_wrong_type"),
        how(r#""slot":"at noon""#, "slot_id_malformed"),
        how(r#""if_unavailable":"maybe""#, "if_unavailable_unknown"),
        how(r#""if_undeliverable":"""#, "if_undeliverable_unknown"),
        how(r#""amuont":1"#, "field_unknown"),
        case("POST /orders/none/cancel", "", 404, "order_not_found"),
        product(r#"{"price":1}"#, "field_missing"),
        product(r#"{"name":"Tea"}"#, "field_missing"),
        product(r#"{"name":5,"price":1}"#, "field_wrong_type"),
        product(r#"{"name":"","price":1}"#, "name_length"),
        product(&format!(r#"{{"name":"{}","price":1}}"#, "é".repeat(101)), "name_length"),
        product(r#"{"name":"a\nb","price":1}"#, "name_has_control_characters"),
        product(r#"{"name":"Tea","price":0}"#, "amount_not_positive"),
        product(r#"{"name":"Tea","price":1,"on_hand":5}"#, "field_unknown"),
        case("PUT /stock/te%20a", r#"{"name":"Tea","price":1}"#, 422, "sku_malformed"),
        case("GET /stock/tea", "", 404, "sku_not_found"),
        case("GET /stock/te%20a", "", 404, "sku_not_found"),
        receipt("{}", "field_missing"),
        receipt(r#"{"quantity":"1"}"#, "field_wrong_type"),
        receipt(r#"{"quantity":1.5}"#, "quantity_malformed"),
        receipt(r#"{"quantity":0}"#, "quantity_not_positive"),
        receipt(r#"{"quantity":99999999999}"#, "quantity_too_large"),
        case("POST /stock/tea/receipts", r#"{"quantity":1}"#, 404, "sku_not_found"),
        case("POST /stock/te%20a/receipts", r#"{"quantity":1}"#, 404, "sku_not_found"),
        Case { code: "idempotency_key_missing", ..without_key },
        slot("{}", "field_missing"),
        slot(r#"{"capacity":"5"}"#, "field_wrong_type"),
        slot(r#"{"capacity":-1}"#, "capacity_malformed"),
        slot(r#"{"capacity":4294967296}"#, "capacity_malformed"),
        slot(r#"{"capacity":5,"from":null}"#, "field_wrong_type"),
        slot(r#"{"capacity":5,"from":"tomorrow"}"#, "time_malformed"),
        slot(r#"{"capacity":5,"from":"2026-11-24T13:00:00"}"#, "time_malformed"),
        slot(r#"{"capacity":5,"to":"2026-11-24T13:00:00.0001Z"}"#, "time_malformed"),
        slot(r#"{"capacity":5,"from":"2026-11-24T13:00:00Z","to":"2026-11-24T14:00:00+01:00"}"#, "slot_times_reversed"),
        case("PUT /slots/at%20noon", r#"{"capacity":5}"#, 422, "slot_id_malformed"),
        case("POST /deliveries/none/accept", "", 404, "order_not_found"),
        case("GET /stock?page=2", "", 400, "parameter_unknown"),
        case("GET /slots?limit=0", "", 400, "limit_malformed"),
    ];
    let payment = |body: &str, code| case("POST /payments", body, 422, code);
    let by_card = |reference: &str| format!(r#"{{"amount":1,"currency":"EUR","reference":{reference}}}"#);
    let id = "a".repeat(32);
    cases.extend([
        order(r#"{"amount":1,"pay_with":"cash"}"#, 422, "pay_with_unknown"),
        order(r#"{"amount":1,"pay_with":true}"#, 422, "field_wrong_type"),
        payment(r#"{"amount":1,"reference":"7"}"#, "field_missing"),
        payment(r#"{"amount":1,"currency":"EUR"}"#, "field_missing"),
        payment(&by_card("7"), "field_wrong_type"),
        payment(&by_card(r#""""#), "reference_length"),
        payment(&by_card(&format!("{:?}", "ü".repeat(101))), "reference_length"),
        payment(&by_card(r#""a\u0000""#), "reference_has_control_characters"),
        payment(&by_card(&format!("{id:?}")), "reference_names_order"),
        payment(r#"{"amount":1,"currency":"eur","reference":"7"}"#, "currency_unknown"),
        Case { key: None, ..case("POST /payments", "{}", 400, "idempotency_key_missing") },
        case("GET /payments/none", "", 404, "payment_not_found"),
        case("GET /payments?page=2", "", 400, "parameter_unknown"),
        case("GET /payments?cursor=YSBi", "", 400, "cursor_malformed"),
        Case { scopes: "operator", ..case("GET /reviews?cursor=YSBi", "", 400, "cursor_malformed") },
        case("GET /reviews", "", 403, "scope_missing"),
        case("GET /payments/none/refunds/none", "", 404, "payment_not_found"),
        case("POST /payments/callback", "{}", 401, "callback_not_verified"),
    ]);
    for (call, code) in [
        ("POST /payments/none/refunds", "payment_not_found"),
        ("POST /payments/none/complete", "payment_not_found"),
        ("POST /payments/none/fail", "payment_not_found"),
        ("POST /payments/none/refunds/none/complete", "payment_not_found"),
        ("POST /payments/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/refunds/none/fail", "refund_not_found"),
        ("POST /reports/none/dismiss", "payment_not_found"),
        ("POST /reports/refund-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/dismiss", "refund_not_found"),
    ] {
        cases.push(Case { scopes: "operator refunds", ..case(call, "{}", 404, code) });
        cases.push(case(call, "{}", 403, "scope_missing"));
    }
    for call in ["PUT /stock/tea", "POST /stock/tea/receipts", "PUT /slots/noon", "POST /deliveries/none/accept"] {
        cases.push(Case { scopes: "operator refunds", ..case(call, "{}", 403, "scope_missing") });
    }
    cases
}

#[tokio::test(start_paused = true)]
async fn each_wrong_request_is_refused_by_name_and_changes_nothing() {
    let system = system();
    for case in cases() {
        let (method, path) = case.call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        request = request.header("x-user-id", "alice").header("x-user-scopes", case.scopes);
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
        "slot_unknown",
        "slot_has_begun",
        "stock_too_large",
        "capacity_below_booked",
        "too_late_to_cancel",
        "not_awaiting_delivery",
        "slot_has_room",
        "unauthorized",
        "email_taken",
        "wrong_email_or_password",
        "too_many_attempts",
        "sign_in_not_set_up",
        "try_again",
        "outcome_unknown",
        "internal_error",
        "webhook_secret_not_current",
        "cards_not_offered",
        "payment_not_captured",
        "payment_in_review",
        "payment_not_by_card",
        "order_not_completed",
        "refund_too_large",
        "too_many_refunds",
        "not_for_an_operator",
        "captured_already",
        "refund_is_owed",
        "callback_malformed",
        "callback_changed",
    ];
    let known: BTreeSet<&str> = platform::http::Problem::OF_REQUESTS
        .iter()
        .map(|(code, _)| *code)
        .chain(domain::Refusal::CODES.iter().copied())
        .collect();
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
    for call in [
        "GET /account",
        "POST /orders",
        "GET /orders/x",
        "GET /notifications",
        "GET /stock",
        "PUT /slots/x",
        "GET /slots",
    ] {
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
