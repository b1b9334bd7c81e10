//! How many batches of a queue are under way at once: five at first, more for as long as the queue does not empty.
//!
//! AWS says from where to where and how fast; when it goes back it says only in words, so here it is at once: when the
//! queue is found empty, and when the function fails or has no concurrency left.

use tokio::time::{Duration, Instant};

const AT_FIRST: usize = 5;
const AT_MOST: usize = 1_000;
/// Three hundred more each minute.
const ONE_MORE_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Scaling {
    most: usize,
    behind_since: Option<Instant>,
}

impl Scaling {
    pub(super) fn up_to(most: Option<u32>) -> Self {
        let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(AT_MOST).clamp(1, AT_MOST);
        Self { most, behind_since: None }
    }

    pub(super) fn allowed(&self, now: Instant) -> usize {
        let grown = self.behind_since.map_or(0, |since| steps(now.duration_since(since)));
        AT_FIRST.saturating_add(grown).min(self.most)
    }

    /// As many as are allowed are under way, and there may be more to do.
    pub(super) fn is_behind(&mut self, now: Instant, is_throttled: bool) {
        if is_throttled {
            self.behind_since = None;
        } else {
            self.behind_since.get_or_insert(now);
        }
    }

    pub(super) fn rest(&mut self) {
        self.behind_since = None;
    }

    /// When one more is allowed than was at `from`.
    pub(super) fn grown(&self, from: Instant) -> impl Future<Output = ()> + use<> {
        let since = self.behind_since.filter(|_| self.allowed(from) < self.most);
        async move {
            match since {
                Some(since) => {
                    let next = u32::try_from(steps(from.duration_since(since)) + 1).unwrap_or(u32::MAX);
                    tokio::time::sleep_until(since + ONE_MORE_EVERY * next).await;
                }
                None => std::future::pending().await,
            }
        }
    }
}

fn steps(time: Duration) -> usize {
    usize::try_from(time.as_millis() / ONE_MORE_EVERY.as_millis()).unwrap_or(AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_begins_with_five_grows_by_three_hundred_a_minute_and_ends_at_a_thousand() {
        let mut scaling = Scaling::up_to(None);
        let began = Instant::now();
        assert_eq!(scaling.allowed(began), 5);
        scaling.is_behind(began, false);
        assert_eq!(scaling.allowed(began + Duration::from_secs(60)), 305);
        assert_eq!(scaling.allowed(began + Duration::from_secs(600)), 1_000);
        scaling.grown(began + Duration::from_millis(250)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(400));
        scaling.rest();
        assert_eq!(scaling.allowed(began + Duration::from_secs(60)), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mapping_may_set_the_end_and_a_throttled_function_keeps_it_at_the_beginning() {
        let now = Instant::now();
        let mut scaling = Scaling::up_to(Some(7));
        scaling.is_behind(now, false);
        assert_eq!(scaling.allowed(now + Duration::from_secs(60)), 7);
        scaling.is_behind(now, true);
        assert_eq!(scaling.allowed(now + Duration::from_secs(60)), 5);
        assert_eq!(Scaling::up_to(Some(2)).allowed(now), 2);
    }
}
