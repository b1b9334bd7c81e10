//! Redrive: tasks that move messages out of a dead-letter queue, back to where they came from or to another queue.
//!
//! A task is a row, so that it goes on after a restart; while the cloud runs, `mappings::redrive` moves its messages. A
//! message that is moved is a new one to the queue that gets it: it has a new id, a new life and no receives. In a FIFO
//! queue it keeps the deduplication id that it has in the dead-letter queue. Only what is visible is moved, the oldest
//! first. Not here: the thirty-six hours after which AWS ends a task.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

use super::{Kept, Outgoing, Sqs, error, insert, invalid, message, missing};
use crate::wire::ServiceError;

/// What AWS lists of a queue's tasks at most.
const MOST_LISTED: i64 = 10;
/// What a task moves in a second where the request does not say, and at most.
const MOST_EACH_SECOND: i64 = 500;
/// Why a task fails: its queue is not there any more, or the message was sent to the dead-letter queue itself.
const NO_QUEUE: &str = "AWS.SimpleQueueService.NonExistentQueue";
const NO_SOURCE: &str = "CouldNotDetermineMessageSource";

/// A task, as it is kept.
struct Task {
    handle: String,
    source: String,
    destination: Option<String>,
    each_second: Option<i64>,
    status: String,
    moved: i64,
    to_move: i64,
    started_at: i64,
    failure: Option<String>,
}

impl Sqs {
    pub(super) fn start_move_task(&self, request: &Value, now_ms: i64) -> Result<Value, ServiceError> {
        let text = |field: &str| request.get(field).and_then(Value::as_str);
        let source = self.arn_named(text("SourceArn").ok_or_else(|| missing("SourceArn"))?)?;
        if !self.is_dead_letter_queue(source) {
            return Err(invalid("Source queue must be configured as a Dead Letter Queue.".into()));
        }
        let destination = text("DestinationArn").map(|arn| self.arn_named(arn)).transpose()?;
        if let Some(destination) = destination {
            if destination.queue.arn == source.queue.arn {
                return Err(invalid("Source queue and destination queue must not be the same.".into()));
            }
            if destination.queue.fifo != source.queue.fifo {
                return Err(invalid("Source queue and destination queue must be of the same type.".into()));
            }
        }
        let each_second = match request.get("MaxNumberOfMessagesPerSecond").filter(|number| !number.is_null()) {
            None => None,
            Some(number) => {
                let number = number.as_i64().filter(|number| (1..=MOST_EACH_SECOND).contains(number));
                let refused = || invalid(format!("MaxNumberOfMessagesPerSecond must be from 1 to {MOST_EACH_SECOND}."));
                Some(number.ok_or_else(refused)?)
            }
        };
        let to_move = i64::try_from(self.depth(source, now_ms)?.visible).unwrap_or(i64::MAX);
        let handle = self.random.uuid();
        self.store.write::<_, ServiceError>(|transaction| {
            let is_busy = transaction
                .prepare_cached("SELECT 1 FROM move_tasks WHERE source = ?1 AND status = 'RUNNING'")?
                .exists([&source.queue.arn])?;
            if is_busy {
                return Err(invalid(
                    "There is already a task running. Only one active task is allowed for a source queue arn at a given time.".into(),
                ));
            }
            transaction
                .prepare_cached(
                    "INSERT INTO move_tasks (handle, source, destination, each_second, status, to_move, started_at)
                     VALUES (?1, ?2, ?3, ?4, 'RUNNING', ?5, ?6)",
                )?
                .execute(params![
                    handle,
                    source.queue.arn,
                    destination.map(|kept| &kept.queue.arn),
                    each_second,
                    to_move,
                    now_ms
                ])?;
            Ok(())
        })?;
        self.moves.raise();
        self.activity.raise();
        Ok(json!({ "TaskHandle": handle }))
    }

    pub(super) fn cancel_move_task(&self, request: &Value) -> Result<Value, ServiceError> {
        let handle = request.get("TaskHandle").and_then(Value::as_str).ok_or_else(|| missing("TaskHandle"))?;
        let moved: Option<i64> = self.store.write::<_, ServiceError>(|transaction| {
            let moved = transaction
                .prepare_cached("SELECT moved FROM move_tasks WHERE handle = ?1 AND status = 'RUNNING'")?
                .query_row([handle], |row| row.get(0))
                .optional()?;
            transaction
                .prepare_cached("UPDATE move_tasks SET status = 'CANCELLED' WHERE handle = ?1 AND status = 'RUNNING'")?
                .execute([handle])?;
            Ok(moved)
        })?;
        let moved = moved.ok_or_else(|| {
            error(
                "ResourceNotFoundException",
                "ResourceNotFoundException",
                "The task does not exist, or is not running any more.".into(),
            )
        })?;
        self.moves.raise();
        self.activity.raise();
        Ok(json!({ "ApproximateNumberOfMessagesMoved": moved }))
    }

