//! Card payments through the whole local cloud on virtual time, against the gateway to run against: calls, callbacks, what
//! goes wrong with them alone and together, and a gateway that is down.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../support/mod.rs"]
mod support;

mod breaker;
mod calls;
mod faults;
mod outage;
mod world;
