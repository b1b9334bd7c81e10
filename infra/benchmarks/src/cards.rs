//! What card payments cost the table: with an order and without, called about, asked for, given back. The gateway captures
//! and gives back at once, or says nothing.

use domain::books::Key;
use domain::ids::{OrderId, PaymentId};
use domain::messages::Message;
use domain::orders::OrderState;
use domain::payments::{NoAnswer, PaymentState};
use platform::gateways::{Carry, Request, Response};
use platform::runtime::BoxFuture;
use serde_json::{Value, json};

use crate::error::{Error, ensure};
use crate::meter::Counted;
use crate::scene::{CUSTOMER, Scene};

const PRICE: &str = "12.50";
/// What the gateway says nothing to.
const UNANSWERED: &str = "66.60";
const UNANSWERED_MINOR: i64 = 6_660;

/// A gateway that does what it is asked to.
pub(crate) struct Teller;

impl Carry for Teller {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        Box::pin(std::future::ready(answer(&request)))
    }
}

fn answer(request: &Request) -> Result<Response, NoAnswer> {
    let asked: Value = serde_json::from_str(&request.body).map_err(|_| NoAnswer::Lost)?;
    if asked["amount"] == UNANSWERED_MINOR {
        return Err(NoAnswer::Lost);
    }
    let key = request.headers.iter().find(|(name, _)| *name == "idempotency-key").map(|(_, key)| key.as_str());
    let state = if request.url.ends_with("/charges") { "captured" } else { "done" };
    let id = format!("{}_5e0f61c2a4b7", &state[..2]);
    let body =
        json!({ "id": id, "key": key, "amount": asked["amount"], "currency": "EUR", "state": state, "refunded": 0 });
    Ok(Response { status: 201, headers: Vec::new(), body: body.to_string().into_bytes() })
}

impl Scene {
    async fn post(&self, path: &str, key: &str, body: Value) -> Result<Value, Error> {
        self.call_as(CUSTOMER, "POST", path, Some(key), Some(body)).await
    }

    async fn place_by_card(&self) -> Result<(OrderId, PaymentId), Error> {
        let placed = self.post("/orders", "order", json!({ "amount": PRICE, "pay_with": "card" })).await?;
        let unexpected = || Error::Unexpected(format!("an order by card is answered with {placed}"));
        let id = |field: &str| placed[field].as_str().ok_or_else(unexpected);
        let order = OrderId::parse(id("id")?).ok_or_else(unexpected)?;
        Ok((order, PaymentId::parse(id("payment")?).ok_or_else(unexpected)?))
    }

    async fn make_payment(&self, amount: &str) -> Result<PaymentId, Error> {
        let body = json!({ "amount": amount, "currency": "EUR", "reference": "their order 7" });
        let made = self.post("/payments", "payment", body).await?;
        let id = made["id"].as_str().and_then(PaymentId::parse);
        id.ok_or_else(|| Error::Unexpected(format!("a payment is answered with {made}")))
    }

    async fn ask_refund(&self, payment: PaymentId) -> Result<Value, Error> {
        let path = format!("/payments/{payment}/refunds");
        let headers = [("x-user-scopes", "refunds")];
        self.call_with("POST", (&path, "refund"), &headers, &json!({ "amount": "2.50" })).await
    }

    /// The message that the last commit of a payment sends to `call-gateway`.
    async fn due(&self, payment: PaymentId) -> Result<Value, Error> {
        let told = self.told_by(Key::Payment(payment)).await?;
        let calls: Vec<_> = told
            .into_iter()
            .filter_map(|message| match message {
                Message::Gateway(message, _) => Some(message),
                _ => None,
            })
            .collect();
        ensure(calls.len() == 1, || format!("{} calls are due", calls.len()))?;
        self.batch("CallGateway", calls.iter().map(|message| (String::new(), json!(message))))
    }

    async fn expect_payment(&self, payment: PaymentId, state: PaymentState) -> Result<(), Error> {
        let shown = self.get(&format!("/payments/{payment}")).await?;
        ensure(shown["state"] == state.name(), || {
            format!("a payment is {}, and should be {}", shown["state"], state.name())
        })
    }
}

pub(crate) async fn place(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(scene.place_by_card()).await?.0)
}

/// Its work, which finds that nobody has spoken.
pub(crate) async fn wait(scene: &Scene) -> Result<Counted, Error> {
    let (order, _) = scene.place_by_card().await?;
    let work = scene.placed(&[order]).await?;
    Ok(scene.measure(scene.run("AdvanceOrders", work)).await?.0)
}

pub(crate) async fn pay(scene: &Scene) -> Result<Counted, Error> {
    let (order, payment) = scene.place_by_card().await?;
    let due = scene.due(payment).await?;
    let work = scene.placed(&[order]).await?;
    scene.run("AdvanceOrders", work).await?;
    let (counted, _) = scene.measure(scene.run("CallGateway", due)).await?;
    scene.expect_state(order, OrderState::Completed).await?;
    Ok(counted)
}

pub(crate) async fn make(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(scene.make_payment(PRICE)).await?.0)
}

async fn captured(scene: &Scene) -> Result<(Counted, PaymentId, Value), Error> {
    let payment = scene.make_payment(PRICE).await?;
    let due = scene.due(payment).await?;
    let (counted, _) = scene.measure(scene.run("CallGateway", due.clone())).await?;
    scene.expect_payment(payment, PaymentState::Captured).await?;
    Ok((counted, payment, due))
}

pub(crate) async fn capture(scene: &Scene) -> Result<Counted, Error> {
    Ok(captured(scene).await?.0)
}

pub(crate) async fn call_again(scene: &Scene) -> Result<Counted, Error> {
    let (_, _, due) = captured(scene).await?;
    Ok(scene.measure(scene.run("CallGateway", due)).await?.0)
}

pub(crate) async fn call_in_vain(scene: &Scene) -> Result<Counted, Error> {
    let payment = scene.make_payment(UNANSWERED).await?;
    let due = scene.due(payment).await?;
    let (counted, _) = scene.measure(scene.run("CallGateway", due)).await?;
    scene.expect_payment(payment, PaymentState::Pending).await?;
    Ok(counted)
}

pub(crate) async fn ask_refund(scene: &Scene) -> Result<Counted, Error> {
    let (_, payment, _) = captured(scene).await?;
    Ok(scene.measure(scene.ask_refund(payment)).await?.0)
}

pub(crate) async fn give_back(scene: &Scene) -> Result<Counted, Error> {
    let (_, payment, _) = captured(scene).await?;
    scene.ask_refund(payment).await?;
    let due = scene.due(payment).await?;
    let (counted, _) = scene.measure(scene.run("CallGateway", due)).await?;
    let shown = scene.get(&format!("/payments/{payment}")).await?;
    ensure(shown["refunded"] == "2.50", || format!("it was not given back: {shown}"))?;
    Ok(counted)
}

pub(crate) async fn sweep_lost(scene: &Scene) -> Result<Counted, Error> {
    let payment = scene.make_payment(PRICE).await?;
    scene.pass(1, 0).await;
    let (counted, answer) = scene.measure(scene.run("Sweep", json!({}))).await?;
    ensure(answer["looked"] == 1, || format!("one payment was due, and the sweep answered {answer}"))?;
    scene.due(payment).await?;
    Ok(counted)
}
