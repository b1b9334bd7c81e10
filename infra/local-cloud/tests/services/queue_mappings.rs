//! From a queue to a function: what is handed over, what is deleted, what comes again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_cloud::stack::Stack;
use local_cloud::{Clock, Cloud, CloudError, Options, QueueDepth, Storage};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::*;

/// A queue `work`, or `work.fifo`, with dead letters after three receives, read by `Worker`.
fn mapped(name: &str) -> Stack {
    let dead = if name.ends_with(".fifo") { "dead.fifo" } else { "dead" };
    let mut stack = stack();
    stack.functions.push(function("Worker"));
    stack.queues.push(with_dead_letters(queue(name), dead, 3));
    stack.queues.push(queue(dead));
    stack.queue_mappings.push(queue_mapping("Worker", name));
    stack
}

fn id_of(event: &Value, body: &str) -> String {
    let records = event["Records"].as_array().unwrap();
    let record = records.iter().find(|record| record["body"] == body).unwrap();
    record["messageId"].as_str().unwrap().to_owned()
}

fn has(event: &Value, body: &str) -> bool {
    event["Records"].as_array().unwrap().iter().any(|record| record["body"] == body)
}

/// The fields are those of the example event for a FIFO queue (Lambda Developer Guide, Using Lambda with Amazon SQS).
#[tokio::test(start_paused = true)]
async fn a_message_arrives_at_once_with_everything_that_aws_tells() {
    let cloud = open(mapped("work.fifo"));
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    let began = Instant::now();
    send_to_group(&sqs(&cloud), "work.fifo", "g", "hello").await;
    cloud.settled().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    let mut record = seen.events()[0]["Records"][0].clone();
    let handle = record["receiptHandle"].take();
    let id = record["messageId"].take();
    assert!(handle.as_str().is_some_and(|text| !text.is_empty()) && id.as_str().is_some_and(|text| text.len() == 36));
    assert_eq!(
        record,
        json!({
            "messageId": null,
            "receiptHandle": null,
            "body": "hello",
            "attributes": {
                "ApproximateReceiveCount": "1",
                "ApproximateFirstReceiveTimestamp": START_MS.to_string(),
                "SentTimestamp": START_MS.to_string(),
                "SenderId": "AIDALOCALCLOUDSENDER0",
                "MessageGroupId": "g",
                "MessageDeduplicationId": "hello",
                "SequenceNumber": "10000000000000000001",
            },
            "messageAttributes": {},
            "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
            "eventSource": "aws:sqs",
            "eventSourceARN": queue_arn("work.fifo"),
            "awsRegion": REGION,
        })
    );
    running.stop().await;
}

/// "To avoid reprocessing all messages in a failed batch, you can configure your event source mapping to make only
/// the failed messages visible again." (Using Lambda with Amazon SQS, Reporting batch item failures)
#[tokio::test(start_paused = true)]
async fn only_the_named_failures_come_again() {
    let cloud = open(mapped("work"));
    for body in ["good", "bad"] {
        send(&sqs(&cloud), "work", body).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, {
        let times = AtomicUsize::new(0);
        move |event| match times.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(failed_items([id_of(event, "bad").as_str()])),
            _ => Ok(failed_items([])),
        }
    });
    let began = Instant::now();
    cloud.settled().await;
    assert_eq!(seen.bodies(), [vec!["good", "bad"], vec!["bad"]]);
    assert_eq!(began.elapsed(), Duration::from_secs(30), "after its visibility time-out");
    running.stop().await;
}

/// "When your function returns an error, Lambda leaves it in the queue. After the visibility timeout occurs, Lambda
/// receives the message again. To send messages to a second queue after a number of receives, configure a dead-letter
/// queue on your source queue." (Using Lambda with Amazon SQS)
#[tokio::test(start_paused = true)]
async fn a_failed_function_deletes_nothing_and_the_third_time_goes_to_the_dead_letters() {
    let cloud = open(mapped("work"));
    send(&sqs(&cloud), "work", "poison").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, |_| Err(failure()));
    cloud.settled().await;
    assert_eq!(seen.bodies(), vec![vec!["poison"]; 3]);
    assert_eq!(cloud.queue_depths()["dead"], QueueDepth { visible: 1, in_flight: 0, delayed: 0 });
    running.stop().await;
}

