//! What a gateway's callbacks cost the table: the decision that the route makes once a signature is right.

use domain::ids::{BodyHash, CallbackId, IdempotencyKey, OrderId, PaymentId, RefundId};
use domain::orders::OrderState;
use domain::payments::{self, Gateway, GatewayKey, Reported, ReportedState, TakeCallback, Taken};
use domain::{Amount, Currency};
use platform::store::Needs;

use crate::cards::{BACK_MINOR, PRICE, PRICE_MINOR};
use crate::error::{Error, ensure};
use crate::meter::Counted;
use crate::scene::{CUSTOMER, Scene};

/// Takes in that this happened, as the route does.
async fn take(scene: &Scene, of: GatewayKey, state: ReportedState) -> Result<Taken, Error> {
    let minor = match of {
        GatewayKey::Charge(_) => PRICE_MINOR,
        GatewayKey::Refund(_) => BACK_MINOR,
    };
    let (amount, currency) = (Amount::from_minor(minor), Currency::from_code("EUR"));
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

pub(crate) async fn captured(scene: &Scene) -> Result<Counted, Error> {
    let of = GatewayKey::Charge(scene.make_payment(PRICE).await?);
    taken(scene, of, ReportedState::Captured, Taken::Now).await
}

pub(crate) async fn captured_for_an_order(scene: &Scene) -> Result<Counted, Error> {
    let (order, payment) = scene.place_by_card().await?;
    let counted = taken(scene, GatewayKey::Charge(payment), ReportedState::Captured, Taken::Now).await?;
    scene.expect_state(order, OrderState::Completed).await?;
    Ok(counted)
}

pub(crate) async fn captured_again(scene: &Scene) -> Result<Counted, Error> {
    let of = GatewayKey::Charge(scene.make_payment(PRICE).await?);
    take(scene, of, ReportedState::Captured).await?;
    taken(scene, of, ReportedState::Captured, Taken::Before).await
}

pub(crate) async fn captured_early(scene: &Scene) -> Result<Counted, Error> {
    let later = IdempotencyKey::parse("later").expect("it is a key");
    let order = OrderId::of(&scene.customer(CUSTOMER), &later);
    let of = GatewayKey::Charge(PaymentId::of_order(&order));
    taken(scene, of, ReportedState::Captured, Taken::Early).await
}

pub(crate) async fn given_back(scene: &Scene) -> Result<Counted, Error> {
    let payment = scene.make_payment(PRICE).await?;
    take(scene, GatewayKey::Charge(payment), ReportedState::Captured).await?;
    let asked = scene.ask_refund(payment).await?;
    let refund = asked["id"].as_str().and_then(RefundId::parse);
    let refund = refund.ok_or_else(|| Error::Unexpected(format!("a refund is answered with {asked}")))?;
    taken(scene, GatewayKey::Refund(refund), ReportedState::Refunded, Taken::Now).await
}
