//! Endpoints and deliveries, as each commit leaves them: an attempt is counted before it is made, and none begins while
//! another may still be on its way.

use super::{Commit, Promise};
use crate::books::Kept;
use crate::events::{Event, Told};
use crate::messages::Notification;
use crate::promises::deliveries::fault;
use crate::webhooks::{Delivery, DeliveryState, Endpoint};

impl Commit<'_> {
    pub(super) fn judge_endpoint(&mut self, endpoint: &Endpoint) {
        let before = self.watch.get::<Endpoint>(&endpoint.key()).and_then(|before| before.target.as_ref());
        if let (Some(before), Some(target)) = (before, &endpoint.target)
            && before.secret != target.secret
        {
            let subject = format!("endpoint of {}", endpoint.customer);
            self.find(Promise::NothingLost, subject, "its secret was changed, and nobody asked for that");
        }
    }

    pub(super) fn judge_delivery(&mut self, delivery: &Delivery, events: &[Event]) {
        let subject = format!("delivery of {}", delivery.event);
        if let Some(says) = fault(delivery) {
            self.find(Promise::NothingLost, &subject, says);
        }
        let is_told = events.iter().any(|event| matches!(event.told, Told::DeliveryDue { .. }));
        if is_told && delivery.state != DeliveryState::Waiting {
            self.find(Promise::OnceTold, &subject, "it is to be sent, and does not wait for that");
        }
        let Some(before) = self.watch.get::<Delivery>(&delivery.key()).cloned() else {
            let is_its_own = |told: &Notification| told.key() == delivery.notification();
            if !self.put::<Notification>().any(is_its_own) {
                self.find(Promise::OnceTold, &subject, "it came without its notification");
            }
            if (delivery.attempts, delivery.state, is_told) != (0, DeliveryState::Waiting, true) {
                self.find(Promise::OnceTold, &subject, "it began somewhere in the middle, or nobody was told");
            }
            return;
        };
        let same = |of: &Delivery| (of.event, of.customer, of.at, of.created_at);
        if same(&before) != same(delivery) {
            self.find(Promise::OnceTold, &subject, "what never changes of it changed");
        }
        let begins = delivery.state == DeliveryState::Sending;
        if delivery.attempts != before.attempts + u32::from(begins) {
            let says = format!(
                "{} attempts became {} as it came to be {:?}",
                before.attempts, delivery.attempts, delivery.state
            );
            self.find(Promise::OnceTold, &subject, says);
        }
        if before.state.is_over() || (begins && before.state != DeliveryState::Waiting) {
            let says = format!("it was {:?} and came to be {:?}", before.state, delivery.state);
            self.find(Promise::OnceTold, &subject, says);
        }
    }
}
