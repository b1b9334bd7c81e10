//! What would end the waiting of an order, in words, by what is there now. What an order was told to lack is what it
//! lacked then; a deposit that did not suffice, or a receipt of too little, has made that less since.

use super::{Order, OrderState, What};
use crate::accounts::Account;
use crate::books::{Item, Key};
use crate::goods::{Short, Stock};
use crate::ids::Sku;
use crate::slots::Slot;
use crate::{Amount, Timestamp};

/// What an order may wait for, as it now stands.
#[derive(Clone, Debug, Default)]
pub struct Around {
    pub account: Option<Account>,
    pub stock: Vec<Stock>,
    pub slot: Option<Slot>,
}

impl Around {
    /// Of what [`needs`] named and was found.
    pub fn of(items: impl IntoIterator<Item = Item>) -> Self {
        let mut around = Self::default();
        for item in items {
            match item {
                Item::Account(account) => around.account = Some(account),
                Item::Stock(stock) => around.stock.push(stock),
                Item::Slot(slot) => around.slot = Some(slot),
                _ => {}
            }
        }
        around
    }
}

/// What to look at to say what would end the waiting; nothing if it does not wait.
pub fn needs(order: &Order) -> Vec<Key> {
    match order.waiting_for.filter(|waiting| waiting.what != What::Stalled).map(|_| order.state) {
        Some(OrderState::AwaitingPayment) if order.gateway().is_some() => Vec::new(),
        Some(OrderState::AwaitingPayment) => vec![Key::Account(order.customer)],
        Some(OrderState::AwaitingStock) => order.skus().into_iter().map(Key::Stock).collect(),
        Some(OrderState::AwaitingDelivery) => vec![Key::Slot(order.slot())],
        Some(OrderState::Completed | OrderState::Cancelled) | None => Vec::new(),
    }
}

/// Everything that would end the waiting, each for itself, unless another has waited for it longer; nothing if the order
/// does not wait.
pub fn ends_with(order: &Order, around: &Around, now: Timestamp) -> Vec<String> {
    let Some(waiting) = order.waiting_for else { return Vec::new() };
    let mut ends = match order.state {
        _ if waiting.what == What::Stalled => vec!["another try, which it gets by itself".to_owned()],
        OrderState::AwaitingPayment if order.gateway().is_some() => vec!["the gateway's word on the card".to_owned()],
        OrderState::AwaitingPayment => money(order, around),
        OrderState::AwaitingStock => stock(order, around),
        OrderState::AwaitingDelivery => delivery(order, around, now),
        OrderState::Completed | OrderState::Cancelled => return Vec::new(),
    };
    ends.push(match waiting.deadline {
        Some(_) => "the beginning of its slot, which cancels it".to_owned(),
        None => "the deadline, which cancels it".to_owned(),
    });
    ends
}

/// It is there by now, and whoever waits for it is on the way.
fn has_come(what: &str) -> Vec<String> {
    vec![format!("nothing more: {what}, and it is about to go on")]
}

fn money(order: &Order, around: &Around) -> Vec<String> {
    let balance = around.account.as_ref().map_or(Amount::ZERO, |account| account.balance);
    match order.amount.checked_sub(balance).filter(|missing| !missing.is_zero()) {
        Some(missing) => vec![format!("a deposit of {} {}", missing.to_decimal(order.currency), order.currency)],
        None => has_come("the balance covers it"),
    }
}

fn stock(order: &Order, around: &Around) -> Vec<String> {
    let on_hand = |sku: Sku| around.stock.iter().find(|stock| stock.sku == sku).map_or(0, |stock| stock.on_hand);
    let missing = order.lines.iter().map(|line| (line.sku, Short::of(on_hand(line.sku), line.quantity)));
    let missing: Vec<String> =
        missing.filter(|(_, short)| short.0 > 0).map(|(sku, short)| format!("{} of {sku}", short.0)).collect();
    match missing.split_last() {
        Some((last, [])) => vec![format!("a receipt of {last}")],
        Some((last, others)) => vec![format!("receipts of {} and {last}", others.join(", "))],
        None => has_come("its goods are there"),
    }
}

