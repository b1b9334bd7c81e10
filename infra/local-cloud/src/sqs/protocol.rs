//! SQS on the wire: AWS JSON 1.0 with the error codes of the older query protocol beside it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Duration, Instant};

use super::{Kept, Message, Outgoing, Receiver, Sqs, digest, error, invalid, md5_hex, missing};
use crate::wire::{ServiceError, json_response};

pub(crate) const TARGET_PREFIX: &str = "AmazonSQS.";

/// The sender that every message names: there are no identities here.
pub(crate) const SENDER: &str = "AIDALOCALCLOUDSENDER0";

const OF_ONE_QUEUE: [&str; 9] = [
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "GetQueueAttributes",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
];

/// What `GetQueueAttributes` may be asked for; not every queue has each.
const QUEUE_ATTRIBUTES: [&str; 22] = [
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "ContentBasedDeduplication",
    "CreatedTimestamp",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "LastModifiedTimestamp",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "QueueArn",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
];

const MOST_LISTED: usize = 1000;
const LONGEST_WAIT_SECONDS: u32 = 20;
const LONGEST_VISIBILITY_SECONDS: u32 = 43_200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListRequest {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: Map<String, Value>,
    #[serde(default)]
    message_system_attributes: Map<String, Value>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiptEntry {
    id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveRequest {
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<T> {
    #[serde(default = "Vec::new")]
    entries: Vec<T>,
}

impl Sqs {
    /// Answers one request; `operation` is what follows `AmazonSQS.` in its target.
    pub(crate) async fn answer(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let answered = match serde_json::from_slice::<Value>(body) {
            Ok(request) if request.is_object() => self.run(operation, request).await,
            Ok(_) | Err(_) => Err(ServiceError::malformed("")),
        };
        match answered {
            Ok(answer) => json_response(200, &answer),
            Err(refusal) => refusal.response(),
        }
    }

    pub(super) async fn run(&self, operation: &str, request: Value) -> Result<Value, ServiceError> {
        match operation {
            "ListQueues" => return self.list_queues(parse(request)?),
            "GetQueueUrl" => {
                let name = text_of(&request, "QueueName")?.ok_or_else(|| missing("QueueName"))?;
                return Ok(json!({ "QueueUrl": self.named(name)?.queue.url }));
            }
            "CreateQueue" => return self.create_queue(&request),
            "StartMessageMoveTask" => return self.start_move_task(&request, self.clock.now_ms()),
            "ListMessageMoveTasks" => return self.list_move_tasks(&request),
            "CancelMessageMoveTask" => return self.cancel_move_task(&request),
            _ if !OF_ONE_QUEUE.contains(&operation) => return Err(ServiceError::unknown_operation(operation)),
            _ => {}
        }
        let kept = self.addressed(&request)?;
        let now_ms = self.clock.now_ms();
        match operation {
            "SendMessage" => self.send_message(kept, parse(request)?, now_ms),
            "SendMessageBatch" => self.send_batch(kept, parse(request)?, now_ms),
            "ReceiveMessage" => self.receive_message(kept, parse(request)?).await,
            "DeleteMessage" => {
                self.delete(kept, receipt(&parse(request)?)?, now_ms)?;
                Ok(json!({}))
            }
            "DeleteMessageBatch" => each_entry(parse(request)?, |entry| self.delete(kept, receipt(entry)?, now_ms)),
            "ChangeMessageVisibility" => {
                self.change_visibility_of(kept, &parse(request)?, now_ms)?;
                Ok(json!({}))
            }
            "ChangeMessageVisibilityBatch" => {
                each_entry(parse(request)?, |entry| self.change_visibility_of(kept, entry, now_ms))
            }
            "GetQueueAttributes" => self.queue_attributes(kept, &request, now_ms),
            "PurgeQueue" => {
                self.purge(kept)?;
                Ok(json!({}))
            }
            _ => Err(ServiceError::unknown_operation(operation)),
        }
    }

    /// By URL, or by its last part: behind a port the same queue has another host.
    fn addressed(&self, request: &Value) -> Result<&Kept, ServiceError> {
        let url = text_of(request, "QueueUrl")?.ok_or_else(|| missing("QueueUrl"))?;
        self.named(url.rsplit('/').next().unwrap_or(url))
    }

    fn named(&self, name: &str) -> Result<&Kept, ServiceError> {
        self.queues.get(name).ok_or_else(|| {
            error(
                "QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue",
                "The specified queue does not exist.".into(),
            )
        })
    }

    fn list_queues(&self, request: ListRequest) -> Result<Value, ServiceError> {
        let prefix = request.queue_name_prefix.unwrap_or_default();
        let most = match request.max_results {
            None => MOST_LISTED,
            Some(most @ 1..=1000) => usize::try_from(most).unwrap_or(MOST_LISTED),
            Some(most) => {
                return Err(invalid(format!(
                    "Value {most} for parameter MaxResults is invalid. Reason: Must be between 1 and 1000, if provided."
                )));
            }
        };
        let after = request.next_token.unwrap_or_default();
        let mut listed = self
            .all()
            .map(|kept| &kept.queue)
            .filter(|queue| queue.name.starts_with(&prefix) && (after.is_empty() || queue.name > after));
        let page: Vec<_> = listed.by_ref().take(most).collect();
        let urls: Vec<_> = page.iter().map(|queue| &queue.url).collect();
        let mut answer = json!({});
        if !urls.is_empty() {
            answer["QueueUrls"] = json!(urls);
        }
        // As on AWS, a page has a token only where pages were asked for.
        if request.max_results.is_some() && listed.next().is_some() {
            answer["NextToken"] = json!(page.last().map(|queue| &queue.name));
        }
        Ok(answer)
    }

    /// A queue that is there already may be created again as it is, which is how some clients ask for its URL.
    fn create_queue(&self, request: &Value) -> Result<Value, ServiceError> {
        let name = text_of(request, "QueueName")?.ok_or_else(|| missing("QueueName"))?;
        let is_plain = request.get("Attributes").and_then(Value::as_object).is_none_or(Map::is_empty);
        match self.named(name) {
            Ok(kept) if is_plain => Ok(json!({ "QueueUrl": kept.queue.url })),
            _ => Err(error(
                "UnsupportedOperation",
                "AWS.SimpleQueueService.UnsupportedOperation",
                format!("Queues are made from the template here, and {name} is not created by a request."),
            )),
        }
    }

    fn send_message(&self, kept: &Kept, entry: SendEntry, now_ms: i64) -> Result<Value, ServiceError> {
        let outgoing = outgoing(entry)?;
        let body_md5 = md5_hex(outgoing.body.as_bytes());
        let attributes_md5 = digest::attributes_md5_hex(&outgoing.attributes);
        let sent = self.send(kept, outgoing, now_ms)?;
        let mut answer = json!({ "MessageId": sent.message_id, "MD5OfMessageBody": body_md5 });
        if let Some(number) = sent.sequence_number {
            answer["SequenceNumber"] = number.into();
        }
        if let Some(sum) = attributes_md5 {
            answer["MD5OfMessageAttributes"] = sum.into();
        }
        Ok(answer)
    }

    fn send_batch(&self, kept: &Kept, batch: Batch<SendEntry>, now_ms: i64) -> Result<Value, ServiceError> {
        check_batch(batch.entries.iter().map(|entry| entry.id.as_deref()))?;
        let bytes: usize = batch
            .entries
            .iter()
            .map(|entry| {
                entry.message_body.as_ref().map_or(0, String::len) + digest::attributes_len(&entry.message_attributes)
            })
            .sum();
        let limit = usize::try_from(kept.queue.maximum_message_bytes).unwrap_or(usize::MAX);
        if bytes > limit {
            return Err(error(
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
                format!("Batch requests cannot be longer than {limit} bytes. You have sent {bytes} bytes."),
            ));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in batch.entries {
            let id = entry.id.clone().unwrap_or_default();
            match self.send_message(kept, entry, now_ms) {
                Ok(mut sent) => {
                    sent["Id"] = id.into();
                    successful.push(sent);
                }
                Err(refusal) => failed.push(failed_entry(&id, &refusal)),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    async fn receive_message(&self, kept: &Kept, request: ReceiveRequest) -> Result<Value, ServiceError> {
        let most = counted("MaxNumberOfMessages", request.max_number_of_messages)?.unwrap_or(1);
        if !(1..=10).contains(&most) {
            return Err(invalid(format!(
                "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
            )));
        }
        let wait = counted("WaitTimeSeconds", request.wait_time_seconds)?.unwrap_or(kept.queue.receive_wait_seconds);
        if wait > LONGEST_WAIT_SECONDS {
            return Err(invalid(format!(
                "Value {wait} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
            )));
        }
        let visibility =
            counted("VisibilityTimeout", request.visibility_timeout)?.unwrap_or(kept.queue.visibility_seconds);
        check_visibility(visibility)?;
        let deadline = Instant::now() + Duration::from_secs(u64::from(wait));
        let mut listener = kept.signal.listen();
        let messages = loop {
            listener.about_to_look();
            let now_ms = self.clock.now_ms();
            let messages = self.receive(kept, most, visibility, Receiver::Client, now_ms)?;
            if !messages.is_empty() || Instant::now() >= deadline {
                break messages;
            }
            let look_again = match self.next_visible_at(kept, now_ms)? {
                Some(at) => deadline.min(Instant::now() + Duration::from_millis(at.abs_diff(now_ms))),
                None => deadline,
            };
            tokio::select! {
                biased;
                () = listener.raised() => {}
                () = tokio::time::sleep_until(look_again) => {}
            }
        };
        if messages.is_empty() {
            return Ok(json!({}));
        }
        let rendered: Vec<_> = messages.iter().map(|message| rendered(message, &request)).collect();
        Ok(json!({ "Messages": rendered }))
    }

    fn change_visibility_of(&self, kept: &Kept, entry: &ReceiptEntry, now_ms: i64) -> Result<(), ServiceError> {
        let seconds = counted("VisibilityTimeout", entry.visibility_timeout)?;
        let seconds = seconds.ok_or_else(|| missing("VisibilityTimeout"))?;
        check_visibility(seconds)?;
        self.change_visibility(kept, receipt(entry)?, seconds, now_ms)
    }

    fn queue_attributes(&self, kept: &Kept, request: &Value, now_ms: i64) -> Result<Value, ServiceError> {
        let wanted: Vec<String> =
            request.get("AttributeNames").map_or_else(|| Ok(Vec::new()), |names| parse(names.clone()))?;
        if let Some(unknown) = wanted.iter().find(|name| !QUEUE_ATTRIBUTES.contains(&name.as_str())) {
            return Err(error("InvalidAttributeName", "InvalidAttributeName", format!("Unknown Attribute {unknown}.")));
        }
        let depth = self.depth(kept, now_ms)?;
        let queue = &kept.queue;
        let mut attributes = BTreeMap::from([
            ("ApproximateNumberOfMessages", depth.visible.to_string()),
            ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
            ("DelaySeconds", queue.delay_seconds.to_string()),
            ("MaximumMessageSize", queue.maximum_message_bytes.to_string()),
            ("MessageRetentionPeriod", queue.retention_seconds.to_string()),
            ("QueueArn", queue.arn.clone()),
            ("ReceiveMessageWaitTimeSeconds", queue.receive_wait_seconds.to_string()),
            ("VisibilityTimeout", queue.visibility_seconds.to_string()),
        ]);
        if queue.fifo {
            let scope = if queue.deduplicates_per_group { "messageGroup" } else { "queue" };
            attributes.insert("FifoQueue", "true".into());
            attributes.insert("ContentBasedDeduplication", queue.content_based_deduplication.to_string());
            attributes.insert("DeduplicationScope", scope.into());
        }
        if let Some(redrive) = &queue.redrive {
            let policy = json!({
                "deadLetterTargetArn": redrive.dead_letter_arn,
                "maxReceiveCount": redrive.max_receive_count,
            });
            attributes.insert("RedrivePolicy", policy.to_string());
        }
        attributes.retain(|name, _| wanted.iter().any(|wanted| wanted == "All" || wanted == name));
        Ok(if attributes.is_empty() { json!({}) } else { json!({ "Attributes": attributes }) })
    }
}

fn parse<T: serde::de::DeserializeOwned>(request: Value) -> Result<T, ServiceError> {
    serde_json::from_value(request).map_err(|error| ServiceError::unreadable(&error))
}

/// A field that is text if it is there.
fn text_of<'a>(request: &'a Value, field: &str) -> Result<Option<&'a str>, ServiceError> {
    match request.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => parse::<String>(other.clone()).map(|_| None),
    }
}

fn outgoing(entry: SendEntry) -> Result<Outgoing, ServiceError> {
    if entry.message_attributes.len() > 10 {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [10].",
            entry.message_attributes.len()
        )));
    }
    for (name, attribute) in &entry.message_attributes {
        check_attribute(name, attribute)?;
    }
    let trace_header =
        entry.message_system_attributes.get("AWSTraceHeader").and_then(|header| header.get("StringValue"));
    Ok(Outgoing {
        body: entry.message_body.ok_or_else(|| missing("MessageBody"))?,
        delay_seconds: counted("DelaySeconds", entry.delay_seconds)?,
        trace_header: trace_header.and_then(Value::as_str).map(ToOwned::to_owned),
        attributes: entry.message_attributes,
        group: entry.message_group_id,
        deduplication: entry.message_deduplication_id,
    })
}

fn check_attribute(name: &str, attribute: &Value) -> Result<(), ServiceError> {
    let kind = attribute.get("DataType").and_then(Value::as_str).unwrap_or_default();
    let field = match kind.split('.').next().unwrap_or_default() {
        "String" | "Number" => "StringValue",
        "Binary" => "BinaryValue",
        _ => {
            return Err(invalid(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String."
            )));
        }
    };
    match attribute.get(field).and_then(Value::as_str) {
        Some(value) if !value.is_empty() => Ok(()),
        _ => {
            Err(invalid(format!("Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.")))
        }
    }
}

