//! Logs: JSON lines on standard output, as Lambda's own log format has them, read by its log groups and by people.

use tracing_subscriber::EnvFilter;

/// Starts logging for this process. `level` is the least that is written.
pub fn start(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start keeps the first: a process has one log.
    let _ = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).without_time().try_init();
}
