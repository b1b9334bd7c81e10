//! Schedules: every so often, or as a cron expression says, an event is owed to a function.
//!
//! The last run is durable and written together with what is owed, so a restart neither forgets a period nor runs it
//! twice; however many periods were missed, they are made up by one run. The first comes one period after the first
//! start.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use serde_json::json;
use tokio::time::Duration;

use super::Stopping;
use crate::cloud::Core;
use crate::stack::{Schedule, Target, Timing};

pub(super) async fn run(core: Arc<Core>, schedule: Schedule, mut stopping: Stopping) {
    loop {
        let now_ms = core.clock.now_ms();
        let last_ms = match last_run(&core, &schedule, now_ms) {
            Ok(last_ms) => last_ms,
            Err(reason) => {
                tracing::error!(schedule = %schedule.name, %reason, "a schedule's last run cannot be read, so it stands still");
                return;
            }
        };
        let Some(due_ms) = next_run(&schedule.timing, last_ms) else { return };
        if due_ms <= now_ms {
            if let Err(reason) = owe(&core, &schedule, now_ms) {
                tracing::error!(schedule = %schedule.name, %reason, "a scheduled run cannot be kept, so the schedule stands still");
                return;
            }
            continue;
        }
        tokio::select! {
            biased;
            () = stopping.asked() => return,
            () = tokio::time::sleep(Duration::from_millis(due_ms.abs_diff(now_ms))) => {}
        }
    }
}

/// `None` where there is none any more.
fn next_run(timing: &Timing, last_ms: i64) -> Option<i64> {
    match timing {
        Timing::EverySeconds(seconds) => {
            let period_ms = i64::try_from(*seconds).unwrap_or(i64::MAX / 1000).saturating_mul(1000).max(1000);
            Some(last_ms.saturating_add(period_ms))
        }
        Timing::Cron(cron) => cron.next_after(last_ms),
    }
}

/// The first start counts as a run.
fn last_run(core: &Core, schedule: &Schedule, now_ms: i64) -> rusqlite::Result<i64> {
    core.store.write(|transaction| {
        let last: Option<i64> = transaction
            .prepare_cached("SELECT last_run_at FROM schedules WHERE name = ?1")?
            .query_row([&schedule.name], |row| row.get(0))
            .optional()?;
        if let Some(last) = last {
            return Ok(last);
        }
        transaction
            .execute("INSERT INTO schedules (name, last_run_at) VALUES (?1, ?2)", params![schedule.name, now_ms])?;
        Ok(now_ms)
    })
}

fn owe(core: &Core, schedule: &Schedule, now_ms: i64) -> rusqlite::Result<()> {
    let event = schedule.input.clone().unwrap_or_else(|| {
        core.event_bridge.event("aws.events", "Scheduled Event", now_ms, json!([schedule.arn]), json!({}))
    });
    core.store.write::<_, rusqlite::Error>(|transaction| {
        let target = Target::Function(schedule.function.clone());
        core.deliveries.add(transaction, &schedule.name, &target, &event, now_ms)?;
        transaction
            .execute("UPDATE schedules SET last_run_at = ?2 WHERE name = ?1", params![schedule.name, now_ms])
            .map(drop)
    })?;
    core.deliveries.added();
    Ok(())
}
