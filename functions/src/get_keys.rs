//! `GET /.well-known/jwks.json`: the public keys of the tokens that are signed here, for other services that want to
//! believe them.

use domain::ids::Digest;
use platform::App;
use platform::http::{Problem, Request, Response};

#[expect(clippy::unused_async, reason = "every handler is asked in the same way")]
pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let keys = app.config.published_keys.clone();
    let tag = Digest::of("keys", &[keys.as_bytes()]).to_string();
    Ok(Response::document(&request, keys, &tag))
}
