//! The AWS services that a SAM template names, inside one process: DynamoDB and its streams, SQS, EventBridge, S3,
//! the HTTP API and the event-source mappings, with the semantics that AWS documents.
//!
//! It knows the services and not the product: what tables, queues, rules, routes and schedules there are it learns
//! from a template, and it is handed the functions as names and handlers. The SDK clients inside those functions are
//! the real ones; they speak their real protocol to a connector that answers in the process.

mod asked;
mod clock;
mod cloud;
mod connector;
mod cron;
mod dates;
mod deliveries;
mod dynamodb;
pub mod edge;
mod error;
mod event_bridge;
mod faults;
mod function;
mod http_server;
mod invoke;
mod lambda;
mod mappings;
mod pattern;
pub mod port;
mod random;
mod s3;
mod signal;
mod snapshot;
mod sqs;
pub mod stack;
mod store;
mod sts;
mod template;
mod text;
mod wire;

pub use clock::Clock;
pub use cloud::{Cloud, Options, Running};
pub use connector::{CallObserver, CallRecord, Connector};
pub use dynamodb::Capacity;
pub use error::CloudError;
pub use event_bridge::EventObserver;
pub use faults::{Fate, FaultyConnector, Plan};
pub use function::{FunctionError, Handler, Invocation};
pub use invoke::{InvocationObserver, InvocationRecord, Outcome, Trigger};
pub use snapshot::Snapshot;
pub use sqs::QueueDepth;
pub use store::Storage;
pub use template::{Settings, TemplateError};
