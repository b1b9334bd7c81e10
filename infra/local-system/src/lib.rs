//! The functions on the local cloud: the whole system in one process, as the template describes it.
//!
//! Here the two halves meet that know nothing of each other: `local-cloud`, which knows the services, and `functions`,
//! which are the product. The command, the benchmarks, the simulator and the tests all start the system here, so what
//! is tested is what is served.

mod identity;
pub mod panics;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use local_cloud::edge::{Edge, Invoke};
use local_cloud::stack::Stack;
use local_cloud::{Cloud, CloudError, Connector, FunctionError, Handler, Running, Settings, TemplateError};
use panics::Panicked;
use platform::aws::Way;
use platform::chance::Chance;
use platform::config::ConfigError;
use platform::gateways::Gateways;
use platform::metrics::Metrics;
use platform::outside::Outside;
use platform::runtime::Invocation;
use platform::{App, Clock, Config, Function};

/// The template that is deployed, and served.
pub const TEMPLATE: &str = include_str!("../../../template.yaml");
/// The stack's name where nobody says otherwise.
pub const STACK_NAME: &str = "paidonce";

/// How the system is started.
pub struct Options {
    pub cloud: local_cloud::Options,
    pub template: String,
    pub stack_name: String,
    /// The template's parameters that are not left at their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Believe `X-User-Id`. Only a machine of one's own may.
    pub believe_headers: bool,
    /// Queues, the stream and the schedules run their functions. Without, a function runs only when it is called, so
    /// that one step can be looked at alone.
    pub runs_by_itself: bool,
    /// What the functions reach the services through: the connector, or something around it that loses answers.
    pub network: Network,
    /// The function that a `Handler` names: one of the list, or another in its place that is known to be wrong.
    pub by_handler: ByHandler,
    /// What is put around each function.
    pub around: Option<Around>,
    /// The functions' clock, made from the cloud's; they live by the cloud's own if there is none.
    pub clock: Option<ClockOf>,
    /// Who answers the calls that go out; nobody, if nobody says so.
    pub outside: Outside,
    /// Who answers the calls to payment gateways; nobody, if nobody says so.
    pub gateways: Gateways,
    /// Who watches what is measured; nobody, if nobody says so.
    pub metrics: Metrics,
    /// What secrets are made of.
    pub chance: Chance,
}

pub type Network = Arc<dyn Fn(Connector) -> Way + Send + Sync>;
pub type ByHandler = fn(&str) -> Option<&'static Function>;
pub type Around = Arc<dyn Fn(&local_cloud::stack::Function, Handler) -> Handler + Send + Sync>;
pub type ClockOf = Arc<dyn Fn(&local_cloud::Clock) -> Clock + Send + Sync>;

