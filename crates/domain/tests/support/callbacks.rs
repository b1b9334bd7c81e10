//! Five callbacks for one payment, and what may happen beside them: every state that they lead to, in whatever order they
//! come and however often. They are Stripe's, whose events say all that a gateway can report.

use std::collections::{BTreeMap, HashSet};

use domain::Millis;
use domain::books::{Item, Kept as _, Key};
use domain::ids::{OrderId, PaymentId, RefundId};
use domain::orders::{IfLacking, Order, PayWith};
use domain::payments::{
    Answer, Gateway, GatewayKey, GatewayRef, NoAnswer, Payment, Refund, Reported, ReportedState, Stub,
};

use super::{Ledger, customer, key, reported};

pub(crate) const GATEWAY: Gateway = Gateway::Stripe;
/// Minor units, of whatever is paid here.
pub(crate) const AMOUNT: i64 = 500;
/// Under which the payment is made, or the order placed.
pub(crate) const KEY: &str = "k";

/// What a gateway calls back with, under an id of its own.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) id: &'static str,
    pub(crate) of: GatewayKey,
    pub(crate) reported: Reported,
    /// As it is sent.
    pub(crate) event: String,
}

/// What happens once beside the callbacks, at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Happening {
    /// The payment is made, if it is not there yet.
    Make,
    /// An attempt begins, and nobody comes back from it.
    Attempt,
    /// The last attempt was lost.
    Lose,
    /// An hour passes, and whoever looks looks.
    Look,
    /// The order is cancelled.
    Cancel,
}

/// What leads from one state to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// By its place among the five.
    CallBack(usize),
    Happens(Happening),
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    /// Copies of each callback that have not come yet.
    pub(crate) copies: [u8; 5],
    left: Vec<Happening>,
}

/// What is there in the beginning, what calls back and what happens besides.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) start: Ledger,
    pub(crate) payment: GatewayKey,
    /// Which is paid by it, if one is.
    pub(crate) order: Option<OrderId>,
    pub(crate) callbacks: [Called; 5],
    left: Vec<Happening>,
}

/// A state, and how it was first reached.
pub(crate) struct Reached {
    pub(crate) world: World,
    pub(crate) came: Option<(usize, Step)>,
}

/// A payment that is there; one that comes later; one that is called about meanwhile; and that of an order.
pub(crate) fn payment() -> Setting {
    Setting { name: "a payment", ..of_request(made(), &[]) }
}

pub(crate) fn late_payment() -> Setting {
    Setting { name: "a payment that comes late", ..of_request(Ledger::new(), &[Happening::Make]) }
}

pub(crate) fn called_about() -> Setting {
    let meanwhile = [Happening::Attempt, Happening::Lose, Happening::Attempt, Happening::Look];
    Setting { name: "a payment that is called about", ..of_request(made(), &meanwhile) }
}

pub(crate) fn of_order() -> Setting {
    let mut start = Ledger::new();
    let id = OrderId::of(&customer("alice"), &key(KEY));
    start.place_paid_with("alice", KEY, AMOUNT, IfLacking::Wait, PayWith::Card(GATEWAY)).unwrap();
    start.settle();
    let payment = GatewayKey::Charge(PaymentId::of_order(&id));
    let callbacks = callbacks(payment, GatewayKey::Refund(RefundId::of_order(&id)));
    Setting { name: "an order", start, payment, order: Some(id), callbacks, left: vec![Happening::Cancel] }
}

fn of_request(start: Ledger, left: &[Happening]) -> Setting {
    let payment = GatewayKey::Charge(PaymentId::of_request(&customer("alice"), &key(KEY)));
    let callbacks = callbacks(payment, payment);
    Setting { name: "", start, payment, order: None, callbacks, left: left.to_vec() }
}

fn made() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.make_payment("alice", KEY, AMOUNT, GATEWAY).unwrap();
    ledger
}

fn callbacks(payment: GatewayKey, given_back: GatewayKey) -> [Called; 5] {
    [
        called("evt_1", payment, ReportedState::Pending, AMOUNT),
        called("evt_2", payment, ReportedState::Captured, AMOUNT),
        called("evt_3", payment, ReportedState::Declined, AMOUNT),
        called("evt_4", payment, ReportedState::Captured, AMOUNT + 1),
        called("evt_5", given_back, ReportedState::Refunded, AMOUNT),
    ]
}

fn called(id: &'static str, of: GatewayKey, state: ReportedState, minor: i64) -> Called {
    let is_refund = matches!(of, GatewayKey::Refund(_));
    let reference = GatewayRef::new(if is_refund { "re_1" } else { "pi_1" });
    Called { id, of, reported: Reported { reference, ..reported(state, minor) }, event: event(id, of, state, minor) }
}

