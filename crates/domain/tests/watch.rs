//! Each promise broken in one commit, and the finding that says so at once. The commits are those that decisions made;
//! only the one that is tampered with is not.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeMap;

use domain::accounts::{Account, Entry};
use domain::books::{Item, Key};
use domain::events::Told;
use domain::goods::Stock;
use domain::ids::{OrderId, PaymentId, RefundId};
use domain::orders::{IfLacking, Order, OrderState, PayWith, Resource, Waiting};
use domain::payments::{Answer, Gateway, GatewayKey, Payment, PaymentState, ReportedState};
use domain::promises::Promise;
use domain::promises::watch::{Action, Watch};
use domain::slots::Slot;
use domain::{Amount, Millis};
use support::{Ledger, Policies, customer, key, reported, sku};

const DEPOSITED: usize = 0;
const PLACED: usize = 1;
const PAID: usize = 2;
const WAITED: usize = 4;
const UNPAID: usize = 6;
const STALLED: usize = 7;
const RESUMED: usize = 8;
const OVERDUE: usize = 9;

/// What there is to break: a deposit, an order paid, one that waits stalls and is cancelled at its deadline, one that may not.
fn story() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.deposit("alice", "d1", 500).unwrap();
    let mut ids = Vec::new();
    for (key, minor, if_unpaid) in
        [("paid", 300, IfLacking::Wait), ("waits", 900, IfLacking::Wait), ("gone", 900, IfLacking::Cancel)]
    {
        let id = ledger.place("alice", key, minor, if_unpaid).unwrap().into_inner().id;
        ledger.advance(id);
        ids.push(id);
    }
    ledger.stall(ids[1]);
    ledger.pass(Millis::minutes(2));
    ledger.look(ids[1]);
    ledger.pass(Millis::hours(73));
    ledger.look(ids[1]);
    ledger
}

fn order(action: &mut Action) -> Option<&mut Order> {
    match action {
        Action::Put { item: Item::Order(order), .. } => Some(order),
        _ => None,
    }
}

fn of_order(commit: &mut [Action]) -> &mut Order {
    commit.iter_mut().find_map(order).unwrap()
}

fn account(commit: &mut [Action]) -> &mut Account {
    let found = commit.iter_mut().find_map(|action| match action {
        Action::Put { item: Item::Account(account), .. } => Some(account),
        _ => None,
    });
    found.unwrap()
}

fn entry(commit: &mut [Action]) -> &mut Entry {
    let found = commit.iter_mut().find_map(|action| match action {
        Action::Put { item: Item::Entry(entry), .. } => Some(entry),
        _ => None,
    });
    found.unwrap()
}

fn without(commit: &mut Vec<Action>, dropped: impl Fn(&Item) -> bool) {
    commit.retain(|action| !matches!(action, Action::Put { item, .. } if dropped(item)));
}

fn silent(commit: &mut [Action], of: fn(&Item) -> bool) {
    for action in commit {
        if let Action::Put { item, events, .. } = action
            && of(item)
        {
            events.clear();
        }
    }
}

fn deadline(commit: &mut [Action], moved: Millis) {
    let waiting = of_order(commit).waiting_for.as_mut().unwrap();
    waiting.until = waiting.until.after(moved);
}

type Break = fn(&mut Vec<Action>);

