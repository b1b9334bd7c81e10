//! What the commands run on: one thread for a look at a state, a few for a whole system.

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// Requests are answered in parallel, but the emulated table is one file with one writer.
const WORKERS: usize = 2;

pub(crate) fn of_one_thread() -> Result<Runtime, Failure> {
    build(&mut Builder::new_current_thread())
}

pub(crate) fn of_a_system() -> Result<Runtime, Failure> {
    build(Builder::new_multi_thread().worker_threads(WORKERS))
}

fn build(builder: &mut Builder) -> Result<Runtime, Failure> {
    builder.enable_all().build().map_err(|error| Failure::Failed(format!("no thread can be started: {error}")))
}
