//! The values of a template's parameters: what the deployment says, or the default, if the rules that the template
//! declares for them allow it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Result, TemplateError,
    fields::{Fields, listed},
};

const TYPES: &[&str] = &["String", "Number", "CommaDelimitedList", "List<String>", "List<Number>"];

pub(super) fn resolve(
    declared: Option<Fields<'_>>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for (name, declaration) in declared.iter().flat_map(Fields::entries) {
        let rules = Fields::of(declaration, format!("Parameters.{name}"))?;
        values.insert(name.clone(), one(&rules, given.get(name))?);
    }
    match given.keys().find(|name| !values.contains_key(*name)) {
        None => Ok(values),
        Some(unknown) => {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            let what = format!("the template has no such parameter; it has {}", listed(&known));
            Err(TemplateError::not_there(format!("Parameters.{unknown}"), what))
        }
    }
}

fn one(rules: &Fields<'_>, given: Option<&String>) -> Result<Value> {
    rules.only(
        &["Type", "Default", "AllowedValues", "AllowedPattern", "MinLength", "MaxLength", "MinValue", "MaxValue"],
        &["Description", "ConstraintDescription", "NoEcho"],
    )?;
    let kind = rules.required_text("Type")?;
    if !TYPES.contains(&kind.as_str()) {
        let advice = format!("take one of {}", listed(TYPES));
        return Err(rules.not_understood("Type", format!("`{kind}`"), &advice));
    }
    let text = match given {
        Some(given) => given.clone(),
        None => rules
            .text("Default")?
            .ok_or_else(|| TemplateError::invalid(rules.path(), "has no default, so it must be given a value"))?,
    };
    if !kind.contains("List") {
        obeys(rules, &kind, &text)?;
        return Ok(Value::String(text));
    }
    let items: Vec<&str> = if text.is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() };
    let each = if kind == "List<Number>" { "Number" } else { "String" };
    items.iter().try_for_each(|item| obeys(rules, each, item))?;
    Ok(Value::from(items))
}

fn obeys(rules: &Fields<'_>, kind: &str, value: &str) -> Result<()> {
    let refused = |why: String| Err(TemplateError::invalid(rules.path(), format!("`{value}` {why}")));
    let allowed = rules.texts("AllowedValues")?;
    if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed == value) {
        let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
        return refused(format!("is none of the allowed values {}", listed(&allowed)));
    }
    if let Some(pattern) = rules.text("AllowedPattern")? {
        let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| rules.invalid("AllowedPattern", format!("is not a pattern: {error}")))?;
        if !whole.is_match(value) {
            return refused(format!("does not match `{pattern}`"));
        }
    }
    let length = u32::try_from(value.chars().count()).unwrap_or(u32::MAX);
    match (rules.number("MinLength", 0, u32::MAX)?, rules.number("MaxLength", 0, u32::MAX)?) {
        (Some(least), _) if length < least => return refused(format!("is shorter than {least}")),
        (_, Some(most)) if length > most => return refused(format!("is longer than {most}")),
        _ => {}
    }
    if kind == "Number" {
        let Some(number) = finite(value) else { return refused("is not a number".to_owned()) };
        if bound(rules, "MinValue")?.is_some_and(|least| number < least) {
            return refused("is less than its `MinValue`".to_owned());
        }
        if bound(rules, "MaxValue")?.is_some_and(|most| number > most) {
            return refused("is more than its `MaxValue`".to_owned());
        }
    }
    Ok(())
}

fn bound(rules: &Fields<'_>, key: &str) -> Result<Option<f64>> {
    let Some(text) = rules.text(key)? else { return Ok(None) };
    finite(&text).map(Some).ok_or_else(|| rules.invalid(key, format!("`{text}` is not a number")))
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
