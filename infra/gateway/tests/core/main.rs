//! The gateway without a socket, in virtual time: both protocols, each mischief by itself, callbacks, controls, the book,
//! and that nothing in it is left to chance but the seed.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod book;
mod callbacks;
mod control;
mod lives;
mod mischief;
mod odd_requests;
mod outages;
mod plain;
mod seeds;
mod stripe;
mod support;
