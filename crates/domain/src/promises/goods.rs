//! What stock and slots come to. Of both there are few, so their sums are held exactly: what was received, what orders
//! hold, who is booked where.

use std::collections::BTreeMap;

use super::subjects::Until;
use super::{Finding, Promise};
use crate::books::Item;
use crate::events::Told;
use crate::goods::Stock;
use crate::ids::{Sku, SlotId};
use crate::orders::{Delivery, Order};
use crate::slots::Slot;

#[derive(Debug, Default)]
struct Shelf {
    stock: Option<Stock>,
    received: i128,
    held: i128,
}

#[derive(Debug, Default)]
struct Places {
    slot: Option<Slot>,
    is_listed: bool,
    booked: i128,
}

/// Everything that was seen of goods and slots.
#[derive(Debug, Default)]
pub struct Shelves {
    until: Until,
    stocks: BTreeMap<Sku, Shelf>,
    slots: BTreeMap<SlotId, Places>,
}

impl Until {
    /// Whether the order held its goods by then.
    fn reserved(self, order: &Order) -> bool {
        let at =
            |wanted: &Told| order.timeline.iter().find(|passage| passage.told == *wanted).map(|passage| passage.at);
        let was_reserved = at(&Told::OrderReserved).is_none_or(|at| self.counts(at));
        match at(&Told::OrderReleased) {
            Some(released) => was_reserved && !self.counts(released),
            None => was_reserved && order.reserved,
        }
    }

    fn booked(self, order: &Order) -> bool {
        let at = order.timeline.iter().find(|passage| passage.told == Told::OrderBooked).map(|passage| passage.at);
        order.delivery == Some(Delivery::Booked) && at.is_none_or(|at| self.counts(at))
    }
}

impl Shelves {
    /// Over a table that goes on while it is read, all sums are of the same moment.
    pub fn new(until: Until) -> Self {
        Self { until, ..Self::default() }
    }

    /// Takes every item once, in any order.
    pub fn see(&mut self, item: &Item) {
        match item {
            Item::Stock(stock) => self.stocks.entry(stock.sku).or_default().stock = Some(*stock),
            Item::Receipt(receipt) if self.until.counts(receipt.created_at) => {
                self.stocks.entry(receipt.sku).or_default().received += i128::from(receipt.quantity);
            }
            Item::Order(order) => {
                if self.until.reserved(order) {
                    for line in &order.lines {
                        self.stocks.entry(line.sku).or_default().held += i128::from(line.quantity);
                    }
                }
                if self.until.booked(order) {
                    self.slots.entry(order.slot()).or_default().booked += 1;
                }
            }
            Item::Slot(slot) => self.slots.entry(slot.id).or_default().slot = Some(*slot),
            Item::ListedSlot(listed) => self.slots.entry(listed.slot).or_default().is_listed = true,
            _ => {}
        }
    }

    /// Judges. What has moved since the moment of the sums is left to the next time.
    pub fn judge(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (sku, Shelf { stock, received, held }) in &self.stocks {
            let on_hand = stock.map_or(0, |stock| i128::from(stock.on_hand));
            let has_moved = stock.is_some_and(|stock| !self.until.counts(stock.changed_at));
            if !has_moved && received - held != on_hand {
                let says = format!("orders hold {held} of {received} that were received, and {on_hand} are on hand");
                findings.push(Finding { promise: Promise::NoOversell, subject: format!("stock of {sku}"), says });
            }
        }
        for (id, places) in &self.slots {
            let find = |promise, says| Finding { promise, subject: format!("slot {id}"), says };
            let Places { slot, is_listed, booked } = places;
            let says_booked = slot.map_or(0, |slot| i128::from(slot.booked));
            let has_moved = slot.is_some_and(|slot| !self.until.counts(slot.changed_at));
            if slot.is_some_and(|slot| slot.booked > slot.capacity) {
                findings.push(find(Promise::NoOversell, format!("{says_booked} are booked, more than fit into it")));
            }
            if !has_moved && *booked != says_booked {
                let says = format!("it says that {says_booked} orders are booked in it; {booked} are");
                findings.push(find(Promise::NoOversell, says));
            }
            if !has_moved && slot.is_some() && !is_listed {
                findings.push(find(Promise::NothingLost, "it is not in the list of slots".to_owned()));
            }
        }
        findings
    }
}
