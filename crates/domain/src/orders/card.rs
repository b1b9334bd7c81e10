//! An order that is paid by card: the gateway's word takes the place of the balance. The word comes in commits of its own
//! payment, and takes the order one step on in the same commit; the rest of the way is work of its own, so that money
//! that has come does not have to win a race for stock.

use super::{CancelReason, FIRST_LOOK, Lack, Move, Order, OrderState, PayWith, WaitingFor, What, undoing};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::OrderId;
use crate::payments::{self, Gateway, Standing};
use crate::{Terms, Timestamp, planted};

/// What came of asking an order's payment.
pub(super) enum Asked {
    Paid,
    Lacks(Lack),
    /// The card was not charged, so the order has ended.
    Ended,
}

impl Order {
    pub(super) const fn gateway(&self) -> Option<Gateway> {
        match self.pay_with {
            PayWith::Balance => None,
            PayWith::Card(gateway) => Some(gateway),
        }
    }

    fn paid_by_card(&mut self, draft: &mut Draft<'_>, now: Timestamp) -> Result<(), Halt> {
        assert!(self.charged.is_zero(), "order {} is charged once", self.id);
        self.leave_queue(draft)?;
        self.charged = self.amount;
        self.moved(Move::Pay);
        self.look_at = (!self.state.has_ended()).then(|| now.after(FIRST_LOOK));
        self.pass(draft, Told::OrderPaidByCard, now)?;
        if self.state == OrderState::Completed {
            self.pass(draft, Told::OrderCompleted, now)?;
        }
        Ok(())
    }
}

/// Takes the payment step of an order as far as the gateway has spoken, and has it asked where nobody has.
pub(super) fn pay(
    draft: &mut Draft<'_>,
    order: &mut Order,
    gateway: Gateway,
    now: Timestamp,
    terms: &Terms,
) -> Result<Asked, Halt> {
    let mut standing = payments::pay_order(draft, order, now)?;
    if standing == Standing::NotOpened {
        payments::open_for_order(draft, order, gateway, now, terms)?;
        standing = payments::pay_order(draft, order, now)?;
    }
    match standing {
        Standing::Paid => {
            order.paid_by_card(draft, now)?;
            Ok(Asked::Paid)
        }
        Standing::Over => {
            undoing::end(draft, order.clone(), CancelReason::NotCharged, now)?;
            Ok(Asked::Ended)
        }
        Standing::Open | Standing::NotOpened => Ok(Asked::Lacks(Lack::Card)),
    }
}

/// Has an order wait for the gateway. It stands in no queue, as nobody but its own payment brings what it waits for.
pub(super) fn wait(draft: &mut Draft<'_>, mut order: Order, now: Timestamp, terms: &Terms) -> Result<bool, Halt> {
    if order.waiting_for.is_some_and(|waiting| waiting.what == What::Card) {
        return Ok(false);
    }
    order.moved(Move::Park);
    let until = order.waits_until(now, terms);
    order.waiting_for = Some(WaitingFor { what: What::Card, since: now, until, deadline: None });
    order.stalls = 0;
    order.look_at = Some(until);
    if order.says_that_it_lacks(What::Card) {
        draft.put(order)?;
    } else {
        order.pass(draft, Told::OrderWaiting { lacks: Lack::Card }, now)?;
    }
    Ok(true)
}

/// The gateway has spoken about the payment of an order: it is paid, or ends; or has ended before, and what was captured
/// goes back.
pub(crate) fn card_spoke(draft: &mut Draft<'_>, id: OrderId, now: Timestamp) -> Result<(), Halt> {
    let Some(mut order) = draft.get::<Order>(Key::Order(id))? else { return Ok(()) };
    match order.state {
        OrderState::AwaitingPayment => match payments::pay_order(draft, &order, now)? {
            Standing::Paid => order.paid_by_card(draft, now),
            Standing::Over => undoing::end(draft, order, CancelReason::NotCharged, now).map(drop),
            Standing::Open | Standing::NotOpened => Ok(()),
        },
        OrderState::Cancelled if planted!(CaptureForEnded) => Ok(()),
        OrderState::Cancelled => payments::give_back_all(draft, id, now),
        OrderState::AwaitingStock | OrderState::AwaitingDelivery | OrderState::Completed => Ok(()),
    }
}
