//! Money taken and given back, whoever asked in whatever protocol.

use std::collections::{BTreeMap, BTreeSet};

use crate::book::{Charge, ChargeState, Decline, Protocol, Refund, RefundState};
use crate::dice::within;
use crate::events::Happened;
use crate::gateway::{Doing, Gateway, Moment, Task, plus};
use crate::mood::{Group, Mischief};

pub(crate) struct NewCharge {
    pub(crate) protocol: Protocol,
    pub(crate) key: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What the card itself says.
    pub(crate) decline: Option<Decline>,
}

pub(crate) struct NewRefund {
    pub(crate) protocol: Protocol,
    pub(crate) charge: String,
    pub(crate) key: Option<String>,
    pub(crate) amount: u64,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Gateway {
    pub(crate) fn charge(&mut self, new: NewCharge, doing: &mut Doing) -> Charge {
        let number = self.book.next_number();
        let id = match &new.key {
            Some(key) => {
                let place = self.book.charges_under(new.protocol, key).count();
                self.dice.id(charge_prefix(new.protocol), key, place.try_into().unwrap_or(u64::MAX))
            }
            None => self.dice.id(charge_prefix(new.protocol), "", number),
        };
        let by_chance = doing.suffers(Mischief::Decline).then(|| {
            let why = [Decline::GenericDecline, Decline::InsufficientFunds, Decline::DoNotHonor];
            why[doing.rng.usize(..why.len())]
        });
        let decline = new.decline.or(by_chance);
        let settles_ms = self.settles_later(doing);
        let is_settled = settles_ms.is_none();
        let state = match (is_settled, decline) {
            (false, _) => ChargeState::Pending,
            (true, None) => ChargeState::Captured,
            (true, Some(_)) => ChargeState::Declined,
        };
        let charge = Charge {
            id,
            number,
            protocol: new.protocol,
            key: new.key,
            reference: new.reference,
            amount: new.amount,
            currency: new.currency,
            state,
            refunded: 0,
            refunding: 0,
            decline,
            created_ms: doing.now_ms,
            settles_ms,
            settled_ms: is_settled.then_some(doing.now_ms),
            changed_ms: doing.now_ms,
            description: new.description,
            payment_method: new.payment_method,
            metadata: new.metadata,
            mischiefs: of_callbacks(doing),
            is_ordered: doing.thrown.is_ordered,
        };
        self.book.keep_charge(charge.clone());
        self.schedule_settling(settles_ms, Task::SettleCharge(charge.id.clone()));
        let happened = Happened::of_charge(state);
        self.tell(happened, &charge.id, None, doing.now_ms, doing.answer_ms, Some(doing));
        charge
    }

    pub(crate) fn settle_charge(&mut self, id: &str, at_ms: Moment) {
        let Some(mut charge) = self.book.charge(id).filter(|charge| charge.state == ChargeState::Pending).cloned()
        else {
            return;
        };
        charge.state = if charge.decline.is_some() { ChargeState::Declined } else { ChargeState::Captured };
        (charge.settles_ms, charge.settled_ms, charge.changed_ms) = (None, Some(at_ms), at_ms);
        let happened = Happened::of_charge(charge.state);
        self.book.keep_charge(charge);
        self.tell(happened, id, None, at_ms, at_ms, None);
    }

    /// The charge has so much left that can be given back.
    pub(crate) fn refund(&mut self, new: NewRefund, doing: &mut Doing) -> Refund {
        let number = self.book.next_number();
        let id = match &new.key {
            Some(key) => {
                let place = self.book.refunds_under(new.protocol, key).count();
                self.dice.id("re_", key, place.try_into().unwrap_or(u64::MAX))
            }
            None => self.dice.id("re_", "", number),
        };
        let currency = self.book.charge(&new.charge).map(|charge| charge.currency.clone()).unwrap_or_default();
        let fails = doing.suffers(Mischief::Decline);
        let settles_ms = self.settles_later(doing);
        let is_settled = settles_ms.is_none();
        let refund = Refund {
            id,
            number,
            protocol: new.protocol,
            charge: new.charge,
            key: new.key,
            amount: new.amount,
            currency,
            state: RefundState::Pending,
            fails,
            created_ms: doing.now_ms,
            settles_ms,
            settled_ms: None,
            reason: new.reason,
            metadata: new.metadata,
            mischiefs: of_callbacks(doing),
            is_ordered: doing.thrown.is_ordered,
        };
        let id = refund.id.clone();
        self.book.keep_refund(refund);
        self.recount(&id, doing.now_ms);
        if is_settled {
            self.end_refund(&id, doing.now_ms, doing.answer_ms, Some(doing));
        } else {
            self.schedule_settling(settles_ms, Task::SettleRefund(id.clone()));
            let charge = self.book.refund(&id).map(|refund| refund.charge.clone()).unwrap_or_default();
            self.tell(Happened::RefundPending, &charge, Some(&id), doing.now_ms, doing.answer_ms, Some(doing));
        }
        self.book.refund(&id).cloned().expect("it was kept just now")
    }

    pub(crate) fn settle_refund(&mut self, id: &str, at_ms: Moment) {
        if self.book.refund(id).is_some_and(|refund| refund.state == RefundState::Pending) {
            self.end_refund(id, at_ms, at_ms, None);
        }
    }

    fn end_refund(&mut self, id: &str, at_ms: Moment, not_before_ms: Moment, doing: Option<&mut Doing>) {
        let Some(mut refund) = self.book.refund(id).cloned() else { return };
        refund.state = if refund.fails { RefundState::Failed } else { RefundState::Done };
        (refund.settles_ms, refund.settled_ms) = (None, Some(at_ms));
        let (happened, charge) = (Happened::of_refund(refund.state), refund.charge.clone());
        self.book.keep_refund(refund);
        self.recount(id, at_ms);
        self.tell(happened, &charge, Some(id), at_ms, not_before_ms, doing);
    }

    /// What a charge says of its refunds is what they say.
    fn recount(&mut self, refund: &str, at_ms: Moment) {
        let Some(mut charge) = self.book.refund(refund).and_then(|refund| self.book.charge(&refund.charge)).cloned()
        else {
            return;
        };
        let sum = |state| -> u64 {
            let of_state = self.book.refunds_of(&charge.id).filter(|refund| refund.state == state);
            of_state.map(|refund| refund.amount).sum()
        };
        (charge.refunded, charge.refunding) = (sum(RefundState::Done), sum(RefundState::Pending));
        charge.state = if charge.refunded == charge.amount { ChargeState::Refunded } else { ChargeState::Captured };
        charge.changed_ms = at_ms;
        self.book.keep_charge(charge);
    }

    fn settles_later(&self, doing: &mut Doing) -> Option<Moment> {
        let later = doing.suffers(Mischief::SettleLater);
        later.then(|| plus(doing.answer_ms, within(&mut doing.rng, self.mood.timing.settle_ms)))
    }

    fn schedule_settling(&mut self, settles_ms: Option<Moment>, task: Task) {
        if let Some(at_ms) = settles_ms {
            self.later(at_ms, task);
        }
    }
}

const fn charge_prefix(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Plain => "ch_",
        Protocol::Stripe => "pi_",
    }
}

fn of_callbacks(doing: &Doing) -> BTreeSet<Mischief> {
    doing.thrown.mischiefs.iter().copied().filter(|mischief| mischief.group() == Group::Callback).collect()
}
