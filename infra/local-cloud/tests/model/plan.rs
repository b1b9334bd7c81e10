//! What the function does with each batch, drawn from a seed, and a log of it.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_cloud::{Cloud, FunctionError, Running};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{failed_items, failure, handler};

pub(crate) const MESSAGES: usize = 1000;

/// Two, or as many as `MODEL_SEEDS` says.
pub(crate) fn seeds() -> impl Iterator<Item = u64> {
    let most = std::env::var("MODEL_SEEDS").map_or(2, |most| most.parse().unwrap());
    1..=most
}

/// Which ways of failing a plan draws from, beside taking the batch whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reports {
    /// An error, a panic, or more time than there is.
    Batches,
    /// These, or a report of what failed, which may be one that AWS does not understand.
    Items,
}

/// A batch that the function was handed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What the messages or records are called by the one who sent them, in the batch's order.
    pub(crate) names: Vec<String>,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) meant: Meant,
}

/// What the documentation says that the function's way of ending means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    AllTaken,
    AllFailed,
    /// These failed, by name.
    Failed(Vec<String>),
}

/// A moment of a log.
#[derive(Clone, Debug)]
pub(crate) enum Moment {
    Began(usize),
    Ended(usize),
}

#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<Written>>);

struct Written {
    calls: Vec<Call>,
    moments: Vec<Moment>,
    start: Instant,
}

impl Log {
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    /// In the order in which they came.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.0.lock().unwrap().moments.clone()
    }

    fn begin(&self, names: Vec<String>) -> usize {
        let mut written = self.0.lock().unwrap();
        let began = written.start.elapsed();
        let number = written.calls.len();
        written.calls.push(Call { names, began, ended: Duration::MAX, meant: Meant::AllFailed });
        written.moments.push(Moment::Began(number));
        number
    }

    fn end(&self, number: usize, meant: Meant) {
        let mut written = self.0.lock().unwrap();
        let ended = written.start.elapsed();
        let call = written.calls.get_mut(number).unwrap();
        (call.ended, call.meant) = (ended, meant);
        written.moments.push(Moment::Ended(number));
    }
}

/// How a plan reads an event: each record's name, its identifier in a report, and what keeps it in order.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) name: fn(&Value) -> String,
    pub(crate) identifier: fn(&Value) -> String,
    pub(crate) order_key: Option<fn(&Value) -> String>,
}

#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) reports: Reports,
    /// Of a hundred batches so many fail for no reason of theirs.
    pub(crate) failing_percent: u32,
    /// Names that fail whenever they come.
    pub(crate) poison: Vec<String>,
    pub(crate) reading: Reading,
    /// How long the function takes when it does not fail.
    pub(crate) takes: Duration,
}

/// Seconds that the function has, as `support::function` says, and more than that.
const LIMIT: Duration = Duration::from_secs(10);
const TOO_LONG: Duration = Duration::from_secs(60);

impl Plan {
    /// Starts a cloud whose one function follows the plan.
    pub(crate) fn start(&self, cloud: &Cloud) -> (Log, Running) {
        let log = Log(Arc::new(Mutex::new(Written { calls: Vec::new(), moments: Vec::new(), start: Instant::now() })));
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(self.seed)));
        let (plan, kept) = (self.clone(), log.clone());
        let running = cloud
            .start(move |_| {
                let (plan, log, random) = (plan.clone(), kept.clone(), random.clone());
                Some(handler(move |event| {
                    let (plan, log, random) = (plan.clone(), log.clone(), random.clone());
                    async move { plan.run(&event, &log, &random).await }
                }))
            })
            .unwrap();
        (log, running)
    }

    async fn run(&self, event: &Value, log: &Log, random: &Mutex<fastrand::Rng>) -> Result<Value, FunctionError> {
        let records = event["Records"].as_array().unwrap();
        let names: Vec<String> = records.iter().map(self.reading.name).collect();
        let has_poison = names.iter().any(|name| self.poison.contains(name));
        let mut drawn = random.lock().unwrap().fork();
        let number = log.begin(names);
        if !has_poison && drawn.u32(..100) >= self.failing_percent {
            sleep(self.takes).await;
            log.end(number, Meant::AllTaken);
            return Ok(success(drawn.usize(..4)));
        }
        let ways = if self.reports == Reports::Items { 10 } else { 3 };
        match drawn.usize(..ways) {
            0 => {
                log.end(number, Meant::AllFailed);
                Err(failure())
            }
            1 => {
                log.end(number, Meant::AllFailed);
                // As a panic does, without the noise of one.
                resume_unwind(Box::new("as the plan wants it"))
            }
            2 => {
                // The time limit ends it while it sleeps, so its end is noted by another task.
                let log = log.clone();
                tokio::spawn(async move {
                    sleep(LIMIT).await;
                    log.end(number, Meant::AllFailed);
                });
                sleep(TOO_LONG).await;
                Ok(Value::Null)
            }
            3 => {
                log.end(number, Meant::AllFailed);
                Ok(malformed(drawn.usize(..4)))
            }
            _ => {
                sleep(self.takes).await;
                let failed = self.failed_of(records, &mut drawn);
                let name = |place: &usize| (self.reading.name)(&records[*place]);
                log.end(number, Meant::Failed(failed.iter().map(name).collect()));
                let identifiers: Vec<String> =
                    failed.iter().map(|place| (self.reading.identifier)(&records[*place])).collect();
                Ok(failed_items(identifiers.iter().map(String::as_str)))
            }
        }
    }

    /// The poison of a batch and a few more by chance; where order counts, everything behind them too.
    fn failed_of(&self, records: &[Value], drawn: &mut fastrand::Rng) -> Vec<usize> {
        let unlucky = drawn.usize(..records.len());
        let fails = |place: usize| place == unlucky || self.poison.contains(&(self.reading.name)(&records[place]));
        let mut failed: Vec<usize> = Vec::new();
        for place in 0..records.len() {
            let follows = self
                .reading
                .order_key
                .is_some_and(|key| failed.iter().any(|earlier| key(&records[*earlier]) == key(&records[place])));
            if follows || fails(place) {
                failed.push(place);
            }
        }
        failed
    }
}

/// "Lambda treats a batch as a complete success if your function returns any of the following: An empty
/// `batchItemFailures` list; A null `batchItemFailures` list; An empty `EventResponse`; A null `EventResponse`"
/// (Lambda Developer Guide, Using Lambda with Amazon SQS and with DynamoDB, Success and failure conditions).
fn success(which: usize) -> Value {
    [json!({"batchItemFailures": []}), json!({"batchItemFailures": null}), json!({}), Value::Null][which].clone()
}

/// "Lambda treats a batch as a complete failure if your function returns any of the following: An invalid JSON response;
/// An empty string `itemIdentifier`; A null `itemIdentifier`; An `itemIdentifier` with a bad key name" (the same).
fn malformed(which: usize) -> Value {
    [
        json!("not what was asked for"),
        json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
        json!({"batchItemFailures": [{"itemIdentifier": null}]}),
        json!({"batchItemFailures": [{"item": "x"}]}),
    ][which]
        .clone()
}
