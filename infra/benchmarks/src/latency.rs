//! How long a caller waits: `POST /orders` over a real loopback connection to the served edge, the state in files, one
//! request after the other; and how long after the 201 the order is completed.
//!
//! First the orders come back to back, while the work that they cause goes on behind them; the target is held against
//! these. Then each is waited for until a read shows it completed, so that the next finds the system nearly at rest. Then
//! orders of goods come at a steady rate. Not here: many callers at once, and the network.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use local_cloud::{Clock, Storage};
use local_system::{Options, System};
use serde_json::{Value, json};

use crate::caller::{Caller, Served, off_the_runtime};
use crate::error::Error;
use crate::memory;
use crate::steady::{self, Steady};

const CUSTOMER: &str = "alice";
const SEED: u64 = 1;
const ENOUGH: &str = "10000000.00";
const COMPLETES_WITHIN: Duration = Duration::from_secs(20);

/// How much is measured.
#[derive(Clone, Debug)]
pub struct LatencyOptions {
    /// Orders that are placed before anything is timed.
    pub warm_up: usize,
    /// Orders whose placing is timed.
    pub requests: usize,
    /// Orders that are followed to their end.
    pub followed: usize,
    /// Orders of goods at a steady rate.
    pub goods: usize,
    /// So many of them a second.
    pub rate: u32,
    /// The `paidonce` binary, to measure the memory of an idle `serve`. Without it that is left out.
    pub binary: Option<PathBuf>,
}

impl Default for LatencyOptions {
    fn default() -> Self {
        Self { warm_up: 200, requests: 2_000, followed: 500, goods: 1_500, rate: 50, binary: None }
    }
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct LatencyReport {
    /// From the request's first byte to the answer's last, one order right after the other.
    pub place: Spread,
    /// The same, each order only once the one before was completed.
    pub place_at_rest: Spread,
    /// From the 201 until a read shows the order completed.
    pub completed: Spread,
    /// The same of goods that are all there, at a steady rate.
    pub goods: Steady,
    /// What an idle `serve` holds in memory, where a binary was given.
    pub idle_kib: Option<u64>,
    /// Whether this is a build that the targets are meant for.
    pub optimised: bool,
}

/// How some durations are spread, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub samples: usize,
    pub min_us: u64,
    pub median_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(mut samples_us: Vec<u64>) -> Option<Self> {
        samples_us.sort_unstable();
        // The smallest sample that so many in a hundred do not exceed.
        let percentile = |percent: usize| {
            let rank = (samples_us.len() * percent).div_ceil(100).max(1);
            samples_us.get(rank - 1).copied()
        };
        Some(Self {
            samples: samples_us.len(),
            min_us: *samples_us.first()?,
            median_us: percentile(50)?,
            p99_us: percentile(99)?,
            max_us: *samples_us.last()?,
        })
    }

    fn to_json(self) -> Value {
        json!({
            "samples": self.samples,
            "min_us": self.min_us,
            "median_us": self.median_us,
            "p99_us": self.p99_us,
            "max_us": self.max_us,
        })
    }
}

impl LatencyReport {
    /// What the median of placing an order stays under, in a release build.
    pub const TARGET_MEDIAN_US: u64 = 5_000;
    /// What goods at a steady rate stay under, from the 201 to completed: the median, and the 99th in a hundred.
    pub const TARGET_GOODS_US: (u64, u64) = (100_000, 500_000);
    /// What an idle `serve` stays under.
    pub const TARGET_IDLE_KIB: u64 = 60 * 1_024;

    /// Of what was measured. The targets are a release build's; a slower build is held to them all the same.
    pub fn within_target(&self) -> bool {
        let (median, p99) = Self::TARGET_GOODS_US;
        self.place.median_us < Self::TARGET_MEDIAN_US
            && self.goods.completed.median_us < median
            && self.goods.completed.p99_us < p99
            && self.goods.kept_its_rate()
            && self.idle_kib.is_none_or(|kib| kib < Self::TARGET_IDLE_KIB)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "place": self.place.to_json(),
            "place_at_rest": self.place_at_rest.to_json(),
            "completed": self.completed.to_json(),
            "goods": { "completed": self.goods.completed.to_json(), "rate": self.goods.rate, "placed_in_ms": self.goods.placed_in_ms },
            "idle_kib": self.idle_kib,
            "targets": {
                "place_median_us": Self::TARGET_MEDIAN_US,
                "goods_median_us": Self::TARGET_GOODS_US.0,
                "goods_p99_us": Self::TARGET_GOODS_US.1,
                "idle_kib": Self::TARGET_IDLE_KIB,
            },
            "optimised": self.optimised,
            "within_target": self.within_target(),
        })
    }
}

