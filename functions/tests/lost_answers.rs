//! A broken connection at each write in turn, once or so often that the SDK gives up, before or after the write was
//! carried out. Nobody is told anything wrong, and in the end everything is as if nothing had happened.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use local_cloud::Fate;
use support::{Answer, User, faulty, promises_hold, user};

/// Calls that change something. A batch read that fails is only read again.
const WRITES: [&str; 4] = ["PutItem", "TransactWriteItems", "SendMessageBatch", "PutEvents"];

/// Losing more in a row than the SDK tries is an error that the function sees.
const IN_A_ROW: [usize; 3] = [1, 3, 7];

/// Repeats a request until it is answered, as a client does; every answer but the last is "not known" or "try again".
async fn until_answered(user: &User<'_>, path: &str, key: &str, body: &str) -> Answer {
    for _ in 0..20 {
        let answer = user.post(path, key, body.to_owned()).await;
        match answer.status {
            503 => assert!(["outcome_unknown", "try_again"].contains(&answer.code().as_str())),
            _ => return answer,
        }
    }
    panic!("{path} {key} is never answered");
}

/// A life with deposits, orders that are paid, wait and are cancelled, and repeats. Gives the number of writes.
async fn live(first: usize, in_a_row: usize, fate: Fate) -> usize {
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
