//! Deliveries: the schedule, every transition, and that no repeat and no loss makes one too few or two at once.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use domain::books::{Books, Change, Found, Halt, Item, Kept, Key};
use domain::events::EventId;
use domain::ids::{CustomerId, IdempotencyKey, OrderId};
use domain::messages::{Message, Notification, of_commit};
use domain::promises::watch::{Action, Watch};
use domain::webhooks::{
    ATTEMPTS, Answer, Attempt, Delivery, DeliveryState, Endpoint, EndpointUrl, GaveUp, NoAnswer, Reach, Secret, begin,
    look, put, remove, settle, tell,
};
use domain::{Millis, Outcome, Timestamp};

const OK: Answer = Answer::Status { status: 200, retry_after_ms: None };
const DOWN: Answer = Answer::Status { status: 500, retry_after_ms: None };
const GONE: Answer = Answer::Status { status: 410, retry_after_ms: None };

fn customer() -> CustomerId {
    CustomerId::of("test", "alice")
}

fn url(path: &str) -> EndpointUrl {
    EndpointUrl::parse(&format!("https://shop.example/{path}"), Reach::Public).unwrap()
}

fn notification(version: u64) -> Notification {
    let order = OrderId::of(&customer(), &IdempotencyKey::parse("k").unwrap());
    Notification {
        customer: customer(),
        at: Timestamp::from_millis(1_000),
        event: EventId::new(&Key::Order(order), version, 0),
        order,
        transition: "completed".to_owned(),
        text: "Your order is completed".to_owned(),
    }
}

/// A store in small: every commit is kept, judged, and gives its messages.
#[derive(Default)]
struct Store {
    items: std::collections::BTreeMap<Key, (Item, u64)>,
    watch: Watch,
    now: i64,
    /// What the queue was given by the last commit: attempts that have begun before, and seconds.
    sent: Vec<(u32, u32)>,
    written: usize,
}

impl Store {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn decide<T>(&mut self, mut decide: impl FnMut(&mut domain::books::Draft<'_>) -> Result<T, Halt>) -> T {
        let mut keys: Vec<Key> = Vec::new();
        let (books, answer) = loop {
            let mut books = Books::default();
            for key in &keys {
                let found = self.items.get(key).map(|(item, version)| Found { item: item.clone(), version: *version });
                books.lay(*key, found);
            }
            match books.decide(&mut decide) {
                Ok(answer) => break (books, answer),
                Err(Halt::Needs(needed)) => keys.extend(needed),
                Err(Halt::Refused(refusal)) => panic!("{refusal:?}"),
            }
        };
        self.sent.clear();
        let mut actions = Vec::new();
        for change in books.changes() {
            match change {
                Change::Put { key, item, over, events } => {
                    let version = Change::next_version(over);
                    self.items.insert(key, (item.clone(), version));
                    self.sent.extend(of_commit(item, version, events).into_iter().map(|message| match message {
                        Message::Webhook(message, seconds) => (message.attempt, seconds),
                        other => panic!("{other:?}"),
                    }));
                    actions.push(Action::Put { item: item.clone(), version, events: events.to_vec() });
                }
                Change::Check { key, .. } => actions.push(Action::Check(key)),
                Change::Delete { key, .. } => panic!("{key:?} is deleted"),
            }
        }
        self.written = actions.len();
        // That the notification is told of no order is not what is looked at here.
        let found = self.watch.see(&actions);
        let found: Vec<_> = found.into_iter().filter(|finding| finding.subject.starts_with("delivery")).collect();
        assert_eq!(found, []);
        answer
    }

    fn set(&mut self, path: &str) {
        let now = self.now();
        self.decide(|draft| put(draft, customer(), &url(path), Secret::of([7; 32]), now));
    }

    fn tell(&mut self, notification: &Notification) -> Outcome<()> {
        let now = self.now();
        self.decide(|draft| tell(draft, notification, now))
    }

    fn delivery(&self) -> Delivery {
        let event = notification(3).event;
        Delivery::of_item(&self.items[&Key::Delivery(event)].0).unwrap().clone()
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::of_item(&self.items[&Key::Endpoint(customer())].0).unwrap().clone()
    }

    fn begin(&mut self) -> Option<Attempt> {
        let (message, now) = (self.delivery().message(), self.now());
        self.decide(|draft| begin(draft, &message, now))
    }

    fn settle(&mut self, attempt: &Attempt, answer: Answer, chance: u64) -> Outcome<DeliveryState> {
        let now = self.now();
        self.decide(|draft| settle(draft, notification(3).event, (attempt.number, &attempt.url), answer, chance, now))
    }

    fn look(&mut self) -> bool {
        let now = self.now();
        self.decide(|draft| look(draft, notification(3).event, now))
    }
}

fn told() -> Store {
    let mut store = Store { now: 5_000, ..Store::default() };
    store.set("a");
    store.tell(&notification(3));
    store
}

#[test]
fn whoever_has_no_endpoint_has_a_notification_alone() {
    let mut store = Store::default();
    assert_eq!(store.tell(&notification(3)), Outcome::Done(()));
    assert_eq!((store.written, store.items.len(), &store.sent[..]), (1, 1, &[][..]));
    store.set("a");
    assert_eq!(store.tell(&notification(3)), Outcome::AlreadyDone(()), "what was told before is not delivered now");
    let now = store.now();
    store.decide(|draft| remove(draft, customer(), now));
    store.tell(&notification(4));
    assert_eq!(store.written, 1, "the endpoint was removed");
}

#[test]
fn a_notification_and_its_delivery_are_one_commit_that_depends_on_nothing_else() {
    let mut store = told();
    assert_eq!((store.written, &store.sent[..]), (2, &[(0, 0)][..]));
    let delivery = store.delivery();
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Waiting, 0));
    assert_eq!(delivery.look_at, Some(Timestamp::from_millis(5_000).after(Millis::minutes(10))));
    assert_eq!(store.tell(&notification(3)), Outcome::AlreadyDone(()));
    assert_eq!(store.written, 0);
}

