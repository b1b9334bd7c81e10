//! What a bus or a schedule owes to a target: a row from the moment of the promise until the target has it.
//!
//! A function is invoked asynchronously: it gets two more tries, one and two minutes later, and waits for concurrency,
//! each within the limits of its `EventInvokeConfig`; what becomes of the event then is in `outcome`. A queue takes an
//! event or refuses it for good. After a crash a delivery may come twice, as it may on AWS.

mod outcome;

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Transaction, params};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use self::outcome::{Condition, Ended};
use crate::cloud::Core;
use crate::function::FunctionError;
use crate::invoke::{Attempt, Trigger};
use crate::mappings::Stopping;
use crate::random::Random;
use crate::signal::Signal;
use crate::sqs::Outgoing;
use crate::stack::Target;
use crate::store::Store;

const RETRY_AFTER_MS: [i64; 2] = [60_000, 120_000];
/// A function without concurrency is tried again after a second, then after twice as long each time, up to this.
const LONGEST_THROTTLED_PAUSE_MS: i64 = 300_000;
/// After a fault of the store.
const FAULT_PAUSE_MS: i64 = 1_000;
const AT_ONCE: usize = 16;

pub(crate) struct Deliveries {
    store: Arc<Store>,
    random: Arc<Random>,
    signal: Signal,
    activity: Signal,
}

struct Delivery {
    id: i64,
    origin: String,
    owed: Owed,
    event: Value,
    /// How often the function ran.
    attempts: u32,
}

/// To whom it is owed, since when, and what is known of the tries so far.
#[derive(Clone)]
struct Owed {
    target: Target,
    since_ms: i64,
    /// The same for every try.
    request_id: String,
    throttled: u32,
    last_error: Option<FunctionError>,
}

impl Deliveries {
    pub(crate) fn new(store: Arc<Store>, random: Arc<Random>, activity: Signal) -> Self {
        Self { store, random, signal: Signal::new(), activity }
    }

    /// Part of the caller's transaction; call `added` once that is through.
    pub(crate) fn add(
        &self,
        transaction: &Transaction<'_>,
        origin: &str,
        target: &Target,
        event: &Value,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let owed = Owed {
            target: target.clone(),
            since_ms: now_ms,
            request_id: self.random.uuid(),
            throttled: 0,
            last_error: None,
        };
        transaction
            .prepare_cached("INSERT INTO deliveries (origin, target, event, due_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![origin, owed.written(), event.to_string(), now_ms])
            .map(drop)
    }

    pub(crate) fn added(&self) {
        self.signal.raise();
        self.activity.raise();
    }

    pub(crate) fn is_empty(&self) -> rusqlite::Result<bool> {
        self.store.read(|connection| Ok(!connection.prepare_cached("SELECT 1 FROM deliveries LIMIT 1")?.exists([])?))
    }

    fn due(&self, now_ms: i64, under_way: &BTreeSet<i64>) -> rusqlite::Result<Vec<Delivery>> {
        self.store.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, origin, target, event, attempts FROM deliveries WHERE due_at <= ?1 ORDER BY id",
            )?;
            let mut rows = statement.query([now_ms])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                if under_way.contains(&id) {
                    continue;
                }
                if due.len() + under_way.len() >= AT_ONCE {
                    break;
                }
                let (owed, event): (String, String) = (row.get(2)?, row.get(3)?);
                let Some(owed) = Owed::read(&owed, now_ms) else { continue };
                let event = serde_json::from_str(&event).unwrap_or_default();
                due.push(Delivery { id, origin: row.get(1)?, owed, event, attempts: row.get(4)? });
            }
            Ok(due)
        })
    }

    fn next_due_at(&self, now_ms: i64) -> rusqlite::Result<Option<i64>> {
        self.store.read(|connection| {
            connection
                .prepare_cached("SELECT MIN(due_at) FROM deliveries WHERE due_at > ?1")?
                .query_row([now_ms], |row| row.get(0))
        })
    }

    fn done(&self, id: i64) -> rusqlite::Result<()> {
        self.store.read(|connection| {
            connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id]).map(drop)
        })
    }

    fn put_off(&self, delivery: &Delivery, due_at: i64) -> rusqlite::Result<()> {
        self.store.read(|connection| {
            connection
                .prepare_cached("UPDATE deliveries SET target = ?2, attempts = ?3, due_at = ?4 WHERE id = ?1")?
                .execute(params![delivery.id, delivery.owed.written(), delivery.attempts, due_at])
                .map(drop)
        })
    }
}

