//! What a function is, what it is handed, and how it runs: under the Lambda runtime as under the local cloud, from the
//! event's JSON to the answer's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::Timestamp;
use domain::webhooks::Reach;
use lambda_http::Adapter;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service as _;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use crate::aws::{Clients, Way};
use crate::bucket::Bucket;
use crate::chance::Chance;
use crate::config::Config;
use crate::gateways::Gateways;
use crate::http::{Problem, Request, Response};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::outside::Outside;
use crate::store::Store;
use crate::table::Table;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time, as the process that runs the function has it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    #[expect(clippy::disallowed_methods, reason = "the edge of the process is where the clock is read")]
    pub fn wall() -> Self {
        Self::new(|| {
            let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
        })
    }

    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// What every function is handed: made once, when it starts.
#[derive(Clone)]
pub struct App {
    pub config: Config,
    pub store: Store,
    pub outbox: Outbox,
    pub outside: Outside,
    pub gateways: Gateways,
    pub metrics: Metrics,
    pub chance: Chance,
    clients: Clients,
}

impl App {
    /// `seed` is for the ids of tries and for jitter; two processes must not share one.
    pub fn new(config: Config, way: Way, clock: Clock, seed: u64) -> Self {
        let clients = Clients::new(&config, way);
        let table = Table::new(clients.dynamodb.clone(), config.table.clone());
        let store = Store::new(table, clock, seed);
        let outbox = Outbox::new(clients.clone(), &config);
        let (outside, gateways) = (Outside::network(Reach::Public), Gateways::network(Reach::Public));
        let chance = Chance::of_the_system();
        let metrics = Metrics::to_nobody();
        Self { config, store, outbox, outside, gateways, metrics, chance, clients }
    }

    /// The same, with another outside: this machine's own, or one that answers in the process.
    #[must_use]
    pub fn with_outside(self, outside: Outside) -> Self {
        Self { outside, ..self }
    }

    /// The same, with other gateways: on this machine, or answering in the process.
    #[must_use]
    pub fn with_gateways(self, gateways: Gateways) -> Self {
        Self { gateways, ..self }
    }

    /// The same, with somebody who watches.
    #[must_use]
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The same, with chance that is the same in every run.
    #[must_use]
    pub fn with_chance(self, chance: Chance) -> Self {
        Self { chance, ..self }
    }

    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// The bucket that takes the stream records that could not be relayed. Only `recover` is told its name.
    pub fn failed_records(&self) -> Result<Bucket<'_>, Failed> {
        let name = self.config.failed_records_bucket.as_deref();
        let name = name.ok_or_else(|| Failed("the variable FAILED_RECORDS_BUCKET is not set".to_owned()))?;
        Ok(Bucket::new(self.clients.s3(), name))
    }
}

/// How long an invocation may still take.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    pub deadline: Timestamp,
}

impl Invocation {
    /// Whether there is time for another round of work.
    pub fn has_time(&self, now: Timestamp) -> bool {
        const ENOUGH: domain::Millis = domain::Millis::seconds(8);
        now.after(ENOUGH) < self.deadline
    }
}

/// Why an invocation failed as a whole. The service that asked for it asks again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

impl From<Failed> for lambda_runtime::Diagnostic {
    fn from(failed: Failed) -> Self {
        Self { error_type: "Failed".to_owned(), error_message: failed.0 }
    }
}

/// One function, as the list of all has it.
#[derive(Clone, Copy)]
pub struct Function {
    /// The template's `Handler`.
    pub name: &'static str,
    pub handler: Handler,
}

#[derive(Clone, Copy)]
pub enum Handler {
    /// Answers a call of the HTTP API.
    Http(for<'a> fn(&'a App, Request) -> BoxFuture<'a, Result<Response, Problem>>),
    /// Takes an event, of whatever kind its trigger sends.
    Event(for<'a> fn(&'a App, Value, Invocation) -> BoxFuture<'a, Result<Value, Failed>>),
}

impl Function {
    /// From the event's JSON to the answer's.
    pub async fn invoke(&self, app: Arc<App>, event: Value, invocation: Invocation) -> Result<Value, Failed> {
        match self.handler {
            Handler::Event(handle) => handle(&app, event, invocation).await,
            Handler::Http(handle) => {
                let request: LambdaRequest = serde_json::from_value(event)
                    .map_err(|error| Failed(format!("the event is no call of an HTTP API: {error}")))?;
                let service = lambda_http::service_fn(move |request| {
                    let app = Arc::clone(&app);
                    async move {
                        let request = Request::new(request, app.now());
                        let answer = handle(&app, request).await;
                        Ok::<_, Failed>(answer.map_or_else(Problem::into_http, Response::into_http))
                    }
                });
                let event = LambdaEvent::new(request, lambda_runtime::Context::default());
                let answer = Adapter::from(service).call(event).await?;
                serde_json::to_value(answer).map_err(|error| Failed(format!("the answer is no JSON: {error}")))
            }
        }
    }
}

/// Runs one function under the Lambda runtime, for ever.
pub async fn serve(function: Function) -> Result<(), lambda_runtime::Error> {
    let config = Config::from_environment()?;
    crate::logs::start(&config.log_level);
    let app = App::new(config, crate::aws::network(), Clock::wall(), fastrand::u64(..));
    let app = Arc::new(app.with_metrics(Metrics::to_stdout()));
    lambda_runtime::run(lambda_runtime::service_fn(move |event: LambdaEvent<Value>| {
        let app = Arc::clone(&app);
        async move {
            let deadline = Timestamp::from_millis(i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
            function.invoke(app, event.payload, Invocation { deadline }).await
        }
    }))
    .await
}

pub use lambda_runtime::Error as RuntimeError;
