//! Believing `X-User-Id`, which only a machine of one's own may do: the edge turns the header into what the authorizer
//! would have said. No function reads the header, and a deployed stack has no such path.

use std::sync::Arc;

use http::HeaderMap;
use local_cloud::edge::TrustedIdentity;
use platform::http::context;
use serde_json::{Map, Value};

/// `X-User-Id: alice` and `X-User-Scopes: stock slots`. Whom a header names is whom a token of the stack's issuer names:
/// `alice` is the same customer either way.
pub(crate) fn trusted(issuer: String) -> TrustedIdentity {
    Arc::new(move |headers| believe(headers, &issuer))
}

fn believe(headers: &HeaderMap, issuer: &str) -> Option<Map<String, Value>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let user = text("x-user-id").filter(|user| !user.is_empty())?;
    let said = [
        (context::ISSUER, issuer),
        (context::SUBJECT, user),
        (context::SCOPE, text("x-user-scopes").unwrap_or_default()),
    ];
    Some(said.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}
