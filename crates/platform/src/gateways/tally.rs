//! The calls of this process that went well and that nobody has counted yet.
//!
//! Only those of a moment ago are brought before the breaker. It counts failures over a minute, and does not open over fewer
//! than ten: where that many fail, all that went well between them is of a moment ago. What went well before that, and
//! there may be any amount of it, says nothing of a gateway that fails now, and would keep it called for as long again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use domain::{Millis, Timestamp};

const A_MOMENT: Millis = Millis::seconds(5);

/// By the second, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Successes(Mutex<VecDeque<(i64, u32)>>);

impl Successes {
    pub(super) fn add(&self, at: Timestamp) {
        let mut counts = self.lock();
        forget(&mut counts, at);
        let second = at.as_seconds();
        match counts.back_mut().filter(|(last, _)| *last == second) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counts.push_back((second, 1)),
        }
    }

    pub(super) fn recent(&self, now: Timestamp) -> u32 {
        let mut counts = self.lock();
        forget(&mut counts, now);
        counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub(super) fn take_off(&self, mut successes: u32) {
        let mut counts = self.lock();
        while let Some((_, count)) = counts.front_mut() {
            let part = (*count).min(successes);
            *count -= part;
            successes -= part;
            if *count > 0 {
                return;
            }
            counts.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(i64, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(counts: &mut VecDeque<(i64, u32)>, now: Timestamp) {
    let since = now.before(A_MOMENT).as_seconds();
    counts.retain(|(second, _)| *second > since);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_well_a_while_ago_is_not_brought_along_and_what_was_counted_is_not_counted_again() {
        let at = |ms: i64| Timestamp::from_millis(1_795_240_383_000 + ms);
        let successes = Successes::default();
        (0..30).for_each(|n| successes.add(at(n * 100)));
        assert_eq!(successes.recent(at(3_000)), 30);
        successes.take_off(12);
        assert_eq!(successes.recent(at(3_000)), 18, "the oldest first");
        successes.add(at(5_500));
        assert_eq!(successes.recent(at(6_500)), 11, "of the third second, and the last one");
        assert_eq!(successes.recent(at(20_000)), 0);
        successes.take_off(5);
        successes.add(at(20_000));
        assert_eq!(successes.recent(at(20_000)), 1);
    }
}
