//! Inventory events, from whoever tells them to the payment that is announced: over the bus or straight into the queue,
//! once for each key, and what cannot be taken kept as it came without holding the others up.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::books::{Item, Key};
use domain::ids::{CustomerId, IdempotencyKey, PaymentId};
use domain::payments::{Doubt, Origin, Payment, PaymentState};
use local_system::System;
use serde_json::{Value, json};
use support::{aws, promises_hold, system_with, user};

type Heard = Arc<Mutex<Vec<Value>>>;

/// The system, and what its bus hears of it.
fn listening() -> (System, Heard) {
    let heard = Heard::default();
    let system = system_with(|mut options| {
        let heard = Arc::clone(&heard);
        options.cloud.on_event = Some(Arc::new(move |event| heard.lock().unwrap().push(event.clone())));
        options
    });
    (system, heard)
}

/// What the functions told the bus of payments.
fn announced(heard: &Heard) -> Vec<Value> {
    let heard = heard.lock().unwrap();
    let of_payments = heard.iter().filter(|event| event["detail-type"].as_str().unwrap().starts_with("payment."));
    of_payments.cloned().collect()
}

fn queue(system: &System, end: &str) -> String {
    system.cloud.stack().queues.iter().find(|queue| queue.name.ends_with(end)).unwrap().url.clone()
}

async fn send(system: &System, body: &str) {
    let message = json!({ "QueueUrl": queue(system, "-inventory"), "MessageBody": body });
    aws(system, "AmazonSQS.SendMessage", message).await;
}

async fn tell_the_bus(system: &System, source: &str, kind: &str, detail: &str) {
    let entry = json!({
        "Source": source, "DetailType": kind, "Detail": detail, "EventBusName": system.app().config.bus,
    });
    let answer = aws(system, "AWSEvents.PutEvents", json!({ "Entries": [entry] })).await;
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    system.settled().await;
}

/// The bodies of the dead letters, in any order.
async fn dead(system: &System) -> Vec<String> {
    let request = json!({
        "QueueUrl": queue(system, "-inventory-dead"), "MaxNumberOfMessages": 10, "VisibilityTimeout": 0,
    });
    let answer = aws(system, "AmazonSQS.ReceiveMessage", request).await;
    let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
    let mut bodies: Vec<_> = messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()).collect();
    bodies.sort();
    bodies
}

async fn payment(system: &System, key: &str) -> Option<Payment> {
    let key = Key::Payment(PaymentId::of_event(&IdempotencyKey::new(key).unwrap()));
    let stored = system.app().store.table().load(&[key]).await.unwrap().remove(&key).flatten()?;
    let Item::Payment(payment) = stored.found.item else { panic!("{stored:?}") };
    Some(payment)
}

async fn fingerprint(system: &System) -> String {
    format!("{:?}", platform::verify::fingerprint(system.app().store.table()).await.unwrap())
}

