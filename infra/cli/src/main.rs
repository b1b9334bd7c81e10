//! The `paidonce` command: the whole system on one machine, and the tools that look into its state.
//!
//! One file for each subcommand; here they are only picked. It decides nothing about orders or money and reads no
//! table by itself: what it shows comes from `platform` and is judged by `domain`.

mod bench;
mod demo;
mod env;
mod failure;
mod gateway;
mod invoke;
mod logs;
mod reconcile;
mod report;
mod runtime;
mod serve;
mod state;
mod terminal;
mod timeline;
mod token;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const _: () = assert!(!domain::planted::IS_PLANTED, "the command is built without the feature `planted`");

const EXAMPLES: &str = "\
Examples:
  paidonce                                  serve on port 3000, keeping the state in .paidonce;
                                            AWS CLI and SDKs are answered on port 4566
  paidonce --ephemeral --port 0 --aws-port 0
                                            serve on free ports and keep nothing
  paidonce --parameter Currency=JPY --state yen
  paidonce demo                             see what it promises, in a few seconds
  paidonce token --user alice               a bearer token that the running server believes
  paidonce invoke place-order events/place-order.json
                                            replay one event through its function, and see what it did
  paidonce env --format sam                 what `sam local invoke --env-vars` needs to reach the running server
  paidonce timeline ORDER                   how an order came to where it is, and what it waits for
  paidonce verify                           check every promise over the state, stopped or running
  paidonce verify --table paidonce-table    the same over a deployed table, read only
  paidonce reconcile report.csv             hold a gateway's report against what was captured and given back
  paidonce gateway next timeout_after       the next card is charged, and nobody is told
  paidonce simulate --seeds 1000            play the whole system under faults, and judge every commit

Exit codes: 0 all is well, 1 findings or a failure, 2 it was called wrongly.";

/// Orders and payments that charge exactly once, on this machine.
#[derive(Parser)]
#[command(name = "paidonce", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    subcommand: Option<Tool>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Subcommand)]
enum Tool {
    /// Serve the whole system from this process (the default)
    Serve(serve::Arguments),
    /// Replay one event through its function, against the state of a stopped or running server
    Invoke(invoke::Arguments),
    /// Print what another process needs to reach the running server
    Env(env::Arguments),
    /// Print a bearer token that the server of a state directory believes
    Token(token::Arguments),
    /// Show how an order came to where it is, and what it waits for
    Timeline(timeline::Arguments),
    /// Check every promise over the state of a stopped or running server, or over a deployed table
    Verify(verify::Arguments),
    /// Hold a gateway's report against what was captured and given back, and name what differs
    Reconcile(reconcile::Arguments),
    /// Play the whole system under faults from seeds, and judge every commit and every answer
    Simulate(simulation::Arguments),
    /// Control the payment gateway's stand-in of a running server, and look into its book
    Gateway(gateway::Arguments),
    /// Run a story that shows what is promised, and check it
    Demo,
    /// Measure
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    local_system::panics::remember_places();
    let Command { subcommand, serve } = Command::parse();
    let done = match subcommand.unwrap_or(Tool::Serve(serve)) {
        Tool::Serve(arguments) => serve::run(arguments),
        Tool::Invoke(arguments) => invoke::run(&arguments),
        Tool::Env(arguments) => env::run(&arguments),
        Tool::Token(arguments) => token::run(&arguments),
        Tool::Timeline(arguments) => timeline::run(&arguments),
        Tool::Verify(arguments) => verify::run(&arguments),
        Tool::Reconcile(arguments) => reconcile::run(&arguments),
        Tool::Simulate(arguments) => {
            return simulation::run(&simulation::Arguments { command: "paidonce simulate", ..arguments });
        }
        Tool::Gateway(arguments) => gateway::run(&arguments),
        Tool::Demo => demo::run(),
        Tool::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}
