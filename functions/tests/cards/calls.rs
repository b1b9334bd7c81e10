//! What becomes of a payment by what its gateway does with the calls about it.

use domain::payments::{Doubt, PaymentState};
use gateway::{CallKind, Mischief};
use http::Request;
use serde_json::json;

use crate::world::World;

const BOTH: [&str; 2] = ["plain", "stripe"];

/// The seconds between calls.
fn pauses(world: &World) -> Vec<i64> {
    let calls = world.calls();
    calls.windows(2).map(|pair| (pair[1].at_ms - pair[0].at_ms) / 1_000).collect()
}

#[tokio::test(start_paused = true)]
async fn an_order_is_paid_by_one_call_and_one_charge() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        let (order, payment) = world.order("o", "1500.99").await;
        world.seconds(5).await;
        assert_eq!(world.order_state(&order).await, "completed", "{protocol}");
        assert_eq!(world.state(payment).await, PaymentState::Captured);
        assert_eq!(world.kinds(), [CallKind::Charge]);
        assert_eq!(world.stand_in.captured(), (1, 150_099));
        world.stand_in.with(|gateway, _| {
            let charge = gateway.book().charges().next().unwrap();
            assert_eq!(charge.key.as_deref(), Some(format!("charge-{payment}").as_str()));
            assert_eq!(charge.reference.as_deref(), Some(payment.to_string().as_str()));
        });
        world.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_declined_ends_its_order_and_is_not_tried_again() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        world.stand_in.next(CallKind::Charge, 1, [Mischief::Decline]);
        let (order, payment) = world.order("o", "5").await;
        world.seconds(900).await;
        assert_eq!(world.order_state(&order).await, "cancelled", "{protocol}");
        assert_eq!(world.state(payment).await, PaymentState::Declined);
        assert_eq!((world.kinds(), world.stand_in.captured().0), (vec![CallKind::Charge], 0));
        world.all_is_well().await;
    }
}

