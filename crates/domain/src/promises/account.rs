//! One account and its entries, judged as they come: a running number and a running balance, however many there are.

use std::fmt;

use super::{Finding, Promise};
use crate::accounts::{Account, Entry, SystemAccount};
use crate::ids::CustomerId;
use crate::{Amount, Timestamp};

/// Of one account, more findings than this say nothing new.
const MOST_FINDINGS: usize = 100;

/// What accounts come to together, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub accounts: usize,
    pub entries: u64,
    pub held: i128,
    pub deposited: i128,
    pub revenue: i128,
    /// What stands on payments.
    pub owed: i128,
    /// What gateways took, less what they gave back.
    pub gateway: i128,
    /// What came in as an operator says.
    pub confirmed: i128,
}

impl Totals {
    pub const fn add(&mut self, other: &Self) {
        self.accounts += other.accounts;
        self.entries += other.entries;
        self.held += other.held;
        self.deposited += other.deposited;
        self.revenue += other.revenue;
        self.owed += other.owed;
        self.gateway += other.gateway;
        self.confirmed += other.confirmed;
    }

    /// Counts the other side of an entry.
    pub(super) const fn count(&mut self, counter: SystemAccount, moved: i128) {
        match counter {
            SystemAccount::Deposits => self.deposited += moved,
            SystemAccount::Revenue => self.revenue -= moved,
            SystemAccount::Gateway => self.gateway += moved,
            SystemAccount::Confirmed => self.confirmed += moved,
        }
    }

    /// Takes back what was added before.
    pub const fn take(&mut self, other: &Self) {
        self.accounts -= other.accounts;
        self.entries -= other.entries;
        self.held -= other.held;
        self.deposited -= other.deposited;
        self.revenue -= other.revenue;
        self.owed -= other.owed;
        self.gateway -= other.gateway;
        self.confirmed -= other.confirmed;
    }

    /// All accounts together, those of the system included, sum to zero.
    pub fn judge(&self) -> Option<Finding> {
        let Self { held, deposited, revenue, owed, gateway, confirmed, .. } = self;
        let came_in = deposited + gateway + confirmed;
        (held + owed + revenue - came_in != 0).then(|| {
            let held = held + owed;
            let says = format!("customers hold {held} and {revenue} was paid, but {came_in} came in (minor units)");
            Finding { promise: Promise::Conservation, subject: "all accounts".to_owned(), says }
        })
    }
}

/// An account that is being read: itself first, then its entries by number.
#[derive(Clone, Debug)]
pub struct AccountRun {
    customer: CustomerId,
    is_live: bool,
    account: Option<Account>,
    last_number: u64,
    last_balance: Amount,
    last_at: Option<Timestamp>,
    has_other_currency: bool,
    totals: Totals,
    findings: Vec<Finding>,
}

impl AccountRun {
    /// Of an account that goes on while it is read, entries beyond those that it counted when it was read are left out:
    /// they came later.
    pub fn new(customer: CustomerId, is_live: bool) -> Self {
        Self {
            customer,
            is_live,
            account: None,
            last_number: 0,
            last_balance: Amount::ZERO,
            last_at: None,
            has_other_currency: false,
            totals: Totals::default(),
            findings: Vec::new(),
        }
    }

    pub const fn customer(&self) -> CustomerId {
        self.customer
    }

    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// What there is to pay with, and since when.
    pub fn funds(&self) -> Option<Funds> {
        let account = self.account.as_ref()?;
        Some(Funds { balance: account.balance, last_at: self.last_at })
    }

    pub fn see_account(&mut self, account: Account) {
        self.totals.accounts += 1;
        self.totals.held += i128::from(account.balance.minor());
        self.account = Some(account);
    }

    pub fn see_entry(&mut self, entry: &Entry) {
        if self.is_live && self.account.as_ref().is_some_and(|account| entry.number > account.entries) {
            return;
        }
        let moved = i128::from(entry.amount.minor());
        self.totals.entries += 1;
        self.totals.count(entry.counter, moved);
        let (last_number, last_balance) = (self.last_number, self.last_balance);
        self.last_number = entry.number;
        self.last_balance = entry.balance;
        if self.account.as_ref().is_none_or(|account| account.entries == entry.number) {
            self.last_at = Some(entry.at);
        }
        self.has_other_currency |= self.account.as_ref().is_some_and(|account| account.currency != entry.currency);
        let subject = format_args!("entry {} of account {}", entry.number, entry.customer);
        if last_number.checked_add(1) != Some(entry.number) {
            find(&mut self.findings, subject, format!("it follows entry {last_number}"));
        }
        if entry.amount.applied_to(last_balance) != Some(entry.balance) {
            let says = format!(
                "{} moved {} minor units and left {}",
                last_balance.minor(),
                entry.amount.minor(),
                entry.balance.minor()
            );
            find(&mut self.findings, subject, says);
        }
    }

    /// Judges, when the last entry has been seen.
    pub fn finish(mut self) -> Vec<Finding> {
        let subject = format!("account {}", self.customer);
        let findings = &mut self.findings;
        let Some(account) = &self.account else {
            find(findings, subject, "it has entries and is not there".to_owned());
            return self.findings;
        };
        if account.entries != self.last_number {
            let says = format!("it counts {} entries; the last is {}", account.entries, self.last_number);
            find(findings, &subject, says);
        }
        if self.has_other_currency {
            find(findings, &subject, "it has entries of another currency".to_owned());
        }
        if account.balance != self.last_balance {
            let says = format!("it holds {}; its entries come to {}", account.balance, self.last_balance);
            find(findings, &subject, says);
        }
        self.findings
    }
}

fn find(findings: &mut Vec<Finding>, subject: impl fmt::Display, says: String) {
    if findings.len() < MOST_FINDINGS {
        findings.push(Finding { promise: Promise::Conservation, subject: subject.to_string(), says });
    }
}

/// What an account has for those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funds {
    pub balance: Amount,
    /// When it last moved.
    pub last_at: Option<Timestamp>,
}
