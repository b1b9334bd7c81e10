//! What a queue takes for one message, and what it keeps in order: the group and the deduplication id of each kind of
//! work. Two that are confused here are an order that nobody advances, or a waiter that nobody wakes.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeMap;

use domain::books::{Key, Version};
use domain::events::EventId;
use domain::ids::{OrderId, SlotId};
use domain::messages::{Cursor, Notification, Work, WorkMessage};
use domain::orders::Resource;
use support::{START, customer, key, sku};

fn order(name: &str) -> OrderId {
    OrderId::of(&customer("alice"), &key(name))
}

fn event(name: &str, version: Version, index: u32) -> EventId {
    EventId::new(&Key::Order(order(name)), version, index)
}

fn advance(skus: &[&str], slot: Option<SlotId>) -> Work {
    let skus = skus.iter().map(|name| sku(name)).collect();
    Work::Advance { order: order("one"), customer: customer("alice"), skus, slot }
}

fn of_goods(skus: &[&str]) -> Work {
    advance(skus, Some(SlotId::standard()))
}

fn wake(after: Option<&str>) -> Work {
    let after = after.map(|name| Cursor { placed_at: START, order: order(name) });
    Work::Wake { resource: Resource::Stock(sku("tea")), after }
}

#[test]
fn each_work_goes_in_the_group_of_what_it_contends_on() {
    let alice = format!("account#{}", customer("alice"));
    let slot = Resource::Slot(SlotId::standard());
    for (work, group) in [
        (advance(&[], None), alice.as_str()),
        (of_goods(&["tea", "cup"]), "sku#tea"),
        (of_goods(&["cup", "tea"]), "sku#cup"),
        // It has its goods, and is left to the slot that it lost too many races for.
        (of_goods(&[]), "slot#standard"),
        (wake(None), "sku#tea"),
        (wake(Some("one")), "sku#tea"),
        (Work::Wake { resource: Resource::Account(customer("alice")), after: None }, alice.as_str()),
        (Work::Wake { resource: slot, after: None }, "slot#standard"),
    ] {
        let message = WorkMessage { work, event: event("one", 1, 0), attempt: 0 };
        assert_eq!(message.group(), group, "{message:?}");
        assert_eq!(message.again().group(), group, "another attempt goes where the first went");
    }
}

#[test]
fn a_repeat_is_taken_for_one_and_nothing_else_is() {
    let mut taken: BTreeMap<String, WorkMessage> = BTreeMap::new();
    let works = [of_goods(&["tea"]), wake(None), wake(Some("one")), wake(Some("two"))];
    let events = [event("one", 1, 0), event("one", 1, 1), event("one", 2, 0), event("two", 1, 0)];
    for event in events {
        for attempt in [0, 1, 2, 20] {
            for work in &works {
                let message = WorkMessage { work: work.clone(), event, attempt };
                let id = message.deduplication_id();
                assert_eq!(id, message.clone().deduplication_id());
                assert!(id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()), "what SQS takes: {id}");
                // One event asks for one kind of work, and a wake that goes on says from where.
                let of_another_kind = |other: &WorkMessage| {
                    matches!((&other.work, work), (Work::Advance { .. }, Work::Wake { after: None, .. }))
                };
                if let Some(other) = taken.insert(id, message.clone()) {
                    assert!(of_another_kind(&other), "{other:?} is taken for {message:?}");
                }
            }
        }
    }
}

#[test]
fn another_attempt_is_no_repeat_however_often() {
    let first = WorkMessage { work: wake(Some("one")), event: event("one", 1, 0), attempt: 0 };
    let ids: Vec<String> = std::iter::successors(Some(first.clone()), |message| Some(message.again()))
        .take(50)
        .map(|message| message.deduplication_id())
        .collect();
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len());
    let last = WorkMessage { attempt: u32::MAX, ..first };
    assert_eq!(last.again().attempt, u32::MAX, "and it never begins again at the first");
}

#[test]
fn a_notice_and_work_of_one_event_are_two_messages() {
    let of = |event: EventId| Notification {
        customer: customer("alice"),
        at: START,
        event,
        order: order("one"),
        transition: "paid".to_owned(),
        text: "It is paid.".to_owned(),
    };
    let ids = [event("one", 1, 0), event("one", 1, 1), event("one", 2, 0)].map(|event| of(event).deduplication_id());
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "one commit tells several things: {ids:?}");
    let work = WorkMessage { work: advance(&[], None), event: event("one", 1, 0), attempt: 0 };
    assert_ne!(work.deduplication_id(), ids[0]);
    assert_eq!(of(event("one", 1, 0)).group(), customer("alice").to_string());
}
