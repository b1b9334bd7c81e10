//! The order's way: stories that read like a ledger, every move in every state, and every order of what can happen.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeSet;

use domain::ids::OrderId;
use domain::orders::{Advanced, IfLacking, Move, Order, OrderState, Step, What};
use domain::{Millis, Outcome};
use proptest::prelude::*;
use support::{Ledger, START, customer, key};

fn order_id(idempotency: &str) -> OrderId {
    OrderId::of(&customer("alice"), &key(idempotency))
}

/// Runs a story line by line: what is done, `->`, and what comes of it.
fn story(text: &str) -> Ledger {
    let mut ledger = Ledger::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (done, expected) = line.split_once("->").unwrap();
        let words: Vec<&str> = done.split_whitespace().collect();
        let shown = |ledger: &Ledger, id: OrderId| {
            let order = ledger.order(id);
            let waits = order.waiting_for.map(|waiting| match waiting.what {
                What::Money => " waits for money",
                What::Stock => " waits for stock",
                What::Delivery => " waits for a courier",
                What::Card => " waits for the gateway",
                What::Stalled => " stalled",
            });
            format!("{}{}", order.state.name(), waits.unwrap_or_default())
        };
        let came = match words[..] {
            ["deposit", name, minor, idempotency] => match ledger.deposit(name, idempotency, minor.parse().unwrap()) {
                Ok(Outcome::Done(made)) => format!("done balance={}", made.balance_after.minor()),
                Ok(Outcome::AlreadyDone(made)) => format!("replayed balance={}", made.balance_after.minor()),
                Err(refusal) => format!("refused {}", refusal.code()),
            },
            ["order", name, minor, idempotency, ref rest @ ..] => {
                let if_unpaid = if rest == ["or-cancel"] { IfLacking::Cancel } else { IfLacking::Wait };
                match ledger.place(name, idempotency, minor.parse().unwrap(), if_unpaid) {
                    Ok(Outcome::Done(_)) => "placed".to_owned(),
                    Ok(Outcome::AlreadyDone(_)) => "replayed".to_owned(),
                    Err(refusal) => format!("refused {}", refusal.code()),
                }
            }
            ["advance", idempotency] => {
                ledger.advance(order_id(idempotency));
                shown(&ledger, order_id(idempotency))
            }
            ["look", idempotency] => {
                ledger.look(order_id(idempotency));
                shown(&ledger, order_id(idempotency))
            }
            ["stall", idempotency] => {
                ledger.stall(order_id(idempotency));
                shown(&ledger, order_id(idempotency))
            }
            ["wake", name] => {
                ledger.wake(name);
                format!("balance={}", ledger.balance(name))
            }
            ["pass", hours, "hours"] => {
                ledger.pass(Millis::hours(hours.parse().unwrap()));
                "later".to_owned()
            }
            _ => panic!("no such line: {line}"),
        };
        assert_eq!(came, expected.trim(), "{line}");
    }
    ledger
}

#[test]
fn an_order_is_paid_once_however_often_it_is_advanced() {
    let ledger = story(
        "deposit alice 500 k1   -> done balance=500
         deposit alice 500 k1   -> replayed balance=500
         deposit alice 900 k1   -> refused key_used_for_another_request
         order   alice 300 k1   -> placed
         order   alice 300 k1   -> replayed
         order   alice 301 k1   -> refused key_used_for_another_request
         advance k1             -> completed
         advance k1             -> completed
         look    k1             -> completed
         stall   k1             -> completed
         order   alice 300 k1   -> replayed
         wake    alice          -> balance=200",
    );
    assert_eq!(ledger.audit().findings, []);
}

#[test]
fn an_order_without_money_waits_and_a_deposit_ends_the_waiting() {
    let ledger = story(
        "order   alice 300 k1   -> placed
         advance k1             -> awaiting_payment waits for money
         advance k1             -> awaiting_payment waits for money
         deposit alice 299 d1   -> done balance=299
         wake    alice          -> balance=299
         deposit alice 1 d2     -> done balance=300
         wake    alice          -> balance=0
         advance k1             -> completed",
    );
    assert_eq!(ledger.audit().findings, []);
}

#[test]
fn an_order_that_is_not_to_wait_is_cancelled_and_stays_so() {
    let ledger = story(
        "deposit alice 299 d1           -> done balance=299
         order   alice 300 k1 or-cancel -> placed
         advance k1                     -> cancelled
         deposit alice 1 d2             -> done balance=300
         advance k1                     -> cancelled
         wake    alice                  -> balance=300",
    );
    assert_eq!(ledger.audit().findings, []);
}

