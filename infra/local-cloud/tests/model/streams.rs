//! Streams: the rules of a mapping from a table's stream, and a thousand records judged by them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use local_cloud::Cloud;
use local_cloud::stack::{Stack, StreamMapping};
use serde_json::Value;

use crate::plan::{Call, Log, MESSAGES, Meant, Moment, Plan, Reading, Reports, seeds};
use crate::support::*;

const FAILED: &str = "failed-records";

/// The rules' parameters.
struct Rules {
    batch_size: usize,
    bisects: bool,
    retries: Option<u32>,
    age: Option<Duration>,
    parallel: usize,
}

/// A record as the rules see it: its name, its item, and when it was written, as the stream says it: in seconds.
struct Record {
    name: String,
    item: String,
    written: Duration,
}

/// What was given up together, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct GivenUp {
    names: Vec<String>,
    condition: String,
    invoked: u64,
}

/// Records that are handed over together, and how often they failed as they are.
#[derive(Clone, Debug)]
struct Piece {
    names: Vec<String>,
    failures: u64,
    /// It is one of two halves, of which either may be the larger one.
    is_half: bool,
}

/// One batch that is worked off: the pieces that are left of it, the next one last. One of them may be in hand.
#[derive(Debug)]
struct Open {
    pieces: Vec<Piece>,
    in_hand: Option<usize>,
}

struct Judge<'a> {
    rules: &'a Rules,
    by_name: BTreeMap<&'a str, &'a Record>,
    /// The records of each item that were never handed over, in their order.
    unread: BTreeMap<&'a str, Vec<&'a str>>,
    open: Vec<Open>,
    given_up: Vec<GivenUp>,
    taken: BTreeSet<String>,
}

fn judge(rules: &Rules, records: &[Record], log: &Log, found: &[GivenUp]) -> Result<(), String> {
    let mut unread: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in records {
        unread.entry(&record.item).or_default().push(&record.name);
    }
    let by_name = records.iter().map(|record| (record.name.as_str(), record)).collect();
    let mut judge = Judge { rules, by_name, unread, open: Vec::new(), given_up: Vec::new(), taken: BTreeSet::new() };
    let calls = log.calls();
    for moment in log.moments() {
        match moment {
            Moment::Began(number) => judge.began(number, &calls[number])?,
            Moment::Ended(number) => judge.ended(number, &calls[number])?,
        }
    }
    judge.close(found)
}