/// "Standard queues keep processing messages until the expiration of the retention period." (SQS Developer Guide,
/// Amazon SQS dead-letter queues)
#[tokio::test(start_paused = true)]
async fn without_dead_letters_a_failing_message_ends_with_its_retention() {
    let mut stack = mapped("work");
    stack.queues[0].redrive = None;
    stack.queues[0].retention_seconds = 100;
    let cloud = open(stack);
    send(&sqs(&cloud), "work", "poison").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, |_| Err(failure()));
    let began = Instant::now();
    cloud.settled().await;
    assert_eq!((seen.count(), began.elapsed()), (4, Duration::from_secs(120)), "at 0, 30, 60 and 90 seconds");
    running.stop().await;
}

/// "when configuring your event source mapping, include the value `ReportBatchItemFailures` in the
/// `FunctionResponseTypes` list. This lets your function return a partial success" (Reporting batch item failures).
#[tokio::test(start_paused = true)]
async fn failures_are_not_looked_for_where_the_mapping_does_not_ask() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].reports_item_failures = false;
    let cloud = open(stack);
    send(&sqs(&cloud), "work", "one").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, |event| Ok(failed_items([id_of(event, "one").as_str()])));
    cloud.settled().await;
    assert_eq!((seen.count(), cloud.queue_depths()["work"]), (1, QueueDepth::default()));
    running.stop().await;
}

/// "Lambda sorts the messages into groups and sends only one batch at a time for a group." "Your function can scale
/// in concurrency to the number of active message groups." (Using Lambda with Amazon SQS, Scaling and processing)
#[tokio::test(start_paused = true)]
async fn groups_go_in_parallel_and_each_in_order() {
    let mut stack = mapped("work.fifo");
    stack.queue_mappings[0].batch_size = 1;
    let cloud = open(stack);
    let client = sqs(&cloud);
    for body in ["a1", "a2", "b1", "b2"] {
        send_to_group(&client, "work.fifo", &body[..1], body).await;
    }
    let log: Arc<Mutex<Vec<(u64, String)>>> = Arc::default();
    let (kept, began) = (log.clone(), Instant::now());
    let running = cloud
        .start(move |_| {
            let log = kept.clone();
            Some(handler(move |event| {
                let log = log.clone();
                async move {
                    let body = event["Records"][0]["body"].as_str().unwrap().to_owned();
                    log.lock().unwrap().push((began.elapsed().as_secs(), body));
                    sleep(Duration::from_secs(1)).await;
                    Ok(Value::Null)
                }
            }))
        })
        .unwrap();
    cloud.settled().await;
    let mut log = log.lock().unwrap().clone();
    log.sort();
    let expected = [(0, "a1"), (0, "b1"), (1, "a2"), (1, "b2")].map(|(at, body)| (at, body.to_owned()));
    assert_eq!(log, expected);
    running.stop().await;
}

/// "Limits the number of concurrent instances that the Amazon SQS event source can invoke." (CloudFormation,
/// AWS::Lambda::EventSourceMapping ScalingConfig)
#[tokio::test(start_paused = true)]
async fn no_more_batches_than_the_mapping_allows_are_under_way() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].batch_size = 1;
    stack.queue_mappings[0].max_concurrency = Some(2);
    let cloud = open(stack);
    for body in ["1", "2", "3", "4", "5"] {
        send(&sqs(&cloud), "work", body).await;
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let running = cloud
        .start(move |_| {
            let (now, most) = (counted.clone(), highest.clone());
            Some(handler(move |_| {
                let (now, most) = (now.clone(), most.clone());
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    sleep(Duration::from_secs(1)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(Value::Null)
                }
            }))
        })
        .unwrap();
    let began = Instant::now();
    cloud.settled().await;
    assert_eq!((most.load(Ordering::SeqCst), began.elapsed()), (2, Duration::from_secs(3)));
    running.stop().await;
}