#[test]
fn each_broken_commit_is_found_when_it_comes() {
    let breaks: &[(&str, usize, Promise, Break)] = &[
        ("a version that was skipped", PAID, Promise::Conservation, |commit| {
            for action in commit {
                if let Action::Put { version, .. } = action {
                    *version += 1;
                }
            }
        }),
        ("a balance that its entries do not come to", DEPOSITED, Promise::Conservation, |commit| {
            account(commit).balance = Amount::from_minor(501).unwrap();
        }),
        ("money without an entry", DEPOSITED, Promise::Conservation, |commit| {
            without(commit, |item| matches!(item, Item::Entry(_)));
        }),
        ("an entry whose number is not the next", DEPOSITED, Promise::Conservation, |commit| entry(commit).number = 2),
        ("a deposit that is forgotten", DEPOSITED, Promise::Conservation, |commit| {
            without(commit, |item| matches!(item, Item::Deposit(_)));
        }),
        ("more money, and nobody is told", DEPOSITED, Promise::NoIdling, |commit| {
            silent(commit, |item| matches!(item, Item::Account(_)));
        }),
        ("an order that nobody looks at", PLACED, Promise::NothingLost, |commit| of_order(commit).look_at = None),
        ("an order placed in silence", PLACED, Promise::OnceTold, |commit| {
            silent(commit, |item| matches!(item, Item::Order(_)));
        }),
        ("an order paid without an entry", PAID, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::Entry(_) | Item::Account(_)));
        }),
        ("an entry without its order", PAID, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::Order(_)));
        }),
        ("another charge than the amount", PAID, Promise::OneCharge, |commit| {
            of_order(commit).charged = Amount::from_minor(299).unwrap();
        }),
        ("a payment by another", PAID, Promise::EveryoneTheirOwn, |commit| {
            entry(commit).customer = customer("bob");
            account(commit).customer = customer("bob");
        }),
        ("an amount that changes", PAID, Promise::NothingLost, |commit| {
            of_order(commit).amount = Amount::from_minor(299).unwrap();
        }),
        ("a timeline that forgets", PAID, Promise::NothingLost, |commit| {
            of_order(commit).timeline.remove(0);
        }),
        ("a step told under another id", PAID, Promise::OnceTold, |commit| {
            of_order(commit).timeline.last_mut().unwrap().index += 1;
        }),
        ("parked without a place", WAITED, Promise::NothingLost, |commit| {
            without(commit, |item| matches!(item, Item::Waiting(_)));
        }),
        ("parked over an account that nobody checked", WAITED, Promise::NoIdling, |commit| {
            commit.retain(|action| !matches!(action, Action::Check(_)));
        }),
        ("parked for what is there", WAITED, Promise::NoIdling, |commit| {
            of_order(commit).amount = Amount::from_minor(100).unwrap();
        }),
        ("a deadline that comes too early", WAITED, Promise::NothingLost, |commit| {
            deadline(commit, Millis::minutes(-1))
        }),
        ("a deadline that is put off", STALLED, Promise::NothingLost, |commit| deadline(commit, Millis::minutes(1))),
        ("a deadline that begins anew", RESUMED, Promise::NothingLost, |commit| deadline(commit, Millis::minutes(2))),
        ("a place in another's name", WAITED, Promise::EveryoneTheirOwn, |commit| {
            for action in commit {
                if let Action::Put { item: Item::Waiting(waiting), .. } = action {
                    waiting.customer = customer("bob");
                }
            }
        }),
        ("cancelled over an account that nobody checked", UNPAID, Promise::NothingLost, |commit| {
            commit.retain(|action| !matches!(action, Action::Check(_)));
        }),
        ("cancelled and left in its place", OVERDUE, Promise::NothingLost, |commit| {
            commit.retain(|action| !matches!(action, Action::Delete(_)));
        }),
        ("cancelled before its deadline", OVERDUE, Promise::NothingLost, |commit| {
            for action in commit {
                if let Action::Put { item: Item::Order(order), events, .. } = action {
                    let early = order.placed_at.after(Millis::hours(71));
                    order.timeline.last_mut().unwrap().at = early;
                    events.last_mut().unwrap().at = early;
                }
            }
        }),
        ("ended and waiting", OVERDUE, Promise::NothingLost, |commit| {
            let order = of_order(commit);
            order.look_at = Some(order.placed_at);
        }),
        ("an order that is deleted", OVERDUE, Promise::NothingLost, |commit| {
            let key = of_order(commit).key();
            commit.retain_mut(|action| order(action).is_none());
            commit.push(Action::Delete(key));
        }),
        ("ended, and paid after all", OVERDUE, Promise::OneCharge, |commit| {
            of_order(commit).state = OrderState::Completed;
        }),
    ];
    let commits = story().commits;
    assert_eq!(commits.len(), OVERDUE + 1, "the story has changed: {commits:#?}");
    for (what, at, promise, tamper) in breaks {
        let mut watch = Watch::default().with_wait(Millis::hours(72));
        for commit in &commits[..*at] {
            assert_eq!(watch.see(commit), []);
        }
        let mut commit = commits[*at].clone();
        tamper(&mut commit);
        let findings = watch.see(&commit);
        assert!(findings.iter().any(|finding| finding.promise == *promise), "{what}: {findings:#?}");
    }
}

