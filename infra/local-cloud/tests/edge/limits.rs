//! How long and how large. Pages: `limits` of API Gateway, and of Lambda ("Lambda quotas").

use serde_json::json;

use crate::support::Scene;

const MIB: usize = 1024 * 1024;

fn scene() -> Scene {
    Scene::new("", &["Echo POST /echo", "Say POST /say", "Say POST /short + TimeoutInMillis: 50", "Echo GET /a"])
}

/// "Payload size: 10 MB". The words are those that AWS's own Lambda test tool (aws/aws-lambda-dotnet) answers for an
/// HTTP API.
#[tokio::test]
async fn a_request_of_more_than_10_mb_is_a_413() {
    let scene = scene();
    scene.call("POST /echo", &[], vec![b'x'; 10 * MIB + 1]).await.is(413, "Request Entity Too Large");
    assert_eq!(scene.asked("Echo"), 0);
}

/// "Invocation payload (request and response)" of a synchronous call: 6 MB each. What counts is the event, so a body
/// that goes in base64 may be of 4.5 MB only. An HTTP API says 413, as AWS's Lambda test tool does.
#[tokio::test]
async fn an_event_of_more_than_6_mb_is_a_413() {
    let text = [("content-type", "text/plain")];
    let scene = scene();
    scene.call("POST /echo", &text, vec![b'x'; 6 * MIB]).await.is(413, "Request Entity Too Large");
    scene.call("POST /echo", &[], vec![b'x'; 5 * MIB]).await.is(413, "Request Entity Too Large");
    scene.call("POST /echo", &text, vec![b'\n'; 3 * MIB]).await.is(413, "Request Entity Too Large");
    assert_eq!(scene.asked("Echo"), 0);
    for body in [vec![b'x'; 6 * MIB - 2_000], vec![b'\n'; 3 * MIB - 2_000]] {
        assert_eq!(scene.call("POST /echo", &text, body).await.status, 200);
    }
}

/// The same 6 MB for the answer: Lambda's error names 6,291,556 bytes, of the JSON as it is (measured in "Deep Dive:
/// Lambda's Response Payload Size Limit", Zac Charles). To the API it is a function that failed.
#[tokio::test]
async fn an_answer_of_more_than_6_mb_is_a_500() {
    let scene = scene();
    let quotes = 2;
    assert_eq!(scene.say(&json!({"is_long": 6_291_556 - quotes})).await.body.len(), 6_291_554);
    scene.say(&json!({"is_long": 6_291_557 - quotes})).await.is(500, "Internal Server Error");
}

/// "Total combined size of request line and header values: 10240 bytes". What is answered then is not documented; 431
/// is the status that HTTP has for it. Names do not count.
#[tokio::test]
async fn a_request_line_and_header_values_of_more_than_10240_bytes_are_a_431() {
    let line = "GET /a HTTP/1.1".len();
    let scene = scene();
    let value = |bytes: usize| "x".repeat(bytes);
    assert_eq!(scene.call("GET /a", &[("x-a", &value(5_000)), ("x-b", &value(5_240 - line))], "").await.status, 200);
    let answer = scene.call("GET /a", &[("x-a", &value(5_000)), ("x-b", &value(5_241 - line))], "").await;
    answer.is(431, "Request Header Fields Too Large");
    let answer = scene.call(&format!("GET /a?{}", value(10_240)), &[], "").await;
    answer.is(431, "Request Header Fields Too Large");
    assert_eq!(scene.asked("Echo"), 1);
}

/// "Maximum integration timeout: 30 seconds". Then it is a 503 with `Service Unavailable`: not documented, shown in
/// cortexlabs/cortex#1225 and told in anomalyco/sst#2232.
#[tokio::test(start_paused = true)]
async fn a_function_that_takes_more_than_30_seconds_is_a_503() {
    let scene = scene();
    assert_eq!(scene.say(&json!({"takes_ms": 29_999})).await.status, 200);
    scene.say(&json!({"takes_ms": 30_001})).await.is(503, "Service Unavailable");
}

/// `TimeoutInMillis` of SAM's event: "Custom timeout between 50 and 29,000 milliseconds" (SAM guide, `HttpApi`); the
/// API itself takes up to 30,000 (serverless/serverless#9677). The guide calls 5,000 the default, but SAM writes none
/// into the API (`samtranslator/model/eventsources/push.py`), whose own is 30 seconds.
#[tokio::test(start_paused = true)]
async fn a_route_may_wait_for_less() {
    let scene = scene();
    let call = async |ms: u64| {
        let body = json!({ "takes_ms": ms }).to_string();
        scene.call("POST /short", &[("content-type", "application/json")], body).await
    };
    assert_eq!(call(49).await.status, 200);
    call(51).await.is(503, "Service Unavailable");
}

/// What a function has been called for, it does to its end, whether or not the API still waits.
#[tokio::test(start_paused = true)]
async fn a_function_that_nobody_waits_for_runs_on() {
    let scene = scene();
    let started = tokio::time::Instant::now();
    scene.say(&json!({"takes_ms": 60_000})).await.is(503, "Service Unavailable");
    assert_eq!((started.elapsed().as_secs(), scene.asked("Say")), (30, 1));
}