/// "For a FIFO queue, the maximum is 10." (Using Lambda with Amazon SQS) "each batch may contain messages from more
/// than one message group, but the order of the messages is maintained" (Configuring scaling behavior for SQS event
/// source mappings).
#[tokio::test(start_paused = true)]
async fn a_fifo_batch_holds_ten_at_most_and_may_hold_several_groups() {
    let mut stack = mapped("work.fifo");
    stack.queue_mappings[0].batch_size = 100;
    let cloud = open(stack);
    for n in 0..12 {
        send_to_group(&sqs(&cloud), "work.fifo", &format!("g{}", n % 2), &n.to_string()).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!(seen.bodies().iter().map(Vec::len).collect::<Vec<_>>(), [10, 2]);
    running.stop().await;
}

/// "The maximum amount of time to gather records before invoking the function, in seconds. This applies only to
/// standard queues." (Using Lambda with Amazon SQS)
#[tokio::test(start_paused = true)]
async fn a_window_gathers_until_it_ends_or_the_batch_is_full() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].window_seconds = 5;
    stack.queue_mappings[0].batch_size = 3;
    let cloud = open(stack);
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    let (client, began) = (sqs(&cloud), Instant::now());
    send(&client, "work", "1").await;
    sleep(Duration::from_secs(2)).await;
    send(&client, "work", "2").await;
    cloud.settled().await;
    assert_eq!((seen.bodies(), began.elapsed()), (vec![vec!["1".into(), "2".into()]], Duration::from_secs(5)));
    for body in ["3", "4", "5"] {
        send(&client, "work", body).await;
    }
    cloud.settled().await;
    assert_eq!((seen.bodies()[1].len(), began.elapsed()), (3, Duration::from_secs(5)));
    running.stop().await;
}

/// "If an Amazon SQS message doesn't satisfy your filter criteria, Lambda automatically removes the message from the
/// queue." (Lambda Developer Guide, Lambda event filtering)
#[tokio::test(start_paused = true)]
async fn what_the_filter_does_not_let_through_is_deleted_unseen() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].filters = vec![json!({"body": {"kind": ["wanted"]}})];
    let cloud = open(stack);
    for body in [r#"{"kind":"wanted"}"#, r#"{"kind":"other"}"#, "no JSON"] {
        send(&sqs(&cloud), "work", body).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!(seen.bodies(), [[r#"{"kind":"wanted"}"#]]);
    assert_eq!(cloud.queue_depths()["work"], QueueDepth::default());
    running.stop().await;
}

/// A rule of this cloud: nothing is filtered by what it does not understand.
#[tokio::test(start_paused = true)]
async fn a_filter_that_is_not_understood_keeps_the_cloud_from_opening() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].filters = vec![json!({"body": {"ip": [{"cidr": "10.0.0.0/8"}]}})];
    let refused = Cloud::open(stack, Options::new(Storage::Memory, Clock::starting_at(START_MS), 1)).err().unwrap();
    assert!(matches!(&refused, CloudError::Pattern { .. }), "{refused}");
    let mut stack = mapped("work");
    stack.queue_mappings[0].queue_arn = queue_arn("absent");
    let refused = Cloud::open(stack, Options::new(Storage::Memory, Clock::starting_at(START_MS), 1)).err().unwrap();
    assert!(matches!(&refused, CloudError::Dangling { .. }), "{refused}");
}

/// A rule of this cloud: on AWS the pollers outlive the function, here they end with the process.
#[tokio::test(start_paused = true)]
async fn what_a_dead_process_held_is_visible_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let reopen = || {
        let options = Options::new(Storage::Directory(directory.path().into()), Clock::starting_at(START_MS), 1);
        Cloud::open(mapped("work"), options).unwrap()
    };
    let cloud = reopen();
    send(&sqs(&cloud), "work", "one").await;
    let running = start(&cloud, &Seen::default(), |_| Err(failure()));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(cloud.queue_depths()["work"].in_flight, 1);
    drop(running);
    // The tasks that were aborted let go of the directory when the runtime gets to them.
    tokio::task::yield_now().await;
    drop(cloud);
    let (cloud, seen) = (reopen(), Seen::default());
    assert_eq!(cloud.queue_depths()["work"].visible, 1);
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert!(has(&seen.events()[0], "one"));
    assert_eq!(seen.events()[0]["Records"][0]["attributes"]["ApproximateReceiveCount"], "2");
    running.stop().await;
}

