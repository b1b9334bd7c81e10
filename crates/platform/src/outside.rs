//! The way to everyone outside: a call is made once, for no longer than so long, follows no redirect, and what it brings
//! is a status. Whoever plays the outside in a test answers in its place.

mod network;

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use domain::Timestamp;
use domain::webhooks::{Answer, EndpointUrl, NoAnswer, Reach};

use crate::runtime::BoxFuture;

/// With connecting and all; well below the time limit of the function that calls.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is posted, once.
#[derive(Clone, Debug)]
pub struct Call {
    pub url: EndpointUrl,
    pub at: Timestamp,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// Whoever carries calls out.
pub trait Post: Send + Sync {
    fn post(&self, call: Call) -> BoxFuture<'_, Answer>;
}

/// Where calls go, and how far they may.
#[derive(Clone)]
pub struct Outside {
    post: Arc<dyn Post>,
    reach: Reach,
}

impl Outside {
    /// The real one. Nothing is made of it until it is called.
    pub fn network(reach: Reach) -> Self {
        Self::answered_by(network::Network::new(reach), reach)
    }

    pub fn answered_by(post: impl Post + 'static, reach: Reach) -> Self {
        Self { post: Arc::new(post), reach }
    }

    /// What is deployed, as if there were nobody outside: for systems that have nothing to say to anyone.
    pub fn nobody() -> Self {
        Self::answered_by(Nobody, Reach::Public)
    }

    pub const fn reach(&self) -> Reach {
        self.reach
    }

    pub async fn post(&self, call: Call) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.post.post(call)).await;
        answer.unwrap_or(Answer::Silence(NoAnswer::TimedOut))
    }
}

/// What `Retry-After` says, in seconds or as a date.
pub(crate) fn retry_after_ms(value: &str, now: Timestamp) -> Option<i64> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: i64 = value.parse().ok()?;
        return seconds.checked_mul(1_000);
    }
    let at = DateTime::from_str(value, Format::HttpDate).ok()?.to_millis().ok()?;
    Some((at - now.as_millis()).max(0))
}

struct Nobody;

impl Post for Nobody {
    fn post(&self, _: Call) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(Answer::Silence(NoAnswer::Unreachable)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn being_put_off_is_read_in_seconds_and_as_a_date() {
        for (value, expected) in [
            ("120", Some(120_000)),
            ("0", Some(0)),
            ("Sat, 21 Nov 2026 05:54:03 GMT", Some(60_000)),
            ("Sat, 21 Nov 2020 05:54:03 GMT", Some(0)),
            ("99999999999999999999", None),
            ("9223372036854775807", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after_ms(value, Timestamp::from_millis(1_795_240_383_000)), expected, "{value}");
        }
    }
}
