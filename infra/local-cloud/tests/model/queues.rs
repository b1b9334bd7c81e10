//! Queues: the rules of a mapping from a standard and a FIFO queue, and a thousand messages judged by them.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use local_cloud::stack::{QueueMapping, Stack};
use local_cloud::{Cloud, QueueDepth};
use serde_json::Value;

use crate::plan::{Call, Log, MESSAGES, Meant, Moment, Plan, Reading, Reports, seeds};
use crate::support::*;

const MOST_RECEIVES: usize = 4;
const VISIBILITY: Duration = Duration::from_secs(60);

/// The rules' parameters.
struct Rules {
    fifo: bool,
    batch_size: usize,
    window: Duration,
}

/// A message as the rules see it.
struct Message {
    group: String,
    /// Its place among the messages of its group.
    place: usize,
    handed_over: usize,
    is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// In the queue. It may be received again from this time on.
    Waiting(Duration),
    InHand,
    Deleted,
}

/// Follows every message through the rules; an error is the first rule that was broken.
fn judge(rules: &Rules, sent: &[(String, String)], log: &Log, dead: &[String]) -> Result<(), String> {
    let mut messages: BTreeMap<&str, Message> = BTreeMap::new();
    let mut of_group: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, group) in sent {
        let members = of_group.entry(group).or_default();
        let message =
            Message { group: group.clone(), place: members.len(), handed_over: 0, is: Is::Waiting(Duration::ZERO) };
        messages.insert(name, message);
        members.push(name);
    }
    let calls = log.calls();
    let mut taken_in_order: Vec<&str> = Vec::new();
    for moment in log.moments() {
        match moment {
            Moment::Began(number) => began(rules, &mut messages, &of_group, &calls[number])?,
            Moment::Ended(number) => {
                let call = &calls[number];
                for name in &call.names {
                    let message = messages.get_mut(name.as_str()).ok_or("unknown")?;
                    message.is = if was_taken(call, name) {
                        taken_in_order.push(name);
                        Is::Deleted
                    } else {
                        Is::Waiting(visible_again(rules, call))
                    };
                }
            }
        }
    }
    for (name, message) in &messages {
        let is_dead = dead.iter().any(|dead| dead == name);
        // "The `maxReceiveCount` is the number of times a consumer tries receiving a message from a queue without
        // deleting it before being moved to the dead-letter queue."
        match message.is {
            Is::Deleted if !is_dead => {}
            Is::Waiting(_) if is_dead && message.handed_over == MOST_RECEIVES => {}
            is => return Err(format!("{name} ended as {is:?} after {}, dead: {is_dead}", message.handed_over)),
        }
    }
    let mut distinct = dead.to_vec();
    distinct.sort();
    distinct.dedup();
    if distinct.len() != dead.len() {
        return Err("a message is among the dead letters twice".into());
    }
    if rules.fifo {
        in_order(&messages, &taken_in_order, "taken")?;
        in_order(&messages, &dead.iter().map(String::as_str).collect::<Vec<_>>(), "dead")?;
    }
    Ok(())
}

/// "When Lambda reads a batch, the messages stay in the queue but are hidden for the length of the queue's visibility
/// timeout"; a batch may have waited for its window since then.
fn visible_again(rules: &Rules, call: &Call) -> Duration {
    call.began.saturating_sub(rules.window) + VISIBILITY
}

/// "make only the failed messages visible again"; "If your function throws an exception, the entire batch is considered
/// a complete failure."
fn was_taken(call: &Call, name: &String) -> bool {
    match &call.meant {
        Meant::AllTaken => true,
        Meant::AllFailed => false,
        Meant::Failed(failed) => !failed.contains(name),
    }
}

fn began(
    rules: &Rules,
    messages: &mut BTreeMap<&str, Message>,
    of_group: &BTreeMap<&str, Vec<&str>>,
    call: &Call,
) -> Result<(), String> {
    // "For a standard queue, this can be up to 10,000 records. For a FIFO queue, the maximum is 10."
    if call.names.is_empty() || call.names.len() > rules.batch_size {
        return Err(format!("a batch of {}", call.names.len()));
    }
    for (place, name) in call.names.iter().enumerate() {
        let message = messages.get(name.as_str()).ok_or_else(|| format!("nobody sent {name}"))?;
        match message.is {
            Is::Waiting(until) if until <= call.began => {}
            is => return Err(format!("{name} was handed over at {:?} while it was {is:?}", call.began)),
        }
        if message.handed_over >= MOST_RECEIVES {
            return Err(format!("{name} was handed over a fifth time"));
        }
        if rules.fifo {
            // "When you receive a message with a message group ID, no more messages for the same message group ID are
            // returned unless you delete the message or it becomes visible." And "For each message group ID, all messages
            // are sent and received in strict order": what came before it is gone, or comes in the same batch before it.
            let before = &of_group[message.group.as_str()][..message.place];
            for earlier in before {
                let is_gone = messages[earlier].is == Is::Deleted || messages[earlier].handed_over == MOST_RECEIVES;
                let comes_along = call.names[..place].iter().any(|name| name == earlier);
                if !is_gone && !comes_along {
                    return Err(format!("{name} was handed over before {earlier} of its group"));
                }
                if messages[earlier].is == Is::InHand {
                    return Err(format!("{name} was handed over while {earlier} of its group was in hand"));
                }
            }
        }
    }
    for name in &call.names {
        if let Some(message) = messages.get_mut(name.as_str()) {
            message.handed_over += 1;
            message.is = Is::InHand;
        }
    }
    Ok(())
}