#[test]
fn what_has_ended_does_not_change_and_what_is_written_once_is_not_written_again() {
    let story = story();
    for at in [DEPOSITED, PAID, OVERDUE] {
        let mut watch = Watch::default();
        story.commits.iter().for_each(|commit| assert_eq!(watch.see(commit), []));
        assert_ne!(watch.see(&story.commits[at]), [], "commit {at} came twice");
    }
}

#[test]
fn a_notification_is_of_its_event_for_its_owner_and_once() {
    let ledger = story();
    let seen = |tamper: fn(&mut domain::messages::Notification), times: usize| {
        let mut watch = ledger.watch.clone();
        let mut told = ledger.told[0].clone();
        tamper(&mut told);
        let put = Action::Put { item: Item::Notification(told), version: 1, events: Vec::new() };
        (0..times)
            .flat_map(|_| watch.see(std::slice::from_ref(&put)))
            .map(|finding| finding.promise)
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(|_| {}, 1), []);
    assert!(seen(|_| {}, 2).contains(&Promise::OnceTold));
    assert!(seen(|told| told.customer = customer("bob"), 1).contains(&Promise::EveryoneTheirOwn));
    assert!(seen(|told| told.text.push('!'), 1).contains(&Promise::OnceTold));
    assert!(seen(|told| told.event.version += 7, 1).contains(&Promise::OnceTold));
    let mut watch = ledger.watch.clone();
    let gone = Key::Account(customer("alice"));
    assert_eq!(watch.see(&[Action::Delete(gone)])[0].promise, Promise::NothingLost);
}

/// What there is to break of goods, each commit by its name: sold at once; carried by a courier; not to wait for stock;
/// short, supplied and undone; not to wait for a courier; moved from one queue to the other.
fn shop() -> (Ledger, BTreeMap<&'static str, usize>) {
    let mut ledger = Ledger::new();
    let mut names = BTreeMap::new();
    let mut named = |ledger: &Ledger, name| _ = names.insert(name, ledger.commits.len() - 1);
    let wait = Policies::default();
    let order = |ledger: &mut Ledger, idempotency: &str, lines: &[(&str, u32)], policies: Policies| {
        ledger.pass(Millis(1));
        let id = ledger.place_goods("alice", idempotency, lines, policies).unwrap().into_inner().id;
        ledger.advance(id);
        id
    };
    ledger.product("tea", 100);
    ledger.product("pot", 100);
    ledger.deposit("alice", "d1", 5_000).unwrap();
    ledger.receive("r1", "tea", 2).unwrap();
    named(&ledger, "received");
    ledger.put_slot("standard", 1, None, None).unwrap();
    named(&ledger, "opened");
    order(&mut ledger, "sold", &[("tea", 1)], wait);
    named(&ledger, "sold");
    let carried = order(&mut ledger, "carried", &[("tea", 1)], wait);
    named(&ledger, "carried");
    order(&mut ledger, "gone", &[("tea", 1)], Policies { if_unavailable: IfLacking::Cancel, ..wait });
    named(&ledger, "unavailable");
    let short = order(&mut ledger, "short", &[("tea", 2)], wait);
    named(&ledger, "short");
    let both = order(&mut ledger, "both", &[("pot", 1), ("tea", 9)], wait);
    ledger.receive("r2", "pot", 1).unwrap();
    ledger.advance(both);
    assert_eq!(ledger.order(both).parked, Some(Resource::Stock(sku("tea"))));
    named(&ledger, "moved");
    ledger.receive("r3", "tea", 2).unwrap();
    ledger.advance(short);
    named(&ledger, "supplied");
    ledger.accept("courier", carried).unwrap();
    named(&ledger, "accepted");
    ledger.cancel("alice", short).unwrap();
    named(&ledger, "undone");
    order(&mut ledger, "late", &[("tea", 1)], Policies { if_undeliverable: IfLacking::Cancel, ..wait });
    named(&ledger, "undeliverable");
    ledger.put_slot("standard", 2, None, None).unwrap();
    named(&ledger, "raised");
    (ledger, names)
}

fn of_goods(idempotency: &str) -> OrderId {
    OrderId::of(&customer("alice"), &key(idempotency))
}

fn stock(commit: &mut [Action]) -> &mut Stock {
    let found = commit.iter_mut().find_map(|action| match action {
        Action::Put { item: Item::Stock(stock), .. } => Some(stock),
        _ => None,
    });
    found.unwrap()
}