#[test]
fn a_deadline_ends_the_waiting_but_never_before_money_that_is_there() {
    let ledger = story(
        "order   alice 300 k1   -> placed
         order   alice 200 k2   -> placed
         advance k1             -> awaiting_payment waits for money
         advance k2             -> awaiting_payment waits for money
         pass 71 hours          -> later
         look    k1             -> awaiting_payment waits for money
         pass 1 hours           -> later
         deposit alice 200 d1   -> done balance=200
         look    k1             -> cancelled
         look    k2             -> completed",
    );
    assert_eq!(ledger.audit().findings, []);
}

#[test]
fn what_stalls_is_looked_at_again_after_a_pause_that_grows_and_ends_by_its_deadline() {
    let mut ledger = story(
        "order   alice 300 k1   -> placed
         advance k1             -> awaiting_payment waits for money
         stall   k1             -> awaiting_payment stalled",
    );
    let id = order_id("k1");
    let deadline = ledger.order(id).waiting_for.unwrap().until;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        pauses.push(ledger.order(id).look_at.unwrap().as_millis() - ledger.now.as_millis());
        ledger.stall(id);
    }
    assert_eq!(pauses, [60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000]);
    assert_eq!(ledger.order(id).timeline.len(), 3, "placed, waiting, stalled: told once");
    ledger.look(id);
    assert_eq!(ledger.order(id).waiting_for.unwrap().what, What::Stalled, "it is not due yet");
    ledger.pass(Millis::hours(7));
    ledger.look(id);
    assert_eq!(ledger.order(id).waiting_for.unwrap().what, What::Money, "it could be processed again");
    assert_eq!(ledger.order(id).waiting_for.unwrap().until, deadline);
    assert_eq!(ledger.audit().findings, []);
    ledger.pass(Millis::hours(72));
    ledger.look(id);
    assert_eq!(ledger.order(id).state, OrderState::Cancelled);
    assert_eq!(ledger.audit().findings, []);
}

#[test]
fn every_move_in_every_state() {
    use Move::{Cancel, HandOver, Park, Pay, Reserve, Stall};
    use OrderState::{AwaitingDelivery, AwaitingPayment, AwaitingStock, Cancelled, Completed};
    let goods = [Step::Payment, Step::Stock, Step::Delivery];
    let reserve_first = [Step::Stock, Step::Payment, Step::Delivery];
    let plans: [(&[Step], [OrderState; 3]); 3] = [
        (&[Step::Payment], [Completed, Completed, Completed]),
        (&goods, [AwaitingStock, AwaitingDelivery, Completed]),
        (&reserve_first, [AwaitingDelivery, AwaitingPayment, Completed]),
    ];
    for (plan, [paid, reserved, handed_over]) in plans {
        let steps = [
            ((AwaitingPayment, Pay), paid),
            ((AwaitingStock, Reserve), reserved),
            ((AwaitingDelivery, HandOver), handed_over),
        ];
        let waiting = [AwaitingPayment, AwaitingStock, AwaitingDelivery].into_iter();
        let waiting =
            waiting.flat_map(|state| [((state, Park), state), ((state, Stall), state), ((state, Cancel), Cancelled)]);
        let legal: Vec<_> = steps.into_iter().chain(waiting).collect();
        for state in [AwaitingPayment, AwaitingStock, AwaitingDelivery, Completed, Cancelled] {
            for made in [Pay, Reserve, HandOver, Park, Stall, Cancel] {
                let expected = legal.iter().find(|(from, _)| *from == (state, made)).map(|(_, to)| *to);
                assert_eq!(state.after(made, plan).ok(), expected, "{plan:?} {state:?} {made:?}");
            }
        }
    }
}

