//! A thousand messages through each kind of mapping, with a function that fails by a seeded plan: they end exactly where
//! the rules of AWS say.
//!
//! The judges (`model/queues.rs`, `model/streams.rs`) are written from the documentation and know nothing of how the
//! cloud works: they are given what was sent, what the function was handed and how it answered, and what was found in the
//! end, and follow each message through the rules.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test that called it")]

#[path = "model/plan.rs"]
mod plan;
#[path = "model/queues.rs"]
mod queues;
#[path = "model/streams.rs"]
mod streams;
#[expect(dead_code, reason = "the tests of the services need more of it")]
#[path = "services/support.rs"]
mod support;
