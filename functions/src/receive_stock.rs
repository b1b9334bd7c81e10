//! `POST /stock/{sku}/receipts`: takes stock in, once for each idempotency key.

use domain::Refusal;
use domain::goods::{self, ReceiveStock};
use domain::ids::{Fingerprint, ReceiptId, Sku};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::views::goods::received;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let keeper = request.caller_with(scopes::STOCK)?.customer;
    let key = request.idempotency_key()?;
    let mut fields = request.fields()?;
    let quantity = fields.required("quantity", |value| value.quantity())?;
    let fingerprint = Fingerprint::of(&request.route, &fields.finish()?);
    let sku = Sku::parse(request.path_parameter("sku")).map_err(|_| Refusal::SkuNotFound)?;
    let command = ReceiveStock { id: ReceiptId::of(&keeper, &key), sku, quantity, keeper, fingerprint };
    let made = app
        .store
        .decide(Needs::load(command.needs()), |books, now| books.decide(|draft| goods::receive(draft, &command, now)))
        .await?;
    let replayed = made.is_replay();
    Ok(Response::json(201, &received(&made.into_inner())).replayed(replayed))
}
