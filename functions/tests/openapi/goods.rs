//! What is answered about goods: requests that are wrong, and what comes of those that are right and too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use local_cloud::{Fate, FaultyConnector};
use local_system::System;

use super::answers::Tour;
use super::description::Ask;
use super::support::{self, user_with};

const SCOPES: &str = "stock slots courier";

/// What makes a right request wrong in a way that only goods know, or know in their own way.
pub(crate) fn wrong(ask: &Ask, what: &str) -> Option<Ask> {
    let body = |body: &str| Some(ask.clone().body(body.to_owned()));
    let path = |path: &str| Some(Ask { path: path.to_owned(), ..ask.clone() });
    let is_order = ask.path == "/orders" && ask.method == "POST";
    let is_receipt = ask.path.ends_with("/receipts");
    let is_slot = ask.path.starts_with("/slots/");
    let is_product = ask.path.starts_with("/stock/") && !is_receipt;
    let of_line =
        |sku: &str, quantity: &str| body(&format!(r#"{{"lines":[{{"sku":"{sku}","quantity":{quantity}}}]}}"#));
    let quantity = |quantity: &str| {
        if is_order { of_line("EARL-GREY-100G", quantity) } else { body(&format!(r#"{{"quantity":{quantity}}}"#)) }
    };
    let how = |fields: &str| body(&format!(r#"{{"lines":[{{"sku":"EARL-GREY-100G","quantity":1}}],{fields}}}"#));
    match what {
        "scope_missing" => Some(ask.clone().without("x-user-scopes")),
        "amount_or_lines" => body("{}"),
        "lines_empty" => body(r#"{"lines":[]}"#),
        "too_many_lines" => {
            let lines: Vec<String> = (0..51).map(|n| format!(r#"{{"sku":"s{n}","quantity":1}}"#)).collect();
            body(&format!(r#"{{"lines":[{}]}}"#, lines.join(",")))
        }
        "only_with_lines" => body(r#"{"amount":5,"slot":"standard"}"#),
        "sku_twice" => {
            let line = r#"{"sku":"EARL-GREY-100G","quantity":1}"#;
            body(&format!(r#"{{"lines":[{line},{line}]}}"#))
        }
        "sku_unknown" => of_line("COFFEE", "1"),
        "sku_malformed" if is_order => of_line("no sku", "1"),
        "sku_malformed" => path("/stock/no%20sku"),
        "sku_not_found" if is_receipt => path("/stock/COFFEE/receipts"),
        "sku_not_found" => path("/stock/COFFEE"),
        "quantity_malformed" => quantity("1.5"),
        "quantity_not_positive" => quantity("0"),
        "quantity_too_large" => quantity("4294967296"),
        "slot_id_malformed" if is_order => how(r#""slot":"at noon""#),
        "slot_id_malformed" => path("/slots/at%20noon"),
        "slot_unknown" => how(r#""slot":"midnight""#),
        "if_unavailable_unknown" => how(r#""if_unavailable":"maybe""#),
        "if_undeliverable_unknown" => how(r#""if_undeliverable":"maybe""#),
        "name_length" => body(r#"{"name":"","price":5}"#),
        "name_has_control_characters" => body(r#"{"name":"a\nb","price":5}"#),
        "capacity_malformed" => body(r#"{"capacity":1.5}"#),
        "time_malformed" => body(r#"{"capacity":5,"from":"tomorrow"}"#),
        "slot_times_reversed" => body(r#"{"capacity":5,"from":"2026-11-24T13:00:00Z","to":"2026-11-24T12:00:00Z"}"#),
        "order_not_found" if ask.path.starts_with("/deliveries") => {
            path("/deliveries/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/accept")
        }
        "field_missing" if is_order => body(r#"{"lines":[{"sku":"EARL-GREY-100G"}]}"#),
        "field_wrong_type" if is_receipt => body(r#"{"quantity":"1"}"#),
        "field_wrong_type" if is_slot => body(r#"{"capacity":"5"}"#),
        "field_wrong_type" if is_product => body(r#"{"name":5,"price":5}"#),
        "text_malformed" if is_slot => body(r#"{"capacity":5,"from":"\ud800"}"#),
        "text_malformed" if is_product => body(r#"{"name":"\ud800","price":5}"#),
        _ => None,
    }
}

/// The same request, so that a repeat of it has something to do.
pub(crate) fn changed(ask: Ask) -> Ask {
    match ask.path.as_str() {
        path if ask.method == "PUT" && path.starts_with("/stock") => ask.body(r#"{"name":"Another","price":5}"#),
        path if ask.method == "PUT" && path.starts_with("/slots") => ask.body(r#"{"capacity":5}"#),
        path if ask.method == "PUT" && path == "/webhook" => ask.body(r#"{"url":"https://other.example/"}"#),
        _ => ask,
    }
}

/// After the story: the slot of the afternoon is full, one order in it has completed and a plain one waits for money.
pub(crate) async fn what_depends_on_what_is_there(tour: &mut Tour, system: &System) {
    let alice = user_with(system, "alice", SCOPES);

    let put_slot = tour.description.operation("putSlot");
    let lower = tour.right(&put_slot, "").by("alice").body(r#"{"capacity":0}"#);
    assert_eq!(tour.call(system, &put_slot, lower).await.2, "capacity_below_booked");

    let receive = tour.description.operation("receiveStock");
    let used = tour.right(&receive, "used").by("alice");
    tour.call(system, &receive, used.clone()).await;
    let told = tour.call(system, &receive, used.body(r#"{"quantity":11}"#)).await;
    assert_eq!(told.2, "key_used_for_another_request");
    let most = r#"{"quantity":4294967295}"#;
    for n in 0..232 {
        alice.post("/stock/TEAPOT/receipts", &format!("much-{n}"), most).await.expect(201);
    }
    let more = tour.right(&receive, "more").by("alice").body(most);
    let more = Ask { path: "/stock/TEAPOT/receipts".to_owned(), ..more };
    assert_eq!(tour.call(system, &receive, more).await.2, "stock_too_large");
    system.settled().await;

    let place = tour.description.operation("placeOrder");
    let begun = r#"{"capacity":5,"from":"2026-11-20T08:00:00Z"}"#;
    alice.put("/slots/yesterday", begun).await.expect(200);
    let late = r#"{"lines":[{"sku":"EARL-GREY-100G","quantity":1}],"slot":"yesterday"}"#;
    let late = tour.right(&place, "late").by("alice").body(late);
    assert_eq!(tour.call(system, &place, late).await.2, "slot_has_begun");

    let orders = alice.get("/orders?limit=100").await.expect(200).json();
    let orders = orders["items"].as_array().unwrap();
    let of_state = |state: &str, is_plain: bool| {
        let found = orders.iter().find(|order| order["state"] == state && order["lines"].is_null() == is_plain);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let cancel = tour.description.operation("cancelOrder");
    let too_late = Ask { path: format!("/orders/{}/cancel", of_state("completed", false)), ..tour.right(&cancel, "") };
    assert_eq!(tour.call(system, &cancel, too_late.by("alice")).await.2, "too_late_to_cancel");

    let accept = tour.description.operation("acceptDelivery");
    let unpaid = of_state("awaiting_payment", true);
    let early = Ask { path: format!("/deliveries/{unpaid}/accept"), ..tour.right(&accept, "") };
    assert_eq!(tour.call(system, &accept, early.by("alice")).await.2, "not_awaiting_delivery");
}

/// The slot is opened, and whoever waits for it does not hear of that at once.
pub(crate) async fn a_courier_who_is_faster(tour: &mut Tour) {
    let is_silent = Arc::new(AtomicBool::new(false));
    let system = support::system_with(|mut options| {
        options.parameters.insert("Currency".to_owned(), tour.currency.to_owned());
        let is_silent = Arc::clone(&is_silent);
        let plan = move |operation: &str, _| {
            let is_lost = operation.starts_with("SendMessage") && is_silent.load(Ordering::SeqCst);
            if is_lost { Fate::LostBefore } else { Fate::Answered }
        };
        let plan = Arc::new(plan);
        options.network =
            Arc::new(move |connector| platform::aws::shared(FaultyConnector::new(connector, plan.clone())));
        options
    });
    let alice = user_with(&system, "alice", SCOPES);
    alice.put("/stock/EARL-GREY-100G", r#"{"name":"Tea","price":25}"#).await.expect(200);
    alice.post("/stock/EARL-GREY-100G/receipts", "r", r#"{"quantity":1}"#).await.expect(201);
    alice.deposit("d", "25").await.expect(201);
    let lines = r#"{"lines":[{"sku":"EARL-GREY-100G","quantity":1}]}"#;
    let waits = alice.post("/orders", "o", lines).await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&waits).await, "awaiting_delivery");
    is_silent.store(true, Ordering::SeqCst);
    alice.put("/slots/standard", r#"{"capacity":1}"#).await.expect(200);
    let accept = tour.description.operation("acceptDelivery");
    let raced = Ask { path: format!("/deliveries/{waits}/accept"), ..tour.right(&accept, "") };
    assert_eq!(tour.call(&system, &accept, raced.by("alice")).await.2, "slot_has_room");
    is_silent.store(false, Ordering::SeqCst);
    system.settled().await;
    assert_eq!(alice.state(&waits).await, "completed");
}
