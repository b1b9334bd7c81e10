//! What an inventory tells of the orders that it keeps: only that one is complete makes a payment, which an operator then
//! completes or fails.

use super::opening::{bare, open};
use super::{Doubt, Origin, Payment, PaymentState};
use crate::accounts;
use crate::books::{Draft, Halt, Key};
use crate::ids::{CustomerId, Fingerprint, IdempotencyKey, PaymentId};
use crate::text::Reference;
use crate::{Amount, Currency, Outcome, Terms, Timestamp};

/// Where an order stands in the inventory that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InventoryStatus {
    Created,
    Pending,
    Reserved,
    Completed,
    Failed,
    Cancelled,
}

impl InventoryStatus {
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Pending, Self::Reserved, Self::Completed, Self::Failed, Self::Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Pending => "PENDING",
            Self::Reserved => "RESERVED",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == text)
    }

    /// Whether there is anything to be paid now. Of all others nothing is kept.
    pub const fn makes_a_payment(self) -> bool {
        matches!(self, Self::Completed)
    }
}

/// That an order which is kept elsewhere is complete, as an inventory event tells it.
#[derive(Clone, Debug)]
pub struct InventoryEvent {
    pub key: IdempotencyKey,
    /// The order's own name for itself.
    pub order: Reference,
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
    /// Whose payment it is; `None` is nobody's here.
    pub customer: Option<CustomerId>,
    pub fingerprint: Fingerprint,
}

impl InventoryEvent {
    /// Of the payment that it makes.
    pub fn key(&self) -> Key {
        Key::Payment(PaymentId::of_event(&self.key))
    }
}

/// Makes the payment that an inventory event tells of, once for each key; an operator completes or fails it. One that
/// calls itself by the id of an order here goes to review.
pub fn of_event(
    draft: &mut Draft<'_>,
    event: &InventoryEvent,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Payment>, Halt> {
    let id = PaymentId::of_event(&event.key);
    if let Some(made) = draft.get::<Payment>(Key::Payment(id))? {
        return accounts::replay(made.fingerprint == event.fingerprint, made);
    }
    let currency = accounts::currency_of(event.currency, terms)?;
    let money = (event.amount.unwrap_or_default(), currency);
    let payment = Payment {
        reference: Some(event.order.clone()),
        state: PaymentState::Created,
        ..bare(id, event.customer.unwrap_or_else(CustomerId::nobody), Origin::Event, money, event.fingerprint, now)
    };
    let mut payment = open(draft, payment, now)?;
    if event.order.names_an_order() {
        payment.doubt(draft, Doubt::NamesOrder, now)?;
    }
    Ok(Outcome::Done(payment))
}