/// Its callback never comes either.
#[tokio::test(start_paused = true)]
async fn a_time_out_that_was_a_success_is_asked_for_and_not_charged_again() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        world.stand_in.next(CallKind::Charge, 1, [Mischief::TimeoutAfter, Mischief::CallbackNever]);
        let (order, payment) = world.order("o", "5").await;
        world.seconds(30).await;
        assert_eq!(world.order_state(&order).await, "completed", "{protocol}");
        assert_eq!(world.stand_in.captured(), (1, 500));
        let calls = world.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        match protocol {
            "plain" => assert_eq!((calls[1].kind, calls[1].method.as_str()), (CallKind::Ask, "GET")),
            // There the same request under the same key is the asking.
            _ => assert!(calls[1].kind == CallKind::Charge && calls[1].is_replay && calls[0].key == calls[1].key),
        }
        assert_eq!(world.payment(payment).await.call.attempts, 2);
        world.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_after_2_4_and_8_seconds_and_is_then_looked_at_later_and_later() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        for kind in [CallKind::Charge, CallKind::Ask] {
            world.stand_in.next(kind, 100, [Mischief::ErrorBefore]);
        }
        let payment = world.pay("p", "5").await;
        world.seconds(30).await;
        assert_eq!(world.state(payment).await, PaymentState::Unknown, "{protocol}");
        for (pause, expected) in pauses(&world).into_iter().zip([2, 4, 8]) {
            // A tenth of it by chance, and what the cloud takes.
            assert!((expected..=expected + 1).contains(&pause), "{pause} instead of {expected}");
        }
        assert_eq!(world.calls().len(), 4);
        world.seconds(2_400).await;
        let pauses = pauses(&world).split_off(3);
        assert!(pauses.len() >= 4 && pauses[0] >= 60, "{pauses:?}");
        // Twice as long each time, a tenth by chance and the minute of the sweep aside.
        assert!(pauses.windows(2).all(|pair| pair[1] > pair[0] && pair[1] <= 3 * pair[0]), "{pauses:?}");
        world.stand_in.with(|gateway, _| gateway.set_mood(gateway::Mood::calm()));
        world.stand_in.with(|gateway, now| {
            let forget = Request::delete("/moods/next").body(bytes::Bytes::new()).unwrap();
            assert_eq!(gateway.receive(now, &forget).response.unwrap().status(), 200);
        });
        world.seconds(2_400).await;
        assert_eq!(world.state(payment).await, PaymentState::Captured, "it is captured all the same");
        assert_eq!(world.stand_in.captured(), (1, 500));
        world.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_us_to_wait_is_not_called_before() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        world.stand_in.with(|gateway, _| {
            let mut mood = gateway::Mood::calm();
            mood.timing.retry_after_s = [47, 47];
            gateway.set_mood(mood);
        });
        world.stand_in.next(CallKind::Charge, 2, [Mischief::TooMany]);
        let payment = world.pay("p", "5").await;
        world.seconds(10).await;
        assert_eq!(world.state(payment).await, PaymentState::Pending, "it is put off, and has not failed");
        world.seconds(110).await;
        assert_eq!(world.state(payment).await, PaymentState::Captured, "{protocol}");
        assert_eq!(world.kinds(), [CallKind::Charge; 3]);
        for pause in pauses(&world) {
            assert!((47..=49).contains(&pause), "{protocol}: {pause}");
        }
        world.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_request_that_is_not_answered_yet_is_no_reason_for_a_person() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        // Slower than anybody waits for: we come again while it is still at it.
        world.stand_in.with(|gateway, _| {
            let mut mood = gateway::Mood::calm();
            mood.timing.slow_ms = [20_000, 20_000];
            gateway.set_mood(mood);
        });
        world.stand_in.next(CallKind::Charge, 1, [Mischief::Slow, Mischief::CallbackNever]);
        let payment = world.pay("p", "5").await;
        world.seconds(60).await;
        assert_eq!(world.state(payment).await, PaymentState::Captured, "{protocol}");
        let said: Vec<_> = world.calls().iter().map(|call| call.status).collect();
        match protocol {
            "plain" => assert_eq!(said, [Some(201), Some(200)], "asked by key, it knows"),
            _ => assert_eq!(said, [Some(200), Some(409), Some(200)], "not yet, and then what was said first"),
        }
        assert_eq!(world.stand_in.captured(), (1, 500));
        world.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_stands_for_another_request_is_for_a_person() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        // Somebody else has used it up, before our message comes.
        world.stand_in.next(CallKind::Charge, 1, [Mischief::TooMany]);
        let (order, payment) = world.order("o", "5").await;
        let (path, kind, body) = match protocol {
            "plain" => {
                let body = json!({ "amount": 1, "currency": "EUR", "reference": "theirs" }).to_string();
                ("/charges", "application/json", body)
            }
            _ => {
                let body = "amount=1&currency=eur&confirm=true&payment_method=pm_card_visa".to_owned();
                ("/v1/payment_intents", "application/x-www-form-urlencoded", body)
            }
        };
        let theirs = Request::post(path)
            .header("authorization", "Bearer key_of_a_test")
            .header("content-type", kind)
            .header("idempotency-key", format!("charge-{payment}"))
            .body(body.into())
            .unwrap();
        world.seconds(1).await;
        world.stand_in.next(CallKind::Charge, 1, [Mischief::CallbackNever]);
        world.stand_in.with(|gateway, now| gateway.receive(now, &theirs)).response.unwrap();
        world.seconds(20).await;
        assert_eq!(world.state(payment).await, PaymentState::InReview, "{protocol}");
        let doubts = world.doubts(payment).await;
        assert!(doubts.iter().any(|doubt| matches!(doubt, Doubt::KeyRefused { .. })), "{doubts:?}");
        assert_eq!(world.order_state(&order).await, "awaiting_payment");
        let called = world.calls().len();
        world.seconds(1_800).await;
        assert_eq!(world.calls().len(), called, "nobody is called about it any more");
        world.judge(payment, "fail").await;
        world.seconds(5).await;
        assert_eq!(world.order_state(&order).await, "cancelled");
        world.all_is_well().await;
    }
}

/// What Stripe may have forgotten, and has told us no name for, is never sent again.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_when_its_key_may_be_forgotten() {
    let world = World::of_days("stripe");
    world.stand_in.next(CallKind::Charge, 10_000, [Mischief::ErrorBefore]);
    let payment = world.pay("p", "5").await;
    world.hours(26).await;
    let calls = world.calls();
    let span = calls.last().unwrap().at_ms - calls[0].at_ms;
    assert!(calls.len() > 15 && span < 23 * 3_600_000, "{} calls in {span} ms", calls.len());
    assert_eq!(world.state(payment).await, PaymentState::InReview);
    let doubts = world.doubts(payment).await;
    assert!(matches!(doubts[..], [Doubt::TooOld { .. }]), "{doubts:?}");
    world.all_is_well().await;
}

