//! Every operation is taken through all that it is said to answer; each answer is held against the description, and in
//! the end nothing is described that was never answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::{Amount, Currency};
use http::Response;
use local_cloud::edge::{Edge, Invoke};
use local_cloud::{Fate, FaultyConnector, FunctionError};
use local_system::System;
use platform::tokens::SigningKey;
use serde_json::{Map, Value, json};

use super::busy::{self, Busy};
use super::description::{Ask, Description, Operation, Told};
use super::examples::STORY;
use super::{CURRENCIES, goods, payments, support, system_in};

/// What cannot be had in one process: it knows no throttling.
const NEVER_HERE: [&str; 1] = ["Too Many Requests"];

/// Nobody's.
const OTHER_SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

pub(crate) struct Tour {
    pub(crate) currency: &'static str,
    pub(crate) description: Description,
    seen: BTreeSet<Told>,
}

impl Tour {
    pub(crate) async fn call(&mut self, system: &System, operation: &Operation, ask: Ask) -> Told {
        self.judge(operation, &system.call(ask.http()).await)
    }

    fn judge(&mut self, operation: &Operation, answer: &Response<Bytes>) -> Told {
        let told = self.description.judge(operation, answer);
        self.seen.insert(told.clone());
        told
    }

    /// A request that has nothing wrong with it, under a key of its own.
    pub(crate) fn right(&self, operation: &Operation, key: &str) -> Ask {
        let (_, example, _) = STORY.iter().find(|(id, ..)| *id == operation.id).unwrap_or(&("", "", 200));
        let ask = self.description.request(operation, example);
        if ask.headers.contains_key("idempotency-key") { ask.header("idempotency-key", key) } else { ask }
    }

    /// Whether an operation is said to answer this.
    fn says(&self, operation: &Operation, what: &str) -> bool {
        self.description.told(operation).iter().any(|(_, _, told)| told == what)
    }
}

