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

/// The fields are those of the example event (Lambda Developer Guide, Using AWS Lambda with Amazon DynamoDB).
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

/// "If the `batchItemFailures` array contains multiple items, Lambda uses the record with the lowest sequence number
/// as the checkpoint. Lambda then retries all records starting from that checkpoint." (Configuring partial batch
/// response with DynamoDB and Lambda)
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

/// "BisectBatchOnFunctionError, which splits a failed batch into two smaller batches, isolating bad records and
/// avoiding timeouts. Splitting batches doesn't consume the retry quota." (Retain discarded records for a DynamoDB
/// event source in Lambda)
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

/// "The maximum number of times that Lambda retries when the function returns an error." (Process DynamoDB records
/// with Lambda) "If the error handling measures fail, Lambda discards the records and continues processing batches
/// from the stream." (Retain discarded records for a DynamoDB event source in Lambda)
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

/// "In addition to all of the fields from the previous example for SQS and SNS destinations, the `payload` field
/// contains the original invocation record as an escaped JSON string." The key is `aws/lambda/<ESM-
/// UUID>/<shardID>/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-<Random UUID>`. (Retain discarded records for a DynamoDB event
/// source in Lambda)
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

/// "The actual records aren't included, so you must process this record and retrieve them from the stream before they
/// expire and are lost." (Retain discarded records for a DynamoDB event source in Lambda)
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

/// "The maximum age of a record that Lambda sends to your function." (Process DynamoDB records with Lambda)
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

/// "after your filter criteria evaluates a record, the streams iterator advances past this record"; "the Exists
/// operator only works on leaf nodes" (Control which events Lambda sends to your function).
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

/// "Concurrent batches per shard – Concurrently process multiple batches from the same shard." (Process DynamoDB records
/// with Lambda) "When you increase the number of concurrent batches per shard, Lambda still ensures in-order processing at
/// the item (partition and sort key) level." (Using AWS Lambda with Amazon DynamoDB)
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

/// "Lambda will process each record at least once" (Implementing stateful DynamoDB stream processing in Lambda).
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

/// "Latest – Process new records that are added to the stream." (Process DynamoDB records with Lambda)
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

/// A rule of this cloud, which keeps its disk small; on AWS a record is there for a day.
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

/// "Lambda treats a batch as a complete failure if you return any of the following: An empty string `itemIdentifier`; A null
/// `itemIdentifier`; An `itemIdentifier` with a bad key name. Lambda retries failures based on your retry strategy." (Lambda
/// Developer Guide, Configuring partial batch response with DynamoDB and Lambda) It does not say what a number is that no
/// record has, or an answer that is no object: they are taken for a failure too, as a queue's are.
#[tokio::test(start_paused = true)]
async fn each_malformed_response_fails_the_whole_batch() {
    for answer in [
        json!("no object"),
        json!([1]),
        json!({"batchItemFailures": "all"}),
        json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
        json!({"batchItemFailures": [{"itemIdentifier": null}]}),
        json!({"batchItemFailures": [{"id": "x"}]}),
        json!({"batchItemFailures": [{"itemIdentifier": "123"}]}),
    ] {
        let cloud = open(mapped());
        for sk in ["1", "2"] {
            put(&dynamodb(&cloud), "a", sk).await;
        }
        let (seen, times, told) = (Seen::default(), AtomicUsize::new(0), answer.clone());
        let running = start(&cloud, &seen, move |_| match times.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(told.clone()),
            _ => Ok(Value::Null),
        });
        cloud.settled().await;
        assert_eq!(seen.items(), vec![vec!["1", "2"]; 2], "{answer}");
        running.stop().await;
    }
}

/// "Lambda treats a batch as a complete success if you return any of the following: An empty `batchItemFailure` list; A null
/// `batchItemFailure` list; An empty `EventResponse`; A null `EventResponse`" (Configuring partial batch response with
/// DynamoDB and Lambda).
#[tokio::test(start_paused = true)]
async fn nothing_reported_is_a_complete_success() {
    for answer in [json!({"batchItemFailures": []}), json!({"batchItemFailures": null}), json!({}), Value::Null] {
        let cloud = open(mapped());
        put(&dynamodb(&cloud), "a", "1").await;
        let (seen, told) = (Seen::default(), answer.clone());
        let running = start(&cloud, &seen, move |_| Ok(told.clone()));
        cloud.settled().await;
        assert_eq!(seen.count(), 1, "{answer}");
        running.stop().await;
    }
}

/// "By default Lambda checkpoints to the highest sequence number of a batch only when the batch is a complete success. Lambda
/// treats all other results as a complete failure": without `ReportBatchItemFailures` nobody reads the answer (Configuring
/// partial batch response with DynamoDB and Lambda).
#[tokio::test(start_paused = true)]
async fn failures_are_not_looked_for_where_the_mapping_does_not_ask() {
    let mut stack = mapped();
    stack.stream_mappings[0].reports_item_failures = false;
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "bad").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, fail_bad);
    cloud.settled().await;
    assert_eq!(seen.count(), 1);
    running.stop().await;
}

