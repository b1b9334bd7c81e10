//! The services as the real SDK clients and the functions see them, on virtual time: one test for each rule.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test that called it")]

mod asynchronous;
mod events;
mod invocations;
mod objects;
mod queue_mappings;
mod queues;
mod redrive;
mod snapshots;
mod stream_mappings;
mod support;
mod tables;
