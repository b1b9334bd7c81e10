//! What all parts of a run share: its plan, its weather, its judge, and what is written down of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::messages::{self, Message};
use domain::promises::watch::{Action, Watch};
use domain::webhooks::Answer;
use local_cloud::Clock;
use platform::outside::Call;
use serde_json::Value;

use crate::bank::Bank;
use crate::bank::book::Till;
use crate::chance::{self, Stream};
use crate::coverage::{Coverage, Path};
use crate::fault::{Class, Fault, Outage, Swarm};
use crate::lag::Past;
use crate::outcome::{Met, Performed};
use crate::outside::book::{Book, Place, Sky};
use crate::plan::{Plan, Point};
use crate::script::{Script, Step};
use crate::speaker::Speaker;
use crate::telling::{self, Line, Mark, Names};
use crate::trace::{Trace, stamp};

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) clock: Clock,
    pub(crate) start_ms: i64,
    pub(crate) swarm: Swarm,
    faults: u64,
    scheduler: u64,
    lag: u64,
    pub(crate) workload: u64,
    outside: u64,
    /// Of what customers do about endpoints, if there are any in this run.
    pub(crate) hooks: Option<u64>,
    /// Of what they do about cards, if any are charged in this run.
    pub(crate) cards: Option<u64>,
    /// The gateway is Stripe, not the plain one.
    pub(crate) is_stripe: bool,
    pub(crate) bank: Bank,
    is_calm: AtomicBool,
    has_begun: AtomicBool,
    running: AtomicUsize,
    owed: AtomicUsize,
    calls: AtomicU64,
    calls_in_chaos: AtomicU64,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) trace: Trace,
    pub(crate) coverage: Coverage,
    pub(crate) watch: Watch,
    pub(crate) book: Book,
    pub(crate) till: Till,
    pub(crate) past: Past,
    pub(crate) findings: Vec<String>,
    pub(crate) struck: Vec<(Point, Fault)>,
    pub(crate) met: Vec<Met>,
    pub(crate) script: Script,
    pub(crate) kept: Vec<Kept>,
    /// Public events that were told and have not been on the bus.
    unannounced: BTreeMap<String, String>,
    announced: BTreeSet<String>,
    invocations: BTreeMap<String, u64>,
    earlier: BTreeMap<String, Value>,
    tokens: BTreeSet<String>,
    pub(crate) performed: Vec<Performed>,
    pub(crate) names: Names,
}

impl State {
    fn new(trace: Trace) -> Self {
        Self {
            trace,
            coverage: Coverage::default(),
            watch: Watch::default(),
            book: Book::default(),
            till: Till::default(),
            past: Past::default(),
            findings: Vec::new(),
            struck: Vec::new(),
            met: Vec::new(),
            script: Script::default(),
            kept: Vec::new(),
            unannounced: BTreeMap::new(),
            announced: BTreeSet::new(),
            invocations: BTreeMap::new(),
            earlier: BTreeMap::new(),
            tokens: BTreeSet::new(),
            performed: Vec::new(),
            names: Names::default(),
        }
    }

    fn count_outside(&mut self) {
        for path in self.book.reached() {
            self.coverage.reached(path);
        }
    }

    /// What the commits of these actions owe to everyone outside.
    fn owe(&mut self, actions: &[Action]) {
        for action in actions {
            let Action::Put { item, version, events } = action else { continue };
            for message in messages::of_commit(item, *version, events) {
                let Message::Public(event) = message else { continue };
                let id = event.id.to_string();
                if !self.announced.contains(&id) {
                    self.unannounced.insert(id, event.detail_type.to_owned());
                }
            }
        }
    }
}

/// A delivery that comes once more, much later.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) function: String,
    pub(crate) event: Value,
}

/// Counts something for as long as it lives.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

const MOST_KEPT: usize = 8;