impl Options {
    pub fn new(cloud: local_cloud::Options) -> Self {
        Self {
            cloud,
            template: TEMPLATE.to_owned(),
            stack_name: STACK_NAME.to_owned(),
            parameters: BTreeMap::new(),
            believe_headers: true,
            runs_by_itself: true,
            network: Arc::new(platform::aws::shared),
            by_handler: functions::by_handler,
            around: None,
            clock: None,
            outside: Outside::nobody(),
            gateways: Gateways::nobody(),
            metrics: Metrics::to_nobody(),
            chance: Chance::of_the_system(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the template cannot be served: {0}")]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("function {function}: {error}")]
    Config { function: String, error: ConfigError },
    #[error("the template has no HTTP API")]
    NoApi,
}

/// The template as it is served with these parameters.
pub fn stack(template: &str, name: &str, parameters: BTreeMap<String, String>) -> Result<Stack, TemplateError> {
    Stack::from_template(template, &Settings { parameters, ..Settings::new(name) })
}

/// What the functions of a stack are configured with. It differs from one to the next only in what few are told.
pub fn config(stack: &Stack) -> Result<Config, StartError> {
    config_of(stack, stack.functions.first().ok_or(StartError::NoApi)?)
}

/// What reads the state of a cloud that nothing runs over, such as a snapshot.
pub fn reader(cloud: &Cloud) -> Result<App, StartError> {
    Ok(App::new(config(cloud.stack())?, platform::aws::shared(cloud.connector()), clock_of(cloud), 0))
}

/// The functions live by the cloud's clock.
fn clock_of(cloud: &Cloud) -> Clock {
    let clock = cloud.clock().clone();
    Clock::new(move || Timestamp::from_millis(clock.now_ms()))
}

/// What one function of a stack is configured with.
pub fn config_of(stack: &Stack, function: &local_cloud::stack::Function) -> Result<Config, StartError> {
    let read = |name: &str| match name {
        "AWS_REGION" => Some(stack.region.clone()),
        name => function.environment.get(name).cloned(),
    };
    Config::read(read).map_err(|error| StartError::Config { function: function.logical_id.clone(), error })
}

/// The running system.
pub struct System {
    pub cloud: Cloud,
    pub edge: Edge,
    app: Arc<App>,
    running: Running,
}

impl System {
    /// Opens the state and starts everything. Call it inside a runtime.
    pub fn start(mut options: Options) -> Result<Self, StartError> {
        let parameters = std::mem::take(&mut options.parameters);
        let stack = stack(&options.template, &options.stack_name, parameters)?;
        Self::start_on(stack, options)
    }

    /// The same on a stack that has been read already; the template and its parameters are not looked at.
    pub fn start_on(mut stack: Stack, options: Options) -> Result<Self, StartError> {
        let Options {
            cloud: cloud_options,
            believe_headers,
            runs_by_itself,
            network,
            by_handler,
            around,
            clock,
            outside,
            gateways,
            metrics,
            chance,
            ..
        } = options;
        if !runs_by_itself {
            switch_off(&mut stack);
        }
        let seed = cloud_options.seed;
        let cloud = Cloud::open(stack, cloud_options)?;
        let clock = clock.map_or_else(|| clock_of(&cloud), |made| made(cloud.clock()));
        let world = |app: App| {
            let app = app.with_outside(outside.clone()).with_gateways(gateways.clone());
            app.with_metrics(metrics.clone()).with_chance(chance.clone())
        };
        let apps = Apps::make(&cloud, &network(cloud.connector()), &clock, seed, world)?;
        let app = apps.any()?;
        let running = cloud.start(|function| {
            let handler = apps.handler(function, by_handler)?;
            Some(match &around {
                Some(around) => around(function, handler),
                None => handler,
            })
        })?;
        let invoke: Invoke = {
            let cloud = cloud.clone();
            Arc::new(move |logical_id, event| {
                let (cloud, logical_id) = (cloud.clone(), logical_id.to_owned());
                Box::pin(async move { cloud.invoke(&logical_id, event).await })
            })
        };
        let trusted = believe_headers.then(|| identity::trusted(app.config.tokens.issuer.clone()));
        let edge = Edge::new(cloud.stack(), cloud.clock().clone(), seed, invoke, trusted).ok_or(StartError::NoApi)?;
        Ok(Self { cloud, edge, app, running })
    }

    /// What the functions are handed, for reading what they wrote.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// A call of the HTTP API from this machine.
    pub async fn call(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        self.edge.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    /// Resolves when nothing is left to do.
    pub async fn settled(&self) {
        self.cloud.settled().await;
    }

    /// Takes up nothing new and lets everything in flight finish.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// Leaves everything where it is, and nobody to take it up.
fn switch_off(stack: &mut Stack) {
    stack.queue_mappings.iter_mut().for_each(|mapping| mapping.enabled = false);
    stack.stream_mappings.iter_mut().for_each(|mapping| mapping.enabled = false);
    stack.schedules.iter_mut().for_each(|schedule| schedule.enabled = false);
    stack.rules.iter_mut().for_each(|rule| rule.enabled = false);
}

/// One app for each set of variables, so functions that are configured alike share their clients.
struct Apps {
    by_environment: BTreeMap<BTreeMap<String, String>, Arc<App>>,
}

impl Apps {
    fn make(
        cloud: &Cloud,
        way: &Way,
        clock: &Clock,
        seed: u64,
        world: impl Fn(App) -> App,
    ) -> Result<Self, StartError> {
        let mut by_environment = BTreeMap::new();
        for (function, number) in cloud.stack().functions.iter().zip(1..) {
            let variables = &function.environment;
            if by_environment.contains_key(variables) {
                continue;
            }
            let config = config_of(cloud.stack(), function)?;
            let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
            let app = App::new(config, way.clone(), clock.clone(), seed);
            by_environment.insert(variables.clone(), Arc::new(world(app)));
        }
        Ok(Self { by_environment })
    }

    fn any(&self) -> Result<Arc<App>, StartError> {
        self.by_environment.values().next().cloned().ok_or(StartError::NoApi)
    }

    fn handler(&self, function: &local_cloud::stack::Function, by_handler: ByHandler) -> Option<Handler> {
        let app = Arc::clone(self.by_environment.get(&function.environment)?);
        let function = *by_handler(&function.handler)?;
        Some(Arc::new(move |invocation: local_cloud::Invocation| {
            let app = Arc::clone(&app);
            Box::pin(async move {
                let deadline = Timestamp::from_millis(invocation.deadline_ms);
                let answer = function.invoke(app, invocation.event, Invocation { deadline });
                // The cloud knows what becomes of an invocation that panics; this knows where it did.
                let answer = panics::caught(answer).await.unwrap_or_else(Panicked::go_on);
                answer.map_err(|failed| FunctionError { kind: "Failed".to_owned(), message: failed.0 })
            })
        }))
    }
}
