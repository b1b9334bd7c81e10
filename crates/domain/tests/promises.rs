//! Each promise broken by hand, and the finding that says so. A judge that finds nothing wrong with these would find
//! nothing wrong at all.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::books::{Item, Key};
use domain::orders::{IfLacking, OrderState};
use domain::promises::Promise;
use domain::{Amount, Millis, Movement};
use support::{Ledger, customer, key};

/// A paid order, a waiting one, a cancelled one, and everything told.
fn sound() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.deposit("alice", "d1", 500).unwrap();
    for (idempotency, minor, if_unpaid) in
        [("paid", 300, IfLacking::Wait), ("waits", 900, IfLacking::Wait), ("gone", 900, IfLacking::Cancel)]
    {
        let id = ledger.place("alice", idempotency, minor, if_unpaid).unwrap().into_inner().id;
        ledger.advance(id);
    }
    ledger.deposit("bob", "d1", 70).unwrap();
    ledger.pass(Millis::minutes(1));
    ledger
}

fn order_key(idempotency: &str) -> Key {
    Key::Order(domain::ids::OrderId::of(&customer("alice"), &key(idempotency)))
}

fn item<'a>(ledger: &'a mut Ledger, key: &Key) -> &'a mut Item {
    &mut ledger.items.get_mut(key).unwrap().0
}

fn order<'a>(ledger: &'a mut Ledger, idempotency: &str) -> &'a mut domain::orders::Order {
    match item(ledger, &order_key(idempotency)) {
        Item::Order(order) => order,
        other => panic!("{other:?}"),
    }
}

fn account<'a>(ledger: &'a mut Ledger, name: &str) -> &'a mut domain::accounts::Account {
    match item(ledger, &Key::Account(customer(name))) {
        Item::Account(account) => account,
        other => panic!("{other:?}"),
    }
}

fn entry(ledger: &mut Ledger, number: u64) -> &mut domain::accounts::Entry {
    match item(ledger, &Key::Entry(customer("alice"), number)) {
        Item::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

fn waiting_key(ledger: &Ledger) -> Key {
    *ledger.items.keys().find(|key| matches!(key, Key::Waiting(..))).unwrap()
}

fn amount(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

#[test]
fn a_sound_ledger_has_no_findings() {
    let report = sound().audit();
    assert_eq!(report.findings, []);
    assert_eq!((report.accounts, report.entries, report.deposits, report.waiting), (2, 3, 2, 1));
    assert_eq!((report.held, report.revenue, report.deposited), (270, 300, 570));
}

type Break = fn(&mut Ledger);

#[test]
fn each_broken_promise_is_found() {
    let breaks: &[(&str, Promise, Break)] = &[
        ("a balance that its entries do not come to", Promise::Conservation, |ledger| {
            account(ledger, "alice").balance = amount(201);
        }),
        ("a count of entries that is wrong", Promise::Conservation, |ledger| account(ledger, "alice").entries = 3),
        ("an entry that is gone", Promise::Conservation, |ledger| {
            ledger.items.remove(&Key::Entry(customer("alice"), 1));
        }),
        ("an entry that moved more than it says", Promise::Conservation, |ledger| {
            entry(ledger, 2).amount = Movement::out_of_account(amount(299));
        }),
        ("an entry in another currency", Promise::Conservation, |ledger| {
            entry(ledger, 2).currency = domain::Currency::from_code("JPY").unwrap();
        }),
        ("an account that is gone", Promise::Conservation, |ledger| {
            ledger.items.remove(&Key::Account(customer("alice")));
        }),
        ("a deposit that is gone", Promise::Conservation, |ledger| {
            let gone = *ledger.items.keys().find(|key| matches!(key, Key::Deposit(_))).unwrap();
            ledger.items.remove(&gone);
        }),
        ("a charge without its order's word", Promise::Conservation, |ledger| {
            order(ledger, "paid").charged = amount(0)
        }),
        ("an order that completed without a charge", Promise::OneCharge, |ledger| {
            let unpaid = order(ledger, "waits");
            unpaid.state = OrderState::Completed;
        }),
        ("a cancelled order that keeps the money", Promise::OneCharge, |ledger| {
            order(ledger, "paid").state = OrderState::Cancelled;
        }),
        ("an order charged twice", Promise::OneCharge, |ledger| {
            let (mut again, version) = (entry(ledger, 2).clone(), 1);
            again.number = 3;
            ledger.items.insert(Key::Entry(customer("alice"), 3), (Item::Entry(again), version));
        }),
        ("an order that is charged and not there", Promise::NothingLost, |ledger| {
            ledger.items.remove(&order_key("paid"));
        }),
        ("an order that nobody will look at", Promise::NothingLost, |ledger| order(ledger, "waits").look_at = None),
        ("an order that should have been looked at", Promise::NothingLost, |ledger| ledger.pass(Millis::hours(73))),
        ("a waiting order that no deposit would find", Promise::NothingLost, |ledger| {
            let place = waiting_key(ledger);
            ledger.items.remove(&place);
        }),
        ("a place in a queue that its order does not know of", Promise::NothingLost, |ledger| {
            order(ledger, "waits").parked = None;
        }),
        ("an order that has ended and still waits", Promise::NothingLost, |ledger| {
            let ended = order(ledger, "gone");
            ended.look_at = Some(ended.placed_at);
        }),
        ("an order that waits for money that is there", Promise::NoIdling, |ledger| {
            ledger.deposit("alice", "d2", 700).unwrap();
            ledger.pass(Millis::minutes(1));
        }),
        ("a notification told twice", Promise::OnceTold, |ledger| ledger.told.push(ledger.told[0].clone())),
        ("a notification that was never told", Promise::OnceTold, |ledger| _ = ledger.told.pop()),
        ("a notification of what never happened", Promise::OnceTold, |ledger| {
            let mut invented = ledger.told[0].clone();
            invented.event.version += 7;
            ledger.told.push(invented);
        }),
        ("a notification to another", Promise::EveryoneTheirOwn, |ledger| ledger.told[0].customer = customer("bob")),
        ("an order paid from another's account", Promise::EveryoneTheirOwn, |ledger| {
            order(ledger, "paid").customer = customer("bob");
        }),
    ];
    for (what, promise, break_it) in breaks {
        let mut ledger = sound();
        break_it(&mut ledger);
        let findings = ledger.audit().findings;
        assert!(findings.iter().any(|finding| finding.promise == *promise), "{what}: {findings:?}");
    }
    for promise in Promise::ALL {
        assert!(breaks.iter().any(|(_, broken, _)| *broken == promise), "{} is never broken here", promise.code());
    }
}
