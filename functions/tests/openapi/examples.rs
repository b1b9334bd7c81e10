//! The examples of the description are one story: sent as they are, in this order, each is answered as its example
//! says.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::description::{Description, Operation};
use super::{CURRENCIES, system_in};

pub(crate) const STORY: &[(&str, &str, u16)] = &[
    ("openAccount", "first", 201),
    ("openAccount", "again", 200),
    ("makeDeposit", "number", 201),
    ("makeDeposit", "text", 201),
    ("placeOrder", "paid", 201),
    ("placeOrder", "waits", 201),
    ("placeOrder", "cancelled", 201),
    ("getAccount", "account", 200),
    ("listEntries", "newest", 200),
    ("listEntries", "rest", 200),
    ("listOrders", "all", 200),
    ("getOrder", "paid", 200),
    ("getOrder", "waits", 200),
    ("getOrder", "cancelled", 200),
    ("getTimeline", "paid", 200),
    ("getTimeline", "waits", 200),
    ("getTimeline", "cancelled", 200),
    ("listNotifications", "all", 200),
    ("putProduct", "tea", 200),
    ("putProduct", "pot", 200),
    ("receiveStock", "tea", 201),
    ("getProduct", "tea", 200),
    ("listProducts", "first", 200),
    ("listProducts", "rest", 200),
    ("putSlot", "afternoon", 200),
    ("listSlots", "all", 200),
    ("placeOrder", "goods", 201),
    ("placeOrder", "reserved", 201),
    ("placeOrder", "unavailable", 201),
    ("getOrder", "reserved", 200),
    ("getTimeline", "reserved", 200),
    ("getTimeline", "unavailable", 200),
    ("acceptDelivery", "reserved", 200),
    ("cancelOrder", "unavailable", 200),
    ("getTimeline", "undone", 200),
    ("placeOrder", "card", 201),
    ("getOrder", "card", 200),
    ("getTimeline", "card", 200),
    ("makePayment", "captured", 202),
    ("makePayment", "doubtful", 202),
    ("makePayment", "lacking", 202),
    ("makePayment", "kept", 202),
    ("refundPayment", "part", 202),
    ("refundPayment", "refused", 202),
    ("refundPayment", "kept", 202),
    ("getRefund", "part", 200),
    ("completeRefund", "refused", 200),
    ("failRefund", "kept", 200),
    ("completePayment", "captured", 200),
    ("completePayment", "doubtful", 200),
    ("listReviews", "waiting", 200),
    ("failPayment", "lacking", 200),
    ("getPayment", "captured", 200),
    ("getPayment", "card", 200),
    ("listPayments", "all", 200),
    ("takeCallback", "early", 200),
    ("dismissReport", "early", 200),
    ("signUp", "first", 201),
    ("signIn", "first", 200),
    ("putWebhook", "set", 200),
    ("getWebhook", "shown", 200),
    ("rotateWebhookSecret", "rotated", 200),
];

/// When something happened is not determined, nor what is left to chance; that it is said in the same way is for the
/// schema to see.
const TIMES: [&str; 9] =
    ["created_at", "accepted_at", "at", "since", "until", "customer", "token", "secret", "former_secret_until"];

/// Takes the times out, so that the rest can be compared.
fn without_times(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, inner)| {
                let is_time = TIMES.contains(&name.as_str());
                (name.clone(), if is_time { Value::Null } else { without_times(inner) })
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(without_times).collect(),
        other => other.clone(),
    }
}

/// The names of the examples that a request can be made of.
fn requests(operation: &Operation) -> BTreeSet<String> {
    let parameters = operation.content["parameters"].as_array().into_iter().flatten();
    let body = &operation.content["requestBody"]["content"]["application/json"];
    let named = parameters.chain([body]).filter_map(|part| part["examples"].as_object());
    named.flat_map(|examples| examples.keys().cloned()).collect()
}

/// The names of the examples of answers that are no refusals.
fn successes(description: &Description, operation: &Operation) -> BTreeSet<(String, u16)> {
    let mut names = BTreeSet::new();
    for (status, answer) in operation.content["responses"].as_object().unwrap() {
        let status: u16 = status.parse().unwrap();
        let examples = description.resolved(answer)["content"]["application/json"]["examples"].as_object();
        if status < 400 {
            names.extend(examples.into_iter().flat_map(|all| all.keys().map(|name| (name.clone(), status))));
        }
    }
    names
}

#[tokio::test(start_paused = true)]
async fn every_example_is_answered_as_its_example_says() {
    for currency in CURRENCIES {
        let system = system_in(currency);
        let description = Description::of(&system).await;
        for (id, name, status) in STORY {
            let operation = description.operation(id);
            let ask = description.request(&operation, name).by("alice");
            let answer = system.call(ask.http()).await;
            assert_eq!(answer.status(), *status, "{id} {name}: {:?}", answer.body());
            description.judge(&operation, &answer);
            let answer: Value = serde_json::from_slice(answer.body()).unwrap();
            let said = description.answer_of(&operation, *status);
            let example = &said["content"]["application/json"]["examples"][*name]["value"];
            let (answered, said) = (without_times(&answer), without_times(example));
            assert_eq!(answered, said, "{currency} {id} {name}; left: answered; right: the example");
            system.settled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_example_is_in_the_story_and_is_what_its_schema_says() {
    for currency in CURRENCIES {
        let description = Description::of(&system_in(currency)).await;
        for operation in description.operations() {
            let told = STORY.iter().filter(|(id, ..)| *id == operation.id);
            let told: BTreeSet<(String, u16)> = told.map(|(_, name, status)| ((*name).to_owned(), *status)).collect();
            assert_eq!(successes(&description, &operation), told, "{}", operation.id);
            let names: BTreeSet<String> = told.into_iter().map(|(name, _)| name).collect();
            assert!(requests(&operation).is_subset(&names), "{}: a request that nobody sends", operation.id);
            for_each_example(&description, &operation.content);
        }
    }
}

/// Each example beside a schema is valid by it.
fn for_each_example(description: &Description, value: &Value) {
    let value = description.resolved(value);
    if let (Some(schema), Some(examples)) = (value.get("schema"), value["examples"].as_object()) {
        let validator = description.validator(schema);
        for example in examples.values() {
            let example = &description.resolved(example)["value"];
            assert!(validator.is_valid(example), "{example} is not {schema}");
        }
        return;
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|inner| for_each_example(description, inner)),
        Value::Array(items) => items.iter().for_each(|item| for_each_example(description, item)),
        _ => {}
    }
}
