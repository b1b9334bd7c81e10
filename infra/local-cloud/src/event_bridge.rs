//! The buses: events come in, rules pick them by their patterns, and each target is owed a delivery.
//!
//! Matching and owing are one transaction, so an event that was accepted reaches every target of every rule that
//! matched. What there is can be listed. Not here: archives, replays, input transformers, and buses or rules made by
//! request.

mod catalogue;

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use rusqlite::Transaction;
use serde_json::{Value, json};

use self::catalogue::Shown;
use crate::CloudError;
use crate::clock::Clock;
use crate::dates;
use crate::deliveries::Deliveries;
use crate::pattern::Pattern;
use crate::random::Random;
use crate::stack::{Rule, Stack};
use crate::store::Store;
use crate::wire::{JSON_1_1, ServiceError, response};

pub(crate) const TARGET_PREFIX: &str = "AWSEvents.";
pub(crate) const DEFAULT_BUS: &str = "default";

/// Told of each event that a bus accepts from a client, as a target would see it.
pub type EventObserver = Arc<dyn Fn(&Value) + Send + Sync>;

const MOST_ENTRIES: usize = 10;
const MOST_BYTES: usize = 256 * 1024;

pub(crate) struct EventBridge {
    buses: Vec<String>,
    rules: Vec<(Rule, Pattern)>,
    shown: Vec<Shown>,
    region: String,
    account: String,
    store: Arc<Store>,
    deliveries: Arc<Deliveries>,
    random: Arc<Random>,
    clock: Clock,
    pub(crate) observer: Option<EventObserver>,
}

impl EventBridge {
    pub(crate) fn new(
        stack: &Stack,
        store: Arc<Store>,
        deliveries: Arc<Deliveries>,
        random: Arc<Random>,
        clock: Clock,
    ) -> Result<Self, CloudError> {
        let rules: Result<Vec<_>, CloudError> = stack
            .rules
            .iter()
            .filter(|rule| rule.enabled)
            .map(|rule| {
                let place = format!("the pattern of rule {}", rule.name);
                let pattern = Pattern::read(&rule.pattern).map_err(|reason| CloudError::Pattern { place, reason })?;
                Ok((rule.clone(), pattern))
            })
            .collect();
        let mut buses = stack.buses.clone();
        buses.push(DEFAULT_BUS.into());
        Ok(Self {
            buses,
            rules: rules?,
            shown: Shown::all_of(stack),
            region: stack.region.clone(),
            account: stack.account.clone(),
            store,
            deliveries,
            random,
            clock,
            observer: None,
        })
    }

