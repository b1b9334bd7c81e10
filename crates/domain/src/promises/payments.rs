//! Payments, each with its entries and refunds: what it says of itself is held against what is kept about it. A
//! [`PaymentRun`] is one of them as it goes by; [`Tills`] are all of them in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Totals;
use super::{Finding, Promise};
use crate::books::Item;
use crate::events::Told;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::orders::{Order, OrderState};
use crate::payments::{
    GatewayKey, Origin, Payment, PaymentCause, PaymentEntry, PaymentState, Refund, RefundState, Stub,
};
use crate::{Amount, Timestamp};

/// What shows by looking at a payment alone, and at no time is right.
pub(super) fn faults(payment: &Payment) -> Vec<(Promise, String)> {
    let mut faults = Vec::new();
    let mut find = |promise, says: String| faults.push((promise, says));
    let state = payment.state.name();
    match (payment.is_unsettled(), payment.look_at) {
        (true, None) => find(Promise::NothingLost, format!("it is {state} and nobody will look at it")),
        (false, Some(_)) => find(Promise::NothingLost, format!("it is {state} and still waits")),
        _ => {}
    }
    let is_captured = payment.captured.is_some();
    let fits = match payment.state {
        PaymentState::Created
        | PaymentState::Pending
        | PaymentState::Unknown
        | PaymentState::Declined
        | PaymentState::Expired => !is_captured,
        PaymentState::Captured | PaymentState::Refunding | PaymentState::Refunded => is_captured,
        PaymentState::InReview => true,
    };
    if !fits || payment.captured.is_some_and(|captured| captured != payment.amount) {
        let (captured, amount) = (payment.captured, payment.amount);
        find(Promise::OneCharge, format!("it is {state} and captured {captured:?} of {amount}"));
    }
    let given = payment.refunded.checked_add(payment.going_back);
    if given.is_none_or(|given| given > payment.captured.unwrap_or_default()) {
        find(Promise::OneCharge, "more of it goes back than came".to_owned());
    }
    let is_whole = is_captured && payment.captured == Some(payment.refunded) && !payment.amount.is_zero();
    let is_open = !payment.open_refunds.is_empty();
    let agrees = match payment.state {
        PaymentState::Refunding => is_open,
        PaymentState::Refunded => is_whole && !is_open,
        PaymentState::Captured => !is_open && !is_whole,
        _ => true,
    };
    if !agrees || payment.going_back.is_zero() == is_open {
        let (open, back) = (payment.open_refunds.len(), payment.going_back);
        find(Promise::Conservation, format!("it is {state}, and {open} refunds of {back} are on their way"));
    }
    if payment.balance != payment.going_back {
        let (stands, back) = (payment.balance, payment.going_back);
        find(Promise::Conservation, format!("{stands} stand on it, and {back} are on their way back"));
    }
    faults
}

/// A payment by itself, whenever it is looked at.
fn judge_payment_alone(payment: &Payment) -> Vec<Finding> {
    faults(payment).into_iter().map(|(promise, says)| found(promise, payment.id, says)).collect()
}

/// A payment, if it is there, with everything that is kept about it.
fn judge(id: PaymentId, payment: Option<&Payment>, entries: &[PaymentEntry], refunds: &[Refund]) -> Vec<Finding> {
    match payment {
        Some(payment) => judge_payment(payment, entries, refunds),
        None if entries.is_empty() && refunds.is_empty() => Vec::new(),
        None => vec![found(Promise::NothingLost, id, "money moved for it, and it is not there")],
    }
}

