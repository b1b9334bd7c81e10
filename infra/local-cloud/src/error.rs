//! Why a cloud does not open or start, and what to do about it.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error("{} is in use by another process: stop that one, or name another directory", .directory.display())]
    DirectoryInUse { directory: PathBuf },
    #[error(
        "{} was written by a newer version (format {found}, this one reads up to {known}): upgrade, or name another directory",
        .directory.display()
    )]
    NewerFormat { directory: PathBuf, found: i64, known: i64 },
    #[error("there is no state in {}: start the system there once, or name another directory", .directory.display())]
    NoState { directory: PathBuf },
    #[error("cannot use {} as the state directory: {source}", .directory.display())]
    Directory { directory: PathBuf, source: std::io::Error },
    #[error("the state cannot be read or written: {0}; the directory can be deleted to start afresh")]
    Store(#[from] rusqlite::Error),
    #[error("table {table} cannot be opened: {reason}")]
    Table { table: String, reason: String },
    #[error(
        "table {table} was created with other keys or indexes than the template now says: name another directory, or delete this one"
    )]
    TableChanged { table: String },
    #[error("{place}: {reason}")]
    Pattern { place: String, reason: String },
    #[error("{place} names {missing}, which the stack does not have")]
    Dangling { place: String, missing: String },
    #[error(
        "function {function} ({handler}) has no handler: add it to the list of functions, or take it out of the template"
    )]
    NoHandler { function: String, handler: String },
    #[error("the cloud is running already")]
    AlreadyRunning,
}
