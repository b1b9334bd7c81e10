//! From a table's stream to a function: lanes by key, batches, retries, bisecting, and a checkpoint that is never ahead
//! of what was worked off.
//!
//! A reader deals the records out to as many lanes as the mapping has parallel batches, by the item's key, so that one
//! item's records stay in order while another's do not wait for them. The durable checkpoint is the number up to which
//! nothing is pending in any lane; a record behind it may come again after a crash, and none is passed over. What is
//! given up goes to the failure destination first. Not here: tumbling windows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

use super::{AROUND_RECORDS_BYTES, Filters, LARGEST_EVENT_BYTES, Stopping, reported_failures};
use crate::cloud::Core;
use crate::dynamodb::{StreamRecord, shard_of};
use crate::invoke::{Attempt, Trigger};
use crate::sqs::{Outgoing, md5_hex};
use crate::stack::{StreamMapping, Table};
use crate::{CloudError, dates};

const PAGE: usize = 1000;
/// How many records wait before a lane until the reader, and with it every other lane, waits too.
const LANE_DEPTH: usize = 10_000;
/// AWS does not say how long it waits between tries of a batch; this doubles from the first to the last.
const FIRST_PAUSE_MS: u64 = 200;
const LONGEST_PAUSE_MS: u64 = 10_000;
/// How long a stream keeps a record.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

struct Mapping {
    core: Arc<Core>,
    mapping: StreamMapping,
    table: Table,
    id: String,
    began_ms: i64,
    progress: Mutex<Progress>,
}

/// How far the stream was read, what of it is pending, and the checkpoint that is kept.
struct Progress {
    read_to: i64,
    pending: BTreeSet<i64>,
    kept: i64,
}

/// Records to hand over in one go, how often they failed in a row, and how the last time.
struct Piece {
    records: Vec<StreamRecord>,
    failures: u32,
    ended: Option<Ended>,
}

impl Piece {
    fn fresh(records: Vec<StreamRecord>, ended: Option<Ended>) -> Self {
        Self { records, failures: 0, ended }
    }
}

/// How a function ended that did not take its whole batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    InError,
    /// It named what failed.
    InPart,
}

enum Verdict {
    Done,
    /// Everything from this place on is to be tried again.
    FailedFrom(usize, Ended),
    /// The function has no concurrency left; that is not counted.
    NotRun,
}

/// Why records are given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
        }
    }
}

pub(super) fn starting_point(core: &Core, mapping: &StreamMapping) -> Result<i64, CloudError> {
    let id = mapping_id(mapping);
    if let Some(kept) = core.store.checkpoint(&id)? {
        return Ok(kept);
    }
    let newest = match core.dynamodb.table_of_stream(&mapping.stream_arn) {
        Some(table) if !mapping.starts_at_trim_horizon => core
            .dynamodb
            .newest_sequence(table)
            .map_err(|reason| CloudError::Table { table: table.name.clone(), reason })?,
        _ => 0,
    };
    core.store.keep_checkpoint(&id, newest)?;
    Ok(newest)
}

pub(super) fn has_read_all(core: &Core, mapping: &StreamMapping) -> Result<bool, String> {
    let Some(table) = core.dynamodb.table_of_stream(&mapping.stream_arn) else { return Ok(true) };
    let kept = core.store.checkpoint(&mapping_id(mapping)).map_err(|error| error.to_string())?;
    Ok(kept.unwrap_or_default() >= core.dynamodb.newest_sequence(table)?)
}

/// How many records after the checkpoint the mapping lets through.
pub(super) fn unread(core: &Core, mapping: &StreamMapping) -> Result<usize, CloudError> {
    let Some(table) = core.dynamodb.table_of_stream(&mapping.stream_arn) else { return Ok(0) };
    let filters = Filters::read(&mapping.filters, &mapping.function)?;
    let mut after = core.store.checkpoint(&mapping_id(mapping))?.unwrap_or_default();
    let mut unread = 0;
    loop {
        let records = core
            .dynamodb
            .records(table, after, PAGE)
            .map_err(|reason| CloudError::Table { table: table.name.clone(), reason })?;
        let Some(last) = records.last() else { return Ok(unread) };
        after = last.sequence;
        unread += records.iter().filter(|record| filters.let_through(&record.event)).count();
    }
}

