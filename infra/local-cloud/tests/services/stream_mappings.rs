//! From a table's stream to a function: order, retries, bisecting, checkpoints and what is given up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_cloud::stack::Stack;
use local_cloud::{Clock, Cloud, FunctionError, Options, Storage};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::*;

fn mapped() -> Stack {
    let mut stack = stack();
    stack.functions.push(function("Relay"));
    stack.tables.push(table());
    stack.stream_mappings.push(stream_mapping("Relay"));
    stack
}

fn number_of(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap()
}

fn records(event: &Value) -> &Vec<Value> {
    event["Records"].as_array().unwrap()
}

fn sk(record: &Value) -> &str {
    record["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap()
}

/// Fails, by name, every record of the item `bad`.
fn fail_bad(event: &Value) -> Result<Value, FunctionError> {
    Ok(failed_items(records(event).iter().filter(|record| sk(record) == "bad").map(number_of)))
}

/// Fails as a whole when the item `bad` is in the batch.
fn break_on_bad(event: &Value) -> Result<Value, FunctionError> {
    if records(event).iter().any(|record| sk(record) == "bad") { Err(failure()) } else { Ok(Value::Null) }
}

#[tokio::test(start_paused = true)]
async fn a_record_arrives_at_once_with_everything_that_aws_tells() {
    let cloud = open(mapped());
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    let began = Instant::now();
    put(&dynamodb(&cloud), "a", "1").await;
    cloud.settled().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    let mut record = seen.events()[0]["Records"][0].clone();
    let (number, id) = (record["dynamodb"]["SequenceNumber"].take(), record["eventID"].take());
    assert!(number.as_str().is_some_and(|text| text.len() == 21) && id.as_str().is_some_and(|text| text.len() == 32));
    assert!(record["dynamodb"]["SizeBytes"].take().is_number());
    let item = json!({ "pk": { "S": "a" }, "sk": { "S": "1" } });
    assert_eq!(
        record,
        json!({
            "eventID": null,
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "dynamodb": {
                "ApproximateCreationDateTime": START_MS / 1000,
                "Keys": item,
                "NewImage": item,
                "SequenceNumber": null,
                "SizeBytes": null,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": stream_arn(),
        })
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_batch_is_retried_from_the_lowest_failure() {
    let cloud = open(mapped());
    for sk in ["1", "bad", "3"] {
        put(&dynamodb(&cloud), "a", sk).await;
    }
    let seen = Seen::default();
    let times = AtomicUsize::new(0);
    let running =
        start(
            &cloud,
            &seen,
            move |event| {
                if times.fetch_add(1, Ordering::SeqCst) < 2 { fail_bad(event) } else { Ok(Value::Null) }
            },
        );
    cloud.settled().await;
    assert_eq!(seen.items(), [vec!["1", "bad", "3"], vec!["bad", "3"], vec!["bad", "3"]]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_is_halved_until_the_bad_record_is_alone() {
    let mut stack = mapped();
    stack.stream_mappings[0].bisects_on_error = true;
    stack.stream_mappings[0].maximum_retries = Some(1);
    let cloud = open(stack);
    for sk in ["1", "2", "bad", "4"] {
        put(&dynamodb(&cloud), "a", sk).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, break_on_bad);
    cloud.settled().await;
    let expected = [vec!["1", "2", "bad", "4"], vec!["1", "2"], vec!["bad", "4"], vec!["bad"], vec!["bad"], vec!["4"]];
    assert_eq!(seen.items(), expected);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_bisecting_the_whole_batch_is_given_up_after_its_retries() {
    let mut stack = mapped();
    stack.stream_mappings[0].maximum_retries = Some(2);
    stack.stream_mappings[0].batch_size = 2;
    let cloud = open(stack);
    for sk in ["1", "bad", "3"] {
        put(&dynamodb(&cloud), "a", sk).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, break_on_bad);
    cloud.settled().await;
    assert_eq!(seen.items(), [vec!["1", "bad"], vec!["1", "bad"], vec!["1", "bad"], vec!["3"]]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_goes_whole_to_the_bucket() {
    let mut stack = mapped();
    stack.buckets.push(bucket("failed-records"));
    stack.stream_mappings[0].maximum_retries = Some(0);
    stack.stream_mappings[0].on_failure = Some(bucket_arn("failed-records"));
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "bad").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, break_on_bad);
    cloud.settled().await;
    let client = s3(&cloud);
    let listed = client.list_objects_v2().bucket("failed-records").send().await.unwrap();
    let key = listed.contents()[0].key().unwrap().to_owned();
    let parts: Vec<_> = key.split('/').collect();
    assert_eq!(parts[..2], ["aws", "lambda"]);
    assert_eq!((parts[2].len(), parts[3]), (36, "shardId-00000001-things-table"));
    assert_eq!(parts[4..7], ["2027", "01", "15"]);
    assert!(parts[7].starts_with("2027-01-15T08.00.00-"), "{key}");
    let body =
        client.get_object().bucket("failed-records").key(&key).send().await.unwrap().body.collect().await.unwrap();
    let told: Value = serde_json::from_slice(&body.into_bytes()).unwrap();
    assert_eq!(told["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(told["DDBStreamBatchInfo"]["batchSize"], 1);
    assert_eq!(told["DDBStreamBatchInfo"]["streamArn"], stream_arn());
    let payload: Value = serde_json::from_str(told["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, seen.events()[0]);
    assert_eq!(told["DDBStreamBatchInfo"]["startSequenceNumber"], number_of(&payload["Records"][0]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_told_of_what_was_given_up_but_not_what_it_was() {
    let mut stack = mapped();
    stack.queues.push(queue("failed"));
    stack.stream_mappings[0].maximum_retries = Some(0);
    stack.stream_mappings[0].on_failure = Some(queue_arn("failed"));
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "bad").await;
    let running = start(&cloud, &Seen::default(), break_on_bad);
    cloud.settled().await;
    let told: Value = serde_json::from_str(bodies(&receive(&sqs(&cloud), "failed").await)[0]).unwrap();
    assert_eq!((told["DDBStreamBatchInfo"]["batchSize"].as_u64(), told.get("payload")), (Some(1), None));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_old_is_given_up() {
    let mut stack = mapped();
    stack.stream_mappings[0].maximum_record_age_seconds = Some(60);
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "bad").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, break_on_bad);
    let began = Instant::now();
    cloud.settled().await;
    assert!(seen.count() > 3, "it was tried until then");
    assert!((60..75).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn filters_pass_records_over() {
    let mut stack = mapped();
    stack.stream_mappings[0].filters = vec![json!({"dynamodb": {"NewImage": {"tells": {"S": [{"exists": true}]}}}})];
    let cloud = open(stack);
    let client = dynamodb(&cloud);
    put(&client, "a", "silent").await;
    client
        .put_item()
        .table_name(TABLE)
        .item("pk", s("a"))
        .item("sk", s("telling"))
        .item("tells", s("y"))
        .send()
        .await
        .unwrap();
    put(&client, "a", "silent too").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!(seen.items(), [["telling"]]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_item_holds_up_its_lane_and_not_the_others() {
    let mut stack = mapped();
    stack.stream_mappings[0].parallelization_factor = 4;
    stack.stream_mappings[0].batch_size = 1;
    let cloud = open(stack);
    let client = dynamodb(&cloud);
    put(&client, "stuck", "bad").await;
    for n in 0..20 {
        for round in 0..2 {
            let item =
                client.put_item().table_name(TABLE).item("pk", s(&format!("p{n}"))).item("sk", s(&n.to_string()));
            item.item("round", s(&round.to_string())).send().await.unwrap();
        }
    }
    let mended = Arc::new(AtomicBool::new(false));
    let order: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let (is_mended, noted) = (mended.clone(), order.clone());
    let running = start(&cloud, &Seen::default(), move |event| {
        let record = &records(event)[0];
        if sk(record) == "bad" && !is_mended.load(Ordering::SeqCst) {
            return Err(failure());
        }
        let round = record["dynamodb"]["NewImage"]["round"]["S"].as_str().unwrap_or_default();
        noted.lock().unwrap().push((sk(record).to_owned(), round.to_owned()));
        Ok(Value::Null)
    });
    sleep(Duration::from_secs(5)).await;
    let gone_on = order.lock().unwrap().len();
    assert!((10..40).contains(&gone_on), "the other lanes went on, this one did not: {gone_on}");
    mended.store(true, Ordering::SeqCst);
    cloud.settled().await;
    let order = order.lock().unwrap().clone();
    assert_eq!(order.len(), 41);
    for n in 0..20 {
        let rounds: Vec<_> =
            order.iter().filter(|(sk, _)| *sk == n.to_string()).map(|(_, round)| round.as_str()).collect();
        assert_eq!(rounds, ["0", "1"], "item {n} kept its order");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_what_was_not_worked_off_comes_again_and_the_rest_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let reopen = || {
        let options = Options::new(Storage::Directory(directory.path().into()), Clock::starting_at(START_MS), 1);
        let mut stack = mapped();
        stack.stream_mappings[0].batch_size = 1;
        Cloud::open(stack, options).unwrap()
    };
    let cloud = reopen();
    for sk in ["1", "2", "bad", "4"] {
        put(&dynamodb(&cloud), "a", sk).await;
    }
    let first = Seen::default();
    let running = start(&cloud, &first, break_on_bad);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(first.items()[..3], [["1"], ["2"], ["bad"]]);
    drop(running);
    tokio::task::yield_now().await;
    drop(cloud);
    let (cloud, second) = (reopen(), Seen::default());
    let running = start(&cloud, &second, fine);
    cloud.settled().await;
    assert_eq!(second.items(), [["bad"], ["4"]]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_mapping_from_latest_starts_with_what_is_written_after_it() {
    let mut stack = mapped();
    stack.stream_mappings[0].starts_at_trim_horizon = false;
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "before").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    put(&dynamodb(&cloud), "a", "after").await;
    cloud.settled().await;
    assert_eq!(seen.items(), [["after"]]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_forgets_the_records_that_every_mapping_has_passed() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new(Storage::Directory(directory.path().into()), Clock::starting_at(START_MS), 1);
    let cloud = Cloud::open(mapped(), options).unwrap();
    for n in 0..50 {
        put(&dynamodb(&cloud), "a", &n.to_string()).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    sleep(Duration::from_secs(61)).await;
    let kept: usize = rusqlite::Connection::open(directory.path().join("table.db"))
        .unwrap()
        .query_row("SELECT COUNT(*) FROM _stream_records", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 1, "the newest stays: the next number is counted from it");
    put(&dynamodb(&cloud), "a", "next").await;
    cloud.settled().await;
    assert_eq!(seen.items().concat().len(), 51);
    running.stop().await;
}
