//! The one table: strongly consistent loads, one conditional write for each commit, and the few queries.
//!
//! The outcomes of a write stay apart: a condition that did not hold comes with the item as it is now, a write that
//! was turned away for load or a rival may be tried again as it is, and one whose answer was lost is unknown, which is
//! neither done nor failed. Deliberately absent: an unconditional write, `ADD`, and any scan but the one of `verify`.

mod codec;
mod query;
pub mod wire;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};
use domain::books::{Change, Kept, Key, Version};
use domain::planted;

pub(crate) use codec::Attributes;
pub use codec::{CodecError, Stored, decode};
use codec::{encode, key_attributes};
pub use query::{Page, Place};
pub(crate) use query::{Scanned, Segment};

/// More than this in one transaction is not taken by the service.
pub const ACTIONS: usize = 100;
const KEYS: usize = 100;

#[derive(Clone)]
pub struct Table {
    client: Client,
    name: String,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the table did not answer: {0}")]
    Unavailable(String),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// What became of a commit.
#[derive(Debug)]
pub enum Committed {
    Yes,
    /// Conditions did not hold: of these items, each as it is now.
    Lost(BTreeMap<Key, Option<Stored>>),
    /// Turned away for load or for a rival transaction, which was about these items. It was not applied.
    Busy {
        why: &'static str,
        over: Vec<Key>,
    },
    /// It may have been applied and may not.
    Unknown(String),
}

/// A commit that can never be taken. A flaw, not an accident.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("the table refused a write as wrong: {0}")]
    Refused(String),
    #[error("a commit of {0} actions is more than the table takes at once")]
    TooLarge(usize),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Table {
    pub const fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads each key once, strongly consistent. What the service leaves unprocessed is unread, never absent, and is
    /// asked for again.
    pub async fn load(&self, keys: &[Key]) -> Result<BTreeMap<Key, Option<Stored>>, ReadError> {
        match keys {
            [] => Ok(BTreeMap::new()),
            [key] => Ok(BTreeMap::from([(*key, self.load_one(key).await?)])),
            keys => {
                let mut found = BTreeMap::new();
                for chunk in keys.chunks(KEYS) {
                    self.load_some(chunk, &mut found).await?;
                }
                Ok(found)
            }
        }
    }

    /// One item as it stands, for showing it.
    pub async fn get<T: Kept>(&self, key: &Key) -> Result<Option<T>, ReadError> {
        Ok(self.load_one(key).await?.and_then(|stored| T::of_item(&stored.found.item).cloned()))
    }

    async fn load_one(&self, key: &Key) -> Result<Option<Stored>, ReadError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(key)))
            .consistent_read(!planted!(StaleGet))
            .send()
            .await
            .map_err(unavailable)?;
        Ok(answer.item.map(decode).transpose()?)
    }

    async fn load_some(&self, keys: &[Key], found: &mut BTreeMap<Key, Option<Stored>>) -> Result<(), ReadError> {
        let distinct: BTreeMap<Key, Attributes> = keys.iter().map(|key| (*key, key_attributes(key))).collect();
        found.extend(distinct.keys().map(|key| (*key, None)));
        let mut wanted: Vec<Attributes> = distinct.into_values().collect();
        let mut pause = Pause::default();
        while !wanted.is_empty() {
            let request = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(|error| ReadError::Unavailable(error.to_string()))?;
            let answer =
                self.client.batch_get_item().request_items(&self.name, request).send().await.map_err(unavailable)?;
            for image in answer.responses.unwrap_or_default().remove(&self.name).unwrap_or_default() {
                let stored = decode(image)?;
                found.insert(stored.found.item.key(), Some(stored));
            }
            wanted = answer
                .unprocessed_keys
                .and_then(|mut left| left.remove(&self.name))
                .map(|left| left.keys)
                .unwrap_or_default();
            if !wanted.is_empty() && !pause.wait().await {
                return Err(ReadError::Unavailable("it left keys unread again and again".to_owned()));
            }
        }
        Ok(())
    }

    /// Writes all of it or nothing, each item over the version that it was read at.
    pub async fn commit(&self, changes: &[Change<'_>], commit: &str) -> Result<Committed, CommitError> {
        match changes {
            [] => Ok(Committed::Yes),
            [Change::Put { key, item, over, events }] => {
                let image = encode(item, Change::next_version(*over), commit, events)?;
                self.put(key, image, *over).await
            }
            changes if changes.len() > ACTIONS => Err(CommitError::TooLarge(changes.len())),
            changes => self.transact(changes, commit).await,
        }
    }

    async fn put(&self, key: &Key, image: Attributes, over: Option<Version>) -> Result<Committed, CommitError> {
        let condition = Condition::over(over);
        let written = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(image))
            .condition_expression(condition.expression)
            .set_expression_attribute_values(condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match written {
            Ok(_) => return Ok(Committed::Yes),
            Err(SdkError::ServiceError(error)) => error.into_err(),
            Err(error) => return Ok(Committed::Unknown(lost_answer(error))),
        };
        match error {
            PutItemError::ConditionalCheckFailedException(failed) => {
                Ok(Committed::Lost(BTreeMap::from([(*key, failed.item.map(decode).transpose()?)])))
            }
            error => refused(error.code(), error.message()),
        }
    }

    async fn transact(&self, changes: &[Change<'_>], commit: &str) -> Result<Committed, CommitError> {
        let actions: Vec<_> = changes.iter().map(|change| self.action(change, commit)).collect::<Result<_, _>>()?;
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            // Fresh for each decision and the same for each repeat of its bytes: the commit id is just that.
            .client_request_token(commit)
            .send()
            .await;
        let error = match written {
            Ok(_) => return Ok(Committed::Yes),
            Err(SdkError::ServiceError(error)) => error.into_err(),
            Err(error) => return Ok(Committed::Unknown(lost_answer(error))),
        };
        match error {
            TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                cancelled_for(changes, cancelled.cancellation_reasons.unwrap_or_default())
            }
            // It runs, or ran, under our own token.
            TransactWriteItemsError::TransactionInProgressException(_) => {
                Ok(Committed::Unknown("the transaction is still in progress".to_owned()))
            }
            error => refused(error.code(), error.message()),
        }
    }

    fn action(&self, change: &Change<'_>, commit: &str) -> Result<TransactWriteItem, CommitError> {
        let refused = |error: aws_sdk_dynamodb::error::BuildError| CommitError::Refused(error.to_string());
        let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
        let action = TransactWriteItem::builder();
        Ok(match change {
            Change::Put { item, over, events, key } => {
                let condition = match over {
                    Some(_) if planted!(StockUnconditional) && matches!(key, Key::Stock(_)) => Condition::there(),
                    over => Condition::over(*over),
                };
                let put = Put::builder()
                    .table_name(&self.name)
                    .set_item(Some(encode(item, Change::next_version(*over), commit, events)?))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(condition.values)
                    .return_values_on_condition_check_failure(all_old);
                action.put(put.build().map_err(refused)?)
            }
            Change::Delete { key, over } => {
                let condition = Condition::over(Some(*over));
                let delete = Delete::builder()
                    .table_name(&self.name)
                    .set_key(Some(key_attributes(key)))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(condition.values)
                    .return_values_on_condition_check_failure(all_old);
                action.delete(delete.build().map_err(refused)?)
            }
            Change::Check { key, over } => {
                let condition = Condition::over(*over);
                let check = ConditionCheck::builder()
                    .table_name(&self.name)
                    .set_key(Some(key_attributes(key)))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(condition.values)
                    .return_values_on_condition_check_failure(all_old);
                action.condition_check(check.build().map_err(refused)?)
            }
        }
        .build())
    }
}

