//! `POST /webhook/secret`: a fresh secret for the caller's endpoint. For a day both are signed with. The secret that is
//! replaced is named, so that a repeat replaces nothing more.

use domain::Refusal;
use domain::books::Key;
use domain::webhooks::{self, Secret};
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::webhooks as views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let mut fields = request.fields()?;
    let replaced = fields.required("replaces", |value| {
        let text = value.text()?;
        Ok((Secret::parse(&text).ok_or(Refusal::WebhookSecretMalformed)?, text))
    })?;
    fields.finish()?;
    let fresh = views::fresh_secret(app)?;
    let rotated = app
        .store
        .decide(Needs::load([Key::Endpoint(customer)]), |books, now| {
            books.decide(|draft| webhooks::rotate(draft, customer, replaced, fresh, now))
        })
        .await?;
    Ok(Response::json(200, &views::endpoint(&rotated.into_inner())))
}
