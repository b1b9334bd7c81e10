//! Cards, charged through a gateway that takes the money and does not say so, and then says it twice: and in its own book
//! there is one charge.

use gateway::{CallKind, Mischief, Order};

use super::stage::{Answer, Stage};

pub(super) async fn play(stage: &mut Stage) {
    let order = a_charge_whose_answer_is_lost(stage).await;
    the_gateway_tells_of_it_late_and_twice(stage, &order).await;
    a_card_that_is_declined(stage).await;
    the_gateways_own_report(stage).await;
}

fn next_charge(mischiefs: impl IntoIterator<Item = Mischief>) -> Order {
    Order { call: Some(CallKind::Charge), ..Order::next(mischiefs) }
}

async fn a_charge_whose_answer_is_lost(stage: &mut Stage) -> Answer {
    stage.scene("Judy pays 1500.99 by card; the gateway takes the money, and its answer is lost");
    let wrong = [Mischief::TimeoutAfter, Mischief::CallbackTwice, Mischief::CallbackLate];
    stage.gateway(|gateway, _| gateway.order(next_charge(wrong)));
    let body = r#"{"amount": 1500.99, "description": "a bicycle", "pay_with": "card"}"#;
    let order = stage.post("judy", "/orders", "order-1", body).await;
    stage.expect("the order is taken", &order.status, 201);
    // The call is given up, and after a pause the gateway is asked what became of it.
    stage.settled().await;
    stage.expect_state("judy", &order, "nobody sends it again unasked, and it is", "completed").await;
    let told = stage.told("judy", &order).await;
    stage.expect("she is told", &told.first().map_or("", String::as_str), "Your order is paid: 1500.99 EUR by card");
    let calls = stage.gateway(|gateway, _| {
        let of_kind = |kind| gateway.book().calls().filter(|call| call.kind == kind).count();
        (of_kind(CallKind::Charge), of_kind(CallKind::Ask) > 0)
    });
    stage.expect("the gateway was told to charge so often", &calls.0, 1);
    stage.expect("and then asked by the key of that", &calls.1, true);
    order
}

async fn the_gateway_tells_of_it_late_and_twice(stage: &mut Stage, order: &Answer) {
    stage.scene("The gateway calls back about it, long after it was asked, and twice");
    stage.called_back().await;
    stage.settled().await;
    let answered = stage.gateway(|gateway, _| {
        let copies = gateway.book().events().flat_map(|event| &event.copies);
        copies.flat_map(|copy| &copy.attempts).filter(|attempt| attempt.status == Some(200)).count()
    });
    stage.expect("callbacks that were taken", &answered, 2);
    stage.expect_state("judy", order, "the order is still", "completed").await;
    let payments = stage.get("judy", "/payments").await.json();
    let payments = payments["items"].as_array().cloned().unwrap_or_default();
    let states: Vec<&str> = payments.iter().filter_map(|payment| payment["state"].as_str()).collect();
    stage.expect("Judy's payments are", &states.join(", "), "captured");
    stage.expect("charges of hers in the gateway's own book", &charged(stage), 1);
}

async fn a_card_that_is_declined(stage: &mut Stage) {
    stage.scene("Ken's card is declined");
    stage.gateway(|gateway, _| gateway.order(next_charge([Mischief::Decline])));
    let order = stage.post("ken", "/orders", "order-1", r#"{"amount": 25, "pay_with": "card"}"#).await;
    stage.settled().await;
    stage.expect_state("ken", &order, "the order is", "cancelled").await;
    let told = stage.told("ken", &order).await.pop().unwrap_or_default();
    stage.expect("he is told", &told, "Your order is cancelled: your card was not charged");
    stage.expect("charges in the gateway's own book", &charged(stage), 1);
}

async fn the_gateways_own_report(stage: &mut Stage) {
    stage.scene("At the end of the day the gateway reports what it charged, and that is held against the payments");
    let report = stage.gateway(|gateway, _| gateway.book().report(i64::MIN, i64::MAX));
    let reconciled = stage.reconcile(&report).await;
    stage.expect("charges on both sides", &reconciled.agree, 1);
    stage.expect("differences", &reconciled.differences.len(), 0);
    let findings = stage.gateway(|gateway, _| gateway.book().findings().len());
    stage.expect("what the gateway charged or gave back twice", &findings, 0);
}

/// How many charges took money, as the gateway knows it.
fn charged(stage: &Stage) -> usize {
    stage.gateway(|gateway, _| gateway.book().charges().filter(|charge| charge.was_captured()).count())
}
