//! What is told to whoever was charged for: what happened as an event, the copies of it that are sent, and when.

use std::collections::BTreeSet;

use bytes::Bytes;
use fastrand::Rng;
use http::{Method, Request};

use crate::book::{Attempt, Charge, ChargeState, Event, EventCopy, Protocol, Refund, RefundState};
use crate::dice::{happens, within};
use crate::gateway::{Callback, CallbackId, Doing, Gateway, Moment, Task, plus};
use crate::mood::{Group, Mischief};
use crate::signing::{self, Signs};
use crate::{plain, stripe};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    ChargePending,
    ChargeCaptured,
    ChargeDeclined,
    RefundPending,
    RefundDone,
    RefundFailed,
}

impl Happened {
    pub(crate) const fn of_charge(state: ChargeState) -> Self {
        match state {
            ChargeState::Pending => Self::ChargePending,
            ChargeState::Captured | ChargeState::Refunded => Self::ChargeCaptured,
            ChargeState::Declined => Self::ChargeDeclined,
        }
    }

    pub(crate) const fn of_refund(state: RefundState) -> Self {
        match state {
            RefundState::Pending => Self::RefundPending,
            RefundState::Done => Self::RefundDone,
            RefundState::Failed => Self::RefundFailed,
        }
    }
}

/// What an event says, in the words of its protocol.
pub(crate) struct Said<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) at_ms: Moment,
    pub(crate) charge: &'a Charge,
    pub(crate) refund: Option<&'a Refund>,
}

impl Said<'_> {
    fn body(&self) -> String {
        match self.charge.protocol {
            Protocol::Plain => plain::event(self).to_string(),
            Protocol::Stripe => stripe::event(self).to_string(),
        }
    }

    /// The same, of money that may not be what it was.
    fn of_other_money(&self, amount: impl Fn(u64) -> u64, currency: impl Fn(&str) -> String) -> String {
        let mut charge = self.charge.clone();
        (charge.amount, charge.currency) = (amount(charge.amount), currency(&charge.currency));
        let refund = self.refund.cloned().map(|mut refund| {
            (refund.amount, refund.currency) = (amount(refund.amount), currency(&refund.currency));
            refund
        });
        Said { charge: &charge, refund: refund.as_ref(), ..*self }.body()
    }
}

impl Gateway {
    /// Tells what happened at `at_ms`: not before `not_before_ms`, unless it is to come before the answer to what is
    /// being done.
    pub(crate) fn tell(
        &mut self,
        happened: Happened,
        charge: &str,
        refund: Option<&str>,
        at_ms: Moment,
        not_before_ms: Moment,
        mut doing: Option<&mut Doing>,
    ) {
        let Some(charge) = self.book.charge(charge).cloned() else { return };
        let refund = refund.and_then(|refund| self.book.refund(refund)).cloned();
        let (ordered, is_ordered) = match &refund {
            Some(refund) => (&refund.mischiefs, refund.is_ordered),
            None => (&charge.mischiefs, charge.is_ordered),
        };
        let kinds = match charge.protocol {
            Protocol::Plain => plain::event_kinds(happened),
            Protocol::Stripe => stripe::event_kinds(happened),
        };
        for kind in kinds {
            let number = self.book.next_number();
            let place = self.book.events_of(&charge.id).count().try_into().unwrap_or(u64::MAX);
            let id = self.dice.id("evt_", &charge.id, place);
            let mut rng = self.dice.at(&id, 0);
            let mischiefs = if is_ordered { ordered.clone() } else { self.thrown_for_callback(&mut rng) };
            let said = Said { id: &id, kind, at_ms, charge: &charge, refund: refund.as_ref() };
            let early = doing.as_deref_mut().filter(|_| mischiefs.contains(&Mischief::CallbackEarly));
            let first_ms = self.first_due_ms(&mischiefs, &mut rng, at_ms, not_before_ms, early);
            let mut copies = self.copies(&said, &mischiefs, &mut rng, first_ms);
            if self.settings.callback_url.is_none() {
                copies.iter_mut().for_each(|copy| copy.due_ms = None);
            }
            if copies.iter().any(|copy| !copy.is_held) {
                let after_ms = within(&mut rng, self.mood.timing.callback_ms) + 1;
                self.release_held(&charge.id, plus(first_ms, after_ms));
            }
            for (copy, due_ms) in copies.iter().enumerate().filter_map(|(place, copy)| Some((place, copy.due_ms?))) {
                self.later(due_ms, Task::Send { event: id.clone(), copy });
            }
            self.book.keep_event(Event {
                number,
                protocol: charge.protocol,
                kind: (*kind).to_owned(),
                charge: charge.id.clone(),
                refund: refund.as_ref().map(|refund| refund.id.clone()),
                created_ms: at_ms,
                mischiefs,
                copies,
                id,
            });
        }
    }

