//! The promises, as checks over what is kept. `verify` and the simulator judge by this same code.
//!
//! An [`Audit`] is shown every item once, in any order but that the items of one account come as they are sorted: the
//! account, then its entries. It keeps a tally for each account, order and deposit, and says in the end where they
//! disagree. It reads no table and mends nothing. A [`watch::Watch`] judges each commit as it comes.

pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::accounts::{Account, Cause, Deposit, Entry, SystemAccount};
use crate::books::{Item, Version};
use crate::events::EventId;
use crate::ids::{CustomerId, DepositId, OrderId};
use crate::messages::Notification;
use crate::notices;
use crate::orders::{Order, OrderState, Resource, Waiting, What};
use crate::{Amount, Currency, Millis, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    OneCharge,
    Conservation,
    NothingLost,
    OnceTold,
    NoIdling,
    EveryoneTheirOwn,
}

impl Promise {
    pub const ALL: [Self; 6] = [
        Self::OneCharge,
        Self::Conservation,
        Self::NothingLost,
        Self::OnceTold,
        Self::NoIdling,
        Self::EveryoneTheirOwn,
    ];

    pub const fn code(self) -> &'static str {
        match self {
            Self::OneCharge => "one_charge",
            Self::Conservation => "conservation",
            Self::NothingLost => "nothing_lost",
            Self::OnceTold => "once_told",
            Self::NoIdling => "no_idling",
            Self::EveryoneTheirOwn => "everyone_their_own",
        }
    }

    pub const fn says(self) -> &'static str {
        match self {
            Self::OneCharge => "an order is charged at most once, and only if it completes",
            Self::Conservation => "balances are the sum of their numbered entries, and all accounts sum to zero",
            Self::NothingLost => "every order has ended or has a time at which someone looks at it next",
            Self::OnceTold => "each transition is told to its customer once",
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
    pub accounts: usize,
    pub entries: u64,
    pub orders: BTreeMap<OrderState, usize>,
    pub waiting: usize,
    pub stalled: usize,
    pub deposits: usize,
    pub notifications: usize,
    /// Messages that nobody could read. Nothing is lost with them, but a person should look.
    pub unreadable: usize,
    /// In minor units: what all customers hold, what came in, what orders were paid with.
    pub held: i128,
    pub deposited: i128,
    pub revenue: i128,
}

#[derive(Debug, Default)]
struct AccountTally {
    account: Option<Account>,
    last_number: u64,
    last_balance: Amount,
    last_at: Option<Timestamp>,
    currencies: BTreeSet<Currency>,
}

#[derive(Debug, Default)]
struct OrderTally {
    order: Option<Order>,
    charges: u32,
    /// Taken by entries and not given back.
    net: i128,
    payers: BTreeSet<(CustomerId, Currency)>,
    waiting: Vec<Waiting>,
    told: Vec<Notification>,
}

#[derive(Debug, Default)]
struct DepositTally {
    deposit: Option<Deposit>,
    entries: Vec<Entry>,
}

#[derive(Debug, Default)]
pub struct Audit {
    report: Report,
    accounts: BTreeMap<CustomerId, AccountTally>,
    orders: BTreeMap<OrderId, OrderTally>,
    deposits: BTreeMap<DepositId, DepositTally>,
    newest: Option<Timestamp>,
}

impl Audit {
    pub fn see(&mut self, item: Item, version: Version) {
        match item {
            Item::Account(account) => self.see_account(account),
            Item::Entry(entry) => self.see_entry(entry),
            Item::Deposit(deposit) => {
                self.report.deposits += 1;
                self.note(deposit.created_at);
                let tally = self.deposits.entry(deposit.id).or_default();
                tally.deposit = Some(deposit);
            }
            Item::Order(order) => self.see_order(order, version),
            Item::Waiting(waiting) => self.orders.entry(waiting.order).or_default().waiting.push(waiting),
            Item::Notification(notification) => {
                self.report.notifications += 1;
                self.orders.entry(notification.order).or_default().told.push(notification);
            }
            Item::Unreadable(_) => self.report.unreadable += 1,
        }
    }

