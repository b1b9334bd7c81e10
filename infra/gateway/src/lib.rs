//! A stand-in for a payment gateway that behaves as badly as it is asked to: slow, silent, broken, late, twice, out of
//! order, with wrong amounts and bad signatures. It speaks a plain JSON protocol and Stripe's, and keeps its own book of
//! what it charged, which is the judge of whoever uses it.
//!
//! It knows nothing of the product. [`Gateway`] has no socket, no clock and no chance of its own: requests, moments and a
//! seed come in; answers, silence and callbacks go out. [`start`] puts it on a loopback socket.

mod answer;
mod book;
mod control;
mod dice;
mod events;
mod gateway;
mod money;
mod mood;
mod plain;
mod server;
mod settings;
mod signing;
mod stripe;
mod text;

pub use answer::Reply;
pub use book::{
    Attempt, Book, Call, Charge, ChargeState, Decline, Event, EventCopy, Finding, Protocol, Refund, RefundState,
    Unreadable,
};
pub use gateway::{Callback, CallbackId, Gateway, Moment, Outage, OutageKind};
pub use mood::{CallKind, Group, Mischief, Mood, Order, Rates, Timing};
pub use server::{Clock, Options, Running, StartError, start};
pub use settings::{Settings, SettingsError, WebhookSecret, callback_url};
pub use signing::Signs;
