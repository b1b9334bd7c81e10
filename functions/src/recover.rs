//! Takes up what others could not finish: dead letters, and stream records that could not be relayed. An order is
//! advanced from its state or marked as stalled, a notification is kept, events are sent again, and what nobody can
//! read is kept with its content. Only what is done leaves its queue or its bucket.

use std::collections::BTreeSet;

use domain::books::Key;
use domain::messages::{Notification, Work, WorkMessage};
use domain::payments::GatewayMessage;
use domain::planted;
use domain::webhooks::WebhookMessage;
use platform::bucket::Bucket;
use platform::queue::{Batch, Delivery};
use platform::runtime::{Failed, Invocation};
use platform::{App, Failure, stream};
use serde_json::{Value, json};

use crate::work;

pub(crate) async fn handle(app: &App, event: Value, invocation: Invocation) -> Result<Value, Failed> {
    if event["Records"][0]["eventSource"] == "aws:sqs" {
        dead_letters(app, event, invocation).await
    } else {
        // An object was created, or it is time to look: the bucket says what is to be done.
        failed_records(app, invocation).await
    }
}

async fn dead_letters(app: &App, event: Value, invocation: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let mut failed = BTreeSet::new();
    for (place, delivery) in batch.deliveries.iter().enumerate() {
        if let Err(error) = take_up(app, delivery, invocation).await {
            tracing::error!(error = %error, queue = delivery.queue, "a dead letter could not be taken up");
            failed.extend((!planted!(DeadLetterSwallowed)).then_some(place));
        }
    }
    Ok(batch.answer(&failed))
}

async fn take_up(app: &App, delivery: &Delivery, invocation: Invocation) -> Result<(), Failure> {
    if let Ok(message) = serde_json::from_str::<WorkMessage>(&delivery.body) {
        return match message.work {
            Work::Advance { order, .. } => {
                let advanced = work::advance_from_state(app, order).await;
                work::done_or_stalled(app, order, advanced).await
            }
            Work::Wake { .. } if planted!(DeadWakeForgotten) => Ok(()),
            Work::Wake { .. } => work::wake(app, &message, invocation).await,
        };
    }
    if let Ok(message) = serde_json::from_str::<WebhookMessage>(&delivery.body) {
        // It has its own time at which it is sent again; if that has come, then now.
        return work::look_at_delivery(app, message.webhook).await;
    }
    if let Ok(message) = serde_json::from_str::<GatewayMessage>(&delivery.body) {
        // So has this.
        return work::look_at_what_is_called_about(app, message.key).await;
    }
    match serde_json::from_str::<Notification>(&delivery.body) {
        Ok(notification) => {
            let key = Key::Endpoint(notification.customer);
            let endpoint = app.store.table().load(&[key]).await?.remove(&key).flatten();
            work::tell(app, &notification, endpoint).await
        }
        Err(error) => work::keep_unreadable(app, delivery, &error.to_string()).await,
    }
}

async fn failed_records(app: &App, invocation: Invocation) -> Result<Value, Failed> {
    let bucket = app.failed_records()?;
    let (mut taken_up, mut left) = (0_u32, 0_u32);
    for key in bucket.keys().await? {
        if !invocation.has_time(app.now()) {
            break;
        }
        // Whatever is wrong with one, it is not to stand before the others.
        match take_up_object(app, &bucket, &key).await {
            Ok(()) => taken_up += 1,
            Err(error) => {
                tracing::error!(error = %error, key, "a failed record stays in its bucket");
                left += 1;
            }
        }
    }
    if left > 0 {
        return Err(Failed(format!("{left} objects stay in the bucket; {taken_up} were taken up")));
    }
    Ok(json!({ "taken_up": taken_up }))
}

/// Sends everything that the records of an object told, keeps those that nobody can read, and deletes the object.
/// Whoever hears it twice recognises it by its id. What a newer release wrote stays where it is, for that release.
async fn take_up_object(app: &App, bucket: &Bucket<'_>, key: &str) -> Result<(), Failed> {
    let object = bucket.read(key).await?;
    let event = payload(&object).map_err(|why| Failed(format!("it cannot be read: {why}")))?;
    let contents: Vec<String> = event["Records"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let batch = stream::Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let messages = batch.records.iter().flat_map(stream::Record::messages).map(|message| (0, message));
    if !app.outbox.publish(messages).await.is_empty() && !planted!(RecordsDeletedUnsent) {
        return Err(Failed("its events could not all be sent again".to_owned()));
    }
    let mut newer = 0;
    for (record, content) in batch.records.iter().zip(contents) {
        match &record.stored {
            Ok(_) => {}
            Err(stream::Unread::Newer(_)) => newer += 1,
            Err(stream::Unread::Unreadable(reason)) => {
                let delivery = Delivery { body: content, queue: key.to_owned(), ..Delivery::default() };
                let kept = work::keep_unreadable(app, &delivery, reason).await;
                kept.map_err(|error| Failed(error.to_string()))?;
            }
        }
    }
    if newer > 0 {
        return Err(Failed(format!("{newer} of its records are of a newer release")));
    }
    bucket.delete(key).await
}

/// The whole event, which the failure record carries as JSON or as text that is JSON.
fn payload(object: &str) -> Result<Value, String> {
    let mut record: Value = serde_json::from_str(object).map_err(|error| error.to_string())?;
    match record["payload"].take() {
        Value::String(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
        payload @ Value::Object(_) => Ok(payload),
        _ => Err("it has no payload".to_owned()),
    }
}
