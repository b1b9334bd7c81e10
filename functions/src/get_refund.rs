//! `GET /payments/{id}/refunds/{refund}`: what is given back of one payment of the caller's; or of anyone's, for whoever
//! gives back or operates.

use domain::Refusal;
use domain::books::Key;
use domain::ids::RefundId;
use domain::payments::{Payment, Refund, seen_by};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};

use crate::get_payment;
use crate::views::payments::refund;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let caller = request.caller()?;
    let (payment, id) = (get_payment::id(&request)?, id(&request));
    let found: Option<Payment> = app.store.table().get(&Key::Payment(payment)).await?;
    if caller.may(scopes::REFUNDS) || caller.may(scopes::OPERATOR) {
        found.ok_or(Refusal::PaymentNotFound)?;
    } else {
        seen_by(&caller.customer, found)?;
    }
    let found: Option<Refund> = app.store.table().get(&Key::Refund(id?)).await?;
    Ok(Response::json(200, &refund(&Refund::of(found, payment)?)))
}

/// The refund that the path names.
pub(crate) fn id(request: &Request) -> Result<RefundId, Refusal> {
    RefundId::parse(request.path_parameter("refund")).ok_or(Refusal::RefundNotFound)
}