/// What can happen to two orders of one account, in any order and number.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Place(&'static str, i64, IfLacking),
    Deposit(&'static str, i64),
    Advance(&'static str),
    Look(&'static str),
    Stall(&'static str),
    Wake,
    Hours(i64),
}

const HAPPENINGS: &[Happening] = &[
    Happening::Place("k1", 300, IfLacking::Wait),
    Happening::Place("k2", 200, IfLacking::Wait),
    Happening::Deposit("d1", 250),
    Happening::Deposit("d2", 250),
    Happening::Advance("k1"),
    Happening::Advance("k2"),
    Happening::Look("k1"),
    Happening::Look("k2"),
    Happening::Stall("k1"),
    Happening::Wake,
    Happening::Hours(73),
];

fn happen(ledger: &mut Ledger, happening: Happening) {
    match happening {
        Happening::Place(idempotency, minor, if_unpaid) => {
            ledger.place("alice", idempotency, minor, if_unpaid).unwrap();
        }
        Happening::Deposit(idempotency, minor) => {
            ledger.deposit("alice", idempotency, minor).unwrap();
        }
        Happening::Advance(idempotency) => {
            ledger.advance(order_id(idempotency));
        }
        Happening::Look(idempotency) => {
            ledger.look(order_id(idempotency));
        }
        Happening::Stall(idempotency) => {
            ledger.stall(order_id(idempotency));
        }
        Happening::Wake => ledger.wake("alice"),
        Happening::Hours(hours) => ledger.pass(Millis::hours(hours)),
    }
}

/// The findings that do not come from a wake or a look that has yet to happen.
fn broken(ledger: &Ledger) -> Vec<String> {
    let mut settled = ledger.clone();
    settled.wake("alice");
    for idempotency in ["k1", "k2"] {
        settled.advance(order_id(idempotency));
        settled.look(order_id(idempotency));
    }
    settled.audit().findings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_promises_hold_in_every_state_that_can_be_reached() {
    // A state is what is kept, without the moments that only differ.
    let fingerprint = |ledger: &Ledger| {
        let orders: Vec<_> = ["k1", "k2"]
            .iter()
            .map(|idempotency| {
                let id = order_id(idempotency);
                ledger.items.contains_key(&domain::books::Key::Order(id)).then(|| {
                    let Order { state, charged, waiting_for, parked, stalls, .. } = ledger.order(id);
                    let due = ledger.order(id).look_at.is_some_and(|at| at <= ledger.now);
                    let over = waiting_for.is_some_and(|waiting| waiting.until <= ledger.now);
                    (state, charged, waiting_for.map(|waiting| waiting.what as u8), parked, stalls.min(2), due, over)
                })
            })
            .collect();
        format!("{orders:?} {} {}", ledger.balance("alice"), ledger.items.len())
    };
    let mut seen = BTreeSet::new();
    let mut left = vec![Ledger::new()];
    while let Some(ledger) = left.pop() {
        for happening in HAPPENINGS {
            let mut next = ledger.clone();
            happen(&mut next, *happening);
            if next.now.as_millis() > START.after(Millis::hours(400)).as_millis() {
                continue;
            }
            if seen.insert(fingerprint(&next)) {
                assert_eq!(broken(&next), Vec::<String>::new(), "after {happening:?}: {}", fingerprint(&next));
                left.push(next);
            }
        }
    }
    assert!(seen.len() > 60, "only {} states were reached", seen.len());
}

proptest! {
    #[test]
    fn money_is_conserved_whatever_happens(happenings in prop::collection::vec((0..7_usize, 0..6_usize, 1..400_i64), 1..60)) {
        let names = ["k0", "k1", "k2", "k3", "k4", "k5"];
        let mut ledger = Ledger::new();
        for (kind, which, minor) in happenings {
            let name = names[which];
            match kind {
                0 | 1 => _ = ledger.deposit("alice", name, minor),
                2 => _ = ledger.place("alice", name, minor, IfLacking::Wait),
                3 => _ = ledger.place("alice", name, minor, IfLacking::Cancel),
                4 => _ = ledger.advance(order_id(name)),
                5 => _ = ledger.look(order_id(name)),
                _ => ledger.wake("alice"),
            }
            ledger.pass(Millis::minutes(minor));
            let report = ledger.audit();
            let money = report.findings.iter().filter(|finding| !matches!(
                finding.promise,
                domain::promises::Promise::NothingLost | domain::promises::Promise::NoIdling
            ));
            prop_assert_eq!(money.count(), 0, "{:?}", report.findings);
            prop_assert_eq!(report.held + report.revenue, report.deposited);
        }
    }
}

#[test]
fn a_late_advance_of_an_unknown_order_is_known_as_such() {
    assert_eq!(Ledger::new().advance(order_id("none")), Advanced::Unknown);
}

#[test]
fn money_of_one_currency_pays_nothing_of_another() {
    let mut ledger = Ledger::new();
    ledger.deposit("alice", "d1", 500).unwrap();
    ledger.terms.currency = domain::Currency::from_code("JPY").unwrap();
    assert_eq!(ledger.deposit("alice", "d2", 500).unwrap_err().code(), "currency_not_of_this_stack");
    let id = ledger.place("alice", "k1", 300, IfLacking::Wait).unwrap().into_inner().id;
    let (now, terms) = (ledger.now, ledger.terms.clone());
    let refused = ledger.decide(|draft| domain::orders::advance(draft, id, now, &terms));
    assert_eq!(refused.unwrap_err().code(), "currency_not_of_this_stack");
    assert_eq!(ledger.balance("alice"), 500);
}
