//! Looks at every order that has not ended when its time has come: one whose message was lost goes on, one that waited
//! as long as it may is cancelled, one that is stalled is tried again. The index only says where to look; what is done
//! is decided on the order itself.

use domain::planted;
use platform::App;
use platform::runtime::{Failed, Invocation};
use platform::table::Table;
use serde_json::{Value, json};

use crate::work;

const PAGE: u16 = 50;

pub(crate) async fn handle(app: &App, _: Value, invocation: Invocation) -> Result<Value, Failed> {
    let (mut looked, mut failures) = (0_u32, 0_u32);
    // Each run begins at another shard, so that none is always the one that the time does not suffice for.
    let minute = app.now().as_seconds().div_euclid(60);
    let first = u8::try_from(minute.rem_euclid(Table::LOOK_SHARDS.into())).unwrap_or(0);
    let shards = if planted!(LastShardUnswept) { Table::LOOK_SHARDS - 1 } else { Table::LOOK_SHARDS };
    'shards: for shard in (first..shards).chain(0..first.min(shards)) {
        loop {
            let due = app
                .store
                .table()
                .due(shard, app.now(), PAGE.into())
                .await
                .map_err(|error| Failed(error.to_string()))?;
            let more = due.len() == usize::from(PAGE);
            let failed_before = failures;
            for order in due {
                if !invocation.has_time(app.now()) {
                    // What is left is due at the next run too.
                    break 'shards;
                }
                looked += 1;
                let looked_at = work::look(app, order).await;
                if let Err(error) = work::done_or_stalled(app, order, looked_at).await {
                    tracing::error!(error = %error, order = %order, "order {order} could not be looked at");
                    failures += 1;
                }
            }
            // What failed is due still, and would come again at once.
            if !more || failures > failed_before {
                break;
            }
        }
    }
    if failures > 0 {
        return Err(Failed(format!("{failures} of {looked} orders could not be looked at")));
    }
    Ok(json!({ "looked": looked }))
}
