//! `POST /reports/{key}/dismiss`: an operator has looked at what a gateway reported of what is not there, and is not
//! reminded of it any more. `gateway.orphan` on the bus names the key.

use domain::Refusal;
use domain::payments::{self, GatewayKey};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::views::payments::report;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller_with(scopes::OPERATOR)?;
    let of = GatewayKey::parse(request.path_parameter("key")).ok_or(Refusal::PaymentNotFound)?;
    let dismissed = app
        .store
        .decide(Needs::load([of.key()]), |books, _| books.decide(|draft| payments::dismiss(draft, of)))
        .await?;
    Ok(Response::json(200, &report(&dismissed.into_inner())))
}
