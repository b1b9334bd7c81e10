//! Queues, as plain synchronous methods over the store with the time handed in.
//!
//! Held here: visibility, delay, receive counts, dead-letter queues, retention, FIFO order within a group, one batch of
//! a group in flight at a time, and five minutes of deduplication. How a request looks on the wire is in `protocol`;
//! who polls is in `mappings`. Not here: queues that a request creates (a template does), permissions, and the limits
//! on messages in flight.

mod digest;
pub(crate) mod protocol;
pub(crate) mod query;
mod redrive;

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::random::Random;
use crate::signal::Signal;
use crate::stack::Queue;
use crate::store::Store;
use crate::wire::ServiceError;

pub(crate) use digest::{md5_hex, md5_of};

const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;

pub(crate) struct Sqs {
    queues: BTreeMap<String, Kept>,
    store: Arc<Store>,
    random: Arc<Random>,
    clock: Clock,
    activity: Signal,
    /// Raised when there is a task that moves messages, or one less.
    pub(crate) moves: Signal,
}

/// A queue, and what wakes those who wait for its messages.
pub(crate) struct Kept {
    pub(crate) queue: Queue,
    pub(crate) signal: Signal,
}

/// A message to send.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) body: String,
    pub(crate) delay_seconds: Option<u32>,
    /// Message attributes as the wire has them.
    pub(crate) attributes: Map<String, Value>,
    pub(crate) trace_header: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
}

/// What a sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
    pub(crate) sequence_number: Option<String>,
}

/// A message as a receiver has it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    sequence: i64,
    pub(crate) id: String,
    pub(crate) receipt: String,
    pub(crate) body: String,
    pub(crate) attributes: Map<String, Value>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
    pub(crate) trace_header: Option<String>,
    pub(crate) sent_at: i64,
    pub(crate) first_received_at: i64,
    pub(crate) receive_count: u32,
    pub(crate) dead_letter_source: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub visible: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

/// Who receives: what a mapping holds becomes visible again when its process is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    Client,
    Mapping,
}

/// How much a receiver can still take, where that is counted in bytes.
pub(crate) struct Room<'a> {
    bytes_left: usize,
    measure: &'a (dyn Fn(&Message) -> usize + Sync),
    /// A message was left where it is, because it did not fit.
    pub(crate) is_full: bool,
}

impl<'a> Room<'a> {
    pub(crate) fn of_bytes(bytes: usize, measure: &'a (dyn Fn(&Message) -> usize + Sync)) -> Self {
        Self { bytes_left: bytes, measure, is_full: false }
    }

    fn unlimited() -> Self {
        Self { bytes_left: usize::MAX, measure: &|_| 0, is_full: false }
    }

    fn takes(&mut self, message: &Message) -> bool {
        match self.bytes_left.checked_sub((self.measure)(message)) {
            Some(left) => self.bytes_left = left,
            None => self.is_full = true,
        }
        !self.is_full
    }
}

impl Sqs {
    pub(crate) fn new(
        queues: &[Queue],
        store: Arc<Store>,
        random: Arc<Random>,
        clock: Clock,
        activity: Signal,
    ) -> rusqlite::Result<Self> {
        let queues = queues
            .iter()
            .map(|queue| (queue.name.clone(), Kept { queue: queue.clone(), signal: Signal::new() }))
            .collect();
        let sqs = Self { queues, store, random, clock, activity, moves: Signal::new() };
        sqs.release_what_a_dead_process_held()?;
        Ok(sqs)
    }

    /// The pollers that held these messages were part of the process that is gone; nobody else will ever answer for
    /// them, so there is nothing to wait for. (On AWS the pollers outlive the function, and the time-out decides.)
    fn release_what_a_dead_process_held(&self) -> rusqlite::Result<()> {
        let now_ms = self.clock.now_ms();
        self.store.read(|connection| {
            connection
                .execute(
                    "UPDATE messages SET visible_at = ?1, held_by_mapping = 0
                     WHERE held_by_mapping = 1 AND visible_at > ?1",
                    [now_ms],
                )
                .map(drop)
        })
    }

