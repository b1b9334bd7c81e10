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
            && target.former.is_none_or(|former| former.secret != before.secret)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::books::Key;
    use crate::events::EventId;
    use crate::ids::{CustomerId, IdempotencyKey, OrderId};
    use crate::promises::watch::{Action, Watch};
    use crate::webhooks::{EndpointUrl, Reach, Secret, Target};

    fn notification() -> Notification {
        let customer = CustomerId::of("test", "alice");
        let order = OrderId::of(&customer, &IdempotencyKey::parse("k").unwrap());
        let event = EventId::new(&Key::Order(order), 2, 0);
        let (at, transition, text) = (Timestamp::from_millis(1), "paid".to_owned(), "paid".to_owned());
        Notification { customer, at, event, order, transition, text }
    }

    fn delivery(state: DeliveryState, attempts: u32) -> Delivery {
        let Notification { customer, at, event, .. } = notification();
        let look_at = (!state.is_over()).then_some(at);
        Delivery { event, customer, at, created_at: at, state, attempts, answer: None, look_at, forget_at: None }
    }

    fn put(delivery: Delivery, version: u64) -> Action {
        let at = delivery.at;
        let events = match delivery.state {
            DeliveryState::Waiting => vec![Event { at, told: Told::DeliveryDue { seconds: 0 } }],
            _ => Vec::new(),
        };
        Action::Put { item: delivery.into_item(), version, events }
    }

    /// What is said of the delivery in the last of these commits.
    fn said(commits: &[Vec<Action>]) -> Vec<String> {
        let mut watch = Watch::default();
        let mut said = Vec::new();
        for commit in commits {
            said = watch.see(commit);
        }
        said.into_iter().filter(|found| !found.subject.starts_with("order")).map(|found| found.says).collect()
    }

    fn told() -> Vec<Action> {
        let told = Action::Put { item: notification().into_item(), version: 1, events: Vec::new() };
        vec![told, put(delivery(DeliveryState::Waiting, 0), 1)]
    }

    #[test]
    fn a_delivery_that_goes_its_way_is_right() {
        let way = [
            told(),
            vec![put(delivery(DeliveryState::Sending, 1), 2)],
            vec![put(delivery(DeliveryState::Waiting, 1), 3)],
            vec![put(delivery(DeliveryState::Sending, 2), 4)],
            vec![put(delivery(DeliveryState::Delivered, 2), 5)],
        ];
        for length in 1..=way.len() {
            assert_eq!(said(&way[..length]), Vec::<String>::new());
        }
    }

    #[test]
    fn what_goes_wrong_with_one_is_said() {
        let sending = || vec![put(delivery(DeliveryState::Sending, 1), 2)];
        let next = |state, attempts| vec![told(), sending(), vec![put(delivery(state, attempts), 3)]];
        let lost = Delivery { look_at: None, ..delivery(DeliveryState::Waiting, 1) };
        let others = Delivery { customer: CustomerId::of("test", "bob"), ..delivery(DeliveryState::Waiting, 1) };
        for (commits, says) in [
            (vec![vec![put(delivery(DeliveryState::Waiting, 0), 1)]], "without its notification"),
            (vec![vec![told().remove(0), put(delivery(DeliveryState::Sending, 1), 1)]], "in the middle"),
            (next(DeliveryState::Sending, 2), "it was Sending and came to be Sending"),
            (next(DeliveryState::Waiting, 2), "1 attempts became 2"),
            (next(DeliveryState::Delivered, 0), "1 attempts became 0"),
            (vec![told(), sending(), vec![put(lost, 3)]], "nobody will look at it"),
            (vec![told(), sending(), vec![put(others, 3)]], "what never changes"),
            (
                vec![
                    told(),
                    sending(),
                    vec![put(delivery(DeliveryState::Gone, 1), 3)],
                    vec![put(delivery(DeliveryState::Sending, 2), 4)],
                ],
                "it was Gone",
            ),
        ] {
            let said = said(&commits);
            assert!(said.iter().any(|said| said.contains(says)), "{says}: {said:?}");
        }
    }

    #[test]
    fn a_secret_stays_as_long_as_there_is_an_endpoint() {
        let endpoint = |secret: u8| Endpoint {
            customer: CustomerId::of("test", "alice"),
            changed_at: Timestamp::from_millis(1),
            target: Some(Target {
                url: EndpointUrl::parse("https://shop.example/", Reach::Public).unwrap(),
                secret: Secret::of([secret; 32]),
                former: None,
                set_at: Timestamp::from_millis(1),
                failing_since: None,
                given_up: None,
            }),
        };
        let put =
            |endpoint: Endpoint, version| vec![Action::Put { item: endpoint.into_item(), version, events: vec![] }];
        let removed = Endpoint { target: None, ..endpoint(1) };
        assert!(said(&[put(endpoint(1), 1), put(endpoint(1), 2)]).is_empty());
        assert!(said(&[put(endpoint(1), 1), put(removed, 2), put(endpoint(2), 3)]).is_empty());
        assert_eq!(said(&[put(endpoint(1), 1), put(endpoint(2), 2)]).len(), 1);
    }
}
