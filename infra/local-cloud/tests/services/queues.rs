//! SQS through the real SDK: each rule of a queue.

use std::time::Duration;

use crate::support::*;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
    MessageSystemAttributeName as Name, QueueAttributeName, SendMessageBatchRequestEntry,
};
use local_cloud::stack::Stack;
use local_cloud::{Clock, Cloud, Options, QueueDepth, Storage};

fn with_queues(queues: impl IntoIterator<Item = local_cloud::stack::Queue>) -> Stack {
    let mut stack = stack();
    stack.queues.extend(queues);
    stack
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// "a visibility timeout, a period of time during which Amazon SQS prevents other consumers from receiving and
/// processing the message" (SQS Developer Guide, Amazon SQS visibility timeout).
#[tokio::test(start_paused = true)]
async fn a_message_is_hidden_while_somebody_holds_it_and_comes_back() {
    let cloud = open(with_queues([queue("work")]));
    let client = sqs(&cloud);
    send(&client, "work", "one").await;
    let first = receive(&client, "work").await;
    assert_eq!(bodies(&first), ["one"]);
    assert!(receive(&client, "work").await.is_empty());
    pass(30).await;
    let second = receive(&client, "work").await;
    let attribute = |name: Name| second[0].attributes().unwrap()[&name].clone();
    assert_eq!(attribute(Name::ApproximateReceiveCount), "2");
    assert_eq!(attribute(Name::SentTimestamp), START_MS.to_string());
    assert_eq!(attribute(Name::ApproximateFirstReceiveTimestamp), START_MS.to_string());
    client
        .delete_message()
        .queue_url(url("work"))
        .receipt_handle(second[0].receipt_handle().unwrap())
        .send()
        .await
        .unwrap();
    pass(60).await;
    assert!(receive(&client, "work").await.is_empty());
}

/// "any messages that you send to the queue remain invisible to consumers for the duration of the delay period"
/// (Amazon SQS delay queues).
#[tokio::test(start_paused = true)]
async fn a_delayed_message_comes_when_its_time_has_come() {
    let cloud = open(with_queues([queue("work")]));
    let client = sqs(&cloud);
    client.send_message().queue_url(url("work")).message_body("later").delay_seconds(5).send().await.unwrap();
    assert_eq!(cloud.queue_depths()["work"], QueueDepth { visible: 0, in_flight: 0, delayed: 1 });
    assert!(receive(&client, "work").await.is_empty());
    pass(5).await;
    assert_eq!(bodies(&receive(&client, "work").await), ["later"]);
    assert_eq!(cloud.queue_depths()["work"], QueueDepth { visible: 0, in_flight: 1, delayed: 0 });
}

/// "Amazon SQS sends a response after it collects at least one available message … Amazon SQS sends an empty response
/// only if the polling wait time expires." (Amazon SQS short and long polling)
#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_the_first_message_or_with_its_time() {
    let cloud = open(with_queues([queue("work")]));
    let client = sqs(&cloud);
    let began = tokio::time::Instant::now();
    let poll = client.receive_message().queue_url(url("work")).wait_time_seconds(20);
    assert!(poll.clone().send().await.unwrap().messages.is_none());
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    let sending = async {
        pass(3).await;
        send(&client, "work", "now").await;
    };
    let (received, ()) = tokio::join!(poll.send(), sending);
    assert_eq!(bodies(received.unwrap().messages()), ["now"]);
    assert_eq!(began.elapsed(), Duration::from_secs(23));
}

/// "When you receive a message with a message group ID, no more messages for the same message group ID are returned
/// unless you delete the message or it becomes visible." (FIFO delivery logic)
#[tokio::test(start_paused = true)]
async fn a_group_keeps_its_order_and_waits_while_one_of_it_is_held() {
    let cloud = open(with_queues([queue("work.fifo")]));
    let client = sqs(&cloud);
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2")] {
        send_to_group(&client, "work.fifo", group, body).await;
    }
    let one = client.receive_message().queue_url(url("work.fifo")).send().await.unwrap().messages.unwrap();
    assert_eq!(bodies(&one), ["a1"]);
    let others = receive(&client, "work.fifo").await;
    assert_eq!(bodies(&others), ["b1"], "a2 waits for a1");
    client
        .delete_message()
        .queue_url(url("work.fifo"))
        .receipt_handle(one[0].receipt_handle().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(bodies(&receive(&client, "work.fifo").await), ["a2"]);
    pass(30).await;
    assert_eq!(bodies(&receive(&client, "work.fifo").await), ["b1", "a2"], "undeleted, they come again in order");
}

