//! A broken connection at each write in turn, once or so often that the SDK gives up, before or after the write was
//! carried out. Nobody is told anything wrong, and in the end everything is as if nothing had happened.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::Mood;
use local_cloud::{Fate, FaultyConnector, Plan};
use local_system::System;
use support::callbacks::{call_back, of_charge};
use support::stand_in::StandIn;
use support::{Answer, User, faulty, promises_hold, system_with, user, user_with};

/// Calls that change something. A batch read that fails is only read again.
const WRITES: [&str; 4] = ["PutItem", "TransactWriteItems", "SendMessageBatch", "PutEvents"];

/// Losing more in a row than the SDK tries is an error that the function sees.
const IN_A_ROW: [usize; 3] = [1, 3, 7];

/// Repeats a request until it is answered, as a client does; every answer but the last is "not known" or "try again".
async fn until_answered(user: &User<'_>, path: &str, key: &str, body: &str) -> Answer {
    until(async || user.post(path, key, body.to_owned()).await).await
}

async fn until(ask: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..20 {
        let answer = ask().await;
        match answer.status {
            503 => assert!(["outcome_unknown", "try_again"].contains(&answer.code().as_str())),
            _ => return answer,
        }
    }
    panic!("it is never answered");
}

/// Loses so many in a row of the calls that change something, from the first on.
struct Losses {
    writes: Arc<AtomicUsize>,
    met: Arc<Mutex<Vec<String>>>,
    plan: Plan,
}

impl Losses {
    fn new(first: usize, in_a_row: usize, fate: Fate) -> Self {
        let writes = Arc::new(AtomicUsize::new(0));
        let met = Arc::new(Mutex::new(Vec::new()));
        let plan = {
            let (writes, met) = (writes.clone(), met.clone());
            Arc::new(move |operation: &str, _: usize| {
                if !WRITES.contains(&operation) {
                    return Fate::Answered;
                }
                let number = writes.fetch_add(1, Ordering::SeqCst);
                if (first..first + in_a_row).contains(&number) {
                    met.lock().unwrap().push(operation.to_owned());
                    fate
                } else {
                    Fate::Answered
                }
            })
        };
        Self { writes, met, plan }
    }
}

