//! Asynchronous invocations: retries, age, throttling, destinations and dead-letter queues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use local_cloud::stack::{Asynchronous, Destination, Stack, Target};
use local_cloud::{Cloud, FunctionError, Invocation, Running};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::*;

const BUS: &str = "arn:aws:events:eu-central-1:123456789012:event-bus/results";

/// `Listener` is a target of the bus `things`; `Other` of the bus `results`.
fn listening(settings: Asynchronous) -> Stack {
    let mut stack = stack();
    stack.functions.extend([function("Listener"), function("Other")]);
    stack.queues.extend([queue("records"), queue("dead")]);
    stack.buckets.push(bucket("failed"));
    stack.buses.extend(["things".into(), "results".into()]);
    stack.rules.push(rule("in", "things", json!({"source": ["shop"]}), Target::Function("Listener".into())));
    stack.rules.push(rule("out", "results", json!({"source": ["lambda"]}), Target::Function("Other".into())));
    stack.asynchronous.insert("Listener".into(), settings);
    stack
}

async fn put_event(cloud: &Cloud) {
    let entry = PutEventsRequestEntry::builder().event_bus_name("things").source("shop").detail_type("T").detail("{}");
    events(cloud).put_events().entries(entry.build()).send().await.unwrap();
}

/// When each try came, and under which request id.
type Tries = Arc<Mutex<Vec<(u64, String)>>>;

/// Starts the two functions; `Listener` answers by `answer` and notes when, `Other` notes what it got.
fn run(cloud: &Cloud, answer: fn() -> Result<Value, FunctionError>) -> (Running, Tries, Seen) {
    let (tries, other) = (Tries::default(), Seen::default());
    let (noted, seen, began) = (tries.clone(), other.clone(), Instant::now());
    let running = cloud
        .start(move |function| {
            let (noted, seen, is_other) = (noted.clone(), seen.clone(), function.logical_id == "Other");
            Some(Arc::new(move |invocation: Invocation| {
                let (noted, seen) = (noted.clone(), seen.clone());
                Box::pin(async move {
                    if is_other {
                        seen.note(invocation.event);
                        return Ok(Value::Null);
                    }
                    noted.lock().unwrap().push((began.elapsed().as_secs(), invocation.request_id));
                    answer()
                })
            }))
        })
        .unwrap();
    (running, tries, other)
}

fn seconds(tries: &Mutex<Vec<(u64, String)>>) -> Vec<u64> {
    tries.lock().unwrap().iter().map(|(at, _)| *at).collect()
}

async fn only_record(cloud: &Cloud, queue: &str) -> Value {
    let received = receive(&sqs(cloud), queue).await;
    assert_eq!(received.len(), 1, "in {queue}");
    serde_json::from_str(received[0].body().unwrap()).unwrap()
}

/// "If the function returns an error, by default Lambda attempts to run it two more times, with a one-minute wait between
/// the first two attempts, and two minutes between the second and third attempts." (Lambda Developer Guide, How Lambda
/// handles errors and retries with asynchronous invocation) "The number of times Lambda retries when the function returns an
/// error, between 0 and 2." (Configuring error handling settings for Lambda asynchronous invocations)
#[tokio::test(start_paused = true)]
async fn it_is_tried_again_after_one_and_two_minutes_as_often_as_the_function_says() {
    for (maximum_retries, expected) in [(2, vec![0, 60, 180]), (1, vec![0, 60]), (0, vec![0])] {
        let cloud = open(listening(Asynchronous { maximum_retries, ..Asynchronous::default() }));
        let (running, tries, _) = run(&cloud, || Err(failure()));
        put_event(&cloud).await;
        cloud.settled().await;
        assert_eq!(seconds(&tries), expected);
        let ids: Vec<String> = tries.lock().unwrap().iter().map(|(_, id)| id.clone()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "it is one request");
        running.stop().await;
    }
}

