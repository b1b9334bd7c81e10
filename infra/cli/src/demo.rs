//! `paidonce demo`: a story that shows what is promised, told by the system itself, and checked as it is told.
//!
//! Everything runs in this process over a state that is deleted afterwards. The story goes on when the system has nothing
//! left to do; what it is to wait for by itself, such as a gateway that does not answer, takes its seconds here too.

mod cards;
mod goods;
mod stage;

use domain::Millis;
use platform::verify::{Now, audit};

use self::stage::{Answer, Stage};
use crate::failure::Failure;
use crate::report;
use crate::runtime;
use crate::terminal::{Paint, say};

pub(crate) fn run() -> Result<(), Failure> {
    let runtime = runtime::of_a_system()?;
    runtime.block_on(async {
        let mut stage = Stage::open(Paint::for_stdout()).await?;
        let promises_hold = play(&mut stage).await?;
        let differences = stage.close().await;
        match differences {
            0 if promises_hold => Ok(()),
            0 => Err(Failure::Findings),
            1 => Err(Failure::Failed("one thing went otherwise than promised; it is marked above".to_owned())),
            more => Err(Failure::Failed(format!("{more} things went otherwise than promised; they are marked above"))),
        }
    })
}

async fn play(stage: &mut Stage) -> Result<bool, Failure> {
    let first = an_order_is_paid(stage).await;
    a_repeat_is_answered(stage, &first).await;
    two_orders_and_money_for_one(stage).await;
    an_order_that_will_not_wait(stage).await;
    fifty_at_once(stage).await;
    goods::play(stage).await;
    cards::play(stage).await;

    stage.scene("Every promise, checked over the whole table");
    let app = stage.app();
    // Nothing is on its way any more, so there is nothing to be lenient about.
    let report = audit(app.store.table(), Now::Moment(app.now()), Millis(0), |_| {}).await?;
    report::show(&report, Some(app.config.terms.currency), stage.paint());
    say("");
    Ok(report.findings.is_empty())
}

async fn an_order_is_paid(stage: &mut Stage) -> Answer {
    stage.scene("Alice deposits 5000 and orders for 1500.99");
    let deposit = stage.post("alice", "/deposits", "deposit-1", r#"{"amount": 5000}"#).await;
    stage.expect("the deposit is taken", &deposit.status, 201);
    let order = stage.post("alice", "/orders", "order-1", r#"{"amount": 1500.99, "description": "a bicycle"}"#).await;
    stage.expect("the order is taken", &order.status, 201);
    stage.settled().await;
    stage.expect_state("alice", &order, "it is paid and", "completed").await;
    stage.expect_balance("alice", "3499.01").await;
    let told = stage.told("alice", &order).await;
    let words = "Your order is paid: 1500.99 EUR from your balance, which is now 3499.01";
    stage.expect("she is told", &told.first().map_or("", String::as_str), words);
    stage.expect("and then", &told.get(1).map_or("", String::as_str), "Your order is completed");
    order
}

async fn a_repeat_is_answered(stage: &mut Stage, first: &Answer) {
    stage.scene("Her phone loses the answer and sends the same order again");
    let body = r#"{"amount": 1500.99, "description": "a bicycle"}"#;
    let again = stage.post("alice", "/orders", "order-1", body).await;
    stage.expect("the repeat is answered as the order was", &again.status, 201);
    stage.expect("with the same bytes", &(again.body == first.body), true);
    stage.expect("and is marked as a replay", &again.is_replay, true);
    let other = stage.post("alice", "/orders", "order-1", r#"{"amount": 2000}"#).await;
    stage.expect("another order under the same key is refused", &other.status, 422);
    stage.expect("with a reason", &other.code(), "key_used_for_another_request");
    stage.settled().await;
    stage.expect_balance("alice", "3499.01").await;
}

async fn two_orders_and_money_for_one(stage: &mut Stage) {
    stage.scene("Bob has 1000 and places two orders for 1000 each");
    stage.post("bob", "/deposits", "deposit-1", r#"{"amount": 1000}"#).await;
    let one = stage.post("bob", "/orders", "order-1", r#"{"amount": 1000, "description": "a piano"}"#).await;
    let other = stage.post("bob", "/orders", "order-2", r#"{"amount": 1000, "description": "another piano"}"#).await;
    stage.settled().await;
    // Which of the two is paid is not promised: only that it is one.
    let one_is_paid = stage.order("bob", &one).await["state"] == "completed";
    let (paid, waiting) = if one_is_paid { (one, other) } else { (other, one) };
    stage.expect_state("bob", &paid, "one of them is", "completed").await;
    stage.expect_state("bob", &waiting, "the other is still", "awaiting_payment").await;
    let waits = stage.order("bob", &waiting).await;
    stage.expect("it says what it waits for", &waits["waiting_for"]["what"].as_str().unwrap_or(""), "money");
    let told = stage.told("bob", &waiting).await;
    let words = "Payment is not possible: 1000.00 is missing";
    stage.expect("he is told", &told.first().map_or("", String::as_str), words);
    stage.expect_balance("bob", "0.00").await;

    stage.scene("Bob deposits 1250, and the order that waited goes on by itself");
    stage.post("bob", "/deposits", "deposit-2", r#"{"amount": 1250}"#).await;
    stage.settled().await;
    stage.expect_state("bob", &waiting, "it is", "completed").await;
    stage.expect_balance("bob", "250.00").await;
}

async fn an_order_that_will_not_wait(stage: &mut Stage) {
    stage.scene("Carol has 10 and orders for 25, but will not wait");
    stage.post("carol", "/deposits", "deposit-1", r#"{"amount": 10}"#).await;
    let order = stage.post("carol", "/orders", "order-1", r#"{"amount": 25, "if_unpaid": "cancel"}"#).await;
    stage.settled().await;
    stage.expect_state("carol", &order, "the order is", "cancelled").await;
    let because = stage.order("carol", &order).await;
    stage.expect("because", &because["cancelled_because"].as_str().unwrap_or(""), "unpaid");
    stage.expect_balance("carol", "10.00").await;
}

async fn fifty_at_once(stage: &mut Stage) {
    stage.scene("Dave's shop sends the same order fifty times at once");
    stage.post("dave", "/deposits", "deposit-1", r#"{"amount": 500}"#).await;
    let answers = stage.post_at_once(50, "dave", "/orders", "order-1", r#"{"amount": 30}"#).await;
    stage.settled().await;
    let count = |counts: fn(&Answer) -> bool| answers.iter().filter(|answer| counts(answer)).count();
    stage.expect("answered with 201", &count(|answer| answer.status == 201), 50);
    stage.expect("of which it was new to", &count(|answer| !answer.is_replay), 1);
    let same = answers.iter().all(|answer| answer.body == answers[0].body);
    stage.expect("all with the same bytes", &same, true);
    let listed = stage.get("dave", "/orders").await.json()["items"].as_array().map_or(0, Vec::len);
    stage.expect("orders of Dave's", &listed, 1);
    stage.expect_balance("dave", "470.00").await;
}
