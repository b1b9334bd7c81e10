//! A failing run, made as small as it goes: what customers do is left out, and what goes wrong, for as long as it still
//! fails in the same way.
//!
//! What went wrong is first pinned down, so that nothing else goes wrong when something is taken away. What goes wrong has
//! its place by a number, which is another one when an operation before it is left out; so it is looked for again, by
//! what was being done there.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::Fault;
use crate::outcome::{Met, Outcome, Performed};
use crate::plan::{Part, Plan, Point};

/// What a run came to, as far as shrinking goes by it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// In which ways it fails; in none if it does not. Two runs fail in the same way if they have one in common.
    pub kinds: BTreeSet<String>,
    pub struck: Vec<(Point, Fault)>,
    pub performed: Vec<Performed>,
    pub met: Vec<Met>,
}

impl Verdict {
    pub fn new(kinds: BTreeSet<String>, outcome: Outcome) -> Self {
        Self { kinds, struck: outcome.struck, performed: outcome.performed, met: outcome.met }
    }

    /// What goes wrong in the calm may make anything look like a broken promise.
    fn is_struck_in_calm(&self) -> bool {
        let struck: BTreeSet<&Point> = self.struck.iter().map(|(point, _)| point).collect();
        self.met.iter().any(|met| met.is_calm && struck.contains(&met.point))
    }
}

/// The kinds of what was found: each finding without its ids, numbers, times and names of customers.
pub fn kinds(findings: &[String]) -> BTreeSet<String> {
    findings.iter().map(|finding| kind(finding)).collect()
}

fn kind(finding: &str) -> String {
    let is_blank = |word: &str| {
        word.len() >= 20 || word.bytes().any(|byte| byte.is_ascii_digit()) || ["alice", "bob", "carol"].contains(&word)
    };
    let mut said = String::new();
    let mut rest = finding;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len()).max(first.len_utf8());
        let (word, after) = rest.split_at(end);
        if is_blank(word) {
            // Numbers that hang together are one: a time, an amount, an id with its version.
            let before = said.trim_end_matches(['-', '.', ':', '/', '#', ' ', ',']).len();
            if said[..before].ends_with('_') { said.truncate(before) } else { said.push('_') }
        } else {
            said.push_str(word);
        }
        rest = after;
    }
    said
}

/// More faults than this are rather left to the outage that they came from.
const MOST_PINNED: usize = 6;

/// How much there is of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    pub requests: usize,
    pub parts: usize,
    pub faults: usize,
}

