//! How it is kept and carried: the table, the outbox, the HTTP edge, tokens, configuration, logs and the runtime.
//!
//! This is the only crate of the functions that knows AWS. It decides nothing about orders or money; it loads what a
//! decision of `domain` needs, commits what it decided in one conditional write, and carries what it told.

pub mod attempts;
pub mod aws;
pub mod bucket;
pub mod callbacks;
pub mod chance;
pub mod config;
pub mod gateways;
pub mod http;
pub mod inventory;
pub mod logs;
pub mod metrics;
pub mod outbox;
pub mod outside;
pub mod passwords;
pub mod queue;
pub mod reports;
pub mod runtime;
pub mod store;
pub mod stream;
pub mod table;
pub mod tokens;
pub mod verify;
pub mod webhooks;

pub use config::Config;
pub use runtime::{App, Clock, Function, Handler};
pub use store::{Failure, Store};
