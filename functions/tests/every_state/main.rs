//! Every state that two orders can be in which want the same (the interleavings of `domain`), reached through the real
//! thing: for each, a shortest path to it, step by step, by the routes, the functions behind the queues and the sweep, the
//! real SDK and the table; and besides, a step for every kind of write that any step anywhere makes. Where paths part, the
//! table is put back as it was there, so that each step is taken once.
//!
//! After each step the table holds what the domain says, item by item and version by version, and its queues and its index
//! do; the write was the one that was decided, action by action; it kept the promises, and so does all that is kept,
//! without any grace where nothing is left to do. Of each kind of write one comes twice, and is refused.
//!
//! Covered is what `domain` explores: money or stock first; every policy; enough for one, and enough for both, piece by
//! piece; orders that stall; a slot that begins; an order that lacks two things. Left out is the deadline where there is
//! enough for both: a seventh of all the writes, and it is met in the others.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../../../crates/domain/tests/support/mod.rs"]
mod ledger;
#[path = "../support/mod.rs"]
mod support;
mod system;
mod table;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::rc::Rc;

use domain::books::{Item, Key};
use domain::messages::{self, Message, Notification};
use domain::promises::Audit;
use domain::promises::watch::{Action, Watch};
use domain::{Millis, Timestamp};
use ledger::Ledger;
use ledger::interleavings::{
    Explored, Happening, ORDERS, Reached, Setting, Step, beginning, explore, id, piece_by_piece, scarce, stalling,
    two_lines,
};
use system::Driven;
use table::{Images, Items, item, pass};
use writes::{Deed, Write, deed, unmarked};

/// Longer than anything here is under way.
const GRACE: Millis = Millis::hours(10_000);

/// Where a walk stood, to go on from there another time.
#[derive(Clone, Default)]
struct Stand {
    /// What was in the table.
    images: Rc<Images>,
    items: Rc<Items>,
    watch: Rc<Watch>,
    told: Vec<Notification>,
}

/// A walk over all ways. Where they part, it comes back, and the table is put back as it was there.
struct Walk<'a> {
    setting: &'a Setting,
    explored: &'a Explored,
    driven: Driven,
    stand: Stand,
    /// What is in the table.
    images: Rc<Images>,
    /// The steps to where it stands.
    taken: Vec<Step>,
    walked: Walked,
}

/// How much was walked.
#[derive(Debug, Default)]
struct Walked {
    states: BTreeSet<usize>,
    at_rest: usize,
    writes: usize,
}

/// Where two that should be the same are not.
fn differences<K: Ord + Debug, V: PartialEq + Debug>(decided: &BTreeMap<K, V>, kept: &BTreeMap<K, V>) -> Vec<String> {
    let keys: BTreeSet<&K> = decided.keys().chain(kept.keys()).collect();
    let differing = keys.into_iter().filter(|key| decided.get(key) != kept.get(key));
    differing.map(|key| format!("{key:?}\n  decided: {:?}\n  kept: {:?}", decided.get(key), kept.get(key))).collect()
}

