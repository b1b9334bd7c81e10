//! Calls payment gateways: each attempt is kept before the call, what became of it after, and then how the gateway does.
//! The calls of a batch go out together, so that a slow one holds none of the others up.

use domain::books::Key;
use domain::payments::{self, Answer, Attempt, Begun, GatewayMessage, Limits, Went};
use platform::queue::{Batch, Delivery};
use platform::runtime::{Failed, Invocation};
use platform::store::Needs;
use platform::{App, Failure};
use serde_json::Value;

use crate::work;

pub(crate) async fn handle(app: &App, event: Value, _: Invocation) -> Result<Value, Failed> {
    let batch = Batch::from_event(event).map_err(|error| Failed(error.to_string()))?;
    Ok(work::together(&batch, |delivery| take(app, delivery)).await)
}

async fn take(app: &App, delivery: &Delivery) -> Result<(), Failure> {
    let message: GatewayMessage = match serde_json::from_str(&delivery.body) {
        Ok(message) => message,
        Err(error) => return work::keep_unreadable(app, delivery, &error.to_string()).await,
    };
    let chance = app.store.draw();
    // The breaker of the gateway that new cards go to; of another one it is loaded when it is asked for.
    let breaker = app.config.offered.map(Key::Breaker);
    let begun = app
        .store
        .decide(Needs::load([message.key.key()].into_iter().chain(breaker)), |books, now| {
            books.decide(|draft| payments::begin(draft, &message, &Limits::default(), chance, now))
        })
        .await?;
    match begun {
        Begun::Call(attempt) => make(app, &attempt).await,
        Begun::PutOff => {
            tracing::info!(key = %message.key, "a call is put off, as its gateway is not to be called");
            Ok(())
        }
        Begun::Nothing => Ok(()),
    }
}

async fn make(app: &App, attempt: &Attempt) -> Result<(), Failure> {
    let Attempt { key, number, call, gateway, .. } = attempt;
    let answer = app.gateways.call(&app.config, attempt, app.now()).await;
    let chance = app.store.draw();
    let settled = app
        .store
        .decide(Needs::load([key.key()]), |books, now| {
            books.decide(|draft| payments::settle(draft, *key, *number, &answer, chance, now))
        })
        .await;
    tracing::info!(
        key = %key, attempt = number, call = ?call, gateway = gateway.name(), answer = ?answer, "a gateway was called"
    );
    // How the gateway does is so, whether or not it could be kept what it said.
    hear(app, attempt, &answer).await;
    settled.map(drop)
}

/// Counts how a call went. No payment waits for that, and none fails with it.
async fn hear(app: &App, attempt: &Attempt, answer: &Answer) {
    let Attempt { key, gateway, .. } = *attempt;
    let Some(went) = answer.went() else { return };
    if went == Went::Well {
        app.gateways.went_well(gateway, app.now());
    }
    let tally = app.gateways.tally(gateway, app.now());
    let heard = app
        .store
        .decide(Needs::load([Key::Breaker(gateway)]), |books, now| {
            books.decide(|draft| payments::heard(draft, gateway, key, went, tally, &Limits::default(), now))
        })
        .await;
    match heard {
        Ok(true) => app.gateways.counted(gateway),
        Ok(false) => {}
        Err(error) => tracing::warn!(error = %error, gateway = gateway.name(), "how a call went was not counted"),
    }
}