/// What makes a right request wrong in the way that a code, or a message of the gateway, names.
fn wrong(ask: Ask, what: &str) -> Option<Ask> {
    let with = |fields: &str| ask.clone().body(body_with(&ask, fields));
    let query = |query: &str| Ask { query: vec![query.to_owned()], ..ask.clone() };
    let is_of_product = ask.path.starts_with("/stock");
    let amount = |amount: &str| {
        let amount = if is_of_product {
            format!(r#"{{"name":"Tea","price":{amount}}}"#)
        } else {
            format!(r#"{{"amount":{amount}}}"#)
        };
        ask.clone().body(amount)
    };
    if let Some(wrong) = payments::wrong(&ask, what).or_else(|| goods::wrong(&ask, what)) {
        return Some(wrong);
    }
    let url = |url: &str| ask.clone().body(json!({ "url": url }).to_string());
    Some(match what {
        "field_wrong_type" if ask.path == "/webhook" => ask.body(r#"{"url":5}"#),
        "text_malformed" if ask.path == "/webhook" => ask.body(r#"{"url":"\ud800"}"#),
        "webhook_url_too_long" => url(&format!("https://shop.example/{}", "x".repeat(500))),
        "webhook_url_malformed" => url("shop.example"),
        "webhook_url_not_https" => url("http://shop.example/"),
        "webhook_url_has_credentials" => url("https://a:b@shop.example/"),
        "webhook_url_has_fragment" => url("https://shop.example/#a"),
        "webhook_url_port" => url("https://shop.example:25/"),
        "webhook_url_not_public" => url("https://10.0.0.1/"),
        "webhook_not_found" => ask.by("nobody"),
        "field_wrong_type" if ask.path == "/webhook/secret" => ask.body(r#"{"replaces":5}"#),
        "text_malformed" if ask.path == "/webhook/secret" => ask.body(r#"{"replaces":"\ud800"}"#),
        "webhook_secret_malformed" => ask.body(r#"{"replaces":"mine"}"#),
        "webhook_secret_not_current" => ask.body(format!(r#"{{"replaces":"{OTHER_SECRET}"}}"#)),
        "idempotency_key_missing" => ask.without("idempotency-key"),
        "idempotency_key_malformed" => ask.header("idempotency-key", "two, keys"),
        "body_too_large" => ask.body(" ".repeat(65_537)),
        "content_type_unsupported" => ask.header("content-type", "text/plain").body("{}"),
        "body_not_utf8" => ask.body(b"{\"currency\":\"\xff\"}".as_slice()),
        "json_malformed" => ask.body(r#"{"currency":"#),
        "body_not_an_object" => ask.body("[]"),
        "field_duplicate" => ask.body(r#"{"currency":"EUR","currency":"EUR"}"#),
        "field_unknown" => with(r#""colour":"red""#),
        "field_missing" => ask.body("{}"),
        "field_wrong_type" if is_of_people(&ask) => ask.body(r#"{"email":5}"#),
        "text_malformed" if is_of_people(&ask) => ask.body(r#"{"email":"\ud800"}"#),
        "email_malformed" => ask.body(r#"{"email":"alice at example.com"}"#),
        "email_too_long" => ask.body(format!(r#"{{"email":"{}@example.com"}}"#, "x".repeat(243))),
        "password_too_short" => ask.body(r#"{"email":"a@b","password":"1234567"}"#),
        "password_too_long" => ask.body(format!(r#"{{"email":"a@b","password":"{}"}}"#, "x".repeat(129))),
        // It is right, and so it was taken in the story.
        "email_taken" => ask,
        "wrong_email_or_password" => ask.body(r#"{"email":"alice@example.com","password":"correct horse"}"#),
        "field_wrong_type" => with(r#""currency":5"#),
        "text_malformed" => with(r#""currency":"\ud800""#),
        "currency_unknown" => with(r#""currency":"eur""#),
        "currency_not_of_this_stack" => with(r#""currency":"USD""#),
        "amount_malformed" => amount(r#""1,5""#),
        "amount_has_sign" => amount("-5"),
        "amount_has_exponent" => amount("1e3"),
        "amount_too_precise" => amount("1.0000"),
        "amount_too_large" => amount("1000000000000000000000000000000"),
        "amount_not_positive" => amount("0"),
        "description_too_long" => with(&format!(r#""description":"{}""#, "é".repeat(251))),
        "description_has_control_characters" => with(r#""description":"a\nb""#),
        "if_unpaid_unknown" => with(r#""if_unpaid":"maybe""#),
        "parameter_unknown" => query("page=2"),
        "limit_malformed" => query("limit=0"),
        "cursor_malformed" => query("cursor=YSBi"),
        "account_not_found" => ask.by("nobody"),
        "order_not_found" => ask.by("nobody"),
        "Bad Request" => ask.header("host", "no host"),
        "Unauthorized" => ask.without("x-user-id"),
        "Forbidden" => ask.header("authorization", "Bearer not.a.token"),
        "Not Found" => {
            let order = ask.path.split('/').nth(2).unwrap_or_default();
            Ask { path: ask.path.replacen(order, "", 1), ..ask.clone() }
        }
        "Request Entity Too Large" => ask.body(" ".repeat(10 * 1024 * 1024 + 1)),
        "Request Header Fields Too Large" => ask.header("x-long", &"x".repeat(10_240)),
        _ => return None,
    })
}

fn is_of_people(ask: &Ask) -> bool {
    matches!(ask.path.as_str(), "/profiles" | "/sessions")
}

/// The body of a request with only what it must have, and these fields.
fn body_with(ask: &Ask, fields: &str) -> String {
    match ask.path.as_str() {
        "/accounts" => format!("{{{fields}}}"),
        path if path.ends_with("/receipts") => format!(r#"{{"quantity":5,{fields}}}"#),
        path if path.starts_with("/stock") => format!(r#"{{"name":"Tea","price":5,{fields}}}"#),
        path if path.starts_with("/slots") => format!(r#"{{"capacity":5,{fields}}}"#),
        "/profiles" | "/sessions" => format!(r#"{{"email":"a@b","password":"correct horse",{fields}}}"#),
        "/webhook/secret" => format!(r#"{{"replaces":"{OTHER_SECRET}",{fields}}}"#),
        "/webhook" => format!(r#"{{"url":"https://shop.example/",{fields}}}"#),
        _ => format!(r#"{{"amount":5,{fields}}}"#),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_is_described_and_what_is_described_is_answered() {
    for currency in CURRENCIES {
        let system = system_in(currency);
        let description = Description::of(&system).await;
        let operations = description.operations();
        let mut tour = Tour { currency, description, seen: BTreeSet::new() };
        the_story(&mut tour, &system).await;
        for operation in &operations {
            for (_, status, what) in tour.description.told(operation) {
                let Some(ask) = wrong(tour.right(operation, "wrong").by("alice"), &what) else { continue };
                assert_eq!(tour.call(&system, operation, ask).await, (operation.id.clone(), status, what));
            }
        }
        what_depends_on_what_is_there(&mut tour, &system).await;
        goods::what_depends_on_what_is_there(&mut tour, &system).await;
        goods::a_courier_who_is_faster(&mut tour).await;
        payments::what_depends_on_what_is_there(&mut tour, &system).await;
        payments::a_stack_without_cards(&mut tour).await;
        a_table_that_is_busy(&mut tour, &operations).await;
        an_expired_token(&mut tour, &operations).await;
        a_table_that_does_not_answer(&mut tour, &operations).await;
        a_stack_without_a_key(&mut tour, &operations).await;
        functions_that_fail(&mut tour, &system, &operations).await;
        items_that_cannot_be_read(&mut tour, &system, &operations).await;

        let described = operations.iter().flat_map(|operation| tour.description.told(operation));
        let described: BTreeSet<Told> = described.filter(|(_, _, what)| !NEVER_HERE.contains(&what.as_str())).collect();
        assert_eq!(tour.seen, described, "{currency}; left: answered; right: described");
    }
}

async fn the_story(tour: &mut Tour, system: &System) {
    for (id, name, _) in STORY {
        let operation = tour.description.operation(id);
        let ask = tour.description.request(&operation, name).by("alice");
        let first = tour.call(system, &operation, ask.clone()).await;
        system.settled().await;
        if ask.headers.contains_key("idempotency-key") {
            let again = system.call(ask.http()).await;
            assert_eq!(again.headers()["idempotent-replayed"], "true");
            assert_eq!(tour.judge(&operation, &again), first);
        }
    }
    for id in ["getDescription", "getKeys"] {
        let operation = tour.description.operation(id);
        tour.call(system, &operation, tour.right(&operation, "")).await;
        let known = tour.right(&operation, "").header("if-none-match", "*");
        tour.call(system, &operation, known).await;
    }
}

async fn what_depends_on_what_is_there(tour: &mut Tour, system: &System) {
    for id in ["makeDeposit", "placeOrder"] {
        let operation = tour.description.operation(id);
        let used = tour.right(&operation, "used").by("alice");
        tour.call(system, &operation, used.clone().body(r#"{"amount":1}"#)).await;
        let told = tour.call(system, &operation, used.body(r#"{"amount":2}"#)).await;
        assert_eq!(told.2, "key_used_for_another_request");
    }
    for id in ["signUp", "signIn"] {
        let operation = tour.description.operation(id);
        let wrong = wrong(tour.right(&operation, ""), "wrong_email_or_password").unwrap();
        let mut tries = 0;
        while tour.call(system, &operation, wrong.clone()).await.2 != "too_many_attempts" {
            tries += 1;
            assert!(tries <= 20, "{id} is not limited");
        }
    }
    let operation = tour.description.operation("deleteWebhook");
    let removed = tour.call(system, &operation, tour.right(&operation, "").by("nobody")).await;
    assert_eq!(removed.1, 204);
    let operation = tour.description.operation("makeDeposit");
    let most = Amount::from_minor(i64::MAX).unwrap().to_decimal(Currency::from_code(tour.currency).unwrap());
    let rich = |key| tour.right(&operation, key).by("rich");
    let (first, second) = (rich("first").body(format!(r#"{{"amount":{most}}}"#)), rich("second"));
    tour.call(system, &operation, first).await;
    assert_eq!(tour.call(system, &operation, second).await.2, "balance_too_large");
}

/// A table that turns every write away. Whoever writes says so within the time limit, and not the gateway after it.
async fn a_table_that_is_busy(tour: &mut Tour, operations: &[Operation]) {
    for why in busy::WHY {
        let is_busy = Arc::new(AtomicBool::new(false));
        let system = support::system_with(|mut options| {
            options.parameters.insert("Currency".to_owned(), tour.currency.to_owned());
            let is_busy = Arc::clone(&is_busy);
            options.network = Arc::new(move |connector| {
                platform::aws::shared(Busy { connector, why, is_busy: Arc::clone(&is_busy) })
            });
            options
        });
        // What they write about is there: orders that can still be moved, a secret that can be replaced, and what is for an
        // operator to end.
        const LEFT: [&str; 8] = [
            "acceptDelivery",
            "cancelOrder",
            "rotateWebhookSecret",
            "completePayment",
            "failPayment",
            "completeRefund",
            "failRefund",
            "dismissReport",
        ];
        for (id, name, _) in STORY.iter().filter(|(id, ..)| !LEFT.contains(id)) {
            let ask = tour.description.request(&tour.description.operation(id), name).by("alice");
            assert!(system.call(ask.http()).await.status().is_success());
            system.settled().await;
        }
        is_busy.store(true, Ordering::SeqCst);
        for operation in operations.iter().filter(|operation| tour.says(operation, "try_again")).collect::<Vec<_>>() {
            let ask = tour.right(operation, "late").by(if operation.id == "openAccount" { "bob" } else { "alice" });
            let ask = payments::changed(goods::changed(ask), tour);
            assert_eq!(tour.call(&system, operation, ask).await.2, "try_again", "{why}");
        }
    }
}

/// The authorizer's answer is cached for longer than the token is good; the function looks at the token's end itself.
async fn an_expired_token(tour: &mut Tour, operations: &[Operation]) {
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let system = support::system_with(|mut options| {
        options.parameters.insert("Currency".to_owned(), tour.currency.to_owned());
        options.parameters.insert("TokenKeys".to_owned(), key.key_set());
        options
    });
    let claims = support::claims(&system, system.app().now().as_seconds() + 60, "");
    let token = format!("Bearer {}", key.sign(&claims).unwrap());
    let open = tour.description.operation("openAccount");
    let told = tour.call(&system, &open, tour.right(&open, "").header("authorization", &token)).await;
    assert_eq!(told.1, 201);
    tokio::time::advance(Duration::from_secs(60 + 31)).await;
    for operation in operations.iter().filter(|operation| tour.says(operation, "unauthorized")).collect::<Vec<_>>() {
        let ask = tour.right(operation, "expired").header("authorization", &token);
        assert_eq!(tour.call(&system, operation, ask).await.2, "unauthorized");
    }
}

async fn a_table_that_does_not_answer(tour: &mut Tour, operations: &[Operation]) {
    let system = support::system_with(|mut options| {
        options.parameters.insert("Currency".to_owned(), tour.currency.to_owned());
        options.network = Arc::new(|connector| {
            platform::aws::shared(FaultyConnector::new(connector, Arc::new(|_, _| Fate::LostBefore)))
        });
        options
    });
    for operation in operations.iter().filter(|operation| tour.says(operation, "outcome_unknown")).collect::<Vec<_>>() {
        let ask = tour.right(operation, "lost").by("alice");
        assert_eq!(tour.call(&system, operation, ask).await.2, "outcome_unknown");
    }
}

async fn a_stack_without_a_key(tour: &mut Tour, operations: &[Operation]) {
    let system = support::system_with(|mut options| {
        options.parameters.insert("TokenKeys".to_owned(), r#"{"keys":[]}"#.to_owned());
        options
    });
    for operation in
        operations.iter().filter(|operation| tour.says(operation, "sign_in_not_set_up")).collect::<Vec<_>>()
    {
        assert_eq!(tour.call(&system, operation, tour.right(operation, "")).await.2, "sign_in_not_set_up");
    }
}

/// The same API over functions that fail as a whole, and over such as never end.
async fn functions_that_fail(tour: &mut Tour, system: &System, operations: &[Operation]) {
    let fails: Invoke = Arc::new(|_, _| {
        let error = FunctionError { kind: "Failed".to_owned(), message: "it failed".to_owned() };
        Box::pin(std::future::ready(Err(error)))
    });
    let never_ends: Invoke = Arc::new(|_, _| Box::pin(std::future::pending()));
    for (invoke, message) in [(fails, "Internal Server Error"), (never_ends, "Service Unavailable")] {
        let everyone = Arc::new(|_: &http::HeaderMap| Some(Map::new()));
        let stack = system.cloud.stack();
        let edge = Edge::new(stack, system.cloud.clock().clone(), 1, invoke, Some(everyone)).unwrap();
        for operation in operations {
            let ask = tour.right(operation, "failing");
            let answer = edge.answer(ask.http(), std::net::Ipv4Addr::LOCALHOST.into()).await;
            assert_eq!(tour.judge(operation, &answer).2, message);
        }
    }
}

/// Everything that is kept is put back as a newer release would write it, which this one does not read.
async fn items_that_cannot_be_read(tour: &mut Tour, system: &System, operations: &[Operation]) {
    let table = system.cloud.stack().tables[0].name.clone();
    let call = async |operation: &str, body: Value| -> Value {
        let request = http::Request::post("/")
            .header("host", "dynamodb.us-east-1.amazonaws.com")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        let answer = system.cloud.connector().answer(request.body(body.to_string().into()).unwrap()).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        serde_json::from_slice(answer.body()).unwrap()
    };
    for item in call("Scan", json!({ "TableName": table })).await["Items"].as_array().unwrap() {
        let mut newer = item.clone();
        newer["format"] = json!({ "N": "999" });
        call("PutItem", json!({ "TableName": table, "Item": newer })).await;
    }
    for operation in operations.iter().filter(|operation| tour.says(operation, "internal_error")).collect::<Vec<_>>() {
        let key = tour
            .description
            .request(operation, STORY.iter().find(|(id, ..)| *id == operation.id).map_or("", |(_, name, _)| name));
        let ask = payments::of_now(key.by("alice"), system);
        assert_eq!(tour.call(system, operation, ask).await.2, "internal_error");
    }
}