impl Walk<'_> {
    /// From the earliest moment to the latest, since time does not come back; at each, way after way.
    async fn everywhere(&mut self) {
        let explored = self.explored;
        let now = |place: usize| explored.reached[place].world.kept.ledger.now;
        let mut ways: Vec<(Timestamp, Vec<usize>)> =
            explored.on_the_ways().into_iter().map(|place| (now(place), explored.way(place))).collect();
        ways.sort_unstable();
        let mut stands: BTreeMap<usize, Stand> = BTreeMap::new();
        self.driven.begin(self.setting).await;
        for (moment, way) in ways {
            pass(Millis(moment.as_millis() - self.driven.system.app().now().as_millis())).await;
            let (place, from) = (way[way.len() - 1], way.iter().rev().nth(1));
            if let Some(from) = from {
                self.stand = stands[from].clone();
            }
            self.go(place).await;
            stands.insert(place, self.stand.clone());
        }
    }

    /// Takes the last step to a place, and looks at all that there is.
    async fn go(&mut self, place: usize) {
        let Reached { world, came, writes_anew, .. } = &self.explored.reached[place];
        let ledger = &world.kept.ledger;
        self.taken = self.explored.steps(place);
        match came {
            // It is as it was when that was looked at, and later.
            Some((_, step)) if step.only_takes_time() => assert!(ledger.commits.is_empty(), "{step:?}"),
            came => {
                if let Some((from, step)) = came {
                    self.driven.put_back(&self.images, &self.stand.images).await;
                    self.driven.step(self.setting, &self.explored.reached[*from].world, *step, world).await;
                }
                let writes = self.wrote(&ledger.commits);
                if *writes_anew {
                    self.is_done_once(&writes).await;
                }
                self.look().await;
                self.queues_hold(ledger).await;
            }
        }
        self.holds(ledger);
        self.keeps_the_promises(self.explored.is_at_rest(place));
        self.walked.states.insert(place);
    }

    /// Reads all that is in the table.
    async fn look(&mut self) {
        let before = std::mem::replace(&mut self.stand.images, Rc::new(self.driven.images().await));
        self.images = self.stand.images.clone();
        let items = Rc::make_mut(&mut self.stand.items);
        for (_, image) in before.iter().filter(|(place, _)| !self.images.contains_key(*place)) {
            items.remove(&item(image).0.key());
        }
        for (_, image) in self.images.iter().filter(|(place, image)| before.get(*place) != Some(*image)) {
            let (item, version) = item(image);
            items.insert(item.key(), (item, version));
        }
    }

    #[track_caller]
    fn is_right(&self, what: &str, findings: &[String]) {
        assert!(findings.is_empty(), "{} after {:?}: {what}:\n{}", self.setting.name, self.taken, findings.join("\n"));
    }

    /// What was written in the last step is what was decided, and kept the promises.
    fn wrote(&mut self, decided: &[Vec<Action>]) -> Vec<Write> {
        let writes = self.driven.writes.take();
        let commits: Vec<Vec<Action>> = writes.iter().map(Write::actions).collect();
        let deeds = |commits: &[Vec<Action>]| -> BTreeMap<(usize, Key), Deed> {
            let numbered = commits.iter().enumerate();
            numbered
                .flat_map(|(number, actions)| actions.iter().map(move |action| ((number, action.key()), deed(action))))
                .collect()
        };
        self.is_right("the writes", &differences(&deeds(decided), &deeds(&commits)));
        for actions in &commits {
            let findings: Vec<String> =
                Rc::make_mut(&mut self.stand.watch).see(actions).iter().map(ToString::to_string).collect();
            self.is_right("a write breaks a promise", &findings);
            self.hear(actions);
        }
        self.walked.writes += writes.len();
        writes
    }

    /// What comes twice is turned away, and nothing has changed when all is looked at.
    async fn is_done_once(&self, writes: &[Write]) {
        for write in writes {
            let refused = write.is_refused_again(&self.driven.system.cloud.connector()).await;
            self.is_right("a write could come twice", &refused.err().into_iter().collect::<Vec<_>>());
        }
    }

    fn hear(&mut self, actions: &[Action]) {
        for action in actions {
            let Action::Put { item, version, events } = action else { continue };
            for message in messages::of_commit(item, *version, events) {
                if let Message::Notice(notice) = message {
                    self.stand.told.push(notice);
                }
            }
        }
    }

    /// The index holds what the domain says, and so do the queues.
    async fn queues_hold(&self, ledger: &Ledger) {
        let looks = ORDERS.map(|order| ledger.order(id(order))).into_iter();
        let looks = looks.filter_map(|order| Some((order.id.to_string(), order.look_at?.as_millis().to_string())));
        self.is_right("the index by_look", &differences(&looks.collect(), &self.driven.looks().await));
        let moved = ledger.commits.iter().flatten().filter_map(|action| match action.key() {
            Key::Waiting(resource, ..) => Some(resource),
            _ => None,
        });
        let (mut decided, mut kept) = (BTreeMap::new(), BTreeMap::new());
        for resource in moved {
            decided.insert(resource, ledger.waiters(resource).iter().map(|waiting| waiting.order).collect());
            kept.insert(resource, self.driven.shop().queue(resource).await);
        }
        self.is_right("who waits", &differences(&decided, &kept));
    }

    /// The table holds what the domain says; and the same was told.
    fn holds(&self, ledger: &Ledger) {
        assert_eq!(self.driven.system.app().now(), ledger.now, "time stands still but where it passes");
        let decided = ledger.items.iter().map(|(key, (item, version))| (*key, (unmarked(item.clone()), *version)));
        self.is_right("the table", &differences(&decided.collect(), &self.stand.items));
        assert_eq!(self.stand.told, ledger.told, "{} after {:?}", self.setting.name, self.taken);
    }

    /// With no grace where nothing is left to do; where something is, it may be under way for ever.
    fn keeps_the_promises(&mut self, is_at_rest: bool) {
        let mut audit = Audit::default();
        for (item, version) in self.stand.items.values() {
            audit.see(item.clone(), *version);
        }
        for notice in &self.stand.told {
            audit.see(Item::Notification(notice.clone()), 1);
        }
        let grace = if is_at_rest { Millis(0) } else { GRACE };
        let report = audit.finish(self.driven.system.app().now().after(Millis(1)), grace);
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        self.is_right("a promise", &findings);
        self.walked.at_rest += usize::from(is_at_rest);
    }
}

