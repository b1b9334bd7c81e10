//! Payments, each with its entries and refunds: what it says of itself is held against what is kept about it.

use std::collections::{BTreeMap, BTreeSet};

use super::account::Totals;
use super::{Finding, Promise};
use crate::books::Item;
use crate::ids::{OrderId, PaymentId};
use crate::orders::{Order, OrderState};
use crate::payments::{Origin, Payment, PaymentCause, PaymentEntry, PaymentState, Refund, RefundState, Stub};
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
pub fn judge_payment_alone(payment: &Payment) -> Vec<Finding> {
    faults(payment).into_iter().map(|(promise, says)| found(promise, payment.id, says)).collect()
}

/// A payment with everything that is kept about it.
pub fn judge_payment(payment: &Payment, entries: &[PaymentEntry], refunds: &[Refund]) -> Vec<Finding> {
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

#[derive(Debug, Default)]
struct Till {
    payment: Option<Payment>,
    entries: Vec<PaymentEntry>,
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
            Item::Payment(payment) => self.till(payment.id).payment = Some(payment.clone()),
            Item::PaymentEntry(entry) => self.till(entry.payment).entries.push(entry.clone()),
            Item::Refund(refund) => self.till(refund.payment).refunds.push(refund.clone()),
            Item::Stub(stub) => self.stubs.push(stub.clone()),
            Item::Order(Order { id, state: OrderState::Cancelled, .. }) => _ = self.cancelled.insert(*id),
            _ => {}
        }
    }

    fn till(&mut self, id: PaymentId) -> &mut Till {
        self.tills.entry(id).or_default()
    }

    /// What stands on payments, and the other sides of their entries.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for till in self.tills.values() {
            totals.owed += till.payment.as_ref().map_or(0, |payment| i128::from(payment.balance.minor()));
            for entry in &till.entries {
                totals.count(entry.counter, i128::from(entry.amount.minor()));
            }
        }
        totals
    }

    /// Judges. What was to be looked at before `settled` should have been.
    pub fn judge(&self, settled: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (id, till) in &self.tills {
            let Some(payment) = &till.payment else {
                findings.push(found(Promise::NothingLost, *id, "money moved for it, and it is not there"));
                continue;
            };
            findings.extend(judge_payment(payment, &till.entries, &till.refunds));
            if let Some(due) = payment.look_at.filter(|due| *due < settled) {
                findings.push(found(Promise::NothingLost, *id, format!("it was to be looked at by {due}")));
            }
            if let Origin::Order(order) = payment.origin
                && self.cancelled.contains(&order)
            {
                findings.extend(after_its_order(payment).map(|says| found(Promise::OneCharge, *id, says)));
            }
        }
        for stub in &self.stubs {
            if let Some(due) = stub.look_at.filter(|due| *due < settled) {
                let says = format!("it was to be looked at by {due}");
                findings.push(Finding {
                    promise: Promise::NothingLost,
                    subject: format!("report on {}", stub.of),
                    says,
                });
            }
        }
        findings
    }
}
