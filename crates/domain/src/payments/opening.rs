//! Where payments come from: an order of ours that is paid by card, and whoever asks for one for an order that is kept
//! elsewhere; of inventory events, see there. Each opens one payment, over what a gateway may have reported of it before.

use super::call::Calling;
use super::gateway::Gateway;
use super::{Doubt, Origin, Payment, PaymentState, Stub};
use crate::accounts::{self, RENDERER};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{CustomerId, Fingerprint, PaymentId};
use crate::orders::Order;
use crate::text::Reference;
use crate::{Amount, Currency, Millis, Outcome, Refusal, Terms, Timestamp, planted};

/// What a request for a payment asks for.
#[derive(Clone, Debug)]
pub struct MakePayment {
    pub id: PaymentId,
    pub customer: CustomerId,
    pub gateway: Gateway,
    pub amount: Amount,
    pub currency: Option<Currency>,
    pub reference: Reference,
    pub fingerprint: Fingerprint,
}

impl MakePayment {
    pub fn needs(&self) -> [Key; 1] {
        [Key::Payment(self.id)]
    }
}

/// Makes a payment for an order that is kept elsewhere, once for each key. An order of ours is paid by its own alone.
pub fn make(
    draft: &mut Draft<'_>,
    command: &MakePayment,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Payment>, Halt> {
    if let Some(made) = draft.get::<Payment>(Key::Payment(command.id))? {
        return accounts::replay(made.fingerprint == command.fingerprint, made);
    }
    let currency = accounts::currency_of(command.currency, terms)?;
    if command.amount.is_zero() {
        return Err(Refusal::AmountNotPositive.into());
    }
    if command.reference.names_an_order() {
        return Err(Refusal::ReferenceNamesOrder.into());
    }
    let payment = Payment {
        gateway: Some(command.gateway),
        reference: Some(command.reference.clone()),
        deadline: Some(now.after(terms.wait)),
        ..bare(command.id, command.customer, Origin::Request, (command.amount, currency), command.fingerprint, now)
    };
    Ok(Outcome::Done(open(draft, payment, now)?))
}

/// A payment where no cards are charged any more: what was made when they were is answered as it was.
pub fn made_before(draft: &mut Draft<'_>, id: PaymentId, fingerprint: Fingerprint) -> Result<Outcome<Payment>, Halt> {
    let made = draft.get::<Payment>(Key::Payment(id))?.ok_or(Refusal::CardsNotOffered)?;
    accounts::replay(made.fingerprint == fingerprint, made)
}

/// Opens the payment of an order of ours. Whether it is paid by what a gateway reported before is for the order to see.
pub(crate) fn open_for_order(
    draft: &mut Draft<'_>,
    order: &Order,
    gateway: Gateway,
    now: Timestamp,
    terms: &Terms,
) -> Result<(), Halt> {
    let (id, money) = (PaymentId::of_order(&order.id), (order.amount, order.currency));
    let payment = Payment {
        gateway: Some(gateway),
        deadline: Some(now.after(terms.wait)),
        ..bare(id, order.customer, Origin::Order(order.id), money, order.fingerprint, now)
    };
    open(draft, payment, now).map(drop)
}

pub(super) fn bare(
    id: PaymentId,
    customer: CustomerId,
    origin: Origin,
    (amount, currency): (Amount, Currency),
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Payment {
    Payment {
        id,
        customer,
        origin,
        gateway: None,
        amount,
        currency,
        reference: None,
        created_at: now,
        deadline: None,
        fingerprint,
        renderer: RENDERER,
        state: PaymentState::Pending,
        withdrawn: false,
        call: Calling::default(),
        gateway_ref: None,
        captured: None,
        refunded: Amount::ZERO,
        going_back: Amount::ZERO,
        open_refunds: Vec::new(),
        balance: Amount::ZERO,
        entries: 0,
        doubts: Vec::new(),
        look_at: None,
        remind_at: None,
        timeline: Vec::new(),
    }
}

/// Writes a payment over what was reported of it before, which it takes in.
pub(super) fn open(draft: &mut Draft<'_>, mut payment: Payment, now: Timestamp) -> Result<Payment, Halt> {
    let early = draft.get::<Stub>(payment.key())?.filter(|_| !planted!(StubDropped));
    let state = payment.state;
    payment.pass(draft, Told::PaymentBecame { state }, now)?;
    for reported in early.iter().flat_map(|stub| &stub.reports) {
        if payment.gateway == early.as_ref().map(|stub| stub.gateway) {
            payment.report(draft, reported, now)?;
        } else {
            payment.doubt(draft, Doubt::OtherGateway, now)?;
        }
    }
    if payment.gateway.is_some() && payment.state == PaymentState::Pending {
        payment.due(draft, (payment.gateway_key(), 0), Millis(0), now)?;
    }
    payment.keep(draft, now)?;
    Ok(payment)
}
