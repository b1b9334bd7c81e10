//! Reads a whole table: lets `domain` judge whether the promises hold, or tells one state from another. It writes
//! nothing.
//!
//! [`verify`] holds no more than so much, however much is kept: a first pass over everything judges the accounts as they
//! go by and sketches the rest; if the sketch says that something does not agree, a second pass looks at just what is
//! suspect; and over a table that others write to meanwhile, what was found is read again before it is said. [`audit`]
//! holds all of it, for the states of tests; so does [`fingerprint`].

mod again;
mod deliveries;
mod first;
mod pages;
mod payments;
mod second;
mod sums;

use std::collections::BTreeMap;

use domain::books::{Item, Key};
use domain::ids::{CustomerId, Digest};
use domain::orders::Resource;
use domain::promises::{AccountRun, Audit, BUCKETS_BITS, Finding, Funds, Promise, Report, Supply, Until};
use domain::{Millis, Timestamp};

use crate::runtime::Clock;
use crate::store::Failure;
use crate::table::{CodecError, ReadError, Segment, Stored, Table};

/// What time it is for the state that is read.
#[derive(Clone, Copy, Debug)]
pub enum Now {
    /// The state goes on, or went on until this moment.
    Moment(Timestamp),
    /// The state stands still: it is as late as the newest thing in it.
    Newest,
}

/// Whether others write while it is read.
#[derive(Clone)]
pub enum Reading {
    /// Nobody does: it is a copy, or nothing runs.
    Still(Now),
    /// Anybody may.
    Live(Clock),
}

/// How a table is verified.
#[derive(Clone)]
pub struct Plan {
    pub reading: Reading,
    /// How long something may be on its way.
    pub grace: Millis,
    /// Fresh for each run.
    pub chance: u128,
    /// How many parts are read at once.
    pub segments: u8,
    /// The most that the passes take of the table's capacity.
    pub read_units_a_second: Option<u32>,
    /// Items of one page.
    pub page: u16,
    /// The sketch has two to the power of this many buckets.
    pub buckets_bits: u32,
    /// Items that the second pass holds at once. If more are suspect, it goes over the table in rounds.
    pub held: usize,
    /// Findings after which it is enough.
    pub findings: usize,
}

impl Plan {
    pub fn new(reading: Reading, grace: Millis, chance: u128) -> Self {
        Self {
            reading,
            grace,
            chance,
            segments: 1,
            read_units_a_second: None,
            page: 1_000,
            buckets_bits: BUCKETS_BITS,
            held: 20_000,
            findings: 1_000,
        }
    }

    const fn is_live(&self) -> bool {
        matches!(self.reading, Reading::Live(_))
    }

    /// Up to when what happened counts in a pass that begins now.
    fn until(&self) -> Until {
        match &self.reading {
            Reading::Still(_) => Until(None),
            Reading::Live(clock) => Until(Some(clock.now().before(self.grace))),
        }
    }

    /// Before when everything has arrived; `newest` is the newest moment that was seen.
    fn settled(&self, until: Until, newest: Option<Timestamp>) -> Timestamp {
        let now = match (&self.reading, until) {
            (_, Until(Some(until))) => return until,
            (Reading::Still(Now::Moment(now)), _) => *now,
            _ => newest.unwrap_or(Timestamp::from_millis(0)),
        };
        now.before(self.grace)
    }
}

/// Fresh chance for a [`Plan`], from the operating system.
pub fn chance() -> Result<u128, Failure> {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Failure::Broken("the operating system has no chance to give".to_owned()))?;
    Ok(u128::from_be_bytes(bytes))
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Reading everything.
    First { items: u64 },
    /// Reading everything again for what is suspect, for the first time or another.
    Second { round: u32, items: u64 },
    /// Reading again what was found.
    Again { left: usize },
}

/// Reads everything and judges it, within a bound of memory.
pub async fn verify(table: &Table, plan: &Plan, mut progress: impl FnMut(Progress)) -> Result<Report, Failure> {
    let first::Read { mut report, mut totals, suspects, settled, mut findings, accounts, sums, deliveries, payments } =
        first::pass(table, plan, &mut progress).await?;
    if plan.is_live() && !sums.is_empty() {
        findings.take(sums::again(table, plan, sums, &mut progress).await?);
    } else {
        findings.take(sums);
    }
    findings.take(deliveries::again(table, settled, deliveries, &mut progress).await?);
    findings.take(payments::again(table, plan, settled, payments, &mut progress).await?);
    let again = again::Reader { table, plan };
    let mut left = accounts.len();
    for (customer, seen) in accounts {
        progress(Progress::Again { left });
        left -= 1;
        let run = again.account(&customer).await?;
        totals.take(&seen);
        totals.add(&run.totals());
        findings.take(run.finish());
    }
    if suspects.count() > 0 {
        second::pass(table, plan, &suspects, settled, &mut findings, &mut progress).await?;
    }
    report.findings = findings.list;
    report.is_cut = findings.is_cut;
    report.sum(&totals);
    report.findings.sort();
    Ok(report)
}