    pub(super) fn list_move_tasks(&self, request: &Value) -> Result<Value, ServiceError> {
        let source = request.get("SourceArn").and_then(Value::as_str).ok_or_else(|| missing("SourceArn"))?;
        let source = self.arn_named(source)?;
        let most = match request.get("MaxResults").filter(|most| !most.is_null()) {
            None => 1,
            Some(most) => {
                let most = most.as_i64().filter(|most| (1..=MOST_LISTED).contains(most));
                most.ok_or_else(|| invalid(format!("MaxResults must be from 1 to {MOST_LISTED}.")))?
            }
        };
        let tasks: Vec<Task> = self.store.read(|connection| {
            connection
                .prepare_cached("SELECT * FROM move_tasks WHERE source = ?1 ORDER BY sequence DESC LIMIT ?2")?
                .query_map(params![source.queue.arn, most], task)?
                .collect()
        })?;
        Ok(json!({ "Results": tasks.iter().map(Task::told).collect::<Vec<_>>() }))
    }

    /// The tasks that run, and how long each waits between two messages.
    pub(crate) fn running_move_tasks(&self) -> rusqlite::Result<Vec<(String, i64)>> {
        self.store.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT handle, 1000 / COALESCE(each_second, ?1) FROM move_tasks WHERE status = 'RUNNING'
                     ORDER BY sequence",
                )?
                .query_map([MOST_EACH_SECOND], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// Moves the next message of a task, or ends it.
    pub(crate) fn move_one(&self, handle: &str, now_ms: i64) -> Result<(), ServiceError> {
        let touched = self.store.write::<_, ServiceError>(|transaction| {
            let task = transaction
                .prepare_cached("SELECT * FROM move_tasks WHERE handle = ?1 AND status = 'RUNNING'")?
                .query_row([handle], task)
                .optional()?;
            let Some(task) = task else { return Ok(None) };
            let Some(source) = self.by_arn(&task.source) else {
                return end(transaction, handle, "FAILED", Some(NO_QUEUE));
            };
            let oldest = transaction
                .prepare_cached(
                    "SELECT * FROM messages WHERE queue = ?1 AND visible_at <= ?2 AND expires_at > ?2
                     ORDER BY sequence LIMIT 1",
                )?
                .query_row(params![source.queue.name, now_ms], message)
                .optional()?;
            let Some(oldest) = oldest.filter(|_| task.moved < task.to_move) else {
                return end(transaction, handle, "COMPLETED", None);
            };
            let Some(arn) = task.destination.as_ref().or(oldest.dead_letter_source.as_ref()) else {
                return end(transaction, handle, "FAILED", Some(NO_SOURCE));
            };
            let Some(destination) = self.by_arn(arn) else {
                return end(transaction, handle, "FAILED", Some(NO_QUEUE));
            };
            transaction.prepare_cached("DELETE FROM messages WHERE sequence = ?1")?.execute([oldest.sequence])?;
            let outgoing = Outgoing {
                body: oldest.body,
                delay_seconds: None,
                attributes: oldest.attributes,
                trace_header: oldest.trace_header,
                group: oldest.group,
                deduplication: oldest.deduplication,
            };
            insert(transaction, &destination.queue, &outgoing, &self.random.uuid(), now_ms)?;
            transaction
                .prepare_cached("UPDATE move_tasks SET moved = moved + 1 WHERE handle = ?1")?
                .execute([handle])?;
            Ok(Some((source, destination)))
        })?;
        match touched {
            Some((source, destination)) => {
                self.changed(source);
                self.changed(destination);
            }
            None => self.activity.raise(),
        }
        Ok(())
    }

    pub(crate) fn has_move_tasks(&self) -> rusqlite::Result<bool> {
        self.store.read(|connection| {
            connection.prepare_cached("SELECT 1 FROM move_tasks WHERE status = 'RUNNING' LIMIT 1")?.exists([])
        })
    }

    fn is_dead_letter_queue(&self, kept: &Kept) -> bool {
        self.all()
            .filter_map(|source| source.queue.redrive.as_ref())
            .any(|redrive| redrive.dead_letter_arn == kept.queue.arn)
    }

    fn arn_named(&self, arn: &str) -> Result<&Kept, ServiceError> {
        self.by_arn(arn).ok_or_else(|| {
            error(
                "ResourceNotFoundException",
                "ResourceNotFoundException",
                "The resource that you specified for the SourceArn or DestinationArn parameter doesn't exist.".into(),
            )
        })
    }
}

fn end<T>(
    transaction: &Transaction<'_>,
    handle: &str,
    status: &str,
    failure: Option<&str>,
) -> Result<Option<T>, ServiceError> {
    transaction
        .prepare_cached("UPDATE move_tasks SET status = ?2, failure = ?3 WHERE handle = ?1")?
        .execute(params![handle, status, failure])?;
    Ok(None)
}

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        handle: row.get("handle")?,
        source: row.get("source")?,
        destination: row.get("destination")?,
        each_second: row.get("each_second")?,
        status: row.get("status")?,
        moved: row.get("moved")?,
        to_move: row.get("to_move")?,
        started_at: row.get("started_at")?,
        failure: row.get("failure")?,
    })
}

impl Task {
    fn told(&self) -> Value {
        let mut told = json!({
            "Status": self.status,
            "SourceArn": self.source,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "StartedTimestamp": self.started_at,
        });
        if self.status == "RUNNING" {
            told["TaskHandle"] = self.handle.as_str().into();
        }
        if let Some(destination) = &self.destination {
            told["DestinationArn"] = destination.as_str().into();
        }
        if let Some(each_second) = self.each_second {
            told["MaxNumberOfMessagesPerSecond"] = each_second.into();
        }
        if let Some(failure) = &self.failure {
            told["FailureReason"] = failure.as_str().into();
        }
        told
    }
}
