//! `verify` in its passes: it finds what holding everything at once finds, however the state is broken and however the
//! pages are cut; over a table that goes on it says nothing that is not so, and misses nothing that is; and it only
//! reads.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::ids::{BodyHash, CallbackId, IdempotencyKey, PaymentId};
use domain::payments::{self, Gateway, GatewayKey, Reported, ReportedState, TakeCallback, Taken};
use domain::promises::{Promise, Report};
use domain::webhooks::{Answer, Reach};
use domain::{Amount, Currency, Millis, Refusal, Timestamp};
use futures_util::FutureExt as _;
use local_system::System;
use platform::outside::{Call, Outside, Post};
use platform::runtime::BoxFuture;
use platform::store::Needs;
use platform::verify::{Now, Plan, Progress, Reading, audit, verify};
use platform::{Clock, Failure};
use serde_json::{Value, json};
use support::shop::{Shop, Wishes};
use support::{START_MS, system_with, user, user_with};

/// Broken states that are compared.
const CASES: u32 = 130;
/// Runs over a table that goes on, unless `PAIDONCE_SEEDS` says how many.
const SEEDS: u64 = 12;
const TABLE: &str = "paidonce-table";

/// A raw call to the table, past every condition.
async fn table(system: &System, operation: &str, request: Value) -> Value {
    let request = http::Request::post("/")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Bytes::from(request.to_string()))
        .unwrap();
    let answer = system.cloud.connector().answer(request).await;
    let status = answer.status();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(status.is_success(), "{operation}: {body}");
    body
}

async fn put(system: &System, item: &Value) {
    table(system, "PutItem", json!({ "TableName": TABLE, "Item": item })).await;
}

async fn delete(system: &System, item: &Value) {
    let key = json!({ "pk": item["pk"], "sk": item["sk"] });
    table(system, "DeleteItem", json!({ "TableName": TABLE, "Key": key })).await;
}

async fn items(system: &System) -> Vec<Value> {
    let answer = table(system, "Scan", json!({ "TableName": TABLE, "ConsistentRead": true })).await;
    answer["Items"].as_array().unwrap().clone()
}

/// Goods that were sold, that wait for stock and for a courier, and that were given back.
async fn sold_in(system: &System) {
    let shop = Shop(system);
    for name in ["tea", "pot", "cup"] {
        shop.product(name, 100).await;
    }
    shop.receive("r1", "tea", 2).await;
    shop.receive("r2", "tea", 3).await;
    shop.receive("r3", "cup", 1).await;
    for name in ["standard", "noon"] {
        shop.slot(name, 2, None).await;
    }
    for (name, key, sku) in [
        ("alice", "sold", "tea"),
        ("bob", "sold", "tea"),
        ("carol", "carried", "tea"),
        ("alice", "short", "pot"),
        ("bob", "back", "tea"),
    ] {
        let wishes = Wishes { reserve_first: name == "carol", ..Wishes::default() };
        let id = shop.order(name, key, &[(sku, 1)], wishes).await;
        system.settled().await;
        if key == "back" {
            shop.cancel(name, id).await.unwrap();
        }
    }
}

/// An endpoint that asks to be left alone for an hour, so that what is to be delivered there waits.
struct Busy;

impl Post for Busy {
    fn post(&self, _: Call) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::Status { status: 503, retry_after_ms: Some(3_600_000) }))
    }
}

fn system() -> System {
    system_with(|mut options| {
        options.outside = Outside::answered_by(Busy, Reach::Public);
        options
    })
}

/// From now on everything that this customer is told is to be delivered.
async fn set_webhook(system: &System, name: &str) {
    let request = http::Request::put("/webhook").header("host", "localhost").header("x-user-id", name);
    let body = json!({ "url": "https://shop.example/hooks" }).to_string();
    let request = request.header("content-type", "application/json").body(Bytes::from(body)).unwrap();
    assert_eq!(system.call(request).await.status(), 200);
}

