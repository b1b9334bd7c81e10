//! What buses, rules and targets there are, as clients ask for it. Schedules are rules of the default bus.

use serde_json::{Map, Value, json};

use super::{DEFAULT_BUS, EventBridge, invalid};
use crate::stack::{Stack, Target, Timing};
use crate::wire::ServiceError;

const MOST_LISTED: usize = 100;

/// A rule with a pattern or a schedule, as it is shown.
pub(super) struct Shown {
    name: String,
    bus: String,
    fields: Map<String, Value>,
    targets: Vec<Value>,
}

impl Shown {
    pub(super) fn all_of(stack: &Stack) -> Vec<Self> {
        let arn_of = |id: &str| stack.function(id).map(|function| function.arn.clone()).unwrap_or_default();
        let of_rules = stack.rules.iter().map(|rule| {
            let targets = rule.targets.iter().zip(1..).map(|(target, number)| {
                let mut shown = match target {
                    Target::Function(id) => json!({ "Arn": arn_of(id) }),
                    Target::Queue { arn, message_group: None, .. } => json!({ "Arn": arn }),
                    Target::Queue { arn, message_group: Some(group), .. } => {
                        json!({ "Arn": arn, "SqsParameters": { "MessageGroupId": group } })
                    }
                };
                if matches!(target, Target::Queue { detail_only: true, .. }) {
                    shown["InputPath"] = "$.detail".into();
                }
                shown["Id"] = format!("Target{number}").into();
                shown
            });
            let what = ("EventPattern", rule.pattern.to_string());
            Self::new(&rule.name, &rule.arn, &rule.bus, rule.enabled, what, targets.collect())
        });
        let of_schedules = stack.schedules.iter().map(|schedule| {
            let mut target = json!({ "Id": "Target1", "Arn": arn_of(&schedule.function) });
            if let Some(input) = &schedule.input {
                target["Input"] = input.to_string().into();
            }
            let what = ("ScheduleExpression", expression(&schedule.timing));
            Self::new(&schedule.name, &schedule.arn, DEFAULT_BUS, schedule.enabled, what, vec![target])
        });
        let mut all: Vec<_> = of_rules.chain(of_schedules).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn new(
        name: &str,
        arn: &str,
        bus: &str,
        is_enabled: bool,
        (kind, what): (&str, String),
        targets: Vec<Value>,
    ) -> Self {
        let state = if is_enabled { "ENABLED" } else { "DISABLED" };
        let fields = json!({ "Name": name, "Arn": arn, "EventBusName": bus, "State": state, kind: what });
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self { name: name.to_owned(), bus: bus.to_owned(), fields, targets }
    }
}

fn expression(timing: &Timing) -> String {
    match timing {
        Timing::EverySeconds(seconds) => rate(*seconds),
        Timing::Cron(cron) => cron.to_string(),
    }
}

fn rate(seconds: u64) -> String {
    let (count, unit) = match seconds {
        seconds if seconds % 86_400 == 0 => (seconds / 86_400, "day"),
        seconds if seconds % 3_600 == 0 => (seconds / 3_600, "hour"),
        seconds => (seconds / 60, "minute"),
    };
    format!("rate({count} {unit}{})", if count == 1 { "" } else { "s" })
}

impl EventBridge {
    pub(super) fn list_event_buses(&self, request: &Value) -> Result<Value, ServiceError> {
        let prefix = optional(request, "NamePrefix")?.unwrap_or_default();
        let mut buses: Vec<_> = self.buses.iter().filter(|name| name.starts_with(prefix)).collect();
        buses.sort();
        let (page, next) = page(&buses, request, |name| name.as_str())?;
        let page: Vec<_> = page.iter().map(|name| json!({ "Name": name, "Arn": self.bus_arn(name) })).collect();
        Ok(with_next(json!({ "EventBuses": page }), next))
    }

    pub(super) fn describe_event_bus(&self, request: &Value) -> Result<Value, ServiceError> {
        let name = self.bus_in(request, "Name")?;
        Ok(json!({ "Name": name, "Arn": self.bus_arn(&name) }))
    }

