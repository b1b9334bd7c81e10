//! The `Events` of a function: event-source mappings, schedules, rules and routes.
//!
//! Limits that AWS checks when it makes a mapping are checked here, where the path of the event is known.

use serde_json::Value;

use super::{
    Result, TemplateError, api, asynchronous,
    fields::Fields,
    names::{self, DEFAULT_BUS},
    resolve::Scope,
};
use crate::stack::{Cron, QueueMapping, Rule, Schedule, Stack, StreamMapping, Target, Timing};

/// The function whose events are read.
pub(super) struct Owner {
    pub(super) logical_id: String,
    pub(super) timeout_seconds: u32,
}

pub(super) fn add(stack: &mut Stack, scope: &Scope<'_>, owner: &Owner, name: &str, event: &Fields<'_>) -> Result<()> {
    event.only(&["Type", "Properties"], &[])?;
    let kind = event.required_text("Type")?;
    let empty = Value::Object(serde_json::Map::new());
    let fields = Fields::of(event.get("Properties").unwrap_or(&empty), event.at("Properties"))?;
    // SAM names a rule or schedule after the function and the event.
    let default_name = format!("{}-{}{name}", scope.settings.stack_name, owner.logical_id);
    match kind.as_str() {
        "HttpApi" => api::add_route(stack, scope, &owner.logical_id, &fields),
        "SQS" => {
            let mapping = queue_mapping(stack, owner, &fields)?;
            stack.queue_mappings.push(mapping);
            Ok(())
        }
        "DynamoDB" => {
            let mapping = stream_mapping(stack, scope, owner, &fields)?;
            stack.stream_mappings.push(mapping);
            Ok(())
        }
        "Schedule" => {
            fields.only(&["Schedule", "Input", "Enabled", "State", "Name"], &["Description"])?;
            let name = fields.text("Name")?.unwrap_or(default_name);
            stack.schedules.push(Schedule {
                arn: names::rule_arn(scope.settings, DEFAULT_BUS, &name),
                name,
                function: owner.logical_id.clone(),
                timing: timing(&fields, "Schedule")?,
                input: fields.json("Input")?,
                enabled: enabled(&fields)?,
            });
            Ok(())
        }
        "ScheduleV2" => {
            let schedule = scheduler(scope, owner, &fields, default_name)?;
            stack.schedules.push(schedule);
            Ok(())
        }
        "EventBridgeRule" | "CloudWatchEvent" => {
            fields.only(&["Pattern", "EventBusName", "RuleName", "State", "Enabled"], &["Target"])?;
            let name = fields.text("RuleName")?.unwrap_or(default_name);
            let bus = bus(scope, &fields)?;
            stack.rules.push(Rule {
                arn: names::rule_arn(scope.settings, &bus, &name),
                name,
                bus,
                pattern: pattern(&fields, "Pattern")?,
                targets: vec![Target::Function(owner.logical_id.clone())],
                enabled: enabled(&fields)?,
            });
            Ok(())
        }
        other => {
            let advice = "understood are `HttpApi`, `SQS`, `DynamoDB`, `Schedule`, `ScheduleV2`, `EventBridgeRule`";
            Err(event.not_understood("Type", format!("`{other}`"), advice))
        }
    }
}

fn queue_mapping(stack: &Stack, owner: &Owner, fields: &Fields<'_>) -> Result<QueueMapping> {
    fields.only(
        &[
            "Queue",
            "BatchSize",
            "MaximumBatchingWindowInSeconds",
            "FunctionResponseTypes",
            "ScalingConfig",
            "FilterCriteria",
            "Enabled",
        ],
        &["KmsKeyArn", "MetricsConfig", "Tags"],
    )?;
    let queue_arn = fields.required_text("Queue")?;
    let Some(queue) = stack.queue_by_arn(&queue_arn) else {
        return Err(TemplateError::not_there(fields.at("Queue"), format!("no queue of this stack is `{queue_arn}`")));
    };
    let needed = owner.timeout_seconds.saturating_mul(6);
    if queue.visibility_seconds < needed {
        let message = format!(
            "`{}` has a VisibilityTimeout of {} seconds, but a function that runs for up to {} needs six times that, {needed}",
            queue.name, queue.visibility_seconds, owner.timeout_seconds
        );
        return Err(fields.invalid("Queue", message));
    }
    let batch_size = fields.number("BatchSize", 1, 10_000)?.unwrap_or(10);
    let window_seconds = fields.number("MaximumBatchingWindowInSeconds", 0, 300)?.unwrap_or(0);
    if queue.fifo && batch_size > 10 {
        return Err(fields.invalid("BatchSize", format!("{batch_size} is more than 10, the most of a FIFO queue")));
    }
    if queue.fifo && window_seconds > 0 {
        return Err(fields.invalid("MaximumBatchingWindowInSeconds", "a FIFO queue has no batching window"));
    }
    if batch_size > 10 && window_seconds == 0 {
        return Err(fields.invalid("BatchSize", "more than 10 needs a MaximumBatchingWindowInSeconds of at least 1"));
    }
    let max_concurrency = match fields.object("ScalingConfig")? {
        Some(scaling) => {
            scaling.only(&["MaximumConcurrency"], &[])?;
            scaling.number("MaximumConcurrency", 2, 1_000)?
        }
        None => None,
    };
    Ok(QueueMapping {
        function: owner.logical_id.clone(),
        queue_arn,
        batch_size,
        window_seconds,
        reports_item_failures: reports_item_failures(fields)?,
        max_concurrency,
        filters: filters(fields)?,
        enabled: fields.flag("Enabled")?.unwrap_or(true),
    })
}

