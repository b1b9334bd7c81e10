//! Every state that five callbacks lead to, whatever else happens to their payment meanwhile (the callbacks of `domain`),
//! reached through the real thing: for each, one path to it, step by step, by the route that gateways call, signed as they
//! sign, the function behind it, the real SDK and the table. Where paths part, the table is put back as it was there.
//!
//! After each step the table holds what the domain says, item by item and version by version, and the write was the one
//! that was decided, and is refused when it comes again. In each state every callback that has come comes again, twice, and changes nothing; and one that is
//! not signed as it has to be changes nothing either. However they came, they leave one state behind.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../../../crates/domain/tests/support/mod.rs"]
mod ledger;
#[path = "../support/mod.rs"]
mod support;
#[path = "../every_state/table.rs"]
mod table;
#[path = "../every_state/writes.rs"]
mod writes;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

use domain::books::{Draft, Halt, Key};
use domain::payments::{self, Answer, GatewayMessage, Limits, NoAnswer};
use domain::promises::watch::Action;
use domain::{Millis, Timestamp};
use ledger::callbacks::{
    Called, Happening, KEY, Reached, Setting, Step, called_about, kept, late_payment, of_order, payment,
};
use local_cloud::{Clock, Options as CloudOptions, Storage};
use local_system::{Options, System};
use platform::store::Needs;
use serde_json::json;
use support::callbacks::{Callback, STRIPE_SECRET, with_gateway};
use support::shop::Shop;
use support::{START_MS, user};
use table::{Images, Items, images, item, pass, put_back};
use writes::{Deed, Write, Writes, deed, unmarked};

/// A walk over all paths. Where they part, it comes back, and the table is put back as it was there.
struct Walk<'a> {
    setting: &'a Setting,
    reached: &'a [Reached],
    system: System,
    writes: Writes,
    /// What was in the table where it stands, if paths go on from there.
    stands: BTreeMap<usize, Rc<Images>>,
    /// What is in the table.
    now: Rc<Images>,
    walked: Walked,
}

/// How much was walked.
#[derive(Debug, Default)]
struct Walked {
    states: usize,
    writes: usize,
    repeats: usize,
}

fn start() -> (System, Writes) {
    let cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
    let writes = Writes::default();
    let watched = writes.clone();
    let network = Arc::new(move |connector: local_cloud::Connector| platform::aws::shared(watched.watching(connector)));
    let mut options = Options { runs_by_itself: false, network, ..Options::new(cloud) };
    // So that customers have the same ids here and in the ledger.
    options.parameters.insert("TokenIssuer".to_owned(), "test".to_owned());
    with_gateway(&mut options, "stripe");
    (System::start(options).unwrap(), writes)
}

/// Where two that should be the same are not.
fn differences<K: Ord + Debug, V: PartialEq + Debug>(decided: &BTreeMap<K, V>, kept: &BTreeMap<K, V>) -> Vec<String> {
    let keys: BTreeSet<&K> = decided.keys().chain(kept.keys()).collect();
    let differing = keys.into_iter().filter(|key| decided.get(key) != kept.get(key));
    differing.map(|key| format!("{key:?}\n  decided: {:?}\n  kept: {:?}", decided.get(key), kept.get(key))).collect()
}