    pub(crate) fn by_arn(&self, arn: &str) -> Option<&Kept> {
        self.queues.values().find(|kept| kept.queue.arn == arn)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Kept> {
        self.queues.values()
    }

    pub(crate) fn send(&self, kept: &Kept, outgoing: Outgoing, now_ms: i64) -> Result<Sent, ServiceError> {
        let outgoing = checked(&kept.queue, outgoing)?;
        let message_id = self.random.uuid();
        let sent = self.store.write(|transaction| insert(transaction, &kept.queue, &outgoing, &message_id, now_ms))?;
        self.changed(kept);
        Ok(sent)
    }

    /// Up to `most` messages; those that were received too often go to the dead-letter queue instead.
    pub(crate) fn receive(
        &self,
        kept: &Kept,
        most: u32,
        visibility_seconds: u32,
        receiver: Receiver,
        now_ms: i64,
    ) -> Result<Vec<Message>, ServiceError> {
        self.receive_into(&mut Room::unlimited(), kept, most, visibility_seconds, receiver, now_ms)
    }

    /// As `receive`, and no more than there is room for.
    pub(crate) fn receive_into(
        &self,
        room: &mut Room<'_>,
        kept: &Kept,
        most: u32,
        visibility_seconds: u32,
        receiver: Receiver,
        now_ms: i64,
    ) -> Result<Vec<Message>, ServiceError> {
        let queue = &kept.queue;
        let dead_letters = queue
            .redrive
            .as_ref()
            .and_then(|redrive| self.by_arn(&redrive.dead_letter_arn).map(|dead| (redrive, dead)));
        let (mut moved, mut expired) = (false, 0);
        let received = self.store.write::<_, ServiceError>(|transaction| {
            expired = transaction
                .prepare_cached(
                    "DELETE FROM messages INDEXED BY messages_by_expiry WHERE queue = ?1 AND expires_at <= ?2",
                )?
                .execute(params![queue.name, now_ms])?;
            let mut received: Vec<Message> = Vec::new();
            let mut cursor = Cursor::default();
            while !room.is_full {
                let wanted = i64::from(most) - i64::try_from(received.len()).unwrap_or(i64::MAX);
                let candidates =
                    if wanted > 0 { receivable(transaction, queue, now_ms, wanted, &mut cursor, room)? } else { break };
                if candidates.is_empty() {
                    break;
                }
                for message in candidates {
                    match dead_letters.filter(|(redrive, _)| message.receive_count >= redrive.max_receive_count) {
                        Some((_, dead)) => {
                            self.bury(transaction, queue, &dead.queue, &message, now_ms)?;
                            moved = true;
                        }
                        None => {
                            cursor.took(&message);
                            received.push(self.claim(transaction, message, visibility_seconds, receiver, now_ms)?);
                        }
                    }
                }
            }
            Ok(received)
        })?;
        if expired > 0 {
            self.changed(kept);
        }
        if let Some((_, dead)) = dead_letters.filter(|_| moved) {
            self.changed(dead);
            self.changed(kept);
        }
        Ok(received)
    }

    fn claim(
        &self,
        transaction: &Transaction<'_>,
        mut message: Message,
        visibility_seconds: u32,
        receiver: Receiver,
        now_ms: i64,
    ) -> Result<Message, ServiceError> {
        message.receipt = format!("{}.{}", message.sequence, self.random.token());
        message.receive_count += 1;
        if message.receive_count == 1 {
            message.first_received_at = now_ms;
        }
        transaction
            .prepare_cached(
                "UPDATE messages SET receipt = ?2, receive_count = ?3, first_received_at = ?4, visible_at = ?5,
                 held_by_mapping = ?6 WHERE sequence = ?1",
            )?
            .execute(params![
                message.sequence,
                message.receipt,
                message.receive_count,
                message.first_received_at,
                now_ms + i64::from(visibility_seconds) * 1000,
                receiver == Receiver::Mapping
            ])?;
        Ok(message)
    }

    /// A FIFO dead-letter queue is another queue with another deduplication: the message is known by its own id there,
    /// has a new life, and keeps its group. A standard one keeps the time of sending, so that its retention goes on.
    fn bury(
        &self,
        transaction: &Transaction<'_>,
        from: &Queue,
        dead: &Queue,
        message: &Message,
        now_ms: i64,
    ) -> Result<(), ServiceError> {
        let sent_at = if dead.fifo { now_ms } else { message.sent_at };
        let deduplication = dead.fifo.then_some(&message.id);
        transaction.prepare_cached("DELETE FROM messages WHERE sequence = ?1")?.execute([message.sequence])?;
        transaction
            .prepare_cached(
                "INSERT INTO messages (queue, id, body, attributes, message_group, deduplication, trace_header, sent_at,
                 expires_at, visible_at, dead_letter_source) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                dead.name,
                message.id,
                message.body,
                Value::Object(message.attributes.clone()).to_string(),
                message.group,
                deduplication,
                message.trace_header,
                sent_at,
                sent_at + i64::from(dead.retention_seconds) * 1000,
                now_ms,
                from.arn,
            ])?;
        Ok(())
    }

    /// Deleting what is gone already is fine. A handle that another receive has replaced deletes nothing; a FIFO queue
    /// says so once its time is over.
    pub(crate) fn delete(&self, kept: &Kept, receipt: &str, now_ms: i64) -> Result<(), ServiceError> {
        let Some(held) = self.held(kept, receipt)? else { return Ok(()) };
        if held.receipt.as_deref() != Some(receipt) || (kept.queue.fifo && held.visible_at <= now_ms) {
            return if kept.queue.fifo { Err(expired(receipt)) } else { Ok(()) };
        }
        self.store.read(|connection| {
            connection.prepare_cached("DELETE FROM messages WHERE sequence = ?1")?.execute([held.sequence])
        })?;
        self.changed(kept);
        Ok(())
    }

    pub(crate) fn change_visibility(
        &self,
        kept: &Kept,
        receipt: &str,
        seconds: u32,
        now_ms: i64,
    ) -> Result<(), ServiceError> {
        let held = self
            .held(kept, receipt)?
            .filter(|held| held.visible_at > now_ms && held.receipt.as_deref() == Some(receipt))
            .ok_or_else(|| error("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", format!(
                "Value {receipt} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
            )))?;
        self.store.read(|connection| {
            connection
                .prepare_cached("UPDATE messages SET visible_at = ?2 WHERE sequence = ?1")?
                .execute(params![held.sequence, now_ms + i64::from(seconds) * 1000])
        })?;
        self.changed(kept);
        Ok(())
    }

    fn held(&self, kept: &Kept, receipt: &str) -> Result<Option<Held>, ServiceError> {
        let sequence = sequence_in(receipt).ok_or_else(|| {
            error(
                "ReceiptHandleIsInvalid",
                "ReceiptHandleIsInvalid",
                format!("The input receipt handle \"{receipt}\" is not a valid receipt handle."),
            )
        })?;
        let held = self.store.read(|connection| {
            connection
                .prepare_cached("SELECT receipt, visible_at FROM messages WHERE sequence = ?1 AND queue = ?2")?
                .query_row(params![sequence, kept.queue.name], |row| {
                    Ok(Held { sequence, receipt: row.get(0)?, visible_at: row.get(1)? })
                })
                .optional()
        })?;
        Ok(held)
    }

    pub(crate) fn purge(&self, kept: &Kept) -> Result<(), ServiceError> {
        self.store.read(|connection| {
            connection.prepare_cached("DELETE FROM messages WHERE queue = ?1")?.execute([&kept.queue.name])
        })?;
        self.changed(kept);
        Ok(())
    }

    pub(crate) fn depth(&self, kept: &Kept, now_ms: i64) -> Result<QueueDepth, ServiceError> {
        let depth = self.store.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT COALESCE(SUM(visible_at <= ?2), 0), COALESCE(SUM(visible_at > ?2 AND receipt IS NOT NULL), 0),
                     COALESCE(SUM(visible_at > ?2 AND receipt IS NULL), 0)
                     FROM messages WHERE queue = ?1 AND expires_at > ?2",
                )?
                .query_row(params![kept.queue.name, now_ms], |row| {
                    Ok(QueueDepth { visible: row.get(0)?, in_flight: row.get(1)?, delayed: row.get(2)? })
                })
        })?;
        Ok(depth)
    }

    pub(crate) fn is_empty(&self, kept: &Kept, now_ms: i64) -> Result<bool, ServiceError> {
        let some = self.store.read(|connection| {
            connection
                .prepare_cached("SELECT 1 FROM messages WHERE queue = ?1 AND expires_at > ?2 LIMIT 1")?
                .exists(params![kept.queue.name, now_ms])
        })?;
        Ok(!some)
    }

    /// When the next message that is hidden now becomes visible.
    pub(crate) fn next_visible_at(&self, kept: &Kept, now_ms: i64) -> Result<Option<i64>, ServiceError> {
        let next = self.store.read(|connection| {
            connection
                .prepare_cached("SELECT MIN(visible_at) FROM messages WHERE queue = ?1 AND visible_at > ?2")?
                .query_row(params![kept.queue.name, now_ms], |row| row.get(0))
        })?;
        Ok(next)
    }

    fn changed(&self, kept: &Kept) {
        kept.signal.raise();
        self.activity.raise();
    }
}

