//! `GET /reviews`: what waits for a person, for an operator: payments in review or without a gateway, and what was reported of
//! what is not there. The index that lists it may lag a moment behind; what is shown of each is as it stands.

use domain::books::{Kept as _, Key};
use domain::payments::{GatewayKey, Payment, Stub};
use platform::App;
use platform::http::{List, Problem, Request, Response, scopes};

use crate::views::payments::{ReviewView, of_payment, of_report};

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller_with(scopes::OPERATOR)?;
    let (limit, from) = request.page()?;
    let table = app.store.table();
    let page = table.reviews(from.as_ref(), limit).await?.ok_or_else(Problem::cursor_malformed)?;
    let keys: Vec<Key> = page.items.iter().map(|key: &GatewayKey| key.key()).collect();
    let found = table.load(&keys).await?;
    let kept: Vec<_> =
        keys.iter().filter_map(|key| found.get(key)?.as_ref()).map(|stored| &stored.found.item).collect();
    let reviewed = kept.iter().filter_map(|item| -> Option<ReviewView<'_>> {
        let payment = Payment::of_item(item).filter(|payment| payment.needs_a_person()).map(of_payment);
        payment.or_else(|| Stub::of_item(item).filter(|stub| stub.waits_for_a_person()).map(of_report))
    });
    Ok(Response::json(200, &List::new(reviewed.collect(), page.next.as_ref())))
}