/// A payment with everything that is kept about it.
fn judge_payment(payment: &Payment, entries: &[PaymentEntry], refunds: &[Refund]) -> Vec<Finding> {
    let mut findings = judge_payment_alone(payment);
    let mut find = |promise, says: String| findings.push(found(promise, payment.id, says));
    let mut entries: Vec<&PaymentEntry> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.number);
    let (mut number, mut balance) = (0, Amount::ZERO);
    for entry in &entries {
        number += 1;
        let moved = entry.amount.applied_to(balance);
        if entry.number != number || moved != Some(entry.balance) {
            find(Promise::Conservation, format!("entry {} does not follow from the one before", entry.number));
        }
        balance = entry.balance;
        if (entry.customer, entry.currency) != (payment.customer, payment.currency) {
            find(Promise::EveryoneTheirOwn, format!("entry {} is another's, or of other money", entry.number));
        }
    }
    if (payment.entries, payment.balance) != (number, balance) {
        let (says, stands) = (payment.entries, payment.balance);
        find(
            Promise::Conservation,
            format!("it says {stands} after {says} entries, which say {balance} after {number}"),
        );
    }
    let sum = |of: fn(&PaymentCause) -> bool| -> i128 {
        entries.iter().filter(|entry| of(&entry.cause)).map(|entry| i128::from(entry.amount.minor())).sum()
    };
    let captured = sum(|cause| *cause == PaymentCause::Capture);
    let says = i128::from(payment.captured.unwrap_or_default().minor());
    if captured != says {
        find(
            Promise::OneCharge,
            format!("it says that {says} were captured; the entries say {captured} (minor units)"),
        );
    }
    let back = -sum(|cause| matches!(cause, PaymentCause::GivenBack(_)));
    let says = i128::from(payment.refunded.minor());
    if back != says {
        find(Promise::OneCharge, format!("it says that {says} went back; the entries say {back} (minor units)"));
    }
    let open: BTreeSet<_> = refunds.iter().filter(|refund| !refund.state.is_over()).map(|refund| refund.id).collect();
    if open != payment.open_refunds.iter().copied().collect() {
        let says = &payment.open_refunds;
        find(Promise::NothingLost, format!("it says that {says:?} are on their way back; {open:?} are"));
    }
    let total = |of: fn(RefundState) -> bool| -> i128 {
        let of = refunds.iter().filter(|refund| of(refund.state));
        of.map(|refund| i128::from(refund.amount.minor())).sum()
    };
    let sums = (total(|state| !state.is_over()), total(|state| state == RefundState::GivenBack));
    if sums != (i128::from(payment.going_back.minor()), i128::from(payment.refunded.minor())) {
        find(Promise::Conservation, format!("its refunds come to {sums:?} on their way and given back (minor units)"));
    }
    findings
}

/// One that should have been looked at before `settled`.
pub fn judge_payment_late(payment: &Payment, settled: Timestamp) -> Option<Finding> {
    let due = payment.look_at.filter(|due| *due < settled)?;
    Some(found(Promise::NothingLost, payment.id, format!("it was to be looked at by {due}")))
}

/// A report on what is not there, that should have been looked at before `settled`.
pub fn judge_stub(stub: &Stub, settled: Timestamp) -> Option<Finding> {
    let due = stub.look_at.filter(|due| *due < settled)?;
    let (subject, says) = (format!("report on {}", stub.of), format!("it was to be looked at by {due}"));
    Some(Finding { promise: Promise::NothingLost, subject, says })
}

/// The payment of an order that was cancelled.
pub fn judge_payment_of_cancelled(payment: &Payment) -> Option<Finding> {
    after_its_order(payment).map(|says| found(Promise::OneCharge, payment.id, says))
}

/// What is wrong with the payment of an order that has ended: nothing new is sent for it, and what was captured goes back.
pub(super) fn after_its_order(payment: &Payment) -> Option<String> {
    let is_open = matches!(payment.state, PaymentState::Pending | PaymentState::Unknown);
    if !payment.left().is_zero() {
        Some(format!("{} was captured for an order that has ended, and stays", payment.left()))
    } else if is_open && !payment.withdrawn {
        Some("it may still be sent for an order that has ended".to_owned())
    } else {
        None
    }
}

fn found(promise: Promise, payment: PaymentId, says: impl Into<String>) -> Finding {
    Finding { promise, subject: format!("payment {payment}"), says: says.into() }
}

/// One payment and its entries, in any order, as they go by: all that stands under its key. No more than the item of a
/// payment tells of, so it takes little memory.
#[derive(Clone, Debug)]
pub struct PaymentRun {
    id: PaymentId,
    is_live: bool,
    payment: Option<Payment>,
    entries: Vec<PaymentEntry>,
}

impl PaymentRun {
    pub const fn new(id: PaymentId, is_live: bool) -> Self {
        Self { id, is_live, payment: None, entries: Vec::new() }
    }

    pub const fn id(&self) -> PaymentId {
        self.id
    }

    pub const fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    pub fn see_payment(&mut self, payment: Payment) {
        self.payment = Some(payment);
    }

