//! The promises, judged commit by commit: whoever sees every write in the order in which it was applied need not wait
//! for the end to say which one broke what.
//!
//! A [`Watch`] keeps what it has seen and judges each step against it. An [`super::Audit`] sees what is there; this one
//! also sees how it came there: what was overwritten, what changed that never changes, what was told without its
//! change. It reads no table.

mod deliveries;
mod payments;

use std::collections::BTreeMap;
use std::fmt;

use super::held::{Held, comes_to, may_wait_for, misstep, waits_for};
use super::{Finding, Promise, Totals};
use crate::accounts::{Account, Cause, Deposit, Entry};
use crate::books::{Change, Item, Kept, Key, Version};
use crate::events::{Event, EventId, Told};
use crate::goods::{Receipt, Stock};
use crate::ids::{OrderId, PaymentId, Sku, SlotId};
use crate::messages::Notification;
use crate::notices;
use crate::orders::{
    CancelReason, Delivery, IfLacking, Lack, Move, Order, OrderState, PayWith, Resource, Step, Waiting, WaitingFor,
};
use crate::payments::{Payment, PaymentCause, PaymentEntry};
use crate::profiles::Profile;
use crate::slots::{ListedSlot, Slot};
use crate::{Amount, Millis, Timestamp, webhooks};

/// One action of a commit that was applied.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a commit has few actions, and nearly all of them are puts")]
pub enum Action {
    Put {
        item: Item,
        version: Version,
        events: Vec<Event>,
    },
    Delete(Key),
    /// Nothing was written; it was as the decision had read it.
    Check(Key),
}

impl Action {
    pub fn key(&self) -> Key {
        match self {
            Self::Put { item, .. } => item.key(),
            Self::Delete(key) | Self::Check(key) => *key,
        }
    }
}

/// Everything that is kept, as far as its writes were seen.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    items: BTreeMap<Key, (Item, Version)>,
    told: BTreeMap<EventId, Key>,
    charges: BTreeMap<OrderId, u32>,
    refunds: BTreeMap<OrderId, u32>,
    /// How long an order may wait, if that is known.
    wait: Option<Millis>,
    /// What all accounts come to.
    sums: Totals,
}

/// A commit under judgement: what was there before it, and what it did.
struct Commit<'a> {
    watch: &'a Watch,
    actions: &'a [Action],
    findings: Vec<Finding>,
}

impl Watch {
    /// Orders wait for so long and no shorter.
    #[must_use]
    pub fn with_wait(self, wait: Millis) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// An item as it now stands.
    pub fn get<T: Kept>(&self, key: &Key) -> Option<&T> {
        self.items.get(key).and_then(|(item, _)| T::of_item(item))
    }

