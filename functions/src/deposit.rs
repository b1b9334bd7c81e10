//! `POST /deposits`: takes money in, once for each idempotency key.

use domain::accounts::{self, MakeDeposit};
use domain::ids::{DepositId, Fingerprint};
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let key = request.idempotency_key()?;
    let terms = &app.config.terms;
    let mut fields = request.fields()?;
    let amount = fields.required("amount", |value| value.amount(terms.currency))?;
    let currency = fields.optional("currency", |value| value.currency())?;
    let fingerprint = Fingerprint::of(&request.route, &fields.finish()?);
    accounts::currency_of(currency, terms)?;
    let command = MakeDeposit { id: DepositId::of(&customer, &key), customer, amount, fingerprint };
    let made = app
        .store
        .decide(Needs::load(command.needs()), |books, now| {
            books.decide(|draft| accounts::deposit(draft, &command, now, terms))
        })
        .await?;
    let replayed = made.is_replay();
    Ok(Response::json(201, &views::deposited(&made.into_inner())).replayed(replayed))
}