/// With its fields in the order of their names, so that what it says is the text that it is.
fn event(id: &str, of: GatewayKey, state: ReportedState, minor: i64) -> String {
    let mine = format!(r#""currency":"eur","id":"pi_1","metadata":{{"key":"{of}"}}"#);
    let (kind, object) = match (of, state) {
        (GatewayKey::Refund(_), _) => (
            "refund.updated",
            format!(
                r#""amount":{minor},"currency":"eur","id":"re_1","metadata":{{"key":"{of}"}},"status":"succeeded""#
            ),
        ),
        (_, ReportedState::Pending) => ("payment_intent.processing", format!(r#""amount":{minor},{mine}"#)),
        (_, ReportedState::Captured) => ("payment_intent.succeeded", format!(r#""amount_received":{minor},{mine}"#)),
        (_, ReportedState::Declined) => ("payment_intent.payment_failed", format!(r#""amount":{minor},{mine}"#)),
        (_, ReportedState::Refunded) => (
            "charge.refunded",
            format!(
                r#""amount_refunded":{minor},"currency":"eur","metadata":{{"key":"{of}"}},"payment_intent":"pi_1""#
            ),
        ),
    };
    format!(r#"{{"data":{{"object":{{{object}}}}},"id":"{id}","type":"{kind}"}}"#)
}

/// What there is, without the moments and versions that only differ.
pub(crate) fn kept(ledger: &Ledger) -> String {
    let mut kept = BTreeMap::new();
    for (key, (item, _)) in &ledger.items {
        let says = match item {
            Item::Payment(payment) => {
                let Payment { state, captured, refunded, going_back, open_refunds, balance, doubts, .. } = payment;
                let sums = (captured, refunded, going_back, open_refunds, balance);
                let call = (payment.call.since.is_some(), payment.call.in_doubt.is_some(), payment.call.failures);
                format!("{state:?} {sums:?} {doubts:?} {call:?} {} {}", payment.look_at.is_some(), payment.withdrawn)
            }
            Item::Refund(Refund { state, .. }) => format!("{state:?}"),
            Item::Stub(Stub { reports, is_orphan, .. }) => format!("{reports:?} {is_orphan}"),
            Item::Order(Order { state, charged, .. }) => format!("{state:?} {charged:?}"),
            Item::PaymentEntry(_) | Item::Callback(_) => continue,
            other => panic!("{other:?}"),
        };
        kept.insert(*key, says);
    }
    format!("{kept:?}")
}

impl World {
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:?} {:?} {}", self.copies, self.left, kept(&self.ledger))
    }

    /// The same, with nothing told or done yet.
    fn begun(&self) -> Self {
        let mut world = self.clone();
        world.ledger.commits.clear();
        world.ledger.told.clear();
        world.ledger.calls.clear();
        world
    }

    fn happen(&mut self, happening: Happening, payment: GatewayKey) -> bool {
        let ledger = &mut self.ledger;
        let is_there = ledger.items.get(&payment.key()).is_some_and(|(item, _)| Payment::of_item(item).is_some());
        match happening {
            Happening::Make => _ = ledger.make_payment("alice", KEY, AMOUNT, GATEWAY).unwrap(),
            Happening::Attempt if is_there => _ = ledger.begin_next(payment),
            Happening::Lose if is_there => {
                _ = ledger.settle_call(payment, &Answer::Silence(NoAnswer::Lost), 0);
            }
            Happening::Look => {
                ledger.pass(Millis::hours(1));
                ledger.look_at(payment);
            }
            Happening::Cancel => {
                let Some(id) = ledger.items.keys().find_map(|key| match key {
                    Key::Order(id) => Some(*id),
                    _ => None,
                }) else {
                    return false;
                };
                return ledger.cancel("alice", id).is_ok();
            }
            Happening::Attempt | Happening::Lose => return false,
        }
        true
    }
}

impl Setting {
    /// With so many copies of each callback on their way.
    pub(crate) fn start(&self, copies: u8) -> World {
        World { ledger: self.start.clone(), copies: [copies; 5], left: self.left.clone() }.begun()
    }

    pub(crate) fn next(&self, world: &World) -> Vec<(Step, World)> {
        let mut next = Vec::new();
        for (place, called) in self.callbacks.iter().enumerate().filter(|(place, _)| world.copies[*place] > 0) {
            // Of a refund the gateway can speak once it was asked for.
            if matches!(called.of, GatewayKey::Refund(_)) && !world.ledger.items.contains_key(&called.of.key()) {
                continue;
            }
            let mut world = world.begun();
            world.copies[place] -= 1;
            world.ledger.call_back_by(GATEWAY, called.id, &called.event, called.of, &called.reported);
            next.push((Step::CallBack(place), world));
        }
        for place in 0..world.left.len() {
            let mut world = world.begun();
            let happening = world.left.remove(place);
            if world.happen(happening, self.payment) {
                next.push((Step::Happens(happening), world));
            }
        }
        next
    }

    /// Every state that one copy of each leads to, each after the one that it was reached from.
    pub(crate) fn reached(&self) -> Vec<Reached> {
        let start = self.start(1);
        let mut seen = HashSet::from([start.fingerprint()]);
        let mut reached = vec![Reached { world: start, came: None }];
        let mut at = 0;
        while at < reached.len() {
            for (step, world) in self.next(&reached[at].world) {
                if seen.insert(world.fingerprint()) {
                    reached.push(Reached { world, came: Some((at, step)) });
                }
            }
            at += 1;
        }
        reached
    }
}
