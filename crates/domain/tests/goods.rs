//! Orders of goods: stories that read like a shop's day, and every way in which a catalogue, a stock or a slot says no.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::books::{Books, Draft, Halt, Item, Key};
use domain::goods::{self, Lines};
use domain::ids::{OrderId, Sku};
use domain::messages::Work;
use domain::orders::{self, Advanced, Goods, IfLacking, OrderState, PayWith, Resource, Wanted, What};
use domain::{Amount, Millis, Outcome, Refusal, Timestamp};
use proptest::prelude::*;
use support::{Ledger, Policies, START, customer, key, sku};

fn order_id(idempotency: &str) -> OrderId {
    OrderId::of(&customer("alice"), &key(idempotency))
}

/// `2*tea+1*pot`
fn lines(text: &str) -> Vec<(&str, u32)> {
    text.split('+')
        .map(|line| line.split_once('*').unwrap())
        .map(|(count, sku)| (sku, count.parse().unwrap()))
        .collect()
}

fn policies(words: &[&str]) -> Policies {
    let mut policies = Policies::default();
    for word in words {
        match *word {
            "reserve-first" => policies.reserve_first = true,
            "paid-or-cancel" => policies.if_unpaid = IfLacking::Cancel,
            "stock-or-cancel" => policies.if_unavailable = IfLacking::Cancel,
            "courier-or-cancel" => policies.if_undeliverable = IfLacking::Cancel,
            "in-noon" => policies.slot = Some("noon"),
            "in-standard" => policies.slot = Some("standard"),
            _ => panic!("no such policy: {word}"),
        }
    }
    policies
}

fn hours(text: &str) -> Option<Timestamp> {
    (text != "-").then(|| START.after(Millis::hours(text.parse().unwrap())))
}

fn came<T>(outcome: Result<Outcome<T>, Refusal>) -> String {
    match outcome {
        Ok(Outcome::Done(_)) => "done".to_owned(),
        Ok(Outcome::AlreadyDone(_)) => "replayed".to_owned(),
        Err(refusal) => format!("refused {}", refusal.code()),
    }
}

/// Runs a story line by line: what is done, `->`, and what comes of it. All that is told of is done at once, and in the
/// end every promise holds.
fn story(text: &str) -> Ledger {
    let mut ledger = Ledger::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (done, expected) = line.split_once("->").unwrap();
        let words: Vec<&str> = done.split_whitespace().collect();
        let came = match words[..] {
            ["product", name, price] => {
                ledger.product(name, price.parse().unwrap());
                "done".to_owned()
            }
            ["deposit", minor, idempotency] => came(ledger.deposit("alice", idempotency, minor.parse().unwrap())),
            ["receive", count, name, idempotency] => came(ledger.receive(idempotency, name, count.parse().unwrap())),
            ["slot", name, capacity, from, to] => {
                came(ledger.put_slot(name, capacity.parse().unwrap(), hours(from), hours(to)))
            }
            ["order", wanted, idempotency, ref rest @ ..] => {
                // So that the order of the lines is that of the queues.
                ledger.pass(Millis(1));
                came(ledger.place_goods("alice", idempotency, &lines(wanted), policies(rest)))
            }
            ["cancel", idempotency] => came(ledger.cancel("alice", order_id(idempotency))),
            ["accept", idempotency, courier] => came(ledger.accept(courier, order_id(idempotency))),
            ["pass", hours, "hours"] => {
                ledger.pass(Millis::hours(hours.parse().unwrap()));
                "later".to_owned()
            }
            ["look", idempotency] => {
                ledger.look(order_id(idempotency));
                "looked".to_owned()
            }
            ["stall", idempotency] => {
                ledger.stall(order_id(idempotency));
                "stalled".to_owned()
            }
            ["state", idempotency] => {
                let order = ledger.order(order_id(idempotency));
                let place = order.parked.filter(|_| order.waiting_for.is_none_or(|w| w.what != What::Stalled));
                let place = place.map_or_else(String::new, |place| match place {
                    Resource::Account(_) => " for money".to_owned(),
                    place => format!(" for {place}"),
                });
                format!("{}{place}", order.state.name())
            }
            ["told", idempotency] => ledger.last_told(order_id(idempotency)),
            ["balance"] => ledger.balance("alice").to_string(),
            ["stock", name] => ledger.on_hand(name).to_string(),
            ["booked", name] => ledger.booked(name).to_string(),
            _ => panic!("no such line: {line}"),
        };
        assert_eq!(came, expected.trim(), "{line}");
        ledger.settle();
    }
    assert_eq!(ledger.audit().findings, []);
    ledger
}

