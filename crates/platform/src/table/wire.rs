//! A write as it stands on the wire, for whoever judges each commit as it is applied. The functions do not need it.

use domain::books::Key;
use domain::promises::watch::Action;
use serde_json::Value;

use super::codec::{CodecError, decode, parse_address};

/// What a request does to the table once it is applied; `None` for one that writes nothing.
pub fn actions(operation: &str, request: &Value) -> Option<Result<Vec<Action>, CodecError>> {
    match operation {
        "PutItem" => Some(put(request).map(|action| vec![action])),
        "DeleteItem" => Some(key(request).map(|key| vec![Action::Delete(key)])),
        "TransactWriteItems" => {
            let actions = request["TransactItems"].as_array()?;
            Some(actions.iter().map(action).collect())
        }
        // Nobody here writes in these ways, and what is written so is read by no judge.
        "UpdateItem" | "BatchWriteItem" => {
            Some(Err(CodecError::Address { pk: operation.to_owned(), sk: String::new() }))
        }
        _ => None,
    }
}

fn action(action: &Value) -> Result<Action, CodecError> {
    if action["Put"].is_object() {
        put(&action["Put"])
    } else if action["Delete"].is_object() {
        key(&action["Delete"]).map(Action::Delete)
    } else {
        key(&action["ConditionCheck"]).map(Action::Check)
    }
}

fn put(request: &Value) -> Result<Action, CodecError> {
    let image: serde_dynamo::Item = serde_json::from_value(request["Item"].clone())
        .map_err(|error| CodecError::Address { pk: error.to_string(), sk: String::new() })?;
    let stored = decode(image)?;
    Ok(Action::Put { item: stored.found.item, version: stored.found.version, events: stored.events })
}

fn key(request: &Value) -> Result<Key, CodecError> {
    let part = |name: &str| request["Key"][name]["S"].as_str().unwrap_or_default().to_owned();
    let (pk, sk) = (part("pk"), part("sk"));
    parse_address(&pk, &sk).ok_or(CodecError::Address { pk, sk })
}