/// Payments by card that were captured, declined, given back in part and as a whole, that wait and are in review; and a
/// report on what is not there.
async fn paid_by_card(system: &System, name: &str) {
    let (buyer, operator) = (user(system, name), user_with(system, "olga", "refunds"));
    let card = async |key: &str, amount: &str| {
        let body = json!({ "amount": amount, "pay_with": "card" }).to_string();
        buyer.post("/orders", key, body).await.expect(201)
    };
    // By what it ends in the gateway declines one, and leaves another open for ever.
    for (key, amount) in [("card", "20"), ("no", "7.70"), ("open", "8.80"), ("odd", "6.60")] {
        card(key, amount).await;
    }
    let made = json!({ "amount": 30, "currency": "EUR", "reference": "order 7" }).to_string();
    let payment = buyer.post("/payments", "elsewhere", made).await.expect(202).id();
    let goods = json!({ "lines": [{ "sku": "pot", "quantity": 2 }], "pay_with": "card" }).to_string();
    let order = buyer.post("/orders", "goods", goods).await.expect(201).id();
    system.settled().await;
    buyer.ask(&format!("/orders/{order}/cancel")).await.expect(200);
    for (key, amount) in [("some", "5"), ("more", "2"), ("refused", "1.30")] {
        let body = json!({ "amount": amount }).to_string();
        let key = format!("{name}-{key}");
        operator.post(&format!("/payments/{payment}/refunds"), &key, body).await.expect(202);
    }
    system.settled().await;
}

/// What a gateway reports of something that is not there.
async fn report_early(system: &System) {
    let of = GatewayKey::Charge(PaymentId::of_event(&IdempotencyKey::new("early").unwrap()));
    let reported = Reported {
        state: ReportedState::Captured,
        amount: Amount::from_minor(5),
        currency: Currency::from_code("EUR"),
        reference: None,
    };
    let (id, body) = (CallbackId::of("plain", "early"), BodyHash::of(b"early"));
    let command = TakeCallback { id, gateway: Gateway::Plain, body, of, reported };
    let taken = system
        .app()
        .store
        .decide(Needs::load(command.needs()), |books, now| books.decide(|draft| payments::take(draft, &command, now)));
    assert_eq!(taken.await.unwrap(), Taken::Early);
}

/// Deposits and orders of three customers: paid, waiting, cancelled; and goods. One of them has an endpoint.
async fn lived_in(system: &System) {
    set_webhook(system, "carol").await;
    for name in ["alice", "bob", "carol"] {
        let user = user(system, name);
        for number in 0..3 {
            user.deposit(&format!("d{number}"), "10").await.expect(201);
            user.order(&format!("o{number}"), "7").await.expect(201);
        }
        user.order("dear", "80").await.expect(201);
        user.order("dear-too", "90").await.expect(201);
        user.order_or_cancel("gone", "80").await.expect(201);
    }
    system.settled().await;
    for (call, status) in [("/profiles", 201), ("/sessions", 200), ("/profiles", 409)] {
        let body = json!({ "email": "alice@example.com", "password": "correct horse" }).to_string();
        user(system, "alice").post(call, "k", body).await.expect(status);
    }
    sold_in(system).await;
    system.settled().await;
    paid_by_card(system, "alice").await;
    report_early(system).await;
}

/// A system in which nothing runs by itself, with what is left of one that was lived in.
async fn frozen() -> (System, Vec<Value>) {
    let whole = {
        let system = system();
        lived_in(&system).await;
        let whole = items(&system).await;
        system.stop().await;
        whole
    };
    let system = system_with(|mut options| {
        options.runs_by_itself = false;
        options
    });
    for item in &whole {
        put(&system, item).await;
    }
    (system, whole)
}

fn still(plan: &mut Plan, chance: &mut fastrand::Rng) {
    plan.chance = chance.u128(..);
    plan.page = [1, 7, 20, 60][chance.usize(..4)];
    plan.segments = chance.u8(1..4);
    plan.buckets_bits = chance.u32(1..12);
    plan.held = chance.usize(10..80);
}

fn shown(report: &Report) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

