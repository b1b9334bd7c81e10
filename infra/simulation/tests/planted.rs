//! That a planted bug is there when it is asked for and at no other time. Each is searched for by a command of its own.

#![cfg(feature = "planted")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};

use domain::planted;
use domain::planted::{Bug, Plot};
use simulation::{Plan, play};

fn known() -> BTreeMap<String, Vec<u64>> {
    serde_json::from_str(include_str!("../planted.json")).unwrap()
}

#[test]
fn each_bug_has_a_name_of_its_own_and_a_known_seed() {
    let names: BTreeSet<String> = Bug::ALL.iter().map(|bug| bug.name().to_owned()).collect();
    assert_eq!(names.len(), Bug::ALL.len());
    let known = known();
    assert_eq!(known.keys().cloned().collect::<BTreeSet<_>>(), names);
    assert!(known.values().all(|seeds| !seeds.is_empty()), "{known:?}");
}

#[test]
fn one_is_active_in_one_thread_for_as_long_as_its_plot_is_held() {
    assert!(!planted!(StepAlone));
    let plot = Plot::with(Some(Bug::StepAlone));
    assert!(planted!(StepAlone) && !planted!(EffectAlone));
    assert!(!std::thread::spawn(|| planted!(StepAlone)).join().unwrap());
    drop(plot);
    assert!(!planted!(StepAlone));
}

#[test]
fn a_bug_is_found_where_it_is_planted_and_not_where_it_is_not() {
    let seed = known()[Bug::StepAlone.name()][0];
    let sound = play(&Plan::of(seed)).unwrap();
    assert_eq!(sound.findings, Vec::<String>::new());
    let planted = play(&Plan { planted: Some(Bug::StepAlone), ..Plan::of(seed) }).unwrap();
    assert!(planted.findings.iter().any(|finding| finding.contains("one_charge")), "{:?}", planted.findings);
}
