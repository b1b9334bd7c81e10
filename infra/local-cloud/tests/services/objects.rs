//! S3 through the real SDK, in both styles of address, and the event of a new object.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use local_cloud::stack::{Stack, Target};
use serde_json::json;

use crate::support::*;

const KEY: &str = "a folder/ünïcode & more.json";

fn with_bucket() -> Stack {
    let mut stack = stack();
    stack.buckets.push(bucket("things"));
    stack.functions.push(function("Listener"));
    let pattern =
        json!({"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": ["things"]}}});
    stack.rules.push(rule("new-object", "default", pattern, Target::Function("Listener".into())));
    stack
}

#[tokio::test(start_paused = true)]
async fn an_object_goes_in_and_comes_out_in_either_style() {
    let cloud = open(with_bucket());
    let by_host = s3(&cloud);
    let by_path = aws_sdk_s3::Client::from_conf(by_host.config().to_builder().force_path_style(true).build());
    for client in [by_host, by_path] {
        let put =
            client.put_object().bucket("things").key(KEY).body(ByteStream::from_static(b"hello")).metadata("who", "me");
        let e_tag = put.send().await.unwrap().e_tag.unwrap();
        let got = client.get_object().bucket("things").key(KEY).send().await.unwrap();
        assert_eq!(
            (got.e_tag(), got.content_length(), got.metadata().unwrap()["who"].as_str()),
            (Some(e_tag.as_str()), Some(5), "me")
        );
        assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
        let head = client.head_object().bucket("things").key(KEY).send().await.unwrap();
        assert_eq!(head.content_length(), Some(5));
        client.delete_object().bucket("things").key(KEY).send().await.unwrap();
        let gone = client.get_object().bucket("things").key(KEY).send().await.unwrap_err();
        assert!(gone.into_service_error().is_no_such_key());
        let gone = client.head_object().bucket("things").key(KEY).send().await.unwrap_err();
        assert!(gone.into_service_error().is_not_found());
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_goes_by_prefix_and_page() {
    let cloud = open(with_bucket());
    let client = s3(&cloud);
    for key in ["a/1", "a/2", "a/3", "b/1"] {
        client.put_object().bucket("things").key(key).body(ByteStream::from_static(b"x")).send().await.unwrap();
    }
    let list = client.list_objects_v2().bucket("things").prefix("a/").max_keys(2);
    let first = list.clone().send().await.unwrap();
    let keys = |page: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| -> Vec<String> {
        page.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    };
    assert_eq!((keys(&first), first.is_truncated()), (vec!["a/1".into(), "a/2".into()], Some(true)));
    let second = list.continuation_token(first.next_continuation_token().unwrap()).send().await.unwrap();
    assert_eq!((keys(&second), second.is_truncated()), (vec!["a/3".to_owned()], Some(false)));
    let absent = client.list_objects_v2().bucket("absent").send().await.unwrap_err();
    assert!(absent.into_service_error().is_no_such_bucket());
}

#[tokio::test(start_paused = true)]
async fn a_new_object_is_told_to_the_default_bus() {
    let cloud = open(with_bucket());
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    s3(&cloud).put_object().bucket("things").key(KEY).body(ByteStream::from_static(b"hello")).send().await.unwrap();
    cloud.settled().await;
    let event = &seen.events()[0];
    assert_eq!((&event["account"], &event["resources"]), (&json!(ACCOUNT), &json!([bucket_arn("things")])));
    let object = &event["detail"]["object"];
    assert_eq!(
        (&object["key"], &object["size"], &object["etag"]),
        (&json!(KEY), &json!(5), &json!("5d41402abc4b2a76b9719d911017c592"))
    );
    assert_eq!((&event["detail"]["version"], &event["detail"]["reason"]), (&json!("0"), &json!("PutObject")));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_tells_nobody_tells_nobody() {
    let mut stack = with_bucket();
    stack.buckets[0].tells_event_bridge = false;
    let cloud = open(stack);
    let seen = Seen::default();
    let running = start(&cloud, &seen, fine);
    s3(&cloud).put_object().bucket("things").key(KEY).body(ByteStream::from_static(b"hello")).send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.count(), 0);
    running.stop().await;
}
