//! Takes what an inventory tells of the orders that it keeps: one that is complete makes a payment, once for each key.
//!
//! What is malformed, or refused, is no fault that passes. It is given back to its queue, which keeps it with the others
//! that are dead when it has come often enough, as it was sent; those beside it are done.

use std::collections::BTreeSet;

use domain::payments;
use platform::App;
use platform::inventory::Told;
use platform::queue::Batch;
use platform::runtime::{Failed, Invocation};
use platform::store::Needs;
use serde_json::Value;

pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let mut failed = BTreeSet::new();
    for (place, delivery) in batch.deliveries.iter().enumerate() {
        if let Err(why) = take(app, &delivery.body).await {
            tracing::error!(error = why.0, message = delivery.message_id, "an inventory event is not taken");
            failed.insert(place);
        }
    }
    Ok(batch.answer(&failed))
}

async fn take(app: &App, body: &str) -> Result<(), Failed> {
    let terms = &app.config.terms;
    let told = Told::read(body, terms).map_err(|malformed| Failed(malformed.to_string()))?;
    let Some(event) = told.payment() else { return Ok(()) };
    let made = app
        .store
        .decide(Needs::presume_absent(event.key()), |books, now| {
            books.decide(|draft| payments::of_event(draft, &event, now, terms))
        })
        .await
        .map_err(|failure| Failed(failure.to_string()))?;
    let replayed = made.is_replay();
    tracing::info!(payment = %made.into_inner().id, replayed, "an inventory event made a payment");
    Ok(())
}
