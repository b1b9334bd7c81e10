//! The command: many seeds on all cores, or one seed again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::coverage::Coverage;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::play::play;

/// Runs with fewer seeds than this need not reach everything.
const ENOUGH_TO_COVER: u64 = 10_000;
/// How many are played unless it is said. Of a build with planted bugs, for each of them.
const SEEDS: u64 = if domain::planted::IS_PLANTED { 10_000 } else { 100 };

#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// How many seeds to play
    #[arg(long, default_value_t = SEEDS)]
    pub seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    pub first: u64,
    /// Threads; as many as there are cores unless said otherwise
    #[arg(long)]
    pub threads: Option<usize>,
    /// Play this seed again, and print the hash of its trace
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    pub replay: Option<u64>,
    /// Print what happened, in lines
    #[arg(long, requires = "replay")]
    pub trace: bool,
    /// Go on after a finding
    #[arg(long)]
    pub keep_going: bool,
    /// Play each seed twice and compare the hashes of the traces
    #[arg(long)]
    pub twice: bool,
    /// Fail if something known was never reached
    #[arg(long)]
    pub require_coverage: bool,
    /// The summary as JSON
    #[arg(long)]
    pub json: bool,
    #[cfg(feature = "planted")]
    #[command(flatten)]
    pub planted: crate::planted::Arguments,
}

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

pub fn run(arguments: &Arguments) -> ExitCode {
    match arguments.replay {
        Some(seed) => replay(arguments, seed),
        #[cfg(feature = "planted")]
        None if domain::planted::IS_PLANTED => crate::planted::run(arguments),
        None => explore(arguments),
    }
}

fn replay(arguments: &Arguments, seed: u64) -> ExitCode {
    let plan = Plan {
        traced: arguments.trace,
        #[cfg(feature = "planted")]
        planted: arguments.planted.planted,
        ..Plan::of(seed)
    };
    match play(&plan) {
        Ok(outcome) => {
            let mut out = std::io::stdout().lock();
            for line in &outcome.trace {
                let _ = writeln!(out, "{line}");
            }
            let _ = writeln!(
                out,
                "seed {seed}: {} calls, {} faults, trace {:016x}",
                outcome.calls,
                outcome.struck.len(),
                outcome.hash
            );
            for finding in &outcome.findings {
                let _ = writeln!(out, "  {finding}");
            }
            if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => cannot(&error.to_string()),
    }
}

fn explore(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(cores).max(1);
    let (next, stop, broken) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(None));
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= arguments.seeds {
                        break;
                    }
                    let seed = arguments.first.wrapping_add(number);
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
            show_progress(arguments.seeds, began, &tally, &stop);
        }
    });
    if let Some(error) = lock(&broken).take() {
        return cannot(&error);
    }
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summarise(arguments, &tally, began.elapsed())
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "progress is for people, who live by the wall clock")]
fn show_progress(seeds: u64, began: Instant, tally: &Mutex<Tally>, stop: &AtomicBool) {
    let mut ticks = 0_u64;
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let tally = lock(tally);
        if tally.seeds >= seeds || stop.load(Ordering::SeqCst) {
            break;
        }
        ticks += 1;
        if ticks.is_multiple_of(50) {
            let tenths = per(tally.seeds * 10_000, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            let mut err = std::io::stderr().lock();
            let _ = writeln!(
                err,
                "{:>7} of {seeds} seeds, {}.{} a second, {} calls, {} faults, {} failed",
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

fn summarise(arguments: &Arguments, tally: &Tally, took: Duration) -> ExitCode {
    let all = tally.coverage.all();
    let missing: Vec<&String> = all.iter().filter(|(_, times)| **times == 0).map(|(name, _)| name).collect();
    let lacks_coverage = arguments.require_coverage && arguments.seeds >= ENOUGH_TO_COVER && !missing.is_empty();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let summary = json!({
            "seeds": tally.seeds,
            "first": arguments.first,
            "calls": tally.calls,
            "calls_a_seed": per(tally.calls, tally.seeds),
            "calls_a_seed_in_chaos": per(tally.calls_in_chaos, tally.seeds),
            "faults": tally.coverage.faults(),
            "coverage": all,
            "missing": missing,
            "failed": tally.failed,
            "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        let _ = writeln!(out, "{summary:#}");
    } else {
        let _ = writeln!(
            out,
            "{} seeds in {} s: {} calls a seed ({} of them before the calm), {} faults a seed, {} minutes a seed",
            tally.seeds,
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
            let _ = writeln!(out, "again: simulation --replay {seed} --trace");
        }
    }
    if tally.failed.is_empty() && !lacks_coverage { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn per(total: u64, of: u64) -> u64 {
    total.checked_div(of).unwrap_or_default()
}

pub(crate) fn cannot(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {why}");
    ExitCode::from(2)
}
