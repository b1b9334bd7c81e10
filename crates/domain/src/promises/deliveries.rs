//! Deliveries to endpoints: each has its notification, and as long as it is not over, a time at which someone looks at it
//! next. That none goes out under two ids follows from its key, which is the event's.

use std::collections::BTreeSet;

use super::{Finding, Promise};
use crate::Timestamp;
use crate::books::{Item, Key};
use crate::events::EventId;
use crate::webhooks::{ATTEMPTS, Delivery};

/// What shows by looking at one alone, and at no time is right.
pub(super) fn fault(delivery: &Delivery) -> Option<&'static str> {
    match (delivery.state.is_over(), delivery.look_at) {
        (false, None) => Some("it is not over and nobody will look at it"),
        (true, Some(_)) => Some("it is over and still waits"),
        _ if delivery.attempts > ATTEMPTS => Some("it was tried more often than is tried"),
        _ => None,
    }
}

pub(super) fn found(promise: Promise, event: EventId, says: impl Into<String>) -> Finding {
    Finding { promise, subject: format!("delivery of {event}"), says: says.into() }
}

/// A delivery, and whether its notification was found.
pub fn judge_delivery(delivery: &Delivery, has_notification: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(fault(delivery).map(|says| found(Promise::NothingLost, delivery.event, says)));
    if !has_notification {
        findings.push(found(Promise::OnceTold, delivery.event, "its notification is not there"));
    }
    findings
}

/// Those whose look is longest due, as many as anybody would read.
#[derive(Debug)]
pub struct Late {
    most: usize,
    looks: BTreeSet<(Timestamp, EventId)>,
}

impl Late {
    pub const fn new(most: usize) -> Self {
        Self { most, looks: BTreeSet::new() }
    }

    pub fn see(&mut self, delivery: &Delivery) {
        self.looks.extend(delivery.look_at.filter(|_| !delivery.state.is_over()).map(|due| (due, delivery.event)));
        if self.looks.len() > self.most {
            self.looks.pop_last();
        }
    }

    /// What should have been looked at before.
    pub fn before(&self, settled: Timestamp) -> impl Iterator<Item = (EventId, Finding)> {
        let late = self.looks.iter().take_while(move |(due, _)| *due < settled);
        late.map(|(due, event)| {
            (*event, found(Promise::NothingLost, *event, format!("it was to be looked at by {due}")))
        })
    }
}

/// All deliveries and what there is of notifications, held in memory.
#[derive(Debug)]
pub(super) struct Posted {
    deliveries: Vec<Delivery>,
    notifications: BTreeSet<Key>,
    late: Late,
}

impl Default for Posted {
    fn default() -> Self {
        Self { deliveries: Vec::new(), notifications: BTreeSet::new(), late: Late::new(usize::MAX) }
    }
}

impl Posted {
    pub(super) fn see(&mut self, item: &Item) {
        match item {
            Item::Delivery(delivery) => {
                self.late.see(delivery);
                self.deliveries.push(delivery.clone());
            }
            Item::Notification(_) => _ = self.notifications.insert(item.key()),
            _ => {}
        }
    }

    pub(super) fn judge(&self, settled: Timestamp) -> Vec<Finding> {
        let has = |delivery: &Delivery| self.notifications.contains(&delivery.notification());
        let judged = self.deliveries.iter().flat_map(|delivery| judge_delivery(delivery, has(delivery)));
        judged.chain(self.late.before(settled).map(|(_, finding)| finding)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Key;
    use crate::ids::{CustomerId, IdempotencyKey, OrderId};
    use crate::webhooks::DeliveryState;

    fn delivery(version: u64, look_at: Option<i64>, state: DeliveryState) -> Delivery {
        let customer = CustomerId::of("test", "alice");
        let order = OrderId::of(&customer, &IdempotencyKey::parse("k").unwrap());
        Delivery {
            event: EventId::new(&Key::Order(order), version, 0),
            customer,
            at: Timestamp::from_millis(1),
            created_at: Timestamp::from_millis(1),
            state,
            attempts: 1,
            answer: None,
            look_at: look_at.map(Timestamp::from_millis),
            forget_at: None,
        }
    }

    #[test]
    fn only_what_is_on_its_way_is_looked_at_and_that_always() {
        use DeliveryState::{Delivered, Exhausted, Gone, Sending, Waiting, Withdrawn};
        for state in [Waiting, Sending, Delivered, Exhausted, Gone, Withdrawn] {
            assert_eq!(fault(&delivery(1, Some(5), state)).is_none(), !state.is_over(), "{state:?}");
            assert_eq!(fault(&delivery(1, None, state)).is_none(), state.is_over(), "{state:?}");
        }
        let often = Delivery { attempts: ATTEMPTS + 1, ..delivery(1, Some(5), Waiting) };
        assert!(fault(&often).is_some());
    }

    #[test]
    fn of_those_that_are_late_the_latest_are_left_out_first() {
        let mut late = Late::new(2);
        for (version, due) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            late.see(&delivery(version, Some(due), DeliveryState::Waiting));
        }
        late.see(&delivery(5, None, DeliveryState::Delivered));
        let versions = |settled| {
            let late = late.before(Timestamp::from_millis(settled));
            late.map(|(event, _)| event.version).collect::<Vec<_>>()
        };
        assert_eq!([versions(10), versions(11), versions(99)], [vec![], vec![2], vec![2, 3]]);
    }
}
