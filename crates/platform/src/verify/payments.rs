//! Payments: each is judged as it goes by, with its entries, which stand under the same key, and its refunds, which are
//! read by their own. Of what looks wrong while others write, each is read again before it is said.

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use domain::books::{Item, Kept as _, Key};
use domain::ids::{OrderId, PaymentId, RefundId};
use domain::orders::{Order, OrderState, PayWith};
use domain::payments::{GatewayKey, Origin, Payment, PaymentEntry, Refund};
use domain::promises::{
    Finding, LatePayments, PaymentRun, Totals, judge_payment_late, judge_payment_of_cancelled, judge_stub,
};

use super::{Plan, Progress, readable};
use crate::store::Failure;
use crate::table::Table;

/// So many are looked at together.
const BATCH: usize = 100;
/// A payment that moves so often while it is read is on its way.
const TRIES: u32 = 5;

/// What has gone by and is not looked at yet, and what is wrong with what was.
pub(super) struct Pass<'a> {
    table: &'a Table,
    plan: &'a Plan,
    /// The payment that each segment is in the middle of.
    open: Vec<Option<PaymentRun>>,
    runs: Vec<PaymentRun>,
    refunds: Vec<Refund>,
    cancelled: Vec<OrderId>,
    late: LatePayments,
    totals: Totals,
    doubts: Doubts,
}

/// Payments with which something is wrong.
struct Doubts {
    most: usize,
    found: BTreeMap<PaymentId, Vec<Finding>>,
    /// Payments of which more is kept than they know, and the refunds that they do not. Such a payment is read again with
    /// all of it.
    strays: BTreeMap<PaymentId, BTreeSet<RefundId>>,
    is_cut: bool,
}

impl Doubts {
    fn find(&mut self, id: PaymentId, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if self.found.len() >= self.most && !self.found.contains_key(&id) {
                self.is_cut = true;
                return;
            }
            self.found.entry(id).or_default().push(finding);
        }
    }

    /// It is to be read by its key, with this refund if there is one.
    fn stray(&mut self, id: PaymentId, refund: Option<RefundId>) {
        if self.strays.len() < self.most || self.strays.contains_key(&id) {
            self.strays.entry(id).or_default().extend(refund);
        } else {
            self.is_cut = true;
        }
    }
}

impl<'a> Pass<'a> {
    pub(super) fn new(table: &'a Table, plan: &'a Plan) -> Self {
        let most = plan.findings;
        Self {
            table,
            plan,
            open: (0..plan.segments.max(1)).map(|_| None).collect(),
            runs: Vec::new(),
            refunds: Vec::new(),
            cancelled: Vec::new(),
            late: LatePayments::new(most),
            totals: Totals::default(),
            doubts: Doubts { most, found: BTreeMap::new(), strays: BTreeMap::new(), is_cut: false },
        }
    }

    pub(super) fn see_payment(&mut self, segment: usize, payment: Payment) {
        self.run(segment, payment.id).see_payment(payment);
    }

    pub(super) fn see_entry(&mut self, segment: usize, entry: PaymentEntry) {
        self.run(segment, entry.payment).see_entry(entry);
    }

    pub(super) fn see_refund(&mut self, refund: Refund) {
        self.refunds.push(refund);
    }

    /// What has a time at which it is looked at.
    pub(super) fn see_look(&mut self, item: &Item) {
        self.late.see(item);
    }

    /// Whose payment is to be given back, if there is one.
    pub(super) fn see_order(&mut self, order: &Order) {
        if order.state == OrderState::Cancelled && matches!(order.pay_with, PayWith::Card(_)) {
            self.cancelled.push(order.id);
        }
    }

    /// A scan gives what stands under one key together.
    fn run(&mut self, segment: usize, id: PaymentId) -> &mut PaymentRun {
        if self.open[segment].as_ref().is_some_and(|open| open.id() != id) {
            self.runs.extend(self.open[segment].take());
        }
        let is_live = self.plan.is_live();
        self.open[segment].get_or_insert_with(|| PaymentRun::new(id, is_live))
    }