/// The number before which nobody needs this table's stream: the furthest behind of its mappings, however long ago
/// that was, or a day where it has none.
pub(super) fn passed_by_all(core: &Core, table: &Table) -> Result<Option<i64>, String> {
    let mut passed = None;
    let readers =
        core.stack.stream_mappings.iter().filter(|mapping| table.stream_arn.as_ref() == Some(&mapping.stream_arn));
    for mapping in readers {
        let kept = core.store.checkpoint(&mapping_id(mapping)).map_err(|error| error.to_string())?.unwrap_or_default();
        passed = Some(passed.map_or(kept, |other: i64| other.min(kept)));
    }
    // Sequence numbers are at least the microseconds since the epoch at which they were given.
    Ok(passed.or_else(|| Some((core.clock.now_ms() - DAY_MS) * 1000)))
}

pub(super) async fn run(core: Arc<Core>, mapping: StreamMapping, filters: Filters, from: i64, mut stopping: Stopping) {
    let Some(table) = core.dynamodb.table_of_stream(&mapping.stream_arn).cloned() else { return };
    let progress = Mutex::new(Progress { read_to: from, pending: BTreeSet::new(), kept: from });
    let id = mapping_id(&mapping);
    let batch_size = usize::try_from(mapping.batch_size).unwrap_or(usize::MAX).clamp(1, 10_000);
    let lane_count = usize::try_from(mapping.parallelization_factor).unwrap_or(1).max(1);
    let began_ms = core.clock.now_ms();
    let this = Arc::new(Mapping { core, mapping, table, id, began_ms, progress });
    let mut lanes = Vec::new();
    let mut tasks = JoinSet::new();
    for _ in 0..lane_count {
        let (lane, records) = mpsc::channel(LANE_DEPTH);
        lanes.push(lane);
        tasks.spawn(work(this.clone(), records, batch_size, stopping.clone()));
    }
    tokio::select! {
        biased;
        () = stopping.asked() => {}
        () = read(&this, &filters, from, &lanes) => {}
    }
    drop(lanes);
    while tasks.join_next().await.is_some() {}
}

/// Deals the stream out to the lanes, for ever.
async fn read(this: &Mapping, filters: &Filters, from: i64, lanes: &[mpsc::Sender<StreamRecord>]) {
    let mut read_to = from;
    let mut listener = this.core.dynamodb.written.listen();
    loop {
        listener.about_to_look();
        let records = match this.core.dynamodb.records(&this.table, read_to, PAGE) {
            Ok(records) => records,
            Err(reason) => {
                tracing::error!(table = %this.table.name, %reason, "the stream cannot be read");
                Vec::new()
            }
        };
        if records.is_empty() {
            listener.raised().await;
            continue;
        }
        for record in records {
            read_to = record.sequence;
            let wanted = filters.let_through(&record.event);
            this.has_read(record.sequence, wanted);
            if wanted && lanes[lane_of(&record, lanes.len())].send(record).await.is_err() {
                return;
            }
        }
        this.keep_checkpoint();
    }
}

/// One lane: batch after batch, each worked off before the next.
async fn work(
    this: Arc<Mapping>,
    mut records: mpsc::Receiver<StreamRecord>,
    batch_size: usize,
    mut stopping: Stopping,
) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            () = stopping.asked() => return,
            _ = records.recv_many(&mut batch, batch_size) => {}
        }
        if batch.is_empty() {
            return;
        }
        let window_ends = Instant::now() + Duration::from_secs(u64::from(this.mapping.window_seconds));
        while this.mapping.window_seconds > 0 && batch.len() < batch_size {
            let wanted = batch_size - batch.len();
            tokio::select! {
                biased;
                () = stopping.asked() => return,
                () = tokio::time::sleep_until(window_ends) => break,
                came = records.recv_many(&mut batch, wanted) => if came == 0 { break },
            }
        }
        for batch in that_fit(batch) {
            if !this.work_off(batch, &stopping).await {
                return;
            }
        }
    }
}

/// Cuts a batch where the event would be larger than one may be.
fn that_fit(batch: Vec<StreamRecord>) -> Vec<Vec<StreamRecord>> {
    let mut batches = vec![Vec::new()];
    let mut room = LARGEST_EVENT_BYTES - AROUND_RECORDS_BYTES;
    for record in batch {
        let size = record.event.to_string().len() + 1;
        match room.checked_sub(size) {
            Some(left) => room = left,
            None => {
                batches.push(Vec::new());
                room = (LARGEST_EVENT_BYTES - AROUND_RECORDS_BYTES).saturating_sub(size);
            }
        }
        if let Some(last) = batches.last_mut() {
            last.push(record);
        }
    }
    batches
}

