//! DynamoDB and its streams: an embedded emulator, its file, and what it leaves to the one who embeds it.
//!
//! The emulator decides what a request does. Here: the tables that the stack names, the words for a request that cannot
//! be read, an index without which each write scans the stream, the trimming of the stream, the sweep of
//! what has expired, the ARNs of the stack, and a signal to whoever reads a stream. Not here: creating or changing
//! tables by request, and PartiQL.

mod expiry;
mod requests;
mod shapes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::encode_shard_iterator;
use dynoxide::{Database, DynoxideError};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use self::expiry::Expiry;
use crate::CloudError;
use crate::clock::Clock;
use crate::signal::Signal;
use crate::stack::{Stack, Table};
use crate::store::Store;

pub use requests::Capacity;
pub(crate) use requests::{STREAMS_TARGET_PREFIX, TARGET_PREFIX};

/// The tables' file within a state directory.
pub(crate) const TABLES: &str = "table.db";

/// Without it every write to a table with a stream scans all records of the stream.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS _stream_records_in_order
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// What the emulator adds to a sequence number before it shows it.
const SEQUENCE_OFFSET: u128 = 100_000_000_000_000_000_000;

/// The name that the emulator gives itself in ARNs.
const EMULATED_ARN: &str = "arn:aws:dynamodb:dynoxide:000000000000:table/";

pub(crate) struct DynamoDb {
    database: Database,
    /// The way to the stream's records behind the emulator's back; a database in memory has none.
    side_door: Option<Mutex<Connection>>,
    tables: BTreeMap<String, Table>,
    region: String,
    expiry: Expiry,
    pub(crate) written: Signal,
    activity: Signal,
}

/// A record of a stream, with the number by which it is ordered.
#[derive(Clone, Debug)]
pub(crate) struct StreamRecord {
    pub(crate) sequence: i64,
    /// As a mapping hands it to a function.
    pub(crate) event: Value,
    pub(crate) created_at_ms: i64,
}

impl DynamoDb {
    pub(crate) fn open(stack: &Stack, store: &Store, clock: &Clock, activity: Signal) -> Result<Self, CloudError> {
        let (database, side_door) = match store.file(TABLES) {
            Some(path) => {
                let (database, connection) = open_file(&path)?;
                (database, Some(Mutex::new(connection)))
            }
            None => (open_memory(clock)?, None),
        };
        let mut tables = BTreeMap::new();
        for table in &stack.tables {
            create(&database, store, table)?;
            tables.insert(table.name.clone(), table.clone());
        }
        let attributes: Vec<String> = tables.values().filter_map(|table| table.ttl_attribute.clone()).collect();
        let expiry = Expiry::new(attributes, side_door.is_some());
        let region = stack.region.clone();
        Ok(Self { database, side_door, tables, region, expiry, written: Signal::new(), activity })
    }

    /// The records after `after`, oldest first.
    pub(crate) fn records(&self, table: &Table, after: i64, most: usize) -> Result<Vec<StreamRecord>, String> {
        let shard = shard_of(&table.name);
        let iterator = encode_shard_iterator(&table.name, &shard, after);
        let request = GetRecordsRequest { shard_iterator: iterator, limit: Some(most) };
        let response = self.database.get_records(request).map_err(|error| error.to_string())?;
        let records = serde_json::to_value(response.records).map_err(|error| error.to_string())?;
        let Value::Array(records) = records else { return Ok(Vec::new()) };
        let arn = table.stream_arn.as_deref().unwrap_or_default();
        records.into_iter().map(|record| self.stream_record(record, arn)).collect()
    }

    fn stream_record(&self, mut event: Value, stream_arn: &str) -> Result<StreamRecord, String> {
        let sequence_number = event["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned();
        let sequence = stored_sequence(&sequence_number)
            .ok_or_else(|| format!("the stream has a record with the number {sequence_number:?}"))?;
        let created_at =
            event["dynamodb"]["ApproximateCreationDateTime"].as_number().and_then(whole).unwrap_or_default();
        event["dynamodb"]["ApproximateCreationDateTime"] = json!(created_at);
        // The emulator's is random; this one names the same record in every run.
        event["eventID"] = crate::sqs::md5_hex(format!("{stream_arn} {sequence_number}").as_bytes()).into();
        event["eventSourceARN"] = stream_arn.into();
        event["awsRegion"] = self.region.as_str().into();
        Ok(StreamRecord { sequence, event, created_at_ms: created_at * 1000 })
    }

    /// The number of the newest record; 0 where there is none.
    pub(crate) fn newest_sequence(&self, table: &Table) -> Result<i64, String> {
        let request = dynoxide::actions::describe_stream::DescribeStreamRequest {
            stream_arn: format!("{EMULATED_ARN}{}/stream/", table.name),
            ..Default::default()
        };
        let described = self.database.describe_stream(request).map_err(|error| error.to_string())?;
        let newest =
            described.stream_description.shards.first().and_then(|shard| {
                shard.sequence_number_range.ending_sequence_number.as_deref().and_then(stored_sequence)
            });
        Ok(newest.unwrap_or_default())
    }

    /// Forgets up to `most` records before `sequence`, never the newest: the next number is counted from it.
    pub(crate) fn trim(&self, table: &str, before: i64, most: u32) -> rusqlite::Result<usize> {
        let Some(side_door) = &self.side_door else { return Ok(0) };
        side_door
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .prepare_cached(
                "DELETE FROM _stream_records WHERE id IN (SELECT id FROM _stream_records
                 WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2
                 ORDER BY CAST(sequence_number AS INTEGER) LIMIT ?3)",
            )?
            .execute(params![table, before, most])
    }

