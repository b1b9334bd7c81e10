//! The event-source mappings: what reads queues, streams and the clock, and invokes functions with what it finds.
//!
//! Each waits for a signal or a stated moment and never polls, so an idle cloud costs nothing; all of them wait with
//! tokio's clock. Not here: how a function is run (`invoke`), and what buses owe to targets (`deliveries`).

mod queue;
mod redrive;
mod scaling;
mod schedule;
mod stream;
mod upkeep;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::CloudError;
use crate::cloud::Core;
use crate::pattern::Pattern;

/// What an invocation's event holds at most, as JSON.
const LARGEST_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// What stands around the records of an event.
const AROUND_RECORDS_BYTES: usize = r#"{"Records":[]}"#.len();

/// Whether the cloud was asked to stop.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(crate) fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it was. A cloud whose `Running` is gone has its tasks aborted and asks nobody.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Patterns of which one has to match; none lets everything through.
pub(crate) struct Filters(Vec<Pattern>);

impl Filters {
    pub(crate) fn read(filters: &[Value], place: &str) -> Result<Self, CloudError> {
        let patterns: Result<_, _> = filters
            .iter()
            .map(|filter| {
                Pattern::read(filter)
                    .map_err(|reason| CloudError::Pattern { place: format!("a filter of {place}"), reason })
            })
            .collect();
        Ok(Self(patterns?))
    }

    fn let_through(&self, record: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(record))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn spawn(
    core: &Arc<Core>,
    tasks: &mut JoinSet<()>,
    stopping: impl Fn() -> Stopping,
) -> Result<(), CloudError> {
    for mapping in core.stack.queue_mappings.iter().filter(|mapping| mapping.enabled) {
        let filters = Filters::read(&mapping.filters, &mapping.function)?;
        tasks.spawn(queue::run(core.clone(), mapping.clone(), filters, stopping()));
    }
    for mapping in core.stack.stream_mappings.iter().filter(|mapping| mapping.enabled) {
        let filters = Filters::read(&mapping.filters, &mapping.function)?;
        let from = stream::starting_point(core, mapping)?;
        tasks.spawn(stream::run(core.clone(), mapping.clone(), filters, from, stopping()));
    }
    for schedule in core.stack.schedules.iter().filter(|schedule| schedule.enabled) {
        tasks.spawn(schedule::run(core.clone(), schedule.clone(), stopping()));
    }
    tasks.spawn(redrive::run(core.clone(), stopping()));
    tasks.spawn(upkeep::run(core.clone(), stopping()));
    Ok(())
}

pub(crate) fn is_settled(core: &Core) -> Result<bool, String> {
    if !core.functions.is_idle() || !core.deliveries.is_empty().map_err(|error| error.to_string())? {
        return Ok(false);
    }
    if core.sqs.has_move_tasks().map_err(|error| error.to_string())? {
        return Ok(false);
    }
    let now_ms = core.clock.now_ms();
    let read: BTreeSet<&str> =
        core.stack.queue_mappings.iter().filter(|m| m.enabled).map(|mapping| mapping.queue_arn.as_str()).collect();
    for arn in read {
        let Some(kept) = core.sqs.by_arn(arn) else { continue };
        if !core.sqs.is_empty(kept, now_ms).map_err(|refusal| refusal.message)? {
            return Ok(false);
        }
    }
    for mapping in core.stack.stream_mappings.iter().filter(|mapping| mapping.enabled) {
        if !stream::has_read_all(core, mapping)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn unread_changes(core: &Core) -> Result<usize, CloudError> {
    core.stack.stream_mappings.iter().filter(|mapping| mapping.enabled).map(|m| stream::unread(core, m)).sum()
}

/// The identifiers of the items that a function says it failed, or `None` where the answer cannot be understood, which
/// AWS takes for the failure of all.
fn reported_failures(answer: &Value) -> Option<Vec<String>> {
    let listed = match answer {
        Value::Null => return Some(Vec::new()),
        Value::Object(fields) => match fields.get("batchItemFailures") {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(Value::Array(listed)) => listed,
            Some(_) => return None,
        },
        Value::String(text) if text.is_empty() => return Some(Vec::new()),
        _ => return None,
    };
    listed
        .iter()
        .map(|item| {
            let id = item.get("itemIdentifier").and_then(Value::as_str).filter(|id| !id.is_empty())?;
            Some(id.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::reported_failures;

    #[test]
    fn nothing_or_an_empty_list_is_success_and_what_cannot_be_understood_fails_the_batch() {
        for success in
            [json!(null), json!({}), json!(""), json!({"batchItemFailures": []}), json!({"batchItemFailures": null})]
        {
            assert_eq!(reported_failures(&success), Some(vec![]), "{success}");
        }
        let named = json!({"batchItemFailures": [{"itemIdentifier": "a"}]});
        assert_eq!(reported_failures(&named), Some(vec!["a".to_owned()]));
        for failure in [
            json!("done"),
            json!({"batchItemFailures": "a"}),
            json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
            json!({"batchItemFailures": [{"itemIdentifier": null}]}),
            json!({"batchItemFailures": [{"id": "a"}]}),
        ] {
            assert_eq!(reported_failures(&failure), None, "{failure}");
        }
    }
}
