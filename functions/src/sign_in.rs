//! `POST /sessions`: a token for an e-mail address and its password.
//!
//! An attempt is taken and kept before anything is compared. An address that nobody has goes the same way, to the same
//! answer. What is signed here has no scopes.

use domain::{Millis, Refusal};
use platform::App;
use platform::attempts::{self, SignIn};
use platform::http::{Problem, Request, Response};
use platform::passwords;
use platform::tokens::{Audience, Claims};

use crate::credentials::Credentials;
use crate::views;

/// For how long a token is good. There is no taking it back before.
const GOOD_FOR: Millis = Millis::hours(1);

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let Some(key) = &app.config.signing_key else { return Err(Problem::sign_in_not_set_up()) };
    let Credentials { profile, password } = Credentials::of(&request)?;
    let SignIn { attempt, taken, profile } = attempts::sign_in(&app.store, profile, request.source()?).await?;
    let stored = profile.as_ref().map(|profile| profile.password.clone());
    let checked = passwords::check(attempt, password, stored).await?;
    let Some(profile) = profile.filter(|_| checked.is_right) else { return Err(Refusal::WrongEmailOrPassword.into()) };
    if let Err(error) = attempts::signed_in(&app.store, taken, &profile, checked.renewed.as_ref()).await {
        // The password is right; all that is lost is an attempt, until its budget fills up again.
        tracing::warn!(%error, "an attempt that was right could not be given back");
    }
    let claims = Claims {
        iss: app.config.tokens.issuer.clone(),
        sub: profile.subject(),
        aud: Audience::One(app.config.tokens.audience.clone()),
        exp: app.now().after(GOOD_FOR).as_seconds(),
        nbf: None,
        scope: String::new(),
    };
    let token = key.sign(&claims).map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        Problem::internal()
    })?;
    Ok(Response::json(200, &views::session(token, GOOD_FOR)))
}
