//! `AWS::Serverless::Function`: what Lambda runs. Its events are in `events`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Result, asynchronous,
    events::{self, Owner},
    fields::Fields,
    names,
    resolve::Scope,
    sam::Resource,
};
use crate::stack::{Function, Stack};

pub(super) const TYPE: &str = "AWS::Serverless::Function";

const UNDERSTOOD: &[&str] = &[
    "FunctionName",
    "Handler",
    "Runtime",
    "PackageType",
    "Timeout",
    "MemorySize",
    "ReservedConcurrentExecutions",
    "Environment",
    "Events",
    "EventInvokeConfig",
    "DeadLetterQueue",
];

/// How a function is built, watched, allowed and rolled out: none of it changes what it does with an event here.
const WITHOUT_EFFECT: &[&str] = &[
    "Architectures",
    "AssumeRolePolicyDocument",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "AutoPublishCodeSha256",
    "CodeSigningConfigArn",
    "CodeUri",
    "DeploymentPreference",
    "Description",
    "EphemeralStorage",
    "KmsKeyArn",
    "LoggingConfig",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "RecursiveLoop",
    "Role",
    "RolePath",
    "RuntimeManagementConfig",
    "SnapStart",
    "SourceKMSKeyArn",
    "Tags",
    "Tracing",
    "VersionDescription",
    "VpcConfig",
];

pub(super) fn add(stack: &mut Stack, scope: &Scope<'_>, resource: &Resource, properties: &Value) -> Result<()> {
    let fields = Fields::of(properties, resource.properties_path())?;
    fields.only(UNDERSTOOD, WITHOUT_EFFECT)?;
    fields.word("PackageType", &["Zip"])?;
    let runtime = fields.required_text("Runtime")?;
    if !runtime.starts_with("provided.") {
        let advice = "functions are handed in as handlers; take `provided.al2023`";
        return Err(fields.not_understood("Runtime", format!("`{runtime}`"), advice));
    }
    let name = names::physical_name(scope, resource)?;
    let function = Function {
        logical_id: resource.id.clone(),
        arn: names::function_arn(scope.settings, &name),
        name,
        handler: fields.required_text("Handler")?,
        timeout_seconds: fields.number("Timeout", 1, 900)?.unwrap_or(3),
        memory_mib: fields.number("MemorySize", 128, 10_240)?.unwrap_or(128),
        reserved_concurrency: fields.number("ReservedConcurrentExecutions", 0, 1_000_000)?,
        environment: environment(&fields)?,
    };
    let owner = Owner { logical_id: function.logical_id.clone(), timeout_seconds: function.timeout_seconds };
    stack.functions.push(function);
    if let Some(settings) = asynchronous::read(scope, &fields)? {
        stack.asynchronous.insert(resource.id.clone(), settings);
    }
    if let Some(all) = fields.object("Events")? {
        for (name, event) in all.entries() {
            events::add(stack, scope, &owner, name, &Fields::of(event, all.at(name))?)?;
        }
    }
    Ok(())
}

fn environment(function: &Fields<'_>) -> Result<BTreeMap<String, String>> {
    let Some(environment) = function.object("Environment")? else { return Ok(BTreeMap::new()) };
    environment.only(&["Variables"], &[])?;
    let Some(variables) = environment.object("Variables")? else { return Ok(BTreeMap::new()) };
    let each = variables.entries().map(|(name, _)| Ok((name.clone(), variables.text(name)?.unwrap_or_default())));
    each.collect()
}
