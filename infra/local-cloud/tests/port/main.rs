//! The AWS port over a real socket, byte by byte: what each protocol answers to what a client may send, and to what none
//! should.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test that called it")]

mod functions;
mod gate;
mod http;
mod objects;
#[expect(dead_code, reason = "the tests of the services need more of it")]
#[path = "../services/support.rs"]
mod parts;
mod queues;
mod support;
mod tables;