impl World {
    pub(crate) fn new(plan: &Plan, clock: Clock) -> Arc<Self> {
        let stream = |which| chance::stream(plan.seed, which);
        let start_ms = clock.now_ms();
        let outside = stream(Stream::Outside);
        let has_endpoints = chance::at(outside, "hooks", 0).u32(0..3) == 0;
        let cards = stream(Stream::Cards);
        let mut of_cards = chance::at(cards, "cards", 0);
        let (has_cards, is_stripe) = (of_cards.u32(0..3) == 0, of_cards.u32(0..4) == 0);
        let swarm = plan.script.as_ref().map_or_else(
            || {
                let swarm = Swarm::draw(stream(Stream::Swarm));
                let swarm = if has_endpoints { swarm.with_endpoints(outside) } else { swarm };
                if has_cards { swarm.with_gateway(cards) } else { swarm }
            },
            |script| script.weather.clone(),
        );
        let swarm = swarm.only(|part| plan.has(part));
        Arc::new(Self {
            plan: plan.clone(),
            clock,
            start_ms,
            swarm,
            faults: stream(Stream::Faults),
            scheduler: stream(Stream::Scheduler),
            lag: stream(Stream::Lag),
            workload: stream(Stream::Workload),
            outside,
            hooks: has_endpoints.then_some(outside),
            cards: has_cards.then_some(cards),
            is_stripe: plan.script.as_ref().map_or(is_stripe && has_cards, |script| script.is_stripe),
            bank: Bank::new(cards),
            is_calm: AtomicBool::new(false),
            has_begun: AtomicBool::new(plan.script.as_ref().is_none_or(|script| !script.has_prelude())),
            running: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            calls_in_chaos: AtomicU64::new(0),
            state: Mutex::new(State::new(Trace::new(start_ms, plan.traced))),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Hands over what was written down; the run is over.
    pub(crate) fn close(&self) -> State {
        std::mem::replace(&mut *self.state(), State::new(Trace::new(self.start_ms, false)))
    }

    /// From here on nothing goes wrong.
    pub(crate) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
    }

    /// What came so far only led up to the scenario.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::SeqCst)
    }

    pub(crate) fn runs(&self) -> Counted<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        Counted(&self.running)
    }

