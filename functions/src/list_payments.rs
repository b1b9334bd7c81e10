//! `GET /payments`: the caller's payments, newest first, those of orders among them. The index that lists them may lag a
//! moment behind a 202; what is shown of each is as it stands.

use domain::books::{Kept as _, Key};
use domain::payments::{self, Payment};
use platform::App;
use platform::http::{List, Problem, Request, Response};

use crate::views::payments::listed;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let (limit, from) = request.page()?;
    let table = app.store.table();
    let page = table.payments_of(&customer, from.as_ref(), limit).await?.ok_or_else(Problem::cursor_malformed)?;
    let keys: Vec<Key> = page.items.into_iter().map(Key::Payment).collect();
    let mut found = table.load(&keys).await?;
    let payments: Vec<Payment> = keys
        .iter()
        .filter_map(|key| {
            let stored = found.remove(key).flatten()?;
            payments::seen_by(&customer, Payment::of_item(&stored.found.item).cloned()).ok()
        })
        .collect();
    let items = payments.iter().map(listed).collect();
    Ok(Response::json(200, &List::new(items, page.next.as_ref())))
}
