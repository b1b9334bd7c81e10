//! Payments, refunds, what gateways call back with and what an operator ends, over the routes and the table. Functions run
//! only where they are called, so that each step can be looked at alone.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use domain::books::Key;
use domain::ids::{CustomerId, IdempotencyKey, OrderId, PaymentId};
use domain::messages::Work;
use domain::payments::{Gateway, GatewayKey, Payment};
use futures_util::future::join_all;
use local_cloud::{Clock, Options as CloudOptions, Storage};
use local_system::{Options, System};
use serde_json::{Value, json};
use support::callbacks::{
    Callback, FORMER_PLAIN_SECRET, PLAIN_SECRET, STRIPE_SECRET, call_back, of_charge, of_refund, with_gateway,
};
use support::shop::Shop;
use support::{Answer, START_MS, User, user, user_with};

fn by_hand(gateway: &str) -> System {
    let cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
    let mut options = Options { runs_by_itself: false, ..Options::new(cloud) };
    with_gateway(&mut options, gateway);
    System::start(options).unwrap()
}

async fn pay(who: &User<'_>, key: &str, amount: &str) -> Answer {
    let body = json!({ "amount": amount, "currency": "EUR", "reference": format!("their order {key}") });
    who.post("/payments", key, body.to_string()).await
}

async fn order_by_card(who: &User<'_>, key: &str, amount: &str) -> Answer {
    who.post("/orders", key, json!({ "amount": amount, "pay_with": "card" }).to_string()).await
}

fn refunder(system: &System) -> User<'_> {
    user_with(system, "staff", "refunds")
}

fn operator(system: &System) -> User<'_> {
    user_with(system, "op", "operator")
}

async fn refund(system: &System, payment: &str, key: &str, amount: &str) -> Answer {
    let body = json!({ "amount": amount }).to_string();
    refunder(system).post(&format!("/payments/{payment}/refunds"), key, body).await
}

async fn shown(who: &User<'_>, payment: &str) -> Value {
    who.get(&format!("/payments/{payment}")).await.expect(200).json()
}

/// State, and what was captured, given back and is on its way back.
async fn sums(who: &User<'_>, payment: &str) -> [String; 4] {
    let payment = shown(who, payment).await;
    ["state", "captured", "refunded", "refunding"].map(|field| payment[field].as_str().unwrap().to_owned())
}

async fn table(system: &System) -> String {
    format!("{:?}", platform::verify::fingerprint(system.app().store.table()).await.unwrap())
}

async fn captured(system: &System, payment: &str, minor: i64) {
    let event = of_charge("captured", &format!("charge-{payment}"), minor, "EUR");
    let answer = call_back(system, &format!("evt-captured-{payment}"), &event).await.expect(200);
    assert_eq!(answer.get("outcome"), "taken");
}

