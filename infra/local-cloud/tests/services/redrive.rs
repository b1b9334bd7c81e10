//! Redrive: moving messages out of a dead-letter queue.

use std::time::Duration;

use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::MessageSystemAttributeName as Name;
use local_cloud::Cloud;
use local_cloud::stack::Stack;
use tokio::time::sleep;

use crate::support::*;

/// `one` and `two` have `dead` for their dead letters; nobody has `other`.
fn queues(suffix: &str) -> Stack {
    let name = |name: &str| format!("{name}{suffix}");
    let mut stack = stack();
    for source in ["one", "two"] {
        stack.queues.push(with_dead_letters(queue(&name(source)), &name("dead"), 1));
    }
    stack.queues.extend([queue(&name("dead")), queue(&name("other"))]);
    stack
}

async fn kill(cloud: &Cloud, queue: &str, body: &str) {
    let client = sqs(cloud);
    if queue.ends_with(".fifo") {
        send_to_group(&client, queue, "g", body).await;
    } else {
        send(&client, queue, body).await;
    }
    assert_eq!(bodies(&receive(&client, queue).await), [body]);
    sleep(Duration::from_secs(30)).await;
    assert!(receive(&client, queue).await.is_empty());
}

/// "If this field is left blank, the messages will be redriven back to their respective original source queues." (SQS API
/// Reference, StartMessageMoveTask) "The redrive task resets the retention period. All redriven messages are considered new
/// messages with a new `messageID` and `enqueueTime`" (Learn how to configure a dead-letter queue redrive in Amazon SQS).
#[tokio::test(start_paused = true)]
async fn messages_go_back_to_where_they_came_from_as_new_ones() {
    for suffix in ["", ".fifo"] {
        let cloud = open(queues(suffix));
        let client = sqs(&cloud);
        let (one, two, dead) = (format!("one{suffix}"), format!("two{suffix}"), format!("dead{suffix}"));
        kill(&cloud, &one, "a").await;
        kill(&cloud, &two, "b").await;
        let running = start(&cloud, &Seen::default(), fine);
        let started = client.start_message_move_task().source_arn(queue_arn(&dead)).send().await.unwrap();
        cloud.settled().await;
        assert_eq!(cloud.queue_depths()[&dead].visible, 0);
        assert_eq!(bodies(&receive(&client, &two).await), ["b"]);
        let back = receive(&client, &one).await;
        let attributes = back[0].attributes().unwrap();
        assert_eq!((back[0].body(), attributes[&Name::ApproximateReceiveCount].as_str()), (Some("a"), "1"));
        assert!(attributes[&Name::SentTimestamp].parse::<i64>().unwrap() >= START_MS + 60_000);
        assert_eq!(attributes.get(&Name::DeadLetterQueueSourceArn), None);
        let listed = client.list_message_move_tasks().source_arn(queue_arn(&dead)).send().await.unwrap();
        let task = &listed.results()[0];
        assert_eq!((task.status(), task.approximate_number_of_messages_moved()), (Some("COMPLETED"), 2));
        assert_eq!((task.task_handle(), started.task_handle().is_some()), (None, true));
        running.stop().await;
    }
}

/// "You can use this field to specify the destination queue where you would like to redrive messages." (StartMessageMoveTask)
/// "you can also configure any other queue as the redrive destination if both queues are the same type" (Learn how to
/// configure a dead-letter queue redrive).
#[tokio::test(start_paused = true)]
async fn messages_may_go_to_another_queue_of_the_same_type() {
    let mut stack = queues("");
    stack.queues.push(queue("else.fifo"));
    let cloud = open(stack);
    let client = sqs(&cloud);
    kill(&cloud, "one", "a").await;
    let running = start(&cloud, &Seen::default(), fine);
    let start =
        |to: &str| client.start_message_move_task().source_arn(queue_arn("dead")).destination_arn(queue_arn(to)).send();
    for (wrong, why) in [("else.fifo", "same type"), ("dead", "not be the same"), ("absent", "doesn't exist")] {
        let refused = start(wrong).await.unwrap_err();
        assert!(refused.message().unwrap().contains(why), "{wrong}: {refused:?}");
    }
    start("other").await.unwrap();
    cloud.settled().await;
    assert_eq!(bodies(&receive(&client, "other").await), ["a"]);
    running.stop().await;
}

