//! What is answered about payments: requests that are wrong, and what comes of those that are right as things stand.

use data_encoding::HEXLOWER;
use domain::books::Key;
use domain::ids::{CustomerId, Fingerprint, IdempotencyKey, PaymentId};
use domain::payments::{self, InventoryEvent};
use domain::text::Reference;
use local_system::System;
use platform::store::Needs;
use serde_json::{Value, json};

use super::answers::Tour;
use super::description::{Ask, Operation};
use super::support::callbacks::{STRIPE_SECRET, hmac};
use super::support::{self, user_with};

/// Nobody's.
const NONE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn is_of_payments(ask: &Ask) -> bool {
    ask.path.starts_with("/payments") || ask.path.starts_with("/reports")
}

/// Stripe's, at the time of the example.
fn signed(ask: &Ask, body: &str) -> Ask {
    let header = &ask.headers["stripe-signature"];
    let (time, _) = header.strip_prefix("t=").unwrap().split_once(',').unwrap();
    signed_at(ask, body, time.parse().unwrap())
}

fn signed_at(ask: &Ask, body: &str, time: i64) -> Ask {
    let tag = hmac(STRIPE_SECRET.as_bytes(), format!("{time}.{body}").as_bytes());
    let signature = format!("t={time},v1={}", HEXLOWER.encode(&tag));
    ask.clone().header("stripe-signature", &signature).body(body.to_owned())
}

/// The event of the example with other fields, signed again.
fn event_with(ask: &Ask, change: impl Fn(&mut Value)) -> Ask {
    let mut event: Value = serde_json::from_slice(&ask.body).unwrap();
    change(&mut event);
    signed(ask, &event.to_string())
}

/// As it would be signed now, if it is signed at all.
pub(crate) fn of_now(ask: Ask, system: &System) -> Ask {
    if !ask.headers.contains_key("stripe-signature") {
        return ask;
    }
    let body = String::from_utf8(ask.body.to_vec()).unwrap();
    signed_at(&ask, &body, system.app().now().as_seconds())
}

