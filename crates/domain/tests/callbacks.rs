//! Five callbacks for one payment, three copies of each, in every order: every state that can be reached, once. Each commit
//! is judged as it comes, and however they come, they leave the same behind.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::HashSet;

use domain::books::Kept as _;
use domain::ids::RefundId;
use domain::orders::OrderState;
use domain::payments::{GatewayKey, Payment, PaymentState, Refund, RefundState};
use support::Ledger;
use support::callbacks::{Setting, World, called_about, kept, late_payment, of_order, payment};

const COPIES: u8 = 3;

/// How many states there are, and each state in which no callback is left.
fn explore(setting: &Setting) -> (usize, Vec<Ledger>) {
    let start = setting.start(COPIES);
    let mut seen = HashSet::from([start.fingerprint()]);
    let mut open = vec![start];
    let (mut states, mut ends) = (0, Vec::new());
    while let Some(world) = open.pop() {
        states += 1;
        assert_eq!(money(&world.ledger), [], "{}", world.fingerprint());
        let next: Vec<World> = setting.next(&world).into_iter().map(|(_, next)| next).collect();
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

fn of_payment(ledger: &Ledger, of: GatewayKey) -> Payment {
    Payment::of_item(&ledger.items[&of.key()].0).unwrap().clone()
}

#[test]
fn five_callbacks_in_three_copies_leave_the_same_behind_in_every_order() {
    let setting = payment();
    let (states, ends) = explore(&setting);
    println!("{}: {states} states", setting.name);
    assert!(states > 1_000, "{states}");
    let ends: HashSet<String> = ends.iter().map(kept).collect();
    assert_eq!(ends.len(), 1, "{ends:#?}");
    let end = ends.iter().next().unwrap();
    assert!(end.contains("InReview") && end.contains("GivenBackUnasked"), "{end}");
}

#[test]
fn they_do_so_before_the_payment_is_there_too() {
    let setting = late_payment();
    let of = setting.payment;
    let (states, ends) = explore(&setting);
    println!("{}: {states} states", setting.name);
    let (_, made_before) = explore(&payment());
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
    let setting = called_about();
    let of = setting.payment;
    let (states, ends) = explore(&setting);
    println!("{}: {states} states", setting.name);
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
    let setting = of_order();
    let (of, id) = (setting.payment, setting.order.unwrap());
    let refund = GatewayKey::Refund(RefundId::of_order(&id));
    let (states, ends) = explore(&setting);
    println!("{}: {states} states", setting.name);
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
