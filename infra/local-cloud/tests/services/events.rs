//! Buses, rules and schedules: what is owed to a target, and that it gets it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use local_cloud::stack::{Cron, Stack, Target, Timing};
use local_cloud::{Clock, Cloud, CloudError, Options, Storage};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::*;

fn with_rule() -> Stack {
    let mut stack = stack();
    stack.functions.push(function("Listener"));
    stack.queues.push(queue("copies.fifo"));
    stack.buses.push("things".into());
    let pattern = json!({"source": ["shop"], "detail": {"state": ["done"]}});
    stack.rules.push(rule("to-function", "things", pattern.clone(), Target::Function("Listener".into())));
    let target = Target::Queue { arn: queue_arn("copies.fifo"), message_group: Some("g".into()), detail_only: false };
    stack.rules.push(rule("to-queue", "things", pattern, target));
    stack
}

fn entry(detail: Value) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .event_bus_name("things")
        .source("shop")
        .detail_type("Changed")
        .detail(detail.to_string())
        .build()
}

/// "For an event pattern to match an event, the event must contain all the field names listed in the event pattern.
/// The field names must also appear in the event with the same nesting structure." (EventBridge User Guide, Amazon
/// EventBridge event patterns)
#[tokio::test(start_paused = true)]
async fn an_event_reaches_every_target_whose_pattern_it_matches() {
    let cloud = open(with_rule());
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    let sent = events(&cloud)
        .put_events()
        .entries(entry(json!({"state": "done"})))
        .entries(entry(json!({"state": "begun"})))
        .send()
        .await
        .unwrap();
    cloud.settled().await;
    assert_eq!(sent.failed_entry_count(), 0);
    let expected = json!({
        "version": "0",
        "id": sent.entries()[0].event_id().unwrap(),
        "detail-type": "Changed",
        "source": "shop",
        "account": ACCOUNT,
        "time": "2027-01-15T08:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": { "state": "done" },
    });
    assert_eq!(seen.events(), std::slice::from_ref(&expected));
    let copies = receive(&sqs(&cloud), "copies.fifo").await;
    assert_eq!(serde_json::from_str::<Value>(bodies(&copies)[0]).unwrap(), expected);
    running.stop().await;
}

