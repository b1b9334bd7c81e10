//! What is said of one run: what it was, what does not hold, the trace, and how to play it again. A failing run is shrunk
//! first and kept in a file.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path as File, PathBuf};

use crate::coverage::Path;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::play::{PlayError, play};
use crate::repro::Repro;
use crate::shrink::{Shrunk, Size, Verdict, kinds, shrink};
use crate::telling;

/// Runs that one shrinking may take: under a minute, and far more than any needed so far.
const MOST_RUNS: usize = 400;
/// Lines of a trace that are shown where nobody asked for all of it.
const LAST_LINES: usize = 80;
/// Operations and faults that are named one by one.
const MOST_NAMED: usize = 12;

/// Why there is no smaller run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error(transparent)]
    Play(#[from] PlayError),
    #[error(transparent)]
    Repro(#[from] crate::repro::ReproError),
    #[error("{0}")]
    Holds(String),
    #[error("what was drawn comes to trace {0}, and told again to {1}: a flaw of the simulator")]
    Otherwise(String, String),
}

/// A run that was made as small as it goes, and where it is kept.
pub(crate) struct Kept {
    pub(crate) repro: Repro,
    pub(crate) file: PathBuf,
    pub(crate) shrunk: Shrunk,
    pub(crate) outcome: Outcome,
}

/// Shrinks a run that breaks a promise.
pub(crate) fn shrink_failure(what: &str, plan: &Plan, directory: &File) -> Result<Kept, ReportError> {
    // What is told stays as it is when something else is left out.
    let plan = &plan.told(&play(plan)?);
    let judge = |plan: &Plan| play(plan).map(|outcome| Verdict::new(kinds(&outcome.findings), outcome));
    let shrunk = shrink(plan, MOST_RUNS, judge, progress)?
        .ok_or_else(|| ReportError::Holds(format!("{what} keeps every promise: nothing to shrink")))?;
    keep(shrunk, "What it found once does not come again.".to_owned(), Vec::new(), directory)
}

/// Shrinks a run that keeps every promise on rare paths.
pub(crate) fn shrink_reaching(plan: &Plan, paths: &[Path], directory: &File) -> Result<Kept, ReportError> {
    // What is told stays as it is when something else is left out.
    let plan = &plan.told(&play(plan)?);
    let judge = |plan: &Plan| play(plan).map(|outcome| Verdict::new(reached(paths, &outcome), outcome));
    let names = paths.iter().map(|path| path.name()).collect::<Vec<_>>().join("; ");
    let shrunk = shrink(plan, MOST_RUNS, judge, progress)?
        .ok_or_else(|| ReportError::Holds(format!("seed {} does not reach: {names}", plan.seed)))?;
    keep(shrunk, format!("How this comes about: {names}."), paths.to_vec(), directory)
}

/// The way of a run that reaches all of the paths and breaks nothing.
pub(crate) fn reached(paths: &[Path], outcome: &Outcome) -> std::collections::BTreeSet<String> {
    let does = outcome.findings.is_empty() && paths.iter().all(|path| outcome.coverage.times(*path) > 0);
    does.then(|| "reached".to_owned()).into_iter().collect()
}

fn keep(shrunk: Shrunk, shows: String, reaches: Vec<Path>, directory: &File) -> Result<Kept, ReportError> {
    let drawn = play(&Plan { traced: true, ..shrunk.plan.clone() })?;
    let repro = Repro::of(shows, &shrunk.plan, &drawn, reaches);
    let outcome = play(&Plan { traced: true, ..repro.plan().clone() })?;
    if outcome.hash != drawn.hash {
        return Err(ReportError::Otherwise(format!("{:016x}", drawn.hash), format!("{:016x}", outcome.hash)));
    }
    let file = repro.write(directory)?;
    Ok(Kept { repro, file, shrunk, outcome })
}

fn progress(runs: usize, size: Size) {
    let Size { requests, faults, .. } = size;
    let _ =
        writeln!(std::io::stderr().lock(), "shrinking: {runs} runs, {requests} requests and {faults} faults are left");
}

/// Where repro files are kept: in the repository beside the simulator, else in this directory.
pub(crate) fn default_directory() -> PathBuf {
    const IN_THE_REPOSITORY: &str = "infra/simulation";
    let has = |directory: &str| File::new(directory).join("Cargo.toml").is_file();
    if has(IN_THE_REPOSITORY) { File::new(IN_THE_REPOSITORY).join("repro") } else { PathBuf::from("repro") }
}

/// Everything about a run that was kept, and the command that plays it again.
pub(crate) fn print_kept(kept: &Kept, command: &str) {
    let Kept { repro, file, shrunk: Shrunk { before, after, runs, is_cut, .. }, outcome } = kept;
    let mut out = std::io::stdout().lock();
    let cut = if *is_cut { "; it may go on, since no run was left" } else { "" };
    let _ = writeln!(
        out,
        "shrunk in {runs} runs: {} requests to {}, {} faults to {}{cut}",
        before.requests, after.requests, before.faults, after.faults
    );
    drop(out);
    print_run(&format!("seed {}", repro.plan().seed), outcome, Some(LAST_LINES));
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "kept as {}", file.display());
    let _ = writeln!(out, "again: {command} --replay-file {} --trace", file.display());
}

/// A run in words: what it was, its trace or the end of it, and what does not hold.
pub(crate) fn print_run(what: &str, outcome: &Outcome, last: Option<usize>) {
    let mut out = std::io::stdout().lock();
    for line in in_words(what, outcome) {
        let _ = writeln!(out, "{line}");
    }
    let left_out = last.map_or(0, |last| outcome.trace.len().saturating_sub(last));
    if left_out > 0 {
        let _ = writeln!(out, "  … {left_out} lines before; --replay-file with --trace prints them all");
    }
    let has_colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    for line in &outcome.trace[left_out..] {
        let _ = if has_colours { writeln!(out, "{}", telling::coloured(line)) } else { writeln!(out, "{line}") };
    }
    if !outcome.findings.is_empty() {
        let _ = writeln!(out, "what does not hold:");
        for finding in &outcome.findings {
            let _ = writeln!(out, "  {finding}");
        }
    }
}

/// The plan in words: who does what, what goes wrong, and what else was drawn.
fn in_words(what: &str, outcome: &Outcome) -> Vec<String> {
    let Outcome { performed, struck, .. } = outcome;
    let mut lines = vec![what.to_owned()];
    lines.extend(outcome.setting.iter().map(|setting| format!("  {setting}")));
    if performed.len() <= MOST_NAMED {
        lines.extend(performed.iter().map(|performed| format!("  {}", performed.says)));
    } else {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for performed in performed {
            *by.entry(performed.says.split(' ').next().unwrap_or_default()).or_default() += 1;
        }
        lines.extend(by.into_iter().map(|(who, times)| format!("  {who} does {times} things")));
    }
    if struck.is_empty() {
        lines.push("  nothing goes wrong".to_owned());
    } else if struck.len() <= MOST_NAMED {
        for (point, fault) in struck {
            let about = outcome.met.iter().find(|met| met.point == *point);
            let about =
                about.filter(|met| !met.about.is_empty()).map(|met| format!(" ({})", met.about)).unwrap_or_default();
            lines.push(format!("  ✗ {} at {point}{about}", fault.name()));
        }
    } else {
        let mut by: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, fault) in struck {
            *by.entry(fault.name()).or_default() += 1;
        }
        let by: Vec<String> = by.into_iter().map(|(fault, times)| format!("{fault} {times} times")).collect();
        lines.push(format!("  ✗ {}", by.join(", ")));
    }
    lines.push(String::new());
    lines
}
