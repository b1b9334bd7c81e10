//! Everything in a table, page by page: several segments at once, no more than so many read units a second, and never
//! more than one page of a segment in memory beside the one that is looked at.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Plan;
use crate::store::Failure;
use crate::table::{Attributes, ReadError, Scanned, Segment, Table};

pub(super) struct Pages {
    table: Table,
    of: i32,
    limit: i32,
    pace: Pace,
    asked: JoinSet<(i32, Result<Scanned, ReadError>)>,
}

/// When the next page may be asked for.
struct Pace {
    units_a_second: Option<u32>,
    next: Instant,
}

impl Pages {
    pub(super) fn new(table: &Table, plan: &Plan) -> Self {
        let pace = Pace { units_a_second: plan.read_units_a_second, next: Instant::now() };
        let of = i32::from(plan.segments.max(1));
        let limit = i32::from(plan.page.max(1));
        let mut pages = Self { table: table.clone(), of, limit, pace, asked: JoinSet::new() };
        (0..of).for_each(|number| pages.ask(number, None));
        pages
    }

    /// The next page of any segment; `None` when all have been read.
    pub(super) async fn next(&mut self) -> Result<Option<(usize, Scanned)>, Failure> {
        let Some(answered) = self.asked.join_next().await else { return Ok(None) };
        let (number, scanned) = answered.map_err(|error| Failure::Broken(error.to_string()))?;
        let mut scanned = scanned?;
        self.pace.spent(scanned.read_units);
        if let Some(from) = scanned.next.take() {
            self.ask(number, Some(from));
        }
        Ok(Some((usize::try_from(number).unwrap_or_default(), scanned)))
    }

    fn ask(&mut self, number: i32, from: Option<Attributes>) {
        let (table, limit, at) = (self.table.clone(), self.limit, self.pace.next);
        let part = Segment { number, of: self.of };
        self.asked.spawn(async move {
            tokio::time::sleep_until(at).await;
            (number, table.scan(part, limit, from).await)
        });
    }
}

impl Pace {
    #[expect(clippy::float_arithmetic, reason = "capacity is counted in halves of a unit")]
    fn spent(&mut self, units: f64) {
        let Some(limit) = self.units_a_second else { return };
        let pause = Duration::try_from_secs_f64(units / f64::from(limit.max(1))).unwrap_or_default();
        self.next = self.next.max(Instant::now()) + pause;
    }
}
