//! Batches from a queue, and the answer that names what was not done.
//!
//! A FIFO batch holds several groups. When a message of a group is not done, everything after it in its group must be
//! named too, or it would overtake; [`Batch::answer`] sees to that.

use std::collections::BTreeSet;

use aws_lambda_events::sqs::SqsEvent;
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct Delivery {
    pub message_id: String,
    pub body: String,
    /// In a queue that keeps an order; elsewhere a group is for fairness alone, and holds nobody up.
    pub group: String,
    /// The name of the queue that it came from.
    pub queue: String,
}

#[derive(Debug)]
pub struct Batch {
    pub deliveries: Vec<Delivery>,
}

#[derive(Debug, thiserror::Error)]
#[error("the event is no batch of queue messages: {0}")]
pub struct NotABatch(#[from] serde_json::Error);

impl Batch {
    pub fn from_event(event: Value) -> Result<Self, NotABatch> {
        let event: SqsEvent = serde_json::from_value(event)?;
        let deliveries = event.records.into_iter().map(|mut message| {
            let arn = message.event_source_arn.as_deref();
            let queue = arn.and_then(|arn| arn.rsplit(':').next()).unwrap_or("").to_owned();
            let group = message.attributes.remove("MessageGroupId").filter(|_| queue.ends_with(".fifo"));
            Delivery {
                message_id: message.message_id.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                group: group.unwrap_or_default(),
                queue,
            }
        });
        Ok(Self { deliveries: deliveries.collect() })
    }

    /// Names the deliveries at these places, and what follows each of them in its group.
    pub fn answer(&self, failed: &BTreeSet<usize>) -> Value {
        let mut held_up = BTreeSet::new();
        let mut failures = Vec::new();
        for (place, delivery) in self.deliveries.iter().enumerate() {
            if failed.contains(&place) || held_up.contains(&delivery.group) {
                if !delivery.group.is_empty() {
                    held_up.insert(&delivery.group);
                }
                failures.push(json!({ "itemIdentifier": delivery.message_id }));
            }
        }
        json!({ "batchItemFailures": failures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(groups: &[&str]) -> Batch {
        let deliveries = groups.iter().enumerate().map(|(place, group)| Delivery {
            message_id: place.to_string(),
            body: String::new(),
            group: (*group).to_owned(),
            queue: String::new(),
        });
        Batch { deliveries: deliveries.collect() }
    }

    fn named(groups: &[&str], failed: &[usize]) -> String {
        let answer = batch(groups).answer(&failed.iter().copied().collect());
        let failures = answer["batchItemFailures"].as_array().unwrap();
        failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
    }

    #[test]
    fn what_follows_a_failure_in_its_group_is_named_too() {
        assert_eq!(named(&["a", "b", "a", "b", "a"], &[]), "");
        assert_eq!(named(&["a", "b", "a", "b", "a"], &[2]), "24");
        assert_eq!(named(&["a", "b", "a", "b", "a"], &[0, 3]), "0234");
        assert_eq!(named(&["", "", ""], &[0]), "0", "a standard queue has no groups");
    }

    #[test]
    fn a_group_holds_up_those_behind_it_in_a_queue_that_keeps_an_order() {
        for (queue, named) in [("q.fifo", 2), ("q", 1)] {
            let message = |id| {
                json!({
                    "messageId": id, "body": "b", "attributes": { "MessageGroupId": "g" },
                    "eventSourceARN": format!("arn:aws:sqs:eu-central-1:1:{queue}"), "messageAttributes": {},
                })
            };
            let batch = Batch::from_event(json!({ "Records": [message("0"), message("1")] })).unwrap();
            let answer = batch.answer(&BTreeSet::from([0]));
            assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), named, "{queue}");
        }
    }
}
