//! Orders of goods as their customers, the keeper of the stock and the couriers see them: what they wait for, what ends
//! that, what they are told at every stop; cancelling at each of them; and who may do what.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::Request;
use local_system::System;
use serde_json::{Value, json};
use support::{Answer, User, promises_hold, system, system_with, user, user_with};

const TEA: &str = r#"{"lines":[{"sku":"tea","quantity":1}]}"#;

/// Whoever keeps the shop.
fn keeper(system: &System) -> User<'_> {
    user_with(system, "keeper", "stock slots")
}

fn courier(system: &System) -> User<'_> {
    user_with(system, "courier", "courier")
}

/// A shop that has tea at this price, and none of it.
async fn shop_of_tea(system: &System, price: &str) {
    let product = json!({ "name": "Earl Grey, 100 g", "price": price }).to_string();
    let put = keeper(system).put("/stock/tea", product).await.expect(200).json();
    assert_eq!(
        put,
        json!({ "sku": "tea", "name": "Earl Grey, 100 g", "price": format!("{price}.00"), "currency": "EUR", "on_hand": 0 })
    );
}

async fn receive(system: &System, key: &str, quantity: u32) -> Answer {
    let body = json!({ "quantity": quantity }).to_string();
    keeper(system).post("/stock/tea/receipts", key, body).await.expect(201)
}

async fn on_hand(system: &System) -> Value {
    user(system, "anyone").get("/stock/tea").await.expect(200).json()["on_hand"].clone()
}

/// Where an order stands, what it says it waits for, and the last that its customer was told of it.
async fn stop(alice: &User<'_>, order: &str) -> (String, String, String) {
    alice.system.settled().await;
    promises_hold(alice.system).await;
    let shown = alice.get(&format!("/orders/{order}")).await.expect(200).json();
    let waits = shown["waiting_for"]["what"].as_str().unwrap_or("nothing");
    (shown["state"].as_str().unwrap().to_owned(), waits.to_owned(), alice.last_notification_of(order).await)
}

#[track_caller]
fn is_at(stop: (String, String, String), state: &str, waits: &str, told: &str) {
    assert_eq!((stop.0.as_str(), stop.1.as_str(), stop.2.as_str()), (state, waits, told));
}

/// What would end the waiting, as the timeline says.
async fn ends_with(alice: &User<'_>, order: &str) -> Vec<String> {
    let timeline = alice.get(&format!("/orders/{order}/timeline")).await.expect(200).json();
    let ends = timeline["waiting_for"]["ends_with"].as_array().cloned().unwrap_or_default();
    ends.iter().map(|end| end.as_str().unwrap().to_owned()).collect()
}

async fn transitions(alice: &User<'_>, order: &str) -> Vec<String> {
    let timeline = alice.get(&format!("/orders/{order}/timeline")).await.expect(200).json();
    let items = timeline["items"].as_array().unwrap().clone();
    for item in &items {
        assert!(item["event"].as_str().unwrap().starts_with(&format!("order.{order}.")), "{item}");
        assert!(item["at"].is_string() && item["cause"].is_string(), "{item}");
    }
    items.iter().map(|item| item["transition"].as_str().unwrap().to_owned()).collect()
}

const DEADLINE: &str = "the deadline, which cancels it";
const COURIER: &str = "a courier who takes it";

