//! That a run is made small, that what is left still shows the same, and that it ends.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::cell::Cell;
use std::collections::BTreeSet;

use simulation::{Fault, Outcome, Part, Path, Plan, PlayError, Point, Shrunk, Verdict, play, shrink};

/// A judge to whom a run "fails" when it comes by a path.
fn comes_by(path: Path) -> impl Fn(&Plan) -> Result<Verdict, PlayError> {
    move |plan| {
        play(plan).map(|outcome| {
            let does = outcome.coverage.times(path) > 0 && outcome.findings.is_empty();
            Verdict::new(does.then(|| path.name().to_owned()).into_iter().collect(), outcome)
        })
    }
}

fn shrunk(seed: u64, most: usize, path: Path) -> Shrunk {
    shrink(&Plan::of(seed), most, comes_by(path), |_, _| {}).unwrap().unwrap()
}

/// The first seed that comes by it in a storm, so that there is something to take away; not in a crowd or in an outage,
/// of which more is left.
fn stormy(path: Path) -> Outcome {
    let is_more = |outcome: &Outcome| {
        outcome.performed.iter().any(|performed| performed.requests > 20)
            || outcome.setting.iter().any(|setting| setting.contains("outage"))
    };
    let is_meant =
        |outcome: &Outcome| outcome.coverage.times(path) > 0 && outcome.struck.len() > 20 && !is_more(outcome);
    (1..).map(|seed| play(&Plan::of(seed)).unwrap()).find(is_meant).unwrap()
}

#[test]
fn a_storm_comes_down_to_what_matters_and_still_shows_it() {
    let outcome = stormy(Path::ReadBack);
    let small = shrunk(outcome.seed, 400, Path::ReadBack);
    assert_eq!(small.before.faults, outcome.struck.len());
    assert!(small.after.faults <= 3 && small.after.requests * 2 <= small.before.requests, "{small:?}");
    assert!(!small.is_cut && small.runs <= 400, "{small:?}");
    let again = play(&small.plan).unwrap();
    assert!(again.coverage.times(Path::ReadBack) > 0);
    assert_eq!(again.struck.len(), small.after.faults, "nothing goes wrong but what the plan says");
    assert!(small.plan.is_calm, "it does not depend on rates: {:?}", small.plan);
}

#[test]
fn shrinking_is_the_same_every_time_and_ends_where_it_is_told_to() {
    let seed = stormy(Path::ReadBack).seed;
    let (one, other) = (shrunk(seed, 12, Path::ReadBack), shrunk(seed, 12, Path::ReadBack));
    assert_eq!((&one.plan, one.runs, one.after), (&other.plan, other.runs, other.after));
    assert!(one.runs <= 12, "{} runs", one.runs);
    assert!(one.is_cut);
    assert!(one.after < one.before);
    assert!(play(&one.plan).unwrap().coverage.times(Path::ReadBack) > 0, "what it had come to is kept");
}

#[test]
fn what_does_not_fail_is_not_shrunk() {
    let played = Cell::new(0);
    let judge = |plan: &Plan| {
        played.set(played.get() + 1);
        play(plan).map(|outcome| Verdict::new(BTreeSet::new(), outcome))
    };
    assert!(shrink(&Plan::of(3), 400, judge, |_, _| {}).unwrap().is_none());
    assert_eq!(played.get(), 1);
}

/// No run at all: it fails by one point, or in another way without it.
#[test]
fn another_way_of_failing_is_not_taken_for_the_same() {
    let point = |number: u64| Point { who: "Relay#1".to_owned(), call: number };
    let judge = |plan: &Plan| {
        let points = (1..=40).map(|number| (point(number), Fault::LostBefore));
        let struck: Vec<(Point, Fault)> = match plan.off.contains(&Part::Rates) {
            true => plan.forced.clone(),
            false => points.filter(|(at, _)| !plan.muted.contains(at)).collect(),
        };
        let is_struck = |number| struck.iter().any(|(at, _)| *at == point(number));
        let way = if is_struck(17) && is_struck(31) { "charged twice" } else { "something else" };
        Ok::<_, PlayError>(Verdict { kinds: [way.to_owned()].into(), struck, ..Verdict::default() })
    };
    let small = shrink(&Plan::of(1), 400, judge, |_, _| {}).unwrap().unwrap();
    let left: Vec<u64> = small.plan.forced.iter().map(|(at, _)| at.call).collect();
    assert_eq!(left, [17, 31], "both are needed, and nothing else");
    assert!(small.runs < 60, "{} runs", small.runs);
}
