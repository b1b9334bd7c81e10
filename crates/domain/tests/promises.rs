//! Each promise broken by hand, and the finding that says so. A judge that finds nothing wrong with these would find
//! nothing wrong at all.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::accounts::Cause;
use domain::books::{Item, Key};
use domain::events::Told;
use domain::ids::SlotId;
use domain::orders::{IfLacking, OrderState, Resource};
use domain::promises::{Promise, Sketch, Subjects, Supply, Until};
use domain::{Amount, Millis, Movement};
use support::{Ledger, Policies, customer, key, sku};

/// A paid order, a waiting one, a cancelled one, and everything told; goods that were sold, wait for stock and for a
/// courier, and were cancelled after they were reserved.
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
    sell(&mut ledger);
    ledger.pass(Millis::minutes(1));
    ledger
}

fn sell(ledger: &mut Ledger) {
    ledger.product("tea", 100);
    ledger.product("pot", 100);
    ledger.deposit("carol", "d1", 1_000).unwrap();
    ledger.receive("r1", "tea", 3).unwrap();
    ledger.put_slot("standard", 1, None, None).unwrap();
    for (idempotency, sku) in [("sold", "tea"), ("carried", "tea"), ("short", "pot"), ("back", "tea")] {
        let placed = ledger.place_goods("carol", idempotency, &[(sku, 1)], Policies::default());
        ledger.advance(placed.unwrap().into_inner().id);
    }
    ledger.cancel("carol", id_of("back")).unwrap();
    ledger.settle();
}

fn id_of(idempotency: &str) -> domain::ids::OrderId {
    domain::ids::OrderId::of(&customer("carol"), &key(idempotency))
}

fn goods<'a>(ledger: &'a mut Ledger, idempotency: &str) -> &'a mut domain::orders::Order {
    match item(ledger, &Key::Order(id_of(idempotency))) {
        Item::Order(order) => order,
        other => panic!("{other:?}"),
    }
}

fn stock(ledger: &mut Ledger) -> &mut domain::goods::Stock {
    match item(ledger, &Key::Stock(sku("tea"))) {
        Item::Stock(stock) => stock,
        other => panic!("{other:?}"),
    }
}

fn slot(ledger: &mut Ledger) -> &mut domain::slots::Slot {
    match item(ledger, &Key::Slot(SlotId::standard())) {
        Item::Slot(slot) => slot,
        other => panic!("{other:?}"),
    }
}

/// The number of the entry that gave money back.
fn refund(ledger: &Ledger) -> u64 {
    let found = ledger.items.values().find_map(|(item, _)| match item {
        Item::Entry(entry) => matches!(entry.cause, Cause::Refund(_)).then_some(entry.number),
        _ => None,
    });
    found.unwrap()
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
    assert_eq!((report.accounts, report.entries, report.deposits, report.waiting), (3, 9, 3, 3));
    assert_eq!((report.held, report.revenue, report.deposited), (970, 600, 1_570));
    assert_eq!((report.products, report.receipts, report.slots), (2, 1, 1));
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
        ("stock that nobody received", Promise::NoOversell, |ledger| stock(ledger).on_hand += 1),
        ("a receipt that is gone", Promise::NoOversell, |ledger| {
            let gone = *ledger.items.keys().find(|key| matches!(key, Key::Receipt(_))).unwrap();
            ledger.items.remove(&gone);
        }),
        ("stock that is gone", Promise::NoOversell, |ledger| {
            ledger.items.remove(&Key::Stock(sku("tea")));
        }),
        ("goods sold once more than there are", Promise::NoOversell, |ledger| {
            let mut more = goods(ledger, "sold").clone();
            more.id = id_of("another");
            ledger.items.insert(more.key(), (Item::Order(more), 9));
        }),
        ("an order that completed without its goods", Promise::NoOversell, |ledger| {
            goods(ledger, "sold").reserved = false;
        }),
        ("an order that holds goods before its step", Promise::NoOversell, |ledger| {
            goods(ledger, "short").reserved = true;
        }),
        ("a cancelled order that keeps its goods", Promise::NoOversell, |ledger| goods(ledger, "back").reserved = true),
        ("goods given back that were not taken", Promise::NothingLost, |ledger| {
            goods(ledger, "back").timeline.retain(|passage| passage.told != Told::OrderReserved);
        }),
        ("an order that completed without delivery", Promise::NoOversell, |ledger| {
            goods(ledger, "sold").delivery = None;
        }),
        ("a slot booked past its capacity", Promise::NoOversell, |ledger| slot(ledger).capacity = 0),
        ("a slot in which nobody is booked", Promise::NoOversell, |ledger| slot(ledger).booked = 0),
        ("a slot that is in no list", Promise::NothingLost, |ledger| {
            ledger.items.remove(&Key::ListedSlot(SlotId::standard()));
        }),
        ("an order that waits for stock that is there", Promise::NoIdling, |ledger| {
            ledger.receive("r2", "pot", 1).unwrap();
            ledger.pass(Millis::minutes(1));
        }),
        ("an order that waits for a slot that has room", Promise::NoIdling, |ledger| {
            ledger.put_slot("standard", 2, None, None).unwrap();
            ledger.pass(Millis::minutes(1));
        }),
        ("an order that waits for what it has", Promise::NothingLost, |ledger| {
            goods(ledger, "carried").parked = Some(Resource::Stock(sku("tea")));
        }),
        ("an order whose lines cost something else", Promise::OneCharge, |ledger| {
            goods(ledger, "sold").lines[0].quantity = 2;
        }),
        ("a refund that is gone", Promise::Conservation, |ledger| {
            let number = refund(ledger);
            ledger.items.remove(&Key::Entry(customer("carol"), number));
        }),
        ("a refund of another amount", Promise::Conservation, |ledger| {
            let key = Key::Entry(customer("carol"), refund(ledger));
            let Item::Entry(entry) = item(ledger, &key) else { panic!("{key:?}") };
            entry.amount = Movement::into_account(amount(99));
        }),
        ("an order refunded twice", Promise::OneCharge, |ledger| {
            let number = refund(ledger);
            let Item::Entry(mut again) = item(ledger, &Key::Entry(customer("carol"), number)).clone() else { panic!() };
            again.number += 1;
            ledger.items.insert(Key::Entry(again.customer, again.number), (Item::Entry(again), 1));
        }),
        ("a refund that its order does not tell of", Promise::NothingLost, |ledger| {
            goods(ledger, "back").timeline.retain(|passage| !matches!(passage.told, Told::OrderRefunded { .. }));
        }),
    ];
    assert_eq!(sound().audit().findings, []);
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

