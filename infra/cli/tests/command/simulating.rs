//! `paidonce simulate`, as people call it and as machines do.

use serde_json::Value;

use crate::support::{paidonce, stderr, stdout};

fn simulate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let output =
        paidonce(["simulate"].iter().chain(arguments).copied()).current_dir(directory.path()).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    let first = simulate(&["--replay", "5"]);
    assert_eq!(first.0, Some(0), "{first:?}");
    assert!(first.1.contains("seed 5: ") && first.1.contains(" faults, trace "), "{first:?}");
    assert_eq!(simulate(&["--replay", "5"]), first);
}

#[test]
fn a_search_is_told_to_eyes_and_to_machines() {
    let (code, said, _) = simulate(&["--seeds", "2", "--first", "3"]);
    assert!(code == Some(0) && said.starts_with("2 seeds from 3 in ") && said.contains("never reached: "), "{said}");
    let (code, json, _) = simulate(&["--seeds", "2", "--first", "3", "--json"]);
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert!(
        code == Some(0)
            && summary["seeds"] == 2
            && summary["first"] == 3
            && summary["failed"] == Value::from(serde_json::Map::new()),
        "{json}"
    );
}

#[test]
fn a_sweep_and_the_search_after_it_are_one_document() {
    let (code, json, _) = simulate(&["--sweep", "--scenario", "dead-notice", "--within", "1", "--json"]);
    let summary: Value = serde_json::from_str(&json).unwrap();
    let swept = &summary["sweep"]["scenarios"][0];
    assert!(code == Some(0) && summary["seeds"].as_u64() >= Some(1) && swept["scenario"] == "dead-notice", "{json}");
    assert!(swept["pairs"].as_u64() >= Some(10) && swept["pairs"] == swept["reached"], "{json}");
}

#[test]
fn what_cannot_be_played_is_refused_with_what_can() {
    for (arguments, parts) in [
        (&["--sweep", "--scenario", "payed"][..], &["payed", "paid"][..]),
        (&["--scenario", "paid", "--force", "PlaceOrder#1/1=nonsense"], &["nonsense"]),
        (&["--replay-file", "nowhere.json"], &["nowhere.json"]),
        (&["--trace"], &["--replay"]),
        (&["--reach", "the moon"], &["an order parked"]),
        (&["--replay", "5", "--seeds", "3"], &["cannot be used with"]),
    ] {
        let (code, said, error) = simulate(arguments);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in:\n{error}");
        }
    }
}
