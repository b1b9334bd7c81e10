//! Around each function: who is speaking, how an invocation ends before its time, and how a delivery goes wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use local_cloud::stack::Function;
use local_cloud::{FunctionError, Handler, Invocation};
use local_system::Around;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::coverage::Path;
use crate::fault::{Class, Fault};
use crate::plan::Point;
use crate::speaker::{Again, Ending, Speaker};
use crate::telling::{Line, Mark};
use crate::wire;
use crate::world::World;

type Answer = Result<Value, FunctionError>;

/// One function within a run.
struct Hand {
    world: Arc<World>,
    function: String,
    timeout_ms: u64,
    handler: Handler,
}

pub(crate) fn around(world: Arc<World>) -> Around {
    Arc::new(move |function: &Function, handler: Handler| {
        let hand = Arc::new(Hand {
            world: world.clone(),
            function: function.logical_id.clone(),
            timeout_ms: u64::from(function.timeout_seconds) * 1_000,
            handler,
        });
        Arc::new(move |invocation: Invocation| {
            let hand = hand.clone();
            Box::pin(async move { hand.take(invocation).await })
        })
    })
}

impl Hand {
    async fn take(self: &Arc<Self>, invocation: Invocation) -> Answer {
        let who = self.world.next_invocation(&self.function);
        let Some(source) = source(&invocation.event) else { return self.run(who, invocation).await };
        self.world.state().coverage.delivered(&self.function, &invocation.event);
        let earlier = self.world.replace_earlier(&format!("{} {source}", self.function), &invocation.event);
        self.world.keep(&who, &self.function, &invocation.event);
        let point = Point::new(&who, Point::DELIVERY);
        self.world.meet(&point, Class::Delivery, false, || format!("delivery {}", about(&invocation.event)));
        let Some((fault, mut rng)) = self.world.strike_delivery(&point, &invocation.event) else {
            return self.run(who, invocation).await;
        };
        self.world.say(|| Line::new(Mark::Struck, &who, fault.name().to_uppercase()));
        match fault {
            Fault::Twice => {
                let first = self.run(who, invocation.clone()).await;
                let second = self.run(self.world.next_invocation(&self.function), invocation).await;
                if rng.bool() { first } else { second }
            }
            Fault::AtOnce => {
                let again = self.world.next_invocation(&self.function);
                let late_ms = rng.u64(0..40);
                let second = async {
                    sleep(Duration::from_millis(late_ms)).await;
                    self.run(again, invocation.clone()).await
                };
                let (first, second) = tokio::join!(self.run(who, invocation.clone()), second);
                if rng.bool() { first } else { second }
            }
            Fault::Delayed => {
                // Mostly there is hardly time left for anything.
                let late_ms = if rng.u32(0..4) == 0 {
                    rng.u64(100..self.timeout_ms / 2)
                } else {
                    self.timeout_ms - rng.u64(1_500..8_500)
                };
                sleep(Duration::from_millis(late_ms)).await;
                self.run(who, invocation).await
            }
            Fault::Split => self.run_in_parts(who, &invocation, rng.bool()).await,
            Fault::Merged => self.run_merged(who, invocation, earlier).await,
            Fault::AnswerLost => {
                let answer = self.run(who, invocation).await;
                answer.and(Err(failure("Runtime.ExitError", "the answer was lost")))
            }
            _ => self.run(who, invocation).await,
        }
    }

    /// One process from its start to its end, which another may overtake at any call.
    async fn run(self: &Arc<Self>, who: String, invocation: Invocation) -> Answer {
        let (hand, same) = (self.clone(), invocation.clone());
        let again = Again::new(move || {
            let (hand, same) = (hand.clone(), same.clone());
            Box::pin(async move {
                let who = hand.world.next_invocation(&hand.function);
                // Nobody hears what it answers, and no cloud ends it.
                let _ = timeout(Duration::from_millis(hand.timeout_ms), hand.run_as(who, same, None)).await;
            })
        });
        self.run_as(who, invocation, Some(again)).await
    }

    async fn run_as(&self, who: String, invocation: Invocation, again: Option<Again>) -> Answer {
        let skew_ms = self.world.skew_of(&who);
        if skew_ms != 0 {
            self.world.reached(Path::ClockSkewed);
        }
        let is_asked = invocation.event["routeKey"].is_string();
        let speaker = Speaker::new(who, self.function.clone(), skew_ms, is_asked, again);
        let _running = self.world.runs();
        self.world.note(&[b"begin", speaker.who.as_bytes(), invocation.event.to_string().as_bytes()]);
        self.world.say(|| {
            let wrong = if skew_ms == 0 { String::new() } else { format!(", its clock {skew_ms} ms off") };
            Line::new(Mark::Aside, &speaker.who, format!("begins{}{wrong}", about(&invocation.event)))
        });
        // What the process believes to be its deadline is by its own clock.
        let invocation = Invocation { deadline_ms: invocation.deadline_ms + skew_ms, ..invocation };
        let work = speaker.clone().speaks((self.handler)(invocation));
        let answer = tokio::select! {
            biased;
            ending = speaker.ended() => match ending {
                Ending::Crashed => Err(failure("Runtime.ExitError", "the process died")),
                Ending::Hung => {
                    std::future::pending().await
                }
            },
            answer = work => answer,
        };
        let said = match &answer {
            Ok(answer) => answer.to_string(),
            Err(error) => error.to_string(),
        };
        self.world.note(&[b"end", speaker.who.as_bytes(), said.as_bytes()]);
        if let Some(said) = how_it_failed(&answer) {
            self.world.say(|| Line::new(Mark::Plain, &speaker.who, said));
        }
        if let Err(error) = &answer
            && error.kind == "Failed"
        {
            self.world.reached(Path::FunctionFailed);
        }
        answer
    }

