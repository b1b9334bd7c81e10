//! Tells one state of a table from another.

use domain::ids::Digest;

use crate::table::{ReadError, Segment, Table};

/// The same for the same items as the same tries wrote them, and for no others.
pub async fn fingerprint(table: &Table) -> Result<Digest, ReadError> {
    let mut seen = Vec::new();
    let mut from = None;
    loop {
        let page = table.scan(Segment { number: 0, of: 1 }, 1_000, from).await?;
        seen.extend(page.items.into_iter().map(|item| match item {
            Ok(stored) => format!("{:?} {} {}", stored.found.item.key(), stored.found.version, stored.commit),
            Err(error) => error.to_string(),
        }));
        if page.next.is_none() {
            break;
        }
        from = page.next;
    }
    seen.sort_unstable();
    Ok(Digest::of("state", &seen.iter().map(String::as_bytes).collect::<Vec<_>>()))
}
