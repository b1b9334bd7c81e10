//! What the services beside the tables keep, in one SQLite file: messages, deduplication records, objects, pending
//! deliveries, schedules' last runs and streams' checkpoints.
//!
//! One process owns a directory at a time, and a process that is killed loses nothing that was answered. This module
//! knows where state lives and in what tables; what the rows mean is said by the service that reads them.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tempfile::TempDir;

use crate::CloudError;

/// Where a cloud keeps its state.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Survives the process, also one that is killed. The times in a table's stream, and of what expires there, are then
    /// the wall clock's: the emulator takes another clock in memory only.
    Directory(PathBuf),
    /// Gone with the cloud.
    Memory,
}

/// The services' file within a state directory.
pub(crate) const SERVICES: &str = "cloud.db";

const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS messages (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT NOT NULL,
        message_group TEXT,
        deduplication TEXT,
        trace_header TEXT,
        sent_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        first_received_at INTEGER,
        receive_count INTEGER NOT NULL DEFAULT 0,
        receipt TEXT,
        held_by_mapping INTEGER NOT NULL DEFAULT 0,
        dead_letter_source TEXT
    );
    CREATE INDEX IF NOT EXISTS messages_in_order ON messages (queue, sequence, visible_at, message_group);
    CREATE INDEX IF NOT EXISTS messages_by_group ON messages (queue, message_group, sequence);
    CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (queue, visible_at);
    CREATE INDEX IF NOT EXISTS messages_by_expiry ON messages (queue, expires_at);
    CREATE TABLE IF NOT EXISTS deduplications (
        queue TEXT NOT NULL,
        scope TEXT NOT NULL,
        deduplication TEXT NOT NULL,
        message_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (queue, scope, deduplication)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS deduplications_by_expiry ON deduplications (expires_at);
    CREATE TABLE IF NOT EXISTS move_tasks (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        handle TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        destination TEXT,
        each_second INTEGER,
        status TEXT NOT NULL,
        moved INTEGER NOT NULL DEFAULT 0,
        to_move INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        failure TEXT
    );
    CREATE TABLE IF NOT EXISTS objects (
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        body BLOB NOT NULL,
        etag TEXT NOT NULL,
        content_type TEXT NOT NULL,
        metadata TEXT NOT NULL,
        modified_at INTEGER NOT NULL,
        PRIMARY KEY (bucket, key)
    );
    CREATE TABLE IF NOT EXISTS checksums (
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        header TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        origin TEXT NOT NULL,
        target TEXT NOT NULL,
        event TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS schedules (name TEXT PRIMARY KEY, last_run_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS checkpoints (mapping TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, shape TEXT NOT NULL) WITHOUT ROWID;
";

pub(crate) struct Store {
    connection: Mutex<Connection>,
    directory: Option<OwnedDirectory>,
}

struct OwnedDirectory {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
    /// A copy goes with whoever looked at it.
    _copy: Option<TempDir>,
}

impl Store {
    pub(crate) fn open(storage: &Storage) -> Result<Self, CloudError> {
        match storage {
            Storage::Memory => Self::over(Connection::open_in_memory()?, None),
            Storage::Directory(path) => Self::in_directory(path, None),
        }
    }

    /// Opens a copy of a state, which is gone with the store.
    pub(crate) fn of_copy(copy: TempDir) -> Result<Self, CloudError> {
        let path = copy.path().to_owned();
        Self::in_directory(&path, Some(copy))
    }

    fn in_directory(path: &Path, copy: Option<TempDir>) -> Result<Self, CloudError> {
        let directory = OwnedDirectory { path: path.to_owned(), _lock: lock(path)?, _copy: copy };
        let connection = Connection::open(path.join(SERVICES))?;
        check_format(&connection, path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Self::over(connection, Some(directory))
    }

    fn over(connection: Connection, directory: Option<OwnedDirectory>) -> Result<Self, CloudError> {
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        Ok(Self { connection: Mutex::new(connection), directory })
    }

    /// A file beside this store's own; `None` in memory.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.path.join(name))
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        read(&self.connection())
    }

    /// All of it, or nothing if it fails.
    pub(crate) fn write<T, E: From<rusqlite::Error>>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = write(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    pub(crate) fn checkpoint(&self, mapping: &str) -> rusqlite::Result<Option<i64>> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT sequence FROM checkpoints WHERE mapping = ?1")?
                .query_row([mapping], |row| row.get(0))
                .optional()
        })
    }

    pub(crate) fn keep_checkpoint(&self, mapping: &str, sequence: i64) -> rusqlite::Result<()> {
        self.read(|connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO checkpoints (mapping, sequence) VALUES (?1, ?2)")?
                .execute(params![mapping, sequence])
                .map(drop)
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what a newer version wrote; `directory` is what the refusal names.
pub(crate) fn check_format(connection: &Connection, directory: &Path) -> Result<(), CloudError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > FORMAT {
        return Err(CloudError::NewerFormat { directory: directory.to_owned(), found, known: FORMAT });
    }
    Ok(())
}

/// Whether a process owns the directory now.
pub(crate) fn is_owned(directory: &Path) -> Result<bool, CloudError> {
    let unusable = |source| CloudError::Directory { directory: directory.to_owned(), source };
    let file = match File::open(directory.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

fn lock(directory: &Path) -> Result<File, CloudError> {
    const TRIES: u32 = 5;
    const PAUSE: Duration = Duration::from_millis(20);
    let unusable = |source| CloudError::Directory { directory: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(unusable)?;
    let file =
        File::options().create(true).truncate(false).write(true).open(directory.join("lock")).map_err(unusable)?;
    for tries_left in (0..TRIES).rev() {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tries_left == 0 => {
                return Err(CloudError::DirectoryInUse { directory: directory.to_owned() });
            }
            // Whoever only asks whether it is owned holds it for a moment.
            Err(TryLockError::WouldBlock) => pause(PAUSE),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
    }
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "there is no state to wait for: another process holds the lock")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::Directory(directory.path().to_owned());
        let first = Store::open(&storage).unwrap();
        assert!(matches!(Store::open(&storage), Err(CloudError::DirectoryInUse { .. })));
        drop(first);
        assert!(Store::open(&storage).is_ok());
    }

    #[test]
    fn a_newer_format_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::Directory(directory.path().to_owned());
        Store::open(&storage).unwrap().read(|c| c.pragma_update(None, "user_version", FORMAT + 1)).unwrap();
        let refused = Store::open(&storage).err().unwrap();
        assert!(matches!(refused, CloudError::NewerFormat { found: 2, known: 1, .. }), "{refused}");
        let raw = Connection::open(directory.path().join("cloud.db")).unwrap();
        assert_eq!(raw.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), FORMAT + 1);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let store = Store::open(&Storage::Memory).unwrap();
        let failed: rusqlite::Result<()> = store.write(|transaction| {
            transaction.execute("INSERT INTO checkpoints VALUES ('a', 1)", [])?;
            Err(rusqlite::Error::InvalidQuery)
        });
        assert!(failed.is_err());
        assert_eq!(store.checkpoint("a").unwrap(), None);
    }
}