    pub(crate) fn owes(&self) -> Counted<'_> {
        self.owed.fetch_add(1, Ordering::SeqCst);
        Counted(&self.owed)
    }

    /// No invocation runs and no request is still under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0 && self.owed.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn calls(&self) -> (u64, u64) {
        (self.calls.load(Ordering::SeqCst), self.calls_in_chaos.load(Ordering::SeqCst))
    }

    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if !self.is_calm() {
            self.calls_in_chaos.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn reached(&self, path: Path) {
        self.state().coverage.reached(path);
    }

    pub(crate) fn find(&self, says: impl std::fmt::Display) {
        let now_ms = self.now_ms();
        let said = format!("{} {says}", stamp(now_ms - self.start_ms));
        let mut state = self.state();
        state.trace.say(now_ms, || Line::new(Mark::Finding, "FINDING", says.to_string()));
        state.findings.push(said);
    }

    /// A line for people.
    pub(crate) fn say(&self, line: impl FnOnce() -> Line) {
        self.state().trace.say(self.now_ms(), line);
    }

    pub(crate) fn performs(&self, performed: Performed) {
        self.state().performed.push(performed);
    }

    /// Takes down what a customer did, so that it can be told again.
    pub(crate) fn tell(&self, customer: usize, step: Step) {
        self.state().script.tell(customer, step);
    }

    pub(crate) fn note(&self, parts: &[&[u8]]) {
        self.state().trace.note(self.now_ms(), parts);
    }

    /// Takes down that something may go wrong here. What is asked in the calm has to be answered.
    pub(crate) fn meet(&self, point: &Point, class: Class, is_asked: bool, about: impl FnOnce() -> String) {
        let is_calm = self.is_calm();
        let is_swept = self.has_begun.load(Ordering::SeqCst) && !(is_asked && is_calm);
        let mut state = self.state();
        let about = if state.trace.is_readable() {
            let function = point.who.split('#').next().unwrap_or_default();
            without_numbers(&format!("{function} {}", about()))
        } else {
            String::new()
        };
        state.met.push(Met { point: point.clone(), class, about, is_asked, is_calm, is_swept });
    }

    /// What goes wrong here, if anything, and the numbers to do it with.
    pub(crate) fn strike(&self, point: &Point, class: Class, is_asked: bool) -> Option<(Fault, fastrand::Rng)> {
        let mut rng = chance::at(self.faults, &point.who, point.call);
        let drawn = self.swarm.strike(&mut rng, class, self.now_ms() - self.start_ms);
        self.settle(point, class, drawn.filter(|fault| !(is_asked && fault.is_of_background())), rng)
    }

    /// The same for a batch, of which it counts whether it wakes others.
    pub(crate) fn strike_delivery(&self, point: &Point, event: &Value) -> Option<(Fault, fastrand::Rng)> {
        let mut rng = chance::at(self.faults, &point.who, point.call);
        let bodies = event["Records"].as_array().into_iter().flatten().filter_map(|record| record["body"].as_str());
        let wakes = bodies.into_iter().any(|body| body.contains("\"wake\""));
        let drawn = match chance::happens(&mut rng, self.swarm.late_wakes) && wakes {
            true => Some(Fault::Delayed),
            false => self.swarm.strike(&mut rng, Class::Delivery, self.now_ms() - self.start_ms),
        };
        self.settle(point, Class::Delivery, drawn, rng)
    }

    fn settle(
        &self,
        point: &Point,
        class: Class,
        drawn: Option<Fault>,
        rng: fastrand::Rng,
    ) -> Option<(Fault, fastrand::Rng)> {
        let forced = self.plan.forced.iter().find(|(at, _)| at == point).map(|(_, fault)| *fault);
        let fault = match forced {
            Some(fault) => fault,
            None if self.is_calm() || self.plan.muted.contains(point) => return None,
            None => drawn?,
        };
        let rng = match self.plan.shape {
            shape if shape > 0 && forced.is_some() => fault.shaped(rng, shape),
            _ => rng,
        };
        let mut state = self.state();
        state.struck.push((point.clone(), fault));
        state.coverage.struck(fault, class);
        Some((fault, rng))
    }

    /// How long a call is under way, there and back.
    pub(crate) fn latency_ms(&self, point: &Point) -> (u64, u64) {
        let mut rng = chance::at(self.scheduler, &point.who, point.call);
        if chance::happens(&mut rng, 300) {
            (rng.u64(20..200), rng.u64(1..200))
        } else {
            (rng.u64(1..8), rng.u64(1..8))
        }
    }

    /// How far behind this call is, if the service may lag in what it asks for.
    pub(crate) fn lag_ms(&self, point: &Point) -> i64 {
        let mut rng = chance::at(self.lag, &point.who, point.call);
        if self.is_calm() || self.plan.muted.contains(point) || rng.bool() {
            return 0;
        }
        rng.i64(0..=self.swarm.lag_ms)
    }

    /// For which the chaos lasts, if something else does not last longer.
    pub(crate) fn outages(&self) -> impl Iterator<Item = Outage> {
        self.swarm.outage.into_iter().chain(self.swarm.down).chain(self.swarm.closed)
    }

    pub(crate) fn skew_of(&self, who: &str) -> i64 {
        if self.is_calm() { 0 } else { self.swarm.skew_of(self.scheduler, who) }
    }

    /// Names the next invocation of a function.
    pub(crate) fn next_invocation(&self, function: &str) -> String {
        let mut state = self.state();
        let number = state.invocations.entry(function.to_owned()).or_default();
        *number += 1;
        format!("{function}#{number}")
    }

    /// Keeps a delivery now and then, to come once more much later.
    pub(crate) fn keep(&self, who: &str, function: &str, event: &Value) {
        if self.is_calm() || !chance::happens(&mut chance::at(self.scheduler, who, 2), self.swarm.kept) {
            return;
        }
        let mut state = self.state();
        if state.kept.len() < MOST_KEPT {
            state.kept.push(Kept { function: function.to_owned(), event: event.clone() });
        }
    }

    /// What was delivered from this source before, and from now on this.
    pub(crate) fn replace_earlier(&self, source: &str, event: &Value) -> Option<Value> {
        self.state().earlier.insert(source.to_owned(), event.clone())
    }

    /// Takes down what came onto the bus.
    pub(crate) fn announced(&self, event: &Value) {
        let id = event["detail"]["id"].as_str().unwrap_or_default().to_owned();
        let mut state = self.state();
        let is_owed = state.unannounced.remove(&id).is_some();
        let is_repeat = !state.announced.insert(id.clone());
        drop(state);
        if !is_owed && !is_repeat {
            self.find(format!("{id:?} came onto the bus and never happened"));
        }
    }

    /// Everything that happened has been on the bus.
    pub(crate) fn judge_announced(&self) {
        let unannounced = self.state().unannounced.clone();
        for (id, detail_type) in unannounced {
            self.find(format!("{id} ({detail_type}) never came onto the bus"));
        }
    }

    /// Judges a call of an endpoint that goes out just now.
    pub(crate) fn sent(&self, point: &Point, call: &Call) -> Option<Place> {
        let mut state = self.state();
        let State { book, watch, struck, .. } = &mut *state;
        let sky = Sky { now_ms: self.now_ms(), skew_ms: self.swarm.skew_ms, struck };
        let (place, findings) = book.send(point, call, sky, watch);
        state.count_outside();
        drop(state);
        for finding in findings {
            self.find(format!("{}: {finding}", point.who));
        }
        place
    }

    pub(crate) fn taken_outside(&self, place: &Place) {
        self.state().book.taken(place);
    }

    pub(crate) fn heard_outside(&self, place: &Place, answer: Answer) {
        let now_ms = self.now_ms();
        self.state().book.heard(place, answer, now_ms);
    }

    /// What an endpoint answers is drawn apart from what goes wrong there.
    pub(crate) fn numbers_outside(&self, point: &Point) -> fastrand::Rng {
        chance::at(self.outside, &point.who, point.call)
    }

    /// Everything that was to be delivered was, or it is known why not.
    pub(crate) fn judge_outside(&self) {
        let findings = {
            let state = self.state();
            state.book.judge(&state.watch, self.swarm.skew_ms)
        };
        findings.into_iter().for_each(|finding| self.find(finding));
    }

    /// Judges a write that was applied just now.
    pub(crate) fn applied(&self, speaker: &Speaker, operation: &str, request: &Value) {
        let Some(actions) = platform::table::wire::actions(operation, request) else { return };
        let actions = match actions {
            Ok(actions) => actions,
            Err(error) => return self.find(format!("{}: a write that nobody can read: {error}", speaker.who)),
        };
        let mut state = self.state();
        if let Some(token) = request["ClientRequestToken"].as_str()
            && !state.tokens.insert(token.to_owned())
        {
            // The same transaction once more, which the service answers and does not repeat.
            return state.coverage.reached(Path::TransactionRepeated);
        }
        let State { coverage, watch, .. } = &mut *state;
        coverage.see(&speaker.function, &actions, watch);
        state.owe(&actions);
        state.trace.say(self.now_ms(), || Line::new(Mark::Commit, &speaker.who, telling::commit(&actions)));
        let mut findings: Vec<String> = state.watch.see(&actions).iter().map(ToString::to_string).collect();
        findings.extend(state.book.see(self.now_ms(), &speaker.function, &actions));
        state.count_outside();
        drop(state);
        findings.extend(self.judge_cards(&actions));
        for finding in findings {
            self.find(format!("{}: {finding}", speaker.who));
        }
    }
}

/// Text without what differs between two runs of the same thing: versions, counts and times.
fn without_numbers(text: &str) -> String {
    let is_number = |word: &str| {
        let digits = word.strip_prefix('v').unwrap_or(word);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(|word| {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_number(bare) { &word[bare.len()..] } else { word }
        })
        .collect()
}