struct Held {
    sequence: i64,
    receipt: Option<String>,
    visible_at: i64,
}

fn checked(queue: &Queue, mut outgoing: Outgoing) -> Result<Outgoing, ServiceError> {
    let limit = usize::try_from(queue.maximum_message_bytes).unwrap_or(usize::MAX);
    if outgoing.body.is_empty() {
        return Err(missing("MessageBody"));
    }
    if outgoing.body.len() + digest::attributes_len(&outgoing.attributes) > limit {
        return Err(invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        )));
    }
    if outgoing.body.chars().any(is_refused_character) {
        return Err(error(
            "InvalidMessageContents",
            "InvalidMessageContents",
            "Invalid characters found: only characters that XML allows may be in a message.".into(),
        ));
    }
    if outgoing.delay_seconds.is_some_and(|delay| delay > 900) {
        return Err(invalid(
            "Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.".into(),
        ));
    }
    if !queue.fifo {
        if outgoing.deduplication.is_some() {
            return Err(invalid(
                "The request includes a parameter that is not valid for this queue type: MessageDeduplicationId."
                    .into(),
            ));
        }
        return Ok(outgoing);
    }
    if outgoing.delay_seconds.is_some_and(|delay| delay > 0) {
        return Err(invalid("Value for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.".into()));
    }
    if outgoing.group.is_none() {
        return Err(missing("MessageGroupId"));
    }
    if outgoing.deduplication.is_none() {
        if !queue.content_based_deduplication {
            return Err(invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly".into(),
            ));
        }
        outgoing.deduplication = Some(data_encoding::HEXLOWER.encode(&Sha256::digest(outgoing.body.as_bytes())));
    }
    for (name, id) in [("MessageGroupId", &outgoing.group), ("MessageDeduplicationId", &outgoing.deduplication)] {
        if !id.as_deref().is_some_and(is_identifier) {
            return Err(invalid(format!("The {name} must be 1 to 128 alphanumeric or punctuation characters.")));
        }
    }
    Ok(outgoing)
}

