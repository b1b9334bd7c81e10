//! The AWS services that a SAM template names, inside one process: DynamoDB and its streams, SQS, EventBridge, S3,
//! the HTTP API and the event-source mappings, with the semantics that AWS documents.
//!
//! It knows the services and not the product: what tables, queues, rules, routes and schedules there are it learns
//! from a template, and it is handed the functions as names and handlers. The SDK clients inside those functions are
//! the real ones; they speak their real protocol to a connector that answers in the process.

mod clock;
pub mod edge;
mod function;
pub mod stack;
mod template;

pub use clock::Clock;
pub use function::{FunctionError, Handler, Invocation};
pub use template::{Settings, TemplateError};
