//! The functions over a real network: their own clients, as they are deployed, pointed at the AWS port by
//! `AWS_ENDPOINT_URL`. So whatever runs them elsewhere on this machine can use a running server as its AWS.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use local_cloud::{Clock, Options as CloudOptions, Storage};
use local_system::{Options, System};
use serde_json::json;
use support::{aws, promises_hold, user};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

type Calls = Arc<Mutex<BTreeSet<String>>>;

/// A system whose functions know the services by a URL alone, and what was asked of the services.
async fn over_a_port() -> (System, Calls, oneshot::Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let calls = Calls::default();
    let noted = calls.clone();
    let mut cloud = CloudOptions::new(Storage::Memory, Clock::wall(), 7);
    cloud.on_call = Some(Arc::new(move |call| {
        assert!(call.status < 500, "{call:?}");
        noted.lock().unwrap().insert(format!("{} {}", call.service, call.operation));
    }));
    let parameters = BTreeMap::from([("AwsEndpointUrl".to_owned(), format!("http://127.0.0.1:{port}"))]);
    let network: local_system::Network = Arc::new(|_| platform::aws::network());
    let system = System::start(Options { parameters, network, ..Options::new(cloud) }).unwrap();
    let served = system.cloud.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move { local_cloud::port::serve(&served, listener, async { drop(stopped.await) }).await });
    (system, calls, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_the_functions_do_they_can_do_over_the_port() {
    let (system, calls, _stop) = over_a_port().await;
    let alice = user(&system, "alice");
    alice.deposit("d1", "50").await.expect(201);
    assert!(alice.deposit("d1", "50").await.expect(201).replayed);
    let paid = alice.order("o1", "12.50").await.expect(201).id();
    let waiting = alice.order("o2", "100").await.expect(201).id();
    let cancelled = alice.order_or_cancel("o3", "200").await.expect(201).id();
    system.settled().await;
    assert_eq!(alice.state(&paid).await, "completed");
    assert_eq!(alice.state(&waiting).await, "awaiting_payment");
    assert_eq!(alice.state(&cancelled).await, "cancelled");
    assert_eq!(alice.last_notification_of(&paid).await, "Your order is completed");
    alice.deposit("d2", "100").await.expect(201);
    system.settled().await;
    assert_eq!(alice.state(&waiting).await, "completed", "a deposit wakes it");
    assert_eq!(alice.balance().await, "37.50");
    for path in ["/orders", "/account/entries", &format!("/orders/{paid}/timeline")] {
        alice.get(path).await.expect(200);
    }
    system.cloud.invoke("Sweep", json!({})).await.unwrap();
    promises_hold(&system).await;
    let calls = calls.lock().unwrap();
    for call in [
        "dynamodb PutItem",
        "dynamodb TransactWriteItems",
        "dynamodb Query",
        "dynamodb GetItem",
        "sqs SendMessageBatch",
        "events PutEvents",
    ] {
        assert!(calls.contains(call), "{call} is not among {calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_record_is_taken_up_over_the_port() {
    let (system, calls, _stop) = over_a_port().await;
    let alice = user(&system, "alice");
    let order = alice.order("o1", "10").await.expect(201).id();
    system.settled().await;
    let stack = system.cloud.stack();
    let stream = stack.tables[0].stream_arn.clone().unwrap();
    let described = aws(&system, "DynamoDBStreams_20120810.DescribeStream", json!({ "StreamArn": stream })).await;
    let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
    let from = json!({ "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = aws(&system, "DynamoDBStreams_20120810.GetShardIterator", from).await["ShardIterator"].clone();
    let read = aws(&system, "DynamoDBStreams_20120810.GetRecords", json!({ "ShardIterator": iterator })).await;
    let record = &read["Records"][0];
    assert_eq!(record["dynamodb"]["Keys"]["pk"]["S"], json!(format!("order#{order}")));

    let bucket = stack.buckets[0].name.clone();
    let failed = json!({ "payload": json!({ "Records": [record] }).to_string() }).to_string();
    let put = Request::put(format!("/{bucket}/aws/lambda/one")).header("host", "localhost").body(Bytes::from(failed));
    assert_eq!(system.cloud.connector().answer(put.unwrap()).await.status(), 200);
    system.settled().await;
    let listed = Request::get(format!("/{bucket}?list-type=2")).header("host", "localhost").body(Bytes::new());
    let listed = system.cloud.connector().answer(listed.unwrap()).await;
    let listed = String::from_utf8_lossy(listed.body()).into_owned();
    assert!(listed.contains("<KeyCount>0</KeyCount>"), "what was taken up is deleted: {listed}");
    let calls = calls.lock().unwrap();
    for call in ["s3 ListObjectsV2", "s3 GetObject", "s3 DeleteObject"] {
        assert!(calls.contains(call), "{call} is not among {calls:?}");
    }
}
