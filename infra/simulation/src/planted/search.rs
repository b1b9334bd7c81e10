//! The search for one bug: seeds in their order on all threads, until the first of them that finds it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::planted::Bug;

use super::{Row, say};
use crate::command::{Arguments, lock, threads};
use crate::plan::Plan;
use crate::play::play;

/// With how many seeds a bug is kept, so that it is still known when one of them has grown stale.
const KEPT: usize = 3;
/// How far further ones are looked for, in any case.
const LOOK_ON: u64 = 12;
const SAY_EVERY: Duration = Duration::from_secs(10);

/// By which seeds it was found, the first first, and what the first one said.
pub(super) struct Found {
    pub(super) by: Vec<u64>,
    pub(super) says: String,
}

/// The first finding of a seed, if there is any.
pub(super) fn finding(bug: Bug, seed: u64) -> Result<Option<String>, String> {
    let outcome = play(&Plan { planted: Some(bug), ..Plan::of(seed) }).map_err(|error| error.to_string())?;
    Ok(outcome.findings.into_iter().next())
}

/// Which seeds are still to be played: until the first that finds it, or, to keep some more, further.
struct Goal {
    seeds: u64,
    wanted: usize,
}

impl Goal {
    fn last(&self, found: &BTreeMap<u64, String>) -> u64 {
        match found.keys().next() {
            Some(first) if self.wanted == 1 => first + 1,
            Some(_) if found.len() >= self.wanted => 0,
            Some(first) => (first + 1).saturating_mul(KEPT as u64).max(LOOK_ON),
            None => u64::MAX,
        }
        .min(self.seeds)
    }
}

pub(super) fn search(arguments: &Arguments, bug: Bug) -> Result<Row, String> {
    let goal = Goal { seeds: arguments.seeds, wanted: if arguments.planted.write { KEPT } else { 1 } };
    let (next, said) = (AtomicU64::new(0), Mutex::new(Instant::now()));
    let (found, broken) = (Mutex::new(BTreeMap::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..threads(arguments) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= goal.last(&lock(&found)) || lock(&broken).is_some() {
                        break;
                    }
                    match finding(bug, arguments.first.wrapping_add(number)) {
                        Ok(says) => lock(&found).extend(says.map(|says| (number, says))),
                        Err(error) => {
                            lock(&broken).get_or_insert(error);
                        }
                    }
                    let mut said = lock(&said);
                    if said.elapsed() > SAY_EVERY {
                        *said = Instant::now();
                        say(arguments, || format!("       {}: {number} seeds", bug.name()));
                    }
                }
            });
        }
    });
    if let Some(error) = lock(&broken).take() {
        return Err(error);
    }
    let found = std::mem::take(&mut *lock(&found));
    let Some((first, says)) = found.iter().next().map(|(first, says)| (*first, says.clone())) else {
        return Ok(Row { bug, seeds: arguments.seeds, found: None });
    };
    let by = found.keys().take(goal.wanted).map(|number| arguments.first.wrapping_add(*number)).collect();
    Ok(Row { bug, seeds: first + 1, found: Some(Found { by, says }) })
}