    /// Every order as it now stands.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.items.values().filter_map(|(item, _)| Order::of_item(item))
    }

    /// Every delivery as it now stands.
    pub fn deliveries(&self) -> impl Iterator<Item = &webhooks::Delivery> {
        self.items.values().filter_map(|(item, _)| webhooks::Delivery::of_item(item))
    }

    /// Every payment as it now stands.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.items.values().filter_map(|(item, _)| Payment::of_item(item))
    }

    /// Judges one commit, and takes it for what is there from now on.
    pub fn see(&mut self, actions: &[Action]) -> Vec<Finding> {
        let mut step = Commit { watch: self, actions, findings: Vec::new() };
        step.judge();
        let mut findings = step.findings;
        self.apply(actions);
        self.judge_sum(&mut findings);
        self.judge_places(actions, &mut findings);
        findings
    }

    fn apply(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Put { item, version, .. } => {
                    self.count(item);
                    self.items.insert(item.key(), (item.clone(), *version));
                }
                Action::Delete(key) => {
                    self.items.remove(key);
                }
                Action::Check(_) => {}
            }
        }
    }

    fn count(&mut self, item: &Item) {
        match item {
            Item::Account(account) => {
                let before = self.get::<Account>(&account.key()).map_or(Amount::ZERO, |before| before.balance);
                self.sums.held += i128::from(account.balance.minor()) - i128::from(before.minor());
            }
            Item::Entry(entry) => {
                self.sums.count(entry.counter, i128::from(entry.amount.minor()));
                match entry.cause {
                    Cause::Order(order) => *self.charges.entry(order).or_default() += 1,
                    Cause::Refund(order) => *self.refunds.entry(order).or_default() += 1,
                    Cause::Deposit(_) => {}
                }
            }
            Item::Notification(notification) => {
                self.told.insert(notification.event, notification.key());
            }
            Item::Payment(payment) => {
                let before = self.get::<Payment>(&payment.key()).map_or(Amount::ZERO, |before| before.balance);
                self.sums.owed += i128::from(payment.balance.minor()) - i128::from(before.minor());
            }
            Item::PaymentEntry(entry) => {
                self.sums.count(entry.counter, i128::from(entry.amount.minor()));
                match entry.cause {
                    PaymentCause::Order(order) => *self.charges.entry(order).or_default() += 1,
                    PaymentCause::OrderBack(order) => *self.refunds.entry(order).or_default() += 1,
                    PaymentCause::Capture
                    | PaymentCause::Elsewhere
                    | PaymentCause::SetAside(_)
                    | PaymentCause::GivenBack(_)
                    | PaymentCause::Kept(_) => {}
                }
            }
            Item::Deposit(_)
            | Item::Order(_)
            | Item::Waiting(_)
            | Item::Unreadable(_)
            | Item::Product(_)
            | Item::Stock(_)
            | Item::Receipt(_)
            | Item::Slot(_)
            | Item::ListedSlot(_)
            | Item::Profile(_)
            | Item::Attempts(_)
            | Item::Endpoint(_)
            | Item::Delivery(_)
            | Item::Refund(_)
            | Item::Stub(_)
            | Item::Callback(_)
            | Item::Breaker(_) => {}
        }
    }

    fn judge_sum(&self, findings: &mut Vec<Finding>) {
        findings.extend(self.sums.judge());
    }

    /// A waiting item exists exactly while its order says that it is parked there.
    fn judge_places(&self, actions: &[Action], findings: &mut Vec<Finding>) {
        for action in actions {
            match action.key() {
                Key::Order(id) => {
                    let parked = self.get::<Order>(&Key::Order(id));
                    let Some((order, resource)) = parked.and_then(|order| Some((order, order.parked?))) else {
                        continue;
                    };
                    if !self.items.contains_key(&order.waiting_key(resource)) {
                        let says = format!("it says it waits under {resource}, and does not stand there");
                        findings.push(finding(Promise::NothingLost, format!("order {id}"), says));
                    }
                }
                key @ Key::Waiting(resource, _, id) if self.items.contains_key(&key) => {
                    let parked = self.get::<Order>(&Key::Order(id)).and_then(|order| order.parked);
                    if parked != Some(resource) {
                        let says = format!("it stands under {resource} and says {parked:?}");
                        findings.push(finding(Promise::NothingLost, format!("order {id}"), says));
                    }
                }
                _ => {}
            }
        }
    }
}