/// "If you use this parameter, you specify the part of the event that you want to send to the target." (API reference of
/// EventBridge, Target, InputPath)
#[tokio::test(start_paused = true)]
async fn a_queue_may_get_the_detail_alone() {
    let mut stack = stack();
    stack.queues.push(queue("details"));
    let target = Target::Queue { arn: queue_arn("details"), message_group: None, detail_only: true };
    stack.rules.push(rule("details", "default", json!({"source": ["shop"]}), target));
    let cloud = open(stack);
    let running = start(&cloud, &Seen::default(), fine);
    let entry = PutEventsRequestEntry::builder().source("shop").detail_type("Changed").detail(r#"{"amount":1500.99}"#);
    let client = events(&cloud);
    client.put_events().entries(entry.build()).send().await.unwrap();
    cloud.settled().await;
    assert_eq!(bodies(&receive(&sqs(&cloud), "details").await), [r#"{"amount":1500.99}"#]);
    let targets = client.list_targets_by_rule().rule("details").send().await.unwrap();
    assert_eq!(targets.targets()[0].input_path(), Some("$.detail"));
    running.stop().await;
}

/// "By default, if an individual entry within a request fails, EventBridge continues processing the rest of the
/// entries in the request." (Adding Amazon EventBridge events with PutEvents)
#[tokio::test(start_paused = true)]
async fn entries_fail_one_by_one_and_too_many_as_a_whole() {
    let cloud = open(with_rule());
    let client = events(&cloud);
    let broken = entry(json!({}));
    let sent = client
        .put_events()
        .entries(PutEventsRequestEntry::builder().source("shop").detail_type("Changed").detail("{oops").build())
        .entries(PutEventsRequestEntry::builder().detail_type("Changed").detail("{}").build())
        .entries(PutEventsRequestEntry::builder().source("aws.s3").detail_type("Changed").detail("{}").build())
        .entries(
            PutEventsRequestEntry::builder()
                .event_bus_name("absent")
                .source("shop")
                .detail_type("C")
                .detail("{}")
                .build(),
        )
        .entries(broken.clone())
        .send()
        .await
        .unwrap();
    let codes: Vec<_> = sent.entries().iter().map(|entry| entry.error_code().unwrap_or("fine")).collect();
    assert_eq!(
        codes,
        ["MalformedDetail", "InvalidArgument", "NotAuthorizedForSourceException", "ResourceNotFoundException", "fine"]
    );
    assert_eq!(sent.failed_entry_count(), 4);
    let too_many = client.put_events().set_entries(Some(vec![broken; 11])).send().await.unwrap_err();
    assert_eq!(too_many.code(), Some("ValidationException"));
    let too_large = client.put_events().entries(entry(json!({"x": "y".repeat(256 * 1024)}))).send().await.unwrap_err();
    assert_eq!(too_large.code(), Some("ValidationException"));
}

/// "by default Lambda attempts to run it two more times, with a one-minute wait between the first two attempts, and
/// two minutes between the second and third attempts" (How Lambda handles errors and retries with asynchronous
/// invocation).
#[tokio::test(start_paused = true)]
async fn a_target_that_fails_is_tried_twice_more() {
    let cloud = open(with_rule());
    let seen = Seen::default();
    let running = start(&cloud, &seen, |_| Err(failure()));
    let began = Instant::now();
    events(&cloud).put_events().entries(entry(json!({"state": "done"}))).send().await.unwrap();
    cloud.settled().await;
    assert_eq!((seen.count(), began.elapsed()), (3, Duration::from_secs(180)));
    running.stop().await;
}

/// A rule of this cloud, as durable as the queue that Lambda keeps for asynchronous invocations.
#[tokio::test(start_paused = true)]
async fn what_is_owed_survives_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let reopen = || {
        let options = Options::new(Storage::Directory(directory.path().into()), Clock::starting_at(START_MS), 1);
        Cloud::open(with_rule(), options).unwrap()
    };
    let cloud = reopen();
    events(&cloud).put_events().entries(entry(json!({"state": "done"}))).send().await.unwrap();
    drop(cloud);
    let (cloud, seen) = (reopen(), Seen::default());
    let running = start(&cloud, &seen, fine);
    cloud.settled().await;
    assert_eq!(seen.count(), 1);
    running.stop().await;
}

/// A rule of this cloud: nothing is routed by what it does not understand.
#[tokio::test(start_paused = true)]
async fn a_pattern_that_is_not_understood_keeps_the_cloud_from_opening() {
    let mut stack = with_rule();
    stack.rules[0].pattern = json!({"source": [{"cidr": "10.0.0.0/8"}]});
    let refused = Cloud::open(stack, Options::new(Storage::Memory, Clock::starting_at(START_MS), 1)).err().unwrap();
    assert!(matches!(&refused, CloudError::Pattern { .. }), "{refused}");
}

fn with_schedule() -> Stack {
    let mut stack = stack();
    stack.functions.push(function("Sweeper"));
    stack.schedules.push(schedule("Sweeper", 60));
    stack
}

/// "A rate expression starts when you create the scheduled event rule, and then it runs on a defined schedule."
/// (Creating a rule that runs on a schedule)
#[tokio::test(start_paused = true)]
async fn a_schedule_runs_once_a_period_and_first_after_one() {
    let cloud = open(with_schedule());
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    sleep(Duration::from_secs(59)).await;
    assert_eq!(seen.count(), 0);
    sleep(Duration::from_secs(2)).await;
    let event = &seen.events()[0];
    assert_eq!(
        (&event["source"], &event["detail-type"], &event["time"]),
        (&json!("aws.events"), &json!("Scheduled Event"), &json!("2027-01-15T08:01:00Z"))
    );
    assert_eq!((&event["resources"][0], &event["detail"]), (&json!(cloud.stack().schedules[0].arn), &json!({})));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(seen.count(), 3);
    running.stop().await;
}

/// A rule of this cloud, which is not always on.
#[tokio::test(start_paused = true)]
async fn missed_periods_are_made_up_by_one_run_and_a_restart_within_a_period_by_none() {
    let directory = tempfile::tempdir().unwrap();
    let runs = AtomicUsize::new(0);
    for (start_ms, wait_seconds, expected) in
        [(START_MS, 30, 0), (START_MS + 45_000, 10, 0), (START_MS + 600_000, 1, 1)]
    {
        let options = Options::new(Storage::Directory(directory.path().into()), Clock::starting_at(start_ms), 1);
        let (cloud, seen) = (Cloud::open(with_schedule(), options).unwrap(), Seen::default());
        let running = start(&cloud, &seen, fine);
        sleep(Duration::from_secs(wait_seconds)).await;
        running.stop().await;
        runs.fetch_add(seen.count(), Ordering::SeqCst);
        assert_eq!(runs.load(Ordering::SeqCst), expected, "started at {start_ms}");
    }
}

/// "Cron expressions have six required fields"; times are in UTC (EventBridge User Guide, Creating a rule that runs on a
/// schedule).
#[tokio::test(start_paused = true)]
async fn a_cron_schedule_runs_at_its_times() {
    let mut stack = with_schedule();
    stack.schedules[0].timing = Timing::Cron(Cron::read("cron(0/30 8-9 ? * FRI *)").unwrap());
    let cloud = open(stack);
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    sleep(Duration::from_secs(8 * 86_400)).await;
    let times: Vec<_> = seen.events().iter().map(|event| event["time"].as_str().unwrap().to_owned()).collect();
    // The clock starts on a Friday at eight.
    assert_eq!(
        times,
        [
            "2027-01-15T08:30:00Z",
            "2027-01-15T09:00:00Z",
            "2027-01-15T09:30:00Z",
            "2027-01-22T08:00:00Z",
            "2027-01-22T08:30:00Z",
            "2027-01-22T09:00:00Z",
            "2027-01-22T09:30:00Z"
        ]
    );
    running.stop().await;
}

/// "Some events are dropped or sent to a DLQ without any retry attempts. For example, for errors that result from missing
/// permissions to a target … all retry attempts fail until an action is taken to resolve the underlying issue." (EventBridge
/// User Guide, Event retry policy and using dead-letter queues)
#[tokio::test(start_paused = true)]
async fn an_event_that_its_queue_refuses_is_dropped_at_once() {
    let mut stack = with_rule();
    stack.queues[0].maximum_message_bytes = 1_024;
    let cloud = open(stack);
    let running = start(&cloud, &Seen::default(), fine);
    let began = Instant::now();
    events(&cloud).put_events().entries(entry(json!({"state": "done", "x": "y".repeat(2_000)}))).send().await.unwrap();
    cloud.settled().await;
    assert_eq!((cloud.queue_depths()["copies.fifo"].visible, began.elapsed()), (0, Duration::ZERO));
    running.stop().await;
}
