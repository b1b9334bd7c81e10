//! The outbox's other half: takes changed items from the table's stream and publishes what each commit told.
//!
//! A record is done when all of it is away. The answer names those that are not, and the mapping begins again at the
//! first of them, so nothing is skipped. What was behind it may be told before it and again after it: nobody depends
//! on the order of what is told, and repeats are recognised by their ids.

use domain::planted;
use platform::App;
use platform::runtime::{Failed, Invocation};
use platform::stream::{self, Batch};
use serde_json::Value;

pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let mut failed = std::collections::BTreeSet::new();
    for (place, record) in batch.records.iter().enumerate() {
        if let Err(why) = &record.stored {
            tracing::error!(why = %why, record = record.sequence_number, "a stream record cannot be read");
            failed.insert(place);
        }
    }
    let messages = batch.records.iter().enumerate();
    let messages =
        messages.flat_map(|(place, record)| record.messages().into_iter().map(move |message| (place, message)));
    failed.extend(app.outbox.publish(messages).await);
    if planted!(RelayNamesLast) {
        failed = failed.split_off(&failed.last().copied().unwrap_or_default());
    }
    Ok(stream::answer(failed.iter().map(|place| &batch.records[*place])))
}
