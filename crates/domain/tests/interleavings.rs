//! Every order in which deposits, receipts, a slot's opening, a courier's acceptance, a cancel and a deadline can meet two
//! orders that want the same: every state that can be reached, once. Each commit is judged as it comes, and wherever
//! nothing is left to do, everything is held against the promises.
//!
//! What is told to wake is done at once or any time later, one waiter at a time, and anything may happen in between. An
//! order may be advanced at any moment, asked or not, as when a message comes late or twice, and each time all the way or
//! only as far as its slot.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;
use std::sync::LazyLock;

use domain::accounts::Account;
use domain::books::{Draft, Halt, Kept as _, Key};
use domain::ids::{CustomerId, OrderId, SlotId};
use domain::messages::{Cursor, Work};
use domain::orders::{self, IfLacking, OrderState, Resource, Waiting};
use domain::slots::Slot;
use domain::{Millis, Refusal, Timestamp};
use support::{Ledger, Policies, START, customer, key};

const ORDERS: [&str; 2] = ["k1", "k2"];

/// What happens from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Happening {
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

/// Everything that is kept, shared by the states that differ in nothing of it.
struct Kept {
    ledger: Ledger,
    hash: u64,
}

#[derive(Clone)]
struct World {
    kept: Rc<Kept>,
    /// Who is to be woken, from after where.
    wakes: BTreeSet<(Resource, Option<Cursor>)>,
    /// What may still happen.
    left: Vec<Happening>,
    /// When the slot begins, if it does.
    begins: Option<Timestamp>,
}

fn alice() -> CustomerId {
    static ALICE: LazyLock<CustomerId> = LazyLock::new(|| customer("alice"));
    *ALICE
}

fn ids() -> [OrderId; 2] {
    static IDS: LazyLock<[OrderId; 2]> = LazyLock::new(|| ORDERS.map(|order| OrderId::of(&alice(), &key(order))));
    *IDS
}