impl Commit<'_> {
    fn judge(&mut self) {
        let actions = self.actions;
        for action in actions {
            match action {
                Action::Put { item, version, events } => self.judge_put(item, *version, events),
                Action::Delete(key) => self.judge_delete(*key),
                Action::Check(_) => {}
            }
        }
        self.judge_stocks();
        self.judge_bookings();
    }

    fn find(&mut self, promise: Promise, subject: impl fmt::Display, says: impl Into<String>) {
        self.findings.push(finding(promise, subject, says));
    }

    fn before(&self, key: &Key) -> Option<&(Item, Version)> {
        self.watch.items.get(key)
    }

    /// An item as the commit leaves it.
    fn after<T: Kept>(&self, key: &Key) -> Option<&T> {
        for action in self.actions {
            match action {
                Action::Put { item, .. } if item.key() == *key => return T::of_item(item),
                Action::Delete(deleted) if deleted == key => return None,
                _ => {}
            }
        }
        self.watch.get(key)
    }

    fn put<'a, T: Kept + 'a>(&'a self) -> impl Iterator<Item = &'a T> {
        self.actions.iter().filter_map(|action| match action {
            Action::Put { item, .. } => T::of_item(item),
            _ => None,
        })
    }

    fn holds(&self, key: &Key) -> bool {
        self.actions.iter().any(|action| action.key() == *key)
    }

    fn judge_put(&mut self, item: &Item, version: Version, events: &[Event]) {
        let key = item.key();
        let found = self.before(&key).map(|(_, version)| *version);
        if version != Change::next_version(found) {
            let says = format!("version {version} was written over {found:?}: a change was lost");
            self.find(Promise::Conservation, format!("{key:?}"), says);
        }
        let never_changes = matches!(
            item,
            Item::Entry(_)
                | Item::Deposit(_)
                | Item::Notification(_)
                | Item::Unreadable(_)
                | Item::Receipt(_)
                | Item::ListedSlot(_)
                | Item::PaymentEntry(_)
                | Item::Callback(_)
        );
        if never_changes && found.is_some() {
            self.find(Promise::Conservation, format!("{key:?}"), "it never changes, and was written again");
        }
        match item {
            Item::Account(account) => self.judge_account(account, events),
            Item::Entry(entry) => self.judge_entry(entry),
            Item::Deposit(deposit) => self.judge_deposit(deposit),
            Item::Order(order) => self.judge_order(order, version, events),
            Item::Waiting(waiting) => self.judge_waiting(waiting),
            Item::Notification(notification) => self.judge_notification(notification),
            Item::Stock(stock) => self.judge_stock(*stock, events),
            Item::Receipt(receipt) => self.judge_receipt(receipt),
            Item::Slot(slot) => self.judge_slot(*slot, events),
            Item::Endpoint(endpoint) => self.judge_endpoint(endpoint),
            Item::Delivery(delivery) => self.judge_delivery(delivery, events),
            Item::Profile(profile) => self.judge_profile(profile),
            Item::Payment(payment) => self.judge_payment(payment, version, events),
            Item::PaymentEntry(entry) => self.judge_payment_entry(entry),
            Item::Refund(refund) => self.judge_refund(refund),
            Item::Stub(stub) => self.judge_stub(stub),
            Item::Callback(_) | Item::Breaker(_) => {}
            Item::ListedSlot(_) | Item::Product(_) | Item::Unreadable(_) | Item::Attempts(_) => {}
        }
    }

    /// Its customer is made of these.
    fn judge_profile(&mut self, profile: &Profile) {
        let before = self.watch.get::<Profile>(&profile.key());
        if before.is_some_and(|before| (before.nonce, before.created_at) != (profile.nonce, profile.created_at)) {
            let subject = format!("profile {}", profile.id);
            self.find(Promise::EveryoneTheirOwn, subject, "it signs in as another customer than before");
        }
    }

    fn judge_delete(&mut self, key: Key) {
        if !matches!(key, Key::Waiting(..)) {
            self.find(Promise::NothingLost, format!("{key:?}"), "it is kept for ever, and was deleted");
        } else if self.before(&key).is_none() {
            self.find(Promise::NothingLost, format!("{key:?}"), "it was deleted and was not there");
        }
    }

    fn judge_account(&mut self, account: &Account, events: &[Event]) {
        let subject = format!("account {}", account.customer);
        let before = self.watch.get::<Account>(&account.key()).cloned();
        let (mut balance, mut number) = (Amount::ZERO, 0);
        if let Some(before) = &before {
            let same = |a: &Account| (a.customer, a.currency, a.opened_at, a.renderer);
            if same(before) != same(account) {
                self.find(Promise::Conservation, &subject, "what never changes of it changed");
            }
            (balance, number) = (before.balance, before.entries);
        }
        if account.balance < Amount::ZERO {
            self.find(Promise::Conservation, &subject, format!("its balance is {}", account.balance));
        }
        let held = balance;
        let mut entries: Vec<Entry> = self.put::<Entry>().filter(|e| e.customer == account.customer).cloned().collect();
        entries.sort_by_key(|entry| entry.number);
        for entry in &entries {
            number += 1;
            if entry.number != number {
                self.find(Promise::Conservation, &subject, format!("entry {} is not number {number}", entry.number));
            }
            match entry.amount.applied_to(balance) {
                Some(after) if after == entry.balance => balance = after,
                _ => {
                    let says = format!(
                        "entry {} of {} over {balance} left {}",
                        entry.number,
                        entry.amount.minor(),
                        entry.balance
                    );
                    self.find(Promise::Conservation, &subject, says);
                    balance = entry.balance;
                }
            }
        }
        if (account.entries, account.balance) != (number, balance) {
            let says = format!(
                "it says {} after {} entries; its entries say {balance} after {number}",
                account.balance, account.entries
            );
            self.find(Promise::Conservation, &subject, says);
        }
        let tells = |told: fn(&Told) -> bool| events.iter().any(|event| told(&event.told));
        if before.is_none() && !tells(|told| *told == Told::AccountOpened) {
            self.find(Promise::OnceTold, &subject, "it was opened, and nobody was told");
        }
        if account.balance > held && !tells(|told| *told == Told::MoneyAvailable) {
            self.find(Promise::NoIdling, &subject, "there is more money on it, and nobody was told");
        }
    }

    fn judge_entry(&mut self, entry: &Entry) {
        let subject = format!("entry {} of account {}", entry.number, entry.customer);
        if self.put::<Account>().all(|account| account.customer != entry.customer) {
            self.find(Promise::Conservation, &subject, "it came without its account");
        }
        match entry.cause {
            Cause::Deposit(id) => {
                if self.put::<Deposit>().all(|deposit| deposit.id != id) {
                    self.find(Promise::Conservation, &subject, format!("it came without its deposit {id}"));
                }
            }
            Cause::Order(id) => self.judge_entry_of(&subject, entry, id, -1),
            Cause::Refund(id) => self.judge_entry_of(&subject, entry, id, 1),
        }
    }

    /// What an order's customer was charged (-1) or given back (1): its amount, once, with the order in the same commit.
    fn judge_entry_of(&mut self, subject: &str, entry: &Entry, id: OrderId, sign: i128) {
        let Some(order) = self.put::<Order>().find(|order| order.id == id).cloned() else {
            return self.find(Promise::OneCharge, subject, format!("it came without its order {id}"));
        };
        if order.customer != entry.customer {
            self.find(Promise::EveryoneTheirOwn, subject, format!("it paid for order {id} of another"));
        }
        if i128::from(entry.amount.minor()) != sign * i128::from(order.amount.minor()) {
            let says = format!("it moved {} for an order of {}", entry.amount.minor(), order.amount.minor());
            self.find(Promise::OneCharge, subject, says);
        }
        let earlier = if sign < 0 { &self.watch.charges } else { &self.watch.refunds };
        let earlier = earlier.get(&id).copied().unwrap_or_default();
        let now = self.put::<Entry>().filter(|other| other.cause == entry.cause).count();
        if earlier > 0 || now > 1 {
            self.find(Promise::OneCharge, subject, format!("order {id} was charged, or given back, before"));
        }
    }

    fn judge_stock(&mut self, stock: Stock, events: &[Event]) {
        let before = self.watch.get::<Stock>(&Key::Stock(stock.sku)).map_or(0, |before| before.on_hand);
        if stock.on_hand > before && !tells(events, &Told::StockAvailable) {
            let says = format!("{} are on hand after {before}, and nobody was told", stock.on_hand);
            self.find(Promise::NoIdling, format!("stock of {}", stock.sku), says);
        }
    }

    fn judge_receipt(&mut self, receipt: &Receipt) {
        let stock = self.put::<Stock>().find(|stock| stock.sku == receipt.sku).copied();
        let told =
            Told::StockReceived { receipt: receipt.id, quantity: receipt.quantity, on_hand: receipt.on_hand_after };
        let is_told = self.events_of(&Key::Stock(receipt.sku)).iter().any(|event| event.told == told);
        if stock.is_none() || !is_told {
            let says = "its stock did not come with it, or says something else";
            self.find(Promise::NoOversell, format!("receipt {}", receipt.id), says);
        }
    }

    fn judge_slot(&mut self, slot: Slot, events: &[Event]) {
        let subject = format!("slot {}", slot.id);
        let before = self.watch.get::<Slot>(&Key::Slot(slot.id)).copied();
        if slot.booked > slot.capacity {
            self.find(Promise::NoOversell, &subject, format!("{} are booked in {}", slot.booked, slot.capacity));
        }
        let opens = before.is_none_or(|before| {
            (slot.capacity > before.capacity) || slot.closes_at() != before.closes_at() || slot.booked < before.booked
        });
        if opens && !tells(events, &Told::SlotAvailable) {
            self.find(Promise::NoIdling, &subject, "there may be room in it, and nobody was told");
        }
        if before.is_none() && self.after::<ListedSlot>(&Key::ListedSlot(slot.id)).is_none() {
            self.find(Promise::NothingLost, &subject, "it was opened, and is not in the list of slots");
        }
    }

    /// What of a sku moved is what receipts brought, less what orders took, and what they gave back.
    fn judge_stocks(&mut self) {
        let mut due: BTreeMap<Sku, i128> = BTreeMap::new();
        for receipt in self.put::<Receipt>() {
            *due.entry(receipt.sku).or_default() += i128::from(receipt.quantity);
        }
        for order in self.put::<Order>() {
            let was_reserved = self.watch.get::<Order>(&order.key()).is_some_and(|before| before.reserved);
            let times = i128::from(was_reserved) - i128::from(order.reserved);
            for line in &order.lines {
                *due.entry(line.sku).or_default() += times * i128::from(line.quantity);
            }
        }
        let on_hand = |stock: Option<&Stock>| stock.map_or(0, |stock| i128::from(stock.on_hand));
        for stock in self.put::<Stock>() {
            due.entry(stock.sku).or_default();
        }
        for (sku, due) in due {
            let key = Key::Stock(sku);
            let moved = on_hand(self.after(&key)) - on_hand(self.watch.get(&key));
            if moved != due {
                let says = format!("it moved by {moved}; receipts and orders of the commit say {due}");
                self.find(Promise::NoOversell, format!("stock of {sku}"), says);
            }
        }
    }

    /// What of a slot is booked is what orders are.
    fn judge_bookings(&mut self) {
        let is_booked = |order: Option<&Order>| i64::from(order.is_some_and(|o| o.delivery == Some(Delivery::Booked)));
        let mut due: BTreeMap<SlotId, i64> = BTreeMap::new();
        for order in self.put::<Order>() {
            let times = is_booked(Some(order)) - is_booked(self.watch.get(&order.key()));
            *due.entry(order.slot()).or_default() += times;
        }
        for slot in self.put::<Slot>() {
            due.entry(slot.id).or_default();
        }
        let booked = |slot: Option<&Slot>| slot.map_or(0, |slot| i64::from(slot.booked));
        for (id, due) in due {
            let key = Key::Slot(id);
            let moved = booked(self.after(&key)) - booked(self.watch.get(&key));
            if moved != due {
                let says = format!("{moved} more are booked in it; {due} orders of the commit are");
                self.find(Promise::NoOversell, format!("slot {id}"), says);
            }
        }
    }

    fn judge_deposit(&mut self, deposit: &Deposit) {
        let entry = self.put::<Entry>().find(|entry| entry.cause == Cause::Deposit(deposit.id));
        let says = |entry: &Entry| (entry.customer, entry.number, entry.amount.minor(), entry.balance);
        let is = (deposit.customer, deposit.entry, deposit.amount.minor(), deposit.balance_after);
        if entry.map(says) != Some(is) {
            self.find(Promise::Conservation, format!("deposit {}", deposit.id), "its entry is not in the same commit");
        }
    }

    fn judge_order(&mut self, order: &Order, version: Version, events: &[Event]) {
        let subject = format!("order {}", order.id);
        let before = self.watch.get::<Order>(&order.key()).cloned();
        let charges: i128 = self
            .put::<Entry>()
            .filter(|e| e.cause == Cause::Order(order.id) || e.cause == Cause::Refund(order.id))
            .map(|e| i128::from(e.amount.minor()))
            .sum();
        let by_card = self.charged_by_card(&subject, order);
        let charges = if order.pay_with == PayWith::Balance { charges } else { by_card };
        let (was_charged, told_before, first) = match &before {
            None => (Amount::ZERO, &[][..], OrderState::before(&order.plan)),
            Some(before) => (before.charged, &before.timeline[..], before.state),
        };
        if let Some(before) = &before {
            if fixed(before) != fixed(order) {
                self.find(Promise::NothingLost, &subject, "what never changes of it changed");
            }
            if before.state.has_ended() {
                self.find(Promise::OneCharge, &subject, format!("it was {} and was changed", before.state.name()));
            }
        }
        if !can_become(first, order.state, &order.plan) {
            let says = format!("it was {} and is {}", first.name(), order.state.name());
            self.find(Promise::NothingLost, &subject, says);
        }
        if i128::from(order.charged.minor()) - i128::from(was_charged.minor()) != -charges {
            let says = format!("it held {was_charged} and holds {}; the entries moved {charges}", order.charged);
            self.find(Promise::OneCharge, &subject, says);
        }
        self.judge_held(&subject, order);
        self.judge_timeline(&subject, order, told_before.len(), version, events);
        if !order.timeline.starts_with(told_before) {
            self.find(Promise::NothingLost, &subject, "its timeline forgot something");
        }
        if first != order.state && order.timeline.len() == told_before.len() {
            self.find(Promise::OnceTold, &subject, format!("it became {} in silence", order.state.name()));
        }
        if order.state.has_ended() {
            if order.look_at.is_some() || order.parked.is_some() || order.waiting_for.is_some() {
                self.find(Promise::NothingLost, &subject, "it has ended and still waits");
            }
        } else if order.look_at.is_none() {
            self.find(Promise::NothingLost, &subject, "it has not ended and nobody will look at it");
        }
        self.judge_deadline(&subject, before.as_ref(), order);
        self.judge_parking(&subject, before.as_ref(), order);
        self.judge_ending(&subject, before.as_ref(), order);
        self.judge_ended(&subject, order);
    }

    /// What moved between an order and its payment: its amount, once each way, and not for one that is paid otherwise.
    fn charged_by_card(&mut self, subject: &str, order: &Order) -> i128 {
        let (taken, back) = (PaymentCause::Order(order.id), PaymentCause::OrderBack(order.id));
        let moved: Vec<PaymentEntry> =
            self.put::<PaymentEntry>().filter(|entry| entry.cause == taken || entry.cause == back).cloned().collect();
        for entry in &moved {
            let (sign, earlier) =
                if entry.cause == taken { (-1, &self.watch.charges) } else { (1, &self.watch.refunds) };
            let is_first = earlier.get(&order.id).is_none()
                && moved.iter().filter(|other| other.cause == entry.cause).count() == 1;
            let is_its_own = entry.payment == PaymentId::of_order(&order.id) && order.pay_with != PayWith::Balance;
            if i128::from(entry.amount.minor()) != sign * i128::from(order.amount.minor()) || !is_first || !is_its_own {
                let says = format!("its payment moved {} for it, once more or by another", entry.amount.minor());
                self.find(Promise::OneCharge, subject, says);
            }
        }
        moved.iter().map(|entry| i128::from(entry.amount.minor())).sum()
    }

    fn judge_held(&mut self, subject: &str, order: &Order) {
        let (held, due) = (Held::by(order), Held::due(order));
        if held.charged != due.charged {
            let says = format!("it is {} and holds {} instead of {}", order.state.name(), held.charged, due.charged);
            self.find(Promise::OneCharge, subject, says);
        }
        if (held.reserved, held.handed_over) != (due.reserved, due.handed_over) {
            self.find(Promise::NoOversell, subject, format!("it is {}, {held}", order.state.name()));
        }
        if let Some(says) = misstep(order) {
            self.find(Promise::NothingLost, subject, says);
        }
        if !order.lines.is_empty() && comes_to(&order.lines) != Some(order.amount) {
            self.find(Promise::OneCharge, subject, format!("it costs {}; its lines do not", order.amount));
        }
    }

    fn judge_timeline(&mut self, subject: &str, order: &Order, known: usize, version: Version, events: &[Event]) {
        let new = order.timeline.get(known..).unwrap_or_default();
        if events.len() != new.len() {
            let says = format!("it took {} steps and told {}", new.len(), events.len());
            self.find(Promise::OnceTold, subject, says);
        }
        for (index, (passage, event)) in (0_u32..).zip(new.iter().zip(events)) {
            let is_told = (passage.version, passage.index) == (version, index)
                && (passage.at, &passage.told) == (event.at, &event.told);
            if !is_told {
                let says = format!("its step {passage:?} was told as {event:?} of version {version}, place {index}");
                self.find(Promise::OnceTold, subject, says);
            }
        }
    }

    /// It is set when an order begins to wait at a step, for as long as it may, and stays where it is whatever becomes of
    /// the waiting. Only a slot's beginning ends it earlier.
    fn judge_deadline(&mut self, subject: &str, before: Option<&Order>, order: &Order) {
        let Some(waiting) = order.waiting_for else { return };
        let deadline = |waiting: WaitingFor| waiting.deadline.unwrap_or(waiting.until);
        let before = before.filter(|before| before.state == order.state);
        let (was, due) = match before.and_then(|before| before.waiting_for) {
            Some(before) => ("was", Some(deadline(before))),
            None => ("is to be", self.watch.wait.map(|wait| waiting.since.after(wait))),
        };
        if let Some(due) = due.filter(|due| *due != deadline(waiting)) {
            let says = format!("its deadline {was} {due} and is {}", deadline(waiting));
            self.find(Promise::NothingLost, subject, says);
        }
        if waiting.until != deadline(waiting) && order.state != OrderState::AwaitingDelivery {
            let says = format!("it waits until {}, and for no slot that begins then", waiting.until);
            self.find(Promise::NothingLost, subject, says);
        }
    }

    fn judge_parking(&mut self, subject: &str, before: Option<&Order>, order: &Order) {
        let left = before.and_then(|before| Some((before, before.parked?)));
        if let Some((before, resource)) = left.filter(|(_, resource)| order.parked != Some(*resource)) {
            let place = before.waiting_key(resource);
            if !self.actions.iter().any(|action| matches!(action, Action::Delete(key) if *key == place)) {
                self.find(Promise::NothingLost, subject, format!("it left {resource} and still stands there"));
            }
        }
        if let Some(resource) = order.parked.filter(|resource| !may_wait_for(order, *resource)) {
            self.find(Promise::NothingLost, subject, format!("it is {} and waits for {resource}", order.state.name()));
        }
        let Some((resource, _)) = waits_for(order) else { return };
        if before.and_then(waits_for).map(|(resource, _)| resource) != Some(resource) {
            if !self.holds(&resource.key()) {
                let says = format!("it was parked over {resource}, which may have changed meanwhile");
                self.find(Promise::NoIdling, subject, says);
            }
            self.judge_lacking(subject, order, resource);
        }
        if let (Resource::Slot(slot), Some(waiting)) = (resource, order.waiting_for)
            && self.after::<Slot>(&Key::Slot(slot)).and_then(Slot::closes_at).is_some_and(|at| waiting.until > at)
            && self.holds(&resource.key())
        {
            self.find(Promise::NothingLost, subject, "it waits for a slot beyond its beginning");
        }
    }

    /// Whether it lacks what it says. Those decided after it in the same commit may have left less; where they left more,
    /// whoever waits is told.
    fn judge_lacking(&mut self, subject: &str, order: &Order, resource: Resource) {
        let key = resource.key();
        if self.tells_of_more(&key) {
            return;
        }
        let known = self.watch.get::<Order>(&order.key()).map_or(0, |before| before.timeline.len());
        let at = order.timeline.last().map_or(order.placed_at, |passage| passage.at);
        let told = order.timeline[known.min(order.timeline.len())..].last().map(|passage| passage.told.clone());
        match resource {
            Resource::Account(_) => {
                let balance = |account: Option<&Account>| account.map_or(Amount::ZERO, |account| account.balance);
                let (most, least) = (balance(self.watch.get(&key)), balance(self.after(&key)));
                if least >= order.amount {
                    self.find(Promise::NoIdling, subject, format!("it lacks {} while {least} is there", order.amount));
                }
                if let Some(Told::OrderWaiting { lacks: Lack::Money { missing } }) = told {
                    let there = order.amount.checked_sub(missing);
                    if there.is_none_or(|there| there < least || there > most.max(least)) {
                        let says = format!("it says that {missing} is missing; between {least} and {most} is there");
                        self.find(Promise::NothingLost, subject, says);
                    }
                }
            }
            Resource::Stock(sku) => {
                let on_hand = |stock: Option<&Stock>| stock.map_or(0, |stock| stock.on_hand);
                let (most, least) = (on_hand(self.watch.get(&key)), on_hand(self.after(&key)));
                let wanted = order.lines.iter().find(|line| line.sku == sku).map_or(0, |line| line.quantity);
                if least >= wanted.into() {
                    self.find(
                        Promise::NoIdling,
                        subject,
                        format!("it lacks {wanted} of {sku} while {least} are there"),
                    );
                }
                if let Some(Told::OrderWaiting { lacks: Lack::Stock { sku: lacks, missing } }) = told
                    && lacks == sku
                {
                    let there = u64::from(wanted.saturating_sub(missing));
                    if there < least || there > most.max(least) {
                        let says = format!("it says that {missing} are missing; between {least} and {most} are there");
                        self.find(Promise::NothingLost, subject, says);
                    }
                }
            }
            Resource::Slot(id) => {
                if self.after::<Slot>(&key).is_some_and(|slot| slot.has_room(at)) {
                    self.find(Promise::NoIdling, subject, format!("it lacks room in {id} while there is some"));
                }
            }
        }
    }

    /// Whether whoever waits for a resource is told in this commit that there is more of it.
    fn tells_of_more(&self, key: &Key) -> bool {
        let is_more = |told: &Told| matches!(told, Told::MoneyAvailable | Told::StockAvailable | Told::SlotAvailable);
        self.events_of(key).iter().any(|event| is_more(&event.told))
    }

    fn events_of(&self, key: &Key) -> &[Event] {
        let of_key = self.actions.iter().find_map(|action| match action {
            Action::Put { item, events, .. } if item.key() == *key => Some(&events[..]),
            _ => None,
        });
        of_key.unwrap_or_default()
    }

    fn judge_ending(&mut self, subject: &str, before: Option<&Order>, order: &Order) {
        let told = order.timeline.last().map(|passage| (&passage.told, &passage.at));
        match (order.state, told) {
            (OrderState::Completed, Some((Told::OrderCompleted, at))) => self.judge_handing_over(subject, order, at),
            (OrderState::AwaitingPayment | OrderState::AwaitingStock | OrderState::AwaitingDelivery, _) => {}
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Unpaid }, _))) => {
                let account = [Resource::Account(order.customer)];
                self.judge_policy(subject, order, &account, order.if_unpaid == IfLacking::Cancel);
            }
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Unavailable }, _))) => {
                let goods: Vec<_> = order.lines.iter().map(|line| Resource::Stock(line.sku)).collect();
                self.judge_policy(subject, order, &goods, order.if_unavailable == IfLacking::Cancel);
            }
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Undeliverable }, at))) => {
                let slot = self.after::<Slot>(&Key::Slot(order.slot())).copied();
                let may = order.if_undeliverable == IfLacking::Cancel || slot.is_some_and(|slot| slot.has_begun(*at));
                self.judge_policy(subject, order, &[Resource::Slot(order.slot())], may);
            }
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Requested }, _))) => {}
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::NotCharged }, _))) => {
                self.judge_uncharged(subject, Key::Payment(PaymentId::of_order(&order.id)));
            }
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Deadline }, at))) => {
                let until: Option<Timestamp> =
                    before.and_then(|before| before.waiting_for).map(|waiting| waiting.until);
                if until.is_none_or(|until| until > *at) {
                    self.find(Promise::NothingLost, subject, format!("it was cancelled at {at}, before {until:?}"));
                }
            }
            (state, told) => {
                let says = format!("it is {} and the last that was told of it is {told:?}", state.name());
                self.find(Promise::OnceTold, subject, says);
            }
        }
    }

    /// An order that is not to wait ends over one of those that it may lack, as that was read, and does lack it.
    fn judge_policy(&mut self, subject: &str, order: &Order, lacks: &[Resource], is_policy: bool) {
        if !is_policy {
            self.find(Promise::NothingLost, subject, "it was to wait, and was cancelled");
        }
        let read: Vec<Resource> = lacks.iter().copied().filter(|resource| self.holds(&resource.key())).collect();
        if read.is_empty() {
            let says = format!("it was cancelled over {lacks:?}, which may have changed meanwhile");
            return self.find(Promise::NothingLost, subject, says);
        }
        // It is enough that it lacks one.
        let found = self.findings.len();
        for resource in read {
            let before = self.findings.len();
            self.judge_lacking(subject, order, resource);
            if self.findings.len() == before {
                self.findings.truncate(found);
                return;
            }
        }
    }

    /// A slot that has begun takes nobody, and a courier only whom it does not.
    fn judge_handing_over(&mut self, subject: &str, order: &Order, at: &Timestamp) {
        let key = Key::Slot(order.slot());
        let found = self.watch.get::<Slot>(&key).copied();
        match order.delivery {
            Some(Delivery::Booked) if found.is_none_or(|slot| slot.has_begun(*at)) => {
                self.find(Promise::NoOversell, subject, "it was booked in a slot that has begun, or is not there");
            }
            Some(Delivery::Accepted) if !self.holds(&key) || found.is_some_and(|slot| slot.has_room(*at)) => {
                self.find(Promise::NoIdling, subject, "a courier took it, and its slot has room or may have");
            }
            _ => {}
        }
    }

    fn judge_waiting(&mut self, waiting: &Waiting) {
        let order = self.after::<Order>(&Key::Order(waiting.order));
        let is_own = order.is_some_and(|order| {
            (order.customer, order.placed_at, order.skus(), order.slot)
                == (waiting.customer, waiting.placed_at, waiting.skus.clone(), waiting.slot)
        });
        if !is_own {
            self.find(Promise::EveryoneTheirOwn, format!("order {}", waiting.order), "another waits in its place");
        }
    }

    fn judge_notification(&mut self, notification: &Notification) {
        let subject = format!("order {}", notification.order);
        let event = notification.event;
        if let Some(earlier) = self.watch.told.get(&event) {
            self.find(Promise::OnceTold, &subject, format!("{event} was told before, under {earlier:?}"));
        }
        let Some(order) = self.watch.get::<Order>(&Key::Order(notification.order)).cloned() else {
            return self.find(Promise::OnceTold, &subject, format!("{event} was told, and it is not there"));
        };
        if order.customer != notification.customer {
            self.find(Promise::EveryoneTheirOwn, &subject, format!("{event} was told to another"));
        }
        let Some(passage) = order.timeline.iter().find(|passage| passage.event(&order.id) == event) else {
            return self.find(Promise::OnceTold, &subject, format!("{event} was told and did not happen"));
        };
        let words = notices::words(&order, &passage.told).map(|(transition, text)| (transition.to_owned(), text));
        let is = Some((notification.transition.clone(), notification.text.clone()));
        if words != is || passage.at != notification.at {
            self.find(Promise::OnceTold, &subject, format!("{event} was told as {is:?}, not {words:?}"));
        }
    }
}

