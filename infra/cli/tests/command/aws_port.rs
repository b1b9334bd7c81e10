//! The AWS port of the command: where it says it is, how others find it, and that it is the same state behind both ports.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Answer, SOON, Server, call, eventually};

const AT: &str = "The AWS services are at http://localhost:";

fn aws_port(server: &Server) -> u16 {
    let line = eventually("where the AWS services are", SOON, || {
        server.said().lines().find_map(|line| line.strip_prefix(AT).map(str::to_owned))
    });
    line.split(':').next().unwrap().parse().unwrap()
}

fn served(state: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(state.join("served.json")).unwrap()).unwrap()
}

fn aws(port: u16, target: &str, body: &Value) -> Answer {
    let signature =
        "AWS4-HMAC-SHA256 Credential=a/20260101/eu-central-1/any/aws4_request, SignedHeaders=host, Signature=b";
    let headers = [
        ("x-amz-target", target),
        ("content-type", "application/x-amz-json-1.0"),
        ("authorization", signature),
        ("x-amz-date", "20260101T000000Z"),
    ];
    call(port, "POST", "/", &headers, &body.to_string()).unwrap()
}

#[test]
fn what_the_api_does_is_seen_on_the_aws_port_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let port = aws_port(&server);
    let order = server.post("alice", "/orders", "o", r#"{"amount": 5}"#);
    let key = json!({ "pk": { "S": format!("order#{}", order.text("id")) }, "sk": { "S": "order" } });
    let got = aws(port, "DynamoDB_20120810.GetItem", &json!({ "TableName": "paidonce-table", "Key": key }));
    assert_eq!((got.status, &got.json()["Item"]["amount"]["N"]), (200, &json!("500")), "{got:?}");
    let line = format!("aws --endpoint-url http://localhost:{port} dynamodb scan --table-name paidonce-table");
    assert!(server.said().contains(&line), "it says how to look inside:\n{}", server.said());
}

#[test]
fn others_find_the_port_beside_the_state_while_it_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let server = Server::start(state, &[]);
    let port = aws_port(&server);
    assert_eq!(served(state)["aws_port"], json!(port));
    assert!(server.stop().0.success());
    assert_eq!(served(state)["aws_port"], Value::Null, "a server that has stopped has none");
    let without = Server::start_with(&["--port", "0", "--no-aws-port", "--state", state.to_str().unwrap()]);
    eventually("it has started", SOON, || without.said().contains("Ctrl-C").then_some(()));
    assert_eq!(served(state)["aws_port"], Value::Null);
    assert!(!without.said().contains(AT), "{}", without.said());
}

#[test]
fn a_state_that_was_served_before_there_was_such_a_port_is_read_and_served() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    Server::start(state, &[]).stop();
    let mut older = served(state);
    older.as_object_mut().unwrap().remove("aws_port");
    std::fs::write(state.join("served.json"), older.to_string()).unwrap();
    let verified = crate::support::run(state, &["verify"]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(aws_port(&Server::start(state, &[])) > 0);
}
