//! `paidonce invoke`: one event through one function, as it is deployed, against the state of a server; and what it
//! answered, told, sent and used. Nothing else runs, so that one step can be looked at alone.

mod fixture;
mod services;
mod shown;
mod step;
mod traffic;

use std::path::PathBuf;

use clap::ValueEnum;
use domain::Timestamp;

use self::services::Services;
use self::step::Step;
use crate::failure::Failure;
use crate::state::Which;
use crate::{logs, runtime};

const HELP: &str = "\
The server may be stopped: then this opens its state by itself, and what the function tells is passed on when the state
is served again. Or it runs: then the function runs here and reaches the server's services over its AWS port.

The template's time limit is kept. With --clock and --seed the same event over the same state gives the same bytes,
printed and kept.

Exit codes: 0 the function answered, with whatever status (a 404 is an answer), 1 it failed or the state cannot be used,
2 this was called wrongly.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The function, by the template's `Handler` (place-order) or its logical id (PlaceOrder)
    function: String,
    /// The event as JSON, `-` for standard input; if left out, the function's one under events/
    fixture: Option<PathBuf>,
    #[command(flatten)]
    state: Which,
    /// Over an empty state in memory, which is gone afterwards
    #[arg(long, conflicts_with = "state")]
    ephemeral: bool,
    /// How to print what came of it
    #[arg(long, value_enum, default_value_t = Output::Eyes)]
    output: Output,
    /// The same as --output json
    #[arg(long, conflicts_with_all = ["output", "answer_only"])]
    json: bool,
    /// The same as --output answer
    #[arg(long, conflicts_with = "output")]
    answer_only: bool,
    /// Let the function's clock stand at this moment: 2026-11-21T05:53:03Z, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = moment)]
    clock: Option<Timestamp>,
    /// Make its chance repeatable: the ids of its tries, and its pauses between them
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For people
    Eyes,
    /// All of it, for machines: answer, told, sent, units
    Json,
    /// The answer's JSON on one line, as the Lambda returns it
    Answer,
}

impl Arguments {
    fn output(&self) -> Output {
        match self {
            Self { json: true, .. } => Output::Json,
            Self { answer_only: true, .. } => Output::Answer,
            Self { output, .. } => *output,
        }
    }
}

/// Between 1970 and 2286: what has more digits is kept nowhere.
fn moment(text: &str) -> Result<Timestamp, String> {
    const LATEST_MS: i64 = 9_999_999_999_999;
    let millis = text.parse().ok().or_else(|| {
        let moment = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
    });
    let millis = millis.filter(|millis| (0..=LATEST_MS).contains(millis));
    millis
        .map(Timestamp::from_millis)
        .ok_or_else(|| "write it as 2026-11-21T05:53:03Z, or as milliseconds since 1970, no later than 2286".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    logs::start("warn,functions=info,platform=info");
    let stack = services::stack(arguments)?;
    let function = fixture::function(&stack, &arguments.function)?;
    let event = fixture::read(arguments.fixture.as_deref(), &function.handler)?;
    let runtime = runtime::of_one_thread()?;
    let done = runtime.block_on(async {
        let services = Services::open(arguments, stack.clone()).await?;
        Step { services: &services, stack: &stack, function, clock: arguments.clock, seed: arguments.seed }
            .take(event)
            .await
    })?;
    match arguments.output() {
        Output::Eyes => shown::for_eyes(&done)?,
        Output::Json => shown::for_machines(&done)?,
        Output::Answer => shown::answer(&done),
    }
    match done.answer {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::Findings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_with_its_zone_or_milliseconds() {
        let expected = Timestamp::from_millis(1_795_240_383_007);
        for right in ["2026-11-21T05:53:03.007Z", "2026-11-21T06:53:03.007+01:00", "1795240383007"] {
            assert_eq!(moment(right), Ok(expected), "{right}");
        }
        for wrong in ["", "now", "2026-11-21", "2026-11-21T05:53:03", "-1", "10000000000000", "1969-12-31T23:59:59Z"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
