//! Lambda and STS.

use serde_json::{Value, json};

use crate::support::*;

fn invoking(name: &str, event: &str) -> Asking {
    Asking::new("POST", &format!("/2015-03-31/functions/{name}/invocations"), event.as_bytes()).signed("lambda")
}

#[tokio::test]
async fn an_invocation_has_the_functions_answer_or_says_that_it_failed() {
    let served = Served::start().await;
    for name in
        ["stack-Echo", "Echo", "arn:aws:lambda:eu-central-1:123456789012:function:stack-Echo", "stack-Echo:$LATEST"]
    {
        let answer = served.ask(&invoking(name, r#"{"a": 1}"#)).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "a": 1 })), "{name}");
        assert_eq!((answer.header("x-amz-function-error"), answer.header("x-amz-executed-version")), ("", "$LATEST"));
    }
    assert_eq!(served.ask(&invoking("Echo", "")).await.json(), json!({}), "no payload is an empty event");
    let failed = served.ask(&invoking("Echo", r#"{"fail": "no"}"#)).await;
    assert_eq!((failed.status, failed.header("x-amz-function-error")), (200, "Unhandled"));
    assert_eq!(failed.json(), json!({ "errorType": "Broken", "errorMessage": "no" }));
}

#[tokio::test]
async fn one_that_nobody_waits_for_is_run_all_the_same() {
    let mut served = Served::start().await;
    let event = invoking("Worker", r#"{"later": true}"#).with("x-amz-invocation-type", "Event");
    let answer = served.ask(&event).await;
    assert_eq!((answer.status, answer.body.len()), (202, 0));
    assert_eq!(served.events.recv().await.unwrap(), ("Worker".into(), json!({ "later": true })));
    let dry = invoking("Worker", "{}").with("x-amz-invocation-type", "DryRun");
    assert_eq!(served.ask(&dry).await.status, 204);
    served.cloud.settled().await;
    assert!(served.events.try_recv().is_err(), "a dry run runs nothing");
    served.stop().await;
}

#[tokio::test]
async fn what_keeps_a_function_from_running_is_an_error_of_the_service() {
    let served = Served::start().await;
    let long = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    for (asking, status, code) in [
        (invoking("none", "{}"), 404, "ResourceNotFoundException"),
        (invoking("Shut", "{}"), 429, "TooManyRequestsException"),
        (invoking("Echo", "{"), 400, "InvalidRequestContentException"),
        (invoking("Echo", &long), 413, "RequestTooLargeException"),
        (invoking("Echo", "{}").with("x-amz-invocation-type", "Later"), 400, "ValidationException"),
        (Asking::new("DELETE", "/2015-03-31/functions/Echo", b"").signed("lambda"), 404, "UnknownOperationException"),
        (
            Asking::new("GET", "/2015-03-31/functions?MaxItems=0", b"").signed("lambda"),
            400,
            "InvalidParameterValueException",
        ),
    ] {
        let answer = served.ask(&asking).await;
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, code), "{answer:?}");
        assert!(answer.json()["Message"].is_string());
    }
}

#[tokio::test]
async fn functions_are_listed_page_by_page_and_looked_at() {
    let served = Served::start().await;
    let get = async |path: &str| served.ask(&Asking::new("GET", path, b"").signed("lambda")).await.json();
    let names = |page: &Value| -> Vec<String> {
        page["Functions"].as_array().unwrap().iter().map(|one| one["FunctionName"].as_str().unwrap().into()).collect()
    };
    let first = get("/2015-03-31/functions/?MaxItems=2").await;
    assert_eq!(names(&first), ["stack-Echo", "stack-Shut"]);
    let rest = get(&format!("/2015-03-31/functions?Marker={}", first["NextMarker"].as_str().unwrap())).await;
    assert_eq!((names(&rest), &rest["NextMarker"]), (vec!["stack-Worker".into()], &Value::Null));
    let one = get("/2015-03-31/functions/Shut").await;
    assert_eq!(one["Concurrency"], json!({ "ReservedConcurrentExecutions": 0 }));
    assert_eq!(get("/2015-03-31/functions/Shut/configuration").await, one["Configuration"]);
}

#[tokio::test]
async fn whoever_asks_is_told_who_they_are() {
    let served = Served::start().await;
    let ask = async |form: &str| served.ask(&Asking::form("sts", &format!("{form}&Version=2011-06-15"))).await;
    let told = ask("Action=GetCallerIdentity").await;
    assert_eq!((told.status, told.element("Account")), (200, ACCOUNT.into()));
    assert_eq!(ask("Action=AssumeRole").await.element("Code"), "InvalidAction");
}