/// A rule of this cloud.
#[tokio::test(start_paused = true)]
async fn stopping_lets_what_is_under_way_finish_and_takes_up_nothing_new() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].batch_size = 1;
    stack.queue_mappings[0].max_concurrency = Some(1);
    let cloud = open(stack);
    for body in ["first", "second"] {
        send(&sqs(&cloud), "work", body).await;
    }
    let running = cloud
        .start(|_| {
            Some(handler(|_| async {
                sleep(Duration::from_secs(3)).await;
                Ok(Value::Null)
            }))
        })
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    running.stop().await;
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(cloud.queue_depths()["work"], QueueDepth { visible: 1, in_flight: 0, delayed: 0 });
}

/// "Lambda treats a batch as a complete failure if your function returns any of the following: An invalid JSON response;
/// An empty string `itemIdentifier`; A null `itemIdentifier`; An `itemIdentifier` with a bad key name; An
/// `itemIdentifier` value with a message ID that doesn't exist" (Lambda Developer Guide, Handling errors for an SQS event
/// source).
#[tokio::test(start_paused = true)]
async fn each_malformed_response_fails_the_whole_batch_of_a_standard_and_of_a_fifo_queue() {
    for name in ["work", "work.fifo"] {
        for answer in [
            json!("no object"),
            json!([1]),
            json!({"batchItemFailures": "all"}),
            json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
            json!({"batchItemFailures": [{"itemIdentifier": null}]}),
            json!({"batchItemFailures": [{"id": "x"}]}),
            json!({"batchItemFailures": [{"itemIdentifier": "nobody"}]}),
        ] {
            let cloud = open(mapped(name));
            for body in ["1", "2"] {
                if name == "work" {
                    send(&sqs(&cloud), name, body).await;
                } else {
                    send_to_group(&sqs(&cloud), name, "g", body).await;
                }
            }
            let (seen, times, told) = (Seen::default(), AtomicUsize::new(0), answer.clone());
            let running = start(&cloud, &seen, move |_| match times.fetch_add(1, Ordering::SeqCst) {
                0 => Ok(told.clone()),
                _ => Ok(Value::Null),
            });
            cloud.settled().await;
            assert_eq!(seen.bodies(), vec![vec!["1", "2"]; 2], "{answer}");
            running.stop().await;
        }
    }
}

/// "Lambda treats a batch as a complete success if your function returns any of the following: An empty
/// `batchItemFailures` list; A null `batchItemFailures` list; An empty `EventResponse`; A null `EventResponse`" (Handling
/// errors for an SQS event source).
#[tokio::test(start_paused = true)]
async fn nothing_reported_is_a_complete_success() {
    for answer in [json!({"batchItemFailures": []}), json!({"batchItemFailures": null}), json!({}), Value::Null] {
        let cloud = open(mapped("work"));
        send(&sqs(&cloud), "work", "one").await;
        let (seen, told) = (Seen::default(), answer.clone());
        let running = start(&cloud, &seen, move |_| Ok(told.clone()));
        cloud.settled().await;
        assert_eq!((seen.count(), cloud.queue_depths()["dead"].visible), (1, 0), "{answer}");
        running.stop().await;
    }
}

/// "When messages are available, Lambda starts processing five batches at a time with five concurrent invocations of your
/// function. If messages are still available, Lambda increases the number of processes that are reading batches by up to
/// 300 more instances per minute." (Configuring scaling behavior for SQS event source mappings)
#[tokio::test(start_paused = true)]
async fn five_batches_at_first_and_three_hundred_more_each_minute() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].batch_size = 1;
    let cloud = open(stack);
    for n in 0..40 {
        send(&sqs(&cloud), "work", &n.to_string()).await;
    }
    let under_way = Arc::new(AtomicUsize::new(0));
    let counted = under_way.clone();
    let running = cloud
        .start(move |_| {
            let under_way = counted.clone();
            Some(handler(move |_| {
                let under_way = under_way.clone();
                async move {
                    under_way.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_secs(9)).await;
                    Ok(Value::Null)
                }
            }))
        })
        .unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(under_way.load(Ordering::SeqCst), 5);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(under_way.load(Ordering::SeqCst), 15);
    cloud.settled().await;
    running.stop().await;
}

