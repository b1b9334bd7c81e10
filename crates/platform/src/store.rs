//! Load, decide, commit: the one place where anything is written.
//!
//! A decision runs on books laid out from strongly consistent loads and is kept by one conditional write. When a
//! condition does not hold, the refusal brings the item as it is now, so the next try decides on that without another
//! load. An answer that was lost means unknown: everything is read back first, and only then is anything said. All
//! decisions find their own earlier effect in the state, so deciding again never acts twice; a commit id tells a try
//! that came through after all from a rival's.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::books::{Books, Halt, Key};
use domain::{Refusal, Timestamp, planted};
use tokio::time::Instant;

use crate::runtime::Clock;
use crate::table::{CodecError, CommitError, Committed, ReadError, Stored, Table};

/// Tries of one decision before the work is handed back.
const TRIES: u32 = 16;
/// No try begins later than this. The tries of a call, which the SDK makes by itself, and the reading back after it
/// still fit into the shortest time limit of a function, ten seconds, so that the caller hears it from us.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE_MS: u64 = 8;
const LONGEST_PAUSE_MS: u64 = 400;
/// How often a decision may ask for more than it was given. More often is a decision that goes in circles.
const FURTHER_LOADS: usize = 400;

#[derive(Clone)]
pub struct Store {
    table: Table,
    clock: Clock,
    chance: std::sync::Arc<Mutex<fastrand::Rng>>,
}

/// Why a decision was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Refused(Refusal),
    /// Others were faster, or it was turned away, every time. Nothing was done; it may be tried again.
    #[error("others changed the same things, or there was too much to do, again and again")]
    Contended,
    /// The table did not answer. It may have been done; trying again finds out.
    #[error("{0}")]
    Unavailable(String),
    /// More than fits into one write; only a batch can be, and it is taken apart.
    #[error("a commit of {0} actions is more than the table takes at once")]
    TooLarge(usize),
    /// Something kept cannot be read by this release, and is not written by it.
    #[error("{0}")]
    Unreadable(String),
    /// A write is wrong in itself, or not allowed. Trying again at once does not help.
    #[error("{0}")]
    Broken(String),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(why) => Self::Unavailable(why),
            ReadError::Codec(error) => error.into(),
        }
    }
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::TooLarge(actions) => Self::TooLarge(actions),
            CommitError::Codec(error) => error.into(),
            error @ CommitError::Refused(_) => Self::Broken(error.to_string()),
        }
    }
}

/// What a decision needs before its first try.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    load: Vec<Key>,
    presumed_absent: Vec<Key>,
    laid: BTreeMap<Key, Stored>,
}

impl Needs {
    pub fn load(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { load: keys.into_iter().collect(), ..Self::default() }
    }

    /// Not loaded: the commit finds out, and if it is there after all, the refusal brings it along.
    pub fn presume_absent(key: Key) -> Self {
        Self { presumed_absent: vec![key], ..Self::default() }
    }

    /// Already looked for a moment ago.
    #[must_use]
    pub fn and_looked_for(mut self, key: Key, found: Option<Stored>) -> Self {
        match found {
            Some(stored) => _ = self.laid.insert(key, stored),
            None => self.presumed_absent.push(key),
        }
        self
    }

    /// Already read a moment ago, by a query.
    #[must_use]
    pub fn and_found(mut self, stored: impl IntoIterator<Item = Stored>) -> Self {
        self.laid.extend(stored.into_iter().map(|stored| (stored.found.item.key(), stored)));
        self
    }
}

/// How often a decision was turned away over each item, for a change that a rival made or was making.
#[derive(Clone, Debug, Default)]
pub struct Races(BTreeMap<Key, u32>);

impl Races {
    pub fn lost_over(&self, key: &Key) -> u32 {
        self.0.get(key).copied().unwrap_or_default()
    }

    fn lose<'a>(&mut self, over: impl IntoIterator<Item = &'a Key>) {
        for key in over {
            *self.0.entry(*key).or_default() += 1;
        }
    }
}

