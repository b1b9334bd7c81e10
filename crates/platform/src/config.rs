//! Configuration, read once from the variables that the template sets. What is missing or wrong fails at start, by
//! name, and never in the middle of a request.

mod gateways;

use std::sync::Arc;

use domain::payments::Gateway;
use domain::webhooks::Reach;
use domain::{Currency, Millis, Terms};

pub use self::gateways::{ApiKey, BaseUrl, PlainGateway, Reached, StripeGateway};
use crate::callbacks::{Callbacks, Scheme, UnfitSecret, Verifier};
use crate::tokens::{self, Keys, SigningKey};

#[derive(Clone, Debug)]
pub struct Config {
    pub table: String,
    pub order_updates_url: String,
    pub notifications_url: String,
    pub webhooks_url: String,
    pub gateway_calls_url: String,
    pub bus: String,
    /// Set for the one function that reads it.
    pub failed_records_bucket: Option<String>,
    pub terms: Terms,
    /// Our own issuer, in whose name we sign.
    pub tokens: TokenConfig,
    /// Its keys, for whoever wants to believe our tokens.
    pub published_keys: String,
    /// What signs its tokens. Set for the one function that does.
    pub signing_key: Option<Arc<SigningKey>>,
    /// Somebody else whose tokens are believed too. Set for the one function that believes.
    pub outside: Option<TokenConfig>,
    /// Whether anybody may sign up. Set for the one function that asks.
    pub sign_ups: bool,
    /// Through which gateway new cards are charged; without one there are no cards.
    pub offered: Option<Gateway>,
    /// How gateways are called. Set for the one function that does.
    pub reached: Option<Reached>,
    /// Who may call back. Set for the one function that takes callbacks.
    pub callbacks: Callbacks,
    pub region: String,
    pub endpoint_url: Option<String>,
    pub credentials: Option<Credentials>,
    pub log_level: String,
}

#[derive(Clone, Debug)]
pub struct TokenConfig {
    pub issuer: String,
    pub audience: String,
    pub keys: Keys,
}

