//! What a commit's events become on their way out: work for the queue that moves orders, notifications for people,
//! and public events for everyone outside. Which event goes where is decided here; carrying them is not.

use serde::{Deserialize, Serialize};

use crate::books::{Draft, Halt, Item, Kept, Version};
use crate::events::{Event, EventId, Told};
use crate::ids::{CustomerId, OrderId, UnreadableId};
use crate::notices;
use crate::orders::{CancelReason, Lack, Order, Resource};
use crate::{Amount, Currency, Outcome, Timestamp, planted};

/// One thing to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Work(WorkMessage),
    Notice(Notification),
    Public(PublicEvent),
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
    /// Take the order as far as it can go.
    Advance { order: OrderId, customer: CustomerId },
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
    /// What the work contends on most, so that two messages about it are rarely in flight together.
    pub fn group(&self) -> String {
        match &self.work {
            Work::Advance { customer, .. } => Resource::Account(*customer).to_string(),
            Work::Wake { resource, .. } => resource.to_string(),
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
    pub customer: CustomerId,
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
    },
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
                        let resource = Resource::Account(account.customer);
                        let work = Work::Wake { resource, after: None };
                        messages.push(Message::Work(WorkMessage { work, event: id, attempt: 0 }));
                        None
                    }
                    _ => None,
                };
                messages.extend(detail.map(|(name, detail)| public(name, id, event.at, account.customer, detail)));
            }
            Item::Order(order) => order_messages(order, id, event, &mut messages),
            Item::Entry(_) | Item::Deposit(_) | Item::Waiting(_) | Item::Notification(_) | Item::Unreadable(_) => {}
        }
    }
    messages
}

fn order_messages(order: &Order, id: EventId, event: &Event, messages: &mut Vec<Message>) {
    let (name, missing, reason) = match &event.told {
        Told::OrderPlaced => {
            let work = Work::Advance { order: order.id, customer: order.customer };
            messages.push(Message::Work(WorkMessage { work, event: id, attempt: 0 }));
            ("order.placed", None, None)
        }
        Told::OrderPaid { .. } => ("order.paid", None, None),
        Told::OrderWaiting { lacks: Lack::Money { missing } } => ("order.waiting", Some(*missing), None),
        Told::OrderStalled => ("order.stalled", None, None),
        Told::OrderCompleted => ("order.completed", None, None),
        Told::OrderCancelled { reason } => ("order.cancelled", None, Some(*reason)),
        Told::AccountOpened | Told::MoneyDeposited { .. } | Told::MoneyAvailable => return,
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
    };
    messages.push(public(name, id, event.at, order.customer, detail));
}

fn public(
    detail_type: &'static str,
    id: EventId,
    at: Timestamp,
    customer: CustomerId,
    detail: PublicDetail,
) -> Message {
    Message::Public(PublicEvent { detail_type, occurred_at: at, version: 1, id, at: at.to_string(), customer, detail })
}