/// What is decided once, when an order is placed.
fn fixed(order: &Order) -> Order {
    Order {
        state: OrderState::before(&order.plan),
        charged: Amount::ZERO,
        reserved: false,
        delivery: None,
        waiting_for: None,
        parked: None,
        stalls: 0,
        look_at: None,
        timeline: Vec::new(),
        ..order.clone()
    }
}

/// Whether moves lead from one state to the other.
fn can_become(from: OrderState, to: OrderState, plan: &[Step]) -> bool {
    const MOVES: [Move; 6] = [Move::Pay, Move::Reserve, Move::HandOver, Move::Park, Move::Stall, Move::Cancel];
    let mut reached = vec![from];
    let mut looked_at = 0;
    while let Some(state) = reached.get(looked_at).copied() {
        looked_at += 1;
        for next in MOVES.into_iter().filter_map(|made| state.after(made, plan).ok()) {
            if !reached.contains(&next) {
                reached.push(next);
            }
        }
    }
    reached.contains(&to)
}

fn tells(events: &[Event], told: &Told) -> bool {
    events.iter().any(|event| event.told == *told)
}

fn finding(promise: Promise, subject: impl fmt::Display, says: impl Into<String>) -> Finding {
    Finding { promise, subject: subject.to_string(), says: says.into() }
}
