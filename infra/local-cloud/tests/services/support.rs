//! A small stack made by hand, SDK clients over the connector, and handlers that write down what they got.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::AttributeValue;
use local_cloud::stack::{
    Bucket, Function, Queue, QueueMapping, Redrive, RedriveAllow, Rule, Schedule, Stack, StreamMapping, Table, Target,
    Timing,
};
use local_cloud::{Clock, Cloud, FunctionError, Handler, Invocation, Options, Running, Storage};
use serde_json::{Value, json};

pub(crate) const START_MS: i64 = 1_800_000_000_000;
pub(crate) const TABLE: &str = "things-table";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) fn table_arn() -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}")
}

pub(crate) fn stream_arn() -> String {
    format!("{}/stream/2026-01-01T00:00:00.000", table_arn())
}

pub(crate) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

pub(crate) fn url(name: &str) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")
}

pub(crate) fn bucket_arn(name: &str) -> String {
    format!("arn:aws:s3:::{name}")
}

pub(crate) fn stack() -> Stack {
    Stack { region: REGION.into(), account: ACCOUNT.into(), ..Stack::default() }
}

pub(crate) fn table() -> Table {
    Table {
        name: TABLE.into(),
        arn: table_arn(),
        stream_arn: Some(stream_arn()),
        create: json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" },
                { "AttributeName": "sk", "AttributeType": "S" },
            ],
            "KeySchema": [
                { "AttributeName": "pk", "KeyType": "HASH" },
                { "AttributeName": "sk", "KeyType": "RANGE" },
            ],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
        }),
        ttl_attribute: None,
    }
}

pub(crate) fn queue(name: &str) -> Queue {
    Queue {
        name: name.into(),
        url: url(name),
        arn: queue_arn(name),
        fifo: name.ends_with(".fifo"),
        content_based_deduplication: false,
        deduplicates_per_group: false,
        visibility_seconds: 30,
        delay_seconds: 0,
        retention_seconds: 345_600,
        maximum_message_bytes: 262_144,
        receive_wait_seconds: 0,
        redrive: None,
        redrive_allow: RedriveAllow::All,
    }
}

pub(crate) fn with_dead_letters(mut queue: Queue, dead: &str, max_receive_count: u32) -> Queue {
    queue.redrive = Some(Redrive { dead_letter_arn: queue_arn(dead), max_receive_count });
    queue
}

pub(crate) fn bucket(name: &str) -> Bucket {
    Bucket { name: name.into(), arn: bucket_arn(name), tells_event_bridge: true }
}

pub(crate) fn function(id: &str) -> Function {
    Function {
        logical_id: id.into(),
        name: format!("stack-{id}"),
        arn: format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:stack-{id}"),
        handler: id.into(),
        timeout_seconds: 10,
        memory_mib: 256,
        reserved_concurrency: None,
        environment: BTreeMap::new(),
    }
}

pub(crate) fn queue_mapping(function: &str, queue: &str) -> QueueMapping {
    QueueMapping {
        function: function.into(),
        queue_arn: queue_arn(queue),
        batch_size: 10,
        window_seconds: 0,
        reports_item_failures: true,
        max_concurrency: None,
        filters: vec![],
        enabled: true,
    }
}

pub(crate) fn stream_mapping(function: &str) -> StreamMapping {
    StreamMapping {
        function: function.into(),
        stream_arn: stream_arn(),
        batch_size: 100,
        window_seconds: 0,
        reports_item_failures: true,
        bisects_on_error: false,
        maximum_retries: None,
        maximum_record_age_seconds: None,
        parallelization_factor: 1,
        starts_at_trim_horizon: true,
        on_failure: None,
        filters: vec![],
        enabled: true,
    }
}

pub(crate) fn rule(name: &str, bus: &str, pattern: Value, target: Target) -> Rule {
    Rule {
        name: name.into(),
        arn: format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}"),
        bus: bus.into(),
        pattern,
        targets: vec![target],
        enabled: true,
    }
}

pub(crate) fn schedule(function: &str, every_seconds: u64) -> Schedule {
    Schedule {
        name: format!("every-{every_seconds}"),
        arn: format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/every-{every_seconds}"),
        function: function.into(),
        timing: Timing::EverySeconds(every_seconds),
        input: None,
        enabled: true,
    }
}

