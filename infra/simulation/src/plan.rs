//! What makes a run: a run is a pure function of its plan.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(feature = "planted")]
use domain::planted::Bug;

use crate::fault::Fault;
use crate::outcome::Outcome;
use crate::script::Script;

/// A place where chance has a say: who, and which of their calls. It keeps its name when another place is muted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// A function and which of its invocations, or a client.
    pub who: String,
    pub call: u64,
}

impl Point {
    /// The delivery itself, before any call.
    pub const DELIVERY: u64 = u64::MAX;

    pub(crate) fn new(who: &str, call: u64) -> Self {
        Self { who: who.to_owned(), call }
    }

    /// Reads what `Display` writes.
    pub(crate) fn read(text: &str) -> Self {
        match text.rsplit_once('/').and_then(|(who, call)| Some((who, call.parse().ok()?))) {
            Some((who, call)) => Self::new(who, call),
            None => Self::new(text, Self::DELIVERY),
        }
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::read(&text))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Self::DELIVERY => write!(f, "{}", self.who),
            call => write!(f, "{}/{call}", self.who),
        }
    }
}

/// A part of the weather, or of the course of a run, that is drawn from the seed and can be switched off by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What goes wrong now and then, by the rate of its kind.
    Rates,
    Outage,
    LateWakes,
    Skew,
    /// Reads that are not of the newest.
    Lag,
    /// Copies of deliveries that come once more after the jump.
    Kept,
    Jump,
}

impl Part {
    pub const ALL: [Self; 7] =
        [Self::Rates, Self::Outage, Self::LateWakes, Self::Skew, Self::Lag, Self::Kept, Self::Jump];
    /// Without these a run is calm.
    pub const WEATHER: [Self; 6] = [Self::Rates, Self::Outage, Self::LateWakes, Self::Skew, Self::Lag, Self::Kept];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Rates => "rates",
            Self::Outage => "outage",
            Self::LateWakes => "late wakes",
            Self::Skew => "skew",
            Self::Lag => "lag",
            Self::Kept => "kept copies",
            Self::Jump => "jump",
        }
    }
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plan {
    pub seed: u64,
    /// These parts of what the seed says are left out.
    pub off: BTreeSet<Part>,
    /// Here nothing goes wrong, whatever was drawn.
    pub muted: BTreeSet<Point>,
    /// Operations of customers that are left out, each by its customer and its number.
    pub dropped: BTreeSet<(usize, u64)>,
    /// Requests that are left out of those that are sent at once, each by its customer, its operation and its place.
    pub thinned: BTreeSet<(usize, u64, usize)>,
    /// Here this goes wrong, whatever was drawn.
    pub forced: Vec<(Point, Fault)>,
    /// In which of its shapes what is forced comes, from 1; 0 is whatever is drawn.
    pub shape: u64,
    /// Customers do what this tells, in the weather that it tells of, and nothing of that is drawn.
    pub script: Option<Arc<Script>>,
    /// Nothing is drawn to go wrong.
    pub is_calm: bool,
    /// Readable lines are kept.
    pub traced: bool,
    /// What is wrong in the code that runs.
    #[cfg(feature = "planted")]
    pub planted: Option<Bug>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The same run told instead of drawn, from what it came to.
    pub(crate) fn told(&self, outcome: &Outcome) -> Self {
        let (script, muted, forced) = (outcome.script.clone(), self.muted.clone(), self.forced.clone());
        Self {
            script: Some(Arc::new(script)),
            muted,
            forced,
            shape: self.shape,
            #[cfg(feature = "planted")]
            planted: self.planted,
            ..Self::of(self.seed)
        }
    }

    /// The bug that is planted in the code that runs, by its name.
    pub(crate) fn bug(&self) -> Option<&'static str> {
        #[cfg(feature = "planted")]
        return self.planted.map(Bug::name);
        #[cfg(not(feature = "planted"))]
        None
    }

    /// The same run with a bug in the code; `None` if this build does not have it.
    #[cfg_attr(not(feature = "planted"), expect(clippy::unused_self, reason = "this build has none"))]
    pub(crate) fn with_bug(self, name: &str) -> Option<Self> {
        #[cfg(feature = "planted")]
        return Some(Self { planted: Some(Bug::ALL.iter().copied().find(|bug| bug.name() == name)?), ..self });
        #[cfg(not(feature = "planted"))]
        {
            let _ = name;
            None
        }
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        !(self.off.contains(&part) || self.is_calm && Part::WEATHER.contains(&part))
    }
}
