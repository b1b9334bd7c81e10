//! Reads a whole table: lets `domain` judge whether the promises hold, or tells one state from another. It writes
//! nothing.

use domain::ids::Digest;
use domain::promises::{Audit, Finding, Promise, Report};
use domain::{Millis, Timestamp};

use crate::store::Failure;
use crate::table::{ReadError, Table};

/// What time it is for the state that is read.
#[derive(Clone, Copy, Debug)]
pub enum Now {
    /// The state goes on while it is read.
    Moment(Timestamp),
    /// The state stands still: it is as late as the newest thing in it.
    Newest,
}

/// Reads everything and judges it. What is younger than `grace` may still be on its way.
pub async fn audit(table: &Table, now: Now, grace: Millis, mut progress: impl FnMut(usize)) -> Result<Report, Failure> {
    let mut audit = Audit::default();
    let mut unread = Vec::new();
    let mut seen = 0;
    let mut from = None;
    loop {
        let (items, next) = table.scan(from).await?;
        seen += items.len();
        for item in items {
            match item {
                Ok(stored) => audit.see(stored.found.item, stored.found.version),
                Err(error) => unread.push(error.to_string()),
            }
        }
        progress(seen);
        if next.is_none() {
            break;
        }
        from = next;
    }
    let now = match now {
        Now::Moment(now) => now,
        Now::Newest => audit.newest().unwrap_or(Timestamp::from_millis(0)),
    };
    let mut report = audit.finish(now, grace);
    let lost = |says| Finding { promise: Promise::NothingLost, subject: "an item".to_owned(), says };
    report.findings.extend(unread.into_iter().map(lost));
    Ok(report)
}

/// The same for the same items as the same tries wrote them, and for no others.
pub async fn fingerprint(table: &Table) -> Result<Digest, ReadError> {
    let mut seen = Vec::new();
    let mut from = None;
    loop {
        let (items, next) = table.scan(from).await?;
        seen.extend(items.into_iter().map(|item| match item {
            Ok(stored) => format!("{:?} {} {}", stored.found.item.key(), stored.found.version, stored.commit),
            Err(error) => error.to_string(),
        }));
        if next.is_none() {
            break;
        }
        from = next;
    }
    seen.sort_unstable();
    Ok(Digest::of("state", &seen.iter().map(String::as_bytes).collect::<Vec<_>>()))
}