pub(crate) fn open(stack: Stack) -> Cloud {
    Cloud::open(stack, Options::new(Storage::Memory, Clock::starting_at(START_MS), 1)).unwrap()
}

macro_rules! client {
    ($name:ident, $sdk:ident) => {
        pub(crate) fn $name(cloud: &Cloud) -> $sdk::Client {
            let config = $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::v2026_01_12())
                .region($sdk::config::Region::new(REGION))
                .credentials_provider(Credentials::from_keys("local", "local", None))
                .http_client(cloud.connector())
                .build();
            $sdk::Client::from_conf(config)
        }
    };
}

client!(dynamodb, aws_sdk_dynamodb);
client!(sqs, aws_sdk_sqs);
client!(s3, aws_sdk_s3);
client!(events, aws_sdk_eventbridge);

/// What a function was handed, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Value>>>);

impl Seen {
    pub(crate) fn note(&self, event: Value) {
        self.0.lock().unwrap().push(event);
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The bodies of the messages of each batch.
    pub(crate) fn bodies(&self) -> Vec<Vec<String>> {
        self.of_each_record(|record| record["body"].as_str().unwrap().to_owned())
    }

    /// The `sk` of the items of each batch.
    pub(crate) fn items(&self) -> Vec<Vec<String>> {
        self.of_each_record(|record| record["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap().to_owned())
    }

    fn of_each_record(&self, told: impl Fn(&Value) -> String) -> Vec<Vec<String>> {
        self.events().iter().map(|event| event["Records"].as_array().unwrap().iter().map(&told).collect()).collect()
    }
}

/// A handler made of an async function over the event.
pub(crate) fn handler<F, R>(run: F) -> Handler
where
    F: Fn(Value) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, FunctionError>> + Send + 'static,
{
    Arc::new(move |invocation: Invocation| Box::pin(run(invocation.event)))
}

/// Starts a cloud whose functions all note what they get in `seen` and then answer by `answer`.
pub(crate) fn start(
    cloud: &Cloud,
    seen: &Seen,
    answer: impl Fn(&Value) -> Result<Value, FunctionError> + Send + Sync + 'static,
) -> Running {
    let (seen, answer) = (seen.clone(), Arc::new(answer));
    cloud
        .start(move |_| {
            let (seen, answer) = (seen.clone(), answer.clone());
            Some(handler(move |event| {
                let (seen, answer) = (seen.clone(), answer.clone());
                async move {
                    seen.note(event.clone());
                    answer(&event)
                }
            }))
        })
        .unwrap()
}

pub(crate) fn fine(_: &Value) -> Result<Value, FunctionError> {
    Ok(Value::Null)
}

pub(crate) fn failure() -> FunctionError {
    FunctionError { kind: "Broken".into(), message: "as the test wants it".into() }
}

/// The answer that names the failed items.
pub(crate) fn failed_items<'a>(ids: impl IntoIterator<Item = &'a str>) -> Value {
    let listed: Vec<_> = ids.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
    json!({ "batchItemFailures": listed })
}

pub(crate) fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) async fn put(client: &aws_sdk_dynamodb::Client, pk: &str, sk: &str) {
    client.put_item().table_name(TABLE).item("pk", s(pk)).item("sk", s(sk)).send().await.unwrap();
}

pub(crate) async fn send(client: &aws_sdk_sqs::Client, queue: &str, body: &str) {
    client.send_message().queue_url(url(queue)).message_body(body).send().await.unwrap();
}

/// To a FIFO queue; the body is the deduplication id.
pub(crate) async fn send_to_group(client: &aws_sdk_sqs::Client, queue: &str, group: &str, body: &str) {
    client
        .send_message()
        .queue_url(url(queue))
        .message_body(body)
        .message_group_id(group)
        .message_deduplication_id(body)
        .send()
        .await
        .unwrap();
}

pub(crate) async fn receive(client: &aws_sdk_sqs::Client, queue: &str) -> Vec<aws_sdk_sqs::types::Message> {
    let received = client
        .receive_message()
        .queue_url(url(queue))
        .max_number_of_messages(10)
        .message_system_attribute_names(aws_sdk_sqs::types::MessageSystemAttributeName::All)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap();
    received.messages.unwrap_or_default()
}

pub(crate) fn bodies(messages: &[aws_sdk_sqs::types::Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}