/// Reads everything into memory and judges it. What is younger than `grace` may still be on its way.
pub async fn audit(table: &Table, now: Now, grace: Millis, mut progress: impl FnMut(usize)) -> Result<Report, Failure> {
    let mut audit = Audit::default();
    let mut unread = Vec::new();
    let mut seen = 0;
    everything(table, |page| {
        seen += page.len();
        for item in page {
            match item {
                Ok(stored) => audit.see(stored.found.item, stored.found.version),
                Err(error) => unread.push(unreadable(&error)),
            }
        }
        progress(seen);
    })
    .await?;
    let now = match now {
        Now::Moment(now) => now,
        Now::Newest => audit.newest().unwrap_or(Timestamp::from_millis(0)),
    };
    let mut report = audit.finish(now, grace);
    report.findings.extend(unread);
    report.findings.sort();
    Ok(report)
}

/// Hands over every item, within a bound of memory and of what the plan takes of the table's capacity, in any order.
pub async fn each(
    table: &Table,
    plan: &Plan,
    mut see: impl FnMut(&Item),
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let mut pages = pages::Pages::new(table, plan);
    let mut items = 0;
    while let Some((_, page)) = pages.next().await? {
        items += page.items.len() as u64;
        for stored in page.items {
            see(&stored?.found.item);
        }
        progress(items);
    }
    Ok(())
}

/// The same for the same items as the same tries wrote them, and for no others.
pub async fn fingerprint(table: &Table) -> Result<Digest, ReadError> {
    let mut seen = Vec::new();
    everything(table, |page| {
        seen.extend(page.into_iter().map(|item| match item {
            Ok(stored) => format!("{:?} {} {}", stored.found.item.key(), stored.found.version, stored.commit),
            Err(error) => error.to_string(),
        }));
    })
    .await?;
    seen.sort_unstable();
    Ok(Digest::of("state", &seen.iter().map(String::as_bytes).collect::<Vec<_>>()))
}

async fn everything(table: &Table, mut see: impl FnMut(Vec<Result<Stored, CodecError>>)) -> Result<(), ReadError> {
    let mut from = None;
    loop {
        let page = table.scan(Segment { number: 0, of: 1 }, 1_000, from).await?;
        see(page.items);
        if page.next.is_none() {
            return Ok(());
        }
        from = page.next;
    }
}

fn unreadable(error: &CodecError) -> Finding {
    Finding { promise: Promise::NothingLost, subject: "an item".to_owned(), says: error.to_string() }
}

/// What was found, up to where nobody would read on.
struct Findings {
    list: Vec<Finding>,
    most: usize,
    is_cut: bool,
}

impl Findings {
    const fn new(most: usize) -> Self {
        Self { list: Vec::new(), most, is_cut: false }
    }

    const fn are_enough(&self) -> bool {
        self.list.len() >= self.most
    }

    fn take(&mut self, found: impl IntoIterator<Item = Finding>) {
        for finding in found {
            if self.are_enough() {
                self.is_cut = true;
                return;
            }
            self.list.push(finding);
        }
    }
}

/// Items by their keys. What cannot be read is as if it were not there; that it is there was said when it was met.
async fn readable(table: &Table, keys: &[Key]) -> Result<BTreeMap<Key, Option<Stored>>, Failure> {
    match table.load(keys).await {
        Err(ReadError::Codec(_)) => {}
        loaded => return Ok(loaded?),
    }
    let mut found = BTreeMap::new();
    for key in keys {
        match table.load(&[*key]).await {
            Err(ReadError::Codec(_)) => _ = found.insert(*key, None),
            loaded => found.extend(loaded?),
        }
    }
    Ok(found)
}

/// What there is of some things that are waited for.
async fn supplies(
    table: &Table,
    resources: impl IntoIterator<Item = Resource>,
) -> Result<BTreeMap<Resource, Supply>, Failure> {
    let (mut customers, mut others) = (Vec::new(), Vec::new());
    for resource in resources {
        match resource {
            Resource::Account(customer) => customers.push(customer),
            Resource::Stock(_) | Resource::Slot(_) => others.push(resource.key()),
        }
    }
    let funds = funds(table, customers).await?;
    let mut supplies: BTreeMap<Resource, Supply> =
        funds.into_iter().map(|(customer, funds)| (Resource::Account(customer), Supply::Account(funds))).collect();
    for stored in readable(table, &others).await?.into_values().flatten() {
        match stored.found.item {
            Item::Stock(stock) => _ = supplies.insert(Resource::Stock(stock.sku), Supply::Stock(stock)),
            Item::Slot(slot) => _ = supplies.insert(Resource::Slot(slot.id), Supply::Slot(slot)),
            _ => {}
        }
    }
    Ok(supplies)
}

/// What the accounts of some customers have, and when they last moved.
async fn funds(
    table: &Table,
    customers: impl IntoIterator<Item = CustomerId>,
) -> Result<BTreeMap<CustomerId, Funds>, Failure> {
    let keys: Vec<Key> = customers.into_iter().map(Key::Account).collect();
    let mut runs = BTreeMap::new();
    for stored in readable(table, &keys).await?.into_values().flatten() {
        if let Item::Account(account) = stored.found.item {
            let mut run = AccountRun::new(account.customer, false);
            let last = Key::Entry(account.customer, account.entries);
            let customer = account.customer;
            run.see_account(account);
            runs.insert(last, (customer, run));
        }
    }
    let last: Vec<Key> = runs.keys().copied().collect();
    let entries = readable(table, &last).await?;
    Ok(runs
        .into_iter()
        .filter_map(|(last, (customer, mut run))| {
            if let Some(Item::Entry(entry)) =
                entries.get(&last).and_then(Option::as_ref).map(|stored| &stored.found.item)
            {
                run.see_entry(entry);
            }
            Some((customer, run.funds()?))
        })
        .collect())
}
