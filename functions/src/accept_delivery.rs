//! `POST /deliveries/{order}/accept`: a courier takes an order whose slot has no room. Its state is its key: the same
//! courier taking it again finds it taken.

use domain::Refusal;
use domain::books::{Halt, Key};
use domain::ids::OrderId;
use domain::orders;
use domain::slots::Slot;
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::views::goods::accepted;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let courier = request.caller_with(scopes::COURIER)?.customer;
    let id = OrderId::parse(request.path_parameter("order")).ok_or(Refusal::OrderNotFound)?;
    let (taken, slot) = app
        .store
        .decide(Needs::load([Key::Order(id)]), |books, now| {
            books.decide(|draft| -> Result<_, Halt> {
                let taken = orders::accept(draft, id, courier, now)?.into_inner();
                let slot = draft.glance::<Slot>(Key::Slot(taken.slot()))?;
                Ok((taken, slot))
            })
        })
        .await?;
    Ok(Response::json(200, &accepted(&taken, courier, slot)))
}