fn slot(commit: &mut [Action]) -> &mut Slot {
    let found = commit.iter_mut().find_map(|action| match action {
        Action::Put { item: Item::Slot(slot), .. } => Some(slot),
        _ => None,
    });
    found.unwrap()
}

fn waiting(commit: &mut [Action]) -> &mut Waiting {
    let found = commit.iter_mut().find_map(|action| match action {
        Action::Put { item: Item::Waiting(waiting), .. } => Some(waiting),
        _ => None,
    });
    found.unwrap()
}

fn unchecked(commit: &mut Vec<Action>) {
    commit.retain(|action| !matches!(action, Action::Check(_)));
}

/// Takes a passage off the timeline and the event that told it.
fn unsaid(commit: &mut [Action], is: fn(&Told) -> bool) {
    for action in commit {
        if let Action::Put { item: Item::Order(order), events, .. } = action {
            order.timeline.retain(|passage| !is(&passage.told));
            events.retain(|event| !is(&event.told));
            let version = order.timeline.last().unwrap().version;
            let new = order.timeline.iter_mut().filter(|passage| passage.version == version);
            (0..).zip(new).for_each(|(index, passage)| passage.index = index);
        }
    }
}

#[test]
fn each_broken_commit_of_goods_is_found_when_it_comes() {
    let breaks: &[(&str, &str, Promise, Break)] = &[
        ("stock that nobody received", "received", Promise::NoOversell, |commit| stock(commit).on_hand += 1),
        ("a receipt without its stock", "received", Promise::NoOversell, |commit| {
            without(commit, |item| matches!(item, Item::Stock(_)));
        }),
        ("more stock, and nobody is told", "received", Promise::NoIdling, |commit| {
            silent(commit, |item| matches!(item, Item::Stock(_)));
        }),
        ("a slot opened, and nobody is told", "opened", Promise::NoIdling, |commit| {
            silent(commit, |item| matches!(item, Item::Slot(_)));
        }),
        ("a slot that is in no list", "opened", Promise::NothingLost, |commit| {
            without(commit, |item| matches!(item, Item::ListedSlot(_)));
        }),
        ("a slot raised, and nobody is told", "raised", Promise::NoIdling, |commit| {
            silent(commit, |item| matches!(item, Item::Slot(_)));
        }),
        ("a slot that forgets who is booked", "raised", Promise::NoOversell, |commit| slot(commit).booked = 0),
        ("a slot lowered below what is booked", "raised", Promise::NoOversell, |commit| slot(commit).capacity = 0),
        ("goods reserved without their stock", "sold", Promise::NoOversell, |commit| {
            without(commit, |item| matches!(item, Item::Stock(_)));
        }),
        ("stock that is taken and not held", "sold", Promise::NoOversell, |commit| of_order(commit).reserved = false),
        ("a booking that its slot does not know of", "sold", Promise::NoOversell, |commit| {
            without(commit, |item| matches!(item, Item::Slot(_)));
        }),
        ("a booking past the capacity", "sold", Promise::NoOversell, |commit| slot(commit).capacity = 0),
        ("a booking twice", "sold", Promise::NoOversell, |commit| slot(commit).booked = 2),
        ("completed and not handed over", "sold", Promise::NoOversell, |commit| of_order(commit).delivery = None),
        ("a step that is not told", "sold", Promise::NothingLost, |commit| {
            unsaid(commit, |told| *told == Told::OrderReserved);
        }),
        ("a price that changes", "sold", Promise::NothingLost, |commit| {
            of_order(commit).lines[0].price = Amount::from_minor(99).unwrap();
        }),
        ("parked over a slot that nobody checked", "carried", Promise::NoIdling, unchecked),
        ("parked for another's slot", "carried", Promise::NothingLost, |commit| {
            of_order(commit).parked = Some(Resource::Stock(sku("tea")));
        }),
        ("cancelled over stock that nobody checked", "unavailable", Promise::NothingLost, unchecked),
        ("cancelled though it was to wait", "unavailable", Promise::NothingLost, |commit| {
            of_order(commit).if_unavailable = IfLacking::Wait;
        }),
        ("cancelled for stock that is there", "unavailable", Promise::NoIdling, |commit| {
            of_order(commit).lines[0].quantity = 0;
        }),
        ("cancelled, and the refund is forgotten", "unavailable", Promise::OneCharge, |commit| {
            let second = commit.iter().rposition(|action| matches!(action, Action::Put { item: Item::Entry(_), .. }));
            commit.remove(second.unwrap());
        }),
        ("parked over stock that nobody checked", "short", Promise::NoIdling, unchecked),
        ("parked for stock that is there", "short", Promise::NoIdling, |commit| {
            of_order(commit).lines[0].quantity = 0;
        }),
        ("another number missing than is", "short", Promise::NothingLost, |commit| {
            let Action::Put { item: Item::Order(order), events, .. } =
                commit.iter_mut().find(|action| matches!(action, Action::Put { item: Item::Order(_), .. })).unwrap()
            else {
                panic!()
            };
            let lacks = domain::orders::Lack::Stock { sku: sku("tea"), missing: 1 };
            order.timeline.last_mut().unwrap().told = Told::OrderWaiting { lacks };
            events.last_mut().unwrap().told = Told::OrderWaiting { lacks };
        }),
        ("a deadline that comes too early for goods", "short", Promise::NothingLost, |commit| {
            deadline(commit, Millis::minutes(-1));
        }),
        ("a deadline that a move puts off", "moved", Promise::NothingLost, |commit| {
            deadline(commit, Millis::minutes(1));
        }),
        ("a wait for stock that ends as if for a slot", "short", Promise::NothingLost, |commit| {
            let waiting = of_order(commit).waiting_for.as_mut().unwrap();
            waiting.deadline = Some(waiting.until);
            waiting.until = waiting.since.after(Millis::hours(1));
        }),
        ("a place that forgets what is waited for", "short", Promise::EveryoneTheirOwn, |commit| {
            waiting(commit).skus.clear();
        }),
        ("moved over stock that nobody checked", "moved", Promise::NoIdling, unchecked),
        ("moved and left in the other queue", "moved", Promise::NothingLost, |commit| {
            commit.retain(|action| !matches!(action, Action::Delete(_)));
        }),
        ("handed to a courier over a slot that nobody checked", "accepted", Promise::NoIdling, unchecked),
        ("goods given back that stay away", "undone", Promise::NoOversell, |commit| {
            without(commit, |item| matches!(item, Item::Stock(_)));
        }),
        ("goods given back, and nobody is told", "undone", Promise::NoIdling, |commit| {
            silent(commit, |item| matches!(item, Item::Stock(_)));
        }),
        ("money given back, and nobody is told", "undone", Promise::NoIdling, |commit| {
            silent(commit, |item| matches!(item, Item::Account(_)));
        }),
        ("cancelled with its goods", "undone", Promise::NoOversell, |commit| of_order(commit).reserved = true),
        ("a refund of less", "undone", Promise::OneCharge, |commit| {
            entry(commit).amount = domain::Movement::into_account(Amount::from_minor(199).unwrap());
        }),
        ("a refund of another's order", "undone", Promise::OneCharge, |commit| {
            entry(commit).cause = domain::accounts::Cause::Refund(of_goods("sold"));
        }),
        ("an undoing that is not told", "undone", Promise::NothingLost, |commit| {
            unsaid(commit, |told| *told == Told::OrderReleased);
        }),
        ("undone in the order in which it was done", "undone", Promise::NothingLost, |commit| {
            for action in commit {
                if let Action::Put { item: Item::Order(order), events, .. } = action {
                    let new = order.timeline.len() - events.len();
                    let (first, second) = (order.timeline[new].told.clone(), order.timeline[new + 1].told.clone());
                    (order.timeline[new].told, order.timeline[new + 1].told) = (second.clone(), first.clone());
                    (events[0].told, events[1].told) = (second, first);
                }
            }
        }),
        ("cancelled for a slot that nobody checked", "undeliverable", Promise::NothingLost, unchecked),
    ];
    let (ledger, names) = shop();
    for (what, at, promise, tamper) in breaks {
        let at = names[at];
        let mut watch = Watch::default().with_wait(Millis::hours(72));
        for commit in &ledger.commits[..at] {
            assert_eq!(watch.see(commit), []);
        }
        let mut commit = ledger.commits[at].clone();
        tamper(&mut commit);
        let findings = watch.see(&commit);
        assert!(findings.iter().any(|finding| finding.promise == *promise), "{what}: {findings:#?}");
    }
}

