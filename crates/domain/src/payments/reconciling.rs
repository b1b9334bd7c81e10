//! A gateway's own report of what it charged and gave back, held against what is kept here. Nothing is booked by it: what
//! differs is for a person.
//!
//! The lines of the report are held, the payments go by one at a time in any order; so it takes the memory of the report
//! and of what differs, however many payments there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Gateway, GatewayKey, Payment, Refund, Stub};
use crate::books::Item;
use crate::events::Told;
use crate::ids::{PaymentId, RefundId};
use crate::{Amount, Currency, Timestamp};

/// What kind of movement of money it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    Charge,
    Refund,
}

impl Moved {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Charge, Self::Refund].into_iter().find(|moved| moved.name() == name)
    }
}

/// One movement of money, as a gateway reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLine {
    /// Where in the report it stands.
    pub line: u64,
    pub moved: Moved,
    /// What the gateway calls it, and the charge that it is or gives back.
    pub id: String,
    pub charge: String,
    /// The idempotency key that it was made with.
    pub key: Option<String>,
    pub reference: Option<String>,
    pub amount: Amount,
    pub currency: Currency,
    pub at: Timestamp,
}

impl ReportLine {
    /// What of ours it is: by its key; or, of a charge, by what it is for, whatever key it was made under.
    fn subject(&self) -> Option<GatewayKey> {
        let by_key = self.key.as_deref().and_then(GatewayKey::parse);
        match (self.moved, by_key) {
            (Moved::Charge, Some(key @ GatewayKey::Charge(_))) | (Moved::Refund, Some(key @ GatewayKey::Refund(_))) => {
                Some(key)
            }
            (Moved::Charge, None) => self.reference.as_deref().and_then(PaymentId::parse).map(GatewayKey::Charge),
            _ => None,
        }
    }
}

/// The time that a report is of, from the one on and before the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Falls {
    Within,
    /// It may stand in this report or in the one beside it.
    OnTheEdge,
    Outside,
}

impl Window {
    /// When the gateway moved money is not known here; only that it was after it was asked to, and before we knew.
    fn falls(self, asked: Timestamp, known: Timestamp) -> Falls {
        let is_after = |at: Timestamp| self.from.is_none_or(|from| at >= from);
        let is_before = |at: Timestamp| self.to.is_none_or(|to| at < to);
        if !is_after(known) || !is_before(asked) {
            Falls::Outside
        } else if is_after(asked) && is_before(known) {
            Falls::Within
        } else {
            Falls::OnTheEdge
        }
    }
}

/// How the two sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Differs {
    /// It was captured or given back here, and the gateway does not report it.
    Missing,
    /// The gateway reports it, and here it is not known, or was not captured or given back.
    Extra,
    /// The gateway reports more than one of it.
    Twice,
    Amount,
    Currency,
}

impl Differs {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Twice => "twice",
            Self::Amount => "amount",
            Self::Currency => "currency",
        }
    }
}

/// Our side of a movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    pub key: GatewayKey,
    /// Of what; a report on what is not there has none.
    pub payment: Option<PaymentId>,
    pub state: &'static str,
    pub money: Option<(Amount, Currency)>,
    /// When it was known here.
    pub at: Option<Timestamp>,
}

/// One thing that differs, with both sides as far as there are two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub differs: Differs,
    pub moved: Moved,
    pub ours: Option<Ours>,
    pub theirs: Option<ReportLine>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub charges: usize,
    pub refunds: usize,
    /// Movements that both sides have alike.
    pub agree: usize,
    /// Ours that are not in this report and may stand in the one before or after it.
    pub on_the_edge: usize,
    pub differences: Vec<Difference>,
}

/// A refund, as the timeline of its payment has it.
struct Back {
    begun: Timestamp,
    /// When, and whether it was given back.
    ended: Option<(Timestamp, bool)>,
    amount: Amount,
}