    /// Answers one request; `operation` is what follows `AWSEvents.` in its target.
    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let answered = match serde_json::from_slice::<Value>(body) {
            Ok(request) if request.is_object() => self.run(operation, &request),
            Ok(_) | Err(_) => Err(ServiceError::malformed("")),
        };
        match answered {
            Ok(answer) => response(200, JSON_1_1, answer.to_string().into_bytes()),
            Err(refusal) => refusal.response_as(JSON_1_1),
        }
    }

    fn run(&self, operation: &str, request: &Value) -> Result<Value, ServiceError> {
        match operation {
            "PutEvents" => self.put_events(request),
            "ListEventBuses" => self.list_event_buses(request),
            "DescribeEventBus" => self.describe_event_bus(request),
            "ListRules" => self.list_rules(request),
            "DescribeRule" => self.describe_rule(request),
            "ListTargetsByRule" => self.list_targets_by_rule(request),
            _ => Err(ServiceError::unknown_operation(operation)),
        }
    }

    fn put_events(&self, request: &Value) -> Result<Value, ServiceError> {
        let entries = entries_of(request)?;
        if entries.is_empty() || entries.len() > MOST_ENTRIES {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and {MOST_ENTRIES}"
            )));
        }
        if entries.iter().map(size).sum::<usize>() > MOST_BYTES {
            return Err(invalid("Total size of the entries in the request is over the limit.".into()));
        }
        let now_ms = self.clock.now_ms();
        let mut failed = 0;
        let mut accepted = Vec::new();
        let results = self.store.write::<_, ServiceError>(|transaction| {
            entries
                .iter()
                .map(|entry| match self.event_of(entry, now_ms) {
                    Ok((bus, event)) => {
                        self.route(transaction, &bus, &event, now_ms)?;
                        let id = event["id"].clone();
                        accepted.push(event);
                        Ok(json!({ "EventId": id }))
                    }
                    Err((code, message)) => {
                        failed += 1;
                        Ok(json!({ "ErrorCode": code, "ErrorMessage": message }))
                    }
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        self.deliveries.added();
        if let Some(observer) = &self.observer {
            accepted.iter().for_each(|event| observer(event));
        }
        Ok(json!({ "FailedEntryCount": failed, "Entries": results }))
    }

    /// The event that an entry stands for, with the name of its bus.
    fn event_of(&self, entry: &Value, now_ms: i64) -> Result<(String, Value), (&'static str, String)> {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let required = |field: &str| {
            text(field).filter(|text| !text.is_empty()).ok_or_else(|| {
                ("InvalidArgument", format!("Parameter {field} is not valid. Reason: {field} is a required argument."))
            })
        };
        let source = required("Source")?;
        let kind = required("DetailType")?;
        let detail: Value = serde_json::from_str(required("Detail")?)
            .map_err(|_| ("MalformedDetail", "Detail is malformed.".into()))?;
        if !detail.is_object() {
            return Err(("MalformedDetail", "Detail is malformed.".into()));
        }
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSourceException", format!("Not authorized for the source {source}.")));
        }
        let bus = text("EventBusName").unwrap_or(DEFAULT_BUS);
        let bus = bus.rsplit_once("event-bus/").map_or(bus, |(_, name)| name);
        if !self.buses.iter().any(|known| known == bus) {
            return Err(("ResourceNotFoundException", format!("Event bus {bus} does not exist.")));
        }
        let time_ms = entry.get("Time").and_then(Value::as_f64).map_or(now_ms, millis);
        let resources = entry.get("Resources").cloned().unwrap_or_else(|| json!([]));
        Ok((bus.into(), self.event(source, kind, time_ms, resources, detail)))
    }

    /// An event as a target sees it.
    pub(crate) fn event(&self, source: &str, kind: &str, time_ms: i64, resources: Value, detail: Value) -> Value {
        json!({
            "version": "0",
            "id": self.random.uuid(),
            "detail-type": kind,
            "source": source,
            "account": self.account,
            "time": dates::iso_seconds(time_ms),
            "region": self.region,
            "resources": resources,
            "detail": detail,
        })
    }

    /// Owes the event to the targets of every rule that matches, within the caller's transaction.
    pub(crate) fn route(
        &self,
        transaction: &Transaction<'_>,
        bus: &str,
        event: &Value,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        for (rule, _) in self.rules.iter().filter(|(rule, pattern)| rule.bus == bus && pattern.matches(event)) {
            for target in &rule.targets {
                self.deliveries.add(transaction, &rule.name, target, event, now_ms)?;
            }
        }
        Ok(())
    }
}

/// What every entry may have, as a parser reads it: so that a value of the wrong kind is named.
#[derive(serde::Deserialize)]
struct EntryShape {
    #[serde(rename = "Source")]
    _source: Option<String>,
    #[serde(rename = "DetailType")]
    _detail_type: Option<String>,
    #[serde(rename = "Detail")]
    _detail: Option<String>,
    #[serde(rename = "EventBusName")]
    _event_bus_name: Option<String>,
    #[serde(rename = "Time")]
    _time: Option<f64>,
    #[serde(rename = "Resources")]
    _resources: Option<Vec<String>>,
    #[serde(rename = "TraceHeader")]
    _trace_header: Option<String>,
}

fn entries_of(request: &Value) -> Result<&[Value], ServiceError> {
    let Some(entries) = request.get("Entries").filter(|entries| !entries.is_null()) else { return Ok(&[]) };
    let _: Vec<EntryShape> =
        serde::Deserialize::deserialize(entries).map_err(|error| ServiceError::unreadable(&error))?;
    Ok(entries.as_array().map(Vec::as_slice).unwrap_or_default())
}

fn invalid(message: String) -> ServiceError {
    ServiceError {
        status: 400,
        kind: "com.amazonaws.eventbridge#ValidationException".into(),
        query_code: None,
        message,
    }
}

/// As AWS counts an entry: fourteen bytes for a time, and the text of the rest.
fn size(entry: &Value) -> usize {
    let texts = ["Source", "DetailType", "Detail"].iter().filter_map(|field| entry.get(field)?.as_str());
    let resources = entry.get("Resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let time = if entry.get("Time").is_some() { 14 } else { 0 };
    time + texts.chain(resources.iter().filter_map(Value::as_str)).map(str::len).sum::<usize>()
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    reason = "the wire has the time in seconds as a float"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}
