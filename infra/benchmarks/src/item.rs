//! How large an item is, as the service counts it: the names and values of its attributes, and a little for containers.
//! The documentation calls the size of a number approximate, and so is this; it errs to the larger.

use serde_json::{Map, Value};

/// What one write unit pays for.
pub(crate) const KILOBYTE: usize = 1_024;

/// The size of an item in the wire's JSON. `None` is one with a type that no item here has.
pub(crate) fn size(item: &Value) -> Option<usize> {
    attributes(item.as_object()?, 0)
}

/// Units that a write costs whose larger image has this size.
pub(crate) fn write_units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(KILOBYTE).max(1)).unwrap_or(u32::MAX)
}

fn attributes(attributes: &Map<String, Value>, overhead: usize) -> Option<usize> {
    attributes.iter().map(|(name, value)| Some(overhead + name.len() + value_size(value)?)).sum()
}

fn value_size(value: &Value) -> Option<usize> {
    let (kind, inner) = value.as_object().filter(|typed| typed.len() == 1)?.iter().next()?;
    match kind.as_str() {
        "S" => inner.as_str().map(str::len),
        "N" => inner.as_str().map(|digits| digits.len().div_ceil(2) + 1),
        "BOOL" | "NULL" => Some(1),
        "L" => {
            let elements = inner.as_array()?.iter().map(|element| Some(1 + value_size(element)?));
            Some(3 + elements.sum::<Option<usize>>()?)
        }
        "M" => Some(3 + attributes(inner.as_object()?, 1)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_values_and_containers_count() {
        assert_eq!(size(&json!({ "pk": { "S": "ab" } })), Some(4));
        assert_eq!(size(&json!({ "pk": { "S": "é" }, "n": { "N": "1234" } })), Some(4 + 4), "bytes, not letters");
        assert_eq!(size(&json!({ "l": { "L": [{ "S": "ab" }, { "BOOL": true }] } })), Some(1 + 3 + 3 + 2));
        assert_eq!(size(&json!({ "m": { "M": { "ab": { "S": "c" } } } })), Some(1 + 3 + 1 + 2 + 1));
        assert_eq!(size(&json!({ "b": { "B": "AA==" } })), None);
    }

    #[test]
    fn a_started_kilobyte_is_a_unit() {
        let units = [0, 1, 1_024, 1_025, 2_048, 2_049].map(write_units);
        assert_eq!(units, [1, 1, 1, 2, 2, 3]);
    }
}