#[test]
fn what_is_all_there_goes_all_the_way_in_one_commit() {
    let ledger = story(
        "product tea 300        -> done
         deposit 1000 d1        -> done
         receive 5 tea r1       -> done
         slot standard 10 - -   -> done
         order 2*tea k1         -> done
         state k1               -> completed
         told k1                -> Your order was handed to delivery
         balance                -> 400
         stock tea              -> 3
         booked standard        -> 1
         cancel k1              -> refused too_late_to_cancel
         accept k1 courier      -> refused not_awaiting_delivery",
    );
    let order = ledger.order(order_id("k1"));
    let told: Vec<_> = order.timeline.iter().map(|passage| (passage.version, passage.index)).collect();
    assert_eq!(told, [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3)], "placed; paid, reserved, booked and completed");
}

#[test]
fn what_lacks_one_thing_after_the_other_waits_for_each() {
    story(
        "product tea 300             -> done
         order 1*tea k1 in-standard  -> done
         told k1                -> Payment is not possible: 3.00 is missing
         deposit 300 d1         -> done
         state k1               -> awaiting_stock for sku#tea
         told k1                -> Your order waits for stock: 1 of tea is missing
         receive 1 tea r1       -> done
         state k1               -> awaiting_delivery for slot#standard
         told k1                -> Your order waits for a courier: slot standard has no room
         accept k1 courier      -> done
         state k1               -> completed
         told k1                -> Your order was handed to delivery
         accept k1 courier      -> replayed
         accept k1 another      -> refused not_awaiting_delivery
         booked standard        -> 0",
    );
}

#[test]
fn stock_comes_before_money_if_the_order_wants_it_so() {
    story(
        "product tea 300                      -> done
         receive 1 tea r1                     -> done
         slot standard 1 - -                  -> done
         order 1*tea k1 reserve-first         -> done
         state k1                             -> awaiting_payment for money
         stock tea                            -> 0
         order 1*tea k2 reserve-first         -> done
         state k2                             -> awaiting_stock for sku#tea
         deposit 600 d1                       -> done
         state k1                             -> completed
         receive 1 tea r2                     -> done
         state k2                             -> awaiting_delivery for slot#standard
         slot standard 2 - -                  -> done
         state k2                             -> completed",
    );
}

#[test]
fn who_lacks_two_skus_waits_for_one_and_then_for_the_other_without_a_word() {
    let ledger = story(
        "product tea 300                 -> done
         product pot 500                 -> done
         deposit 2000 d1                 -> done
         order 1*tea+1*pot k1            -> done
         state k1                        -> awaiting_stock for sku#tea
         receive 1 pot r1                -> done
         state k1                        -> awaiting_stock for sku#tea
         order 1*pot k2                  -> done
         state k2                        -> awaiting_delivery for slot#standard
         receive 1 tea r2                -> done
         state k1                        -> awaiting_stock for sku#pot
         receive 1 pot r3                -> done
         state k1                        -> awaiting_delivery for slot#standard
         stock tea                       -> 0",
    );
    let waits = |told: &&domain::messages::Notification| told.order == order_id("k1") && told.transition == "waiting";
    assert_eq!(ledger.told.iter().filter(waits).count(), 2, "for stock once, and for a courier");
}

