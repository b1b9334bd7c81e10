//! Whoever calls back in a gateway's name: events of both protocols, signed with what the system shares with them, and with
//! nothing of ours.

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::Request;
use local_system::{Options, System};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Answer;

pub(crate) const PLAIN_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The one that is on its way out. Both are good.
pub(crate) const FORMER_PLAIN_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const STRIPE_SECRET: &str = "whsec_stripe_secret_of_a_test";

/// Has cards charged, and callbacks of both gateways taken.
pub(crate) fn with_gateway(options: &mut Options, gateway: &str) {
    for (name, value) in [
        ("Gateway", gateway),
        ("PlainWebhookSecrets", &format!("{FORMER_PLAIN_SECRET} {PLAIN_SECRET}")),
        ("StripeWebhookSecrets", STRIPE_SECRET),
        ("PlainGatewayUrl", "https://gateway.example"),
        ("PlainGatewayKey", "key_of_a_test"),
        ("StripeKey", "sk_test_of_a_test"),
        ("StripePaymentMethod", "pm_card_visa"),
    ] {
        options.parameters.entry(name.to_owned()).or_insert(value.to_owned());
    }
}

/// HMAC as RFC 2104 has it.
pub(crate) fn hmac(key: &[u8], content: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        key.iter().zip(&mut block).for_each(|(key, block)| *block ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(content).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A callback on its way, whose parts can still be changed.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Callback {
    /// As the plain protocol signs it: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    pub(crate) fn plain(secret: &str, id: &str, seconds: i64, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap().as_bytes()).unwrap();
        let tag = hmac(&key, &[format!("{id}.{seconds}.").as_bytes(), &body].concat());
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", format!("v1,{}", BASE64.encode(&tag))),
        ];
        Self { headers, body }
    }

    /// As Stripe signs it.
    pub(crate) fn stripe(secret: &str, seconds: i64, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let tag = hmac(secret.as_bytes(), &[format!("{seconds}.").as_bytes(), &body].concat());
        let signature = format!("t={seconds},v1={}", HEXLOWER.encode(&tag));
        let headers = vec![("content-type", "application/json".to_owned()), ("stripe-signature", signature)];
        Self { headers, body }
    }

    /// The same with another header in the place of this one.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone()
    }

    pub(crate) async fn send(&self, system: &System) -> Answer {
        let mut request = Request::post("/payments/callback").header("host", "localhost");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        system.call(request.body(self.body.clone()).unwrap()).await.into()
    }
}

/// An event of the plain protocol about a charge.
pub(crate) fn of_charge(kind: &str, key: &str, minor: i64, currency: &str) -> Value {
    json!({
        "type": format!("charge.{kind}"),
        "timestamp": "2026-11-21T05:53:03Z",
        "data": { "charge": {
            "id": "ch_1", "key": key, "reference": "order 7", "amount": minor, "currency": currency, "state": kind,
            "refunded": 0, "decline": null,
        } },
    })
}

/// An event of the plain protocol about a refund.
pub(crate) fn of_refund(kind: &str, key: &str, minor: i64, currency: &str) -> Value {
    json!({
        "type": format!("refund.{kind}"),
        "timestamp": "2026-11-21T05:53:03Z",
        "data": { "refund": {
            "id": "re_1", "key": key, "charge": "ch_1", "amount": minor, "currency": currency, "state": kind,
        } },
    })
}

/// The gateway of the plain protocol calls back now, under this id.
pub(crate) async fn call_back(system: &System, id: &str, event: &Value) -> Answer {
    let seconds = system.app().now().as_seconds();
    Callback::plain(PLAIN_SECRET, id, seconds, event.to_string()).send(system).await
}
