//! What the schemas of requests say is what is taken: bodies made by a schema are never refused as malformed, and those
//! that break it are always refused.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::description::{Description, Operation, PROBLEM};
use super::examples::STORY;
use super::{CURRENCIES, system_in};

/// What no schema can say: how large a decimal in a text is, how many bytes a text has, that 2 is not written as 2.0, how
/// long a month is and what comes before what, and what is there already.
const BEYOND_A_SCHEMA: [&str; 23] = [
    "amount_too_large",
    "description_too_long",
    "name_length",
    "quantity_malformed",
    "capacity_malformed",
    "time_malformed",
    "slot_times_reversed",
    "sku_twice",
    "sku_unknown",
    "slot_unknown",
    "balance_too_large",
    "email_taken",
    "wrong_email_or_password",
    "too_many_attempts",
    "webhook_url_malformed",
    "webhook_url_too_long",
    "webhook_url_has_credentials",
    "webhook_url_port",
    "webhook_url_not_public",
    "webhook_not_found",
    "reference_length",
    "reference_names_order",
    "payment_not_found",
];
/// Fields of requests, and one that is none.
const NAMES: [&str; 19] = [
    "amount",
    "currency",
    "description",
    "if_unpaid",
    "lines",
    "slot",
    "reserve_first",
    "name",
    "price",
    "quantity",
    "capacity",
    "from",
    "email",
    "password",
    "url",
    "replaces",
    "pay_with",
    "reference",
    "colour",
];
const CASES: u32 = 96;

/// Values by a schema, each as a text of JSON.
fn by(description: &Description, schema: &Value) -> BoxedStrategy<String> {
    let schema = description.resolved(schema);
    if let Some(fixed) = schema.get("const") {
        return Just(fixed.to_string()).boxed();
    }
    if let Some(choices) = schema["enum"].as_array() {
        return prop::sample::select(choices.iter().map(Value::to_string).collect::<Vec<_>>()).boxed();
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        return prop::strategy::Union::new(ways.iter().map(|way| by(description, way))).boxed();
    }
    match schema["type"].as_str().unwrap_or_else(|| panic!("{schema} has no type")) {
        "string" => {
            let pattern = schema["pattern"].as_str().unwrap();
            let pattern = pattern.strip_prefix('^').unwrap().strip_suffix('$').unwrap();
            let longest = schema["maxLength"].as_u64().map_or(usize::MAX, |longest| usize::try_from(longest).unwrap());
            let texts = prop::string::string_regex(pattern).unwrap();
            let texts = texts.prop_filter("it is too long", move |text| text.chars().count() <= longest);
            texts.prop_map(|text| Value::from(text).to_string()).boxed()
        }
        "number" => {
            let step = schema["multipleOf"].to_string();
            let digits = step.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            // As far as every JSON library carries all digits.
            (1..=999_999_999_999_999_u64).prop_map(move |steps| decimal(steps, digits)).boxed()
        }
        "integer" => {
            let bound = |name: &str| schema[name].as_u64().unwrap();
            (bound("minimum")..=bound("maximum")).prop_map(|number| number.to_string()).boxed()
        }
        "boolean" => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        "array" => {
            let bound = |name: &str| usize::try_from(schema[name].as_u64().unwrap()).unwrap();
            let several = bound("minItems")..=bound("maxItems").min(4);
            let items = prop::collection::vec(by(description, &schema["items"]), several);
            items.prop_map(|items| format!("[{}]", items.join(","))).boxed()
        }
        "object" => {
            assert_eq!(schema["additionalProperties"], false);
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let fields: Vec<_> = schema["properties"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, inner)| {
                    let shown = json!(name);
                    let is_required = required.contains(&shown);
                    let value = by(description, inner).prop_map(move |value| format!("{shown}:{value}"));
                    if is_required { value.prop_map(Some).boxed() } else { prop::option::of(value).boxed() }
                })
                .collect();
            let there = fields.prop_map(|fields| fields.into_iter().flatten().collect::<Vec<_>>());
            there.prop_shuffle().prop_map(|fields| format!("{{{}}}", fields.join(","))).boxed()
        }
        other => panic!("no request has a {other}"),
    }
}

fn decimal(steps: u64, digits: usize) -> String {
    let text = format!("{steps:0width$}", width = digits + 1);
    match text.split_at(text.len() - digits) {
        (whole, "") => whole.to_owned(),
        (whole, fraction) => format!("{whole}.{fraction}"),
    }
}

