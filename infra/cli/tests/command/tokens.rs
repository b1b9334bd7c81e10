//! Bearer tokens of the local issuer.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Answer, Server, run, stdout};

fn token(state: &Path, more: &[&str]) -> String {
    let output = run(state, &[&["token"], more].concat());
    assert!(output.status.success(), "{output:?}");
    let printed = stdout(&output);
    assert_eq!(printed.split_whitespace().count(), 1, "only the token: {printed:?}");
    printed.trim().to_owned()
}

fn deposit(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let more = [("idempotency-key", "d"), ("content-type", "application/json")];
    server.call("POST", "/deposits", &[headers, &more].concat(), r#"{"amount": 7}"#)
}

#[test]
fn a_token_says_who_calls_and_wins_over_the_header() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let bearer = format!("Bearer {}", token(directory.path(), &["--user", "alice"]));
    let by_token = [("authorization", bearer.as_str())];
    assert_eq!(deposit(&server, &by_token).status, 201);
    let both = [("authorization", bearer.as_str()), ("x-user-id", "mallory")];
    assert!(deposit(&server, &both).is_replay(), "it is alice who calls");
    assert_eq!(server.get("mallory", "/account").status, 404, "and not mallory");
    let again = format!("bearer {}", token(directory.path(), &["--user", "alice", "--hours", "5"]));
    assert_eq!(server.call("GET", "/account", &[("authorization", &again)], "").text("balance"), "7.00");

    server.stop();
    let server = Server::start(directory.path(), &["--quiet"]);
    assert!(deposit(&server, &by_token).is_replay(), "the key outlives the process");
    let mode = std::fs::metadata(directory.path().join("signing-key.p8")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_is_expired_strange_or_no_token_at_all_is_refused() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(directory.path(), &["--quiet"]);
    Server::start(other.path(), &["--quiet"]).stop();
    let right = token(directory.path(), &[]);
    let (body, signature) = right.rsplit_once('.').unwrap();
    for (what, wrong) in [
        ("expired", token(directory.path(), &["--hours", "-1"])),
        ("another server's", token(other.path(), &[])),
        ("without its signature", format!("{body}.")),
        ("with half of it", format!("{body}.{}", &signature[..signature.len() / 2])),
        ("garbage", "garbage".to_owned()),
    ] {
        let bearer = format!("Bearer {wrong}");
        let answer = server.call("GET", "/orders", &[("authorization", &bearer), ("x-user-id", "alice")], "");
        assert!(matches!(answer.status, 401 | 403), "{what}: {answer:?}");
    }
    assert_eq!(server.call("GET", "/orders", &[], "").status, 401, "nobody at all");
}

#[test]
fn a_token_is_for_the_issuer_and_audience_that_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let parameters = ["--parameter", "TokenIssuer=https://other.example", "--parameter", "TokenAudience=shop"];
    let server = Server::start(directory.path(), &parameters);
    let bearer = format!("Bearer {}", token(directory.path(), &[]));
    assert_eq!(server.call("GET", "/orders", &[("authorization", &bearer)], "").status, 200);
}

#[test]
fn who_signs_in_gets_a_token_of_the_key_that_signs_the_commands() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &[]);
    let json = [("content-type", "application/json")];
    let who = r#"{"email": "alice@example.com", "password": "correct horse"}"#;
    let profile = server.call("POST", "/profiles", &json, who);
    assert_eq!(profile.status, 201, "{profile:?}");
    server.stop();
    let server = Server::start(directory.path(), &["--quiet"]);
    let session = server.call("POST", "/sessions", &json, who);
    assert_eq!(session.status, 200, "{session:?}");
    let signed_by = |token: &str| token.split('.').next().unwrap().to_owned();
    let by_signing_in = session.text("token");
    assert_eq!(signed_by(&by_signing_in), signed_by(&token(directory.path(), &[])));
    let bearer = format!("Bearer {by_signing_in}");
    let opened = server.call("POST", "/accounts", &[("authorization", bearer.as_str())], "");
    assert_eq!((opened.status, opened.text("id")), (201, profile.text("customer")));
    let told = stdout(&run(directory.path(), &["env", "--endpoint", "http://127.0.0.1:1"]));
    assert!(told.contains("TOKEN_KEYS") && !told.contains("SIGNING_KEY"), "a shell need not know it: {told}");
    let mode = std::fs::metadata(directory.path().join("served.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn whose_keys_are_others_signs_nobody_in() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path(), &["--parameter", r#"TokenKeys={"keys":[]}"#]);
    let json = [("content-type", "application/json")];
    let answer =
        server.call("POST", "/sessions", &json, r#"{"email": "alice@example.com", "password": "correct horse"}"#);
    assert_eq!((answer.status, answer.text("code")), (501, "sign_in_not_set_up".to_owned()));
}
