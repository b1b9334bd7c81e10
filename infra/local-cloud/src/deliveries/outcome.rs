//! What becomes of an event when its function is done with it: a record for a destination, or the event itself for a
//! dead-letter queue.
//!
//! A record that cannot be sent is reported and dropped, as on AWS.

use serde_json::{Map, Value, json};

use super::Owed;
use crate::cloud::Core;
use crate::dates;
use crate::function::FunctionError;
use crate::sqs::Outgoing;
use crate::stack::{Asynchronous, Destination, Function, Target};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
    ZeroReservedConcurrency,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
        }
    }
}

/// An event at its end.
pub(super) struct Ended<'a> {
    pub(super) owed: &'a Owed,
    pub(super) event: &'a Value,
    pub(super) condition: Condition,
    /// How often the function ran.
    pub(super) invoked: u32,
    /// What it answered, or how it failed the last time; `None` if it never ran.
    pub(super) response: Option<Result<&'a Value, &'a FunctionError>>,
}

pub(super) fn tell(core: &Core, function: &Function, settings: &Asynchronous, ended: &Ended<'_>) {
    let has_failed = ended.condition != Condition::Success;
    let destination = if has_failed { &settings.on_failure } else { &settings.on_success };
    if let Some(destination) = destination
        && let Err(reason) = send(core, function, destination, ended)
    {
        tracing::error!(function = %function.logical_id, ?destination, %reason, "an invocation's record cannot be sent");
    }
    if has_failed
        && let Some(arn) = &settings.dead_letters
        && let Err(reason) = bury(core, arn, ended)
    {
        tracing::error!(function = %function.logical_id, queue = %arn, %reason, "an event cannot be sent to its dead-letter queue");
    }
    if has_failed {
        let condition = ended.condition.name();
        tracing::error!(function = %function.logical_id, condition, "an event was given up");
    }
}

fn send(core: &Core, function: &Function, destination: &Destination, ended: &Ended<'_>) -> Result<(), String> {
    let now_ms = core.clock.now_ms();
    let record = record(function, ended, now_ms);
    match destination {
        Destination::Queue(arn) => {
            let kept = core.sqs.by_arn(arn).ok_or_else(|| format!("there is no queue {arn}"))?;
            let outgoing = Outgoing { body: record.to_string(), ..Outgoing::default() };
            core.sqs.send(kept, outgoing, now_ms).map(drop).map_err(|refusal| refusal.message)
        }
        Destination::Bucket(arn) => {
            let at = dates::failed_batch(now_ms);
            let key = format!("aws/lambda/async/{}/{at}-{}", function.name, core.random.uuid());
            core.s3.keep(arn, &key, record.to_string().as_bytes())
        }
        Destination::Function(logical_id) => owe(core, |transaction| {
            let target = Target::Function(logical_id.clone());
            core.deliveries.add(transaction, &function.name, &target, &record, now_ms)
        }),
        Destination::Bus(arn) => {
            let how = if ended.condition == Condition::Success { "Success" } else { "Failure" };
            let resources = json!([format!("{}:$LATEST", function.arn), arn]);
            let kind = format!("Lambda Function Invocation Result - {how}");
            let event = core.event_bridge.event("lambda", &kind, now_ms, resources, record);
            owe(core, |transaction| core.event_bridge.route(transaction, destination.bus_name(), &event, now_ms))
        }
    }
}

fn owe(core: &Core, write: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), String> {
    core.store.write::<_, rusqlite::Error>(write).map_err(|error| error.to_string())?;
    core.deliveries.added();
    Ok(())
}

fn record(function: &Function, ended: &Ended<'_>, now_ms: i64) -> Value {
    let mut record = json!({
        "version": "1.0",
        "timestamp": dates::iso_millis(now_ms),
        "requestContext": {
            "requestId": ended.owed.request_id,
            "functionArn": format!("{}:$LATEST", function.arn),
            "condition": ended.condition.name(),
            "approximateInvokeCount": ended.invoked,
        },
        "requestPayload": ended.event,
    });
    if let Some(response) = &ended.response {
        record["responseContext"] = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
        record["responsePayload"] = match response {
            Ok(answer) => (*answer).clone(),
            Err(error) => {
                record["responseContext"]["functionError"] = "Unhandled".into();
                json!({ "errorMessage": error.message, "errorType": error.kind })
            }
        };
    }
    record
}

/// The event as it is, with what is known of its end in three attributes.
fn bury(core: &Core, arn: &str, ended: &Ended<'_>) -> Result<(), String> {
    const LONGEST_MESSAGE: usize = 1024;
    let kept = core.sqs.by_arn(arn).ok_or_else(|| format!("there is no queue {arn}"))?;
    let (code, message) = match ended.response {
        Some(Err(error)) => ("200", error.message.as_str()),
        _ => ("429", "Rate Exceeded."),
    };
    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
    let attribute = |kind: &str, value: &str| json!({ "DataType": kind, "StringValue": value });
    let mut attributes = Map::new();
    attributes.insert("RequestID".into(), attribute("String", &ended.owed.request_id));
    attributes.insert("ErrorCode".into(), attribute("Number", code));
    if !message.is_empty() {
        attributes.insert("ErrorMessage".into(), attribute("String", &message));
    }
    let outgoing = Outgoing { body: ended.event.to_string(), attributes, ..Outgoing::default() };
    core.sqs.send(kept, outgoing, core.clock.now_ms()).map(drop).map_err(|refusal| refusal.message)
}
