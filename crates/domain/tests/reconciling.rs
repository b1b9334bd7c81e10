//! A gateway's report against what is kept: each way in which they can differ, from either side, in any order of what
//! goes by; and what the edges of a report's time leave open.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::ids::RefundId;
use domain::payments::{
    Answer, Differs, Gateway, GatewayKey, GatewayRef, Moved, Payment, Reconciled, Reconciling, ReportLine, Reported,
    ReportedState, Window,
};
use domain::{Amount, Currency, Millis, Timestamp};
use support::{Ledger, START, reported};

fn minor(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

/// What a gateway says that has a name of its own for it.
fn named(state: ReportedState, minor: i64, name: &str) -> Answer {
    Answer::Says(Reported { reference: GatewayRef::new(name), ..reported(state, minor) })
}

/// A payment of so much that the gateway captured, and calls `ch_KEY`.
fn captured(ledger: &mut Ledger, key: &str, amount: i64) -> Payment {
    let payment = ledger.make_payment("alice", key, amount, Gateway::Plain).unwrap().into_inner();
    let said = named(ReportedState::Captured, amount, &format!("ch_{key}"));
    assert!(ledger.call(payment.gateway_key(), &said).is_some());
    ledger.payment(payment.id)
}

/// A refund of it that the gateway made, and calls `re_KEY`.
fn given_back(ledger: &mut Ledger, of: &Payment, key: &str, amount: i64) -> GatewayKey {
    let refund = ledger.ask_refund("alice", key, of.id, Some(amount)).unwrap().into_inner();
    let said = named(ReportedState::Refunded, amount, &format!("re_{key}"));
    assert!(ledger.call(refund.gateway_key(), &said).is_some());
    refund.gateway_key()
}

/// The line that a gateway writes of it which has done as it was asked.
fn line(key: GatewayKey, id: &str, amount: i64) -> ReportLine {
    let moved = if matches!(key, GatewayKey::Charge(_)) { Moved::Charge } else { Moved::Refund };
    ReportLine {
        line: 0,
        moved,
        id: id.to_owned(),
        charge: "ch".to_owned(),
        key: Some(key.to_string()),
        reference: None,
        amount: minor(amount),
        currency: Currency::from_code("EUR").unwrap(),
        at: START,
    }
}

/// Over everything that is kept, forwards and backwards: the order in which it goes by is nobody's business.
fn reconcile(ledger: &Ledger, lines: &[ReportLine], window: Window) -> Reconciled {
    let run = |gateway, backwards: bool| {
        let mut reconciling = Reconciling::new(gateway, window);
        for (number, line) in (2..).zip(lines) {
            reconciling.line(ReportLine { line: number, ..line.clone() });
        }
        let mut items: Vec<_> = ledger.items.values().map(|(item, _)| item).collect();
        if backwards {
            items.reverse();
        }
        items.into_iter().for_each(|item| reconciling.see(item));
        reconciling.finish()
    };
    let reconciled = run(None, false);
    assert_eq!(run(None, true), reconciled);
    assert_eq!(run(Some(Gateway::Plain), false), reconciled, "all of it is through that gateway");
    reconciled
}

/// What differs, in which line, and how it stands here.
fn found(ledger: &Ledger, lines: &[ReportLine]) -> Vec<(Differs, u64, &'static str)> {
    let differences = reconcile(ledger, lines, Window::default()).differences;
    let line = |theirs: &Option<ReportLine>| theirs.as_ref().map_or(0, |line| line.line);
    differences.iter().map(|one| (one.differs, line(&one.theirs), one.ours.as_ref().map_or("", |o| o.state))).collect()
}

#[test]
fn a_report_of_what_was_done_agrees() {
    let mut ledger = Ledger::new();
    let (one, other) = (captured(&mut ledger, "k1", 500), captured(&mut ledger, "k2", 70));
    let refund = given_back(&mut ledger, &one, "r", 200);
    let lines =
        [line(one.gateway_key(), "ch_k1", 500), line(other.gateway_key(), "ch_k2", 70), line(refund, "re_r", 200)];
    let reconciled = reconcile(&ledger, &lines, Window::default());
    assert_eq!(reconciled, Reconciled { charges: 2, refunds: 1, agree: 3, ..Reconciled::default() });
    // Without keys, by what each side calls the other's.
    let unkeyed = lines.clone().map(|line| ReportLine { key: None, ..line });
    assert_eq!(reconcile(&ledger, &unkeyed, Window::default()), reconciled);
    let [mut first, rest @ ..] = unkeyed;
    (first.id, first.reference) = ("ch_other".to_owned(), Some(one.id.to_string()));
    let lines: Vec<_> = std::iter::once(first).chain(rest).collect();
    assert_eq!(reconcile(&ledger, &lines, Window::default()), reconciled);
}

#[test]
fn what_is_missing_is_named() {
    let mut ledger = Ledger::new();
    let payment = captured(&mut ledger, "k", 500);
    given_back(&mut ledger, &payment, "r", 200);
    assert_eq!(found(&ledger, &[]), [(Differs::Missing, 0, "captured"), (Differs::Missing, 0, "given back")]);
    let differences = reconcile(&ledger, &[], Window::default()).differences;
    let money: Vec<_> = differences.iter().map(|one| one.ours.as_ref().unwrap().money.unwrap().0.minor()).collect();
    assert_eq!(money, [500, 200]);
    // What money did not move by, or by no gateway, is not.
    let mut ledger = Ledger::new();
    let payment = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap().into_inner();
    assert_eq!(found(&ledger, &[]), []);
    ledger.call(payment.gateway_key(), &Answer::Says(reported(ReportedState::Declined, 500)));
    assert_eq!(found(&ledger, &[]), []);
}

#[test]
fn what_is_extra_is_named_with_how_it_stands_here() {
    let mut ledger = Ledger::new();
    let payment = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap().into_inner();
    let key = payment.gateway_key();
    assert_eq!(found(&ledger, &[line(key, "ch", 500)]), [(Differs::Extra, 2, "pending")]);
    ledger.call(key, &Answer::Says(reported(ReportedState::Declined, 500)));
    assert_eq!(found(&ledger, &[line(key, "ch", 500)]), [(Differs::Extra, 2, "declined")]);
    let other = captured(&mut ledger, "other", 70);
    let of_other = line(other.gateway_key(), "ch_other", 70);
    let refund = ledger.ask_refund("alice", "r", other.id, Some(7)).unwrap().into_inner();
    let back = line(refund.gateway_key(), "re", 7);
    assert_eq!(found(&ledger, &[of_other.clone(), back]), [(Differs::Extra, 3, "on its way")]);
    // What nothing here knows: by its key, by another's key, without one.
    let unknown =
        GatewayKey::Refund(RefundId::of_order(&domain::ids::OrderId::of(&other.customer, &support::key("x"))));
    let mut foreign = line(key, "ch_x", 5);
    foreign.key = Some("order-7".to_owned());
    let mut keyless = line(unknown, "re_x", 5);
    keyless.key = None;
    let lines = [of_other, line(unknown, "re", 1), foreign, keyless];
    assert_eq!(found(&ledger, &lines), [3, 4, 5].map(|line| (Differs::Extra, line, "")));
    // A key is of one kind of movement.
    let mut mixed = line(key, "ch", 500);
    mixed.moved = Moved::Refund;
    let lines = [line(other.gateway_key(), "ch_other", 70), mixed];
    assert_eq!(found(&ledger, &lines), [(Differs::Extra, 3, "")]);
    // What was reported early and is not there.
    let orphan = GatewayKey::Charge(domain::ids::PaymentId::of_event(&support::key("e")));
    ledger.call_back("c", "b", orphan, &reported(ReportedState::Captured, 5));
    let lines = [line(other.gateway_key(), "ch_other", 70), line(orphan, "ch_e", 5)];
    assert_eq!(found(&ledger, &lines), [(Differs::Extra, 3, "reported, and not there")]);
}

#[test]
fn other_money_is_named() {
    let mut ledger = Ledger::new();
    let payment = captured(&mut ledger, "k", 500);
    let refund = given_back(&mut ledger, &payment, "r", 200);
    let (mut charge, mut back) = (line(payment.gateway_key(), "ch_k", 501), line(refund, "re_r", 200));
    assert_eq!(found(&ledger, &[charge.clone(), back.clone()]), [(Differs::Amount, 2, "captured")]);
    charge.amount = minor(500);
    charge.currency = Currency::from_code("USD").unwrap();
    back.amount = minor(199);
    let expected = [(Differs::Currency, 2, "captured"), (Differs::Amount, 3, "given back")];
    assert_eq!(found(&ledger, &[charge.clone(), back.clone()]), expected);
    charge.amount = minor(1);
    let both = found(&ledger, &[charge, line(refund, "re_r", 200)]);
    assert_eq!(both, [(Differs::Amount, 2, "captured"), (Differs::Currency, 2, "captured")]);
}

#[test]
fn a_second_charge_is_named_under_whatever_key() {
    let mut ledger = Ledger::new();
    let payment = captured(&mut ledger, "k", 500);
    let refund = given_back(&mut ledger, &payment, "r", 200);
    let right = line(payment.gateway_key(), "ch_k", 500);
    let again = ReportLine { id: "ch_again".to_owned(), ..right.clone() };
    let mut by_reference = ReportLine { key: Some("by-hand".to_owned()), ..again.clone() };
    by_reference.reference = Some(payment.id.to_string());
    let (back, back_again) = (line(refund, "re_r", 200), line(refund, "re_again", 200));
    for twice in [again, by_reference] {
        // Whichever stands first, the one that is known by name here is the one.
        let (first, second) = ([twice.clone(), right.clone()], [right.clone(), twice.clone()]);
        for (lines, place) in [(first, 2), (second, 3)] {
            let lines = [lines.as_slice(), std::slice::from_ref(&back)].concat();
            assert_eq!(found(&ledger, &lines), [(Differs::Twice, place, "captured")]);
        }
    }
    assert_eq!(found(&ledger, &[right, back, back_again]), [(Differs::Twice, 4, "given back")]);
}

/// When the gateway moved money is not known here, only between what it was.
#[test]
fn a_report_of_a_day_is_held_against_what_is_of_that_day() {
    let mut ledger = Ledger::new();
    let at = |hours: i64| START.after(Millis::hours(hours));
    let mut made = Vec::new();
    for (key, begun, known) in
        [("before", 0, 1), ("into", 9, 11), ("within", 12, 13), ("out", 19, 21), ("after", 22, 23)]
    {
        ledger.now = at(begun);
        let payment = ledger.make_payment("alice", key, 5, Gateway::Plain).unwrap().into_inner();
        ledger.begin_next(payment.gateway_key());
        ledger.now = at(known);
        ledger.settle_call(payment.gateway_key(), &Answer::Says(reported(ReportedState::Captured, 5)), 0);
        made.push(payment);
    }
    let missing = |from: Option<Timestamp>, to: Option<Timestamp>| {
        let reconciled = reconcile(&ledger, &[], Window { from, to });
        let payments = reconciled.differences.iter().map(|one| one.ours.as_ref().unwrap().payment.unwrap());
        let place = |id| made.iter().position(|payment| payment.id == id).unwrap();
        let mut places: Vec<_> = payments.map(place).collect();
        places.sort_unstable();
        (places, reconciled.on_the_edge)
    };
    assert_eq!(missing(Some(at(10)), Some(at(20))), (vec![2], 2));
    assert_eq!(missing(None, Some(at(20))), (vec![0, 1, 2], 1));
    assert_eq!(missing(Some(at(10)), None), (vec![2, 3, 4], 1));
    assert_eq!(missing(None, None).0.len(), 5);
    // What stands in the report is held against ours, whenever that was.
    let lines = made.iter().map(|payment| line(payment.gateway_key(), "ch", 5)).collect::<Vec<_>>();
    let reconciled = reconcile(&ledger, &lines, Window { from: Some(at(10)), to: Some(at(20)) });
    assert_eq!((reconciled.agree, reconciled.on_the_edge, reconciled.differences.len()), (5, 0, 0));
}

#[test]
fn another_gateways_payments_are_not_held_against_it() {
    let mut ledger = Ledger::new();
    let payment = captured(&mut ledger, "k", 500);
    let run = |gateway, lines: &[ReportLine]| {
        let mut reconciling = Reconciling::new(Some(gateway), Window::default());
        lines.iter().for_each(|line| reconciling.line(line.clone()));
        ledger.items.values().for_each(|(item, _)| reconciling.see(item));
        reconciling.finish().differences.into_iter().map(|one| one.differs).collect::<Vec<_>>()
    };
    assert_eq!(run(Gateway::Plain, &[]), [Differs::Missing]);
    assert_eq!(run(Gateway::Stripe, &[]), []);
    assert_eq!(run(Gateway::Stripe, &[line(payment.gateway_key(), "pi", 500)]), [Differs::Extra]);
}
