//! The command: what is asked of it, and one run again.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Args;

use crate::coverage::Path;
use crate::plan::Plan;
use crate::play::play;
use crate::report;
use crate::repro::Repro;
use crate::scenarios::Scenario;
use crate::sweep_command::{self, SweepArguments};

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
    #[cfg(feature = "planted")]
    #[command(flatten)]
    pub planted: crate::planted::PlantedArguments,
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

pub fn run(arguments: &Arguments) -> ExitCode {
    if let Some(sweep) = arguments.sweep.asked() {
        return match sweep {
            Ok(scenarios) => sweep_and_search(&scenarios, arguments),
            Err(refused) => cannot(&refused.to_string()),
        };
    }
    let plan = match again(arguments) {
        Ok(plan) => plan,
        Err(why) => return cannot(&why),
    };
    match plan {
        Some((what, plan)) if arguments.shrink => shrink(&what, &plan, arguments),
        Some((what, plan)) => replay(&what, &Plan { traced: arguments.trace, ..plan }),
        None if arguments.trace || arguments.shrink => {
            cannot("--trace and --shrink are of one run: say which by --replay, --replay-file or --scenario")
        }
        None if !arguments.reach.is_empty() => reach(arguments),
        #[cfg(feature = "planted")]
        None => crate::planted::run(arguments),
        #[cfg(not(feature = "planted"))]
        None => crate::search::run(arguments, None),
    }
}

/// What both reach counts together.
fn sweep_and_search(scenarios: &[&'static Scenario], arguments: &Arguments) -> ExitCode {
    match sweep_command::run(scenarios, &base(arguments), arguments) {
        None => ExitCode::from(2),
        Some(swept) if !swept.is_whole() => ExitCode::FAILURE,
        #[cfg(not(feature = "planted"))]
        Some(swept) if arguments.within.is_some() => crate::search::run(arguments, Some(&swept)),
        Some(_) => ExitCode::SUCCESS,
    }
}

/// What every run has in common that is asked for.
fn base(arguments: &Arguments) -> Plan {
    Plan {
        traced: arguments.trace,
        #[cfg(feature = "planted")]
        planted: arguments.planted.planted,
        ..Plan::default()
    }
}

/// The run that is to be played again, if one is, and what it is called.
fn again(arguments: &Arguments) -> Result<Option<(String, Plan)>, String> {
    if let Some(seed) = arguments.replay {
        return Ok(Some((format!("seed {seed}"), Plan { seed, ..base(arguments) })));
    }
    if let Some(file) = &arguments.replay_file {
        let repro = Repro::read(file).map_err(|error| error.to_string())?;
        return Ok(Some((file.display().to_string(), repro.plan().clone())));
    }
    let plan = arguments.sweep.plan(&base(arguments)).map_err(|refused| refused.to_string())?;
    Ok(plan.map(|(scenario, plan)| (format!("scenario {}", scenario.name), plan)))
}

pub(crate) fn threads(arguments: &Arguments) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.threads.unwrap_or(cores).max(1)
}

fn replay(what: &str, plan: &Plan) -> ExitCode {
    match play(plan) {
        Ok(outcome) => {
            if plan.traced {
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
            if !plan.traced {
                for finding in &outcome.findings {
                    let _ = writeln!(out, "  {finding}");
                }
            }
            if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => cannot(&error.to_string()),
    }
}

pub(crate) fn repro_directory(arguments: &Arguments) -> PathBuf {
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn cannot(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "error: {why}");
    ExitCode::from(2)
}
