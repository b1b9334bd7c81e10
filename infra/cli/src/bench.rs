//! `paidonce bench`: measures, and says whether what was measured is within its budget.

use clap::Subcommand;

use crate::failure::Failure;
use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Write units and round trips of each flow, counted by the emulator, against their budgets
    Capacity {
        /// For machines
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let What::Capacity { json } = &arguments.what;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("no runtime can be started: {error}")))?;
    let measured = runtime.block_on(benchmarks::capacity());
    let report = measured.map_err(|error| Failure::Failed(format!("the capacity cannot be measured: {error}")))?;
    if *json {
        say(format_args!("{:#}", report.to_json()));
    } else {
        say(&report);
    }
    if report.within_budget() { Ok(()) } else { Err(Failure::Findings) }
}