/// "any messages sent with the same message deduplication ID are accepted successfully but aren't delivered during
/// the 5-minute deduplication interval"; "Amazon SQS continues to keep track of the message deduplication ID even
/// after the message is received and deleted." (Using the Amazon SQS message deduplication ID)
#[tokio::test(start_paused = true)]
async fn a_repeat_within_five_minutes_is_told_the_first_ones_id_and_not_queued() {
    let cloud = open(with_queues([queue("work.fifo")]));
    let client = sqs(&cloud);
    let sending = |group: &str| {
        client
            .send_message()
            .queue_url(url("work.fifo"))
            .message_body("x")
            .message_group_id(group)
            .message_deduplication_id("same")
            .send()
    };
    let first = sending("a").await.unwrap();
    let again = sending("b").await.unwrap();
    assert_eq!((first.message_id(), first.sequence_number()), (again.message_id(), again.sequence_number()));
    let held = receive(&client, "work.fifo").await;
    client
        .delete_message()
        .queue_url(url("work.fifo"))
        .receipt_handle(held[0].receipt_handle().unwrap())
        .send()
        .await
        .unwrap();
    pass(299).await;
    sending("a").await.unwrap();
    assert!(receive(&client, "work.fifo").await.is_empty(), "deleted, and still remembered");
    pass(1).await;
    let later = sending("a").await.unwrap();
    assert_ne!(later.message_id(), first.message_id());
    assert!(later.sequence_number() > first.sequence_number());
}

/// "This instructs Amazon SQS to use a SHA-256 hash to generate the message deduplication ID using the body of the
/// message—but not the attributes of the message." (Exactly-once processing) "DeduplicationScope – Specifies whether
/// message deduplication occurs at the message group or queue level." (SQS API Reference, CreateQueue)
#[tokio::test(start_paused = true)]
async fn deduplication_may_be_per_group_and_by_content() {
    let mut per_group = queue("groups.fifo");
    per_group.deduplicates_per_group = true;
    let mut by_content = queue("content.fifo");
    by_content.content_based_deduplication = true;
    let cloud = open(with_queues([per_group, by_content]));
    let client = sqs(&cloud);
    for group in ["a", "b"] {
        client
            .send_message()
            .queue_url(url("groups.fifo"))
            .message_body("x")
            .message_group_id(group)
            .message_deduplication_id("same")
            .send()
            .await
            .unwrap();
    }
    assert_eq!(receive(&client, "groups.fifo").await.len(), 2);
    for body in ["x", "x", "y"] {
        client
            .send_message()
            .queue_url(url("content.fifo"))
            .message_body(body)
            .message_group_id("g")
            .send()
            .await
            .unwrap();
    }
    assert_eq!(bodies(&receive(&client, "content.fifo").await), ["x", "y"]);
}

/// "The `maxReceiveCount` is the number of times a consumer tries receiving a message from a queue without deleting
/// it before being moved to the dead-letter queue." "When a message is moved from a FIFO queue to a FIFO DLQ, the
/// original message's deduplication ID will be replaced with the original message's ID." (Amazon SQS dead-letter
/// queues)
#[tokio::test(start_paused = true)]
async fn received_too_often_it_goes_to_the_dead_letters_and_frees_its_group() {
    let cloud = open(with_queues([with_dead_letters(queue("work.fifo"), "dead.fifo", 2), queue("dead.fifo")]));
    let client = sqs(&cloud);
    send_to_group(&client, "work.fifo", "a", "poison").await;
    for _ in 0..2 {
        assert_eq!(bodies(&receive(&client, "work.fifo").await), ["poison"]);
        pass(30).await;
    }
    send_to_group(&client, "work.fifo", "a", "next").await;
    assert_eq!(bodies(&receive(&client, "work.fifo").await), ["next"]);
    let dead = receive(&client, "dead.fifo").await;
    let attributes = dead[0].attributes().unwrap();
    assert_eq!(attributes[&Name::MessageGroupId], "a");
    assert_eq!(attributes[&Name::MessageDeduplicationId], dead[0].message_id().unwrap());
    assert_eq!(attributes[&Name::DeadLetterQueueSourceArn], queue_arn("work.fifo"));
}

