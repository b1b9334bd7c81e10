//! The command's side of the sweep: a table for eyes or JSON for machines, and one run of a scenario again.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::command::{Arguments, threads};
use crate::plan::Plan;
use crate::scenarios::Scenario;
use crate::sweep::{self, Refused, Swept};

#[derive(Args, Clone, Debug)]
pub struct SweepArguments {
    /// Try each fault at each call of each scenario, one at a time, and each pair of crashes in an order's way; with
    /// --within, search after it
    #[arg(long, conflicts_with_all = ["replay", "replay_file"])]
    pub sweep: bool,
    /// Sweep this scenario only; without --sweep, play it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["replay", "replay_file"])]
    pub scenario: Option<String>,
    /// Let this go wrong in the scenario, such as PlaceOrder#1/1=lost-after; more than once for more
    #[arg(long, value_name = "POINT=FAULT", requires = "scenario", conflicts_with = "sweep")]
    pub force: Vec<String>,
    /// In which of its shapes it comes, from 1
    #[arg(long, default_value_t = 0, hide_default_value = true, requires = "force")]
    pub shape: u64,
}

impl SweepArguments {
    /// The scenarios that are to be swept, if any are.
    pub(crate) fn asked(&self) -> Option<Result<Vec<&'static Scenario>, Refused>> {
        self.sweep.then(|| match &self.scenario {
            Some(name) => Ok(vec![sweep::scenario(name)?]),
            None => Ok(Scenario::ALL.iter().collect()),
        })
    }

    /// The scenario that is to be played, and the run of it.
    pub(crate) fn plan(&self, like: &Plan) -> Result<Option<(&'static Scenario, Plan)>, Refused> {
        let Some(name) = &self.scenario else { return Ok(None) };
        let scenario = sweep::scenario(name)?;
        Ok(Some((scenario, sweep::forced(scenario, like, &self.force, self.shape)?)))
    }
}

/// Sweeps and shows what it came to, unless that is for machines and a search comes after it, whose summary has both.
/// `None` if it could not.
pub(crate) fn run(scenarios: &[&'static Scenario], like: &Plan, arguments: &Arguments) -> Option<Swept> {
    let is_json = arguments.json;
    let began = Instant::now();
    let last = Mutex::new(began);
    let swept = sweep::sweep(scenarios, like, threads(arguments), |what, done, of| {
        let Ok(mut last) = last.lock() else { return };
        if !is_json && last.elapsed() >= Duration::from_secs(5) {
            *last = Instant::now();
            let _ = writeln!(std::io::stderr().lock(), "{:>7} of {of} {what}, {} failed", done.runs, done.failed);
        }
    });
    match swept {
        Ok(swept) => {
            let is_searched = arguments.within.is_some() && !domain::planted::IS_PLANTED;
            let swept = Swept { took: began.elapsed(), ..swept };
            if !(is_json && is_searched && swept.is_whole()) {
                show(&swept, is_json, arguments.command);
            }
            Some(swept)
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error}");
            None
        }
    }
}

/// For machines.
pub(crate) fn summary(swept: &Swept, command: &str) -> Value {
    let failures = swept
        .failures
        .iter()
        .map(|(again, findings)| json!({ "again": format!("{command} {again}"), "findings": findings }));
    json!({
        "scenarios": swept.scenarios,
        "failures": failures.collect::<Vec<_>>(),
        "milliseconds": u64::try_from(swept.took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn show(swept: &Swept, is_json: bool, command: &str) {
    let mut out = std::io::stdout().lock();
    if is_json {
        let _ = writeln!(out, "{:#}", summary(swept, command));
        return;
    }
    let _ = writeln!(
        out,
        "{:<18}{:>7}{:>15}{:>9}{:>7}{:>13}{:>9}{:>8}",
        "scenario", "points", "(call, fault)", "reached", "runs", "crash pairs", "reached", "failed"
    );
    for tally in &swept.scenarios {
        let _ = writeln!(
            out,
            "{:<18}{:>7}{:>15}{:>9}{:>7}{:>13}{:>9}{:>8}",
            tally.scenario,
            tally.points,
            tally.pairs,
            tally.reached,
            tally.runs,
            tally.crash_pairs,
            tally.crash_pairs_reached,
            tally.failed
        );
    }
    for (again, findings) in &swept.failures {
        let _ = writeln!(out, "again: {command} {again}");
        for finding in findings.iter().take(5) {
            let _ = writeln!(out, "    {finding}");
        }
    }
    let (pairs, reached) = (swept.total(|tally| tally.pairs), swept.total(|tally| tally.reached));
    let crash_pairs = swept.total(|tally| tally.crash_pairs);
    let _ = writeln!(
        out,
        "{} runs and {crash_pairs} pairs of crashes in {} s",
        swept.total(|tally| tally.runs),
        swept.took.as_secs()
    );
    let percent = (reached * 100).checked_div(pairs).unwrap_or_default();
    let _ = writeln!(out, "{percent} % of {pairs} (call, fault)");
}
