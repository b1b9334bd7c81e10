//! Moments as text.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since the epoch, in UTC.
pub(crate) fn rfc3339(ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    moment.ok().and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| ms.to_string())
}

/// Back again.
pub(crate) fn millis(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_goes_there_and_back() {
        assert_eq!(rfc3339(1_795_240_383_042), "2026-11-21T05:53:03.042Z");
        for ms in [0, -1, 1_795_240_383_000, 1_795_240_383_042] {
            assert_eq!(millis(&rfc3339(ms)), Some(ms));
        }
        assert_eq!(millis("yesterday"), None);
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
