//! The document in itself, and against the template and the codes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{Request, Response};
use local_system::System;
use serde_json::Value;

use super::description::{Description, PROBLEM};
use super::support::system;
use super::{CURRENCIES, system_in};

/// Every part of the document that is a schema.
fn schemas<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match name.as_str() {
                    "schema" => found.push(inner),
                    "schemas" => found.extend(inner.as_object().unwrap().values()),
                    // What is said in an example may look like anything.
                    "examples" | "value" => continue,
                    _ => {}
                }
                schemas(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| schemas(item, found)),
        _ => {}
    }
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_template_and_the_description_name_the_same_routes() {
    let system = system();
    let description = Description::of(&system).await;
    let routes = system.cloud.stack().api.as_ref().unwrap().routes.iter();
    let routes: BTreeSet<(String, bool)> =
        routes.map(|route| (format!("{} {}", route.method, route.path), route.authorizer.is_some())).collect();
    assert_eq!(description.whole["security"], serde_json::json!([{ "token": [] }]));
    let described: BTreeSet<(String, bool)> = description
        .operations()
        .iter()
        .map(|operation| {
            let is_open = operation.content["security"].as_array().is_some_and(Vec::is_empty);
            (format!("{} {}", operation.method, operation.path), !is_open)
        })
        .collect();
    assert_eq!(described, routes, "left: functions/openapi.json; right: template.yaml");
}

#[tokio::test(start_paused = true)]
async fn every_schema_is_one_and_every_reference_leads_somewhere() {
    for currency in CURRENCIES {
        let description = Description::of(&system_in(currency)).await;
        assert_eq!(description.whole["openapi"], "3.1.1");
        let mut found = Vec::new();
        schemas(&description.whole, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for schema in found {
            assert!(jsonschema::draft202012::meta::is_valid(schema), "{schema}");
            description.validator(schema);
        }
        let mut used = BTreeSet::new();
        references(&description.whole, &mut used);
        let mut kept = BTreeSet::new();
        for (kind, parts) in description.whole["components"].as_object().unwrap() {
            if kind != "securitySchemes" {
                kept.extend(parts.as_object().unwrap().keys().map(|name| format!("#/components/{kind}/{name}")));
            }
        }
        assert_eq!(used.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), kept, "left: used; right: kept");
    }
}

#[tokio::test(start_paused = true)]
async fn every_operation_has_a_name_of_its_own_and_describes_its_path() {
    let description = Description::of(&system()).await;
    let operations = description.operations();
    let ids: BTreeSet<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids.len(), operations.len());
    for operation in &operations {
        let parameters = operation.content["parameters"].as_array().into_iter().flatten();
        let described: BTreeSet<&str> = parameters
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(described, in_path, "{}", operation.id);
        for answer in operation.content["responses"].as_object().unwrap().values() {
            let links = description.resolved(answer)["links"].as_object().into_iter().flatten();
            for (name, link) in links {
                let to = description.operation(link["operationId"].as_str().unwrap());
                let takes = to.content["parameters"].as_array().unwrap();
                for parameter in link["parameters"].as_object().unwrap().keys() {
                    assert!(takes.iter().any(|known| known["name"] == *parameter), "{name} gives {parameter}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_description_and_the_code_name_the_same_errors() {
    let description = Description::of(&system()).await;
    let mut described = BTreeMap::new();
    for operation in description.operations() {
        for (status, answer) in operation.content["responses"].as_object().unwrap() {
            let content = &description.resolved(answer)["content"][PROBLEM];
            if content.is_object() {
                let codes = description.codes(content).into_iter();
                described.extend(codes.map(|code| (code, status.parse::<u16>().unwrap())));
            }
        }
    }
    let of_requests = platform::http::Problem::OF_REQUESTS.iter().map(|(code, _)| *code);
    let known: BTreeSet<&str> = of_requests.chain(domain::Refusal::CODES.iter().copied()).collect();
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for (code, status) in platform::http::Problem::OF_REQUESTS {
        assert_eq!(described[*code], *status, "{code}");
    }
    let examples = description.whole["components"]["examples"].as_object().unwrap();
    assert_eq!(examples.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

async fn ask_for_it(system: &System, known: Option<&str>) -> Response<Bytes> {
    let mut request = Request::get("/openapi.json").header("host", "localhost");
    if let Some(tag) = known {
        request = request.header("if-none-match", tag);
    }
    system.call(request.body(Bytes::new()).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn whoever_has_it_is_told_so_and_each_currency_has_its_own() {
    let mut tags = BTreeSet::new();
    for currency in CURRENCIES {
        let system = system_in(currency);
        let whole = ask_for_it(&system, None).await;
        let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(whole.status(), 200);
        assert_eq!(whole.headers()["cache-control"], "public, max-age=300");
        for (known, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"other\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
            (tag.trim_matches('"').to_owned(), 200),
            (String::new(), 200),
        ] {
            let answer = ask_for_it(&system, Some(&known)).await;
            assert_eq!(answer.status(), status, "{known}");
            assert_eq!(answer.headers()["etag"], tag.as_str());
            assert_eq!(answer.body().is_empty(), status == 304);
        }
        assert!(tags.insert(tag), "{currency} is described as another");
    }
}