impl fmt::Display for LatencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 32;
        writeln!(
            f,
            "{:WIDTH$}  {:>8}  {:>9}  {:>9}  {:>9}  {:>9}",
            "ms", "requests", "min", "median", "p99", "target"
        )?;
        let target = format!("< {}", Self::TARGET_MEDIAN_US / 1_000);
        let (median, p99) = Self::TARGET_GOODS_US;
        let goods_target = format!("< {}, {}", median / 1_000, p99 / 1_000);
        let goods = format!("goods, the same, {} a second", self.goods.rate);
        for (what, spread, target) in [
            ("POST /orders, back to back", self.place, target.as_str()),
            ("POST /orders, one at a time", self.place_at_rest, ""),
            ("from the 201 to completed", self.completed, ""),
            (goods.as_str(), self.goods.completed, goods_target.as_str()),
        ] {
            let Spread { samples, min_us, median_us, p99_us, .. } = spread;
            let [min, median, p99] = [min_us, median_us, p99_us].map(thousandths);
            writeln!(f, "{what:WIDTH$}  {samples:>8}  {min:>9}  {median:>9}  {p99:>9}  {target:>9}")?;
        }
        if !self.goods.kept_its_rate() {
            writeln!(f, "{:WIDTH$}  {} ms, too slow for that rate", "they were placed in", self.goods.placed_in_ms)?;
        }
        let memory = match self.idle_kib {
            Some(kib) => format!("{} MiB, target < {}", tenths_of_mib(kib), Self::TARGET_IDLE_KIB / 1_024),
            None => "not measured".to_owned(),
        };
        writeln!(f, "{:WIDTH$}  {memory}", "memory of an idle serve")?;
        let verdict = if self.within_target() { "within target" } else { "OVER TARGET" };
        let build = if self.optimised { "a release build" } else { "a dev build; the targets are a release build's" };
        write!(f, "{verdict}, measured on {build}")
    }
}

