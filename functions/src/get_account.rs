//! `GET /account`: the caller's balance.

use domain::Refusal;
use domain::accounts::Account;
use domain::books::{Kept, Key};
use platform::App;
use platform::http::{Problem, Request, Response};

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let account = load(app, &request).await?;
    Ok(Response::json(200, &views::account(&account)))
}

async fn load(app: &App, request: &Request) -> Result<Account, Problem> {
    let key = Key::Account(request.caller()?.customer);
    let stored = app.store.table().load(&[key]).await?.remove(&key).flatten();
    let account = stored.and_then(|stored| Account::of_item(&stored.found.item).cloned());
    account.ok_or_else(|| Refusal::AccountNotFound.into())
}