fn completed(key: &str, more: &str) -> String {
    format!(r#"{{"idempotent_key":"{key}","order_id":"A-7","status":"COMPLETED"{more}}}"#)
}

#[tokio::test(start_paused = true)]
async fn a_complete_order_becomes_a_payment_that_the_bus_hears_of_once() {
    let (system, heard) = listening();
    let customer = CustomerId::of(&system.app().config.tokens.issuer, "alice");
    let event = completed("k-1", &format!(r#","amount":1500.99,"currency":"EUR","customer":"{customer}""#));
    tell_the_bus(&system, "inventory", "inventory.completed", &event).await;

    let made = payment(&system, "k-1").await.unwrap();
    assert_eq!((made.state, made.origin, made.gateway), (PaymentState::Created, Origin::Event, None));
    assert_eq!((made.amount.minor(), made.customer), (150_099, customer));
    assert_eq!(made.reference.as_ref().map(|reference| reference.as_str()), Some("A-7"));
    assert!(made.look_at.is_some(), "whoever has to say whether the money came is reminded");
    let [told] = &announced(&heard)[..] else { panic!("{heard:?}") };
    assert_eq!((&told["source"], &told["detail-type"]), (&json!("paidonce"), &json!("payment.created")));
    let detail = json!({
        "version": 1, "id": told["detail"]["id"], "at": "2026-11-21T05:53:03.000Z", "customer": customer.to_string(),
        "payment": made.id.to_string(), "state": "created", "amount": "1500.99", "currency": "EUR", "reference": "A-7",
    });
    assert_eq!(told["detail"], detail);

    // Again over the bus, and in another shape straight into the queue: the same event all the same.
    let before = fingerprint(&system).await;
    tell_the_bus(&system, "inventory", "inventory.completed", &event).await;
    send(&system, &event.replace("1500.99", r#" "1500.99""#)).await;
    system.settled().await;
    assert_eq!(fingerprint(&system).await, before);
    assert_eq!(announced(&heard).len(), 1);
    assert_eq!(dead(&system).await, [""; 0]);
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_names_no_customer_is_nobodys_and_what_names_an_order_is_reviewed() {
    let (system, heard) = listening();
    user(&system, "alice").order("o", "10").await.expect(201);
    system.settled().await;
    let order = user(&system, "alice").get("/orders").await.expect(200).json()["items"][0]["id"].clone();
    send(&system, &completed("k-1", "")).await;
    send(&system, &completed("k-2", "").replace("A-7", order.as_str().unwrap())).await;
    system.settled().await;

    let made = payment(&system, "k-1").await.unwrap();
    assert_eq!((made.customer, made.amount.minor()), (CustomerId::nobody(), 0));
    assert_eq!(payment(&system, "k-2").await.unwrap().doubts, [Doubt::NamesOrder]);
    for told in announced(&heard) {
        assert!(told["detail"].get("customer").is_none(), "there is no such customer: {told}");
    }
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn other_statuses_and_other_events_leave_no_trace() {
    let (system, heard) = listening();
    let before = fingerprint(&system).await;
    for status in ["CREATED", "PENDING", "RESERVED", "FAILED", "CANCELLED"] {
        send(&system, &completed("k-1", "").replace("COMPLETED", status)).await;
    }
    // Another source's, and what is told here.
    tell_the_bus(&system, "warehouse", "inventory.completed", &completed("k-1", "")).await;
    tell_the_bus(&system, "inventory", "stock.completed", &completed("k-1", "")).await;
    tell_the_bus(&system, "paidonce", "payment.created", &completed("k-1", "")).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((fingerprint(&system).await, dead(&system).await.len()), (before, 0));
    assert_eq!(announced(&heard).len(), 1, "the one of this test");
}

/// It is received five times, a minute apart, and kept as it was sent; what came with it is done at once.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_is_kept_with_its_content_and_holds_nobody_up() {
    let (system, heard) = listening();
    send(&system, &completed("taken", r#","amount":5"#)).await;
    system.settled().await;
    let mut poison = vec![
        "{\"idempotent_key\": oops".to_owned(),
        completed("k-1", "").replace("COMPLETED", "SHIPPED"),
        completed("k-1", r#","amount":1500.999"#),
        completed("k-1", r#","amount":-1"#),
        completed("k-1", r#","currency":"USD""#),
        completed("k-1", r#","colour":"red""#),
        completed("taken", r#","amount":6"#),
    ];
    let before = announced(&heard).len();
    for (number, body) in poison.iter().enumerate() {
        send(&system, body).await;
        send(&system, &completed(&format!("good-{number}"), r#","amount":"0.01""#)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..poison.len() {
        assert!(payment(&system, &format!("good-{number}")).await.is_some(), "{number} is held up");
    }
    assert_eq!(announced(&heard).len(), before + poison.len());
    assert_eq!(dead(&system).await, [""; 0], "it may be something that passes");
    tokio::time::sleep(Duration::from_secs(6 * 60)).await;
    poison.sort();
    assert_eq!(dead(&system).await, poison);
    assert!(payment(&system, "k-1").await.is_none());
    assert_eq!(payment(&system, "taken").await.unwrap().amount.minor(), 500);
    assert_eq!(announced(&heard).len(), before + poison.len());
    promises_hold(&system).await;
}

/// Of one key, told in two ways at once, one is made and the other is kept.
#[tokio::test(start_paused = true)]
async fn two_that_differ_under_one_key_make_one_payment() {
    let (system, heard) = listening();
    let (one, other) = (completed("k", r#","amount":1"#), completed("k", r#","amount":2"#));
    send(&system, &one).await;
    send(&system, &other).await;
    tokio::time::sleep(Duration::from_secs(6 * 60)).await;
    let made = payment(&system, "k").await.unwrap();
    let loser = if made.amount.minor() == 100 { other } else { one };
    assert_eq!(dead(&system).await, [loser]);
    assert_eq!(announced(&heard).len(), 1);
    promises_hold(&system).await;
}
