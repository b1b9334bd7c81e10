//! Invoking one function: over a state that nobody serves, over one that is served, and called wrongly.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use local_cloud::{Clock, Cloud, Connector, Options, Storage};
use serde_json::{Value, json};

use crate::support::{SOON, Server, edit_served, eventually, paidonce, run, stderr, stdout};

const WHEN: &str = "2026-11-21T05:53:03.007Z";

fn event(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"))
}

fn invoke(state: &Path, function: &str, fixture: &str, more: &[&str]) -> Output {
    let fixture = event(fixture);
    run(state, &[&["invoke", function, fixture.to_str().unwrap()], more].concat())
}

fn in_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A state in which nothing has happened.
fn new_state() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    Server::start(directory.path(), &["--quiet"]).stop();
    directory
}

fn open(state: &Path) -> Cloud {
    let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, BTreeMap::new()).unwrap();
    Cloud::open(stack, Options::new(Storage::Directory(state.to_owned()), Clock::wall(), 1)).unwrap()
}

async fn items(connector: &Connector) -> String {
    let request = http::Request::post("/").header("x-amz-target", "DynamoDB_20120810.Scan");
    let request = request.body(json!({ "TableName": "paidonce-table" }).to_string().into()).unwrap();
    let answer = connector.answer(request).await;
    assert_eq!(answer.status(), 200);
    String::from_utf8(answer.into_body().to_vec()).unwrap()
}

