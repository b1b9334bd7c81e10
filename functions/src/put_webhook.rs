//! `PUT /webhook`: sets where the caller's notifications are sent to, beside the inbox. Its secret is made with it, and
//! stays with it wherever it moves.

use domain::books::Key;
use domain::webhooks::{self, EndpointUrl};
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::webhooks as views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let mut fields = request.fields()?;
    let url = fields.required("url", |value| {
        let text = value.text()?;
        Ok((EndpointUrl::parse(&text, app.outside.reach())?, text))
    })?;
    fields.finish()?;
    let fresh = views::fresh_secret(app)?;
    let set = app
        .store
        .decide(Needs::load([Key::Endpoint(customer)]), |books, now| {
            books.decide(|draft| webhooks::put(draft, customer, &url, fresh, now))
        })
        .await?;
    Ok(Response::json(200, &views::endpoint(&set.into_inner())))
}
