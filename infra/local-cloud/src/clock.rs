//! The one clock of the cloud: the wall clock, or tokio's, which a test pauses and the simulator drives.
//!
//! Everything in this crate that waits does so with `tokio::time`, so that under a paused runtime the whole cloud,
//! visibility time-outs, schedules and retries included, runs on virtual time and as fast as the work allows.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Wall,
    Virtual { start_ms: i64, started: Instant },
}

impl Clock {
    pub fn wall() -> Self {
        Self(Kind::Wall)
    }

    /// Starts at `start_ms` since the epoch and moves as tokio's clock does. Call it inside a runtime.
    pub fn starting_at(start_ms: i64) -> Self {
        Self(Kind::Virtual { start_ms, started: Instant::now() })
    }

    /// Milliseconds since the epoch.
    #[expect(clippy::disallowed_methods, reason = "this is the edge where the wall clock is read")]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Kind::Wall => millis(std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)),
            Kind::Virtual { start_ms, started } => start_ms + millis(started.elapsed()),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