#[test]
fn a_stopped_state_takes_one_step_and_the_rest_when_it_is_served_again() {
    let state = new_state();
    let deposit = invoke(state.path(), "deposit", "deposit", &[]);
    assert!(deposit.status.success(), "{deposit:?}");
    let said = stdout(&deposit);
    for part in [
        "HTTP 201\n",
        "  \"balance\": \"5000.00\",\n",
        "told:\n  account_opened  account.",
        "  money_deposited  {\"amount\":500000,",
        "units: 6 written, 2 read, in 2 round trips to the table\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let placed = in_json(&invoke(state.path(), "PlaceOrder", "place-order", &["--json"]));
    assert_eq!(placed["answer"]["statusCode"], 201);
    assert_eq!(placed["told"][0]["told"], "order_placed");
    assert_eq!(placed["units"], json!({ "write": 3.0, "read": 0.0, "round_trips": 1 }));
    let order = in_json(&invoke(state.path(), "get-order", "get-order", &["--output", "json"]));
    let body: Value = serde_json::from_str(order["answer"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["state"], "awaiting_payment", "nothing has run by itself");

    let server = Server::start(state.path(), &["--quiet"]);
    let path = format!("/orders/{}", body["id"].as_str().unwrap());
    eventually("the order is completed", SOON, || {
        (server.get("alice", &path).text("state") == "completed").then_some(())
    });
}

#[test]
fn a_step_sends_what_its_event_asks_for() {
    let told = in_json(&invoke(new_state().path(), "relay", "relay", &["--json"]));
    let [work, public] = told["sent"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&work["to"], &work["taken"]), (&json!("paidonce-order-updates.fifo"), &json!(true)));
    assert!(work["body"]["work"]["advance"]["order"].is_string(), "{work}");
    assert_eq!((&public["to"], &public["type"]), (&json!("paidonce-events"), &json!("order.placed")));
    assert_eq!((&public["detail"]["amount"], &public["taken"]), (&json!("1500.99"), &json!(true)));
}

#[tokio::test]
async fn clock_and_seed_make_the_same_bytes_printed_and_kept() {
    let states = [new_state(), new_state()];
    let story = [
        ("deposit", "deposit"),
        ("place-order", "place-order"),
        ("relay", "relay"),
        ("advance-orders", "advance-orders"),
        ("notify", "notify"),
        ("notify", "notify.malformed-message"),
        ("place-order", "place-order"),
    ];
    let tell = |state: &Path, seed: &str| -> Vec<Vec<u8>> {
        let more = ["--json", "--clock", WHEN, "--seed", seed];
        story.iter().map(|(function, fixture)| invoke(state, function, fixture, &more).stdout).collect()
    };
    let [one, other] = states.each_ref().map(|state| tell(state.path(), "7"));
    assert_eq!(one, other);
    assert!(one.iter().all(|printed| !printed.is_empty()));
    let again: Value = serde_json::from_slice(&one[6]).unwrap();
    assert_eq!(again["answer"]["headers"]["idempotent-replayed"], "true", "its own seed is not taken for its own try");
    let mut kept = Vec::new();
    for state in &states {
        kept.push(items(&open(state.path()).connector()).await);
    }
    assert_eq!(kept[0], kept[1]);
    assert!(kept[0].contains("\"1795240383007\""), "the clock stood: {}", kept[0]);

    let third = new_state();
    tell(third.path(), "8");
    assert_ne!(items(&open(third.path()).connector()).await, kept[0], "another seed has other ids");
}

/// As much of a server as a function in another process needs.
async fn serve(listener: tokio::net::TcpListener, connector: Connector) {
    while let Ok((stream, _)) = listener.accept().await {
        let connector = connector.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let connector = connector.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok::<_, hyper::Error>(connector.answer(http::Request::from_parts(head, body)).await.map(Full::new))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_state_is_reached_over_its_port() {
    let (stopped, running) = (new_state(), new_state());
    let cloud = open(running.path());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    edit_served(running.path(), "aws_port", json!(Some(listener.local_addr().unwrap().port())));
    let server = tokio::spawn(serve(listener, cloud.connector()));
    for (function, fixture) in
        [("deposit", "deposit"), ("place-order", "place-order"), ("relay", "relay"), ("recover", "recover.every-hour")]
    {
        let [there, here] = [&running, &stopped].map(|state| {
            let (state, more) = (state.path().to_owned(), ["--json", "--clock", WHEN, "--seed", "7"]);
            tokio::task::spawn_blocking(move || invoke(&state, function, fixture, &more))
        });
        let (there, here) = (there.await.unwrap(), here.await.unwrap());
        assert!(there.status.success(), "{}", stderr(&there));
        assert_eq!(stdout(&there), stdout(&here), "{fixture}");
    }
    let kept = items(&cloud.connector()).await;
    server.abort();
    assert_eq!(kept, items(&open(stopped.path()).connector()).await);
}

#[test]
fn a_served_state_that_cannot_be_reached_is_said_what_to_do() {
    let state = new_state();
    let cloud = open(state.path());
    edit_served(state.path(), "aws_port", json!(null));
    let output = invoke(state.path(), "sweep", "sweep", &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(
        stderr(&output).contains("in use by another process") && stderr(&output).contains("--aws-port"),
        "{output:?}"
    );

    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    edit_served(state.path(), "aws_port", json!(Some(gone)));
    let output = invoke(state.path(), "sweep", "sweep", &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    for part in ["in use by another process", &format!("AWS port {gone}"), "wait for"] {
        assert!(stderr(&output).contains(part), "{part:?} is not in {}", stderr(&output));
    }
    drop(cloud);
    assert!(invoke(state.path(), "sweep", "sweep", &[]).status.success());
}

#[test]
fn the_answer_alone_is_what_the_lambda_returns() {
    let ephemeral = |more: &[&str]| {
        let event = event("place-order.key-missing");
        paidonce([&["invoke", "place-order", event.to_str().unwrap(), "--ephemeral"], more].concat()).output().unwrap()
    };
    let answer = ephemeral(&["--answer-only"]);
    assert_eq!(answer.status.code(), Some(0), "a refusal is an answer");
    assert_eq!(stdout(&answer), format!("{}\n", in_json(&ephemeral(&["--json"]))["answer"]));
    assert_eq!(stdout(&answer), stdout(&ephemeral(&["--output", "answer"])));
    assert_eq!(stdout(&answer).lines().count(), 1);
}

#[test]
fn a_function_that_fails_says_so_as_lambda_does() {
    let mut child = paidonce(["invoke", "place-order", "-", "--ephemeral", "--answer-only"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"is\": \"no call\"}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = in_json(&output);
    assert_eq!((&error["errorType"], error.as_object().unwrap().len()), (&json!("Failed"), 2));
    assert!(error["errorMessage"].as_str().unwrap().starts_with("the event is no call of an HTTP API"), "{error}");
}

#[test]
fn what_it_is_called_wrongly_with_is_said() {
    let told = |output: &Output, parts: &[&str]| {
        assert_eq!((output.status.code(), stdout(output).as_str()), (Some(2), ""), "{output:?}");
        for part in parts {
            assert!(stderr(output).contains(part), "{part:?} is not in {}", stderr(output));
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let ephemeral = |arguments: &[&str]| {
        let all = [&["invoke", "--ephemeral"], arguments].concat();
        paidonce(all).current_dir(folder.path()).output().unwrap()
    };
    let sweep = event("sweep");
    let sweep = sweep.to_str().unwrap();
    told(&ephemeral(&["sweeper", sweep]), &["\"sweeper\"", "place-order", "sweep, recover"]);
    told(&ephemeral(&["sweep", "nowhere.json"]), &["nowhere.json cannot be read", "standard input"]);
    std::fs::write(folder.path().join("broken.json"), "{\n  \"version\": 2.0,\n}").unwrap();
    told(&ephemeral(&["sweep", "broken.json"]), &["broken.json is no JSON", "line 3 column 1"]);
    told(&ephemeral(&["sweep"]), &["events/sweep.json"]);
    told(&ephemeral(&["sweep", sweep, "--clock", "noon"]), &["--clock", "2026-11-21T05:53:03Z"]);
    told(&ephemeral(&["sweep", sweep, "--seed", "x"]), &["--seed"]);
    told(&ephemeral(&["sweep", sweep, "--json", "--answer-only"]), &["cannot be used with"]);

    std::fs::create_dir(folder.path().join("events")).unwrap();
    std::fs::copy(sweep, folder.path().join("events/sweep.now.json")).unwrap();
    let only = ephemeral(&["sweep", "--answer-only"]);
    assert_eq!(stdout(&only), "{\"looked\":0}\n", "the one event that there is: {}", stderr(&only));
    std::fs::copy(sweep, folder.path().join("events/sweep.later.json")).unwrap();
    told(&ephemeral(&["sweep"]), &["several", "sweep.later.json", "sweep.now.json"]);
}
