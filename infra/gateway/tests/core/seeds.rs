//! One seed is one run, byte for byte.

use std::fmt::Write as _;

use gateway::Mood;

use crate::support::{Caller, Said};

fn told(said: &Said) -> String {
    format!("{} {} {:?} {}", said.after_ms, said.status, said.headers, said.text)
}

/// A busy day: charges, repeats, asking, refunds, callbacks of which some are not taken.
fn run(seed: u64) -> String {
    let mut caller = Caller::of(Mood::foul(), seed);
    let mut transcript = String::new();
    for place in 0..150_u32 {
        let key = format!("key-{}", place / 2);
        let said = if place % 3 == 0 { caller.intent(&key) } else { caller.charge(&key) };
        let _ = writeln!(transcript, "{}", told(&said));
        let asked = caller.get(&format!("/charges?key={key}"));
        let _ = writeln!(transcript, "{}", told(&asked));
        if let Some(charge) = asked.json()["id"].as_str() {
            let _ = writeln!(transcript, "{}", told(&caller.refund(&format!("refund-{place}"), charge, 7)));
        }
        let mut taken = 0;
        for heard in caller.hear(700, |_| {
            taken += 1;
            [Some(200), None, Some(500)][taken % 3]
        }) {
            let _ = writeln!(transcript, "{} {:?} {}", heard.at, heard.headers, heard.text);
        }
    }
    caller.hear_all();
    transcript + &caller.gateway.whole_journal().join("\n")
}

#[test]
fn the_same_seed_is_the_same_run() {
    let once = run(11);
    assert_eq!(once, run(11));
    assert_ne!(once, run(12));
}

/// What befalls one request is not moved by others that come between.
#[test]
fn a_key_has_its_luck_whatever_else_is_asked() {
    let keys: Vec<_> = (0..60).map(|place| format!("key-{place}")).collect();
    let alone = |key: &str| {
        let mut caller = Caller::of(Mood::foul(), 3);
        told(&caller.charge(key))
    };
    let mut forwards = Caller::of(Mood::foul(), 3);
    let mut backwards = Caller::of(Mood::foul(), 3);
    let there: Vec<_> = keys.iter().map(|key| told(&forwards.charge(key))).collect();
    let mut back: Vec<_> = keys.iter().rev().map(|key| told(&backwards.charge(key))).collect();
    back.reverse();
    assert_eq!(there, back);
    assert_eq!(there, keys.iter().map(|key| alone(key)).collect::<Vec<_>>());
}

/// However it behaves: a caller who asks again under the same key within its retention is charged once.
#[test]
fn whoever_repeats_under_the_key_is_charged_once() {
    for seed in 0..30 {
        let mut caller = Caller::of(Mood::foul(), seed);
        for place in 0..20 {
            for _ in 0..6 {
                caller.charge(&format!("key-{place}"));
                caller.intent(&format!("key-{place}"));
                caller.hear(10_000, |_| Some(200));
            }
        }
        caller.hear_all();
        let findings = caller.gateway.book().findings();
        assert!(findings.is_empty(), "seed {seed}: {findings:?}");
        assert!(caller.charges() > 20, "seed {seed}: the mood lets something through");
    }
}