    pub fn see_entry(&mut self, entry: PaymentEntry) {
        self.entries.push(entry);
    }

    /// What stands on it, and the other sides of its entries. Of one that goes on while it is read it is the entries that
    /// say what stands there: the payment may be ahead of them.
    pub fn totals(&self) -> Totals {
        let last = self.entries.iter().max_by_key(|entry| entry.number).map(|entry| entry.balance);
        let says = if self.is_live { last } else { self.payment.as_ref().map(|payment| payment.balance) };
        let mut totals = Totals { owed: i128::from(says.unwrap_or_default().minor()), ..Totals::default() };
        for entry in &self.entries {
            totals.count(entry.counter, i128::from(entry.amount.minor()));
        }
        totals
    }

    /// Every refund that it tells of.
    pub fn refunds(&self) -> BTreeSet<RefundId> {
        let Some(payment) = &self.payment else { return BTreeSet::new() };
        let told = payment.timeline.iter().filter_map(|passage| match passage.told {
            Told::RefundBegun { refund, .. } | Told::RefundEnded { refund, .. } => Some(refund),
            _ => None,
        });
        told.chain(payment.open_refunds.iter().copied()).collect()
    }

    /// Judges, with all the refunds that there are of it.
    pub fn judge(&self, refunds: &[Refund]) -> Vec<Finding> {
        judge(self.id, self.payment.as_ref(), &self.entries, refunds)
    }
}

/// Payments, and reports on what is not there, whose look is longest due, as many as anybody would read.
#[derive(Debug)]
pub struct LatePayments {
    most: usize,
    looks: BTreeSet<(Timestamp, GatewayKey)>,
}

impl LatePayments {
    pub const fn new(most: usize) -> Self {
        Self { most, looks: BTreeSet::new() }
    }

    pub fn see(&mut self, item: &Item) {
        let (due, key) = match item {
            Item::Payment(payment) => (payment.look_at, payment.gateway_key()),
            Item::Stub(stub) => (stub.look_at, stub.of),
            _ => return,
        };
        self.looks.extend(due.map(|due| (due, key)));
        if self.looks.len() > self.most {
            self.looks.pop_last();
        }
    }

    /// What should have been looked at before.
    pub fn before(&self, settled: Timestamp) -> impl Iterator<Item = GatewayKey> {
        self.looks.iter().take_while(move |(due, _)| *due < settled).map(|(_, key)| *key)
    }
}

#[derive(Debug)]
struct Till {
    run: PaymentRun,
    refunds: Vec<Refund>,
}

/// All payments with what is kept about them, held in memory.
#[derive(Debug, Default)]
pub struct Tills {
    tills: BTreeMap<PaymentId, Till>,
    stubs: Vec<Stub>,
    cancelled: BTreeSet<OrderId>,
}

impl Tills {
    pub fn see(&mut self, item: &Item) {
        match item {
            Item::Payment(payment) => self.till(payment.id).run.see_payment(payment.clone()),
            Item::PaymentEntry(entry) => self.till(entry.payment).run.see_entry(entry.clone()),
            Item::Refund(refund) => self.till(refund.payment).refunds.push(refund.clone()),
            Item::Stub(stub) => self.stubs.push(stub.clone()),
            Item::Order(Order { id, state: OrderState::Cancelled, .. }) => _ = self.cancelled.insert(*id),
            _ => {}
        }
    }

    fn till(&mut self, id: PaymentId) -> &mut Till {
        self.tills.entry(id).or_insert_with(|| Till { run: PaymentRun::new(id, false), refunds: Vec::new() })
    }

    /// What stands on payments, and the other sides of their entries.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.tills.values().for_each(|till| totals.add(&till.run.totals()));
        totals
    }

    /// Judges. What was to be looked at before `settled` should have been.
    pub fn judge(&self, settled: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        for Till { run, refunds } in self.tills.values() {
            findings.extend(run.judge(refunds));
            let Some(payment) = run.payment() else { continue };
            findings.extend(judge_payment_late(payment, settled));
            if let Origin::Order(order) = payment.origin
                && self.cancelled.contains(&order)
            {
                findings.extend(judge_payment_of_cancelled(payment));
            }
        }
        findings.extend(self.stubs.iter().filter_map(|stub| judge_stub(stub, settled)));
        findings
    }
}
