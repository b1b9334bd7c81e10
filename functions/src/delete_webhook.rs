//! `DELETE /webhook`: nothing is sent to the caller's endpoint any more. That there is none is no error: so a repeat finds
//! it.

use domain::books::Key;
use domain::webhooks;
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    app.store
        .decide(Needs::load([Key::Endpoint(customer)]), |books, now| {
            books.decide(|draft| webhooks::remove(draft, customer, now))
        })
        .await?;
    Ok(Response::nothing())
}
