//! `paidonce bench`: measures, and says whether what was measured is within its budget.

use clap::Subcommand;

use crate::failure::Failure;
use crate::runtime;
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
    /// How long POST /orders takes over a socket, until an order is completed, and what an idle server keeps in memory
    Latency {
        /// How many orders are placed, one after another
        #[arg(long, default_value_t = 2_000)]
        requests: usize,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// How card payments fare when their gateway is down while they keep coming: calls, and until all are captured
    Outage {
        /// How many payments come a second
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        per_second: u32,
        /// For how many seconds, of virtual time, it is down
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..=86_400))]
        seconds: u64,
        /// It says nothing at all, instead of answering with 503
        #[arg(long)]
        silent: bool,
        /// For machines
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let failed = |error| Failure::Failed(format!("it cannot be measured: {error}"));
    match arguments.what {
        What::Capacity { json } => {
            let report = runtime::of_one_thread()?.block_on(benchmarks::capacity()).map_err(failed)?;
            show(&report, &report.to_json(), json);
            if report.within_budget() { Ok(()) } else { Err(Failure::Findings) }
        }
        What::Latency { requests, json } => {
            let options =
                benchmarks::LatencyOptions { requests, binary: std::env::current_exe().ok(), ..Default::default() };
            // On what `serve` runs on.
            let report = runtime::of_a_system()?.block_on(benchmarks::latency(options)).map_err(failed)?;
            show(&report, &report.to_json(), json);
            if report.within_target() { Ok(()) } else { Err(Failure::Findings) }
        }
        What::Outage { per_second, seconds, silent, json } => {
            let outage = std::time::Duration::from_secs(seconds);
            let options = benchmarks::OutageOptions { per_second, outage, is_silent: silent };
            let report = runtime::of_one_thread()?.block_on(benchmarks::outage(options)).map_err(failed)?;
            show(&report, &report.to_json(), json);
            if report.within_target() { Ok(()) } else { Err(Failure::Findings) }
        }
    }
}

fn show(report: &impl std::fmt::Display, for_machines: &serde_json::Value, json: bool) {
    if json { say(format_args!("{for_machines:#}")) } else { say(report) }
}
