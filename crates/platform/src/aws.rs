//! The clients. Made once, when a function starts, without `aws-config`: in a Lambda, region and credentials are
//! variables, and the chain that would find them costs a cold start tens of milliseconds.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::HttpClient;
pub use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls;

use crate::config::Config;

/// One client for each service; S3's is made when it is first needed, which is nearly never.
#[derive(Clone)]
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub eventbridge: aws_sdk_eventbridge::Client,
    s3: std::sync::Arc<std::sync::LazyLock<aws_sdk_s3::Client, Box<dyn FnOnce() -> aws_sdk_s3::Client + Send>>>,
}

/// How long one try of a call may take, connecting included, and all its tries together. A write whose answer does not
/// come and the read that asks what became of it fit together into the shortest time limit of a function, ten seconds,
/// so that the caller hears that the outcome is unknown, and from us.
const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_millis(1_800);
const OPERATION: Duration = Duration::from_secs(4);

/// The way to the services.
#[derive(Clone)]
pub struct Way {
    http: SharedHttpClient,
    /// What retries are paid from. All clients of a process share one for each service unless a way has its own.
    retries: Option<RetryPartition>,
}

impl Way {
    /// The same way past somebody who stands at its door.
    #[must_use]
    pub fn past<C: HttpClient + 'static>(self, doorkeeper: impl FnOnce(SharedHttpClient) -> C) -> Self {
        Self { http: SharedHttpClient::new(doorkeeper(self.http)), ..self }
    }

    /// Retries that take nothing from what other systems in this process may still retry.
    #[must_use]
    pub fn with_retries_of_its_own(self) -> Self {
        let retries = RetryPartition::custom("own").token_bucket(TokenBucket::default()).build();
        Self { retries: Some(retries), ..self }
    }
}

/// The network, as a Lambda sees it.
pub fn network() -> Way {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    Way { http, retries: None }
}

/// Another way to the services than the network.
pub fn shared(client: impl HttpClient + 'static) -> Way {
    Way { http: SharedHttpClient::new(client), retries: None }
}

macro_rules! client {
    ($sdk:ident, $config:expr, $way:expr) => {{
        let mut builder = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new($config.region.clone()))
            .credentials_provider(credentials($config))
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(OPERATION)
                    .build(),
            )
            .http_client($way.http.clone());
        builder.set_endpoint_url($config.endpoint_url.clone());
        builder.set_retry_partition($way.retries.clone());
        builder
    }};
}

/// Where a table is, for whoever reads it from a machine that is no Lambda.
#[derive(Clone, Debug)]
pub struct Target {
    pub table: String,
    pub region: String,
    pub endpoint_url: Option<String>,
    pub credentials: Option<crate::config::Credentials>,
}

/// A table to read at leisure: nobody waits for the answer, so a page may take its time over a slow line, and what is
/// turned away for load is asked for again more patiently than a function could.
pub fn table(target: Target, way: Way) -> crate::table::Table {
    const TRIES: u32 = 10;
    let mut builder = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(target.region))
        .credentials_provider(given(target.credentials.as_ref()))
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_attempt_timeout(Duration::from_secs(30))
                .build(),
        )
        .http_client(way.http);
    builder.set_endpoint_url(target.endpoint_url);
    crate::table::Table::new(aws_sdk_dynamodb::Client::from_conf(builder.build()), target.table)
}

impl Clients {
    pub fn new(config: &Config, way: Way) -> Self {
        let s3_config = config.clone();
        let s3_way = way.clone();
        let s3: Box<dyn FnOnce() -> aws_sdk_s3::Client + Send> = Box::new(move || {
            let path_style = s3_config.endpoint_url.is_some();
            let builder = client!(aws_sdk_s3, &s3_config, s3_way).force_path_style(path_style);
            aws_sdk_s3::Client::from_conf(builder.build())
        });
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(client!(aws_sdk_dynamodb, config, way).build()),
            sqs: aws_sdk_sqs::Client::from_conf(client!(aws_sdk_sqs, config, way).build()),
            eventbridge: aws_sdk_eventbridge::Client::from_conf(client!(aws_sdk_eventbridge, config, way).build()),
            s3: std::sync::Arc::new(std::sync::LazyLock::new(s3)),
        }
    }

    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }
}

fn credentials(config: &Config) -> Credentials {
    given(config.credentials.as_ref())
}

fn given(credentials: Option<&crate::config::Credentials>) -> Credentials {
    match credentials {
        Some(found) => Credentials::new(
            found.access_key_id.clone(),
            found.secret_access_key.clone(),
            found.session_token.clone(),
            None,
            "variables",
        ),
        // An emulator asks for a signature and looks at none.
        None => Credentials::new("local", "local", None, None, "none"),
    }
}
