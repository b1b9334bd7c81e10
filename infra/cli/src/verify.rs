//! `paidonce verify`: every promise, checked over a copy of the state. The server may be stopped, running or killed;
//! nothing is written and nobody is kept waiting.

use domain::promises::Report;
use domain::{Millis, Timestamp};
use local_cloud::Snapshot;
use platform::App;
use platform::verify::{Now, audit};
use serde_json::json;

use crate::failure::Failure;
use crate::report;
use crate::runtime;
use crate::state::Which;
use crate::terminal::{Paint, Progress, say};

#[derive(clap::Args)]
#[command(after_help = "What is younger than the grace may still be on its way and is no finding. \
                        Exit code 1 if a promise does not hold.")]
pub(crate) struct Arguments {
    /// For machines
    #[arg(long)]
    json: bool,
    /// How long something may be on its way; the sweeper looks once a minute
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    grace: u32,
    #[command(flatten)]
    state: Which,
}

/// What was still to be done when the state was copied.
struct Pending {
    messages: u64,
    changes: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let directory = arguments.state.directory();
    let (snapshot, reader) = directory.snapshot()?;
    let pending = Pending::of(&snapshot)?;
    let runtime = runtime::of_one_thread()?;
    let now = reader.now();
    let report = runtime.block_on(judge(&reader, now, snapshot.is_in_use, arguments.grace))?;
    let currency = reader.config.terms.currency;
    if arguments.json {
        let mut json = report::to_json(&report, currency);
        json["state"] = json!({
            "directory": directory.path(),
            "running": snapshot.is_in_use,
            "queued_messages": pending.messages,
            "unrelayed_changes": pending.changes,
        });
        say(format_args!("{json:#}"));
    } else {
        let shown = directory.path().display();
        say(if snapshot.is_in_use {
            format!("{shown}, served by a running process, as it was at {now}")
        } else {
            format!("{shown}, not being served")
        });
        say(pending.words());
        say("");
        report::show(&report, currency, Paint::for_stdout());
    }
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::Findings) }
}

async fn judge(reader: &App, now: Timestamp, is_running: bool, grace_seconds: u32) -> Result<Report, Failure> {
    // A state that stands still has not become late by being looked at tomorrow.
    let now = if is_running { Now::Moment(now) } else { Now::Newest };
    let grace = Millis::seconds(i64::from(grace_seconds));
    let progress = Progress::new();
    Ok(audit(reader.store.table(), now, grace, |seen| progress.at(format_args!("{seen} items read"))).await?)
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