impl Judge<'_> {
    fn began(&mut self, number: usize, call: &Call) -> Result<(), String> {
        if let Some(name) = call.names.iter().find(|name| self.is_too_old(name, call.began)) {
            return Err(format!("{name} was handed over at {:?}, when it was too old", call.began));
        }
        let continued = (0..self.open.len()).find(|place| self.continues(*place, call));
        let Some(place) = continued else { return self.begins_a_batch(number, call) };
        // What came before it in the batch and is too old by now was given up on the way.
        while let Some(piece) = self.open[place].pieces.pop() {
            let (old, young): (Vec<String>, Vec<String>) =
                piece.names.into_iter().partition(|name| self.is_too_old(name, call.began));
            self.gives_up(old, "RecordAgeExceeded", piece.failures);
            if !young.is_empty() {
                let rest = young[call.names.len().min(young.len())..].to_vec();
                if !rest.is_empty() {
                    self.open[place].pieces.push(Piece { names: rest, failures: 0, is_half: false });
                }
                let names = call.names.clone();
                self.open[place].pieces.push(Piece { names, failures: piece.failures, is_half: false });
                break;
            }
        }
        self.open[place].in_hand = Some(number);
        Ok(())
    }

    /// Whether this is what comes next of a batch that is open. A half may be the smaller or the larger one.
    fn continues(&self, place: usize, call: &Call) -> bool {
        let open = &self.open[place];
        if open.in_hand.is_some() {
            return false;
        }
        for piece in open.pieces.iter().rev() {
            let young: Vec<&String> = piece.names.iter().filter(|name| !self.is_too_old(name, call.began)).collect();
            if young.is_empty() {
                continue;
            }
            let lengths = if piece.is_half {
                vec![piece.names.len() / 2, piece.names.len().div_ceil(2)]
            } else {
                vec![young.len()]
            };
            return lengths.contains(&call.names.len())
                && call.names.iter().eq(young.into_iter().take(call.names.len()));
        }
        false
    }

    /// "an event source mapping creates an iterator for each shard in the stream and processes items in each shard in
    /// order"; "When you increase the number of concurrent batches per shard, Lambda still ensures in-order processing at
    /// the item (partition and sort key) level."
    fn begins_a_batch(&mut self, number: usize, call: &Call) -> Result<(), String> {
        if call.names.len() > self.rules.batch_size {
            return Err(format!("a batch of {}", call.names.len()));
        }
        self.end_what_is_too_old(call.began);
        if self.open.len() >= self.rules.parallel {
            return Err(format!("{:?} began while {} batches were open: {:?}", call.names, self.open.len(), self.open));
        }
        for name in &call.names {
            let record = self.by_name.get(name.as_str()).ok_or_else(|| format!("nobody wrote {name}"))?;
            let is_in_hand = self.open.iter().flat_map(|open| &open.pieces).flat_map(|piece| &piece.names);
            let mut of_same_item = is_in_hand.filter(|other| self.by_name[other.as_str()].item == record.item);
            if let Some(other) = of_same_item.next() {
                return Err(format!("{name} was handed over while {other} of its item was pending"));
            }
            let (item, began) = (record.item.as_str(), call.began);
            // Records that grew too old before anyone was handed them are given up without a call.
            loop {
                let next = self.unread.get_mut(item).filter(|names| !names.is_empty()).map(|names| names.remove(0));
                match next {
                    Some(next) if next == name.as_str() => break,
                    Some(old) if self.is_too_old(old, began) => {
                        self.gives_up(vec![old.to_owned()], "RecordAgeExceeded", 0);
                    }
                    next => return Err(format!("{name} was handed over where {next:?} is next of its item")),
                }
            }
        }
        let piece = Piece { names: call.names.clone(), failures: 0, is_half: false };
        self.open.push(Open { pieces: vec![piece], in_hand: Some(number) });
        Ok(())
    }

    fn ended(&mut self, number: usize, call: &Call) -> Result<(), String> {
        let place = self.open.iter().position(|open| open.in_hand == Some(number)).ok_or("ended twice")?;
        self.open[place].in_hand = None;
        let piece = self.open[place].pieces.pop().ok_or("nothing was in hand")?;
        // "Lambda uses the record with the lowest sequence number as the checkpoint … then retries all records starting
        // from that checkpoint."
        let from = match &call.meant {
            Meant::AllTaken => piece.names.len(),
            Meant::AllFailed => 0,
            Meant::Failed(failed) => {
                piece.names.iter().position(|name| failed.contains(name)).unwrap_or(piece.names.len())
            }
        };
        let mut rest = piece.names;
        let taken: Vec<String> = rest.drain(..from).collect();
        for name in taken {
            if !self.taken.insert(name.clone()) {
                return Err(format!("{name} was taken twice"));
            }
        }
        let failures = if from == 0 { piece.failures + 1 } else { 1 };
        if rest.is_empty() {
            // Done with it.
        } else if self.rules.bisects && rest.len() > 1 {
            // "splits a failed batch into two smaller batches … Splitting batches doesn't consume the retry quota";
            // "the batch is bisected at the returned sequence number and Lambda retries only the remaining records."
            self.open[place].pieces.push(Piece { names: rest, failures: 0, is_half: from == 0 });
        } else if self.rules.retries.is_some_and(|retries| failures > u64::from(retries)) {
            // "The maximum number of times that Lambda retries when the function returns an error."
            self.gives_up(rest, "RetryAttemptsExhausted", failures);
        } else {
            self.open[place].pieces.push(Piece { names: rest, failures, is_half: false });
        }
        if self.open[place].pieces.is_empty() {
            self.open.remove(place);
        }
        Ok(())
    }

    /// "The maximum age of a record that Lambda sends to your function."
    fn is_too_old(&self, name: &str, now: Duration) -> bool {
        self.rules.age.is_some_and(|age| self.by_name[name].written + age <= now)
    }

    fn gives_up(&mut self, names: Vec<String>, condition: &str, invoked: u64) {
        if !names.is_empty() {
            self.given_up.push(GivenUp { names, condition: condition.into(), invoked });
        }
    }

    /// Batches of which nothing is left that is young enough are closed.
    fn end_what_is_too_old(&mut self, now: Duration) {
        let mut still_open = Vec::new();
        for open in std::mem::take(&mut self.open) {
            let is_over = open.in_hand.is_none()
                && open.pieces.iter().flat_map(|piece| &piece.names).all(|name| self.is_too_old(name, now));
            if is_over {
                for piece in open.pieces.into_iter().rev() {
                    self.gives_up(piece.names, "RecordAgeExceeded", piece.failures);
                }
            } else {
                still_open.push(open);
            }
        }
        self.open = still_open;
    }

    /// "When Lambda discards a batch of records that's too old or has exhausted all retries, Lambda sends details about
    /// the batch": what was found is what was given up, and every record was taken or given up.
    fn close(mut self, found: &[GivenUp]) -> Result<(), String> {
        self.end_what_is_too_old(Duration::MAX);
        let never: Vec<String> = std::mem::take(&mut self.unread).into_values().flatten().map(str::to_owned).collect();
        if self.rules.age.is_none() && !never.is_empty() {
            return Err(format!("{never:?} were never handed over"));
        }
        for name in never {
            self.gives_up(vec![name], "RecordAgeExceeded", 0);
        }
        if !self.open.is_empty() {
            return Err(format!("batches are open in the end: {:?}", self.open));
        }
        // Of those that never came to a call it is not said which are given up together.
        let one_by_one = |all: &[GivenUp]| {
            let (never, called): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|given_up| given_up.invoked == 0);
            let mut never: Vec<String> = never.into_iter().flat_map(|given_up| given_up.names).collect();
            let mut called = called;
            never.sort();
            called.sort();
            (never, called)
        };
        let (expected, came) = (one_by_one(&self.given_up), one_by_one(found));
        if expected != came {
            return Err(format!("given up were {came:?}, and should have been {expected:?}"));
        }
        let given_up: BTreeSet<&String> = self.given_up.iter().flat_map(|given_up| &given_up.names).collect();
        for name in self.by_name.keys() {
            if self.taken.contains(*name) == given_up.contains(&(*name).to_owned()) {
                return Err(format!("{name} was lost, or both taken and given up"));
            }
        }
        Ok(())
    }
}

