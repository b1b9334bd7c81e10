//! What another process is told of the running server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Server, edit_served, run, stderr, stdout};

/// A state that was served with an AWS port, at which the test listens in the server's place.
fn served(state: &Path) -> (TcpListener, u16) {
    Server::start(state, &["--quiet", "--parameter", "WaitHours=5"]).stop();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    edit_served(state, "aws_port", json!(Some(port)));
    (listener, port)
}

#[test]
fn sam_is_told_every_variable_of_every_function() {
    let directory = tempfile::tempdir().unwrap();
    let (_listener, port) = served(directory.path());
    let told = |more: &[&str]| -> Value {
        let output = run(directory.path(), &[&["env", "--format", "sam"], more].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let functions = told(&[]);
    let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, Default::default()).unwrap();
    assert_eq!(functions.as_object().unwrap().len(), stack.functions.len());
    for function in &stack.functions {
        let told = functions[&function.logical_id].as_object().unwrap();
        assert!(told.keys().eq(function.environment.keys()), "{}: {told:?}", function.logical_id);
        assert!(told.values().all(Value::is_string));
        assert_eq!(told["AWS_ENDPOINT_URL"], format!("http://127.0.0.1:{port}"));
        assert_eq!((&told["TABLE_NAME"], &told["WAIT_HOURS"]), (&json!("paidonce-table"), &json!("5")));
        let keys: Value = serde_json::from_str(told["TOKEN_KEYS"].as_str().unwrap()).unwrap();
        assert_eq!(keys["keys"][0]["crv"], "Ed25519", "the key of this state: {keys}");
    }
    assert!(functions["Recover"]["FAILED_RECORDS_BUCKET"].is_string());
    let knows = |id: &str| functions[id].get("SIGNING_KEY").is_some();
    assert!(knows("SignIn") && stack.functions.iter().filter(|function| knows(&function.logical_id)).count() == 1);
    let elsewhere = told(&["--endpoint", "http://host.docker.internal:4566"]);
    assert_eq!(elsewhere["Sweep"]["AWS_ENDPOINT_URL"], "http://host.docker.internal:4566");
}

#[test]
fn a_shell_takes_what_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (_listener, port) = served(directory.path());
    let lines = run(directory.path(), &["env"]);
    assert!(lines.status.success(), "{lines:?}");
    let script = format!(
        "{}printf '%s\\n' \"$AWS_ENDPOINT_URL\" \"$AWS_REGION\" \"$AWS_DEFAULT_REGION\" \"$TABLE_NAME\" \"$TOKEN_KEYS\" \
         \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\"",
        stdout(&lines)
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = stdout(&output);
    let [endpoint, region, default_region, table, keys, id, secret] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{output:?}")
    };
    assert_eq!(endpoint, format!("http://127.0.0.1:{port}"));
    assert_eq!((region, default_region, table), ("eu-central-1", "eu-central-1", "paidonce-table"));
    assert!(serde_json::from_str::<Value>(keys).unwrap()["keys"].is_array());
    assert!(!id.is_empty() && !secret.is_empty(), "{said}");
}

#[test]
fn a_server_that_cannot_be_reached_is_said_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let told = |parts: &[&str]| {
        let output = run(directory.path(), &["env"]);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""), "{output:?}");
        for part in parts {
            assert!(stderr(&output).contains(part), "{part:?} is not in {}", stderr(&output));
        }
    };
    told(&["there is no state in"]);
    let (listener, port) = served(directory.path());
    drop(listener);
    told(&[&format!("nothing answers at the AWS port {port}"), "paidonce serve --aws-port"]);
    edit_served(directory.path(), "aws_port", json!(null));
    told(&["without an AWS port", "paidonce serve --aws-port"]);
}
