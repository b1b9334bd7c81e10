//! What a run came to.

use crate::coverage::Coverage;
use crate::fault::Fault;
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
    /// What went wrong, where, in its order.
    pub struck: Vec<(Point, Fault)>,
    /// What customers did, in its order.
    pub performed: Vec<Performed>,
    /// The weather and the course that were drawn, in words.
    pub setting: Vec<String>,
    pub coverage: Coverage,
    /// How much time passed in the run.
    pub virtual_ms: i64,
    /// For people, if the plan asked for it.
    pub trace: Vec<String>,
    /// Every place where something might have gone wrong, in its order, if the plan asked for a trace.
    pub passed: Vec<Passed>,
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

/// A place where chance had a say, and what was done there. What it is about stays the same in another run, where the
/// place may have another number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub point: Point,
    pub about: String,
    /// Nothing goes wrong there any more by itself.
    pub is_calm: bool,
}