    /// The newest moment that anything seen bears: the time of a state that stands still.
    pub const fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Judges. What is younger than `grace` may still be on its way.
    pub fn finish(mut self, now: Timestamp, grace: Millis) -> Report {
        let settled = Timestamp::from_millis(now.as_millis().saturating_sub(grace.0));
        for (customer, tally) in std::mem::take(&mut self.accounts) {
            self.judge_account(customer, &tally);
            self.accounts.insert(customer, tally);
        }
        for (id, tally) in std::mem::take(&mut self.deposits) {
            self.judge_deposit(id, &tally);
        }
        for (id, tally) in std::mem::take(&mut self.orders) {
            self.judge_order(id, &tally, settled);
        }
        let Report { held, deposited, revenue, .. } = self.report;
        if held + revenue - deposited != 0 {
            let says = format!("customers hold {held} and {revenue} was paid, but {deposited} came in (minor units)");
            self.find(Promise::Conservation, "all accounts", says);
        }
        self.report.findings.sort();
        self.report
    }

    fn find(&mut self, promise: Promise, subject: impl fmt::Display, says: impl Into<String>) {
        self.report.findings.push(Finding { promise, subject: subject.to_string(), says: says.into() });
    }

    fn note(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
    }

    fn see_account(&mut self, account: Account) {
        self.report.accounts += 1;
        self.report.held += i128::from(account.balance.minor());
        self.note(account.opened_at);
        let tally = self.accounts.entry(account.customer).or_default();
        tally.account = Some(account);
    }

    fn see_entry(&mut self, entry: Entry) {
        self.report.entries += 1;
        self.note(entry.at);
        let moved = i128::from(entry.amount.minor());
        match entry.counter {
            SystemAccount::Deposits => self.report.deposited += moved,
            SystemAccount::Revenue => self.report.revenue -= moved,
        }
        let tally = self.accounts.entry(entry.customer).or_default();
        let (last_number, last_balance) = (tally.last_number, tally.last_balance);
        tally.last_number = entry.number;
        tally.last_balance = entry.balance;
        tally.last_at = Some(entry.at);
        tally.currencies.insert(entry.currency);
        let subject = format!("entry {} of account {}", entry.number, entry.customer);
        if entry.number != last_number + 1 {
            self.find(Promise::Conservation, &subject, format!("it follows entry {last_number}"));
        }
        if entry.amount.applied_to(last_balance) != Some(entry.balance) {
            let says = format!(
                "{} moved {} minor units and left {}",
                last_balance.minor(),
                entry.amount.minor(),
                entry.balance.minor()
            );
            self.find(Promise::Conservation, &subject, says);
        }
        match entry.cause {
            Cause::Deposit(id) => self.deposits.entry(id).or_default().entries.push(entry),
            Cause::Order(id) => {
                let tally = self.orders.entry(id).or_default();
                tally.charges += u32::from(moved < 0);
                tally.net -= moved;
                tally.payers.insert((entry.customer, entry.currency));
            }
        }
    }

    fn see_order(&mut self, order: Order, version: Version) {
        *self.report.orders.entry(order.state).or_default() += 1;
        match order.waiting_for.map(|waiting| waiting.what) {
            Some(What::Stalled) => self.report.stalled += 1,
            Some(What::Money) => self.report.waiting += 1,
            None => {}
        }
        if let Some(last) = order.timeline.last() {
            self.note(last.at);
        }
        if order.timeline.iter().any(|passage| passage.version > version) {
            let says = "its timeline names a version that is yet to come";
            self.find(Promise::NothingLost, format!("order {}", order.id), says);
        }
        let tally = self.orders.entry(order.id).or_default();
        tally.order = Some(order);
    }

    fn judge_account(&mut self, customer: CustomerId, tally: &AccountTally) {
        let subject = format!("account {customer}");
        let Some(account) = &tally.account else {
            return self.find(Promise::Conservation, subject, "it has entries and is not there");
        };
        if account.entries != tally.last_number {
            let says = format!("it counts {} entries; the last is {}", account.entries, tally.last_number);
            self.find(Promise::Conservation, &subject, says);
        }
        if tally.currencies.iter().any(|currency| *currency != account.currency) {
            self.find(Promise::Conservation, &subject, "it has entries of another currency");
        }
        if account.balance != tally.last_balance {
            let says = format!("it holds {}; its entries come to {}", account.balance, tally.last_balance);
            self.find(Promise::Conservation, &subject, says);
        }
    }

    fn judge_deposit(&mut self, id: DepositId, tally: &DepositTally) {
        let subject = format!("deposit {id}");
        let says = match (&tally.deposit, &tally.entries[..]) {
            (None, _) => "there is an entry for it, but no deposit".to_owned(),
            (Some(deposit), [entry])
                if (entry.customer, entry.number, entry.amount.minor(), entry.balance)
                    == (deposit.customer, deposit.entry, deposit.amount.minor(), deposit.balance_after) =>
            {
                return;
            }
            (Some(_), [_]) => "its entry says something else than it does".to_owned(),
            (Some(_), entries) => format!("it made {} entries instead of one", entries.len()),
        };
        self.find(Promise::Conservation, subject, says);
    }