/// A report, and what of ours went by.
#[derive(Debug, Default)]
pub struct Reconciling {
    window: Window,
    /// The gateway whose report it is, if only its payments are to be held against it.
    gateway: Option<Gateway>,
    lines: Vec<ReportLine>,
    by_subject: BTreeMap<GatewayKey, Vec<usize>>,
    /// Lines that name nothing of ours; the gateway's own name may be known here.
    by_id: BTreeMap<String, Vec<usize>>,
    held: BTreeSet<usize>,
    /// What is known of lines that nothing of ours answers to.
    known: BTreeMap<usize, Ours>,
    /// Refunds that no line names; one may yet turn out to be by the gateway's own name.
    unnamed: BTreeMap<RefundId, (Ours, Falls)>,
    called: BTreeMap<RefundId, Vec<usize>>,
    done: Reconciled,
}

impl Reconciling {
    pub fn new(gateway: Option<Gateway>, window: Window) -> Self {
        Self { gateway, window, ..Self::default() }
    }

    /// Takes a line of the report. All of them come before the first of ours.
    pub fn line(&mut self, line: ReportLine) {
        let place = self.lines.len();
        match line.moved {
            Moved::Charge => self.done.charges += 1,
            Moved::Refund => self.done.refunds += 1,
        }
        match line.subject() {
            Some(subject) => self.by_subject.entry(subject).or_default().push(place),
            None => self.by_id.entry(line.id.clone()).or_default().push(place),
        }
        self.lines.push(line);
    }

    /// Takes one of ours, in any order; what money does not move by is passed over.
    pub fn see(&mut self, item: &Item) {
        match item {
            Item::Payment(payment) => self.see_payment(payment),
            Item::Refund(refund) => self.see_refund(refund),
            Item::Stub(stub) => self.see_stub(stub),
            _ => {}
        }
    }

    fn see_payment(&mut self, payment: &Payment) {
        let key = payment.gateway_key();
        let mut places = self.by_subject.get(&key).cloned().unwrap_or_default();
        let called = payment.gateway_ref.as_ref().and_then(|called| self.by_id.get(called.as_str()));
        places.extend(called.into_iter().flatten().copied().filter(|place| self.lines[*place].moved == Moved::Charge));
        // Of several the one that the payment itself was made with is the one.
        places.sort_by_key(|place| {
            let line = &self.lines[*place];
            let is_called = payment.gateway_ref.as_ref().is_some_and(|called| called.as_str() == line.id);
            (!is_called, line.key.as_deref().and_then(GatewayKey::parse) != Some(key), *place)
        });
        let is_its_gateways = payment.gateway.is_some_and(|gateway| self.gateway.is_none_or(|only| only == gateway));
        let mut refunds: BTreeMap<RefundId, Back> = BTreeMap::new();
        let mut captured_at = None;
        for passage in &payment.timeline {
            match passage.told {
                Told::MoneyCaptured { .. } => captured_at = Some(passage.at),
                Told::RefundBegun { refund, amount } => {
                    refunds.insert(refund, Back { begun: passage.at, ended: None, amount });
                }
                Told::RefundEnded { refund, given_back, .. } => {
                    if let Some(back) = refunds.get_mut(&refund) {
                        back.ended = Some((passage.at, given_back));
                    }
                }
                _ => {}
            }
        }
        let money = |amount| Some((amount, payment.currency));
        let (id, state) = (payment.id, payment.state.name());
        let ours = Ours {
            key,
            payment: Some(id),
            state,
            money: money(payment.captured.unwrap_or(payment.amount)),
            at: captured_at,
        };
        match payment.captured {
            // What no minor unit was captured of moved nothing.
            Some(captured) if is_its_gateways && !captured.is_zero() => {
                let known = captured_at.unwrap_or(payment.created_at);
                self.hold(ours, &places, self.window.falls(payment.created_at, known));
            }
            _ => self.know(&ours, &places),
        }
        for (refund, Back { begun, ended, amount }) in refunds {
            let key = GatewayKey::Refund(refund);
            let places = self.by_subject.get(&key).cloned().unwrap_or_default();
            let (state, at) = match ended {
                None => ("on its way", None),
                Some((at, true)) => ("given back", Some(at)),
                Some((at, false)) => ("kept", Some(at)),
            };
            let ours = Ours { key, payment: Some(id), state, money: money(amount), at };
            match ended {
                Some((_, true)) if is_its_gateways && places.is_empty() => {
                    let falls = self.window.falls(begun, at.unwrap_or(begun));
                    if falls != Falls::Outside || !self.by_id.is_empty() {
                        self.unnamed.insert(refund, (ours, falls));
                    }
                }
                Some((_, true)) if is_its_gateways => self.hold(ours, &places, Falls::Within),
                _ => self.know(&ours, &places),
            }
        }
    }