    /// Looks at what has gone by, if that is enough for a batch.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        if self.runs.len() >= BATCH {
            self.look_at_runs().await?;
        }
        if self.refunds.len() >= BATCH {
            self.look_at_refunds().await?;
        }
        if self.cancelled.len() >= BATCH {
            self.look_at_cancelled().await?;
        }
        Ok(())
    }

    async fn look_at_runs(&mut self) -> Result<(), Failure> {
        let runs = std::mem::take(&mut self.runs);
        let keys: Vec<Key> = runs.iter().flat_map(PaymentRun::refunds).map(Key::Refund).collect();
        let there = readable(self.table, &keys).await?;
        for run in runs {
            self.totals.add(&run.totals());
            let of = run.refunds().into_iter().filter_map(|refund| {
                let stored = there.get(&Key::Refund(refund))?.as_ref()?;
                Refund::of_item(&stored.found.item).filter(|refund| refund.payment == run.id()).cloned()
            });
            let refunds: Vec<Refund> = of.collect();
            let order = run.payment().and_then(|payment| match payment.origin {
                Origin::Order(order) => Some(order),
                Origin::Request | Origin::Event => None,
            });
            if order.is_some_and(|order| PaymentId::of_order(&order) != run.id()) {
                // Its order does not lead to it.
                self.doubts.stray(run.id(), None);
            }
            self.doubts.find(run.id(), run.judge(&refunds));
        }
        Ok(())
    }

    /// Each is known to its payment.
    async fn look_at_refunds(&mut self) -> Result<(), Failure> {
        let refunds = std::mem::take(&mut self.refunds);
        let keys: BTreeSet<Key> = refunds.iter().map(|refund| Key::Payment(refund.payment)).collect();
        let there = readable(self.table, &Vec::from_iter(keys)).await?;
        for refund in refunds {
            let stored = there.get(&Key::Payment(refund.payment)).and_then(Option::as_ref);
            let payment = stored.and_then(|stored| Payment::of_item(&stored.found.item));
            let is_known = payment.is_some_and(|payment| {
                let mut run = PaymentRun::new(payment.id, false);
                run.see_payment(payment.clone());
                run.refunds().contains(&refund.id)
            });
            if !is_known {
                self.doubts.stray(refund.payment, Some(refund.id));
            }
        }
        Ok(())
    }

    /// Each has given its payment back, or is to.
    async fn look_at_cancelled(&mut self) -> Result<(), Failure> {
        let cancelled = std::mem::take(&mut self.cancelled);
        let key = |order: &OrderId| Key::Payment(PaymentId::of_order(order));
        let keys: Vec<Key> = cancelled.iter().map(key).collect();
        let there = readable(self.table, &keys).await?;
        for order in cancelled {
            let stored = there.get(&key(&order)).and_then(Option::as_ref);
            let payment = stored.and_then(|stored| Payment::of_item(&stored.found.item));
            if let Some(payment) = payment.filter(|payment| payment.origin == Origin::Order(order)) {
                self.doubts.find(payment.id, judge_payment_of_cancelled(payment));
            }
        }
        Ok(())
    }

    /// The end: looks at the rest, and gives what is wrong and what it all comes to.
    pub(super) async fn finish(mut self, settled: Timestamp) -> Result<Found, Failure> {
        let open = std::mem::take(&mut self.open);
        self.runs.extend(open.into_iter().flatten());
        self.look_at_runs().await?;
        self.look_at_refunds().await?;
        self.look_at_cancelled().await?;
        let late: Vec<GatewayKey> = self.late.before(settled).collect();
        let mut stubs = Vec::new();
        let keys: Vec<Key> = late.iter().map(|key| key.key()).collect();
        for stored in readable(self.table, &keys).await?.into_values().flatten() {
            match stored.found.item {
                Item::Payment(payment) => self.doubts.find(payment.id, judge_payment_late(&payment, settled)),
                Item::Stub(stub) => stubs.extend(judge_stub(&stub, settled)),
                _ => {}
            }
        }
        let Doubts { found, strays, is_cut, .. } = self.doubts;
        Ok(Found { found, strays, stubs, totals: self.totals, is_cut })
    }
}

