//! Notifications on their way to an endpoint, through the whole local cloud on virtual time: an endpoint that takes them,
//! fails, times out, is gone; messages that come twice, answers that are lost. And once over a real socket.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use domain::books::Key;
use domain::events::EventId;
use domain::webhooks::{Answer as Became, NoAnswer, Reach};
use http::Request;
use local_cloud::Fate;
use local_system::System;
use platform::outside::{Call, Outside, Post};
use platform::runtime::BoxFuture;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Answer, START_MS, aws, promises_hold, system_with, user};

/// What an endpoint does with a call.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Status(u16),
    /// With `Retry-After`, in seconds.
    PutOff(u16, i64),
    Never,
    Unreachable,
}

/// One call, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    url: String,
    at_ms: i64,
    headers: BTreeMap<String, String>,
    body: String,
}

/// Everyone outside: answers each url by its script, and with 200 when that has come to its end.
#[derive(Clone, Default)]
struct Receiver {
    scripts: Arc<Mutex<BTreeMap<String, VecDeque<Reply>>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Post for Receiver {
    fn post(&self, call: Call) -> BoxFuture<'_, Became> {
        let url = call.url.as_str().to_owned();
        let headers = call.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let heard = Heard { url: url.clone(), at_ms: call.at.as_millis(), headers, body: call.body };
        self.heard.lock().unwrap().push(heard);
        let reply = self.scripts.lock().unwrap().get_mut(&url).and_then(VecDeque::pop_front);
        Box::pin(async move {
            match reply.unwrap_or(Reply::Status(200)) {
                Reply::Status(status) => Became::Status { status, retry_after_ms: None },
                Reply::PutOff(status, seconds) => Became::Status { status, retry_after_ms: Some(seconds * 1_000) },
                Reply::Never => std::future::pending().await,
                Reply::Unreachable => Became::Silence(NoAnswer::Unreachable),
            }
        })
    }
}

impl Receiver {
    fn replies(&self, url: &str, replies: impl IntoIterator<Item = Reply>) {
        self.scripts.lock().unwrap().insert(url.to_owned(), replies.into_iter().collect());
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn heard_at(&self, url: &str) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| heard.url == url).collect()
    }
}

impl Heard {
    fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// As whoever receives it would, with nothing of ours: HMAC as RFC 2104 has it.
    fn is_signed_with(&self, secret: &str) -> bool {
        let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let padded = |with: u8| {
            let mut block = [with; 64];
            key.iter().zip(&mut block).for_each(|(key, block)| *block ^= key);
            block
        };
        let content = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        let inner = Sha256::new().chain_update(padded(0x36)).chain_update(content).finalize();
        let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
        let is_recent = self.headers["webhook-timestamp"] == (self.at_ms / 1_000).to_string();
        let wanted = format!("v1,{}", BASE64.encode(&outer));
        is_recent && self.headers["webhook-signature"].split(' ').any(|given| given == wanted)
    }
}

const HOOK: &str = "https://shop.example/hooks";
const OTHER: &str = "https://other.example/hooks";

fn system(receiver: &Receiver) -> System {
    system_with(|mut options| {
        options.outside = Outside::answered_by(receiver.clone(), Reach::Public);
        options
    })
}

async fn call(system: &System, who: &str, request: http::request::Builder, body: Value) -> Answer {
    let request = request.uri("/webhook").header("host", "localhost").header("x-user-id", who);
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    system.call(request.header("content-type", "application/json").body(body).unwrap()).await.into()
}

async fn put(system: &System, who: &str, url: &str) -> Answer {
    call(system, who, Request::builder().method("PUT"), json!({ "url": url })).await
}

async fn get(system: &System, who: &str) -> Answer {
    call(system, who, Request::builder().method("GET"), Value::Null).await
}

async fn delete(system: &System, who: &str) -> Answer {
    call(system, who, Request::builder().method("DELETE"), Value::Null).await
}

/// An order that is completed at once: it is paid and completed.
async fn order(system: &System, who: &str, key: &str) -> String {
    let user = user(system, who);
    user.deposit(&format!("d-{key}"), "10").await.expect(201);
    let order = user.order(key, "10").await.expect(201).id();
    system.settled().await;
    order
}

