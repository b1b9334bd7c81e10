//! What is done with cards, for the rows that measure it: by the routes, and callbacks by the decision that the route makes
//! once their signature is right.

use domain::ids::{BodyHash, CallbackId, OrderId, PaymentId, RefundId};
use domain::payments::{self, Gateway, GatewayKey, Reported, ReportedState, TakeCallback, Taken};
use domain::{Amount, Currency};
use platform::store::Needs;
use serde_json::{Value, json};

use crate::error::{Error, ensure};
use crate::meter::Counted;
use crate::scene::Scene;

const PRICE: &str = "12.50";
const MINOR: i64 = 1_250;

fn id<T>(answer: &Value, field: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    let id = answer[field].as_str().and_then(parse);
    id.ok_or_else(|| Error::Unexpected(format!("there is no {field} in {answer}")))
}

async fn make(scene: &Scene) -> Result<PaymentId, Error> {
    let body = json!({ "amount": PRICE, "currency": "EUR", "reference": "INV-2026-0042" });
    id(&scene.post("/payments", "payment", body).await?, "id", PaymentId::parse)
}

async fn place(scene: &Scene) -> Result<(OrderId, PaymentId), Error> {
    let placed = scene.post("/orders", "order", json!({ "amount": PRICE, "pay_with": "card" })).await?;
    Ok((id(&placed, "id", OrderId::parse)?, id(&placed, "payment", PaymentId::parse)?))
}

async fn refund(scene: &Scene, payment: PaymentId) -> Result<RefundId, Error> {
    let body = json!({ "amount": PRICE });
    id(&scene.post(&format!("/payments/{payment}/refunds"), "refund", body).await?, "id", RefundId::parse)
}

/// Takes in that this happened, as the route does.
async fn take(scene: &Scene, of: GatewayKey, state: ReportedState) -> Result<Taken, Error> {
    let (amount, currency) = (Amount::from_minor(MINOR), Currency::from_code("EUR"));
    let command = TakeCallback {
        id: CallbackId::of("plain", &format!("{of} {state:?}")),
        gateway: Gateway::Plain,
        body: BodyHash::of(b"the same each time"),
        of,
        reported: Reported { state, amount, currency, reference: None },
    };
    let taken = scene
        .store()
        .decide(Needs::load(command.needs()), |books, now| books.decide(|draft| payments::take(draft, &command, now)));
    taken.await.map_err(|error| Error::Unexpected(error.to_string()))
}

async fn taken(scene: &Scene, of: GatewayKey, state: ReportedState, expected: Taken) -> Result<Counted, Error> {
    let (counted, taken) = scene.measure(take(scene, of, state)).await?;
    ensure(taken == expected, || format!("a callback is {taken:?}, and should be {expected:?}"))?;
    Ok(counted)
}

pub(crate) async fn make_payment(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(make(scene)).await?.0)
}

pub(crate) async fn make_payment_again(scene: &Scene) -> Result<Counted, Error> {
    make(scene).await?;
    Ok(scene.measure(make(scene)).await?.0)
}

pub(crate) async fn place_by_card(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(place(scene)).await?.0)
}

pub(crate) async fn captured(scene: &Scene) -> Result<Counted, Error> {
    let of = GatewayKey::Charge(make(scene).await?);
    taken(scene, of, ReportedState::Captured, Taken::Now).await
}

pub(crate) async fn captured_for_an_order(scene: &Scene) -> Result<Counted, Error> {
    let (order, payment) = place(scene).await?;
    let counted = taken(scene, GatewayKey::Charge(payment), ReportedState::Captured, Taken::Now).await?;
    scene.expect_state(order, domain::orders::OrderState::Completed).await?;
    Ok(counted)
}

pub(crate) async fn captured_again(scene: &Scene) -> Result<Counted, Error> {
    let of = GatewayKey::Charge(make(scene).await?);
    take(scene, of, ReportedState::Captured).await?;
    taken(scene, of, ReportedState::Captured, Taken::Before).await
}

pub(crate) async fn captured_early(scene: &Scene) -> Result<Counted, Error> {
    let of = GatewayKey::Charge(PaymentId::of_order(&OrderId::of(
        &scene.customer("alice"),
        &domain::ids::IdempotencyKey::parse("later").expect("it is a key"),
    )));
    taken(scene, of, ReportedState::Captured, Taken::Early).await
}

pub(crate) async fn begin_refund(scene: &Scene) -> Result<Counted, Error> {
    let payment = make(scene).await?;
    take(scene, GatewayKey::Charge(payment), ReportedState::Captured).await?;
    Ok(scene.measure(refund(scene, payment)).await?.0)
}

pub(crate) async fn given_back(scene: &Scene) -> Result<Counted, Error> {
    let payment = make(scene).await?;
    take(scene, GatewayKey::Charge(payment), ReportedState::Captured).await?;
    let refund = refund(scene, payment).await?;
    taken(scene, GatewayKey::Refund(refund), ReportedState::Refunded, Taken::Now).await
}

pub(crate) async fn read_payment(scene: &Scene) -> Result<Counted, Error> {
    let payment = make(scene).await?;
    let (counted, read) = scene.measure(scene.get(&format!("/payments/{payment}"))).await?;
    ensure(read["state"] == "pending", || format!("a payment is read as {read}"))?;
    Ok(counted)
}