fn name_of(record: &Value) -> String {
    record["dynamodb"]["NewImage"]["name"]["S"].as_str().unwrap().to_owned()
}

/// What lies in the bucket: each object is one that was given up, with the whole event in it as text.
async fn given_up(cloud: &Cloud) -> Vec<GivenUp> {
    let client = s3(cloud);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let listed = client.list_objects_v2().bucket(FAILED).set_start_after(after).send().await.unwrap();
        for object in listed.contents() {
            let got = client.get_object().bucket(FAILED).key(object.key().unwrap()).send().await.unwrap();
            let told: Value = serde_json::from_slice(&got.body.collect().await.unwrap().into_bytes()).unwrap();
            let event: Value = serde_json::from_str(told["payload"].as_str().unwrap()).unwrap();
            let names: Vec<String> = event["Records"].as_array().unwrap().iter().map(name_of).collect();
            assert_eq!(told["DDBStreamBatchInfo"]["batchSize"], names.len());
            found.push(GivenUp {
                names,
                condition: told["requestContext"]["condition"].as_str().unwrap().to_owned(),
                invoked: told["requestContext"]["approximateInvokeCount"].as_u64().unwrap(),
            });
        }
        match listed.contents().last() {
            Some(last) if listed.is_truncated() == Some(true) => after = last.key().map(ToOwned::to_owned),
            _ => return found,
        }
    }
}

