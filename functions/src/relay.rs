//! The outbox's other half: takes changed items from the table's stream and publishes what each commit told.
//!
//! A record is done when all of it is away. The answer names those that are not, and the mapping begins again at the
//! first of them, so nothing is skipped. What was behind it may be told before it and again after it: nobody depends
//! on the order of what is told, and repeats are recognised by their ids.

use domain::messages::Message;
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
    let messages: Vec<_> = messages.collect();
    let is_for_a_person = |message: &Message| matches!(message, Message::Public(event) if event.is_for_a_person());
    let for_a_person = messages.iter().filter(|(_, message)| is_for_a_person(message)).count();
    if for_a_person > 0 {
        let count = u64::try_from(for_a_person).unwrap_or(u64::MAX);
        app.metrics.count("ForAPerson", count, &app.config.table, None, app.now());
    }
    failed.extend(app.outbox.publish(messages).await);
    if planted!(RelayNamesLast) {
        failed = failed.split_off(&failed.last().copied().unwrap_or_default());
    }
    Ok(stream::answer(failed.iter().map(|place| &batch.records[*place])))
}
