//! Serving: what it prints works, what it takes is done, and what it keeps is there after a restart.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Answer, SOON, Server, call, eventually};

/// What a printed line asks for, for a machine that has no curl: as much of its options as the lines use.
fn without_curl(line: &str) -> Answer {
    let words: Vec<String> = quoted_words(line);
    let after = |option: &str| {
        let places = words.iter().enumerate().filter(move |(_, word)| *word == option);
        places.map(|(place, _)| words[place + 1].clone()).collect::<Vec<_>>()
    };
    let url = words.iter().find_map(|word| word.strip_prefix("http://127.0.0.1:")).unwrap();
    let (port, path) = url.split_once('/').unwrap();
    let headers = after("-H");
    let headers: Vec<(&str, &str)> = headers.iter().map(|header| header.split_once(": ").unwrap()).collect();
    let body = after("-d").pop();
    let method = if body.is_some() { "POST" } else { "GET" };
    call(port.parse().unwrap(), method, &format!("/{path}"), &headers, &body.unwrap_or_default()).unwrap()
}

fn quoted_words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    quoted
        .flat_map(|(place, part)| {
            let whole = vec![part.to_owned()];
            if place % 2 == 1 { whole } else { part.split_whitespace().map(str::to_owned).collect() }
        })
        .collect()
}

fn paste(line: &str) -> Value {
    let has_curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_curl {
        let answer = without_curl(line);
        assert!(answer.status < 300, "{line}: {answer:?}");
        return answer.json();
    }
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    let by_hand = without_curl(line);
    assert!(by_hand.status < 300, "the words of the line ask for the same: {by_hand:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_printed_lines_work_as_they_are_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let lines = eventually("lines to paste", SOON, || {
        let said = server.said();
        let lines: Vec<String> =
            said.lines().map(str::trim).filter(|line| line.starts_with("curl ")).map(str::to_owned).collect();
        said.contains("Ctrl-C").then_some(lines)
    });
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("--fail-with-body -sS")), "{lines:?}");
    let (deposit, order) = (paste(&lines[0]), paste(&lines[1]));
    assert_eq!((&deposit["amount"], &deposit["balance"]), (&"5000.00".into(), &"5000.00".into()));
    assert_eq!(order["amount"], "1500.99");
    let listed = eventually("the order is listed as completed", SOON, || {
        let listed = paste(&lines[2]);
        (listed["items"][0]["state"] == "completed").then_some(listed)
    });
    assert_eq!(listed["items"][0]["id"], order["id"]);
    assert_eq!((paste(&lines[0]), paste(&lines[1])), (deposit, order), "pasted again");
    assert_eq!(paste(&lines[3])["pay_with"], "card");
    let said = server.said();
    for expected in ["POST /deposits  201", "POST /orders  201", "  completed", "X-User-Id is believed"] {
        assert!(said.contains(expected), "{expected} is not in:\n{said}");
    }
}

#[test]
fn an_order_is_paid_within_two_seconds() {
    let server = Server::start_with(&["--ephemeral", "--port", "0", "--aws-port", "0"]);
    assert_eq!(server.post("alice", "/deposits", "d", r#"{"amount": 5000}"#).status, 201);
    let order = server.post("alice", "/orders", "o", r#"{"amount": 1500.99, "description": "tea"}"#);
    assert_eq!(order.status, 201, "{order:?}");
    let path = format!("/orders/{}", order.text("id"));
    eventually("the order is completed", Duration::from_secs(2), || {
        (server.get("alice", &path).text("state") == "completed").then_some(())
    });
    assert_eq!(server.get("alice", "/account").text("balance"), "3499.01");
    let told = server.get("bob", &path);
    assert_eq!((told.status, told.text("code").as_str()), (404, "order_not_found"), "another's order");
}

#[test]
fn what_is_kept_is_there_after_a_stop_and_what_is_ephemeral_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &["--parameter", "Currency=JPY"]);
    let first = server.post("alice", "/deposits", "d", r#"{"amount": 5000}"#);
    assert_eq!((first.status, first.text("balance").as_str()), (201, "5000"));
    let (status, said) = server.stop();
    assert!(status.success() && said.contains("stopped; the state is kept"), "{status}\n{said}");
    let server = Server::start(directory.path(), &["--parameter", "Currency=JPY", "--quiet"]);
    let again = server.post("alice", "/deposits", "d", r#"{"amount": 5000}"#);
    assert!(again.is_replay() && again.body == first.body, "{again:?}");
    let (_, said) = server.stop();
    assert_eq!(said.lines().count(), 1, "quiet says where it is: {said}");

    let server = Server::start_with(&["--ephemeral", "--port", "0", "--aws-port", "0"]);
    let said =
        eventually("where its state is", SOON, || Some(server.said()).filter(|said| said.contains("state is in")));
    let line = said.lines().find(|line| line.starts_with("The state is in ")).unwrap().to_owned();
    let state = line.split_whitespace().nth(4).unwrap().to_owned();
    assert!(std::path::Path::new(&state).join("table.db").is_file(), "{line}");
    assert!(server.stop().0.success());
    assert!(!std::path::Path::new(&state).exists(), "{state} is still there");
}

#[test]
fn a_request_under_way_is_answered_when_it_is_told_to_stop() {
    let server = Server::start_with(&["--ephemeral", "--port", "0", "--aws-port", "0"]);
    let port = server.port;
    let answers: Vec<_> = (0..8)
        .map(|number| {
            std::thread::spawn(move || {
                let key = format!("d{number}");
                crate::support::post(port, "alice", "/deposits", &key, r#"{"amount": 1}"#)
            })
        })
        .collect();
    let connected = eventually("it listens", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    drop(connected);
    let (status, _) = server.stop();
    assert!(status.success());
    for answer in answers {
        // Either it was taken and answered, or the connection was never taken.
        if let Ok(answer) = answer.join().unwrap() {
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }
}