/// A refund comes once, also where the second comes alone.
#[test]
fn a_refund_that_comes_again_is_found() {
    let (ledger, names) = shop();
    let mut watch = ledger.watch.clone();
    let again = &ledger.commits[names["undone"]];
    assert!(watch.see(again).iter().any(|finding| finding.promise == Promise::OneCharge));
}

#[test]
fn a_wait_for_a_slot_ends_when_that_begins() {
    let mut ledger = Ledger::new();
    ledger.product("tea", 100);
    ledger.deposit("alice", "d1", 100).unwrap();
    ledger.receive("r1", "tea", 1).unwrap();
    ledger.put_slot("standard", 0, Some(ledger.now.after(Millis::hours(1))), None).unwrap();
    let id = ledger.place_goods("alice", "k1", &[("tea", 1)], Policies::default()).unwrap().into_inner().id;
    let before = ledger.watch.clone();
    ledger.advance(id);
    let mut commit = ledger.commits.last().unwrap().clone();
    assert_eq!(before.clone().see(&commit), []);
    let waiting = of_order(&mut commit).waiting_for.as_mut().unwrap();
    waiting.until = waiting.deadline.take().unwrap();
    let findings = before.clone().see(&commit);
    assert!(findings.iter().any(|finding| finding.promise == Promise::NothingLost), "{findings:?}");
}