/// Breaks one thing. Returns what it is called and how to mend it: what to put back and what to take away.
fn break_one(items: &[Value], chance: &mut fastrand::Rng) -> (String, Option<Value>, Option<Value>) {
    let whole = &items[chance.usize(..items.len())];
    let mut broken = whole.clone();
    let fields: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
    let called = |how: &str| format!("{how} in {} / {}", whole["pk"]["S"], whole["sk"]["S"]);
    match chance.u8(..10) {
        0 | 1 => (called("gone"), None, Some(whole.clone())),
        // A copy under another address: another entry's, notification's or place's number or time.
        2 | 3 => {
            let sk = whole["sk"]["S"].as_str().unwrap();
            let other = if let Some(number) = sk.strip_prefix("entry#") {
                let number: u64 = number.parse().unwrap();
                broken["number"]["N"] = json!((number + 1).to_string());
                format!("entry#{:012}", number + 1)
            } else if let Some((time, rest)) = sk.split_once('#') {
                let later = time.parse::<i64>().unwrap_or_default() + 1;
                for name in ["at", "placed_at"] {
                    if broken.get(name).is_some() {
                        broken[name]["N"] = json!(later.to_string());
                    }
                }
                format!("{later:013}#{rest}")
            } else {
                sk.to_owned()
            };
            broken["sk"]["S"] = json!(other);
            (called("copied"), Some(broken), None)
        }
        // Moved to another's partition.
        4 => {
            let other = &items[chance.usize(..items.len())];
            broken["pk"] = other["pk"].clone();
            for name in ["customer", "resource"] {
                if let (Some(_), Some(theirs)) = (broken.get(name), other.get(name)) {
                    broken[name] = theirs.clone();
                }
            }
            (called("moved"), Some(broken), None)
        }
        // A field of another item of the same kind.
        5 | 6 => {
            let field = &fields[chance.usize(..fields.len())];
            let others: Vec<&Value> =
                items.iter().filter(|item| item.get(field).is_some_and(|theirs| *theirs != whole[field])).collect();
            if let Some(other) = others.get(chance.usize(..others.len().max(1))) {
                broken[field] = other[field].clone();
            }
            (called(&format!("{field} of another")), Some(broken), None)
        }
        7 => {
            let field = &fields[chance.usize(..fields.len())];
            if !["pk", "sk"].contains(&field.as_str()) {
                broken.as_object_mut().unwrap().remove(field);
            }
            (called(&format!("{field} left out")), Some(broken), None)
        }
        8 => {
            let waits: Vec<&Value> = items.iter().filter(|item| item["state"]["S"] == "awaiting_payment").collect();
            let mut cheap = waits[chance.usize(..waits.len())].clone();
            cheap["amount"]["N"] = json!("1");
            ("an order that waits for what is there".to_owned(), Some(cheap), None)
        }
        _ => {
            let numbers: Vec<&String> = fields.iter().filter(|field| whole[*field].get("N").is_some()).collect();
            let field = numbers[chance.usize(..numbers.len())];
            let number: i64 = whole[field]["N"].as_str().unwrap().parse().unwrap();
            let by = [1, -1, 100, 1_000_000_000][chance.usize(..4)];
            broken[field]["N"] = json!((number + by).to_string());
            (called(&format!("{field} off by {by}")), Some(broken), None)
        }
    }
}

