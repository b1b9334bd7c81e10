//! Each promise broken in one commit, and the finding that says so at once. The commits are those that decisions made;
//! only the one that is tampered with is not.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::accounts::{Account, Entry};
use domain::books::{Item, Key};
use domain::orders::{IfLacking, Order, OrderState};
use domain::promises::Promise;
use domain::promises::watch::{Action, Watch};
use domain::{Amount, Millis};
use support::{Ledger, customer};

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
