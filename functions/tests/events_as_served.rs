//! The fixtures of calls over HTTP are what the edge makes of the same request: the same fields everywhere, with the
//! same values wherever the request decides them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::FutureExt;
use http::Request;
use local_cloud::Clock;
use local_cloud::edge::{Edge, Invoke};
use serde_json::{Value, json};

/// What says where and when it was served, and is another each time.
const OF_THE_PLACE: &[&str] = &[
    "accountId",
    "apiId",
    "domainName",
    "domainPrefix",
    "requestId",
    "routeArn",
    "time",
    "timeEpoch",
    "x-amzn-trace-id",
    "x-forwarded-port",
    "x-forwarded-proto",
];

/// Of calls over HTTP and of authorizers, by their files.
fn fixtures() -> BTreeMap<String, Value> {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("events");
    let read = |path: &Path| -> Value { serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() };
    let files = std::fs::read_dir(events).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let all = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path)));
    all.filter(|(_, event)| event["version"] == "2.0").collect()
}

/// The request of which a fixture tells.
fn request(fixture: &Value) -> Request<Bytes> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let query = text(&fixture["rawQueryString"]);
    let target = text(&fixture["rawPath"]) + if query.is_empty() { "" } else { "?" } + &query;
    let mut request =
        Request::builder().method(text(&fixture["requestContext"]["http"]["method"]).as_str()).uri(target);
    for (name, value) in fixture["headers"].as_object().unwrap() {
        if name != "content-length" && !OF_THE_PLACE.contains(&name.as_str()) && name != "x-forwarded-for" {
            request = request.header(name, text(value));
        }
    }
    let body = fixture["body"].as_str().unwrap_or_default();
    let is_binary = fixture["isBase64Encoded"] == true;
    request
        .body(if is_binary { BASE64.decode(body.as_bytes()).unwrap().into() } else { body.to_owned().into() })
        .unwrap()
}

/// What the functions behind the edge see of a fixture's request: the authorizer, then the one that is called.
async fn served(fixture: &Value) -> Vec<Value> {
    let stack = local_system::stack(local_system::TEMPLATE, "events", BTreeMap::new()).unwrap();
    let context = fixture["requestContext"]["authorizer"]["lambda"].clone();
    let events = Arc::new(Mutex::new(Vec::new()));
    let invoke: Invoke = {
        let events = Arc::clone(&events);
        Arc::new(move |_, event| {
            events.lock().unwrap().push(event);
            let answer = json!({"isAuthorized": true, "context": context});
            async move { Ok(answer) }.boxed()
        })
    };
    let edge = Edge::new(&stack, Clock::starting_at(0), 1, invoke, None).unwrap();
    let response = edge.answer(request(fixture), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))).await;
    assert_eq!(response.status(), 200);
    events.lock().unwrap().clone()
}

/// The event with its place taken out of it, so that two can be compared.
fn anywhere(event: &Value) -> Value {
    match event {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let is_of_place = OF_THE_PLACE.contains(&key.as_str());
                (key.clone(), if is_of_place { json!("…") } else { anywhere(value) })
            })
            .collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_fixture_is_what_the_edge_makes_of_its_request() {
    let fixtures = fixtures();
    let is_of_authorizer = |event: &Value| event["type"] == "REQUEST";
    assert!(fixtures.values().any(is_of_authorizer) && fixtures.len() > 5, "{:?}", fixtures.keys());
    for (name, fixture) in fixtures {
        let served = served(&fixture).await;
        let served = match &served[..] {
            [to_authorizer, _] if is_of_authorizer(&fixture) => to_authorizer,
            [_, to_function] => to_function,
            // A route that nobody need be known for.
            [to_function] => to_function,
            _ => panic!("{name} is not served"),
        };
        assert_eq!(anywhere(&fixture), anywhere(served), "left: events/{name}; right: what the edge serves");
    }
}