impl Mapping {
    /// Until every record of the batch has been taken or given up; `false` if the cloud was stopped before.
    async fn work_off(&self, batch: Vec<StreamRecord>, stopping: &Stopping) -> bool {
        let mut pieces = vec![Piece::fresh(batch, None)];
        while let Some(piece) = pieces.pop() {
            if stopping.is_asked() {
                return false;
            }
            let Some(Piece { records, failures, ended }) = self.without_the_too_old(piece, stopping).await else {
                return false;
            };
            if records.is_empty() {
                continue;
            }
            let (failed_at, ended) = match self.hand_over(&records, stopping).await {
                Verdict::Done => (records.len(), ended),
                Verdict::FailedFrom(place, how) => (place, Some(how)),
                Verdict::NotRun => {
                    pieces.push(Piece { records, failures, ended });
                    continue;
                }
            };
            let mut taken = records;
            let mut rest = taken.split_off(failed_at);
            self.is_done_with(&taken);
            if rest.is_empty() {
                continue;
            }
            let failures = if taken.is_empty() { failures + 1 } else { 1 };
            if self.mapping.bisects_on_error && rest.len() > 1 {
                // Where it could not say which record failed, the halves find out. Splitting is no retry.
                if taken.is_empty() {
                    let second_half = rest.split_off(rest.len() / 2);
                    pieces.push(Piece::fresh(second_half, ended));
                }
                pieces.push(Piece::fresh(rest, ended));
            } else if self.mapping.maximum_retries.is_some_and(|most| failures > most) {
                let piece = Piece { records: rest, failures, ended };
                if !self.give_up(&piece, Condition::RetryAttemptsExhausted, stopping).await {
                    return false;
                }
            } else {
                if !paused(failures, stopping).await {
                    return false;
                }
                pieces.push(Piece { records: rest, failures, ended });
            }
        }
        true
    }

    async fn hand_over(&self, records: &[StreamRecord], stopping: &Stopping) -> Verdict {
        let expires_ms = records.iter().map(|record| self.expires_ms(record)).min().unwrap_or(i64::MAX);
        let left = Duration::from_millis(u64::try_from(expires_ms - self.core.clock.now_ms()).unwrap_or_default());
        let mut stopping = stopping.clone();
        let patience = async {
            tokio::select! {
                () = stopping.asked() => {}
                () = tokio::time::sleep(left) => {}
            }
        };
        let answered =
            self.core.functions.attempt(&self.mapping.function, event_of(records), Trigger::Stream, patience).await;
        let answer = match answered {
            Attempt::Answered(answer) => answer,
            Attempt::Failed(_) => return Verdict::FailedFrom(0, Ended::InError),
            Attempt::Throttled(_) => return Verdict::NotRun,
        };
        if !self.mapping.reports_item_failures {
            return Verdict::Done;
        }
        let places: BTreeMap<&str, usize> =
            records.iter().enumerate().map(|(place, record)| (sequence_number(record), place)).collect();
        let failed: Option<Vec<usize>> = reported_failures(&answer)
            .and_then(|failed| failed.iter().map(|number| places.get(number.as_str()).copied()).collect());
        match failed {
            Some(failed) => {
                failed.into_iter().min().map_or(Verdict::Done, |place| Verdict::FailedFrom(place, Ended::InPart))
            }
            None => {
                tracing::warn!(function = %self.mapping.function, %answer, "the partial batch response cannot be understood: the whole batch failed");
                Verdict::FailedFrom(0, Ended::InPart)
            }
        }
    }

    /// When a record is too old to be handed over: at the mapping's limit, and when its stream would have forgotten it.
    /// For the latter the time counts in which this mapping ran: a cloud that is off loses nothing.
    fn expires_ms(&self, record: &StreamRecord) -> i64 {
        let forgotten_ms = record.created_at_ms.max(self.began_ms) + DAY_MS;
        match self.mapping.maximum_record_age_seconds {
            Some(seconds) => forgotten_ms.min(record.created_at_ms + i64::from(seconds) * 1000),
            None => forgotten_ms,
        }
    }