/// "When a partial batch success response is received and both `BisectBatchOnFunctionError` and `ReportBatchItemFailures` are
/// turned on, the batch is bisected at the returned sequence number and Lambda retries only the remaining records."
/// (Configuring partial batch response with DynamoDB and Lambda)
#[tokio::test(start_paused = true)]
async fn a_batch_is_bisected_at_the_number_that_is_reported() {
    let mut stack = mapped();
    stack.stream_mappings[0].bisects_on_error = true;
    stack.stream_mappings[0].maximum_retries = Some(0);
    let cloud = open(stack);
    for sk in ["1", "2", "bad", "4", "5"] {
        put(&dynamodb(&cloud), "a", sk).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, fail_bad);
    cloud.settled().await;
    assert_eq!(seen.items(), [vec!["1", "2", "bad", "4", "5"], vec!["bad", "4", "5"], vec!["bad"], vec!["4", "5"]]);
    running.stop().await;
}

/// "Lambda passes all of the records in the batch to the function in a single call, as long as the total size of the events
/// doesn't exceed the payload limit for synchronous invocation (6 MB)." (Process DynamoDB records with Lambda)
#[tokio::test(start_paused = true)]
async fn a_batch_is_cut_so_that_its_event_stays_under_six_megabytes() {
    let cloud = open(mapped());
    let client = dynamodb(&cloud);
    for n in 0..20 {
        let item = client.put_item().table_name(TABLE).item("pk", s("a")).item("sk", s(&n.to_string()));
        item.item("large", s(&"x".repeat(390_000))).send().await.unwrap();
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!(seen.items().iter().map(Vec::len).collect::<Vec<_>>(), [16, 4]);
    assert!(seen.events().iter().all(|event| event.to_string().len() <= 6 * 1024 * 1024));
    running.stop().await;
}

/// "Before invocation: If a Lambda event source mapping is unable to invoke the function due to throttling or other issues,
/// it retries until the records expire or exceed the maximum age configured on the event source mapping." (Retain discarded
/// records for a DynamoDB event source in Lambda) "This doesn't apply to service errors or throttles where the batch didn't
/// reach the function." (Process DynamoDB records with Lambda, retry attempts)
#[tokio::test(start_paused = true)]
async fn a_throttled_batch_waits_until_it_is_too_old_and_loses_no_retry() {
    let mut stack = mapped();
    stack.functions[0].reserved_concurrency = Some(0);
    stack.queues.push(queue("failed"));
    stack.stream_mappings[0].maximum_retries = Some(0);
    stack.stream_mappings[0].maximum_record_age_seconds = Some(60);
    stack.stream_mappings[0].on_failure = Some(queue_arn("failed"));
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "1").await;
    let (seen, began) = (Seen::default(), Instant::now());
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!((seen.count(), began.elapsed()), (0, Duration::from_secs(60)));
    let told: Value = serde_json::from_str(bodies(&receive(&sqs(&cloud), "failed").await)[0]).unwrap();
    assert_eq!(told["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 0);
    assert_eq!(told["responseContext"].get("functionError"), None, "it never ran");
    running.stop().await;
}

/// A mapping that waits for its function's concurrency can be stopped.
#[tokio::test(start_paused = true)]
async fn stopping_ends_the_wait_of_a_throttled_batch() {
    let mut stack = mapped();
    stack.functions[0].reserved_concurrency = Some(0);
    let cloud = open(stack);
    put(&dynamodb(&cloud), "a", "1").await;
    let running = start(&cloud, &Seen::default(), fine);
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    running.stop().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// "-1 means infinite: failed records are retried until the record expires. The data retention limit for DynamoDB Streams is
/// 24 hours." (Lambda parameters for Amazon DynamoDB event source mappings) Here only the time counts in which the cloud
/// runs.
#[tokio::test(start_paused = true)]
async fn without_limits_a_record_is_retried_for_a_day() {
    let cloud = open(mapped());
    put(&dynamodb(&cloud), "a", "bad").await;
    let (seen, began) = (Seen::default(), Instant::now());
    let running = start(&cloud, &seen, break_on_bad);
    cloud.settled().await;
    assert!((86_400..86_420).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(seen.count() > 8_000);
    running.stop().await;
}

/// "Batch window – Specify the maximum amount of time to gather records before invoking the function, in seconds." (Process
/// DynamoDB records with Lambda)
#[tokio::test(start_paused = true)]
async fn a_window_gathers_until_it_ends_or_the_batch_is_full() {
    let mut stack = mapped();
    stack.stream_mappings[0].window_seconds = 5;
    stack.stream_mappings[0].batch_size = 3;
    let cloud = open(stack);
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    let (client, began) = (dynamodb(&cloud), Instant::now());
    put(&client, "a", "1").await;
    sleep(Duration::from_secs(2)).await;
    put(&client, "a", "2").await;
    cloud.settled().await;
    assert_eq!((seen.items(), began.elapsed()), (vec![vec!["1".into(), "2".into()]], Duration::from_secs(5)));
    for sk in ["3", "4", "5"] {
        put(&client, "a", sk).await;
    }
    cloud.settled().await;
    assert_eq!((seen.items()[1].len(), began.elapsed()), (3, Duration::from_secs(5)));
    running.stop().await;
}