fn stream_mapping(stack: &Stack, scope: &Scope<'_>, owner: &Owner, fields: &Fields<'_>) -> Result<StreamMapping> {
    fields.only(
        &[
            "Stream",
            "StartingPosition",
            "BatchSize",
            "MaximumBatchingWindowInSeconds",
            "BisectBatchOnFunctionError",
            "MaximumRetryAttempts",
            "MaximumRecordAgeInSeconds",
            "ParallelizationFactor",
            "FunctionResponseTypes",
            "FilterCriteria",
            "DestinationConfig",
            "Enabled",
        ],
        &["KmsKeyArn", "MetricsConfig", "Tags"],
    )?;
    let stream_arn = fields.required_text("Stream")?;
    if !stack.tables.iter().any(|table| table.stream_arn.as_ref() == Some(&stream_arn)) {
        let what = format!("no table of this stack has the stream `{stream_arn}`");
        return Err(TemplateError::not_there(fields.at("Stream"), what));
    }
    let start = fields.word("StartingPosition", &["TRIM_HORIZON", "LATEST"])?;
    let start = start.ok_or_else(|| fields.invalid("StartingPosition", "is required"))?;
    Ok(StreamMapping {
        function: owner.logical_id.clone(),
        stream_arn,
        batch_size: fields.number("BatchSize", 1, 10_000)?.unwrap_or(100),
        window_seconds: fields.number("MaximumBatchingWindowInSeconds", 0, 300)?.unwrap_or(0),
        reports_item_failures: reports_item_failures(fields)?,
        bisects_on_error: fields.flag("BisectBatchOnFunctionError")?.unwrap_or(false),
        maximum_retries: fields.number_or_unlimited("MaximumRetryAttempts", 0, 10_000)?,
        maximum_record_age_seconds: fields.number_or_unlimited("MaximumRecordAgeInSeconds", 60, 604_800)?,
        parallelization_factor: fields.number("ParallelizationFactor", 1, 10)?.unwrap_or(1),
        starts_at_trim_horizon: start == "TRIM_HORIZON",
        on_failure: on_failure(scope, fields)?,
        filters: filters(fields)?,
        enabled: fields.flag("Enabled")?.unwrap_or(true),
    })
}

fn on_failure(scope: &Scope<'_>, fields: &Fields<'_>) -> Result<Option<String>> {
    let Some(config) = fields.object("DestinationConfig")? else { return Ok(None) };
    config.only(&["OnFailure"], &[])?;
    let Some(on_failure) = config.object("OnFailure")? else { return Ok(None) };
    // SAM derives rights from the type; where the destination is, its ARN says.
    on_failure.only(&["Destination", "Type"], &[])?;
    asynchronous::refuse_topic(&on_failure)?;
    on_failure.word("Type", &["SQS", "S3"])?;
    let arn = on_failure.required_text("Destination")?;
    for kind in ["AWS::S3::Bucket", "AWS::SQS::Queue"] {
        if let Some(found) = scope.find(kind, "Arn", &arn)? {
            if kind == "AWS::SQS::Queue" && scope.is_fifo(found)? {
                return Err(on_failure.invalid("Destination", "a FIFO queue cannot take a stream's failures"));
            }
            return Ok(Some(arn));
        }
    }
    let what = format!("no bucket or queue of this stack is `{arn}`");
    Err(TemplateError::not_there(on_failure.at("Destination"), what))
}

