//! Five callbacks for one payment, three copies of each, in every order: every state that can be reached, once. Each commit
//! is judged as it comes, and however they come, they leave the same behind.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeMap, HashSet};

use domain::Millis;
use domain::books::{Item, Kept as _, Key};
use domain::ids::{OrderId, PaymentId, RefundId};
use domain::orders::{IfLacking, Order, OrderState, PayWith};
use domain::payments::{
    Answer, Gateway, GatewayKey, NoAnswer, Payment, PaymentState, Refund, RefundState, Reported, ReportedState, Stub,
};
use support::{Ledger, customer, key, reported};

const COPIES: u8 = 3;

/// What a gateway calls back with, under an id of its own.
#[derive(Clone, Debug)]
struct Called {
    of: GatewayKey,
    reported: Reported,
}

/// What happens once beside the callbacks, at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Happening {
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

#[derive(Clone)]
struct World {
    ledger: Ledger,
    /// Copies of each callback that have not come yet.
    copies: [u8; 5],
    left: Vec<Happening>,
}

/// What there is, without the moments and versions that only differ.
fn kept(ledger: &Ledger) -> String {
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
    fn fingerprint(&self) -> String {
        format!("{:?} {:?} {}", self.copies, self.left, kept(&self.ledger))
    }

    fn next(&self, callbacks: &[Called; 5], payment: GatewayKey) -> Vec<Self> {
        let mut next = Vec::new();
        for (place, called) in callbacks.iter().enumerate().filter(|(place, _)| self.copies[*place] > 0) {
            // Of a refund the gateway can speak once it was asked for.
            if matches!(called.of, GatewayKey::Refund(_)) && !self.ledger.items.contains_key(&called.of.key()) {
                continue;
            }
            let mut world = self.clone();
            world.copies[place] -= 1;
            world.ledger.call_back(&format!("c{place}"), &format!("b{place}"), called.of, &called.reported);
            next.push(world);
        }
        for place in 0..self.left.len() {
            let mut world = self.clone();
            let happening = world.left.remove(place);
            if world.happen(happening, payment) {
                next.push(world);
            }
        }
        next.into_iter().map(Self::tidied).collect()
    }

    /// Without what is only told and has no say here.
    fn tidied(mut self) -> Self {
        self.ledger.commits.clear();
        self.ledger.told.clear();
        self.ledger.calls.clear();
        self
    }

    fn happen(&mut self, happening: Happening, payment: GatewayKey) -> bool {
        let ledger = &mut self.ledger;
        let is_there = ledger.items.get(&payment.key()).is_some_and(|(item, _)| Payment::of_item(item).is_some());
        match happening {
            Happening::Make => _ = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap(),
            Happening::Attempt if is_there => _ = ledger.begin_next(payment),
            Happening::Lose if is_there => _ = ledger.settle_call(payment, &Answer::Silence(NoAnswer::Lost), 0),
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

/// How many states there are, and each state in which no callback is left.
fn explore(ledger: Ledger, callbacks: &[Called; 5], payment: GatewayKey, left: &[Happening]) -> (usize, Vec<Ledger>) {
    let start = World { ledger, copies: [COPIES; 5], left: left.to_vec() };
    let mut seen = HashSet::from([start.fingerprint()]);
    let mut open = vec![start];
    let (mut states, mut ends) = (0, Vec::new());
    while let Some(world) = open.pop() {
        states += 1;
        assert_eq!(money(&world.ledger), [], "{}", world.fingerprint());
        let next = world.next(callbacks, payment);
        if next.is_empty() {
            ends.push(world.ledger.clone());
        }
        open.extend(next.into_iter().filter(|next| seen.insert(next.fingerprint())));
    }
    (states, ends)
}

/// What is wrong with the money, and who is not looked at.
fn money(ledger: &Ledger) -> Vec<domain::promises::Finding> {
    let mut settled = ledger.clone();
    settled.told.clear();
    let report = settled.audit();
    // That nobody was told of it is not looked at here.
    report.findings.into_iter().filter(|found| found.promise != domain::promises::Promise::OnceTold).collect()
}

fn callbacks(of: GatewayKey, refunded: Called) -> [Called; 5] {
    let called = |reported| Called { of, reported };
    [
        called(reported(ReportedState::Pending, 500)),
        called(reported(ReportedState::Captured, 500)),
        called(reported(ReportedState::Declined, 500)),
        called(reported(ReportedState::Captured, 501)),
        refunded,
    ]
}

fn payment_of_request() -> GatewayKey {
    GatewayKey::Charge(PaymentId::of_request(&customer("alice"), &key("k")))
}

fn made() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap();
    ledger
}

fn of_payment(ledger: &Ledger, of: GatewayKey) -> Payment {
    Payment::of_item(&ledger.items[&of.key()].0).unwrap().clone()
}

#[test]
fn five_callbacks_in_three_copies_leave_the_same_behind_in_every_order() {
    let of = payment_of_request();
    let refunded = Called { of, reported: reported(ReportedState::Refunded, 500) };
    let (states, ends) = explore(made(), &callbacks(of, refunded), of, &[]);
    println!("a payment: {states} states");
    assert!(states > 1_000, "{states}");
    let ends: HashSet<String> = ends.iter().map(kept).collect();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    let end = ends.iter().next().unwrap();
    assert!(end.contains("InReview") && end.contains("GivenBackUnasked"), "{end}");
}

#[test]
fn they_do_so_before_the_payment_is_there_too() {
    let of = payment_of_request();
    let refunded = Called { of, reported: reported(ReportedState::Refunded, 500) };
    let (states, ends) = explore(Ledger::new(), &callbacks(of, refunded.clone()), of, &[Happening::Make]);
    println!("a payment that comes late: {states} states");
    let (_, made_before) = explore(made(), &callbacks(of, refunded), of, &[]);
    let said = |ends: &[Ledger]| -> HashSet<String> {
        ends.iter().map(|end| format!("{:?}", of_payment(end, of).doubts)).collect()
    };
    assert_eq!(said(&ends), said(&made_before), "and the same as if it had been");
    for end in ends {
        let payment = of_payment(&end, of);
        assert_eq!((payment.state, payment.captured), (PaymentState::InReview, Some(payment.amount)));
    }
}

#[test]
fn they_do_so_whatever_becomes_of_the_calls_meanwhile() {
    let of = payment_of_request();
    let refunded = Called { of, reported: reported(ReportedState::Refunded, 500) };
    let meanwhile = [Happening::Attempt, Happening::Lose, Happening::Attempt, Happening::Look];
    let (states, ends) = explore(made(), &callbacks(of, refunded), of, &meanwhile);
    println!("a payment that is called about: {states} states");
    for end in ends {
        let payment = of_payment(&end, of);
        assert_eq!((payment.state, payment.captured), (PaymentState::InReview, Some(payment.amount)));
        assert_eq!(payment.doubts.len(), 2, "{:?}", payment.doubts);
    }
}

/// For an order there are two ends, as it may have ended by the time that the money comes: it is paid with it, or gets it
/// back.
#[test]
fn an_order_is_paid_with_what_came_or_gets_it_back() {
    let mut ledger = Ledger::new();
    let id = OrderId::of(&customer("alice"), &key("k"));
    ledger.place_paid_with("alice", "k", 500, IfLacking::Wait, PayWith::Card(Gateway::Plain)).unwrap();
    ledger.settle();
    let of = GatewayKey::Charge(PaymentId::of_order(&id));
    let refund = GatewayKey::Refund(RefundId::of_order(&id));
    let refunded = Called { of: refund, reported: reported(ReportedState::Refunded, 500) };
    let (states, ends) = explore(ledger, &callbacks(of, refunded), of, &[Happening::Cancel]);
    println!("an order: {states} states");
    let mut ways = HashSet::new();
    for end in ends {
        let (order, payment) = (end.order(id), of_payment(&end, of));
        assert_eq!(payment.captured, Some(payment.amount));
        let refund = end.items.get(&refund.key()).and_then(|(item, _)| Refund::of_item(item));
        match order.state {
            OrderState::Completed => {
                assert_eq!((order.charged, payment.refunded.minor(), refund), (order.amount, 0, None));
            }
            OrderState::Cancelled => {
                assert_eq!((order.charged.minor(), payment.refunded), (0, order.amount));
                assert_eq!(refund.map(|refund| refund.state), Some(RefundState::GivenBack));
            }
            other => panic!("{other:?}"),
        }
        ways.insert(order.state);
    }
    assert_eq!(ways.len(), 2);
}
