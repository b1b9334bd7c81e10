//! Resolves what a template leaves open: references, intrinsic functions, conditions and mappings.
//!
//! Parameters are decided before (`parameters`), names and ARNs of resources are asked of `names`. A reference to
//! something that is not there is an error that names it. Nothing of a macro, an import from another stack or another
//! AWS call is understood.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value};

use super::{
    Result, Settings, TemplateError,
    fields::{Fields, join, kind, scalar},
    names::{self, Identity},
    sam::Resource,
};

pub(super) struct Scope<'a> {
    pub(super) settings: &'a Settings,
    parameters: BTreeMap<String, Value>,
    mappings: Value,
    conditions: BTreeMap<String, Value>,
    resources: &'a [Resource],
    absent: BTreeSet<String>,
    /// The conditions and names that are being worked out, to find one that needs itself.
    pending: RefCell<Vec<String>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        parameters: BTreeMap<String, Value>,
        sections: &Fields<'_>,
        resources: &'a [Resource],
    ) -> Result<Self> {
        let conditions = sections.object("Conditions")?;
        let conditions =
            conditions.iter().flat_map(Fields::entries).map(|(name, rule)| (name.clone(), rule.clone())).collect();
        let mappings = sections.get("Mappings").cloned().unwrap_or_default();
        let pending = RefCell::default();
        let mut scope =
            Self { settings, parameters, mappings, conditions, resources, absent: BTreeSet::new(), pending };
        for name in scope.conditions.keys() {
            scope.condition(name, &format!("Conditions.{name}"))?;
        }
        let mut absent = BTreeSet::new();
        for resource in resources {
            if let Some(condition) = &resource.condition
                && !scope.condition(condition, &join(&resource.path(), "Condition"))?
            {
                absent.insert(resource.id.clone());
            }
        }
        scope.absent = absent;
        Ok(scope)
    }

    /// The resources that exist under these conditions, in the template's order.
    pub(super) fn created(&self) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(|resource| !self.absent.contains(&resource.id))
    }

    pub(super) fn outputs(&self, outputs: &Fields<'_>) -> Result<()> {
        for (name, output) in outputs.entries() {
            let output = Fields::of(output, outputs.at(name))?;
            let exists = match output.text("Condition")? {
                Some(condition) => self.condition(&condition, &output.at("Condition"))?,
                None => true,
            };
            if exists {
                let value = output.get("Value").ok_or_else(|| output.invalid("Value", "is required"))?;
                self.resolve(value, &output.at("Value"))?;
            }
        }
        Ok(())
    }

    /// A resource's properties, resolved.
    pub(super) fn object(&self, value: &Value, path: &str) -> Result<Value> {
        match self.resolve(value, path)? {
            None | Some(Value::Null) => Ok(Value::Object(Map::new())),
            Some(object @ Value::Object(_)) => Ok(object),
            Some(other) => Err(TemplateError::invalid(path, format!("wants a map, not {}", kind(&other)))),
        }
    }

    /// `None` is `AWS::NoValue`: as if it had not been written.
    pub(super) fn resolve(&self, value: &Value, path: &str) -> Result<Option<Value>> {
        match value {
            Value::Object(map) => match intrinsic(map, path)? {
                Some((function, argument)) => self.call(function, argument, path),
                None => {
                    let mut resolved = Map::new();
                    for (key, value) in map {
                        if let Some(value) = self.resolve(value, &join(path, key))? {
                            resolved.insert(key.clone(), value);
                        }
                    }
                    Ok(Some(Value::Object(resolved)))
                }
            },
            Value::Array(items) => {
                let mut resolved = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    resolved.extend(self.resolve(item, &format!("{path}[{index}]"))?);
                }
                Ok(Some(Value::Array(resolved)))
            }
            plain => Ok(Some(plain.clone())),
        }
    }

    fn call(&self, function: &str, argument: &Value, path: &str) -> Result<Option<Value>> {
        let value = match function {
            "Ref" => return self.reference(&plain_name(argument, "Ref", path)?, path),
            "Fn::If" => {
                let [condition, then, otherwise] = self.parts(argument, function, path)?;
                let name = plain_name(condition, function, path)?;
                return self.resolve(if self.condition(&name, path)? { then } else { otherwise }, path);
            }
            "Fn::GetAtt" => self.attribute_of(argument, path)?,
            "Fn::Sub" => Value::String(self.substitute(argument, path)?),
            "Fn::Join" => {
                let [separator, items] = self.parts(argument, function, path)?;
                Value::String(self.texts(items, function, path)?.join(&self.text(separator, function, path)?))
            }
            "Fn::Split" => {
                let [separator, text] = self.parts(argument, function, path)?;
                let (separator, text) = (self.text(separator, function, path)?, self.text(text, function, path)?);
                if separator.is_empty() {
                    return Err(TemplateError::invalid(path, "Fn::Split wants a separator"));
                }
                Value::from(text.split(&separator).collect::<Vec<_>>())
            }
            "Fn::Select" => {
                let [index, items] = self.parts(argument, function, path)?;
                let index = self.text(index, function, path)?;
                let items = self.items(items, function, path)?;
                let chosen = index.parse().ok().and_then(|index: usize| items.into_iter().nth(index));
                chosen.ok_or_else(|| TemplateError::not_there(path, format!("Fn::Select finds nothing at {index}")))?
            }
            "Fn::FindInMap" => {
                let [map, first, second] = self.parts(argument, function, path)?;
                let mut found = Some(&self.mappings);
                let mut keys = Vec::new();
                for key in [map, first, second] {
                    let key = self.text(key, function, path)?;
                    found = found.and_then(|map| map.get(&key));
                    keys.push(key);
                }
                let missing = || TemplateError::not_there(path, format!("Mappings has no {}", keys.join(".")));
                found.cloned().ok_or_else(missing)?
            }
            "Fn::Base64" => {
                use base64::{Engine, engine::general_purpose::STANDARD};
                Value::String(STANDARD.encode(self.text(argument, function, path)?))
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" => {
                let advice = "conditions stand in the section `Conditions`";
                return Err(TemplateError::not_understood(path, format!("`{function}` as a value"), advice));
            }
            other => {
                let advice = "it needs more than this template; write out what it comes to, or make it a parameter";
                return Err(TemplateError::not_understood(path, format!("the intrinsic `{other}`"), advice));
            }
        };
        Ok(Some(value))
    }

    fn reference(&self, name: &str, path: &str) -> Result<Option<Value>> {
        let Settings { region, account, stack_name, .. } = self.settings;
        let pseudo = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => region.clone(),
            "AWS::AccountId" => account.clone(),
            "AWS::StackName" => stack_name.clone(),
            "AWS::Partition" => names::partition(region).to_owned(),
            "AWS::URLSuffix" => names::url_suffix(region).to_owned(),
            "AWS::StackId" => {
                format!(
                    "{}/00000000-0000-0000-0000-000000000000",
                    names::arn(self.settings, "cloudformation", &format!("stack/{stack_name}"))
                )
            }
            _ => match self.parameters.get(name) {
                Some(value) => return Ok(Some(value.clone())),
                None => self.identity(name, path)?.reference,
            },
        };
        Ok(Some(Value::String(pseudo)))
    }

    fn attribute_of(&self, argument: &Value, path: &str) -> Result<Value> {
        let parts = match argument {
            Value::Array(parts) => parts.iter().map(scalar).collect::<Option<Vec<_>>>().unwrap_or_default(),
            Value::String(dotted) => dotted.splitn(2, '.').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        match parts.as_slice() {
            [resource, attribute, rest @ ..] => {
                let attribute = rest.iter().fold(attribute.clone(), |dotted, part| format!("{dotted}.{part}"));
                self.attribute(resource, &attribute, path).map(Value::String)
            }
            _ => Err(TemplateError::invalid(path, "Fn::GetAtt wants a resource and an attribute")),
        }
    }

    fn attribute(&self, resource: &str, attribute: &str, path: &str) -> Result<String> {
        let identity = self.identity(resource, path)?;
        let found = identity.attributes.iter().find(|(name, _)| *name == attribute);
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let known: Vec<&str> = identity.attributes.iter().map(|(name, _)| *name).collect();
            let what = format!("`{resource}` has no attribute `{attribute}`; it has {}", super::fields::listed(&known));
            TemplateError::not_there(path, what)
        })
    }

    fn identity(&self, id: &str, path: &str) -> Result<Identity> {
        let Some(resource) = self.resources.iter().find(|resource| resource.id == id) else {
            let what = format!("`{id}` is neither a parameter nor a resource of this template");
            return Err(TemplateError::not_there(path, what));
        };
        if self.absent.contains(id) {
            return Err(TemplateError::not_there(path, format!("`{id}` is not created, its condition is false")));
        }
        self.once(&format!("the name of `{id}`"), path, || names::identity(self, resource))
    }

    /// The resource of this type whose `Ref` or attribute is `value`.
    pub(super) fn find(&self, kind: &str, attribute: &str, value: &str) -> Result<Option<&'a Resource>> {
        for resource in self.created().filter(|resource| resource.kind == kind) {
            let identity = self.identity(&resource.id, &resource.path())?;
            let own = identity.attributes.iter().find(|(name, _)| *name == attribute).map(|(_, value)| value);
            if own.unwrap_or(&identity.reference) == value {
                return Ok(Some(resource));
            }
        }
        Ok(None)
    }

    pub(super) fn is_fifo(&self, queue: &Resource) -> Result<bool> {
        let Some(flag) = queue.properties.get("FifoQueue") else { return Ok(false) };
        let flag = self.resolve(flag, &join(&queue.properties_path(), "FifoQueue"))?;
        Ok(flag.as_ref().and_then(scalar).is_some_and(|flag| flag == "true"))
    }

    fn substitute(&self, argument: &Value, path: &str) -> Result<String> {
        let (text, own) = match argument {
            Value::String(text) => (text, Map::new()),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), Value::Object(own)] => (text, own.clone()),
                _ => return Err(TemplateError::invalid(path, "Fn::Sub wants a text and a map")),
            },
            _ => return Err(TemplateError::invalid(path, "Fn::Sub wants a text, or a text and a map")),
        };
        let mut result = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                return Err(TemplateError::invalid(path, format!("`${{` in `{text}` is not closed")));
            };
            rest = behind;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
            } else if let Some(own) = own.get(name) {
                result.push_str(&self.text(own, "Fn::Sub", path)?);
            } else if let Some((resource, attribute)) = name.split_once('.') {
                result.push_str(&self.attribute(resource, attribute, path)?);
            } else {
                let value = self.reference(name, path)?.as_ref().and_then(scalar);
                let not_text = || TemplateError::invalid(path, format!("`{name}` in Fn::Sub is not a text"));
                result.push_str(&value.ok_or_else(not_text)?);
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    pub(super) fn condition(&self, name: &str, path: &str) -> Result<bool> {
        let Some(rule) = self.conditions.get(name) else {
            return Err(TemplateError::not_there(path, format!("there is no condition `{name}`")));
        };
        self.once(&format!("the condition `{name}`"), path, || self.holds(rule, &format!("Conditions.{name}")))
    }

    fn holds(&self, rule: &Value, path: &str) -> Result<bool> {
        let Some((function, argument)) = rule.as_object().map(|map| intrinsic(map, path)).transpose()?.flatten() else {
            return Err(TemplateError::invalid(path, format!("wants a condition, not {}", kind(rule))));
        };
        let each = || -> Result<Vec<bool>> {
            match argument {
                Value::Array(rules) => rules.iter().map(|rule| self.holds(rule, path)).collect(),
                other => Err(TemplateError::invalid(path, format!("{function} wants a list, not {}", kind(other)))),
            }
        };
        match function {
            "Condition" => self.condition(&plain_name(argument, function, path)?, path),
            "Fn::Equals" => {
                let [left, right] = self.parts(argument, function, path)?;
                Ok(self.text(left, function, path)? == self.text(right, function, path)?)
            }
            "Fn::And" => Ok(each()?.into_iter().all(|holds| holds)),
            "Fn::Or" => Ok(each()?.into_iter().any(|holds| holds)),
            "Fn::Not" => match each()?.as_slice() {
                [holds] => Ok(!holds),
                _ => Err(TemplateError::invalid(path, "Fn::Not wants a list of one condition")),
            },
            other => Err(TemplateError::invalid(path, format!("`{other}` is not a condition"))),
        }
    }

    /// Works something out that must not need itself.
    fn once<T>(&self, what: &str, path: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.pending.borrow().iter().any(|pending| pending == what) {
            return Err(TemplateError::invalid(path, format!("{what} depends on itself")));
        }
        self.pending.borrow_mut().push(what.to_owned());
        let result = work();
        self.pending.borrow_mut().pop();
        result
    }

    fn parts<'v, const N: usize>(&self, argument: &'v Value, function: &str, path: &str) -> Result<&'v [Value; N]> {
        let parts = argument.as_array().and_then(|parts| parts.as_slice().try_into().ok());
        parts.ok_or_else(|| TemplateError::invalid(path, format!("{function} wants a list of {N}")))
    }

    fn text(&self, value: &Value, function: &str, path: &str) -> Result<String> {
        let text = self.resolve(value, path)?.as_ref().and_then(scalar);
        text.ok_or_else(|| TemplateError::invalid(path, format!("{function} wants a text here")))
    }

    fn items(&self, value: &Value, function: &str, path: &str) -> Result<Vec<Value>> {
        match self.resolve(value, path)? {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(TemplateError::invalid(path, format!("{function} wants a list here"))),
        }
    }

    fn texts(&self, value: &Value, function: &str, path: &str) -> Result<Vec<String>> {
        let texts = self.items(value, function, path)?.iter().map(scalar).collect::<Option<_>>();
        texts.ok_or_else(|| TemplateError::invalid(path, format!("{function} wants a list of texts")))
    }
}

/// An object of one key that is an intrinsic's. Among other keys it is a mistake.
fn intrinsic<'v>(map: &'v Map<String, Value>, path: &str) -> Result<Option<(&'v str, &'v Value)>> {
    let is_function = |key: &str| key == "Ref" || key.starts_with("Fn::");
    match map.iter().next() {
        Some((key, argument)) if map.len() == 1 && (is_function(key) || key == "Condition" && argument.is_string()) => {
            Ok(Some((key, argument)))
        }
        _ => match map.keys().find(|key| is_function(key)) {
            Some(key) => Err(TemplateError::invalid(path, format!("`{key}` stands beside other keys"))),
            None => Ok(None),
        },
    }
}

fn plain_name(argument: &Value, function: &str, path: &str) -> Result<String> {
    let name = argument.as_str().map(str::to_owned);
    name.ok_or_else(|| TemplateError::invalid(path, format!("{function} wants a name, not {}", kind(argument))))
}
