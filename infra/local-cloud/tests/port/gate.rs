//! Who may ask, and what those are told who forgot to sign.

use crate::support::*;

const LIST: &str = "DynamoDB_20120810.ListTables";

#[tokio::test]
async fn only_who_addresses_this_machine_by_its_own_name_is_answered() {
    let served = Served::start().await;
    for host in ["localhost:4566", "127.0.0.1", "[::1]:80", "things.localhost", "host.docker.internal:4566"] {
        assert_eq!(served.ask(&Asking::call(LIST, "{}").with("host", host)).await.status, 200, "{host}");
    }
    for host in ["example.com", "localhost.example.com:4566", "10.0.0.1", "127.0.0.1.nip.io"] {
        let mut wire = served.connect().await;
        let answer = wire.ask(&Asking::call(LIST, "{}").with("host", host)).await;
        assert_eq!((answer.status, answer.header("connection")), (403, "close"), "{host}");
        assert!(answer.text().contains(host) && !answer.text().contains(TABLE), "{answer:?}");
    }
    assert_eq!(served.ask(&Asking::call(LIST, "{}").without("host")).await.status, 403, "no host at all");
}

#[tokio::test]
async fn no_page_of_another_site_is_answered_and_none_is_ever_allowed() {
    let served = Served::start().await;
    for (header, value) in [
        ("origin", "https://example.com"),
        ("origin", "null"),
        ("origin", "http://localhost.example.com"),
        ("sec-fetch-site", "cross-site"),
    ] {
        // A form is what a browser sends without asking first.
        let form = Asking::form("sqs", "Action=ListQueues&Version=2012-11-05").with(header, value);
        assert_eq!(served.ask(&form).await.status, 403, "{header}: {value}");
    }
    let preflight = Asking::new("OPTIONS", "/", b"").with("origin", "http://localhost:3000");
    let answer = served.ask(&preflight.with("access-control-request-method", "POST")).await;
    assert!(
        answer.status >= 400 && !answer.headers.keys().any(|name| name.starts_with("access-control-")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn who_forgot_to_sign_hears_what_each_service_says_to_that() {
    let served = Served::start().await;
    let unsigned = |asking: Asking| asking.without("authorization").without("x-amz-date");
    for (target, status, kind) in [
        (LIST, 400, "MissingAuthenticationTokenException"),
        ("DynamoDBStreams_20120810.ListStreams", 400, "MissingAuthenticationTokenException"),
        ("AWSEvents.ListEventBuses", 400, "MissingAuthenticationTokenException"),
        ("AmazonSQS.ListQueues", 403, "AccessDeniedException"),
    ] {
        let answer = served.ask(&unsigned(Asking::call(target, "{}"))).await;
        assert_eq!(answer.refusal(), (status, kind.into()), "{target}");
        assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    }
    let functions = served.ask(&Asking::new("GET", "/2015-03-31/functions", b"")).await;
    assert_eq!((functions.status, functions.header("x-amzn-errortype")), (403, "MissingAuthenticationTokenException"));
    let object = served.ask(&Asking::new("GET", "/things/key", b"")).await;
    assert_eq!((object.status, object.element("Code")), (403, "AccessDenied".into()));
    for form in ["Action=ListQueues&Version=2012-11-05", "Action=GetCallerIdentity&Version=2011-06-15"] {
        let answer = served.ask(&unsigned(Asking::form("sqs", form))).await;
        assert_eq!((answer.status, answer.element("Code")), (403, "MissingAuthenticationToken".into()));
    }
}

#[tokio::test]
async fn a_signature_that_is_not_whole_is_refused_and_any_whole_one_is_taken() {
    let served = Served::start().await;
    let partly =
        Asking::call(LIST, "{}").with("authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/dynamodb/aws4_request");
    let answer = served.ask(&partly).await;
    assert_eq!(answer.refusal(), (400, "IncompleteSignatureException".into()));
    assert!(answer.message().contains("requires 'Signature' parameter"), "{answer:?}");
    let undated = Asking::call(LIST, "{}").without("x-amz-date");
    assert_eq!(served.ask(&undated).await.refusal(), (400, "IncompleteSignatureException".into()));
    let presigned = "/things/none?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb%2Fc%2Fs3%2Faws4_request\
                     &X-Amz-Date=20260101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=abc";
    assert_eq!(served.ask(&Asking::new("GET", presigned, b"")).await.element("Code"), "NoSuchKey");
}

#[tokio::test]
async fn a_service_that_is_not_here_is_named_with_those_that_are() {
    let served = Served::start().await;
    let json = Asking::call("TrentService.ListKeys", "{}");
    let rest = Asking::new("GET", "/restapis", b"").signed("apigateway");
    for (asking, name) in [(json, "TrentService.ListKeys"), (rest, "apigateway")] {
        let answer = served.ask(&asking).await;
        assert_eq!(answer.refusal(), (400, "UnknownOperationException".into()));
        assert!(answer.message().starts_with(&format!("{name} is not served here; what is: DynamoDB,")), "{answer:?}");
    }
    let form = served.ask(&Asking::form("sns", "Action=ListTopics&Version=2010-03-31")).await;
    assert_eq!((form.status, form.element("Code")), (400, "InvalidAction".into()));
    assert!(form.element("Message").starts_with("sns is not served here"), "{form:?}");
    for untold in [Asking::new("POST", "/", b"{}"), Asking::new("POST", "/", b"{}").signed("dynamodb")] {
        assert_eq!(served.ask(&untold).await.refusal(), (400, "UnknownOperationException".into()));
    }
}
