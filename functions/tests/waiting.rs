//! Nobody waits for what is there: orders that lack several things at once, with what they lack coming in every order;
//! and a thousand who wait for one thing.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use domain::books::Key;
use domain::orders::{OrderState, Resource};
use domain::{Millis, Timestamp};
use local_cloud::{Clock, Connector, Options as CloudOptions, Outcome, Storage};
use local_system::{Options, System};
use support::shop::{Shop, Wishes, sku, slot};
use support::{START_MS, promises_hold, system, user};

/// What an order may lack.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    Money,
    Tea,
    Pot,
    Courier,
}

const ARRIVALS: [Arrival; 4] = [Arrival::Money, Arrival::Tea, Arrival::Pot, Arrival::Courier];

fn permutations<T: Copy>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let without = |place: usize| [&of[..place], &of[place + 1..]].concat();
    let starting_with =
        |place: usize| permutations(&without(place)).into_iter().map(move |rest| [vec![of[place]], rest].concat());
    (0..of.len()).flat_map(starting_with).collect()
}

/// Each permutation is a world of its own in one system: its customer, its skus, its slot.
struct World {
    number: usize,
    arrivals: Vec<Arrival>,
}

impl World {
    fn name(&self, of: &str) -> String {
        format!("{of}-{}", self.number)
    }

    async fn arrive(&self, shop: &Shop<'_>, stage: usize, share: u32) {
        let (tea, pot, noon) = (self.name("tea"), self.name("pot"), self.name("noon"));
        match self.arrivals[stage] {
            Arrival::Money => {
                let money = (4 * share).to_string();
                user(shop.0, &self.name("alice")).deposit(&format!("d{share}"), &money).await.expect(201);
            }
            Arrival::Tea => shop.receive(&format!("{tea}-{share}"), &tea, 2 * share).await,
            Arrival::Pot => shop.receive(&format!("{pot}-{share}"), &pot, share).await,
            Arrival::Courier => shop.slot(&noon, shop.booked(&noon).await + 2 * share, None).await,
        }
    }
}

async fn whatever_comes_first(reserve_first: bool, settles_between: bool) {
    let system = system();
    let shop = Shop(&system);
    let worlds: Vec<World> =
        permutations(&ARRIVALS).into_iter().enumerate().map(|(number, arrivals)| World { number, arrivals }).collect();
    assert_eq!(worlds.len(), 24);
    let mut placed = Vec::new();
    for world in &worlds {
        let (alice, tea, pot, noon) = (world.name("alice"), world.name("tea"), world.name("pot"), world.name("noon"));
        shop.product(&tea, 100).await;
        shop.product(&pot, 200).await;
        shop.slot(&noon, 0, None).await;
        let wishes = Wishes { slot: Some(&noon), reserve_first };
        let both = shop.order(&alice, "both", &[(&tea, 1), (&pot, 1)], wishes).await;
        let one = shop.order(&alice, "one", &[(&tea, 1)], wishes).await;
        placed.extend([both, one]);
    }
    system.settled().await;
    // What comes is enough for both in the end: it comes twice, and the second time all is there for one of them.
    for share in 1..=2 {
        for stage in 0..ARRIVALS.len() {
            for world in &worlds {
                world.arrive(&shop, stage, share).await;
            }
            if settles_between {
                system.settled().await;
                if share == 1 {
                    promises_hold(&system).await;
                }
            }
        }
    }
    system.settled().await;
    promises_hold(&system).await;
    for order in placed {
        assert_eq!(shop.state(order).await, OrderState::Completed, "{:?}", shop.placed(order).await);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_first_nobody_waits_for_what_is_there() {
    for reserve_first in [false, true] {
        for settles_between in [true, false] {
            whatever_comes_first(reserve_first, settles_between).await;
        }
    }
}

/// Three who want the same things, with enough for two: whoever is served, nobody waits for what is left.
#[tokio::test(start_paused = true)]
async fn where_there_is_not_enough_for_all_nobody_waits_for_what_is_left() {
    for reserve_first in [false, true] {
        let system = system();
        let shop = Shop(&system);
        let worlds: Vec<World> = permutations(&ARRIVALS)
            .into_iter()
            .enumerate()
            .map(|(number, arrivals)| World { number, arrivals })
            .collect();
        let mut placed = Vec::new();
        for world in &worlds {
            let (alice, tea, pot) = (world.name("alice"), world.name("tea"), world.name("pot"));
            let noon = world.name("noon");
            shop.product(&tea, 100).await;
            shop.product(&pot, 200).await;
            shop.slot(&noon, 0, None).await;
            let wishes = Wishes { slot: Some(&noon), reserve_first };
            for (key, lines) in [("k1", &[(&*tea, 3)][..]), ("k2", &[(&*pot, 1), (&*tea, 1)]), ("k3", &[(&*tea, 1)])] {
                placed.push((world.number, shop.order(&alice, key, lines, wishes).await));
            }
        }
        for stage in 0..ARRIVALS.len() {
            for world in &worlds {
                world.arrive(&shop, stage, 1).await;
            }
            system.settled().await;
            promises_hold(&system).await;
        }
        let mut completed = BTreeMap::<usize, usize>::new();
        for (world, order) in placed {
            *completed.entry(world).or_default() += usize::from(shop.state(order).await == OrderState::Completed);
        }
        println!("reserve first {reserve_first}: {completed:?}");
        assert!(completed.values().any(|completed| *completed == 2), "{completed:?}");
    }
}

/// Each call of a service takes its time.
#[derive(Clone, Debug)]
struct Slow {
    connector: Connector,
    took: Duration,
    asked: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl HttpConnector for Slow {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut operation = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        if body.windows(b"IndexName".len()).any(|window| window == b"IndexName") {
            operation.push_str(" of an index");
        }
        *self.asked.lock().unwrap().entry(operation).or_default() += 1;
        let (connector, took) = (self.connector.clone(), self.took);
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(took).await;
            connector.call(request).await
        })
    }
}