/// Puts back whatever differs.
async fn mend(system: &System, whole: &[Value]) {
    let key = |item: &Value| (item["pk"]["S"].to_string(), item["sk"]["S"].to_string());
    let sound: BTreeMap<_, &Value> = whole.iter().map(|item| (key(item), item)).collect();
    let now = items(system).await;
    for item in &now {
        if !sound.contains_key(&key(item)) {
            delete(system, item).await;
        }
    }
    let there: BTreeMap<_, &Value> = now.iter().map(|item| (key(item), item)).collect();
    for (key, item) in sound {
        if there.get(&key).is_none_or(|found| *found != item) {
            put(system, item).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_finds_what_holding_everything_finds() {
    let (system, whole) = frozen().await;
    let reader = system.app().store.table().clone();
    // No promise speaks of what people sign in with; that it is broken has a test of its own.
    let promised: Vec<Value> =
        whole.iter().filter(|item| !is_in(item, "profile#") && !is_in(item, "attempts#")).cloned().collect();
    let mut chance = fastrand::Rng::with_seed(11);
    let mut broken: BTreeMap<Promise, u32> = BTreeMap::new();
    let mut rounds = 0;
    for case in 0..CASES {
        let mut called = Vec::new();
        for _ in 0..chance.u8(0..4) {
            let (what, into, away) = break_one(&promised, &mut chance);
            called.push(what);
            if let Some(item) = into {
                put(&system, &item).await;
            }
            if let Some(item) = away {
                delete(&system, &item).await;
            }
        }
        let now = match chance.u8(..3) {
            0 => Now::Newest,
            _ => Now::Moment(Timestamp::from_millis(START_MS + chance.i64(0..300_000_000))),
        };
        let grace = Millis::seconds(chance.i64(0..3));
        let expected = audit(&reader, now, grace, |_| {}).await.unwrap();
        let mut plan = Plan::new(Reading::Still(now), grace, 0);
        still(&mut plan, &mut chance);
        let found = verify(&reader, &plan, |progress| {
            if let Progress::Second { round, .. } = progress {
                rounds = rounds.max(round);
            }
        })
        .await
        .unwrap();
        assert_eq!(shown(&found), shown(&expected), "case {case}: {called:?}");
        let counts = |report: &Report| {
            let Report { accounts, entries, waiting, stalled, deposits, notifications, .. } = report;
            let payments = (report.payments.clone(), report.refunds.clone(), report.orphans);
            let outside = (report.endpoints, report.deliveries, report.undelivered, payments);
            let money = (report.held, report.deposited, report.revenue, report.owed, report.gateway, report.confirmed);
            let sums = (money, report.products, report.receipts, report.slots);
            ((*accounts, *entries, *waiting, *stalled, *deposits, *notifications), sums, outside, report.orders.clone())
        };
        assert_eq!(counts(&found), counts(&expected), "case {case}: {called:?}");
        for promise in found.findings.iter().map(|finding| finding.promise).collect::<BTreeSet<_>>() {
            *broken.entry(promise).or_default() += 1;
        }
        mend(&system, &whole).await;
    }
    for promise in Promise::ALL {
        assert!(
            broken.get(&promise).is_some_and(|times| *times > 1),
            "{} was hardly broken: {broken:?}",
            promise.code()
        );
    }
    assert!(rounds > 3, "the bound was never reached");
}

#[tokio::test(start_paused = true)]
async fn what_people_sign_in_with_is_counted_and_is_readable_or_found() {
    let (system, whole) = frozen().await;
    let reader = system.app().store.table().clone();
    let now = || Now::Moment(system.app().now());
    let sound = audit(&reader, now(), Millis(0), |_| {}).await.unwrap();
    assert_eq!((sound.profiles, shown(&sound)), (1, Vec::new()));
    for (kind, field) in [("profile#", "nonce"), ("profile#", "password"), ("attempts#", "full_at")] {
        let mut broken = whole.iter().find(|item| is_in(item, kind)).unwrap().clone();
        broken.as_object_mut().unwrap().remove(field);
        put(&system, &broken).await;
        let audited = audit(&reader, now(), Millis(0), |_| {}).await.unwrap();
        let found = verify(&reader, &Plan::new(Reading::Still(now()), Millis(0), 0), |_| {}).await.unwrap();
        assert_eq!(shown(&found), shown(&audited), "{kind} without its {field}");
        assert!(shown(&found).iter().any(|finding| finding.contains(kind)), "{:?}", shown(&found));
        mend(&system, &whole).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_findings_is_cut_and_said_to_be() {
    let (system, whole) = frozen().await;
    for item in whole.iter().filter(|item| is_in(item, "inbox#")) {
        delete(&system, item).await;
    }
    let later = Now::Moment(Timestamp::from_millis(START_MS + 60_000));
    let mut plan = Plan::new(Reading::Still(later), Millis(0), 5);
    plan.findings = 4;
    let report = verify(system.app().store.table(), &plan, |_| {}).await.unwrap();
    assert_eq!((report.findings.len(), report.is_cut), (4, true));
}

/// Goes on with deposits, orders, receipts, room and cancels of several customers until it is told to stop.
async fn traffic(system: &System, seed: u64, stop: &Mutex<bool>) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (shop, mut placed, mut capacity) = (Shop(system), Vec::new(), 2);
    for number in 0..50 {
        if *stop.lock().unwrap() {
            return;
        }
        let (user, key) = (user(system, ["alice", "bob", "carol"][chance.usize(..3)]), format!("t{number}"));
        match chance.u8(..10) {
            0 | 1 => _ = user.deposit(&key, "9.50").await.expect(201),
            2 => _ = user.order_or_cancel(&key, "12").await.expect(201),
            3 => shop.receive(&key, "tea", chance.u32(1..3)).await,
            4 => {
                capacity += 1;
                shop.slot("standard", capacity, None).await;
            }
            5 if !placed.is_empty() => {
                let (id, customer) = placed.swap_remove(chance.usize(..placed.len()));
                let cancelled = shop.cancel(customer, id).await;
                assert!(matches!(cancelled, Ok(_) | Err(Failure::Refused(Refusal::TooLateToCancel { .. }))));
            }
            6 | 7 => {
                let wishes = Wishes { reserve_first: chance.bool(), ..Wishes::default() };
                placed.push((shop.order(user.name, &key, &[("tea", 1)], wishes).await, user.name));
            }
            _ => _ = user.order(&key, &chance.u32(1..15).to_string()).await.expect(201),
        }
        tokio::time::sleep(std::time::Duration::from_millis(chance.u64(1..1_500))).await;
    }
}

fn clock_of(system: &System) -> Clock {
    let clock = system.cloud.clock().clone();
    Clock::new(move || Timestamp::from_millis(clock.now_ms()))
}

/// A plan over a table that goes on: a page of a few items at a time, and pauses in which the rest of the world acts.
fn live(system: &System, chance: &mut fastrand::Rng, grace: Millis) -> Plan {
    let mut plan = Plan::new(Reading::Live(clock_of(system)), grace, chance.u128(..));
    plan.page = chance.u16(3..20);
    plan.segments = chance.u8(1..4);
    plan.read_units_a_second = Some(chance.u32(1..6));
    plan.buckets_bits = chance.u32(2..12);
    plan.held = chance.usize(5..60);
    plan
}

#[tokio::test(start_paused = true)]
async fn over_a_table_that_goes_on_it_says_nothing_that_is_not_so() {
    let seeds = std::env::var("PAIDONCE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let mut chance = fastrand::Rng::with_seed(seed);
        let system = system();
        lived_in(&system).await;
        // Even without any grace, when everything that moves looks wrong at first.
        let grace = Millis::seconds(chance.i64(0..3) * 5);
        let plan = live(&system, &mut chance, grace);
        let stop = Mutex::new(false);
        let reads = async {
            tokio::time::sleep(std::time::Duration::from_secs(chance.u64(0..20))).await;
            let report = verify(system.app().store.table(), &plan, |_| {}).await;
            *stop.lock().unwrap() = true;
            report.unwrap()
        };
        let (report, ()) = tokio::join!(reads, traffic(&system, seed + 1_000, &stop));
        assert!(report.entries > 9 && !report.is_cut);
        assert_eq!(shown(&report), Vec::<String>::new(), "seed {seed}, grace {grace:?}");
        system.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_mended_before_the_look_again_is_not_said() {
    let (system, whole) = frozen().await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for (what, promise, fault) in FAULTS.iter().chain(OF_PAYMENTS) {
        let (item, into) = whole.iter().filter_map(|item| Some((item, fault(item)?))).next().expect(what);
        match into {
            Some(into) => put(&system, &into).await,
            None => delete(&system, item).await,
        }
        let plan = Plan::new(Reading::Live(clock_of(&system)), Millis(0), 5);
        let found = verify(system.app().store.table(), &plan, |_| {}).await.unwrap();
        let is_found = found.findings.iter().any(|finding| finding.promise == *promise);
        assert!(is_found, "{what} is not found: {:?}", shown(&found));
        let mut was_found = false;
        let report = verify(system.app().store.table(), &plan, |progress| {
            if matches!(progress, Progress::Again { .. }) {
                was_found = true;
                put(&system, item).now_or_never().expect("the table answers at once");
            }
        })
        .await
        .unwrap();
        assert!(was_found, "{what} is not looked at again");
        assert_eq!(shown(&report), Vec::<String>::new(), "{what}");
    }
}

type Fault = (&'static str, Promise, fn(&Value) -> Option<Option<Value>>);

fn is_in(item: &Value, kind: &str) -> bool {
    item["pk"]["S"].as_str().unwrap().starts_with(kind)
}

fn is_payment(item: &Value) -> bool {
    is_in(item, "payment#") && item["sk"]["S"] == "payment"
}

fn with(item: &Value, field: &str, number: &str) -> Option<Option<Value>> {
    let mut broken = item.clone();
    broken[field] = json!({ "N": number });
    Some(Some(broken))
}

/// What to make of an item, if it is the one: another, or nothing.
const FAULTS: &[Fault] = &[
    ("an account that holds more than came in", Promise::Conservation, |item| {
        (item["sk"]["S"] == "account").then(|| with(item, "balance", "999900"))?
    }),
    ("an entry that is gone", Promise::Conservation, |item| (item["sk"]["S"] == "entry#000000000002").then_some(None)),
    ("a deposit that is gone", Promise::Conservation, |item| is_in(item, "deposit#").then_some(None)),
    ("an order that completed without its charge", Promise::OneCharge, |item| {
        (item["state"]["S"] == "completed").then(|| with(item, "charged", "0"))?
    }),
    ("an order that is gone", Promise::NothingLost, |item| (item["state"]["S"] == "completed").then_some(None)),
    ("a place in a queue that is gone", Promise::NothingLost, |item| is_in(item, "wait#").then_some(None)),
    ("a notification that is gone", Promise::OnceTold, |item| is_in(item, "inbox#").then_some(None)),
    ("an order that nobody looked at", Promise::NothingLost, |item| {
        (item["state"]["S"] == "awaiting_payment").then(|| with(item, "look_at", "1"))?
    }),
    ("an order that waits for less than is there", Promise::NoIdling, |item| {
        (item["state"]["S"] == "awaiting_payment" && item["pay_with"].is_null()).then(|| with(item, "amount", "0"))?
    }),
    ("stock that nobody received", Promise::NoOversell, |item| {
        (item["pk"]["S"] == "sku#cup").then(|| with(item, "on_hand", "77"))?
    }),
    ("a slot in which nobody is booked", Promise::NoOversell, |item| {
        (item["pk"]["S"] == "slot#noon").then(|| with(item, "booked", "1"))?
    }),
    ("a delivery that nobody looked at", Promise::NothingLost, |item| {
        is_in(item, "delivery#").then(|| {
            let mut broken = item.clone();
            broken["look_at"]["N"] = json!("1");
            // Not in the index either, or the sweep would mend it.
            broken.as_object_mut().unwrap().remove("look_shard");
            Some(broken)
        })
    }),
    ("a delivery of what was never told", Promise::OnceTold, |item| {
        is_in(item, "delivery#").then(|| with(item, "at", "1"))?
    }),
    ("a delivery that nobody will look at", Promise::NothingLost, |item| {
        is_in(item, "delivery#").then(|| {
            let mut broken = item.clone();
            broken.as_object_mut().unwrap().remove("look_at");
            Some(broken)
        })
    }),
    ("a payment that is gone", Promise::NothingLost, |item| {
        (is_payment(item) && item["state"]["S"] == "captured").then_some(None)
    }),
    ("a capture that is gone", Promise::OneCharge, |item| {
        (is_in(item, "payment#") && item["sk"]["S"] == "entry#000000000001").then_some(None)
    }),
    ("a refund that is gone", Promise::Conservation, |item| is_in(item, "refund#").then_some(None)),
    ("an order of another", Promise::EveryoneTheirOwn, |item| {
        (item["state"]["S"] == "completed").then(|| {
            let mut broken = item.clone();
            broken["owner"]["S"] = json!("a".repeat(32));
            Some(broken)
        })
    }),
];

/// More of payments, which are found in the way in which those above are.
const OF_PAYMENTS: &[Fault] = &[
    ("a payment that captured more than came", Promise::OneCharge, |item| {
        (is_payment(item) && item["state"]["S"] == "captured").then(|| with(item, "captured", "999900"))?
    }),
    ("a payment on which something stands", Promise::Conservation, |item| {
        (is_payment(item) && item["state"]["S"] == "captured").then(|| with(item, "balance", "1"))?
    }),
    ("an entry of a payment that moved more", Promise::Conservation, |item| {
        (is_in(item, "payment#") && item["sk"]["S"] == "entry#000000000002").then(|| with(item, "amount", "-1"))?
    }),
    ("a refund of more than its payment counts", Promise::Conservation, |item| {
        is_in(item, "refund#").then(|| with(item, "amount", "77"))?
    }),
    ("a refund of a payment that is not there", Promise::NothingLost, |item| {
        is_in(item, "refund#").then(|| {
            let mut broken = item.clone();
            broken["payment"]["S"] = json!("a".repeat(32));
            Some(broken)
        })
    }),
    ("a refund that is made and that its payment waits for", Promise::NothingLost, |item| {
        (is_in(item, "refund#") && item["state"]["S"] == "in_review").then(|| {
            let mut broken = item.clone();
            broken["state"]["S"] = json!("given_back");
            Some(broken)
        })
    }),
    ("a payment that nobody looked at", Promise::NothingLost, |item| {
        (is_payment(item) && item.get("look_at").is_some()).then(|| {
            let mut broken = item.clone();
            broken["look_at"]["N"] = json!("1");
            broken.as_object_mut().unwrap().remove("look_shard");
            Some(broken)
        })
    }),
    ("a payment that nobody will look at", Promise::NothingLost, |item| {
        (is_payment(item) && item.get("look_at").is_some()).then(|| {
            let mut broken = item.clone();
            broken.as_object_mut().unwrap().remove("look_at");
            broken.as_object_mut().unwrap().remove("look_shard");
            Some(broken)
        })
    }),
];

#[tokio::test(start_paused = true)]
async fn a_real_fault_is_found_in_the_middle_of_traffic() {
    for (seed, (what, promise, fault)) in (0..).zip(FAULTS) {
        {
            let mut chance = fastrand::Rng::with_seed(seed);
            let system = system();
            lived_in(&system).await;
            // By nobody who works on it: dave's is broken, the others go on.
            let dave = user(&system, "dave");
            set_webhook(&system, "dave").await;
            dave.deposit("d1", "10").await.expect(201);
            dave.deposit("d2", "10").await.expect(201);
            dave.order("o1", "7").await.expect(201);
            dave.order("dear", "80").await.expect(201);
            system.settled().await;
            paid_by_card(&system, "dave").await;
            let before: BTreeSet<String> = {
                let customer = dave.get("/account").await.expect(200).get("id");
                items(&system)
                    .await
                    .iter()
                    .filter(|item| {
                        // And goods, which nobody works on here.
                        item.to_string().contains(&customer) || is_in(item, "sku#") || is_in(item, "slot#")
                    })
                    .map(Value::to_string)
                    .collect()
            };
            let stop = Mutex::new(false);
            let reads = async {
                tokio::time::sleep(std::time::Duration::from_secs(20)).await;
                let of_dave = items(&system).await.into_iter().filter(|item| before.contains(&item.to_string()));
                let (item, into) = of_dave.filter_map(|item| fault(&item).map(|into| (item, into))).next().expect(what);
                match into {
                    Some(into) => put(&system, &into).await,
                    None => delete(&system, &item).await,
                }
                let plan = live(&system, &mut chance, Millis::seconds(5));
                let report = verify(system.app().store.table(), &plan, |_| {}).await;
                *stop.lock().unwrap() = true;
                report.unwrap()
            };
            let (report, ()) = tokio::join!(reads, traffic(&system, seed + 1_000, &stop));
            let is_found = report.findings.iter().any(|finding| finding.promise == *promise);
            assert!(is_found, "{what}: {:?}", shown(&report));
            system.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_only_reads() {
    let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let hears = Arc::clone(&asked);
    let system = system_with(|mut options| {
        options.cloud.on_call = Some(Arc::new(move |call| {
            hears.lock().unwrap().insert(format!("{}.{}", call.service, call.operation));
        }));
        options
    });
    lived_in(&system).await;
    for item in items(&system).await {
        // Something of everything to look at twice.
        if is_in(&item, "inbox#") || item["sk"]["S"] == "entry#000000000002" {
            delete(&system, &item).await;
        }
    }
    system.settled().await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    asked.lock().unwrap().clear();
    let mut plan = Plan::new(Reading::Live(clock_of(&system)), Millis(0), 5);
    plan.segments = 2;
    system.app().store.table().counted().await.unwrap();
    let report = verify(system.app().store.table(), &plan, |_| {}).await.unwrap();
    assert!(report.findings.len() > 10, "{:?}", shown(&report));
    let asked: Vec<String> = asked.lock().unwrap().iter().cloned().collect();
    let reads = ["BatchGetItem", "DescribeTable", "GetItem", "Query", "Scan"].map(|name| format!("dynamodb.{name}"));
    assert_eq!(asked, reads, "and every one of them was needed");
}