fn thousandths(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

fn tenths_of_mib(kib: u64) -> String {
    format!("{}.{}", kib / 1_024, kib % 1_024 * 10 / 1_024)
}

/// Measures on a system of its own, in a temporary directory. Call it inside a runtime with I/O and time.
pub async fn latency(options: LatencyOptions) -> Result<LatencyReport, Error> {
    let LatencyOptions { warm_up, requests, followed, goods, rate, binary } = options;
    // First and alone, so that neither takes time from the other.
    let idle_kib = match binary {
        Some(binary) => Some(memory::of_idle_serve(&binary).await?),
        None => None,
    };
    let directory = tempfile::tempdir().map_err(Error::io("a temporary directory cannot be had"))?;
    let (advanced, on_advanced) = mpsc::channel();
    let mut cloud = local_cloud::Options::new(Storage::Directory(directory.path().to_owned()), Clock::wall(), SEED);
    cloud.on_invocation = Some(tell_of_advancing(advanced));
    let system = System::start(Options::new(cloud))?;
    let served = Served::start(&system).await?;
    let address = served.address;

    let placed = off_the_runtime(move || {
        let mut caller = Customer(Caller::connect(address)?);
        caller.deposit()?;
        caller.place_each("warm-up", warm_up)?;
        caller.place_each("timed", requests)
    })
    .await?;
    system.settled().await;
    let (at_rest, completed) = off_the_runtime(move || {
        let mut caller = Customer(Caller::connect(address)?);
        let followed = (0..followed).map(|number| caller.follow(&format!("followed-{number}"), &on_advanced));
        Ok(followed.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    })
    .await?;

    served.stop().await;
    system.stop().await;
    let goods = steady::goods(goods, rate).await?;
    let nothing = || Error::Unexpected("nothing was asked to be measured".to_owned());
    Ok(LatencyReport {
        place: Spread::of(placed).ok_or_else(nothing)?,
        place_at_rest: Spread::of(at_rest).ok_or_else(nothing)?,
        completed: Spread::of(completed).ok_or_else(nothing)?,
        goods,
        idle_kib,
        optimised: !cfg!(debug_assertions),
    })
}

fn tell_of_advancing(advanced: mpsc::Sender<()>) -> local_cloud::InvocationObserver {
    Arc::new(move |record| {
        if record.function == "AdvanceOrders" {
            // Nobody listens while nothing is followed, and nobody has to.
            let _: Result<_, _> = advanced.send(());
        }
    })
}

/// One customer whose orders are timed.
struct Customer(Caller);

impl Customer {
    fn deposit(&mut self) -> Result<(), Error> {
        let amount = json!({ "amount": ENOUGH });
        self.0.expect(201, CUSTOMER, ("POST", "/deposits"), Some("deposit"), &amount).map(drop)
    }

    /// What placing each took, in microseconds.
    fn place_each(&mut self, key: &str, how_many: usize) -> Result<Vec<u64>, Error> {
        (0..how_many).map(|number| Ok(self.place(&format!("{key}-{number}"))?.1)).collect()
    }

    /// The order, and how long placing it took in microseconds.
    fn place(&mut self, key: &str) -> Result<(String, u64), Error> {
        let body = json!({ "amount": "1.00", "description": "Two tickets for the late show, row 7" });
        let began = Instant::now();
        let answer = self.0.expect(201, CUSTOMER, ("POST", "/orders"), Some(key), &body)?;
        let took = micros(began.elapsed());
        Ok((answer["id"].as_str().unwrap_or_default().to_owned(), took))
    }

    /// How long placing an order took, and how long after its 201 it is completed, in microseconds.
    fn follow(&mut self, key: &str, on_advanced: &mpsc::Receiver<()>) -> Result<(u64, u64), Error> {
        // Whatever was advanced before was another order.
        while on_advanced.try_recv().is_ok() {}
        let (id, took) = self.place(key)?;
        let began = Instant::now();
        loop {
            let left = COMPLETES_WITHIN.saturating_sub(began.elapsed());
            on_advanced.recv_timeout(left).map_err(|_| Error::Unexpected(format!("order {id} is not completed")))?;
            let (_, order) = self.0.call(CUSTOMER, "GET", &format!("/orders/{id}"), None, &Value::Null)?;
            if order["state"] == "completed" {
                return Ok((took, micros(began.elapsed())));
            }
        }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_what_was_measured() {
        assert_eq!(Spread::of(Vec::new()), None);
        let one = Spread::of(vec![7]).unwrap();
        assert_eq!((one.min_us, one.median_us, one.p99_us, one.max_us), (7, 7, 7, 7));
        let hundred = Spread::of((1..=100).rev().collect()).unwrap();
        assert_eq!((hundred.min_us, hundred.median_us, hundred.p99_us, hundred.max_us), (1, 50, 99, 100));
    }

    /// One of fifty a second took so long.
    fn steady(us: u64) -> Steady {
        Steady { completed: Spread::of(vec![us]).unwrap(), rate: 50, placed_in_ms: 20 }
    }

    #[test]
    fn the_targets_decide() {
        let place = Spread::of(vec![4_999]).unwrap();
        let report = LatencyReport {
            place,
            place_at_rest: place,
            completed: place,
            goods: steady(99_999),
            idle_kib: None,
            optimised: true,
        };
        assert!(report.within_target(), "what was not measured is not over");
        assert!(report.to_string().contains("4.999"), "{report}");
        let heavy = LatencyReport { idle_kib: Some(60 * 1_024), ..report.clone() };
        assert!(!heavy.within_target());
        let slow = LatencyReport { goods: steady(100_000), ..report.clone() };
        assert!(!slow.within_target());
        let behind = LatencyReport { goods: Steady { placed_in_ms: 2_000, ..steady(1) }, ..report.clone() };
        assert!(!behind.within_target() && behind.to_string().contains("too slow for that rate"), "{behind}");
        let slow = LatencyReport { place: Spread::of(vec![5_000]).unwrap(), ..report };
        assert!(!slow.within_target());
        assert!(slow.to_string().contains("OVER TARGET"), "{slow}");
    }
}