/// "The maximum amount of time, in seconds, that Lambda keeps an event in the asynchronous event queue before discarding
/// it." (Configuring error handling settings for Lambda asynchronous invocations)
#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_old_is_discarded() {
    let on_failure = Some(Destination::Queue(queue_arn("records")));
    let settings = Asynchronous { maximum_event_age_seconds: 100, on_failure, ..Asynchronous::default() };
    let cloud = open(listening(settings));
    let (running, tries, _) = run(&cloud, || Err(failure()));
    put_event(&cloud).await;
    cloud.settled().await;
    assert_eq!(seconds(&tries), [0, 60]);
    let record = only_record(&cloud, "records").await;
    assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 2);
    running.stop().await;
}

/// "For throttling errors (429) and system errors (500-series), Lambda returns the event to the queue and attempts to run
/// the function again for up to 6 hours by default. The retry interval increases exponentially from 1 second after the first
/// attempt to a maximum of 5 minutes." (How Lambda handles errors and retries with asynchronous invocation)
#[tokio::test(start_paused = true)]
async fn a_throttled_event_comes_again_after_a_growing_pause_and_loses_no_retry() {
    let mut stack = listening(Asynchronous { maximum_retries: 0, ..Asynchronous::default() });
    stack.functions[0].reserved_concurrency = Some(1);
    let cloud = open(stack);
    let began = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = times.clone();
    let running = cloud
        .start(move |_| {
            let noted = noted.clone();
            Some(handler(move |_| {
                let noted = noted.clone();
                async move {
                    noted.lock().unwrap().push(began.elapsed().as_secs());
                    sleep(Duration::from_secs(9)).await;
                    Ok(Value::Null)
                }
            }))
        })
        .unwrap();
    put_event(&cloud).await;
    put_event(&cloud).await;
    cloud.settled().await;
    assert_eq!(*times.lock().unwrap(), [0, 15], "after 1, 3, 7 and 15 seconds");
    running.stop().await;
}

/// "When you set reserved concurrency to zero for an asynchronously invoked function, Lambda begins sending new events to
/// the configured dead-letter queue or the on-failure event destination, without any retries." (Capturing records of Lambda
/// asynchronous invocations)
#[tokio::test(start_paused = true)]
async fn a_function_that_is_switched_off_loses_its_events_to_the_dead_letters_at_once() {
    let dead_letters = Some(queue_arn("dead"));
    let mut stack = listening(Asynchronous { dead_letters, ..Asynchronous::default() });
    stack.functions[0].reserved_concurrency = Some(0);
    let cloud = open(stack);
    let (running, tries, _) = run(&cloud, || Ok(Value::Null));
    let began = Instant::now();
    put_event(&cloud).await;
    cloud.settled().await;
    assert_eq!((seconds(&tries).len(), began.elapsed()), (0, Duration::ZERO));
    assert_eq!(only_record(&cloud, "dead").await["source"], "shop");
    running.stop().await;
}

/// "The invocation record contains details about the event, the response, and the reason that the record was sent"; the
/// fields are those of the example there. "Amazon SQS queue: Lambda passes the invocation record as the Message to the
/// destination." (Capturing records of Lambda asynchronous invocations)
#[tokio::test(start_paused = true)]
async fn a_destination_gets_the_record_of_a_failure() {
    let on_failure = Some(Destination::Queue(queue_arn("records")));
    let cloud = open(listening(Asynchronous { on_failure, ..Asynchronous::default() }));
    let (running, tries, _) = run(&cloud, || Err(failure()));
    put_event(&cloud).await;
    cloud.settled().await;
    let mut record = only_record(&cloud, "records").await;
    let event = record["requestPayload"].take();
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("shop"), &json!("T")));
    assert_eq!(
        record,
        json!({
            "version": "1.0",
            "timestamp": "2027-01-15T08:03:00.000Z",
            "requestContext": {
                "requestId": tries.lock().unwrap()[0].1,
                "functionArn": format!("{}:$LATEST", cloud.stack().functions[0].arn),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": null,
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "responsePayload": { "errorMessage": failure().message, "errorType": "Broken" },
        })
    );
    running.stop().await;
}

