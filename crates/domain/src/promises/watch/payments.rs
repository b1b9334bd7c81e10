//! Payments and refunds, as each commit leaves them: what was captured stays captured, what was said of one leads where it
//! may, an attempt is counted before it is made and none begins while another may still be on its way.

use super::{Commit, Promise};
use crate::Amount;
use crate::books::Key;
use crate::events::{Event, Told};
use crate::ids::PaymentId;
use crate::orders::{Order, OrderState, PayWith};
use crate::payments::{
    Calling, GatewayKey, Origin, Payment, PaymentCause, PaymentEntry, PaymentState, Refund, RefundState, Said, Stub,
};
use crate::promises::payments::{after_its_order, faults};

impl Commit<'_> {
    pub(super) fn judge_payment(&mut self, payment: &Payment, version: u64, events: &[Event]) {
        let subject = format!("payment {}", payment.id);
        for (promise, says) in faults(payment) {
            self.find(promise, &subject, says);
        }
        let before = self.watch.get::<Payment>(&payment.key()).cloned();
        self.judge_payment_entries(&subject, before.as_ref(), payment);
        self.judge_payment_told(&subject, before.as_ref(), payment, version, events);
        self.judge_ended_order(&subject, payment);
        let Some(before) = before else {
            let first = payment.timeline.first().map(|passage| &passage.told);
            let begins = match first {
                Some(Told::PaymentBecame { state: state @ (PaymentState::Created | PaymentState::Pending) }) => {
                    Some(*state)
                }
                _ => None,
            };
            if begins.is_none_or(|state| !may_become(state, payment.state)) {
                self.find(Promise::OnceTold, &subject, format!("it began with {first:?}"));
            }
            return;
        };
        if fixed(&before) != fixed(payment) {
            self.find(Promise::NothingLost, &subject, "what never changes of it changed");
        }
        if !may_become(before.state, payment.state) {
            let says = format!("it was {} and is {}", before.state.name(), payment.state.name());
            self.find(Promise::OneCharge, &subject, says);
        }
        if before.captured.is_some() && before.captured != payment.captured {
            self.find(Promise::OneCharge, &subject, "what was captured is not any more");
        }
        if payment.refunded < before.refunded {
            self.find(Promise::OneCharge, &subject, "what went back has come again");
        }
        let is_open = matches!(before.state, PaymentState::Pending | PaymentState::Unknown);
        self.judge_calling(&subject, &before.call, &payment.call, is_open);
    }

    /// For an order that has ended nothing new is sent, and what was captured goes back.
    fn judge_ended_order(&mut self, subject: &str, payment: &Payment) {
        let Origin::Order(id) = payment.origin else { return };
        let state = self.after::<Order>(&Key::Order(id)).map(|order| order.state);
        if state == Some(OrderState::Cancelled)
            && let Some(says) = after_its_order(payment)
        {
            self.find(Promise::OneCharge, subject, says);
        }
    }

    /// What an order leaves behind that ends.
    pub(super) fn judge_ended(&mut self, subject: &str, order: &Order) {
        if order.state != OrderState::Cancelled || order.pay_with == PayWith::Balance {
            return;
        }
        let payment = self.after::<Payment>(&Key::Payment(PaymentId::of_order(&order.id))).cloned();
        if let Some(payment) = payment {
            self.judge_ended_order(subject, &payment);
        }
    }

    fn judge_payment_entries(&mut self, subject: &str, before: Option<&Payment>, payment: &Payment) {
        let (mut number, mut balance) = before.map_or((0, Amount::ZERO), |before| (before.entries, before.balance));
        let mut entries: Vec<PaymentEntry> =
            self.put::<PaymentEntry>().filter(|entry| entry.payment == payment.id).cloned().collect();
        entries.sort_by_key(|entry| entry.number);
        for entry in &entries {
            number += 1;
            let moved = entry.amount.applied_to(balance);
            if entry.number != number || moved != Some(entry.balance) {
                let says = format!("entry {} does not follow from the one before", entry.number);
                self.find(Promise::Conservation, subject, says);
            }
            balance = entry.balance;
        }
        if (payment.entries, payment.balance) != (number, balance) {
            let says = format!(
                "it says {} after {} entries; its entries say {balance} after {number}",
                payment.balance, payment.entries
            );
            self.find(Promise::Conservation, subject, says);
        }
        let sum = |of: fn(&PaymentCause) -> bool| -> i128 {
            entries.iter().filter(|entry| of(&entry.cause)).map(|entry| i128::from(entry.amount.minor())).sum()
        };
        let grew = |of: fn(&Payment) -> Amount| -> i128 {
            i128::from(of(payment).minor()) - before.map_or(0, |before| i128::from(of(before).minor()))
        };
        if sum(|cause| *cause == PaymentCause::Capture) != grew(|payment| payment.captured.unwrap_or_default()) {
            self.find(Promise::OneCharge, subject, "what was captured is not what came in");
        }
        if -sum(|cause| matches!(cause, PaymentCause::GivenBack(_))) != grew(|payment| payment.refunded) {
            self.find(Promise::OneCharge, subject, "what was given back is not what went out");
        }
    }

    fn judge_payment_told(
        &mut self,
        subject: &str,
        before: Option<&Payment>,
        payment: &Payment,
        version: u64,
        events: &[Event],
    ) {
        let told_before = before.map_or(&[][..], |before| &before.timeline[..]);
        if !payment.timeline.starts_with(told_before) {
            self.find(Promise::NothingLost, subject, "its timeline forgot something");
        }
        let new = payment.timeline.get(told_before.len()..).unwrap_or_default();
        let passed = |told: &Told| !matches!(told, Told::GatewayDue { .. } | Told::OperatorDue);
        let told = (0_u32..).zip(events).filter(|(_, event)| passed(&event.told));
        let is_told = told
            .map(|(index, event)| (version, index, event.at, &event.told))
            .eq(new.iter().map(|passage| (passage.version, passage.index, passage.at, &passage.told)));
        if !is_told {
            self.find(Promise::OnceTold, subject, format!("it passed {new:?} and told {events:?}"));
        }
        if before.is_none_or(|before| before.state != payment.state) && new.is_empty() {
            let says = format!("it became {} in silence", payment.state.name());
            self.find(Promise::OnceTold, subject, says);
        }
        for event in events {
            if let Told::GatewayDue { key: GatewayKey::Charge(_), attempt, .. } = event.told {
                let may_be_called = matches!(payment.state, PaymentState::Pending | PaymentState::Unknown);
                if !may_be_called || payment.call.since.is_some() || payment.call.attempts != attempt {
                    let says = format!("the gateway is to be called, and it is {}", payment.state.name());
                    self.find(Promise::OneCharge, subject, says);
                }
            }
        }
    }

    /// One attempt at a time, each counted; and none about what is not open.
    fn judge_calling(&mut self, subject: &str, before: &Calling, after: &Calling, is_open: bool) {
        let begins = after.attempts != before.attempts;
        if after.attempts < before.attempts || after.attempts > before.attempts + 1 {
            let says = format!("{} attempts became {}", before.attempts, after.attempts);
            self.find(Promise::OneCharge, subject, says);
        }
        if begins && (!is_open || before.since.is_some() || after.since.is_none()) {
            self.find(Promise::OneCharge, subject, "an attempt began while another was at it, or it was over");
        }
    }

    pub(super) fn judge_payment_entry(&mut self, entry: &PaymentEntry) {
        let subject = format!("entry {} of payment {}", entry.number, entry.payment);
        let Some(payment) = self.put::<Payment>().find(|payment| payment.id == entry.payment).cloned() else {
            return self.find(Promise::Conservation, &subject, "it came without its payment");
        };
        if (payment.customer, payment.currency) != (entry.customer, entry.currency) {
            self.find(Promise::EveryoneTheirOwn, &subject, "it is another's, or of other money");
        }
        let refund = match entry.cause {
            PaymentCause::SetAside(id) | PaymentCause::GivenBack(id) | PaymentCause::Kept(id) => id,
            PaymentCause::Order(id) | PaymentCause::OrderBack(id) => {
                if !self.put::<Order>().any(|order| order.id == id) {
                    self.find(Promise::OneCharge, &subject, format!("it came without its order {id}"));
                }
                return;
            }
            PaymentCause::Capture | PaymentCause::Elsewhere => return,
        };
        if !self.put::<Refund>().any(|put| put.id == refund && put.payment == entry.payment) {
            self.find(Promise::OneCharge, &subject, format!("it came without its refund {refund}"));
        }
    }

    pub(super) fn judge_refund(&mut self, refund: &Refund) {
        let subject = format!("refund {}", refund.id);
        let Some(before) = self.watch.get::<Refund>(&refund.key()).cloned() else {
            let counts = |payment: &Payment| payment.id == refund.payment && payment.customer == refund.customer;
            if !self.put::<Payment>().any(counts) {
                self.find(Promise::OneCharge, &subject, "it was begun, and its payment does not count it");
            }
            return;
        };
        let same =
            |of: &Refund| (of.id, of.payment, of.customer, of.amount, of.currency, of.created_at, of.fingerprint);
        if same(&before) != same(refund) {
            self.find(Promise::NothingLost, &subject, "what never changes of it changed");
        }
        if before.state.is_over() && before.state != refund.state {
            let says = format!("it was {} and is {}", before.state.name(), refund.state.name());
            self.find(Promise::OneCharge, &subject, says);
        }
        self.judge_calling(&subject, &before.call, &refund.call, before.state == RefundState::Pending);
    }

    pub(super) fn judge_stub(&mut self, stub: &Stub) {
        let subject = format!("report on {}", stub.of);
        if !stub.is_orphan && stub.look_at.is_none() {
            self.find(Promise::NothingLost, &subject, "nobody will look at it");
        }
        let key = stub.of.key();
        if self.watch.get::<Payment>(&key).is_some() || self.watch.get::<Refund>(&key).is_some() {
            self.find(Promise::NothingLost, &subject, "what it is about was there, and is not any more");
        }
        let before = self.watch.get::<Stub>(&key).map_or(&[][..], |before| &before.reports[..]);
        if before.iter().any(|reported| !stub.reports.contains(reported)) {
            self.find(Promise::NothingLost, &subject, "it forgot something");
        }
    }

    /// An order that ends as its card was not charged has a payment that says so.
    pub(super) fn judge_uncharged(&mut self, subject: &str, payment: Key) {
        let is_over = self.after::<Payment>(&payment).is_some_and(|payment| payment.state.is_over_uncharged());
        if !is_over || !self.holds(&payment) {
            self.find(Promise::NothingLost, subject, "it was cancelled over a payment that may still be captured");
        }
    }
}