/// "Standard queues keep processing messages until the expiration of the retention period." (Amazon SQS dead-letter
/// queues)
#[tokio::test(start_paused = true)]
async fn messages_end_with_their_retention() {
    let mut short = queue("short");
    short.retention_seconds = 60;
    let cloud = open(with_queues([short]));
    let client = sqs(&cloud);
    send(&client, "short", "one").await;
    pass(60).await;
    assert!(receive(&client, "short").await.is_empty());
    assert_eq!(cloud.queue_depths()["short"], QueueDepth::default());
}

#[tokio::test(start_paused = true)]
async fn visibility_can_be_changed_while_it_lasts() {
    let cloud = open(with_queues([queue("work")]));
    let client = sqs(&cloud);
    send(&client, "work", "one").await;
    let held = receive(&client, "work").await;
    let handle = held[0].receipt_handle().unwrap();
    let change = |seconds| {
        client
            .change_message_visibility()
            .queue_url(url("work"))
            .receipt_handle(handle)
            .visibility_timeout(seconds)
            .send()
    };
    change(0).await.unwrap();
    assert_eq!(receive(&client, "work").await.len(), 1, "given back at once");
    let late = change(10).await.unwrap_err().into_service_error();
    assert!(late.is_message_not_inflight(), "the handle is another's now: {late:?}");
}

/// "You must provide the most recently received receipt handle when you request to delete the message (otherwise, the
/// message might not be deleted)." (Amazon SQS queue and message identifiers) "When working with FIFO queues,
/// `DeleteMessage` operations will fail if the request is received outside of the visibility timeout window." (Amazon
/// SQS visibility timeout)
#[tokio::test(start_paused = true)]
async fn an_outdated_handle_deletes_nothing() {
    let cloud = open(with_queues([queue("work"), queue("work.fifo")]));
    let client = sqs(&cloud);
    send(&client, "work", "one").await;
    send_to_group(&client, "work.fifo", "a", "one").await;
    let (old, old_fifo) = (receive(&client, "work").await, receive(&client, "work.fifo").await);
    pass(30).await;
    receive(&client, "work").await;
    let delete =
        |queue: &str, handle: &str| client.delete_message().queue_url(url(queue)).receipt_handle(handle).send();
    delete("work", old[0].receipt_handle().unwrap()).await.unwrap();
    assert_eq!(cloud.queue_depths()["work"].in_flight, 1);
    let expired = delete("work.fifo", old_fifo[0].receipt_handle().unwrap()).await.unwrap_err();
    assert_eq!(expired.code(), Some("InvalidParameterValue"));
    assert_eq!(cloud.queue_depths()["work.fifo"].visible, 1);
    let invented = delete("work", "nonsense").await.unwrap_err().into_service_error();
    assert!(invented.is_receipt_handle_is_invalid());
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(body)
        .message_group_id("g")
        .message_deduplication_id(body)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_batch_fails_in_part_or_as_a_whole() {
    let cloud = open(with_queues([queue("work.fifo")]));
    let client = sqs(&cloud);
    let batch =
        |entries: Vec<_>| client.send_message_batch().queue_url(url("work.fifo")).set_entries(Some(entries)).send();
    let no_group = SendMessageBatchRequestEntry::builder()
        .id("2")
        .message_body("y")
        .message_deduplication_id("y")
        .build()
        .unwrap();
    let sent = batch(vec![entry("1", "x"), no_group, entry("3", "z")]).await.unwrap();
    assert_eq!(sent.successful().iter().map(|entry| entry.id()).collect::<Vec<_>>(), ["1", "3"]);
    assert!(sent.successful().iter().all(|entry| entry.sequence_number().is_some_and(|number| number.len() == 20)));
    assert_eq!(
        (sent.failed()[0].id(), sent.failed()[0].code(), sent.failed()[0].sender_fault()),
        ("2", "MissingParameter", true)
    );
    let code = |failed: Result<_, aws_sdk_sqs::error::SdkError<_, _>>| {
        failed
            .map(|_: aws_sdk_sqs::operation::send_message_batch::SendMessageBatchOutput| ())
            .unwrap_err()
            .into_service_error()
    };
    let refused: aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError =
        code(batch(vec![entry("1", "p"), entry("1", "q")]).await);
    assert!(refused.is_batch_entry_ids_not_distinct());
    assert!(code(batch(vec![]).await).is_empty_batch_request());
    assert!(
        code(batch((0..11).map(|n| entry(&n.to_string(), &n.to_string())).collect()).await)
            .is_too_many_entries_in_batch_request()
    );
    assert!(
        code(batch(vec![entry("1", &"x".repeat(200_000)), entry("2", &"y".repeat(100_000))]).await)
            .is_batch_request_too_long()
    );
    let held = receive(&client, "work.fifo").await;
    assert_eq!(bodies(&held), ["x", "z"]);
    let change = ChangeMessageVisibilityBatchRequestEntry::builder()
        .id("a")
        .receipt_handle(held[0].receipt_handle().unwrap())
        .visibility_timeout(60)
        .build()
        .unwrap();
    client.change_message_visibility_batch().queue_url(url("work.fifo")).entries(change).send().await.unwrap();
    let delete = |id: &str, handle: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().unwrap()
    };
    let deleted = client
        .delete_message_batch()
        .queue_url(url("work.fifo"))
        .entries(delete("good", held[0].receipt_handle().unwrap()))
        .entries(delete("bad", "nonsense"))
        .send()
        .await
        .unwrap();
    assert_eq!((deleted.successful()[0].id(), deleted.failed()[0].id()), ("good", "bad"));
}

