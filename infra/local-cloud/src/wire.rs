//! What the JSON protocols of the services have in common: an answer, and an error with its code.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// An error as a service answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: u16,
    /// With its namespace: `com.amazonaws.sqs#QueueDoesNotExist`.
    pub(crate) kind: String,
    /// The code that the service had in its older query protocol, which its SDK still reads.
    pub(crate) query_code: Option<&'static str>,
    pub(crate) message: String,
}

impl ServiceError {
    pub(crate) fn internal(reason: impl std::fmt::Display) -> Self {
        tracing::error!(%reason, "a service of the local cloud failed");
        Self {
            status: 500,
            kind: "com.amazon.coral.service#InternalFailure".into(),
            query_code: None,
            message: reason.to_string(),
        }
    }

    pub(crate) fn malformed(reason: impl std::fmt::Display) -> Self {
        Self {
            status: 400,
            kind: "com.amazon.coral.service#SerializationException".into(),
            query_code: None,
            message: reason.to_string(),
        }
    }

    pub(crate) fn unknown_operation(target: &str) -> Self {
        Self {
            status: 400,
            kind: "com.amazon.coral.service#UnknownOperationException".into(),
            query_code: None,
            message: format!("{target} is not an operation of the local cloud"),
        }
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let body = json!({ "__type": self.kind, "message": self.message });
        let mut response = json_response(self.status, &body);
        if let Some(code) = self.query_code
            && let Ok(value) = HeaderValue::from_str(&format!("{code};Sender"))
        {
            response.headers_mut().insert(HeaderName::from_static("x-amzn-query-error"), value);
        }
        response
    }
}

impl From<rusqlite::Error> for ServiceError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(error)
    }
}

pub(crate) fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    response(status, "application/x-amz-json-1.0", body.to_string().into_bytes())
}

pub(crate) fn response(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
