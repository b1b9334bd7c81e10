//! JSON as far as an event is looked at: objects by name, texts, and whole numbers by their digits.

use domain::Amount;
use serde_json::{Map, Value};

use super::Malformed;

pub(super) type Object = Map<String, Value>;

pub(super) fn parse(body: &[u8]) -> Result<Object, Malformed> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Malformed::NoObject("it is JSON of another kind".to_owned())),
        Err(error) => Err(Malformed::NoObject(format!("line {} column {}", error.line(), error.column()))),
    }
}

pub(super) fn object<'v>(of: &'v Object, name: &str, path: &'static str) -> Result<&'v Object, Malformed> {
    match of.get(name) {
        None => Err(Malformed::Missing(path)),
        Some(value) => value.as_object().ok_or(Malformed::Wrong(path)),
    }
}

pub(super) fn text<'v>(of: &'v Object, name: &str, path: &'static str) -> Result<&'v str, Malformed> {
    match of.get(name) {
        None => Err(Malformed::Missing(path)),
        Some(value) => value.as_str().ok_or(Malformed::Wrong(path)),
    }
}

/// What may be there, and is a text if it is.
pub(super) fn text_if_any<'v>(of: &'v Object, name: &str) -> Option<&'v str> {
    of.get(name).and_then(Value::as_str)
}

/// A whole number of minor units. A fraction, an exponent, a sign, a text or more than can be counted is none.
pub(super) fn amount(of: &Object, name: &str, path: &'static str) -> Result<Amount, Malformed> {
    let value = of.get(name).ok_or(Malformed::Missing(path))?;
    value.as_i64().and_then(Amount::from_minor).ok_or(Malformed::Wrong(path))
}
