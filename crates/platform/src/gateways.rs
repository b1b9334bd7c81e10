//! The way to payment gateways: an attempt that `domain` has begun is put into the words of its gateway, carried there and
//! back within so long, and what comes back is put into an [`Answer`]. What it leads to is decided elsewhere.
//!
//! Whoever plays the gateway in a test carries the exchanges in the network's place.

mod network;
mod plain;
mod stripe;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use domain::payments::{Answer, Attempt, Gateway, GatewayRef, No, NoAnswer, Reported, ReportedState, Tally};
use domain::webhooks::Reach;
use domain::{Amount, Currency, Millis, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use self::tally::Successes;
use crate::config::Config;
use crate::outside::retry_after_ms;
use crate::runtime::BoxFuture;

const AGENT: &str = concat!("paidonce/", env!("CARGO_PKG_VERSION"));

/// What is sent to a gateway.
#[derive(Clone)]
pub struct Request {
    pub gateway: Gateway,
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Within which the connection has to come about.
    pub connect: Duration,
}

/// Without the headers, of which one lets us in.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("url", &self.url).finish_non_exhaustive()
    }
}

/// What a gateway answers.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// For whoever plays the gateway and speaks HTTP: what is sent, as it arrives.
impl<Body: From<String>> TryFrom<Request> for http::Request<Body> {
    type Error = http::Error;

    fn try_from(request: Request) -> Result<Self, http::Error> {
        let named = http::Request::builder().method(request.method).uri(request.url);
        let headed = request.headers.into_iter().fold(named, |sent, (name, value)| sent.header(name, value));
        headed.body(request.body.into())
    }
}

/// And what is answered to it, as it comes back.
impl<Body: AsRef<[u8]>> From<http::Response<Body>> for Response {
    fn from(response: http::Response<Body>) -> Self {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            status: response.status().as_u16(),
            headers: response.headers().iter().map(header).collect(),
            body: response.body().as_ref().to_vec(),
        }
    }
}

/// Whoever carries an exchange out.
pub trait Carry: Send + Sync {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>>;
}

/// Where gateways are, and how calls to them went in this process.
#[derive(Clone)]
pub struct Gateways {
    carry: Arc<dyn Carry>,
    went_well: Arc<[Successes; 2]>,
}

impl Gateways {
    /// The real ones. Nothing is made of it until one is called.
    pub fn network(reach: Reach) -> Self {
        Self::answered_by(network::Network::new(reach))
    }

    pub fn answered_by(carry: impl Carry + 'static) -> Self {
        Self { carry: Arc::new(carry), went_well: Arc::default() }
    }

    /// As if no gateway could be reached: for systems that charge no cards.
    pub fn nobody() -> Self {
        Self::answered_by(Nobody)
    }

    /// Makes an attempt, once. `at` is when, for what is asked for as a date.
    pub async fn call(&self, config: &Config, attempt: &Attempt, at: Timestamp) -> Answer {
        let not_configured = || {
            let gateway = attempt.gateway.name();
            tracing::error!(gateway, key = %attempt.key, "the gateway of a payment is not configured");
            Answer::Silence(NoAnswer::NotReached)
        };
        let Some(reached) = &config.reached else { return not_configured() };
        let way = Way {
            carry: &*self.carry,
            gateway: attempt.gateway,
            connect: reached.connect,
            until: Instant::now() + reached.total,
            at,
        };
        match attempt.gateway {
            Gateway::Plain => match &reached.plain {
                Some(plain) => plain::call(&way, plain, attempt).await,
                None => not_configured(),
            },
            Gateway::Stripe => match &reached.stripe {
                Some(stripe) => stripe::call(&way, stripe, attempt).await,
                None => not_configured(),
            },
        }
    }

    /// A call went well. Whoever fails next brings it along.
    pub fn went_well(&self, gateway: Gateway, at: Timestamp) {
        self.successes(gateway).add(at);
    }

    /// How many have gone well just now, and have not been counted.
    pub fn tally(&self, gateway: Gateway, now: Timestamp) -> Tally {
        Tally { successes: self.successes(gateway).recent(now) }
    }

    /// They have been.
    pub fn counted(&self, gateway: Gateway) {
        self.successes(gateway).forget();
    }

    fn successes(&self, gateway: Gateway) -> &Successes {
        &self.went_well[match gateway {
            Gateway::Plain => 0,
            Gateway::Stripe => 1,
        }]
    }
}

struct Nobody;

impl Carry for Nobody {
    fn carry(&self, _: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        Box::pin(std::future::ready(Err(NoAnswer::NotReached)))
    }
}

/// One call's way to its gateway, which may take several exchanges and all the time that the call has.
struct Way<'a> {
    carry: &'a dyn Carry,
    gateway: Gateway,
    connect: Duration,
    until: Instant,
    at: Timestamp,
}

/// What a gateway said, as far as anybody can read it.
struct Said {
    status: u16,
    retry_after: Option<Millis>,
    /// It was said before, under the same key.
    is_replay: bool,
    /// Null is no JSON.
    body: Value,
}

impl Way<'_> {
    async fn exchange(
        &self,
        method: &'static str,
        url: String,
        headers: Vec<(&'static str, String)>,
        body: String,
    ) -> Result<Said, NoAnswer> {
        let request = Request { gateway: self.gateway, method, url, headers, body, connect: self.connect };
        let answer = tokio::time::timeout_at(self.until, self.carry.carry(request)).await;
        // Connecting has less time than that, so it was sent.
        let response = answer.unwrap_or(Err(NoAnswer::Lost))?;
        let header = |wanted: &str| {
            let found = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.as_str())
        };
        Ok(Said {
            status: response.status,
            retry_after: header("retry-after").and_then(|value| retry_after_ms(value, self.at)).map(Millis),
            is_replay: header("idempotent-replayed") == Some("true"),
            body: serde_json::from_slice(&response.body).unwrap_or(Value::Null),
        })
    }
}

impl Said {
    const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Nothing more can be made of it than this.
    const fn as_status(&self, no: No) -> Answer {
        Answer::Status { status: self.status, no, retry_after: self.retry_after }
    }

    fn says(&self, reported: Option<Reported>) -> Answer {
        // A success that says nothing is one of which nobody knows what it was.
        reported.map_or_else(|| self.as_status(No::Unsaid), Answer::Says)
    }
}

/// Whole and not negative, or none: nothing is read off a number that was ever a fraction.
fn amount(value: &Value) -> Option<Amount> {
    value.as_i64().and_then(Amount::from_minor)
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

fn reported(
    object: &Value,
    state: ReportedState,
    amount: Option<Amount>,
    currency: Option<Currency>,
) -> Option<Reported> {
    let reference = text(object, "id").and_then(GatewayRef::new);
    Some(Reported { state, amount, currency, reference })
}

/// For a part of a url or of a form: everything but letters, digits and `-._~` is escaped.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;

    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
