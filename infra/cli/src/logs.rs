//! What the functions and the services log, on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// As much as `usual` says, unless `RUST_LOG` asks for something else.
pub(crate) fn start(usual: &str) {
    let filter = std::env::var("RUST_LOG").ok().filter(|level| !level.is_empty());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(usual)).unwrap_or_else(|_| EnvFilter::new(usual));
    let is_coloured = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .compact()
        .with_writer(stderr)
        .with_ansi(is_coloured)
        .with_target(false)
        .with_env_filter(filter)
        .init();
}