/// "Lambda passes all of the records in the batch to the function in a single call, as long as the total size of the
/// events doesn't exceed the invocation payload size quota for synchronous invocation (6 MB)." And: "Both Lambda and Amazon
/// SQS generate metadata for each record. This additional metadata is counted towards the total payload size" (Using Lambda
/// with Amazon SQS).
#[tokio::test(start_paused = true)]
async fn a_batch_is_cut_so_that_its_event_stays_under_six_megabytes() {
    let mut stack = mapped("work");
    stack.queues[0].maximum_message_bytes = 1_048_576;
    stack.queue_mappings[0].window_seconds = 1;
    stack.queue_mappings[0].batch_size = 100;
    let cloud = open(stack);
    for _ in 0..8 {
        // A quote is two bytes in the event's JSON.
        send(&sqs(&cloud), "work", &"\"".repeat(500_000)).await;
    }
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    let sizes: Vec<usize> = seen.events().iter().map(|event| event.to_string().len()).collect();
    assert_eq!(seen.bodies().iter().map(Vec::len).collect::<Vec<_>>(), [6, 2]);
    assert!(sizes.iter().all(|size| *size <= 6 * 1024 * 1024), "{sizes:?}");
    running.stop().await;
}

/// "If your batch window is greater than 0, and (batch window) + (function timeout) > (queue visibility timeout), then your
/// effective queue visibility timeout is (batch window) + (function timeout) + 30s." (Using Lambda with Amazon SQS)
#[tokio::test(start_paused = true)]
async fn a_window_that_is_too_long_for_the_visibility_timeout_makes_that_longer() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].window_seconds = 25;
    let cloud = open(stack);
    send(&sqs(&cloud), "work", "one").await;
    let (times, began) = (AtomicUsize::new(0), Instant::now());
    let seen = Seen::default();
    let running =
        start(
            &cloud,
            &seen,
            move |_| {
                if times.fetch_add(1, Ordering::SeqCst) == 0 { Err(failure()) } else { Ok(Value::Null) }
            },
        );
    cloud.settled().await;
    // 25 seconds of window; from its beginning 25 + 10 + 30 hidden; and a window again.
    assert_eq!((seen.count(), began.elapsed()), (2, Duration::from_secs(65 + 25)));
    running.stop().await;
}

/// "If the invocation fails due to throttling … Lambda continues to retry the message until the message's timestamp exceeds
/// your queue's visibility timeout, at which point Lambda drops the message." (Handling errors for an SQS event source) It
/// was received, so it counts towards `maxReceiveCount`.
#[tokio::test(start_paused = true)]
async fn a_throttled_batch_is_dropped_when_its_messages_become_visible_again() {
    let mut stack = mapped("work");
    stack.functions[0].reserved_concurrency = Some(0);
    let cloud = open(stack);
    send(&sqs(&cloud), "work", "one").await;
    let (seen, began) = (Seen::default(), Instant::now());
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!((seen.count(), cloud.queue_depths()["dead"].visible), (0, 1));
    assert_eq!(began.elapsed(), Duration::from_secs(90), "three times the visibility time-out");
    running.stop().await;
}