impl Walk<'_> {
    /// From the earliest moment to the latest, since time does not come back; at each, path after path.
    async fn everywhere(&mut self) {
        self.begin().await;
        let mut places = self.paths();
        let at = |place: usize| self.reached[place].world.ledger.now;
        places.sort_by_key(|place| at(*place));
        let mut go_on: BTreeMap<usize, usize> = BTreeMap::new();
        for (from, _) in self.reached.iter().filter_map(|reached| reached.came) {
            *go_on.entry(from).or_default() += 1;
        }
        for place in places {
            self.pass_to(self.reached[place].world.ledger.now).await;
            if let Some((from, step)) = self.reached[place].came {
                put_back(&self.system, &self.now, &self.stands[&from]).await;
                let left = go_on.get_mut(&from).unwrap();
                *left -= 1;
                if *left == 0 {
                    self.stands.remove(&from);
                }
                self.writes.take();
                self.step(step).await;
                self.wrote(place).await;
            }
            self.now = Rc::new(images(&self.system).await);
            self.holds(place);
            self.comes_again(place).await;
            if go_on.contains_key(&place) {
                self.stands.insert(place, self.now.clone());
            }
            self.walked.states += 1;
        }
        assert!(self.stands.is_empty(), "every path was taken");
    }

    /// Each place after the one before it on its path, and next to it as far as can be.
    fn paths(&self) -> Vec<usize> {
        let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, reached) in self.reached.iter().enumerate() {
            if let Some((from, _)) = reached.came {
                after.entry(from).or_default().push(place);
            }
        }
        let (mut open, mut paths) = (vec![0], Vec::new());
        while let Some(place) = open.pop() {
            paths.push(place);
            open.extend(after.get(&place).into_iter().flatten().rev());
        }
        paths
    }

    /// What there is before anything calls back.
    async fn begin(&self) {
        if let Some(order) = self.setting.order {
            let body = json!({ "amount": "5.00", "pay_with": "card" }).to_string();
            let placed = user(&self.system, "alice").post("/orders", KEY, body).await.expect(201);
            assert_eq!(placed.id(), order.to_string());
            let shop = Shop(&self.system);
            let work = shop.told_by(Key::Order(order)).await;
            assert_eq!(shop.advance(&work).await, 0);
        } else if !self.setting.start.items.is_empty() {
            self.make().await;
        }
    }

    async fn make(&self) {
        let body = json!({ "amount": "5.00", "currency": "EUR", "reference": KEY }).to_string();
        user(&self.system, "alice").post("/payments", KEY, body).await.expect(202);
    }

    async fn pass_to(&self, moment: Timestamp) {
        pass(Millis(moment.as_millis() - self.system.app().now().as_millis())).await;
    }

    async fn call_back(&self, called: &Called) -> String {
        let seconds = self.system.app().now().as_seconds();
        Callback::stripe(STRIPE_SECRET, seconds, called.event.clone())
            .send(&self.system)
            .await
            .expect(200)
            .get("outcome")
    }

    async fn step(&self, step: Step) {
        let key = self.setting.payment;
        match step {
            Step::CallBack(place) => {
                let outcome = self.call_back(&self.setting.callbacks[place]).await;
                assert!(matches!(outcome.as_str(), "taken" | "early"), "{outcome}");
            }
            Step::Happens(Happening::Make) => self.make().await,
            Step::Happens(Happening::Cancel) => {
                let order = self.setting.order.unwrap();
                user(&self.system, "alice").ask(&format!("/orders/{order}/cancel")).await.expect(200);
            }
            // What no function does alone, as the functions do it among other things.
            Step::Happens(Happening::Attempt) => {
                self.decide(|draft, now| {
                    let attempt = attempts(draft, key)?;
                    payments::begin(draft, &GatewayMessage { key, attempt }, &Limits::default(), 0, now).map(drop)
                })
                .await;
            }
            Step::Happens(Happening::Lose) => {
                self.decide(|draft, now| {
                    let number = attempts(draft, key)?;
                    payments::settle(draft, key, number, &Answer::Silence(NoAnswer::Lost), 0, now).map(drop)
                })
                .await;
            }
            Step::Happens(Happening::Look) => {
                self.decide(|draft, now| payments::look(draft, key, 0, now).map(drop)).await;
            }
        }
    }

    async fn decide(&self, decide: impl Fn(&mut Draft<'_>, Timestamp) -> Result<(), Halt>) {
        let needs = Needs::load([self.setting.payment.key()]);
        let store = &self.system.app().store;
        store.decide(needs, |books, now| books.decide(|draft| decide(draft, now))).await.unwrap();
    }

    #[track_caller]
    fn is_right(&self, place: usize, what: &str, findings: &[String]) {
        assert!(
            findings.is_empty(),
            "{} after {:?}: {what}:\n{}",
            self.setting.name,
            self.steps(place),
            findings.join("\n")
        );
    }

    /// The steps to a place.
    fn steps(&self, mut place: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some((from, step)) = self.reached[place].came {
            steps.insert(0, step);
            place = from;
        }
        steps
    }

    /// What was written in the last step is what was decided, and is turned away when it comes again.
    async fn wrote(&mut self, place: usize) {
        let writes = self.writes.take();
        let commits: Vec<Vec<Action>> = writes.iter().map(Write::actions).collect();
        let deeds = |commits: &[Vec<Action>]| -> BTreeMap<(usize, Key), Deed> {
            let full = commits.iter().filter(|actions| !actions.is_empty()).enumerate();
            full.flat_map(|(number, actions)| actions.iter().map(move |action| ((number, action.key()), deed(action))))
                .collect()
        };
        let decided = &self.reached[place].world.ledger.commits;
        self.is_right(place, "the writes", &differences(&deeds(decided), &deeds(&commits)));
        self.walked.writes += commits.len();
        for write in writes {
            let refused = write.is_refused_again(&self.system.cloud.connector()).await;
            self.is_right(place, "a write could come twice", &refused.err().into_iter().collect::<Vec<_>>());
        }
    }

    /// The table holds what the domain says.
    fn holds(&self, place: usize) {
        let ledger = &self.reached[place].world.ledger;
        assert_eq!(self.system.app().now(), ledger.now, "time stands still but where it passes");
        let decided = ledger.items.iter().map(|(key, (item, version))| (*key, (unmarked(item.clone()), *version)));
        let kept: Items = self.now.values().map(item).map(|(item, version)| (item.key(), (item, version))).collect();
        self.is_right(place, "the table", &differences(&decided.collect(), &kept));
    }

    /// What has come comes twice more, and what is not signed comes too: the table is as it was, and nothing was written.
    async fn comes_again(&mut self, place: usize) {
        self.writes.take();
        let copies = self.reached[place].world.copies;
        let came = self.setting.callbacks.iter().zip(copies).filter(|(_, left)| *left == 0);
        for (called, _) in came {
            for _ in 0..2 {
                assert_eq!(self.call_back(called).await, "repeated");
                self.walked.repeats += 1;
            }
        }
        let called = &self.setting.callbacks[place % 5];
        let forged =
            Callback::stripe("whsec_another_secret", self.system.app().now().as_seconds(), called.event.clone());
        forged.send(&self.system).await.expect(401);
        assert_eq!(self.writes.take().len(), 0, "{} after {:?}", self.setting.name, self.steps(place));
    }
}

