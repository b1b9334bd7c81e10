//! What happens to what was lost, failed or makes no sense: it is advanced from its state, looked at when its time
//! comes, or kept for a person. Nothing is forgotten and nothing holds up what is behind it.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use local_cloud::Fate;
use local_system::System;
use serde_json::{Value, json};
use support::{aws, faulty, promises_hold, system, system_with, user};

fn queue_url(system: &System, part: &str) -> String {
    let mut queues = system.cloud.stack().queues.iter();
    queues.find(|queue| queue.name.ends_with(part)).unwrap().url.clone()
}

async fn send(system: &System, queue: &str, group: &str, deduplication: &str, body: &str) {
    let message = json!({
        "QueueUrl": queue_url(system, queue),
        "MessageBody": body,
        "MessageGroupId": group,
        "MessageDeduplicationId": deduplication,
    });
    aws(system, "AmazonSQS.SendMessage", message).await;
}

async fn unreadable(system: &System) -> Vec<Value> {
    let query = json!({
        "TableName": system.app().config.table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": { ":pk": { "S": "unreadable" } },
    });
    aws(system, "DynamoDB_20120810.Query", query).await["Items"].as_array().unwrap().clone()
}

/// Makes an item one of another release.
async fn set_format(system: &System, pk: String, sk: &str, format: &str) {
    let update = json!({
        "TableName": system.app().config.table,
        "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
        "UpdateExpression": "SET #format = :format",
        "ExpressionAttributeNames": { "#format": "format" },
        "ExpressionAttributeValues": { ":format": { "N": format } },
    });
    aws(system, "DynamoDB_20120810.UpdateItem", update).await;
}

/// A system whose connection breaks at every call of these operations, while the switch says so.
fn breaking(operations: &'static [&'static str], from_the_start: bool) -> (System, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(from_the_start));
    let switch = broken.clone();
    let system = faulty(Arc::new(move |operation, _| {
        let hit = operations.contains(&operation) && switch.load(Ordering::SeqCst);
        if hit { Fate::LostBefore } else { Fate::Answered }
    }));
    (system, broken)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_makes_no_sense_is_kept_and_holds_nobody_up() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "10").await.expect(201);
    system.settled().await;
    let account = alice.get("/account").await.expect(200).id();
    let group = format!("account#{account}");
    for (n, garbage) in ["{", "", "{\"work\":{\"fly\":{}}}", "\u{1f4b6}"].iter().enumerate() {
        send(&system, "-order-updates.fifo", &group, &format!("g{n}"), if garbage.is_empty() { " " } else { garbage })
            .await;
        send(&system, "-notifications.fifo", &account, &format!("g{n}"), "[]").await;
    }
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    let kept = unreadable(&system).await;
    assert_eq!(kept.len(), 5, "each content once, from each queue: {kept:?}");
    assert!(kept.iter().any(|item| item["content"]["S"] == "{\"work\":{\"fly\":{}}}"), "with its content");
    for depth in system.cloud.queue_depths().values() {
        assert_eq!((depth.visible, depth.in_flight), (0, 0));
    }
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_much_later_changes_nothing() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "30").await.expect(201);
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    let account = alice.get("/account").await.expect(200).id();
    let told = alice.get("/notifications").await.expect(200).json();
    tokio::time::advance(Duration::from_secs(40 * 24 * 3_600)).await;
    let work = json!({
        "work": { "advance": { "order": order, "customer": account } },
        "event": format!("order.{order}.1.0"), "attempt": 0,
    });
    send(&system, "-order-updates.fifo", &format!("account#{account}"), "again", &work.to_string()).await;
    let wake = json!({
        "work": { "wake": { "resource": { "account": account }, "after": null } },
        "event": format!("account.{account}.1.2"), "attempt": 0,
    });
    send(&system, "-order-updates.fifo", &format!("account#{account}"), "wake", &wake.to_string()).await;
    for (n, notification) in told["items"].as_array().unwrap().iter().enumerate() {
        let message = json!({
            "customer": account, "order": order, "event": notification["id"],
            "at": support::START_MS, "transition": notification["transition"], "text": notification["text"],
        });
        send(&system, "-notifications.fifo", &account, &format!("n{n}"), &message.to_string()).await;
    }
    system.settled().await;
    assert_eq!(alice.balance().await, "20.00");
    assert_eq!(alice.get("/notifications").await.expect(200).json(), told);
    assert_eq!(unreadable(&system).await, Vec::<Value>::new(), "all of it was understood");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_waiting() {
    let system = system_with(|mut options| {
        options.parameters.insert("WaitHours".into(), "1".into());
        options
    });
    let alice = user(&system, "alice");
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    tokio::time::sleep(Duration::from_secs(59 * 60)).await;
    assert_eq!(alice.state(&order).await, "awaiting_payment");
    tokio::time::sleep(Duration::from_secs(3 * 60)).await;
    system.settled().await;
    let ended = alice.get(&format!("/orders/{order}")).await.expect(200).json();
    assert_eq!((ended["state"].as_str(), ended["cancelled_because"].as_str()), (Some("cancelled"), Some("deadline")));
    alice.deposit("d1", "10").await.expect(201);
    system.settled().await;
    assert_eq!(alice.balance().await, "10.00", "money that comes later stays where it is");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_relayed_the_sweep_goes_on_and_afterwards_everyone_is_told_once() {
    let (system, broken) = breaking(&["SendMessageBatch"], true);
    let alice = user(&system, "alice");
    alice.deposit("d1", "10").await.expect(201);
    let order = alice.order("o1", "10").await.expect(201).id();
    // Its message never arrives, but it has a time at which someone looks at it.
    tokio::time::sleep(Duration::from_secs(4 * 60)).await;
    assert_eq!(alice.state(&order).await, "completed");
    assert_eq!(alice.last_notification_of(&order).await, "nothing");
    // The relay gives up on its records; they are in the bucket, whole.
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    let listed = Request::get("/?list-type=2").header("host", bucket_host(&system)).body(Bytes::new()).unwrap();
    let listed = system.cloud.connector().answer(listed).await;
    let listed = String::from_utf8_lossy(listed.body()).into_owned();
    assert!(listed.contains("<Key>aws/lambda/"), "{listed}");
    broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2 * 60 * 60)).await;
    system.settled().await;
    assert_eq!(alice.last_notification_of(&order).await, "Your order is completed");
    promises_hold(&system).await;
}

