//! Moves the messages of redrive tasks, at the rate of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::Stopping;
use crate::cloud::Core;

const FAULT_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(core: Arc<Core>, mut stopping: Stopping) {
    let mut listener = core.sqs.moves.listen();
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        listener.about_to_look();
        if let Err(reason) = step(&core, &mut due) {
            tracing::error!(%reason, "messages cannot be moved out of a dead-letter queue");
            due.values_mut().for_each(|due| *due = Instant::now() + FAULT_PAUSE);
        }
        let next = due.values().min().copied();
        let paused = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopping.asked() => return,
            () = paused => {}
            () = listener.raised() => {}
        }
    }
}

/// One message of each task whose time has come, and when the next of each is due.
fn step(core: &Core, due: &mut BTreeMap<String, Instant>) -> Result<(), String> {
    let tasks = core.sqs.running_move_tasks().map_err(|error| error.to_string())?;
    due.retain(|handle, _| tasks.iter().any(|(running, _)| running == handle));
    for (handle, pause_ms) in tasks {
        let now = Instant::now();
        if due.get(&handle).is_none_or(|due| *due <= now) {
            core.sqs.move_one(&handle, core.clock.now_ms()).map_err(|refusal| refusal.message)?;
            due.insert(handle, now + Duration::from_millis(pause_ms.unsigned_abs()));
        }
    }
    Ok(())
}
