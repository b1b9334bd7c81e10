//! `GET /payments/{id}`: one payment of the caller's, with what of it was given back; or of anyone's, for an operator, with
//! what is in doubt about it. Another's is answered as one that does not exist.

use std::collections::BTreeMap;

use domain::Refusal;
use domain::books::{Kept as _, Key};
use domain::ids::{PaymentId, RefundId};
use domain::payments::{self, Payment, Refund, RefundState};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};

use crate::views::payments::{of_operator, of_owner};

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let caller = request.caller()?;
    let id = id(&request)?;
    let payment: Option<Payment> = app.store.table().get(&Key::Payment(id)).await?;
    let is_operator = caller.may(scopes::OPERATOR);
    let payment = if is_operator {
        payment.ok_or(Refusal::PaymentNotFound)?
    } else {
        payments::seen_by(&caller.customer, payment)?
    };
    let open = open_refunds(app, &payment).await?;
    let answer = if is_operator { of_operator(&payment, &open) } else { of_owner(&payment, &open) };
    Ok(Response::json(200, &answer))
}

/// The payment that the path names.
pub(crate) fn id(request: &Request) -> Result<PaymentId, Refusal> {
    PaymentId::parse(request.path_parameter("id")).ok_or(Refusal::PaymentNotFound)
}

/// How it stands with what is on its way back.
pub(crate) async fn open_refunds(app: &App, payment: &Payment) -> Result<BTreeMap<RefundId, RefundState>, Problem> {
    if payment.open_refunds.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<Key> = payment.open_refunds.iter().copied().map(Key::Refund).collect();
    let found = app.store.table().load(&keys).await?.into_values().flatten();
    let states = found.filter_map(|stored| Refund::of_item(&stored.found.item).map(|refund| (refund.id, refund.state)));
    Ok(states.collect())
}