/// Delivers until it is told to stop; what is under way then is finished first.
pub(crate) async fn deliver(core: Arc<Core>, mut stopping: Stopping) {
    let mut under_way = BTreeSet::new();
    let mut tasks = JoinSet::new();
    let mut listener = core.deliveries.signal.listen();
    loop {
        listener.about_to_look();
        let now_ms = core.clock.now_ms();
        match core.deliveries.due(now_ms, &under_way) {
            Ok(due) => {
                for delivery in due {
                    under_way.insert(delivery.id);
                    tasks.spawn(deliver_one(core.clone(), delivery));
                }
            }
            Err(reason) => tracing::error!(%reason, "pending deliveries cannot be read"),
        }
        let look_again = core.deliveries.next_due_at(now_ms).ok().flatten();
        let asleep = async {
            match look_again {
                Some(at) => tokio::time::sleep_until(Instant::now() + Duration::from_millis(at.abs_diff(now_ms))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopping.asked() => break,
            () = listener.raised() => {}
            () = asleep => {}
            Some(ended) = tasks.join_next() => {
                if let Ok(id) = ended {
                    under_way.remove(&id);
                }
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn deliver_one(core: Arc<Core>, mut delivery: Delivery) -> i64 {
    let put_off_to = match delivery.owed.target.clone() {
        Target::Function(logical_id) => to_function(&core, &logical_id, &mut delivery).await,
        Target::Queue { arn, message_group, detail_only } => {
            to_queue(&core, &arn, message_group, detail_only, &delivery)
        }
    };
    let kept = match put_off_to {
        Some(due_at) => core.deliveries.put_off(&delivery, due_at),
        None => core.deliveries.done(delivery.id),
    };
    if let Err(reason) = kept {
        tracing::error!(origin = %delivery.origin, %reason, "a delivery's outcome cannot be kept");
    }
    core.deliveries.activity.raise();
    delivery.id
}

/// When to try again, or `None` if that is over.
async fn to_function(core: &Core, logical_id: &str, delivery: &mut Delivery) -> Option<i64> {
    let function = core.stack.function(logical_id)?;
    let settings = core.stack.asynchronous.get(logical_id).cloned().unwrap_or_default();
    let expires_ms = delivery.owed.since_ms + i64::from(settings.maximum_event_age_seconds) * 1000;
    let end = |delivery: &Delivery, condition, response: Option<Result<&Value, &FunctionError>>| {
        let Delivery { owed, event, attempts, .. } = delivery;
        outcome::tell(core, function, &settings, &Ended { owed, event, condition, invoked: *attempts, response });
        None
    };
    if core.functions.is_switched_off(logical_id) {
        return end(delivery, Condition::ZeroReservedConcurrency, None);
    }
    if core.clock.now_ms() >= expires_ms {
        let error = delivery.owed.last_error.as_ref().map(Err);
        return end(delivery, Condition::EventAgeExceeded, error);
    }
    let (request_id, event) = (delivery.owed.request_id.clone(), delivery.event.clone());
    let tried = core.functions.attempt_as(request_id, logical_id, event, Trigger::Event, std::future::ready(())).await;
    let pause_ms = match tried {
        Attempt::Answered(answer) => {
            delivery.attempts += 1;
            return end(delivery, Condition::Success, Some(Ok(&answer)));
        }
        Attempt::Failed(error) => {
            let pause_ms = usize::try_from(delivery.attempts).ok().and_then(|tries| RETRY_AFTER_MS.get(tries));
            delivery.attempts += 1;
            let Some(pause_ms) = pause_ms.filter(|_| delivery.attempts <= settings.maximum_retries) else {
                return end(delivery, Condition::RetriesExhausted, Some(Err(&error)));
            };
            delivery.owed.last_error = Some(error);
            *pause_ms
        }
        Attempt::Throttled(_) => {
            let pause_ms = 1_000_i64.saturating_mul(1 << delivery.owed.throttled.min(16));
            delivery.owed.throttled += 1;
            pause_ms.min(LONGEST_THROTTLED_PAUSE_MS)
        }
    };
    Some((core.clock.now_ms() + pause_ms).min(expires_ms))
}

/// What a queue refuses today it refuses tomorrow, so the event is dropped; only a fault is tried again.
fn to_queue(core: &Core, arn: &str, group: Option<String>, detail_only: bool, delivery: &Delivery) -> Option<i64> {
    let Some(kept) = core.sqs.by_arn(arn) else {
        tracing::error!(origin = %delivery.origin, queue = %arn, "an event was dropped: there is no such queue");
        return None;
    };
    let id = delivery.event.get("id").and_then(Value::as_str);
    let deduplication = kept.queue.fifo.then(|| id.map(ToOwned::to_owned)).flatten();
    let body = if detail_only { delivery.event["detail"].to_string() } else { delivery.event.to_string() };
    let outgoing = Outgoing { body, group, deduplication, ..Outgoing::default() };
    let now_ms = core.clock.now_ms();
    let refusal = core.sqs.send(kept, outgoing, now_ms).err()?;
    tracing::error!(origin = %delivery.origin, queue = %arn, reason = %refusal.message, "an event cannot be sent to its queue");
    (refusal.status >= 500).then_some(now_ms + FAULT_PAUSE_MS)
}

impl Owed {
    fn written(&self) -> String {
        let mut written = match &self.target {
            Target::Function(logical_id) => json!({ "function": logical_id }),
            Target::Queue { arn, message_group, detail_only } => {
                json!({ "queue": arn, "group": message_group, "detail": detail_only })
            }
        };
        written["since"] = self.since_ms.into();
        written["request"] = self.request_id.as_str().into();
        written["throttled"] = self.throttled.into();
        if let Some(error) = &self.last_error {
            written["error"] = json!({ "kind": error.kind, "message": error.message });
        }
        written.to_string()
    }

    fn read(written: &str, now_ms: i64) -> Option<Self> {
        let owed: Value = serde_json::from_str(written).ok()?;
        let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
        let target = match text(&owed, "function") {
            Some(logical_id) => Target::Function(logical_id),
            None => Target::Queue {
                arn: text(&owed, "queue")?,
                message_group: text(&owed, "group"),
                detail_only: owed["detail"] == true,
            },
        };
        let number = |field: &str| owed.get(field).and_then(Value::as_i64);
        let last_error = owed
            .get("error")
            .and_then(|error| Some(FunctionError { kind: text(error, "kind")?, message: text(error, "message")? }));
        Some(Self {
            target,
            since_ms: number("since").unwrap_or(now_ms),
            request_id: text(&owed, "request").unwrap_or_default(),
            throttled: number("throttled").and_then(|times| u32::try_from(times).ok()).unwrap_or_default(),
            last_error,
        })
    }
}
