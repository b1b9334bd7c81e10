//! Why something could not be measured. A step that does not do what it should is an error, never a number.

use local_cloud::FunctionError;
use local_system::StartError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{call} was answered with {status}: {body}")]
    Answered { call: String, status: u16, body: String },
    #[error("{function} failed: {error}")]
    Function { function: String, error: FunctionError },
    #[error("what a call consumed is not known: {0}")]
    Unaccounted(String),
    #[error("{0}")]
    Unexpected(String),
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: std::io::Error },
}

impl Error {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// What has to hold for a number to mean what its row says.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Unexpected(otherwise())) }
}
