//! That the sweep tries everything that there is to try, and says so where it cannot.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;

use simulation::{Fault, Plan, Scenario, forced, play, sweep};

fn named(name: &str) -> &'static Scenario {
    Scenario::named(name).unwrap()
}

#[test]
fn every_call_of_a_scenario_meets_every_fault_that_can_strike_it() {
    let scenario = named("account");
    let calm = play(&scenario.plan(&Plan::default())).unwrap();
    let swept: Vec<_> = calm.met.iter().filter(|met| met.is_swept).collect();
    let pairs: usize = swept.iter().map(|met| Fault::ALL.iter().filter(|fault| met.may_meet(**fault)).count()).sum();
    assert!(pairs > 40, "{swept:?}");

    let came_to = sweep(&[scenario], &Plan::default(), 2, |_, _, _| {}).unwrap();
    assert_eq!(came_to.failures, []);
    let tally = &came_to.scenarios[0];
    assert_eq!((tally.points, tally.pairs, tally.reached), (swept.len(), pairs, pairs));
    assert!(tally.runs > pairs, "some faults come in several shapes");
    assert!(came_to.is_whole());
}

#[test]
fn the_scenarios_reach_every_kind_of_call_that_random_runs_do() {
    let kinds = |plan: Plan| -> BTreeSet<(String, &'static str)> {
        let met = play(&plan).unwrap().met;
        met.iter().map(|met| (met.function().to_owned(), met.class.name())).collect()
    };
    let is_function = |kind: &(String, &'static str)| kind.1 != "request";
    let in_scenarios: BTreeSet<_> = Scenario::ALL.iter().flat_map(|scenario| scenario.kinds().unwrap()).collect();
    let at_random: BTreeSet<_> = (1..=60).flat_map(|seed| kinds(Plan::of(seed))).filter(is_function).collect();
    let missing: Vec<_> = at_random.difference(&in_scenarios).collect();
    assert!(missing.is_empty(), "no scenario sweeps {missing:?}");
}

#[test]
fn what_cannot_go_wrong_is_refused_with_what_can() {
    let refused =
        |wanted: &str| forced(named("deposit"), &Plan::default(), &[wanted.to_owned()], 0).unwrap_err().to_string();
    assert!(refused("Deposit#1/1").contains("POINT=FAULT"));
    let says = refused("Deposit#1/1=flood");
    assert!(says.contains("no fault \"flood\"") && says.contains("lost-after"), "{says}");
    let says = refused("Deposit#9/1=lost-after");
    assert!(says.contains("does not come by \"Deposit#9/1\"") && says.contains("Deposit#1/1"), "{says}");
    let says = refused("alice/1=crash-before");
    assert!(says.contains("does not strike alice/1, a request") && says.contains("response-lost"), "{says}");
}

/// What is come by only because of what went wrong before can go wrong too.
#[test]
fn a_second_fault_may_strike_what_the_first_brought_about() {
    let wanted = ["AdvanceOrders#2/1=crash-before", "AdvanceOrders#3/1=crash-before"].map(str::to_owned);
    assert!(forced(named("paid"), &Plan::default(), &wanted[1..], 0).is_err());
    let outcome = play(&forced(named("paid"), &Plan::default(), &wanted, 0).unwrap()).unwrap();
    assert_eq!(outcome.struck.len(), 2);
    assert_eq!(outcome.findings, Vec::<String>::new());
}

/// Another process does the same work from beginning to end, between the reading and the writing of this one.
#[test]
fn what_is_overtaken_finds_its_work_done() {
    let plan = forced(named("deposit"), &Plan::default(), &["Deposit#1/2=overtaken".to_owned()], 0).unwrap();
    let outcome = play(&Plan { traced: true, ..plan }).unwrap();
    assert_eq!(outcome.findings, Vec::<String>::new());
    let of_rival = outcome.met.iter().filter(|met| met.point.who == "Deposit#2").count();
    assert!(of_rival >= 2, "{:?}", outcome.trace);
}
