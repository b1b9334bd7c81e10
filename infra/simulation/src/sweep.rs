//! The exhaustive sweep: in each scenario each call meets each fault that can strike it, one at a time, and in an
//! order's way each pair of crashes is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::command::lock;
use crate::coverage::Coverage;
use crate::fault::Fault;
use crate::outcome::{Met, Outcome};
use crate::plan::{Plan, Point};
use crate::play::{PlayError, play};
use crate::scenarios::Scenario;

/// Ways in which a process ends.
const CRASHES: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::HangBefore, Fault::HangAfter];

/// What the sweep of one scenario came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    pub scenario: &'static str,
    /// Calls, deliveries and requests.
    pub points: usize,
    /// Each with one of its faults.
    pub pairs: usize,
    pub reached: usize,
    /// Runs, since some faults come in several shapes.
    pub runs: usize,
    pub crash_pairs: usize,
    pub crash_pairs_reached: usize,
    /// Runs that broke a promise.
    pub failed: usize,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub runs: usize,
    pub failed: usize,
}

/// What a sweep came to.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    pub scenarios: Vec<Tally>,
    /// The first failing run of each scenario: the options that play it again, and what is wrong.
    pub failures: Vec<(String, Vec<String>)>,
    pub coverage: Coverage,
    pub took: Duration,
}

impl Swept {
    pub fn total(&self, of: impl Fn(&Tally) -> usize) -> usize {
        self.scenarios.iter().map(of).sum()
    }

    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
            && self.total(|tally| tally.pairs) == self.total(|tally| tally.reached)
            && self.total(|tally| tally.crash_pairs) == self.total(|tally| tally.crash_pairs_reached)
    }
}