/// What there is, without the moments and versions that only differ.
fn hash(ledger: &Ledger) -> u64 {
    let mut hasher = DefaultHasher::new();
    for order in ids().map(|id| ledger.order(id)) {
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
    fn new(lines: [&[(&str, u32)]; 2], policies: Policies, left: &[Happening]) -> Self {
        let mut ledger = Ledger::new();
        ledger.product("tea", 100);
        ledger.product("pot", 100);
        for (order, lines) in ORDERS.into_iter().zip(lines) {
            ledger.place_goods("alice", order, lines, policies).unwrap();
            ledger.pass(Millis(1));
        }
        let hash = hash(&ledger);
        Self { kept: Rc::new(Kept { ledger, hash }), wakes: BTreeSet::new(), left: left.to_vec(), begins: None }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.kept.hash, &self.left).hash(&mut hasher);
        for (resource, after) in &self.wakes {
            (resource, after.map(|after| after.order)).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn waiters(&self, resource: Resource, after: Option<Cursor>) -> Vec<Cursor> {
        let place = |waiting: Waiting| Cursor { placed_at: waiting.placed_at, order: waiting.order };
        let queue = self.kept.ledger.waiters(resource).into_iter().map(place);
        queue.filter(|place| after.is_none_or(|after| *place > after)).collect()
    }

    /// What comes of a decision; `None` if nothing does.
    fn decided<T>(&self, decide: impl Fn(&mut Draft<'_>) -> Result<T, Halt>) -> Result<Option<Self>, Refusal> {
        let (books, _) = self.kept.ledger.try_decide(decide)?;
        Ok((!books.changes().is_empty()).then(|| self.after(|ledger| ledger.commit(&books))))
    }

    /// As something is kept, and whom it tells to wake.
    fn after(&self, act: impl FnOnce(&mut Ledger)) -> Self {
        let mut ledger = self.kept.ledger.clone();
        act(&mut ledger);
        ledger.commits.clear();
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
    fn next(&self) -> Vec<Self> {
        let Kept { ledger, .. } = &*self.kept;
        let (now, terms) = (ledger.now, &ledger.terms);
        let mut next = Vec::new();
        for (resource, after) in &self.wakes {
            let mut world = self.clone();
            world.wakes.remove(&(*resource, *after));
            let Some(first) = self.waiters(*resource, *after).first().copied() else { continue };
            world.wakes.insert((*resource, Some(first)));
            let woken = world.decided(|draft| orders::advance(draft, first.order, now, terms)).unwrap();
            next.push(woken.unwrap_or(world));
        }
        for order in ids() {
            next.extend(self.decided(|draft| orders::advance(draft, order, now, terms)).unwrap());
            next.extend(self.decided(|draft| orders::advance_to_slot(draft, order, now, terms)).unwrap());
            next.extend(self.decided(|draft| orders::look(draft, order, now, terms)).unwrap());
        }
        for place in 0..self.left.len() {
            let mut world = self.clone();
            let happening = world.left.remove(place);
            if !self.left[..place].contains(&happening) {
                next.extend(world.happen(happening));
            }
        }
        next.into_iter().map(Self::tidied).collect()
    }

    fn happen(&self, happening: Happening) -> Vec<Self> {
        let now = self.kept.ledger.now;
        let number = self.left.len().to_string();
        match happening {
            Happening::Deposit => vec![self.after(|ledger| _ = ledger.deposit("alice", &number, 100).unwrap())],
            Happening::Receipt => vec![self.after(|ledger| _ = ledger.receive(&number, "tea", 1).unwrap())],
            Happening::OtherReceipt => vec![self.after(|ledger| _ = ledger.receive(&number, "pot", 1).unwrap())],
            Happening::Slot => vec![self.after(|ledger| {
                let capacity = ledger.capacity("standard") + 1;
                ledger.put_slot("standard", capacity, self.begins, None).unwrap();
            })],
            Happening::Accept => {
                let accept = |order| self.decided(|draft| orders::accept(draft, order, alice(), now));
                ids().into_iter().filter_map(|order| accept(order).ok()?).collect()
            }
            Happening::Cancel => {
                let cancel = |order| self.decided(|draft| orders::cancel(draft, order, &alice(), now));
                ids().into_iter().filter_map(|order| cancel(order).ok()?).collect()
            }
            Happening::Deadline => vec![self.after(|ledger| ledger.pass(Millis::hours(73)))],
            Happening::Beginning => vec![self.after(|ledger| ledger.pass(Millis::hours(2)))],
            Happening::Stall => {
                let stall = |order| self.decided(|draft| orders::stall(draft, order, now, &self.kept.ledger.terms));
                ids().into_iter().filter_map(|order| stall(order).ok()?).collect()
            }
        }
    }

    /// Nobody is to be woken, each order has been advanced, as its message sees to, and none is due.
    fn is_at_rest(&self) -> bool {
        let ledger = &self.kept.ledger;
        self.wakes.is_empty()
            && ids().map(|id| ledger.order(id)).iter().all(|order| {
                order.state.has_ended() || (order.parked.is_some() && order.look_at.is_some_and(|at| at > ledger.now))
            })
    }
}

/// What an exploration came to.
#[derive(Debug, Default)]
struct Explored {
    states: usize,
    at_rest: usize,
    /// The states in which the two orders came to rest.
    ends: HashSet<[OrderState; 2]>,
}

fn explore(start: World) -> Explored {
    let mut seen = HashSet::from([start.fingerprint()]);
    let mut open = vec![start];
    let mut explored = Explored::default();
    while let Some(world) = open.pop() {
        explored.states += 1;
        if world.is_at_rest() {
            let mut settled = world.kept.ledger.clone();
            settled.pass(Millis(1));
            assert_eq!(settled.audit().findings, [], "at rest, {:?} left", world.left);
            explored.at_rest += 1;
            explored.ends.insert(ids().map(|id| settled.order(id).state));
        }
        open.extend(world.next().into_iter().filter(|next| seen.insert(next.fingerprint())));
    }
    explored
}

/// Both orders want a piece of the same thing, and there is money for both, and a piece and a place for one.
const SCARCE: [Happening; 7] = [
    Happening::Deposit,
    Happening::Deposit,
    Happening::Receipt,
    Happening::Slot,
    Happening::Accept,
    Happening::Cancel,
    Happening::Deadline,
];

/// Every policy alone. `reserve_first` is the other plan.
fn policies(reserve_first: bool) -> [(&'static str, Policies); 4] {
    let wait = Policies { reserve_first, ..Policies::default() };
    let cancel = IfLacking::Cancel;
    [
        ("to wait", wait),
        ("to be paid at once", Policies { if_unpaid: cancel, ..wait }),
        ("to be in stock at once", Policies { if_unavailable: cancel, ..wait }),
        ("to be carried at once", Policies { if_undeliverable: cancel, ..wait }),
    ]
}

#[expect(clippy::print_stdout, reason = "how much was walked is worth knowing")]
fn explore_all(plan: &str, reserve_first: bool) {
    let tea: &[(&str, u32)] = &[("tea", 1)];
    for (policy, policies) in policies(reserve_first) {
        let explored = explore(World::new([tea, tea], policies, &SCARCE));
        let Explored { states, at_rest, ends } = &explored;
        println!("{plan}, {policy}: {states} states, {at_rest} of them at rest, in {} ways", ends.len());
        for end in [[OrderState::Completed, OrderState::Cancelled], [OrderState::Cancelled, OrderState::Completed]] {
            assert!(ends.contains(&end), "{plan}, {policy}: never {end:?}");
        }
    }
}

#[test]
fn the_promises_hold_in_every_interleaving_where_money_comes_first() {
    explore_all("payment first", false);
}

#[test]
fn the_promises_hold_in_every_interleaving_where_stock_comes_first() {
    explore_all("stock first", true);
}

/// There is enough for both in the end, and it comes piece by piece.
#[test]
fn the_promises_hold_where_enough_comes_piece_by_piece() {
    use Happening::{Accept, Cancel, Deadline, Deposit, Receipt, Slot};
    let tea: &[(&str, u32)] = &[("tea", 1)];
    for (reserve_first, last) in [(false, Cancel), (true, Cancel), (false, Accept), (true, Deadline)] {
        let left = [Deposit, Deposit, Receipt, Receipt, Slot, Slot, last];
        let policies = Policies { reserve_first, ..Policies::default() };
        let explored = explore(World::new([tea, tea], policies, &left));
        let Explored { states, at_rest, ends } = &explored;
        println!("piece by piece: {states} states, {at_rest} of them at rest, in {} ways", ends.len());
        assert!(ends.contains(&[OrderState::Completed, OrderState::Completed]), "{ends:?}");
    }
}

/// What stalls keeps its place, and is looked at again.
#[test]
fn the_promises_hold_where_orders_stall() {
    use Happening::{Cancel, Deadline, Deposit, Receipt, Slot, Stall};
    let tea: &[(&str, u32)] = &[("tea", 1)];
    let left = [Deposit, Receipt, Slot, Stall, Deadline, Cancel];
    let explored = explore(World::new([tea, tea], Policies::default(), &left));
    let Explored { states, at_rest, ends } = &explored;
    println!("stalling: {states} states, {at_rest} of them at rest, in {} ways", ends.len());
    assert!(ends.contains(&[OrderState::Cancelled, OrderState::Completed]), "{ends:?}");
}

/// Where a slot begins, whoever is not booked by then is cancelled, however it came to wait.
#[test]
fn the_promises_hold_where_the_slot_begins() {
    use Happening::{Accept, Beginning, Cancel, Deposit, Receipt, Slot};
    let tea: &[(&str, u32)] = &[("tea", 1)];
    let left = [Deposit, Deposit, Receipt, Receipt, Slot, Beginning, Accept, Cancel];
    for reserve_first in [false, true] {
        let policies = Policies { reserve_first, ..Policies::default() };
        let mut start = World::new([tea, tea], policies, &left);
        start.begins = Some(START.after(Millis::hours(1)));
        let explored = explore(start);
        let Explored { states, at_rest, ends } = &explored;
        println!("a slot that begins: {states} states, {at_rest} of them at rest, in {} ways", ends.len());
        assert!(ends.contains(&[OrderState::Completed, OrderState::Cancelled]), "{ends:?}");
    }
}

/// The first order wants two things, so that it moves from one queue to the other, and what it does not take is free.
#[test]
fn the_promises_hold_where_an_order_lacks_several_things_at_once() {
    use Happening::{Cancel, Deposit, OtherReceipt, Receipt, Slot};
    let left = [Deposit, Deposit, Deposit, Receipt, OtherReceipt, Slot, Cancel];
    for reserve_first in [false, true] {
        let policies = Policies { reserve_first, ..Policies::default() };
        let explored = explore(World::new([&[("tea", 1), ("pot", 1)], &[("tea", 1)]], policies, &left));
        let Explored { states, at_rest, ends } = &explored;
        println!("two lines: {states} states, {at_rest} of them at rest, in {} ways", ends.len());
        assert!(ends.contains(&[OrderState::Completed, OrderState::AwaitingStock]), "{ends:?}");
    }
}