fn rendered(message: &Message, request: &ReceiveRequest) -> Value {
    let wanted: BTreeSet<&str> =
        request.attribute_names.iter().chain(&request.message_system_attribute_names).map(String::as_str).collect();
    let mut system = message.system_attributes(SENDER);
    system.retain(|name, _| wanted.contains("All") || wanted.contains(name));
    let attributes: Map<String, Value> = message
        .attributes
        .iter()
        .filter(|(name, _)| request.message_attribute_names.iter().any(|wanted| names(wanted, name)))
        .map(|(name, attribute)| (name.clone(), attribute.clone()))
        .collect();
    let mut answer = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": md5_hex(message.body.as_bytes()),
        "Body": message.body,
    });
    if !system.is_empty() {
        answer["Attributes"] = json!(system);
    }
    if let Some(sum) = digest::attributes_md5_hex(&attributes) {
        answer["MD5OfMessageAttributes"] = sum.into();
        answer["MessageAttributes"] = Value::Object(attributes);
    }
    answer
}

/// `All`, `.*`, a name, or the beginning of one as `prefix.*`.
fn names(wanted: &str, name: &str) -> bool {
    match wanted {
        "All" | ".*" => true,
        _ => wanted.strip_suffix(".*").map_or(wanted == name, |prefix| name.starts_with(prefix)),
    }
}

