//! What the services do by themselves once a minute: delete items that have expired, and forget stream records that
//! every mapping has passed or that are a day old.

use std::sync::Arc;

use tokio::time::Duration;

use super::{Stopping, stream};
use crate::cloud::Core;
use crate::stack::Table;

const EVERY: Duration = Duration::from_secs(60);
/// A page is deleted in one go; between pages others get their turn.
const PAGE: u32 = 1000;

pub(super) async fn run(core: Arc<Core>, mut stopping: Stopping) {
    loop {
        tokio::select! {
            biased;
            () = stopping.asked() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(reason) = core.dynamodb.sweep_expired(core.clock.now_ms()) {
            tracing::error!(%reason, "expired items cannot be deleted");
        }
        for table in core.stack.tables.iter().filter(|table| table.stream_arn.is_some()) {
            trim(&core, table).await;
        }
    }
}

async fn trim(core: &Core, table: &Table) {
    let before = match stream::passed_by_all(core, table) {
        Ok(Some(before)) => before,
        Ok(None) => return,
        Err(reason) => return tracing::error!(table = %table.name, %reason, "checkpoints cannot be read"),
    };
    loop {
        match core.dynamodb.trim(&table.name, before, PAGE) {
            Ok(0) => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(reason) => return tracing::error!(table = %table.name, %reason, "a stream cannot be trimmed"),
        }
    }
}