#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the variable {0} is not set; the template sets it for every function")]
    Missing(&'static str),
    #[error("the variable {name} is {value:?}; it must be {must_be}")]
    Wrong { name: &'static str, value: String, must_be: String },
    #[error("the variable SIGNING_KEY must be an Ed25519 key, as PKCS #8 in base 64 or PEM")]
    NoSigningKey,
    #[error("nobody would believe what SIGNING_KEY signs: add its public half to TOKEN_KEYS: {0}")]
    SigningKeyUnknown(String),
    #[error("the variable {0} cannot be used: {1}")]
    UnfitSecrets(&'static str, UnfitSecret),
    #[error("the variable {0} must be the key that the gateway knows us by, up to 500 visible ASCII characters")]
    NoGatewayKey(&'static str),
}

fn wrong(name: &'static str, value: &str, must_be: &str) -> ConfigError {
    ConfigError::Wrong { name, value: value.to_owned(), must_be: must_be.to_owned() }
}

impl Config {
    /// Reads what the process was started with, which is one that is deployed.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::deployed(|name| std::env::var(name).ok())
    }

    fn deployed(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let config = Self::read(variable)?;
        config.reached.iter().try_for_each(|reached| reached.check(Reach::Public))?;
        Ok(config)
    }

    /// An empty variable is one that is not set: `sam local` can only override what the template declares.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let optional = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &'static str| optional(name).ok_or(ConfigError::Missing(name));

        let code = required("CURRENCY")?;
        let currency = Currency::from_code(&code)
            .ok_or_else(|| wrong("CURRENCY", &code, "a currency of ISO 4217, such as EUR"))?;
        let hours = required("WAIT_HOURS")?;
        let wait = hours
            .parse()
            .ok()
            .filter(|hours| (1..=8_760).contains(hours))
            .map(Millis::hours)
            .ok_or_else(|| wrong("WAIT_HOURS", &hours, "a whole number of hours from 1 to 8760"))?;
        let set = required("TOKEN_KEYS")?;
        let keys = Keys::from_json(&set).map_err(|error| wrong("TOKEN_KEYS", &set, &error.to_string()))?;
        let tokens = TokenConfig { issuer: required("TOKEN_ISSUER")?, audience: required("TOKEN_AUDIENCE")?, keys };
        let published_keys = tokens::published(&set).map_err(|error| wrong("TOKEN_KEYS", &set, &error.to_string()))?;
        let signing_key = match optional("SIGNING_KEY") {
            None => None,
            Some(text) => {
                let key = SigningKey::from_text(&text).map_err(|_| ConfigError::NoSigningKey)?;
                if !tokens.keys.believe(&key) {
                    return Err(ConfigError::SigningKeyUnknown(key.key_set()));
                }
                Some(Arc::new(key))
            }
        };
        let outside = match optional("OUTSIDE_ISSUER") {
            None => None,
            Some(issuer) if issuer == tokens.issuer => {
                return Err(wrong("OUTSIDE_ISSUER", &issuer, "another than TOKEN_ISSUER, or two people would be one"));
            }
            Some(issuer) => {
                let since_there_is_one = |name, must_be| optional(name).ok_or_else(|| wrong(name, "", must_be));
                let audience = since_there_is_one("OUTSIDE_AUDIENCE", "the audience of tokens of OUTSIDE_ISSUER")?;
                let set = since_there_is_one("OUTSIDE_KEYS", "the keys of OUTSIDE_ISSUER")?;
                let keys = Keys::from_json(&set).map_err(|error| wrong("OUTSIDE_KEYS", &set, &error.to_string()))?;
                if keys.is_empty() {
                    return Err(wrong("OUTSIDE_KEYS", &set, "the keys of OUTSIDE_ISSUER, at least one"));
                }
                Some(TokenConfig { issuer, audience, keys })
            }
        };
        let sign_ups = match optional("SIGN_UPS").as_deref() {
            None | Some("closed") => false,
            Some("open") => true,
            Some(other) => return Err(wrong("SIGN_UPS", other, "open or closed")),
        };
        let offered = gateways::offered(optional("GATEWAY").as_deref(), currency)?;
        let reached = gateways::reached(&optional, offered)?;
        let verifier = |name, scheme| {
            let verifier = optional(name).map(|secrets| Verifier::new(scheme, &secrets));
            verifier.transpose().map_err(|unfit| ConfigError::UnfitSecrets(name, unfit))
        };
        let callbacks = Callbacks::new(
            verifier("PLAIN_WEBHOOK_SECRETS", Scheme::StandardWebhooks)?,
            verifier("STRIPE_WEBHOOK_SECRETS", Scheme::Stripe)?,
        );
        let credentials = match (optional("AWS_ACCESS_KEY_ID"), optional("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret_access_key)) => {
                Some(Credentials { access_key_id, secret_access_key, session_token: optional("AWS_SESSION_TOKEN") })
            }
            _ => None,
        };
        Ok(Self {
            table: required("TABLE_NAME")?,
            order_updates_url: required("ORDER_UPDATES_URL")?,
            notifications_url: required("NOTIFICATIONS_URL")?,
            webhooks_url: required("WEBHOOKS_URL")?,
            gateway_calls_url: required("GATEWAY_CALLS_URL")?,
            bus: required("BUS_NAME")?,
            failed_records_bucket: optional("FAILED_RECORDS_BUCKET"),
            terms: Terms { currency, wait },
            tokens,
            published_keys,
            signing_key,
            outside,
            sign_ups,
            offered,
            reached,
            callbacks,
            region: required("AWS_REGION")?,
            endpoint_url: optional("AWS_ENDPOINT_URL"),
            credentials,
            log_level: optional("LOG_LEVEL").unwrap_or_else(|| "info".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn complete() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("TABLE_NAME", "t"),
            ("ORDER_UPDATES_URL", "u"),
            ("NOTIFICATIONS_URL", "n"),
            ("WEBHOOKS_URL", "w"),
            ("GATEWAY_CALLS_URL", "g"),
            ("BUS_NAME", "b"),
            ("CURRENCY", "EUR"),
            ("WAIT_HOURS", "72"),
            ("TOKEN_ISSUER", "i"),
            ("TOKEN_AUDIENCE", "a"),
            ("TOKEN_KEYS", r#"{"keys":[]}"#),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", ""),
        ])
    }

    fn read(variables: &BTreeMap<&'static str, &str>) -> Result<Config, ConfigError> {
        Config::read(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(read(&complete()).unwrap().endpoint_url, None, "empty is not set");
        for name in complete().into_keys().filter(|name| *name != "AWS_ENDPOINT_URL") {
            let mut variables = complete();
            variables.insert(name, "");
            assert!(read(&variables).unwrap_err().to_string().contains(name));
        }
        for (name, value) in [
            ("CURRENCY", "euro"),
            ("WAIT_HOURS", "0"),
            ("WAIT_HOURS", "8761"),
            ("WAIT_HOURS", "1.5"),
            ("TOKEN_KEYS", "{"),
            ("TOKEN_KEYS", r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#),
        ] {
            let mut variables = complete();
            variables.insert(name, value);
            let error = read(&variables).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("must be"), "{error}");
        }
    }

    #[test]
    fn a_signing_key_is_one_and_is_believed_or_is_refused_without_being_shown() {
        let (bytes, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let set = SigningKey::from_pkcs8(&bytes).unwrap().key_set();
        let (right, strange) = (data_encoding::BASE64.encode(&bytes), data_encoding::BASE64.encode(&other));
        let with = |key: &str| {
            let mut variables: BTreeMap<&'static str, &str> = complete();
            variables.extend([("TOKEN_KEYS", set.as_str()), ("SIGNING_KEY", key)]);
            read(&variables).map(|config| config.signing_key.is_some())
        };
        assert!(matches!((with(""), with(&right)), (Ok(false), Ok(true))));
        for (wrong, says) in [("c2VjcmV0", "must be an Ed25519 key"), (&strange, "add its public half to TOKEN_KEYS")] {
            let error = with(wrong).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn a_gateway_is_known_and_its_secrets_are_named_and_not_shown() {
        let with = |name: &'static str, value: &str| {
            let mut variables: BTreeMap<&'static str, &str> = complete();
            variables.insert(name, value);
            read(&variables)
        };
        assert_eq!(read(&complete()).unwrap().offered, None);
        assert_eq!(with("GATEWAY", "stripe").unwrap().offered, Some(Gateway::Stripe));
        assert!(with("GATEWAY", "Plain").unwrap_err().to_string().contains("plain, stripe"));
        let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let config = with("PLAIN_WEBHOOK_SECRETS", &format!("{good} {good}")).unwrap();
        assert!(!format!("{config:?}").contains(good));
        for (name, secrets) in [
            ("PLAIN_WEBHOOK_SECRETS", "whsec_c2VjcmV0"),
            ("PLAIN_WEBHOOK_SECRETS", &format!("{good} hushhush")),
            ("STRIPE_WEBHOOK_SECRETS", "tooshort"),
            ("STRIPE_WEBHOOK_SECRETS", " "),
        ] {
            let error = with(name, secrets).unwrap_err().to_string();
            let is_shown = secrets.split_whitespace().any(|secret| error.contains(secret));
            assert!(error.contains(name) && !is_shown, "{error}");
        }
    }

    #[test]
    fn an_outside_issuer_is_whole_and_another() {
        let keys = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap().key_set();
        let whole = [("OUTSIDE_ISSUER", "o"), ("OUTSIDE_AUDIENCE", "oa"), ("OUTSIDE_KEYS", keys.as_str())];
        let with = |change: Option<(&'static str, &'static str)>| {
            let mut variables: BTreeMap<&'static str, &str> = complete();
            variables.extend(whole);
            variables.extend(change);
            read(&variables)
        };
        assert_eq!(with(None).unwrap().outside.unwrap().issuer, "o");
        assert!(with(Some(("OUTSIDE_ISSUER", ""))).unwrap().outside.is_none());
        for (name, value) in [
            ("OUTSIDE_ISSUER", "i"),
            ("OUTSIDE_AUDIENCE", ""),
            ("OUTSIDE_KEYS", ""),
            ("OUTSIDE_KEYS", "{"),
            ("OUTSIDE_KEYS", r#"{"keys":[]}"#),
        ] {
            let error = with(Some((name, value))).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("must be"), "{error}");
        }
        let mut variables = complete();
        variables.insert("SIGN_UPS", "yes");
        assert!(read(&variables).unwrap_err().to_string().contains("SIGN_UPS"));
    }

    fn calling() -> BTreeMap<&'static str, &'static str> {
        let mut variables = complete();
        variables.extend([
            ("GATEWAY", "plain"),
            ("PLAIN_GATEWAY_URL", "https://gateway.example/api/"),
            ("PLAIN_GATEWAY_KEY", "hush-plain"),
            ("STRIPE_KEY", "hush-stripe"),
            ("STRIPE_PAYMENT_METHOD", "pm_card_visa"),
            ("GATEWAY_CONNECT_MS", "3000"),
            ("GATEWAY_TIMEOUT_MS", "15000"),
        ]);
        variables
    }

    #[test]
    fn a_function_that_calls_gateways_knows_all_that_it_takes() {
        let config = read(&calling()).unwrap();
        let reached = config.reached.clone().unwrap();
        let (plain, stripe) = (reached.plain.unwrap(), reached.stripe.unwrap());
        assert_eq!(config.offered, Some(Gateway::Plain));
        assert_eq!(plain.url.to_string(), "https://gateway.example/api");
        assert_eq!(stripe.url.to_string(), "https://api.stripe.com");
        assert_eq!((reached.connect.as_millis(), reached.total.as_millis()), (3_000, 15_000));
        let shown = format!("{config:?}");
        assert!(shown.contains("gateway.example") && !shown.contains("hush"), "{shown}");
        // Whoever calls nobody is told nothing of it, and is not asked for it.
        let mut variables = complete();
        variables.insert("GATEWAY", "plain");
        let config = read(&variables).unwrap();
        assert!(config.offered == Some(Gateway::Plain) && config.reached.is_none());
        assert_eq!(read(&complete()).unwrap().offered, None);
    }

    #[test]
    fn what_is_wrong_with_a_gateway_is_named_and_no_key_is_shown() {
        for (name, value) in [
            ("GATEWAY", "paypal"),
            ("PLAIN_GATEWAY_URL", ""),
            ("PLAIN_GATEWAY_URL", "gateway.example"),
            ("PLAIN_GATEWAY_URL", "http://gateway.example"),
            ("PLAIN_GATEWAY_URL", "http://localhost.gateway.example"),
            ("PLAIN_GATEWAY_URL", "https://user@gateway.example"),
            ("PLAIN_GATEWAY_URL", "https://gateway.example/?a=b"),
            ("PLAIN_GATEWAY_URL", "https://gateway.example/#a"),
            ("PLAIN_GATEWAY_URL", "https://"),
            ("PLAIN_GATEWAY_URL", "ftp://gateway.example"),
            ("PLAIN_GATEWAY_KEY", ""),
            ("PLAIN_GATEWAY_KEY", "hush hush"),
            ("PLAIN_GATEWAY_KEY", "hush\nx: y"),
            ("STRIPE_URL", "http://api.stripe.example"),
            ("STRIPE_KEY", "hush hush"),
            ("STRIPE_PAYMENT_METHOD", ""),
            ("STRIPE_PAYMENT_METHOD", "4242424242424242"),
            ("STRIPE_PAYMENT_METHOD", "pm_a&b"),
            ("GATEWAY_CONNECT_MS", "0"),
            ("GATEWAY_CONNECT_MS", "15000"),
            ("GATEWAY_CONNECT_MS", "1.5"),
            ("GATEWAY_CONNECT_MS", ""),
            ("GATEWAY_TIMEOUT_MS", "30001"),
            ("GATEWAY_TIMEOUT_MS", ""),
        ] {
            let mut variables = calling();
            variables.insert(name, value);
            let error = read(&variables).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("hush"), "{name}={value}: {error}");
        }
        let mut variables = calling();
        variables.extend([("GATEWAY", "stripe"), ("STRIPE_KEY", "")]);
        assert!(read(&variables).unwrap_err().to_string().contains("STRIPE_KEY"), "it is offered and has no key");
    }

    #[test]
    fn stripe_is_not_offered_where_it_counts_otherwise() {
        for (currency, is_offered) in [
            ("EUR", true),
            ("JPY", true),
            ("HUF", true),
            ("KWD", false),
            ("ISK", false),
            ("UGX", false),
            ("MGA", false),
        ] {
            let mut variables = complete();
            variables.extend([("CURRENCY", currency), ("GATEWAY", "stripe")]);
            match read(&variables) {
                Ok(_) => assert!(is_offered, "{currency}"),
                Err(error) => assert!(!is_offered && error.to_string().contains("GATEWAY"), "{currency}: {error}"),
            }
            variables.insert("GATEWAY", "plain");
            assert!(read(&variables).is_ok(), "{currency}");
        }
    }

    #[test]
    fn only_a_machine_of_ones_own_calls_a_gateway_without_tls() {
        for url in ["http://127.0.0.1:4567", "http://localhost:4567/", "http://[::1]:4567"] {
            let mut variables = calling();
            variables.insert("PLAIN_GATEWAY_URL", url);
            assert!(read(&variables).is_ok(), "{url}");
            let deployed = Config::deployed(|name| variables.get(name).map(|value| (*value).to_owned()));
            assert!(deployed.unwrap_err().to_string().contains("PLAIN_GATEWAY_URL"), "{url}");
        }
        assert!(Config::deployed(|name| calling().get(name).map(|value| (*value).to_owned())).is_ok());
    }
}