fn receipt(entry: &ReceiptEntry) -> Result<&str, ServiceError> {
    entry.receipt_handle.as_deref().ok_or_else(|| missing("ReceiptHandle"))
}

fn counted(name: &str, value: Option<i64>) -> Result<Option<u32>, ServiceError> {
    let Some(value) = value else { return Ok(None) };
    let counted = u32::try_from(value).map_err(|_| {
        invalid(format!("Value {value} for parameter {name} is invalid. Reason: Must be >= 0, if provided."))
    })?;
    Ok(Some(counted))
}

fn check_visibility(seconds: u32) -> Result<(), ServiceError> {
    if seconds > LONGEST_VISIBILITY_SECONDS {
        return Err(invalid(format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
        )));
    }
    Ok(())
}

fn each_entry(
    batch: Batch<ReceiptEntry>,
    run: impl Fn(&ReceiptEntry) -> Result<(), ServiceError>,
) -> Result<Value, ServiceError> {
    check_batch(batch.entries.iter().map(|entry| entry.id.as_deref()))?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in &batch.entries {
        let id = entry.id.clone().unwrap_or_default();
        match run(entry) {
            Ok(()) => successful.push(json!({ "Id": id })),
            Err(refusal) => failed.push(failed_entry(&id, &refusal)),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}

fn failed_entry(id: &str, refusal: &ServiceError) -> Value {
    let code = refusal.query_code.unwrap_or("InternalError");
    json!({ "Id": id, "Code": code, "Message": refusal.message, "SenderFault": refusal.status < 500 })
}

fn check_batch<'a>(ids: impl Iterator<Item = Option<&'a str>>) -> Result<(), ServiceError> {
    let ids: Vec<_> = ids.collect();
    if ids.is_empty() {
        return Err(error(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.".into(),
        ));
    }
    if ids.len() > 10 {
        return Err(error(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are 10. You have sent {}.", ids.len()),
        ));
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let id = id.filter(|id| is_entry_id(id)).ok_or_else(|| {
            error(
                "InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.".into(),
            )
        })?;
        if !seen.insert(id) {
            return Err(error(
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                format!("Id {id} repeated."),
            ));
        }
    }
    Ok(())
}

fn is_entry_id(id: &str) -> bool {
    (1..=80).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
