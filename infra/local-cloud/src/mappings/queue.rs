//! From a queue to a function: batches, windows, filters, and which messages are deleted afterwards.
//!
//! What succeeded is deleted; what failed stays in flight until its visibility time-out ends, and the queue counts how
//! often it came. In a FIFO queue a failed message holds its group back; that a function names everything after the
//! first failure of a group is the function's duty, as on AWS.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::{Filters, Stopping, reported_failures};
use crate::cloud::Core;
use crate::invoke::{Trigger, WhenBusy};
use crate::sqs::protocol::SENDER;
use crate::sqs::{Kept, Message, Receiver, md5_hex};
use crate::stack::QueueMapping;

/// How many batches are under way at most where the mapping does not say.
const CONCURRENCY: usize = 4;
/// What a batch of a FIFO queue holds at most.
const MOST_OF_FIFO: u32 = 10;

pub(super) async fn run(core: Arc<Core>, mapping: QueueMapping, filters: Filters, mut stopping: Stopping) {
    let Some(kept) = core.sqs.by_arn(&mapping.queue_arn) else { return };
    let mapping = Arc::new(mapping);
    let most_at_once =
        mapping.max_concurrency.and_then(|most| usize::try_from(most).ok()).unwrap_or(CONCURRENCY).max(1);
    let mut batches = JoinSet::new();
    let mut listener = kept.signal.listen();
    loop {
        listener.about_to_look();
        if batches.len() < most_at_once {
            match gather(&core, kept, &mapping, &filters, &mut stopping).await {
                Ok(batch) if !batch.is_empty() => {
                    batches.spawn(process(core.clone(), mapping.clone(), batch));
                    continue;
                }
                Ok(_) => {}
                Err(reason) => tracing::error!(queue = %kept.queue.name, %reason, "a queue cannot be read"),
            }
        }
        let full = batches.len() >= most_at_once;
        tokio::select! {
            biased;
            () = stopping.asked() => break,
            Some(_) = batches.join_next() => {}
            () = listener.raised(), if !full => {}
            () = until_visible(&core, kept), if !full => {}
        }
    }
    while batches.join_next().await.is_some() {}
}

async fn until_visible(core: &Core, kept: &Kept) {
    let now_ms = core.clock.now_ms();
    match core.sqs.next_visible_at(kept, now_ms) {
        Ok(Some(at)) => tokio::time::sleep(Duration::from_millis(at.abs_diff(now_ms))).await,
        _ => std::future::pending().await,
    }
}

/// Up to a batch of messages that the filters let through; the others are deleted. A standard queue's batch waits for
/// its window to end or to be full.
async fn gather(
    core: &Core,
    kept: &Kept,
    mapping: &QueueMapping,
    filters: &Filters,
    stopping: &mut Stopping,
) -> Result<Vec<Message>, String> {
    let fifo = kept.queue.fifo;
    let most = if fifo { mapping.batch_size.min(MOST_OF_FIFO) } else { mapping.batch_size }.max(1);
    let window_seconds = if fifo { 0 } else { mapping.window_seconds };
    let mut batch = Vec::new();
    let mut window_ends = None;
    let mut listener = kept.signal.listen();
    loop {
        listener.about_to_look();
        let wanted = most.saturating_sub(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let received = core
            .sqs
            .receive(kept, wanted, kept.queue.visibility_seconds, Receiver::Mapping, core.clock.now_ms())
            .map_err(|refusal| refusal.message)?;
        let came_any = !received.is_empty();
        for message in received {
            if filters.is_empty() || filters.let_through(&filtered_form(record(core, kept, &message))) {
                batch.push(message);
            } else {
                delete(core, kept, &message);
            }
        }
        let full = batch.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        if full || (batch.is_empty() && !came_any) {
            return Ok(batch);
        }
        if came_any && batch.is_empty() {
            continue;
        }
        if window_seconds == 0 {
            return Ok(batch);
        }
        let ends = *window_ends.get_or_insert_with(|| Instant::now() + Duration::from_secs(u64::from(window_seconds)));
        tokio::select! {
            biased;
            () = stopping.asked() => return Ok(batch),
            () = tokio::time::sleep_until(ends) => return Ok(batch),
            () = listener.raised() => {}
        }
    }
}

async fn process(core: Arc<Core>, mapping: Arc<QueueMapping>, batch: Vec<Message>) {
    let Some(kept) = core.sqs.by_arn(&mapping.queue_arn) else { return };
    let records: Vec<Value> = batch.iter().map(|message| record(&core, kept, message)).collect();
    let event = json!({ "Records": records });
    let answer = core.functions.invoke(&mapping.function, event, Trigger::Queue, WhenBusy::Wait).await;
    let Ok(answer) = answer else { return };
    let failed = if mapping.reports_item_failures { reported_failures(&answer) } else { Some(Vec::new()) };
    let known: BTreeSet<&str> = batch.iter().map(|message| message.id.as_str()).collect();
    let Some(failed) = failed.filter(|failed| failed.iter().all(|id| known.contains(id.as_str()))) else {
        tracing::warn!(function = %mapping.function, %answer, "the partial batch response cannot be understood: the whole batch failed");
        return;
    };
    for message in batch.iter().filter(|message| !failed.contains(&message.id)) {
        delete(&core, kept, message);
    }
}

/// A message whose visibility ended meanwhile belongs to somebody else now, and stays.
fn delete(core: &Core, kept: &Kept, message: &Message) {
    if let Err(refusal) = core.sqs.delete(kept, &message.receipt, core.clock.now_ms()) {
        tracing::warn!(queue = %kept.queue.name, reason = %refusal.message, "a message that was worked off stays in its queue");
    }
}

/// One message as a function sees it.
fn record(core: &Core, kept: &Kept, message: &Message) -> Value {
    json!({
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": message.system_attributes(SENDER),
        "messageAttributes": lower_camel(&message.attributes),
        "md5OfBody": md5_hex(message.body.as_bytes()),
        "eventSource": "aws:sqs",
        "eventSourceARN": kept.queue.arn,
        "awsRegion": core.stack.region,
    })
}

/// Lambda writes the fields of message attributes with a small letter, and the lists that nobody ever fills.
fn lower_camel(attributes: &Map<String, Value>) -> Value {
    attributes
        .iter()
        .map(|(name, attribute)| {
            let mut written = json!({ "stringListValues": [], "binaryListValues": [] });
            for (from, to) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue"), ("DataType", "dataType")]
            {
                if let Some(value) = attribute.get(from) {
                    written[to] = value.clone();
                }
            }
            (name.clone(), written)
        })
        .collect::<Map<_, _>>()
        .into()
}

/// A filter looks into a body that is a JSON object; another it sees as text.
fn filtered_form(mut record: Value) -> Value {
    let parsed = record["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok());
    if let Some(parsed) = parsed.filter(Value::is_object) {
        record["body"] = parsed;
    }
    record
}
