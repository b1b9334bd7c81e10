//! What a bus or a schedule owes to a target: a row from the moment of the promise until the target has it.
//!
//! A function is invoked asynchronously, so it gets two more tries, one and two minutes later, as Lambda has it. What
//! still fails then is reported and dropped: a dead-letter target of an asynchronous invocation is not part of a stack
//! here. After a crash a delivery may come twice, as it may on AWS.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Transaction, params};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use crate::cloud::Core;
use crate::invoke::{Trigger, WhenBusy};
use crate::mappings::Stopping;
use crate::signal::Signal;
use crate::sqs::Outgoing;
use crate::stack::Target;
use crate::store::Store;

const RETRY_AFTER_MS: [i64; 2] = [60_000, 120_000];
const AT_ONCE: usize = 16;

pub(crate) struct Deliveries {
    store: Arc<Store>,
    signal: Signal,
    activity: Signal,
}

struct Delivery {
    id: i64,
    origin: String,
    target: Target,
    event: Value,
    attempts: usize,
}

impl Deliveries {
    pub(crate) fn new(store: Arc<Store>, activity: Signal) -> Self {
        Self { store, signal: Signal::new(), activity }
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
        transaction
            .prepare_cached("INSERT INTO deliveries (origin, target, event, due_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![origin, written(target), event.to_string(), now_ms])
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
                let (target, event): (String, String) = (row.get(2)?, row.get(3)?);
                let Some(target) = read(&target) else { continue };
                let event = serde_json::from_str(&event).unwrap_or_default();
                due.push(Delivery { id, origin: row.get(1)?, target, event, attempts: row.get(4)? });
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

    fn put_off(&self, id: i64, due_at: i64) -> rusqlite::Result<()> {
        self.store.read(|connection| {
            connection
                .prepare_cached("UPDATE deliveries SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1")?
                .execute([id, due_at])
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

async fn deliver_one(core: Arc<Core>, delivery: Delivery) -> i64 {
    let delivered = match &delivery.target {
        Target::Function(logical_id) => core
            .functions
            .invoke(logical_id, delivery.event, Trigger::Event, WhenBusy::Wait)
            .await
            .map(drop)
            .map_err(|error| error.to_string()),
        Target::Queue { arn, message_group } => to_queue(&core, arn, message_group.clone(), &delivery.event),
    };
    let kept = match delivered {
        Ok(()) => core.deliveries.done(delivery.id),
        Err(reason) => match RETRY_AFTER_MS.get(delivery.attempts) {
            Some(pause) => core.deliveries.put_off(delivery.id, core.clock.now_ms() + pause),
            None => {
                tracing::error!(origin = %delivery.origin, %reason, "an event was given up after its retries");
                core.deliveries.done(delivery.id)
            }
        },
    };
    if let Err(reason) = kept {
        tracing::error!(origin = %delivery.origin, %reason, "a delivery's outcome cannot be kept");
    }
    core.deliveries.activity.raise();
    delivery.id
}

fn to_queue(core: &Core, arn: &str, group: Option<String>, event: &Value) -> Result<(), String> {
    let kept = core.sqs.by_arn(arn).ok_or_else(|| format!("there is no queue {arn}"))?;
    let deduplication =
        kept.queue.fifo.then(|| event.get("id").and_then(Value::as_str).map(ToOwned::to_owned)).flatten();
    let outgoing = Outgoing { body: event.to_string(), group, deduplication, ..Outgoing::default() };
    core.sqs.send(kept, outgoing, core.clock.now_ms()).map(drop).map_err(|refusal| refusal.message)
}

fn written(target: &Target) -> String {
    match target {
        Target::Function(logical_id) => json!({ "function": logical_id }),
        Target::Queue { arn, message_group } => json!({ "queue": arn, "group": message_group }),
    }
    .to_string()
}

fn read(target: &str) -> Option<Target> {
    let target: Value = serde_json::from_str(target).ok()?;
    let text = |field: &str| target.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
    text("function")
        .map(Target::Function)
        .or_else(|| Some(Target::Queue { arn: text("queue")?, message_group: text("group") }))
}
