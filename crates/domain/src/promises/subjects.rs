//! Orders and deposits, each with everything that is kept about it, wherever that stands: what its own word is held
//! against.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::held::{Held, Supply, comes_to, idles, may_wait_for, misstep, waits_for};
use super::{Finding, Promise};
use crate::accounts::{Cause, Deposit, Entry};
use crate::books::{Item, Key, Version};
use crate::events::{EventId, Told};
use crate::ids::{CustomerId, DepositId, OrderId, PaymentId};
use crate::notices;
use crate::orders::{Order, PayWith, Resource, Waiting};
use crate::payments::{PaymentCause, PaymentEntry};
use crate::{Currency, Timestamp};

/// Far more than a sound order ever has. What is beyond is counted and not held, so that one thing gone wild cannot
/// fill the memory.
const MOST_OF_ONE: usize = 1_000;

/// What things that stand in different places are kept about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    Order(OrderId),
    Deposit(DepositId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(id) => write!(f, "order {id}"),
            Self::Deposit(id) => write!(f, "deposit {id}"),
        }
    }
}

impl Subject {
    /// Which one an item is kept about.
    pub const fn of(item: &Item) -> Option<Self> {
        match item {
            Item::Entry(Entry { cause: Cause::Order(id) | Cause::Refund(id), .. }) => Some(Self::Order(*id)),
            Item::PaymentEntry(PaymentEntry { cause, .. }) => match cause {
                PaymentCause::Order(id) | PaymentCause::OrderBack(id) => Some(Self::Order(*id)),
                PaymentCause::Capture
                | PaymentCause::Elsewhere
                | PaymentCause::SetAside(_)
                | PaymentCause::GivenBack(_)
                | PaymentCause::Kept(_) => None,
            },
            Item::Entry(Entry { cause: Cause::Deposit(id), .. }) => Some(Self::Deposit(*id)),
            Item::Deposit(deposit) => Some(Self::Deposit(deposit.id)),
            Item::Order(order) => Some(Self::Order(order.id)),
            Item::Waiting(waiting) => Some(Self::Order(waiting.order)),
            Item::Notification(notification) => Some(Self::Order(notification.order)),
            Item::Account(_)
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
            | Item::Payment(_)
            | Item::Refund(_)
            | Item::Stub(_)
            | Item::Callback(_)
            | Item::Breaker(_) => None,
        }
    }

    pub const fn key(&self) -> Key {
        match self {
            Self::Order(id) => Key::Order(*id),
            Self::Deposit(id) => Key::Deposit(*id),
        }
    }
}

/// Up to when what happened counts. Over a table that goes on while it is read, what is younger may be seen in one place
/// and not yet in the other; what is older stands everywhere and never changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until(pub Option<Timestamp>);

impl Until {
    pub fn counts(self, at: Timestamp) -> bool {
        self.0.is_none_or(|until| at <= until)
    }

    /// What the order says was taken for it. The taking happened when it told so.
    pub(super) fn taken(self, order: &Order) -> i128 {
        let is_payment = |told: &Told| matches!(told, Told::OrderPaid { .. } | Told::OrderPaidByCard);
        let paid = order.timeline.iter().find(|passage| is_payment(&passage.told));
        let taken = if refund_of(order).is_some() { order.amount } else { order.charged };
        if paid.is_none_or(|paid| self.counts(paid.at)) { i128::from(taken.minor()) } else { 0 }
    }

    /// What it says was given back.
    pub(super) fn given_back(self, order: &Order) -> i128 {
        let counts = refund_of(order).is_some_and(|at| self.counts(at));
        if counts { i128::from(order.amount.minor()) } else { 0 }
    }
}

fn refund_of(order: &Order) -> Option<Timestamp> {
    let is_refund = |told: &Told| matches!(told, Told::OrderRefunded { .. } | Told::OrderRefundedToCard);
    let refunded = order.timeline.iter().find(|passage| is_refund(&passage.told));
    refunded.map(|passage| passage.at)
}

#[derive(Debug)]
struct Charge {
    customer: CustomerId,
    number: u64,
    /// By which payment, if it was by card.
    payment: Option<PaymentId>,
    currency: Currency,
    is_refund: bool,
    moved: i128,
}

#[derive(Debug)]
struct Heard {
    customer: CustomerId,
    at: Timestamp,
    event: EventId,
}

#[derive(Debug, Default)]
struct OrderTally {
    order: Option<(Order, Version)>,
    charges: Vec<Charge>,
    waiting: Vec<Waiting>,
    told: Vec<Heard>,
    beyond: u64,
}

