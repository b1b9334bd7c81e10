//! What a template comes to once its parameters and references are resolved: plain data, in the words of the services.
//!
//! `template` makes it, everything else in this crate only reads it. Names and ARNs are final here; nothing in this
//! module knows YAML, intrinsics or SAM's shorthand.

use std::collections::BTreeMap;

use serde_json::Value;

pub use crate::cron::Cron;

/// Everything that a template deploys, in the template's order.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    pub region: String,
    pub account: String,
    pub functions: Vec<Function>,
    /// How functions are invoked asynchronously, by logical id; the others as `Asynchronous::default` has it.
    pub asynchronous: BTreeMap<String, Asynchronous>,
    pub tables: Vec<Table>,
    pub queues: Vec<Queue>,
    pub buses: Vec<String>,
    pub buckets: Vec<Bucket>,
    pub queue_mappings: Vec<QueueMapping>,
    pub stream_mappings: Vec<StreamMapping>,
    pub schedules: Vec<Schedule>,
    pub rules: Vec<Rule>,
    pub api: Option<HttpApi>,
}

/// A Lambda function. Mappings, routes, schedules and rules name it by `logical_id`.
#[derive(Clone, Debug)]
pub struct Function {
    pub logical_id: String,
    pub name: String,
    pub arn: String,
    /// The template's `Handler`, which the Lambda finds in `_HANDLER`.
    pub handler: String,
    pub timeout_seconds: u32,
    pub memory_mib: u32,
    pub reserved_concurrency: Option<u32>,
    pub environment: BTreeMap<String, String>,
}

/// What becomes of an event that is owed to a function: its `EventInvokeConfig`, and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct Asynchronous {
    pub maximum_retries: u32,
    pub maximum_event_age_seconds: u32,
    pub on_success: Option<Destination>,
    pub on_failure: Option<Destination>,
    /// The ARN of a standard queue that takes the event as it is.
    pub dead_letters: Option<String>,
}

impl Default for Asynchronous {
    fn default() -> Self {
        Self {
            maximum_retries: 2,
            maximum_event_age_seconds: 21_600,
            on_success: None,
            on_failure: None,
            dead_letters: None,
        }
    }
}

/// What takes the record of an asynchronous invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By logical id.
    Function(String),
    /// By ARN.
    Queue(String),
    /// By ARN; for failures only.
    Bucket(String),
    /// By ARN.
    Bus(String),
}

impl Destination {
    /// The name of a bus; nothing of another destination.
    pub fn bus_name(&self) -> &str {
        match self {
            Self::Bus(arn) => arn.rsplit_once('/').map_or(arn.as_str(), |(_, name)| name),
            Self::Function(_) | Self::Queue(_) | Self::Bucket(_) => "",
        }
    }
}

/// A DynamoDB table: the request that creates it, and what else the template says of it.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub arn: String,
    pub stream_arn: Option<String>,
    /// The wire form of `CreateTable`.
    pub create: Value,
    pub ttl_attribute: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    pub url: String,
    pub arn: String,
    pub fifo: bool,
    pub content_based_deduplication: bool,
    /// `DeduplicationScope: messageGroup`; otherwise a deduplication id counts for the whole queue.
    pub deduplicates_per_group: bool,
    pub visibility_seconds: u32,
    pub delay_seconds: u32,
    pub retention_seconds: u32,
    pub maximum_message_bytes: u32,
    pub receive_wait_seconds: u32,
    pub redrive: Option<Redrive>,
    /// Which queues may have this one for their dead letters.
    pub redrive_allow: RedriveAllow,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RedriveAllow {
    #[default]
    All,
    None,
    /// By ARN.
    Queues(Vec<String>),
}

