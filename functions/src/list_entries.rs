//! `GET /account/entries`: the caller's statement, newest first.

use platform::App;
use platform::http::{List, Problem, Request, Response};

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let (limit, from) = request.page()?;
    let page = app.store.table().entries(&customer, from.as_ref(), limit).await?;
    let page = page.ok_or_else(Problem::cursor_malformed)?;
    let entries = page.items.iter().map(views::entry).collect();
    Ok(Response::json(200, &List::new(entries, page.next.as_ref())))
}
