//! The promises, judged commit by commit: whoever sees every write in the order in which it was applied need not wait
//! for the end to say which one broke what.
//!
//! A [`Watch`] keeps what it has seen and judges each step against it. An [`super::Audit`] sees what is there; this one
//! also sees how it came there: what was overwritten, what changed that never changes, what was told without its
//! change. It reads no table.

use std::collections::BTreeMap;
use std::fmt;

use super::{Finding, Promise};
use crate::accounts::{Account, Cause, Deposit, Entry, SystemAccount};
use crate::books::{Change, Item, Kept, Key, Version};
use crate::events::{Event, EventId, Told};
use crate::ids::OrderId;
use crate::messages::Notification;
use crate::notices;
use crate::orders::{CancelReason, Lack, Move, Order, OrderState, Step, Waiting, What};
use crate::{Amount, Millis, Timestamp};

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
    fn key(&self) -> Key {
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
    /// How long an order may wait, if that is known.
    wait: Option<Millis>,
    /// In minor units: what all customers hold, what came in, what orders were paid with.
    held: i128,
    deposited: i128,
    revenue: i128,
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
                self.held += i128::from(account.balance.minor()) - i128::from(before.minor());
            }
            Item::Entry(entry) => {
                let moved = i128::from(entry.amount.minor());
                match entry.counter {
                    SystemAccount::Deposits => self.deposited += moved,
                    SystemAccount::Revenue => self.revenue -= moved,
                }
                if let Cause::Order(order) = entry.cause {
                    *self.charges.entry(order).or_default() += u32::from(moved < 0);
                }
            }
            Item::Notification(notification) => {
                self.told.insert(notification.event, notification.key());
            }
            Item::Deposit(_) | Item::Order(_) | Item::Waiting(_) | Item::Unreadable(_) => {}
        }
    }

    fn judge_sum(&self, findings: &mut Vec<Finding>) {
        let Self { held, deposited, revenue, .. } = self;
        if held + revenue - deposited != 0 {
            let says = format!("customers hold {held} and {revenue} was paid, but {deposited} came in (minor units)");
            findings.push(finding(Promise::Conservation, "all accounts", says));
        }
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
        let never_changes =
            matches!(item, Item::Entry(_) | Item::Deposit(_) | Item::Notification(_) | Item::Unreadable(_));
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
            Item::Unreadable(_) => {}
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
            Cause::Order(id) => {
                let Some(order) = self.put::<Order>().find(|order| order.id == id).cloned() else {
                    return self.find(Promise::OneCharge, &subject, format!("it came without its order {id}"));
                };
                if order.customer != entry.customer {
                    self.find(Promise::EveryoneTheirOwn, &subject, format!("it paid for order {id} of another"));
                }
                if i128::from(entry.amount.minor()) != -i128::from(order.amount.minor()) {
                    let says = format!("it moved {} for an order of {}", entry.amount.minor(), order.amount.minor());
                    self.find(Promise::OneCharge, &subject, says);
                }
                let earlier = self.watch.charges.get(&id).copied().unwrap_or_default();
                if earlier > 0 {
                    self.find(Promise::OneCharge, &subject, format!("order {id} was charged before"));
                }
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
            .filter(|e| e.cause == Cause::Order(order.id))
            .map(|e| i128::from(e.amount.minor()))
            .sum();
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
        let owed = if order.state == OrderState::Completed { order.amount } else { Amount::ZERO };
        if order.charged != owed {
            let says = format!("it is {} and holds {} instead of {owed}", order.state.name(), order.charged);
            self.find(Promise::OneCharge, &subject, says);
        }
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

    /// It is set when an order begins to wait, for as long as it may, and stays where it is whatever becomes of the
    /// waiting.
    fn judge_deadline(&mut self, subject: &str, before: Option<&Order>, order: &Order) {
        let Some(waiting) = order.waiting_for else { return };
        let (was, due) = match before.and_then(|before| before.waiting_for) {
            Some(before) => ("was", Some(before.until)),
            None => ("is to be", self.watch.wait.map(|wait| waiting.since.after(wait))),
        };
        if let Some(due) = due.filter(|due| *due != waiting.until) {
            let says = format!("its deadline {was} {due} and is {}", waiting.until);
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
        let (Some(resource), Some(waiting)) = (order.parked, order.waiting_for) else { return };
        let news = before.and_then(|before| before.parked) != Some(resource)
            || before.and_then(|before| before.waiting_for).map(|waiting| waiting.what) != Some(waiting.what);
        if waiting.what == What::Money && news {
            if !self.holds(&resource.key()) {
                self.find(Promise::NoIdling, subject, "it was parked over an account that may have changed meanwhile");
            }
            self.judge_lacking(subject, order);
        }
    }

    /// Whether it lacks what it says. Those decided after it in the same commit may have left less, never more.
    fn judge_lacking(&mut self, subject: &str, order: &Order) {
        let key = Key::Account(order.customer);
        let balance = |account: Option<&Account>| account.map_or(Amount::ZERO, |account| account.balance);
        let (most, least) = (balance(self.watch.get(&key)), balance(self.after(&key)));
        if least >= order.amount {
            self.find(Promise::NoIdling, subject, format!("it lacks {} while {least} is there", order.amount));
        }
        let told = order.timeline.last().map(|passage| &passage.told);
        if let Some(Told::OrderWaiting { lacks: Lack::Money { missing } }) = told {
            let there = order.amount.checked_sub(*missing);
            if there.is_none_or(|there| there < least || there > most.max(least)) {
                let says = format!("it says that {missing} is missing; between {least} and {most} is there");
                self.find(Promise::NothingLost, subject, says);
            }
        }
    }

    fn judge_ending(&mut self, subject: &str, before: Option<&Order>, order: &Order) {
        let told = order.timeline.last().map(|passage| (&passage.told, passage.at));
        match (order.state, told) {
            (OrderState::Completed, Some((Told::OrderCompleted, _))) | (OrderState::AwaitingPayment, _) => {}
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Unpaid }, _))) => {
                if !self.holds(&Key::Account(order.customer)) {
                    let says = "it was cancelled over an account that may have changed meanwhile";
                    self.find(Promise::NothingLost, subject, says);
                }
                self.judge_lacking(subject, order);
            }
            (OrderState::Cancelled, Some((Told::OrderCancelled { reason: CancelReason::Deadline }, at))) => {
                let until: Option<Timestamp> =
                    before.and_then(|before| before.waiting_for).map(|waiting| waiting.until);
                if until.is_none_or(|until| until > at) {
                    self.find(Promise::NothingLost, subject, format!("it was cancelled at {at}, before {until:?}"));
                }
            }
            (state, told) => {
                let says = format!("it is {} and the last that was told of it is {told:?}", state.name());
                self.find(Promise::OnceTold, subject, says);
            }
        }
    }

    fn judge_waiting(&mut self, waiting: &Waiting) {
        let order = self.after::<Order>(&Key::Order(waiting.order));
        let is_own =
            order.is_some_and(|order| (order.customer, order.placed_at) == (waiting.customer, waiting.placed_at));
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
    const MOVES: [Move; 4] = [Move::Pay, Move::Park, Move::Stall, Move::Cancel];
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

fn finding(promise: Promise, subject: impl fmt::Display, says: impl Into<String>) -> Finding {
    Finding { promise, subject: subject.to_string(), says: says.into() }
}
