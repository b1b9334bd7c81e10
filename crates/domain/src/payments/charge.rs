//! Calling the gateway for a payment's money.

use super::breaker::{self, Admitted};
use super::call::{ACCEPTED, Answer, Attempt, Begun, CALL, Call, GatewayMessage, Meaning, Next};
use super::gateway::{Reported, ReportedState};
use super::{Doubt, Limits, Payment, PaymentState, Said};
use crate::books::{Draft, Halt, Key};
use crate::ids::PaymentId;
use crate::{Millis, Outcome, Timestamp, planted};

impl Payment {
    /// Whether the gateway is called about it.
    const fn is_called_about(&self) -> bool {
        matches!(self.state, PaymentState::Pending | PaymentState::Unknown)
    }

    /// Whether what was not sent may still be.
    fn may_be_sent(&self, now: Timestamp) -> bool {
        !self.withdrawn && self.deadline.is_none_or(|deadline| now < deadline)
    }

    /// Takes in what its gateway reports, and leaves its order alone.
    pub(super) fn report(&mut self, draft: &mut Draft<'_>, reported: &Reported, now: Timestamp) -> Result<(), Halt> {
        self.gateway_ref = self.gateway_ref.take().or_else(|| reported.reference.clone());
        if reported.state == ReportedState::Refunded {
            return self.gave_back(draft, reported, now);
        }
        self.call.is_there = true;
        if !reported.is_of(self.amount, self.currency) {
            let doubt = Doubt::OtherMoney { amount: reported.amount, currency: reported.currency };
            return self.doubt(draft, doubt, now);
        }
        match reported.state {
            ReportedState::Captured => self.capture(draft, now)?,
            ReportedState::Declined => self.hear(draft, Said::Declined, now)?,
            ReportedState::Pending | ReportedState::Refunded => {
                self.hear(draft, Said::Accepted, now)?;
                self.look_at = self.look_at.or(Some(now.after(ACCEPTED)));
            }
        }
        self.keep(draft, now)
    }

    /// The gateway says how much of it has gone back in all. Our own refunds are known; more than those is nobody's.
    fn gave_back(&mut self, draft: &mut Draft<'_>, reported: &Reported, now: Timestamp) -> Result<(), Halt> {
        let ours = self.refunded.checked_add(self.going_back);
        let is_ours = |amount| reported.currency == Some(self.currency) && ours.is_some_and(|ours| amount <= ours);
        match reported.amount {
            Some(amount) if is_ours(amount) => self.keep(draft, now),
            Some(amount) => self.doubt(draft, Doubt::GivenBackUnasked { amount }, now),
            None => self.doubt(draft, Doubt::OtherMoney { amount: None, currency: reported.currency }, now),
        }
    }

    fn review(&mut self, draft: &mut Draft<'_>, doubt: Doubt, now: Timestamp) -> Result<(), Halt> {
        self.look_at = None;
        self.doubt(draft, doubt, now)
    }

    /// Its time is up, and the gateway does not know it.
    fn lapse(&mut self, draft: &mut Draft<'_>, now: Timestamp) -> Result<(), Halt> {
        self.hear(draft, Said::Lapsed, now)?;
        self.keep(draft, now)?;
        self.then_order(draft, now)
    }

    /// What is to be done next about it, by a message; or it is over.
    pub(super) fn go_on(&mut self, draft: &mut Draft<'_>, pause: Millis, now: Timestamp) -> Result<(), Halt> {
        let Some(gateway) = self.gateway else { return Ok(()) };
        let next = self.call.next(gateway, self.gateway_ref.is_some(), self.may_be_sent(now), now);
        match if planted!(WithdrawnUnasked) && self.withdrawn { Next::Lapse } else { next } {
            Next::Call(_) => self.due(draft, (self.gateway_key(), self.call.attempts), pause, now),
            Next::Lapse => self.lapse(draft, now),
            Next::Review => self.review(draft, Doubt::TooOld { key: self.gateway_key() }, now),
        }
    }