#[derive(Debug, Default)]
struct DepositTally {
    deposit: Option<Deposit>,
    entries: Vec<Entry>,
    beyond: u64,
}

/// Some orders and deposits, or all of them.
#[derive(Debug, Default)]
pub struct Subjects {
    until: Until,
    orders: BTreeMap<OrderId, OrderTally>,
    deposits: BTreeMap<DepositId, DepositTally>,
    held: usize,
}

impl Subjects {
    pub fn new(until: Until) -> Self {
        Self { until, ..Self::default() }
    }

    /// How many items it holds in memory.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Takes what is kept about an order or a deposit. Each item once, in any order.
    pub fn see(&mut self, item: Item, version: Version) {
        let until = self.until;
        let mut held = 1;
        match item {
            Item::Entry(entry) if until.counts(entry.at) => match entry.cause {
                Cause::Deposit(id) => {
                    let tally = self.deposits.entry(id).or_default();
                    held = keep(&mut tally.entries, &mut tally.beyond, entry);
                }
                Cause::Order(id) | Cause::Refund(id) => {
                    let tally = self.orders.entry(id).or_default();
                    let Entry { customer, number, currency, amount, .. } = entry;
                    let is_refund = matches!(entry.cause, Cause::Refund(_));
                    let moved = i128::from(amount.minor());
                    let charge = Charge { customer, number, payment: None, currency, is_refund, moved };
                    held = keep(&mut tally.charges, &mut tally.beyond, charge);
                }
            },
            Item::PaymentEntry(entry) if until.counts(entry.at) => match entry.cause {
                PaymentCause::Order(id) | PaymentCause::OrderBack(id) => {
                    let tally = self.orders.entry(id).or_default();
                    let PaymentEntry { payment, customer, number, currency, amount, .. } = entry;
                    let is_refund = matches!(entry.cause, PaymentCause::OrderBack(_));
                    let moved = i128::from(amount.minor());
                    let charge = Charge { customer, number, payment: Some(payment), currency, is_refund, moved };
                    held = keep(&mut tally.charges, &mut tally.beyond, charge);
                }
                PaymentCause::Capture
                | PaymentCause::Elsewhere
                | PaymentCause::SetAside(_)
                | PaymentCause::GivenBack(_)
                | PaymentCause::Kept(_) => held = 0,
            },
            Item::Deposit(deposit) if until.counts(deposit.created_at) => {
                let tally = self.deposits.entry(deposit.id).or_default();
                tally.deposit = Some(deposit);
            }
            Item::Order(order) => {
                let tally = self.orders.entry(order.id).or_default();
                tally.order = Some((order, version));
            }
            Item::Waiting(waiting) => {
                let tally = self.orders.entry(waiting.order).or_default();
                held = keep(&mut tally.waiting, &mut tally.beyond, waiting);
            }
            Item::Notification(notification) if until.counts(notification.at) => {
                let tally = self.orders.entry(notification.order).or_default();
                let heard = Heard { customer: notification.customer, at: notification.at, event: notification.event };
                held = keep(&mut tally.told, &mut tally.beyond, heard);
            }
            _ => held = 0,
        }
        self.held += held;
    }

    /// What is waited for.
    pub fn awaited(&self) -> BTreeSet<Resource> {
        let orders = self.orders.values().filter_map(|tally| tally.order.as_ref());
        orders.filter_map(|(order, _)| waits_for(order).map(|(resource, _)| resource)).collect()
    }

    /// Where everything stands that was seen of one, and everything that it says there is.
    pub fn keys(&self, subject: &Subject) -> BTreeSet<Key> {
        let mut keys = BTreeSet::from([subject.key()]);
        match subject {
            Subject::Order(id) => {
                let Some(tally) = self.orders.get(id) else { return keys };
                keys.extend(tally.charges.iter().map(|charge| match charge.payment {
                    None => Key::Entry(charge.customer, charge.number),
                    Some(payment) => Key::PaymentEntry(payment, charge.number),
                }));
                keys.extend(tally.told.iter().map(|told| Key::Notification(told.customer, told.at, told.event)));
                let place = |waiting: &Waiting| Key::Waiting(waiting.resource, waiting.placed_at, waiting.order);
                keys.extend(tally.waiting.iter().map(place));
                let Some((order, _)) = &tally.order else { return keys };
                keys.extend(order.parked.map(|resource| order.waiting_key(resource)));
                let told = |passage: &crate::orders::Passage| {
                    Key::Notification(order.customer, passage.at, passage.event(&order.id))
                };
                keys.extend(order.timeline.iter().map(told));
            }
            Subject::Deposit(id) => {
                let Some(tally) = self.deposits.get(id) else { return keys };
                keys.extend(tally.entries.iter().map(|entry| Key::Entry(entry.customer, entry.number)));
                keys.extend(tally.deposit.iter().map(|deposit| Key::Entry(deposit.customer, deposit.entry)));
            }
        }
        keys
    }

