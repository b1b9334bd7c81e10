//! Moments, to the millisecond. They come from the edge of the process as arguments; nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::Refusal;

const FORMAT: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// 9999-12-31T23:59:59.999Z
const LAST: i64 = 253_402_300_799_999;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    pub const fn minutes(minutes: i64) -> Self {
        Self::seconds(minutes.saturating_mul(60))
    }

    pub const fn hours(hours: i64) -> Self {
        Self::minutes(hours.saturating_mul(60))
    }
}

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Reads RFC 3339 with any offset. What is finer than a millisecond is refused, not cut off.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Refusal::TimeMalformed)?;
        if moment.nanosecond() % 1_000_000 != 0 {
            return Err(Refusal::TimeMalformed);
        }
        let millis = i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).map_err(|_| Refusal::TimeMalformed)?;
        // What is beyond the year 9999 in UTC could not be shown as it is read.
        if (0..=LAST).contains(&millis) { Ok(Self(millis)) } else { Err(Refusal::TimeMalformed) }
    }

    #[must_use]
    pub const fn after(self, length: Millis) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    #[must_use]
    pub const fn before(self, length: Millis) -> Self {
        Self(self.0.saturating_sub(length.0))
    }

    /// Thirteen digits, so that the text sorts as the time does.
    pub fn sortable(self) -> String {
        format!("{:013}", self.0)
    }

    pub fn from_sortable(text: &str) -> Option<Self> {
        (text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok().map(Self))?
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, always with three digits of a second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|moment| moment.format(FORMAT).ok());
        match shown {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} ms", self.0), // beyond the year 9999
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_240_383_007).to_string(), "2026-11-21T05:53:03.007Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9223372036854775807 ms");
    }

    #[test]
    fn the_sortable_form_comes_back_and_nothing_else_does() {
        let moment = Timestamp::from_millis(42);
        assert_eq!(moment.sortable(), "0000000000042");
        assert_eq!(Timestamp::from_sortable("0000000000042"), Some(moment));
        for wrong in ["42", "+000000000042", "00000000000x2", ""] {
            assert_eq!(Timestamp::from_sortable(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_read_as_it_is_shown_and_never_rounded() {
        let moment = Timestamp::from_millis(1_795_240_383_007);
        for same in ["2026-11-21T05:53:03.007Z", "2026-11-21T07:53:03.007+02:00", "2026-11-21T05:53:03.007000Z"] {
            assert_eq!(Timestamp::parse(same), Ok(moment), "{same}");
        }
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59.999Z").unwrap().to_string(), "9999-12-31T23:59:59.999Z");
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21T05:53:03",
            "2026-11-21T05:53:03.0071Z",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59-00:01",
            "1",
        ] {
            assert_eq!(Timestamp::parse(wrong), Err(Refusal::TimeMalformed), "{wrong}");
        }
    }
}
