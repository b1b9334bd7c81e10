//! Many at once over the same few things: nothing is sold twice, no slot is overfull, and of two that cannot both have it
//! exactly one has, and the other says so.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use domain::books::Key;
use domain::events::Told;
use domain::ids::{OrderId, SlotId};
use domain::messages::WorkMessage;
use domain::orders::{Delivery, Order, OrderState, Resource};
use domain::{Outcome, Refusal};
use futures_util::future::join;
use local_cloud::{Clock, Connector, Options as CloudOptions, Storage};
use local_system::{Options, System};
use platform::Failure;
use platform::aws::Way;
use support::shop::{Shop, Wishes, sku};
use support::{START_MS, user};
use tokio::sync::Notify;

const WORKERS: usize = 8;
const ORDERS: usize = 1_000;
const CUSTOMERS: usize = 50;

/// Functions run only where a test calls them, so that it decides who meets whom.
fn by_hand() -> System {
    by_hand_over(platform::aws::shared)
}

fn by_hand_over(network: impl Fn(Connector) -> Way + Send + Sync + 'static) -> System {
    let cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
    let network = Arc::new(network);
    System::start(Options { runs_by_itself: false, network, ..Options::new(cloud) }).unwrap()
}

fn name(number: usize) -> String {
    format!("customer-{}", number % CUSTOMERS)
}

/// What is in flight together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batches {
    /// Of one group each, as the queue delivers them, but several of one group at once.
    OfAGroup,
    /// Whatever comes: far worse than the queue would ever do, which keeps what contends in one group.
    OfAnything,
}

