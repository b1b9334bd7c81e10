//! `POST /accounts`: opens the caller's account. The caller may have one, so nothing but the caller names it.

use domain::Outcome;
use domain::accounts;
use domain::books::Key;
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let mut fields = request.fields_if_any()?;
    let currency = fields.optional("currency", |value| value.currency())?;
    fields.finish()?;
    let opened = app
        .store
        .decide(Needs::presume_absent(Key::Account(customer)), |books, now| {
            books.decide(|draft| accounts::open(draft, customer, currency, now, &app.config.terms))
        })
        .await?;
    Ok(match opened {
        Outcome::Done(account) => Response::json(201, &views::opened(&account)),
        Outcome::AlreadyDone(account) => Response::json(200, &views::account(&account)),
    })
}
