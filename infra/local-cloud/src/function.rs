//! How the cloud runs a function: a handler that takes the event's JSON and gives JSON or an error, as Lambda has it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

/// One invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub event: Value,
    pub request_id: String,
    pub function_name: String,
    pub function_arn: String,
    pub memory_mib: u32,
    /// When Lambda ends the invocation, in milliseconds since the epoch.
    pub deadline_ms: i64,
}

/// What a function reports when it fails: `errorType` and `errorMessage`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct FunctionError {
    pub kind: String,
    pub message: String,
}

pub type Handler = Arc<dyn Fn(Invocation) -> BoxFuture<'static, Result<Value, FunctionError>> + Send + Sync>;