    /// Deletes what has expired; each deletion is a record of the stream like any other.
    pub(crate) fn sweep_expired(&self, now_ms: i64) -> Result<usize, String> {
        let is_asked_for = self.tables.values().any(|table| table.ttl_attribute.is_some());
        if !is_asked_for || !self.expiry.is_due(now_ms) {
            return Ok(0);
        }
        let deleted = self.database.sweep_ttl().map_err(|error| error.to_string())?;
        if deleted > 0 {
            self.written.raise();
            self.activity.raise();
        }
        Ok(deleted)
    }

    pub(crate) fn table_of_stream(&self, stream_arn: &str) -> Option<&Table> {
        self.tables.values().find(|table| table.stream_arn.as_deref() == Some(stream_arn))
    }
}

/// The shard that a table's stream has here.
pub(crate) fn shard_of(table: &str) -> String {
    dynoxide::streams::shard_id(table)
}

fn stored_sequence(public: &str) -> Option<i64> {
    i64::try_from(public.parse::<u128>().ok()?.checked_sub(SEQUENCE_OFFSET)?).ok()
}

#[expect(clippy::cast_possible_truncation, reason = "a time in whole seconds")]
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
}

fn open_file(path: &Path) -> Result<(Database, Connection), CloudError> {
    let name = path.to_str().ok_or_else(|| CloudError::Directory {
        directory: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not UTF-8"),
    })?;
    let database = Database::new(name).map_err(|error| unusable(TABLES, &error))?;
    // The name says what it is the end of; what it sets is `synchronous = NORMAL`, which the emulator offers in no other
    // way. With the write-ahead log that outlives the process at any moment, as the rest of the state does, and spares
    // a flush to the disk with every write; only a machine that loses power may lose its last moments.
    database.disable_bulk_loading().map_err(|error| unusable(TABLES, &error))?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.execute_batch(STREAM_INDEX)?;
    Ok((database, connection))
}

/// A database in memory cannot be reached from outside, so it starts as a copy of one that has the index already. That
/// one is made once and lives, in memory too, as long as the process.
fn open_memory(clock: &Clock) -> Result<Database, CloudError> {
    const PREPARED: &str = "file:/local-cloud-prepared?vfs=memdb";
    static KEPT: OnceLock<Mutex<Option<Connection>>> = OnceLock::new();
    let mut kept = KEPT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_none() {
        let connection = Connection::open(PREPARED)?;
        Database::new(PREPARED).map_err(|error| unusable("memory", &error))?;
        connection.execute_batch(STREAM_INDEX)?;
        *kept = Some(connection);
    }
    let database = Database::memory_with_clock(Arc::new(EmulatorClock(clock.clone())))
        .map_err(|error| unusable("memory", &error))?;
    database.restore_from(PREPARED).map_err(|error| unusable("memory", &error))?;
    Ok(database)
}

fn unusable(table: &str, error: &DynoxideError) -> CloudError {
    CloudError::Table { table: table.into(), reason: error.to_string() }
}

/// Creates a table unless it is there; refuses one that is there with other keys or indexes.
fn create(database: &Database, store: &Store, table: &Table) -> Result<(), CloudError> {
    let shape = json!([
        table.create.get("KeySchema"),
        table.create.get("GlobalSecondaryIndexes"),
        table.create.get("LocalSecondaryIndexes")
    ])
    .to_string();
    let known = database.get_table_metadata(&table.name).map_err(|error| unusable(&table.name, &error))?;
    if known.is_some() {
        let earlier: Option<String> = store.read(|connection| {
            use rusqlite::OptionalExtension;
            connection.query_row("SELECT shape FROM tables WHERE name = ?1", [&table.name], |row| row.get(0)).optional()
        })?;
        return match earlier {
            Some(earlier) if earlier != shape => Err(CloudError::TableChanged { table: table.name.clone() }),
            _ => forget_expired(database, table),
        };
    }
    let request = serde_json::from_value(table.create.clone())
        .map_err(|error| CloudError::Table { table: table.name.clone(), reason: error.to_string() })?;
    database.create_table(request).map_err(|error| unusable(&table.name, &error))?;
    forget_expired(database, table)?;
    store.read(|connection| {
        connection.execute("INSERT OR REPLACE INTO tables (name, shape) VALUES (?1, ?2)", [&table.name, &shape])
    })?;
    Ok(())
}

/// As the template says it now, also of a table that was made by an earlier one.
fn forget_expired(database: &Database, table: &Table) -> Result<(), CloudError> {
    let known = database.get_table_metadata(&table.name).map_err(|error| unusable(&table.name, &error))?;
    let Some(attribute) = &table.ttl_attribute else { return Ok(()) };
    if known.is_some_and(|known| known.ttl_enabled) {
        return Ok(());
    }
    let request = json!({
        "TableName": table.name,
        "TimeToLiveSpecification": { "AttributeName": attribute, "Enabled": true },
    });
    let request = serde_json::from_value(request)
        .map_err(|error| CloudError::Table { table: table.name.clone(), reason: error.to_string() })?;
    database.update_time_to_live(request).map_err(|error| unusable(&table.name, &error))?;
    Ok(())
}

struct EmulatorClock(Clock);

impl dynoxide::storage_backend::Clock for EmulatorClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now_ms() / 1000).unwrap_or_default()
    }

    #[expect(clippy::float_arithmetic, reason = "the emulator asks for seconds as a float")]
    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now_ms() as f64 / 1000.0
    }
}