#[test]
fn nobody_is_booked_in_a_slot_that_has_begun() {
    let mut ledger = Ledger::new();
    ledger.product("tea", 100);
    ledger.deposit("alice", "d1", 100).unwrap();
    ledger.receive("r1", "tea", 1).unwrap();
    let from = ledger.now.after(Millis::hours(1));
    ledger.put_slot("standard", 1, Some(from), None).unwrap();
    let id = ledger.place_goods("alice", "k1", &[("tea", 1)], Policies::default()).unwrap().into_inner().id;
    let before = ledger.watch.clone();
    ledger.advance(id);
    let mut commit = ledger.commits.last().unwrap().clone();
    assert_eq!(before.clone().see(&commit), []);
    for action in &mut commit {
        if let Action::Put { item: Item::Order(order), events, .. } = action {
            order.timeline.last_mut().unwrap().at = from;
            events.last_mut().unwrap().at = from;
        }
    }
    let findings = before.clone().see(&commit);
    assert!(findings.iter().any(|finding| finding.promise == Promise::NoOversell), "{findings:?}");
}

#[test]
fn a_profile_goes_on_to_name_the_customer_that_it_named() {
    use domain::Timestamp;
    use domain::ids::{Nonce, ProfileId};
    use domain::profiles::{PasswordHash, Profile};
    let commit = |chance: u8, password: &str, version| {
        let profile = Profile {
            id: ProfileId::of_email("alice@example.com").unwrap(),
            nonce: Nonce::of(&[chance; 32]),
            password: PasswordHash::new(password.to_owned()),
            created_at: Timestamp::from_millis(1),
        };
        vec![Action::Put { item: Item::Profile(profile), version, events: Vec::new() }]
    };
    let mut watch = Watch::default();
    assert_eq!(watch.see(&commit(1, "first", 1)), []);
    assert_eq!(watch.see(&commit(1, "stronger", 2)), []);
    let findings = watch.see(&commit(2, "stronger", 3));
    assert_eq!(findings.iter().map(|finding| finding.promise).collect::<Vec<_>>(), [Promise::EveryoneTheirOwn]);
}

const OPENED: usize = 1;
const BEGUN: usize = 2;
const CAPTURED: usize = 3;
const ASKED_BACK: usize = 4;
const GIVEN_BACK: usize = 6;

/// What there is to break of payments: an order of goods by card that is placed, charged, cancelled, and given back.
fn card() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.product("tea", 500);
    let policies = Policies { pay_with: PayWith::Card(Gateway::Plain), ..Policies::default() };
    let id = ledger.place_goods("alice", "k", &[("tea", 1)], policies).unwrap().into_inner().id;
    let (charge, refund) = (PaymentId::of_order(&id), RefundId::of_order(&id));
    let (charge, refund) = (GatewayKey::Charge(charge), GatewayKey::Refund(refund));
    ledger.call(charge, &Answer::Says(reported(ReportedState::Captured, 500)));
    ledger.cancel("alice", id).unwrap();
    ledger.call(refund, &Answer::Says(reported(ReportedState::Refunded, 500)));
    ledger
}

