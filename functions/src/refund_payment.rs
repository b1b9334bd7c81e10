//! `POST /payments/{id}/refunds`: begins to give back some or all of what a payment captured, once for each idempotency
//! key. It counts against what was captured before the gateway is called.

use domain::accounts;
use domain::ids::{Fingerprint, RefundId};
use domain::payments::{self, AskRefund};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::get_payment;
use crate::views::payments::begun;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let caller = request.caller_with(scopes::REFUNDS)?.customer;
    let key = request.idempotency_key()?;
    let terms = &app.config.terms;
    let mut fields = request.fields_if_any()?;
    let amount = fields.optional("amount", |value| value.amount(terms.currency))?;
    let currency = fields.optional("currency", |value| value.currency())?;
    let fingerprint = Fingerprint::of(&request.route, &fields.finish()?);
    accounts::currency_of(currency, terms)?;
    let payment = get_payment::id(&request)?;
    let id = RefundId::of_request(&caller, &key);
    let command = AskRefund { id, payment, customer: caller, amount, fingerprint };
    let refund = app
        .store
        .decide(Needs::load(command.needs()), |books, now| {
            books.decide(|draft| payments::ask_refund_of_anyones(draft, &command, now, terms))
        })
        .await?;
    let replayed = refund.is_replay();
    let refund = refund.into_inner();
    let place = format!("/payments/{}/refunds/{}", refund.payment, refund.id);
    Ok(Response::json(202, &begun(&refund)).header("location", place).replayed(replayed))
}
