//! Sends notifications to their customers' endpoints: each attempt is kept before the call, its outcome after it. The
//! calls of a batch go out together, so that a slow one holds none of the others up.

use domain::webhooks::{self, Attempt, WebhookMessage};
use platform::queue::{Batch, Delivery};
use platform::runtime::{Failed, Invocation};
use platform::store::Needs;
use platform::{App, Failure};
use serde_json::Value;

use crate::webhooks as views;
use crate::work;

pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    Ok(work::together(&batch, |delivery| take(app, delivery)).await)
}

async fn take(app: &App, delivery: &Delivery) -> Result<(), Failure> {
    let message: WebhookMessage = match serde_json::from_str(&delivery.body) {
        Ok(message) => message,
        Err(error) => return work::keep_unreadable(app, delivery, &error.to_string()).await,
    };
    let begun = app
        .store
        .decide(Needs::load(message.needs()), |books, now| books.decide(|draft| webhooks::begin(draft, &message, now)))
        .await?;
    match begun {
        Some(attempt) => make(app, &message, &attempt).await,
        None => Ok(()),
    }
}

async fn make(app: &App, message: &WebhookMessage, attempt: &Attempt) -> Result<(), Failure> {
    let Attempt { number, url, secrets, notification } = attempt;
    let body = views::event(notification);
    let call = platform::webhooks::call(url, secrets, &message.webhook, body, app.now());
    let answer = app.outside.post(call).await;
    let chance = app.store.draw();
    let settled = app
        .store
        .decide(Needs::load(message.needs()), |books, now| {
            books.decide(|draft| webhooks::settle(draft, message.webhook, (*number, url), answer, chance, now))
        })
        .await?;
    tracing::info!(
        webhook = %message.webhook, attempt = number, answer = ?answer, state = ?settled.into_inner(), "a webhook was called"
    );
    Ok(())
}
