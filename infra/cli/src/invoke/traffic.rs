//! What a function told and sent, read off the calls that it made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use benchmarks::{Call, Calls};
use domain::events::{Event, EventId};
use platform::stream::Batch;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The events of its commits, each as `{event, at, told, …}`.
pub(super) fn told(calls: &Calls) -> Result<Vec<Value>, Failure> {
    let records = calls.iter().flat_map(Call::written).map(record).collect();
    let batch = Batch::from_event(json!({ "Records": Value::Array(records) }));
    let mut told = BTreeMap::new();
    for record in batch.map_err(unreadable)?.records {
        let Some(stored) = record.stored.map_err(unreadable)? else { continue };
        let (key, version) = (stored.found.item.key(), stored.found.version);
        for (index, event) in (0..).zip(stored.events) {
            // A repeat of the SDK's is the same once more.
            told.entry(EventId::new(&key, version, index)).or_insert(event);
        }
    }
    Ok(told.into_iter().map(|(id, event)| shown(id, &event)).collect())
}

fn shown(id: EventId, event: &Event) -> Value {
    let mut shown = json!(event);
    shown["event"] = id.to_string().into();
    shown["at"] = event.at.to_string().into();
    shown
}

/// An item as the table's stream hands it on, which is how events are read.
fn record(item: &Value) -> Value {
    json!({
        "awsRegion": "",
        "eventID": "",
        "eventName": "MODIFY",
        "dynamodb": { "ApproximateCreationDateTime": 0, "Keys": {}, "NewImage": item, "SizeBytes": 0 },
    })
}

fn unreadable(error: impl Display) -> Failure {
    Failure::Failed(format!("what the function wrote cannot be read back: {error}"))
}

/// What it put on queues and on the bus, in the order in which it did: each with whether the service took it.
pub(super) fn sent(calls: &Calls) -> Vec<Value> {
    calls
        .iter()
        .flat_map(|call| match (call.service.as_str(), call.operation.as_str()) {
            ("AmazonSQS", "SendMessageBatch") => messages(call),
            ("AWSEvents", "PutEvents") => entries(call),
            _ => Vec::new(),
        })
        .collect()
}

fn messages(call: &Call) -> Vec<Value> {
    let queue = call.request["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let taken: BTreeSet<&str> = all(call.done(), "Successful").filter_map(|entry| entry["Id"].as_str()).collect();
    all(Some(&call.request), "Entries")
        .map(|entry| {
            json!({
                "to": queue,
                "group": entry["MessageGroupId"],
                "deduplication": entry["MessageDeduplicationId"],
                "body": parsed(&entry["MessageBody"]),
                "taken": entry["Id"].as_str().is_some_and(|id| taken.contains(id)),
            })
        })
        .collect()
}

fn entries(call: &Call) -> Vec<Value> {
    let taken: BTreeMap<usize, bool> =
        all(call.done(), "Entries").map(|result| result["EventId"].is_string()).enumerate().collect();
    all(Some(&call.request), "Entries")
        .enumerate()
        .map(|(place, entry)| {
            json!({
                "to": entry["EventBusName"],
                "type": entry["DetailType"],
                "detail": parsed(&entry["Detail"]),
                "taken": taken.get(&place).copied().unwrap_or(false),
            })
        })
        .collect()
}

fn all<'a>(body: Option<&'a Value>, field: &str) -> impl Iterator<Item = &'a Value> {
    body.and_then(|body| body[field].as_array()).into_iter().flatten()
}

/// Text that is JSON, as that.
fn parsed(text: &Value) -> Value {
    text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| text.clone())
}

/// What it told besides its name, its id and its time.
pub(super) fn details(told: &Value) -> Map<String, Value> {
    let mut details = told.as_object().cloned().unwrap_or_default();
    ["event", "at", "told"].into_iter().for_each(|name| drop(details.remove(name)));
    details
}
