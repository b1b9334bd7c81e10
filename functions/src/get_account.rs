//! `GET /account`: the caller's balance.

use domain::Refusal;
use domain::accounts::Account;
use domain::books::Key;
use platform::App;
use platform::http::{Problem, Request, Response};

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let key = Key::Account(request.caller()?.customer);
    let account: Account = app.store.table().get(&key).await?.ok_or(Refusal::AccountNotFound)?;
    Ok(Response::json(200, &views::account(&account)))
}
