//! What a commit's events become on their way out: work for the queue that moves orders, notifications for people,
//! and public events for everyone outside. Which event goes where is decided here; carrying them is not.

use serde::{Deserialize, Serialize};

use crate::books::{Draft, Halt, Item, Kept, Key, Version};
use crate::events::{Event, EventId, Told};
use crate::ids::{CustomerId, OrderId, PaymentId, ReceiptId, RefundId, Sku, SlotId, UnreadableId};
use crate::notices;
use crate::orders::{self, CancelReason, Lack, Order, Resource};
use crate::payments::{BreakerPhase, Doubt, Gateway, GatewayKey, GatewayMessage, Origin, Payment, PaymentState};
use crate::text::Reference;
use crate::webhooks::WebhookMessage;
use crate::{Amount, Currency, Outcome, Timestamp, planted, told_of_no_order};

/// One thing to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Work(WorkMessage),
    Notice(Notification),
    Public(PublicEvent),
    /// To be taken up after so many seconds.
    Webhook(WebhookMessage, u32),
    /// To be taken up after so many seconds.
    Gateway(GatewayMessage, u32),
}

/// Work on orders. A repeat is recognisable for ever by event and attempt; a continuation by its cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkMessage {
    pub work: Work,
    /// Which event asked for it.
    pub event: EventId,
    #[serde(default)]
    pub attempt: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Take the order as far as it can go, with everything that it may go on with, to be loaded at once. Without skus it
    /// has no goods, or has them already.
    Advance {
        order: OrderId,
        customer: CustomerId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skus: Vec<Sku>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<SlotId>,
    },
    /// Let those go on that wait for this, oldest first, from after the cursor.
    Wake { resource: Resource, after: Option<Cursor> },
}

/// A place in a queue of waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    pub placed_at: Timestamp,
    pub order: OrderId,
}

impl WorkMessage {
    /// What the work contends on most, so that two messages about it are rarely in flight together: the first sku, the
    /// slot of an order that has its goods, the account of one that is for none.
    pub fn group(&self) -> String {
        match &self.work {
            Work::Advance { customer, skus, slot, .. } => match (skus.first(), slot) {
                (Some(sku), _) => Resource::Stock(*sku),
                (None, Some(slot)) => Resource::Slot(*slot),
                (None, None) => Resource::Account(*customer),
            },
            Work::Wake { resource, .. } => *resource,
        }
        .to_string()
    }

    /// What is to be loaded for it. Of those that a wake finds, each names its own.
    pub fn needs(&self) -> Vec<Key> {
        match &self.work {
            Work::Advance { order, customer, skus, slot } => {
                std::iter::once(Key::Order(*order)).chain(orders::ways(*customer, skus, *slot)).collect()
            }
            Work::Wake { resource, .. } => vec![resource.key()],
        }
    }

    /// The slot that an order is to be booked in, if it is for goods.
    pub const fn slot(&self) -> Option<SlotId> {
        match self.work {
            Work::Advance { slot, .. } => slot,
            Work::Wake { .. } => None,
        }
    }

    pub fn deduplication_id(&self) -> String {
        let cursor = match &self.work {
            Work::Advance { .. } | Work::Wake { after: None, .. } => String::new(),
            Work::Wake { after: Some(cursor), .. } => format!(".{}", &cursor.order.to_string()[..12]),
        };
        format!("{}.work{cursor}.{}", self.event, self.attempt)
    }

    /// The same work as a new attempt, which the queue does not take for a repeat.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { attempt: self.attempt.saturating_add(1), ..self.clone() }
    }
}

/// What a person is told: one for each event, however often the message comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub customer: CustomerId,
    pub at: Timestamp,
    pub event: EventId,
    pub order: OrderId,
    /// `paid`, `waiting`, `completed` …
    pub transition: String,
    pub text: String,
}

impl Notification {
    pub fn group(&self) -> String {
        self.customer.to_string()
    }

    pub fn deduplication_id(&self) -> String {
        let event = if planted!(NoticeWithoutIndex) { EventId { index: 0, ..self.event } } else { self.event };
        format!("{event}.notice")
    }
}

/// A message that nobody could read, kept with its content for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    pub id: UnreadableId,
    pub source: String,
    pub content: String,
    pub reason: String,
    pub at: Timestamp,
}

impl Unreadable {
    pub fn new(source: &str, content: &str, reason: String, at: Timestamp) -> Self {
        let id = UnreadableId::of(source, content);
        Self { id, source: source.to_owned(), content: content.to_owned(), reason, at }
    }
}

/// Keeps something that names itself, once, however often it comes.
pub fn keep_once<T: Kept>(draft: &mut Draft<'_>, item: &T) -> Result<Outcome<()>, Halt> {
    if draft.get::<T>(item.key())?.is_some() {
        return Ok(Outcome::AlreadyDone(()));
    }
    draft.put(item.clone())?;
    Ok(Outcome::Done(()))
}

