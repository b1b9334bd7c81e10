//! Whole flows through the local cloud, as a customer sees them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use futures_util::future::join_all;
use serde_json::json;
use support::{promises_hold, system, system_with, user};

#[tokio::test(start_paused = true)]
async fn a_deposit_pays_an_order_to_the_cent() {
    let system = system();
    let alice = user(&system, "alice");
    let deposit = alice.deposit("d1", "5000").await.expect(201);
    assert_eq!((deposit.get("amount"), deposit.get("balance")), ("5000.00".into(), "5000.00".into()));
    let order = alice.order("o1", "1500.99").await.expect(201);
    assert_eq!(order.get("state"), "awaiting_payment");
    system.settled().await;
    assert_eq!(alice.state(&order.id()).await, "completed");
    assert_eq!(alice.balance().await, "3499.01");
    assert_eq!(alice.last_notification_of(&order.id()).await, "Your order is completed");
    let entries = alice.get("/account/entries").await.expect(200).json();
    let shown: Vec<_> = entries["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["number"].clone(), entry["amount"].clone(), entry["balance"].clone()))
        .collect();
    assert_eq!(
        shown,
        [(json!(2), json!("-1500.99"), json!("3499.01")), (json!(1), json!("5000.00"), json!("5000.00"))]
    );
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_orders_on_money_for_one_the_second_waits_for_a_deposit() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "1000").await.expect(201);
    let first = alice.order("o1", "1000").await.expect(201).id();
    let second = alice.order("o2", "1000").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&first).await, "completed");
    let waits = alice.get(&format!("/orders/{second}")).await.expect(200).json();
    assert_eq!(
        (waits["state"].as_str(), waits["waiting_for"]["what"].as_str()),
        (Some("awaiting_payment"), Some("money"))
    );
    assert!(waits["waiting_for"]["since"].is_string() && waits["waiting_for"]["until"].is_string(), "{waits}");
    assert_eq!(alice.last_notification_of(&second).await, "Payment is not possible: 1000.00 is missing");
    promises_hold(&system).await;

    alice.deposit("d2", "1000").await.expect(201);
    system.settled().await;
    let done = alice.get(&format!("/orders/{second}")).await.expect(200).json();
    assert_eq!(done["state"], "completed");
    assert_eq!(done.get("waiting_for"), None);
    assert_eq!(alice.balance().await, "0.00");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_not_to_wait_is_cancelled() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "1000").await.expect(201);
    let paid = alice.order_or_cancel("o1", "1000").await.expect(201).id();
    let unpaid = alice.order_or_cancel("o2", "1000").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&paid).await, "completed");
    let cancelled = alice.get(&format!("/orders/{unpaid}")).await.expect(200).json();
    assert_eq!(
        (cancelled["state"].as_str(), cancelled["cancelled_because"].as_str()),
        (Some("cancelled"), Some("unpaid"))
    );
    alice.deposit("d2", "1000").await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&unpaid).await, "cancelled", "what has ended stays ended");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_waits_for_an_account_that_is_not_open_yet() {
    let system = system();
    let alice = user(&system, "alice");
    alice.get("/account").await.expect(404);
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&order).await, "awaiting_payment");
    promises_hold(&system).await;
    alice.deposit("d1", "10").await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&order).await, "completed");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_deposit_wakes_the_oldest_first_and_passes_over_who_needs_more() {
    let system = system();
    let alice = user(&system, "alice");
    let mut orders = Vec::new();
    for (key, amount) in [("o1", "30"), ("o2", "100"), ("o3", "20"), ("o4", "20")] {
        orders.push(alice.order(key, amount).await.expect(201).id());
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
        system.settled().await;
    }
    alice.deposit("d1", "60").await.expect(201);
    system.settled().await;
    let mut states = Vec::new();
    for order in &orders {
        states.push(alice.state(order).await);
    }
    assert_eq!(states, ["completed", "awaiting_payment", "completed", "awaiting_payment"]);
    assert_eq!(alice.balance().await, "10.00");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_who_wait_are_all_served_by_one_deposit() {
    let system = system();
    let alice = user(&system, "alice");
    let keys: Vec<String> = (0..100).map(|n| format!("o{n}")).collect();
    for placed in join_all(keys.iter().map(|key| alice.order(key, "1.01"))).await {
        placed.expect(201);
    }
    system.settled().await;
    alice.deposit("d1", "101").await.expect(201);
    system.settled().await;
    assert_eq!(alice.balance().await, "0.00");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn opening_an_account_again_finds_it_open() {
    let system = system();
    let alice = user(&system, "alice");
    let opened = alice.post("/accounts", "any", "").await.expect(201);
    assert_eq!((opened.get("balance"), opened.get("currency")), ("0.00".into(), "EUR".into()));
    alice.deposit("d1", "5").await.expect(201);
    let again = alice.post("/accounts", "any", r#"{"currency":"EUR"}"#).await.expect(200);
    assert_eq!((again.id(), again.get("balance")), (opened.id(), "5.00".into()));
    let refused = alice.post("/accounts", "any", r#"{"currency":"USD"}"#).await.expect(422);
    assert_eq!(refused.code(), "currency_not_of_this_stack");
}

#[tokio::test(start_paused = true)]
async fn lists_are_newest_first_and_their_cursors_lead_through() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "100").await.expect(201);
    let mut ids = Vec::new();
    for n in 0..5 {
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
        ids.insert(0, alice.order(&format!("o{n}"), "1").await.expect(201).id());
    }
    system.settled().await;
    for path in ["/orders", "/account/entries", "/notifications"] {
        let whole = alice.get(&format!("{path}?limit=100")).await.expect(200).json();
        assert_eq!(whole["next_cursor"], json!(null), "{path}");
        let whole = whole["items"].as_array().unwrap().clone();
        let mut walked = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = alice.get(&format!("{path}?limit=2{cursor}")).await.expect(200).json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            walked.extend(items.clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(walked, whole, "{path}");
    }
    let listed = alice.get("/orders").await.expect(200).json();
    let listed: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    assert_eq!(
        user(&system, "bob").get("/orders").await.expect(200).json(),
        json!({ "items": [], "next_cursor": null })
    );
}

#[tokio::test(start_paused = true)]
async fn another_customers_order_looks_like_one_that_does_not_exist() {
    let system = system();
    let (alice, mallory) = (user(&system, "alice"), user(&system, "mallory"));
    let order = alice.order("o1", "10").await.expect(201).id();
    let missing = order.replace(|letter: char| letter.is_ascii_lowercase(), "a");
    for suffix in ["", "/timeline"] {
        let other = mallory.get(&format!("/orders/{order}{suffix}")).await.expect(404);
        for none in [missing.as_str(), "x", "%00", "order%23x"] {
            let absent = mallory.get(&format!("/orders/{none}{suffix}")).await.expect(404);
            assert_eq!(other.bytes, absent.bytes);
        }
    }
    let same_key = mallory.order("o1", "20").await.expect(201);
    assert_ne!(same_key.id(), order, "a key is its customer's own");
}

#[tokio::test(start_paused = true)]
async fn a_timeline_tells_every_step_with_its_event() {
    let system = system();
    let alice = user(&system, "alice");
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    alice.deposit("d1", "10").await.expect(201);
    system.settled().await;
    let timeline = alice.get(&format!("/orders/{order}/timeline")).await.expect(200).json();
    let steps: Vec<_> = timeline["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            let event = step["event"].as_str().unwrap();
            assert!(step["at"].is_string() && step["cause"].is_string());
            format!("{} {}", step["transition"].as_str().unwrap(), event.trim_start_matches(&format!("order.{order}")))
        })
        .collect();
    assert_eq!(steps, ["placed .1.0", "waiting .2.0", "paid .3.0", "completed .3.1"]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_with_one_key_are_one_effect_and_one_answer() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d0", "500").await.expect(201);
    for (path, body) in [("/orders", r#"{"amount":100,"description":"tea"}"#), ("/deposits", r#"{"amount":100}"#)] {
        let answers = join_all((0..100).map(|_| alice.post(path, "same", body))).await;
        let first = answers[0].bytes.clone();
        for answer in &answers {
            assert_eq!((answer.status, &answer.bytes), (201, &first), "{path}");
        }
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "{path}: one of them did it");
        let other = alice.post(path, "same", r#"{"amount":101}"#).await.expect(422);
        assert_eq!(other.code(), "key_used_for_another_request");
        system.settled().await;
        let later = alice.post(path, "\"same\"", body).await.expect(201);
        assert_eq!(later.bytes, first, "{path}: the same bytes after all is done");
    }
    assert_eq!(alice.balance().await, "500.00", "500 − 100 + 100");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_hundred_orders_with_money_for_fifty_exactly_fifty_complete() {
    let system = system();
    let alice = user(&system, "alice");
    alice.deposit("d1", "500").await.expect(201);
    let keys: Vec<String> = (0..200).map(|n| format!("o{n}")).collect();
    let placed = join_all(keys.iter().map(|key| alice.order(key, "10"))).await;
    let ids: Vec<String> = placed.into_iter().map(|answer| answer.expect(201).id()).collect();
    system.settled().await;
    let mut completed = 0;
    for id in &ids {
        let order = alice.get(&format!("/orders/{id}")).await.expect(200).json();
        match order["state"].as_str() {
            Some("completed") => completed += 1,
            _ => assert_eq!(order["waiting_for"]["what"], "money"),
        }
    }
    assert_eq!((completed, alice.balance().await), (50, "0.00".to_owned()));
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_deposits_all_count() {
    let system = system();
    let alice = user(&system, "alice");
    let keys: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    let mut left: Vec<&String> = keys.iter().collect();
    // A lost race is answered "try again", never as done and never as refused.
    while !left.is_empty() {
        let answers = join_all(left.iter().map(|key| alice.deposit(key, "1.01"))).await;
        let again = left.iter().zip(&answers).filter(|(_, answer)| answer.status != 201);
        left = again
            .map(|(key, answer)| {
                assert_eq!((answer.status, answer.code()), (503, "try_again".to_owned()));
                *key
            })
            .collect();
    }
    assert_eq!(alice.balance().await, "50.50");
    system.settled().await;
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_runs_out_of_time_leaves_the_rest_to_a_message() {
    let system = system_with(|mut options| {
        options.runs_by_itself = false;
        options
    });
    let alice = user(&system, "alice");
    let account = alice.deposit("d1", "0.01").await.expect(201);
    assert_eq!(account.get("balance"), "0.01");
    let id = alice.get("/account").await.expect(200).id();
    let function = functions::by_handler("advance-orders").unwrap();
    let work_until = |work: serde_json::Value, seconds: i64| {
        let message = json!({ "work": work, "event": format!("account.{id}.9.9"), "attempt": 0 });
        let record = json!({ "messageId": "m", "body": message.to_string(), "attributes": { "MessageGroupId": id } });
        let deadline = system.app().now().after(domain::Millis::seconds(seconds));
        let app = std::sync::Arc::new(system.app().clone());
        async move {
            let invocation = platform::runtime::Invocation { deadline };
            let answer = function.invoke(app, json!({ "Records": [record] }), invocation).await.unwrap();
            assert_eq!(answer, json!({ "batchItemFailures": [] }));
        }
    };
    for n in 0..95 {
        let order = alice.order(&format!("o{n}"), "2").await.expect(201).id();
        work_until(json!({ "advance": { "order": order, "customer": id } }), 30).await;
    }
    alice.deposit("d2", "190").await.expect(201);
    let sent = || {
        let depths = system.cloud.queue_depths();
        depths.into_iter().find(|(name, _)| name.ends_with("-order-updates.fifo")).unwrap().1.visible
    };
    assert_eq!(sent(), 0);
    work_until(json!({ "wake": { "resource": { "account": id }, "after": null } }), 0).await;
    assert_eq!((alice.balance().await.as_str(), sent()), ("130.01", 1), "thirty are served and the rest is a message");
    work_until(json!({ "wake": { "resource": { "account": id }, "after": null } }), 30).await;
    assert_eq!((alice.balance().await.as_str(), sent()), ("0.01", 1), "with time, the others too");
}
