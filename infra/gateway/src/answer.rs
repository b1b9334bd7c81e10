//! What is said to a caller, before it is known whether it gets to hear it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;

/// What a request gets.
#[derive(Debug)]
pub struct Reply {
    /// How long it takes.
    pub after_ms: u64,
    /// None is that the connection ends without a word.
    pub response: Option<Response<Bytes>>,
}

impl Reply {
    pub(crate) const fn at_once(response: Response<Bytes>) -> Self {
        Self { after_ms: 0, response: Some(response) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether it is what its idempotency key stands for from now on.
    pub(crate) keeps: bool,
    pub(crate) is_replay: bool,
}

impl Answer {
    /// Of something that was done, or that the key is used up by.
    pub(crate) fn done(status: u16, body: &Value) -> Self {
        Self { keeps: true, ..Self::said(status, body) }
    }

    /// Of something that leaves no trace.
    pub(crate) fn said(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), headers: Vec::new(), keeps: false, is_replay: false }
    }

    pub(crate) fn replayed(status: u16, body: String) -> Self {
        let headers = vec![("idempotent-replayed", "true".to_owned())];
        Self { status, body, headers, keeps: false, is_replay: true }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("it is a status");
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            // What a caller sent is in none but the key, which came in a header.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
