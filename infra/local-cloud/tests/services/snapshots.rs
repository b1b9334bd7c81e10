//! Looking at a state without being in its owner's way.

use std::path::Path;

use crate::support::*;
use local_cloud::stack::Stack;
use local_cloud::{Clock, Cloud, CloudError, Options, Storage};

fn with_table_and_queue() -> Stack {
    let mut stack = stack();
    stack.tables.push(table());
    stack.stream_mappings.push(stream_mapping("reader"));
    stack.functions.push(function("reader"));
    stack.queues.push(queue("jobs"));
    stack
}

fn open_in(directory: &Path) -> Cloud {
    let options = Options::new(Storage::Directory(directory.into()), Clock::wall(), 1);
    Cloud::open(with_table_and_queue(), options).unwrap()
}

async fn count(cloud: &Cloud) -> i32 {
    dynamodb(cloud).scan().table_name(TABLE).send().await.unwrap().count
}

#[tokio::test]
async fn a_snapshot_of_an_open_state_is_what_it_was_and_stays_apart() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = open_in(directory.path());
    put(&dynamodb(&cloud), "a", "1").await;
    send(&sqs(&cloud), "jobs", "work").await;

    let snapshot = Cloud::snapshot_of(directory.path(), with_table_and_queue()).unwrap();
    assert!(snapshot.is_in_use);
    put(&dynamodb(&cloud), "a", "2").await;
    put(&dynamodb(&snapshot.cloud), "b", "1").await;
    put(&dynamodb(&snapshot.cloud), "b", "2").await;
    assert_eq!((count(&cloud).await, count(&snapshot.cloud).await), (2, 3), "one saw nothing of the other");
    assert_eq!(snapshot.cloud.queue_depths()["jobs"].visible, 1);
    assert_eq!(cloud.unread_changes().unwrap(), 2, "nothing has read the stream");
}

#[tokio::test]
async fn a_state_that_nobody_has_open_is_left_for_its_next_owner() {
    let directory = tempfile::tempdir().unwrap();
    put(&dynamodb(&open_in(directory.path())), "a", "1").await;
    let snapshot = Cloud::snapshot_of(directory.path(), with_table_and_queue()).unwrap();
    assert!(!snapshot.is_in_use);
    let next = open_in(directory.path());
    assert_eq!((count(&next).await, count(&snapshot.cloud).await), (1, 1));
}

#[tokio::test]
async fn a_directory_without_a_state_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for absent in [directory.path().to_owned(), directory.path().join("nowhere")] {
        let refused = Cloud::snapshot_of(&absent, with_table_and_queue()).err().unwrap();
        assert!(matches!(refused, CloudError::NoState { .. }), "{refused}");
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
}
