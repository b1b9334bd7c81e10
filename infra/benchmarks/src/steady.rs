//! Orders of goods that are all there, at a steady rate: how long after its 201 each is completed. Customers and products
//! are several, as in a shop; all are booked in the one slot, which is what they contend on.
//!
//! Orders come when their time has come, whether those before them are completed or not. When one is completed is taken
//! where the function that takes it to its end has come back, so that no reading gets in the way of what is measured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::ids::OrderId;
use domain::messages::{Work, WorkMessage};
use local_cloud::{Clock, Handler, Storage};
use local_system::{Around, Options, System};
use serde_json::{Value, json};

use crate::caller::{Caller, Served, off_the_runtime};
use crate::error::{Error, ensure};
use crate::latency::{Spread, micros};

const CUSTOMERS: usize = 20;
const PRODUCTS: usize = 5;
const WARM_UP: usize = 50;
const SEED: u64 = 2;

/// What was measured at a steady rate.
#[derive(Clone, Debug)]
pub struct Steady {
    /// From the 201 until the order is completed.
    pub completed: Spread,
    /// So many were to be placed a second.
    pub rate: u32,
    /// In which time all were placed.
    pub placed_in_ms: u64,
}

impl Steady {
    /// Whether orders came as fast as they were to: a fiftieth is the caller's own delay.
    pub fn kept_its_rate(&self) -> bool {
        let meant_ms = 1_000 * u64::try_from(self.completed.samples).unwrap_or(u64::MAX) / u64::from(self.rate.max(1));
        self.placed_in_ms <= meant_ms + meant_ms / 50 + 20
    }
}

/// When the function that advances orders came back with each, the last time.
type Returned = Arc<Mutex<BTreeMap<OrderId, Instant>>>;

pub(crate) async fn goods(orders: usize, rate: u32) -> Result<Steady, Error> {
    let directory = tempfile::tempdir().map_err(Error::io("a temporary directory cannot be had"))?;
    let storage = Storage::Directory(directory.path().to_owned());
    let returned = Returned::default();
    let mut options = Options::new(local_cloud::Options::new(storage, Clock::wall(), SEED));
    options.around = Some(watching(Arc::clone(&returned)));
    let system = System::start(options)?;
    let served = Served::start(&system).await?;
    let address = served.address;

    off_the_runtime(move || {
        let mut caller = Caller::connect(address)?;
        fill(&mut caller)?;
        (0..WARM_UP).try_for_each(|number| place(&mut caller, "warm-up", number).map(drop))
    })
    .await?;
    system.settled().await;
    let (placed, took) = off_the_runtime(move || {
        let mut caller = Caller::connect(address)?;
        let began = Instant::now();
        let mut placed = Vec::with_capacity(orders);
        for number in 0..orders {
            wait_until(began + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / rate.max(1));
            placed.push((place(&mut caller, "timed", number)?, Instant::now()));
        }
        Ok((placed, began.elapsed()))
    })
    .await?;
    system.settled().await;

    let ends = std::mem::take(&mut *returned.lock().unwrap_or_else(PoisonError::into_inner));
    let ids: Vec<OrderId> = placed.iter().map(|(id, _)| *id).collect();
    off_the_runtime(move || {
        let mut caller = Caller::connect(address)?;
        ids.iter().enumerate().try_for_each(|(number, id)| is_completed(&mut caller, number, id))
    })
    .await?;
    served.stop().await;
    system.stop().await;
    let waits = placed.iter().map(|(id, answered)| {
        let end = ends.get(id).ok_or_else(|| Error::Unexpected(format!("order {id} was never advanced")))?;
        Ok(micros(end.saturating_duration_since(*answered)))
    });
    let completed = Spread::of(waits.collect::<Result<_, Error>>()?);
    let completed = completed.ok_or_else(|| Error::Unexpected("nothing was asked to be measured".to_owned()))?;
    Ok(Steady { completed, rate, placed_in_ms: micros(took) / 1_000 })
}

/// Notes when the advancing of each order comes back.
fn watching(returned: Returned) -> Around {
    Arc::new(move |function, handler: Handler| {
        if function.logical_id != "AdvanceOrders" {
            return handler;
        }
        let returned = Arc::clone(&returned);
        Arc::new(move |invocation| {
            let (returned, advanced) = (Arc::clone(&returned), orders_of(&invocation.event));
            let answer = handler(invocation);
            Box::pin(async move {
                let answer = answer.await;
                let now = Instant::now();
                let mut returned = returned.lock().unwrap_or_else(PoisonError::into_inner);
                returned.extend(advanced.into_iter().map(|order| (order, now)));
                answer
            })
        })
    })
}

fn orders_of(event: &Value) -> Vec<OrderId> {
    let records = event["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let works = records.iter().filter_map(|record| serde_json::from_str::<WorkMessage>(record["body"].as_str()?).ok());
    works
        .filter_map(|message| match message.work {
            Work::Advance { order, .. } => Some(order),
            Work::Wake { .. } => None,
        })
        .collect()
}

fn customer(number: usize) -> String {
    format!("customer-{}", number % CUSTOMERS)
}

fn sku(number: usize) -> String {
    format!("sku-{}", number % PRODUCTS)
}

/// Everything is there: money, goods and room.
fn fill(caller: &mut Caller) -> Result<(), Error> {
    for number in 0..PRODUCTS {
        let product = json!({ "name": format!("Product {number}"), "price": "2.50" });
        caller.expect(200, "keeper", ("PUT", &format!("/stock/{}", sku(number))), None, &product)?;
        let (path, key) = (format!("/stock/{}/receipts", sku(number)), format!("receipt-{number}"));
        caller.expect(201, "keeper", ("POST", &path), Some(&key), &json!({ "quantity": 1_000_000 }))?;
    }
    caller.expect(200, "keeper", ("PUT", "/slots/standard"), None, &json!({ "capacity": 1_000_000 }))?;
    for number in 0..CUSTOMERS {
        let amount = json!({ "amount": "1000000.00" });
        caller.expect(201, &customer(number), ("POST", "/deposits"), Some("deposit"), &amount)?;
    }
    Ok(())
}

/// Orders one piece of something.
fn place(caller: &mut Caller, key: &str, number: usize) -> Result<OrderId, Error> {
    let (customer, key) = (customer(number), format!("{key}-{number}"));
    // Each customer orders of everything in turn.
    let order = json!({ "lines": [{ "sku": sku(number / CUSTOMERS + number), "quantity": 1 }] });
    let answer = caller.expect(201, &customer, ("POST", "/orders"), Some(&key), &order)?;
    let id = answer["id"].as_str().and_then(OrderId::parse);
    id.ok_or_else(|| Error::Unexpected(format!("an order was answered without its id: {answer}")))
}

fn is_completed(caller: &mut Caller, number: usize, id: &OrderId) -> Result<(), Error> {
    let order = caller.expect(200, &customer(number), ("GET", &format!("/orders/{id}")), None, &Value::Null)?;
    ensure(order["state"] == "completed", || format!("order {id} is {}", order["state"]))
}

#[expect(clippy::disallowed_methods, reason = "orders come at a rate, by the clock on the wall")]
fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