fn bucket_host(system: &System) -> String {
    format!("{}.s3.{}.amazonaws.com", system.cloud.stack().buckets[0].name, system.cloud.stack().region)
}

#[tokio::test(start_paused = true)]
async fn an_order_that_cannot_be_processed_says_so_and_goes_on_later() {
    let system = system();
    let (alice, bob) = (user(&system, "alice"), user(&system, "bob"));
    for user in [&alice, &bob] {
        user.deposit("d1", "10").await.expect(201);
    }
    system.settled().await;
    let account = alice.get("/account").await.expect(200).id();
    let set_format = |format| set_format(&system, format!("account#{account}"), "account", format);
    // A newer release wrote the account, and this one must not.
    set_format("999").await;
    let order = alice.order("o1", "10").await.expect(201).id();
    let other = bob.order("o1", "10").await.expect(201).id();
    system.settled().await;
    assert_eq!(bob.state(&other).await, "completed", "nobody else is held up");
    let stalled = alice.get(&format!("/orders/{order}")).await.expect(200).json();
    assert_eq!(
        (stalled["state"].as_str(), stalled["waiting_for"]["what"].as_str()),
        (Some("awaiting_payment"), Some("stalled"))
    );
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    let timeline = alice.get(&format!("/orders/{order}/timeline")).await.expect(200).json();
    assert_eq!(timeline["items"].as_array().unwrap().len(), 2, "it is told once that it is stalled: {timeline}");
    set_format("1").await;
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_taken_up() {
    let (system, broken) = breaking(&["BatchGetItem", "PutItem"], false);
    let alice = user(&system, "alice");
    alice.deposit("d1", "10").await.expect(201);
    system.settled().await;
    let account = alice.get("/account").await.expect(200).id();
    let order = alice.order("o1", "25").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&order).await, "awaiting_payment");
    broken.store(true, Ordering::SeqCst);
    let wake = json!({
        "work": { "wake": { "resource": { "account": account }, "after": null } },
        "event": format!("account.{account}.1.2"), "attempt": 0,
    });
    send(&system, "-order-updates.fifo", &format!("account#{account}"), "wake", &wake.to_string()).await;
    // Five receives of three minutes each, and it is a dead letter that `recover` cannot take up either.
    tokio::time::sleep(Duration::from_secs(20 * 60)).await;
    let dead = system.cloud.queue_depths().into_iter().find(|(name, _)| name.ends_with("order-updates-dead.fifo"));
    let (_, depth) = dead.unwrap();
    assert_eq!(depth.visible + depth.in_flight, 1, "{depth:?}");
    broken.store(false, Ordering::SeqCst);
    alice.deposit("d2", "15").await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    for (name, depth) in system.cloud.queue_depths() {
        assert_eq!((depth.visible, depth.in_flight), (0, 0), "{name}");
    }
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn many_that_are_due_at_once_are_all_looked_at_in_one_run() {
    let (system, broken) = breaking(&["SendMessageBatch"], true);
    let alice = user(&system, "alice");
    alice.deposit("d1", "2000").await.expect(201);
    for n in 0..1_000 {
        alice.order(&format!("o{n}"), "1").await.expect(201);
    }
    tokio::time::sleep(Duration::from_secs(3 * 60 + 10)).await;
    assert_eq!(alice.balance().await, "1000.00");
    broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2 * 60 * 60)).await;
    system.settled().await;
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_cannot_be_read_does_not_hold_up_those_who_wait_behind() {
    let system = system();
    let alice = user(&system, "alice");
    let first = alice.order("o1", "10").await.expect(201).id();
    tokio::time::advance(Duration::from_millis(5)).await;
    let second = alice.order("o2", "10").await.expect(201).id();
    system.settled().await;
    let newer = |format| set_format(&system, format!("order#{first}"), "order", format);
    newer("999").await;
    alice.deposit("d1", "20").await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&second).await, "completed");
    assert_eq!(alice.get(&format!("/orders/{first}")).await.status, 500, "this release must not guess");
    newer("1").await;
    alice.deposit("d2", "0.01").await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&first).await, "completed");
    promises_hold(&system).await;
}

