//! Takes up what others could not finish: dead letters, and stream records that could not be relayed. An order is
//! advanced from its state or marked as stalled, a notification is kept, events are sent again, and what nobody can
//! read is kept with its content. Only what is done leaves its queue or its bucket.

use std::collections::BTreeSet;

use domain::messages::{Notification, Work, WorkMessage};
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
            failed.insert(place);
        }
    }
    Ok(batch.answer(&failed))
}

async fn take_up(app: &App, delivery: &Delivery, invocation: Invocation) -> Result<(), Failure> {
    if let Ok(message) = serde_json::from_str::<WorkMessage>(&delivery.body) {
        return match message.work {
            Work::Advance { order, .. } => match work::advance_from_state(app, order).await {
                Err(error) => {
                    tracing::error!(error = %error, order = %order, "order {order} is stalled");
                    work::stall(app, order).await
                }
                Ok(()) => Ok(()),
            },
            Work::Wake { .. } => work::wake(app, &message, invocation).await,
        };
    }
    match serde_json::from_str::<Notification>(&delivery.body) {
        Ok(notification) => work::keep_once(app, notification).await,
        Err(error) => work::keep_unreadable(app, delivery, &error.to_string()).await,
    }
}

async fn failed_records(app: &App, invocation: Invocation) -> Result<Value, Failed> {
    let bucket = app.failed_records()?;
    let mut taken_up = 0_u32;
    for key in bucket.keys().await? {
        if !invocation.has_time(app.now()) {
            break;
        }
        let object = bucket.read(&key).await?;
        relay_again(app, &key, &object).await?;
        bucket.delete(&key).await?;
        taken_up += 1;
    }
    Ok(json!({ "taken_up": taken_up }))
}

/// Sends everything that the records told. Whoever hears it twice recognises it by its id.
async fn relay_again(app: &App, key: &str, object: &str) -> Result<(), Failed> {
    let failed = |error: Failure| Failed(error.to_string());
    let unreadable = |content: &str, reason: String| {
        let delivery = Delivery {
            message_id: String::new(),
            body: content.to_owned(),
            group: String::new(),
            queue: key.to_owned(),
        };
        async move { work::keep_unreadable(app, &delivery, &reason).await }
    };
    let batch = match payload(object).and_then(|event| stream::Batch::from_event(event).map_err(|e| e.to_string())) {
        Ok(batch) => batch,
        Err(reason) => return unreadable(object, reason).await.map_err(failed),
    };
    for record in &batch.records {
        if let Err(reason) = &record.stored {
            unreadable(&format!("{object} record {}", record.sequence_number), reason.clone()).await.map_err(failed)?;
        }
    }
    let messages = batch.records.iter().flat_map(stream::Record::messages).map(|message| (0, message));
    if app.outbox.publish(messages).await.is_empty() {
        Ok(())
    } else {
        Err(Failed(format!("the events of {key} could not be sent again")))
    }
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
