//! The simulator as a command of its own.

use std::process::ExitCode;

use clap::Parser;

/// Seeded faults over the real functions, and the promises judged after every commit.
#[derive(Parser)]
#[command(name = "simulation", version)]
struct Command {
    #[command(flatten)]
    arguments: simulation::Arguments,
}

fn main() -> ExitCode {
    let Command { arguments } = Command::parse();
    simulation::run(&arguments)
}
