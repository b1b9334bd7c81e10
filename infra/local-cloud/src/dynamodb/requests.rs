//! One request to DynamoDB or its streams: from the wire's JSON to the emulator's types and back.

use dynoxide::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{DynamoDb, EMULATED_ARN};
use crate::wire::ServiceError;

pub(crate) const TARGET_PREFIX: &str = "DynamoDB_20120810.";
pub(crate) const STREAMS_TARGET_PREFIX: &str = "DynamoDBStreams_20120810.";

/// What a call consumed, as far as it asked to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capacity {
    pub read_units: f64,
    pub write_units: f64,
}

pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) capacity: Option<Capacity>,
}

impl DynamoDb {
    /// Answers one request; `operation` is what follows the prefix of its target.
    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> Answered {
        match self.run(operation, body) {
            Ok(mut answer) => {
                if is_write(operation) {
                    self.written.raise();
                    self.activity.raise();
                }
                if operation.starts_with("Describe") || operation.starts_with("List") {
                    self.rename_arns(&mut answer);
                }
                let capacity = answer.get("ConsumedCapacity").map(|consumed| capacity(operation, consumed));
                Answered { status: 200, body: answer.to_string(), capacity }
            }
            Err(Refused::Emulator(error)) => {
                Answered { status: error.status_code(), body: sorted(&error.to_json()), capacity: None }
            }
            Err(Refused::Here(error)) => Answered {
                status: error.status,
                body: json!({ "__type": error.kind, "message": error.message }).to_string(),
                capacity: None,
            },
        }
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<Value, Refused> {
        let database = &self.database;
        match operation {
            "GetItem" => call(body, |request| database.get_item(request)),
            "PutItem" => call(body, |request| database.put_item(request)),
            "UpdateItem" => call(body, |request| database.update_item(request)),
            "DeleteItem" => call(body, |request| database.delete_item(request)),
            "Query" => call(body, |request| database.query(request)),
            "Scan" => call(body, |request| database.scan(request)),
            "BatchGetItem" => call(body, |request| database.batch_get_item(request)),
            "BatchWriteItem" => call(body, |request| database.batch_write_item(request)),
            "TransactWriteItems" => call(body, |request| database.transact_write_items(request)),
            "TransactGetItems" => call(body, |request| database.transact_get_items(request)),
            "DescribeTable" => call(body, |request| database.describe_table(request)),
            "ListTables" => call(body, |request| database.list_tables(request)),
            "DescribeTimeToLive" => call(body, |request| database.describe_time_to_live(request)),
            "ListStreams" => call(body, |request| database.list_streams(request)),
            "DescribeStream" => call(body, |request| database.describe_stream(request)),
            "GetShardIterator" => call(body, |request| database.get_shard_iterator(request)),
            "GetRecords" => call(body, |request| database.get_records(request)),
            _ => Err(Refused::Here(ServiceError::unknown_operation(operation))),
        }
    }

    /// The emulator's ARNs name no real region; the stack's are what everyone else here goes by.
    fn rename_arns(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let Some(rest) = text.strip_prefix(EMULATED_ARN) else { return };
                let (name, detail) = rest.split_once('/').map_or((rest, None), |(name, detail)| (name, Some(detail)));
                let Some(table) = self.tables.get(name) else { return };
                *text = match (detail, &table.stream_arn) {
                    (None, _) => table.arn.clone(),
                    (Some(detail), Some(stream_arn)) if detail.starts_with("stream/") => stream_arn.clone(),
                    (Some(detail), _) => format!("{}/{detail}", table.arn),
                };
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename_arns(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.rename_arns(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

enum Refused {
    Emulator(DynoxideError),
    Here(ServiceError),
}

/// The answer goes through `Value`, whose keys are sorted: the emulator's maps have no order of their own.
fn call<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    run: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<Value, Refused> {
    let request = serde_json::from_slice(body).map_err(|error| Refused::Emulator(unreadable(&error)))?;
    let answer = run(request).map_err(Refused::Emulator)?;
    serde_json::to_value(answer).map_err(|error| Refused::Here(ServiceError::internal(error)))
}

/// The emulator's request types say by a prefix which class of error their refusal is.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    for prefix in ["VALIDATION_REQUEST:", "VALIDATION_AS_READ:", "VALIDATION:"] {
        if let Some(message) = text.strip_prefix(prefix) {
            return DynoxideError::ValidationException(message.into());
        }
    }
    for prefix in ["SERIALIZATION_AS_READ:", "SERIALIZATION:"] {
        if let Some(message) = text.strip_prefix(prefix) {
            return DynoxideError::SerializationException(message.into());
        }
    }
    let is_validation = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"]
        .iter()
        .any(|sign| text.contains(sign));
    if error.is_data() && is_validation {
        DynoxideError::ValidationException(text.into())
    } else {
        DynoxideError::SerializationException(text.into())
    }
}

fn is_write(operation: &str) -> bool {
    matches!(operation, "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems")
}

fn sorted(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

/// Of one table, or of several. A transaction says which kind of unit it took; otherwise the operation tells.
#[expect(clippy::float_arithmetic, reason = "capacity is measured in fractions of a unit")]
fn capacity(operation: &str, consumed: &Value) -> Capacity {
    let one = std::slice::from_ref(consumed);
    let tables = consumed.as_array().map_or(one, Vec::as_slice);
    let units = |table: &Value, kind: &str| table.get(kind).and_then(Value::as_f64);
    let mut sum = Capacity::default();
    for table in tables {
        let (read, write) = (units(table, "ReadCapacityUnits"), units(table, "WriteCapacityUnits"));
        if read.is_some() || write.is_some() {
            sum.read_units += read.unwrap_or_default();
            sum.write_units += write.unwrap_or_default();
            continue;
        }
        let all = units(table, "CapacityUnits").unwrap_or_default();
        if is_write(operation) {
            sum.write_units += all;
        } else {
            sum.read_units += all;
        }
    }
    sum
}
