//! How gateways are reached, as the one function that calls them is told: where each is, what lets us in, and how long it
//! may take.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use domain::Currency;
use domain::payments::Gateway;
use domain::webhooks::Reach;

use super::ConfigError;

/// Whoever is called, and for how long.
#[derive(Clone, Debug)]
pub struct Reached {
    pub plain: Option<PlainGateway>,
    pub stripe: Option<StripeGateway>,
    /// Within which a connection has to come about.
    pub connect: Duration,
    /// Within which a call has to be over, connecting and all.
    pub total: Duration,
}

#[derive(Clone, Debug)]
pub struct PlainGateway {
    pub url: BaseUrl,
    pub key: ApiKey,
}

#[derive(Clone, Debug)]
pub struct StripeGateway {
    pub url: BaseUrl,
    pub key: ApiKey,
    /// What every payment is charged to. Cards are not taken here.
    pub payment_method: String,
}

/// What lets us in. It is shown to nobody but the gateway.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// Where a gateway is: `https://` anywhere, or `http://` on a machine of one's own. It does not end in a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '@']);
        let uri: http::Uri = text.parse().ok().filter(|_| is_plain)?;
        let is_known = match uri.scheme_str()? {
            "https" => !uri.host()?.is_empty(),
            "http" => is_loopback(uri.host()?),
            _ => false,
        };
        is_known.then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// Whether a url that begins with one may be called from here.
    pub(crate) fn is_within(url: &str, reach: Reach) -> bool {
        let has = |scheme: &str| url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
        let is_local = || url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback));
        has("https://") || (reach == Reach::ThisMachineToo && has("http://") && is_local())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

const SHORTEST_MS: u64 = 100;
/// Below the time limit of the function that calls, with what it keeps before and after.
const LONGEST_MS: u64 = 30_000;

/// Through which gateway new cards are charged, if through any.
pub(super) fn offered(name: Option<&str>, currency: Currency) -> Result<Option<Gateway>, ConfigError> {
    let Some(name) = name else { return Ok(None) };
    let wrong = |must_be: &str| super::wrong("GATEWAY", name, must_be);
    match Gateway::parse(name) {
        None => Err(wrong("plain, stripe, or empty")),
        Some(Gateway::Stripe) if !stripe_charges_exactly(currency) => {
            let must_be =
                format!("another gateway, since Stripe counts {currency} in another unit than its smallest one");
            Err(wrong(&must_be))
        }
        gateway => Ok(gateway),
    }
}

/// Whether Stripe's unit of a currency is the smallest that ISO 4217 has. Of three digits it takes no last one, two
/// currencies without digits it counts in hundredths, and one with two as if it had none.
fn stripe_charges_exactly(currency: Currency) -> bool {
    currency.digits() < 3 && !["ISK", "UGX", "MGA"].contains(&currency.code())
}

/// Only the function that calls is told how long that may take, and so how to.
pub(super) fn reached(
    optional: &impl Fn(&str) -> Option<String>,
    offered: Option<Gateway>,
) -> Result<Option<Reached>, ConfigError> {
    let (connect, total) = ("GATEWAY_CONNECT_MS", "GATEWAY_TIMEOUT_MS");
    if optional(connect).is_none() && optional(total).is_none() {
        return Ok(None);
    }
    let milliseconds = |name: &'static str| {
        let text = optional(name).ok_or(ConfigError::Missing(name))?;
        let number = text.parse().ok().filter(|number| (SHORTEST_MS..=LONGEST_MS).contains(number));
        let must_be = || format!("a whole number of milliseconds from {SHORTEST_MS} to {LONGEST_MS}");
        number.map(Duration::from_millis).ok_or_else(|| super::wrong(name, &text, &must_be()))
    };
    let (connect, total) = (milliseconds(connect)?, milliseconds(total)?);
    if connect >= total {
        let text = connect.as_millis().to_string();
        return Err(super::wrong("GATEWAY_CONNECT_MS", &text, "less than GATEWAY_TIMEOUT_MS, of which it is a part"));
    }
    let plain = match (optional("PLAIN_GATEWAY_URL"), optional("PLAIN_GATEWAY_KEY")) {
        (None, None) if offered != Some(Gateway::Plain) => None,
        (url, secret) => Some(PlainGateway {
            url: base_url("PLAIN_GATEWAY_URL", url.as_deref())?,
            key: key("PLAIN_GATEWAY_KEY", secret)?,
        }),
    };
    let stripe = match optional("STRIPE_KEY") {
        None if offered != Some(Gateway::Stripe) => None,
        secret => Some(StripeGateway {
            url: base_url("STRIPE_URL", Some(optional("STRIPE_URL").as_deref().unwrap_or("https://api.stripe.com")))?,
            key: key("STRIPE_KEY", secret)?,
            payment_method: payment_method(optional("STRIPE_PAYMENT_METHOD"))?,
        }),
    };
    Ok(Some(Reached { plain, stripe, connect, total }))
}

fn base_url(name: &'static str, text: Option<&str>) -> Result<BaseUrl, ConfigError> {
    let must_be = "the url of the gateway, https:// and without a query, or http:// on this machine";
    let text = text.unwrap_or_default();
    BaseUrl::parse(text).ok_or_else(|| super::wrong(name, text, must_be))
}

fn key(name: &'static str, secret: Option<String>) -> Result<ApiKey, ConfigError> {
    let is_sound = |secret: &String| secret.len() <= 500 && secret.bytes().all(|byte| byte.is_ascii_graphic());
    secret.filter(is_sound).map(ApiKey).ok_or(ConfigError::NoGatewayKey(name))
}

fn payment_method(id: Option<String>) -> Result<String, ConfigError> {
    let id = id.unwrap_or_default();
    let is_one = |id: &str| {
        let rest = id.strip_prefix("pm_");
        rest.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    };
    if is_one(&id) {
        return Ok(id);
    }
    Err(super::wrong("STRIPE_PAYMENT_METHOD", &id, "the id of a payment method of Stripe's, such as pm_card_visa"))
}

impl Reached {
    /// Whether all of it may be called from here.
    pub(super) fn check(&self, reach: Reach) -> Result<(), ConfigError> {
        let plain = self.plain.iter().map(|plain| ("PLAIN_GATEWAY_URL", &plain.url));
        let stripe = self.stripe.iter().map(|stripe| ("STRIPE_URL", &stripe.url));
        for (name, url) in plain.chain(stripe) {
            if !BaseUrl::is_within(&url.0, reach) {
                return Err(super::wrong(name, &url.0, "a url with https:// in what is deployed"));
            }
        }
        Ok(())
    }
}
