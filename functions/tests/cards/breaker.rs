//! A gateway that is down: nobody is called for a while, then a few are, and what was put off is not lost.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::books::{Kept as _, Key};
use domain::payments::{Breaker, BreakerPhase, Gateway, Limits, PaymentState};
use gateway::{CallKind, Mischief, Mood, OutageKind};
use platform::metrics::Metrics;
use serde_json::{Value, json};

use crate::world::World;

async fn breaker(world: &World) -> Option<Breaker> {
    let key = Key::Breaker(Gateway::Plain);
    let stored = world.system.app().store.table().load(&[key]).await.unwrap().remove(&key).flatten()?;
    Breaker::of_item(&stored.found.item).cloned()
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_works_leaves_no_trace() {
    let world = World::calm("plain");
    for n in 0..20 {
        world.pay(&n.to_string(), "1").await;
    }
    world.seconds(10).await;
    assert_eq!((world.stand_in.captured().0, breaker(&world).await), (20, None));
}

#[tokio::test(start_paused = true)]
async fn it_opens_lets_few_through_and_closes() {
    let limits = Limits::default();
    for how in [OutageKind::Errors, OutageKind::Refused] {
        let world = World::calm("plain");
        world.stand_in.down_for(Duration::from_secs(180), how);
        let mut payments = Vec::new();
        for n in 0..30 {
            payments.push(world.pay(&n.to_string(), "1").await);
            world.seconds(1).await;
        }
        let opened = breaker(&world).await.unwrap();
        assert_ne!(opened.phase, BreakerPhase::Closed, "{how:?}");
        let before = world.calls().len();
        // Of ten seconds in which it is open and three calls that find out, round and round.
        world.seconds(120).await;
        let during = world.calls().len() - before;
        let rounds = 120 / usize::try_from(limits.open.in_seconds_at_least()).unwrap() + 1;
        assert!((1..=rounds * limits.permits).contains(&during), "{during} calls in {rounds} rounds");
        let put_off = world.payment(*payments.last().unwrap()).await;
        assert_eq!(put_off.state, PaymentState::Pending, "what is put off has not failed");
        world.seconds(1_200).await;
        assert_eq!(breaker(&world).await.unwrap().phase, BreakerPhase::Closed);
        for payment in payments {
            assert_eq!(world.state(payment).await, PaymentState::Captured, "{how:?}");
        }
        assert_eq!(world.stand_in.captured(), (30, 3_000));
        world.all_is_well().await;
    }
}

/// What is measured, by who watches.
#[tokio::test(start_paused = true)]
async fn that_it_is_open_and_that_a_person_has_to_look_is_measured() {
    let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&lines);
    let world = World::of("plain", Mood::calm(), |mut options| {
        options.metrics = Metrics::to(move |line| kept.lock().unwrap().push(serde_json::from_str(line).unwrap()));
        options
    });
    let measured = |name: &str| -> Vec<Value> {
        lines.lock().unwrap().iter().filter_map(|line| line.get(name)).cloned().collect()
    };
    world.seconds(200).await;
    assert_eq!(measured("BreakerOpen"), [json!(0), json!(0), json!(0)], "once a minute");
    world.stand_in.down_for(Duration::from_secs(150), OutageKind::Errors);
    for n in 0..12 {
        world.pay(&n.to_string(), "1").await;
    }
    world.seconds(600).await;
    let open = measured("BreakerOpen").split_off(3);
    let distinct: BTreeSet<_> = open.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), 2, "{open:?}");
    assert_eq!((open.first(), open.last()), (Some(&json!(1)), Some(&json!(0))), "{open:?}");
    let line = lines.lock().unwrap()[0].clone();
    assert_eq!((&line["Gateway"], &line["Table"]), (&json!("plain"), &json!(world.system.app().config.table)));

    assert_eq!(measured("ForAPerson"), [] as [Value; 0]);
    world.stand_in.next(CallKind::Charge, 1, [Mischief::CallbackWrongAmount]);
    world.pay("p", "5").await;
    world.seconds(60).await;
    assert_eq!(measured("ForAPerson"), [json!(1)]);
}