/// "Lambda function: Lambda passes the invocation record as the payload to the function." "On success – Send a record when
/// the function successfully processes an asynchronous invocation." (the same)
#[tokio::test(start_paused = true)]
async fn a_function_may_take_the_record_of_a_success() {
    let on_success = Some(Destination::Function("Other".into()));
    let cloud = open(listening(Asynchronous { on_success, ..Asynchronous::default() }));
    let (running, _, other) = run(&cloud, || Ok(json!({"done": true})));
    put_event(&cloud).await;
    cloud.settled().await;
    let record = &other.events()[0];
    assert_eq!(record["requestContext"]["condition"], "Success");
    assert_eq!((&record["responsePayload"], other.count()), (&json!({"done": true}), 1));
    assert_eq!(record["responseContext"].get("functionError"), None);
    running.stop().await;
}

/// "Lambda passes the invocation record as the `detail` in the PutEvents call … The value for the `detail-type` event field
/// is either "Lambda Function Invocation Result - Success" or "Lambda Function Invocation Result - Failure". The `resource`
/// event field contains the function and destination Amazon Resource Names (ARNs)." (the same, EventBridge)
#[tokio::test(start_paused = true)]
async fn a_bus_takes_the_record_as_the_detail_of_an_event() {
    let bus = Some(Destination::Bus(BUS.into()));
    let settings = Asynchronous { on_success: bus.clone(), on_failure: bus, ..Asynchronous::default() };
    for (answer, kind) in [
        ((|| Ok(Value::Null)) as fn() -> Result<Value, FunctionError>, "Lambda Function Invocation Result - Success"),
        (|| Err(failure()), "Lambda Function Invocation Result - Failure"),
    ] {
        let cloud = open(listening(settings.clone()));
        let (running, _, other) = run(&cloud, answer);
        put_event(&cloud).await;
        cloud.settled().await;
        let event = &other.events()[0];
        let function = format!("{}:$LATEST", cloud.stack().functions[0].arn);
        assert_eq!((&event["detail-type"], &event["resources"]), (&json!(kind), &json!([function, BUS])));
        assert_eq!(event["detail"]["requestPayload"]["source"], "shop");
        running.stop().await;
    }
}

/// "Amazon S3 – An Amazon S3 bucket (on failure only)", under `aws/lambda/async/<function-name>/YYYY/MM/DD/
/// YYYY-MM-DDTHH.MM.SS-<Random UUID>` (the same).
#[tokio::test(start_paused = true)]
async fn a_bucket_takes_the_record_of_a_failure() {
    let on_failure = Some(Destination::Bucket(bucket_arn("failed")));
    let cloud = open(listening(Asynchronous { maximum_retries: 0, on_failure, ..Asynchronous::default() }));
    let (running, _, _) = run(&cloud, || Err(failure()));
    put_event(&cloud).await;
    cloud.settled().await;
    let listed = s3(&cloud).list_objects_v2().bucket("failed").send().await.unwrap();
    let key = listed.contents()[0].key().unwrap();
    assert!(key.starts_with("aws/lambda/async/stack-Listener/2027/01/15/2027-01-15T08.00.00-"), "{key}");
    running.stop().await;
}

/// "Lambda sends the event to the dead-letter queue as-is, with additional information in attributes": RequestID (String),
/// ErrorCode (Number), ErrorMessage (String, "the first 1 KB of the error message") (the same, Adding a dead-letter queue).
#[tokio::test(start_paused = true)]
async fn a_dead_letter_queue_gets_the_event_as_it_is() {
    let dead_letters = Some(queue_arn("dead"));
    let cloud = open(listening(Asynchronous { maximum_retries: 0, dead_letters, ..Asynchronous::default() }));
    let (running, tries, _) = run(&cloud, || Err(FunctionError { kind: "Long".into(), message: "x".repeat(5_000) }));
    put_event(&cloud).await;
    cloud.settled().await;
    let received = receive(&sqs(&cloud), "dead").await;
    let event: Value = serde_json::from_str(received[0].body().unwrap()).unwrap();
    assert_eq!((&event["source"], event.get("requestContext")), (&json!("shop"), None));
    let attributes = received[0].message_attributes().unwrap();
    let told = |name: &str| (attributes[name].data_type(), attributes[name].string_value().unwrap());
    assert_eq!(told("RequestID"), ("String", tries.lock().unwrap()[0].1.as_str()));
    assert_eq!(told("ErrorCode"), ("Number", "200"));
    assert_eq!((told("ErrorMessage").0, told("ErrorMessage").1.len()), ("String", 1024));
    running.stop().await;
}
