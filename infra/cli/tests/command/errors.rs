//! Each way of being called wrongly, or of finding things in the way: the exit code, and what to do next.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;

use crate::support::{Server, paidonce, run, stderr};

fn told(output: &Output, code: i32, parts: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(output.stdout.is_empty(), "nothing is printed that could be taken for an answer: {output:?}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let output = paidonce(["--ephemeral", "--port", &port]).output().unwrap();
    told(&output, 1, &[&format!("port {port} is taken"), "--port 0"]);
}

#[test]
fn an_aws_port_that_is_taken_is_named_with_the_ways_out() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let output = paidonce(["--ephemeral", "--port", "0", "--aws-port", &port]).output().unwrap();
    told(&output, 1, &[&format!("port {port} is taken"), "--aws-port 0", "--no-aws-port"]);
    told(&paidonce(["--aws-port", "0", "--no-aws-port"]).output().unwrap(), 2, &["cannot be used with"]);
}

#[test]
fn a_state_has_one_server_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    told(
        &run(directory.path(), &["serve", "--port", "0", "--aws-port", "0"]),
        1,
        &["in use by another process", "another directory"],
    );
    assert_eq!(server.get("alice", "/orders").status, 200, "the first goes on");
}

#[test]
fn a_state_of_a_newer_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    Server::start(directory.path(), &[]).stop();
    // Where SQLite keeps `user_version`: four bytes at 60.
    let file = directory.path().join("cloud.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&file, &bytes).unwrap();
    let parts = ["newer version (format 99", "upgrade, or name another directory"];
    told(&run(directory.path(), &["serve", "--port", "0", "--aws-port", "0"]), 1, &parts);
    told(&run(directory.path(), &["verify"]), 1, &parts);
}

#[test]
fn a_template_that_cannot_be_served_is_said_why() {
    let directory = tempfile::tempdir().unwrap();
    let serve = |template: &str| {
        let state = directory.path().join("state");
        paidonce(["--port", "0", "--aws-port", "0", "--template", template, "--state"]).arg(state).output().unwrap()
    };
    let missing = directory.path().join("missing.yaml");
    told(&serve(missing.to_str().unwrap()), 1, &["missing.yaml cannot be read", "built-in"]);
    let broken = directory.path().join("broken.yaml");
    std::fs::write(&broken, "Resources: [").unwrap();
    told(&serve(broken.to_str().unwrap()), 1, &["the template"]);
    std::fs::write(&broken, local_system::TEMPLATE.replace("AWS::SQS::Queue", "AWS::SQS::Kew")).unwrap();
    assert_eq!(serve(broken.to_str().unwrap()).status.code(), Some(1));
}

#[test]
fn a_parameter_is_checked_as_the_template_says() {
    for (given, parts) in [
        ("Currency", ["NAME=VALUE", "Currency=JPY"]),
        ("=JPY", ["NAME=VALUE", "Currency=JPY"]),
        ("Currency=euro", ["`euro` does not match", "--parameter Currency=VALUE"]),
        ("WaitHours=0", ["less than", "--parameter WaitHours=VALUE"]),
        ("Colour=red", ["no such parameter", "`Currency`"]),
    ] {
        told(
            &paidonce(["--ephemeral", "--port", "0", "--aws-port", "0", "--parameter", given]).output().unwrap(),
            2,
            &parts,
        );
    }
    let unknown =
        paidonce(["--ephemeral", "--port", "0", "--aws-port", "0", "--parameter", "Currency=XXX"]).output().unwrap();
    told(&unknown, 1, &["CURRENCY", "ISO 4217"]);
}

#[test]
fn what_it_is_not_called_with_is_said() {
    told(&paidonce(["frobnicate"]).output().unwrap(), 2, &["frobnicate", "--help"]);
    told(&paidonce(["--colour"]).output().unwrap(), 2, &["--colour", "--help"]);
    told(&paidonce(["--ephemeral", "--state", "x"]).output().unwrap(), 2, &["cannot be used with"]);
    told(&paidonce(["timeline", "17"]).output().unwrap(), 2, &["no order id", "GET /orders"]);
    told(&paidonce(["token", "--user", ""]).output().unwrap(), 2, &["--user"]);
}

#[test]
fn a_directory_without_a_state_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let order = "a".repeat(32);
    for tool in [vec!["verify"], vec!["token"], vec!["timeline", &order]] {
        told(&run(directory.path(), &tool), 1, &["there is no state in"]);
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "looking makes nothing");
}