    pub(super) fn list_rules(&self, request: &Value) -> Result<Value, ServiceError> {
        let bus = self.bus_in(request, "EventBusName")?;
        let prefix = optional(request, "NamePrefix")?.unwrap_or_default();
        let rules: Vec<_> = self.shown.iter().filter(|rule| rule.bus == bus && rule.name.starts_with(prefix)).collect();
        let (page, next) = page(&rules, request, |rule| rule.name.as_str())?;
        let page: Vec<_> = page.iter().map(|rule| &rule.fields).collect();
        Ok(with_next(json!({ "Rules": page }), next))
    }

    pub(super) fn describe_rule(&self, request: &Value) -> Result<Value, ServiceError> {
        Ok(Value::Object(self.rule_in(request, "Name")?.fields.clone()))
    }

    pub(super) fn list_targets_by_rule(&self, request: &Value) -> Result<Value, ServiceError> {
        let rule = self.rule_in(request, "Rule")?;
        let targets: Vec<_> = rule.targets.iter().collect();
        let (page, next) = page(&targets, request, |target| target["Id"].as_str().unwrap_or_default())?;
        Ok(with_next(json!({ "Targets": page }), next))
    }

    fn rule_in(&self, request: &Value, field: &str) -> Result<&Shown, ServiceError> {
        let bus = self.bus_in(request, "EventBusName")?;
        let name = optional(request, field)?.filter(|name| !name.is_empty()).ok_or_else(|| {
            let field = field.to_lowercase();
            invalid(format!(
                "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must not be null"
            ))
        })?;
        self.shown
            .iter()
            .find(|rule| rule.bus == bus && rule.name == name)
            .ok_or_else(|| absent(format!("Rule {name} does not exist on EventBus {bus}.")))
    }

    /// A bus by its name or ARN; the default one where none is named.
    fn bus_in(&self, request: &Value, field: &str) -> Result<String, ServiceError> {
        let named = optional(request, field)?.unwrap_or(DEFAULT_BUS);
        let name = named.rsplit_once("event-bus/").map_or(named, |(_, name)| name);
        if self.buses.iter().any(|known| known == name) {
            return Ok(name.to_owned());
        }
        Err(absent(format!("Event bus {name} does not exist.")))
    }

    fn bus_arn(&self, name: &str) -> String {
        format!("arn:aws:events:{}:{}:event-bus/{name}", self.region, self.account)
    }
}

fn absent(message: String) -> ServiceError {
    ServiceError {
        status: 400,
        kind: "com.amazonaws.eventbridge#ResourceNotFoundException".into(),
        query_code: None,
        message,
    }
}

fn optional<'a>(request: &'a Value, field: &str) -> Result<Option<&'a str>, ServiceError> {
    <Option<&str> as serde::Deserialize>::deserialize(request.get(field).unwrap_or(&Value::Null))
        .map_err(|error| ServiceError::unreadable(&error))
}

/// Up to `Limit` of what comes after `NextToken`, which is the name of the last one seen.
fn page<'a, T>(
    all: &'a [&'a T],
    request: &Value,
    name: impl Fn(&T) -> &str,
) -> Result<(&'a [&'a T], Option<String>), ServiceError> {
    let limit = match request.get("Limit").unwrap_or(&Value::Null) {
        Value::Null => MOST_LISTED,
        limit => match limit.as_u64().and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit @ 1..=MOST_LISTED) => limit,
            _ => {
                return Err(invalid(format!(
                    "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value between 1 and {MOST_LISTED}"
                )));
            }
        },
    };
    let after = optional(request, "NextToken")?.unwrap_or_default();
    let start = all.partition_point(|entry| !after.is_empty() && name(entry) <= after);
    let end = all.len().min(start + limit);
    let next = (end < all.len()).then(|| name(all[end - 1]).to_owned());
    Ok((&all[start..end], next))
}

fn with_next(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    answer
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_rate_is_said_in_the_largest_unit_that_fits() {
        for (seconds, expected) in
            [(60, "rate(1 minute)"), (300, "rate(5 minutes)"), (3_600, "rate(1 hour)"), (172_800, "rate(2 days)")]
        {
            assert_eq!(super::rate(seconds), expected);
        }
    }
}