#[test]
fn who_comes_back_to_a_queue_lacks_something_else_than_the_first_time() {
    story(
        "product tea 300                 -> done
         product pot 500                 -> done
         deposit 5000 d1                 -> done
         order 2*pot+1*tea k1            -> done
         told k1                         -> Your order waits for stock: 2 of pot is missing
         receive 2 pot r1                -> done
         state k1                        -> awaiting_stock for sku#tea
         order 1*pot k2                  -> done
         receive 1 tea r2                -> done
         state k1                        -> awaiting_stock for sku#pot
         told k1                         -> Your order waits for stock: 2 of pot is missing
         receive 1 pot r3                -> done
         state k1                        -> awaiting_delivery for slot#standard",
    );
}

#[test]
fn what_is_cancelled_gives_everything_back_in_reverse_order_and_others_go_on_with_it() {
    let ledger = story(
        "product tea 300                 -> done
         deposit 300 d1                  -> done
         receive 1 tea r1                -> done
         order 1*tea k1                  -> done
         order 1*tea k2                  -> done
         state k1                        -> awaiting_delivery for slot#standard
         state k2                        -> awaiting_payment for money
         cancel k1                       -> done
         state k1                        -> cancelled
         told k1                         -> Your order is cancelled: you asked for it
         state k2                        -> awaiting_delivery for slot#standard
         balance                         -> 0
         stock tea                       -> 0
         cancel k1                       -> replayed
         accept k1 courier               -> refused not_awaiting_delivery
         cancel k2                       -> done
         balance                         -> 300
         stock tea                       -> 1",
    );
    let names = |idempotency: &str| {
        let of_order = ledger.told.iter().filter(|told| told.order == order_id(idempotency));
        of_order.map(|told| told.transition.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("k1"), ["paid", "reserved", "waiting", "refunded", "cancelled"]);
}

#[test]
fn a_policy_cancels_instead_of_waiting_and_gives_back_what_was_taken() {
    story(
        "product tea 300                       -> done
         order 1*tea k0 paid-or-cancel         -> done
         told k0                               -> Your order is cancelled: your balance does not cover 3.00 EUR
         deposit 300 d1                        -> done
         order 1*tea k1 stock-or-cancel        -> done
         told k1                               -> Your order is cancelled: not all of its goods are in stock
         balance                               -> 300
         receive 1 tea r1                      -> done
         order 1*tea k2 courier-or-cancel      -> done
         told k2                               -> Your order is cancelled: no courier has room for it in slot standard
         balance                               -> 300
         stock tea                             -> 1
         order 1*tea k3 reserve-first courier-or-cancel -> done
         state k3                              -> cancelled
         stock tea                             -> 1
         balance                               -> 300",
    );
}

#[test]
fn a_slot_ends_the_waiting_for_it_when_it_begins() {
    let ledger = story(
        "product tea 300                 -> done
         deposit 900 d1                  -> done
         receive 3 tea r1                -> done
         order 1*tea k0 in-noon          -> refused slot_unknown
         slot noon 0 5 6                 -> done
         order 1*tea k1 in-noon          -> done
         order 1*tea k2 in-noon          -> done
         state k1                        -> awaiting_delivery for slot#noon
         slot noon 0 4 6                 -> done
         slot noon 1 4 6                 -> done
         state k1                        -> completed
         pass 4 hours                    -> later
         order 1*tea k3 in-noon          -> refused slot_has_begun
         look k2                         -> looked
         told k2                         -> Your order is cancelled: no courier has room for it in slot noon
         stock tea                       -> 2
         balance                         -> 600
         booked noon                     -> 1
         slot noon 0 4 6                 -> refused capacity_below_booked
         slot noon 5 4 6                 -> done
         slot noon 5 6 4                 -> refused slot_times_reversed
         slot noon 5 4 6                 -> replayed",
    );
    assert_eq!(ledger.order(order_id("k2")).state, OrderState::Cancelled);
}

#[test]
fn a_slot_that_begins_later_lets_its_waiters_wait_longer() {
    let mut ledger = story(
        "product tea 300                 -> done
         deposit 300 d1                  -> done
         receive 1 tea r1                -> done
         slot noon 0 5 -                 -> done
         order 1*tea k1 in-noon          -> done
         stall k1                        -> stalled
         slot noon 0 7 -                 -> done
         state k1                        -> awaiting_delivery for slot#noon",
    );
    let until = |ledger: &Ledger| ledger.order(order_id("k1")).waiting_for.unwrap().until;
    assert_eq!(until(&ledger), START.after(Millis::hours(7)));
    ledger.put_slot("noon", 0, None, None).unwrap();
    ledger.settle();
    let placed_at = ledger.order(order_id("k1")).placed_at;
    assert_eq!(until(&ledger), placed_at.after(ledger.terms.wait), "the deadline that it had without a beginning");
}

#[test]
fn a_deadline_gives_back_what_was_taken() {
    story(
        "product tea 300                 -> done
         deposit 300 d1                  -> done
         order 1*tea k1                  -> done
         pass 72 hours                   -> later
         look k1                         -> looked
         state k1                        -> cancelled
         told k1                         -> Your order is cancelled: it waited as long as it could
         balance                         -> 300",
    );
}

#[test]
fn a_courier_takes_only_what_waits_for_one_and_only_where_there_is_no_room() {
    story(
        "product tea 300                 -> done
         order 1*tea k1                  -> done
         accept k1 courier               -> refused not_awaiting_delivery
         accept k9 courier               -> refused order_not_found
         deposit 300 d1                  -> done
         receive 1 tea r1                -> done
         state k1                        -> awaiting_delivery for slot#standard",
    );
    let mut ledger = Ledger::new();
    ledger.product("tea", 300);
    ledger.deposit("alice", "d1", 300).unwrap();
    ledger.receive("r1", "tea", 1).unwrap();
    ledger.place_goods("alice", "k1", &[("tea", 1)], Policies::default()).unwrap();
    ledger.settle();
    ledger.put_slot("standard", 1, None, None).unwrap();
    assert_eq!(came(ledger.accept("courier", order_id("k1"))), "refused slot_has_room");
    assert_eq!(came(ledger.cancel("bob", order_id("k1"))), "refused order_not_found");
}

#[test]
fn prices_are_frozen_and_a_receipt_counts_once() {
    let ledger = story(
        "product tea 300                 -> done
         receive 2 tea r1                -> done
         receive 2 tea r1                -> replayed
         receive 3 tea r1                -> refused key_used_for_another_request
         receive 3 pot r1                -> refused key_used_for_another_request
         receive 1 pot r2                -> refused sku_not_found
         receive 0 tea r2                -> refused quantity_not_positive
         stock tea                       -> 2
         order 1*tea k1                  -> done
         product tea 999                 -> done
         order 1*tea k1                  -> replayed
         order 2*tea k1                  -> refused key_used_for_another_request
         order 1*pot k2                  -> refused sku_unknown
         deposit 300 d1                  -> done
         state k1                        -> awaiting_delivery for slot#standard",
    );
    assert_eq!(ledger.order(order_id("k1")).amount.minor(), 300);
}

#[test]
fn an_order_whose_price_goes_beyond_counting_is_refused() {
    let mut ledger = Ledger::new();
    ledger.product("gold", i64::MAX / 2);
    for (count, refused) in [(2, None), (3, Some("amount_too_large")), (u32::MAX, Some("amount_too_large"))] {
        let placed = ledger.place_goods("alice", &format!("k{count}"), &[("gold", count)], Policies::default());
        assert_eq!(placed.err().map(|refusal| refusal.code()), refused, "{count}");
    }
    ledger.product("tea", i64::MAX);
    let placed = ledger.place_goods("alice", "k", &[("gold", 1), ("tea", 1)], Policies::default());
    assert_eq!(placed.unwrap_err(), Refusal::AmountTooLarge);
}

#[test]
fn lines_and_quantities_are_refused_by_name() {
    let tea = sku("tea");
    let many = |count: usize| Lines::new((0..count).map(|number| (sku(&format!("s{number}")), 1)).collect());
    assert!(many(50).is_ok());
    assert_eq!(many(51), Err(Refusal::TooManyLines));
    assert_eq!(many(0), Err(Refusal::LinesEmpty));
    assert_eq!(Lines::new(vec![(tea, 0)]), Err(Refusal::QuantityNotPositive));
    assert_eq!(Lines::new(vec![(tea, 1), (sku("pot"), 1), (tea, 2)]), Err(Refusal::SkuTwice { sku: tea }));
    for (text, expected) in [
        ("1", Ok(1)),
        ("4294967295", Ok(u32::MAX)),
        ("4294967296", Err(Refusal::QuantityTooLarge)),
        ("0", Err(Refusal::QuantityNotPositive)),
        ("-1", Err(Refusal::QuantityMalformed)),
        ("+1", Err(Refusal::QuantityMalformed)),
        ("1.0", Err(Refusal::QuantityMalformed)),
        ("", Err(Refusal::QuantityMalformed)),
    ] {
        assert_eq!(goods::quantity(text), expected, "{text:?}");
    }
    let goods = || Goods {
        lines: Lines::new(vec![(tea, 1)]).unwrap(),
        slot: None,
        reserve_first: false,
        if_unavailable: IfLacking::Wait,
        if_undeliverable: IfLacking::Wait,
    };
    assert_eq!(Wanted::of(None, None).unwrap_err(), Refusal::AmountOrLines);
    assert_eq!(Wanted::of(Some(Amount::ZERO), Some(goods())).unwrap_err(), Refusal::AmountOrLines);
    assert!(Wanted::of(None, Some(goods())).is_ok());
}

#[test]
fn stock_beyond_counting_is_refused() {
    let mut ledger = Ledger::new();
    ledger.product("tea", 1);
    ledger.receive("r1", "tea", 1).unwrap();
    let Item::Stock(stock) = &mut ledger.items.get_mut(&Key::Stock(sku("tea"))).unwrap().0 else { panic!() };
    stock.on_hand = goods::Stock::MOST;
    assert_eq!(ledger.receive("r2", "tea", 1).unwrap_err(), Refusal::StockTooLarge);
}

#[test]
fn the_largest_order_goes_and_is_undone_in_one_transaction_each() {
    let mut ledger = Ledger::new();
    let names: Vec<String> = (0..Lines::MOST).map(|number| format!("s{number}")).collect();
    for name in &names {
        ledger.product(name, 1);
        ledger.receive(name, name, 1).unwrap();
    }
    ledger.deposit("alice", "d1", 50).unwrap();
    let wanted: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    ledger.place_goods("alice", "k1", &wanted, Policies::default()).unwrap();
    ledger.settle();
    assert_eq!(ledger.order(order_id("k1")).state, OrderState::AwaitingDelivery);
    ledger.cancel("alice", order_id("k1")).unwrap();
    assert_eq!(ledger.balance("alice"), 50);
    let largest = ledger.commits.iter().map(Vec::len).max();
    assert!(largest.is_some_and(|actions| actions <= 100), "{largest:?} actions");
}

/// Races over a slot are lost at the slot alone: what an order takes on the way there does not depend on it.
#[test]
fn an_order_goes_on_without_its_slot_and_is_booked_by_a_message_in_the_slots_group() {
    let mut ledger = Ledger::new();
    ledger.product("tea", 300);
    ledger.deposit("alice", "d1", 900).unwrap();
    ledger.receive("r1", "tea", 3).unwrap();
    ledger.put_slot("standard", 1, None, None).unwrap();
    for name in ["k1", "k2"] {
        ledger.place_goods("alice", name, &[("tea", 1)], Policies::default()).unwrap();
        ledger.pass(Millis(1));
    }
    ledger.work.clear();
    ledger.commits.clear();
    assert_eq!(ledger.advance_to_slot(order_id("k1")), Advanced::Moved);
    let order = ledger.order(order_id("k1"));
    assert_eq!((order.state, order.parked, order.waiting_for), (OrderState::AwaitingDelivery, None, None));
    assert_eq!(order.look_at, Some(ledger.now.after(Millis::minutes(2))), "in case the message is lost");
    let slot = Key::Slot(domain::ids::SlotId::standard());
    assert!(ledger.commits[0].iter().all(|action| action.key() != slot), "nothing of it depends on the slot");
    let [work] = &ledger.work[..] else { panic!("{:?}", ledger.work) };
    assert_eq!(work.group(), "slot#standard");
    assert_eq!(work.needs(), [order.key(), Key::Account(customer("alice")), slot]);
    assert_eq!(ledger.audit().findings, []);

    // One that stands there already has no other way than through the slot, and who finds no room there is parked.
    ledger.advance(order_id("k2"));
    ledger.settle();
    assert_eq!(ledger.order(order_id("k2")).state, OrderState::Completed);
    let waits = ledger.order(order_id("k1"));
    assert_eq!(waits.parked.map(|resource| resource.key()), Some(slot));
    assert_eq!(ledger.advance_to_slot(order_id("k1")), Advanced::Unchanged);
    ledger.put_slot("standard", 2, None, None).unwrap();
    assert_eq!(ledger.advance_to_slot(order_id("k1")), Advanced::Moved);
    assert_eq!(ledger.order(order_id("k1")).state, OrderState::Completed);
    assert_eq!(ledger.last_told(order_id("k1")), "Your order was handed to delivery");
}

/// One read brings the order, where nobody knows what it is about; a second one all that it goes on with or gives back.
#[test]
fn what_an_order_wants_is_asked_for_at_once() {
    let mut ledger = Ledger::new();
    for name in ["tea", "pot", "cup"] {
        ledger.product(name, 100);
        ledger.receive(name, name, 1).unwrap();
    }
    ledger.deposit("alice", "d1", 300).unwrap();
    ledger.place_goods("alice", "k1", &[("tea", 1), ("pot", 1), ("cup", 1)], Policies::default()).unwrap();
    let (id, now, terms) = (order_id("k1"), ledger.now, ledger.terms.clone());
    let loads = |ledger: &Ledger, decide: &dyn Fn(&mut Draft<'_>) -> Result<(), Halt>| {
        let mut books = Books::default();
        let mut loads = Vec::new();
        loop {
            match books.decide(decide) {
                Ok(()) => return loads,
                Err(Halt::Needs(keys)) => {
                    keys.iter().for_each(|key| books.lay(*key, ledger.found(key)));
                    loads.push(keys.len());
                }
                Err(Halt::Refused(refusal)) => panic!("{refusal}"),
            }
        }
    };
    let advance = |draft: &mut Draft<'_>| orders::advance(draft, id, now, &terms).map(drop);
    let cancel = |draft: &mut Draft<'_>| orders::cancel(draft, id, &customer("alice"), now).map(drop);
    assert_eq!(loads(&ledger, &advance), [1, 5], "the order; then account, three stocks and slot");
    assert_eq!(loads(&ledger, &cancel), [1], "it has nothing to give back");
    ledger.settle();
    assert_eq!(loads(&ledger, &advance), [1, 2], "then its place in the queue and the slot");
    assert_eq!(loads(&ledger, &cancel), [1, 5], "then its place, account and three stocks");
    let accept = |draft: &mut Draft<'_>| orders::accept(draft, id, customer("courier"), now).map(drop);
    assert_eq!(loads(&ledger, &accept), [1, 2]);
    let due = ledger.order(id).look_at.unwrap();
    let look = |draft: &mut Draft<'_>| orders::look(draft, id, due, &terms).map(drop);
    assert_eq!(loads(&ledger, &look), [1, 2, 4], "what it gives back only where it ends");
}

/// What can happen in a shop.
#[derive(Clone, Debug)]
enum Happening {
    Place { order: usize, lines: Vec<(&'static str, u32)>, policies: Policies },
    Deposit { number: usize, minor: i64 },
    Receive { number: usize, sku: &'static str, quantity: u32 },
    Slot { slot: &'static str, more: u32, begins: Option<i64> },
    Together { orders: Vec<usize> },
    Work { place: usize },
    ToSlot { order: usize },
    Cancel { order: usize },
    Accept { order: usize },
    Look { order: usize },
    Stall { order: usize },
    Minutes(i64),
}

const SKUS: [&str; 3] = ["tea", "pot", "cup"];

fn happening() -> impl Strategy<Value = Happening> {
    let order = || 0..8_usize;
    let if_lacking = || prop_oneof![3 => Just(IfLacking::Wait), 1 => Just(IfLacking::Cancel)];
    let policies = (any::<bool>(), if_lacking(), if_lacking(), if_lacking(), any::<bool>());
    let policies = policies.prop_map(|(reserve_first, if_unpaid, if_unavailable, if_undeliverable, noon)| Policies {
        reserve_first,
        if_unpaid,
        if_unavailable,
        if_undeliverable,
        pay_with: PayWith::Balance,
        slot: noon.then_some("noon"),
    });
    let lines = prop::sample::subsequence(SKUS.to_vec(), 1..=3).prop_shuffle();
    let lines = lines.prop_flat_map(|skus| skus.into_iter().map(|sku| (Just(sku), 1..3_u32)).collect::<Vec<_>>());
    let sku = prop::sample::select(SKUS.to_vec());
    let slot = prop::sample::select(vec!["standard", "noon"]);
    prop_oneof![
        4 => (order(), lines, policies)
            .prop_map(|(order, lines, policies)| Happening::Place { order, lines, policies }),
        3 => (0..99_usize, 1..900_i64).prop_map(|(number, minor)| Happening::Deposit { number, minor }),
        3 => (0..99_usize, sku, 1..5_u32)
            .prop_map(|(number, sku, quantity)| Happening::Receive { number, sku, quantity }),
        2 => (slot, 0..3_u32, prop::option::of(0..9_i64))
            .prop_map(|(slot, more, begins)| Happening::Slot { slot, more, begins }),
        4 => prop::collection::vec(order(), 1..5).prop_map(|orders| Happening::Together { orders }),
        6 => (0..9_usize).prop_map(|place| Happening::Work { place }),
        2 => order().prop_map(|order| Happening::ToSlot { order }),
        1 => order().prop_map(|order| Happening::Cancel { order }),
        1 => order().prop_map(|order| Happening::Accept { order }),
        1 => order().prop_map(|order| Happening::Look { order }),
        1 => order().prop_map(|order| Happening::Stall { order }),
        1 => (1..2_000_i64).prop_map(Happening::Minutes),
    ]
}

fn happen(ledger: &mut Ledger, happening: Happening) {
    let id = |order: usize| order_id(&format!("k{order}"));
    let is_there = |ledger: &Ledger, order: usize| ledger.items.contains_key(&Key::Order(id(order)));
    match happening {
        Happening::Place { order, lines, policies } => {
            ledger.pass(Millis(1));
            _ = ledger.place_goods("alice", &format!("k{order}"), &lines, policies);
        }
        Happening::Deposit { number, minor } => _ = ledger.deposit("alice", &format!("d{number}"), minor),
        Happening::Receive { number, sku, quantity } => _ = ledger.receive(&format!("r{number}"), sku, quantity),
        Happening::Slot { slot, more, begins } => {
            let (capacity, from) =
                (ledger.booked(slot) + more, begins.map(|hours| ledger.now.after(Millis::hours(hours))));
            ledger.put_slot(slot, capacity, from, None).unwrap();
        }
        Happening::Together { orders } => ledger.advance_together(&orders.into_iter().map(id).collect::<Vec<_>>()),
        Happening::Work { place } if !ledger.work.is_empty() => {
            let work = ledger.work.remove(place % ledger.work.len()).work;
            match work {
                Work::Advance { order, .. } => _ = ledger.advance(order),
                // All of them in one commit, as far as they fit.
                Work::Wake { resource, .. } => {
                    let waiters: Vec<OrderId> = ledger.waiters(resource).iter().map(|waiting| waiting.order).collect();
                    ledger.advance_together(&waiters);
                }
            }
        }
        Happening::Work { .. } => {}
        Happening::ToSlot { order } => _ = ledger.advance_to_slot(id(order)),
        Happening::Cancel { order } => _ = ledger.cancel("alice", id(order)),
        Happening::Accept { order } => _ = ledger.accept("courier", id(order)),
        Happening::Look { order } if is_there(ledger, order) => _ = ledger.look(id(order)),
        Happening::Stall { order } if is_there(ledger, order) => _ = ledger.stall(id(order)),
        Happening::Look { .. } | Happening::Stall { .. } => {}
        Happening::Minutes(minutes) => ledger.pass(Millis::minutes(minutes)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Every commit is judged as it comes; in the end, when all work is done and everybody due was looked at, so is
    /// everything.
    #[test]
    fn the_promises_hold_whatever_happens_in_a_shop(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut ledger = Ledger::new();
        SKUS.into_iter().zip([100, 250, 40]).for_each(|(sku, price)| ledger.product(sku, price));
        happenings.into_iter().for_each(|happening| happen(&mut ledger, happening));
        ledger.settle();
        for order in 0..8 {
            // One look for what stalled, and one for what is due.
            for _ in 0..2 {
                if ledger.items.contains_key(&Key::Order(order_id(&format!("k{order}")))) {
                    ledger.look(order_id(&format!("k{order}")));
                }
            }
        }
        ledger.settle();
        ledger.pass(Millis(1));
        prop_assert_eq!(ledger.audit().findings, []);
    }
}

#[test]
fn a_plain_order_is_kept_as_it_always_was() {
    let mut ledger = Ledger::new();
    ledger.place("alice", "k1", 300, IfLacking::Wait).unwrap();
    let id = order_id("k1");
    ledger.advance(id);
    let kept = serde_json::to_value(ledger.order(id)).unwrap();
    let names: Vec<&str> = kept.as_object().unwrap().keys().map(String::as_str).collect();
    let before = "amount charged created_at currency fingerprint id if_unpaid look_at owner parked plan renderer state \
                  timeline waiting_for";
    assert_eq!(names, before.split_whitespace().collect::<Vec<_>>());
    let waiting: Vec<&str> = kept["waiting_for"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(waiting, ["since", "until", "what"]);
    assert_eq!(serde_json::from_value::<domain::orders::Order>(kept).unwrap(), ledger.order(id));
    let told = serde_json::to_value(&ledger.work[0].work).unwrap();
    assert_eq!(told["advance"].as_object().unwrap().len(), 2, "order and customer: {told}");
    assert_eq!(serde_json::from_value::<domain::messages::Work>(told).unwrap(), ledger.work[0].work);
    let queue = ledger.waiters(Resource::Account(customer("alice")));
    assert_eq!(serde_json::to_value(&queue[0]).unwrap().as_object().unwrap().len(), 4);
}

#[test]
fn work_contends_on_its_first_sku_and_names_all_that_it_needs() {
    let mut ledger = Ledger::new();
    ledger.product("tea", 300);
    ledger.product("pot", 300);
    ledger.place_goods("alice", "k1", &[("tea", 1), ("pot", 2)], Policies::default()).unwrap();
    let work = &ledger.work[0];
    assert_eq!(work.group(), "sku#tea");
    let alice = customer("alice");
    let standard = domain::ids::SlotId::standard();
    let stocks = [Sku::parse("tea").unwrap(), Sku::parse("pot").unwrap()].map(Key::Stock);
    let expected: Vec<Key> = [Key::Order(order_id("k1")), Key::Account(alice)]
        .into_iter()
        .chain(stocks)
        .chain([Key::Slot(standard)])
        .collect();
    assert_eq!(work.needs(), expected);
    let text = serde_json::to_string(work).unwrap();
    assert_eq!(serde_json::from_str::<domain::messages::WorkMessage>(&text).unwrap(), *work);
    ledger.settle();
    let waiting = &ledger.waiters(Resource::Account(alice))[0];
    assert_eq!(waiting.ways().collect::<Vec<_>>(), expected[1..]);
}
