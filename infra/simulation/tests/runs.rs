//! That a run is what its plan says and nothing else, and that what is wrong is found. The search over many seeds is a
//! command of its own.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use simulation::{Fault, Outcome, Plan, Point, play};

fn played(plan: &Plan) -> Outcome {
    play(plan).unwrap()
}

#[test]
fn a_seed_is_the_same_on_every_thread_and_in_every_order() {
    let seeds = [3, 11, 1_007];
    let here: Vec<u64> = seeds.iter().map(|seed| played(&Plan::of(*seed)).hash).collect();
    let there = std::thread::spawn(move || {
        let mut hashes: Vec<u64> = seeds.iter().rev().map(|seed| played(&Plan::of(*seed)).hash).collect();
        hashes.reverse();
        hashes
    });
    assert_eq!(there.join().unwrap(), here);
    assert_ne!(here[0], here[1]);
}

#[test]
fn some_seeds_keep_every_promise() {
    for seed in 40..46 {
        let outcome = played(&Plan::of(seed));
        assert_eq!(outcome.findings, Vec::<String>::new(), "seed {seed}");
        assert!(outcome.calls > 0);
    }
}

#[test]
fn what_is_muted_does_not_go_wrong_and_what_is_forced_does() {
    let plan = Plan { is_calm: true, ..Plan::of(11) };
    assert_eq!(played(&plan).struck, []);
    let stormy = (1..).map(|seed| played(&Plan::of(seed))).find(|outcome| outcome.struck.len() > 20).unwrap();
    let (first, _) = stormy.struck[0].clone();
    let muted = played(&Plan { muted: [first.clone()].into(), ..Plan::of(stormy.seed) });
    assert!(muted.struck.iter().all(|(point, _)| *point != first), "{first} was muted");
    let plan = Plan { is_calm: true, ..Plan::of(1_007) };
    let point = Point { who: "PlaceOrder#1".to_owned(), call: 1 };
    let forced = played(&Plan { forced: vec![(point.clone(), Fault::LostAfter)], ..plan });
    assert_eq!(forced.struck, [(point, Fault::LostAfter)]);
    assert_eq!(forced.findings, Vec::<String>::new());
}

#[test]
fn a_trace_can_be_read_and_changes_nothing() {
    let quiet = played(&Plan::of(1_007));
    let traced = played(&Plan { traced: true, ..Plan::of(1_007) });
    assert_eq!(traced.hash, quiet.hash);
    assert!(traced.trace.iter().any(|line| line.contains("POST /orders")), "{:?}", traced.trace);
    assert!(quiet.trace.is_empty());
}
