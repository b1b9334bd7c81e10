//! Every order in which deposits, receipts, a slot's opening, a courier's acceptance, a cancel and a deadline can meet two
//! orders that want the same: every state that can be reached, once, and the shortest way to it. Each commit is judged as
//! it comes, and wherever nothing is left to do, everything is held against the promises.
//!
//! What is told to wake is done at once or any time later, one waiter at a time, and anything may happen in between. An
//! order may be advanced at any moment, asked or not, as when a message comes late or twice, and each time all the way or
//! only as far as its slot.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;
use std::sync::LazyLock;

use domain::accounts::Account;
use domain::books::{Draft, Halt, Kept as _, Key};
use domain::ids::{CustomerId, OrderId, SlotId};
use domain::messages::{Cursor, Work};
use domain::orders::{self, IfLacking, Order, OrderState, Resource, Waiting};
use domain::promises::watch::Action;
use domain::slots::Slot;
use domain::{Millis, Refusal, Timestamp};

use super::{Ledger, Policies, START, customer, key};

/// The keys of the two orders, which they are called by here.
pub(crate) const ORDERS: [&str; 2] = ["k1", "k2"];

/// What happens from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Happening {
    /// Enough for one order of one piece.
    Deposit,
    /// One piece of what both orders want.
    Receipt,
    /// One piece of what only the first order may want besides.
    OtherReceipt,
    /// Room for one more.
    Slot,
    /// Of either order.
    Accept,
    /// Of either order.
    Cancel,
    Deadline,
    /// Of either order: it could not be processed.
    Stall,
    /// The slot, if it is opened, begins; before every deadline.
    Beginning,
}

/// What leads from one state to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Of those who wait under something, the first after a place is let go on.
    Wake(Resource, Option<Cursor>, &'static str),
    Advance(&'static str),
    AdvanceToSlot(&'static str),
    Look(&'static str),
    /// To one of the orders, or to none.
    Happens(Happening, Option<&'static str>),
}

impl Step {
    /// Nothing is done but later.
    pub(crate) const fn only_takes_time(self) -> bool {
        matches!(self, Self::Happens(Happening::Deadline | Happening::Beginning, _))
    }
}

/// Two orders, and what may happen to them.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: String,
    /// What each order wants.
    pub(crate) lines: [&'static [(&'static str, u32)]; 2],
    pub(crate) policies: Policies,
    pub(crate) left: Vec<Happening>,
    /// When the slot begins, if it does.
    pub(crate) begins: Option<Timestamp>,
}

const TEA: &[(&str, u32)] = &[("tea", 1)];

impl Setting {
    fn new(name: String, policies: Policies, left: &[Happening]) -> Self {
        Self { name, lines: [TEA, TEA], policies, left: left.to_vec(), begins: None }
    }
}

fn plan(reserve_first: bool) -> &'static str {
    if reserve_first { "stock first" } else { "payment first" }
}

/// Both orders want a piece of the same thing, and there is money for both, and a piece and a place for one. Under every
/// policy alone; `reserve_first` is the other plan.
pub(crate) fn scarce(reserve_first: bool) -> Vec<Setting> {
    use Happening::{Accept, Cancel, Deadline, Deposit, Receipt, Slot};
    let left = [Deposit, Deposit, Receipt, Slot, Accept, Cancel, Deadline];
    let wait = Policies { reserve_first, ..Policies::default() };
    let cancel = IfLacking::Cancel;
    let policies = [
        ("to wait", wait),
        ("to be paid at once", Policies { if_unpaid: cancel, ..wait }),
        ("to be in stock at once", Policies { if_unavailable: cancel, ..wait }),
        ("to be carried at once", Policies { if_undeliverable: cancel, ..wait }),
    ];
    let setting = |(policy, policies)| Setting::new(format!("{}, {policy}", plan(reserve_first)), policies, &left);
    policies.map(setting).into()
}

