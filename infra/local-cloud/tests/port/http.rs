//! HTTP as clients speak it: connections that are kept, bodies in chunks, leave that is asked for, lengths that are too
//! much.

use serde_json::json;

use crate::support::*;

const LIST: &str = "DynamoDB_20120810.ListTables";

#[tokio::test]
async fn a_connection_is_kept_from_request_to_request() {
    let served = Served::start().await;
    let mut wire = served.connect().await;
    for _ in 0..3 {
        assert_eq!(wire.ask(&Asking::call(LIST, "{}")).await.status, 200);
        assert_eq!(wire.ask(&Asking::call(LIST, "{")).await.status, 400, "a refusal does not end it");
        assert_eq!(wire.ask(&Asking::call(LIST, "{}").without("authorization")).await.status, 400);
    }
    let last = wire.ask(&Asking::call(LIST, "{}").with("connection", "close")).await;
    assert_eq!(last.status, 200);
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let served = Served::start().await;
    let mut wire = served.connect().await;
    wire.write(&Asking::call(LIST, "").with("transfer-encoding", "chunked").head()).await;
    wire.write(b"1\r\n{\r\n").await;
    wire.write(b"1\r\n}\r\n0\r\n\r\n").await;
    assert_eq!(wire.answer(false).await.json(), json!({ "TableNames": [TABLE] }));
}

#[tokio::test]
async fn who_asks_for_leave_to_send_gets_it_and_then_the_answer() {
    let served = Served::start().await;
    let mut wire = served.connect().await;
    let put = Asking::s3("PUT", "/things/key", b"").with("content-length", "5").with("expect", "100-continue");
    wire.write(&put.head()).await;
    assert_eq!(wire.answer(false).await.status, 100);
    wire.write(b"hello").await;
    let answer = wire.answer(false).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"5d41402abc4b2a76b9719d911017c592\""));
}

#[tokio::test]
async fn what_is_too_long_is_refused_in_the_words_of_its_service_before_it_is_sent() {
    let served = Served::start().await;
    let megabytes = |count: usize| (count * 1024 * 1024).to_string();
    for (asking, megabyte, status, said) in [
        (Asking::call(LIST, ""), 17, 413, "RequestEntityTooLargeException"),
        (Asking::call("AmazonSQS.SendMessage", ""), 17, 413, "RequestEntityTooLargeException"),
        (Asking::call("AWSEvents.PutEvents", ""), 17, 413, "RequestEntityTooLargeException"),
        (Asking::s3("PUT", "/things/key", b""), 65, 400, "<Code>EntityTooLarge</Code>"),
    ] {
        let mut wire = served.connect().await;
        let asking = asking.with("content-length", &megabytes(megabyte)).with("expect", "100-continue");
        wire.write(&asking.head()).await;
        let answer = wire.answer(false).await;
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{answer:?}");
        assert!(answer.text().contains(said), "{answer:?}");
        assert!(wire.is_closed().await, "what would come is not the next request");
    }
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_finish_and_takes_nothing_new() {
    let served = Served::start().await;
    let port = served.port;
    let mut waiting = served.connect().await;
    let url = format!("http://localhost/{ACCOUNT}/things");
    let receive = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 }).to_string();
    let asked = tokio::spawn(async move { waiting.ask(&Asking::call("AmazonSQS.ReceiveMessage", &receive)).await });
    let mut sender = served.connect().await;
    let send = json!({ "QueueUrl": url, "MessageBody": "late" }).to_string();
    let send = Asking::call("AmazonSQS.SendMessage", &send);
    assert_eq!(sender.ask(&send).await.status, 200);
    let received = asked.await.unwrap();
    assert_eq!(received.json()["Messages"][0]["Body"], "late");
    served.stop().await;
    assert!(sender.is_closed().await, "a connection that is only kept is closed");
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
