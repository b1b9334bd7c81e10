//! Reads that lag. What is not asked for strongly consistent, and whatever an index says, may be answered as it was a
//! while ago; then everything in one answer is of one moment.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

use crate::fault::Class;
use crate::network::json;
use crate::wire::{Call, answer};

/// Every item that was ever written, as it was when.
#[derive(Debug, Default)]
pub(crate) struct Past {
    items: BTreeMap<Address, Vec<(i64, Option<Value>)>>,
}

type Address = (String, String);

/// Whether the service may answer this with what is not the newest.
pub(crate) fn may_lag(call: &Call) -> bool {
    let is_consistent = |asked: &Value| asked["ConsistentRead"] == true;
    match call.class {
        Class::Load => !is_consistent(&call.body),
        Class::LoadSome => !tables(call).all(|(_, asked)| is_consistent(asked)),
        Class::Query => call.body["IndexName"].is_string() || !is_consistent(&call.body),
        _ => false,
    }
}

impl Past {
    /// Takes down what a write did that was applied just now.
    pub(crate) fn keep(&mut self, call: &Call, now_ms: i64) {
        let whole = [Value::from_iter([("Put".to_owned(), call.body.clone())])];
        let actions = match call.class {
            Class::Put => &whole[..],
            Class::Transact => call.body["TransactItems"].as_array().map_or(&[][..], Vec::as_slice),
            _ => return,
        };
        for action in actions {
            let (written, deleted) = (&action["Put"]["Item"], &action["Delete"]["Key"]);
            if written.is_object() {
                self.items.entry(address(written)).or_default().push((now_ms, Some(written.clone())));
            } else if deleted.is_object() {
                self.items.entry(address(deleted)).or_default().push((now_ms, None));
            }
        }
    }

    fn at(&self, address: &Address, then_ms: i64) -> Option<&Value> {
        let states = self.items.get(address)?;
        states.iter().rev().find(|(since_ms, _)| *since_ms <= then_ms)?.1.as_ref()
    }

    /// The answer as it would have been then; `None` if it would have been the same.
    pub(crate) fn answer(&self, call: &Call, answered: &Response<Bytes>, then_ms: i64) -> Option<Response<Bytes>> {
        let now = json(answered.body());
        let mut then = now.clone();
        match call.class {
            Class::Load => match self.at(&address(&call.body["Key"]), then_ms) {
                Some(item) => then["Item"] = item.clone(),
                None => drop(then.as_object_mut()?.remove("Item")),
            },
            Class::LoadSome => {
                for (table, asked) in tables(call) {
                    let keys = asked["Keys"].as_array()?.iter();
                    then["Responses"][table] =
                        keys.filter_map(|key| self.at(&address(key), then_ms)).cloned().collect();
                }
            }
            Class::Query => {
                let items = match call.body["IndexName"].as_str() {
                    Some("by_look") => self.due(&call.body, then_ms),
                    _ => now["Items"].as_array()?.iter().filter_map(|item| self.listed(item, then_ms)).collect(),
                };
                // What stood then in the place of what is newer, a page that is cut off does not show.
                let is_cut = now["LastEvaluatedKey"].is_object();
                if is_cut && now["Items"].as_array().is_some_and(|listed| items.len() < listed.len()) {
                    return None;
                }
                then["Count"] = items.len().into();
                then["ScannedCount"] = items.len().into();
                then["Items"] = items.into();
            }
            _ => return None,
        }
        (answered.status().is_success() && then != now).then(|| answer(200, &then))
    }

    /// What a list shows of an item, as it was then.
    fn listed(&self, item: &Value, then_ms: i64) -> Option<Value> {
        let then = self.at(&address(item), then_ms)?;
        let shown = item.as_object()?.keys().map(|name| (name.clone(), then[name].clone()));
        Some(Value::Object(shown.collect()))
    }

    /// What the index of looks said then: among it orders that have ended since, or whose look was put off.
    fn due(&self, query: &Value, then_ms: i64) -> Vec<Value> {
        // Whatever the field is called, its names begin with a colon.
        let mut fields = query.as_object().into_iter().flat_map(Map::values);
        let Some(values) = fields.find(|field| field[":shard"].is_object()) else { return Vec::new() };
        let number = |value: &Value| value["N"].as_str().and_then(|digits| digits.parse::<i64>().ok());
        let until = number(&values[":now"]).unwrap_or_default();
        let mut due: Vec<(i64, Value)> = Vec::new();
        for address in self.items.keys() {
            let Some(item) = self.at(address, then_ms) else { continue };
            let Some(look_at) = number(&item["look_at"]).filter(|look_at| *look_at <= until) else { continue };
            if item["look_shard"] == values[":shard"] {
                let names = ["pk", "sk", "look_shard", "look_at"];
                let keys: Map<String, Value> =
                    names.map(|name| (name.to_owned(), item[name].clone())).into_iter().collect();
                due.push((look_at, keys.into()));
            }
        }
        due.sort_by_key(|(look_at, _)| *look_at);
        due.truncate(query["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
        due.into_iter().map(|(_, keys)| keys).collect()
    }
}

fn tables(call: &Call) -> impl Iterator<Item = (&String, &Value)> {
    call.body["RequestItems"].as_object().into_iter().flatten()
}

fn address(keys: &Value) -> Address {
    let part = |name: &str| keys[name]["S"].as_str().unwrap_or_default().to_owned();
    (part("pk"), part("sk"))
}