#[test]
fn what_arrives_is_over_and_told_no_more() {
    let mut store = told();
    let attempt = store.begin().unwrap();
    assert_eq!((attempt.number, &attempt.url, attempt.notification.clone()), (1, &url("a"), notification(3)));
    assert_eq!((store.delivery().state, store.written, &store.sent[..]), (DeliveryState::Sending, 1, &[][..]));
    assert_eq!(store.settle(&attempt, OK, 0), Outcome::Done(DeliveryState::Delivered));
    assert_eq!((store.written, &store.sent[..]), (1, &[][..]), "the endpoint has nothing new to say");
    let delivery = store.delivery();
    assert_eq!((delivery.look_at, delivery.forget_at), (None, Some(5 + 30 * 24 * 3_600)));
    store.now = i64::MAX / 2;
    assert!(!store.look());
    assert_eq!(store.begin(), None);
}

#[test]
fn a_message_that_comes_again_begins_nothing() {
    let mut store = told();
    let message = store.delivery().message();
    let attempt = store.begin().unwrap();
    let now = store.now();
    assert_eq!(store.decide(|draft| begin(draft, &message, now)), None, "while the first is at it");
    store.settle(&attempt, DOWN, 0);
    assert_eq!(store.decide(|draft| begin(draft, &message, now)), None, "and after it");
    assert_eq!(store.delivery().state, DeliveryState::Waiting);
    let strangers =
        domain::webhooks::WebhookMessage { customer: CustomerId::of("test", "bob"), ..store.delivery().message() };
    assert_eq!(store.decide(|draft| begin(draft, &strangers, now)), None, "nobody sends what is another's");
}

