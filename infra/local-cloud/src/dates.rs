//! How the services write a time: each has its own way.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const ISO_SECONDS: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const ISO_MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const HTTP: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
const FAILED_BATCH: &[BorrowedFormatItem<'_>] =
    format_description!("[year]/[month]/[day]/[year]-[month]-[day]T[hour].[minute].[second]");

pub(crate) fn iso_seconds(ms: i64) -> String {
    written(ms, ISO_SECONDS)
}

pub(crate) fn iso_millis(ms: i64) -> String {
    written(ms, ISO_MILLIS)
}

pub(crate) fn http(ms: i64) -> String {
    written(ms, HTTP)
}

/// As in the key under which Lambda keeps a batch that failed.
pub(crate) fn failed_batch(ms: i64) -> String {
    written(ms, FAILED_BATCH)
}

fn written(ms: i64, format: &[BorrowedFormatItem<'_>]) -> String {
    let at =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_service_gets_its_own_way() {
        let ms = 1_573_689_846_021;
        assert_eq!(super::iso_seconds(ms), "2019-11-14T00:04:06Z");
        assert_eq!(super::iso_millis(ms), "2019-11-14T00:04:06.021Z");
        assert_eq!(super::http(ms), "Thu, 14 Nov 2019 00:04:06 GMT");
        assert_eq!(super::failed_batch(ms), "2019/11/14/2019-11-14T00.04.06");
    }
}
