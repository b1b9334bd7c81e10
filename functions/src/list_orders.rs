//! `GET /orders`: the caller's orders, newest first. The index that lists them may lag a moment behind a 201; what is
//! shown of each is as it stands.

use domain::books::{Kept, Key};
use domain::orders::{self, Order};
use platform::App;
use platform::http::{List, Problem, Request, Response};

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let (limit, from) = request.page()?;
    let table = app.store.table();
    let page = table.orders_of(&customer, from.as_ref(), limit).await?.ok_or_else(Problem::cursor_malformed)?;
    let keys: Vec<Key> = page.items.into_iter().map(Key::Order).collect();
    let mut found = table.load(&keys).await?;
    let orders: Vec<Order> = keys
        .iter()
        .filter_map(|key| {
            let stored = found.remove(key).flatten()?;
            orders::seen_by(&customer, Order::of_item(&stored.found.item).cloned()).ok()
        })
        .collect();
    let items = orders.iter().map(views::order).collect();
    Ok(Response::json(200, &List::new(items, page.next.as_ref())))
}
