//! What commits tell. The events of a commit ride inside the item that they changed, so there is no way to change
//! state without telling it, and none to tell without changing it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::books::{Key, Version};
use crate::ids::{CustomerId, DepositId, Digest, ReceiptId, RefundId};
use crate::orders::{CancelReason, Lack};
use crate::payments::{BreakerPhase, Doubt, GatewayKey, PaymentState};
use crate::{Amount, Timestamp};

/// One event, kept with the item that tells it. Its id is the item, the version and its place in the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub told: Told,
}

/// Everything that is told and is not told of an order, as a pattern: so a match over what orders tell names the rest in
/// a word, and still has to be looked at again when something new is told.
#[macro_export]
macro_rules! told_of_no_order {
    () => {
        $crate::events::Told::AccountOpened
            | $crate::events::Told::MoneyDeposited { .. }
            | $crate::events::Told::MoneyAvailable
            | $crate::events::Told::StockReceived { .. }
            | $crate::events::Told::StockAvailable
            | $crate::events::Told::SlotAvailable
            | $crate::events::Told::DeliveryDue { .. }
            | $crate::events::Told::GatewayDue { .. }
            | $crate::events::Told::PaymentBecame { .. }
            | $crate::events::Told::MoneyCaptured { .. }
            | $crate::events::Told::PaymentDoubted { .. }
            | $crate::events::Told::OperatorDue
            | $crate::events::Told::RefundBegun { .. }
            | $crate::events::Told::RefundEnded { .. }
            | $crate::events::Told::ReportOrphaned
            | $crate::events::Told::BreakerBecame { .. }
    };
}

/// What happened. Only what cannot be read off the item that carries it is in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    AccountOpened,
    MoneyDeposited {
        deposit: DepositId,
        amount: Amount,
        balance: Amount,
    },
    /// There is more money on the account than before: whoever waits for it may go on.
    MoneyAvailable,
    OrderPlaced,
    OrderPaid {
        balance: Amount,
    },
    OrderWaiting {
        lacks: Lack,
    },
    OrderStalled,
    OrderCompleted,
    OrderCancelled {
        reason: CancelReason,
    },
    /// Its goods are taken from the stock.
    OrderReserved,
    /// Its slot is wanted by many at once: it is booked by a message of its own, in the group of the slot.
    OrderQueued,
    /// It has a place in its slot.
    OrderBooked,
    /// A courier took it, whose slot had no room.
    OrderAccepted {
        courier: CustomerId,
    },
    /// Its goods are back in the stock.
    OrderReleased,
    /// What was charged is back on the balance.
    OrderRefunded {
        balance: Amount,
    },
    StockReceived {
        receipt: ReceiptId,
        quantity: u32,
        on_hand: u64,
    },
    /// There is more of it than before: whoever waits for it may go on.
    StockAvailable,
    /// There may be room in it, or it begins at another time: whoever waits for it is looked at.
    SlotAvailable,
    /// It is to be sent to its endpoint, after so long.
    DeliveryDue {
        seconds: u32,
    },
    /// Its card was charged.
    OrderPaidByCard,
    /// What its card was charged is on the way back.
    OrderRefundedToCard,
    /// The gateway is to be called under this key, after so long, if so many attempts have begun before.
    GatewayDue {
        key: GatewayKey,
        attempt: u32,
        seconds: u32,
    },
    PaymentBecame {
        state: PaymentState,
    },
    /// The gateway has the money.
    MoneyCaptured {
        amount: Amount,
    },
    /// Something about it needs a person.
    PaymentDoubted {
        doubt: Doubt,
    },
    /// A person is still needed.
    OperatorDue,
    RefundBegun {
        refund: RefundId,
        amount: Amount,
    },
    /// It was given back; or it was not, and is kept after all.
    RefundEnded {
        refund: RefundId,
        amount: Amount,
        given_back: bool,
    },
    /// A gateway reported on what is not there, and it has not come since.
    ReportOrphaned,
    BreakerBecame {
        phase: BreakerPhase,
    },
}

/// Which kind of item tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Teller {
    Account,
    Order,
    Stock,
    Slot,
    Delivery,
    Payment,
    Refund,
    Breaker,
}

impl Teller {
    /// Which kind of teller an item is, and which one of them. Most items tell nothing.
    pub fn of(key: &Key) -> Option<(Self, Digest)> {
        match key {
            Key::Account(customer) => Some((Self::Account, *customer.digest())),
            Key::Order(order) => Some((Self::Order, *order.digest())),
            Key::Stock(sku) => Some((Self::Stock, sku.digest())),
            Key::Slot(slot) => Some((Self::Slot, slot.digest())),
            Key::Delivery(event) => Some((Self::Delivery, Digest::of("delivery", &[event.to_string().as_bytes()]))),
            Key::Payment(id) => Some((Self::Payment, *id.digest())),
            Key::Refund(id) => Some((Self::Refund, *id.digest())),
            Key::Breaker(gateway) => Some((Self::Breaker, Digest::of("breaker", &[gateway.name().as_bytes()]))),
            Key::Entry(..)
            | Key::PaymentEntry(..)
            | Key::Callback(_)
            | Key::Deposit(_)
            | Key::Waiting(..)
            | Key::Notification(..)
            | Key::Unreadable(_)
            | Key::Product(_)
            | Key::Receipt(_)
            | Key::ListedSlot(_)
            | Key::Profile(_)
            | Key::Attempts(_)
            | Key::Endpoint(_) => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Order => "order",
            Self::Stock => "stock",
            Self::Slot => "slot",
            Self::Delivery => "delivery",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Breaker => "breaker",
        }
    }
}

/// The same for every repeat of the same event, for ever: the item, its version, the place in the commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    pub teller: Teller,
    pub id: Digest,
    pub version: Version,
    pub index: u32,
}

impl EventId {
    /// # Panics
    /// For an item that tells nothing: which ones do is fixed in the code, not in data.
    pub fn new(key: &Key, version: Version, index: u32) -> Self {
        let (teller, id) = Teller::of(key).unwrap_or_else(|| panic!("{key:?} is no item that tells events"));
        Self { teller, id, version, index }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let teller = match parts.next()? {
            "account" => Teller::Account,
            "order" => Teller::Order,
            "stock" => Teller::Stock,
            "slot" => Teller::Slot,
            "delivery" => Teller::Delivery,
            "payment" => Teller::Payment,
            "refund" => Teller::Refund,
            "breaker" => Teller::Breaker,
            _ => return None,
        };
        let id = Digest::parse(parts.next()?)?;
        let (version, index) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let event = Self { teller, id, version, index };
        (parts.next().is_none() && event.to_string() == text).then_some(event)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.teller.name(), self.id, self.version, self.index)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is no event id")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CustomerId, Sku, SlotId};

    #[test]
    fn an_event_id_comes_back_and_nothing_else_does() {
        let stock = EventId::new(&Key::Stock(Sku::parse("tea").unwrap()), u64::MAX, u32::MAX);
        let slot = EventId::new(&Key::Slot(SlotId::standard()), 1, 0);
        let id = EventId::new(&Key::Account(CustomerId::of("i", "s")), 3, 1);
        let delivery = EventId::new(&Key::Delivery(slot), 1, 0);
        for id in [stock, slot, delivery, id] {
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        for wrong in [format!("{id}.0"), format!("x{id}"), id.to_string().replace(".3.", ".03."), String::new()] {
            assert_eq!(EventId::parse(&wrong), None, "{wrong}");
        }
        assert!(id.to_string().len() <= 80, "it is part of a deduplication id, which holds 128 characters");
    }
}
