//! What the gateway did, as it knows it: the judge of whoever says otherwise.
//!
//! Nothing is taken back from it. A charge under a key that was forgotten is another charge under the same key, and the
//! book has both.

mod findings;
pub(crate) mod journal;
mod report;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

pub use self::findings::Finding;
use self::findings::Suspect;
pub use self::journal::Unreadable;
use crate::mood::{CallKind, Mischief};
use crate::signing::Signs;

/// Whose API was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Plain,
    Stripe,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stripe => "stripe",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeState {
    Pending,
    Captured,
    Declined,
    /// All of it was given back.
    Refunded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    Pending,
    Done,
    Failed,
}

/// Why a bank says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decline {
    GenericDecline,
    InsufficientFunds,
    DoNotHonor,
}

impl Decline {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GenericDecline => "generic_decline",
            Self::InsufficientFunds => "insufficient_funds",
            Self::DoNotHonor => "do_not_honor",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub id: String,
    /// Counted from 0 in the order in which they were made, refunds and events included.
    pub number: u64,
    pub protocol: Protocol,
    pub key: Option<String>,
    pub reference: Option<String>,
    /// In the currency's minor unit.
    pub amount: u64,
    /// Upper case.
    pub currency: String,
    pub state: ChargeState,
    /// What was given back, and what is on its way.
    pub refunded: u64,
    pub refunding: u64,
    /// Why it is declined, or will be once it settles.
    pub decline: Option<Decline>,
    pub created_ms: i64,
    /// When it ends being pending.
    pub settles_ms: Option<i64>,
    pub settled_ms: Option<i64>,
    pub changed_ms: i64,
    pub description: Option<String>,
    pub payment_method: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// What was asked for it by name; what befalls its callbacks by the mood is thrown for each.
    pub mischiefs: BTreeSet<Mischief>,
    /// Whether the mood has no say in it.
    pub is_ordered: bool,
}

impl Charge {
    /// Whether its money was taken, wherever it is now.
    pub fn was_captured(&self) -> bool {
        matches!(self.state, ChargeState::Captured | ChargeState::Refunded)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub id: String,
    pub number: u64,
    pub protocol: Protocol,
    pub charge: String,
    pub key: Option<String>,
    pub amount: u64,
    pub currency: String,
    pub state: RefundState,
    pub fails: bool,
    pub created_ms: i64,
    pub settles_ms: Option<i64>,
    pub settled_ms: Option<i64>,
    pub reason: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub mischiefs: BTreeSet<Mischief>,
    pub is_ordered: bool,
}

/// Something to be told, and the copies of it that are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub number: u64,
    pub protocol: Protocol,
    /// As it is on the wire, such as `charge.captured`.
    pub kind: String,
    pub charge: String,
    pub refund: Option<String>,
    pub created_ms: i64,
    pub mischiefs: BTreeSet<Mischief>,
    pub copies: Vec<EventCopy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCopy {
    pub body: String,
    /// How its first attempt is signed.
    pub signs: Signs,
    /// Whether it is sent again when it was not taken.
    pub repeats: bool,
    /// Whether it waits for the next event of its charge.
    pub is_held: bool,
    /// When it is sent next. None is that it is over, or on its way.
    pub due_ms: Option<i64>,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at_ms: i64,
    /// How it was answered. None is that it was not, or not yet.
    pub status: Option<u16>,
}

/// What a key stands for, for as long as it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptKey {
    pub(crate) protocol: Protocol,
    pub(crate) key: String,
    /// What was asked for.
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) kept_ms: i64,
    /// Until then the first request is still being answered.
    pub(crate) busy_until_ms: i64,
}

/// A request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    pub at_ms: i64,
    pub protocol: Protocol,
    pub kind: CallKind,
    pub method: String,
    pub path: String,
    pub key: Option<String>,
    /// What went wrong with the call itself.
    pub mischief: Option<Mischief>,
    /// Whether nobody was there to answer.
    pub in_outage: bool,
    /// Whether this is the arrival of one that was late.
    pub is_arrival: bool,
    pub is_replay: bool,
    /// None is that no answer was given.
    pub status: Option<u16>,
    pub after_ms: u64,
}

#[derive(Default)]
pub struct Book {
    charges: BTreeMap<String, Charge>,
    refunds: BTreeMap<String, Refund>,
    events: BTreeMap<String, Event>,
    keys: BTreeMap<(Protocol, String), KeptKey>,
    calls: VecDeque<Call>,
    calls_forgotten: u64,
    asked: BTreeMap<(Protocol, CallKind, String), u64>,
    charges_by_key: BTreeMap<(Protocol, String), Vec<String>>,
    charges_by_reference: BTreeMap<(Protocol, String), Vec<String>>,
    refunds_by_key: BTreeMap<(Protocol, String), Vec<String>>,
    refunds_by_charge: BTreeMap<String, Vec<String>>,
    events_by_charge: BTreeMap<String, Vec<String>>,
    suspects: BTreeSet<Suspect>,
    pub(crate) numbers: u64,
    pub(crate) journal: Option<Vec<String>>,
}

