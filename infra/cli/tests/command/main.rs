//! The command as people run it: the real binary on a real port, with its state in a directory of the test's own.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test that called it")]

mod aws_port;
mod env;
mod errors;
mod gateways;
mod invoking;
mod killing;
mod looking;
mod planted;
mod reconciling;
mod serving;
mod simulating;
mod support;
mod tokens;
mod verifying;