/// The pauses of the specification, to the second where there is no jitter and at most a tenth longer with all of it.
#[test]
fn what_fails_is_tried_again_on_a_schedule_of_three_days_and_then_no_more() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    let pauses = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
    for chance in [0, 999] {
        let mut store = told();
        for (number, seconds) in (1..).zip(pauses) {
            let attempt = store.begin().unwrap_or_else(|| panic!("attempt {number}"));
            assert_eq!(attempt.number, number);
            let began = store.now;
            store.now += 700;
            assert_eq!(store.settle(&attempt, DOWN, chance), Outcome::Done(DeliveryState::Waiting));
            let longer = if chance == 0 { 0 } else { seconds * 1_000 / 10 * 999 / 1_000 };
            let pause = seconds * 1_000 + longer;
            let due = Timestamp::from_millis(store.now + pause);
            if pause <= 15 * 60 * 1_000 {
                let delay = u32::try_from((pause + 999) / 1_000).unwrap();
                assert_eq!(store.sent, [(number, delay)], "the queue holds it back");
                assert_eq!(store.delivery().look_at, Some(due.after(Millis::minutes(10))), "in case that is lost");
                store.now += i64::from(delay) * 1_000;
            } else {
                assert_eq!(store.sent, [], "what pauses longer than a queue can is left to the sweep");
                assert_eq!(store.delivery().look_at, Some(due));
                store.now = due.as_millis() - 1;
                assert!(!store.look(), "not before its time");
                store.now += 1;
                assert!(store.look());
                assert_eq!(store.sent, [(number, 0)]);
            }
            assert!(store.now > began);
        }
        let last = store.begin().unwrap();
        assert_eq!(last.number, ATTEMPTS);
        assert_eq!(store.settle(&last, DOWN, chance), Outcome::Done(DeliveryState::Exhausted));
        assert_eq!(store.delivery().look_at, None);
        let gave_up = store.endpoint().target.unwrap().given_up.unwrap();
        assert_eq!((gave_up.because, gave_up.at), (GaveUp::Failing, store.now()));
        assert!(store.endpoint().active().is_none());
    }
}

#[test]
fn an_endpoint_that_answers_others_meanwhile_is_not_given_up() {
    let mut store = told();
    loop {
        let attempt = store.begin().unwrap();
        let settled = store.settle(&attempt, DOWN, 0).into_inner();
        if settled == DeliveryState::Exhausted {
            break;
        }
        store.now = store.delivery().look_at.unwrap().as_millis();
        store.look();
        if attempt.number == 8 {
            // Another arrives.
            let now = store.now();
            let other = notification(9);
            store.tell(&other);
            let message = domain::webhooks::WebhookMessage { webhook: other.event, ..store.delivery().message() };
            let message = domain::webhooks::WebhookMessage { attempt: 0, ..message };
            let sent = store.decide(|draft| begin(draft, &message, now)).unwrap();
            store.decide(|draft| settle(draft, other.event, (sent.number, &sent.url), OK, 0, now));
            assert_eq!(store.endpoint().target.unwrap().failing_since, None);
        }
    }
    let target = store.endpoint().target.unwrap();
    assert!(target.given_up.is_none() && target.failing_since.is_some(), "{target:?}");
}

#[test]
fn how_each_answer_is_taken() {
    use DeliveryState::{Delivered, Gone, Waiting};
    let status = |status| Answer::Status { status, retry_after_ms: None };
    for (answer, state) in [
        (status(200), Delivered),
        (status(204), Delivered),
        (status(299), Delivered),
        (status(100), Waiting),
        (status(199), Waiting),
        (status(300), Waiting),
        (status(301), Waiting),
        (status(400), Waiting),
        (status(401), Waiting),
        (status(404), Waiting),
        (status(409), Waiting),
        (status(410), Gone),
        (status(429), Waiting),
        (status(500), Waiting),
        (status(503), Waiting),
        (status(599), Waiting),
        (Answer::Silence(NoAnswer::Unreachable), Waiting),
        (Answer::Silence(NoAnswer::TimedOut), Waiting),
        (Answer::Silence(NoAnswer::NotPublic), Waiting),
    ] {
        let mut store = told();
        let attempt = store.begin().unwrap();
        assert_eq!(store.settle(&attempt, answer, 0), Outcome::Done(state), "{answer:?}");
        assert_eq!(store.delivery().answer, Some(answer));
        let target = store.endpoint().target.unwrap();
        assert_eq!(target.failing_since.is_some(), state == Waiting, "{answer:?}");
        assert_eq!(target.given_up.map(|gave_up| gave_up.because), (state == Gone).then_some(GaveUp::Gone));
    }
}