/// What the pass brought.
pub(super) struct Found {
    found: BTreeMap<PaymentId, Vec<Finding>>,
    strays: BTreeMap<PaymentId, BTreeSet<RefundId>>,
    stubs: Vec<Finding>,
    pub(super) totals: Totals,
    pub(super) is_cut: bool,
}

/// What is said of it in the end: over a table that goes on, what is found both times.
pub(super) async fn again(
    table: &Table,
    plan: &Plan,
    settled: Timestamp,
    found: Found,
    progress: &mut impl FnMut(Progress),
) -> Result<Vec<Finding>, Failure> {
    let Found { mut found, strays, stubs, .. } = found;
    let mut still = stubs;
    let mut left = found.len() + strays.len();
    for (id, strays) in strays {
        progress(Progress::Again { left });
        left -= 1;
        found.remove(&id);
        still.extend(judge_by_key(table, plan, id, &strays, settled).await?);
    }
    for (id, earlier) in found {
        if !plan.is_live() {
            still.extend(earlier);
            continue;
        }
        progress(Progress::Again { left });
        left = left.saturating_sub(1);
        let now = judge_by_key(table, plan, id, &BTreeSet::new(), settled).await?;
        still.extend(now.into_iter().filter(|finding| earlier.iter().any(|before| before.promise == finding.promise)));
    }
    Ok(still)
}

/// What is wrong with one payment, by everything that is kept about it now.
async fn judge_by_key(
    table: &Table,
    plan: &Plan,
    id: PaymentId,
    strays: &BTreeSet<RefundId>,
    settled: Timestamp,
) -> Result<Vec<Finding>, Failure> {
    let key = Key::Payment(id);
    let version = async || -> Result<_, Failure> {
        let stored = readable(table, &[key]).await?.remove(&key).flatten();
        Ok(stored.map(|stored| stored.found.version))
    };
    for _ in 0..TRIES {
        let before = version().await?;
        let run = read(table, plan, id).await?;
        let keys: Vec<Key> = run.refunds().union(strays).copied().map(Key::Refund).collect();
        let stored = readable(table, &keys).await?.into_values().flatten();
        let refunds = stored.filter_map(|stored| Refund::of_item(&stored.found.item).cloned());
        let refunds: Vec<Refund> = refunds.filter(|refund| refund.payment == id).collect();
        let mut findings = run.judge(&refunds);
        if let Some(payment) = run.payment() {
            findings.extend(judge_payment_late(payment, settled));
            if let Origin::Order(order) = payment.origin {
                let key = Key::Order(order);
                let stored = readable(table, &[key]).await?.remove(&key).flatten();
                let order = stored.as_ref().and_then(|stored| Order::of_item(&stored.found.item));
                if order.is_some_and(|order| order.state == OrderState::Cancelled) {
                    findings.extend(judge_payment_of_cancelled(payment));
                }
            }
        }
        if !plan.is_live() || version().await? == before {
            return Ok(findings);
        }
    }
    Ok(Vec::new())
}

async fn read(table: &Table, plan: &Plan, id: PaymentId) -> Result<PaymentRun, Failure> {
    let mut run = PaymentRun::new(id, plan.is_live());
    let mut from = None;
    loop {
        let page = table.payment(&id, i32::from(plan.page.max(1)), from).await?;
        for stored in page.items.into_iter().flatten() {
            match stored.found.item {
                Item::Payment(payment) => run.see_payment(payment),
                Item::PaymentEntry(entry) => run.see_entry(entry),
                _ => {}
            }
        }
        if page.next.is_none() {
            return Ok(run);
        }
        from = page.next;
    }
}