/// The gateway does it two minutes after it was given up, when it has been asked and has said that there is nothing.
#[tokio::test(start_paused = true)]
async fn not_found_is_no_proof_and_what_arrives_late_is_charged_once() {
    for protocol in BOTH {
        for callback in [vec![], vec![Mischief::CallbackNever]] {
            let world = World::calm(protocol);
            world.stand_in.next(CallKind::Charge, 1, [Mischief::ArrivesLate].into_iter().chain(callback));
            let (order, payment) = world.order("o", "5").await;
            world.seconds(300).await;
            assert_eq!(world.order_state(&order).await, "completed", "{protocol}");
            assert_eq!(world.state(payment).await, PaymentState::Captured);
            assert_eq!(world.stand_in.captured(), (1, 500));
            world.all_is_well().await;
        }
    }
}

/// Repeating tells nothing more, and its search knows after half a minute.
#[tokio::test(start_paused = true)]
async fn a_500_that_stripe_keeps_of_what_it_did_is_found_by_its_search() {
    let world = World::calm("stripe");
    world.stand_in.next(CallKind::Charge, 1, [Mischief::ErrorAfter, Mischief::CallbackNever]);
    let (order, payment) = world.order("o", "5").await;
    world.seconds(20).await;
    assert_eq!(world.state(payment).await, PaymentState::Unknown, "the search lags behind");
    world.seconds(180).await;
    assert_eq!(world.state(payment).await, PaymentState::Captured);
    assert_eq!(world.order_state(&order).await, "completed");
    assert_eq!(world.stand_in.captured(), (1, 500));
    world.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_called_about_with_the_same_care() {
    for protocol in BOTH {
        for mischiefs in [
            vec![],
            vec![Mischief::TimeoutAfter, Mischief::CallbackNever],
            vec![Mischief::TimeoutBefore],
            vec![Mischief::ErrorAfter, Mischief::CallbackNever],
            vec![Mischief::TooMany],
            vec![Mischief::SettleLater, Mischief::CallbackTwice],
        ] {
            let world = World::calm(protocol);
            let payment = world.pay("p", "5").await;
            world.seconds(5).await;
            world.stand_in.next(CallKind::Refund, 1, mischiefs.clone());
            assert_eq!(world.refund(payment, "r", "2").await, 202);
            world.seconds(300).await;
            let kept = world.payment(payment).await;
            assert_eq!(kept.state, PaymentState::Captured, "{protocol} {mischiefs:?}");
            assert_eq!((kept.refunded.minor(), world.stand_in.given_back()), (200, 200), "{protocol} {mischiefs:?}");
            world.all_is_well().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_captured_for_an_order_that_ended_meanwhile_goes_back() {
    for protocol in BOTH {
        let world = World::calm(protocol);
        world.stand_in.next(CallKind::Charge, 1, [Mischief::TimeoutAfter, Mischief::CallbackLate]);
        let (order, payment) = world.order("o", "5").await;
        world.seconds(5).await;
        assert_eq!(world.cancel(&order).await, 200, "nobody knows yet");
        world.seconds(600).await;
        assert_eq!(world.order_state(&order).await, "cancelled", "{protocol}");
        assert_eq!(world.state(payment).await, PaymentState::Refunded);
        assert_eq!((world.stand_in.captured(), world.stand_in.given_back()), ((1, 500), 500));
        world.all_is_well().await;
    }
}

/// A message that comes again, and one that dies.
#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_calls_nobody_and_one_that_died_is_taken_up() {
    let world = World::calm("plain");
    let payment = world.pay("p", "5").await;
    world.seconds(5).await;
    let message = |source: &str| {
        json!({ "Records": [{
            "messageId": "1", "body": json!({ "key": format!("charge-{payment}"), "attempt": 0 }).to_string(),
            "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:eu-central-1:1:{source}"),
        }] })
    };
    for function in ["CallGateway", "Recover"] {
        let answer = world.system.cloud.invoke(function, message("paidonce-gateway-calls")).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [] }));
    }
    world.seconds(5).await;
    assert_eq!(world.kinds(), [CallKind::Charge]);

    // What nobody is called about, as its message died, is looked at from its state once it is due.
    let world = World::of("plain", gateway::Mood::calm(), |mut options| {
        options.runs_by_itself = false;
        options
    });
    let payment = world.pay("p", "5").await;
    let before = world.payment(payment).await;
    let dead = json!({ "Records": [{
        "messageId": "1", "body": json!({ "key": format!("charge-{payment}"), "attempt": 0 }).to_string(),
        "attributes": {}, "messageAttributes": {}, "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:1:paidonce-gateway-calls-dead",
    }] });
    world.system.cloud.invoke("Recover", dead.clone()).await.unwrap();
    assert_eq!(world.payment(payment).await, before, "it is not due");
    world.seconds(3_600).await;
    world.system.cloud.invoke("Recover", dead).await.unwrap();
    assert!(world.payment(payment).await.look_at > before.look_at, "it is on its way again");
}
