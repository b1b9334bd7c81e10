//! Keeps one notification for each thing told, however often its message comes: the store itself says whether it has
//! been told before. Whose customer has an endpoint is kept with its delivery there, in the same write.

use std::collections::BTreeSet;

use domain::books::Key;
use domain::messages::Notification;
use domain::planted;
use platform::App;
use platform::queue::{Batch, Delivery};
use platform::runtime::{Failed, Invocation};
use serde_json::Value;

use crate::work;

pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let read = |delivery: &Delivery| serde_json::from_str::<Notification>(&delivery.body);
    let told: Vec<_> = batch.deliveries.iter().map(|delivery| (delivery, read(delivery))).collect();
    // Once for the batch: whatever is set meanwhile is as if it had been a moment later.
    let customers = told.iter().filter_map(|(_, read)| read.as_ref().ok()).map(|told| told.customer);
    let customers = customers.take(if planted!(EndpointOfTheFirst) { 1 } else { usize::MAX });
    let endpoints: BTreeSet<Key> = customers.map(Key::Endpoint).collect();
    let endpoints = app.store.table().load(&Vec::from_iter(endpoints)).await;
    let endpoints = endpoints.map_err(|error| Failed(error.to_string()))?;
    let mut failed = BTreeSet::new();
    for (place, (delivery, read)) in told.into_iter().enumerate() {
        let kept = match read {
            Ok(notification) => {
                let endpoint = endpoints.get(&Key::Endpoint(notification.customer)).cloned().flatten();
                work::tell(app, &notification, endpoint).await
            }
            Err(error) => work::keep_unreadable(app, delivery, &error.to_string()).await,
        };
        if let Err(error) = kept {
            tracing::error!(error = %error, "a notification could not be kept");
            failed.extend((!planted!(NoticeSwallowed)).then_some(place));
        }
    }
    Ok(batch.answer(&failed))
}
