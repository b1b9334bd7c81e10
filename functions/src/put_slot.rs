//! `PUT /slots/{id}`: opens a courier time slot, or changes it. Nothing but the path names it, so a repeat finds it as it
//! is to be.

use domain::books::Key;
use domain::ids::SlotId;
use domain::slots::{self, PutSlot};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::views::goods::slot;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller_with(scopes::SLOTS)?;
    let id = SlotId::parse(request.path_parameter("id"))?;
    let mut fields = request.fields()?;
    let capacity = fields.required("capacity", |value| value.capacity())?;
    let from = fields.optional("from", |value| value.time())?;
    let to = fields.optional("to", |value| value.time())?;
    fields.finish()?;
    let command = PutSlot { id, capacity, from, to };
    let put = app
        .store
        .decide(Needs::load([Key::Slot(id)]), |books, now| {
            Ok((books.decide(|draft| slots::put(draft, &command, now))?, now))
        })
        .await?;
    let (put, now) = put;
    Ok(Response::json(200, &slot(&put.into_inner(), now)))
}