/// A life with deposits, orders that are paid, wait and are cancelled, and repeats. Gives the number of writes.
async fn live(first: usize, in_a_row: usize, fate: Fate) -> usize {
    let Losses { writes, met, plan } = Losses::new(first, in_a_row, fate);
    let system = faulty(plan);
    let alice = user(&system, "alice");
    let shown = || format!("{fate:?} {in_a_row} times from write {first}: {:?}", met.lock().unwrap());

    let deposit = until_answered(&alice, "/deposits", "d1", r#"{"amount":"100.00"}"#).await.expect(201);
    assert_eq!(deposit.get("balance"), "100.00", "{}", shown());
    let paid = until_answered(&alice, "/orders", "o1", r#"{"amount":"60.00"}"#).await.expect(201);
    system.settled().await;
    let waits = until_answered(&alice, "/orders", "o2", r#"{"amount":"50.00"}"#).await.expect(201);
    let cancelled =
        until_answered(&alice, "/orders", "o3", r#"{"amount":"50.00","if_unpaid":"cancel"}"#).await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&waits.id()).await, "awaiting_payment", "{}", shown());
    let second = until_answered(&alice, "/deposits", "d2", r#"{"amount":"15.00"}"#).await.expect(201);
    assert_eq!(second.get("balance"), "55.00", "{}", shown());
    system.settled().await;

    for (order, state) in [(&paid, "completed"), (&waits, "completed"), (&cancelled, "cancelled")] {
        assert_eq!(alice.state(&order.id()).await, state, "{}", shown());
    }
    assert_eq!(alice.balance().await, "5.00", "{}", shown());
    for (path, key, body, answer) in [
        ("/deposits", "d1", r#"{"amount":100}"#, &deposit),
        ("/orders", "o1", r#"{"amount":60}"#, &paid),
        ("/orders", "o2", r#"{"amount":50}"#, &waits),
        ("/deposits", "d2", r#"{"amount":15}"#, &second),
    ] {
        let again = until_answered(&alice, path, key, body).await;
        assert_eq!((again.status, again.replayed, &again.bytes), (201, true, &answer.bytes), "{}", shown());
    }
    promises_hold(&system).await;
    writes.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_at_any_write_changes_nothing_in_the_end() {
    let undisturbed = live(usize::MAX / 2, 0, Fate::Answered).await;
    assert!(undisturbed >= 20, "the life has {undisturbed} writes");
    for fate in [Fate::LostAfter, Fate::LostBefore] {
        for in_a_row in IN_A_ROW {
            for first in 0..undisturbed {
                live(first, in_a_row, fate).await;
            }
        }
    }
}

/// Waits for what comes by itself, as far as it does within hours.
async fn until_it_is(system: &System, stand_in: &StandIn, payment: &str, field: &str, expected: &str) {
    let alice = user(system, "alice");
    for _ in 0..60 {
        stand_in.pass(system, Duration::from_secs(60)).await;
        system.settled().await;
        let is = until(async || alice.get(&format!("/payments/{payment}")).await).await.expect(200).get(field);
        if is == expected {
            return;
        }
    }
    panic!("{field} of {payment} is never {expected}");
}

/// A life of cards: a payment and an order, part of which goes back, a callback that comes again with another body, and an
/// operator. Gives the number of writes.
async fn live_on_cards(first: usize, in_a_row: usize, fate: Fate) -> usize {
    let Losses { writes, met, plan } = Losses::new(first, in_a_row, fate);
    let mut stand_in = None;
    let system = system_with(|mut options| {
        stand_in = Some(StandIn::behind(&mut options, "plain", Mood::calm(), 7));
        options.network =
            Arc::new(move |connector| platform::aws::shared(FaultyConnector::new(connector, plan.clone())));
        options
    });
    let stand_in = stand_in.unwrap();
    let (alice, staff) = (user(&system, "alice"), user_with(&system, "staff", "refunds operator"));
    let shown = || format!("{fate:?} {in_a_row} times from write {first}: {:?}", met.lock().unwrap());

    let asked = r#"{"amount":"100.00","currency":"EUR","reference":"theirs"}"#;
    let made = until_answered(&alice, "/payments", "p1", asked).await.expect(202);
    let by_card = r#"{"amount":"30.00","pay_with":"card"}"#;
    let placed = until_answered(&alice, "/orders", "o1", by_card).await.expect(201);
    until_it_is(&system, &stand_in, &made.id(), "captured", "100.00").await;
    until_it_is(&system, &stand_in, &placed.get("payment"), "captured", "30.00").await;
    assert_eq!(alice.state(&placed.id()).await, "completed", "{}", shown());

    let refunds = format!("/payments/{}/refunds", made.id());
    let begun = until_answered(&staff, &refunds, "r1", r#"{"amount":"40.00"}"#).await.expect(202);
    until_it_is(&system, &stand_in, &made.id(), "refunded", "40.00").await;

    let event = |minor| of_charge("captured", &format!("charge-{}", made.id()), minor, "EUR");
    until(async || call_back(&system, "evt", &event(10_000)).await).await.expect(200);
    let changed = until(async || call_back(&system, "evt", &event(9_999)).await).await.expect(409);
    assert_eq!(changed.code(), "callback_changed", "{}", shown());
    let complete = format!("/payments/{}/complete", made.id());
    let judged = until(async || staff.ask(&complete).await).await.expect(200).json();
    assert_eq!((&judged["state"], &judged["refunded"]), (&"captured".into(), &"40.00".into()), "{}", shown());
    system.settled().await;

    for (who, path, key, body, answer) in [
        (&alice, "/payments", "p1", asked, &made),
        (&alice, "/orders", "o1", by_card, &placed),
        (&staff, refunds.as_str(), "r1", r#"{"amount":40}"#, &begun),
    ] {
        let again = until_answered(who, path, key, body).await;
        assert_eq!((again.replayed, &again.bytes), (true, &answer.bytes), "{}", shown());
    }
    assert_eq!(stand_in.findings(), [], "{}", shown());
    assert_eq!((stand_in.captured(), stand_in.given_back()), ((2, 13_000), 4_000), "{}", shown());
    promises_hold(&system).await;
    writes.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_at_any_write_charges_nobody_twice() {
    let undisturbed = live_on_cards(usize::MAX / 2, 0, Fate::Answered).await;
    assert!(undisturbed >= 20, "the life has {undisturbed} writes");
    for fate in [Fate::LostAfter, Fate::LostBefore] {
        for in_a_row in [1, 7] {
            for first in 0..undisturbed {
                live_on_cards(first, in_a_row, fate).await;
            }
        }
    }
}
