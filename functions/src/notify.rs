//! Keeps one notification for each thing told, however often its message comes: the store itself says whether it has
//! been told before.

use std::collections::BTreeSet;

use domain::messages::Notification;
use domain::planted;
use platform::App;
use platform::queue::Batch;
use platform::runtime::{Failed, Invocation};
use serde_json::Value;

use crate::work;

pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let mut failed = BTreeSet::new();
    for (place, delivery) in batch.deliveries.iter().enumerate() {
        let kept = match serde_json::from_str::<Notification>(&delivery.body) {
            Ok(notification) => work::keep_once(app, notification).await,
            Err(error) => work::keep_unreadable(app, delivery, &error.to_string()).await,
        };
        if let Err(error) = kept {
            tracing::error!(error = %error, "a notification could not be kept");
            failed.extend((!planted!(NoticeSwallowed)).then_some(place));
        }
    }
    Ok(batch.answer(&failed))
}