/// What is decided once, when a payment is opened.
fn fixed(payment: &Payment) -> Payment {
    Payment {
        state: PaymentState::Pending,
        withdrawn: false,
        call: Calling::default(),
        gateway_ref: None,
        captured: None,
        refunded: Amount::ZERO,
        going_back: Amount::ZERO,
        open_refunds: Vec::new(),
        balance: Amount::ZERO,
        entries: 0,
        doubts: Vec::new(),
        look_at: None,
        remind_at: None,
        timeline: Vec::new(),
        ..payment.clone()
    }
}

/// Whether something can be said, or several things one after another, that lead from one state to the other.
fn may_become(from: PaymentState, to: PaymentState) -> bool {
    // A person may end a review in any way.
    if from == PaymentState::InReview {
        return true;
    }
    let said = [
        Said::Accepted,
        Said::Captured,
        Said::Declined,
        Said::Unheard,
        Said::Lapsed,
        Said::Doubted,
        Said::RefundBegun,
        Said::RefundsOver { whole: true },
        Said::RefundsOver { whole: false },
    ];
    let mut reached = vec![from];
    let mut looked_at = 0;
    while let Some(state) = reached.get(looked_at).copied() {
        looked_at += 1;
        for next in said.map(|said| state.after(said)) {
            if !reached.contains(&next) {
                reached.push(next);
            }
        }
    }
    reached.contains(&to)
}
