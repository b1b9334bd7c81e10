//! `PUT /stock/{sku}`: puts a product into the catalogue, or changes it there. Nothing but the path names it, so a repeat
//! finds it as it is to be.

use domain::books::Key;
use domain::goods::{self, PutProduct, Stock};
use domain::ids::Sku;
use domain::text::ProductName;
use platform::App;
use platform::http::{Problem, Request, Response, Value, scopes};
use platform::store::Needs;

use crate::views::goods::product;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller_with(scopes::STOCK)?;
    let sku = Sku::parse(request.path_parameter("sku"))?;
    let terms = &app.config.terms;
    let mut fields = request.fields()?;
    let name = fields.required("name", name)?;
    let price = fields.required("price", |value| value.amount(terms.currency))?;
    fields.finish()?;
    let command = PutProduct { sku, name, price };
    let (put, stock) = app
        .store
        .decide(Needs::load([Key::Product(sku), Key::Stock(sku)]), |books, _| {
            let put = books.decide(|draft| goods::put_product(draft, &command, terms))?;
            Ok((put, books.peek::<Stock>(&Key::Stock(sku)).copied()))
        })
        .await?;
    Ok(Response::json(200, &product(&put.into_inner(), stock)))
}

fn name(value: Value<'_>) -> Result<(ProductName, String), Problem> {
    let text = value.text()?;
    Ok((ProductName::new(&text)?, text))
}
