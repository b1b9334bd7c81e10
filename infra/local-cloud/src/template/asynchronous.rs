//! How a function is invoked asynchronously: `EventInvokeConfig` and `DeadLetterQueue`.

use super::{Result, TemplateError, fields::Fields, functions, names, resolve::Scope};
use crate::stack::{Asynchronous, Destination};

const QUEUE: &str = "AWS::SQS::Queue";

/// `None` where the function says nothing of it.
pub(super) fn read(scope: &Scope<'_>, function: &Fields<'_>) -> Result<Option<Asynchronous>> {
    let (config, queue) = (function.object("EventInvokeConfig")?, function.object("DeadLetterQueue")?);
    if config.is_none() && queue.is_none() {
        return Ok(None);
    }
    let mut settings = Asynchronous::default();
    if let Some(config) = config {
        config.only(&["MaximumEventAgeInSeconds", "MaximumRetryAttempts", "DestinationConfig"], &[])?;
        if let Some(retries) = config.number("MaximumRetryAttempts", 0, 2)? {
            settings.maximum_retries = retries;
        }
        if let Some(seconds) = config.number("MaximumEventAgeInSeconds", 60, 21_600)? {
            settings.maximum_event_age_seconds = seconds;
        }
        if let Some(destinations) = config.object("DestinationConfig")? {
            destinations.only(&["OnSuccess", "OnFailure"], &[])?;
            settings.on_success = destination(scope, &destinations, "OnSuccess")?;
            settings.on_failure = destination(scope, &destinations, "OnFailure")?;
        }
    }
    if let Some(queue) = queue {
        queue.only(&["Type", "TargetArn"], &[])?;
        refuse_topic(&queue)?;
        queue.word("Type", &["SQS"])?;
        let arn = queue.required_text("TargetArn")?;
        settings.dead_letters = Some(standard_queue(scope, &queue, "TargetArn", arn)?);
    }
    Ok(Some(settings))
}

fn destination(scope: &Scope<'_>, destinations: &Fields<'_>, key: &str) -> Result<Option<Destination>> {
    let Some(fields) = destinations.object(key)? else { return Ok(None) };
    fields.only(&["Type", "Destination"], &[])?;
    refuse_topic(&fields)?;
    fields.word("Type", &["SQS", "Lambda", "EventBridge", "S3"])?;
    let arn = fields.required_text("Destination")?;
    if let Some(function) = scope.find(functions::TYPE, "Arn", &arn)? {
        return Ok(Some(Destination::Function(function.id.clone())));
    }
    let is_default_bus = arn == names::arn(scope.settings, "events", &format!("event-bus/{}", names::DEFAULT_BUS));
    if is_default_bus || scope.find("AWS::Events::EventBus", "Arn", &arn)?.is_some() {
        return Ok(Some(Destination::Bus(arn)));
    }
    if scope.find("AWS::S3::Bucket", "Arn", &arn)?.is_some() {
        return if key == "OnFailure" {
            Ok(Some(Destination::Bucket(arn)))
        } else {
            Err(fields.invalid("Destination", "a bucket takes failures only"))
        };
    }
    standard_queue(scope, &fields, "Destination", arn).map(|arn| Some(Destination::Queue(arn)))
}

fn standard_queue(scope: &Scope<'_>, fields: &Fields<'_>, key: &str, arn: String) -> Result<String> {
    match scope.find(QUEUE, "Arn", &arn)? {
        None => {
            Err(TemplateError::not_there(fields.at(key), format!("nothing of this stack that takes it is `{arn}`")))
        }
        Some(queue) if scope.is_fifo(queue)? => {
            Err(fields.invalid(key, "a FIFO queue cannot take asynchronous invocations"))
        }
        Some(_) => Ok(arn),
    }
}

/// There are no topics here.
pub(super) fn refuse_topic(fields: &Fields<'_>) -> Result<()> {
    match fields.text("Type")?.as_deref() {
        Some("SNS") => Err(fields.not_understood("Type", "`SNS`", "take a queue or a bucket")),
        _ => Ok(()),
    }
}
