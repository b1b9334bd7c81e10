//! Throttling by token bucket, one bucket for each route: a request takes a token, and time puts them back.
//!
//! Only what a template sets is enforced. The account's own limit, 10,000 requests a second in all, is not imitated.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::stack::{HttpApi, Throttling};

/// Tokens are counted in millionths, so that a rate of one in a thousand seconds still adds some each millisecond.
const TOKEN: u64 = 1_000_000;

pub(super) struct Throttles {
    default: Option<Throttling>,
    by_route: BTreeMap<String, Throttling>,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

struct Bucket {
    tokens: u64,
    filled_ms: i64,
}

impl Throttles {
    pub(super) fn of(api: &HttpApi) -> Self {
        Self { default: api.throttling, by_route: api.route_throttling.clone(), buckets: Mutex::default() }
    }

    /// Takes a token of this route, if there is one.
    pub(super) fn admits(&self, route_key: &str, now_ms: i64) -> bool {
        let Some(limits) = self.by_route.get(route_key).copied().or(self.default) else { return true };
        let full = u64::from(limits.burst) * TOKEN;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(route_key.to_owned()).or_insert_with(|| Bucket { tokens: full, filled_ms: now_ms });
        let elapsed_ms = u64::try_from(now_ms.saturating_sub(bucket.filled_ms)).unwrap_or(0);
        let added = elapsed_ms.saturating_mul(u64::from(limits.rate_milli));
        bucket.tokens = bucket.tokens.saturating_add(added).min(full);
        bucket.filled_ms = bucket.filled_ms.max(now_ms);
        let admitted = bucket.tokens >= TOKEN;
        if admitted {
            bucket.tokens -= TOKEN;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttles(rate_milli: u32, burst: u32) -> Throttles {
        let default = Some(Throttling { rate_milli, burst });
        Throttles { default, by_route: BTreeMap::new(), buckets: Mutex::default() }
    }

    #[test]
    fn a_bucket_fills_at_its_rate_and_never_beyond_its_burst() {
        let throttles = throttles(1_500, 2);
        let admitted = |now_ms| throttles.admits("GET /a", now_ms);
        assert_eq!([0, 0, 0].map(admitted), [true, true, false]);
        assert_eq!([666, 667, 667].map(admitted), [false, true, false]);
        assert_eq!([1_000_000, 1_000_000, 1_000_000].map(admitted), [true, true, false]);
    }

    #[test]
    fn time_that_goes_back_gives_nothing_and_breaks_nothing() {
        let throttles = throttles(1_000, 1);
        let admitted = |now_ms| throttles.admits("GET /a", now_ms);
        assert_eq!([5_000, 1_000, i64::MIN, 5_999, 6_000].map(admitted), [true, false, false, false, true]);
        assert!(throttles.admits("GET /b", 1_000), "each route has a bucket of its own");
    }
}