/// "This action is currently limited to supporting message redrive from queues that are configured as dead-letter queues
/// (DLQs) of other Amazon SQS queues only." "Only one active message movement task is supported per queue at any given
/// time." (StartMessageMoveTask)
#[tokio::test(start_paused = true)]
async fn a_task_is_for_a_dead_letter_queue_and_one_at_a_time() {
    let cloud = open(queues(""));
    let client = sqs(&cloud);
    kill(&cloud, "one", "a").await;
    let no_dead_letters = client.start_message_move_task().source_arn(queue_arn("other")).send().await.unwrap_err();
    assert!(no_dead_letters.message().unwrap().contains("Dead Letter Queue"));
    let absent = client.start_message_move_task().source_arn(queue_arn("absent")).send().await.unwrap_err();
    assert!(absent.into_service_error().is_resource_not_found_exception());
    let start = || client.start_message_move_task().source_arn(queue_arn("dead")).send();
    start().await.unwrap();
    assert!(start().await.unwrap_err().message().unwrap().contains("already a task running"));
    let running = crate::support::start(&cloud, &Seen::default(), fine);
    cloud.settled().await;
    start().await.unwrap();
    cloud.settled().await;
    running.stop().await;
}

/// "You can use this field to define a fixed message movement rate. The maximum value for messages per second is 500."
/// (StartMessageMoveTask) "A message movement can be cancelled only when the current status is RUNNING. Cancelling a message
/// movement task does not revert the messages that have already been moved." (CancelMessageMoveTask)
#[tokio::test(start_paused = true)]
async fn a_task_has_a_rate_and_can_be_cancelled() {
    let cloud = open(queues(""));
    let client = sqs(&cloud);
    for n in 0..5 {
        kill(&cloud, "one", &n.to_string()).await;
    }
    let running = start(&cloud, &Seen::default(), fine);
    let at = |rate: i32| {
        client
            .start_message_move_task()
            .source_arn(queue_arn("dead"))
            .destination_arn(queue_arn("other"))
            .max_number_of_messages_per_second(rate)
            .send()
    };
    for wrong in [0, 501] {
        assert!(at(wrong).await.unwrap_err().message().unwrap().contains("from 1 to 500"));
    }
    let task = at(1).await.unwrap().task_handle.unwrap();
    sleep(Duration::from_millis(2_500)).await;
    let list = || client.list_message_move_tasks().source_arn(queue_arn("dead")).send();
    let listed = list().await.unwrap();
    assert_eq!(listed.results()[0].task_handle(), Some(task.as_str()));
    assert_eq!(listed.results()[0].approximate_number_of_messages_to_move(), Some(5));
    let cancel = || client.cancel_message_move_task().task_handle(&task).send();
    assert_eq!(cancel().await.unwrap().approximate_number_of_messages_moved(), 3);
    assert!(cancel().await.unwrap_err().into_service_error().is_resource_not_found_exception());
    sleep(Duration::from_secs(5)).await;
    assert_eq!((cloud.queue_depths()["dead"].visible, cloud.queue_depths()["other"].visible), (2, 3));
    assert_eq!(list().await.unwrap().results()[0].status(), Some("CANCELLED"));
    running.stop().await;
}

/// "FailureReason: The task failure reason (only included if the task status is FAILED)." (ListMessageMoveTasks)
#[tokio::test(start_paused = true)]
async fn a_message_that_was_never_in_another_queue_cannot_go_back_to_it() {
    let cloud = open(queues(""));
    let client = sqs(&cloud);
    send(&client, "dead", "by hand").await;
    let running = start(&cloud, &Seen::default(), fine);
    client.start_message_move_task().source_arn(queue_arn("dead")).send().await.unwrap();
    cloud.settled().await;
    let listed = client.list_message_move_tasks().source_arn(queue_arn("dead")).send().await.unwrap();
    let task = &listed.results()[0];
    assert_eq!((task.status(), task.failure_reason()), (Some("FAILED"), Some("CouldNotDetermineMessageSource")));
    assert_eq!(cloud.queue_depths()["dead"].visible, 1, "nothing is lost");
    running.stop().await;
}
