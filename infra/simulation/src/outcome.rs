//! What a run came to.

use crate::coverage::Coverage;
use crate::fault::{Class, Fault};
use crate::plan::Point;

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
    pub coverage: Coverage,
    /// How much time passed in the run.
    pub virtual_ms: i64,
    /// For people, if the plan asked for it.
    pub trace: Vec<String>,
}

/// A point that a run came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub point: Point,
    pub class: Class,
    /// Nobody waits for it in the calm, and the scenario had begun.
    pub is_swept: bool,
}

impl Met {
    /// The function whose call it is, or the customer whose request.
    pub fn function(&self) -> &str {
        self.point.who.split('#').next().unwrap_or_default()
    }

    /// A look of the functions' own sweep for what is due.
    pub(crate) fn is_look(&self) -> bool {
        self.class == Class::Query && self.function() == "Sweep"
    }
}
