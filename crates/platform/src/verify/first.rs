//! The first pass: everything once. Accounts are judged as they go by, the rest is sketched, and who waits is held
//! against what he waits for, a batch at a time.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::books::{Item, Kept, Key, Version};
use domain::events::EventId;
use domain::ids::CustomerId;
use domain::orders::{Order, Resource, Waiting};
use domain::promises::{
    AccountRun, Finding, Late, Report, Shelves, Sketch, Subject, Supply, Suspects, Totals, Until, idles, judge_delivery,
};
use domain::webhooks::Delivery;

use super::pages::Pages;
use super::payments;
use super::{Findings, Plan, Progress, readable, supplies, unreadable};
use crate::store::Failure;
use crate::table::{Stored, Table};

/// Keys of one batch get.
const BATCH: usize = 100;

/// What the pass brought.
pub(super) struct Read {
    pub(super) report: Report,
    pub(super) totals: Totals,
    pub(super) suspects: Suspects,
    pub(super) settled: Timestamp,
    pub(super) findings: Findings,
    /// Accounts of a live table that are to be read again, each with what it was counted for.
    pub(super) accounts: BTreeMap<CustomerId, Totals>,
    /// Stock and slots that do not come to what they say.
    pub(super) sums: Vec<Finding>,
    /// Deliveries of a live table that are to be read again, each with what was found.
    pub(super) deliveries: BTreeMap<EventId, Vec<Finding>>,
    pub(super) payments: payments::Found,
}

struct Pass<'a> {
    table: &'a Table,
    plan: &'a Plan,
    until: Until,
    sketch: Sketch,
    shelves: Shelves,
    report: Report,
    totals: Totals,
    findings: Findings,
    accounts: BTreeMap<CustomerId, Totals>,
    /// The account that each segment is in the middle of.
    open: Vec<Option<AccountRun>>,
    parked: Vec<(Order, Version)>,
    places: Vec<Waiting>,
    deliveries: Vec<Delivery>,
    late: Late,
    doubtful: BTreeMap<EventId, Vec<Finding>>,
    payments: payments::Pass<'a>,
}

pub(super) async fn pass(table: &Table, plan: &Plan, progress: &mut impl FnMut(Progress)) -> Result<Read, Failure> {
    let until = plan.until();
    let mut pass = Pass {
        table,
        plan,
        until,
        sketch: Sketch::new(plan.chance, plan.buckets_bits, until),
        shelves: Shelves::new(until),
        report: Report::default(),
        totals: Totals::default(),
        findings: Findings::new(plan.findings),
        accounts: BTreeMap::new(),
        open: (0..plan.segments.max(1)).map(|_| None).collect(),
        parked: Vec::new(),
        places: Vec::new(),
        deliveries: Vec::new(),
        late: Late::new(plan.findings),
        doubtful: BTreeMap::new(),
        payments: payments::Pass::new(table, plan),
    };
    let mut pages = Pages::new(table, plan);
    let mut items = 0;
    while let Some((segment, page)) = pages.next().await? {
        items += page.items.len() as u64;
        for item in page.items {
            match item {
                Ok(stored) => pass.see(segment, stored),
                Err(error) => pass.findings.take([unreadable(&error)]),
            }
            if pass.parked.len() >= BATCH {
                pass.look_at_parked().await?;
            }
            if pass.places.len() >= BATCH {
                pass.look_at_places().await?;
            }
            if pass.deliveries.len() >= BATCH {
                pass.look_at_deliveries().await?;
            }
            pass.payments.look().await?;
        }
        progress(Progress::First { items });
    }
    (0..pass.open.len()).for_each(|segment| pass.close(segment));
    pass.look_at_parked().await?;
    pass.look_at_places().await?;
    pass.look_at_deliveries().await?;
    let settled = plan.settled(until, pass.report.newest);
    pass.look_at_late(settled);
    let Pass { sketch, shelves, report, mut totals, mut findings, accounts, doubtful, payments, .. } = pass;
    let payments = payments.finish(settled).await?;
    totals.add(&payments.totals);
    findings.is_cut |= payments.is_cut;
    Ok(Read {
        suspects: sketch.suspects(settled),
        report,
        totals,
        settled,
        findings,
        accounts,
        sums: shelves.judge(),
        deliveries: doubtful,
        payments,
    })
}

