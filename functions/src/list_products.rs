//! `GET /stock`: what is sold, by sku, and how much of it is there.

use domain::books::{Kept, Key};
use domain::goods::Stock;
use platform::App;
use platform::http::{List, Problem, Request, Response};

use crate::views::goods::product;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller()?;
    let (limit, from) = request.page()?;
    let table = app.store.table();
    let page = table.products(from.as_ref(), limit).await?.ok_or_else(Problem::cursor_malformed)?;
    let keys: Vec<Key> = page.items.iter().map(|product| Key::Stock(product.sku)).collect();
    let found = table.load(&keys).await?;
    let stock = |key| Stock::of_item(&found.get(key)?.as_ref()?.found.item).copied();
    let items = page.items.iter().zip(&keys).map(|(listed, key)| product(listed, stock(key))).collect();
    Ok(Response::json(200, &List::new(items, page.next.as_ref())))
}