impl Size {
    fn of(plan: &Plan, verdict: &Verdict) -> Self {
        Self {
            requests: verdict.performed.iter().map(|performed| performed.requests).sum(),
            parts: Part::ALL.into_iter().filter(|part| plan.has(*part)).count(),
            faults: verdict.struck.len(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Shrunk {
    pub plan: Plan,
    pub before: Size,
    pub after: Size,
    pub runs: usize,
    /// No run was left to try more with.
    pub is_cut: bool,
}

/// Finds a smaller plan that fails in the same way; `None` if this one does not fail. It plays no more than `most` runs,
/// and says after each step that got anywhere how far it has come.
pub fn shrink<E>(
    plan: &Plan,
    most: usize,
    judge: impl FnMut(&Plan) -> Result<Verdict, E>,
    progress: impl FnMut(usize, Size),
) -> Result<Option<Shrunk>, E> {
    let mut judge = judge;
    // A traced run says where something might have gone wrong.
    let plan = Plan { traced: true, ..plan.clone() };
    let verdict = judge(&plan)?;
    if verdict.kinds.is_empty() {
        return Ok(None);
    }
    let before = Size::of(&plan, &verdict);
    let wanted = verdict.kinds.clone();
    let tried = BTreeSet::from([plan.clone()]);
    let may_strike_in_calm = verdict.is_struck_in_calm();
    let (runs, is_cut) = (1, false);
    let kept_back = most / 4;
    let most = most - kept_back;
    let mut shrinker =
        Shrinker { judge, progress, most, runs, is_cut, tried, wanted, may_strike_in_calm, plan, verdict };
    shrinker.pin()?;
    loop {
        let size = shrinker.size();
        shrinker.switch_off()?;
        // The fewer faults there are, the fewer have to be found again when an operation is left out.
        shrinker.leave_out_faults()?;
        shrinker.leave_out_customers()?;
        shrinker.leave_out_requests()?;
        shrinker.pin()?;
        if shrinker.size() == size || shrinker.is_cut {
            break;
        }
    }
    shrinker.most += kept_back;
    if shrinker.size().faults > MOST_PINNED && shrinker.rely_on_the_outage()? {
        shrinker.is_cut = false;
        shrinker.leave_out_customers()?;
        shrinker.leave_out_requests()?;
    }
    let after = shrinker.size();
    let Shrinker { plan, runs, is_cut, .. } = shrinker;
    Ok(Some(Shrunk { plan: tidied(plan), before, after, runs, is_cut }))
}

/// The same run in fewer words.
fn tidied(mut plan: Plan) -> Plan {
    plan.traced = false;
    if Part::WEATHER.iter().all(|part| !plan.has(*part)) {
        plan.is_calm = true;
        plan.off.retain(|part| !Part::WEATHER.contains(part));
        plan.muted.clear();
    }
    plan
}

struct Shrinker<J, P> {
    judge: J,
    progress: P,
    most: usize,
    runs: usize,
    is_cut: bool,
    tried: BTreeSet<Plan>,
    wanted: BTreeSet<String>,
    may_strike_in_calm: bool,
    /// The smallest so far, and what it came to.
    plan: Plan,
    verdict: Verdict,
}

impl<E, J: FnMut(&Plan) -> Result<Verdict, E>, P: FnMut(usize, Size)> Shrinker<J, P> {
    fn size(&self) -> Size {
        Size::of(&self.plan, &self.verdict)
    }

    /// Plays a plan that was not played yet.
    fn played(&mut self, plan: &Plan) -> Result<Option<Verdict>, E> {
        if self.runs >= self.most {
            self.is_cut = true;
            return Ok(None);
        }
        if !self.tried.insert(plan.clone()) {
            return Ok(None);
        }
        self.runs += 1;
        (self.judge)(plan).map(Some)
    }

    fn fails(&self, verdict: &Verdict) -> bool {
        !verdict.kinds.is_disjoint(&self.wanted) && (self.may_strike_in_calm || !verdict.is_struck_in_calm())
    }

    fn keep(&mut self, mut plan: Plan, verdict: Verdict) {
        // What is forced where nobody comes does nothing.
        let struck: BTreeSet<&(Point, Fault)> = verdict.struck.iter().collect();
        plan.forced.retain(|forced| struck.contains(forced));
        self.tried.insert(plan.clone());
        (self.plan, self.verdict) = (plan, verdict);
        let size = self.size();
        (self.progress)(self.runs, size);
    }

    /// Takes a plan that still fails and is smaller.
    fn take(&mut self, plan: Plan) -> Result<bool, E> {
        let Some(verdict) = self.played(&plan)? else { return Ok(false) };
        let is_taken = self.fails(&verdict) && Size::of(&plan, &verdict) < self.size();
        if is_taken {
            self.keep(plan, verdict);
        }
        Ok(is_taken)
    }

    /// The same for a plan in which places may have got other numbers.
    fn take_moved(&mut self, mut plan: Plan) -> Result<bool, E> {
        const MOVES: usize = 3;
        let whereabouts = self.whereabouts(&plan.forced);
        for _ in 0..=MOVES {
            let Some(verdict) = self.played(&plan)? else { return Ok(false) };
            if self.fails(&verdict) && Size::of(&plan, &verdict) < self.size() {
                self.keep(plan, verdict);
                return Ok(true);
            }
            let forced = moved(&whereabouts, &verdict.met);
            if forced == plan.forced {
                break;
            }
            plan.forced = forced;
        }
        Ok(false)
    }

    /// What is being done where something is forced to go wrong, and for which time.
    fn whereabouts(&self, forced: &[(Point, Fault)]) -> Vec<Whereabouts> {
        let mut before: BTreeMap<&str, usize> = BTreeMap::new();
        let mut found = BTreeMap::new();
        for Met { point, about, .. } in &self.verdict.met {
            let times = before.entry(about).or_default();
            found.insert(point, (about, *times));
            *times += 1;
        }
        forced
            .iter()
            .filter_map(|(point, fault)| {
                let (about, times) = found.get(point)?;
                Some(Whereabouts { about: (*about).clone(), times: *times, fault: *fault })
            })
            .collect()
    }

    /// Lays down what went wrong, so that nothing new goes wrong where something is taken away.
    fn pin(&mut self) -> Result<(), E> {
        if !self.plan.has(Part::Rates) && !self.plan.has(Part::Outage) && !self.plan.has(Part::LateWakes) {
            return Ok(());
        }
        for off in [&[Part::Rates, Part::Outage, Part::LateWakes][..], &[Part::Rates, Part::Outage], &[Part::Rates]] {
            let mut plan = self.plan.clone();
            plan.off.extend(off);
            plan.forced.clone_from(&self.verdict.struck);
            if self.take(plan)? {
                break;
            }
        }
        Ok(())
    }

    /// Where it takes an outage to fail, that is fewer words than everything that goes wrong in it.
    fn rely_on_the_outage(&mut self) -> Result<bool, E> {
        let mut plan = self.plan.clone();
        plan.off.extend(Part::WEATHER);
        plan.off.remove(&Part::Outage);
        plan.is_calm = false;
        plan.forced.clear();
        plan.muted.clear();
        let Some(verdict) = self.played(&plan)? else { return Ok(false) };
        let is_taken = self.fails(&verdict);
        if is_taken {
            self.keep(plan, verdict);
        }
        Ok(is_taken)
    }

    fn leave_out_customers(&mut self) -> Result<(), E> {
        let customers: BTreeSet<usize> = self.verdict.performed.iter().map(|performed| performed.customer).collect();
        for customer in customers.into_iter().rev() {
            let theirs = self.verdict.performed.iter().filter(|performed| performed.customer == customer);
            let numbers: Vec<(usize, u64)> = theirs.map(|performed| (customer, performed.number)).collect();
            let mut plan = self.plan.clone();
            plan.dropped.extend(numbers);
            self.take_moved(plan)?;
        }
        Ok(())
    }

    /// From the end, since what is left out there moves nothing before it.
    fn leave_out_requests(&mut self) -> Result<(), E> {
        let mut chunk = self.verdict.performed.len();
        while chunk > 0 {
            let mut end = self.verdict.performed.len();
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let left_out = &self.verdict.performed[start..end];
                let left_out: Vec<(usize, u64)> = left_out.iter().map(|one| (one.customer, one.number)).collect();
                let mut plan = self.plan.clone();
                plan.dropped.extend(left_out);
                self.take_moved(plan)?;
                end = start.min(self.verdict.performed.len());
            }
            chunk /= 2;
        }
        self.thin_out()
    }

    /// Of several requests at once, those that are not needed.
    fn thin_out(&mut self) -> Result<(), E> {
        for Performed { customer, number, requests, .. } in self.verdict.performed.clone() {
            if requests < 2 {
                continue;
            }
            let is_left = |plan: &Plan, place: usize| !plan.thinned.contains(&(customer, number, place));
            let gone = self.plan.thinned.iter().filter(|(c, n, _)| (*c, *n) == (customer, number)).count();
            let all = requests + gone;
            let mut chunk = requests / 2;
            while chunk > 0 {
                let mut left: Vec<usize> = (0..all).filter(|place| is_left(&self.plan, *place)).collect();
                while let Some(start) = left.len().checked_sub(1).map(|last| (last / chunk) * chunk) {
                    let mut plan = self.plan.clone();
                    plan.thinned.extend(left.drain(start..).map(|place| (customer, number, place)));
                    self.take_moved(plan)?;
                }
                chunk /= 2;
            }
        }
        Ok(())
    }

    fn switch_off(&mut self) -> Result<(), E> {
        for part in Part::ALL.into_iter().filter(|part| *part != Part::Rates).rev() {
            if self.plan.has(part) {
                let mut plan = self.plan.clone();
                plan.off.insert(part);
                self.take(plan)?;
            }
        }
        Ok(())
    }

    fn leave_out_faults(&mut self) -> Result<(), E> {
        let mut chunk = self.verdict.struck.len();
        while chunk > 0 {
            let mut end = self.verdict.struck.len();
            while end > 0 {
                let start = end.saturating_sub(chunk);
                let points: BTreeSet<Point> =
                    self.verdict.struck[start..end].iter().map(|(point, _)| point.clone()).collect();
                let mut plan = self.plan.clone();
                plan.forced.retain(|(point, _)| !points.contains(point));
                if plan.has(Part::Rates) || plan.has(Part::Outage) || plan.has(Part::LateWakes) {
                    plan.muted.extend(points);
                }
                self.take_moved(plan)?;
                end = start.min(self.verdict.struck.len());
            }
            chunk /= 2;
        }
        Ok(())
    }
}

/// Where something is forced to go wrong, so that it can be found again.
struct Whereabouts {
    about: String,
    /// How often the same was done before.
    times: usize,
    fault: Fault,
}

/// The places in another run at which the same is done.
fn moved(whereabouts: &[Whereabouts], met: &[Met]) -> Vec<(Point, Fault)> {
    let find = |sought: &Whereabouts| {
        let same = met.iter().filter(|met| met.about == sought.about && !met.is_calm);
        same.take(sought.times + 1).last().map(|met| (met.point.clone(), sought.fault))
    };
    let mut forced: Vec<(Point, Fault)> = Vec::new();
    for (point, fault) in whereabouts.iter().filter_map(find) {
        if forced.iter().all(|(taken, _)| *taken != point) {
            forced.push((point, fault));
        }
    }
    forced
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn a_kind_says_neither_whose_nor_when_nor_how_much() {
        let one = "00:00:01.209 AdvanceOrders#3: one_charge: order alice-k3: charged 2 times, 14.10 in all";
        let other = "1d 11:59:59.001 AdvanceOrders#17: one_charge: order bob-k11-2: charged 3 times, 9.99 in all";
        assert_eq!(kind(one), kind(other));
        assert_eq!(kind(one), "_ AdvanceOrders#_: one_charge: order _: charged _ times, _ in all");
        assert_eq!(kind("order fvjqorwabwbwacazrgqizgedaueruayb has no entry"), "order _ has no entry");
        assert_ne!(kind("alice: the balance is 1.00"), kind("alice: the statement ends at 1.00"));
    }
}
