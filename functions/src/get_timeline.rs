//! `GET /orders/{id}/timeline`: how an order came to where it is, what it waits for, and what would end that.

use domain::accounts::Account;
use domain::books::{Item, Kept};
use domain::goods::Stock;
use domain::orders::awaited::{self, Around};
use domain::slots::Slot;
use platform::App;
use platform::http::{Problem, Request, Response};

use crate::{get_order, views};

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let order = get_order::load(app, &request).await?;
    let found = app.store.table().load(&awaited::needs(&order)).await?;
    let items: Vec<Item> = found.into_values().flatten().map(|stored| stored.found.item).collect();
    let around = Around {
        account: items.iter().find_map(Account::of_item).cloned(),
        stock: items.iter().filter_map(Stock::of_item).copied().collect(),
        slot: items.iter().find_map(Slot::of_item).copied(),
    };
    let ends_with = awaited::ends_with(&order, &around, request.now);
    Ok(Response::json(200, &views::timeline(&order, ends_with)))
}
