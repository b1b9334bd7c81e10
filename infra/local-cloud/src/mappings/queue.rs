//! From a queue to a function: batches, windows, filters, and which messages are deleted afterwards.
//!
//! What succeeded is deleted; what failed stays in flight until its visibility time-out ends, and the queue counts how
//! often it came. A batch whose function has no concurrency left waits for it, and is dropped when its messages become
//! visible again. How many batches are under way is in `scaling`. In a FIFO queue a failed message holds its group back; that a function names everything after the
//! first failure of a group is the function's duty, as on AWS.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::scaling::Scaling;
use super::{AROUND_RECORDS_BYTES, Filters, LARGEST_EVENT_BYTES, Stopping, reported_failures};
use crate::cloud::Core;
use crate::invoke::{Attempt, Trigger};
use crate::sqs::protocol::SENDER;
use crate::sqs::{Kept, Message, Receiver, Room, md5_hex};
use crate::stack::QueueMapping;

/// What a batch of a FIFO queue holds at most.
const MOST_OF_FIFO: u32 = 10;
/// What a receive adds to a record that is measured before: the handle, and a digit of the count.
const RECEIPT_BYTES: usize = 64;

/// Messages that are handed over together, and when the first of them becomes visible again.
struct Batch {
    messages: Vec<Message>,
    visible_at: Instant,
}

/// What became of a batch, as far as it tells whether more can be under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    /// The function failed, or could not run.
    Badly,
}

pub(super) async fn run(core: Arc<Core>, mapping: QueueMapping, filters: Filters, mut stopping: Stopping) {
    let Some(kept) = core.sqs.by_arn(&mapping.queue_arn) else { return };
    let mapping = Arc::new(mapping);
    let mut scaling = Scaling::up_to(mapping.max_concurrency);
    let mut batches = JoinSet::new();
    let mut listener = kept.signal.listen();
    loop {
        listener.about_to_look();
        if batches.len() < scaling.allowed(Instant::now()) {
            match gather(&core, kept, &mapping, &filters, &mut stopping).await {
                Ok(batch) if !batch.messages.is_empty() => {
                    batches.spawn(process(core.clone(), mapping.clone(), batch, stopping.clone()));
                    continue;
                }
                Ok(_) => scaling.rest(),
                Err(reason) => tracing::error!(queue = %kept.queue.name, %reason, "a queue cannot be read"),
            }
        }
        let now = Instant::now();
        let full = batches.len() >= scaling.allowed(now);
        if full {
            scaling.is_behind(now, core.functions.is_saturated(&mapping.function));
        }
        tokio::select! {
            biased;
            () = stopping.asked() => break,
            Some(ended) = batches.join_next() => {
                if ended.is_ok_and(|ended| ended == Ended::Badly) {
                    scaling.rest();
                }
            }
            () = listener.raised(), if !full => {}
            () = until_visible(&core, kept), if !full => {}
            () = scaling.grown(now), if full => {}
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

/// Up to a batch of messages that the filters let through, and no more than an event can hold; what the filters do not
/// let through is deleted. A standard queue's batch waits for its window to end or to be full.
async fn gather(
    core: &Core,
    kept: &Kept,
    mapping: &QueueMapping,
    filters: &Filters,
    stopping: &mut Stopping,
) -> Result<Batch, String> {
    let fifo = kept.queue.fifo;
    let most = if fifo { mapping.batch_size.min(MOST_OF_FIFO) } else { mapping.batch_size }.max(1);
    let window_seconds = if fifo { 0 } else { mapping.window_seconds };
    let visibility_seconds = visibility_seconds(core, kept, mapping, window_seconds);
    let visibility = Duration::from_secs(u64::from(visibility_seconds));
    let measure = |message: &Message| record(core, kept, message).to_string().len() + RECEIPT_BYTES;
    let mut room = Room::of_bytes(LARGEST_EVENT_BYTES - AROUND_RECORDS_BYTES, &measure);
    let mut batch = Batch { messages: Vec::new(), visible_at: Instant::now() + visibility };
    let mut window_ends = None;
    let mut listener = kept.signal.listen();
    loop {
        listener.about_to_look();
        if batch.messages.is_empty() {
            batch.visible_at = Instant::now() + visibility;
        }
        let wanted = most.saturating_sub(u32::try_from(batch.messages.len()).unwrap_or(u32::MAX));
        let received = core
            .sqs
            .receive_into(&mut room, kept, wanted, visibility_seconds, Receiver::Mapping, core.clock.now_ms())
            .map_err(|refusal| refusal.message)?;
        let came_any = !received.is_empty();
        for message in received {
            if filters.is_empty() || filters.let_through(&filtered_form(record(core, kept, &message))) {
                batch.messages.push(message);
            } else {
                delete(core, kept, &message);
            }
        }
        let full = batch.messages.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        if full || (batch.messages.is_empty() && !came_any) {
            return Ok(batch);
        }
        if came_any && batch.messages.is_empty() {
            room = Room::of_bytes(LARGEST_EVENT_BYTES - AROUND_RECORDS_BYTES, &measure);
            continue;
        }
        if window_seconds == 0 || room.is_full {
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

/// A window and a run that outlast the queue's visibility time-out take one that is long enough instead.
fn visibility_seconds(core: &Core, kept: &Kept, mapping: &QueueMapping, window_seconds: u32) -> u32 {
    const MARGIN_SECONDS: u32 = 30;
    let timeout_seconds = core.stack.function(&mapping.function).map_or(0, |function| function.timeout_seconds);
    if window_seconds > 0 && window_seconds + timeout_seconds > kept.queue.visibility_seconds {
        window_seconds + timeout_seconds + MARGIN_SECONDS
    } else {
        kept.queue.visibility_seconds
    }
}

async fn process(core: Arc<Core>, mapping: Arc<QueueMapping>, batch: Batch, mut stopping: Stopping) -> Ended {
    let Some(kept) = core.sqs.by_arn(&mapping.queue_arn) else { return Ended::Badly };
    let Batch { messages, visible_at } = batch;
    let records: Vec<Value> = messages.iter().map(|message| record(&core, kept, message)).collect();
    let event = json!({ "Records": records });
    let patience = async {
        tokio::select! {
            () = stopping.asked() => {}
            () = tokio::time::sleep_until(visible_at) => {}
        }
    };
    let answer = match core.functions.attempt(&mapping.function, event, Trigger::Queue, patience).await {
        Attempt::Answered(answer) => answer,
        Attempt::Failed(_) | Attempt::Throttled(_) => return Ended::Badly,
    };
    let failed = if mapping.reports_item_failures { reported_failures(&answer) } else { Some(Vec::new()) };
    let known: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    let Some(failed) = failed.filter(|failed| failed.iter().all(|id| known.contains(id.as_str()))) else {
        tracing::warn!(function = %mapping.function, %answer, "the partial batch response cannot be understood: the whole batch failed");
        return Ended::Badly;
    };
    for message in messages.iter().filter(|message| !failed.contains(&message.id)) {
        delete(&core, kept, message);
    }
    Ended::Well
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

/// A filter looks into a body that is JSON; another it sees as text. So a pattern for the one never matches the other.
fn filtered_form(mut record: Value) -> Value {
    if let Some(parsed) = record["body"].as_str().and_then(|body| serde_json::from_str::<Value>(body).ok()) {
        record["body"] = parsed;
    }
    record
}
