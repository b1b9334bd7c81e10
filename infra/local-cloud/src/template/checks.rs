//! What only the whole stack shows: dead-letter queues of the right kind, and names that are given once.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Result, TemplateError, fields::join, names, resolve::Scope, sam::Resource};
use crate::stack::Stack;

pub(super) fn hold_together(stack: &Stack, scope: &Scope<'_>, resources: &[(&Resource, Value)]) -> Result<()> {
    let mut names_given: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for (resource, _) in resources {
        let name = names::physical_name(scope, resource)?;
        if let Some(other) = names_given.insert((&resource.kind, name.clone()), &resource.id) {
            let message = format!("is named `{name}`, as `{other}` is already");
            return Err(TemplateError::invalid(resource.path(), message));
        }
        if resource.kind == "AWS::SQS::Queue" {
            dead_letters(stack, resource, &name)?;
        }
    }
    Ok(())
}

fn dead_letters(stack: &Stack, resource: &Resource, name: &str) -> Result<()> {
    let Some(queue) = stack.queues.iter().find(|queue| queue.name == name) else { return Ok(()) };
    let Some(redrive) = &queue.redrive else { return Ok(()) };
    let path = join(&resource.properties_path(), "RedrivePolicy.deadLetterTargetArn");
    match stack.queue_by_arn(&redrive.dead_letter_arn) {
        None => {
            let what = format!("no queue of this stack is `{}`", redrive.dead_letter_arn);
            Err(TemplateError::not_there(path, what))
        }
        Some(dead) if dead.name == queue.name => {
            Err(TemplateError::invalid(path, "a queue is not its own dead-letter queue"))
        }
        Some(dead) if dead.fifo != queue.fifo => {
            let message = format!("`{}` is of the other kind: both are FIFO queues, or none is", dead.name);
            Err(TemplateError::invalid(path, message))
        }
        Some(dead) if !dead.redrive_allow.allows(&queue.arn) => {
            let message = format!("the RedriveAllowPolicy of `{}` does not let this queue use it", dead.name);
            Err(TemplateError::invalid(path, message))
        }
        Some(_) => Ok(()),
    }
}
