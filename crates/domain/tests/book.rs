//! A gateway that behaves as badly as it can, against the decisions alone: what it does is in its own book, which is the
//! judge. It loses what it was sent before or after doing it, answers too late, forgets keys after a day, calls back twice,
//! late and with what is long past; messages come again, whoever calls dies, orders are cancelled meanwhile. However it
//! went, nothing is charged twice, and in the end both books say the same.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeMap;

use domain::ids::{OrderId, PaymentId, RefundId};
use domain::orders::{IfLacking, OrderState, PayWith};
use domain::payments::{
    self, Answer, Attempt, Begun, Call, Gateway, GatewayKey, GatewayMessage, GatewayRef, Limits, No, NoAnswer,
    PaymentState, Reported, ReportedState, Tally, Went,
};
use domain::{Millis, Timestamp};
use proptest::prelude::*;
use support::{Ledger, customer, key, reported};

/// Something that the gateway has done, or is about to.
#[derive(Clone, Debug)]
struct Done {
    state: ReportedState,
    amount: i64,
    at: Timestamp,
    /// How often money moved for it.
    times: u32,
}

struct World {
    ledger: Ledger,
    gateway: Gateway,
    book: BTreeMap<GatewayKey, Done>,
    /// Messages that were delivered, and may come again.
    old: Vec<GatewayMessage>,
    number: u32,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    LostBefore,
    LostAfter,
    ErrorBefore,
    ErrorAfter,
    TooMany,
    NotReached,
    NotLetIn,
    DiedBefore,
    DiedAfter,
}

const FATES: [Fate; 10] = [
    Fate::Well,
    Fate::LostBefore,
    Fate::LostAfter,
    Fate::ErrorBefore,
    Fate::ErrorAfter,
    Fate::TooMany,
    Fate::NotReached,
    Fate::NotLetIn,
    Fate::DiedBefore,
    Fate::DiedAfter,
];

/// What it makes of something that it has not seen.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Does,
    Delays,
    Declines,
}

const MOODS: [Mood; 4] = [Mood::Does, Mood::Does, Mood::Delays, Mood::Declines];

fn moved(of: GatewayKey) -> ReportedState {
    match of {
        GatewayKey::Charge(_) => ReportedState::Captured,
        GatewayKey::Refund(_) => ReportedState::Refunded,
    }
}

impl World {
    fn new(gateway: Gateway) -> Self {
        let mut ledger = Ledger::new();
        ledger.place_paid_with("alice", "order", 500, IfLacking::Wait, PayWith::Card(gateway)).unwrap();
        ledger.make_payment("alice", "payment", 300, gateway).unwrap();
        ledger.settle();
        Self { ledger, gateway, book: BTreeMap::new(), old: Vec::new(), number: 0 }
    }

    fn order() -> OrderId {
        OrderId::of(&customer("alice"), &key("order"))
    }

    fn payments() -> [GatewayKey; 2] {
        let elsewhere = PaymentId::of_request(&customer("alice"), &key("payment"));
        [PaymentId::of_order(&Self::order()), elsewhere].map(GatewayKey::Charge)
    }

    fn says(&self, of: GatewayKey) -> Option<Reported> {
        let done = self.book.get(&of)?;
        let reference = (self.gateway == Gateway::Stripe).then(|| GatewayRef::new(&format!("pi_{of}")).unwrap());
        Some(Reported { reference, ..reported(done.state, done.amount) })
    }

    /// What the gateway does with a request, once for each key as long as it knows that.
    fn does(&mut self, attempt: &Attempt, mood: Mood) {
        let (of, now) = (attempt.key, self.ledger.now);
        let is_known = self.book.get(&of).is_some_and(|done| done.at.after(Millis::hours(24)) > now);
        if is_known {
            return;
        }
        let moves = matches!(mood, Mood::Does);
        let state = match mood {
            Mood::Does => moved(of),
            Mood::Delays => ReportedState::Pending,
            Mood::Declines => ReportedState::Declined,
        };
        let before = self.book.get(&of).map_or(0, |done| done.times);
        let done = Done { state, amount: attempt.amount.minor(), at: now, times: before + u32::from(moves) };
        self.book.insert(of, done);
    }

    fn deliver(&mut self, message: GatewayMessage, fate: Fate, mood: Mood) {
        self.old.push(message);
        let Begun::Call(attempt) = self.ledger.begin_call(message) else { return };
        let unsaid = |status| Answer::Status { status, no: No::Unsaid, retry_after: None };
        let arrives = matches!(fate, Fate::Well | Fate::LostAfter | Fate::ErrorAfter | Fate::DiedAfter);
        if arrives && attempt.call == Call::Send {
            self.does(&attempt, mood);
        }
        let asked_in_vain = attempt.call == Call::Ask && self.gateway == Gateway::Stripe && attempt.reference.is_none();
        assert!(!asked_in_vain, "it cannot be asked by key");
        let answer = match fate {
            Fate::Well => self.says(attempt.key).map_or(Answer::NotThere, Answer::Says),
            Fate::LostBefore | Fate::LostAfter => Answer::Silence(NoAnswer::Lost),
            Fate::ErrorBefore | Fate::ErrorAfter => unsaid(500),
            Fate::TooMany => unsaid(429),
            Fate::NotReached => Answer::Silence(NoAnswer::NotReached),
            Fate::NotLetIn => unsaid(401),
            Fate::DiedBefore | Fate::DiedAfter => return,
        };
        self.ledger.settle_call(attempt.key, &answer, 0);
        if let Some(went) = answer.went() {
            self.heard(attempt.key, went);
        }
    }

