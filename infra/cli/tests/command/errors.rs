//! Each way of being called wrongly, or of finding things in the way: the exit code, and what to do next.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;

use local_cloud::{Clock, Cloud, Options, Storage};
use serde_json::json;

use crate::support::{Server, edit_served, paidonce, run, stderr};

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
fn what_a_newer_version_served_is_not_guessed() {
    let directory = tempfile::tempdir().unwrap();
    Server::start(directory.path(), &["--quiet"]).stop();
    edit_served(directory.path(), "format", json!(2));
    edit_served(directory.path(), "template", json!({ "now": "a map" }));
    let sweep = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/sweep.json");
    let serve = vec!["serve", "--port", "0"];
    for tool in [serve, vec!["verify"], vec!["token"], vec!["env"], vec!["invoke", "sweep", sweep]] {
        told(&run(directory.path(), &tool), 1, &["newer version (format 2", "upgrade, or name another directory"]);
    }
    edit_served(directory.path(), "format", json!(1));
    told(&run(directory.path(), &["verify"]), 1, &["served.json cannot be read", "delete it"]);
}

#[tokio::test]
async fn an_item_of_a_newer_version_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &["--quiet"]);
    let order = server.post("alice", "/orders", "o", r#"{"amount": 5}"#).text("id");
    server.stop();
    {
        let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, Default::default()).unwrap();
        let storage = Storage::Directory(directory.path().to_owned());
        let cloud = Cloud::open(stack, Options::new(storage, Clock::wall(), 1)).unwrap();
        let item = json!({
            "pk": { "S": format!("order#{order}") },
            "sk": { "S": "order" },
            "format": { "N": "999" },
        });
        let put = http::Request::post("/").header("x-amz-target", "DynamoDB_20120810.PutItem");
        let put = put.body(json!({ "TableName": "paidonce-table", "Item": item }).to_string().into()).unwrap();
        assert_eq!(cloud.connector().answer(put).await.status(), 200);
    }
    let parts = [&format!("order#{order}"), "is of format 999", "newer release"];
    told(&run(directory.path(), &["timeline", &order]), 1, &parts);
    let verified = run(directory.path(), &["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    let said = crate::support::stdout(&verified);
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn a_directory_that_cannot_be_used_is_said_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let parts = ["as the state directory", "name a directory that can be read and written"];
    told(&run(&file, &["serve", "--port", "0"]), 1, &parts);
    told(&run(&file.join("below"), &["serve", "--port", "0"]), 1, &parts);
    told(&run(&file, &["verify"]), 1, &parts);
}

/// Root may write everywhere, so where root tests, another user tries.
#[test]
fn a_directory_that_may_not_be_written_is_said_so() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let allow = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(&state, 0o555);
    let mut command = paidonce(["serve", "--port", "0", "--state"]);
    if std::fs::metadata(&state).unwrap().uid() == 0 {
        // Where nobody else may look is no place to start from.
        let program = directory.path().join("paidonce");
        // By another process: what this one has open for writing, its children have too, and none could be started.
        let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_paidonce")).arg(&program).status();
        assert!(copied.unwrap().success());
        allow(directory.path(), 0o755);
        allow(&program, 0o755);
        command = std::process::Command::new(program);
        command.args(["serve", "--port", "0", "--state"]).env("NO_COLOR", "1").uid(NOBODY).gid(NOBODY);
    }
    let output = command.arg(&state).current_dir(directory.path()).output().unwrap();
    told(&output, 1, &["Permission denied", "as the state directory", "name a directory that can be read and written"]);
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
    std::fs::write(&broken, "just words").unwrap();
    told(&serve(broken.to_str().unwrap()), 1, &["the template", "a map with `Resources`"]);
    std::fs::write(&broken, b"\xff\xfe").unwrap();
    told(&serve(broken.to_str().unwrap()), 1, &["broken.yaml cannot be read", "UTF-8"]);
    std::fs::write(&broken, local_system::TEMPLATE.replace("AWS::SQS::Queue", "AWS::SQS::Kew")).unwrap();
    told(&serve(broken.to_str().unwrap()), 1, &["Resources.OrderUpdates.Type", "`AWS::SQS::Kew`", "`AWS::SQS::Queue`"]);
    let colourful = local_system::TEMPLATE.replace("Handler: sweep", "Handler: sweep\n      Colour: red");
    std::fs::write(&broken, colourful).unwrap();
    told(&serve(broken.to_str().unwrap()), 1, &["Resources.Sweep.Properties.Colour", "not understood", "take it out"]);
    std::fs::write(&broken, local_system::TEMPLATE.replace("Handler: sweep", "Handler: swept")).unwrap();
    told(&serve(broken.to_str().unwrap()), 1, &["Sweep (swept) has no handler", "list of functions"]);
    told(&serve(directory.path().to_str().unwrap()), 1, &["cannot be read", "directory", "name a SAM template"]);
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
