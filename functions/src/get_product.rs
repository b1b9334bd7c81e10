//! `GET /stock/{sku}`: a product, and how much of it is there. What is no sku names nothing that there is.

use domain::Refusal;
use domain::books::{Kept, Key};
use domain::goods::{Product, Stock};
use domain::ids::Sku;
use platform::App;
use platform::http::{Problem, Request, Response};

use crate::views::goods::product;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller()?;
    let sku = Sku::parse(request.path_parameter("sku")).map_err(|_| Refusal::SkuNotFound)?;
    let found = app.store.table().load(&[Key::Product(sku), Key::Stock(sku)]).await?;
    let item = |key| found.get(&key).and_then(Option::as_ref).map(|stored| &stored.found.item);
    let listed = item(Key::Product(sku)).and_then(Product::of_item).ok_or(Refusal::SkuNotFound)?;
    let stock = item(Key::Stock(sku)).and_then(Stock::of_item).copied();
    Ok(Response::json(200, &product(listed, stock)))
}
