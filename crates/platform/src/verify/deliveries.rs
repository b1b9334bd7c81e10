//! Deliveries, where a first reading of a table that goes on found something wrong with them: each is read again by its
//! key, and what is found both times is said.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::books::{Kept as _, Key};
use domain::events::EventId;
use domain::promises::{Finding, Late, judge_delivery};
use domain::webhooks::Delivery;

use super::{Progress, readable};
use crate::store::Failure;
use crate::table::Table;

pub(super) async fn again(
    table: &Table,
    settled: Timestamp,
    found: BTreeMap<EventId, Vec<Finding>>,
    progress: &mut impl FnMut(Progress),
) -> Result<Vec<Finding>, Failure> {
    let mut still = Vec::new();
    let mut left = found.len();
    for (event, earlier) in found {
        progress(Progress::Again { left });
        left -= 1;
        let key = Key::Delivery(event);
        let now = readable(table, &[key]).await?.remove(&key).flatten();
        let Some(delivery) = now.as_ref().and_then(|stored| Delivery::of_item(&stored.found.item)) else { continue };
        let key = delivery.notification();
        let is_there = readable(table, &[key]).await?.remove(&key).flatten().is_some();
        let mut late = Late::new(1);
        late.see(delivery);
        let found = judge_delivery(delivery, is_there).into_iter().chain(late.before(settled).map(|(_, late)| late));
        still.extend(found.filter(|finding| earlier.iter().any(|before| before.promise == finding.promise)));
    }
    Ok(still)
}
