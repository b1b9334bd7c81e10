//! Running a function by name: its time limit, its panics, its reserved concurrency, and who hears of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_cloud::stack::Stack;
use local_cloud::{Clock, Cloud, CloudError, Invocation, InvocationRecord, Options, Outcome, Storage, Trigger};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::*;

fn with_function() -> Stack {
    let mut stack = stack();
    stack.functions.push(function("Echo"));
    stack
}

#[tokio::test(start_paused = true)]
async fn an_invocation_carries_what_the_runtime_tells_and_brings_the_answer() {
    let cloud = open(with_function());
    let running = cloud
        .start(|_| {
            Some(Arc::new(|invocation: Invocation| {
                let told =
                    json!([invocation.event, invocation.function_name, invocation.memory_mib, invocation.deadline_ms]);
                Box::pin(async move { Ok(told) })
            }))
        })
        .unwrap();
    assert_eq!(cloud.invoke("Echo", json!("hi")).await.unwrap(), json!(["hi", "stack-Echo", 256, START_MS + 10_000]));
    assert_eq!(cloud.invoke("Nobody", json!({})).await.unwrap_err().kind, "ResourceNotFoundException");
    running.stop().await;
}

/// "Timeout is the maximum amount of time in seconds that a Lambda function can run." (Lambda Developer Guide,
/// Configuring Lambda function options)
#[tokio::test(start_paused = true)]
async fn a_function_that_hangs_or_panics_has_failed_and_the_observer_hears_why() {
    let told: Arc<Mutex<Vec<InvocationRecord>>> = Arc::default();
    let noted = told.clone();
    let mut options = Options::new(Storage::Memory, Clock::starting_at(START_MS), 1);
    options.on_invocation = Some(Arc::new(move |record: &InvocationRecord| noted.lock().unwrap().push(record.clone())));
    let cloud = Cloud::open(with_function(), options).unwrap();
    let running = cloud
        .start(|_| {
            Some(handler(|event| async move {
                match event.as_str() {
                    Some("hang") => sleep(Duration::from_secs(60)).await,
                    Some("panic") => panic!("{}", "on purpose"),
                    _ => {}
                }
                Ok(Value::Null)
            }))
        })
        .unwrap();
    let began = Instant::now();
    let hung = cloud.invoke("Echo", json!("hang")).await.unwrap_err();
    assert_eq!((hung.kind.as_str(), began.elapsed()), ("Sandbox.Timedout", Duration::from_secs(10)));
    assert!(hung.message.ends_with("Task timed out after 10.00 seconds"), "{}", hung.message);
    let panicked = cloud.invoke("Echo", json!("panic")).await.unwrap_err();
    assert_eq!((panicked.kind.as_str(), panicked.message.as_str()), ("Runtime.Panic", "on purpose"));
    cloud.invoke("Echo", json!("fine")).await.unwrap();
    let told: Vec<_> =
        told.lock().unwrap().iter().map(|record| (record.trigger, record.outcome, record.duration_ms)).collect();
    let expected = [(Outcome::TimedOut, 10_000), (Outcome::Panicked, 0), (Outcome::Done, 0)];
    assert_eq!(told, expected.map(|(outcome, duration_ms)| (Trigger::Call, outcome, duration_ms)));
    running.stop().await;
}