/// Something was asked to go wrong that cannot.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("--force {0:?} is not POINT=FAULT, such as PlaceOrder#1/1=lost-after")]
    Shape(String),
    #[error("--force: there is no fault {name:?}; there are: {known}")]
    Fault { name: String, known: String },
    #[error("--force: {fault} does not strike {point}, a {class}; what does: {known}")]
    Never { point: String, fault: String, class: &'static str, known: String },
    #[error("--force: {scenario} does not come by {point:?}; it comes by: {known}")]
    Point { point: String, scenario: &'static str, known: String },
    #[error("there is no scenario {name:?}; there are: {known}")]
    Scenario { name: String, known: String },
    #[error(transparent)]
    Play(#[from] PlayError),
}

/// The scenario of a name.
pub(crate) fn scenario(name: &str) -> Result<&'static Scenario, Refused> {
    Scenario::named(name).ok_or_else(|| {
        let known: Vec<&str> = Scenario::ALL.iter().map(|scenario| scenario.name).collect();
        Refused::Scenario { name: name.to_owned(), known: known.join(", ") }
    })
}

/// The plan in which this goes wrong, in the order in which it is come by: what is forced later may be there only
/// because of what was forced before.
pub fn forced(scenario: &'static Scenario, like: &Plan, wanted: &[String], shape: u64) -> Result<Plan, Refused> {
    let mut plan = Plan { shape, ..scenario.plan(like) };
    for wanted in wanted {
        let (at, name) = wanted.split_once('=').ok_or_else(|| Refused::Shape(wanted.clone()))?;
        let fault = Fault::ALL.iter().copied().find(|fault| slug(*fault) == name).ok_or_else(|| Refused::Fault {
            name: name.to_owned(),
            known: Fault::ALL.iter().map(|fault| slug(*fault)).collect::<Vec<_>>().join(", "),
        })?;
        let outcome = play(&plan)?;
        let met = outcome.met.iter().find(|met| met.point.to_string() == at).ok_or_else(|| Refused::Point {
            point: at.to_owned(),
            scenario: scenario.name,
            known: outcome.met.iter().map(|met| met.point.to_string()).collect::<Vec<_>>().join(", "),
        })?;
        if !met.may_meet(fault) {
            let strike = Fault::ALL.iter().filter(|fault| met.may_meet(**fault));
            return Err(Refused::Never {
                point: at.to_owned(),
                fault: name.to_owned(),
                class: met.class.name(),
                known: strike.map(|fault| slug(*fault)).collect::<Vec<_>>().join(", "),
            });
        }
        plan.forced.push((met.point.clone(), fault));
    }
    Ok(plan)
}

/// A fault's name as one word of a command.
fn slug(fault: Fault) -> String {
    fault.name().replace(' ', "-")
}

/// One run: a scenario, and what goes wrong in it.
struct Trial {
    place: usize,
    scenario: &'static Scenario,
    plan: Plan,
}

struct Tried {
    is_reached: bool,
    findings: Vec<String>,
    coverage: Coverage,
    /// What was met after the fault, where a second one is tried.
    later: Vec<Met>,
}

impl Trial {
    fn forcing(
        place: usize,
        scenario: &'static Scenario,
        like: &Plan,
        forced: Vec<(Point, Fault)>,
        shape: u64,
    ) -> Self {
        Self { place, scenario, plan: Plan { forced, shape, ..scenario.plan(like) } }
    }

    fn run(&self) -> Result<Tried, PlayError> {
        let Outcome { struck, findings, met, coverage, .. } = play(&self.plan)?;
        let is_reached = self.plan.forced.iter().all(|forced| struck.contains(forced));
        let is_first = self.is_crash_on_the_way();
        let first = self.plan.forced.first().map(|(point, _)| point);
        let later = met.into_iter().skip_while(|met| Some(&met.point) != first).skip(1).filter(|_| is_first);
        Ok(Tried { is_reached, findings, coverage, later: later.collect() })
    }

    fn is_crash_on_the_way(&self) -> bool {
        self.scenario.is_way && matches!(&self.plan.forced[..], [(_, fault)] if CRASHES.contains(fault))
    }

    /// The options that play it again.
    fn again(&self) -> String {
        let mut command = format!("--scenario {}", self.scenario.name);
        for (point, fault) in &self.plan.forced {
            command.push_str(&format!(" --force '{point}={}'", slug(*fault)));
        }
        if self.plan.shape > 0 {
            command.push_str(&format!(" --shape {}", self.plan.shape));
        }
        command + " --trace"
    }
}

/// Sweeps these scenarios on so many threads, in runs like this one. `progress` hears what is being tried, how many of it are done, and how
/// many there are.
pub fn sweep(
    scenarios: &[&'static Scenario],
    like: &Plan,
    threads: usize,
    progress: impl Fn(&str, Done, usize) + Sync,
) -> Result<Swept, PlayError> {
    let mut swept = Swept::default();
    let mut trials = Vec::new();
    for (place, scenario) in scenarios.iter().enumerate() {
        let calm = play(&scenario.plan(like))?;
        if !calm.findings.is_empty() {
            swept.failures.push((Trial::forcing(place, scenario, like, Vec::new(), 0).again(), calm.findings));
        }
        let met: Vec<Met> = calm.met.into_iter().filter(|met| scenario.sweeps(met)).collect();
        swept.scenarios.push(Tally { scenario: scenario.name, points: met.len(), ..Tally::default() });
        for met in met {
            for fault in Fault::ALL.iter().copied().filter(|fault| met.may_meet(*fault)) {
                let shapes = if fault.shapes() == 1 { 0..=0 } else { 1..=fault.shapes() };
                let forced = vec![(met.point.clone(), fault)];
                trials.extend(shapes.map(|shape| Trial::forcing(place, scenario, like, forced.clone(), shape)));
            }
        }
    }
    let tried = all(&trials, threads, |done| progress("single faults", done, trials.len()))?;
    let mut reached: BTreeMap<(usize, &Point, Fault), bool> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (trial, tried) in trials.iter().zip(&tried) {
        let tally = &mut swept.scenarios[trial.place];
        tally.runs += 1;
        if let [(point, fault)] = &trial.plan.forced[..] {
            *reached.entry((trial.place, point, *fault)).or_insert(true) &= tried.is_reached;
            pairs.extend(trial.seconds(&tried.later).map(|second| {
                let forced = vec![(point.clone(), *fault), second];
                Trial::forcing(trial.place, trial.scenario, like, forced, 0)
            }));
        }
        swept.judge(trial, tried);
    }
    for ((place, ..), is_reached) in reached {
        swept.scenarios[place].pairs += 1;
        swept.scenarios[place].reached += usize::from(is_reached);
    }
    let tried = all(&pairs, threads, |done| progress("pairs of crashes", done, pairs.len()))?;
    for (trial, tried) in pairs.iter().zip(&tried) {
        let tally = &mut swept.scenarios[trial.place];
        tally.crash_pairs += 1;
        tally.crash_pairs_reached += usize::from(tried.is_reached);
        swept.judge(trial, tried);
    }
    Ok(swept)
}

impl Trial {
    /// The second crashes that are tried after this first one. The sweep's looks into its index are all alike, come
    /// every minute, and are swept by themselves.
    fn seconds(&self, later: &[Met]) -> impl Iterator<Item = (Point, Fault)> {
        let later = later.iter().filter(|met| met.is_swept && !met.is_look());
        later.flat_map(|met| {
            let faults = CRASHES.into_iter().filter(|fault| fault.strikes(met.class));
            faults.map(|fault| (met.point.clone(), fault))
        })
    }
}

impl Swept {
    fn judge(&mut self, trial: &Trial, tried: &Tried) {
        self.coverage.add(&tried.coverage);
        let mut findings = tried.findings.clone();
        if !tried.is_reached {
            findings.push("what was to go wrong was not come by".to_owned());
        }
        if findings.is_empty() {
            return;
        }
        let tally = &mut self.scenarios[trial.place];
        tally.failed += 1;
        if tally.failed == 1 {
            self.failures.push((trial.again(), findings));
        }
    }
}

impl Scenario {
    /// Which kinds of calls of which functions are swept in it.
    pub fn kinds(&'static self) -> Result<BTreeSet<(String, &'static str)>, PlayError> {
        let met = play(&self.plan(&Plan::default()))?.met;
        let swept = met.iter().filter(|met| self.sweeps(met));
        Ok(swept.map(|met| (met.function().to_owned(), met.class.name())).collect())
    }
}

/// Runs all of them, and gives what they came to in their order.
fn all(trials: &[Trial], threads: usize, progress: impl Fn(Done) + Sync) -> Result<Vec<Tried>, PlayError> {
    let (next, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let tried = Mutex::new(BTreeMap::new());
    let broken = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(trial) = trials.get(number) else { break };
                    match trial.run() {
                        Ok(outcome) => {
                            let is_failed = !outcome.is_reached || !outcome.findings.is_empty();
                            failed.fetch_add(usize::from(is_failed), Ordering::SeqCst);
                            lock(&tried).insert(number, outcome);
                        }
                        Err(error) => {
                            next.store(trials.len(), Ordering::SeqCst);
                            lock(&broken).get_or_insert(error);
                        }
                    }
                    let runs = done.fetch_add(1, Ordering::SeqCst) + 1;
                    progress(Done { runs, failed: failed.load(Ordering::SeqCst) });
                }
            });
        }
    });
    match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(tried.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()),
    }
}