    fn thrown_for_callback(&self, rng: &mut Rng) -> BTreeSet<Mischief> {
        let of_callbacks = Mischief::ALL.into_iter().filter(|mischief| mischief.group() == Group::Callback);
        of_callbacks.filter(|mischief| happens(rng, self.mood.rate(*mischief))).collect()
    }

    /// When the first copy is due, unless it is held back. One that is early puts the answer off.
    fn first_due_ms(
        &self,
        mischiefs: &BTreeSet<Mischief>,
        rng: &mut Rng,
        at_ms: Moment,
        not_before_ms: Moment,
        early: Option<&mut Doing>,
    ) -> Moment {
        let timing = &self.mood.timing;
        let due_ms = match early {
            None => plus(not_before_ms, within(rng, timing.callback_ms)),
            Some(doing) => {
                doing.answer_ms = doing.answer_ms.max(plus(at_ms, within(rng, timing.early_ms)));
                at_ms
            }
        };
        let is_late = mischiefs.contains(&Mischief::CallbackLate);
        if is_late { plus(due_ms, within(rng, timing.callback_late_ms)) } else { due_ms }
    }

    fn copies(
        &self,
        said: &Said<'_>,
        mischiefs: &BTreeSet<Mischief>,
        rng: &mut Rng,
        first_ms: Moment,
    ) -> Vec<EventCopy> {
        let suffers = |mischief| mischiefs.contains(&mischief);
        if suffers(Mischief::CallbackNever) {
            return Vec::new();
        }
        let timing = &self.mood.timing;
        let signs = if suffers(Mischief::CallbackBadSignature) {
            Signs::Wrongly
        } else if suffers(Mischief::CallbackStale) {
            Signs::Stale
        } else {
            Signs::Rightly
        };
        let wrong_amount = suffers(Mischief::CallbackWrongAmount);
        let wrong_currency = suffers(Mischief::CallbackWrongCurrency);
        let amount = |amount: u64| if wrong_amount { other_amount(amount) } else { amount };
        let currency = |code: &str| if wrong_currency { other_currency(code) } else { code.to_owned() };
        let body = said.of_other_money(amount, currency);
        // The one that another waits for is not held back itself.
        let is_waited_for = self.book.events_of(&said.charge.id).any(|event| event.copies.iter().any(waits));
        let is_held = suffers(Mischief::CallbackOutOfOrder) && !is_waited_for;
        let first_ms = if is_held { plus(first_ms, within(rng, timing.callback_late_ms)) } else { first_ms };
        let copy = EventCopy { body, signs, repeats: true, is_held, due_ms: Some(first_ms), attempts: Vec::new() };
        let mut copies = vec![copy.clone()];
        if suffers(Mischief::CallbackTwice) {
            let due_ms = Some(plus(first_ms, within(rng, timing.callback_ms)));
            copies.push(EventCopy { due_ms, ..copy.clone() });
        }
        if suffers(Mischief::CallbackAltered) {
            let body = said.of_other_money(|amount| other_amount(other_amount(amount)), str::to_owned);
            let due_ms = Some(plus(first_ms, within(rng, timing.callback_ms)));
            copies.push(EventCopy { body, due_ms, repeats: false, ..copy });
        }
        copies
    }

