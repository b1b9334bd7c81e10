//! `POST /payments/{id}/refunds/{refund}/complete` and `/fail`: an operator says what becomes of a refund that the gateway
//! does not make: it was given back otherwise, or is kept. Its state is the key.

use domain::Refusal;
use domain::books::{Halt, Key};
use domain::payments::{self, Payment, Refund};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::views::payments::refund;
use crate::{get_payment, get_refund};

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller_with(scopes::OPERATOR)?;
    let given_back = request.route.ends_with("/complete");
    let (payment, id) = (get_payment::id(&request)?, get_refund::id(&request)?);
    let ended = app
        .store
        .decide(Needs::load([Key::Refund(id), Key::Payment(payment)]), |books, now| {
            books.decide(|draft| -> Result<_, Halt> {
                draft.get::<Payment>(Key::Payment(payment))?.ok_or(Refusal::PaymentNotFound)?;
                Refund::of(draft.get(Key::Refund(id))?, payment)?;
                payments::end_refund(draft, id, given_back, now)
            })
        })
        .await?;
    Ok(Response::json(200, &refund(&ended.into_inner())))
}
