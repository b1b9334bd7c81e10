//! A copy of a state directory, for whoever looks at it without being in the way of the process that may own it.
//!
//! Each file is copied within one read transaction, so each is as it was at one moment, also while it is written and
//! also after its writer was killed. The copy is opened as any state is, changes nothing in the original, and is
//! deleted with the cloud. Not here: one moment for both files; what is on its way between them may be seen in both.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tokio::time::Duration;

use crate::clock::Clock;
use crate::cloud::{Cloud, Options};
use crate::dynamodb::TABLES;
use crate::error::CloudError;
use crate::stack::Stack;
use crate::store::{self, SERVICES, Storage, Store};

/// A state as it was when it was copied. Nothing runs over it.
pub struct Snapshot {
    pub cloud: Cloud,
    /// Whether a process owned the original.
    pub is_in_use: bool,
}

impl Cloud {
    /// Whether a cloud has kept a state in a directory.
    pub fn has_state(directory: &Path) -> bool {
        directory.join(SERVICES).is_file() && directory.join(TABLES).is_file()
    }

    /// Copies the state of a stopped or a running cloud and opens the copy.
    pub fn snapshot_of(directory: &Path, stack: Stack) -> Result<Snapshot, CloudError> {
        if !Self::has_state(directory) {
            return Err(CloudError::NoState { directory: directory.to_owned() });
        }
        let is_in_use = store::is_owned(directory)?;
        let copy = tempfile::Builder::new()
            .prefix("snapshot-")
            .tempdir()
            .map_err(|source| CloudError::Directory { directory: std::env::temp_dir(), source })?;
        // The queues first: what the table has by then is all there, and more.
        for file in [SERVICES, TABLES] {
            let from = read_only(&directory.join(file))?;
            if file == SERVICES {
                store::check_format(&from, directory)?;
            }
            copy_into(&from, &copy.path().join(file))?;
        }
        let storage = Storage::Directory(copy.path().to_owned());
        let options = Options::new(storage, Clock::wall(), fastrand::u64(..));
        let cloud = Self::over(Store::of_copy(copy)?, stack, options)?;
        Ok(Snapshot { cloud, is_in_use })
    }
}

fn read_only(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// All pages in one step: between steps a writer would make the copy begin again.
fn copy_into(from: &Connection, file: &Path) -> rusqlite::Result<()> {
    let mut to = Connection::open(file)?;
    let backup = Backup::new(from, &mut to)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ => std::thread::yield_now(),
        }
    }
}
