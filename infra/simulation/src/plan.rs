//! What makes a run: a run is a pure function of its plan.

use std::collections::BTreeSet;
use std::fmt;

#[cfg(feature = "planted")]
use domain::planted::Bug;

use crate::fault::Fault;

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
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            Self::DELIVERY => write!(f, "{}", self.who),
            call => write!(f, "{}/{call}", self.who),
        }
    }
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub seed: u64,
    /// Here nothing goes wrong, whatever was drawn.
    pub muted: BTreeSet<Point>,
    /// Operations of customers that are left out, each by its customer and its number.
    pub dropped: BTreeSet<(usize, u64)>,
    /// Here this goes wrong, whatever was drawn.
    pub forced: Vec<(Point, Fault)>,
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
}