    /// Halves, or one by one, each handed over when the one before is done, and their answers put together as if they
    /// had been one. What follows a failure in its group, or in its shard, is not handed over.
    async fn run_in_parts(self: &Arc<Self>, who: String, invocation: &Invocation, in_halves: bool) -> Answer {
        let Some(records) = invocation.event["Records"].as_array().filter(|records| records.len() > 1).cloned() else {
            return self.run(who, invocation.clone()).await;
        };
        let is_stream = records.iter().all(|record| record["eventSource"] == "aws:dynamodb");
        let size = if in_halves { records.len().div_ceil(2) } else { 1 };
        let mut who = Some(who);
        let mut failed: Vec<String> = Vec::new();
        let mut held_up: BTreeSet<String> = BTreeSet::new();
        for part in records.chunks(size) {
            let (barred, part): (Vec<Value>, Vec<Value>) =
                part.iter().cloned().partition(|record| held_up.contains(&group(record)));
            failed.extend(barred.iter().map(id));
            if part.is_empty() {
                continue;
            }
            let event = json!({ "Records": part });
            let who = who.take().unwrap_or_else(|| self.world.next_invocation(&self.function));
            let answer = self.run(who, Invocation { event, ..invocation.clone() }).await;
            let named: BTreeSet<String> = match &answer {
                Ok(answer) => {
                    let listed = answer["batchItemFailures"].as_array().into_iter().flatten();
                    listed.filter_map(|item| item["itemIdentifier"].as_str().map(str::to_owned)).collect()
                }
                Err(_) => part.iter().map(id).collect(),
            };
            for record in &part {
                if named.contains(&id(record)) || (is_stream && !failed.is_empty()) {
                    failed.push(id(record));
                    held_up.insert(group(record));
                }
            }
        }
        let listed: Vec<Value> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
        Ok(json!({ "batchItemFailures": listed }))
    }

    /// Once more with what was delivered before, as far as a batch of the service holds it.
    async fn run_merged(self: &Arc<Self>, who: String, invocation: Invocation, earlier: Option<Value>) -> Answer {
        let records = invocation.event["Records"].as_array().cloned().unwrap_or_default();
        let own: BTreeSet<String> = records.iter().map(id).collect();
        let most = if records.iter().all(|record| record["eventSource"] == "aws:dynamodb") { 100 } else { 10 };
        let earlier = earlier.as_ref().and_then(|earlier| earlier["Records"].as_array()).cloned().unwrap_or_default();
        let mut merged: Vec<Value> = earlier.into_iter().filter(|record| !own.contains(&id(record))).collect();
        merged.truncate(most - records.len().min(most));
        merged.extend(records);
        let event = json!({ "Records": merged });
        let answer = self.run(who, Invocation { event, ..invocation }).await?;
        let listed = answer["batchItemFailures"].as_array().into_iter().flatten();
        let named: Vec<&Value> =
            listed.filter(|item| item["itemIdentifier"].as_str().is_some_and(|id| own.contains(id))).collect();
        Ok(json!({ "batchItemFailures": named }))
    }
}

/// Where a delivery came from; `None` for a call that somebody waits for, and for what comes by the clock.
fn source(event: &Value) -> Option<&str> {
    event["Records"][0]["eventSourceARN"].as_str()
}

fn id(record: &Value) -> String {
    let id = record["messageId"].as_str().or_else(|| record["dynamodb"]["SequenceNumber"].as_str());
    id.unwrap_or_default().to_owned()
}

/// What must not overtake each other; all of a stream's records count as one.
fn group(record: &Value) -> String {
    record["attributes"]["MessageGroupId"].as_str().unwrap_or_default().to_owned()
}

/// What an invocation is handed, in short.
fn about(event: &Value) -> String {
    if let Some(route) = event["routeKey"].as_str() {
        let key = event["headers"]["idempotency-key"].as_str().unwrap_or_default();
        return format!(" {route} {key}").trim_end().to_owned();
    }
    let records: Vec<String> = event["Records"].as_array().into_iter().flatten().map(record).collect();
    if records.is_empty() { String::new() } else { format!(" with {}", records.join(", ")) }
}

fn record(record: &Value) -> String {
    if let Some(message) = record["attributes"]["MessageDeduplicationId"].as_str() {
        return message.to_owned();
    }
    let key = |name: &str| record["dynamodb"]["Keys"][name]["S"].as_str();
    match (key("pk"), key("sk")) {
        (Some(pk), Some(sk)) => wire::place(pk, sk),
        _ => id(record),
    }
}

/// What is worth saying of an end: that it failed, or what goes back.
fn how_it_failed(answer: &Answer) -> Option<String> {
    match answer {
        Ok(answer) => {
            let back = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
            (back > 0).then(|| format!("ends, {back} of its batch go back"))
        }
        Err(error) => Some(format!("fails: {error}")),
    }
}

fn failure(kind: &str, message: &str) -> FunctionError {
    FunctionError { kind: kind.to_owned(), message: message.to_owned() }
}