fn attempts(draft: &mut Draft<'_>, key: payments::GatewayKey) -> Result<u32, Halt> {
    let payment = draft.get::<payments::Payment>(key.key())?;
    Ok(payment.map_or(0, |payment| payment.call.attempts))
}

/// Walks everywhere, and says how many different states are left behind where nothing is left to come.
#[expect(clippy::print_stdout, reason = "how much was walked is worth knowing")]
fn walk(setting: &Setting) -> HashSet<String> {
    let reached = setting.reached();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let walked = runtime.block_on(async {
        let (system, writes) = start();
        let (stands, now, walked) = (BTreeMap::new(), Rc::default(), Walked::default());
        let mut walk = Walk { setting, reached: &reached, system, writes, stands, now, walked };
        walk.everywhere().await;
        walk.walked
    });
    let Walked { states, writes, repeats } = walked;
    println!("{}: {states} states by {writes} writes, and {repeats} repeats that wrote nothing", setting.name);
    assert!(states == reached.len() && states > 30, "{}: not every state was reached", setting.name);
    assert!(repeats > states, "{}: hardly anything came again", setting.name);
    let is_end = |reached: &&Reached| setting.next(&reached.world).is_empty();
    reached.iter().filter(is_end).map(|reached| kept(&reached.world.ledger)).collect()
}

#[test]
fn every_state_of_a_payment_is_reached_and_one_is_left_behind() {
    assert_eq!(walk(&payment()).len(), 1);
}

#[test]
fn every_state_of_a_payment_that_comes_late_is_reached() {
    let ends = walk(&late_payment());
    assert!(ends.iter().all(|end| end.contains("InReview")), "{ends:#?}");
}

#[test]
fn every_state_of_a_payment_that_is_called_about_is_reached() {
    let ends = walk(&called_about());
    assert!(ends.iter().all(|end| end.contains("InReview")), "{ends:#?}");
}

/// Paid, or given back.
#[test]
fn every_state_of_an_order_is_reached_and_two_are_left_behind() {
    let ends = walk(&of_order());
    assert!(ends.iter().all(|end| end.contains("Completed") != end.contains("Cancelled")), "{ends:#?}");
}
