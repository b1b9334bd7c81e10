//! The fault simulator: the functions as they are, the real SDK with its retries and the local cloud, in one thread, on
//! virtual time, from one seed.
//!
//! A run is a pure function of its [`Plan`]. In the chaos every call of a service, every delivery and every request of a
//! customer may go wrong; then comes the calm, in which everything has to come to rest; then time jumps, and what was
//! delivered long ago comes once more. Each commit is judged as it is applied, each answer against all that were given
//! before, and everything that is kept at the end.

mod around;
mod bank;
mod cards;
mod chance;
mod command;
mod coverage;
mod fault;
mod hearing;
mod hooks;
mod lag;
mod model;
mod named;
mod network;
mod outcome;
mod outside;
mod plan;
#[cfg(feature = "planted")]
mod planted;
mod play;
mod report;
pub mod repro;
mod scenarios;
mod script;
#[cfg(not(feature = "planted"))]
mod search;
mod shop;
mod shrink;
mod speaker;
mod sweep;
mod sweep_command;
mod telling;
mod trace;
mod wire;
mod workload;
mod world;

pub use command::{Arguments, run};
pub use coverage::{Coverage, Path};
pub use fault::{Class, Fault};
pub use outcome::{Met, Outcome, Performed};
pub use plan::{Part, Plan, Point};
pub use play::{PlayError, play};
pub use scenarios::Scenario;
pub use script::Script;
pub use shrink::{Shrunk, Size, Verdict, kinds, shrink};
pub use sweep::{Done, Refused, Swept, Tally, forced, sweep};
pub use sweep_command::SweepArguments;