/// Within each group in the order in which they were sent.
fn in_order(messages: &BTreeMap<&str, Message>, names: &[&str], what: &str) -> Result<(), String> {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        let message = &messages[name];
        if last.insert(&message.group, message.place).is_some_and(|last| last >= message.place) {
            return Err(format!("{name} was {what} after a later one of its group"));
        }
    }
    Ok(())
}

fn reading(fifo: bool) -> Reading {
    Reading {
        name: |record| record["body"].as_str().unwrap().to_owned(),
        identifier: |record| record["messageId"].as_str().unwrap().to_owned(),
        order_key: fifo.then_some(|record: &Value| record["attributes"]["MessageGroupId"].to_string()),
    }
}

async fn buried(cloud: &Cloud, queue: &str) -> Vec<String> {
    let client = sqs(cloud);
    let mut dead = Vec::new();
    loop {
        let received = receive(&client, queue).await;
        if received.is_empty() {
            return dead;
        }
        let mut deleting = client.delete_message_batch().queue_url(url(queue));
        for (place, message) in received.iter().enumerate() {
            dead.push(message.body().unwrap().to_owned());
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            let entry = entry.receipt_handle(message.receipt_handle().unwrap()).build().unwrap();
            deleting = deleting.entries(entry);
        }
        assert!(deleting.send().await.unwrap().failed().is_empty());
    }
}

/// In a FIFO queue the name is the deduplication id.
async fn send_ten(client: &aws_sdk_sqs::Client, queue: &str, ten: &[(String, String)]) {
    let mut sending = client.send_message_batch().queue_url(url(queue));
    for (name, group) in ten {
        let mut entry = SendMessageBatchRequestEntry::builder().id(name).message_body(name);
        if queue.ends_with(".fifo") {
            entry = entry.message_group_id(group).message_deduplication_id(name);
        }
        sending = sending.entries(entry.build().unwrap());
    }
    assert!(sending.send().await.unwrap().failed().is_empty());
}

/// Half of the messages are there before the cloud starts, the others come while it runs.
async fn through(queue_name: &str, reports: Reports, set: impl Fn(&mut QueueMapping)) {
    for seed in seeds() {
        let fifo = queue_name.ends_with(".fifo");
        let dead_name = if fifo { "dead.fifo" } else { "dead" };
        let mut source = with_dead_letters(queue(queue_name), dead_name, u32::try_from(MOST_RECEIVES).unwrap());
        source.visibility_seconds = u32::try_from(VISIBILITY.as_secs()).unwrap();
        let mut mapping = queue_mapping("Worker", queue_name);
        mapping.reports_item_failures = reports == Reports::Items;
        set(&mut mapping);
        let stack = Stack {
            functions: vec![function("Worker")],
            queues: vec![source, queue(dead_name)],
            queue_mappings: vec![mapping.clone()],
            ..stack()
        };
        let cloud = open(stack);
        let plan = Plan {
            seed,
            reports,
            failing_percent: 40,
            poison: (0..MESSAGES).step_by(97).map(|n| n.to_string()).collect(),
            reading: reading(fifo),
            takes: Duration::from_millis(300),
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let sent: Vec<(String, String)> =
            (0..MESSAGES).map(|n| (n.to_string(), format!("g{}", random.u32(..40)))).collect();
        let client = sqs(&cloud);
        let (first, second) = sent.split_at(MESSAGES / 2);
        for ten in first.chunks(10) {
            send_ten(&client, queue_name, ten).await;
        }
        let (log, running) = plan.start(&cloud);
        for ten in second.chunks(10) {
            send_ten(&client, queue_name, ten).await;
            tokio::time::sleep(Duration::from_millis(random.u64(..1000))).await;
        }
        let settled = tokio::time::timeout(Duration::from_secs(2 * 86_400), cloud.settled()).await;
        assert!(settled.is_ok(), "seed {seed}: after two days it has not settled");
        assert_eq!(cloud.queue_depths()[queue_name], QueueDepth::default(), "seed {seed}");
        running.stop().await;
        let dead = buried(&cloud, dead_name).await;
        let rules = Rules {
            fifo,
            batch_size: usize::try_from(mapping.batch_size).unwrap(),
            window: Duration::from_secs(mapping.window_seconds.into()),
        };
        if let Err(broken) = judge(&rules, &sent, &log, &dead) {
            panic!("seed {seed}: {broken}");
        }
        assert!(!dead.is_empty() && dead.len() < MESSAGES / 2, "seed {seed}: {} of them died", dead.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_standard_queue_with_a_window() {
    through("work", Reports::Batches, |mapping| {
        mapping.batch_size = 25;
        mapping.window_seconds = 2;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_standard_queue_with_partial_responses() {
    through("work", Reports::Items, |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_with_partial_responses() {
    through("work.fifo", Reports::Items, |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_without_partial_responses() {
    through("work.fifo", Reports::Batches, |_| {}).await;
}
