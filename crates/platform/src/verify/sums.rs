//! What stock and slots come to, where a first reading of a table that goes on found it wrong: everything is read again
//! for that alone, and what is found both times is said.

use domain::promises::{Finding, Shelves};

use super::pages::Pages;
use super::{Plan, Progress};
use crate::store::Failure;
use crate::table::Table;

pub(super) async fn again(
    table: &Table,
    plan: &Plan,
    found: Vec<Finding>,
    progress: &mut impl FnMut(Progress),
) -> Result<Vec<Finding>, Failure> {
    progress(Progress::Again { left: found.len() });
    let mut shelves = Shelves::new(plan.until());
    let mut pages = Pages::new(table, plan);
    while let Some((_, page)) = pages.next().await? {
        page.items.into_iter().flatten().for_each(|stored| shelves.see(&stored.found.item));
    }
    let was_found = |finding: &Finding| {
        found.iter().any(|earlier| (earlier.promise, &earlier.subject) == (finding.promise, &finding.subject))
    };
    Ok(shelves.judge().into_iter().filter(was_found).collect())
}
