//! One request to DynamoDB or its streams: from the wire's JSON to the emulator's types and back.

use dynoxide::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{DynamoDb, EMULATED_ARN, shapes, shard_of};
use crate::stack::Table;
use crate::wire::ServiceError;

pub(crate) const TARGET_PREFIX: &str = "DynamoDB_20120810.";
pub(crate) const STREAMS_TARGET_PREFIX: &str = "DynamoDBStreams_20120810.";

const NESTED_TOO_DEEP: &str = "Nesting Levels have exceeded supported limits";
const EMPTY_VALUE: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";

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
        let answered = readable(operation, body).and_then(|request| {
            // Before it is done: if it is not, a sweep too many does no harm.
            if is_write(operation) {
                self.expiry.note(operation, &request);
            }
            self.run(operation, request)
        });
        if answered.is_ok() && is_write(operation) {
            self.written.raise();
            self.activity.raise();
        }
        self.rendered(operation, answered)
    }

    /// The same for what a client asks of a stream.
    pub(crate) fn answer_stream(&self, operation: &str, body: &[u8]) -> Answered {
        let answered = readable(operation, body).and_then(|request| self.run_stream(operation, request));
        self.rendered(operation, answered)
    }

    fn rendered(&self, operation: &str, answered: Result<Value, Refused>) -> Answered {
        match answered {
            Ok(mut answer) => {
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

    fn run(&self, operation: &str, mut request: Value) -> Result<Value, Refused> {
        let database = &self.database;
        self.name_tables(&mut request);
        if let ("Query" | "Scan", Some(limit @ ..=0)) = (operation, request.get("Limit").and_then(Value::as_i64)) {
            let message = format!(
                "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"
            );
            return Err(Refused::Emulator(DynoxideError::ValidationException(message)));
        }
        match operation {
            "GetItem" => call(request, |request| database.get_item(request)),
            "PutItem" => call(request, |request| database.put_item(request)).map_err(enveloped),
            "UpdateItem" => call(request, |request| database.update_item(request)).map_err(enveloped),
            "DeleteItem" => call(request, |request| database.delete_item(request)).map_err(enveloped),
            "Query" => call(request, |request| database.query(request)),
            "Scan" => call(request, |request| database.scan(request)),
            "BatchGetItem" => call(request, |request| database.batch_get_item(request)),
            "BatchWriteItem" => call(request, |request| database.batch_write_item(request)),
            "TransactWriteItems" => call(request, |request| database.transact_write_items(request)),
            "TransactGetItems" => call(request, |request| database.transact_get_items(request)),
            "DescribeTable" => call(request, |request| database.describe_table(request)),
            "ListTables" => call(request, |request| database.list_tables(request)),
            "DescribeTimeToLive" => call(request, |request| database.describe_time_to_live(request)),
            _ => Err(Refused::Here(ServiceError::unknown_operation(operation))),
        }
    }

    fn run_stream(&self, operation: &str, mut request: Value) -> Result<Value, Refused> {
        let database = &self.database;
        for field in ["StreamArn", "ExclusiveStartStreamArn"] {
            if let Some(arn) = request.get(field).and_then(Value::as_str) {
                let table = self.table_of_stream(arn).ok_or_else(|| {
                    let message = format!("Requested resource not found: Stream: {arn} not found");
                    Refused::Emulator(DynoxideError::ResourceNotFoundException(message))
                })?;
                request[field] = self.emulated_stream(table)?.into();
            }
        }
        if let (Some(arn), Some(shard)) =
            (request.get("StreamArn").and_then(Value::as_str), request.get("ShardId").and_then(Value::as_str))
            && !self.tables.keys().any(|table| shard == shard_of(table))
        {
            let message = format!("Requested resource not found: Shard does not exist: {shard} of {arn}");
            return Err(Refused::Emulator(DynoxideError::ResourceNotFoundException(message)));
        }
        match operation {
            "ListStreams" => call(request, |request| database.list_streams(request)),
            "DescribeStream" => {
                let mut described = call(request, |request| database.describe_stream(request))?;
                // The one shard is never closed, and a number at its end would say that it is.
                if let Some(shards) = described["StreamDescription"]["Shards"].as_array_mut() {
                    for shard in shards {
                        if let Some(range) = shard["SequenceNumberRange"].as_object_mut() {
                            range.remove("EndingSequenceNumber");
                        }
                    }
                }
                Ok(described)
            }
            "GetShardIterator" => call(request, |request| database.get_shard_iterator(request)),
            "GetRecords" => {
                let mut read = call(request, |request| database.get_records(request))?;
                for record in read["Records"].as_array_mut().into_iter().flatten() {
                    record["awsRegion"] = self.region.as_str().into();
                }
                Ok(read)
            }
            _ => Err(Refused::Here(ServiceError::unknown_operation(operation))),
        }
    }

    /// A table may be named by its ARN, wherever a request has a `TableName`. (Items have no text right under a name, so
    /// nothing else is touched.)
    fn name_tables(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.name_tables(item)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field {
                        Value::String(arn) if name == "TableName" => {
                            if let Some(table) = self.tables.values().find(|table| table.arn == *arn) {
                                arn.clone_from(&table.name);
                            }
                        }
                        field => self.name_tables(field),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The emulator's name for the stream of a table, which ends in the moment at which it was made.
    fn emulated_stream(&self, table: &Table) -> Result<String, Refused> {
        let known = self.database.get_table_metadata(&table.name).map_err(Refused::Emulator)?;
        let label = known.and_then(|known| known.stream_label).unwrap_or_default();
        Ok(format!("{EMULATED_ARN}{}/stream/{label}", table.name))
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
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.rename_arns(field));
                // A label is the end of the ARN beside it.
                for (arn, label) in [("StreamArn", "StreamLabel"), ("LatestStreamArn", "LatestStreamLabel")] {
                    let end = fields.get(arn).and_then(Value::as_str).and_then(|arn| arn.rsplit_once("/stream/"));
                    if let (Some((_, end)), true) = (end, fields.contains_key(label)) {
                        let end = end.to_owned();
                        fields.insert(label.into(), end.into());
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

enum Refused {
    Emulator(DynoxideError),
    Here(ServiceError),
}

/// A body that is JSON and has the shape of a request. One that is not JSON is refused without a word, as the service
/// does it.
fn readable(operation: &str, body: &[u8]) -> Result<Value, Refused> {
    let malformed = |message: &str| Refused::Emulator(DynoxideError::SerializationException(message.into()));
    let request: Value = serde_json::from_slice(body).map_err(|error| {
        if error.to_string().starts_with("recursion limit exceeded") {
            Refused::Emulator(DynoxideError::ValidationException(NESTED_TOO_DEEP.into()))
        } else {
            malformed("")
        }
    })?;
    let fields = request.as_object().ok_or_else(|| malformed(""))?;
    shapes::check(operation, fields).map_err(|message| malformed(&message))?;
    Ok(request)
}

/// The answer goes through `Value`, whose keys are sorted: the emulator's maps have no order of their own.
fn call<Q: DeserializeOwned, A: Serialize>(
    request: Value,
    run: impl FnOnce(Q) -> Result<A, DynoxideError>,
) -> Result<Value, Refused> {
    let request = serde_json::from_value(request).map_err(|error| Refused::Emulator(unreadable(&error)))?;
    let answer = run(request).map_err(Refused::Emulator)?;
    serde_json::to_value(answer).map_err(|error| Refused::Here(ServiceError::internal(error)))
}

/// Writes of one item say of some refusals how many they found.
fn enveloped(refused: Refused) -> Refused {
    match refused {
        Refused::Emulator(DynoxideError::EnvelopedValidation(message)) => {
            Refused::Emulator(DynoxideError::ValidationException(format!("1 validation error detected: {message}")))
        }
        other => other,
    }
}

/// The emulator's request types say by a prefix which class of error their refusal is.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    if let Some(message) = text.strip_prefix("VALIDATION_REQUEST:") {
        return DynoxideError::EnvelopedValidation(message.into());
    }
    for prefix in ["VALIDATION_AS_READ:", "VALIDATION:"] {
        if let Some(message) = text.strip_prefix(prefix) {
            return DynoxideError::ValidationException(message.into());
        }
    }
    for prefix in ["SERIALIZATION_AS_READ:", "SERIALIZATION:"] {
        if let Some(message) = text.strip_prefix(prefix) {
            return DynoxideError::SerializationException(message.into());
        }
    }
    if let Some(field) = text.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let mut field = field.to_owned();
        if let Some(first) = field.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        return DynoxideError::ValidationException(format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        ));
    }
    if text.contains("empty AttributeValue") {
        return DynoxideError::ValidationException(EMPTY_VALUE.into());
    }
    let is_validation =
        ["unknown variant", "invalid type: null", "AttributeValue"].iter().any(|sign| text.contains(sign));
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