#[tokio::test(start_paused = true)]
async fn what_a_queue_cannot_take_is_refused_by_name() {
    let cloud = open(with_queues([queue("work"), queue("work.fifo")]));
    let client = sqs(&cloud);
    let unheard_of = client.create_queue().queue_name("new").send().await.unwrap_err();
    assert_eq!(
        unheard_of.code(),
        Some("AWS.SimpleQueueService.UnsupportedOperation"),
        "a template makes queues: {unheard_of:?}"
    );
    let absent = client.send_message().queue_url(url("absent")).message_body("x").send().await.unwrap_err();
    assert!(absent.into_service_error().is_queue_does_not_exist());
    let missing = client.send_message().queue_url(url("work.fifo")).message_body("x").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("MissingParameter"));
    let too_long =
        client.send_message().queue_url(url("work")).message_body("x".repeat(262_145)).send().await.unwrap_err();
    assert_eq!(too_long.code(), Some("InvalidParameterValue"));
    let control = client.send_message().queue_url(url("work")).message_body("\u{1}").send().await.unwrap_err();
    assert!(control.into_service_error().is_invalid_message_contents());
}

#[tokio::test(start_paused = true)]
async fn attributes_travel_with_a_message_and_queues_describe_themselves() {
    let cloud = open(with_queues([queue("work")]));
    let client = sqs(&cloud);
    let value = MessageAttributeValue::builder().data_type("String").string_value("v").build().unwrap();
    let sent = client
        .send_message()
        .queue_url(url("work"))
        .message_body("x")
        .message_attributes("k", value.clone())
        .send()
        .await
        .unwrap();
    let got = receive(&client, "work").await;
    assert_eq!(got[0].message_attributes().unwrap()["k"], value);
    assert_eq!(got[0].md5_of_body(), sent.md5_of_message_body());
    assert_eq!(got[0].md5_of_message_attributes(), sent.md5_of_message_attributes());
    assert_eq!(client.get_queue_url().queue_name("work").send().await.unwrap().queue_url(), Some(url("work").as_str()));
    assert_eq!(client.list_queues().send().await.unwrap().queue_urls(), [url("work")]);
    let described = client
        .get_queue_attributes()
        .queue_url(url("work"))
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .unwrap();
    assert_eq!(described.attributes().unwrap()[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "1");
    client.purge_queue().queue_url(url("work")).send().await.unwrap();
    assert_eq!(cloud.queue_depths()["work"], QueueDepth::default());
}

#[tokio::test]
async fn what_was_answered_survives_a_process_that_is_killed() {
    let (alive, as_found) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |directory: &tempfile::TempDir| {
        let mut stack = with_queues([queue("work")]);
        stack.tables.push(table());
        Cloud::open(stack, Options::new(Storage::Directory(directory.path().into()), Clock::wall(), 1)).unwrap()
    };
    let cloud = open(&alive);
    send(&sqs(&cloud), "work", "one").await;
    put(&dynamodb(&cloud), "a", "1").await;
    // What is in the files while the process still runs is all that a killed one leaves.
    for file in std::fs::read_dir(alive.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), as_found.path().join(file.file_name())).unwrap();
    }
    let found = open(&as_found);
    assert_eq!(bodies(&receive(&sqs(&found), "work").await), ["one"]);
    assert_eq!(dynamodb(&found).scan().table_name(TABLE).send().await.unwrap().count(), 1);
}