/// What everything is judged by that is held against its other side: the sketch must be suspicious wherever the subjects
/// find something that two places say.
#[test]
fn the_sketch_is_suspicious_of_every_claim_that_is_broken() {
    let breaks: &[(&str, Break)] = &[
        ("a charge that is gone", |ledger| {
            ledger.items.remove(&Key::Entry(customer("carol"), 2));
        }),
        ("a refund that is gone", |ledger| {
            let number = refund(ledger);
            ledger.items.remove(&Key::Entry(customer("carol"), number));
        }),
        ("a refund taken for a charge", |ledger| {
            let key = Key::Entry(customer("carol"), refund(ledger));
            let Item::Entry(entry) = item(ledger, &key) else { panic!("{key:?}") };
            entry.cause = Cause::Order(id_of("back"));
        }),
        ("a refund of another order", |ledger| {
            let key = Key::Entry(customer("carol"), refund(ledger));
            let Item::Entry(entry) = item(ledger, &key) else { panic!("{key:?}") };
            entry.cause = Cause::Refund(id_of("sold"));
        }),
        ("a refund that its order does not tell of", |ledger| {
            goods(ledger, "back").timeline.retain(|passage| !matches!(passage.told, Told::OrderRefunded { .. }));
        }),
        ("a notification of a reservation that is gone", |ledger| {
            let place = ledger.told.iter().position(|told| told.transition == "reserved").unwrap();
            ledger.told.remove(place);
        }),
        ("an order that holds what it should not", |ledger| goods(ledger, "short").reserved = true),
    ];
    let suspects = |ledger: &Ledger| {
        let mut sketch = Sketch::new(7, 12, Until(None));
        ledger.items.values().for_each(|(item, version)| sketch.see(item, *version));
        ledger.told.iter().for_each(|told| sketch.see(&Item::Notification(told.clone()), 1));
        sketch.suspects(ledger.now).count()
    };
    assert_eq!(suspects(&sound()), 0);
    for (what, break_it) in breaks {
        let mut ledger = sound();
        break_it(&mut ledger);
        assert!(suspects(&ledger) > 0, "{what}");
        let mut subjects = Subjects::default();
        ledger.items.values().for_each(|(item, version)| subjects.see(item.clone(), *version));
        ledger.told.iter().for_each(|told| subjects.see(Item::Notification(told.clone()), 1));
        let found = subjects.judge(|_: &Resource| None::<Supply>, ledger.now);
        assert!(!found.is_empty(), "{what}");
    }
}

/// Over a table that goes on, what was reserved, given back or received since does not count, and neither does what has
/// moved since.
#[test]
fn sums_of_stock_are_of_one_moment() {
    let mut ledger = Ledger::new();
    ledger.product("tea", 100);
    ledger.deposit("carol", "d1", 1_000).unwrap();
    ledger.receive("r1", "tea", 3).unwrap();
    for idempotency in ["sold", "back"] {
        ledger.place_goods("carol", idempotency, &[("tea", 1)], Policies::default()).unwrap();
    }
    ledger.settle();
    let (until, early) = (Until(Some(ledger.now)), ledger.items.clone());
    ledger.pass(Millis::minutes(1));
    ledger.cancel("carol", id_of("back")).unwrap();
    ledger.receive("r2", "tea", 4).unwrap();
    ledger.settle();
    let judged = |read_early: fn(&Key) -> bool| {
        let mut shelves = domain::promises::Shelves::new(until);
        for (key, (late, _)) in &ledger.items {
            let item = if read_early(key) { early.get(key).map(|(item, _)| item) } else { Some(late) };
            item.into_iter().for_each(|item| shelves.see(item));
        }
        shelves.judge()
    };
    assert_eq!(judged(|_| false), [], "the stock has moved since");
    assert_eq!(judged(|key| matches!(key, Key::Stock(_))), [], "the stock as it was, the orders as they are");
    assert_eq!(judged(|key| matches!(key, Key::Stock(_) | Key::Order(_))), []);
    let mut shelves = domain::promises::Shelves::new(until);
    shelves.see(&early[&Key::Stock(sku("tea"))].0);
    assert_eq!(shelves.judge().len(), 1, "stock alone, of which nobody says where it came from");
}
