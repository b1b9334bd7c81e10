//! The promises, as checks over what is kept. `verify` and the simulator judge by this same code.
//!
//! An [`Audit`] is shown every item once, in any order but that the items of one account come as they are sorted: the
//! account, then its entries. It holds all of it and says in the end where it disagrees. Where there is more than fits
//! into memory, its parts do the same in pieces: an [`AccountRun`] judges one account as it goes by, a [`Sketch`] tells
//! which orders and deposits are suspect, and [`Subjects`] judges just those; a [`PaymentRun`] judges a payment with what is
//! kept about it; [`Shelves`] sum up stock and slots. A [`watch::Watch`] judges each commit as it comes. Nothing here reads a table or mends anything.

mod account;
mod deliveries;
mod goods;
mod held;
mod payments;
mod sketch;
mod subjects;
pub mod watch;

use std::collections::BTreeMap;
use std::fmt;

pub use account::{AccountRun, Funds, Totals};
pub use deliveries::{Late, judge_delivery};
pub use goods::Shelves;
pub use held::{Supply, idles};
pub use payments::{LatePayments, PaymentRun, Tills, judge_payment_late, judge_payment_of_cancelled, judge_stub};
pub use sketch::{BUCKETS_BITS, Sketch, Suspects};
pub use subjects::{Subject, Subjects, Until};

use crate::books::{Item, Version};
use crate::ids::CustomerId;
use crate::orders::{OrderState, Resource, What};
use crate::payments::{PaymentState, RefundState};
use crate::{Currency, Millis, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    OneCharge,
    Conservation,
    NothingLost,
    OnceTold,
    NoOversell,
    NoIdling,
    EveryoneTheirOwn,
}

impl Promise {
    pub const ALL: [Self; 7] = [
        Self::OneCharge,
        Self::Conservation,
        Self::NothingLost,
        Self::OnceTold,
        Self::NoOversell,
        Self::NoIdling,
        Self::EveryoneTheirOwn,
    ];

    pub const fn code(self) -> &'static str {
        match self {
            Self::OneCharge => "one_charge",
            Self::Conservation => "conservation",
            Self::NothingLost => "nothing_lost",
            Self::OnceTold => "once_told",
            Self::NoOversell => "no_oversell",
            Self::NoIdling => "no_idling",
            Self::EveryoneTheirOwn => "everyone_their_own",
        }
    }

    pub const fn says(self) -> &'static str {
        match self {
            Self::OneCharge => "an order is charged at most once, and what is cancelled is given back",
            Self::Conservation => "balances are the sum of their numbered entries, and all accounts sum to zero",
            Self::NothingLost => "every order has ended or has a time at which someone looks at it next",
            Self::OnceTold => "each transition is told to its customer once",
            Self::NoOversell => "no stock is held twice, and no slot is booked past its capacity",
            Self::NoIdling => "nobody waits for what is there",
            Self::EveryoneTheirOwn => "nothing moves or tells what is another's",
        }
    }
}

/// A promise that does not hold, of what, and how that shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub promise: Promise,
    pub subject: String,
    pub says: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.promise.code(), self.subject, self.says)
    }
}

/// What was seen and what was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// There was more to find than anybody would read.
    pub is_cut: bool,
    pub accounts: usize,
    pub entries: u64,
    pub orders: BTreeMap<OrderState, usize>,
    pub waiting: usize,
    pub stalled: usize,
    pub deposits: usize,
    pub notifications: usize,
    pub products: usize,
    pub receipts: usize,
    pub slots: usize,
    pub profiles: usize,
    pub endpoints: usize,
    pub deliveries: usize,
    /// Deliveries that are not over.
    pub undelivered: usize,
    pub payments: BTreeMap<PaymentState, usize>,
    pub refunds: BTreeMap<RefundState, usize>,
    /// Reports of a gateway on what is not there.
    pub orphans: usize,
    /// Messages that nobody could read. Nothing is lost with them, but a person should look.
    pub unreadable: usize,
    /// In minor units: what all customers hold, what came in, what orders were paid with.
    pub held: i128,
    pub deposited: i128,
    pub revenue: i128,
    /// What stands on payments, which is owed to customers; what gateways took and have not given back; what came in as
    /// an operator says.
    pub owed: i128,
    pub gateway: i128,
    pub confirmed: i128,
    /// The first that was seen; a stack has one.
    pub currency: Option<Currency>,
    /// The newest moment that anything seen bears: the time of a state that stands still.
    pub newest: Option<Timestamp>,
}