/// There is enough for both in the end, and it comes piece by piece.
pub(crate) fn piece_by_piece() -> Vec<Setting> {
    use Happening::{Accept, Cancel, Deadline, Deposit, Receipt, Slot};
    let setting = |(reserve_first, last)| {
        let left = [Deposit, Deposit, Receipt, Receipt, Slot, Slot, last];
        let policies = Policies { reserve_first, ..Policies::default() };
        Setting::new(format!("piece by piece, {}, {last:?}", plan(reserve_first)), policies, &left)
    };
    [(false, Cancel), (true, Cancel), (false, Accept), (true, Deadline)].map(setting).into()
}

/// An order cannot be processed.
pub(crate) fn stalling() -> Setting {
    use Happening::{Cancel, Deadline, Deposit, Receipt, Slot, Stall};
    let left = [Deposit, Receipt, Slot, Stall, Deadline, Cancel];
    Setting::new("stalling".to_owned(), Policies::default(), &left)
}

/// The slot begins.
pub(crate) fn beginning() -> Vec<Setting> {
    use Happening::{Accept, Beginning, Cancel, Deposit, Receipt, Slot};
    let left = [Deposit, Deposit, Receipt, Receipt, Slot, Beginning, Accept, Cancel];
    let setting = |reserve_first| {
        let policies = Policies { reserve_first, ..Policies::default() };
        let setting = Setting::new(format!("a slot that begins, {}", plan(reserve_first)), policies, &left);
        Setting { begins: Some(START.after(Millis::hours(1))), ..setting }
    };
    [false, true].map(setting).into()
}

/// The first order wants two things, so that it moves from one queue to the other, and what it does not take is free.
pub(crate) fn two_lines() -> Vec<Setting> {
    use Happening::{Cancel, Deposit, OtherReceipt, Receipt, Slot};
    let left = [Deposit, Deposit, Deposit, Receipt, OtherReceipt, Slot, Cancel];
    let setting = |reserve_first| {
        let policies = Policies { reserve_first, ..Policies::default() };
        let setting = Setting::new(format!("two lines, {}", plan(reserve_first)), policies, &left);
        Setting { lines: [&[("tea", 1), ("pot", 1)], TEA], ..setting }
    };
    [false, true].map(setting).into()
}

/// Everything that is kept, shared by the states that differ in nothing of it.
pub(crate) struct Kept {
    pub(crate) ledger: Ledger,
    hash: u64,
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) kept: Rc<Kept>,
    /// Who is to be woken, from after where.
    wakes: BTreeSet<(Resource, Option<Cursor>)>,
    /// What may still happen.
    left: Vec<Happening>,
    begins: Option<Timestamp>,
}

pub(crate) fn alice() -> CustomerId {
    static ALICE: LazyLock<CustomerId> = LazyLock::new(|| customer("alice"));
    *ALICE
}

/// The order of that name.
pub(crate) fn id(order: &str) -> OrderId {
    static IDS: LazyLock<[OrderId; 2]> = LazyLock::new(|| ORDERS.map(|order| OrderId::of(&alice(), &key(order))));
    IDS[usize::from(order != ORDERS[0])]
}

fn named(id: OrderId) -> &'static str {
    ORDERS.into_iter().find(|order| self::id(order) == id).unwrap()
}

/// What there is, without the moments and versions that only differ.
fn hash(ledger: &Ledger) -> u64 {
    let mut hasher = DefaultHasher::new();
    for order in ORDERS.map(|order| ledger.order(id(order))) {
        let waiting = order.waiting_for.map(|waiting| (waiting.what as u8, waiting.until <= ledger.now));
        (order.state, order.charged, order.reserved, order.delivery, order.parked, waiting).hash(&mut hasher);
        order.look_at.is_some_and(|at| at <= ledger.now).hash(&mut hasher);
        order.stalls.hash(&mut hasher);
    }
    let stocks = (ledger.on_hand("tea"), ledger.on_hand("pot"));
    let standard = ledger.items.get(&Key::Slot(SlotId::standard())).and_then(|(item, _)| Slot::of_item(item));
    let slot = standard.map(|slot| (slot.booked, slot.capacity, slot.has_begun(ledger.now)));
    let balance = ledger.items.get(&Key::Account(alice())).and_then(|(item, _)| Account::of_item(item));
    (balance.map(|account| account.balance), stocks, slot).hash(&mut hasher);
    hasher.finish()
}

