//! Percent-decoding and the time as logs write it: the small things that the event's text fields need.

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// What is not a proper escape stays as it is; what is not UTF-8 shows as the replacement character.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escape = (bytes[index] == b'%').then(|| bytes.get(index + 1..index + 3)).flatten();
        match escape.and_then(|digits| Some((hex(digits[0])?, hex(digits[1])?))) {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                index += 3;
            }
            None => {
                decoded.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The path as an HTTP API sees it: decoded once, and cut where a question mark comes to light.
pub(super) fn decoded_path(path: &str) -> String {
    let mut decoded = percent_decoded(path);
    if let Some(cut) = decoded.find('?') {
        decoded.truncate(cut);
    }
    decoded
}

/// A query's part, where `+` is a space.
pub(super) fn query_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|value| u8::try_from(value).ok())
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