/// The only two conditions that there are: the version is the one that was read, or nothing is there.
struct Condition {
    expression: &'static str,
    values: Option<Attributes>,
}

impl Condition {
    /// As somebody could write it who forgets the version.
    const fn there() -> Self {
        Self { expression: "attribute_exists(pk)", values: None }
    }

    fn over(version: Option<Version>) -> Self {
        match version {
            Some(_) if planted!(VersionNotCompared) => Self::there(),
            None if planted!(AbsenceNotChecked) => {
                Self { expression: "attribute_not_exists(deleted_at)", values: None }
            }
            Some(version) => Self {
                expression: "version = :version",
                values: Some(Attributes::from([(":version".to_owned(), AttributeValue::N(version.to_string()))])),
            },
            None => Self { expression: "attribute_not_exists(pk)", values: None },
        }
    }
}

/// Reads each reason by its place, so that a version that is stale, a rival and too much load stay different things.
fn cancelled_for(changes: &[Change<'_>], reasons: Vec<CancellationReason>) -> Result<Committed, CommitError> {
    if reasons.len() != changes.len() {
        return Ok(Committed::Unknown("the cancellation did not say why".to_owned()));
    }
    let mut lost = BTreeMap::new();
    let (mut busy, mut over) = (None, Vec::new());
    for (change, reason) in changes.iter().zip(reasons) {
        match reason.code.as_deref() {
            None | Some("None") => {}
            Some("ConditionalCheckFailed") => {
                lost.insert(*change.key(), reason.item.map(decode).transpose()?);
            }
            Some("TransactionConflict") => {
                busy = Some("a rival transaction");
                over.push(*change.key());
            }
            Some("ThrottlingError" | "ProvisionedThroughputExceeded" | "RequestLimitExceeded") => {
                busy = Some("too much load");
            }
            Some("DuplicateItem") => busy = Some("an item that appeared"),
            code => {
                let said = reason.message.unwrap_or_default();
                return Err(CommitError::Refused(format!("{}: {said}", code.unwrap_or_default())));
            }
        }
    }
    match busy {
        _ if !lost.is_empty() => Ok(Committed::Lost(lost)),
        Some(_) if planted!(ConflictSwallowed) => Ok(Committed::Yes),
        Some(why) => Ok(Committed::Busy { why, over }),
        None => Ok(Committed::Unknown("the cancellation named no reason".to_owned())),
    }
}

fn refused(code: Option<&str>, message: Option<&str>) -> Result<Committed, CommitError> {
    let message = message.unwrap_or_default();
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded" => {
            Ok(Committed::Busy { why: "too much load", over: Vec::new() })
        }
        "TransactionConflictException" | "ReplicatedWriteConflictException" => {
            Ok(Committed::Busy { why: "a rival transaction", over: Vec::new() })
        }
        code @ ("ValidationException"
        | "ItemCollectionSizeLimitExceededException"
        | "ResourceNotFoundException"
        | "IdempotentParameterMismatchException"
        | "AccessDeniedException"
        | "SerializationException") => Err(CommitError::Refused(format!("{code}: {message}"))),
        code => Ok(Committed::Unknown(format!("{code}: {message}"))),
    }
}

fn lost_answer<E, R>(error: SdkError<E, R>) -> String {
    match error {
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => "the connection broke".to_owned(),
        SdkError::ResponseError(_) => "the answer could not be read".to_owned(),
        _ => "no answer".to_owned(),
    }
}

fn unavailable<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(error: SdkError<E, R>) -> ReadError {
    ReadError::Unavailable(match error {
        SdkError::ServiceError(error) => {
            let error = error.into_err();
            format!("{}: {}", error.code().unwrap_or("error"), error.message().unwrap_or_default())
        }
        error => lost_answer(error),
    })
}

/// A growing pause for what was left undone, bounded.
#[derive(Default)]
struct Pause {
    times: u32,
}

impl Pause {
    const TIMES: u32 = 8;

    /// Whether there is another time.
    async fn wait(&mut self) -> bool {
        self.times += 1;
        tokio::time::sleep(std::time::Duration::from_millis(10 << self.times)).await;
        self.times < Self::TIMES
    }
}