fn is_identifier(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic())
}

fn is_refused_character(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn insert(
    transaction: &Transaction<'_>,
    queue: &Queue,
    outgoing: &Outgoing,
    message_id: &str,
    now_ms: i64,
) -> Result<Sent, ServiceError> {
    let scope = if queue.deduplicates_per_group { outgoing.group.as_deref().unwrap_or_default() } else { "" };
    if queue.fifo {
        transaction.prepare_cached("DELETE FROM deduplications WHERE expires_at <= ?1")?.execute([now_ms])?;
        let earlier = transaction
            .prepare_cached(
                "SELECT message_id, sequence FROM deduplications WHERE queue = ?1 AND scope = ?2 AND deduplication = ?3",
            )?
            .query_row(params![queue.name, scope, outgoing.deduplication], |row| {
                Ok(Sent { message_id: row.get(0)?, sequence_number: Some(sequence_number(row.get(1)?)) })
            })
            .optional()?;
        if let Some(earlier) = earlier {
            return Ok(earlier);
        }
    }
    let delay_seconds = outgoing.delay_seconds.unwrap_or(queue.delay_seconds);
    transaction
        .prepare_cached(
            "INSERT INTO messages (queue, id, body, attributes, message_group, deduplication, trace_header, sent_at,
             expires_at, visible_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            queue.name,
            message_id,
            outgoing.body,
            Value::Object(outgoing.attributes.clone()).to_string(),
            outgoing.group,
            outgoing.deduplication,
            outgoing.trace_header,
            now_ms,
            now_ms + i64::from(queue.retention_seconds) * 1000,
            now_ms + i64::from(delay_seconds) * 1000,
        ])?;
    let sequence = transaction.last_insert_rowid();
    if queue.fifo {
        transaction
            .prepare_cached(
                "INSERT INTO deduplications (queue, scope, deduplication, message_id, sequence, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                queue.name,
                scope,
                outgoing.deduplication,
                message_id,
                sequence,
                now_ms + DEDUPLICATION_MS
            ])?;
    }
    Ok(Sent { message_id: message_id.into(), sequence_number: queue.fifo.then(|| sequence_number(sequence)) })
}