    fn judge_order(&mut self, id: OrderId, tally: &OrderTally, settled: Timestamp) {
        let subject = format!("order {id}");
        let Some(order) = &tally.order else {
            return self.find(Promise::NothingLost, subject, "it was charged, waits or was told of, and is not there");
        };
        self.judge_charge(&subject, order, tally);
        self.judge_way(&subject, order, tally, settled);
        self.judge_told(&subject, order, tally, settled);
        if tally.payers.iter().any(|(payer, _)| *payer != order.customer) {
            self.find(Promise::EveryoneTheirOwn, &subject, "another's account paid for it");
        }
        if tally.payers.iter().any(|(_, currency)| *currency != order.currency) {
            self.find(Promise::Conservation, &subject, "it was paid in another currency");
        }
        if tally.told.iter().any(|told| told.customer != order.customer)
            || tally.waiting.iter().any(|waiting| waiting.customer != order.customer)
        {
            self.find(Promise::EveryoneTheirOwn, &subject, "another was told of it, or waits in its place");
        }
    }

    fn judge_charge(&mut self, subject: &str, order: &Order, tally: &OrderTally) {
        let charged = i128::from(order.charged.minor());
        let owed = match order.state {
            OrderState::Completed => i128::from(order.amount.minor()),
            OrderState::AwaitingPayment | OrderState::Cancelled => 0,
        };
        if tally.charges > 1 {
            self.find(Promise::OneCharge, subject, format!("it was charged {} times", tally.charges));
        }
        if tally.net != charged {
            let says = format!("it says that {charged} was charged; the entries say {} (minor units)", tally.net);
            self.find(Promise::Conservation, subject, says);
        }
        if charged != owed {
            let says = format!("it is {} and holds {charged} instead of {owed} minor units", order.state.name());
            self.find(Promise::OneCharge, subject, says);
        }
    }

    fn judge_way(&mut self, subject: &str, order: &Order, tally: &OrderTally, settled: Timestamp) {
        let parked: Vec<Resource> = tally.waiting.iter().map(|waiting| waiting.resource).collect();
        if parked != Vec::from_iter(order.parked) {
            let says = format!("it says it waits under {:?}; it stands under {parked:?}", order.parked);
            self.find(Promise::NothingLost, subject, says);
        }
        if order.state.has_ended() {
            if order.look_at.is_some() || order.parked.is_some() || order.waiting_for.is_some() {
                self.find(Promise::NothingLost, subject, "it has ended and still waits");
            }
            return;
        }
        match order.look_at {
            None => self.find(Promise::NothingLost, subject, "it has not ended and nobody will look at it"),
            Some(due) if due < settled => {
                self.find(Promise::NothingLost, subject, format!("it was to be looked at by {due}"));
            }
            Some(_) => {}
        }
        if let (Some(Resource::Account(customer)), Some(waiting)) = (order.parked, order.waiting_for)
            && waiting.what == What::Money
            && waiting.since < settled
            && let Some(AccountTally { account: Some(account), last_at, .. }) = self.accounts.get(&customer)
            && account.balance >= order.amount
            && last_at.is_none_or(|at| at < settled)
        {
            let says = format!("it waits for {} and its account holds {}", order.amount, account.balance);
            self.find(Promise::NoIdling, subject, says);
        }
    }

    fn judge_told(&mut self, subject: &str, order: &Order, tally: &OrderTally, settled: Timestamp) {
        let mut told: BTreeMap<EventId, usize> = BTreeMap::new();
        for notification in &tally.told {
            *told.entry(notification.event).or_default() += 1;
        }
        for passage in &order.timeline {
            let event = passage.event(&order.id);
            let times = told.remove(&event).unwrap_or(0);
            let worth_telling = notices::words(order, &passage.told).is_some();
            if times > 1 {
                self.find(Promise::OnceTold, subject, format!("{event} was told {times} times"));
            }
            if times == 0 && worth_telling && passage.at < settled {
                self.find(Promise::OnceTold, subject, format!("{event} of {} was not told", passage.at));
            }
        }
        for event in told.into_keys() {
            self.find(Promise::OnceTold, subject, format!("{event} was told and is not on its timeline"));
        }
    }
}