async fn hours(hours: u64) {
    tokio::time::sleep(Duration::from_secs(hours * 3_600)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_told_arrives_signed_and_once() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    assert_eq!(get(&system, "alice").await.expect(404).code(), "webhook_not_found");
    order(&system, "alice", "before").await;
    assert_eq!(receiver.heard(), [], "there is no endpoint");
    let set = put(&system, "alice", HOOK).await.expect(200);
    let secret = set.get("secret");
    assert_eq!((set.get("url").as_str(), set.get("state").as_str()), (HOOK, "active"));
    let id = order(&system, "alice", "after").await;
    order(&system, "bob", "anothers").await;

    let heard = receiver.heard();
    let told: BTreeMap<String, Value> = heard.iter().map(|heard| (heard.id().to_owned(), heard.json())).collect();
    assert_eq!((heard.len(), told.len()), (2, 2), "paid and completed, each once: {heard:?}");
    for heard in &heard {
        assert!(heard.is_signed_with(&secret), "{heard:?}");
        assert_eq!(heard.headers["content-type"], "application/json");
        let tampered = Heard { body: heard.body.replace("order", "Order"), ..heard.clone() };
        assert!(!tampered.is_signed_with(&secret));
    }
    let inbox = user(&system, "alice").get("/notifications?limit=2").await.expect(200).json();
    for item in inbox["items"].as_array().unwrap() {
        let event = &told[&item["id"].as_str().unwrap().replace('.', "_")];
        assert_eq!(event["data"], *item, "what the inbox has is what is sent");
        assert_eq!(event["type"], format!("order.{}", item["transition"].as_str().unwrap()));
        assert_eq!((&event["data"]["order"], &event["timestamp"]), (&json!(id), &item["created_at"]));
    }
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_set_shown_moved_and_removed() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    let first = put(&system, "alice", HOOK).await.expect(200);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(put(&system, "alice", HOOK).await.expect(200).bytes, first.bytes, "again, and nothing is new");
    assert_eq!(get(&system, "alice").await.expect(200).bytes, first.bytes);
    let bobs = put(&system, "bob", HOOK).await.expect(200);
    assert_ne!(bobs.get("secret"), first.get("secret"), "everyone has a secret of their own");
    let moved = put(&system, "alice", OTHER).await.expect(200);
    assert_eq!(moved.get("secret"), first.get("secret"));
    assert_ne!(moved.get("since"), first.get("since"));
    order(&system, "alice", "o1").await;
    assert_eq!((receiver.heard_at(HOOK).len(), receiver.heard_at(OTHER).len()), (0, 2));
    for _ in 0..2 {
        assert!(delete(&system, "alice").await.expect(204).bytes.is_empty());
    }
    assert_eq!(get(&system, "alice").await.expect(404).code(), "webhook_not_found");
    order(&system, "alice", "o2").await;
    assert_eq!(receiver.heard().len(), 2);
    assert_ne!(put(&system, "alice", HOOK).await.expect(200).get("secret"), first.get("secret"));
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_replaced_and_for_a_day_both_verify() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    let first = put(&system, "alice", HOOK).await.expect(200).get("secret");
    let replace = async |secret: &str| -> Answer {
        let request = Request::post("/webhook/secret").header("host", "localhost").header("x-user-id", "alice");
        let body = Bytes::from(json!({ "replaces": secret }).to_string());
        system.call(request.header("content-type", "application/json").body(body).unwrap()).await.into()
    };
    let fresh = replace(&first).await.expect(200);
    assert_eq!(replace(&first).await.expect(200).bytes, fresh.bytes, "a repeat replaces nothing more");
    let second = fresh.get("secret");
    assert_ne!(first, second);
    order(&system, "alice", "o1").await;
    let both = receiver.heard();
    assert!(!both.is_empty() && both.iter().all(|heard| heard.is_signed_with(&first) && heard.is_signed_with(&second)));
    tokio::time::advance(Duration::from_secs(24 * 3_600)).await;
    order(&system, "alice", "o2").await;
    let later = receiver.heard().split_off(both.len());
    assert!(
        !later.is_empty() && later.iter().all(|heard| !heard.is_signed_with(&first) && heard.is_signed_with(&second))
    );
    assert_eq!(replace(&second).await.expect(200).get("state"), "active");
    assert_eq!(replace(&first).await.expect(409).code(), "webhook_secret_not_current", "it is over");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_url_is_said_and_changes_nothing() {
    let system = system(&Receiver::default());
    let set = put(&system, "alice", HOOK).await.expect(200);
    for (url, code) in [
        ("shop.example", "webhook_url_malformed"),
        ("http://shop.example/", "webhook_url_not_https"),
        ("https://user@shop.example/", "webhook_url_has_credentials"),
        ("https://shop.example/#a", "webhook_url_has_fragment"),
        ("https://shop.example:25/", "webhook_url_port"),
        ("https://169.254.169.254/latest/meta-data/", "webhook_url_not_public"),
        ("https://localhost/", "webhook_url_not_public"),
    ] {
        assert_eq!(put(&system, "alice", url).await.expect(422).code(), code, "{url}");
    }
    let long = format!("https://shop.example/{}", "x".repeat(500));
    assert_eq!(put(&system, "alice", &long).await.expect(422).code(), "webhook_url_too_long");
    assert_eq!(get(&system, "alice").await.expect(200).bytes, set.bytes);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_under_the_same_id_until_it_arrives() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    let secret = put(&system, "alice", HOOK).await.expect(200).get("secret");
    let fail =
        [Reply::Status(500), Reply::Status(404), Reply::Unreachable, Reply::Status(302), Reply::PutOff(503, 9_000)];
    // Of one notification alone: that it waits for money.
    receiver.replies(HOOK, fail);
    user(&system, "alice").order("o1", "10").await.expect(201);
    hours(9).await;
    system.settled().await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 6, "{heard:#?}");
    let ids: BTreeSet<(&str, &str)> = heard.iter().map(|heard| (heard.id(), heard.body.as_str())).collect();
    assert_eq!(ids.len(), 1, "the same id and the same body each time");
    assert!(heard.iter().all(|heard| heard.is_signed_with(&secret)), "each signed at its own time");
    // 5 s, 5 min, 30 min, 2 h, and 5 h instead of the 2.5 h that it asked for; a tenth longer at most, and a minute until
    // the sweep comes by.
    let pauses = heard.windows(2).map(|pair| (pair[1].at_ms - pair[0].at_ms) / 1_000);
    for (pause, expected) in pauses.zip([5, 300, 1_800, 7_200, 18_000]) {
        assert!((expected..=expected + expected / 10 + 61).contains(&pause), "{pause} instead of {expected}");
    }
    let shown = get(&system, "alice").await.expect(200).json();
    assert_eq!((&shown["state"], shown.get("failing_since")), (&json!("active"), None), "{shown}");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_takes_anything_is_given_up_after_three_days() {
    let receiver = Receiver::default();
    // Days of sweeping each minute would take as many minutes to play.
    let system = system_with(|mut options| {
        options.template = options.template.replace("rate(1 minute)", "rate(1 hour)");
        options.outside = Outside::answered_by(receiver.clone(), Reach::Public);
        options
    });
    put(&system, "alice", HOOK).await.expect(200);
    receiver.replies(HOOK, [Reply::Status(500); 100]);
    user(&system, "alice").order("o1", "10").await.expect(201);
    system.settled().await;
    let shown = get(&system, "alice").await.expect(200).json();
    assert!(shown["failing_since"].is_string(), "{shown}");
    hours(71).await;
    assert_eq!(get(&system, "alice").await.expect(200).get("state"), "active");
    hours(16).await;
    system.settled().await;
    let heard = receiver.heard();
    assert!(heard.len() >= 10, "{}", heard.len());
    let of_the_first = heard.iter().filter(|other| other.id() == heard[0].id()).count();
    assert_eq!(of_the_first, 10);
    let shown = get(&system, "alice").await.expect(200);
    assert_eq!((shown.get("state"), shown.get("given_up_because")), ("given_up".to_owned(), "failing".to_owned()));
    let before = receiver.heard().len();
    order(&system, "alice", "o2").await;
    hours(3).await;
    assert_eq!(receiver.heard().len(), before, "nothing is sent there any more");
    receiver.replies(HOOK, []);
    put(&system, "alice", HOOK).await.expect(200);
    order(&system, "alice", "o3").await;
    assert_eq!(receiver.heard().len(), before + 2);
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_given_up_at_once_and_can_be_set_again() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    let secret = put(&system, "alice", HOOK).await.expect(200).get("secret");
    receiver.replies(HOOK, [Reply::Status(410)]);
    user(&system, "alice").order("o1", "10").await.expect(201);
    system.settled().await;
    let shown = get(&system, "alice").await.expect(200);
    assert_eq!((shown.get("state"), shown.get("given_up_because")), ("given_up".to_owned(), "gone".to_owned()));
    order(&system, "alice", "o2").await;
    hours(3).await;
    assert_eq!(receiver.heard().len(), 1);
    let again = put(&system, "alice", HOOK).await.expect(200);
    assert_eq!((again.get("state"), again.get("secret")), ("active".to_owned(), secret));
    order(&system, "alice", "o3").await;
    assert_eq!(receiver.heard().len(), 4, "the second order is paid and completed, and the third waits");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_holds_up_nobody_else() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    put(&system, "alice", HOOK).await.expect(200);
    put(&system, "bob", OTHER).await.expect(200);
    receiver.replies(HOOK, [Reply::Never; 1_000]);
    let users = [user(&system, "alice"), user(&system, "bob")];
    for n in 0..20 {
        for user in &users {
            user.order(&format!("o{n}"), "10").await.expect(201);
        }
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let bobs = receiver.heard_at(OTHER);
    assert_eq!(bobs.len(), 20, "each of bob's has arrived");
    let latest = bobs.iter().map(|heard| heard.at_ms).max().unwrap();
    assert!(latest - START_MS < 15_000, "{latest}");
    hours(1).await;
    system.settled().await;
    assert_eq!(receiver.heard_at(OTHER).len(), 20);
    assert_eq!(receiver.heard_at(HOOK).len(), 4 * 20, "at once, after 5 s, 5 min and 30 min");
    assert!(get(&system, "alice").await.expect(200).json()["failing_since"].is_string());
    promises_hold(&system).await;
}

/// The delivery is forgotten, and the notification stays: what comes again after that is told and delivered no more.
#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_forgotten_after_a_month_and_not_delivered_again() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    put(&system, "alice", HOOK).await.expect(200);
    let order = user(&system, "alice").order("o1", "10").await.expect(201).id();
    system.settled().await;
    let event = receiver.heard()[0].json()["data"]["id"].as_str().unwrap().to_owned();
    let key = Key::Delivery(EventId::parse(&event).unwrap());
    let kept = async || system.app().store.table().load(&[key]).await.unwrap()[&key].is_some();
    let days = async |days: u64| {
        tokio::time::advance(Duration::from_secs(days * 24 * 3_600)).await;
        hours(1).await;
    };
    days(29).await;
    assert!(kept().await);
    days(2).await;
    assert!(!kept().await, "it is over for a month");
    let account = platform_customer(&system, "alice").await;
    let text = "Payment is not possible: 10.00 is missing";
    let notification = json!({
        "customer": account, "at": START_MS, "event": event, "order": order, "transition": "waiting", "text": text,
    });
    let queue = system.cloud.stack().queues.iter().find(|queue| queue.name.ends_with("-notifications.fifo")).unwrap();
    let message = json!({
        "QueueUrl": queue.url, "MessageBody": notification.to_string(), "MessageGroupId": account,
        "MessageDeduplicationId": "again",
    });
    aws(&system, "AmazonSQS.SendMessage", message).await;
    system.settled().await;
    assert!(!kept().await);
    let told = receiver.heard().into_iter().filter(|heard| heard.json()["data"]["id"] == event).count();
    assert_eq!(told, 1);
    promises_hold(&system).await;
}

async fn send(system: &System, body: &str) {
    let queue = system.cloud.stack().queues.iter().find(|queue| queue.name.ends_with("-webhooks")).unwrap();
    let message = json!({ "QueueUrl": queue.url, "MessageBody": body });
    aws(system, "AmazonSQS.SendMessage", message).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_calls_nobody_again() {
    let receiver = Receiver::default();
    let system = system(&receiver);
    put(&system, "alice", HOOK).await.expect(200);
    // Two are sent again by the queue; the fourth attempt is half an hour away.
    receiver.replies(HOOK, [Reply::Status(500); 3]);
    user(&system, "alice").order("o1", "10").await.expect(201);
    system.settled().await;
    let heard = receiver.heard();
    let event = heard[0].json()["data"]["id"].clone();
    let customer = platform_customer(&system, "alice").await;
    let at = heard[0].json()["timestamp"].as_str().map(|at| domain::Timestamp::parse(at).unwrap().as_millis()).unwrap();
    let message =
        |attempt: u32| json!({ "webhook": event, "customer": customer, "at": at, "attempt": attempt }).to_string();
    assert_eq!(heard.len(), 3);
    for attempt in [0, 0, 1, 2, 7] {
        send(&system, &message(attempt)).await;
    }
    send(&system, "{").await;
    let strangers =
        json!({ "webhook": event, "customer": platform_customer(&system, "bob").await, "at": at, "attempt": 3 });
    send(&system, &strangers.to_string()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(receiver.heard().len(), 3);
    // The fourth attempt, asked for three times at once.
    for _ in 0..3 {
        send(&system, &message(3)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    system.settled().await;
    assert_eq!(receiver.heard().len(), 4);
    promises_hold(&system).await;
}

/// Who a user is, as the store names them.
async fn platform_customer(system: &System, who: &str) -> String {
    let request = Request::post("/accounts").header("host", "localhost").header("x-user-id", who);
    let answer: Answer = system.call(request.body(Bytes::new()).unwrap()).await.into();
    answer.id()
}

/// The process dies between the call and the writing down of what became of it: the one way to be called twice.
#[tokio::test(start_paused = true)]
async fn what_became_of_a_call_and_was_not_kept_is_asked_for_again() {
    let receiver = Receiver::default();
    let broken = Arc::new(AtomicBool::new(false));
    let (switch, listener) = (broken.clone(), receiver.clone());
    let system = system_with(|mut options| {
        let plan: local_cloud::Plan = Arc::new(move |operation, _| {
            // Once it was called, nothing is written for a while.
            let is_called = !listener.heard().is_empty() && !switch.load(Ordering::SeqCst);
            let is_write = matches!(operation, "PutItem" | "TransactWriteItems");
            if is_called && is_write { Fate::LostBefore } else { Fate::Answered }
        });
        options.network = Arc::new(move |connector| {
            platform::aws::shared(local_cloud::FaultyConnector::new(connector, plan.clone()))
        });
        options.outside = Outside::answered_by(receiver.clone(), Reach::Public);
        options
    });
    put(&system, "alice", HOOK).await.expect(200);
    user(&system, "alice").order("o1", "10").await.expect(201);
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    assert_eq!(receiver.heard().len(), 1);
    broken.store(true, Ordering::SeqCst);
    hours(1).await;
    system.settled().await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 2, "{heard:#?}");
    assert_eq!((heard[0].id(), &heard[0].body), (heard[1].id(), &heard[1].body));
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_whose_message_was_lost_has_a_time_at_which_it_is_sent() {
    let receiver = Receiver::default();
    let losing = Arc::new(AtomicBool::new(true));
    let switch = losing.clone();
    let system = system_with(|mut options| {
        options.around = Some(Arc::new(move |function, handler| {
            let switch = switch.clone();
            if function.handler != "deliver-webhook" {
                return handler;
            }
            Arc::new(move |invocation| {
                if switch.load(Ordering::SeqCst) {
                    // Whoever had the message says that it is done, and has done nothing.
                    return Box::pin(std::future::ready(Ok(json!({ "batchItemFailures": [] }))));
                }
                handler(invocation)
            })
        }));
        options.outside = Outside::answered_by(receiver.clone(), Reach::Public);
        options
    });
    put(&system, "alice", HOOK).await.expect(200);
    user(&system, "alice").order("o1", "10").await.expect(201);
    tokio::time::sleep(Duration::from_secs(60)).await;
    losing.store(false, Ordering::SeqCst);
    assert_eq!(receiver.heard(), []);
    hours(1).await;
    system.settled().await;
    assert_eq!(receiver.heard().len(), 1);
    promises_hold(&system).await;
}

/// Over a real socket, by the client that is deployed: what arrives is what was signed, and a redirect is not followed.
#[tokio::test]
async fn a_real_endpoint_hears_it_too() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks?a=b", listener.local_addr().unwrap());
    let redirect = format!("http://{}/", elsewhere.local_addr().unwrap());
    let serve = tokio::spawn(async move {
        let mut heard = Vec::new();
        for number in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let body = loop {
                let mut buffer = [0; 4_096];
                let read = socket.read(&mut buffer).await.unwrap();
                assert!(read > 0, "it ended early: {}", String::from_utf8_lossy(&bytes));
                bytes.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() == length.unwrap().parse::<usize>().unwrap() {
                    break (head.to_owned(), body.to_owned());
                }
            };
            heard.push(body);
            let answer = if number == 0 {
                format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {redirect}\r\ncontent-length: 0\r\n\r\n")
            } else {
                // A body without an end, of which nobody wants to hear.
                format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n{}", "x".repeat(10_000))
            };
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        heard
    });
    let system = system_with(|mut options| {
        options.outside = Outside::network(Reach::ThisMachineToo);
        options
    });
    let secret = put(&system, "alice", &url).await.expect(200).get("secret");
    user(&system, "alice").order("o1", "10").await.expect(201);
    // After five seconds it is tried again.
    let heard = tokio::time::timeout(Duration::from_secs(60), serve).await.unwrap().unwrap();
    for (head, body) in heard {
        assert!(head.starts_with("POST /hooks?a=b HTTP/1.1\r\n"), "{head}");
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let at_ms = headers["webhook-timestamp"].parse::<i64>().unwrap() * 1_000;
        assert!(Heard { url: url.clone(), at_ms, headers, body }.is_signed_with(&secret), "{head}");
    }
    let delivered = async {
        while get(&system, "alice").await.json().get("failing_since").is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), delivered).await.unwrap();
    let nobody = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(nobody.is_err(), "the redirect was followed");
    system.stop().await;
}