fn delivery(order: &Order, around: &Around, now: Timestamp) -> Vec<String> {
    let id = order.slot();
    let room = match around.slot {
        None => format!("slot {id}, once it is opened"),
        Some(slot) if slot.has_room(now) => return has_come(&format!("slot {id} has room")),
        Some(slot) if slot.has_begun(now) => format!("a later beginning of slot {id}"),
        Some(slot) => format!("a capacity of slot {id} above {}", slot.capacity.max(slot.booked)),
    };
    vec![room, "a courier who takes it".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Currency;
    use crate::goods::Line;
    use crate::ids::{CustomerId, Fingerprint, IdempotencyKey, OrderId, SlotId};
    use crate::orders::{IfLacking, PayWith, Step, WaitingFor};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn order(state: OrderState, what: What) -> Order {
        let customer = CustomerId::of("test", "alice");
        let line = |sku, quantity| Line { sku: Sku::parse(sku).unwrap(), quantity, price: Amount::ZERO };
        Order {
            id: OrderId::of(&customer, &IdempotencyKey::parse("k").unwrap()),
            customer,
            amount: Amount::from_minor(50_000).unwrap(),
            currency: Currency::from_code("EUR").unwrap(),
            description: None,
            pay_with: PayWith::Balance,
            if_unpaid: IfLacking::Wait,
            if_unavailable: IfLacking::Wait,
            if_undeliverable: IfLacking::Wait,
            lines: vec![line("tea", 3), line("pot", 1), line("cup", 2)],
            slot: Some(SlotId::standard()),
            placed_at: at(0),
            fingerprint: Fingerprint::of("r", &[]),
            renderer: 1,
            plan: vec![Step::Payment, Step::Stock, Step::Delivery],
            state,
            charged: Amount::ZERO,
            reserved: false,
            delivery: None,
            waiting_for: Some(WaitingFor { what, since: at(0), until: at(9), deadline: None }),
            parked: None,
            stalls: 0,
            look_at: Some(at(9)),
            timeline: Vec::new(),
        }
    }

    fn around(balance: i64, stock: &[(&str, u64)], slot: Option<Slot>) -> Around {
        let customer = CustomerId::of("test", "alice");
        let mut account = Account::new(customer, Currency::from_code("EUR").unwrap(), at(0));
        account.balance = Amount::from_minor(balance).unwrap();
        let stock = stock.iter().map(|(sku, on_hand)| Stock {
            sku: Sku::parse(sku).unwrap(),
            on_hand: *on_hand,
            changed_at: at(0),
        });
        Around { account: Some(account), stock: stock.collect(), slot }
    }

    fn slot(capacity: u32, booked: u32, from: Option<i64>) -> Option<Slot> {
        let from = from.map(at);
        Some(Slot { id: SlotId::standard(), capacity, booked, from, to: None, changed_at: at(0) })
    }

    #[test]
    fn what_would_end_the_waiting_is_said_by_what_is_there_now() {
        let deadline = "the deadline, which cancels it";
        let (payment, stock, delivery) =
            (OrderState::AwaitingPayment, OrderState::AwaitingStock, OrderState::AwaitingDelivery);
        let courier = "a courier who takes it";
        for (order, around, ends) in [
            (order(payment, What::Money), Around::default(), vec!["a deposit of 500.00 EUR", deadline]),
            (order(payment, What::Money), around(20_000, &[], None), vec!["a deposit of 300.00 EUR", deadline]),
            (
                order(payment, What::Money),
                around(50_000, &[], None),
                vec!["nothing more: the balance covers it, and it is about to go on", deadline],
            ),
            (
                order(stock, What::Stock),
                around(0, &[("tea", 1), ("pot", 1), ("cup", 2)], None),
                vec!["a receipt of 2 of tea", deadline],
            ),
            (
                order(stock, What::Stock),
                around(0, &[("tea", 1), ("cup", 1)], None),
                vec!["receipts of 2 of tea, 1 of pot and 1 of cup", deadline],
            ),
            (
                order(stock, What::Stock),
                around(0, &[("tea", 3), ("pot", 9), ("cup", 2)], None),
                vec!["nothing more: its goods are there, and it is about to go on", deadline],
            ),
            (
                order(delivery, What::Delivery),
                Around::default(),
                vec!["slot standard, once it is opened", courier, deadline],
            ),
            (
                order(delivery, What::Delivery),
                around(0, &[], slot(5, 5, None)),
                vec!["a capacity of slot standard above 5", courier, deadline],
            ),
            (
                order(delivery, What::Delivery),
                around(0, &[], slot(5, 4, Some(5))),
                vec!["a later beginning of slot standard", courier, deadline],
            ),
            (
                order(delivery, What::Delivery),
                around(0, &[], slot(5, 4, Some(9))),
                vec!["nothing more: slot standard has room, and it is about to go on", deadline],
            ),
            (order(payment, What::Stalled), Around::default(), vec!["another try, which it gets by itself", deadline]),
        ] {
            assert_eq!(ends_with(&order, &around, at(6)), ends, "{order:?} {around:?}");
        }
    }

    #[test]
    fn a_slot_that_begins_ends_the_waiting_and_what_does_not_wait_ends_with_nothing() {
        let mut waits = order(OrderState::AwaitingDelivery, What::Delivery);
        waits.waiting_for = waits.waiting_for.map(|waiting| WaitingFor { deadline: Some(at(99)), ..waiting });
        let ends = ends_with(&waits, &around(0, &[], slot(0, 0, Some(9))), at(6));
        assert_eq!(ends.last().unwrap(), "the beginning of its slot, which cancels it");
        assert_eq!(needs(&waits), [Key::Slot(SlotId::standard())]);
        waits.waiting_for = None;
        assert_eq!((ends_with(&waits, &Around::default(), at(6)), needs(&waits)), (Vec::new(), Vec::new()));
    }
}
