//! `POST /profiles`: a profile for an e-mail address and a password. The customer that it names is the one that every
//! token names which the profile signs in for.

use domain::Refusal;
use domain::books::Key;
use domain::ids::Nonce;
use domain::profiles::{self, SignUp};
use platform::App;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;
use platform::{attempts, passwords};

use crate::credentials::Credentials;
use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    if !app.config.sign_ups {
        return Err(Problem::sign_in_not_set_up());
    }
    let Credentials { profile: id, password } = Credentials::of(&request)?;
    let (attempt, is_taken) = attempts::sign_up(&app.store, id, request.source()?).await?;
    if is_taken {
        return Err(Refusal::EmailTaken.into());
    }
    let password = passwords::hash(attempt, password).await?;
    let command = SignUp { id, nonce: Nonce::of(&passwords::chance()?), password };
    let profile = app
        .store
        .decide(Needs::presume_absent(Key::Profile(id)), |books, now| {
            books.decide(|draft| profiles::sign_up(draft, &command, now))
        })
        .await?;
    Ok(Response::json(201, &views::profile(&profile, &app.config.tokens.issuer)))
}
