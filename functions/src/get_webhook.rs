//! `GET /webhook`: where the caller's notifications are sent to, and whether they still are.

use domain::Refusal;
use domain::books::Key;
use domain::webhooks::Endpoint;
use platform::App;
use platform::http::{Problem, Request, Response};

use crate::webhooks as views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let key = Key::Endpoint(request.caller()?.customer);
    let endpoint: Option<Endpoint> = app.store.table().get(&key).await?;
    let target = endpoint.and_then(|endpoint| endpoint.target).ok_or(Refusal::WebhookNotFound)?;
    Ok(Response::json(200, &views::endpoint(&target)))
}