impl Book {
    pub fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.charges.values()
    }

    pub fn charge(&self, id: &str) -> Option<&Charge> {
        self.charges.get(id)
    }

    /// All that were ever made under a key, in the order in which they were.
    pub fn charges_under(&self, protocol: Protocol, key: &str) -> impl Iterator<Item = &Charge> {
        let ids = self.charges_by_key.get(&(protocol, key.to_owned()));
        ids.into_iter().flatten().filter_map(|id| self.charges.get(id))
    }

    /// All that were ever made for what the caller calls by this name, under whatever keys.
    pub fn charges_for(&self, protocol: Protocol, reference: &str) -> impl Iterator<Item = &Charge> {
        let ids = self.charges_by_reference.get(&(protocol, reference.to_owned()));
        ids.into_iter().flatten().filter_map(|id| self.charges.get(id))
    }

    pub fn refunds(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.values()
    }

    pub fn refund(&self, id: &str) -> Option<&Refund> {
        self.refunds.get(id)
    }

    pub fn refunds_under(&self, protocol: Protocol, key: &str) -> impl Iterator<Item = &Refund> {
        let ids = self.refunds_by_key.get(&(protocol, key.to_owned()));
        ids.into_iter().flatten().filter_map(|id| self.refunds.get(id))
    }

    pub fn refunds_of<'a>(&'a self, charge: &str) -> impl Iterator<Item = &'a Refund> + use<'a> {
        self.refunds_by_charge.get(charge).into_iter().flatten().filter_map(|id| self.refunds.get(id))
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.values()
    }

    pub fn event(&self, id: &str) -> Option<&Event> {
        self.events.get(id)
    }

    /// In the order in which they happened.
    pub fn events_of(&self, charge: &str) -> impl Iterator<Item = &Event> {
        self.events_by_charge.get(charge).into_iter().flatten().filter_map(|id| self.events.get(id))
    }

    /// In the order in which they came; the oldest may be forgotten.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    pub const fn calls_forgotten(&self) -> u64 {
        self.calls_forgotten
    }

    /// How often something was asked of it with this key, or about it.
    pub fn asked(&self, protocol: Protocol, key: &str) -> u64 {
        let kinds = [CallKind::Charge, CallKind::Refund, CallKind::Ask].into_iter();
        kinds.filter_map(|kind| self.asked.get(&(protocol, kind, key.to_owned()))).sum()
    }

    /// Counts another request of `who`, and says how many of its kind there were before it.
    pub(crate) fn ask(&mut self, protocol: Protocol, kind: CallKind, who: &str) -> u64 {
        let asked = self.asked.entry((protocol, kind, who.to_owned())).or_default();
        *asked += 1;
        *asked - 1
    }

    pub(crate) const fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers - 1
    }

    pub(crate) fn keep_call(&mut self, call: Call, most: usize) {
        self.calls.push_back(call);
        while self.calls.len() > most {
            self.calls.pop_front();
            self.calls_forgotten += 1;
        }
    }

    pub(crate) fn keep_charge(&mut self, charge: Charge) {
        self.write("charge", &charge);
        let id = charge.id.clone();
        let of = |name: &Option<String>| name.clone().map(|name| (charge.protocol, name));
        let (key, reference) = (of(&charge.key), of(&charge.reference));
        if self.charges.insert(id.clone(), charge).is_none() {
            if let Some(key) = key {
                self.charges_by_key.entry(key).or_default().push(id.clone());
            }
            if let Some(reference) = reference {
                self.charges_by_reference.entry(reference).or_default().push(id.clone());
            }
        }
        self.suspect_charge(&id);
    }

    pub(crate) fn keep_refund(&mut self, refund: Refund) {
        self.write("refund", &refund);
        let (id, charge) = (refund.id.clone(), refund.charge.clone());
        let key = refund.key.clone().map(|key| (refund.protocol, key));
        if self.refunds.insert(id.clone(), refund).is_none() {
            self.refunds_by_charge.entry(charge).or_default().push(id.clone());
            if let Some(key) = key {
                self.refunds_by_key.entry(key).or_default().push(id.clone());
            }
        }
        self.suspect_refund(&id);
    }

    pub(crate) fn keep_event(&mut self, event: Event) {
        self.write("event", &event);
        let (id, charge) = (event.id.clone(), event.charge.clone());
        if self.events.insert(id.clone(), event).is_none() {
            self.events_by_charge.entry(charge).or_default().push(id);
        }
    }

    pub(crate) fn keep_key(&mut self, key: KeptKey) {
        self.write("key", &key);
        self.keys.insert((key.protocol, key.key.clone()), key);
    }

    pub(crate) fn forget_keys(&mut self, now_ms: i64, retention_ms: i64) {
        self.keys.retain(|_, kept| now_ms.saturating_sub(kept.kept_ms) < retention_ms);
    }

    /// A key that is still known at `now_ms`.
    pub(crate) fn key(&self, protocol: Protocol, key: &str, now_ms: i64, retention_ms: i64) -> Option<&KeptKey> {
        let kept = self.keys.get(&(protocol, key.to_owned()))?;
        (now_ms.saturating_sub(kept.kept_ms) < retention_ms).then_some(kept)
    }
}