#[test]
fn an_endpoint_may_put_us_off_within_bounds() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let asked = |status, seconds: i64| Answer::Status { status, retry_after_ms: Some(seconds * 1_000) };
    for (answer, pause_ms) in [
        (asked(429, 120), 120_000),
        (asked(503, 120), 120_000),
        (asked(503, 1), 5_000),
        (asked(503, 0), 5_000),
        (asked(429, 10 * 24 * 3_600), DAY_MS),
        (asked(429, i64::MAX / 1_000), DAY_MS),
        (asked(500, 120), 5_000),
        (asked(404, 120), 5_000),
    ] {
        let mut store = told();
        let attempt = store.begin().unwrap();
        store.settle(&attempt, answer, 0);
        let due = Timestamp::from_millis(store.now + pause_ms);
        let by_message = pause_ms <= 15 * 60 * 1_000;
        let look_at = if by_message { due.after(Millis::minutes(10)) } else { due };
        assert_eq!((store.delivery().look_at, store.sent.is_empty()), (Some(look_at), !by_message), "{answer:?}");
    }
}

#[test]
fn what_nobody_came_back_to_tell_of_is_sent_again_and_counts() {
    let mut store = told();
    for number in 1..=ATTEMPTS {
        let attempt = store.begin().unwrap();
        assert_eq!(attempt.number, number);
        assert!(!store.look(), "somebody may still be at it");
        store.now = store.delivery().look_at.unwrap().as_millis();
        assert!(store.look());
        assert_eq!(store.delivery().answer, Some(Answer::Silence(NoAnswer::Unknown)));
        if number < ATTEMPTS {
            assert_eq!(store.sent, [(number, 0)]);
        }
        // Whoever comes back now is too late.
        assert!(store.settle(&attempt, OK, 0).is_replay());
    }
    assert_eq!(store.delivery().state, DeliveryState::Exhausted);
}

#[test]
fn an_attempt_has_time_before_anybody_looks() {
    let mut store = told();
    store.now = store.delivery().look_at.unwrap().as_millis() - 1;
    store.begin().unwrap();
    assert_eq!(store.delivery().look_at, Some(store.now().after(Millis::minutes(2))));
}

#[test]
fn a_message_that_was_lost_is_sent_again() {
    let mut store = told();
    store.now = store.delivery().look_at.unwrap().as_millis();
    assert!(store.look());
    assert_eq!((&store.sent[..], store.delivery().attempts), (&[(0, 0)][..], 0));
    assert!(!store.look(), "it has time to arrive");
}

#[test]
fn a_delivery_goes_to_the_endpoint_as_it_is_now_or_ends() {
    let mut store = told();
    let first = store.begin().unwrap();
    store.set("b");
    store.settle(&first, GONE, 0);
    assert!(store.endpoint().active().is_some(), "what the old one says is not held against the new one");

    let mut store = told();
    let first = store.begin().unwrap();
    store.settle(&first, DOWN, 0);
    store.set("b");
    assert_eq!(store.endpoint().target.as_ref().unwrap().failing_since, None);
    assert_eq!(store.begin().unwrap().url, url("b"));

    let mut store = told();
    let now = store.now();
    store.decide(|draft| remove(draft, customer(), now));
    assert_eq!(store.begin(), None);
    assert_eq!(store.delivery().state, DeliveryState::Withdrawn);

    let mut store = told();
    store.tell(&notification(4));
    let first = store.begin().unwrap();
    store.settle(&first, GONE, 0);
    let now = store.now();
    let other =
        domain::webhooks::WebhookMessage { webhook: notification(4).event, attempt: 0, ..store.delivery().message() };
    assert_eq!(store.decide(|draft| begin(draft, &other, now)), None, "nothing is sent to what was given up");
    store.tell(&notification(5));
    assert_eq!(store.written, 1, "and nothing more is kept for it");
    store.set("a");
    store.tell(&notification(6));
    assert_eq!(store.written, 2, "until it is set again");
}
