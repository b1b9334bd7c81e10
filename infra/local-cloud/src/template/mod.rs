//! A SAM template, as it is deployed, made into a [`Stack`]: YAML, then parameters and references, then SAM's
//! shorthand, then each resource in the words of its service.
//!
//! What a template says is either understood, or known to make no difference inside one process, or refused with its
//! path: nothing that would change how the system behaves is passed over in silence. It does not check rights
//! (`Policies` are read for their references only) and does not build anything.

mod api;
mod asynchronous;
mod checks;
mod events;
mod fields;
mod functions;
mod names;
mod parameters;
mod resolve;
mod resources;
mod sam;
mod tables;
mod yaml;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use self::names::{partition, url_suffix};
use self::{fields::Fields, resolve::Scope, sam::Resource};
use crate::stack::Stack;

/// What a template is deployed with: everything that it does not say itself.
#[derive(Clone, Debug)]
pub struct Settings {
    pub region: String,
    pub account: String,
    pub stack_name: String,
    /// Values for the template's parameters; the others take their defaults.
    pub parameters: BTreeMap<String, String>,
}

impl Settings {
    /// A stack of this name in `eu-central-1`, in an account of zeros, with default parameters.
    pub fn new(stack_name: impl Into<String>) -> Self {
        Self {
            region: "eu-central-1".to_owned(),
            account: "000000000000".to_owned(),
            stack_name: stack_name.into(),
            parameters: BTreeMap::new(),
        }
    }
}

/// Why a template is not deployed. Every path is as in `Resources.Worker.Properties.Events.Messages`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the template is not readable: {message}")]
    Yaml { message: String },
    #[error("{path}: {what} is not understood here; {advice}")]
    NotUnderstood { path: String, what: String, advice: String },
    #[error("{path}: {what}")]
    NotThere { path: String, what: String },
    #[error("{path}: {message}")]
    Invalid { path: String, message: String },
}

impl TemplateError {
    fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), message: message.into() }
    }

    fn not_understood(path: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::NotUnderstood { path: path.into(), what: what.into(), advice: advice.into() }
    }

    fn not_there(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self::NotThere { path: path.into(), what: what.into() }
    }
}

type Result<T> = std::result::Result<T, TemplateError>;

impl Stack {
    /// Reads a template as it would be deployed with these settings.
    pub fn from_template(yaml: &str, settings: &Settings) -> Result<Stack> {
        let document = yaml::read(yaml)?;
        let sections = Value::Object(document.sections);
        let sections = Fields::of(&sections, "")?;
        sections.only(
            &["Parameters", "Conditions", "Mappings", "Globals", "Outputs"],
            &["AWSTemplateFormatVersion", "Transform", "Description", "Metadata"],
        )?;
        let declared = sam::declare(&sections, document.resources)?;
        let parameters = parameters::resolve(sections.object("Parameters")?, &settings.parameters)?;
        let scope = Scope::new(settings, parameters, &sections, &declared)?;

        let mut stack =
            Stack { region: settings.region.clone(), account: settings.account.clone(), ..Stack::default() };
        let mut resolved = Vec::new();
        for resource in scope.created() {
            let properties = scope.object(&resource.properties, &resource.properties_path())?;
            resolved.push((resource, properties));
        }
        if let Some(outputs) = sections.object("Outputs")? {
            scope.outputs(&outputs)?;
        }
        // Functions come last: their events lean on queues, streams and authorizers.
        let is_function = |resource: &Resource| resource.kind == functions::TYPE;
        for (resource, properties) in resolved.iter().filter(|(resource, _)| !is_function(resource)) {
            resources::add(&mut stack, &scope, resource, properties)?;
        }
        for (resource, properties) in resolved.iter().filter(|(resource, _)| is_function(resource)) {
            functions::add(&mut stack, &scope, resource, properties)?;
        }
        for (resource, properties) in resolved.iter().filter(|(resource, _)| resource.kind == api::TYPE) {
            api::hold_together(&stack, resource, properties)?;
        }
        checks::hold_together(&stack, &scope, &resolved)?;
        Ok(stack)
    }
}