/// An event for everyone outside, in a shape that only grows: fields are added, none is changed or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicEvent {
    #[serde(skip)]
    pub detail_type: &'static str,
    #[serde(skip)]
    pub occurred_at: Timestamp,
    pub version: u32,
    pub id: EventId,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    #[serde(flatten)]
    pub detail: PublicDetail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PublicDetail {
    Account {
        currency: Currency,
    },
    Deposit {
        deposit: String,
        amount: String,
        balance: String,
        currency: Currency,
    },
    Order {
        order: OrderId,
        amount: String,
        currency: Currency,
        #[serde(skip_serializing_if = "Option::is_none")]
        missing: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<CancelReason>,
        #[serde(skip_serializing_if = "Option::is_none")]
        lacks: Option<PublicLack>,
    },
    Receipt {
        receipt: ReceiptId,
        sku: Sku,
        quantity: u32,
        on_hand: u64,
    },
    Payment {
        payment: PaymentId,
        state: PaymentState,
        amount: String,
        currency: Currency,
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<OrderId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        #[serde(skip_serializing_if = "Option::is_none")]
        refund: Option<RefundId>,
        /// What of it was given back, or is to be.
        #[serde(skip_serializing_if = "Option::is_none")]
        part: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        doubt: Option<Doubt>,
    },
    Orphan {
        gateway: Gateway,
        key: GatewayKey,
    },
    Breaker {
        gateway: Gateway,
        phase: BreakerPhase,
    },
}

impl PublicEvent {
    /// Whether a person is to look, so that somebody has to be told at once.
    pub fn is_for_a_person(&self) -> bool {
        matches!(self.detail_type, "payment.doubted" | "payment.operator_due" | "gateway.orphan")
    }
}

/// What an order of goods waits for, for everyone outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicLack {
    Stock { sku: Sku, missing: u32 },
    Delivery { slot: SlotId },
    Card,
}

/// Everything that the events of one commit become, in the order in which they were told.
pub fn of_commit(item: &Item, version: Version, events: &[Event]) -> Vec<Message> {
    let mut messages = Vec::new();
    for (index, event) in (0..).zip(events) {
        let id = EventId::new(&item.key(), version, index);
        match item {
            Item::Account(account) => {
                let detail = match &event.told {
                    Told::AccountOpened => {
                        Some(("account.opened", PublicDetail::Account { currency: account.currency }))
                    }
                    Told::MoneyDeposited { deposit, amount, balance } => Some((
                        "account.deposited",
                        PublicDetail::Deposit {
                            deposit: deposit.to_string(),
                            amount: amount.to_decimal(account.currency),
                            balance: balance.to_decimal(account.currency),
                            currency: account.currency,
                        },
                    )),
                    Told::MoneyAvailable => {
                        messages.push(wake(Resource::Account(account.customer), id));
                        None
                    }
                    _ => None,
                };
                let customer = Some(account.customer);
                messages.extend(detail.map(|(name, detail)| public(name, id, event.at, customer, detail)));
            }
            Item::Order(order) => order_messages(order, id, event, &mut messages),
            Item::Stock(stock) => match event.told {
                Told::StockReceived { receipt, quantity, on_hand } => {
                    let detail = PublicDetail::Receipt { receipt, sku: stock.sku, quantity, on_hand };
                    messages.push(public("stock.received", id, event.at, None, detail));
                }
                Told::StockAvailable => messages.push(wake(Resource::Stock(stock.sku), id)),
                _ => {}
            },
            Item::Slot(slot) => {
                if event.told == Told::SlotAvailable {
                    messages.push(wake(Resource::Slot(slot.id), id));
                }
            }
            Item::Delivery(delivery) => {
                if let Told::DeliveryDue { seconds } = event.told {
                    messages.push(Message::Webhook(delivery.message(), seconds));
                }
            }
            Item::Payment(payment) => payment_messages(payment, id, event, &mut messages),
            Item::Stub(stub) => {
                if event.told == Told::ReportOrphaned {
                    let detail = PublicDetail::Orphan { gateway: stub.gateway, key: stub.of };
                    messages.push(public("gateway.orphan", id, event.at, None, detail));
                }
            }
            Item::Breaker(breaker) => {
                if let Told::BreakerBecame { phase } = event.told {
                    let detail = PublicDetail::Breaker { gateway: breaker.gateway, phase };
                    messages.push(public("gateway.breaker", id, event.at, None, detail));
                }
            }
            Item::Entry(_)
            | Item::PaymentEntry(_)
            | Item::Refund(_)
            | Item::Callback(_)
            | Item::Deposit(_)
            | Item::Waiting(_)
            | Item::Notification(_)
            | Item::Unreadable(_)
            | Item::Product(_)
            | Item::Receipt(_)
            | Item::ListedSlot(_)
            | Item::Profile(_)
            | Item::Attempts(_)
            | Item::Endpoint(_) => {}
        }
    }
    messages
}

const fn wake(resource: Resource, event: EventId) -> Message {
    Message::Work(WorkMessage { work: Work::Wake { resource, after: None }, event, attempt: 0 })
}

