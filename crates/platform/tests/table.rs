//! The table's outcomes with the real SDK client, over answers as the service words them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use domain::accounts::Account;
use domain::books::{Books, Found, Kept, Key};
use domain::ids::CustomerId;
use domain::{Currency, Timestamp};
use platform::table::{CommitError, Committed, ReadError, Table};
use serde_json::{Value, json};

/// Answers with what was prepared, and keeps what was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        self.asked.lock().unwrap().push(body);
        let (status, answer) = self.answers.lock().unwrap().pop_front().expect("another answer was prepared");
        let body = SdkBody::from(answer.to_string());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body)))
    }
}

impl HttpClient for Script {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

fn table(answers: impl IntoIterator<Item = (u16, Value)>) -> (Table, Script) {
    let script = Script { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Script::default() };
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("a", "s", None, None, "test"))
        .retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled())
        .http_client(script.clone())
        .build();
    (Table::new(aws_sdk_dynamodb::Client::from_conf(config), "paidonce-table".to_owned()), script)
}

fn account(name: &str) -> Account {
    Account::new(CustomerId::of("test", name), Currency::from_code("EUR").unwrap(), Timestamp::from_millis(1))
}

fn image(name: &str, version: u64, commit: &str) -> Value {
    let customer = CustomerId::of("test", name);
    json!({
        "pk": { "S": format!("account#{customer}") }, "sk": { "S": "account" },
        "version": { "N": version.to_string() }, "commit": { "S": commit }, "format": { "N": "1" },
        "customer": { "S": customer.to_string() }, "currency": { "S": "EUR" }, "balance": { "N": "0" },
        "entries": { "N": "0" }, "opened_at": { "N": "1" }, "renderer": { "N": "1" },
    })
}

/// Books on which the accounts of both are written over the versions 3 and 4.
fn two_writes() -> Books {
    let mut books = Books::default();
    for (name, version) in [("alice", 3), ("bob", 4)] {
        let item = account(name).into_item();
        books.lay(item.key(), Some(Found { item, version }));
        books.decide(|draft| draft.put(account(name))).unwrap();
    }
    books
}

#[tokio::test(start_paused = true)]
async fn keys_left_unprocessed_are_unread_and_asked_for_again() {
    let keys = [account("alice").key(), account("bob").key(), account("carol").key()];
    let left = json!({ "pk": image("bob", 1, "c")["pk"], "sk": { "S": "account" } });
    let (table, script) = table([
        (
            200,
            json!({
                "Responses": { "paidonce-table": [image("alice", 1, "c")] },
                "UnprocessedKeys": { "paidonce-table": { "Keys": [left], "ConsistentRead": true } },
            }),
        ),
        (200, json!({ "Responses": { "paidonce-table": [image("bob", 2, "c")] }, "UnprocessedKeys": {} })),
    ]);
    let found = table.load(&keys).await.unwrap();
    assert!(found[&keys[0]].is_some() && found[&keys[1]].is_some() && found[&keys[2]].is_none());
    let asked = script.asked.lock().unwrap();
    assert!(asked.iter().all(|request| request["RequestItems"]["paidonce-table"]["ConsistentRead"] == true));
    assert_eq!(asked[1]["RequestItems"]["paidonce-table"]["Keys"], json!([left]));
}

#[tokio::test(start_paused = true)]
async fn keys_that_stay_unprocessed_are_an_error_and_never_absent() {
    let keys = [account("alice").key(), account("bob").key()];
    let left = json!({ "pk": image("bob", 1, "c")["pk"], "sk": { "S": "account" } });
    let answer = json!({ "Responses": {}, "UnprocessedKeys": { "paidonce-table": { "Keys": [left] } } });
    let (table, _) = table(std::iter::repeat_n((200, answer), 20));
    assert!(matches!(table.load(&keys).await, Err(ReadError::Unavailable(_))));
}

async fn cancelled(reasons: Value) -> Result<Committed, CommitError> {
    let answer = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled", "CancellationReasons": reasons,
    });
    let (table, _) = table([(400, answer)]);
    let books = two_writes();
    table.commit(&books.changes(), "own").await
}

