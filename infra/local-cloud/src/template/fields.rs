//! A resolved object with its path: typed access whose every error says where it stands, and the check that nothing
//! in it was passed over.

use serde_json::{Map, Value};

use super::{Result, TemplateError};

pub(super) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            other => Err(TemplateError::invalid(path, format!("wants a map, not {}", kind(other)))),
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.iter()
    }

    /// Refuses every key that is neither understood nor known to make no difference in one process.
    pub(super) fn only(&self, understood: &[&str], without_effect: &[&str]) -> Result<()> {
        match self.map.keys().find(|key| !understood.contains(&key.as_str()) && !without_effect.contains(&key.as_str()))
        {
            None => Ok(()),
            Some(key) => Err(TemplateError::not_understood(
                self.at(key),
                format!("`{key}`"),
                format!("understood are {}; take it out, or teach the local cloud what it does", listed(understood)),
            )),
        }
    }

    pub(super) fn invalid(&self, key: &str, message: impl Into<String>) -> TemplateError {
        TemplateError::invalid(self.at(key), message)
    }

    pub(super) fn not_understood(&self, key: &str, what: impl Into<String>, advice: &str) -> TemplateError {
        TemplateError::not_understood(self.at(key), what, advice)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key)
            .map(|value| scalar(value).ok_or_else(|| self.invalid(key, format!("wants a text, not {}", kind(value)))))
            .transpose()
    }

    pub(super) fn required_text(&self, key: &str) -> Result<String> {
        match self.text(key)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.invalid(key, "is required")),
        }
    }

    /// One of a fixed choice of words.
    pub(super) fn word(&self, key: &str, choice: &[&str]) -> Result<Option<String>> {
        match self.text(key)? {
            Some(word) if !choice.contains(&word.as_str()) => {
                Err(self.invalid(key, format!("`{word}` is none of {}", listed(choice))))
            }
            word => Ok(word),
        }
    }

    pub(super) fn number(&self, key: &str, least: u32, most: u32) -> Result<Option<u32>> {
        match self.whole(key)? {
            None => Ok(None),
            Some(number) => match u32::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
                _ => Err(self.invalid(key, format!("{number} is not from {least} to {most}"))),
            },
        }
    }

    /// A number where -1 stands for no limit.
    pub(super) fn number_or_unlimited(&self, key: &str, least: u32, most: u32) -> Result<Option<u32>> {
        if self.whole(key)? == Some(-1) { Ok(None) } else { self.number(key, least, most) }
    }

    fn whole(&self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let whole = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        whole.map(Some).ok_or_else(|| self.invalid(key, format!("wants a whole number, not {}", kind(value))))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(other) => Err(self.invalid(key, format!("wants true or false, not {}", kind(other)))),
        }
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<Fields<'a>>> {
        self.get(key).map(|value| Fields::of(value, self.at(key))).transpose()
    }

    pub(super) fn list(&self, key: &str) -> Result<Vec<&'a Value>> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items.iter().collect()),
            Some(other) => Err(self.invalid(key, format!("wants a list, not {}", kind(other)))),
        }
    }

    pub(super) fn objects(&self, key: &str) -> Result<Vec<Fields<'a>>> {
        let at = self.at(key);
        self.list(key)?
            .into_iter()
            .enumerate()
            .map(|(index, item)| Fields::of(item, format!("{at}[{index}]")))
            .collect()
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        let texts = self.list(key)?.into_iter().map(scalar).collect::<Option<Vec<_>>>();
        texts.ok_or_else(|| self.invalid(key, "wants a list of texts"))
    }

    /// JSON that the template gives as a text or as a map.
    pub(super) fn json(&self, key: &str) -> Result<Option<Value>> {
        match self.get(key) {
            Some(Value::String(text)) => {
                serde_json::from_str(text).map(Some).map_err(|error| self.invalid(key, format!("is not JSON: {error}")))
            }
            other => Ok(other.cloned()),
        }
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// CloudFormation takes numbers and flags for texts.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
