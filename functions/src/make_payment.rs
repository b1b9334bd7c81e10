//! `POST /payments`: takes a payment by card for an order that is kept elsewhere, once for each idempotency key. The
//! gateway is called later, by the event in the write; what becomes of it is read, or told on the bus.

use domain::books::Key;
use domain::ids::{Fingerprint, PaymentId};
use domain::payments::{self, MakePayment};
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::views::payments::made;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let key = request.idempotency_key()?;
    let terms = &app.config.terms;
    let mut fields = request.fields()?;
    let amount = fields.required("amount", |value| value.amount(terms.currency))?;
    let currency = fields.required("currency", |value| value.currency())?;
    let reference = fields.required("reference", |value| value.reference())?;
    let fingerprint = Fingerprint::of(&request.route, &fields.finish()?);
    let id = PaymentId::of_request(&customer, &key);
    let gateway = app.config.offered;
    let command = gateway.map(|gateway| MakePayment {
        id,
        customer,
        gateway,
        amount,
        currency: Some(currency),
        reference,
        fingerprint,
    });
    let payment = app
        .store
        .decide(Needs::load([Key::Payment(id)]), |books, now| {
            books.decide(|draft| match &command {
                Some(command) => payments::make(draft, command, now, terms),
                None => payments::made_before(draft, id, fingerprint),
            })
        })
        .await?;
    let replayed = payment.is_replay();
    let payment = payment.into_inner();
    let answer = Response::json(202, &made(&payment)).header("location", format!("/payments/{}", payment.id));
    Ok(answer.replayed(replayed))
}