/// Something that has no business in a body, mostly.
fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (1..99_999_u64).prop_map(|steps| serde_json::from_str(&decimal(steps, 4)).unwrap()),
        "[0-9.,eE+ -]{0,8}".prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\x00-\\x20\\x7f-\\x9f]{0,3}".prop_map(Value::from),
        "[A-Z]{3}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({ "amount": 1 })),
    ]
}

/// A right body with something changed.
fn changed(right: BoxedStrategy<String>) -> BoxedStrategy<Value> {
    let right = right.prop_map(|text| serde_json::from_str::<Value>(&text).unwrap());
    prop_oneof![
        6 => (right.clone(), prop::sample::select(&NAMES[..]), junk()).prop_map(|(mut body, name, value)| {
            body[name] = value;
            body
        }),
        1 => (right, prop::sample::select(&NAMES[..])).prop_map(|(mut body, name)| {
            body.as_object_mut().unwrap().remove(name);
            body
        }),
        1 => junk(),
    ]
    .boxed()
}

/// Sends bodies one after another, each under a key of its own, and looks at status, media type and code.
fn each<T: std::fmt::Debug>(
    currency: &str,
    bodies: impl Fn(&Description, &Operation) -> BoxedStrategy<T>,
    text: impl Fn(&T) -> String,
    look: impl Fn(&Description, &Operation, &T, (u16, String)),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (system, description) = runtime.block_on(async {
        let system = system_in(currency);
        let description = Description::of(&system).await;
        // Stock comes in of what is in the catalogue.
        let product = description.operation("putProduct");
        let put = system.call(description.request(&product, "tea").by("alice").http()).await;
        assert_eq!(put.status(), 200);
        (system, description)
    });
    let operations = description.operations();
    // Of what a gateway sends the signature is looked at, whatever it says.
    let takes_ours =
        |operation: &&Operation| operation.content["requestBody"].is_object() && operation.id != "takeCallback";
    for operation in operations.iter().filter(takes_ours) {
        let number = Cell::new(0);
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let outcome = runner.run(&bodies(&description, operation), |body| {
            number.set(number.get() + 1);
            let (_, example, _) = STORY.iter().find(|(id, ..)| *id == operation.id).unwrap();
            let request = http::Request::builder()
                .method(operation.method.as_str())
                .uri(description.request(operation, example).path)
                .header("host", "localhost")
                .header("x-user-id", format!("user-{}", number.get()))
                .header("x-user-scopes", "stock slots courier refunds")
                .header("idempotency-key", "k")
                .header("content-type", "application/json");
            let answer = runtime.block_on(system.call(request.body(Bytes::from(text(&body))).unwrap()));
            let status = answer.status().as_u16();
            let code = if status < 300 {
                String::new()
            } else {
                prop_assert_eq!(&answer.headers()["content-type"], PROBLEM);
                let problem: Value = serde_json::from_slice(answer.body()).unwrap();
                problem["code"].as_str().unwrap().to_owned()
            };
            look(&description, operation, &body, (status, code));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", operation.id));
    }
}

#[test]
fn bodies_made_by_the_schema_are_taken() {
    for currency in CURRENCIES {
        let taken = Cell::new(0);
        let bodies = |description: &Description, operation: &Operation| {
            by(description, &operation.content["requestBody"]["content"]["application/json"]["schema"])
        };
        each(currency, bodies, Clone::clone, |_, operation, body, (status, code)| {
            let fine = status < 300 || BEYOND_A_SCHEMA.contains(&code.as_str());
            assert!(fine, "{currency} {} {status} {code}: {body}", operation.id);
            taken.set(taken.get() + u32::from(status < 300));
        });
        assert!(taken.get() > CASES, "hardly anything is taken: {}", taken.get());
    }
}

#[test]
fn bodies_that_break_the_schema_are_refused() {
    for currency in CURRENCIES {
        let refused = RefCell::new(BTreeMap::<String, u32>::new());
        let bodies = |description: &Description, operation: &Operation| {
            changed(by(description, &operation.content["requestBody"]["content"]["application/json"]["schema"]))
        };
        each(currency, bodies, Value::to_string, |description, operation, body, (status, code)| {
            let schema = &operation.content["requestBody"]["content"]["application/json"]["schema"];
            let is_right = description.validator(schema).is_valid(body);
            let shown = format!("{currency} {} {status} {code}: {body}", operation.id);
            if is_right {
                assert!(status < 300 || BEYOND_A_SCHEMA.contains(&code.as_str()), "{shown}");
            } else {
                assert!((400..500).contains(&status), "{shown}");
                *refused.borrow_mut().entry(code).or_default() += 1;
            }
        });
        assert!(refused.borrow().len() >= 8, "hardly anything is refused: {refused:?}");
    }
}
