//! DynamoDB through the real SDK: what the emulator's typed calls leave out, and what survives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::*;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeValue, Get, KeysAndAttributes, Put, PutRequest, ReturnConsumedCapacity, ReturnValue, TransactGetItem,
    TransactWriteItem, WriteRequest,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use local_cloud::{CallRecord, Capacity, Clock, Cloud, CloudError, Connector, Options, Storage};
use serde_json::{Value, json};

fn with_table() -> local_cloud::stack::Stack {
    let mut stack = stack();
    stack.tables.push(table());
    stack
}

fn putting(sk: &str) -> TransactWriteItem {
    let put = Put::builder().table_name(TABLE).item("pk", s("a")).item("sk", s(sk)).build().unwrap();
    TransactWriteItem::builder().put(put).build()
}

fn message_of<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(error: &SdkError<E, R>) -> (&str, &str) {
    (error.code().unwrap_or_default(), error.message().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn items_are_written_conditionally_and_read_back() {
    let cloud = open(with_table());
    let client = dynamodb(&cloud);
    put(&client, "a", "1").await;
    let refused = client
        .put_item()
        .table_name(TABLE)
        .item("pk", s("a"))
        .item("sk", s("1"))
        .condition_expression("attribute_not_exists(pk)")
        .send()
        .await
        .unwrap_err();
    assert_eq!(message_of(&refused).0, "ConditionalCheckFailedException");
    let found =
        client.query().table_name(TABLE).key_condition_expression("pk = :p").expression_attribute_values(":p", s("a"));
    assert_eq!(found.send().await.unwrap().count(), 1);
    let described = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    assert_eq!(described.table_arn(), Some(table_arn().as_str()));
    assert_eq!(described.latest_stream_arn(), Some(stream_arn().as_str()));
}

#[tokio::test(start_paused = true)]
async fn one_item_twice_in_a_transaction_is_refused() {
    let cloud = open(with_table());
    let client = dynamodb(&cloud);
    let twice = client.transact_write_items().transact_items(putting("1")).transact_items(putting("1")).send().await;
    let refused = twice.unwrap_err();
    assert_eq!(
        message_of(&refused),
        ("ValidationException", "Transaction request cannot include multiple operations on one item")
    );
    let get = || {
        let get = Get::builder().table_name(TABLE).key("pk", s("a")).key("sk", s("1")).build().unwrap();
        TransactGetItem::builder().get(get).build()
    };
    let twice = client.transact_get_items().transact_items(get()).transact_items(get()).send().await.unwrap_err();
    assert_eq!(message_of(&twice).0, "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn limits_of_batches_and_transactions_hold() {
    let cloud = open(with_table());
    let client = dynamodb(&cloud);
    let key = |sk: usize| [("pk".to_owned(), s("a")), ("sk".to_owned(), s(&sk.to_string()))].into();
    let get = |keys: Vec<usize>| {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys.into_iter().map(key).collect())).build().unwrap();
        client.batch_get_item().request_items(TABLE, keys).send()
    };
    assert_eq!(
        message_of(&get(vec![1, 1]).await.unwrap_err()),
        ("ValidationException", "Provided list of item keys contains duplicates")
    );
    assert_eq!(message_of(&get((0..101).collect()).await.unwrap_err()).0, "ValidationException");
    get((0..100).collect()).await.unwrap();
    let write = |count: usize| {
        let writes = (0..count).map(|sk| {
            let put = PutRequest::builder().item("pk", s("a")).item("sk", s(&sk.to_string())).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        client.batch_write_item().request_items(TABLE, writes.collect()).send()
    };
    assert_eq!(message_of(&write(26).await.unwrap_err()).0, "ValidationException");
    write(25).await.unwrap();
    let transact = |count: usize| {
        let actions: Vec<_> = (0..count).map(|sk| putting(&format!("t{sk}"))).collect();
        client.transact_write_items().set_transact_items(Some(actions)).send()
    };
    assert_eq!(message_of(&transact(101).await.unwrap_err()).0, "ValidationException");
    transact(100).await.unwrap();
}

async fn raw(cloud: &Cloud, target: &str, body: &'static str) -> (u16, Value) {
    let request = http::Request::post("http://localhost/")
        .header("x-amz-target", target)
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap();
    let response = cloud.connector().answer(request).await;
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused_in_the_words_of_the_service() {
    let cloud = open(with_table());
    let (status, body) = raw(&cloud, "DynamoDB_20120810.PutItem", "{oops").await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazon.coral.service#SerializationException")));
    let (status, body) = raw(&cloud, "DynamoDB_20120810.Fly", "{}").await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazon.coral.service#UnknownOperationException")));
    let (status, body) = raw(&cloud, "Nobody.Knows", "{}").await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazon.coral.service#UnknownOperationException")));
    let (status, body) =
        raw(&cloud, "DynamoDB_20120810.GetItem", r#"{"TableName": "no-such-table", "Key": {"pk": {"S": "a"}}}"#).await;
    assert_eq!((status, &body["__type"]), (400, &json!("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException")));
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_of_each_call_and_what_it_consumed() {
    let calls: Arc<Mutex<Vec<CallRecord>>> = Arc::default();
    let noted = calls.clone();
    let mut options = Options::new(Storage::Memory, Clock::starting_at(START_MS), 1);
    options.on_call = Some(Arc::new(move |call: &CallRecord| noted.lock().unwrap().push(call.clone())));
    let cloud = Cloud::open(with_table(), options).unwrap();
    let client = dynamodb(&cloud);
    let total = ReturnConsumedCapacity::Total;
    client
        .put_item()
        .table_name(TABLE)
        .item("pk", s("a"))
        .item("sk", s("1"))
        .return_consumed_capacity(total.clone())
        .send()
        .await
        .unwrap();
    client
        .get_item()
        .table_name(TABLE)
        .key("pk", s("a"))
        .key("sk", s("1"))
        .consistent_read(true)
        .return_consumed_capacity(total.clone())
        .send()
        .await
        .unwrap();
    client
        .transact_write_items()
        .transact_items(putting("2"))
        .transact_items(putting("3"))
        .return_consumed_capacity(total)
        .send()
        .await
        .unwrap();
    put(&client, "b", "1").await;
    let calls = calls.lock().unwrap();
    let told: Vec<_> =
        calls.iter().map(|call| (call.operation.as_str(), call.status, call.consumed_capacity)).collect();
    let units = |read_units, write_units| Some(Capacity { read_units, write_units });
    assert_eq!(
        told,
        [
            ("PutItem", 200, units(0.0, 1.0)),
            ("GetItem", 200, units(1.0, 0.0)),
            ("TransactWriteItems", 200, units(0.0, 4.0)),
            ("PutItem", 200, None),
        ]
    );
}

/// Carries the first request out and loses the answer.
#[derive(Clone, Debug)]
struct LosesTheFirstAnswer(Connector, Arc<AtomicBool>);

impl HttpConnector for LosesTheFirstAnswer {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answered, is_first) = (self.0.call(request), !self.1.swap(true, Ordering::SeqCst));
        HttpConnectorFuture::new(async move {
            let answer = answered.await;
            if is_first { Err(ConnectorError::io("the answer was lost".into())) } else { answer }
        })
    }
}

impl HttpClient for LosesTheFirstAnswer {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrapped_connector_can_lose_an_answer_and_the_sdk_asks_again() {
    let cloud = open(with_table());
    let losing = LosesTheFirstAnswer(cloud.connector(), Arc::default());
    let config = dynamodb(&cloud).config().to_builder().http_client(losing).build();
    let adding = aws_sdk_dynamodb::Client::from_conf(config)
        .update_item()
        .table_name(TABLE)
        .key("pk", s("a"))
        .key("sk", s("1"))
        .update_expression("ADD n :one")
        .expression_attribute_values(":one", AttributeValue::N("1".into()))
        .return_values(ReturnValue::UpdatedNew);
    let added = adding.send().await.unwrap();
    assert_eq!(added.attributes().unwrap()["n"], AttributeValue::N("2".into()), "the lost one had been applied");
}

#[tokio::test(start_paused = true)]
async fn a_stream_can_be_read_from_outside() {
    let cloud = open(with_table());
    put(&dynamodb(&cloud), "a", "1").await;
    let (_, listed) = raw(&cloud, "DynamoDBStreams_20120810.ListStreams", "{}").await;
    assert_eq!(listed["Streams"][0]["StreamArn"], json!(stream_arn()));
    let body = r#"{"StreamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/things-table/stream/2026-01-01T00:00:00.000",
        "ShardId": "shardId-00000001-things-table", "ShardIteratorType": "TRIM_HORIZON"}"#;
    let (_, iterator) = raw(&cloud, "DynamoDBStreams_20120810.GetShardIterator", body).await;
    let request: &'static str = Box::leak(iterator.to_string().into_boxed_str());
    let (_, records) = raw(&cloud, "DynamoDBStreams_20120810.GetRecords", request).await;
    assert_eq!(records["Records"][0]["dynamodb"]["NewImage"]["sk"], json!({"S": "1"}));
}

#[tokio::test]
async fn a_directory_keeps_its_items_and_refuses_another_shape() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options::new(Storage::Directory(directory.path().into()), Clock::wall(), 1);
    let cloud = Cloud::open(with_table(), options()).unwrap();
    put(&dynamodb(&cloud), "a", "1").await;
    assert!(matches!(Cloud::open(with_table(), options()), Err(CloudError::DirectoryInUse { .. })));
    drop(cloud);
    let cloud = Cloud::open(with_table(), options()).unwrap();
    let found = dynamodb(&cloud).scan().table_name(TABLE).send().await.unwrap();
    assert_eq!(found.items()[0]["sk"], AttributeValue::S("1".into()));
    drop(cloud);
    let mut other = with_table();
    other.tables[0].create["KeySchema"] = json!([{ "AttributeName": "pk", "KeyType": "HASH" }]);
    assert!(matches!(Cloud::open(other, options()), Err(CloudError::TableChanged { .. })));
}

#[tokio::test]
async fn a_write_to_the_stream_uses_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new(Storage::Directory(directory.path().into()), Clock::wall(), 1);
    let cloud = Cloud::open(with_table(), options).unwrap();
    put(&dynamodb(&cloud), "a", "1").await;
    let connection = rusqlite::Connection::open(directory.path().join("table.db")).unwrap();
    let plan: String = connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?1",
            [TABLE],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("_stream_records_in_order"), "{plan}");
}

#[tokio::test]
async fn expired_items_are_swept() {
    let mut stack = with_table();
    stack.tables[0].ttl_attribute = Some("gone_at".into());
    tokio::time::pause();
    let cloud = open(stack);
    let client = dynamodb(&cloud);
    for (sk, seconds) in [("soon", 30), ("late", 3_600)] {
        let gone_at = AttributeValue::N((START_MS / 1000 + seconds).to_string());
        client
            .put_item()
            .table_name(TABLE)
            .item("pk", s("a"))
            .item("sk", s(sk))
            .item("gone_at", gone_at)
            .send()
            .await
            .unwrap();
    }
    let running = start(&cloud, &Seen::default(), fine);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    let left = client.scan().table_name(TABLE).send().await.unwrap();
    assert_eq!(left.items().iter().map(|item| item["sk"].as_s().unwrap().as_str()).collect::<Vec<_>>(), ["late"]);
    running.stop().await;
}
