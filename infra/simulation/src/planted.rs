//! Whether the simulator finds what is known to be wrong: each planted bug is searched for, seed after seed, and the
//! seeds by which it was found before are played again.

mod known;
mod search;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use domain::planted::{Bug, MARKER};
use serde_json::json;

use crate::command;
use known::Known;
use search::Found;

#[derive(Args, Clone, Debug)]
pub struct PlantedArguments {
    /// Only this bug; with --replay, the one that is in the code
    #[arg(long, value_name = "BUG", value_parser = bug)]
    pub planted: Option<Bug>,
    /// Play the seeds again by which each was found before
    #[arg(long, conflicts_with_all = ["replay", "seeds", "first", "write"])]
    pub known: bool,
    /// Keep the seeds by which each was found, for --known
    #[arg(long, conflicts_with = "replay")]
    pub write: bool,
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::ALL.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        format!("there is no such bug; planted are {}", names.join(", "))
    })
}

/// One bug, and what it took to find it.
pub(crate) struct Row {
    bug: Bug,
    /// How many seeds were played until it was found, or until the search was given up.
    seeds: u64,
    found: Option<Found>,
}

pub(crate) fn run(arguments: &command::Arguments) -> ExitCode {
    if arguments.keep_going || arguments.twice || arguments.require_coverage {
        return command::cannot("--keep-going, --twice and --require-coverage are for builds without planted bugs");
    }
    let bugs: Vec<Bug> = arguments.planted.planted.map_or_else(|| Bug::ALL.to_vec(), |bug| vec![bug]);
    let done = if arguments.planted.known { known::replay(arguments, &bugs) } else { search_all(arguments, &bugs) };
    let rows = match done {
        Ok(rows) => rows,
        Err(why) => return command::cannot(&why),
    };
    let mut out = std::io::stdout().lock();
    let shown = if arguments.json { as_json(&rows) } else { as_table(&rows) };
    let _ = writeln!(out, "{shown}");
    let missed = rows.iter().filter(|row| row.found.is_none()).count();
    if missed == 0 {
        return ExitCode::SUCCESS;
    }
    let advice = if arguments.planted.known {
        "Seeds grow stale when the product or the simulator changes. Search again and keep what is found:\n    \
         cargo run --release -p simulation --features planted -- --write"
    } else {
        "What was not found is a hole in the judges, in the workload or in the faults: docs/simulator.md."
    };
    let _ = writeln!(std::io::stderr().lock(), "{missed} of {} planted bugs were not found. {advice}", rows.len());
    ExitCode::FAILURE
}

fn search_all(arguments: &command::Arguments, bugs: &[Bug]) -> Result<Vec<Row>, String> {
    let mut known = if arguments.planted.write { Known::read_if_any()? } else { Known::default() };
    say(arguments, || format!("{MARKER}: it is good for nothing but to be searched"));
    let mut rows = Vec::new();
    for bug in bugs {
        let row = search::search(arguments, *bug)?;
        say(arguments, || match &row.found {
            Some(found) => format!("{:>6} {} by seed {}", row.seeds, bug.name(), found.by[0]),
            None => format!("{:>6} {} is NOT FOUND", row.seeds, bug.name()),
        });
        if let (true, Some(found)) = (arguments.planted.write, &row.found) {
            // At once, so that a search that is broken off was not for nothing.
            known.keep(*bug, &found.by);
            known.write()?;
        }
        rows.push(row);
    }
    Ok(rows)
}

pub(crate) fn say(arguments: &command::Arguments, line: impl FnOnce() -> String) {
    if !arguments.json {
        let _ = writeln!(std::io::stderr().lock(), "{}", line());
    }
}

fn as_json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "bug": row.bug.name(),
                "wrong": row.bug.wrong(),
                "seeds": row.seeds,
                "found_by": row.found.as_ref().map(|found| &found.by),
                "finding": row.found.as_ref().map(|found| &found.says),
            })
        })
        .collect();
    format!("{:#}", json!({ "planted": rows }))
}

fn as_table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.bug.name().len()).max().unwrap_or_default();
    let mut table = format!("{:>6}  {:<width$}  what is wrong, and the first that was found", "seeds", "bug");
    for row in rows {
        let _ = write!(table, "\n{:>6}  {:<width$}  {}", row.seeds, row.bug.name(), row.bug.wrong());
        let says = row
            .found
            .as_ref()
            .map_or_else(|| "NOT FOUND".to_owned(), |found| format!("seed {}: {}", found.by[0], found.says));
        let _ = write!(table, "\n{:>6}  {:<width$}  {}", "", "", says.chars().take(150).collect::<String>());
    }
    table
}
