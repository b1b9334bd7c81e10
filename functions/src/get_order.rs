//! `GET /orders/{id}`: one order of the caller's. Another's is answered as one that does not exist.

use domain::Refusal;
use domain::books::Key;
use domain::ids::OrderId;
use domain::orders::{self, Order};
use platform::App;
use platform::http::{Problem, Request, Response};

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let order = load(app, &request).await?;
    Ok(Response::json(200, &views::order(&order)))
}

/// The order that the path names, if the caller may see it.
pub(crate) async fn load(app: &App, request: &Request) -> Result<Order, Problem> {
    let customer = request.caller()?.customer;
    let id = OrderId::parse(request.path_parameter("id")).ok_or(Refusal::OrderNotFound)?;
    let order = app.store.table().get(&Key::Order(id)).await?;
    Ok(orders::seen_by(&customer, order)?)
}