fn scheduler(scope: &Scope<'_>, owner: &Owner, fields: &Fields<'_>, default_name: String) -> Result<Schedule> {
    fields.only(
        &[
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "FlexibleTimeWindow",
            "Input",
            "State",
            "Name",
            "GroupName",
        ],
        &["Description", "KmsKeyArn", "OmitName", "PermissionsBoundary", "RoleArn"],
    )?;
    if let Some(zone) = fields.text("ScheduleExpressionTimezone")?.filter(|zone| zone != "UTC") {
        return Err(fields.not_understood("ScheduleExpressionTimezone", format!("`{zone}`"), "only `UTC` is"));
    }
    if let Some(window) = fields.object("FlexibleTimeWindow")? {
        window.only(&["Mode"], &[])?;
        window.word("Mode", &["OFF"])?;
    }
    let name = fields.text("Name")?.unwrap_or(default_name);
    let group = fields.text("GroupName")?.unwrap_or_else(|| "default".to_owned());
    Ok(Schedule {
        arn: names::arn(scope.settings, "scheduler", &format!("schedule/{group}/{name}")),
        name,
        function: owner.logical_id.clone(),
        timing: timing(fields, "ScheduleExpression")?,
        input: fields.json("Input")?,
        enabled: enabled(fields)?,
    })
}

/// `State`, or the `Enabled` that SAM takes for it.
pub(super) fn enabled(fields: &Fields<'_>) -> Result<bool> {
    match (fields.word("State", &["ENABLED", "DISABLED"])?, fields.flag("Enabled")?) {
        (Some(_), Some(_)) => Err(fields.invalid("Enabled", "stands beside `State`; take one of them")),
        (Some(state), None) => Ok(state == "ENABLED"),
        (None, flag) => Ok(flag.unwrap_or(true)),
    }
}

pub(super) fn bus(scope: &Scope<'_>, fields: &Fields<'_>) -> Result<String> {
    let Some(given) = fields.text("EventBusName")? else { return Ok(DEFAULT_BUS.to_owned()) };
    let name = names::bus_name(&given);
    if name != DEFAULT_BUS && scope.find("AWS::Events::EventBus", "Name", name)?.is_none() {
        let what = format!("no event bus of this stack is `{name}`");
        return Err(TemplateError::not_there(fields.at("EventBusName"), what));
    }
    Ok(name.to_owned())
}

pub(super) fn pattern(fields: &Fields<'_>, key: &str) -> Result<Value> {
    match fields.json(key)? {
        Some(pattern @ Value::Object(_)) => Ok(pattern),
        Some(_) => Err(fields.invalid(key, "wants an event pattern, a map")),
        None => Err(fields.invalid(key, "is required")),
    }
}

pub(super) fn timing(fields: &Fields<'_>, key: &str) -> Result<Timing> {
    let expression = fields.required_text(key)?;
    if expression.starts_with("cron(") {
        let cron = Cron::read(&expression).map_err(|why| fields.invalid(key, format!("`{expression}`: {why}")))?;
        return Ok(Timing::Cron(cron));
    }
    rate_seconds(fields, key, &expression).map(Timing::EverySeconds)
}

fn rate_seconds(fields: &Fields<'_>, key: &str, expression: &str) -> Result<u64> {
    let Some(rate) = expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')) else {
        return Err(fields.not_understood(key, format!("`{expression}`"), "`rate(…)` and `cron(…)` are"));
    };
    let unusable = || fields.invalid(key, format!("`{expression}` is not a rate such as `rate(5 minutes)`"));
    let (count, unit) = rate.trim().split_once(' ').ok_or_else(unusable)?;
    let count: u64 = count.parse().ok().filter(|count| *count > 0).ok_or_else(unusable)?;
    let seconds = match (unit.trim(), count) {
        ("minute", 1) | ("minutes", 2..) => 60,
        ("hour", 1) | ("hours", 2..) => 3_600,
        ("day", 1) | ("days", 2..) => 86_400,
        _ => return Err(unusable()),
    };
    count.checked_mul(seconds).ok_or_else(unusable)
}

fn reports_item_failures(fields: &Fields<'_>) -> Result<bool> {
    let types = fields.texts("FunctionResponseTypes")?;
    match types.iter().find(|kind| *kind != "ReportBatchItemFailures") {
        Some(other) => {
            Err(fields.invalid("FunctionResponseTypes", format!("`{other}` is not `ReportBatchItemFailures`")))
        }
        None => Ok(!types.is_empty()),
    }
}

fn filters(fields: &Fields<'_>) -> Result<Vec<Value>> {
    let Some(criteria) = fields.object("FilterCriteria")? else { return Ok(Vec::new()) };
    criteria.only(&["Filters"], &[])?;
    let filters = criteria.objects("Filters")?;
    if filters.len() > 10 {
        return Err(criteria.invalid("Filters", "more than ten filters"));
    }
    filters
        .iter()
        .map(|filter| {
            filter.only(&["Pattern"], &[])?;
            pattern(filter, "Pattern")
        })
        .collect()
}