impl Report {
    /// Counts an item. What accounts come to is counted by account.
    pub fn count(&mut self, item: &Item) {
        let (at, currency) = match item {
            Item::Account(account) => (Some(account.opened_at), Some(account.currency)),
            Item::Entry(entry) => (Some(entry.at), Some(entry.currency)),
            Item::Deposit(deposit) => {
                self.deposits += 1;
                (Some(deposit.created_at), Some(deposit.currency))
            }
            Item::Order(order) => {
                *self.orders.entry(order.state).or_default() += 1;
                match order.waiting_for.map(|waiting| waiting.what) {
                    Some(What::Stalled) => self.stalled += 1,
                    Some(What::Money | What::Stock | What::Delivery | What::Card) => self.waiting += 1,
                    None => {}
                }
                (order.timeline.last().map(|passage| passage.at), Some(order.currency))
            }
            Item::Notification(_) => {
                self.notifications += 1;
                (None, None)
            }
            Item::Unreadable(_) => {
                self.unreadable += 1;
                (None, None)
            }
            Item::Product(product) => {
                self.products += 1;
                (None, Some(product.currency))
            }
            Item::Stock(stock) => (Some(stock.changed_at), None),
            Item::Receipt(receipt) => {
                self.receipts += 1;
                (Some(receipt.created_at), None)
            }
            Item::Slot(slot) => {
                self.slots += 1;
                (Some(slot.changed_at), None)
            }
            Item::Profile(profile) => {
                self.profiles += 1;
                (Some(profile.created_at), None)
            }
            Item::Endpoint(endpoint) => {
                self.endpoints += usize::from(endpoint.target.is_some());
                (Some(endpoint.changed_at), None)
            }
            Item::Delivery(delivery) => {
                self.deliveries += 1;
                self.undelivered += usize::from(!delivery.state.is_over());
                (Some(delivery.created_at), None)
            }
            Item::Payment(payment) => {
                *self.payments.entry(payment.state).or_default() += 1;
                (payment.timeline.last().map(|passage| passage.at), Some(payment.currency))
            }
            Item::PaymentEntry(entry) => (Some(entry.at), Some(entry.currency)),
            Item::Refund(refund) => {
                *self.refunds.entry(refund.state).or_default() += 1;
                (Some(refund.created_at), Some(refund.currency))
            }
            Item::Stub(stub) => {
                self.orphans += usize::from(stub.is_orphan);
                (Some(stub.since), None)
            }
            Item::Callback(callback) => (Some(callback.at), None),
            Item::Breaker(breaker) => (Some(breaker.changed_at), None),
            Item::Waiting(_) | Item::ListedSlot(_) | Item::Attempts(_) => (None, None),
        };
        self.newest = self.newest.max(at);
        self.currency = self.currency.or(currency);
    }

    pub fn sum(&mut self, totals: &Totals) {
        let Totals { accounts, entries, held, deposited, revenue, owed, gateway, confirmed } = *totals;
        (self.accounts, self.entries) = (accounts, entries);
        (self.held, self.deposited, self.revenue) = (held, deposited, revenue);
        (self.owed, self.gateway, self.confirmed) = (owed, gateway, confirmed);
        self.findings.extend(totals.judge());
    }
}

/// The whole, held in memory.
#[derive(Debug, Default)]
pub struct Audit {
    report: Report,
    accounts: BTreeMap<CustomerId, AccountRun>,
    subjects: Subjects,
    shelves: Shelves,
    posted: deliveries::Posted,
    tills: Tills,
    /// What may be waited for, but accounts.
    supplies: BTreeMap<Resource, Supply>,
}

impl Audit {
    pub fn see(&mut self, item: Item, version: Version) {
        self.report.count(&item);
        self.shelves.see(&item);
        self.posted.see(&item);
        self.tills.see(&item);
        match item {
            Item::Stock(stock) => _ = self.supplies.insert(Resource::Stock(stock.sku), Supply::Stock(stock)),
            Item::Slot(slot) => _ = self.supplies.insert(Resource::Slot(slot.id), Supply::Slot(slot)),
            Item::Account(account) => self.account(account.customer).see_account(account),
            Item::Entry(entry) => {
                self.account(entry.customer).see_entry(&entry);
                self.subjects.see(Item::Entry(entry), version);
            }
            item => self.subjects.see(item, version),
        }
    }

    fn account(&mut self, customer: CustomerId) -> &mut AccountRun {
        self.accounts.entry(customer).or_insert_with(|| AccountRun::new(customer, false))
    }

    /// The newest moment that anything seen bears: the time of a state that stands still.
    pub const fn newest(&self) -> Option<Timestamp> {
        self.report.newest
    }

    /// Judges. What is younger than `grace` may still be on its way.
    pub fn finish(self, now: Timestamp, grace: Millis) -> Report {
        let Self { mut report, accounts, subjects, shelves, posted, tills, supplies } = self;
        let settled = now.before(grace);
        let supply = |resource: &Resource| match resource {
            Resource::Account(customer) => accounts.get(customer).and_then(AccountRun::funds).map(Supply::Account),
            Resource::Stock(_) | Resource::Slot(_) => supplies.get(resource).copied(),
        };
        report.findings.extend(subjects.judge(supply, settled).into_values().flatten());
        report.findings.extend(shelves.judge());
        report.findings.extend(posted.judge(settled));
        let mut totals = tills.totals();
        report.findings.extend(tills.judge(settled));
        for run in accounts.into_values() {
            totals.add(&run.totals());
            report.findings.extend(run.finish());
        }
        report.sum(&totals);
        report.findings.sort();
        report
    }
}
