//! Whether a gateway is called at all: one record for each, which all who call share. It counts failures against calls
//! over a window, and once too many fail nobody is called for a while, then a few, then everybody again.
//!
//! It is written on failures and transitions only: what goes well is counted by whoever calls, and comes along with their
//! next failure. So a gateway that works costs nothing, and one that fails is judged by a rate.

use serde::{Deserialize, Serialize};

use super::gateway::{Gateway, GatewayKey};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::{Millis, Timestamp, planted};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub gateway: Gateway,
    pub phase: BreakerPhase,
    pub changed_at: Timestamp,
    /// Calls by the part of the window in which they were counted, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<Counted>,
    /// While it is open: until when nobody is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// While it is half open: who may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permits: Vec<Permit>,
    /// While it is half open: how many calls went well.
    #[serde(default)]
    pub successes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerPhase {
    /// Everybody calls.
    Closed,
    /// Nobody does.
    Open,
    /// A few do, to find out.
    HalfOpen,
}

/// What was counted in one part of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub since: Timestamp,
    pub failures: u32,
    pub successes: u32,
}

/// That something may be called about while the breaker is half open, for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    pub of: GatewayKey,
    pub until: Timestamp,
}

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls count for so long.
    pub window: Millis,
    /// It does not open over fewer calls than these.
    pub least: u32,
    /// It opens when so many of a hundred fail.
    pub percent: u32,
    /// For how long nobody is called.
    pub open: Millis,
    /// How many may call while it is half open, and for how long each keeps its permit.
    pub permits: usize,
    pub permit: Millis,
    /// So many calls must go well for it to close.
    pub successes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: Millis::minutes(1),
            least: 10,
            percent: 50,
            open: Millis::seconds(10),
            permits: 3,
            permit: Millis::minutes(2),
            successes: 3,
        }
    }
}

/// How a call went, as far as that says something of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    Well,
    Badly,
}

/// What one process has counted since it last said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub successes: u32,
}

/// Parts of the window.
const PARTS: i64 = 6;

impl Breaker {
    const fn closed(gateway: Gateway, now: Timestamp) -> Self {
        Self {
            gateway,
            phase: BreakerPhase::Closed,
            changed_at: now,
            counted: Vec::new(),
            until: None,
            permits: Vec::new(),
            successes: 0,
        }
    }

    fn count(&mut self, tally: Tally, limits: &Limits, now: Timestamp) {
        let begins = now.before(limits.window);
        self.counted.retain(|counted| counted.since > begins);
        let part = Millis(limits.window.0 / PARTS);
        match self.counted.last_mut().filter(|last| last.since.after(part) > now) {
            Some(last) => {
                last.failures = last.failures.saturating_add(1);
                last.successes = last.successes.saturating_add(tally.successes);
            }
            None => self.counted.push(Counted { since: now, failures: 1, successes: tally.successes }),
        }
    }

    fn fails_too_often(&self, limits: &Limits) -> bool {
        let sum = |of: fn(&Counted) -> u32| self.counted.iter().map(|counted| u64::from(of(counted))).sum::<u64>();
        let (failures, successes) = (sum(|counted| counted.failures), sum(|counted| counted.successes));
        let calls = failures + successes;
        calls >= u64::from(limits.least) && failures * 100 >= calls * u64::from(limits.percent)
    }

    fn keep(self, draft: &mut Draft<'_>, was: BreakerPhase, now: Timestamp) -> Result<(), Halt> {
        let (key, phase) = (Key::Breaker(self.gateway), self.phase);
        draft.put(Self { changed_at: now, ..self })?;
        if phase != was {
            draft.tell(key, Told::BreakerBecame { phase }, now)?;
        }
        Ok(())
    }

    /// Nobody is called for a while.
    fn open(self, limits: &Limits, now: Timestamp) -> Self {
        let until = Some(now.after(limits.open));
        Self { phase: BreakerPhase::Open, until, counted: Vec::new(), permits: Vec::new(), successes: 0, ..self }
    }
}

/// Whether a call may be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    Yes,
    /// Not before then.
    NotUntil(Timestamp),
}

/// Asks whether something may be called about. While all goes well nothing depends on the answer: what opens in that
/// moment opens a moment later. While it is half open a permit is taken, and the call is committed with it. A permit may
/// expire and be given to another; it admits a call and says nothing of which: whether something is asked for or sent is
/// decided by its own attempts.
pub(super) fn admit(
    draft: &mut Draft<'_>,
    gateway: Gateway,
    of: GatewayKey,
    limits: &Limits,
    now: Timestamp,
) -> Result<Admitted, Halt> {
    let key = Key::Breaker(gateway);
    let Some(glanced) = draft.glance::<Breaker>(key)? else { return Ok(Admitted::Yes) };
    let is_up = |until: Option<Timestamp>| until.is_none_or(|until| until <= now);
    match glanced.phase {
        BreakerPhase::Closed => return Ok(Admitted::Yes),
        BreakerPhase::Open if !is_up(glanced.until) || planted!(NeverHalfOpen) => {
            return Ok(Admitted::NotUntil(glanced.until.unwrap_or(now)));
        }
        BreakerPhase::Open | BreakerPhase::HalfOpen => {}
    }
    let taken = glanced.permits.iter().filter(|permit| permit.until > now && permit.of != of).count();
    if taken >= limits.permits {
        return Ok(Admitted::NotUntil(now.after(limits.open)));
    }
    // Now it counts.
    let Some(mut breaker) = draft.get::<Breaker>(key)? else { return Ok(Admitted::Yes) };
    let was = breaker.phase;
    breaker.phase = BreakerPhase::HalfOpen;
    breaker.until = None;
    breaker.permits.retain(|permit| permit.until > now && permit.of != of);
    breaker.permits.push(Permit { of, until: now.after(limits.permit) });
    breaker.keep(draft, was, now)?;
    Ok(Admitted::Yes)
}

/// Counts how a call went. Says whether anything was written; if so, the tally has been counted with it.
pub fn heard(
    draft: &mut Draft<'_>,
    gateway: Gateway,
    of: GatewayKey,
    went: Went,
    tally: Tally,
    limits: &Limits,
    now: Timestamp,
) -> Result<bool, Halt> {
    let key = Key::Breaker(gateway);
    if went == Went::Well {
        let has_permit = |breaker: &Breaker| {
            breaker.phase == BreakerPhase::HalfOpen && breaker.permits.iter().any(|permit| permit.of == of)
        };
        if !draft.glance::<Breaker>(key)?.is_some_and(|breaker| has_permit(&breaker)) {
            return Ok(false);
        }
    }
    let mut breaker = draft.get::<Breaker>(key)?.unwrap_or_else(|| Breaker::closed(gateway, now));
    let was = breaker.phase;
    match (was, went) {
        (BreakerPhase::Closed, Went::Badly) => {
            breaker.count(tally, limits, now);
            if breaker.fails_too_often(limits) {
                breaker = breaker.open(limits, now);
            }
        }
        (BreakerPhase::HalfOpen, Went::Badly) => breaker = breaker.open(limits, now),
        (BreakerPhase::HalfOpen, Went::Well) => {
            breaker.permits.retain(|permit| permit.of != of);
            breaker.successes += 1;
            if breaker.successes >= limits.successes {
                breaker = Breaker::closed(gateway, now);
            }
        }
        // It was on its way when the breaker opened, or has been counted.
        (BreakerPhase::Open, _) | (BreakerPhase::Closed, Went::Well) => return Ok(false),
    }
    breaker.keep(draft, was, now)?;
    Ok(true)
}
