//! Every run that was kept: what it found once does not come again, and what it shows it still shows.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::path::Path as File;

use simulation::repro::{self, Repro, ReproError};
use simulation::{Fault, Path, Plan, Point, play};

fn kept() -> std::path::PathBuf {
    File::new(env!("CARGO_MANIFEST_DIR")).join("repro")
}

#[test]
fn every_kept_run_keeps_every_promise_and_still_shows_what_it_is_kept_for() {
    let kept = repro::all(&kept()).unwrap();
    assert!(kept.len() >= 5, "there are runs to play: {}", kept.len());
    for (file, repro) in kept {
        let file = file.display();
        let outcome = play(repro.plan()).unwrap();
        assert_eq!(outcome.findings, Vec::<String>::new(), "{file}: {}", repro.shows);
        for path in &repro.reaches {
            assert!(outcome.coverage.times(*path) > 0, "{file} comes no more by: {}", path.name());
        }
        let struck: BTreeSet<&(Point, Fault)> = outcome.struck.iter().collect();
        for forced in &repro.plan().forced {
            assert!(struck.contains(forced), "{file}: nobody comes to {} any more", forced.0);
        }
        assert!(
            !repro.reaches.is_empty() || !repro.findings.is_empty(),
            "{file} says neither what it found nor what it shows"
        );
        let shows = repro.shows.trim();
        assert!(shows.ends_with('.') && shows.contains(' '), "{file} says in a sentence what it shows: {shows:?}");
    }
}

/// A run in which much is drawn, and something is forced.
fn an_example() -> Repro {
    let stormy = (1..).map(|seed| play(&Plan::of(seed)).unwrap()).find(|outcome| outcome.struck.len() > 20).unwrap();
    let place = |who: &str, call| Point { who: who.to_owned(), call };
    let plan = Plan {
        muted: [place("alice (late)", 7), place("Relay#4", Point::DELIVERY)].into(),
        forced: vec![
            (place("PlaceOrder#1", 2), Fault::LostAfter),
            (place("AdvanceOrders#3", Point::DELIVERY), Fault::AtOnce),
        ],
        ..Plan::of(stormy.seed)
    };
    let outcome = play(&plan).unwrap();
    Repro::of("An example.".to_owned(), &plan, &outcome, vec![Path::ReadBack])
}

#[test]
fn a_file_says_all_of_a_plan() {
    let example = an_example();
    assert_eq!(Repro::parse("x.json", &example.to_json()).unwrap(), example);
}

/// What is drawn from a seed changes with the simulator; what is told in a file must not.
#[test]
fn what_is_told_is_what_was_drawn() {
    for seed in 60..70 {
        let drawn = Plan::of(seed);
        let outcome = play(&drawn).unwrap();
        let told = Repro::of("A run.".to_owned(), &drawn, &outcome, Vec::new());
        let read = Repro::parse("x.json", &told.to_json()).unwrap();
        assert_eq!(play(read.plan()).unwrap().hash, outcome.hash, "seed {seed}");
    }
}

#[test]
fn a_file_that_cannot_be_played_as_it_was_is_refused_and_says_why() {
    let good = an_example().to_json();
    let refused = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} is in {good}");
        Repro::parse("x.json", &good.replace(from, to)).unwrap_err().to_string()
    };
    let says = [
        (("\"version\": 1", "\"version\": 2"), "x.json is of version 2, and this build reads version 1"),
        (("\"version\": 1", "\"colour\": 1, \"version\": 1"), "unknown field `colour`"),
        (("\"seed\"", "\"seeds\""), "unknown field `seeds`"),
        (("lost after", "lost somewhere"), "\"lost somewhere\" is no fault; this build knows lost before, lost after"),
        (("\"rates\"", "\"rain\""), "unknown field `rain`"),
        (("a lost answer read back", "a dream"), "\"a dream\" is no path"),
        (("\"version\": 1", "\"planted\": \"no_check\", \"version\": 1"), "planted bug \"no_check\", which this build"),
        (("{\n", "\n"), "x.json is no repro file"),
    ];
    for ((from, to), said) in says {
        let refusal = refused(from, to);
        assert!(refusal.contains(said), "{refusal}");
    }
    let missing = Repro::read(File::new("no/such/file.json")).unwrap_err();
    assert!(matches!(missing, ReproError::File { .. }) && missing.to_string().starts_with("no/such/file.json: "));
}

#[test]
fn a_kept_file_is_never_overwritten_by_another() {
    let directory = std::env::temp_dir().join(format!("paidonce-repro-{}", std::process::id()));
    let of = |plan: &Plan| Repro::of("A run.".to_owned(), plan, &play(plan).unwrap(), Vec::new());
    let example = of(&Plan::of(7));
    let first = example.write(&directory).unwrap();
    assert!(first.ends_with("7.json"), "a finding has the name of its seed: {first:?}");
    assert_eq!(example.write(&directory).unwrap(), first, "the same is there already");
    let other = of(&Plan { dropped: [(0, 1)].into(), ..Plan::of(7) });
    let second = other.write(&directory).unwrap();
    assert_ne!(second, first);
    let read: Vec<Repro> = repro::all(&directory).unwrap().into_iter().map(|(_, repro)| repro).collect();
    assert_eq!(read, [other, example], "{first:?} and {second:?}, by their names");
    std::fs::remove_dir_all(&directory).unwrap();
}
