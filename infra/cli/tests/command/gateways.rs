//! The payment gateway's stand-in beside a served system: cards are charged through it, it is controlled from the command
//! line, and its book and report are held against what is kept.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{SOON, Server, eventually, paidonce, run, stderr, stdout};

/// Calls are not waited for as long as usual, so that one that is not answered is over soon.
const QUICKLY: [&str; 5] = ["--quiet", "--parameter", "GatewayTimeoutMs=600", "--parameter", "GatewayConnectMs=300"];

fn gateway(state: &Path, arguments: &[&str]) -> Output {
    run(state, &[&["gateway"], arguments].concat())
}

fn said(state: &Path, arguments: &[&str]) -> String {
    let output = gateway(state, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    stdout(&output)
}

fn json(state: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(state, &[arguments, &["--json"]].concat())).unwrap()
}

fn order(server: &Server, key: &str) -> String {
    let body = r#"{"amount": 20, "description": "by card", "pay_with": "card"}"#;
    let answer = server.post("alice", "/orders", key, body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.text("id")
}

fn until_completed(server: &Server, order: &str) {
    let path = format!("/orders/{order}");
    eventually("the order is completed", SOON, || {
        (server.get("alice", &path).text("state") == "completed").then_some(())
    });
}

#[test]
fn a_card_is_charged_once_though_nobody_is_told_and_the_report_agrees() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let server = Server::start(state, &QUICKLY);
    assert!(said(state, &["mood"]).contains("timeout_after"), "it misbehaves a little unless it is told not to");
    assert!(said(state, &["mood", "calm"]).contains("nothing goes wrong"));
    let asked = said(state, &["next", "timeout_after,callback_twice", "--call", "charge"]);
    assert!(asked.contains("the next request, call charge: timeout_after, callback_twice"), "{asked}");
    let first = order(&server, "o1");
    until_completed(&server, &first);
    assert!(said(state, &["next"]).contains("nothing is asked for"), "it was for one");
    let second = order(&server, "o2");
    until_completed(&server, &second);

    let book = eventually("both callbacks of both", SOON, || {
        let book = json(state, &["book"]);
        let events = book["events"].as_array().unwrap().iter().flat_map(|event| event["copies"].as_array().unwrap());
        let taken = events.flat_map(|copy| copy["attempts"].as_array().unwrap());
        let taken = taken.filter(|attempt| attempt["status"] == 200).count();
        (taken == 3).then_some(book)
    });
    assert_eq!(book["charges"].as_array().unwrap().len(), 2, "{book:#}");
    let befell: Vec<&Value> = book["calls"].as_array().unwrap().iter().map(|call| &call["mischief"]).collect();
    assert!(befell.contains(&&Value::from("timeout_after")), "{befell:?}");
    let reference = book["charges"][0]["reference"].as_str().unwrap();
    let shown = said(state, &["book", "--reference", reference]);
    for part in ["captured", "20.00 EUR", "timeout_after", "1 charges, 0 refunds", "no money was taken"] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    assert_eq!(said(state, &["findings"]).trim(), "no money was taken or given back twice");

    let report = said(state, &["report"]);
    assert_eq!(report.lines().count(), 3, "{report}");
    let file = state.join("report.csv");
    std::fs::write(&file, &report).unwrap();
    let agrees = run(state, &["reconcile", file.to_str().unwrap()]);
    assert!(agrees.status.success() && stdout(&agrees).contains("alike          2"), "{agrees:?}");
    std::fs::write(&file, report.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let differs = run(state, &["reconcile", file.to_str().unwrap()]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(stdout(&differs).contains("missing   charge"), "{differs:?}");
    assert!(run(state, &["verify"]).status.success());
}

#[test]
fn an_outage_is_begun_and_ended_and_the_book_outlives_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let server = Server::start(state, &QUICKLY);
    said(state, &["mood", "calm"]);
    assert!(said(state, &["outage"]).contains("there is no outage"));
    assert!(said(state, &["outage", "on", "--for", "600", "--how", "refused"]).contains("refused"));
    let placed = order(&server, "o");
    eventually("it was called in vain", SOON, || {
        json(state, &["book"])["calls"].as_array().unwrap().iter().any(|call| call["in_outage"] == true).then_some(())
    });
    assert_eq!(json(state, &["book"])["charges"].as_array().unwrap().len(), 0);
    assert!(said(state, &["outage", "off"]).contains("there is no outage"));
    until_completed(&server, &placed);
    let charges = json(state, &["book"])["charges"].clone();
    server.stop();
    let stopped = gateway(state, &["book"]);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(stderr(&stopped).contains("is not being served with a payment gateway"), "{stopped:?}");
    let server = Server::start(state, &QUICKLY);
    assert_eq!(json(state, &["book"])["charges"], charges, "and so are the secrets, or none would be believed");
    said(state, &["mood", "calm"]);
    let placed = order(&server, "another");
    until_completed(&server, &placed);
}

#[test]
fn what_is_asked_wrongly_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let _server = Server::start(state, &QUICKLY);
    for (wrong, says) in [
        (&["mood", "jolly"][..], "calm, usual, foul"),
        (&["mood", "--rate", "timeout_after"], "MISCHIEF=RATE"),
        (&["next", "worse"], "there is no \"worse\"; there are too_many"),
        (&["next", "--times", "2"], "required"),
    ] {
        let output = gateway(state, wrong);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains(says), "{says:?} is not in:\n{}", stderr(&output));
    }
    for (wrong, says) in [
        (&["mood", "--rate", "slow=10001"][..], "the rate of slow is 10001"),
        (&["next", "slow", "--times", "0"], "times is 0"),
        (&["outage", "on", "--for", "0"], "for_ms is 0"),
        (&["report", "--from", "yesterday"], "from is a moment"),
    ] {
        let output = gateway(state, wrong);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(stderr(&output).contains(says), "{says:?} is not in:\n{}", stderr(&output));
    }
}

#[test]
fn without_a_gateway_cards_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let server = Server::start(state, &["--quiet", "--no-gateway"]);
    let refused = server.post("alice", "/orders", "o", r#"{"amount": 20, "pay_with": "card"}"#);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(stderr(&gateway(state, &["mood"])).contains("is not being served with a payment gateway"));
    drop(server);
    let output = paidonce(["--no-gateway", "--gateway-port", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn what_the_gateway_knows_us_by_is_for_no_shell() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let _server = Server::start(state, &["--quiet"]);
    let shell = stdout(&run(state, &["env"]));
    assert!(shell.contains("TABLE_NAME") && !shell.contains("whsec_") && !shell.contains("sk_local_"), "{shell}");
}