impl HttpClient for Slow {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A thousand orders of ten customers that wait for one sku. Thirty of them are more than one transaction takes, and at
/// half a second a call the whole queue is more than one invocation can do.
#[tokio::test(start_paused = true)]
async fn a_thousand_who_wait_for_one_sku_are_served_oldest_first_each_invocation_within_its_time() {
    const WAITERS: usize = 1_000;
    let asked: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let ended: Arc<Mutex<Vec<(Outcome, i64)>>> = Arc::default();
    let mut cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
    let noted = ended.clone();
    cloud.on_invocation =
        Some(Arc::new(move |record| noted.lock().unwrap().push((record.outcome, record.duration_ms))));
    let counted = asked.clone();
    let network: local_system::Network = Arc::new(move |connector| {
        platform::aws::shared(Slow { connector, took: Duration::from_millis(500), asked: counted.clone() })
    });
    let system = System::start(Options { network, runs_by_itself: false, ..Options::new(cloud) }).unwrap();
    let shop = Shop(&system);
    shop.product("tea", 100).await;
    shop.slot("standard", 2_000, None).await;
    for number in 0..10 {
        user(&system, &format!("customer-{number}")).deposit("d", "1000").await.expect(201);
    }
    let mut orders = Vec::new();
    for number in 0..WAITERS {
        let wishes = Wishes { reserve_first: true, ..Wishes::default() };
        orders.push(shop.order(&format!("customer-{}", number % 10), &number.to_string(), &[("tea", 1)], wishes).await);
    }
    for some in orders.chunks(10) {
        let mut work = Vec::new();
        for order in some {
            work.extend(shop.told_by(Key::Order(*order)).await);
        }
        assert_eq!(shop.advance(&work).await, 0);
    }
    assert_eq!(shop.queue(Resource::Stock(sku("tea"))).await, orders);

    for (key, pieces, served) in [("first", 400, 400), ("rest", 600, WAITERS)] {
        shop.receive(key, "tea", pieces).await;
        ended.lock().unwrap().clear();
        asked.lock().unwrap().clear();
        let mut work = shop.told_by(Key::Stock(sku("tea"))).await;
        while !work.is_empty() {
            assert_eq!(shop.advance(&work).await, 0);
            work = shop.left_to_the_queue().await;
        }
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let ended = std::mem::take(&mut *ended.lock().unwrap());
        let longest = ended.iter().map(|(_, took)| *took).max().unwrap_or_default();
        println!("{pieces} pieces: {} invocations, the longest of {longest} ms; {asked:?}", ended.len());
        assert!(ended.len() >= 2 && longest < 30_000, "{ended:?}");
        assert!(ended.iter().all(|(outcome, _)| *outcome == Outcome::Done), "{ended:?}");
        let of = |operation: &str| asked.get(&format!("DynamoDB_20120810.{operation}")).copied().unwrap_or_default();
        // The first batch is too large; from then on it is fifteen at once.
        assert!(of("Query") <= pieces.div_ceil(15) + 6, "{asked:?} for {pieces} who are served");
        assert_eq!((of("Scan"), of("Query of an index")), (0, 0), "{asked:?}");
        for (number, order) in orders.iter().enumerate() {
            let expected = if number < served { OrderState::Completed } else { OrderState::AwaitingStock };
            assert_eq!(shop.state(*order).await, expected, "order {number} after the {key} receipt");
        }
        assert_eq!((shop.on_hand("tea").await, shop.booked("standard").await), (0, u32::try_from(served).unwrap()));
    }
}

/// The beginning of a full slot ends the waiting for it, so that everyone is told of it who waits, room or not.
#[tokio::test(start_paused = true)]
async fn when_a_full_slot_begins_earlier_all_of_its_waiters_end_then() {
    let system = system();
    let shop = Shop(&system);
    let minutes = |minutes: i64| Some(Timestamp::from_millis(START_MS).after(Millis::minutes(minutes)));
    shop.product("tea", 100).await;
    shop.receive("r", "tea", 100).await;
    shop.slot("noon", 0, minutes(90)).await;
    user(&system, "alice").deposit("d", "1000").await.expect(201);
    let mut orders = Vec::new();
    for number in 0..70 {
        let wishes = Wishes { slot: Some("noon"), ..Wishes::default() };
        orders.push(shop.order("alice", &number.to_string(), &[("tea", 1)], wishes).await);
    }
    system.settled().await;
    assert_eq!(shop.queue(Resource::Slot(slot("noon"))).await.len(), 70);
    shop.slot("noon", 0, minutes(5)).await;
    system.settled().await;
    for order in &orders {
        assert_eq!(shop.placed(*order).await.waiting_for.map(|waiting| waiting.until), minutes(5));
    }
    tokio::time::sleep(Duration::from_secs(7 * 60)).await;
    system.settled().await;
    for order in &orders {
        assert_eq!(shop.state(*order).await, OrderState::Cancelled);
    }
    assert_eq!(shop.on_hand("tea").await, 100);
    promises_hold(&system).await;
}