    fn see_refund(&mut self, refund: &Refund) {
        let called = refund.gateway_ref.as_ref().and_then(|called| self.by_id.get(called.as_str()));
        let is_refund = |place: &usize| self.lines[*place].moved == Moved::Refund;
        let places: Vec<usize> = called.into_iter().flatten().copied().filter(is_refund).collect();
        if !places.is_empty() {
            self.called.insert(refund.id, places);
        }
    }

    fn see_stub(&mut self, stub: &Stub) {
        let places = self.by_subject.get(&stub.of).cloned().unwrap_or_default();
        let ours = Ours { key: stub.of, payment: None, state: "reported, and not there", money: None, at: None };
        self.know(&ours, &places);
    }

    /// Lines of what moved nothing here.
    fn know(&mut self, ours: &Ours, places: &[usize]) {
        self.known.extend(places.iter().map(|place| (*place, ours.clone())));
    }

    /// Holds what moved here against what the gateway reports of it.
    fn hold(&mut self, ours: Ours, places: &[usize], falls: Falls) {
        let moved = match ours.key {
            GatewayKey::Charge(_) => Moved::Charge,
            GatewayKey::Refund(_) => Moved::Refund,
        };
        self.held.extend(places);
        let Some((first, others)) = places.split_first() else {
            match falls {
                Falls::Within => self.differ(Differs::Missing, moved, Some(ours), None),
                Falls::OnTheEdge => self.done.on_the_edge += 1,
                Falls::Outside => {}
            }
            return;
        };
        let line = self.lines[*first].clone();
        let (amount, currency) = ours.money.unwrap_or((line.amount, line.currency));
        let (is_amount, is_currency) = (amount == line.amount, currency == line.currency);
        if !is_currency {
            self.differ(Differs::Currency, moved, Some(ours.clone()), Some(line.clone()));
        }
        if !is_amount {
            self.differ(Differs::Amount, moved, Some(ours.clone()), Some(line));
        }
        self.done.agree += usize::from(is_amount && is_currency);
        for place in others {
            let line = self.lines[*place].clone();
            self.differ(Differs::Twice, moved, Some(ours.clone()), Some(line));
        }
    }

    fn differ(&mut self, differs: Differs, moved: Moved, ours: Option<Ours>, theirs: Option<ReportLine>) {
        self.done.differences.push(Difference { differs, moved, ours, theirs });
    }

    /// The end, when all of ours went by: in the order of the report, and then what is not in it.
    pub fn finish(mut self) -> Reconciled {
        for (refund, (ours, falls)) in std::mem::take(&mut self.unnamed) {
            let places = self.called.remove(&refund).unwrap_or_default();
            self.hold(ours, &places, falls);
        }
        for (place, line) in std::mem::take(&mut self.lines).into_iter().enumerate() {
            if !self.held.contains(&place) {
                let ours = self.known.remove(&place);
                self.differ(Differs::Extra, line.moved, ours, Some(line));
            }
        }
        let Reconciled { mut differences, .. } = self.done;
        differences.sort_by_key(|difference| {
            let line = difference.theirs.as_ref().map_or(u64::MAX, |line| line.line);
            (line, difference.ours.as_ref().map(|ours| ours.key), difference.differs)
        });
        Reconciled { differences, ..self.done }
    }
}