/// For a while nothing may be written: neither is the order paid, nor can it be marked as stalled.
#[tokio::test(start_paused = true)]
async fn whoever_could_neither_go_on_nor_be_marked_is_woken_again() {
    let writes = Arc::new(AtomicUsize::new(usize::MAX));
    let allowed = writes.clone();
    let system = faulty(Arc::new(move |operation, _| {
        let is_write = matches!(operation, "TransactWriteItems" | "PutItem");
        let one_less = |left: usize| left.checked_sub(1);
        let is_denied = is_write && allowed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err();
        if is_denied { Fate::Denied } else { Fate::Answered }
    }));
    let alice = user(&system, "alice");
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    // The deposit, and nothing that follows from it.
    writes.store(1, Ordering::SeqCst);
    alice.deposit("d1", "10").await.expect(201);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(alice.state(&order).await, "awaiting_payment");
    writes.store(usize::MAX, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2 * 60 * 60)).await;
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_taken_up_does_not_stand_before_the_others() {
    let (system, broken) = breaking(&["SendMessageBatch"], true);
    let alice = user(&system, "alice");
    let senseless = "{\"payload\": \"[]\"}";
    let put = Request::put("/a/first").header("host", bucket_host(&system)).body(Bytes::from(senseless)).unwrap();
    assert!(system.cloud.connector().answer(put).await.status().is_success());
    alice.deposit("d1", "10").await.expect(201);
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    broken.store(false, Ordering::SeqCst);
    let order = alice.order("o1", "10").await.expect(201).id();
    tokio::time::sleep(Duration::from_secs(2 * 60 * 60)).await;
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    let listed = Request::get("/?list-type=2").header("host", bucket_host(&system)).body(Bytes::new()).unwrap();
    let listed = system.cloud.connector().answer(listed).await;
    let listed = String::from_utf8_lossy(listed.body()).into_owned();
    assert!(listed.contains("a/first") && !listed.contains("aws/lambda"), "only what cannot be read stays: {listed}");
}