fn payment(commit: &mut [Action]) -> &mut Payment {
    let found = commit.iter_mut().find_map(|action| match action {
        Action::Put { item: Item::Payment(payment), .. } => Some(payment),
        _ => None,
    });
    found.unwrap()
}

fn minor(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

#[test]
fn each_broken_commit_of_a_payment_is_found_when_it_comes() {
    let breaks: &[(&str, usize, Promise, Break)] = &[
        ("a payment that nobody looks at", OPENED, Promise::NothingLost, |commit| payment(commit).look_at = None),
        ("one that begins as captured", OPENED, Promise::OneCharge, |commit| {
            payment(commit).state = PaymentState::Captured;
        }),
        ("one opened in silence", OPENED, Promise::OnceTold, |commit| {
            silent(commit, |item| matches!(item, Item::Payment(_)));
        }),
        ("two attempts counted as one", BEGUN, Promise::OneCharge, |commit| payment(commit).call.attempts += 1),
        ("an attempt that nobody is at", BEGUN, Promise::OneCharge, |commit| payment(commit).call.since = None),
        ("an amount that changes", BEGUN, Promise::NothingLost, |commit| payment(commit).amount = minor(5)),
        ("captured without an entry", CAPTURED, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::PaymentEntry(_)));
        }),
        ("captured, and its order not paid", CAPTURED, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::Order(_)));
        }),
        ("captured, and it says another amount", CAPTURED, Promise::OneCharge, |commit| {
            payment(commit).captured = Some(minor(499));
        }),
        ("captured and still pending", CAPTURED, Promise::OneCharge, |commit| {
            payment(commit).state = PaymentState::Pending;
        }),
        ("an entry that is another's", CAPTURED, Promise::EveryoneTheirOwn, |commit| {
            for action in commit {
                if let Action::Put { item: Item::PaymentEntry(entry), .. } = action {
                    entry.customer = customer("bob");
                }
            }
        }),
        ("an order that stays unpaid", CAPTURED, Promise::OneCharge, |commit| {
            of_order(commit).charged = Amount::ZERO;
        }),
        ("a timeline that forgets", CAPTURED, Promise::NothingLost, |commit| _ = payment(commit).timeline.remove(0)),
        ("a refund that its payment does not count", ASKED_BACK, Promise::Conservation, |commit| {
            payment(commit).going_back = Amount::ZERO;
        }),
        ("more on its way back than came", ASKED_BACK, Promise::OneCharge, |commit| {
            payment(commit).going_back = minor(501);
        }),
        ("an order cancelled, and its money kept", ASKED_BACK, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::Payment(_) | Item::PaymentEntry(_) | Item::Refund(_)));
        }),
        ("an order cancelled, and its payment forgotten", ASKED_BACK, Promise::OneCharge, |commit| {
            let payment = payment(commit);
            (payment.going_back, payment.open_refunds) = (Amount::ZERO, Vec::new());
        }),
        ("given back without an entry", GIVEN_BACK, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::PaymentEntry(_)));
        }),
        ("an entry without its refund", GIVEN_BACK, Promise::OneCharge, |commit| {
            without(commit, |item| matches!(item, Item::Refund(_)));
        }),
        ("given back, and charged again", GIVEN_BACK, Promise::OneCharge, |commit| {
            payment(commit).state = PaymentState::Pending;
        }),
        ("what was captured is forgotten", GIVEN_BACK, Promise::OneCharge, |commit| payment(commit).captured = None),
    ];
    let commits = card().commits;
    assert_eq!(commits.len(), GIVEN_BACK + 1, "the story has changed: {commits:#?}");
    for (what, at, promise, tamper) in breaks {
        let mut watch = Watch::default().with_wait(Millis::hours(72));
        for commit in &commits[..*at] {
            assert_eq!(watch.see(commit), []);
        }
        let mut commit = commits[*at].clone();
        tamper(&mut commit);
        let findings = watch.see(&commit);
        assert!(findings.iter().any(|finding| finding.promise == *promise), "{what}: {findings:#?}");
    }
}