/// What makes a right request wrong in a way that only payments know, or know in their own way.
pub(crate) fn wrong(ask: &Ask, what: &str) -> Option<Ask> {
    let path = |path: String| Some(Ask { path, ..ask.clone() });
    match what {
        "pay_with_unknown" => return Some(ask.clone().body(r#"{"amount":5,"pay_with":"cash"}"#)),
        _ if !is_of_payments(ask) => return None,
        "callback_not_verified" => return Some(ask.clone().without("stripe-signature")),
        "callback_malformed" => return Some(signed(ask, "{}")),
        "payment_not_found" if ask.path.starts_with("/reports") => {
            return path(format!("/reports/charge-{NONE}/dismiss"));
        }
        "refund_not_found" if ask.path.starts_with("/reports") => {
            return path(format!("/reports/refund-{NONE}/dismiss"));
        }
        "payment_not_found" | "refund_not_found" => {
            let place = if what == "payment_not_found" { 2 } else { 4 };
            let mut parts: Vec<&str> = ask.path.split('/').collect();
            parts[place] = NONE;
            return path(parts.join("/"));
        }
        _ => {}
    }
    if ask.method != "POST" || ask.body.is_empty() || ask.path.ends_with("/callback") {
        return None;
    }
    let is_refund = ask.path.ends_with("/refunds");
    let right: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let with = |field: &str, raw: &str| {
        let mut fields = if is_refund { json!({}) } else { right.clone() };
        fields[field] = json!("RAW");
        Some(ask.clone().body(fields.to_string().replace("\"RAW\"", raw)))
    };
    match what {
        "field_unknown" => with("colour", r#""red""#),
        "field_missing" => Some(ask.clone().body("{}")),
        "field_wrong_type" => with("currency", "5"),
        "text_malformed" => with("currency", r#""\ud800""#),
        "currency_unknown" => with("currency", r#""eur""#),
        "currency_not_of_this_stack" => with("currency", r#""USD""#),
        "amount_malformed" => with("amount", r#""1,5""#),
        "amount_has_sign" => with("amount", "-5"),
        "amount_has_exponent" => with("amount", "1e3"),
        "amount_too_precise" => with("amount", "1.0000"),
        "amount_too_large" => with("amount", "1000000000000000000000000000000"),
        "amount_not_positive" => with("amount", "0"),
        "reference_length" => with("reference", r#""""#),
        "reference_has_control_characters" => with("reference", r#""a\nb""#),
        "reference_names_order" => with("reference", &format!("{NONE:?}")),
        _ => None,
    }
}

/// The same request, so that a repeat of it has something to do: of a payment that nothing is in the way of, and of an
/// event that has not come before.
pub(crate) fn changed(ask: Ask, tour: &Tour) -> Ask {
    if ask.path.ends_with("/refunds") && ask.method == "POST" {
        let get = tour.description.operation("getPayment");
        return Ask { path: format!("{}/refunds", tour.description.request(&get, "card").path), ..ask };
    }
    if ask.path.ends_with("/callback") {
        return event_with(&ask, |event| event["id"] = json!("evt_another"));
    }
    ask
}

/// After the story: the first payment is captured, 33 of it were given back, and the rest can be.
pub(crate) async fn what_depends_on_what_is_there(tour: &mut Tour, system: &System) {
    let staff = user_with(system, "alice", "stock slots refunds operator");
    let currency = tour.currency;
    let make = tour.description.operation("makePayment");
    let refund = tour.description.operation("refundPayment");
    let pay = async |key: &str, amount: i64| {
        let body = json!({ "amount": amount, "currency": currency, "reference": key }).to_string();
        let id = staff.post("/payments", key, body).await.expect(202).id();
        system.settled().await;
        id
    };
    let refunding = |tour: &Tour, payment: &str, key: &str, amount: i64| {
        let ask = tour.right(&refund, key).by("alice").body(json!({ "amount": amount }).to_string());
        Ask { path: format!("/payments/{payment}/refunds"), ..ask }
    };
    let judging = |operation: &Operation, payment: &str| {
        let way = operation.path.rsplit('/').next().unwrap();
        let ask = Ask { method: "POST".to_owned(), path: format!("/payments/{payment}/{way}"), ..Ask::default() };
        ask.by("alice").header("x-user-scopes", "operator")
    };
    let (complete, fail) = (tour.description.operation("completePayment"), tour.description.operation("failPayment"));

    for (operation, other) in
        [(&make, json!({ "amount": 5, "currency": currency, "reference": "other" })), (&refund, json!({ "amount": 1 }))]
    {
        let (_, example, _) = super::examples::STORY.iter().find(|(id, ..)| *id == operation.id).unwrap();
        let used = tour.description.request(operation, example).by("alice").body(other.to_string());
        assert_eq!(tour.call(system, operation, used).await.2, "key_used_for_another_request");
    }
    let too_much = tour.right(&refund, "too-much").by("alice").body(r#"{"amount":68}"#);
    assert_eq!(tour.call(system, &refund, too_much).await.2, "refund_too_large");

    let pending = pay("pending", 88).await;
    assert_eq!(tour.call(system, &refund, refunding(tour, &pending, "early", 1)).await.2, "payment_not_captured");
    for operation in [&complete, &fail] {
        assert_eq!(tour.call(system, operation, judging(operation, &pending)).await.2, "not_for_an_operator");
    }

    let doubted = pay("doubted", 100).await;
    staff.post(&format!("/payments/{doubted}/refunds"), "refused", r#"{"amount":13}"#).await.expect(202);
    system.settled().await;
    assert_eq!(tour.call(system, &refund, refunding(tour, &doubted, "doubt", 1)).await.2, "payment_in_review");
    assert_eq!(tour.call(system, &fail, judging(&fail, &doubted)).await.2, "captured_already");

    let much = pay("much", 1_000).await;
    let mut part = String::new();
    for n in 0..20 {
        let open = staff.post(&format!("/payments/{much}/refunds"), &format!("open-{n}"), r#"{"amount":11}"#).await;
        part = open.expect(202).id();
    }
    system.settled().await;
    assert_eq!(tour.call(system, &refund, refunding(tour, &much, "one-more", 1)).await.2, "too_many_refunds");
    for id in ["completeRefund", "failRefund"] {
        let operation = tour.description.operation(id);
        let way = operation.path.rsplit('/').next().unwrap();
        let path = format!("/payments/{much}/refunds/{part}/{way}");
        let early = Ask { path, ..tour.right(&operation, "") };
        assert_eq!(tour.call(system, &operation, early.by("alice")).await.2, "not_for_an_operator");
    }

    // What an order was paid with, before it has completed; and what it is owed when it ends.
    staff.put("/stock/TENT", r#"{"name":"Tent","price":13}"#).await.expect(200);
    let body = r#"{"lines":[{"sku":"TENT","quantity":1}],"pay_with":"card"}"#;
    let placed = staff.post("/orders", "tent", body).await.expect(201);
    system.settled().await;
    let payment = placed.get("payment");
    assert_eq!(tour.call(system, &refund, refunding(tour, &payment, "tent", 1)).await.2, "order_not_completed");
    staff.ask(&format!("/orders/{}/cancel", placed.id())).await.expect(200);
    system.settled().await;
    let owed = staff.get(&format!("/payments/{payment}")).await.expect(200).json();
    let owed = owed["refunds"][0]["id"].as_str().unwrap().to_owned();
    let operation = tour.description.operation("failRefund");
    let keep = Ask { path: format!("/payments/{payment}/refunds/{owed}/fail"), ..tour.right(&operation, "") };
    assert_eq!(tour.call(system, &operation, keep.by("alice")).await.2, "refund_is_owed");

    let told = told_by_an_event(system).await;
    staff.ask(&format!("/payments/{told}/complete")).await.expect(200);
    assert_eq!(tour.call(system, &refund, refunding(tour, &told, "told", 1)).await.2, "payment_not_by_card");

    let callback = tour.description.operation("takeCallback");
    let other = event_with(&tour.right(&callback, ""), |event| event["data"]["object"]["amount_received"] = json!(1));
    assert_eq!(tour.call(system, &callback, of_now(other, system)).await.2, "callback_changed");
}

/// A payment that no gateway charges, straight through the store.
async fn told_by_an_event(system: &System) -> String {
    let key = IdempotencyKey::parse("event").unwrap();
    let id = PaymentId::of_event(&key);
    let event = InventoryEvent {
        key,
        order: Reference::new("theirs").unwrap(),
        amount: domain::Amount::from_minor(5_000),
        currency: None,
        customer: Some(CustomerId::of("test", "merchant")),
        fingerprint: Fingerprint::of("a test", &[]),
    };
    let terms = &system.app().config.terms;
    let needs = Needs::load([Key::Payment(id)]);
    let made = system
        .app()
        .store
        .decide(needs, |books, now| books.decide(|draft| payments::of_event(draft, &event, now, terms)));
    made.await.unwrap();
    id.to_string()
}

pub(crate) async fn a_stack_without_cards(tour: &mut Tour) {
    let system = support::system_with(|mut options| {
        options.parameters.insert("Currency".to_owned(), tour.currency.to_owned());
        options.parameters.insert("Gateway".to_owned(), String::new());
        options
    });
    let make = tour.description.operation("makePayment");
    assert_eq!(tour.call(&system, &make, tour.right(&make, "none").by("alice")).await.2, "cards_not_offered");
    let place = tour.description.operation("placeOrder");
    let by_card = tour.right(&place, "none").by("alice").body(r#"{"amount":5,"pay_with":"card"}"#);
    assert_eq!(tour.call(&system, &place, by_card).await.2, "cards_not_offered");
}
