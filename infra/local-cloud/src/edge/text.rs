//! Percent-decoding and the time as logs write it: the small things that the event's text fields need.

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

pub(super) use crate::text::{percent_decoded, query_decoded};

/// The path as an HTTP API sees it: decoded once, and cut where a question mark comes to light.
pub(super) fn decoded_path(path: &str) -> String {
    let mut decoded = percent_decoded(path);
    if let Some(cut) = decoded.find('?') {
        decoded.truncate(cut);
    }
    decoded
}

const COMMON_LOG: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// `12/Mar/2020:19:03:58 +0000`.
pub(super) fn common_log_time(epoch_ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(epoch_ms.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(COMMON_LOG).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_is_an_escape_and_nothing_else() {
        for (text, expected) in
            [("a%20b", "a b"), ("%", "%"), ("%2", "%2"), ("%zz", "%zz"), ("%C3%A4+", "ä+"), ("%FF", "\u{fffd}")]
        {
            assert_eq!(percent_decoded(text), expected);
        }
        assert_eq!(query_decoded("a+b%2B"), "a b+");
        assert_eq!(decoded_path("/a%2Fb+c%253F"), "/a/b+c%3F");
        assert_eq!(decoded_path("/a%3Fb=1"), "/a");
    }

    #[test]
    fn time_is_as_logs_write_it() {
        assert_eq!(common_log_time(1_583_348_638_390), "04/Mar/2020:19:03:58 +0000");
    }
}