impl Pass<'_> {
    fn see(&mut self, segment: usize, stored: Stored) {
        let (item, version) = (stored.found.item, stored.found.version);
        self.report.count(&item);
        self.sketch.see(&item, version);
        self.shelves.see(&item);
        self.payments.see_look(&item);
        if let Item::Order(order) = &item {
            self.payments.see_order(order);
        }
        match item {
            Item::Account(account) => self.run(segment, account.customer).see_account(account),
            Item::Entry(entry) => self.run(segment, entry.customer).see_entry(&entry),
            Item::Order(order) if order.parked.is_some() => self.parked.push((order, version)),
            Item::Waiting(waiting) => self.places.push(waiting),
            Item::Order(_)
            | Item::Deposit(_)
            | Item::Notification(_)
            | Item::Unreadable(_)
            | Item::Product(_)
            | Item::Stock(_)
            | Item::Receipt(_)
            | Item::Slot(_)
            | Item::ListedSlot(_)
            | Item::Profile(_)
            | Item::Attempts(_)
            | Item::Endpoint(_)
            | Item::Stub(_)
            | Item::Callback(_)
            | Item::Breaker(_) => {}
            Item::Payment(payment) => self.payments.see_payment(segment, payment),
            Item::PaymentEntry(entry) => self.payments.see_entry(segment, entry),
            Item::Refund(refund) => self.payments.see_refund(refund),
            Item::Delivery(delivery) => {
                self.late.see(&delivery);
                self.deliveries.push(delivery);
            }
        }
    }

    /// The account that a segment is in the middle of. A scan gives what stands under one key together and in order;
    /// where it should ever not, the account is read again by that key before anything is said of it.
    fn run(&mut self, segment: usize, customer: CustomerId) -> &mut AccountRun {
        if self.open[segment].as_ref().is_some_and(|open| open.customer() != customer) {
            self.close(segment);
        }
        let is_live = self.plan.is_live();
        self.open[segment].get_or_insert_with(|| AccountRun::new(customer, is_live))
    }

    fn close(&mut self, segment: usize) {
        let Some(run) = self.open[segment].take() else { return };
        let (customer, totals) = (run.customer(), run.totals());
        self.totals.add(&totals);
        let found = run.finish();
        if found.is_empty() {
            return;
        }
        if !self.plan.is_live() {
            self.findings.take(found);
        } else if self.accounts.len() < self.plan.findings || self.accounts.contains_key(&customer) {
            self.accounts.entry(customer).or_default().add(&totals);
        } else {
            self.findings.is_cut = true;
        }
    }

    /// Orders that wait: each has its place in the queue that it names, and what it waits for is not there.
    async fn look_at_parked(&mut self) -> Result<(), Failure> {
        let parked = std::mem::take(&mut self.parked);
        let place = |order: &Order| order.parked.map(|resource| order.waiting_key(resource));
        let keys: Vec<Key> = parked.iter().filter_map(|(order, _)| place(order)).collect();
        let places = readable(self.table, &keys).await?;
        let supplies = supplies(self.table, parked.iter().filter_map(|(order, _)| order.parked)).await?;
        for (order, version) in parked {
            let has_its_place = place(&order).is_some_and(|place| places.get(&place).is_some_and(Option::is_some));
            if (!has_its_place || self.idles(&order, &supplies)) && self.is_still(&order, version).await? {
                self.sketch.suspect(&Subject::Order(order.id));
            }
        }
        Ok(())
    }

    fn idles(&self, order: &Order, supplies: &BTreeMap<Resource, Supply>) -> bool {
        let has_settled = |at: Timestamp| !self.plan.is_live() || self.until.counts(at);
        // A slot that has begun has no room. Where the time is known only in the end, whoever may idle is looked at then.
        let at = self.until.0.unwrap_or(Timestamp::from_millis(0));
        idles(order, |resource| supplies.get(resource).copied(), has_settled, at).is_some()
    }

    /// Places in queues: each is its order's.
    async fn look_at_places(&mut self) -> Result<(), Failure> {
        let places = std::mem::take(&mut self.places);
        let keys: Vec<Key> = places.iter().map(|place| Key::Order(place.order)).collect();
        let orders = readable(self.table, &keys).await?;
        for place in places {
            let found = orders.get(&Key::Order(place.order)).and_then(Option::as_ref);
            let order = found.and_then(|stored| Order::of_item(&stored.found.item));
            let is_its_own = order.is_some_and(|order| {
                order.parked.map(|resource| order.waiting_key(resource)) == Some(place.key())
                    && order.customer == place.customer
            });
            if is_its_own {
                continue;
            }
            // The place may have been left between the two reads. If it is still there, so is the order that it names.
            let is_there = readable(self.table, &[place.key()]).await?.into_values().flatten().count() > 0;
            let is_still = match (order, found) {
                (Some(order), Some(stored)) => self.is_still(order, stored.found.version).await?,
                _ => true,
            };
            if is_there && is_still {
                self.sketch.suspect(&Subject::Order(place.order));
            }
        }
        Ok(())
    }

    /// Deliveries: each has its notification, which was committed with it and stays.
    async fn look_at_deliveries(&mut self) -> Result<(), Failure> {
        let deliveries = std::mem::take(&mut self.deliveries);
        let keys: Vec<Key> = deliveries.iter().map(Delivery::notification).collect();
        let notifications = readable(self.table, &keys).await?;
        for delivery in deliveries {
            let is_there = notifications.get(&delivery.notification()).is_some_and(Option::is_some);
            self.doubt(delivery.event, judge_delivery(&delivery, is_there));
        }
        Ok(())
    }

    /// Deliveries that nobody has looked at in time.
    fn look_at_late(&mut self, settled: Timestamp) {
        let late: Vec<_> = self.late.before(settled).collect();
        late.into_iter().for_each(|(event, finding)| self.doubt(event, vec![finding]));
    }

    /// Of a table that goes on a delivery is read again before anything is said of it.
    fn doubt(&mut self, event: EventId, found: Vec<Finding>) {
        if found.is_empty() {
            return;
        }
        if !self.plan.is_live() {
            self.findings.take(found);
        } else if self.doubtful.len() < self.plan.findings || self.doubtful.contains_key(&event) {
            self.doubtful.entry(event).or_default().extend(found);
        } else {
            self.findings.is_cut = true;
        }
    }

    /// Whether an order has not moved since it was read: what was read after it goes with it.
    async fn is_still(&self, order: &Order, version: Version) -> Result<bool, Failure> {
        if !self.plan.is_live() {
            return Ok(true);
        }
        let key = Key::Order(order.id);
        let now = readable(self.table, &[key]).await?.remove(&key).flatten();
        Ok(now.is_some_and(|stored| stored.found.version == version))
    }
}
