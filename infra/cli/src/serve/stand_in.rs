//! The payment gateway's stand-in beside the served system, on a port of its own of this machine: cards are charged
//! through it, it calls back to the API, and its book is kept with the state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gateway::{Mood, Running, Settings, WebhookSecret};

use super::Listener;
use crate::failure::Failure;
use crate::state::{GatewaySecrets, StateDirectory};

/// A payment method of Stripe's for trying, which is always good for it.
const STRIPE_PAYMENT_METHOD: &str = "pm_card_visa";

/// The parameter of a template that has cards charged.
pub(crate) const TAKEN_BY: &str = "PlainGatewayUrl:";

pub(crate) struct StandIn {
    listener: Listener,
    secrets: GatewaySecrets,
}

impl StandIn {
    pub(crate) async fn open(port: u16, state: &StateDirectory) -> Result<Self, Failure> {
        let listener = Listener::open(port, "--gateway-port").await?;
        Ok(Self { listener, secrets: state.gateway_secrets_or_new()? })
    }

    pub(super) const fn port(&self) -> u16 {
        self.listener.port
    }

    /// What the functions have to know of it, where nobody says otherwise.
    pub(crate) fn tell(&self, parameters: &mut BTreeMap<String, String>) {
        let url = format!("http://127.0.0.1:{}", self.listener.port);
        let GatewaySecrets { api_key, plain_webhooks, stripe_webhooks } = &self.secrets;
        for (name, value) in [
            ("Gateway", gateway::Protocol::Plain.name()),
            ("PlainGatewayUrl", &url),
            ("PlainGatewayKey", api_key),
            ("PlainWebhookSecrets", plain_webhooks),
            ("StripeUrl", &url),
            ("StripeKey", api_key),
            ("StripePaymentMethod", STRIPE_PAYMENT_METHOD),
            ("StripeWebhookSecrets", stripe_webhooks),
        ] {
            parameters.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    /// Begins, with a little misbehaviour, and calls back to the API at `url`.
    pub(crate) fn start(self, state: &StateDirectory, url: &str) -> Result<Running, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let GatewaySecrets { api_key, plain_webhooks, stripe_webhooks } = self.secrets;
        let settings = Settings {
            api_key: Some(api_key),
            callback_url: Some(
                gateway::callback_url(&format!("{url}/payments/callback")).map_err(|error| failed(&error))?,
            ),
            webhook_secrets: vec![WebhookSecret::parse(&plain_webhooks).map_err(|error| failed(&error))?],
            stripe_secrets: vec![stripe_webhooks],
            ..Settings::default()
        };
        let options = gateway::Options {
            settings,
            mood: Mood::usual(),
            seed: fastrand::u64(..),
            clock: Arc::new(now_ms),
            journal: Some(state.gateway_book()),
        };
        gateway::start(self.listener.socket, options).map_err(|error| failed(&error))
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge of the process reads the clock for the gateway")]
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