    /// An attempt came to nothing, or may have arrived all the same.
    pub(super) fn fail(&mut self, draft: &mut Draft<'_>, chance: u64, now: Timestamp) -> Result<(), Halt> {
        if let Some(pause) = self.call.fail(chance) {
            return self.go_on(draft, pause, now);
        }
        if self.call.in_doubt.is_some() {
            self.hear(draft, Said::Unheard, now)?;
        }
        self.look_at = Some(now.after(self.call.look_after(chance)));
        self.keep(draft, now)
    }
}

pub(super) fn begin(
    draft: &mut Draft<'_>,
    id: PaymentId,
    message: &GatewayMessage,
    limits: &Limits,
    chance: u64,
    now: Timestamp,
) -> Result<Begun, Halt> {
    let asked_for = |payment: &Payment| payment.is_called_about() && payment.call.is_free_for(message);
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(id))?.filter(asked_for) else {
        return Ok(Begun::Nothing);
    };
    let Some(gateway) = payment.gateway else { return Ok(Begun::Nothing) };
    let reference = payment.gateway_ref.clone();
    let call = match payment.call.next(gateway, reference.is_some(), payment.may_be_sent(now), now) {
        Next::Call(call) => call,
        Next::Lapse | Next::Review => {
            payment.go_on(draft, Millis(0), now)?;
            return Ok(Begun::Nothing);
        }
    };
    if let Admitted::NotUntil(until) = breaker::admit(draft, gateway, message.key, limits, now)? {
        payment.look_at = Some(payment.call.put_off(until, chance));
        payment.keep(draft, now)?;
        return Ok(Begun::PutOff);
    }
    payment.call.begin(call, now);
    payment.look_at = Some(now.after(CALL));
    payment.keep(draft, now)?;
    let (key, number) = (message.key, payment.call.attempts);
    let (amount, currency) = (payment.amount, payment.currency);
    Ok(Begun::Call(Attempt { key, number, call, gateway, amount, currency, reference, charge: None }))
}

pub(super) fn settle(
    draft: &mut Draft<'_>,
    id: PaymentId,
    number: u32,
    answer: &Answer,
    chance: u64,
    now: Timestamp,
) -> Result<Outcome<()>, Halt> {
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(id))? else { return Ok(Outcome::AlreadyDone(())) };
    let is_its_own = payment.call.since.is_some() && payment.call.attempts == number;
    let meaning = answer.meaning();
    if !is_its_own && !matches!(meaning, Meaning::Reported(_)) {
        return Ok(Outcome::AlreadyDone(()));
    }
    match meaning {
        Meaning::Reported(reported) => {
            if is_its_own {
                payment.call.heard(true);
                if payment.is_called_about() {
                    payment.look_at = Some(now.after(ACCEPTED));
                }
            }
            payment.report(draft, &reported, now)?;
            payment.then_order(draft, now)?;
        }
        Meaning::NotThere => {
            payment.call.heard(false);
            if payment.is_called_about() {
                payment.go_on(draft, Millis(0), now)?;
            }
            payment.keep(draft, now)?;
        }
        Meaning::Declined => {
            payment.call.heard(true);
            payment.hear(draft, Said::Declined, now)?;
            payment.keep(draft, now)?;
            payment.then_order(draft, now)?;
        }
        Meaning::KeyRefused => {
            payment.call.since = None;
            payment.review(draft, Doubt::KeyRefused { key: payment.gateway_key() }, now)?;
        }
        Meaning::NotUnderstood(status) => {
            payment.call.since = None;
            payment.review(draft, Doubt::NotUnderstood { key: payment.gateway_key(), status }, now)?;
        }
        Meaning::PutOff(pause) => {
            payment.call.did_not_arrive(number);
            if payment.is_called_about() {
                payment.go_on(draft, pause, now)?;
            }
            payment.keep(draft, now)?;
        }
        Meaning::Failed { may_have_arrived } => {
            if !may_have_arrived {
                payment.call.did_not_arrive(number);
            }
            payment.call.since = None;
            if payment.is_called_about() {
                payment.fail(draft, chance, now)?;
            }
            payment.keep(draft, now)?;
        }
    }
    Ok(Outcome::Done(()))
}

/// So that a table of what begins can be read.
impl Begun {
    pub const fn call(&self) -> Option<Call> {
        match self {
            Self::Call(attempt) => Some(attempt.call),
            Self::PutOff | Self::Nothing => None,
        }
    }
}