impl Store {
    pub fn new(table: Table, clock: Clock, seed: u64) -> Self {
        Self { table, clock, chance: std::sync::Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))) }
    }

    pub const fn table(&self) -> &Table {
        &self.table
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs a decision until it is kept, refused, or others were faster too often.
    pub async fn decide<T>(
        &self,
        needs: Needs,
        decide: impl Fn(&mut Books, Timestamp) -> Result<T, Halt>,
    ) -> Result<T, Failure> {
        self.decide_in_races(needs, |books, now, _| decide(books, now)).await
    }

    /// The same for a decision that falls out otherwise where it has lost races before.
    pub async fn decide_in_races<T>(
        &self,
        needs: Needs,
        decide: impl Fn(&mut Books, Timestamp, &Races) -> Result<T, Halt>,
    ) -> Result<T, Failure> {
        let mut races = Races::default();
        let began = Instant::now();
        let mut known: BTreeMap<Key, Option<Stored>> = self.table.load(&needs.load).await?;
        known.extend(needs.presumed_absent.into_iter().map(|key| (key, None)));
        known.extend(needs.laid.into_iter().map(|(key, stored)| (key, Some(stored))));
        let mut tried: Vec<(String, T)> = Vec::new();
        let mut unanswered = None;
        let mut attempt = 0;
        while attempt < TRIES && (attempt == 0 || began.elapsed() < PATIENCE) {
            let (books, answer) = self.try_decide(&mut known, |books, now| decide(books, now, &races)).await?;
            let changes = books.changes();
            let commit = self.fresh_id();
            let committed = self.table.commit(&changes, &commit).await?;
            drop(changes);
            match committed {
                Committed::Yes => return Ok(answer),
                Committed::Lost(found) => {
                    tried.push((commit, answer));
                    races.lose(found.keys());
                    if !planted!(LostRaceStale) {
                        known.extend(found);
                    }
                    if let Some(own) = came_through(&known, &tried) {
                        return Ok(tried.swap_remove(own).1);
                    }
                    tracing::debug!(attempt, "a rival was faster; deciding again");
                }
                Committed::Busy { why, over } => {
                    races.lose(&over);
                    tracing::debug!(attempt, why, "turned away; trying again");
                }
                Committed::Unknown(_) if planted!(UnknownIsDone) => return Ok(answer),
                Committed::Unknown(why) => {
                    tracing::warn!(attempt, why, "the answer to a write was lost; reading back");
                    tried.push((commit, answer));
                    unanswered = Some(why);
                    let keys: Vec<Key> = known.keys().copied().collect();
                    known = self.table.load(&keys).await?;
                    if let Some(own) = came_through(&known, &tried) {
                        return Ok(tried.swap_remove(own).1);
                    }
                }
            }
            self.pause(attempt).await;
            attempt += 1;
        }
        Err(unanswered.map_or(Failure::Contended, Failure::Unavailable))
    }

    /// Decides on fresh books, loading what the decision turns out to need besides.
    async fn try_decide<T>(
        &self,
        known: &mut BTreeMap<Key, Option<Stored>>,
        decide: impl Fn(&mut Books, Timestamp) -> Result<T, Halt>,
    ) -> Result<(Books, T), Failure> {
        let now = self.clock.now();
        for _ in 0..FURTHER_LOADS {
            let mut books = Books::default();
            for (key, stored) in known.iter() {
                books.lay(*key, stored.as_ref().map(|stored| stored.found.clone()));
            }
            match decide(&mut books, now) {
                Ok(answer) => return Ok((books, answer)),
                Err(Halt::Refused(refusal)) => return Err(Failure::Refused(refusal)),
                Err(Halt::Needs(keys)) => known.extend(self.table.load(&keys).await?),
            }
        }
        Err(Failure::Broken("a decision asks for ever more items".to_owned()))
    }

    /// Which try of this write it was, for no other.
    fn fresh_id(&self) -> String {
        let bits = self.chance.lock().expect("nothing panics while it holds this").u128(..);
        data_encoding::BASE32_NOPAD.encode(&bits.to_be_bytes())
    }

    /// Chance for spreading things out in time.
    pub fn draw(&self) -> u64 {
        self.chance.lock().expect("nothing panics while it holds this").u64(..)
    }

    async fn pause(&self, attempt: u32) {
        let longest = (FIRST_PAUSE_MS << attempt.min(10)).min(LONGEST_PAUSE_MS);
        let pause = self.chance.lock().expect("nothing panics while it holds this").u64(1..=longest);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// The place of the try whose commit stands in the table after all.
fn came_through<T>(known: &BTreeMap<Key, Option<Stored>>, tried: &[(String, T)]) -> Option<usize> {
    tried.iter().position(|(commit, _)| known.values().flatten().any(|stored| stored.commit == *commit))
}