    /// Judges each. What is younger than `settled` may still be on its way.
    pub fn judge(
        &self,
        supply: impl Fn(&Resource) -> Option<Supply>,
        settled: Timestamp,
    ) -> BTreeMap<Subject, Vec<Finding>> {
        let mut found = BTreeMap::new();
        for (id, tally) in &self.deposits {
            let mut judge = Judge::of(Subject::Deposit(*id));
            judge.deposit(tally);
            judge.more(tally.beyond);
            found.extend(judge.found());
        }
        for (id, tally) in &self.orders {
            let mut judge = Judge::of(Subject::Order(*id));
            judge.order(tally, self.until, settled, &supply);
            judge.more(tally.beyond);
            found.extend(judge.found());
        }
        found
    }
}

fn keep<T>(into: &mut Vec<T>, beyond: &mut u64, one: T) -> usize {
    if into.len() < MOST_OF_ONE {
        into.push(one);
        return 1;
    }
    *beyond += 1;
    0
}

/// Whether something is wrong with an order that shows by looking at it alone, at any time.
pub(super) fn is_wrong_alone(order: &Order, version: Version) -> bool {
    let mut judge = Judge::of(Subject::Order(order.id));
    judge.alone(order, version);
    !judge.findings.is_empty()
}

struct Judge {
    subject: Subject,
    findings: Vec<Finding>,
}

impl Judge {
    const fn of(subject: Subject) -> Self {
        Self { subject, findings: Vec::new() }
    }

    fn found(self) -> Option<(Subject, Vec<Finding>)> {
        (!self.findings.is_empty()).then_some((self.subject, self.findings))
    }

    fn find(&mut self, promise: Promise, says: impl Into<String>) {
        self.findings.push(Finding { promise, subject: self.subject.to_string(), says: says.into() });
    }

    fn more(&mut self, beyond: u64) {
        if beyond > 0 {
            let says = format!("far more is kept about it than happened; {beyond} items were not looked at");
            self.find(Promise::NothingLost, says);
        }
    }

    fn deposit(&mut self, tally: &DepositTally) {
        let says = match (&tally.deposit, &tally.entries[..]) {
            (None, _) => "there is an entry for it, but no deposit".to_owned(),
            (Some(deposit), [entry]) if is_entry_of(entry, deposit) => return,
            (Some(_), [_]) => "its entry says something else than it does".to_owned(),
            (Some(_), entries) => format!("it made {} entries instead of one", entries.len()),
        };
        self.find(Promise::Conservation, says);
    }

    fn order(
        &mut self,
        tally: &OrderTally,
        until: Until,
        settled: Timestamp,
        supply: impl Fn(&Resource) -> Option<Supply>,
    ) {
        let Some((order, version)) = &tally.order else {
            return self.find(Promise::NothingLost, "it was charged, waits or was told of, and is not there");
        };
        self.alone(order, *version);
        self.charge(order, tally, until);
        self.way(order, tally, settled, supply);
        self.told(order, tally, until, settled);
        if tally.charges.iter().any(|charge| charge.customer != order.customer) {
            self.find(Promise::EveryoneTheirOwn, "another's account paid for it");
        }
        let due = match order.pay_with {
            PayWith::Balance => None,
            PayWith::Card(_) => Some(PaymentId::of_order(&order.id)),
        };
        if tally.charges.iter().any(|charge| charge.payment != due) {
            self.find(Promise::OneCharge, "it was paid with something else than it was to be");
        }
        if tally.charges.iter().any(|charge| charge.currency != order.currency) {
            self.find(Promise::Conservation, "it was paid in another currency");
        }
        if tally.told.iter().any(|told| told.customer != order.customer)
            || tally.waiting.iter().any(|waiting| waiting.customer != order.customer)
        {
            self.find(Promise::EveryoneTheirOwn, "another was told of it, or waits in its place");
        }
    }

