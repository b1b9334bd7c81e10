//! The search: many seeds on all cores, and what they came to.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::command::{Arguments, cannot, lock, repro_directory, threads};
use crate::coverage::Coverage;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::play::play;
use crate::report;
use crate::sweep::Swept;
use crate::sweep_command;

/// Runs with fewer seeds than this need not reach everything.
const ENOUGH_TO_COVER: u64 = 10_000;

/// What all seeds came to.
#[derive(Default)]
struct Tally {
    seeds: u64,
    calls: u64,
    calls_in_chaos: u64,
    struck: u64,
    virtual_ms: i64,
    coverage: Coverage,
    failed: BTreeMap<u64, Vec<String>>,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.calls += outcome.calls;
        self.calls_in_chaos += outcome.calls_in_chaos;
        self.struck += u64::try_from(outcome.struck.len()).unwrap_or_default();
        self.virtual_ms += outcome.virtual_ms;
        self.coverage.add(&outcome.coverage);
        if !outcome.findings.is_empty() {
            self.failed.insert(outcome.seed, outcome.findings);
        }
    }
}

/// Which seeds are played.
struct Range {
    first: u64,
    most: u64,
    until: Option<Instant>,
}

impl Range {
    fn of(arguments: &Arguments) -> Self {
        Self {
            first: if arguments.fresh { fresh() } else { arguments.first },
            most: if arguments.within.is_some() { u64::MAX } else { arguments.seeds },
            until: arguments.within.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        }
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// For people.
    fn in_words(&self) -> String {
        match self.until {
            None => format!("of {} seeds from {}", self.most, self.first),
            Some(_) => format!("seeds from {}", self.first),
        }
    }
}

/// A seed that nobody has chosen, short enough to be typed again. Not by `fastrand`, which each run that was played seeds
/// anew.
fn fresh() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000_000 + 1
}

/// Searches, after a sweep that reached this already or without one.
pub(crate) fn run(arguments: &Arguments, swept: Option<&Swept>) -> ExitCode {
    let range = &Range::of(arguments);
    let began = Instant::now();
    let threads = threads(arguments);
    let (next, stop, broken) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(None));
    let tally = Mutex::new(Tally {
        coverage: swept.map(|swept| swept.coverage.clone()).unwrap_or_default(),
        ..Tally::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) && !range.is_over() {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= range.most {
                        break;
                    }
                    let seed = range.first.wrapping_add(number);
                    match played(seed, arguments.twice) {
                        Ok(outcome) => {
                            if !outcome.findings.is_empty() && !arguments.keep_going {
                                stop.store(true, Ordering::SeqCst);
                            }
                            lock(&tally).add(outcome);
                        }
                        Err(error) => {
                            stop.store(true, Ordering::SeqCst);
                            lock(&broken).get_or_insert(error);
                        }
                    }
                }
            });
        }
        if !arguments.json {
            show_progress(range, began, &tally, &stop);
        }
    });
    if let Some(error) = lock(&broken).take() {
        return cannot(&error);
    }
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let kept = match tally.failed.keys().next() {
        Some(seed) if !arguments.no_shrink => Some(
            report::shrink_failure(&format!("seed {seed}"), &Plan::of(*seed), &repro_directory(arguments))
                .map_err(|error| error.to_string()),
        ),
        _ => None,
    };
    let code = summarise(arguments, range, swept, &tally, began.elapsed(), kept.as_ref());
    match kept {
        Some(Ok(kept)) if !arguments.json => report::print_kept(&kept, arguments.command),
        Some(Err(error)) => {
            let _ = writeln!(std::io::stderr().lock(), "it could not be shrunk: {error}");
        }
        _ => {}
    }
    code
}

fn played(seed: u64, twice: bool) -> Result<Outcome, String> {
    let plan = Plan::of(seed);
    let mut outcome = play(&plan).map_err(|error| error.to_string())?;
    if twice {
        let again = play(&plan).map_err(|error| error.to_string())?;
        if again.hash != outcome.hash {
            outcome.findings.push(format!("the trace was {:016x} and then {:016x}", outcome.hash, again.hash));
        }
    }
    Ok(outcome)
}