/// "Reserved concurrency guarantees the maximum number of concurrent instances for the function." (Lambda Developer
/// Guide, Managing Lambda reserved concurrency)
#[tokio::test(start_paused = true)]
async fn reserved_concurrency_refuses_a_call_and_makes_a_mapping_wait() {
    let mut stack = with_function();
    stack.functions[0].reserved_concurrency = Some(1);
    stack.queues.push(queue("work"));
    stack.queue_mappings.push(queue_mapping("Echo", "work"));
    let cloud = open(stack);
    let running = cloud
        .start(|_| {
            Some(handler(|_| async {
                sleep(Duration::from_secs(2)).await;
                Ok(Value::Null)
            }))
        })
        .unwrap();
    let began = Instant::now();
    let (first, second) = tokio::join!(cloud.invoke("Echo", json!(1)), cloud.invoke("Echo", json!(2)));
    first.unwrap();
    assert_eq!(second.unwrap_err().kind, "TooManyRequestsException");
    let in_the_way = cloud.invoke("Echo", json!(3));
    let queued = async {
        sleep(Duration::from_secs(1)).await;
        send(&sqs(&cloud), "work", "patient").await;
        cloud.settled().await;
    };
    let (done, ()) = tokio::join!(in_the_way, queued);
    done.unwrap();
    assert_eq!((began.elapsed(), cloud.queue_depths()["work"].visible), (Duration::from_secs(6), 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_invocation_goes_on_when_its_caller_goes_away() {
    let cloud = open(with_function());
    let seen = Seen::default();
    let noted = seen.clone();
    let running = cloud
        .start(move |_| {
            let seen = noted.clone();
            Some(handler(move |event| {
                let seen = seen.clone();
                async move {
                    sleep(Duration::from_secs(2)).await;
                    seen.note(event);
                    Ok(Value::Null)
                }
            }))
        })
        .unwrap();
    let gone = tokio::time::timeout(Duration::from_secs(1), cloud.invoke("Echo", json!("go on"))).await;
    assert!(gone.is_err());
    cloud.settled().await;
    assert_eq!(seen.events(), [json!("go on")]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_is_stopped_waits_for_its_invocations_and_one_that_is_dropped_ends_them() {
    for is_stopped in [true, false] {
        let cloud = open(with_function());
        let seen = Seen::default();
        let noted = seen.clone();
        let running = cloud
            .start(move |_| {
                let seen = noted.clone();
                Some(handler(move |event| {
                    let seen = seen.clone();
                    async move {
                        sleep(Duration::from_secs(2)).await;
                        seen.note(event);
                        Ok(Value::Null)
                    }
                }))
            })
            .unwrap();
        let ending = async {
            sleep(Duration::from_secs(1)).await;
            if is_stopped { running.stop().await } else { drop(running) }
        };
        let (answer, ()) = tokio::join!(cloud.invoke("Echo", json!({})), ending);
        sleep(Duration::from_secs(5)).await;
        assert_eq!((answer.is_ok(), seen.count()), if is_stopped { (true, 1) } else { (false, 0) });
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_holds_a_client_does_not_keep_the_cloud_open() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let options = Options::new(Storage::Directory(directory.path().into()), Clock::starting_at(START_MS), 1);
        Cloud::open(with_function(), options)
    };
    let cloud = open().unwrap();
    let client = sqs(&cloud);
    let running = cloud
        .start(move |_| {
            let client = client.clone();
            Some(handler(move |_| {
                let client = client.clone();
                async move { Ok(json!(client.list_queues().send().await.unwrap().queue_urls().len())) }
            }))
        })
        .unwrap();
    assert_eq!(cloud.invoke("Echo", json!({})).await.unwrap(), json!(0));
    running.stop().await;
    drop(cloud);
    open().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cloud_starts_once_and_with_every_handler() {
    let cloud = open(with_function());
    assert!(matches!(cloud.start(|_| None), Err(CloudError::NoHandler { .. })));
    assert_eq!(cloud.invoke("Echo", json!({})).await.unwrap_err().kind, "ResourceNotReadyException");
    let running = start(&cloud, &Seen::default(), fine);
    assert!(matches!(cloud.start(|_| Some(handler(|_| async { Ok(Value::Null) }))), Err(CloudError::AlreadyRunning)));
    running.stop().await;
    start(&cloud, &Seen::default(), fine).stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_runs_from_one_seed_are_the_same() {
    let mut traces = Vec::new();
    for _ in 0..2 {
        let mut stack = with_function();
        stack.tables.push(table());
        stack.stream_mappings.push(stream_mapping("Echo"));
        stack.queues.push(queue("work.fifo"));
        stack.queue_mappings.push(queue_mapping("Echo", "work.fifo"));
        let cloud = open(stack);
        let seen = Seen::default();
        let running = start(&cloud, &seen, fine);
        for n in 0..5 {
            put(&dynamodb(&cloud), "a", &n.to_string()).await;
            send_to_group(&sqs(&cloud), "work.fifo", "g", &n.to_string()).await;
        }
        cloud.settled().await;
        running.stop().await;
        traces.push(seen.events());
    }
    assert!(!traces[0].is_empty());
    assert_eq!(traces[0], traces[1]);
}