    /// What waited for a later event of its charge goes after it.
    fn release_held(&mut self, charge: &str, at_ms: Moment) {
        let held: Vec<_> =
            self.book.events_of(charge).filter(|event| event.copies.iter().any(waits)).cloned().collect();
        for mut event in held {
            for (place, copy) in event.copies.iter_mut().enumerate().filter(|(_, copy)| waits(copy)) {
                (copy.due_ms, copy.is_held) = (Some(at_ms), false);
                self.later(at_ms, Task::Send { event: event.id.clone(), copy: place });
            }
            self.book.keep_event(event);
        }
    }

    pub(crate) fn send(&mut self, event: &str, copy: usize, at_ms: Moment, now_ms: Moment) {
        let Some(mut event) = self.book.event(event).cloned() else { return };
        let Some(sent) = event.copies.get_mut(copy) else { return };
        // It was put off, or brought forward.
        if sent.due_ms != Some(at_ms) {
            return;
        }
        if let Some(outage) = self.outage_at(now_ms) {
            sent.due_ms = Some(outage.until_ms);
            self.later(outage.until_ms, Task::Send { event: event.id.clone(), copy });
            self.book.keep_event(event);
            return;
        }
        let Some(url) = self.settings.callback_url.clone() else { return };
        let attempt = sent.attempts.len();
        let signs = if attempt == 0 { sent.signs } else { Signs::Rightly };
        let headers = signing::headers(&self.settings, event.protocol, signs, &event.id, now_ms, &sent.body);
        let mut request = Request::new(Bytes::from(sent.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().expect("what is a url is a uri");
        *request.headers_mut() = headers;
        sent.due_ms = None;
        sent.attempts.push(Attempt { at_ms: now_ms, status: None });
        self.outbox.push(Callback { id: CallbackId { event: event.id.clone(), copy, attempt }, request });
        self.book.keep_event(event);
    }

    /// How a callback was answered; None is that it was not. It is sent again until it is taken with a 2xx, or given up.
    pub fn delivered(&mut self, now_ms: Moment, callback: &CallbackId, status: Option<u16>) {
        let Some(mut event) = self.book.event(&callback.event).cloned() else { return };
        let Some(copy) = event.copies.get_mut(callback.copy) else { return };
        if callback.attempt + 1 != copy.attempts.len() || copy.due_ms.is_some() {
            return;
        }
        let Some(attempt) = copy.attempts.last_mut() else { return };
        attempt.status = status;
        let pause_ms = self.mood.timing.callback_retries_ms.get(callback.attempt);
        if let (false, true, Some(pause_ms)) = (is_taken(status), copy.repeats, pause_ms) {
            let due_ms = plus(now_ms, *pause_ms);
            copy.due_ms = Some(due_ms);
            self.later(due_ms, Task::Send { event: event.id.clone(), copy: callback.copy });
        }
        self.book.keep_event(event);
    }

    /// After a stop: what was to be sent still is, and what was on its way goes again, since nobody knows what became of
    /// it.
    pub(crate) fn send_what_was_on_its_way(&mut self, now_ms: Moment) {
        let most = self.mood.timing.callback_retries_ms.len();
        let events: Vec<_> = self.book.events().cloned().collect();
        for mut event in events {
            let mut is_changed = false;
            for (place, copy) in event.copies.iter_mut().enumerate() {
                let lost = copy.attempts.last().is_some_and(|last| !is_taken(last.status));
                if copy.due_ms.is_none() && lost && copy.repeats && copy.attempts.len() <= most {
                    copy.due_ms = Some(now_ms);
                    is_changed = true;
                }
                if let Some(due_ms) = copy.due_ms {
                    self.later(due_ms, Task::Send { event: event.id.clone(), copy: place });
                }
            }
            if is_changed {
                self.book.keep_event(event);
            }
        }
    }
}

/// For the next event of its charge.
fn waits(copy: &EventCopy) -> bool {
    copy.is_held && copy.due_ms.is_some() && copy.attempts.is_empty()
}

fn is_taken(status: Option<u16>) -> bool {
    status.is_some_and(|status| (200..300).contains(&status))
}

const fn other_amount(amount: u64) -> u64 {
    amount + 100
}

fn other_currency(code: &str) -> String {
    if code == "USD" { "EUR".to_owned() } else { "USD".to_owned() }
}
