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
        Self::of_all_services(400, "SerializationException", reason.to_string())
    }

    /// A request that is JSON and has something else where its shape has text, a number, a list or fields.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        let worded = text.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "));
        Self::malformed(worded.map_or_else(|| text.to_owned(), |(found, expected)| misplaced(found, expected)))
    }

    pub(crate) fn unknown_operation(operation: &str) -> Self {
        let message = format!("{operation} is not an operation that is served here");
        Self::of_all_services(400, "UnknownOperationException", message)
    }

    /// An error that every JSON service has, rather than one of its own.
    pub(crate) fn of_all_services(status: u16, kind: &str, message: String) -> Self {
        Self { status, kind: format!("com.amazon.coral.service#{kind}"), query_code: None, message }
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        self.response_as(JSON_1_0)
    }

    pub(crate) fn response_as(&self, content_type: &'static str) -> Response<Bytes> {
        let mut body = json!({ "__type": self.kind });
        if !self.message.is_empty() {
            body["message"] = self.message.as_str().into();
        }
        let mut response = response(self.status, content_type, body.to_string().into_bytes());
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

pub(crate) const JSON_1_0: &str = "application/x-amz-json-1.0";
pub(crate) const JSON_1_1: &str = "application/x-amz-json-1.1";

/// The services' words for a value of one kind in the place of another, from those of the parser.
fn misplaced(found: &str, expected: &str) -> String {
    let kind = match found.split([' ', '`']).next().unwrap_or_default() {
        "string" => "STRING_VALUE",
        "integer" => "NUMBER_VALUE",
        "floating" => "DECIMAL_VALUE",
        "boolean" if found.contains("true") => "TRUE_VALUE",
        "boolean" => "FALSE_VALUE",
        "sequence" => return format!("Start of list found where not expected, but {expected}"),
        "map" => return "Start of structure or map found where not expected.".into(),
        _ => return format!("{found} found where {expected} is expected"),
    };
    match expected {
        "a string" => format!("{kind} can not be converted to a String"),
        "u32" | "u64" | "i64" => format!("{kind} can not be converted to an Integer"),
        "a boolean" => format!("{kind} can not be converted to a Boolean"),
        _ => format!("{kind} found where not expected"),
    }
}

pub(crate) fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    response(status, JSON_1_0, body.to_string().into_bytes())
}

pub(crate) fn response(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
