//! Gateways as far as decisions depend on them: what each can be asked, the keys that it knows things by, and what it
//! reports.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::books::Key;
use crate::ids::{Digest, PaymentId, RefundId};
use crate::{Amount, Currency, Millis, planted};

/// The gateways that we speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    /// Plain JSON, as documented here.
    Plain,
    Stripe,
}

impl Gateway {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stripe => "stripe",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Plain, Self::Stripe].into_iter().find(|gateway| gateway.name() == name)
    }

    /// Whether it says what became of a request whose answer was lost.
    pub const fn is_asked_by_key(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Stripe => false,
        }
    }

    /// For how long it surely knows a key again. Stripe drops keys after 24 hours; an hour is for clocks and queues.
    pub const fn retention(self) -> Millis {
        Millis::hours(23)
    }
}

/// What a gateway knows one thing by, in every attempt: the idempotency key that goes with each request for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatewayKey {
    Charge(PaymentId),
    Refund(RefundId),
}

impl GatewayKey {
    /// Where what it stands for is kept.
    pub const fn key(self) -> Key {
        match self {
            Self::Charge(id) => Key::Payment(id),
            Self::Refund(id) => Key::Refund(id),
        }
    }

    pub const fn digest(&self) -> &Digest {
        match self {
            Self::Charge(id) => id.digest(),
            Self::Refund(id) => id.digest(),
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("charge", id) => PaymentId::parse(id).map(Self::Charge),
            ("refund", id) => RefundId::parse(id).map(Self::Refund),
            _ => None,
        }
    }
}

impl fmt::Display for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Charge(id) => write!(f, "charge-{id}"),
            Self::Refund(id) => write!(f, "refund-{id}"),
        }
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for GatewayKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GatewayKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is no gateway key")))
    }
}

/// What a gateway calls something, in its own way. Nothing here reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GatewayRef(String);

impl GatewayRef {
    /// In bytes.
    pub const LONGEST: usize = 255;

    /// `None` for what could not be kept, or not be put into a url.
    pub fn new(text: &str) -> Option<Self> {
        let is_kept =
            !text.is_empty() && text.len() <= Self::LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_kept.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a gateway says of a charge or a refund: in an answer, when it is asked, or by calling back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reported {
    pub state: ReportedState,
    /// What it says the amount is. One that says that money moved says how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<GatewayRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportedState {
    /// It has it, and will say later what becomes of it.
    Pending,
    Captured,
    /// It says no: the card is not charged, or the money not given back.
    Declined,
    /// Of a refund: the money was given back. Of a charge: so much of it was, in all.
    Refunded,
}

impl Reported {
    /// Whether it speaks of this money: it must when money moved, and may otherwise.
    pub(super) fn is_of(&self, amount: Amount, currency: Currency) -> bool {
        if planted!(OtherMoneyTaken) {
            return true;
        }
        let says_so =
            self.amount.is_none_or(|said| said == amount) && self.currency.is_none_or(|said| said == currency);
        let says_all = self.amount.is_some() && self.currency.is_some();
        match self.state {
            ReportedState::Pending | ReportedState::Declined => says_so,
            ReportedState::Captured | ReportedState::Refunded => says_so && says_all,
        }
    }
}