    fn heard(&mut self, of: GatewayKey, went: Went) {
        let (gateway, now) = (self.gateway, self.ledger.now);
        let heard = |draft: &mut domain::books::Draft<'_>| {
            payments::heard(draft, gateway, of, went, Tally::default(), &Limits::default(), now)
        };
        self.ledger.decide(heard).unwrap();
    }

    /// What was delayed is done, or refused.
    fn resolve(&mut self, of: GatewayKey, does: bool) {
        let Some(done) = self.book.get_mut(&of).filter(|done| done.state == ReportedState::Pending) else { return };
        done.state = if does { moved(of) } else { ReportedState::Declined };
        done.times += u32::from(does);
    }

    fn call_back(&mut self, of: GatewayKey, is_late: bool, is_again: bool) {
        let Some(mut says) = self.says(of) else { return };
        if is_late {
            says.state = ReportedState::Pending;
        }
        self.number += u32::from(!is_again);
        let id = if is_again { format!("{of} {:?}", says.state) } else { self.number.to_string() };
        let (gateway, now) = (self.gateway, self.ledger.now);
        let command = payments::TakeCallback {
            id: domain::ids::CallbackId::of(gateway.name(), &id),
            gateway,
            body: domain::ids::BodyHash::of(format!("{says:?}").as_bytes()),
            of,
            reported: says,
        };
        self.ledger.decide(|draft| payments::take(draft, &command, now)).unwrap();
    }

    fn look(&mut self) {
        for of in Self::payments() {
            self.ledger.look_at(of);
        }
        self.ledger.look(Self::order());
        self.ledger.settle();
    }

    fn step(&mut self, (kind, which, fate): (u8, u8, u8)) {
        let mood = MOODS[usize::from(which) % MOODS.len()];
        let fate = FATES[usize::from(fate) % FATES.len()];
        let keys: Vec<GatewayKey> = self.book.keys().copied().collect();
        let one_of = |keys: &[GatewayKey]| keys.get(usize::from(which) % keys.len().max(1)).copied();
        match kind {
            0..=5 if !self.ledger.calls.is_empty() => {
                let place = usize::from(which) % self.ledger.calls.len();
                let message = self.ledger.calls.remove(place);
                self.deliver(message, fate, mood);
            }
            6 => {
                if let Some(message) = self.old.get(usize::from(which) % self.old.len().max(1)).copied() {
                    self.deliver(message, fate, mood);
                }
            }
            7 | 8 => _ = one_of(&keys).map(|of| self.call_back(of, fate == Fate::LostBefore, which % 2 == 0)),
            9 => _ = one_of(&keys).map(|of| self.resolve(of, fate != Fate::Well)),
            10 => self.look(),
            11 => self.ledger.pass(Millis::seconds([1, 10, 120, 3_600, 40_000, 90_000][usize::from(which) % 6])),
            12 if which < 60 => _ = self.ledger.cancel("alice", Self::order()),
            13 => {
                let GatewayKey::Charge(payment) = Self::payments()[1] else { return };
                _ = self.ledger.ask_refund("alice", &format!("r{}", which % 4), payment, Some(100));
            }
            _ => {}
        }
        for (of, done) in &self.book {
            assert!(done.times <= 1, "{of} moved money {} times", done.times);
        }
    }

    /// All is well from here on, and whoever has something to do does it.
    fn calm(&mut self) {
        for _ in 0..400 {
            for of in self.book.keys().copied().collect::<Vec<_>>() {
                self.resolve(of, true);
            }
            while let Some(message) = self.ledger.calls.pop() {
                self.deliver(message, Fate::Well, Mood::Does);
            }
            self.ledger.pass(Millis::minutes(20));
            self.look();
        }
    }

    /// Both books say the same, and what is open is for a person.
    fn judge(&self) {
        assert_eq!(self.ledger.audit().findings, []);
        for of in Self::payments() {
            let GatewayKey::Charge(id) = of else { panic!() };
            let payment = self.ledger.payment(id);
            let refunds = self.ledger.items.values().filter_map(|(item, _)| domain::books::Kept::of_item(item));
            let refunds: Vec<&payments::Refund> =
                refunds.filter(|refund: &&payments::Refund| refund.payment == id).collect();
            let back: i64 = refunds
                .iter()
                .filter(|refund| self.has_moved(refund.gateway_key()))
                .map(|refund| refund.amount.minor())
                .sum();
            let is_open = payment.state == PaymentState::InReview;
            assert!(is_open || !payment.is_unsettled(), "{payment:#?}");
            assert!(is_open || self.has_moved(of) == payment.captured.is_some(), "{payment:#?} {:?}", self.book);
            assert!(is_open || back == payment.refunded.minor(), "{payment:#?} {:?}", self.book);
        }
        let (order, payment) = (self.ledger.order(Self::order()), Self::payments()[0]);
        let is_back = self.has_moved(GatewayKey::Refund(RefundId::of_order(&order.id)));
        let GatewayKey::Charge(id) = payment else { panic!() };
        let is_open = self.ledger.payment(id).state == PaymentState::InReview;
        match order.state {
            OrderState::Completed => assert!(self.has_moved(payment) && !is_back),
            OrderState::Cancelled => assert!(is_open || self.has_moved(payment) == is_back),
            other => panic!("{other:?}"),
        }
    }

    fn has_moved(&self, of: GatewayKey) -> bool {
        self.book.get(&of).is_some_and(|done| done.times > 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_charged_twice_and_both_books_say_the_same_in_the_end(
        stripe in any::<bool>(),
        steps in prop::collection::vec((0..14_u8, any::<u8>(), any::<u8>()), 0..80),
    ) {
        let mut world = World::new(if stripe { Gateway::Stripe } else { Gateway::Plain });
        for step in steps {
            world.step(step);
        }
        world.calm();
        world.judge();
    }
}