    /// What shows without looking at anything else, and at no time is right.
    fn alone(&mut self, order: &Order, version: Version) {
        if order.timeline.iter().any(|passage| passage.version > version) {
            self.find(Promise::NothingLost, "its timeline names a version that is yet to come");
        }
        let (held, due) = (Held::by(order), Held::due(order));
        if held.charged != due.charged {
            let (charged, owed) = (held.charged.minor(), due.charged.minor());
            let says = format!("it is {} and holds {charged} instead of {owed} minor units", order.state.name());
            self.find(Promise::OneCharge, says);
        }
        if (held.reserved, held.handed_over) != (due.reserved, due.handed_over) {
            self.find(Promise::NoOversell, format!("it is {}, {held}", order.state.name()));
        }
        if let Some(says) = misstep(order) {
            self.find(Promise::NothingLost, says);
        }
        if !order.lines.is_empty() && comes_to(&order.lines) != Some(order.amount) {
            self.find(Promise::OneCharge, format!("it costs {}; its lines come to something else", order.amount));
        }
        if let Some(resource) = order.parked.filter(|resource| !may_wait_for(order, *resource)) {
            self.find(Promise::NothingLost, format!("it is {} and waits for {resource}", order.state.name()));
        }
        if !order.state.has_ended() {
            if order.look_at.is_none() {
                self.find(Promise::NothingLost, "it has not ended and nobody will look at it");
            }
        } else if order.look_at.is_some() || order.parked.is_some() || order.waiting_for.is_some() {
            self.find(Promise::NothingLost, "it has ended and still waits");
        }
    }

    fn charge(&mut self, order: &Order, tally: &OrderTally, until: Until) {
        let charged = until.taken(order) - until.given_back(order);
        let times = tally.charges.iter().filter(|charge| charge.moved < 0).count();
        if times > 1 {
            self.find(Promise::OneCharge, format!("it was charged {times} times"));
        }
        if tally.charges.iter().any(|charge| charge.is_refund == (charge.moved < 0)) {
            self.find(Promise::OneCharge, "a charge of it gives back, or a refund takes");
        }
        let back = tally.charges.iter().filter(|charge| charge.moved >= 0).count();
        if back > 1 {
            self.find(Promise::OneCharge, format!("it was refunded {back} times"));
        }
        let net: i128 = tally.charges.iter().map(|charge| -charge.moved).sum();
        if net != charged {
            let says = format!("it says that {charged} was charged; the entries say {net} (minor units)");
            self.find(Promise::Conservation, says);
        }
    }

    fn way(
        &mut self,
        order: &Order,
        tally: &OrderTally,
        settled: Timestamp,
        supply: impl Fn(&Resource) -> Option<Supply>,
    ) {
        let parked: Vec<Resource> = tally.waiting.iter().map(|waiting| waiting.resource).collect();
        if parked != Vec::from_iter(order.parked) {
            let says = format!("it says it waits under {:?}; it stands under {parked:?}", order.parked);
            self.find(Promise::NothingLost, says);
        }
        if order.state.has_ended() {
            return;
        }
        if let Some(due) = order.look_at.filter(|due| *due < settled) {
            self.find(Promise::NothingLost, format!("it was to be looked at by {due}"));
        }
        if let Some(says) = idles(order, supply, |at| at < settled, settled) {
            self.find(Promise::NoIdling, says);
        }
    }

    fn told(&mut self, order: &Order, tally: &OrderTally, until: Until, settled: Timestamp) {
        let mut told: BTreeMap<EventId, usize> = BTreeMap::new();
        for heard in &tally.told {
            *told.entry(heard.event).or_default() += 1;
        }
        for passage in &order.timeline {
            let event = passage.event(&order.id);
            let times = told.remove(&event).unwrap_or(0);
            if times > 1 {
                self.find(Promise::OnceTold, format!("{event} was told {times} times"));
            }
            let is_due = passage.at < settled && until.counts(passage.at);
            if times == 0 && is_due && notices::is_told(&passage.told) {
                self.find(Promise::OnceTold, format!("{event} of {} was not told", passage.at));
            }
        }
        for event in told.into_keys() {
            self.find(Promise::OnceTold, format!("{event} was told and is not on its timeline"));
        }
    }
}

fn is_entry_of(entry: &Entry, deposit: &Deposit) -> bool {
    (entry.customer, entry.number, entry.amount.minor(), entry.currency, entry.balance)
        == (deposit.customer, deposit.entry, deposit.amount.minor(), deposit.currency, deposit.balance_after)
}