/// Workers take batches of ten until none is left.
async fn work_off(system: &Arc<System>, mut work: Vec<WorkMessage>, of: Batches) {
    let mut chance = fastrand::Rng::with_seed(11);
    chance.shuffle(&mut work);
    if of == Batches::OfAGroup {
        work.sort_by_key(WorkMessage::group);
    }
    let groups = work.chunk_by(|one, other| of == Batches::OfAnything || one.group() == other.group());
    let mut batches: Vec<Vec<WorkMessage>> = groups.flat_map(|group| group.chunks(10)).map(<[_]>::to_vec).collect();
    chance.shuffle(&mut batches);
    let batches = Arc::new(Mutex::new(batches));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (system, batches) = (Arc::clone(system), Arc::clone(&batches));
            tokio::spawn(async move {
                loop {
                    let batch = batches.lock().unwrap().pop();
                    let Some(batch) = batch else { return };
                    Shop(&system).advance(&batch).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

/// Whoever neither ended nor waits was sent again, or goes on in its slot's group: all of those, until none is left.
async fn until_all_rest(system: &Arc<System>, orders: &[OrderId], of: Batches) -> usize {
    let shop = Shop(system);
    let mut open: Vec<OrderId> = orders.to_vec();
    for round in 0..50 {
        let mut work = Vec::new();
        let mut left = Vec::new();
        for order in open {
            let placed = shop.placed(order).await;
            if !placed.state.has_ended() && placed.parked.is_none() {
                work.extend(shop.told_by(Key::Order(order)).await);
                left.push(order);
            }
        }
        if work.is_empty() {
            return round;
        }
        open = left;
        work_off(system, work, of).await;
    }
    panic!("{} orders neither go on nor wait", open.len())
}

/// Lets everyone go on who waits for something, as its queue would.
async fn wake(system: &System, resource: Resource) {
    let shop = Shop(system);
    let mut work = shop.told_by(resource.key()).await;
    while !work.is_empty() {
        assert_eq!(shop.advance(&work).await, 0);
        work = shop.left_to_the_queue().await;
    }
}

async fn customers(system: &System) {
    for number in 0..CUSTOMERS {
        user(system, &name(number)).deposit("d", "20.00").await.expect(201);
    }
}

/// How many stand where, each waiting for the right thing; and that what they hold is what was there.
async fn standing(shop: &Shop<'_>, orders: &[OrderId], received: u64) -> BTreeMap<OrderState, usize> {
    let (mut states, mut reserved, mut booked) = (BTreeMap::<OrderState, usize>::new(), 0, 0);
    for order in orders {
        let placed = shop.placed(*order).await;
        *states.entry(placed.state).or_default() += 1;
        let times = placed.timeline.iter().filter(|passage| passage.told == Told::OrderReserved).count();
        assert_eq!(times, usize::from(placed.reserved), "{placed:?}");
        reserved += times;
        booked += usize::from(placed.delivery == Some(Delivery::Booked));
        let waits_for = match placed.state {
            OrderState::AwaitingStock => Some(Resource::Stock(sku("tea"))),
            OrderState::AwaitingDelivery => Some(Resource::Slot(SlotId::standard())),
            OrderState::AwaitingPayment | OrderState::Completed | OrderState::Cancelled => None,
        };
        assert_eq!(placed.parked, waits_for, "{placed:?}");
    }
    assert_eq!(shop.on_hand("tea").await, received - u64::try_from(reserved).unwrap());
    assert_eq!(usize::try_from(shop.booked("standard").await).unwrap(), booked);
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_a_thousand_orders_a_hundred_have_a_piece_and_sixty_a_courier_and_the_rest_follow_oldest_first() {
    let system = Arc::new(by_hand());
    let shop = Shop(&system);
    shop.product("tea", 100).await;
    shop.receive("first", "tea", 100).await;
    shop.slot("standard", 60, None).await;
    customers(&system).await;
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        let wishes = Wishes { reserve_first: number % 2 == 0, ..Wishes::default() };
        orders.push(shop.order(&name(number), &number.to_string(), &[("tea", 1)], wishes).await);
    }
    let began = Instant::now();
    let rounds = until_all_rest(&system, &orders, Batches::OfAnything).await;
    println!("{ORDERS} orders for 100 pieces, {WORKERS} workers: {:?} in {rounds} rounds", began.elapsed());
    let states = standing(&shop, &orders, 100).await;
    let expected = [(OrderState::AwaitingStock, 900), (OrderState::AwaitingDelivery, 40), (OrderState::Completed, 60)];
    assert_eq!(states, BTreeMap::from(expected));

    let queue = async |resource| shop.queue(resource).await;
    let (stock, standard) = (Resource::Stock(sku("tea")), Resource::Slot(SlotId::standard()));
    let (for_stock, for_courier) = (queue(stock).await, queue(standard).await);
    shop.receive("more", "tea", 200).await;
    wake(&system, stock).await;
    assert_eq!(queue(stock).await, for_stock[200..], "the oldest have theirs");
    shop.slot("standard", 60 + 140, None).await;
    wake(&system, standard).await;
    let mut waited = [for_courier, for_stock[..200].to_vec()].concat();
    let mut ages = BTreeMap::new();
    for order in &waited {
        ages.insert(*order, shop.placed(*order).await.placed_at);
    }
    waited.sort_by_key(|order| (ages[order], *order));
    assert_eq!(queue(standard).await, waited[140..], "the oldest have their places");
    shop.receive("enough", "tea", 700).await;
    wake(&system, stock).await;
    shop.slot("standard", 1_000, None).await;
    wake(&system, standard).await;
    assert_eq!(standing(&shop, &orders, 1_000).await, BTreeMap::from([(OrderState::Completed, ORDERS)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn orders_at_once_have_their_places_in_ten_slots() {
    /// What costs most is what is lost to rivals; a thousand take three times as long and say no more.
    const ORDERS: usize = 300;
    const ROOM: u32 = 30;
    let system = Arc::new(by_hand());
    let shop = Shop(&system);
    for number in 0..WORKERS {
        shop.product(&format!("sku-{number}"), 100).await;
        shop.receive(&format!("r-{number}"), &format!("sku-{number}"), 1_000).await;
    }
    for number in 0..10 {
        shop.slot(&format!("slot-{number}"), ROOM, None).await;
    }
    customers(&system).await;
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        let slot = format!("slot-{}", number % 10);
        let wishes = Wishes { slot: Some(&slot), ..Wishes::default() };
        let sku = format!("sku-{}", number % WORKERS);
        orders.push(shop.order(&name(number), &number.to_string(), &[(&*sku, 1)], wishes).await);
    }
    let began = Instant::now();
    let rounds = until_all_rest(&system, &orders, Batches::OfAGroup).await;
    let took = began.elapsed();
    let mut queued = 0;
    for order in &orders {
        let placed = shop.placed(*order).await;
        assert_eq!((placed.state, placed.delivery), (OrderState::Completed, Some(Delivery::Booked)), "{placed:?}");
        queued += placed.timeline.iter().filter(|passage| passage.told == Told::OrderQueued).count();
    }
    println!("{ORDERS} orders for ten slots, {WORKERS} workers: {took:?} in {rounds} rounds; {queued} went on without");
    assert!(queued > 0, "nobody lost enough races over a slot to go on without it");
    for number in 0..10 {
        assert_eq!(shop.booked(&format!("slot-{number}")).await, ROOM);
    }
}

/// What came of a cancel that met an order on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Winner {
    Cancel,
    Advance,
}

/// Holds the next write back, once it is armed, until it is opened.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    armed: AtomicBool,
    arrived: Notify,
    open: Notify,
}

#[derive(Clone, Debug)]
struct Gated {
    connector: Connector,
    gate: Gate,
}

impl HttpConnector for Gated {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = request.headers().get("x-amz-target").unwrap_or_default();
        let writes = operation.ends_with(".PutItem") || operation.ends_with(".TransactWriteItems");
        let is_held = writes && self.gate.0.armed.swap(false, Ordering::SeqCst);
        let Self { connector, gate } = self.clone();
        HttpConnectorFuture::new(async move {
            if is_held {
                gate.0.arrived.notify_one();
                gate.0.open.notified().await;
            }
            connector.call(request).await
        })
    }
}

impl HttpClient for Gated {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Gate {
    /// Both have read what they decide on; then one writes, and after it the other tries to.
    async fn overtake<A, B>(&self, late: impl Future<Output = A>, early: impl Future<Output = B>) -> (A, B) {
        self.0.armed.store(true, Ordering::SeqCst);
        let early = async {
            self.0.arrived.notified().await;
            let done = early.await;
            self.0.open.notify_one();
            done
        };
        join(late, early).await
    }
}

/// Who won, by what the cancel was answered; and that everything else agrees with it.
async fn winner(shop: &Shop<'_>, order: OrderId, answer: Result<Outcome<Order>, Failure>) -> Winner {
    let placed = shop.placed(order).await;
    match answer {
        Ok(Outcome::Done(answered)) => {
            assert_eq!((answered.state, placed.state), (OrderState::Cancelled, OrderState::Cancelled), "{placed:?}");
            assert!(placed.charged.is_zero() && !placed.reserved && placed.delivery.is_none(), "{placed:?}");
            Winner::Cancel
        }
        Err(Failure::Refused(Refusal::TooLateToCancel { state: OrderState::Completed })) => {
            assert_eq!(placed.state, OrderState::Completed, "{placed:?}");
            Winner::Advance
        }
        answer => panic!("{answer:?}"),
    }
}

async fn a_shop_for(system: &System, pieces: u32) {
    let shop = Shop(system);
    shop.product("tea", 100).await;
    shop.receive("r", "tea", pieces).await;
    shop.slot("standard", pieces, None).await;
    user(system, "alice").deposit("d", &pieces.to_string()).await.expect(201);
}

#[tokio::test(start_paused = true)]
async fn of_a_cancel_and_an_advance_that_have_both_read_the_first_to_write_wins() {
    let gate = Gate::default();
    let at_the_door = gate.clone();
    let system = by_hand_over(move |connector| platform::aws::shared(Gated { connector, gate: at_the_door.clone() }));
    a_shop_for(&system, 3).await;
    let shop = Shop(&system);
    let place = async |key| {
        let order = shop.order("alice", key, &[("tea", 1)], Wishes::default()).await;
        (order, shop.told_by(Key::Order(order)).await)
    };

    let (order, work) = place("k1").await;
    let (answer, left) = gate.overtake(shop.cancel("alice", order), shop.advance(&work)).await;
    assert_eq!((winner(&shop, order, answer).await, left), (Winner::Advance, 0));
    assert_eq!(user(&system, "alice").balance().await, "2.00");

    let (order, work) = place("k2").await;
    let (left, answer) = gate.overtake(shop.advance(&work), shop.cancel("alice", order)).await;
    assert_eq!((winner(&shop, order, answer).await, left), (Winner::Cancel, 0));
    assert_eq!((shop.on_hand("tea").await, shop.booked("standard").await), (2, 1));
    assert_eq!(user(&system, "alice").balance().await, "2.00");

    // Two who cancel: one does, and the other is answered with what it did.
    let (order, _) = place("k3").await;
    let (late, early) = gate.overtake(shop.cancel("alice", order), shop.cancel("alice", order)).await;
    assert!(matches!((&late, &early), (Ok(Outcome::AlreadyDone(_)), Ok(Outcome::Done(_)))), "{late:?} {early:?}");
    assert_eq!(late.unwrap().into_inner(), early.unwrap().into_inner());
}

/// Each worker has a customer, a sku and a slot of its own, so that nobody but the two is in each other's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_a_cancel_and_an_advance_exactly_one_wins_and_the_other_says_so() {
    const RACES: u32 = 16;
    let system = Arc::new(by_hand());
    let racing: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let system = Arc::clone(&system);
            tokio::spawn(async move {
                let (shop, name) = (Shop(&system), name(worker));
                shop.product(&name, 100).await;
                shop.receive(&name, &name, RACES).await;
                shop.slot(&name, RACES, None).await;
                user(&system, &name).deposit("d", &RACES.to_string()).await.expect(201);
                let mut cancelled = 0;
                for number in 0..RACES {
                    let wishes = Wishes { slot: Some(&name), reserve_first: number % 3 == 0 };
                    let order = shop.order(&name, &number.to_string(), &[(&name, 1)], wishes).await;
                    let work = shop.told_by(Key::Order(order)).await;
                    let cancel = async {
                        // It begins a little later each time: each glance takes about as long as a step of the other.
                        for _ in 0..number {
                            tokio::task::yield_now().await;
                            shop.placed(order).await;
                        }
                        shop.cancel(&name, order).await
                    };
                    let (left, answer) = join(shop.advance(&work), cancel).await;
                    assert_eq!(left, 0);
                    cancelled += u32::from(winner(&shop, order, answer).await == Winner::Cancel);
                }
                assert_eq!(shop.booked(&name).await, RACES - cancelled);
                assert_eq!(shop.on_hand(&name).await, u64::from(cancelled));
                assert_eq!(user(&system, &name).balance().await, format!("{cancelled}.00"));
                cancelled
            })
        })
        .collect();
    let mut cancelled = 0;
    for race in racing {
        cancelled += race.await.unwrap();
    }
    let races = RACES * u32::try_from(WORKERS).unwrap();
    println!("of {races} races the cancel won {cancelled}");
    assert!(cancelled > 0 && cancelled < races, "both ways are seen: the cancel won {cancelled} of {races}");
}

#[tokio::test]
async fn a_batch_that_does_not_fit_into_one_transaction_is_taken_in_halves() {
    const LINES: usize = 50;
    let system = by_hand();
    let shop = Shop(&system);
    shop.slot("standard", 10, None).await;
    // They begin with the same, and so are in one group; of the rest each has its own.
    let names = |order: usize| {
        let own = (1..LINES).map(move |line| format!("of-{order}-{line}"));
        std::iter::once("tea".to_owned()).chain(own).collect::<Vec<_>>()
    };
    for name in names(0).iter().chain(&names(1)[1..]) {
        shop.product(name, 1).await;
        shop.receive(&format!("r-{name}"), name, 2).await;
    }
    user(&system, "alice").deposit("d", "20.00").await.expect(201);
    let mut work = Vec::new();
    for order in [0, 1] {
        let names = names(order);
        let lines: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let id = shop.order("alice", &format!("o-{order}"), &lines, Wishes::default()).await;
        work.extend(shop.told_by(Key::Order(id)).await);
    }
    let orders: Vec<Key> = work.iter().map(|message| message.needs()[0]).collect();
    assert_eq!(work[0].group(), work[1].group());
    assert_eq!(shop.advance(&work).await, 0, "nothing comes again");
    let kept = system.app().store.table().load(&orders).await.unwrap();
    let commits: Vec<&str> = kept.values().map(|stored| stored.as_ref().unwrap().commit.as_str()).collect();
    assert!(commits.len() == 2 && commits[0] != commits[1], "each has a transaction of its own: {commits:?}");
    for order in &orders {
        let order: Order = shop.get(*order).await.unwrap();
        assert_eq!((order.state, order.lines.len()), (OrderState::Completed, LINES));
    }
    assert_eq!((shop.on_hand("tea").await, shop.booked("standard").await), (0, 2));
}