impl RedriveAllow {
    pub fn allows(&self, source_arn: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Queues(arns) => arns.iter().any(|arn| arn == source_arn),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Redrive {
    pub dead_letter_arn: String,
    pub max_receive_count: u32,
}

#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    pub arn: String,
    /// Object events go to the default bus.
    pub tells_event_bridge: bool,
}

/// An event-source mapping from a queue.
#[derive(Clone, Debug)]
pub struct QueueMapping {
    pub function: String,
    pub queue_arn: String,
    pub batch_size: u32,
    /// Standard queues only; a FIFO mapping has no window.
    pub window_seconds: u32,
    pub reports_item_failures: bool,
    pub max_concurrency: Option<u32>,
    pub filters: Vec<Value>,
    pub enabled: bool,
}

/// An event-source mapping from a table's stream.
#[derive(Clone, Debug)]
pub struct StreamMapping {
    pub function: String,
    pub stream_arn: String,
    pub batch_size: u32,
    pub window_seconds: u32,
    pub reports_item_failures: bool,
    pub bisects_on_error: bool,
    /// `None` is until the record's age, `MaximumRetryAttempts: -1`.
    pub maximum_retries: Option<u32>,
    pub maximum_record_age_seconds: Option<u32>,
    pub parallelization_factor: u32,
    pub starts_at_trim_horizon: bool,
    /// The ARN of the bucket (or queue) that takes what could not be processed.
    pub on_failure: Option<String>,
    pub filters: Vec<Value>,
    pub enabled: bool,
}

/// A schedule: a rule on the default bus, or one of EventBridge Scheduler.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub name: String,
    pub arn: String,
    pub function: String,
    pub timing: Timing,
    /// The template's constant `Input`, instead of the scheduled event.
    pub input: Option<Value>,
    pub enabled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timing {
    EverySeconds(u64),
    /// In UTC.
    Cron(Cron),
}

/// A rule with an event pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub arn: String,
    pub bus: String,
    pub pattern: Value,
    pub targets: Vec<Target>,
    pub enabled: bool,
}

#[derive(Clone, Debug)]
pub enum Target {
    /// A function, by logical id.
    Function(String),
    /// A queue, by ARN, and the message group where it is FIFO. It gets the whole event, or its `detail` alone.
    Queue { arn: String, message_group: Option<String>, detail_only: bool },
}

/// An HTTP API with payload format 2.0.
#[derive(Clone, Debug)]
pub struct HttpApi {
    pub id: String,
    pub stage: String,
    pub stage_variables: BTreeMap<String, String>,
    pub routes: Vec<Route>,
    pub authorizers: BTreeMap<String, Authorizer>,
    /// What guards a route that says nothing else. The routes have it already.
    pub default_authorizer: Option<String>,
    pub cors: Option<Cors>,
    /// For each route that has no limits of its own.
    pub throttling: Option<Throttling>,
    /// By route key, `GET /things/{id}` or `$default`.
    pub route_throttling: BTreeMap<String, Throttling>,
}

#[derive(Clone, Debug)]
pub struct Route {
    /// `GET`, or `ANY`.
    pub method: String,
    /// `/things/{id}`, `/files/{rest+}`, or `$default`.
    pub path: String,
    pub function: String,
    /// The name of an authorizer; `None` is open to everyone.
    pub authorizer: Option<String>,
    /// How long the API waits for the function.
    pub timeout_ms: u32,
}

impl Route {
    /// The path of the route that takes what no other does.
    pub const DEFAULT: &str = "$default";

    /// `GET /things/{id}`, or `$default`.
    pub fn key(&self) -> String {
        let Self { method, path, .. } = self;
        if path == Self::DEFAULT { Self::DEFAULT.to_owned() } else { format!("{method} {path}") }
    }
}

/// A Lambda authorizer with payload format 2.0.
#[derive(Clone, Debug)]
pub struct Authorizer {
    pub function: String,
    /// It answers `{"isAuthorized": …}`; otherwise an IAM policy.
    pub simple_responses: bool,
    /// A request that lacks one of them is refused without asking the function.
    pub identity: Vec<IdentitySource>,
    pub cache_seconds: u32,
}

/// Where a part of the caller's identity is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// `$request.header.…`, lower case.
    Header(String),
    /// `$request.querystring.…`, as it is written.
    Query(String),
    /// `$stageVariables.…`
    StageVariable(String),
    /// `$context.…`
    Context(String),
}

impl IdentitySource {
    /// The `$context` variables that are known before an authorizer is asked.
    pub const CONTEXT_VARIABLES: &[&str] = &[
        "accountId",
        "apiId",
        "domainName",
        "domainPrefix",
        "httpMethod",
        "identity.sourceIp",
        "identity.userAgent",
        "path",
        "protocol",
        "routeKey",
        "stage",
    ];
}

/// A token bucket: `burst` requests at once, and `rate_milli` thousandths of a request more with each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    pub rate_milli: u32,
    pub burst: u32,
}

/// What the API itself says to browsers of other origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// `*`, `https://*`, or `https://example.com`.
    pub allow_origins: Vec<String>,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub max_age_seconds: Option<i32>,
    pub allow_credentials: bool,
}

impl Stack {
    pub fn function(&self, logical_id: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.logical_id == logical_id)
    }

    pub fn queue_by_arn(&self, arn: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.arn == arn)
    }
}
