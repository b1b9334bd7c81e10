//! What the system costs, measured on the functions as they are: the table's capacity for each step of an order, how
//! long a caller waits, how much memory an idle `serve` holds, and how payments fare when their gateway is down.
//!
//! Capacity is counted and not timed, so it is the same in every run and on every machine, and a budget that is
//! exceeded fails a test. Times depend on the machine; they are printed beside their targets. Nothing here is part of
//! the product, and no function behaves differently because it is measured.

mod caller;
mod capacity;
mod error;
mod goods;
mod item;
mod latency;
mod memory;
mod meter;
mod outage;
mod scene;
mod steady;

pub use capacity::{Budget, ItemSize, Report, Row, capacity};
pub use error::Error;
pub use latency::{LatencyOptions, LatencyReport, Spread, latency};
pub use meter::{Call, Calls, Counted, Meter};
pub use outage::{OutageOptions, OutageReport, outage};
pub use steady::Steady;
