//! What an order has by rights: what its state and its plan say that it holds, what it may wait for, and whether that is
//! there.

use std::fmt;

use super::Funds;
use crate::events::Told;
use crate::goods::{Line, Stock};
use crate::orders::{Order, OrderState, Resource, Step};
use crate::slots::Slot;
use crate::{Amount, Timestamp};

/// What an order holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) charged: Amount,
    pub(super) reserved: bool,
    pub(super) handed_over: bool,
}

impl Held {
    pub(super) const fn by(order: &Order) -> Self {
        Self { charged: order.charged, reserved: order.reserved, handed_over: order.delivery.is_some() }
    }

    /// What its state and plan say: that of every step before the one that it stands before.
    pub(super) fn due(order: &Order) -> Self {
        let has = |step| taken(order).contains(&step);
        let charged = if has(Step::Payment) { order.amount } else { Amount::ZERO };
        Self { charged, reserved: has(Step::Stock), handed_over: has(Step::Delivery) }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: bool| if is { "" } else { "not " };
        write!(f, "its goods are {}reserved and it is {}handed over", not(self.reserved), not(self.handed_over))
    }
}

/// The step that an order stands before.
const fn awaited(state: OrderState) -> Option<Step> {
    match state {
        OrderState::AwaitingPayment => Some(Step::Payment),
        OrderState::AwaitingStock => Some(Step::Stock),
        OrderState::AwaitingDelivery => Some(Step::Delivery),
        OrderState::Completed | OrderState::Cancelled => None,
    }
}

/// The steps that stand taken.
fn taken(order: &Order) -> &[Step] {
    match awaited(order.state) {
        Some(step) => order.plan.split(|planned| *planned == step).next().unwrap_or_default(),
        None if order.state == OrderState::Completed => &order.plan,
        None => &[],
    }
}

/// How the timeline disagrees with the state: each step was taken once and in its turn, and of what was cancelled each
/// was undone once, the last first.
pub(super) fn misstep(order: &Order) -> Option<String> {
    let (mut done, mut undone) = (Vec::new(), Vec::new());
    for passage in &order.timeline {
        match passage.told {
            Told::OrderPaid { .. } | Told::OrderPaidByCard => done.push(Step::Payment),
            Told::OrderReserved => done.push(Step::Stock),
            Told::OrderBooked | Told::OrderAccepted { .. } => done.push(Step::Delivery),
            Told::OrderRefunded { .. } | Told::OrderRefundedToCard => undone.push(Step::Payment),
            Told::OrderReleased => undone.push(Step::Stock),
            _ => {}
        }
    }
    let is_right = if order.state == OrderState::Cancelled {
        order.plan.starts_with(&done) && done.iter().rev().eq(&undone)
    } else {
        done == taken(order) && undone.is_empty()
    };
    (!is_right)
        .then(|| format!("it is {}; its timeline tells of {done:?}, and of {undone:?} undone", order.state.name()))
}

/// What lines cost together.
pub(super) fn comes_to(lines: &[Line]) -> Option<Amount> {
    let cost = |line: &Line| line.price.checked_mul(line.quantity);
    lines.iter().try_fold(Amount::ZERO, |sum, line| sum.checked_add(cost(line)?))
}

/// Whether an order that stands where it does may lack this.
pub(super) fn may_wait_for(order: &Order, resource: Resource) -> bool {
    let has_it = match resource {
        Resource::Account(customer) => customer == order.customer,
        Resource::Stock(sku) => order.lines.iter().any(|line| line.sku == sku),
        Resource::Slot(slot) => slot == order.slot(),
    };
    let step = match resource {
        Resource::Account(_) => Step::Payment,
        Resource::Stock(_) => Step::Stock,
        Resource::Slot(_) => Step::Delivery,
    };
    has_it && awaited(order.state) == Some(step)
}

/// What an order waits for, and since when; not what has stalled.
pub(super) fn waits_for(order: &Order) -> Option<(Resource, Timestamp)> {
    let (resource, waiting) = (order.parked?, order.waiting_for?);
    (waiting.what == resource.what()).then_some((resource, waiting.since))
}

/// What is there of something that is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Supply {
    Account(Funds),
    Stock(Stock),
    Slot(Slot),
}

impl Supply {
    /// Whether an order could go on with it.
    pub fn suffices(&self, order: &Order, at: Timestamp) -> bool {
        match self {
            Self::Account(funds) => funds.balance >= order.amount,
            Self::Stock(stock) => {
                let line = order.lines.iter().find(|line| line.sku == stock.sku);
                line.is_some_and(|line| stock.on_hand >= line.quantity.into())
            }
            Self::Slot(slot) => slot.has_room(at),
        }
    }

    /// When it last moved.
    pub const fn last_at(&self) -> Option<Timestamp> {
        match self {
            Self::Account(funds) => funds.last_at,
            Self::Stock(stock) => Some(stock.changed_at),
            Self::Slot(slot) => Some(slot.changed_at),
        }
    }
}

/// Whether an order has waited, since before everything settled, for what is there.
pub fn idles(
    order: &Order,
    supply: impl FnOnce(&Resource) -> Option<Supply>,
    has_settled: impl Fn(Timestamp) -> bool,
    at: Timestamp,
) -> Option<String> {
    let (resource, since) = waits_for(order)?;
    let supply = supply(&resource)?;
    let idles = has_settled(since) && supply.suffices(order, at) && supply.last_at().is_none_or(has_settled);
    idles.then(|| format!("it waits for {resource}, where {supply} is there"))
}

impl fmt::Display for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(funds) => write!(f, "{}", funds.balance),
            Self::Stock(stock) => write!(f, "{}", stock.on_hand),
            Self::Slot(slot) => {
                write!(f, "room for {} of {}", slot.capacity.saturating_sub(slot.booked), slot.capacity)
            }
        }
    }
}