/// A thousand changes of sixty items, a part of them before the cloud starts.
async fn through(reports: Reports, failing_percent: u32, pause_ms: u64, set: impl Fn(&mut StreamMapping)) {
    for seed in seeds() {
        let mut mapping = stream_mapping("Relay");
        mapping.on_failure = Some(bucket_arn(FAILED));
        mapping.reports_item_failures = reports == Reports::Items;
        set(&mut mapping);
        let stack = Stack {
            functions: vec![function("Relay")],
            tables: vec![table()],
            buckets: vec![bucket(FAILED)],
            stream_mappings: vec![mapping.clone()],
            ..stack()
        };
        let cloud = open(stack);
        let client = dynamodb(&cloud);
        let mut random = fastrand::Rng::with_seed(seed);
        let began_ms = cloud.clock().now_ms();
        let plan = Plan {
            seed,
            reports,
            failing_percent,
            poison: (0..MESSAGES).step_by(113).map(|n| n.to_string()).collect(),
            reading: Reading {
                name: name_of,
                identifier: |record| record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned(),
                order_key: None,
            },
            takes: Duration::from_millis(50),
        };
        let mut started = None;
        let mut records = Vec::new();
        for n in 0..MESSAGES {
            if n == MESSAGES / 4 {
                started = Some(plan.start(&cloud));
            }
            if started.is_some() && pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(random.u64(..pause_ms))).await;
            }
            let item = format!("i{}", random.u32(..60));
            let since_ms = u64::try_from(cloud.clock().now_ms() - began_ms).unwrap();
            records.push(Record {
                name: n.to_string(),
                item: item.clone(),
                written: Duration::from_secs(since_ms / 1000),
            });
            let put = client.put_item().table_name(TABLE).item("pk", s(&item)).item("sk", s("-"));
            put.item("name", s(&n.to_string())).send().await.unwrap();
        }
        let (log, running) = started.unwrap();
        let settled = tokio::time::timeout(Duration::from_secs(2 * 86_400), cloud.settled()).await;
        assert!(settled.is_ok(), "seed {seed}: after two days it has not settled");
        running.stop().await;
        let found = given_up(&cloud).await;
        let rules = Rules {
            batch_size: usize::try_from(mapping.batch_size).unwrap(),
            bisects: mapping.bisects_on_error,
            retries: mapping.maximum_retries,
            age: mapping.maximum_record_age_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            parallel: usize::try_from(mapping.parallelization_factor).unwrap(),
        };
        if let Err(broken) = judge(&rules, &records, &log, &found) {
            panic!("seed {seed}: {broken}");
        }
        let lost: usize = found.iter().map(|given_up| given_up.names.len()).sum();
        assert!((1..MESSAGES / 2).contains(&lost), "seed {seed}: {lost} were given up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_bisecting_retries_a_bucket_and_parallel_batches() {
    through(Reports::Batches, 15, 20, |mapping| {
        mapping.batch_size = 25;
        mapping.bisects_on_error = true;
        mapping.maximum_retries = Some(2);
        mapping.parallelization_factor = 4;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_bisecting_and_partial_responses() {
    through(Reports::Items, 25, 20, |mapping| {
        mapping.batch_size = 20;
        mapping.bisects_on_error = true;
        mapping.maximum_retries = Some(1);
        mapping.parallelization_factor = 2;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_bisecting() {
    through(Reports::Batches, 40, 20, |mapping| {
        mapping.batch_size = 10;
        mapping.maximum_retries = Some(3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_partial_responses_and_an_age() {
    through(Reports::Items, 20, 1_500, |mapping| {
        mapping.batch_size = 20;
        mapping.maximum_record_age_seconds = Some(60);
        mapping.parallelization_factor = 2;
    })
    .await;
}
