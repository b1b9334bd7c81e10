//! Takes orders as far as they can go, and wakes those that wait. A batch holds several groups; within one, orders
//! that follow each other go together and everything keeps its order.

use std::collections::{BTreeMap, BTreeSet};

use domain::messages::{Work, WorkMessage};
use domain::planted;
use platform::App;
use platform::queue::Batch;
use platform::runtime::{Failed, Invocation};
use serde_json::Value;

use crate::work::{self, Errand};

pub(crate) async fn handle(app: &App, event: Value, invocation: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    let mut failed = BTreeSet::new();
    let mut groups: BTreeMap<&str, Vec<(usize, WorkMessage)>> = BTreeMap::new();
    for (place, delivery) in batch.deliveries.iter().enumerate() {
        match serde_json::from_str::<WorkMessage>(&delivery.body) {
            Ok(message) => groups.entry(&delivery.group).or_default().push((place, message)),
            Err(error) => {
                if let Err(error) = work::keep_unreadable(app, delivery, &error.to_string()).await {
                    tracing::error!(error = %error, "what cannot be read could not be kept");
                    failed.insert(place);
                }
            }
        }
    }
    for messages in groups.values() {
        failed.extend(run(app, messages, invocation).await);
    }
    Ok(batch.answer(&failed))
}

/// Works through one group in its order. From the first failure on, the rest is left for the next delivery.
async fn run(app: &App, messages: &[(usize, WorkMessage)], invocation: Invocation) -> Vec<usize> {
    let mut rest = messages;
    while let Some((place, message)) = rest.first() {
        match &message.work {
            Work::Wake { .. } => {
                if let Err(error) = work::wake(app, message, invocation).await {
                    tracing::error!(error = %error, "waiters could not be woken");
                    return if planted!(WakeSwallowed) { Vec::new() } else { vec![*place] };
                }
                rest = &rest[1..];
            }
            Work::Advance { .. } => {
                let (places, errands): (Vec<usize>, Vec<Errand>) = rest.iter().map_while(errand).unzip();
                let failed = work::advance(app, &errands).await;
                if !failed.is_empty() {
                    return failed.into_iter().map(|at| places[at]).collect();
                }
                rest = &rest[errands.len()..];
            }
        }
    }
    Vec::new()
}

fn errand((place, message): &(usize, WorkMessage)) -> Option<(usize, Errand)> {
    match &message.work {
        Work::Advance { order, .. } => Some((*place, Errand { order: *order, message: message.clone() })),
        Work::Wake { .. } => None,
    }
}