/// What one receive has been through: in a standard queue a place in the order, in a FIFO queue groups.
#[derive(Default)]
struct Cursor {
    sequence: i64,
    groups: Vec<String>,
}

impl Cursor {
    fn took(&mut self, message: &Message) {
        if let Some(group) = message.group.as_ref().filter(|group| self.groups.last() != Some(*group)) {
            self.groups.push(group.clone());
        }
    }
}

/// Candidates in their order: of a FIFO queue those of one group, the one whose message has waited longest.
///
/// While any message of a group is in flight the whole group waits: that is what keeps its order. Rows are looked up
/// only for what is picked, since a busy group may have thousands of messages waiting behind the one in flight.
fn receivable(
    transaction: &Transaction<'_>,
    queue: &Queue,
    now_ms: i64,
    most: i64,
    cursor: &mut Cursor,
    room: &mut Room<'_>,
) -> rusqlite::Result<Vec<Message>> {
    if !queue.fifo {
        let mut statement = transaction.prepare_cached(
            "SELECT * FROM messages WHERE sequence IN (
                 SELECT sequence FROM messages INDEXED BY messages_in_order
                 WHERE queue = ?1 AND visible_at <= ?2 AND sequence > ?4 ORDER BY sequence LIMIT ?3)
             ORDER BY sequence",
        )?;
        let rows = statement.query_map(params![queue.name, now_ms, most, cursor.sequence], message)?;
        let candidates = that_fit(rows, room)?;
        cursor.sequence = candidates.last().map_or(cursor.sequence, |last| last.sequence);
        return Ok(candidates);
    }
    let group: Option<String> = transaction
        .prepare_cached(
            "SELECT message_group FROM messages INDEXED BY messages_in_order
             WHERE queue = ?1 AND visible_at <= ?2 AND message_group NOT IN (
                 SELECT message_group FROM messages INDEXED BY messages_by_visibility
                 WHERE queue = ?1 AND visible_at > ?2 AND receipt IS NOT NULL)
             AND message_group NOT IN (SELECT value FROM json_each(?3))
             ORDER BY sequence LIMIT 1",
        )?
        .query_row(params![queue.name, now_ms, serde_json::json!(cursor.groups).to_string()], |row| row.get(0))
        .optional()?;
    let mut statement = transaction.prepare_cached(
        "SELECT * FROM messages INDEXED BY messages_by_group
         WHERE queue = ?1 AND message_group = ?2 AND visible_at <= ?3 ORDER BY sequence LIMIT ?4",
    )?;
    let Some(group) = group else { return Ok(Vec::new()) };
    let rows = statement.query_map(params![queue.name, group, now_ms, most], message)?;
    that_fit(rows, room)
}

