//! The smaller resources: queues, buses, rules, buckets, and those that are known and do nothing here.

use serde_json::Value;

use super::{
    Result, TemplateError, api, events,
    fields::Fields,
    functions,
    names::{self, DEFAULT_BUS},
    resolve::Scope,
    sam::Resource,
    tables,
};
use crate::stack::{Bucket, Queue, Redrive, RedriveAllow, Rule, Schedule, Stack, Target};

pub(super) fn add(stack: &mut Stack, scope: &Scope<'_>, resource: &Resource, properties: &Value) -> Result<()> {
    let fields = Fields::of(properties, resource.properties_path())?;
    match resource.kind.as_str() {
        api::TYPE => api::add(stack, scope, resource, properties)?,
        "AWS::DynamoDB::Table" => tables::add(stack, scope, resource, properties)?,
        "AWS::SQS::Queue" => stack.queues.push(queue(scope, resource, &fields)?),
        "AWS::S3::Bucket" => stack.buckets.push(bucket(scope, resource, &fields)?),
        "AWS::Events::Rule" => rule(stack, scope, resource, &fields)?,
        "AWS::Events::EventBus" => {
            fields.only(&["Name"], &["Description", "KmsKeyIdentifier", "LogConfig", "Policy", "Tags"])?;
            stack.buses.push(names::physical_name(scope, resource)?);
        }
        // Alarms, logs, roles and permissions: watched and allowed is nothing here, whatever their properties say.
        _ => {}
    }
    Ok(())
}