    /// `None` if the cloud was stopped before what is too old could be kept.
    async fn without_the_too_old(&self, piece: Piece, stopping: &Stopping) -> Option<Piece> {
        let Piece { records, failures, ended } = piece;
        let now_ms = self.core.clock.now_ms();
        let (old, young): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| self.expires_ms(record) <= now_ms);
        if !old.is_empty() {
            let old = Piece { records: old, failures, ended };
            if !self.give_up(&old, Condition::RecordAgeExceeded, stopping).await {
                return None;
            }
        }
        Some(Piece { records: young, failures, ended })
    }

    /// Keeps what is given up where the mapping says, and only then passes it; `false` if the cloud was stopped before
    /// it could be kept.
    async fn give_up(&self, piece: &Piece, condition: Condition, stopping: &Stopping) -> bool {
        tracing::error!(
            function = %self.mapping.function,
            records = piece.records.len(),
            condition = condition.name(),
            "a batch of the stream is given up"
        );
        let Some(destination) = &self.mapping.on_failure else {
            self.is_done_with(&piece.records);
            return true;
        };
        let mut tries = 0;
        while let Err(reason) = self.keep_failure(destination, piece, condition) {
            tracing::error!(%destination, %reason, "a batch that is given up cannot be kept, so the lane waits");
            tries += 1;
            if !paused(tries, stopping).await {
                return false;
            }
        }
        self.is_done_with(&piece.records);
        true
    }

    fn keep_failure(&self, destination: &str, piece: &Piece, condition: Condition) -> Result<(), String> {
        let Piece { records, failures, ended } = piece;
        let core = &self.core;
        let now_ms = core.clock.now_ms();
        let function = core.stack.function(&self.mapping.function).map(|function| function.arn.clone());
        let (first, last) = (edge(records.first()), edge(records.last()));
        let mut told = json!({
            "requestContext": {
                "requestId": core.random.uuid(),
                "functionArn": function,
                "condition": condition.name(),
                "approximateInvokeCount": failures,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST" },
            "version": "1.0",
            "timestamp": dates::iso_millis(now_ms),
            "DDBStreamBatchInfo": {
                "shardId": shard_of(&self.table.name),
                "startSequenceNumber": first.0,
                "endSequenceNumber": last.0,
                "approximateArrivalOfFirstRecord": first.1,
                "approximateArrivalOfLastRecord": last.1,
                "batchSize": records.len(),
                "streamArn": self.mapping.stream_arn,
            },
        });
        if *ended == Some(Ended::InError) {
            told["responseContext"]["functionError"] = "Unhandled".into();
        }
        if let Some(kept) = core.sqs.by_arn(destination) {
            let body = told.to_string();
            return core
                .sqs
                .send(kept, Outgoing { body, ..Outgoing::default() }, now_ms)
                .map(drop)
                .map_err(|refusal| refusal.message);
        }
        // A bucket gets the records themselves, too: the whole event, as a string.
        told["payload"] = event_of(records).to_string().into();
        let key = format!(
            "aws/lambda/{}/{}/{}-{}",
            self.id,
            shard_of(&self.table.name),
            dates::failed_batch(now_ms),
            core.random.uuid()
        );
        core.s3.keep(destination, &key, told.to_string().as_bytes())
    }

    fn has_read(&self, sequence: i64, is_wanted: bool) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.read_to = sequence;
        if is_wanted {
            progress.pending.insert(sequence);
        }
    }

    fn is_done_with(&self, records: &[StreamRecord]) {
        {
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            for record in records {
                progress.pending.remove(&record.sequence);
            }
        }
        self.keep_checkpoint();
    }

    fn keep_checkpoint(&self) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = progress.pending.first().map_or(progress.read_to, |oldest| oldest - 1);
        if passed <= progress.kept {
            return;
        }
        match self.core.store.keep_checkpoint(&self.id, passed) {
            Ok(()) => progress.kept = passed,
            Err(reason) => {
                tracing::error!(mapping = %self.id, %reason, "a checkpoint cannot be kept, so its records may come again")
            }
        }
        self.core.activity.raise();
    }
}

/// Waits before the next try; `false` if the cloud was stopped.
async fn paused(failures: u32, stopping: &Stopping) -> bool {
    let pause_ms = FIRST_PAUSE_MS.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE_MS);
    let mut stopping = stopping.clone();
    tokio::select! {
        biased;
        () = stopping.asked() => false,
        () = tokio::time::sleep(Duration::from_millis(pause_ms)) => true,
    }
}

/// Number and time of the first or last record of a batch.
fn edge(record: Option<&StreamRecord>) -> (&str, String) {
    record.map(|record| (sequence_number(record), dates::iso_seconds(record.created_at_ms))).unwrap_or_default()
}

fn event_of(records: &[StreamRecord]) -> Value {
    json!({ "Records": records.iter().map(|record| &record.event).collect::<Vec<_>>() })
}

fn sequence_number(record: &StreamRecord) -> &str {
    record.event["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}

/// FNV-1a over the item's key: the same lane in every run. Its upper half is the one that is mixed well.
fn lane_of(record: &StreamRecord, lanes: usize) -> usize {
    let key = record.event["dynamodb"]["Keys"].to_string();
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    usize::try_from((hash >> 32) % u64::try_from(lanes).unwrap_or(1).max(1)).unwrap_or_default()
}

/// A UUID that is the same in every run.
fn mapping_id(mapping: &StreamMapping) -> String {
    let sum = md5_hex(format!("{} {}", mapping.function, mapping.stream_arn).as_bytes());
    format!("{}-{}-4{}-8{}-{}", &sum[..8], &sum[8..12], &sum[13..16], &sum[17..20], &sum[20..])
}
