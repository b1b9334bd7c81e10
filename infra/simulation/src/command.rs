//! The command: many seeds on all cores, or one seed again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::coverage::{Coverage, Path};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::play::play;
use crate::report;
use crate::repro::Repro;
use crate::sweep_command::{self, SweepArguments};

/// Runs with fewer seeds than this need not reach everything.
const ENOUGH_TO_COVER: u64 = 10_000;

#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// How many seeds to play
    #[arg(long, default_value_t = 100)]
    pub seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    pub first: u64,
    /// As many as fit into so many seconds, instead of a number of seeds
    #[arg(long, value_name = "SECONDS", conflicts_with = "seeds")]
    pub within: Option<u64>,
    /// Begin at a seed that nobody has chosen
    #[arg(long, conflicts_with = "first")]
    pub fresh: bool,
    /// Threads; as many as there are cores unless said otherwise
    #[arg(long)]
    pub threads: Option<usize>,
    /// Play this seed again, and print the hash of its trace
    #[arg(long, conflicts_with_all = ["seeds", "first", "within", "fresh"], group = "again")]
    pub replay: Option<u64>,
    /// Play the run of a repro file again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "first", "within", "fresh"], group = "again")]
    pub replay_file: Option<PathBuf>,
    /// Print what happened, in lines
    #[arg(long)]
    pub trace: bool,
    /// Make the run that is played again as small as it still fails, and keep that in a repro file
    #[arg(long, conflicts_with = "no_shrink")]
    pub shrink: bool,
    /// Leave the first failing seed of a search as it is
    #[arg(long)]
    pub no_shrink: bool,
    /// Where repro files are written: `infra/simulation/repro` within the repository, else `repro`
    #[arg(long, value_name = "DIR")]
    pub repro: Option<PathBuf>,
    /// Look for the first seed that comes by this rare path, and keep the smallest run that does in a repro file
    #[arg(long, value_name = "PATH", value_parser = path, conflicts_with = "again")]
    pub reach: Vec<Path>,
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
    #[command(flatten)]
    pub sweep: SweepArguments,
    /// What this command is called where it is told how to play a run again.
    #[arg(skip = "simulation")]
    pub command: &'static str,
}

fn path(name: &str) -> Result<Path, String> {
    Path::named(name).ok_or_else(|| {
        let known: Vec<&str> = Path::ALL.iter().map(|path| path.name()).collect();
        format!("there is no such path; there are:\n  {}", known.join("\n  "))
    })
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
    if let Some(sweep) = arguments.sweep.asked() {
        return match sweep {
            Ok(scenarios) => sweep_command::run(&scenarios, threads(arguments), arguments.json, arguments.command),
            Err(refused) => cannot(&refused.to_string()),
        };
    }
    let plan = match again(arguments) {
        Ok(plan) => plan,
        Err(why) => return cannot(&why),
    };
    match plan {
        Some((what, plan)) if arguments.shrink => shrink(&what, &plan, arguments),
        Some((what, plan)) => replay(&what, &plan, arguments.trace),
        None if arguments.trace || arguments.shrink => {
            cannot("--trace and --shrink are of one run: say which by --replay, --replay-file or --scenario")
        }
        None if arguments.reach.is_empty() => explore(arguments, &Range::of(arguments)),
        None => reach(arguments),
    }
}

/// The run that is to be played again, if one is, and what it is called.
fn again(arguments: &Arguments) -> Result<Option<(String, Plan)>, String> {
    if let Some(seed) = arguments.replay {
        return Ok(Some((format!("seed {seed}"), Plan::of(seed))));
    }
    if let Some(file) = &arguments.replay_file {
        let repro = Repro::read(file).map_err(|error| error.to_string())?;
        return Ok(Some((file.display().to_string(), repro.plan().clone())));
    }
    let plan = arguments.sweep.plan().map_err(|refused| refused.to_string())?;
    Ok(plan.map(|(scenario, plan)| (format!("scenario {}", scenario.name), plan)))
}

fn threads(arguments: &Arguments) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.threads.unwrap_or(cores).max(1)
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
            // Short enough to be typed again.
            first: if arguments.fresh { fastrand::u64(1..1_000_000_000) } else { arguments.first },
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

fn replay(what: &str, plan: &Plan, traced: bool) -> ExitCode {
    match play(&Plan { traced, ..plan.clone() }) {
        Ok(outcome) => {
            if traced {
                report::print_run(what, &outcome, None);
            }
            let mut out = std::io::stdout().lock();
            let _ = writeln!(
                out,
                "{what}: {} calls, {} faults, trace {:016x}",
                outcome.calls,
                outcome.struck.len(),
                outcome.hash
            );
            if !traced {
                for finding in &outcome.findings {
                    let _ = writeln!(out, "  {finding}");
                }
            }
            if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => cannot(&error.to_string()),
    }
}

fn repro_directory(arguments: &Arguments) -> PathBuf {
    arguments.repro.clone().unwrap_or_else(report::default_directory)
}

fn shrink(what: &str, plan: &Plan, arguments: &Arguments) -> ExitCode {
    match report::shrink_failure(what, plan, &repro_directory(arguments)) {
        Ok(kept) => {
            report::print_kept(&kept, arguments.command);
            ExitCode::FAILURE
        }
        Err(error) => cannot(&error.to_string()),
    }
}

/// The first seed that comes by all of the paths, shrunk.
fn reach(arguments: &Arguments) -> ExitCode {
    for seed in arguments.first..arguments.first.saturating_add(arguments.seeds) {
        match play(&Plan::of(seed)) {
            Ok(outcome) if report::reached(&arguments.reach, &outcome).is_empty() => {}
            Ok(_) => {
                return match report::shrink_reaching(&Plan::of(seed), &arguments.reach, &repro_directory(arguments)) {
                    Ok(kept) => {
                        report::print_kept(&kept, arguments.command);
                        ExitCode::SUCCESS
                    }
                    Err(error) => cannot(&error.to_string()),
                };
            }
            Err(error) => return cannot(&error.to_string()),
        }
    }
    cannot(&format!("none of {} seeds comes by all of that; try more with --seeds", arguments.seeds))
}

fn explore(arguments: &Arguments, range: &Range) -> ExitCode {
    let began = Instant::now();
    let threads = threads(arguments);
    let (next, stop, broken) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(None));
    let tally = Mutex::new(Tally::default());
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
    let code = summarise(arguments, range, &tally, began.elapsed(), kept.as_ref());
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
    tally: &Tally,
    took: Duration,
    kept: Option<&Result<report::Kept, String>>,
) -> ExitCode {
    let all = tally.coverage.all();
    let missing: Vec<&String> = all.iter().filter(|(_, times)| **times == 0).map(|(name, _)| name).collect();
    let lacks_coverage = arguments.require_coverage && tally.seeds >= ENOUGH_TO_COVER && !missing.is_empty();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let summary = json!({
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

fn cannot(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {why}");
    ExitCode::from(2)
}