fn queue(scope: &Scope<'_>, resource: &Resource, fields: &Fields<'_>) -> Result<Queue> {
    fields.only(
        &[
            "QueueName",
            "FifoQueue",
            "ContentBasedDeduplication",
            "DeduplicationScope",
            "FifoThroughputLimit",
            "VisibilityTimeout",
            "DelaySeconds",
            "MessageRetentionPeriod",
            "MaximumMessageSize",
            "ReceiveMessageWaitTimeSeconds",
            "RedrivePolicy",
            "RedriveAllowPolicy",
        ],
        &["KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "SqsManagedSseEnabled", "Tags"],
    )?;
    let name = names::physical_name(scope, resource)?;
    let fifo = fields.flag("FifoQueue")?.unwrap_or(false);
    if fifo != name.ends_with(".fifo") {
        let message = format!("`{name}`: a FIFO queue's name ends in `.fifo`, and no other's does");
        return Err(fields.invalid("QueueName", message));
    }
    let scope_of_deduplication = fields.word("DeduplicationScope", &["messageGroup", "queue"])?;
    let limit = fields.word("FifoThroughputLimit", &["perMessageGroupId", "perQueue"])?;
    let per_group = scope_of_deduplication.as_deref() == Some("messageGroup");
    for key in ["ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"] {
        if !fifo && fields.get(key).is_some() {
            return Err(fields.invalid(key, "is for FIFO queues only"));
        }
    }
    if limit.as_deref() == Some("perMessageGroupId") && !per_group {
        let message = "`perMessageGroupId` needs the DeduplicationScope `messageGroup`";
        return Err(fields.invalid("FifoThroughputLimit", message));
    }
    Ok(Queue {
        url: names::queue_url(scope.settings, &name),
        arn: names::queue_arn(scope.settings, &name),
        name,
        fifo,
        content_based_deduplication: fields.flag("ContentBasedDeduplication")?.unwrap_or(false),
        deduplicates_per_group: per_group,
        visibility_seconds: fields.number("VisibilityTimeout", 0, 43_200)?.unwrap_or(30),
        delay_seconds: fields.number("DelaySeconds", 0, 900)?.unwrap_or(0),
        retention_seconds: fields.number("MessageRetentionPeriod", 60, 1_209_600)?.unwrap_or(345_600),
        maximum_message_bytes: fields.number("MaximumMessageSize", 1_024, 1_048_576)?.unwrap_or(1_048_576),
        receive_wait_seconds: fields.number("ReceiveMessageWaitTimeSeconds", 0, 20)?.unwrap_or(0),
        redrive: redrive(fields)?,
        redrive_allow: redrive_allow(fields)?,
    })
}

fn redrive(fields: &Fields<'_>) -> Result<Option<Redrive>> {
    let Some(policy) = fields.json("RedrivePolicy")? else { return Ok(None) };
    let policy = Fields::of(&policy, fields.at("RedrivePolicy"))?;
    policy.only(&["deadLetterTargetArn", "maxReceiveCount"], &[])?;
    let count = policy.number("maxReceiveCount", 1, 1_000)?;
    Ok(Some(Redrive {
        dead_letter_arn: policy.required_text("deadLetterTargetArn")?,
        max_receive_count: count.ok_or_else(|| policy.invalid("maxReceiveCount", "is required"))?,
    }))
}

fn redrive_allow(fields: &Fields<'_>) -> Result<RedriveAllow> {
    const MOST_SOURCES: usize = 10;
    let Some(policy) = fields.json("RedriveAllowPolicy")? else { return Ok(RedriveAllow::All) };
    let policy = Fields::of(&policy, fields.at("RedriveAllowPolicy"))?;
    policy.only(&["redrivePermission", "sourceQueueArns"], &[])?;
    let permission = policy.word("redrivePermission", &["allowAll", "denyAll", "byQueue"])?;
    let sources = policy.texts("sourceQueueArns")?;
    let by_queue = permission.as_deref() == Some("byQueue");
    if by_queue == sources.is_empty() || sources.len() > MOST_SOURCES {
        let message = "goes with the permission `byQueue`, which names one to ten queues";
        return Err(policy.invalid("sourceQueueArns", message));
    }
    Ok(match permission.as_deref() {
        Some("denyAll") => RedriveAllow::None,
        Some("byQueue") => RedriveAllow::Queues(sources),
        _ => RedriveAllow::All,
    })
}

fn bucket(scope: &Scope<'_>, resource: &Resource, fields: &Fields<'_>) -> Result<Bucket> {
    fields.only(
        &["BucketName", "NotificationConfiguration"],
        &[
            "AccessControl",
            "BucketEncryption",
            "LifecycleConfiguration",
            "LoggingConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
            "VersioningConfiguration",
        ],
    )?;
    let name = names::physical_name(scope, resource)?;
    let mut tells_event_bridge = false;
    if let Some(notification) = fields.object("NotificationConfiguration")? {
        notification.only(&["EventBridgeConfiguration"], &[])?;
        if let Some(event_bridge) = notification.object("EventBridgeConfiguration")? {
            event_bridge.only(&["EventBridgeEnabled"], &[])?;
            tells_event_bridge = event_bridge.flag("EventBridgeEnabled")?.unwrap_or(true);
        }
    }
    Ok(Bucket { arn: names::bucket_arn(scope.settings, &name), name, tells_event_bridge })
}

fn rule(stack: &mut Stack, scope: &Scope<'_>, resource: &Resource, fields: &Fields<'_>) -> Result<()> {
    fields.only(
        &["Name", "EventPattern", "EventBusName", "ScheduleExpression", "State", "Targets"],
        &["Description", "RoleArn", "Tags"],
    )?;
    let name = names::physical_name(scope, resource)?;
    let bus = events::bus(scope, fields)?;
    let arn = names::rule_arn(scope.settings, &bus, &name);
    let enabled = events::enabled(fields)?;
    let targets = fields.objects("Targets")?;
    match (fields.get("EventPattern"), fields.get("ScheduleExpression")) {
        (Some(_), None) => {
            let targets = targets.iter().map(|one| target(scope, one)).collect::<Result<Vec<_>>>()?;
            let pattern = events::pattern(fields, "EventPattern")?;
            stack.rules.push(Rule { name, arn, bus, pattern, targets, enabled });
            Ok(())
        }
        (None, Some(_)) if bus != DEFAULT_BUS => {
            Err(fields.invalid("ScheduleExpression", "a schedule is on the default bus only"))
        }
        (None, Some(_)) => {
            let timing = events::timing(fields, "ScheduleExpression")?;
            for one in &targets {
                one.only(&["Arn", "Input"], &["Id"])?;
                let Some(function) = scope.find(functions::TYPE, "Arn", &one.required_text("Arn")?)? else {
                    let advice = "a schedule calls a function of this stack";
                    return Err(one.not_understood("Arn", "another target", advice));
                };
                stack.schedules.push(Schedule {
                    name: name.clone(),
                    arn: arn.clone(),
                    function: function.id.clone(),
                    timing: timing.clone(),
                    input: one.json("Input")?,
                    enabled,
                });
            }
            Ok(())
        }
        (Some(_), Some(_)) => {
            let advice = "make it two rules";
            Err(fields.not_understood("ScheduleExpression", "a schedule beside an event pattern", advice))
        }
        (None, None) => Err(fields.invalid("EventPattern", "is required")),
    }
}

fn target(scope: &Scope<'_>, fields: &Fields<'_>) -> Result<Target> {
    fields.only(&["Arn", "SqsParameters", "InputPath"], &["Id"])?;
    let arn = fields.required_text("Arn")?;
    let detail_only = match fields.text("InputPath")?.as_deref() {
        None | Some("$") => false,
        Some("$.detail") => true,
        Some(other) => {
            return Err(fields.not_understood("InputPath", format!("`{other}`"), "understood are `$` and `$.detail`"));
        }
    };
    if let Some(function) = scope.find(functions::TYPE, "Arn", &arn)? {
        if detail_only {
            return Err(fields.not_understood("InputPath", "`$.detail` to a function", "a queue takes it"));
        }
        return Ok(Target::Function(function.id.clone()));
    }
    let Some(queue) = scope.find("AWS::SQS::Queue", "Arn", &arn)? else {
        let what = format!("no function or queue of this stack is `{arn}`");
        return Err(TemplateError::not_there(fields.at("Arn"), what));
    };
    let message_group = match fields.object("SqsParameters")? {
        Some(parameters) => {
            parameters.only(&["MessageGroupId"], &[])?;
            parameters.text("MessageGroupId")?
        }
        None => None,
    };
    if scope.is_fifo(queue)? && message_group.is_none() {
        return Err(fields.invalid("SqsParameters", "a FIFO queue needs a `MessageGroupId`"));
    }
    Ok(Target::Queue { arn, message_group, detail_only })
}
