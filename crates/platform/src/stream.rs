//! Records of the table's stream, as what they are: an item, its version, and the events that its commit told.

use aws_lambda_events::dynamodb;
use domain::messages::{self, Message};
use serde_json::{Value, json};

use crate::table::{CodecError, Stored, decode};

/// One record. What cannot be read stays a record, so that it is kept and not skipped.
#[derive(Debug)]
pub struct Record {
    pub sequence_number: String,
    pub stored: Result<Option<Stored>, Unread>,
}

/// Why a record is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// A newer release wrote it, and will read it.
    #[error("{0}")]
    Newer(String),
    #[error("{0}")]
    Unreadable(String),
}

#[derive(Debug)]
pub struct Batch {
    pub records: Vec<Record>,
}

#[derive(Debug, thiserror::Error)]
#[error("the event is no batch of stream records: {0}")]
pub struct NotABatch(#[from] serde_json::Error);

impl Batch {
    pub fn from_event(event: Value) -> Result<Self, NotABatch> {
        let event: dynamodb::Event = serde_json::from_value(event)?;
        let records = event.records.into_iter().map(|record| {
            let image = record.change.new_image;
            let stored = if image.is_empty() { Ok(None) } else { decode(image).map(Some) };
            Record {
                sequence_number: record.change.sequence_number.unwrap_or_default(),
                stored: stored.map_err(|error| match error {
                    CodecError::Newer { .. } => Unread::Newer(error.to_string()),
                    error => Unread::Unreadable(error.to_string()),
                }),
            }
        });
        Ok(Self { records: records.collect() })
    }
}

impl Record {
    /// Everything that is to be published for this record.
    pub fn messages(&self) -> Vec<Message> {
        match &self.stored {
            Ok(Some(stored)) => messages::of_commit(&stored.found.item, stored.found.version, &stored.events),
            _ => Vec::new(),
        }
    }
}

/// The answer to a batch: the first record that failed, from which the mapping begins again.
pub fn answer<'a>(failed: impl IntoIterator<Item = &'a Record>) -> Value {
    let failures: Vec<_> =
        failed.into_iter().map(|record| json!({ "itemIdentifier": record.sequence_number })).collect();
    json!({ "batchItemFailures": failures })
}