/// The money of every promise; what is still on its way may be so for long.
async fn promises_hold(system: &System) {
    use platform::verify::{Now, audit};
    let now = Now::Moment(system.app().now());
    let report = audit(system.app().store.table(), now, domain::Millis::hours(10_000), |_| {}).await.unwrap();
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_payment_is_made_once_and_is_its_owners() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let first = pay(&alice, "p1", "1500.99").await.expect(202);
    assert_eq!((first.get("state"), first.get("reference")), ("pending".to_owned(), "their order p1".to_owned()));
    let payment = first.id();
    captured(&system, &payment, 150_099).await;
    assert_eq!(sums(&alice, &payment).await, ["captured", "1500.99", "0.00", "0.00"]);

    let again = pay(&alice, "p1", "1500.990").await;
    assert_eq!(again.status, 422, "a digit too many is refused before the key is looked at");
    let again = pay(&alice, "p1", "1500.99").await.expect(202);
    assert!(again.replayed && again.bytes == first.bytes, "{:?}", again.bytes);
    assert_eq!(pay(&alice, "p1", "1500.98").await.expect(422).code(), "key_used_for_another_request");

    let bob = user(&system, "bob");
    let theirs = bob.get(&format!("/payments/{payment}")).await.expect(404);
    let none = bob.get(&format!("/payments/{}", "a".repeat(32))).await.expect(404);
    assert_eq!((theirs.code().as_str(), &theirs.bytes), ("payment_not_found", &none.bytes));
    assert_eq!(bob.get("/payments").await.expect(200).json()["items"], json!([]));
    assert_eq!(pay(&bob, "p1", "7").await.expect(202).get("amount"), "7.00", "each has keys of their own");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_payment_is_refused_by_name_and_changes_nothing() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let order = order_by_card(&alice, "o", "5").await.expect(201).id();
    let before = table(&system).await;
    for (body, code) in [
        (json!({ "currency": "EUR", "reference": "7" }), "field_missing"),
        (json!({ "amount": 5, "reference": "7" }), "field_missing"),
        (json!({ "amount": 5, "currency": "EUR" }), "field_missing"),
        (json!({ "amount": 0, "currency": "EUR", "reference": "7" }), "amount_not_positive"),
        (json!({ "amount": 5, "currency": "USD", "reference": "7" }), "currency_not_of_this_stack"),
        (json!({ "amount": 5, "currency": "EUR", "reference": "" }), "reference_length"),
        (json!({ "amount": 5, "currency": "EUR", "reference": "x".repeat(201) }), "reference_length"),
        (json!({ "amount": 5, "currency": "EUR", "reference": "a\nb" }), "reference_has_control_characters"),
        (json!({ "amount": 5, "currency": "EUR", "reference": order }), "reference_names_order"),
        (json!({ "amount": 5, "currency": "EUR", "reference": 7 }), "field_wrong_type"),
        (json!({ "amount": 5, "currency": "EUR", "reference": "7", "card": "4242" }), "field_unknown"),
    ] {
        assert_eq!(alice.post("/payments", "k", body.to_string()).await.code(), code, "{body}");
    }
    let body = json!({ "amount": 5, "pay_with": "cash" }).to_string();
    assert_eq!(alice.post("/orders", "k", body).await.expect(422).code(), "pay_with_unknown");
    assert_eq!(table(&system).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_newest_first_and_page_by_page() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(pay(&alice, &format!("p{n}"), "1").await.expect(202).id());
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    made.push(order_by_card(&alice, "o", "1").await.expect(201).get("payment"));
    alice.order("by-balance", "1").await.expect(201);
    made.reverse();
    let mut listed = Vec::new();
    let mut path = "/payments?limit=4".to_owned();
    loop {
        let page = alice.get(&path).await.expect(200).json();
        listed.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/payments?limit=4&cursor={cursor}");
    }
    assert_eq!(listed, made);
    let of_orders = alice.get("/orders?limit=1").await.expect(200).json()["next_cursor"].as_str().unwrap().to_owned();
    let wrong = alice.get(&format!("/payments?cursor={of_orders}")).await.expect(400);
    assert_eq!(wrong.code(), "cursor_malformed", "a place in another list is none in this");
}

#[tokio::test(start_paused = true)]
async fn cards_are_refused_by_name_where_none_are_charged_and_what_was_answered_still_is() {
    let directory = std::env::temp_dir().join(format!("paidonce-cards-{}", std::process::id()));
    _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let start = |gateway: &str| {
        let storage = Storage::Directory(directory.clone());
        let cloud = CloudOptions::new(storage, Clock::starting_at(START_MS), 7);
        let mut options = Options { runs_by_itself: false, ..Options::new(cloud) };
        with_gateway(&mut options, gateway);
        System::start(options).unwrap()
    };
    let (order, payment) = {
        let system = start("plain");
        let alice = user(&system, "alice");
        let answers = (order_by_card(&alice, "o", "5").await.expect(201), pay(&alice, "p", "5").await.expect(202));
        system.stop().await;
        answers
    };
    // Without a gateway, and with another.
    for gateway in ["", "stripe"] {
        let system = start(gateway);
        let alice = user(&system, "alice");
        let again = (order_by_card(&alice, "o", "5").await.expect(201), pay(&alice, "p", "5").await.expect(202));
        assert!(again.0.replayed && again.0.bytes == order.bytes && again.1.bytes == payment.bytes, "{gateway}");
        assert_eq!(pay(&alice, "p", "6").await.expect(422).code(), "key_used_for_another_request");
        if gateway.is_empty() {
            assert_eq!(order_by_card(&alice, "o2", "5").await.expect(422).code(), "cards_not_offered");
            assert_eq!(pay(&alice, "p2", "5").await.expect(422).code(), "cards_not_offered");
            alice.order("by-balance", "5").await.expect(201);
        }
        system.stop().await;
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_order_by_card_is_paid_by_the_gateways_word() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let placed = order_by_card(&alice, "o", "15.00").await.expect(201);
    assert_eq!((placed.get("pay_with"), placed.get("state")), ("card".to_owned(), "awaiting_payment".to_owned()));
    let (order, payment) = (placed.id(), placed.get("payment"));
    let shop = Shop(&system);
    let work = shop.told_by(Key::Order(OrderId::parse(&order).unwrap())).await;
    assert_eq!(shop.advance(&work).await, 0);
    let waits = alice.get(&format!("/orders/{order}")).await.expect(200).json();
    assert_eq!((&waits["waiting_for"]["what"], &waits["payment"]), (&json!("card"), &json!(payment)));
    let timeline = alice.get(&format!("/orders/{order}/timeline")).await.expect(200).json();
    assert_eq!(timeline["items"][1]["transition"], "waiting", "{timeline}");
    assert_eq!(shown(&alice, &payment).await["order"], json!(order));

    captured(&system, &payment, 1_500).await;
    assert_eq!(alice.state(&order).await, "completed");
    let again = order_by_card(&alice, "o", "15.00").await.expect(201);
    assert!(again.replayed && again.bytes == placed.bytes);
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_of_goods_is_paid_by_card_before_or_after_its_stock() {
    let system = by_hand("plain");
    let (alice, shop) = (user(&system, "alice"), Shop(&system));
    shop.product("tea", 250).await;
    shop.receive("r", "tea", 5).await;
    shop.slot("standard", 5, None).await;
    for reserve_first in [false, true] {
        let lines = json!([{ "sku": "tea", "quantity": 2 }]);
        let body = json!({ "lines": lines, "pay_with": "card", "reserve_first": reserve_first }).to_string();
        let placed = alice.post("/orders", &format!("o-{reserve_first}"), body).await.expect(201);
        let (order, payment) = (placed.id(), placed.get("payment"));
        let key = Key::Order(OrderId::parse(&order).unwrap());
        let is_there = alice.get(&format!("/payments/{payment}")).await.status;
        assert_eq!(is_there, if reserve_first { 404 } else { 200 }, "nobody is charged for what there is not");
        assert_eq!(shop.advance(&shop.told_by(key).await).await, 0);
        assert_eq!(sums(&alice, &payment).await, ["pending", "0.00", "0.00", "0.00"]);
        captured(&system, &payment, 500).await;
        let work = shop.told_by(key).await;
        assert!(matches!(work[..], [ref work] if matches!(work.work, Work::Advance { .. })), "{work:?}");
        assert_eq!(shop.advance(&work).await, 0);
        assert_eq!(alice.state(&order).await, "completed", "{reserve_first}");
    }
    assert_eq!((shop.on_hand("tea").await, shop.booked("standard").await), (1, 2));
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_captured_for_an_order_that_was_cancelled_goes_back_by_itself() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let placed = order_by_card(&alice, "o", "15.00").await.expect(201);
    let (order, payment) = (placed.id(), placed.get("payment"));
    // An attempt is under way, so that it may have been charged.
    let key = GatewayKey::Charge(PaymentId::parse(&payment).unwrap());
    begin(&system, key).await;
    alice.ask(&format!("/orders/{order}/cancel")).await.expect(200);
    assert_eq!(sums(&alice, &payment).await, ["pending", "0.00", "0.00", "0.00"]);
    captured(&system, &payment, 1_500).await;
    assert_eq!(sums(&alice, &payment).await, ["refunding", "15.00", "0.00", "15.00"]);
    let part = shown(&alice, &payment).await["refunds"][0].clone();
    assert_eq!((&part["state"], &part["amount"]), (&json!("pending"), &json!("15.00")));
    let refund = part["id"].as_str().unwrap();
    let own = alice.get(&format!("/payments/{payment}/refunds/{refund}")).await.expect(200);
    assert_eq!(own.get("state"), "pending", "its owner sees it without a scope");
    let event = of_refund("done", &format!("refund-{refund}"), 1_500, "EUR");
    call_back(&system, "evt-refund", &event).await.expect(200);
    assert_eq!(sums(&alice, &payment).await, ["refunded", "15.00", "15.00", "0.00"]);
    assert_eq!(alice.state(&order).await, "cancelled");
    promises_hold(&system).await;
}

/// Begins the first attempt, as whoever calls the gateway does before it is called.
async fn begin(system: &System, key: GatewayKey) {
    use domain::payments::{self, GatewayMessage, Limits};
    use platform::store::Needs;
    let message = GatewayMessage { key, attempt: 0 };
    let begun = system.app().store.decide(Needs::load([key.key()]), |books, now| {
        books.decide(|draft| payments::begin(draft, &message, &Limits::default(), 0, now))
    });
    assert!(begun.await.unwrap().call().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_comes_before_its_payment_is_taken_in_with_it() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let issuer = &system.app().config.tokens.issuer;
    let (customer, key) = (CustomerId::of(issuer, "alice"), IdempotencyKey::parse("p").unwrap());
    let id = PaymentId::of_request(&customer, &key);
    let event = of_charge("captured", &GatewayKey::Charge(id).to_string(), 500, "EUR");
    assert_eq!(call_back(&system, "evt", &event).await.expect(200).get("outcome"), "early");
    assert_eq!(call_back(&system, "evt", &event).await.expect(200).get("outcome"), "repeated");
    let made = pay(&alice, "p", "5").await.expect(202);
    assert_eq!((made.id(), made.get("state")), (id.to_string(), "pending".to_owned()));
    assert_eq!(sums(&alice, &made.id()).await[0], "captured");

    // The same of an order, which is paid as it is placed.
    let order = OrderId::of(&customer, &IdempotencyKey::parse("o").unwrap());
    let id = PaymentId::of_order(&order);
    let event = of_charge("captured", &GatewayKey::Charge(id).to_string(), 500, "EUR");
    call_back(&system, "evt-2", &event).await.expect(200);
    let placed = order_by_card(&alice, "o", "5").await.expect(201);
    assert_eq!((placed.id(), placed.get("state")), (order.to_string(), "awaiting_payment".to_owned()));
    assert_eq!(alice.state(&order.to_string()).await, "completed");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn another_amount_or_currency_is_never_captured_and_is_for_a_person() {
    for (minor, currency) in [(501, "EUR"), (499, "EUR"), (0, "EUR"), (500, "USD"), (500, "???")] {
        let system = by_hand("plain");
        let alice = user(&system, "alice");
        let placed = order_by_card(&alice, "o", "5").await.expect(201);
        let payment = placed.get("payment");
        let event = of_charge("captured", &format!("charge-{payment}"), minor, currency);
        assert_eq!(call_back(&system, "evt", &event).await.expect(200).get("outcome"), "taken");
        assert_eq!(sums(&alice, &payment).await, ["in_review", "0.00", "0.00", "0.00"], "{minor} {currency}");
        assert_eq!(alice.state(&placed.id()).await, "awaiting_payment");
        assert_eq!(shown(&alice, &payment).await["doubts"], Value::Null, "that is for the operator");
        let doubt = shown(&operator(&system), &payment).await["doubts"][0].clone();
        assert_eq!(doubt["why"], "other_money", "{doubt}");
        assert_eq!(doubt["currency"], if currency == "???" { Value::Null } else { json!(currency) });
        promises_hold(&system).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_signed_as_it_has_to_be_is_401_and_writes_nothing() {
    let system = by_hand("plain");
    let payment = pay(&user(&system, "alice"), "p", "5").await.expect(202).id();
    let event = of_charge("captured", &format!("charge-{payment}"), 500, "EUR").to_string();
    let now = system.app().now().as_seconds();
    let right = Callback::plain(PLAIN_SECRET, "evt", now, event.clone());
    let stripes = Callback::stripe(STRIPE_SECRET, now, event.clone());
    let (tag, of_stripe) = (right.header("webhook-signature"), stripes.header("stripe-signature"));
    let strange = "whsec_ERERERERERERERERERERERERERERERERERERERERERE=";
    let decoded = BASE64.decode(tag.strip_prefix("v1,").unwrap().as_bytes()).unwrap();
    let retagged = |bytes: &[u8]| right.clone().with("webhook-signature", &format!("v1,{}", BASE64.encode(bytes)));
    let wrong = [
        Callback { headers: Vec::new(), body: event.clone().into() },
        Callback::plain(strange, "evt", now, event.clone()),
        Callback::plain(PLAIN_SECRET, "evt", now - 301, event.clone()),
        Callback::plain(PLAIN_SECRET, "evt", now + 301, event.clone()),
        retagged(&decoded[..31]),
        retagged(&decoded[..16]),
        retagged(&[&decoded[..], b"\0"].concat()),
        right.clone().with("webhook-signature", &tag[..tag.len() - 1]),
        right.clone().with("webhook-signature", &format!("{tag}AAAA")),
        right.clone().with("webhook-signature", "v1,"),
        right.clone().with("webhook-id", "evt-2"),
        right.clone().with("webhook-timestamp", &(now + 1).to_string()),
        Callback { body: event.replace("500", "501").into(), ..right.clone() },
        Callback { body: format!("{event} ").into(), ..right.clone() },
        Callback::stripe("whsec_another_secret_of_a_test", now, event.clone()),
        Callback::stripe(STRIPE_SECRET, now - 301, event.clone()),
        stripes.clone().with("stripe-signature", &of_stripe[..of_stripe.len() - 2]),
        stripes.clone().with("stripe-signature", &format!("{of_stripe}00")),
        // The one gateway's, by the other's secret; and by both at once.
        Callback::stripe(PLAIN_SECRET, now, event.clone()),
        stripes.headers.iter().fold(right.clone(), |both, (name, value)| both.with(name, value)),
    ];
    let before = table(&system).await;
    for callback in wrong {
        let answer = callback.send(&system).await.expect(401);
        assert_eq!(answer.code(), "callback_not_verified", "{callback:?}");
        assert_eq!(table(&system).await, before, "{callback:?}");
    }
    assert_eq!(right.send(&system).await.expect(200).get("outcome"), "taken");
    let edge = Callback::plain(FORMER_PLAIN_SECRET, "evt-2", now + 300, event.clone());
    assert_eq!(edge.send(&system).await.expect(200).get("outcome"), "taken", "several secrets, five minutes");
}

/// Of a gateway that is not set up nothing is believed, whatever it signs with.
#[tokio::test(start_paused = true)]
async fn without_secrets_nobody_calls_back() {
    let cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
    let system = System::start(Options { runs_by_itself: false, ..Options::new(cloud) }).unwrap();
    let now = system.app().now().as_seconds();
    let event = of_charge("captured", "charge-x", 5, "EUR").to_string();
    for callback in [
        Callback::plain(PLAIN_SECRET, "evt", now, event.clone()),
        Callback::stripe(STRIPE_SECRET, now, event.clone()),
        Callback::stripe("", now, event),
    ] {
        assert_eq!(callback.send(&system).await.expect(401).code(), "callback_not_verified");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_id_again_is_nothing_new_and_with_another_body_is_kept_for_a_person() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let payment = pay(&alice, "p", "5").await.expect(202).id();
    let key = format!("charge-{payment}");
    captured(&system, &payment, 500).await;
    let (id, before) = (format!("evt-captured-{payment}"), table(&system).await);
    let again = call_back(&system, &id, &of_charge("captured", &key, 500, "EUR")).await.expect(200);
    assert_eq!((again.get("outcome").as_str(), table(&system).await), ("repeated", before));

    let altered = of_charge("captured", &key, 501, "EUR");
    for n in 0..2 {
        assert_eq!(call_back(&system, &id, &altered).await.expect(409).code(), "callback_changed", "{n}");
        assert_eq!(sums(&alice, &payment).await, ["in_review", "5.00", "0.00", "0.00"]);
    }
    let doubts = shown(&operator(&system), &payment).await["doubts"].clone();
    assert_eq!(doubts, json!([{ "why": "callback_changed" }]), "what it says is not taken in");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_taken_for_that_and_what_cannot_be_read_comes_again() {
    let system = by_hand("plain");
    let before = table(&system).await;
    for event in [
        of_charge("captured", "payment-7f3a", 5, "EUR"),
        of_charge("disputed", "charge-x", 5, "EUR"),
        json!({ "type": "payout.done" }),
    ] {
        assert_eq!(call_back(&system, "evt", &event).await.expect(200).get("outcome"), "not_ours", "{event}");
    }
    assert_eq!(table(&system).await, before);
    let now = system.app().now().as_seconds();
    for (n, body) in [&b"{"[..], b"", b"[]", b"\xff\xfe", br#"{"type":"charge.captured"}"#].into_iter().enumerate() {
        let callback = Callback::plain(PLAIN_SECRET, &format!("evt-{n}"), now, body.to_vec());
        for _ in 0..2 {
            assert_eq!(callback.send(&system).await.expect(400).code(), "callback_malformed");
        }
        let now = platform::verify::Now::Moment(system.app().now());
        let audited =
            platform::verify::audit(system.app().store.table(), now, domain::Millis(0), |_| {}).await.unwrap();
        assert_eq!(audited.unreadable, n + 1, "each is kept once");
    }
    // More than an item holds.
    let long = Callback::plain(PLAIN_SECRET, "evt-long", now, "x".repeat(1 << 20));
    assert_eq!(long.send(&system).await.expect(400).code(), "callback_malformed");
}

/// The HTTP API hands over as base 64 whatever it does not take for text.
#[tokio::test(start_paused = true)]
async fn a_body_in_base_64_is_verified_as_the_bytes_that_were_sent() {
    let system = by_hand("plain");
    let payment = pay(&user(&system, "alice"), "p", "5").await.expect(202).id();
    let event = of_charge("captured", &format!("charge-{payment}"), 500, "EUR").to_string();
    let now = system.app().now().as_seconds();
    let right = Callback::plain(PLAIN_SECRET, "evt", now, event.clone());
    let headers: serde_json::Map<String, Value> =
        right.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let call = async |body: &str, is_encoded: bool| {
        let event = json!({
            "version": "2.0", "routeKey": "POST /payments/callback", "rawPath": "/payments/callback",
            "rawQueryString": "", "headers": headers, "body": body, "isBase64Encoded": is_encoded,
            "requestContext": {
                "accountId": "1", "apiId": "a", "domainName": "a.example", "domainPrefix": "a", "requestId": "r",
                "routeKey": "POST /payments/callback", "stage": "$default", "time": "t", "timeEpoch": 1,
                "http": { "method": "POST", "path": "/payments/callback", "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1", "userAgent": "u" },
            },
        });
        system.cloud.invoke("TakeCallback", event).await.unwrap()
    };
    let encoded = BASE64.encode(event.as_bytes());
    assert_eq!(call(&encoded, false).await["statusCode"], 401, "the text is not what was signed");
    let taken = call(&encoded, true).await;
    assert_eq!((&taken["statusCode"], &taken["body"]), (&json!(200), &json!(r#"{"outcome":"taken"}"#)), "{taken}");
    // Through the edge, which encodes it by its type.
    let binary = Callback::plain(PLAIN_SECRET, "evt-2", now, event).with("content-type", "application/octet-stream");
    assert_eq!(binary.send(&system).await.expect(200).get("outcome"), "taken");
}

#[tokio::test(start_paused = true)]
async fn stripes_events_are_taken_in_as_well() {
    let system = by_hand("stripe");
    let alice = user(&system, "alice");
    let payment = pay(&alice, "p", "5").await.expect(202).id();
    let now = system.app().now().as_seconds();
    let intent = |status: &str, received: i64| {
        json!({
            "id": "pi_1", "object": "payment_intent", "amount": 500, "amount_received": received, "currency": "eur",
            "status": status, "metadata": { "key": format!("charge-{payment}"), "reference": payment },
        })
    };
    let send = async |id: &str, kind: &str, object: Value, pending_webhooks: i64| {
        let event = json!({
            "id": id, "object": "event", "type": kind, "data": { "object": object },
            "pending_webhooks": pending_webhooks, "request": { "id": null, "idempotency_key": null },
        });
        Callback::stripe(STRIPE_SECRET, now, event.to_string()).send(&system).await
    };
    send("evt_1", "payment_intent.processing", intent("processing", 0), 1).await.expect(200);
    send("evt_2", "payment_intent.succeeded", intent("succeeded", 500), 2).await.expect(200);
    assert_eq!(sums(&alice, &payment).await, ["captured", "5.00", "0.00", "0.00"]);
    let again = send("evt_2", "payment_intent.succeeded", intent("succeeded", 500), 1).await.expect(200);
    assert_eq!(again.get("outcome"), "repeated", "how many endpoints have it is not what it says");
    let part = refund(&system, &payment, "r", "2").await.expect(202).id();
    let object = json!({
        "id": "re_1", "object": "refund", "amount": 200, "currency": "eur", "status": "succeeded",
        "payment_intent": "pi_1", "metadata": { "key": format!("refund-{part}") },
    });
    let charge = json!({
        "id": "ch_1", "object": "charge", "amount": 500, "amount_refunded": 200, "currency": "eur",
        "payment_intent": "pi_1", "metadata": { "key": format!("charge-{payment}") },
    });
    send("evt_3", "charge.refunded", charge, 1).await.expect(200);
    send("evt_4", "refund.updated", object, 1).await.expect(200);
    assert_eq!(sums(&alice, &payment).await, ["captured", "5.00", "2.00", "0.00"]);
    send("evt_5", "payout.paid", json!({ "id": "po_1" }), 1).await.expect(200);
    let kept: Payment =
        system.app().store.table().get(&Key::Payment(PaymentId::parse(&payment).unwrap())).await.unwrap().unwrap();
    assert_eq!((kept.gateway, kept.gateway_ref.unwrap().as_str()), (Some(Gateway::Stripe), "pi_1"));
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_begun_once_and_takes_a_scope() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let payment = pay(&alice, "p", "5").await.expect(202).id();
    let path = format!("/payments/{payment}/refunds");
    let early = refund(&system, &payment, "r", "2").await.expect(409);
    assert_eq!((early.code(), early.get("state")), ("payment_not_captured".to_owned(), "pending".to_owned()));
    captured(&system, &payment, 500).await;
    assert_eq!(alice.post(&path, "r", "{}").await.expect(403).code(), "scope_missing");

    let first = refund(&system, &payment, "r", "2").await.expect(202);
    assert_eq!((first.get("state"), first.get("amount")), ("pending".to_owned(), "2.00".to_owned()));
    assert_eq!(sums(&alice, &payment).await, ["refunding", "5.00", "0.00", "2.00"]);
    let event = of_refund("done", &format!("refund-{}", first.id()), 200, "EUR");
    call_back(&system, "evt-done", &event).await.expect(200);
    let again = refund(&system, &payment, "r", "2.00").await.expect(202);
    assert!(again.replayed && again.bytes == first.bytes);
    assert_eq!(refund(&system, &payment, "r", "1").await.expect(422).code(), "key_used_for_another_request");
    let other = pay(&alice, "p2", "5").await.expect(202).id();
    assert_eq!(refund(&system, &other, "r", "2").await.expect(422).code(), "key_used_for_another_request");

    assert_eq!(refund(&system, &payment, "r2", "3.01").await.expect(409).code(), "refund_too_large");
    let rest = refunder(&system).post(&path, "r3", "").await.expect(202);
    assert_eq!(rest.get("amount"), "3.00", "all that is left");
    assert_eq!(refunder(&system).post(&path, "r4", "{}").await.expect(409).code(), "refund_too_large");
    let of = async |who: &User<'_>, payment: &str, refund: &str| {
        who.get(&format!("/payments/{payment}/refunds/{refund}")).await
    };
    assert_eq!(of(&alice, &payment, &rest.id()).await.expect(200).get("state"), "pending");
    assert_eq!(of(&alice, &payment, &first.id()).await.expect(200).get("state"), "given_back");
    for (who, payment, code) in [
        (&alice, &other, "refund_not_found"),
        (&user(&system, "bob"), &payment, "payment_not_found"),
        (&alice, &"x".to_owned(), "payment_not_found"),
    ] {
        assert_eq!(of(who, payment, &rest.id()).await.expect(404).code(), code);
    }
    assert_eq!(of(&refunder(&system), &payment, &rest.id()).await.expect(200).id(), rest.id());
    let nobodys = refund(&system, &"a".repeat(32), "r5", "1").await.expect(404);
    assert_eq!(nobodys.code(), "payment_not_found");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_of_ours_is_given_back_once_it_has_completed() {
    let system = by_hand("plain");
    let (alice, shop) = (user(&system, "alice"), Shop(&system));
    shop.product("tea", 250).await;
    let lines = json!([{ "sku": "tea", "quantity": 2 }]);
    let placed =
        alice.post("/orders", "o", json!({ "lines": lines, "pay_with": "card" }).to_string()).await.expect(201);
    let payment = placed.get("payment");
    captured(&system, &payment, 500).await;
    let early = refund(&system, &payment, "r", "1").await.expect(409);
    assert_eq!((early.code(), early.get("state")), ("order_not_completed".to_owned(), "awaiting_stock".to_owned()));
    shop.receive("in", "tea", 2).await;
    shop.slot("standard", 1, None).await;
    let key = Key::Order(OrderId::parse(&placed.id()).unwrap());
    assert_eq!(shop.advance(&shop.told_by(key).await).await, 0);
    assert_eq!(alice.state(&placed.id()).await, "completed");
    refund(&system, &payment, "r", "1").await.expect(202);
    assert_eq!(sums(&alice, &payment).await, ["refunding", "5.00", "0.00", "1.00"]);
    promises_hold(&system).await;
}

/// Many at once, each under a key of its own, some of them twice: what goes back is never more than what came.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_give_back_at_once_it_is_never_more_than_was_captured() {
    let system = Arc::new(by_hand("plain"));
    let payment = pay(&user(&system, "alice"), "p", "10").await.expect(202).id();
    captured(&system, &payment, 1_000).await;
    let tries = (0..24).map(|n| {
        let (system, payment) = (Arc::clone(&system), payment.clone());
        tokio::spawn(async move {
            let key = format!("r{}", n % 16);
            let amount = ["1", "2", "0.99"][n % 16 % 3];
            let mut answer = refund(&system, &payment, &key, amount).await;
            while answer.status == 503 {
                answer = refund(&system, &payment, &key, amount).await;
            }
            (key, answer)
        })
    });
    let answers: Vec<(String, Answer)> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    let mut by_key = std::collections::BTreeMap::new();
    let mut given = 0;
    for (key, answer) in &answers {
        match answer.status {
            202 => {
                let before = by_key.insert(key.clone(), answer.bytes.clone());
                if before.is_none() {
                    given += domain::Amount::parse_positive(
                        &answer.get("amount"),
                        domain::Currency::from_code("EUR").unwrap(),
                    )
                    .unwrap()
                    .minor();
                }
                assert!(before.is_none_or(|before| before == answer.bytes), "one key, one answer");
            }
            _ => assert_eq!((answer.status, answer.code().as_str()), (409, "refund_too_large")),
        }
    }
    assert!(given <= 1_000 && given > 1_000 - 200, "{given}");
    let alice = user(&system, "alice");
    let [state, captured, refunded, refunding] = sums(&alice, &payment).await;
    let decimal = domain::Amount::from_minor(given).unwrap().to_decimal(domain::Currency::from_code("EUR").unwrap());
    assert_eq!([state, captured, refunded], ["refunding", "10.00", "0.00"].map(str::to_owned));
    assert_eq!(refunding, decimal);
    promises_hold(&system).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_of_one_callback_at_once_are_taken_once() {
    let system = Arc::new(by_hand("plain"));
    let alice = user(&system, "alice");
    let placed = order_by_card(&alice, "o", "5").await.expect(201);
    let payment = placed.get("payment");
    let event = of_charge("captured", &format!("charge-{payment}"), 500, "EUR");
    let copies = (0..12).map(|n| {
        let (system, event) = (Arc::clone(&system), event.clone());
        tokio::spawn(async move {
            let id = format!("evt-{}", n % 2);
            let mut answer = call_back(&system, &id, &event).await;
            while answer.status == 503 {
                answer = call_back(&system, &id, &event).await;
            }
            answer.expect(200).get("outcome")
        })
    });
    let outcomes: Vec<String> = join_all(copies).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "taken").count(), 2, "once for each id: {outcomes:?}");
    assert_eq!(sums(&alice, &payment).await, ["captured", "5.00", "0.00", "0.00"]);
    assert_eq!(alice.state(&placed.id()).await, "completed");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_ends_what_only_a_person_can() {
    let system = by_hand("plain");
    let (alice, op) = (user(&system, "alice"), operator(&system));
    let in_review = async |key: &str| {
        let placed = order_by_card(&alice, key, "5").await.expect(201);
        let event = of_charge("captured", &format!("charge-{}", placed.get("payment")), 501, "EUR");
        call_back(&system, &format!("evt-{key}"), &event).await.expect(200);
        (placed.id(), placed.get("payment"))
    };
    let (order, payment) = in_review("o1").await;
    let complete = format!("/payments/{payment}/complete");
    assert_eq!(alice.ask(&complete).await.expect(403).code(), "scope_missing");
    for _ in 0..2 {
        let judged = op.ask(&complete).await.expect(200).json();
        assert_eq!(
            (&judged["state"], &judged["captured"], &judged["doubts"]),
            (&json!("captured"), &json!("5.00"), &json!([]))
        );
    }
    assert_eq!(alice.state(&order).await, "completed");
    let late = op.ask(&format!("/payments/{payment}/fail")).await.expect(409);
    assert_eq!((late.code(), late.get("state")), ("not_for_an_operator".to_owned(), "captured".to_owned()));

    let (order, payment) = in_review("o2").await;
    for _ in 0..2 {
        assert_eq!(op.ask(&format!("/payments/{payment}/fail")).await.expect(200).get("state"), "declined");
    }
    assert_eq!(alice.state(&order).await, "cancelled");

    // What was captured rightly, and is in doubt for something else, is not failed.
    let payment = pay(&alice, "p", "5").await.expect(202).id();
    captured(&system, &payment, 500).await;
    let altered = of_charge("captured", &format!("charge-{payment}"), 400, "EUR");
    call_back(&system, &format!("evt-captured-{payment}"), &altered).await.expect(409);
    assert_eq!(op.ask(&format!("/payments/{payment}/fail")).await.expect(409).code(), "captured_already");
    assert_eq!(refund(&system, &payment, "r0", "1").await.expect(409).code(), "payment_in_review");
    op.ask(&format!("/payments/{payment}/complete")).await.expect(200);

    // A refund that the gateway does not make was given back otherwise, or is kept.
    for (key, way, state, sums_then) in [
        ("r1", "complete", "given_back", ["captured", "5.00", "1.00", "0.00"]),
        ("r2", "fail", "kept", ["captured", "5.00", "1.00", "0.00"]),
    ] {
        let part = refund(&system, &payment, key, "1").await.expect(202).id();
        let path = format!("/payments/{payment}/refunds/{part}");
        let early = op.ask(&format!("{path}/{way}")).await.expect(409);
        assert_eq!(early.code(), "not_for_an_operator", "the gateway is still being asked");
        let event = of_refund("failed", &format!("refund-{part}"), 100, "EUR");
        call_back(&system, &format!("evt-{key}"), &event).await.expect(200);
        let refunds = shown(&alice, &payment).await["refunds"].clone();
        assert_eq!(refunds.as_array().unwrap().last().unwrap()["state"], "in_review");
        assert_eq!(user(&system, "staff").ask(&format!("{path}/{way}")).await.expect(403).code(), "scope_missing");
        for _ in 0..2 {
            assert_eq!(op.ask(&format!("{path}/{way}")).await.expect(200).get("state"), state);
        }
        // The doubt of the refund's sake is looked at too.
        op.ask(&format!("/payments/{payment}/complete")).await.expect(200);
        assert_eq!(sums(&alice, &payment).await, sums_then);
        let elsewhere = format!("/payments/{}/refunds/{part}/{way}", pay(&alice, key, "5").await.expect(202).id());
        assert_eq!(op.ask(&elsewhere).await.expect(404).code(), "refund_not_found");
    }
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_since_its_order_ended_is_not_kept() {
    let system = by_hand("plain");
    let alice = user(&system, "alice");
    let placed = order_by_card(&alice, "o", "5").await.expect(201);
    let payment = placed.get("payment");
    begin(&system, GatewayKey::Charge(PaymentId::parse(&payment).unwrap())).await;
    alice.ask(&format!("/orders/{}/cancel", placed.id())).await.expect(200);
    captured(&system, &payment, 500).await;
    let part = shown(&alice, &payment).await["refunds"][0]["id"].as_str().unwrap().to_owned();
    let event = of_refund("failed", &format!("refund-{part}"), 500, "EUR");
    call_back(&system, "evt-failed", &event).await.expect(200);
    let path = format!("/payments/{payment}/refunds/{part}");
    let op = operator(&system);
    assert_eq!(op.ask(&format!("{path}/fail")).await.expect(409).code(), "refund_is_owed");
    assert_eq!(op.ask(&format!("{path}/complete")).await.expect(200).get("state"), "given_back");
    op.ask(&format!("/payments/{payment}/complete")).await.expect(200);
    assert_eq!(sums(&alice, &payment).await, ["refunded", "5.00", "5.00", "0.00"]);
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_reported_of_what_is_not_there_is_dismissed_by_an_operator() {
    let system = by_hand("plain");
    let key = format!("charge-{}", "a".repeat(32));
    call_back(&system, "evt", &of_charge("captured", &key, 500, "EUR")).await.expect(200);
    let path = format!("/reports/{key}/dismiss");
    assert_eq!(user(&system, "alice").ask(&path).await.expect(403).code(), "scope_missing");
    let op = operator(&system);
    for _ in 0..2 {
        let report = op.ask(&path).await.expect(200).json();
        assert_eq!((&report["key"], &report["gateway"]), (&json!(key), &json!("plain")));
        assert_eq!(report["reports"][0]["amount"], "5.00", "{report}");
    }
    for (key, code) in [
        (format!("charge-{}", "b".repeat(32)), "payment_not_found"),
        (format!("refund-{}", "b".repeat(32)), "refund_not_found"),
        ("nothing".to_owned(), "payment_not_found"),
    ] {
        assert_eq!(op.ask(&format!("/reports/{key}/dismiss")).await.expect(404).code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_shown_what_waits_for_a_person_and_nothing_else() {
    let system = by_hand("plain");
    let (alice, op) = (user(&system, "alice"), operator(&system));
    let mut doubted = Vec::new();
    for n in 0..5 {
        let payment = pay(&alice, &format!("p{n}"), "5").await.expect(202).id();
        let event = of_charge("captured", &format!("charge-{payment}"), 501, "EUR");
        call_back(&system, &format!("evt-{n}"), &event).await.expect(200);
        doubted.push(payment);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    pay(&alice, "pending", "5").await.expect(202);
    let early = pay(&alice, "captured", "5").await.expect(202).id();
    captured(&system, &early, 500).await;
    let orphan = format!("refund-{}", "a".repeat(32));
    call_back(&system, "evt-orphan", &of_refund("done", &orphan, 7, "EUR")).await.expect(200);
    let listed = async || {
        let (mut listed, mut path) = (Vec::new(), "/reviews?limit=2".to_owned());
        loop {
            let page = op.get(&path).await.expect(200).json();
            let items = page["items"].as_array().unwrap().clone();
            assert!(items.len() <= 2, "{page}");
            listed.extend(items.iter().map(|item| {
                let (payment, report) = (&item["payment"]["id"], &item["report"]["key"]);
                payment.as_str().or(report.as_str()).unwrap().to_owned()
            }));
            let Some(cursor) = page["next_cursor"].as_str() else { return listed };
            path = format!("/reviews?limit=2&cursor={cursor}");
        }
    };
    assert_eq!(listed().await, doubted, "the soonest reminded first; an early report is none");
    op.ask(&format!("/payments/{}/complete", doubted[1])).await.expect(200);
    op.ask(&format!("/payments/{}/fail", doubted[3])).await.expect(200);
    assert_eq!(listed().await, [0, 2, 4].map(|n: usize| doubted[n].clone()));

    // After half an hour what was reported of nothing is for a person, until one has looked.
    tokio::time::advance(std::time::Duration::from_secs(3_600)).await;
    system.cloud.invoke("Sweep", json!({})).await.unwrap();
    assert!(listed().await.contains(&orphan));
    op.ask(&format!("/reports/{orphan}/dismiss")).await.expect(200);
    assert_eq!(listed().await, [0, 2, 4].map(|n: usize| doubted[n].clone()));
    // A day later somebody is reminded, and it still waits.
    tokio::time::advance(std::time::Duration::from_secs(24 * 3_600)).await;
    system.cloud.invoke("Sweep", json!({})).await.unwrap();
    let mut waiting = listed().await;
    waiting.sort_unstable();
    let mut expected = [0, 2, 4].map(|n: usize| doubted[n].clone());
    expected.sort_unstable();
    assert_eq!(waiting, expected);
    assert_eq!(alice.get("/reviews").await.expect(403).code(), "scope_missing");
}

/// Nobody need be known for it, and a token says nothing.
#[tokio::test(start_paused = true)]
async fn no_token_stands_in_for_a_signature() {
    let system = by_hand("plain");
    let event = of_charge("captured", &format!("charge-{}", "a".repeat(32)), 500, "EUR").to_string();
    let request = http::Request::post("/payments/callback")
        .header("host", "localhost")
        .header("x-user-id", "op")
        .header("x-user-scopes", "operator refunds");
    let answer = Answer::from(system.call(request.body(Bytes::from(event)).unwrap()).await);
    assert_eq!(answer.expect(401).code(), "callback_not_verified");
}
