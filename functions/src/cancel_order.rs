//! `POST /orders/{id}/cancel`: cancels an order of the caller's, at any step before it completes, and gives back what it
//! took. The order's state is its key.

use domain::Refusal;
use domain::books::Key;
use domain::ids::OrderId;
use domain::orders;
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let id = OrderId::parse(request.path_parameter("id")).ok_or(Refusal::OrderNotFound)?;
    let cancelled = app
        .store
        .decide(Needs::load([Key::Order(id)]), |books, now| {
            books.decide(|draft| orders::cancel(draft, id, &customer, now))
        })
        .await?;
    Ok(Response::json(200, &views::order(&cancelled.into_inner())))
}