/// "When receiving messages from a FIFO queue with multiple message group IDs, Amazon SQS first attempts to return as many
/// messages with the same message group ID as possible." And: "if there are fewer than 10 messages available with the same
/// message group ID, you might receive messages from another message group ID, in the same batch of 10 messages, but still
/// in FIFO order." (SQS Developer Guide, FIFO delivery logic)
#[tokio::test(start_paused = true)]
async fn a_receive_takes_as_much_of_one_group_as_there_is() {
    let cloud = open(with_queues([queue("work.fifo")]));
    let client = sqs(&cloud);
    for body in ["a1", "b1", "a2", "b2", "c1", "a3"] {
        send_to_group(&client, "work.fifo", &body[..1], body).await;
    }
    let four = client.receive_message().queue_url(url("work.fifo")).max_number_of_messages(4).send().await.unwrap();
    assert_eq!(bodies(four.messages()), ["a1", "a2", "a3", "b1"]);
    assert_eq!(bodies(&receive(&client, "work.fifo").await), ["c1"], "b2 waits for b1");
}

/// A receive that hides nothing gives each message once all the same.
#[tokio::test(start_paused = true)]
async fn a_receive_that_hides_nothing_gives_each_message_once() {
    let cloud = open(with_queues([queue("work"), queue("work.fifo")]));
    let client = sqs(&cloud);
    for body in ["1", "2", "3"] {
        send(&client, "work", body).await;
        send_to_group(&client, "work.fifo", "g", body).await;
    }
    for name in ["work", "work.fifo"] {
        let seen = client.receive_message().queue_url(url(name)).max_number_of_messages(10).visibility_timeout(0);
        assert_eq!(bodies(seen.clone().send().await.unwrap().messages()), ["1", "2", "3"], "{name}");
        assert_eq!(bodies(seen.send().await.unwrap().messages()), ["1", "2", "3"], "{name}");
    }
}

/// "The expiration of a message is always based on its original enqueue timestamp. When a message is moved to a dead-letter
/// queue, the enqueue timestamp is unchanged"; "For FIFO queues, the enqueue timestamp resets" (Setting-up dead-letter queue
/// retention in Amazon SQS).
#[tokio::test(start_paused = true)]
async fn a_dead_letter_lives_as_long_as_its_kind_of_queue_lets_it() {
    for (name, dead, sent) in [("work", "dead", START_MS), ("work.fifo", "dead.fifo", START_MS + 30_000)] {
        let cloud = open(with_queues([with_dead_letters(queue(name), dead, 1), queue(dead)]));
        let client = sqs(&cloud);
        if name == "work" {
            send(&client, name, "x").await
        } else {
            send_to_group(&client, name, "g", "x").await
        }
        receive(&client, name).await;
        pass(30).await;
        assert!(receive(&client, name).await.is_empty());
        let buried = receive(&client, dead).await;
        assert_eq!(buried[0].attributes().unwrap()[&Name::SentTimestamp], sent.to_string(), "{name}");
    }
}
