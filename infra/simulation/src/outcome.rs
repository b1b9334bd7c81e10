//! What a run came to.

use crate::coverage::Coverage;
use crate::fault::{Class, Fault};
use crate::plan::Point;
use crate::script::Script;

#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    /// Over everything that happened: equal for equal plans.
    pub hash: u64,
    /// What does not hold, each with the time at which it showed.
    pub findings: Vec<String>,
    /// Calls of services by functions, in all and before the calm.
    pub calls: u64,
    pub calls_in_chaos: u64,
    /// Where something might have gone wrong, in its order.
    pub met: Vec<Met>,
    /// What went wrong, where, in its order.
    pub struck: Vec<(Point, Fault)>,
    /// What customers did, in its order.
    pub performed: Vec<Performed>,
    /// The weather and the course that were drawn, in words.
    pub setting: Vec<String>,
    /// The run as it can be told again.
    pub(crate) script: Script,
    pub coverage: Coverage,
    /// How much time passed in the run.
    pub virtual_ms: i64,
    /// For people, if the plan asked for it.
    pub trace: Vec<String>,
}

/// One operation of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    pub customer: usize,
    pub number: u64,
    /// How many requests it sends at once.
    pub requests: usize,
    pub says: String,
}

/// A point that a run came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub point: Point,
    pub class: Class,
    /// What was done there, if the plan asked for a trace. It stays the same in another run, where the point may have
    /// another number.
    pub about: String,
    /// Somebody waits for what comes of it.
    pub is_asked: bool,
    /// Nothing goes wrong there any more by itself.
    pub is_calm: bool,
    /// Nobody waits for it in the calm, and the scenario had begun.
    pub is_swept: bool,
}

impl Met {
    /// The function whose call it is, or the customer whose request.
    pub fn function(&self) -> &str {
        self.point.who.split('#').next().unwrap_or_default()
    }

    /// Whether this can go wrong here.
    pub const fn may_meet(&self, fault: Fault) -> bool {
        fault.strikes(self.class) && !(self.is_asked && fault.is_of_background())
    }

    /// A look of the functions' own sweep for what is due.
    pub(crate) fn is_look(&self) -> bool {
        self.class == Class::Query && self.function() == "Sweep"
    }
}
