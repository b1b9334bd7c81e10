//! Taking an order's goods from the stock: all of them, or none.

use super::{Lack, Move, Order, Resource};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::goods::{Line, Short, Stock};
use crate::{Timestamp, planted};

/// Takes every line from the stock, or says what is missing first. Only what is missing decides that the order waits, so
/// the rest is only looked at; an order that waits already is held against what it waits for before all else, so that it
/// stays where it is as long as that is right.
pub(super) fn reserve(draft: &mut Draft<'_>, order: &mut Order, now: Timestamp) -> Result<Result<(), Lack>, Halt> {
    let mut lines: Vec<Line> = order.lines.clone();
    lines.sort_by_key(|line| order.parked != Some(Resource::Stock(line.sku)));
    let mut taken = Vec::with_capacity(lines.len());
    for Line { sku, quantity, .. } in lines {
        let stock = draft.glance::<Stock>(Key::Stock(sku))?;
        match stock.map_or(Err(Short(quantity)), |stock| stock.take(quantity, now)) {
            Ok(left) => taken.push(left),
            Err(Short(missing)) => {
                if !planted!(ParkedUnchecked) {
                    draft.get::<Stock>(Key::Stock(sku))?;
                }
                return Ok(Err(Lack::Stock { sku, missing }));
            }
        }
    }
    assert!(!order.reserved, "order {} is reserved once", order.id);
    for stock in taken {
        draft.put(stock)?;
    }
    order.leave_queue(draft)?;
    order.reserved = true;
    order.moved(Move::Reserve);
    order.pass(draft, Told::OrderReserved, now)?;
    Ok(Ok(()))
}
