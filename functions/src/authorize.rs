//! The Lambda authorizer: believes a bearer token, or does not. It says who calls and with which scopes; whether that
//! is enough for a call is for the call to say, since this answer may be cached over calls.

use platform::App;
use platform::http::context;
use platform::runtime::{Failed, Invocation};
use platform::tokens;
use serde_json::{Value, json};

#[expect(clippy::unused_async, reason = "every handler is asked in the same way")]
pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let header = authorization(&event).unwrap_or_default();
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else { return Ok(json!({ "isAuthorized": false })) };
    let issuers = std::iter::once(&app.config.tokens).chain(&app.config.outside);
    match tokens::verify_any(token.trim(), issuers, app.now()) {
        Ok(claims) => Ok(json!({
            "isAuthorized": true,
            "context": {
                context::EXPIRES_AT: claims.believed_until(),
                context::ISSUER: claims.iss,
                context::SUBJECT: claims.sub,
                context::SCOPE: claims.scope,
            },
        })),
        Err(error) => {
            tracing::info!(reason = %error, "a token was not believed");
            Ok(json!({ "isAuthorized": false }))
        }
    }
}

/// API Gateway writes the names of headers small, and `sam local start-api` as they came. There is one of a name.
fn authorization(event: &Value) -> Option<&str> {
    let mut headers = event["headers"].as_object()?.iter();
    headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?.1.as_str()
}
