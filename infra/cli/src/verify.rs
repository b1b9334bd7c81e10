//! `paidonce verify`: every promise, checked over a copy of the local state or over a deployed table. The server may be
//! stopped, running or killed; nothing is written and nobody is kept waiting.

pub(crate) mod deployed;

use std::time::Instant;

use domain::Millis;
use domain::promises::Report;
use local_cloud::Snapshot;
use platform::Clock;
use platform::table::Table;
use platform::verify::{self, Now, Plan, Reading};
use serde_json::{Value, json};

use self::deployed::Deployed;
use crate::failure::Failure;
use crate::report;
use crate::runtime;
use crate::state::Which;
use crate::terminal::{Paint, Progress, say};

#[derive(clap::Args)]
#[command(after_help = "What is younger than the grace may still be on its way and is no finding. \
                        Exit code 1 if a promise does not hold.\n\n\
                        A table on AWS is read with AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
                        AWS_SESSION_TOKEN. It is no snapshot: what is found there is read again before it is said.")]
pub(crate) struct Arguments {
    /// For machines
    #[arg(long)]
    json: bool,
    /// How long something may be on its way; the sweeper looks once a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    grace: u32,
    #[command(flatten)]
    state: Which,
    #[command(flatten)]
    deployed: deployed::OnAws,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (report, place) = match arguments.deployed.deployed(|name| std::env::var(name).ok())? {
        Some(deployed) => verify_deployed(arguments, &deployed)?,
        None => verify_state(arguments)?,
    };
    if arguments.json {
        let mut json = report::to_json(&report, report.currency);
        json[place.kind] = place.json;
        say(format_args!("{json:#}"));
    } else {
        place.words.iter().for_each(say);
        say("");
        report::show(&report, report.currency, Paint::for_stdout());
    }
    if report.findings.is_empty() && !report.is_cut { Ok(()) } else { Err(Failure::Findings) }
}

/// What was verified, for eyes and for machines.
struct Place {
    kind: &'static str,
    json: Value,
    words: Vec<String>,
}

fn verify_state(arguments: &Arguments) -> Result<(Report, Place), Failure> {
    let directory = arguments.state.directory();
    let (snapshot, reader) = directory.snapshot()?;
    let pending = Pending::of(&snapshot)?;
    let now = reader.now();
    // A state that stands still has not become late by being looked at tomorrow.
    let moment = if snapshot.is_in_use { Now::Moment(now) } else { Now::Newest };
    let plan = plan(arguments, Reading::Still(moment))?;
    let report = runtime::of_one_thread()?.block_on(read(reader.store.table(), &plan, None))?;
    let shown = directory.path().display();
    let served = if snapshot.is_in_use {
        format!("{shown}, served by a running process, as it was at {now}")
    } else {
        format!("{shown}, not being served")
    };
    let json = json!({
        "directory": directory.path(),
        "running": snapshot.is_in_use,
        "queued_messages": pending.messages,
        "unrelayed_changes": pending.changes,
    });
    Ok((report, Place { kind: "state", json, words: vec![served, pending.words()] }))
}

fn verify_deployed(arguments: &Arguments, deployed: &Deployed) -> Result<(Report, Place), Failure> {
    let clock = Clock::wall();
    let began = clock.now();
    let mut plan = plan(arguments, Reading::Live(clock))?;
    plan.segments = deployed.segments;
    plan.read_units_a_second = deployed.read_units;
    let table = deployed.open();
    let report = runtime::of_one_thread()?.block_on(async {
        let about = table.counted().await?;
        read(&table, &plan, Some(about).filter(|about| *about > 0)).await
    });
    let report = report.map_err(|error| deployed.explain(error))?;
    let as_of = began.before(plan.grace);
    let words = vec![
        format!("table {} {}", table.name(), deployed.place()),
        format!("what happened up to {as_of} is judged; what was found was read again"),
    ];
    let json = json!({
        "name": table.name(),
        "region": deployed.target.region,
        "endpoint_url": deployed.target.endpoint_url,
        "as_of": as_of.to_string(),
    });
    Ok((report, Place { kind: "table", json, words }))
}

fn plan(arguments: &Arguments, reading: Reading) -> Result<Plan, Failure> {
    let grace = Millis::seconds(i64::from(arguments.grace));
    Ok(Plan::new(reading, grace, verify::chance()?))
}

async fn read(table: &Table, plan: &Plan, about: Option<u64>) -> Result<Report, platform::Failure> {
    let shown = Progress::new();
    let began = Instant::now();
    let mut before = (began, 0);
    let mut read = 0;
    verify::verify(table, plan, |progress| match progress {
        verify::Progress::First { items } => {
            let about = about.map(|about| format!(" of about {about}")).unwrap_or_default();
            read = items;
            shown.at(format_args!("pass 1: {items} items{about}, {}/s", rate(items, began)));
        }
        verify::Progress::Second { round, items } => {
            if before.1 != round {
                before = (Instant::now(), round);
            }
            let round = if round > 1 { format!(", round {round}") } else { String::new() };
            shown.at(format_args!("pass 2{round}: {items} items of about {read}, {}/s", rate(items, before.0)));
        }
        verify::Progress::Again { left } => shown.at(format_args!("reading again what was found: {left} left")),
    })
    .await
}

fn rate(items: u64, since: Instant) -> u128 {
    u128::from(items) * 1_000 / since.elapsed().as_millis().max(1)
}

/// What was still to be done when the state was copied.
struct Pending {
    messages: u64,
    changes: usize,
}

impl Pending {
    fn of(snapshot: &Snapshot) -> Result<Self, Failure> {
        let depths = snapshot.cloud.queue_depths();
        let messages = depths.values().map(|depth| depth.visible + depth.in_flight + depth.delayed).sum();
        Ok(Self { messages, changes: snapshot.cloud.unread_changes()? })
    }

    fn words(&self) -> String {
        match self {
            Self { messages: 0, changes: 0 } => "nothing is on its way".to_owned(),
            Self { messages, changes } => format!(
                "on its way: {messages} {} queued, {changes} {} not yet relayed",
                if *messages == 1 { "message" } else { "messages" },
                if *changes == 1 { "change" } else { "changes" },
            ),
        }
    }
}
