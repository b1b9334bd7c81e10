//! Believing `X-User-Id`, which only a machine of one's own may do: the edge turns the header into what the authorizer
//! would have said. No function reads the header, and a deployed stack has no such path.

use std::sync::Arc;

use http::HeaderMap;
use local_cloud::edge::TrustedIdentity;
use platform::http::context;
use serde_json::{Map, Value};

/// The issuer of whoever a header names.
pub const LOCAL_ISSUER: &str = "local";

pub(crate) fn trusted() -> TrustedIdentity {
    Arc::new(believe_headers)
}

/// `X-User-Id: alice` and `X-User-Scopes: stock slots`.
pub fn believe_headers(headers: &HeaderMap) -> Option<Map<String, Value>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let user = text("x-user-id").filter(|user| !user.is_empty())?;
    let said = [
        (context::ISSUER, LOCAL_ISSUER),
        (context::SUBJECT, user),
        (context::SCOPE, text("x-user-scopes").unwrap_or_default()),
    ];
    Some(said.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}