impl World {
    fn new(setting: &Setting) -> Self {
        let mut ledger = Ledger::new();
        ledger.product("tea", 100);
        ledger.product("pot", 100);
        for (order, lines) in ORDERS.into_iter().zip(setting.lines) {
            ledger.place_goods("alice", order, lines, setting.policies).unwrap();
            ledger.pass(Millis(1));
        }
        let hash = hash(&ledger);
        let (left, begins) = (setting.left.clone(), setting.begins);
        Self { kept: Rc::new(Kept { ledger, hash }), wakes: BTreeSet::new(), left, begins }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.kept.hash, &self.left).hash(&mut hasher);
        for (resource, after) in &self.wakes {
            (resource, after.map(|after| after.order)).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Who waits under something after a place, oldest first.
    pub(crate) fn waiters(&self, resource: Resource, after: Option<Cursor>) -> Vec<Cursor> {
        let place = |waiting: Waiting| Cursor { placed_at: waiting.placed_at, order: waiting.order };
        let queue = self.kept.ledger.waiters(resource).into_iter().map(place);
        queue.filter(|place| after.is_none_or(|after| *place > after)).collect()
    }

    /// The key of the request that made what happened last.
    pub(crate) fn number(&self) -> String {
        self.left.len().to_string()
    }

    /// What comes of a decision; `None` if nothing does.
    fn decided<T>(&self, decide: impl Fn(&mut Draft<'_>) -> Result<T, Halt>) -> Result<Option<Self>, Refusal> {
        let (books, _) = self.kept.ledger.try_decide(decide)?;
        Ok((!books.changes().is_empty()).then(|| self.after(|ledger| ledger.commit(&books))))
    }

    /// As something is kept, and whom it tells to wake.
    fn after(&self, act: impl FnOnce(&mut Ledger)) -> Self {
        let mut ledger = self.kept.ledger.clone();
        ledger.commits.clear();
        act(&mut ledger);
        let told = std::mem::take(&mut ledger.work);
        let hash = hash(&ledger);
        let mut world = Self { kept: Rc::new(Kept { ledger, hash }), ..self.clone() };
        for message in told {
            if let Work::Wake { resource, after } = message.work {
                world.wakes.insert((resource, after));
            }
        }
        world
    }

    /// Without the wakes for which nobody waits: whoever comes to wait later has seen what they tell of.
    fn tidied(mut self) -> Self {
        let wakes = std::mem::take(&mut self.wakes);
        self.wakes =
            wakes.into_iter().filter(|(resource, after)| !self.waiters(*resource, *after).is_empty()).collect();
        self
    }

    /// Everywhere that one step leads.
    fn next(&self) -> Vec<(Step, Self)> {
        let Kept { ledger, .. } = &*self.kept;
        let (now, terms) = (ledger.now, &ledger.terms);
        let mut next = Vec::new();
        for (resource, after) in &self.wakes {
            let mut world = self.clone();
            world.wakes.remove(&(*resource, *after));
            let Some(first) = self.waiters(*resource, *after).first().copied() else { continue };
            world.wakes.insert((*resource, Some(first)));
            let woken = world.decided(|draft| orders::advance(draft, first.order, now, terms)).unwrap();
            next.push((Step::Wake(*resource, *after, named(first.order)), woken.unwrap_or(world)));
        }
        for order in ORDERS {
            let advanced = self.decided(|draft| orders::advance(draft, id(order), now, terms)).unwrap();
            next.extend(advanced.map(|world| (Step::Advance(order), world)));
            let advanced = self.decided(|draft| orders::advance_to_slot(draft, id(order), now, terms)).unwrap();
            next.extend(advanced.map(|world| (Step::AdvanceToSlot(order), world)));
            let looked = self.decided(|draft| orders::look(draft, id(order), now, terms)).unwrap();
            next.extend(looked.map(|world| (Step::Look(order), world)));
        }
        for place in 0..self.left.len() {
            let mut world = self.clone();
            let happening = world.left.remove(place);
            if !self.left[..place].contains(&happening) {
                let happened = world.happen(happening).into_iter();
                next.extend(happened.map(|(order, world)| (Step::Happens(happening, order), world)));
            }
        }
        next.into_iter().map(|(step, world)| (step, world.tidied())).collect()
    }

    /// What comes of it, and of which order it was if it is of one.
    fn happen(&self, happening: Happening) -> Vec<(Option<&'static str>, Self)> {
        let now = self.kept.ledger.now;
        let number = self.number();
        let once = |act: &dyn Fn(&mut Ledger)| vec![(None, self.after(act))];
        let of_either = |act: &dyn Fn(OrderId) -> Result<Option<Self>, Refusal>| {
            ORDERS.into_iter().filter_map(|order| Some((Some(order), act(id(order)).ok()??))).collect()
        };
        match happening {
            Happening::Deposit => once(&|ledger| _ = ledger.deposit("alice", &number, 100).unwrap()),
            Happening::Receipt => once(&|ledger| _ = ledger.receive(&number, "tea", 1).unwrap()),
            Happening::OtherReceipt => once(&|ledger| _ = ledger.receive(&number, "pot", 1).unwrap()),
            Happening::Slot => once(&|ledger| {
                let capacity = ledger.capacity("standard") + 1;
                ledger.put_slot("standard", capacity, self.begins, None).unwrap();
            }),
            Happening::Accept => of_either(&|order| self.decided(|draft| orders::accept(draft, order, alice(), now))),
            Happening::Cancel => of_either(&|order| self.decided(|draft| orders::cancel(draft, order, &alice(), now))),
            Happening::Deadline => once(&|ledger| ledger.pass(Millis::hours(73))),
            Happening::Beginning => once(&|ledger| ledger.pass(Millis::hours(2))),
            Happening::Stall => {
                let terms = &self.kept.ledger.terms;
                of_either(&|order| self.decided(|draft| orders::stall(draft, order, now, terms)))
            }
        }
    }

    /// Nobody is to be woken, each order has been advanced, as its message sees to, and none is due.
    fn is_at_rest(&self) -> bool {
        self.wakes.is_empty() && rests(&self.kept.ledger)
    }
}

/// Each order has ended, or waits and is not due.
pub(crate) fn rests(ledger: &Ledger) -> bool {
    ORDERS.map(|order| ledger.order(id(order))).iter().all(|order| {
        order.state.has_ended() || (order.parked.is_some() && order.look_at.is_some_and(|at| at > ledger.now))
    })
}

/// A state that was reached, on a way that none is shorter than.
pub(crate) struct Reached {
    pub(crate) world: World,
    /// From where, and by which step.
    pub(crate) came: Option<(usize, Step)>,
    /// Nothing that was reached before keeps the same.
    is_first: bool,
    /// It was reached before, so that all that follows from it does from there.
    is_again: bool,
    /// The step to it wrote what none before did, by its kind.
    pub(crate) writes_anew: bool,
}

/// What an exploration came to.
#[derive(Default)]
pub(crate) struct Explored {
    pub(crate) reached: Vec<Reached>,
    pub(crate) states: usize,
    pub(crate) at_rest: usize,
    /// The states in which the two orders came to rest.
    pub(crate) ends: HashSet<[OrderState; 2]>,
    at_rest_with: HashSet<u64>,
}

/// What a step writes, without whose it is and how much of it: which kinds of items in which way, telling what, and where
/// that leaves an order.
fn kind_of_write(step: Step, ledger: &Ledger) -> String {
    let name = |thing: &dyn Debug| format!("{thing:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
    let written = |action: &Action| match action {
        Action::Put { item, version, events } => {
            let told = events.iter().map(|event| name(&event.told)).collect::<Vec<_>>();
            let left = Order::of_item(item).map(|order| (order.state, order.parked.map(Resource::what)));
            format!("{} {} {told:?} {left:?}", name(&item.key()), *version > 1)
        }
        Action::Delete(key) => format!("{} deleted", name(key)),
        Action::Check(key) => format!("{} checked", name(key)),
    };
    let by = if let Step::Happens(happening, _) = step { name(&happening) } else { name(&step) };
    format!("{by}: {:?}", ledger.commits.iter().flatten().map(written).collect::<Vec<_>>())
}

/// Reaches everything, what is nearer first.
pub(crate) fn explore(setting: &Setting) -> Explored {
    let start = World::new(setting);
    let mut seen = HashSet::from([start.fingerprint()]);
    let mut kept = HashSet::from([start.kept.hash]);
    let mut written = HashSet::new();
    let mut explored = Explored::default();
    let start = Reached { world: start, came: None, is_first: true, is_again: false, writes_anew: true };
    explored.reached.push(start);
    let mut from = 0;
    while let Some(Reached { world, is_again, .. }) = explored.reached.get(from) {
        if *is_again {
            from += 1;
            continue;
        }
        explored.states += 1;
        if world.is_at_rest() {
            let mut settled = world.kept.ledger.clone();
            settled.pass(Millis(1));
            assert_eq!(settled.audit().findings, [], "at rest, {:?} left", world.left);
            explored.at_rest += 1;
            explored.at_rest_with.insert(world.kept.hash);
            explored.ends.insert(ORDERS.map(|order| settled.order(id(order)).state));
        }
        let before = world.kept.clone();
        for (step, world) in world.next() {
            let is_again = !seen.insert(world.fingerprint());
            let is_first = kept.insert(world.kept.hash);
            let writes = !Rc::ptr_eq(&world.kept, &before);
            let writes_anew = writes && written.insert(kind_of_write(step, &world.kept.ledger));
            if !is_again || writes_anew {
                let came = Some((from, step));
                explored.reached.push(Reached { world, came, is_first, is_again, writes_anew });
            }
        }
        from += 1;
    }
    explored
}

impl Explored {
    /// All that is on the ways which lead first to everything that is kept in any state, and to a write of every kind;
    /// whatever comes later was come to from what is earlier.
    pub(crate) fn on_the_ways(&self) -> BTreeSet<usize> {
        let mut on_the_ways = BTreeSet::new();
        for place in self.firsts().into_iter().chain(self.writing_anew()) {
            let mut at = place;
            while on_the_ways.insert(at)
                && let Some((from, _)) = self.reached[at].came
            {
                at = from;
            }
        }
        on_the_ways
    }

    /// The states that keep what none before them does.
    pub(crate) fn firsts(&self) -> BTreeSet<usize> {
        let firsts = self.reached.iter().enumerate().filter(|(_, reached)| reached.is_first);
        firsts.map(|(place, _)| place).collect()
    }

    /// Those that were come to by a write of a kind that none before was of.
    pub(crate) fn writing_anew(&self) -> BTreeSet<usize> {
        let anew = self.reached.iter().enumerate().filter(|(_, reached)| reached.writes_anew);
        anew.map(|(place, _)| place).collect()
    }

    /// The way from the start to there, place by place.
    pub(crate) fn way(&self, place: usize) -> Vec<usize> {
        let came = |place: &usize| self.reached[*place].came.map(|(from, _)| from);
        let mut way: Vec<usize> = std::iter::successors(Some(place), came).collect();
        way.reverse();
        way
    }

    /// Every step on the way from the start to there.
    pub(crate) fn steps(&self, place: usize) -> Vec<Step> {
        self.way(place).into_iter().filter_map(|at| self.reached[at].came).map(|(_, step)| step).collect()
    }

    /// Whether what is kept there is kept in a state in which nothing is left to do.
    pub(crate) fn is_at_rest(&self, place: usize) -> bool {
        self.at_rest_with.contains(&self.reached[place].world.kept.hash)
    }
}
