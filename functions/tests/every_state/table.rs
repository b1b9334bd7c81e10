//! All that the table keeps, as it is on the wire and as `domain` sees it, and the table put back as it was.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Millis;
use domain::books::{Item, Key, Version};
use domain::promises::watch::Action;
use local_system::System;
use platform::table::wire;
use serde_json::{Value, json};

use crate::writes::{call, unmarked};

/// What is kept, as `domain` sees it.
pub(crate) type Items = BTreeMap<Key, (Item, Version)>;

/// The table's items as they are on the wire, by their keys.
pub(crate) type Images = BTreeMap<[String; 2], Value>;

async fn asked(system: &System, operation: &str, request: &Value) -> Value {
    let (status, answer) = call(&system.cloud.connector(), operation, request).await;
    assert_eq!(status, 200, "{operation} {request}: {answer}");
    answer
}

pub(crate) async fn scan(system: &System, index: Option<&str>) -> Vec<Value> {
    let mut request = json!({ "TableName": system.app().config.table, "ConsistentRead": index.is_none() });
    if let Some(index) = index {
        request["IndexName"] = index.into();
    }
    let answer = asked(system, "Scan", &request).await;
    assert_eq!(answer["LastEvaluatedKey"], Value::Null, "{answer}");
    answer["Items"].as_array().unwrap().clone()
}

pub(crate) async fn images(system: &System) -> Images {
    let place = |image: &Value| ["pk", "sk"].map(|part| image[part]["S"].as_str().unwrap().to_owned());
    scan(system, None).await.into_iter().map(|image| (place(&image), image)).collect()
}

pub(crate) async fn put_back(system: &System, now: &Images, before: &Images) {
    let table = &system.app().config.table;
    let changed = before.iter().filter(|(place, image)| now.get(*place) != Some(*image));
    let mut actions: Vec<Value> =
        changed.map(|(_, image)| json!({ "Put": { "TableName": table, "Item": image } })).collect();
    let new = now.keys().filter(|place| !before.contains_key(*place));
    actions.extend(new.map(|[pk, sk]| {
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        json!({ "Delete": { "TableName": table, "Key": key } })
    }));
    if !actions.is_empty() {
        asked(system, "TransactWriteItems", &json!({ "TransactItems": actions })).await;
    }
}

/// What an image says.
pub(crate) fn item(image: &Value) -> (Item, Version) {
    let read = wire::actions("PutItem", &json!({ "Item": image })).unwrap();
    match read.unwrap_or_else(|error| panic!("{error}: {image}")).pop() {
        Some(Action::Put { item, version, .. }) => (unmarked(item), version),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn pass(length: Millis) {
    tokio::time::advance(Duration::from_millis(length.0.unsigned_abs())).await;
}
