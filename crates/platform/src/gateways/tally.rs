//! The calls of this process that went well and that nobody has counted yet.
//!
//! Only those of a moment ago are brought before the breaker, and of these the last ten. It counts failures over a minute,
//! and does not open over fewer than ten, nor while half of the calls go well: where that many fail, what went well between
//! two of them is of a moment ago, and less than that. What went well before, and there may be any amount of it, says
//! nothing of a gateway that fails now, and would have it called as often again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use domain::{Millis, Timestamp};

const A_MOMENT: Millis = Millis::seconds(5);
const MOST: u32 = 10;

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
        counts.iter().fold(0, |sum: u32, (_, count)| sum.saturating_add(*count)).min(MOST)
    }

    /// They have been counted, and with them all that went before.
    pub(super) fn forget(&self) {
        self.lock().clear();
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
        assert_eq!(successes.recent(at(3_000)), 10, "of thirty the last ten");
        successes.forget();
        assert_eq!(successes.recent(at(3_000)), 0);
        (0..3).for_each(|n| successes.add(at(3_000 + n * 1_000)));
        assert_eq!(successes.recent(at(6_500)), 3);
        assert_eq!(successes.recent(at(8_900)), 2);
        assert_eq!(successes.recent(at(20_000)), 0);
        successes.add(at(20_000));
        assert_eq!(successes.recent(at(20_000)), 1);
    }
}