#[tokio::test(start_paused = true)]
async fn every_cancellation_reason_is_read_by_its_place() {
    let (first, second) = {
        let books = two_writes();
        let keys: Vec<Key> = books.changes().iter().map(|change| *change.key()).collect();
        (keys[0], keys[1])
    };
    let name = |key: Key| if key == account("alice").key() { "alice" } else { "bob" };
    let none = json!({ "Code": "None" });
    let failed = json!({ "Code": "ConditionalCheckFailed", "Item": image(name(second), 9, "theirs") });
    match cancelled(json!([none, failed])).await.unwrap() {
        Committed::Lost(found) => {
            assert_eq!(found.keys().collect::<Vec<_>>(), [&second]);
            assert_eq!(found[&second].as_ref().unwrap().found.version, 9);
        }
        other => panic!("{other:?}"),
    }
    match cancelled(json!([{ "Code": "ConditionalCheckFailed" }, none])).await.unwrap() {
        Committed::Lost(found) => assert!(found[&first].is_none(), "what is gone is known to be gone"),
        other => panic!("{other:?}"),
    }
    for (code, why) in [
        ("TransactionConflict", "a rival transaction"),
        ("ThrottlingError", "too much load"),
        ("ProvisionedThroughputExceeded", "too much load"),
    ] {
        let outcome = cancelled(json!([none, { "Code": code }])).await.unwrap();
        let rivals = if code == "TransactionConflict" { vec![second] } else { Vec::new() };
        assert!(
            matches!(&outcome, Committed::Busy { why: said, over } if *said == why && *over == rivals),
            "{code}: {outcome:?}"
        );
    }
    let wrong = cancelled(json!([none, { "Code": "ValidationError", "Message": "too large" }])).await;
    assert!(matches!(wrong, Err(CommitError::Refused(said)) if said.contains("too large")));
    for unclear in [json!([]), json!([none, none]), json!([none])] {
        assert!(matches!(cancelled(unclear).await.unwrap(), Committed::Unknown(_)), "no reason is no verdict");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_busy_wrong_or_unknown_and_never_the_other() {
    let kind = |outcome: Result<Committed, CommitError>| match outcome {
        Ok(Committed::Busy { .. }) => "busy",
        Ok(Committed::Unknown(_)) => "unknown",
        Ok(Committed::Yes) => "yes",
        Ok(Committed::Lost(_)) => "lost",
        Err(_) => "wrong",
    };
    for (status, code, expected) in [
        (400, "ProvisionedThroughputExceededException", "busy"),
        (400, "RequestLimitExceeded", "busy"),
        (400, "ThrottlingException", "busy"),
        (400, "ValidationException", "wrong"),
        (400, "ResourceNotFoundException", "wrong"),
        (400, "IdempotentParameterMismatchException", "wrong"),
        (400, "TransactionInProgressException", "unknown"),
        (500, "InternalServerError", "unknown"),
        (503, "ServiceUnavailable", "unknown"),
        (400, "SomethingNew", "unknown"),
    ] {
        let answer = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "m" });
        let (table, _) = table([(status, answer)]);
        let books = two_writes();
        assert_eq!(kind(table.commit(&books.changes(), "own").await), expected, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_says_over_what_it_writes_and_under_which_token() {
    let (table, script) = table([(200, json!({}))]);
    let books = two_writes();
    assert!(matches!(table.commit(&books.changes(), "own").await, Ok(Committed::Yes)));
    let asked = script.asked.lock().unwrap().remove(0);
    assert_eq!(asked["ClientRequestToken"], "own");
    for action in asked["TransactItems"].as_array().unwrap() {
        let put = &action["Put"];
        assert_eq!(put["ConditionExpression"], "version = :version");
        assert_eq!(put["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
        let over: u64 = put["ExpressionAttributeValues"][":version"]["N"].as_str().unwrap().parse().unwrap();
        assert_eq!(put["Item"]["version"]["N"], (over + 1).to_string());
        assert_eq!(put["Item"]["commit"]["S"], "own");
    }
}
