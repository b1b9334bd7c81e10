//! `GET /orders/{id}/timeline`: how an order came to where it is, and what it waits for.

use platform::App;
use platform::http::{Problem, Request, Response};

use crate::{get_order, views};

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let order = get_order::load(app, &request).await?;
    Ok(Response::json(200, &views::timeline(&order)))
}
