//! What is decided: accounts, orders, money and the promises that are kept about them.
//!
//! Everything here is pure. Time, ids and terms arrive as arguments; nothing waits, reads a clock, draws a number or
//! knows AWS. A decision takes the [`books::Draft`] of what was loaded and a command, and writes the new state of each
//! item with the events that tell of it, or gives a [`Refusal`] from a flat vocabulary.

pub mod accounts;
pub mod attempts;
pub mod books;
pub mod currency;
pub mod events;
pub mod goods;
pub mod ids;
pub mod messages;
pub mod money;
pub mod notices;
pub mod orders;
pub mod payments;
pub mod planted;
pub mod profiles;
pub mod promises;
mod refusal;
pub mod slots;
pub mod text;
mod timestamp;
pub mod webhooks;

pub use currency::Currency;
pub use money::{Amount, Movement};
pub use refusal::Refusal;
pub use timestamp::{Millis, Timestamp};

/// What a stack was deployed with, as far as decisions depend on it.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The one currency of the stack.
    pub currency: Currency,
    /// How long an order may wait before it is cancelled.
    pub wait: Millis,
}

/// A replay is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    Done(T),
    AlreadyDone(T),
}

impl<T> Outcome<T> {
    pub fn into_inner(self) -> T {
        match self {
            Self::Done(inner) | Self::AlreadyDone(inner) => inner,
        }
    }

    pub fn is_replay(&self) -> bool {
        matches!(self, Self::AlreadyDone(_))
    }
}
