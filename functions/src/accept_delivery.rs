//! `POST /deliveries/{order}/accept`: a courier takes an order whose slot has no room. Its state is its key: the same
//! courier taking it again finds it taken.

use domain::Refusal;
use domain::books::Key;
use domain::ids::OrderId;
use domain::orders;
use domain::slots::Slot;
use platform::App;
use platform::http::{Problem, Request, Response, scopes};

use crate::views::goods::accepted;
use crate::work;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let courier = request.caller_with(scopes::COURIER)?.customer;
    let id = OrderId::parse(request.path_parameter("order")).ok_or(Refusal::OrderNotFound)?;
    let needs = work::all_of(app, id).await?;
    let (taken, slot) = app
        .store
        .decide(needs, |books, now| {
            let taken = books.decide(|draft| orders::accept(draft, id, courier, now))?.into_inner();
            let slot = books.peek::<Slot>(&Key::Slot(taken.slot())).copied();
            Ok((taken, slot))
        })
        .await?;
    Ok(Response::json(200, &accepted(&taken, courier, slot)))
}
