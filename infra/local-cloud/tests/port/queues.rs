//! SQS in both of its protocols, and EventBridge.

use serde_json::{Value, json};

use crate::support::*;

/// By the host under which the tests ask.
fn local_url(name: &str) -> String {
    format!("http://localhost/{ACCOUNT}/{name}")
}

#[tokio::test]
async fn urls_lead_back_to_the_host_that_was_asked() {
    let served = Served::start().await;
    let listed = served.call("AmazonSQS.ListQueues", &json!({ "QueueNamePrefix": "things" })).await;
    assert_eq!(listed.header("content-type"), "application/x-amz-json-1.0");
    let expected = [local_url("things"), local_url("things.fifo")];
    assert_eq!(listed.json(), json!({ "QueueUrls": expected }));
    let asked = Asking::call("AmazonSQS.GetQueueUrl", r#"{"QueueName": "things"}"#).with("host", "127.0.0.1:4566");
    let url = served.ask(&asked).await.json()["QueueUrl"].clone();
    assert_eq!(url, json!(format!("http://127.0.0.1:4566/{ACCOUNT}/things")));
    for url in [url, json!(local_url("things")), json!("https://sqs.eu-central-1.amazonaws.com/1/things")] {
        let sent = served.call("AmazonSQS.SendMessage", &json!({ "QueueUrl": url, "MessageBody": "x" })).await;
        assert_eq!(sent.status, 200, "{url}: {sent:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_a_url_stays_what_it_is() {
    let served = Served::start().await;
    let url = format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/things");
    let sent = served.call("AmazonSQS.SendMessage", &json!({ "QueueUrl": url, "MessageBody": url })).await;
    assert_eq!(sent.status, 200);
    let received = served.call("AmazonSQS.ReceiveMessage", &json!({ "QueueUrl": url })).await.json();
    let message = &received["Messages"][0];
    assert_eq!((&message["Body"], &message["MD5OfBody"]), (&json!(url), &sent.json()["MD5OfMessageBody"]));
}

#[tokio::test]
async fn a_listing_goes_page_by_page() {
    let served = Served::start().await;
    let first = served.call("AmazonSQS.ListQueues", &json!({ "MaxResults": 2 })).await.json();
    assert_eq!(first["QueueUrls"].as_array().unwrap().len(), 2);
    let rest = json!({ "MaxResults": 2, "NextToken": first["NextToken"] });
    let second = served.call("AmazonSQS.ListQueues", &rest).await.json();
    assert_eq!(second, json!({ "QueueUrls": [local_url("things.fifo")] }));
    let none = served.call("AmazonSQS.ListQueues", &json!({ "QueueNamePrefix": "nothing" })).await.json();
    assert_eq!(none, json!({}));
}

#[tokio::test]
async fn refusals_have_the_code_of_the_older_protocol_beside_them() {
    let served = Served::start().await;
    let of = |more: Value| {
        let mut request = json!({ "QueueUrl": local_url("things") });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    for (operation, request, kind, query_code) in [
        ("GetQueueUrl", json!({ "QueueName": "none" }), "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
        (
            "SendMessage",
            json!({ "QueueUrl": "none", "MessageBody": "x" }),
            "QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        ("SendMessage", json!({}), "MissingParameter", "MissingParameter"),
        ("SendMessage", of(json!({})), "MissingParameter", "MissingParameter"),
        (
            "SendMessage",
            of(json!({ "MessageBody": "x", "DelaySeconds": -1 })),
            "InvalidParameterValue",
            "InvalidParameterValue",
        ),
        ("ReceiveMessage", of(json!({ "MaxNumberOfMessages": 11 })), "InvalidParameterValue", "InvalidParameterValue"),
        ("ReceiveMessage", of(json!({ "WaitTimeSeconds": 21 })), "InvalidParameterValue", "InvalidParameterValue"),
        (
            "GetQueueAttributes",
            of(json!({ "AttributeNames": ["Colour"] })),
            "InvalidAttributeName",
            "InvalidAttributeName",
        ),
        ("DeleteMessage", of(json!({ "ReceiptHandle": "x" })), "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
        (
            "SendMessageBatch",
            of(json!({ "Entries": [] })),
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
        ),
        (
            "CreateQueue",
            json!({ "QueueName": "new" }),
            "UnsupportedOperation",
            "AWS.SimpleQueueService.UnsupportedOperation",
        ),
    ] {
        let answer = served.call(&format!("AmazonSQS.{operation}"), &request).await;
        assert_eq!(answer.refusal(), (400, kind.into()), "{operation} {request}");
        assert_eq!(answer.header("x-amzn-query-error"), format!("{query_code};Sender"));
    }
    for (request, message) in [
        (of(json!({ "MessageBody": 5 })), "NUMBER_VALUE can not be converted to a String"),
        (of(json!({ "MessageBody": "x", "DelaySeconds": "5" })), "STRING_VALUE can not be converted to an Integer"),
        (json!({ "QueueUrl": true }), "TRUE_VALUE can not be converted to a String"),
    ] {
        let answer = served.call("AmazonSQS.SendMessage", &request).await;
        assert_eq!((answer.refusal().1.as_str(), answer.message().as_str()), ("SerializationException", message));
    }
}

#[tokio::test]
async fn the_form_protocol_of_older_sdks_is_answered_in_xml() {
    let served = Served::start().await;
    let ask = async |form: &str| served.ask(&Asking::form("sqs", &format!("{form}&Version=2012-11-05"))).await;
    let found = ask("Action=GetQueueUrl&QueueName=things").await;
    assert_eq!((found.status, found.header("content-type")), (200, "text/xml"));
    assert_eq!(found.element("QueueUrl"), local_url("things"));
    let sent = ask("Action=SendMessage&QueueUrl=http%3A%2F%2Flocalhost%2F1%2Fthings&MessageBody=a+%3Cb%3E\
         &MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Number&MessageAttribute.1.Value.StringValue=1")
    .await;
    assert_eq!(sent.element("MD5OfMessageBody"), "6f12e74db70cbf33e7a9352c1edfcb69");
    // To the path of the queue, as some SDKs do it.
    let mut receive = Asking::form("sqs", "Action=ReceiveMessage&AttributeName.1=All&MessageAttributeName.1=All");
    receive = receive.at(&format!("/{ACCOUNT}/things"));
    let received = served.ask(&receive).await;
    assert_eq!(
        (received.element("MessageId"), received.element("Body")),
        (sent.element("MessageId"), "a &lt;b&gt;".into())
    );
    assert!(received.text().contains("<MessageAttribute><Name>n</Name><Value>"), "{}", received.text());
    assert!(received.text().contains("<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>"));
    let handle = received.element("ReceiptHandle");
    let batch = format!(
        "Action=DeleteMessageBatch&QueueUrl=x/things&DeleteMessageBatchRequestEntry.1.Id=a\
         &DeleteMessageBatchRequestEntry.1.ReceiptHandle={handle}&DeleteMessageBatchRequestEntry.2.Id=b\
         &DeleteMessageBatchRequestEntry.2.ReceiptHandle=none"
    );
    let deleted = ask(&batch).await;
    assert_eq!(deleted.element("DeleteMessageBatchResultEntry"), "<Id>a</Id>");
    assert!(deleted.element("BatchResultErrorEntry").contains("<Code>ReceiptHandleIsInvalid</Code>"));
    for (form, code) in [
        ("Action=GetQueueUrl&QueueName=none", "AWS.SimpleQueueService.NonExistentQueue"),
        ("Action=ReceiveMessage&QueueUrl=x/things&MaxNumberOfMessages=ten", "InvalidParameterValue"),
        ("Action=Nope", "InvalidAction"),
    ] {
        let refused = ask(form).await;
        assert_eq!((refused.status, refused.element("Code").as_str()), (400, code), "{form}");
        assert_eq!(refused.element("RequestId"), refused.header("x-amzn-requestid"));
    }
}

#[tokio::test]
async fn what_is_sent_through_the_port_is_taken_by_a_mapping_at_once() {
    let mut served = Served::start().await;
    let url = local_url("jobs");
    let sent = served.call("AmazonSQS.SendMessage", &json!({ "QueueUrl": url, "MessageBody": "work" })).await;
    assert_eq!(sent.status, 200);
    let (function, event) = served.events.recv().await.unwrap();
    assert_eq!((function.as_str(), &event["Records"][0]["body"]), ("Worker", &json!("work")));
    served.cloud.settled().await;
    let entry = json!({ "Source": "test", "DetailType": "t", "Detail": "{\"a\":1}", "EventBusName": "stack-bus" });
    let put = served.call("AWSEvents.PutEvents", &json!({ "Entries": [entry] })).await;
    assert_eq!((put.status, put.header("content-type")), (200, "application/x-amz-json-1.1"));
    let (function, event) = served.events.recv().await.unwrap();
    assert_eq!(
        (function.as_str(), &event["detail"], &event["id"]),
        ("Worker", &json!({ "a": 1 }), &put.json()["Entries"][0]["EventId"])
    );
    served.stop().await;
}

#[tokio::test]
async fn buses_rules_and_targets_are_shown() {
    let served = Served::start().await;
    let ask = async |operation: &str, request: Value| served.call(&format!("AWSEvents.{operation}"), &request).await;
    let page = ask("ListEventBuses", json!({ "Limit": 1 })).await.json();
    assert_eq!((&page["EventBuses"][0]["Name"], &page["NextToken"]), (&json!("default"), &json!("default")));
    let rest = ask("ListEventBuses", json!({ "NextToken": "default" })).await.json();
    let arn = format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/stack-bus");
    assert_eq!(rest, json!({ "EventBuses": [{ "Name": "stack-bus", "Arn": arn }] }));
    let rules = ask("ListRules", json!({})).await.json();
    assert_eq!(
        (&rules["Rules"][0]["ScheduleExpression"], &rules["Rules"][0]["State"]),
        (&json!("rate(1 hour)"), &json!("DISABLED"))
    );
    let rule = ask("DescribeRule", json!({ "Name": "told", "EventBusName": arn })).await.json();
    assert_eq!(rule["EventPattern"], json!(r#"{"source":["test"]}"#));
    let targets = ask("ListTargetsByRule", json!({ "Rule": "told", "EventBusName": "stack-bus" })).await.json();
    let worker = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:stack-Worker");
    assert_eq!(targets, json!({ "Targets": [{ "Id": "Target1", "Arn": worker }] }));
    for (operation, request, kind) in [
        ("DescribeEventBus", json!({ "Name": "none" }), "ResourceNotFoundException"),
        ("DescribeRule", json!({ "Name": "told" }), "ResourceNotFoundException"),
        ("DescribeRule", json!({}), "ValidationException"),
        ("ListRules", json!({ "Limit": 0 }), "ValidationException"),
        ("ListRules", json!({ "NamePrefix": 5 }), "SerializationException"),
        ("PutEvents", json!({}), "ValidationException"),
        ("PutEvents", json!({ "Entries": "x" }), "SerializationException"),
        ("PutEvents", json!({ "Entries": [{ "Source": 5 }] }), "SerializationException"),
        ("CreateEventBus", json!({ "Name": "x" }), "UnknownOperationException"),
    ] {
        assert_eq!(ask(operation, request).await.refusal(), (400, kind.into()), "{operation}");
    }
}
