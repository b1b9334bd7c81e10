//! `GET /slots`: when couriers come, by id, and whether there is room.

use domain::books::{Kept, Key};
use domain::slots::Slot;
use platform::App;
use platform::http::{List, Problem, Request, Response};

use crate::views::goods::slot;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller()?;
    let (limit, from) = request.page()?;
    let table = app.store.table();
    let page = table.slots(from.as_ref(), limit).await?.ok_or_else(Problem::cursor_malformed)?;
    let keys: Vec<Key> = page.items.iter().map(|listed| Key::Slot(listed.slot)).collect();
    let found = table.load(&keys).await?;
    let opened = |key| Slot::of_item(&found.get(key)?.as_ref()?.found.item);
    let items = keys.iter().filter_map(opened).map(|opened| slot(opened, request.now)).collect();
    Ok(Response::json(200, &List::new(items, page.next.as_ref())))
}