/// The whole of it with nothing but what a customer has: an e-mail address and a password.
#[tokio::test(start_paused = true)]
async fn whoever_signs_up_and_in_and_deposits_1000_has_their_order_handed_to_delivery() {
    let system = system();
    shop_of_tea(&system, "25").await;
    receive(&system, "r1", 1).await;
    keeper(&system).put("/slots/standard", r#"{"capacity":1}"#).await.expect(200);
    let call = async |method: &str, path: &str, token: &str, body: &str| -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}")).header("idempotency-key", "k");
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        system.call(request.body(bytes::Bytes::copy_from_slice(body.as_bytes())).unwrap()).await.into()
    };
    let who = r#"{"email":"alice@example.com","password":"correct horse battery staple"}"#;
    let customer = call("POST", "/profiles", "", who).await.expect(201).get("customer");
    let token = call("POST", "/sessions", "", who).await.expect(200).get("token");
    let deposit = call("POST", "/deposits", &token, r#"{"amount":1000}"#).await.expect(201);
    assert_eq!(deposit.get("balance"), "1000.00");
    let order = call("POST", "/orders", &token, TEA).await.expect(201).id();
    system.settled().await;
    let shown = call("GET", &format!("/orders/{order}"), &token, "").await.expect(200);
    assert_eq!(shown.get("state"), "completed");
    let told = call("GET", "/notifications", &token, "").await.expect(200).json();
    assert_eq!(told["items"][0]["text"], "Your order was handed to delivery");
    let account = call("GET", "/account", &token, "").await.expect(200);
    assert_eq!((account.id(), account.get("balance")), (customer, "975.00".to_owned()));
    // What is signed for a profile has no scopes: the shop is not theirs to keep.
    let refused = call("PUT", "/stock/tea", &token, r#"{"name":"Tea","price":1}"#).await.expect(403);
    assert_eq!(refused.code(), "scope_missing");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_of_what_is_there_is_handed_over_at_once() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    assert_eq!(receive(&system, "r1", 5).await.json()["on_hand_after"], 5);
    let opened = keeper(&system).put("/slots/standard", r#"{"capacity":20}"#).await.expect(200).json();
    assert_eq!(opened, json!({ "id": "standard", "capacity": 20, "booked": 0, "has_room": true }));
    alice.deposit("d1", "1000").await.expect(201);

    let placed = alice.post("/orders", "o1", r#"{"lines":[{"sku":"tea","quantity":2}]}"#).await.expect(201).json();
    assert_eq!(placed["lines"], json!([{ "sku": "tea", "quantity": 2, "price": "25.00" }]));
    let said = (&placed["state"], &placed["amount"], &placed["slot"], &placed["reserve_first"]);
    assert_eq!(said, (&json!("awaiting_payment"), &json!("50.00"), &json!("standard"), &json!(false)));
    let order = placed["id"].as_str().unwrap();
    is_at(stop(&alice, order).await, "completed", "nothing", "Your order was handed to delivery");
    assert_eq!(transitions(&alice, order).await, ["placed", "paid", "reserved", "booked", "completed"]);
    assert_eq!((alice.balance().await.as_str(), on_hand(&system).await), ("950.00", json!(3)));
    let slots = alice.get("/slots").await.expect(200).json();
    assert_eq!(slots["items"], json!([{ "id": "standard", "capacity": 20, "booked": 1, "has_room": true }]));
}

#[tokio::test(start_paused = true)]
async fn an_order_out_of_stock_is_paid_and_a_receipt_of_one_completes_it() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    keeper(&system).put("/slots/standard", r#"{"capacity":1}"#).await.expect(200);
    alice.deposit("d1", "25").await.expect(201);
    let order = alice.post("/orders", "o1", TEA).await.expect(201).id();
    let told = "Your order waits for stock: 1 of tea is missing";
    is_at(stop(&alice, &order).await, "awaiting_stock", "stock", told);
    assert_eq!(ends_with(&alice, &order).await, ["a receipt of 1 of tea", DEADLINE]);
    assert_eq!(alice.balance().await, "0.00");

    receive(&system, "r1", 1).await;
    is_at(stop(&alice, &order).await, "completed", "nothing", "Your order was handed to delivery");
    assert_eq!(on_hand(&system).await, 0);
    assert_eq!(transitions(&alice, &order).await, ["placed", "paid", "waiting", "reserved", "booked", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn an_order_waits_for_money_then_for_stock_then_for_a_courier() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "500").await;
    keeper(&system).put("/slots/standard", r#"{"capacity":0}"#).await.expect(200);
    alice.deposit("d1", "200").await.expect(201);
    let order = alice.post("/orders", "o1", TEA).await.expect(201).id();
    let told = "Payment is not possible: 300.00 is missing";
    is_at(stop(&alice, &order).await, "awaiting_payment", "money", told);
    assert_eq!(ends_with(&alice, &order).await, ["a deposit of 300.00 EUR", DEADLINE]);
    // Too little: it is told once, and what would end the waiting is said as it now is.
    alice.deposit("d2", "100").await.expect(201);
    is_at(stop(&alice, &order).await, "awaiting_payment", "money", told);
    assert_eq!(ends_with(&alice, &order).await, ["a deposit of 200.00 EUR", DEADLINE]);

    alice.deposit("d3", "200").await.expect(201);
    let told = "Your order waits for stock: 1 of tea is missing";
    is_at(stop(&alice, &order).await, "awaiting_stock", "stock", told);
    assert_eq!(ends_with(&alice, &order).await, ["a receipt of 1 of tea", DEADLINE]);

    receive(&system, "r1", 1).await;
    let told = "Your order waits for a courier: slot standard has no room";
    is_at(stop(&alice, &order).await, "awaiting_delivery", "delivery", told);
    assert_eq!(ends_with(&alice, &order).await, ["a capacity of slot standard above 0", COURIER, DEADLINE]);

    let accepted = courier(&system).ask(&format!("/deliveries/{order}/accept")).await.expect(200);
    let again = courier(&system).ask(&format!("/deliveries/{order}/accept")).await.expect(200);
    assert_eq!(accepted.bytes, again.bytes);
    let names: Vec<String> = accepted.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["accepted_at", "lines", "order", "slot", "state"], "and nothing of the customer's own affairs");
    assert_eq!(accepted.json()["lines"], json!([{ "sku": "tea", "quantity": 1 }]));
    let other = user_with(&system, "other-courier", "courier");
    assert_eq!(other.ask(&format!("/deliveries/{order}/accept")).await.expect(409).code(), "not_awaiting_delivery");
    is_at(stop(&alice, &order).await, "completed", "nothing", "Your order was handed to delivery");
    assert_eq!(ends_with(&alice, &order).await, Vec::<String>::new());
    let way = ["placed", "waiting", "paid", "waiting", "reserved", "waiting", "accepted", "completed"];
    assert_eq!(transitions(&alice, &order).await, way);
    let slots = alice.get("/slots").await.expect(200).json();
    assert_eq!(slots["items"][0]["booked"], 0, "a courier takes no place in the slot");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_reserved_first_takes_its_goods_before_the_money() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    receive(&system, "r1", 1).await;
    let body = r#"{"lines":[{"sku":"tea","quantity":1}],"reserve_first":true}"#;
    let placed = alice.post("/orders", "o1", body).await.expect(201);
    assert_eq!(placed.get("state"), "awaiting_stock");
    let order = placed.id();
    let told = "Payment is not possible: 25.00 is missing";
    is_at(stop(&alice, &order).await, "awaiting_payment", "money", told);
    assert_eq!(on_hand(&system).await, 0);
    alice.deposit("d1", "25").await.expect(201);
    let told = "Your order waits for a courier: slot standard has no room";
    is_at(stop(&alice, &order).await, "awaiting_delivery", "delivery", told);
    assert_eq!(ends_with(&alice, &order).await, ["slot standard, once it is opened", COURIER, DEADLINE]);
    keeper(&system).put("/slots/standard", r#"{"capacity":1}"#).await.expect(200);
    is_at(stop(&alice, &order).await, "completed", "nothing", "Your order was handed to delivery");
}

#[tokio::test(start_paused = true)]
async fn an_order_says_all_that_it_still_lacks_of_its_goods() {
    let system = system();
    let alice = user(&system, "alice");
    for sku in ["tea", "pot", "cup"] {
        keeper(&system).put(&format!("/stock/{sku}"), r#"{"name":"x","price":1}"#).await.expect(200);
    }
    receive(&system, "r1", 1).await;
    alice.deposit("d1", "100").await.expect(201);
    let lines = [("tea", 3), ("pot", 1), ("cup", 2)].map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity }));
    let order = alice.post("/orders", "o1", json!({ "lines": lines }).to_string()).await.expect(201).id();
    system.settled().await;
    assert_eq!(ends_with(&alice, &order).await, ["receipts of 2 of tea, 1 of pot and 2 of cup", DEADLINE]);
    receive(&system, "r2", 2).await;
    let told = "Your order waits for stock: 2 of tea is missing";
    is_at(stop(&alice, &order).await, "awaiting_stock", "stock", told);
    assert_eq!(ends_with(&alice, &order).await, ["receipts of 1 of pot and 2 of cup", DEADLINE]);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_ends_when_it_begins() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    receive(&system, "r1", 1).await;
    alice.deposit("d1", "25").await.expect(201);
    let noon = r#"{"capacity":0,"from":"2026-11-21T06:30:00Z","to":"2026-11-21T08:00:00Z"}"#;
    keeper(&system).put("/slots/noon", noon).await.expect(200);
    let body = r#"{"lines":[{"sku":"tea","quantity":1}],"slot":"noon"}"#;
    let order = alice.post("/orders", "o1", body).await.expect(201).id();
    let told = "Your order waits for a courier: slot noon has no room";
    is_at(stop(&alice, &order).await, "awaiting_delivery", "delivery", told);
    let waits = alice.get(&format!("/orders/{order}")).await.expect(200).json();
    assert_eq!(waits["waiting_for"]["until"], "2026-11-21T06:30:00.000Z");
    let begins = "the beginning of its slot, which cancels it";
    assert_eq!(ends_with(&alice, &order).await, ["a capacity of slot noon above 0", COURIER, begins]);
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    let told = "Your order is cancelled: no courier has room for it in slot noon";
    is_at(stop(&alice, &order).await, "cancelled", "nothing", told);
    assert_eq!((alice.balance().await.as_str(), on_hand(&system).await), ("25.00", json!(1)));
    let late = alice.post("/orders", "o2", body).await.expect(422);
    assert_eq!(late.code(), "slot_has_begun");
}

/// Where the order stands when its customer cancels it: what is there by then, and what is given back, the last first.
const STEPS: &[(bool, bool, bool, &[&str])] = &[
    (false, false, false, &[]),
    (true, false, false, &["refunded"]),
    (true, true, false, &["released", "refunded"]),
    (false, true, true, &["released"]),
    (true, true, true, &["refunded", "released"]),
];

#[tokio::test(start_paused = true)]
async fn a_customer_cancels_at_every_step_and_everything_is_given_back_once() {
    for (has_money, has_stock, is_reserved_first, undone) in STEPS {
        let system = system();
        let (alice, bob) = (user(&system, "alice"), user(&system, "bob"));
        shop_of_tea(&system, "25").await;
        if *has_money {
            alice.deposit("d1", "25").await.expect(201);
        } else {
            alice.post("/accounts", "k", "").await.expect(201);
        }
        if *has_stock {
            receive(&system, "r1", 1).await;
        }
        let body = json!({ "lines": [{ "sku": "tea", "quantity": 1 }], "reserve_first": is_reserved_first });
        let order = alice.post("/orders", "o1", body.to_string()).await.expect(201).id();
        system.settled().await;
        let balance = if *has_money { "25.00" } else { "0.00" };

        let cancel = format!("/orders/{order}/cancel");
        let anothers = bob.ask(&cancel).await.expect(404);
        let none = bob.ask(&cancel.replace(&order, &"a".repeat(32))).await.expect(404);
        assert_eq!(anothers.bytes, none.bytes, "another's order looks like none");
        let cancelled = alice.ask(&cancel).await.expect(200);
        let said = (cancelled.get("state"), cancelled.get("cancelled_because"));
        assert_eq!(said, ("cancelled".to_owned(), "requested".to_owned()));
        is_at(stop(&alice, &order).await, "cancelled", "nothing", "Your order is cancelled: you asked for it");
        let way = transitions(&alice, &order).await;
        let expected: Vec<&str> = undone.iter().copied().chain(["cancelled"]).collect();
        assert!(way.iter().map(String::as_str).collect::<Vec<_>>().ends_with(&expected), "{way:?}");
        assert_eq!(way.iter().filter(|step| ["released", "refunded"].contains(&step.as_str())).count(), undone.len());
        assert_eq!((alice.balance().await.as_str(), on_hand(&system).await), (balance, json!(i32::from(*has_stock))));

        // Again, and whatever comes now: it stays as it is.
        let again = alice.ask(&cancel).await.expect(200);
        assert_eq!(again.bytes, cancelled.bytes);
        alice.deposit("d2", "25").await.expect(201);
        receive(&system, "r2", 1).await;
        system.settled().await;
        assert_eq!(transitions(&alice, &order).await, way);
        assert_eq!(on_hand(&system).await, i32::from(*has_stock) + 1);
        let late = courier(&system).ask(&format!("/deliveries/{order}/accept")).await.expect(409);
        assert_eq!((late.code().as_str(), late.get("state").as_str()), ("not_awaiting_delivery", "cancelled"));
        promises_hold(&system).await;
    }
}

/// A network that takes some milliseconds for each call, never the same twice in a row.
#[derive(Clone, Debug)]
struct Slow {
    connector: local_cloud::Connector,
    calls: Arc<AtomicU64>,
}

impl HttpConnector for Slow {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let slow = self.clone();
        HttpConnectorFuture::new(async move {
            let pause = slow.calls.fetch_add(1, Ordering::SeqCst) * 7_919 % 23;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            slow.connector.call(request).await
        })
    }
}

impl HttpClient for Slow {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_and_the_order_going_on_race_and_one_of_them_wins() {
    let system = system_with(|mut options| {
        options.network =
            Arc::new(|connector| platform::aws::shared(Slow { connector, calls: Arc::new(AtomicU64::new(1)) }));
        options
    });
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    receive(&system, "r1", 60).await;
    keeper(&system).put("/slots/standard", r#"{"capacity":60}"#).await.expect(200);
    alice.deposit("d1", "1500").await.expect(201);
    let mut raced = Vec::new();
    for n in 0..60 {
        let order = alice.post("/orders", &format!("o{n}"), TEA).await.expect(201).id();
        // A little later each time.
        tokio::time::sleep(Duration::from_millis(n)).await;
        let mut answer = alice.ask(&format!("/orders/{order}/cancel")).await;
        while answer.status == 503 {
            assert_eq!(answer.code(), "try_again");
            answer = alice.ask(&format!("/orders/{order}/cancel")).await;
        }
        raced.push((order, answer));
    }
    system.settled().await;
    let mut completed = 0;
    for (order, answer) in &raced {
        let state = alice.state(order).await;
        if answer.status == 200 {
            assert_eq!((answer.get("state"), state), ("cancelled".to_owned(), "cancelled".to_owned()));
        } else {
            assert_eq!((answer.status, answer.code().as_str()), (409, "too_late_to_cancel"));
            assert_eq!((answer.get("state").as_str(), state.as_str()), ("completed", "completed"));
            completed += 1;
        }
    }
    assert!((5..=55).contains(&completed), "each wins some of them: {completed}");
    let balance = format!("{}.00", 25 * (60 - completed));
    assert_eq!((alice.balance().await, on_hand(&system).await), (balance, json!(60 - completed)));
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_goes_to_who_waits_for_it() {
    let system = system();
    let (alice, bob) = (user(&system, "alice"), user(&system, "bob"));
    shop_of_tea(&system, "25").await;
    receive(&system, "r1", 1).await;
    alice.deposit("d1", "25").await.expect(201);
    bob.deposit("d1", "25").await.expect(201);
    let first = alice.post("/orders", "o1", TEA).await.expect(201).id();
    system.settled().await;
    let second = bob.post("/orders", "o1", TEA).await.expect(201).id();
    let told = "Your order waits for stock: 1 of tea is missing";
    is_at(stop(&bob, &second).await, "awaiting_stock", "stock", told);
    alice.ask(&format!("/orders/{first}/cancel")).await.expect(200);
    let told = "Your order waits for a courier: slot standard has no room";
    is_at(stop(&bob, &second).await, "awaiting_delivery", "delivery", told);
    keeper(&system).put("/slots/standard", r#"{"capacity":1}"#).await.expect(200);
    is_at(stop(&bob, &second).await, "completed", "nothing", "Your order was handed to delivery");
    let late = bob.ask(&format!("/orders/{second}/cancel")).await.expect(409);
    assert_eq!((late.code().as_str(), late.get("state").as_str()), ("too_late_to_cancel", "completed"));
    assert_eq!(
        keeper(&system).put("/slots/standard", r#"{"capacity":0}"#).await.expect(409).code(),
        "capacity_below_booked"
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_not_to_wait_is_cancelled_with_its_reason() {
    for (policy, has_money, has_stock, because, told) in [
        ("if_unpaid", false, true, "unpaid", "your balance does not cover 25.00 EUR"),
        ("if_unavailable", true, false, "unavailable", "not all of its goods are in stock"),
        ("if_undeliverable", true, true, "undeliverable", "no courier has room for it in slot standard"),
    ] {
        let system = system();
        let alice = user(&system, "alice");
        shop_of_tea(&system, "25").await;
        alice.deposit("d1", if has_money { "25" } else { "24.99" }).await.expect(201);
        if has_stock {
            receive(&system, "r1", 1).await;
        }
        let body = json!({ "lines": [{ "sku": "tea", "quantity": 1 }], policy: "cancel" }).to_string();
        let order = alice.post("/orders", "o1", body).await.expect(201).id();
        is_at(stop(&alice, &order).await, "cancelled", "nothing", &format!("Your order is cancelled: {told}"));
        let shown = alice.get(&format!("/orders/{order}")).await.expect(200).json();
        assert_eq!(shown["cancelled_because"], because);
        let balance = if has_money { "25.00" } else { "24.99" };
        assert_eq!((alice.balance().await.as_str(), on_hand(&system).await), (balance, json!(i32::from(has_stock))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_taken_in_once_for_each_key_and_answered_in_the_same_bytes() {
    let system = system();
    shop_of_tea(&system, "25").await;
    let first = receive(&system, "r1", 5).await;
    receive(&system, "r2", 2).await;
    let again = receive(&system, "r1", 5).await;
    assert_eq!((again.replayed, &again.bytes), (true, &first.bytes), "whatever has become of the stock");
    let keeper = keeper(&system);
    let written_otherwise = keeper.post("/stock/tea/receipts", "\"r1\"", "{ \"quantity\" : 5 }").await.expect(201);
    assert_eq!(written_otherwise.bytes, first.bytes);
    let other = keeper.post("/stock/tea/receipts", "r1", r#"{"quantity":6}"#).await.expect(422);
    assert_eq!(other.code(), "key_used_for_another_request");
    // The key comes before what depends on what is there: another sku under it, known or not, is another request.
    let other = keeper.post("/stock/coffee/receipts", "r1", r#"{"quantity":5}"#).await.expect(422);
    assert_eq!(other.code(), "key_used_for_another_request");
    assert_eq!(
        keeper.post("/stock/coffee/receipts", "r3", r#"{"quantity":5}"#).await.expect(404).code(),
        "sku_not_found"
    );
    // A refusal uses no key up.
    keeper.put("/stock/coffee", r#"{"name":"Coffee","price":9}"#).await.expect(200);
    keeper.post("/stock/coffee/receipts", "r3", r#"{"quantity":5}"#).await.expect(201);
    // A key is its keeper's own.
    let other_keeper = user_with(&system, "other-keeper", "stock");
    other_keeper.post("/stock/tea/receipts", "r1", r#"{"quantity":1}"#).await.expect(201);
    assert_eq!(on_hand(&system).await, 8);
    system.settled().await;
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_of_goods_is_replayed_whatever_has_become_of_the_shop() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    keeper(&system).put("/slots/noon", r#"{"capacity":1,"from":"2026-11-21T06:30:00Z"}"#).await.expect(200);
    let body = r#"{"lines":[{"sku":"tea","quantity":1}],"slot":"noon"}"#;
    let first = alice.post("/orders", "o1", body).await.expect(201);
    system.settled().await;
    // It costs more than can be counted by now, and its slot has begun.
    keeper(&system).put("/stock/tea", r#"{"name":"Gold","price":92233720368547758.07}"#).await.expect(200);
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    let written_otherwise = r#"{"slot":"noon","lines":[{"quantity":1,"sku":"tea"}]}"#;
    for body in [body, written_otherwise] {
        let again = alice.post("/orders", "o1", body).await.expect(201);
        assert_eq!((again.replayed, &again.bytes), (true, &first.bytes));
    }
    for other in [
        r#"{"lines":[{"sku":"tea","quantity":2}],"slot":"noon"}"#,
        r#"{"lines":[{"sku":"tea","quantity":1}]}"#,
        r#"{"lines":[{"sku":"tea","quantity":1}],"slot":"noon","reserve_first":false}"#,
        r#"{"lines":[{"sku":"tea","quantity":1}],"slot":"noon","if_unavailable":"wait"}"#,
        r#"{"amount":25}"#,
    ] {
        let refused = alice.post("/orders", "o1", other).await.expect(422);
        assert_eq!(refused.code(), "key_used_for_another_request", "{other}");
    }
    let dear = alice.post("/orders", "o2", r#"{"lines":[{"sku":"tea","quantity":2}]}"#).await.expect(422);
    assert_eq!(dear.code(), "amount_too_large");
}

#[tokio::test(start_paused = true)]
async fn a_product_and_a_slot_are_put_as_often_as_one_likes() {
    let system = system();
    let keeper = keeper(&system);
    let version = async || platform::verify::fingerprint(system.app().store.table()).await.unwrap();
    let first = keeper.put("/stock/tea", r#"{"name":"Tea","price":25}"#).await.expect(200);
    let before = version().await;
    let again = keeper.put("/stock/tea", r#"{"price":"25.00","name":"Tea"}"#).await.expect(200);
    assert_eq!((&again.bytes, version().await), (&first.bytes, before), "nothing is written");
    receive(&system, "r1", 3).await;
    let changed = keeper.put("/stock/tea", r#"{"name":"Tea","price":30}"#).await.expect(200).json();
    assert_eq!((&changed["price"], &changed["on_hand"]), (&json!("30.00"), &json!(3)));

    let noon = r#"{"capacity":1,"from":"2026-11-21T13:00:00+01:00"}"#;
    let first = keeper.put("/slots/noon", noon).await.expect(200);
    assert_eq!(first.get("from"), "2026-11-21T12:00:00.000Z");
    system.settled().await;
    let before = version().await;
    let again = keeper.put("/slots/noon", r#"{"from":"2026-11-21T12:00:00Z","capacity":1}"#).await.expect(200);
    assert_eq!((&again.bytes, version().await), (&first.bytes, before), "nothing is written");
    let without = keeper.put("/slots/noon", r#"{"capacity":1}"#).await.expect(200).json();
    assert_eq!(without.get("from"), None, "a time that is left out is taken away");
}

#[tokio::test(start_paused = true)]
async fn the_lists_of_the_shop_are_sorted_and_read_page_by_page() {
    let system = system();
    let (alice, keeper) = (user(&system, "alice"), keeper(&system));
    for name in ["tea", "Cup", "a.b", "a-b", "pot", "2cups", "z"] {
        keeper.put(&format!("/stock/{name}"), json!({ "name": name, "price": 1 }).to_string()).await.expect(200);
        keeper.put(&format!("/slots/{name}"), r#"{"capacity":1}"#).await.expect(200);
    }
    receive(&system, "r1", 7).await;
    for (list, name) in [("/stock", "sku"), ("/slots", "id")] {
        let mut walked = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = alice.get(&format!("{list}?limit=3{cursor}")).await.expect(200).json();
            let items = page["items"].as_array().unwrap().clone();
            assert!(items.len() <= 3 && !items.is_empty());
            walked.extend(items);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let names: Vec<&str> = walked.iter().map(|item| item[name].as_str().unwrap()).collect();
        assert_eq!(names, ["2cups", "Cup", "a-b", "a.b", "pot", "tea", "z"], "{list}");
        let whole = alice.get(list).await.expect(200).json();
        assert_eq!((&whole["items"], &whole["next_cursor"]), (&json!(walked), &Value::Null));
    }
    let listed = alice.get("/stock").await.expect(200).json();
    assert_eq!((&listed["items"][5]["on_hand"], &listed["items"][4]["on_hand"]), (&json!(7), &json!(0)));
}

/// Every call about goods, with the scope that it takes.
const CALLS: &[(&str, &str, &str)] = &[
    ("PUT /stock/tea", r#"{"name":"Tea","price":25}"#, "stock"),
    ("GET /stock/tea", "", ""),
    ("GET /stock", "", ""),
    ("POST /stock/tea/receipts", r#"{"quantity":1}"#, "stock"),
    ("PUT /slots/noon", r#"{"capacity":1}"#, "slots"),
    ("GET /slots", "", ""),
    ("POST /deliveries/ORDER/accept", "", "courier"),
    ("POST /orders/ORDER/cancel", "", ""),
];

#[tokio::test(start_paused = true)]
async fn who_may_do_what_is_said_by_scopes_and_nothing_is_done_without() {
    let system = system();
    let alice = user(&system, "alice");
    shop_of_tea(&system, "25").await;
    receive(&system, "r1", 1).await;
    alice.deposit("d1", "25").await.expect(201);
    let order = alice.post("/orders", "o1", TEA).await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&order).await, "awaiting_delivery");
    let call = async |call: &str, body: &str, who: Option<&str>, scopes: &str| -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path.replace("ORDER", &order));
        request = request.header("host", "localhost").header("idempotency-key", "k").header("x-user-scopes", scopes);
        if let Some(who) = who {
            request = request.header("x-user-id", who);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        system.call(request.body(bytes::Bytes::copy_from_slice(body.as_bytes())).unwrap()).await.into()
    };
    let before = platform::verify::fingerprint(system.app().store.table()).await.unwrap();
    for (route, body, scope) in CALLS {
        assert_eq!(call(route, body, None, "stock slots courier").await.status, 401, "{route} by nobody");
        if scope.is_empty() {
            continue;
        }
        let all_others =
            ["stock", "slots", "courier", "operator", "refunds"].map(|known| if known == *scope { "" } else { known });
        for scopes in ["", &all_others.join(" "), &scope.to_uppercase(), &format!("{scope}s"), &format!("{scope},x")] {
            let refused = call(route, body, Some("alice"), scopes).await.expect(403);
            assert_eq!(refused.code(), "scope_missing", "{route} with {scopes:?}");
            assert!(refused.get("detail").contains(scope), "{}", refused.json());
        }
    }
    let after = platform::verify::fingerprint(system.app().store.table()).await.unwrap();
    assert_eq!(after, before, "nothing was done");
    // The order is another's for the mallory who cancels it, whatever the scopes.
    assert_eq!(call("POST /orders/ORDER/cancel", "", Some("mallory"), "stock slots courier").await.status, 404);
    for (route, body, scope) in CALLS.iter().filter(|(route, ..)| !route.contains("cancel")) {
        let answer = call(route, body, Some("worker"), &format!("operator {scope}")).await;
        assert!([200, 201].contains(&answer.status), "{route}: {}", answer.json());
    }
}
