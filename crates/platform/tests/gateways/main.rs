//! Calls to payment gateways: what is sent in each protocol, what each answer comes to, and how both fare against the
//! stand-in, in virtual time and over a real socket.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod answers;
mod requests;
mod sockets;
mod stand_in;
mod support;
