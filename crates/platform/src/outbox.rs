//! Publishes what commits told: work and notifications to their queues, public events to the bus. In batches, and
//! with an answer for each message, so that a record is done only when all that it told is away.

use std::collections::BTreeSet;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use domain::Timestamp;
use domain::messages::{Message, Notification, PublicEvent, WorkMessage};
use domain::payments::GatewayMessage;
use domain::planted;
use domain::webhooks::WebhookMessage;

use crate::aws::Clients;
use crate::config::Config;

/// Both services take ten at once.
const BATCH: usize = 10;
const SOURCE: &str = "paidonce";

#[derive(Clone)]
pub struct Outbox {
    clients: Clients,
    order_updates_url: String,
    notifications_url: String,
    webhooks_url: String,
    gateway_calls_url: String,
    bus: String,
}

/// A message, and what it belongs to: its record, or itself.
#[derive(Clone, Debug)]
struct Post {
    of: usize,
    body: String,
    group: Option<String>,
    order: Order,
}

/// How a queue is to keep it among others.
#[derive(Clone, Debug)]
enum Order {
    /// A queue in order, which tells repeats by this.
    InTurn { deduplication: String },
    /// A queue without order, which may hold it back for so many seconds.
    AnyTime { delay: i32 },
}

struct Announcement {
    of: usize,
    detail_type: &'static str,
    detail: String,
    at: Timestamp,
}

impl Outbox {
    pub fn new(clients: Clients, config: &Config) -> Self {
        Self {
            clients,
            order_updates_url: config.order_updates_url.clone(),
            notifications_url: config.notifications_url.clone(),
            webhooks_url: config.webhooks_url.clone(),
            gateway_calls_url: config.gateway_calls_url.clone(),
            bus: config.bus.clone(),
        }
    }

    /// Sends every message, and says which of those that they belong to have one that did not go.
    pub async fn publish(&self, messages: impl IntoIterator<Item = (usize, Message)>) -> BTreeSet<usize> {
        let (mut work, mut notices, mut webhooks, mut calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut public = Vec::new();
        for (of, message) in messages {
            match message {
                Message::Work(message) => work.push(Post::work(of, &message)),
                Message::Notice(notification) => notices.push(Post::notice(of, &notification)),
                Message::Webhook(message, seconds) => webhooks.push(Post::webhook(of, &message, seconds)),
                Message::Gateway(message, seconds) => calls.push(Post::call(of, &message, seconds)),
                Message::Public(event) => public.push(Announcement::new(of, &event)),
            }
        }
        let mut failed = self.send(&self.order_updates_url, &work).await;
        failed.extend(self.send(&self.notifications_url, &notices).await);
        failed.extend(self.send(&self.webhooks_url, &webhooks).await);
        failed.extend(self.send(&self.gateway_calls_url, &calls).await);
        failed.extend(self.announce(&public).await);
        failed
    }

    /// Sends work as a new attempt.
    pub async fn send_work(&self, messages: &[WorkMessage]) -> BTreeSet<usize> {
        let posts: Vec<_> = (0..).zip(messages).map(|(of, message)| Post::work(of, message)).collect();
        self.send(&self.order_updates_url, &posts).await
    }

    async fn send(&self, url: &str, posts: &[Post]) -> BTreeSet<usize> {
        let mut failed = BTreeSet::new();
        for batch in posts.chunks(BATCH) {
            let entries = (0..).zip(batch).map(|(place, post): (usize, &Post)| {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(place.to_string())
                    .message_body(&post.body)
                    .set_message_group_id(post.group.clone());
                match &post.order {
                    Order::InTurn { deduplication } => entry.message_deduplication_id(deduplication),
                    Order::AnyTime { delay } => entry.delay_seconds(*delay),
                }
                .build()
                .expect("id and body are set")
            });
            let sent =
                self.clients.sqs.send_message_batch().queue_url(url).set_entries(Some(entries.collect())).send().await;
            match sent {
                Ok(answer) => {
                    let arrived: BTreeSet<&str> = answer.successful.iter().map(|entry| entry.id.as_str()).collect();
                    for entry in &answer.failed {
                        tracing::warn!(code = entry.code, "a queue did not take a message");
                    }
                    let missing = (0..).zip(batch).filter(|(place, _)| {
                        let place: &usize = place;
                        !arrived.contains(place.to_string().as_str()) && !planted!(FailedEntriesIgnored)
                    });
                    failed.extend(missing.map(|(_, post)| post.of));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "a queue did not answer");
                    failed.extend(batch.iter().map(|post| post.of));
                }
            }
        }
        failed
    }

    async fn announce(&self, announcements: &[Announcement]) -> BTreeSet<usize> {
        let mut failed = BTreeSet::new();
        for batch in announcements.chunks(BATCH) {
            let entries = batch.iter().map(|announcement| {
                PutEventsRequestEntry::builder()
                    .source(SOURCE)
                    .event_bus_name(&self.bus)
                    .detail_type(announcement.detail_type)
                    .detail(&announcement.detail)
                    .time(aws_sdk_eventbridge::primitives::DateTime::from_millis(announcement.at.as_millis()))
                    .build()
            });
            match self.clients.eventbridge.put_events().set_entries(Some(entries.collect())).send().await {
                Ok(answer) => {
                    let results = answer.entries.unwrap_or_default();
                    for (place, announcement) in batch.iter().enumerate() {
                        // A result that is missing is one that did not arrive.
                        let is_missing = results.get(place).is_none_or(|result| result.event_id.is_none());
                        if is_missing && !planted!(BusFailuresIgnored) {
                            failed.insert(announcement.of);
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "the bus did not answer");
                    failed.extend(batch.iter().map(|announcement| announcement.of));
                }
            }
        }
        failed
    }
}

impl Post {
    fn work(of: usize, message: &WorkMessage) -> Self {
        let order = Order::InTurn { deduplication: message.deduplication_id() };
        Self { of, body: json(message), group: Some(message.group()), order }
    }

    fn notice(of: usize, notification: &Notification) -> Self {
        let order = Order::InTurn { deduplication: notification.deduplication_id() };
        Self { of, body: json(notification), group: Some(notification.group()), order }
    }

    fn webhook(of: usize, message: &WebhookMessage, seconds: u32) -> Self {
        let order = Order::AnyTime { delay: i32::try_from(seconds).unwrap_or(i32::MAX) };
        Self { of, body: json(message), group: Some(message.group()), order }
    }

    fn call(of: usize, message: &GatewayMessage, seconds: u32) -> Self {
        let order = Order::AnyTime { delay: i32::try_from(seconds).unwrap_or(i32::MAX) };
        // There is one gateway behind it for all, so there is nobody to be fair between.
        Self { of, body: json(message), group: None, order }
    }
}

impl Announcement {
    fn new(of: usize, event: &PublicEvent) -> Self {
        Self { of, detail_type: event.detail_type, detail: json(event), at: event.occurred_at }
    }
}

fn json(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).expect("messages are plain data with text keys")
}
