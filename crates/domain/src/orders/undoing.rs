//! Ending an order before it completes: what was done is undone in reverse order, once, each undoing with its own place
//! on the timeline.

use super::{CancelReason, Move, Order, OrderState, PayWith, Step, seen_by};
use crate::accounts::{Account, Cause, SystemAccount};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::goods::Stock;
use crate::ids::{CustomerId, OrderId};
use crate::{Amount, Outcome, Refusal, Timestamp, payments, planted};

/// Cancels an order for its customer, at any step before it completes. Its state is its key: one that is cancelled,
/// for whatever reason, is answered as it is.
pub fn cancel(
    draft: &mut Draft<'_>,
    id: OrderId,
    customer: &CustomerId,
    now: Timestamp,
) -> Result<Outcome<Order>, Halt> {
    let order = seen_by(customer, draft.get::<Order>(Key::Order(id))?)?;
    match order.state {
        OrderState::Cancelled => Ok(Outcome::AlreadyDone(order)),
        OrderState::Completed => Err(Refusal::TooLateToCancel { state: order.state }.into()),
        OrderState::AwaitingPayment | OrderState::AwaitingStock | OrderState::AwaitingDelivery => {
            Ok(Outcome::Done(end(draft, order, CancelReason::Requested, now)?))
        }
    }
}

/// Ends an order and gives back what it took.
pub(super) fn end(
    draft: &mut Draft<'_>,
    mut order: Order,
    reason: CancelReason,
    now: Timestamp,
) -> Result<Order, Halt> {
    draft.foresee(order.behind())?;
    order.moved(Move::Cancel);
    order.leave_queue(draft)?;
    order.look_at = None;
    if order.gateway().is_some() && order.charged.is_zero() {
        payments::withdraw(draft, &order.id, now)?;
    }
    let mut steps = order.plan.clone();
    if !planted!(UndoneForwards) {
        steps.reverse();
    }
    for step in steps {
        match step {
            Step::Payment if !order.charged.is_zero() => refund(draft, &mut order, now)?,
            Step::Stock if planted!(ReservationKept) => {}
            Step::Stock if order.reserved => release(draft, &mut order, now)?,
            // What was handed over has completed.
            Step::Payment | Step::Stock | Step::Delivery => {}
        }
    }
    order.pass(draft, Told::OrderCancelled { reason }, now)?;
    Ok(order)
}

/// Gives the money back, by an entry of its own.
fn refund(draft: &mut Draft<'_>, order: &mut Order, now: Timestamp) -> Result<(), Halt> {
    if let PayWith::Card(_) = order.pay_with {
        payments::unpay_order(draft, order, now)?;
        order.charged = Amount::ZERO;
        return order.pass(draft, Told::OrderRefundedToCard, now);
    }
    let key = Key::Account(order.customer);
    let account = draft.get::<Account>(key)?.ok_or(Refusal::AccountNotFound)?;
    let (account, entry) = account.credit(order.charged, SystemAccount::Revenue, Cause::Refund(order.id), now)?;
    let balance = account.balance;
    order.charged = Amount::ZERO;
    draft.put(account)?;
    draft.insert(entry)?;
    if !planted!(RefundUntold) {
        draft.tell(key, Told::MoneyAvailable, now)?;
    }
    order.pass(draft, Told::OrderRefunded { balance }, now)
}

/// Puts the goods back into the stock, where others may wait for them.
fn release(draft: &mut Draft<'_>, order: &mut Order, now: Timestamp) -> Result<(), Halt> {
    order.reserved = false;
    for line in order.lines.clone() {
        let key = Key::Stock(line.sku);
        if planted!(ReleaseForgotten) {
            continue;
        }
        let stock = draft.get::<Stock>(key)?.unwrap_or_else(|| Stock::none(line.sku, now));
        let quantity = if planted!(ReleasedTwice) { line.quantity * 2 } else { line.quantity };
        draft.put(stock.give_back(quantity, now))?;
        if !planted!(ReleaseUntold) {
            draft.tell(key, Told::StockAvailable, now)?;
        }
    }
    order.pass(draft, Told::OrderReleased, now)
}