#[expect(clippy::print_stdout, reason = "how much was walked is worth knowing")]
fn walk(setting: &Setting) {
    let explored = explore(setting);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let walked = runtime.block_on(async {
        let wait = explored.reached[0].world.kept.ledger.terms.wait;
        let stand = Stand { watch: Rc::new(Watch::default().with_wait(wait)), ..Stand::default() };
        let (driven, taken, walked) = (Driven::start(), Vec::new(), Walked::default());
        let mut walk = Walk { setting, explored: &explored, driven, stand, images: Rc::default(), taken, walked };
        walk.everywhere().await;
        walk.walked
    });
    let Walked { states, at_rest, writes } = &walked;
    let (kept, kinds) = (explored.firsts(), explored.writing_anew());
    println!(
        "{}: {} states, {at_rest} of them at rest, by {} steps with {writes} writes of {} kinds",
        setting.name,
        kept.len(),
        states.len() - 1,
        kinds.len(),
    );
    assert!(kept.len() > 100 && kept.is_subset(states), "{}: not every state was reached", setting.name);
    assert!(kinds.len() > 10 && kinds.is_subset(states), "{}: not everything was written", setting.name);
    assert!(*at_rest > 0, "{}: no state was at rest", setting.name);
}

#[test]
fn every_state_is_reached_where_money_comes_first() {
    scarce(false).iter().for_each(walk);
}

#[test]
fn every_state_is_reached_where_stock_comes_first() {
    scarce(true).iter().for_each(walk);
}

#[test]
fn every_state_is_reached_where_enough_comes_piece_by_piece() {
    let has_deadline = |setting: &Setting| setting.left.contains(&Happening::Deadline);
    piece_by_piece().iter().filter(|setting| !has_deadline(setting)).for_each(walk);
}

#[test]
fn every_state_is_reached_where_orders_stall() {
    walk(&stalling());
}

#[test]
fn every_state_is_reached_where_the_slot_begins() {
    beginning().iter().for_each(walk);
}

#[test]
fn every_state_is_reached_where_an_order_lacks_several_things_at_once() {
    two_lines().iter().for_each(walk);
}
