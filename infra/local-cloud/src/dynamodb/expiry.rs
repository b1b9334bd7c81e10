//! When there is something to sweep: a sweep looks through whole tables, and nearly always nothing has expired. What is
//! written says when it will; of what was there before, and of what an expression sets, nothing is known, so for that
//! the tables are looked through each hour.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

const HOUR_S: i64 = 3_600;
/// Times are rounded up to this, so that there are few of them.
const GRAIN_S: i64 = 10;

pub(super) struct Expiry {
    /// The attributes that say when an item expires.
    attributes: Vec<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// In seconds since the epoch: from then on a sweep finds something.
    due: BTreeSet<i64>,
    /// There may be what nobody here saw being written.
    is_partial: bool,
}

impl Expiry {
    /// `is_partial` says that the tables were written before.
    pub(super) fn new(attributes: Vec<String>, is_partial: bool) -> Self {
        let due = if is_partial { BTreeSet::from([i64::MIN]) } else { BTreeSet::new() };
        Self { attributes, known: Mutex::new(Known { due, is_partial }) }
    }

    /// Takes note of a request that writes.
    pub(super) fn note(&self, operation: &str, request: &Value) {
        let mut found = Vec::new();
        for attribute in &self.attributes {
            times(request, attribute, &mut found);
        }
        let is_expression = operation == "UpdateItem" || operation == "TransactWriteItems" && has_update(request);
        let may_be_set = is_expression && !self.attributes.is_empty();
        if found.is_empty() && !may_be_set {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.due.extend(found.into_iter().map(|at| (at.div_euclid(GRAIN_S) + 1).saturating_mul(GRAIN_S)));
        if may_be_set && !known.is_partial {
            known.is_partial = true;
            known.due.insert(i64::MIN);
        }
    }

    /// Whether to sweep now. It is forgotten by being asked.
    pub(super) fn is_due(&self, now_ms: i64) -> bool {
        let now = now_ms.div_euclid(1_000);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.due.first().is_none_or(|first| *first > now) {
            return false;
        }
        known.due = known.due.split_off(&(now + 1));
        if known.is_partial {
            known.due.insert(now + HOUR_S);
        }
        true
    }
}

/// The numbers that stand under this name, however deep.
fn times(value: &Value, attribute: &str, found: &mut Vec<i64>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name == attribute {
                    found.extend(inner["N"].as_str().and_then(|seconds| seconds.parse::<i64>().ok()));
                } else {
                    times(inner, attribute, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| times(item, attribute, found)),
        _ => {}
    }
}

fn has_update(request: &Value) -> bool {
    let actions = request["TransactItems"].as_array().into_iter().flatten();
    actions.into_iter().any(|action| action.get("Update").is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(at: i64) -> Value {
        json!({ "Item": { "pk": { "S": "a" }, "gone_at": { "N": at.to_string() } } })
    }

    fn of(is_partial: bool) -> Expiry {
        Expiry::new(vec!["gone_at".to_owned()], is_partial)
    }

    #[test]
    fn a_sweep_is_due_when_something_has_expired_and_then_no_more() {
        let expiry = of(false);
        assert!(!expiry.is_due(i64::MAX));
        expiry.note("PutItem", &json!({ "Item": { "pk": { "S": "a" } } }));
        assert!(!expiry.is_due(i64::MAX));
        expiry.note("PutItem", &put(95));
        let transaction = json!({ "TransactItems": [{ "Put": put(205) }, { "Delete": {} }] });
        expiry.note("TransactWriteItems", &transaction);
        let due = |seconds: i64| expiry.is_due(seconds * 1_000);
        assert_eq!([99, 100, 101, 209, 210, 211, 1_000_000].map(due), [false, true, false, false, true, false, false]);
    }

    #[test]
    fn what_nobody_saw_is_looked_for_each_hour() {
        let expiry = of(true);
        let due = |seconds: i64| expiry.is_due(seconds * 1_000);
        assert_eq!([50, 51, 3_649, 3_650, 3_651].map(due), [true, false, false, true, false]);
        let expiry = of(false);
        let due = |seconds: i64| expiry.is_due(seconds * 1_000);
        assert!(!due(50));
        expiry.note("UpdateItem", &json!({ "UpdateExpression": "SET gone_at = :at" }));
        assert_eq!([51, 52, 3_651].map(due), [true, false, true]);
        let without = Expiry::new(Vec::new(), false);
        without.note("UpdateItem", &json!({}));
        assert!(!without.is_due(i64::MAX));
    }
}