#[expect(clippy::disallowed_methods, reason = "progress is for people, who live by the wall clock")]
fn show_progress(range: &Range, began: Instant, tally: &Mutex<Tally>, stop: &AtomicBool) {
    let words = range.in_words();
    let mut ticks = 0_u64;
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let tally = lock(tally);
        if tally.seeds >= range.most || range.is_over() || stop.load(Ordering::SeqCst) {
            break;
        }
        ticks += 1;
        if ticks.is_multiple_of(50) {
            let tenths = per(tally.seeds * 10_000, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            let mut err = std::io::stderr().lock();
            let _ = writeln!(
                err,
                "{:>7} {words}, {}.{} a second, {} calls, {} faults, {} failed",
                tally.seeds,
                tenths / 10,
                tenths % 10,
                tally.calls,
                tally.struck,
                tally.failed.len()
            );
        }
    }
}

fn summarise(
    arguments: &Arguments,
    range: &Range,
    swept: Option<&Swept>,
    tally: &Tally,
    took: Duration,
    kept: Option<&Result<report::Kept, String>>,
) -> ExitCode {
    let all = tally.coverage.all();
    let missing: Vec<&String> = all.iter().filter(|(_, times)| **times == 0).map(|(name, _)| name).collect();
    let lacks_coverage =
        arguments.require_coverage && (swept.is_some() || tally.seeds >= ENOUGH_TO_COVER) && !missing.is_empty();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let mut summary = json!({
            "seeds": tally.seeds,
            "first": range.first,
            "calls": tally.calls,
            "calls_a_seed": per(tally.calls, tally.seeds),
            "calls_a_seed_in_chaos": per(tally.calls_in_chaos, tally.seeds),
            "faults": tally.coverage.faults(),
            "coverage": all,
            "missing": missing,
            "failed": tally.failed,
            "repro": kept.and_then(|kept| kept.as_ref().ok()).map(|kept| json!({
                "file": kept.file.display().to_string(),
                "requests": kept.shrunk.after.requests,
                "faults": kept.shrunk.after.faults,
                "findings": kept.repro.findings,
            })),
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(swept) = swept {
            summary["sweep"] = sweep_command::summary(swept, arguments.command);
        }
        let _ = writeln!(out, "{summary:#}");
    } else {
        let _ = writeln!(
            out,
            "{} seeds from {} in {} s: {} calls a seed ({} of them before the calm), {} faults a seed, {} minutes a seed",
            tally.seeds,
            range.first,
            took.as_secs(),
            per(tally.calls, tally.seeds),
            per(tally.calls_in_chaos, tally.seeds),
            per(tally.struck, tally.seeds),
            per(u64::try_from(tally.virtual_ms).unwrap_or_default() / 60_000, tally.seeds),
        );
        for (name, times) in &all {
            let _ = writeln!(out, "{times:>10}  {name}");
        }
        if !missing.is_empty() {
            let _ = writeln!(
                out,
                "never reached: {}",
                missing.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("; ")
            );
        }
        for (seed, findings) in &tally.failed {
            let _ = writeln!(out, "seed {seed} fails:");
            for finding in findings.iter().take(5) {
                let _ = writeln!(out, "    {finding}");
            }
        }
        if let Some(seed) = tally.failed.keys().next() {
            let _ = writeln!(out, "as it was: {} --replay {seed} --trace", arguments.command);
        }
    }
    if tally.failed.is_empty() && !lacks_coverage { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn per(total: u64, of: u64) -> u64 {
    total.checked_div(of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_seed_is_another_after_the_same_run() {
        let after_a_run = || {
            play(&Plan::of(1)).expect("it is played");
            fresh()
        };
        assert_ne!(after_a_run(), after_a_run());
    }
}
