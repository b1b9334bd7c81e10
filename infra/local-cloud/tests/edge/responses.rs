//! What a function answered, as the client gets it. Page: `http-api-develop-integrations-lambda`.

use serde_json::{Value, json};

use crate::support::Scene;

fn scene() -> Scene {
    Scene::new("", &["Say POST /say"])
}

/// "API Gateway makes the following assumptions if your Lambda function returns valid JSON and doesn't return a
/// `statusCode`: `isBase64Encoded` is `false`. `statusCode` is `200`. `content-type` is `application/json`. `body` is
/// the function's response." A text is not quoted: "Hello from Lambda!" is the page's first example.
#[tokio::test]
async fn an_answer_without_a_status_code_is_the_body_of_a_200() {
    for (answer, body) in [
        (json!("Hello from Lambda!"), "Hello from Lambda!"),
        (json!({"message": "Hello from Lambda!"}), r#"{"message":"Hello from Lambda!"}"#),
        (json!({"body": "x", "headers": {"a": "b"}}), r#"{"body":"x","headers":{"a":"b"}}"#),
        (json!([1, 2]), "[1,2]"),
        (json!(5), "5"),
        (json!(true), "true"),
        (json!(null), "null"),
    ] {
        let said = scene().say(&answer).await;
        assert_eq!((said.status, &said.body[..]), (200, body.as_bytes()));
        assert_eq!(said.header("content-type"), ["application/json"]);
    }
}

/// "To customize the response, your Lambda function should return a response with the following format": `cookies`,
/// `isBase64Encoded`, `statusCode`, `headers`, `body`.
#[tokio::test]
async fn an_answer_with_a_status_code_is_taken_at_its_word() {
    let answer = json!({"statusCode": 201, "headers": {"X-Thing": "a"}, "body": "made"});
    let said = scene().say(&answer).await;
    assert_eq!((said.status, &said.body[..], said.header("x-thing")), (201, b"made".as_slice(), vec!["a"]));
    let answer =
        json!({"statusCode": 200, "headers": {"content-type": "image/x"}, "body": "/wA=", "isBase64Encoded": true});
    let said = scene().say(&answer).await;
    assert_eq!((&said.body[..], said.header("content-type")), (b"\xff\0".as_slice(), vec!["image/x"]));
}

/// "In the response to the client, each cookie becomes a `set-cookie` header." Those of the list come first, those
/// among the headers after them: not documented; ministackorg/ministack (`services/apigateway.py`) observed it on AWS.
#[tokio::test]
async fn each_cookie_becomes_a_set_cookie_header() {
    let answer = json!({"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"], "headers": {"Set-Cookie": "c=3"}});
    assert_eq!(scene().say(&answer).await.header("set-cookie"), ["a=1; Path=/", "b=2", "c=3"]);
}

/// "Format `2.0` doesn't have `multiValueHeaders`": what is under that name only does not arrive. So it was seen on AWS
/// (aws/aws-lambda-rust-runtime#876, aws/serverless-java-container#377).
#[tokio::test]
async fn multi_value_headers_are_no_field_of_the_answer() {
    let answer = json!({"statusCode": 200, "multiValueHeaders": {"x-thing": ["a", "b"]}, "headers": {"x-other": "c"}});
    let said = scene().say(&answer).await;
    assert_eq!((said.header("x-thing"), said.header("x-other")), (vec![], vec!["c"]));
}

/// Not documented. aws/aws-lambda-rust-runtime#876 shows an answer of AWS without a content type of the function's.
#[tokio::test]
async fn a_content_type_that_is_not_given_is_plain_text() {
    let said = scene().say(&json!({"statusCode": 200, "body": "{}"})).await;
    assert_eq!(said.header("content-type"), ["text/plain; charset=utf-8"]);
}

/// "My API with a Lambda integration returns `{"message":"Internal Server Error"}`" (`http-api-troubleshooting-lambda`)
/// is all that a client learns, whether the function failed or answered what is no answer.
#[tokio::test]
async fn a_function_that_fails_or_answers_nonsense_is_a_500() {
    for answer in [
        json!({"fails": "out of order"}),
        json!({"panics": true}),
        json!({"statusCode": 0}),
        json!({"statusCode": 99}),
        json!({"statusCode": 600}),
        json!({"statusCode": 200.5}),
        json!({"statusCode": "ok"}),
        json!({"statusCode": null}),
        json!({"statusCode": 200, "headers": {"a b": "c"}}),
        json!({"statusCode": 200, "headers": {"a": "line\nfeed"}}),
        json!({"statusCode": 200, "headers": ["a"]}),
        json!({"statusCode": 200, "cookies": "a=1"}),
        json!({"statusCode": 200, "body": {"a": 1}}),
        json!({"statusCode": 200, "body": "?", "isBase64Encoded": true}),
    ] {
        scene().say(&answer).await.is(500, "Internal Server Error");
    }
}

/// Every answer has an `apigw-requestid`, the id of its event: not documented; seen in answers of AWS, its own errors
/// among them (cortexlabs/cortex#1225). One that the function makes up does not replace it.
#[tokio::test]
async fn every_answer_has_the_request_id() {
    let scene = scene();
    let said = scene.say(&json!({"statusCode": 200, "headers": {"apigw-requestid": "mine"}})).await;
    let id = scene.last_event("Say")["requestContext"]["requestId"].clone();
    assert_eq!(said.header("apigw-requestid").into_iter().map(Value::from).collect::<Vec<_>>(), [id]);
    assert_eq!(scene.call("GET /nowhere", &[], "").await.header("apigw-requestid").len(), 1);
}

/// Headers of the connection are the server's: a function that sets them would break the framing. (AWS drops or
/// renames them; `http-api-parameter-mapping` lists them as reserved.)
#[tokio::test]
async fn headers_of_the_connection_are_not_the_functions() {
    let headers =
        json!({"Content-Length": "9999", "Transfer-Encoding": "chunked", "Connection": "upgrade", "Upgrade": "h2c"});
    let said = scene().say(&json!({"statusCode": 200, "headers": headers, "body": "x"})).await;
    for name in ["content-length", "transfer-encoding", "connection", "upgrade"] {
        assert_eq!(said.header(name), Vec::<&str>::new(), "{name}");
    }
}