/// "Plain string / Plain string: Lambda filters based on your filter criteria. Plain string / Valid JSON: Lambda drops the
/// message. Valid JSON / Plain string: Lambda drops the message. Valid JSON / Valid JSON: Lambda filters … No filter pattern
/// for data properties: Lambda filters (on the other metadata properties only)" (Using event filtering with an Amazon SQS
/// event source: incoming body, pattern, action)
#[tokio::test(start_paused = true)]
async fn a_filter_and_a_body_are_both_text_or_both_json() {
    let (plain, object, list, number) = ("hello", r#"{"kind":"a"}"#, r#"["a"]"#, "42");
    for (pattern, expected) in [
        (json!({"body": ["hello"]}), vec![plain]),
        (json!({"body": [{"prefix": "hel"}]}), vec![plain]),
        (json!({"body": [object, "42", list]}), vec![]),
        (json!({"body": {"kind": ["a"]}}), vec![object]),
        (json!({"body": [42]}), vec![number]),
        (json!({"eventSource": ["aws:sqs"]}), vec![plain, object, list, number]),
        (json!({"messageAttributes": {"k": {"stringValue": ["v"]}}}), vec![]),
    ] {
        let mut stack = mapped("work");
        stack.queue_mappings[0].filters = vec![pattern.clone()];
        let cloud = open(stack);
        for body in [plain, object, list, number] {
            send(&sqs(&cloud), "work", body).await;
        }
        let seen = Seen::default();
        let running = start(&cloud, &seen, fine);
        cloud.settled().await;
        assert_eq!(seen.bodies().concat(), expected, "{pattern}");
        assert_eq!(cloud.queue_depths()["work"], QueueDepth::default(), "what does not match is removed");
        running.stop().await;
    }
}

/// "Your filters are logically ORed together." And the table of comparison operators (Lambda Developer Guide, Control which
/// events Lambda sends to your function); "300, 300.0, and 3.0e2 are not considered equal" (the same).
#[tokio::test(start_paused = true)]
async fn every_documented_operator_filters() {
    let body = r#"{"name":"Alice","empty":"","gone":null,"price":100,"file":"a.png","region":"us-west-2"}"#;
    for (pattern, is_let_through) in [
        (json!({"gone": [null]}), true),
        (json!({"name": [null]}), false),
        (json!({"empty": [""]}), true),
        (json!({"name": ["Alice"]}), true),
        (json!({"name": ["alice"]}), false),
        (json!({"name": [{"equals-ignore-case": "alice"}]}), true),
        (json!({"name": ["Alice"], "price": [100]}), true),
        (json!({"name": ["Alice"], "price": [99]}), false),
        (json!({"name": ["Bob", "Alice"]}), true),
        (json!({"$or": [{"name": ["Bob"]}, {"price": [100]}]}), true),
        (json!({"name": [{"anything-but": ["Bob"]}]}), true),
        (json!({"name": [{"anything-but": ["Alice"]}]}), false),
        (json!({"price": [{"numeric": ["=", 100]}]}), true),
        (json!({"price": [{"numeric": [">", 10, "<=", 100]}]}), true),
        (json!({"price": [{"numeric": [">", 10, "<", 100]}]}), false),
        (json!({"price": [100.0]}), false),
        (json!({"price": [{"exists": true}]}), true),
        (json!({"weight": [{"exists": false}]}), true),
        (json!({"region": [{"prefix": "us-"}]}), true),
        (json!({"file": [{"suffix": ".png"}]}), true),
    ] {
        let mut stack = mapped("work");
        stack.queue_mappings[0].filters = vec![json!({"body": {"other": ["x"]}}), json!({ "body": pattern })];
        let cloud = open(stack);
        send(&sqs(&cloud), "work", body).await;
        let seen = Seen::default();
        let running = start(&cloud, &seen, fine);
        cloud.settled().await;
        assert_eq!(seen.count(), usize::from(is_let_through), "{pattern}");
        running.stop().await;
    }
}

/// "Set to false to stop processing records." (Using Lambda with Amazon SQS)
#[tokio::test(start_paused = true)]
async fn a_mapping_that_is_not_enabled_reads_nothing() {
    let mut stack = mapped("work");
    stack.queue_mappings[0].enabled = false;
    let cloud = open(stack);
    send(&sqs(&cloud), "work", "one").await;
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    sleep(Duration::from_secs(60)).await;
    assert_eq!((seen.count(), cloud.queue_depths()["work"].visible), (0, 1));
    running.stop().await;
}
