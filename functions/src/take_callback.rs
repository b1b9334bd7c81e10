//! `POST /payments/callback`: what a gateway calls back with. Nobody signs in here: the signature says who calls. Nothing
//! of the body is read before it is known to be the gateway's, and nothing is written of what is not.
//!
//! A gateway takes any 2xx for taken and sends the rest again. So what is not about ours is a 200, which ends it; and what
//! is signed and cannot be read is a 400, so that it comes again until somebody has seen to it.

use domain::messages::Unreadable;
use domain::payments::{self, Gateway, Taken};
use platform::App;
use platform::callbacks;
use platform::http::{Problem, Request, Response};
use platform::store::Needs;

use crate::views::payments::callback;
use crate::work;

/// Of what cannot be read, so much is kept: an item holds no more than 400 KB.
const MOST_KEPT: usize = 256 * 1_024;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let body = request.body();
    let verified = app.config.callbacks.verify(request.headers(), body, request.now);
    let (gateway, verified) = verified.map_err(|doubt| {
        tracing::warn!(%doubt, "a callback is not believed");
        Problem::callback_not_verified()
    })?;
    let command = match callbacks::event(gateway, verified.id.as_deref(), body) {
        Ok(Some(command)) => command,
        Ok(None) => {
            tracing::info!(gateway = gateway.name(), "a callback is about nothing of ours");
            return Ok(Response::json(200, &callback("not_ours")));
        }
        Err(malformed) => return Err(keep_malformed(app, gateway, body, &malformed.to_string()).await?),
    };
    let taken = app
        .store
        .decide(Needs::load(command.needs()), |books, now| books.decide(|draft| payments::take(draft, &command, now)))
        .await?;
    tracing::info!(gateway = gateway.name(), of = %command.of, ?taken, "a callback came");
    match taken {
        Taken::Now => Ok(Response::json(200, &callback("taken"))),
        Taken::Early => Ok(Response::json(200, &callback("early"))),
        Taken::Before => Ok(Response::json(200, &callback("repeated"))),
        Taken::Changed => Err(Problem::callback_changed()),
    }
}

/// For a person to look at: once, however often it comes.
async fn keep_malformed(app: &App, gateway: Gateway, body: &[u8], reason: &str) -> Result<Problem, Problem> {
    tracing::error!(gateway = gateway.name(), reason, "a callback is signed and cannot be read; its content is kept");
    let source = format!("callbacks of {}", gateway.name());
    let content = String::from_utf8_lossy(&body[..body.len().min(MOST_KEPT)]);
    let kept = Unreadable::new(&source, &content, reason.to_owned(), app.now());
    work::keep_once(app, kept).await?;
    Ok(Problem::callback_malformed())
}
