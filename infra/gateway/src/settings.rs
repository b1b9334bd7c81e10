//! What a gateway is told when it is made: whom it believes, how it signs, where it calls back.

use std::net::IpAddr;

use data_encoding::BASE64;
use url::{Host, Url};

/// A day, as Stripe has it.
const RETENTION_MS: i64 = 24 * 3_600_000;

#[derive(Clone, Debug)]
pub struct Settings {
    /// What a caller must say who it is: `Authorization: Bearer KEY`, or as the user name of Basic. None lets everyone in.
    pub api_key: Option<String>,
    /// Where callbacks go. None sends none, and keeps them in the book.
    pub callback_url: Option<Url>,
    /// What callbacks of the plain protocol are signed with, as Standard Webhooks has it; each of them signs.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// What callbacks of Stripe's protocol are signed with; each of them signs.
    pub stripe_secrets: Vec<String>,
    /// For how long a request is known by its idempotency key.
    pub key_retention_ms: i64,
    /// How many calls the book keeps one by one; older ones are forgotten, what they did is not.
    pub calls_kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_key: None,
            callback_url: None,
            webhook_secrets: Vec::new(),
            stripe_secrets: Vec::new(),
            key_retention_ms: RETENTION_MS,
            calls_kept: 100_000,
        }
    }
}

/// `whsec_` and the key in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SettingsError::Secret("it does not begin with whsec_"))?;
        let key = BASE64.decode(encoded.as_bytes()).map_err(|_| SettingsError::Secret("it is not base64"))?;
        // What Standard Webhooks recommends as the least and the most.
        if !(24..=64).contains(&key.len()) {
            return Err(SettingsError::Secret("the key has 24 to 64 bytes"));
        }
        Ok(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    #[error("a webhook secret is `whsec_` and a key in base64: {0}")]
    Secret(&'static str),
    #[error(
        "callbacks go to http:// on a loopback address, such as http://127.0.0.1:3000/payments/callback, not to {0}"
    )]
    CallbackUrl(String),
}

/// A url that leads to this machine and nowhere else.
pub fn callback_url(text: &str) -> Result<Url, SettingsError> {
    let refused = || SettingsError::CallbackUrl(text.to_owned());
    let url = Url::parse(text).map_err(|_| refused())?;
    if url.scheme() == "http" && loopback(&url).is_some() { Ok(url) } else { Err(refused()) }
}

/// The address of this machine that a url stands for.
pub(crate) fn loopback(url: &Url) -> Option<IpAddr> {
    let address = match url.host()? {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
        // It is asked of no resolver, so that it means nothing else.
        Host::Domain("localhost") => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        Host::Domain(_) => return None,
    };
    address.is_loopback().then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_stay_on_this_machine() {
        for text in
            ["http://127.0.0.1:3000/payments/callback", "http://localhost:1/", "http://[::1]:80/x", "http://127.1/"]
        {
            assert!(callback_url(text).is_ok(), "{text}");
        }
        for text in [
            "https://127.0.0.1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
            "ftp://localhost/",
            "localhost:3000",
            "",
        ] {
            assert_eq!(callback_url(text), Err(SettingsError::CallbackUrl(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_secret_is_of_the_form_that_standard_webhooks_has() {
        assert_eq!(WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().bytes().len(), 24);
        for text in [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "whsec_!",
        ] {
            assert!(WebhookSecret::parse(text).is_err(), "{text}");
        }
    }
}
