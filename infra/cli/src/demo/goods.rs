//! Orders of goods: they wait for what lacks, visibly, and go on when it comes. Olga keeps stock and slots, and Carl is a
//! courier.

use super::stage::{Answer, Stage};

const ONE: &str = r#"{"lines": [{"sku": "TEAPOT", "quantity": 1}]}"#;

pub(super) async fn play(stage: &mut Stage) {
    someone_new(stage).await;
    an_order_of_what_is_out_of_stock(stage).await;
    no_money_no_stock_no_courier(stage).await;
    a_change_of_mind(stage).await;
}

/// The last that was told of an order, and what it waits for.
async fn stops(stage: &mut Stage, who: &str, order: &Answer, waits_for: &str, told: &str) {
    stage.settled().await;
    let seen = stage.order(who, order).await;
    stage.expect("it waits for", &seen["waiting_for"]["what"].as_str().unwrap_or("nothing"), waits_for);
    let last = stage.told(who, order).await.pop().unwrap_or_default();
    stage.expect("told last", &last, told);
}

/// What would end the waiting first of all, as the timeline says.
async fn ends_with(stage: &mut Stage, who: &str, order: &Answer, what: &str) {
    let timeline = stage.get(who, &format!("/orders/{}/timeline", order.id())).await.json();
    let first = timeline["waiting_for"]["ends_with"][0].as_str().unwrap_or("nothing").to_owned();
    stage.expect("what would end that", &first, what);
}

async fn someone_new(stage: &mut Stage) {
    stage.scene("Ivan signs up with an e-mail address and a password, and orders what is there");
    stage.put("olga", "/stock/CUP", r#"{"name": "A cup", "price": 25}"#).await;
    stage.post("olga", "/stock/CUP/receipts", "receipt-cups", r#"{"quantity": 10}"#).await;
    stage.put("olga", "/slots/standard", r#"{"capacity": 1}"#).await;
    let ivan = stage.sign_in("ivan@example.com", "correct horse battery staple").await;
    stage.post(&ivan, "/deposits", "deposit-1", r#"{"amount": 1000}"#).await;
    let order = stage.post(&ivan, "/orders", "order-1", r#"{"lines": [{"sku": "CUP", "quantity": 2}]}"#).await;
    stops(stage, &ivan, &order, "nothing", "Your order was handed to delivery").await;
    stage.expect_state(&ivan, &order, "it is", "completed").await;
    let balance = stage.get(&ivan, "/account").await.json();
    stage.expect("ivan's balance", &balance["balance"].as_str().unwrap_or("unknown"), "950.00");
}

async fn an_order_of_what_is_out_of_stock(stage: &mut Stage) {
    stage.scene("Olga puts a teapot into the catalogue, and Erin orders one before there is any");
    let product = stage.put("olga", "/stock/TEAPOT", r#"{"name": "A teapot", "price": 500}"#).await;
    stage.expect("the teapot is in the catalogue", &product.status, 200);
    stage.expect(
        "for Erin it is not hers to put there",
        &stage.put("erin", "/stock/TEAPOT", "{}").await.code(),
        "scope_missing",
    );
    stage.put("olga", "/slots/standard", r#"{"capacity": 2}"#).await;
    stage.post("erin", "/deposits", "deposit-1", r#"{"amount": 500}"#).await;
    let order = stage.post("erin", "/orders", "order-1", ONE).await;
    stops(stage, "erin", &order, "stock", "Your order waits for stock: 1 of TEAPOT is missing").await;
    stage.expect_balance("erin", "0.00").await;
    let receipt = stage.post("olga", "/stock/TEAPOT/receipts", "receipt-1", r#"{"quantity": 1}"#).await;
    stage.expect("one comes in", &receipt.status, 201);
    stops(stage, "erin", &order, "nothing", "Your order was handed to delivery").await;
    stage.expect_state("erin", &order, "it is", "completed").await;
}

async fn no_money_no_stock_no_courier(stage: &mut Stage) {
    stage.scene("Frank has 200, there is no teapot left, and the slot is full");
    stage.post("frank", "/deposits", "deposit-1", r#"{"amount": 200}"#).await;
    let order = stage.post("frank", "/orders", "order-1", ONE).await;
    stops(stage, "frank", &order, "money", "Payment is not possible: 300.00 is missing").await;
    ends_with(stage, "frank", &order, "a deposit of 300.00 EUR").await;
    stage.post("frank", "/deposits", "deposit-2", r#"{"amount": 300}"#).await;
    stops(stage, "frank", &order, "stock", "Your order waits for stock: 1 of TEAPOT is missing").await;
    ends_with(stage, "frank", &order, "a receipt of 1 of TEAPOT").await;
    stage.post("olga", "/stock/TEAPOT/receipts", "receipt-2", r#"{"quantity": 1}"#).await;
    stops(stage, "frank", &order, "delivery", "Your order waits for a courier: slot standard has no room").await;
    ends_with(stage, "frank", &order, "a capacity of slot standard above 2").await;
    let accepted = stage.ask("carl", &format!("/deliveries/{}/accept", order.id())).await;
    stage.expect("Carl takes it", &accepted.status, 200);
    stops(stage, "frank", &order, "nothing", "Your order was handed to delivery").await;
    stage.expect_state("frank", &order, "it is", "completed").await;
}

async fn a_change_of_mind(stage: &mut Stage) {
    stage.scene("Grace has paid for a teapot and changes her mind, and Heidi waits for one");
    stage.post("olga", "/stock/TEAPOT/receipts", "receipt-3", r#"{"quantity": 1}"#).await;
    stage.post("grace", "/deposits", "deposit-1", r#"{"amount": 500}"#).await;
    stage.post("heidi", "/deposits", "deposit-1", r#"{"amount": 500}"#).await;
    let first = stage.post("grace", "/orders", "order-1", ONE).await;
    stops(stage, "grace", &first, "delivery", "Your order waits for a courier: slot standard has no room").await;
    let second = stage.post("heidi", "/orders", "order-1", ONE).await;
    stops(stage, "heidi", &second, "stock", "Your order waits for stock: 1 of TEAPOT is missing").await;
    let cancelled = stage.ask("grace", &format!("/orders/{}/cancel", first.id())).await;
    stage.expect("Grace's is cancelled", &cancelled.status, 200);
    stops(stage, "grace", &first, "nothing", "Your order is cancelled: you asked for it").await;
    stage.expect_balance("grace", "500.00").await;
    stops(stage, "heidi", &second, "delivery", "Your order waits for a courier: slot standard has no room").await;
    let late = stage.ask("frank", &format!("/orders/{}/cancel", first.id())).await;
    stage.expect("for Frank there is no such order", &late.code(), "order_not_found");
}