fn that_fit(
    rows: impl Iterator<Item = rusqlite::Result<Message>>,
    room: &mut Room<'_>,
) -> rusqlite::Result<Vec<Message>> {
    let mut fit = Vec::new();
    for message in rows {
        let message = message?;
        if !room.takes(&message) {
            break;
        }
        fit.push(message);
    }
    Ok(fit)
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let attributes: String = row.get("attributes")?;
    Ok(Message {
        sequence: row.get("sequence")?,
        id: row.get("id")?,
        receipt: row.get::<_, Option<String>>("receipt")?.unwrap_or_default(),
        body: row.get("body")?,
        attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        group: row.get("message_group")?,
        deduplication: row.get("deduplication")?,
        trace_header: row.get("trace_header")?,
        sent_at: row.get("sent_at")?,
        first_received_at: row.get::<_, Option<i64>>("first_received_at")?.unwrap_or_default(),
        receive_count: row.get("receive_count")?,
        dead_letter_source: row.get("dead_letter_source")?,
    })
}

impl Message {
    /// The system attributes, by the names that AWS gives them.
    pub(crate) fn system_attributes(&self, sender: &str) -> BTreeMap<&'static str, String> {
        let mut attributes = BTreeMap::from([
            ("ApproximateReceiveCount", self.receive_count.to_string()),
            ("ApproximateFirstReceiveTimestamp", self.first_received_at.to_string()),
            ("SentTimestamp", self.sent_at.to_string()),
            ("SenderId", sender.to_owned()),
        ]);
        let optional = [
            ("MessageGroupId", self.group.clone()),
            ("MessageDeduplicationId", self.deduplication.clone()),
            ("SequenceNumber", self.deduplication.as_ref().map(|_| sequence_number(self.sequence))),
            ("AWSTraceHeader", self.trace_header.clone()),
            ("DeadLetterQueueSourceArn", self.dead_letter_source.clone()),
        ];
        attributes.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        attributes
    }
}

/// Twenty digits, as AWS has them, so that text and number sort alike.
fn sequence_number(sequence: i64) -> String {
    format!("1{sequence:019}")
}

fn sequence_in(receipt: &str) -> Option<i64> {
    let (sequence, token) = receipt.split_once('.')?;
    (token.len() == 32).then(|| sequence.parse().ok())?
}

fn error(code: &str, query_code: &'static str, message: String) -> ServiceError {
    ServiceError { status: 400, kind: format!("com.amazonaws.sqs#{code}"), query_code: Some(query_code), message }
}

fn invalid(message: String) -> ServiceError {
    error("InvalidParameterValue", "InvalidParameterValue", message)
}

fn missing(parameter: &str) -> ServiceError {
    error("MissingParameter", "MissingParameter", format!("The request must contain the parameter {parameter}."))
}

fn expired(receipt: &str) -> ServiceError {
    invalid(format!("Value {receipt} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."))
}