fn order_messages(order: &Order, id: EventId, event: &Event, messages: &mut Vec<Message>) {
    let (mut missing, mut lacks, mut reason) = (None, None, None);
    let name = match &event.told {
        Told::OrderPlaced => {
            let (skus, slot) = (order.skus(), order.slot);
            let work = Work::Advance { order: order.id, customer: order.customer, skus, slot };
            messages.push(Message::Work(WorkMessage { work, event: id, attempt: 0 }));
            "order.placed"
        }
        Told::OrderQueued => {
            let work =
                Work::Advance { order: order.id, customer: order.customer, skus: Vec::new(), slot: Some(order.slot()) };
            messages.push(Message::Work(WorkMessage { work, event: id, attempt: 0 }));
            return;
        }
        Told::OrderPaid { .. } => "order.paid",
        Told::OrderPaidByCard => {
            // The rest of its way is work of its own.
            if !order.state.has_ended() {
                let (skus, slot) = (order.skus(), order.slot);
                let work = Work::Advance { order: order.id, customer: order.customer, skus, slot };
                messages.push(Message::Work(WorkMessage { work, event: id, attempt: 0 }));
            }
            "order.paid"
        }
        Told::OrderWaiting { lacks: lack } => {
            match *lack {
                Lack::Money { missing: amount } => missing = Some(amount),
                Lack::Stock { sku, missing } => lacks = Some(PublicLack::Stock { sku, missing }),
                Lack::Delivery => lacks = Some(PublicLack::Delivery { slot: order.slot() }),
                Lack::Card => lacks = Some(PublicLack::Card),
            }
            "order.waiting"
        }
        Told::OrderStalled => "order.stalled",
        Told::OrderReserved => "order.reserved",
        Told::OrderBooked => "order.booked",
        Told::OrderAccepted { .. } => "order.accepted",
        Told::OrderCompleted => "order.completed",
        Told::OrderReleased => "order.released",
        Told::OrderRefunded { .. } | Told::OrderRefundedToCard => "order.refunded",
        Told::OrderCancelled { reason: why } => {
            reason = Some(*why);
            "order.cancelled"
        }
        told_of_no_order!() => return,
    };
    if let Some((transition, text)) = notices::words(order, &event.told) {
        messages.push(Message::Notice(Notification {
            customer: order.customer,
            at: event.at,
            event: id,
            order: order.id,
            transition: transition.to_owned(),
            text,
        }));
    }
    let decimal = |amount: Amount| amount.to_decimal(order.currency);
    let detail = PublicDetail::Order {
        order: order.id,
        amount: decimal(order.amount),
        currency: order.currency,
        missing: missing.map(decimal),
        reason,
        lacks,
    };
    messages.push(public(name, id, event.at, Some(order.customer), detail));
}

fn payment_messages(payment: &Payment, id: EventId, event: &Event, messages: &mut Vec<Message>) {
    let (mut refund_of, mut part_of, mut doubt_of) = (None, None, None);
    let name = match event.told {
        Told::GatewayDue { key, attempt, seconds } => {
            return messages.push(Message::Gateway(GatewayMessage { key, attempt }, seconds));
        }
        Told::PaymentBecame { state } => match state {
            PaymentState::Created => "payment.created",
            PaymentState::Pending => "payment.pending",
            PaymentState::Declined => "payment.declined",
            PaymentState::Unknown => "payment.unknown",
            PaymentState::InReview => "payment.in_review",
            PaymentState::Refunded => "payment.refunded",
            PaymentState::Expired => "payment.expired",
            // It is told of the money.
            PaymentState::Captured | PaymentState::Refunding => return,
        },
        Told::MoneyCaptured { .. } => "payment.captured",
        Told::PaymentDoubted { doubt } => {
            doubt_of = Some(doubt);
            "payment.doubted"
        }
        Told::OperatorDue => "payment.operator_due",
        Told::RefundBegun { refund, amount } => {
            (refund_of, part_of) = (Some(refund), Some(amount));
            "refund.begun"
        }
        Told::RefundEnded { refund, amount, given_back } => {
            (refund_of, part_of) = (Some(refund), Some(amount));
            if given_back { "refund.given_back" } else { "refund.kept" }
        }
        _ => return,
    };
    let state = match event.told {
        Told::PaymentBecame { state } => state,
        _ => payment.state,
    };
    let detail = PublicDetail::Payment {
        payment: payment.id,
        state,
        amount: payment.amount.to_decimal(payment.currency),
        currency: payment.currency,
        order: match payment.origin {
            Origin::Order(order) => Some(order),
            Origin::Request | Origin::Event => None,
        },
        reference: payment.reference.clone(),
        refund: refund_of,
        part: part_of.map(|amount| amount.to_decimal(payment.currency)),
        doubt: doubt_of,
    };
    messages.push(public(
        name,
        id,
        event.at,
        Some(payment.customer).filter(|customer| *customer != CustomerId::nobody()),
        detail,
    ));
}

fn public(
    detail_type: &'static str,
    id: EventId,
    at: Timestamp,
    customer: Option<CustomerId>,
    detail: PublicDetail,
) -> Message {
    Message::Public(PublicEvent { detail_type, occurred_at: at, version: 1, id, at: at.to_string(), customer, detail })
}
