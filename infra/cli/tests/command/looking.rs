//! Looking into a state: `verify`, `timeline` and `demo`.

use std::collections::HashMap;
use std::path::Path;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use local_cloud::{Clock, Cloud, Options, Storage};
use serde_json::Value;

use crate::support::{SOON, Server, eventually, paidonce, run, stdout};

/// A server with a completed order of 30 and one that waits with 70 on the account, and their ids.
fn with_two_orders(state: &Path) -> (Server, String, String) {
    let server = Server::start(state, &["--quiet"]);
    server.post("alice", "/deposits", "d", r#"{"amount": 100}"#);
    let paid = server.post("alice", "/orders", "o1", r#"{"amount": 30, "description": "tea"}"#).text("id");
    let waiting = server.post("alice", "/orders", "o2", r#"{"amount": 90}"#).text("id");
    eventually("both orders are told of", SOON, || {
        let told = server.get("alice", "/notifications").json();
        (told["items"].as_array().unwrap().len() == 3).then_some(())
    });
    let state_of = |id: &str| server.get("alice", &format!("/orders/{id}")).text("state");
    // Which of the two came first is not promised.
    if state_of(&paid) == "completed" { (server, paid, waiting) } else { (server, waiting, paid) }
}

#[test]
fn a_state_is_verified_while_it_is_served_and_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let (server, ..) = with_two_orders(directory.path());
    let running = run(directory.path(), &["verify"]);
    assert!(running.status.success(), "{running:?}");
    let said = stdout(&running);
    for part in
        ["served by a running process", "2  (awaiting_payment 1, completed 1)", "100.00 EUR", "holds", "one_charge"]
    {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    server.stop();
    let stopped = run(directory.path(), &["verify", "--json", "--grace", "0"]);
    assert!(stopped.status.success(), "{stopped:?}");
    let report: Value = serde_json::from_slice(&stopped.stdout).unwrap();
    assert_eq!((&report["holds"], &report["state"]["running"]), (&true.into(), &false.into()));
    assert_eq!((&report["state"]["queued_messages"], &report["seen"]["waiting"]), (&0.into(), &1.into()));
    assert_eq!(report["promises"].as_array().unwrap().len(), 7);
}

#[test]
fn a_timeline_says_how_an_order_came_here_and_what_it_waits_for() {
    let directory = tempfile::tempdir().unwrap();
    let (server, paid, waiting) = with_two_orders(directory.path());
    let shown = |order: &str| stdout(&run(directory.path(), &["timeline", order]));
    let (of_paid, of_waiting) = (shown(&paid), shown(&waiting));
    for part in ["completed", "placed", "paid", "waits for nothing", &format!("order.{paid}.1.0")] {
        assert!(of_paid.contains(part), "{part:?} is not in:\n{of_paid}");
    }
    for part in ["awaiting_payment", "was missing", "waits for more money", "cancelled if that has not come by"] {
        assert!(of_waiting.contains(part), "{part:?} is not in:\n{of_waiting}");
    }
    let asked = server.get("alice", &format!("/orders/{waiting}/timeline")).json();
    server.stop();
    let output = run(directory.path(), &["timeline", &waiting, "--json"]);
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&read["state"], &read["waiting_for"]), (&asked["state"], &asked["waiting_for"]));
    let steps = |timeline: &Value| -> Vec<(Value, Value, Value)> {
        let items = timeline["items"].as_array().unwrap();
        items.iter().map(|item| (item["at"].clone(), item["transition"].clone(), item["event"].clone())).collect()
    };
    assert_eq!(steps(&read), steps(&asked), "the same as the API says");
    let unknown = run(directory.path(), &["timeline", &"a".repeat(32)]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
}

#[test]
fn a_timeline_of_goods_says_what_would_end_the_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &["--quiet"]);
    let headers = [("x-user-id", "keeper"), ("x-user-scopes", "stock"), ("content-type", "application/json")];
    let put = server.call("PUT", "/stock/tea", &headers, r#"{"name": "Tea", "price": "12.50"}"#);
    assert_eq!(put.status, 200);
    server.post("alice", "/deposits", "d", r#"{"amount": 100}"#);
    let order = server.post("alice", "/orders", "o", r#"{"lines": [{"sku": "tea", "quantity": 2}]}"#).text("id");
    eventually("it waits for stock", SOON, || {
        (server.get("alice", &format!("/orders/{order}")).text("state") == "awaiting_stock").then_some(())
    });
    let asked = server.get("alice", &format!("/orders/{order}/timeline")).json();
    server.stop();
    let said = stdout(&run(directory.path(), &["timeline", &order]));
    for part in ["2 of tea at 12.50", "for slot standard", "waits for its goods to come in", "a receipt of 2 of tea"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let read: Value = serde_json::from_slice(&run(directory.path(), &["timeline", &order, "--json"]).stdout).unwrap();
    assert_eq!(read["waiting_for"], asked["waiting_for"]);
    assert_eq!(read["lines"][0]["price"], "12.50");
}

/// Adds a minor unit to the one account of a state that nobody serves.
async fn conjure_money(state: &Path) {
    let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, Default::default()).unwrap();
    let options = Options::new(Storage::Directory(state.to_owned()), Clock::wall(), 1);
    let cloud = Cloud::open(stack, options).unwrap();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::from_keys("local", "local", None))
        .http_client(cloud.connector())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let table = "paidonce-table";
    let items = client.scan().table_name(table).send().await.unwrap().items.unwrap();
    let is_account = |item: &&HashMap<String, AttributeValue>| item["sk"].as_s().is_ok_and(|sk| sk == "account");
    let mut account = items.iter().find(is_account).unwrap().clone();
    let balance: i64 = account["balance"].as_n().unwrap().parse().unwrap();
    account.insert("balance".to_owned(), AttributeValue::N((balance + 1).to_string()));
    client.put_item().table_name(table).set_item(Some(account)).send().await.unwrap();
}

#[tokio::test]
async fn money_from_nowhere_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (server, ..) = with_two_orders(directory.path());
    server.stop();
    conjure_money(directory.path()).await;
    let found = run(directory.path(), &["verify"]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let said = stdout(&found);
    for part in ["conservation", "findings", "its entries come to 7000 minor units", "all accounts"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let found = run(directory.path(), &["verify", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    let broken: Vec<&Value> =
        report["promises"].as_array().unwrap().iter().filter(|promise| promise["holds"] == false).collect();
    assert_eq!(broken.len(), 1, "{report:#}");
    assert_eq!(broken[0]["promise"], "conservation");
}

#[test]
fn the_demo_goes_as_it_is_told() {
    let output = paidonce(["demo"]).output().unwrap();
    let said = stdout(&output);
    assert!(output.status.success() && !said.contains('✗') && said.contains("50"), "{said}");
}

#[test]
fn help_helps() {
    let help = stdout(&paidonce(["--help"]).output().unwrap());
    for part in ["Examples:", "serve", "verify", "timeline", "--ephemeral", "Exit codes"] {
        assert!(help.contains(part), "{part:?} is not in:\n{help}");
    }
}
