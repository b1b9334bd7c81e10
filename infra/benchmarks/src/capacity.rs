//! What each step of an order costs the table, against its budget. Each row is a fresh system, brought to where the
//! step begins, and then that step alone.
//!
//! A row without a budget is measured and written down. Rows join as the functions do that they measure.

use std::collections::BTreeMap;
use std::fmt;

use domain::Outcome;
use domain::ids::OrderId;
use domain::orders::{OrderState, Resource, What};
use serde_json::{Value, json};

use crate::error::{Error, ensure};
use crate::goods::{self, Plan};
use crate::item::KILOBYTE;
use crate::meter::Counted;
use crate::scene::{CUSTOMER, Scene};

const PRICE: &str = "12.50";
const PLENTY: &str = "10000.00";
const TOO_LITTLE: &str = "5.00";

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub rows: Vec<Row>,
    pub items: Vec<ItemSize>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub what: &'static str,
    /// How many orders went together; the units are theirs in all.
    pub orders: u32,
    pub counted: Counted,
    pub budget: Option<Budget>,
}

/// What a step may cost at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    pub write_units: f64,
    pub round_trips: u32,
}

/// The largest item of its kind that any row left behind. Beyond a kilobyte every write of it would cost another unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemSize {
    pub kind: String,
    pub bytes: usize,
}

impl ItemSize {
    pub const LIMIT_BYTES: usize = KILOBYTE;

    pub const fn within_budget(&self) -> bool {
        self.bytes < Self::LIMIT_BYTES
    }
}

impl Row {
    pub fn within_budget(&self) -> bool {
        self.budget.is_none_or(|budget| {
            self.counted.write_units <= budget.write_units && self.counted.round_trips <= budget.round_trips
        })
    }
}

impl Report {
    pub fn within_budget(&self) -> bool {
        self.rows.iter().all(Row::within_budget) && self.items.iter().all(ItemSize::within_budget)
    }

    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "what": row.what,
                "orders": row.orders,
                "write_units": row.counted.write_units,
                "read_units": row.counted.read_units,
                "round_trips": row.counted.round_trips,
                "budget": row.budget.map(|budget| json!({
                    "write_units": budget.write_units,
                    "round_trips": budget.round_trips,
                })),
                "within_budget": row.within_budget(),
            })
        });
        let items = self.items.iter().map(|item| {
            json!({
                "kind": item.kind,
                "bytes": item.bytes,
                "limit_bytes": ItemSize::LIMIT_BYTES,
                "within_budget": item.within_budget(),
            })
        });
        json!({
            "rows": rows.collect::<Vec<_>>(),
            "items": items.collect::<Vec<_>>(),
            "within_budget": self.within_budget(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
        writeln!(
            f,
            "{:widest$}  {:>11}  {:>10}  {:>11}  {:>19}",
            "what", "write units", "read units", "round trips", "budget"
        )?;
        for row in &self.rows {
            let (write_units, read_units) = (each(row.counted.write_units, row), each(row.counted.read_units, row));
            let budget = row.budget.map_or_else(
                || "none".to_owned(),
                |budget| format!("{} in {}", each(budget.write_units, row), trips(budget.round_trips)),
            );
            let trips = row.counted.round_trips;
            let verdict = match (row.budget, row.within_budget()) {
                (None, _) => "",
                (Some(_), true) => "  within",
                (Some(_), false) => "  OVER",
            };
            let what = row.what;
            writeln!(f, "{what:widest$}  {write_units:>11}  {read_units:>10}  {trips:>11}  {budget:>19}{verdict}")?;
        }
        writeln!(f, "\n{:widest$}  {:>11}  {:>10}", "largest item", "bytes", "limit")?;
        for item in &self.items {
            let verdict = if item.within_budget() { "  within" } else { "  OVER" };
            writeln!(f, "{:widest$}  {:>11}  {:>10}{verdict}", item.kind, item.bytes, ItemSize::LIMIT_BYTES)?;
        }
        f.write_str(
            "\nCounted by the emulator's ConsumedCapacity, table and indexes. A refused condition is added here, as the\n\
             larger of the stored and the new item: the refusal itself does not say what it cost.",
        )
    }
}

/// A row of several orders shows what each of them took.
#[expect(clippy::float_arithmetic, reason = "a share of what was counted, for eyes")]
fn each(units: f64, row: &Row) -> String {
    if row.orders == 1 { format!("{units}") } else { format!("{} each", units / f64::from(row.orders)) }
}

fn trips(round_trips: u32) -> String {
    if round_trips == 1 { "1 trip".to_owned() } else { format!("{round_trips} trips") }
}

/// Measures every row. The same numbers come out of every run.
pub async fn capacity() -> Result<Report, Error> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let measuring = move || drop(tell.send(on_still_time(measure_all())));
    std::thread::Builder::new()
        .name("capacity".to_owned())
        .spawn(measuring)
        .map_err(Error::io("a thread to measure on cannot be had"))?;
    told.await.unwrap_or_else(|_| Err(Error::Unexpected("the measuring broke off".to_owned())))
}

/// On a runtime of its own, whose time passes only where a row says so: the caller's goes on as it does.
fn on_still_time<T>(measuring: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(Error::io("a runtime to measure on cannot be had"))?
        .block_on(measuring)
}

async fn measure_all() -> Result<Report, Error> {
    let mut bench = Bench::default();

    bench.row("place an order", 3, 1, place).await?;
    bench.row("replay of it", 1, 1, place_again).await?;
    bench.row("deposit", 6, 2, deposit).await?;
    bench.row("advance a plain order", 7, 2, advance).await?;
    bench.row("the same, its account's hundredth", 7, 2, advance_the_hundredth).await?;
    // The account once, 2; for each order its entry, 2, the order, 2, and its index entry, 1.
    bench.row_of(10, "ten plain orders of one account in a batch", 52, 2, advance_ten).await?;
    bench.row("park", 8, 2, park).await?;
    bench.row("wake one waiter", 9, 3, wake).await?;
    bench.row("wake that finds too little", 0, 2, wake_in_vain).await?;
    // The write, and before it whether there is an endpoint.
    bench.row("a notification", 1, 2, notify).await?;
    bench.row_of(10, "ten notifications in a batch", 10, 11, notify_ten).await?;

    bench.row("place an order of goods", 3, 2, place_goods).await?;
    bench.row("advance goods all the way", 11, 2, advance_goods).await?;
    // Stock and slot once, 4; for each order its account, its entry, itself, 2 each, and its index entry, 1.
    bench.row_of(10, "ten orders of goods, of one sku and slot, in a batch", 74, 2, advance_ten_goods).await?;
    bench.row("park for stock", 8, 2, park_for_stock).await?;
    bench.row("wake one waiter for stock, all the way", 13, 3, wake_for_stock).await?;

    bench.unbudgeted("pay, and park for stock", pay_and_park).await?;
    bench.unbudgeted("pay and reserve, and park for a courier", park_for_courier).await?;
    bench.unbudgeted("wake one who has paid", wake_paid).await?;
    bench.unbudgeted("wake one for a courier", wake_for_courier).await?;
    bench.unbudgeted("wake for stock that finds too little", wake_for_stock_in_vain).await?;
    bench.unbudgeted("cancel an order of goods that waits for money", cancel_unpaid_goods).await?;
    bench.unbudgeted("cancel one that has paid and waits for stock", cancel_paid_goods).await?;
    bench.unbudgeted("cancel one that waits for a courier", cancel_reserved_goods).await?;
    bench.unbudgeted("a courier accepts an order", accept_order).await?;
    bench.unbudgeted("sweep, one order of goods whose message was lost", sweep_lost_goods).await?;
    bench.unbudgeted("put a product", put_product).await?;
    bench.unbudgeted("take stock in", receive).await?;
    bench.unbudgeted("replay of a receipt", receive_again).await?;
    bench.unbudgeted("open a slot", open_slot).await?;
    bench.unbudgeted("raise a slot", raise_slot).await?;

    bench.unbudgeted("open an account", open_account).await?;
    bench.unbudgeted("open it again", open_account_again).await?;
    bench.unbudgeted("first deposit, which opens the account", first_deposit).await?;
    bench.unbudgeted("replay of a deposit", deposit_again).await?;
    bench.unbudgeted("cancel instead of parking", cancel_unpaid).await?;
    bench.unbudgeted("a piece of work that comes again", advance_again).await?;
    bench.unbudgeted("a notification that comes again", notify_again).await?;
    bench.unbudgeted("a notification with its delivery", notify_outside).await?;
    bench.unbudgeted("a delivery that arrives", deliver).await?;
    bench.unbudgeted("a delivery that fails for the first time", deliver_in_vain).await?;
    bench.unbudgeted("a delivery that comes again", deliver_again).await?;
    bench.unbudgeted("sweep, one delivery whose message was lost", sweep_lost_delivery).await?;
    bench.unbudgeted("sweep with nothing due", sweep_idle).await?;
    bench.unbudgeted("sweep, one order whose message was lost", sweep_lost).await?;
    bench.unbudgeted("sweep, one order past its deadline", sweep_expired).await?;

    bench.unbudgeted("read the account", read_account).await?;
    bench.unbudgeted("read ten entries", read_entries).await?;
    bench.unbudgeted("read ten orders", read_orders).await?;
    bench.unbudgeted("read an order", read_order).await?;
    bench.unbudgeted("read its timeline", read_timeline).await?;
    bench.unbudgeted("read ten notifications", read_notifications).await?;

    Ok(bench.finish())
}

#[derive(Default)]
struct Bench {
    rows: Vec<Row>,
    largest: BTreeMap<String, usize>,
}

impl Bench {
    async fn row(
        &mut self,
        what: &'static str,
        write_units: u32,
        round_trips: u32,
        step: impl AsyncFnOnce(&Scene) -> Result<Counted, Error>,
    ) -> Result<(), Error> {
        self.row_of(1, what, write_units, round_trips, step).await
    }

    async fn row_of(
        &mut self,
        orders: u32,
        what: &'static str,
        write_units: u32,
        round_trips: u32,
        step: impl AsyncFnOnce(&Scene) -> Result<Counted, Error>,
    ) -> Result<(), Error> {
        let budget = Budget { write_units: f64::from(write_units), round_trips };
        self.run(orders, what, Some(budget), step).await
    }

    async fn unbudgeted(
        &mut self,
        what: &'static str,
        step: impl AsyncFnOnce(&Scene) -> Result<Counted, Error>,
    ) -> Result<(), Error> {
        self.run(1, what, None, step).await
    }

    async fn run(
        &mut self,
        orders: u32,
        what: &'static str,
        budget: Option<Budget>,
        step: impl AsyncFnOnce(&Scene) -> Result<Counted, Error>,
    ) -> Result<(), Error> {
        let scene = Scene::open()?;
        let counted = step(&scene).await?;
        ensure(counted.round_trips > 0, || format!("nothing was measured of {what:?}"))?;
        for (kind, bytes) in scene.item_sizes().await? {
            let largest = self.largest.entry(kind).or_default();
            *largest = bytes.max(*largest);
        }
        self.rows.push(Row { what, orders, counted, budget });
        Ok(())
    }

    fn finish(self) -> Report {
        let items = self.largest.into_iter().map(|(kind, bytes)| ItemSize { kind, bytes });
        Report { rows: self.rows, items: items.collect() }
    }
}

async fn place(scene: &Scene) -> Result<Counted, Error> {
    let (counted, order) = scene.measure(scene.place("order", PRICE)).await?;
    scene.expect_state(order, OrderState::AwaitingPayment).await?;
    Ok(counted)
}

async fn place_again(scene: &Scene) -> Result<Counted, Error> {
    let first = scene.place("order", PRICE).await?;
    let (counted, again) = scene.measure(scene.place("order", PRICE)).await?;
    ensure(first == again, || "a replay made another order".to_owned())?;
    Ok(counted)
}

async fn open_account(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(scene.open_account()).await?.0)
}

async fn open_account_again(scene: &Scene) -> Result<Counted, Error> {
    scene.open_account().await?;
    Ok(scene.measure(scene.open_account()).await?.0)
}

async fn first_deposit(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(scene.deposit("deposit", PLENTY)).await?.0)
}

async fn deposit(scene: &Scene) -> Result<Counted, Error> {
    scene.open_account().await?;
    Ok(scene.measure(scene.deposit("deposit", PLENTY)).await?.0)
}

async fn deposit_again(scene: &Scene) -> Result<Counted, Error> {
    let first = scene.deposit("deposit", PLENTY).await?;
    let (counted, again) = scene.measure(scene.deposit("deposit", PLENTY)).await?;
    ensure(first == again, || format!("a replay was answered with {again} after {first}"))?;
    Ok(counted)
}

async fn advance(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    Ok(complete(scene, "order", 1).await?.0)
}

async fn advance_the_hundredth(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    for tens in 0..9 {
        complete(scene, &format!("early-{tens}"), 10).await?;
    }
    complete(scene, "nearly", 9).await?;
    Ok(complete(scene, "hundredth", 1).await?.0)
}

async fn advance_ten(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    Ok(complete(scene, "order", 10).await?.0)
}

/// Places orders that there is money for, and counts what taking them all the way in one batch costs.
async fn complete(scene: &Scene, key: &str, how_many: u32) -> Result<(Counted, Vec<OrderId>), Error> {
    let mut orders = Vec::new();
    for number in 0..how_many {
        orders.push(scene.place(&format!("{key}-{number}"), PRICE).await?);
    }
    let work = scene.placed(&orders).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    for order in &orders {
        scene.expect_state(*order, OrderState::Completed).await?;
    }
    Ok((counted, orders))
}

async fn advance_again(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    let order = scene.place("order", PRICE).await?;
    let work = scene.placed(&[order]).await?;
    scene.run("AdvanceOrders", work.clone()).await?;
    Ok(scene.measure(scene.run("AdvanceOrders", work)).await?.0)
}

/// An order that waits for money, and what parking it cost.
async fn parked(scene: &Scene) -> Result<(Counted, OrderId), Error> {
    scene.deposit("little", TOO_LITTLE).await?;
    let order = scene.place("order", PRICE).await?;
    let work = scene.placed(&[order]).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    let waiting = scene.expect_state(order, OrderState::AwaitingPayment).await?;
    let waits = waiting.parked.is_some() && waiting.waiting_for.is_some_and(|waiting| waiting.what == What::Money);
    ensure(waits, || "an order without money does not wait for it".to_owned())?;
    Ok((counted, order))
}

async fn park(scene: &Scene) -> Result<Counted, Error> {
    Ok(parked(scene).await?.0)
}

async fn wake(scene: &Scene) -> Result<Counted, Error> {
    let (_, order) = parked(scene).await?;
    scene.deposit("enough", PLENTY).await?;
    let work = scene.deposited().await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    scene.expect_state(order, OrderState::Completed).await?;
    Ok(counted)
}

async fn wake_in_vain(scene: &Scene) -> Result<Counted, Error> {
    let (_, order) = parked(scene).await?;
    scene.deposit("not-enough", TOO_LITTLE).await?;
    let work = scene.deposited().await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    scene.expect_state(order, OrderState::AwaitingPayment).await?;
    Ok(counted)
}

async fn cancel_unpaid(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("little", TOO_LITTLE).await?;
    let order = scene.place_or("order", PRICE, "cancel").await?;
    let work = scene.placed(&[order]).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    scene.expect_state(order, OrderState::Cancelled).await?;
    Ok(counted)
}

async fn notify(scene: &Scene) -> Result<Counted, Error> {
    let (_, order) = parked(scene).await?;
    let notice = scene.told_a_person(order).await?;
    Ok(scene.measure(scene.run("Notify", notice)).await?.0)
}

async fn notify_ten(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    let (_, orders) = complete(scene, "order", 10).await?;
    let notices = scene.told_people(&orders).await?;
    let (counted, _) = scene.measure(scene.run("Notify", notices)).await?;
    let list = scene.get("/notifications?limit=100").await?;
    let kept = list["items"].as_array().map_or(0, Vec::len);
    ensure(kept == 10, || format!("ten notifications were told and {kept} are kept"))?;
    Ok(counted)
}

async fn notify_again(scene: &Scene) -> Result<Counted, Error> {
    let (_, order) = parked(scene).await?;
    let notice = scene.told_a_person(order).await?;
    scene.run("Notify", notice.clone()).await?;
    Ok(scene.measure(scene.run("Notify", notice)).await?.0)
}

const TAKES_IT: &str = "https://shop.example/takes-it";
const FAILS: &str = "https://shop.example/fails";

/// A notification of a customer who has an endpoint.
async fn outside(scene: &Scene, url: &str) -> Result<Value, Error> {
    scene.put_webhook(url).await?;
    let (_, order) = parked(scene).await?;
    scene.told_a_person(order).await
}

async fn notify_outside(scene: &Scene) -> Result<Counted, Error> {
    let notice = outside(scene, TAKES_IT).await?;
    Ok(scene.measure(scene.run("Notify", notice)).await?.0)
}

async fn to_deliver(scene: &Scene, url: &str) -> Result<Value, Error> {
    let notice = outside(scene, url).await?;
    scene.run("Notify", notice.clone()).await?;
    scene.told_outside(&notice).await
}

async fn deliver(scene: &Scene) -> Result<Counted, Error> {
    let delivery = to_deliver(scene, TAKES_IT).await?;
    Ok(scene.measure(scene.run("DeliverWebhook", delivery)).await?.0)
}

async fn deliver_in_vain(scene: &Scene) -> Result<Counted, Error> {
    let delivery = to_deliver(scene, FAILS).await?;
    Ok(scene.measure(scene.run("DeliverWebhook", delivery)).await?.0)
}

async fn deliver_again(scene: &Scene) -> Result<Counted, Error> {
    let delivery = to_deliver(scene, TAKES_IT).await?;
    scene.run("DeliverWebhook", delivery.clone()).await?;
    Ok(scene.measure(scene.run("DeliverWebhook", delivery)).await?.0)
}

async fn sweep_lost_delivery(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    let order = scene.place("order", PRICE).await?;
    scene.run("AdvanceOrders", scene.placed(&[order]).await?).await?;
    scene.put_webhook(TAKES_IT).await?;
    scene.run("Notify", scene.told_a_person(order).await?).await?;
    scene.pass(0, 11).await;
    sweep(scene, 1).await
}

async fn sweep_idle(scene: &Scene) -> Result<Counted, Error> {
    scene.place("order", PRICE).await?;
    sweep(scene, 0).await
}

async fn sweep_lost(scene: &Scene) -> Result<Counted, Error> {
    scene.deposit("deposit", PLENTY).await?;
    let order = scene.place("order", PRICE).await?;
    scene.pass(0, 3).await;
    let counted = sweep(scene, 1).await?;
    scene.expect_state(order, OrderState::Completed).await?;
    Ok(counted)
}

async fn sweep_expired(scene: &Scene) -> Result<Counted, Error> {
    let (_, order) = parked(scene).await?;
    scene.pass(73, 0).await;
    let counted = sweep(scene, 1).await?;
    scene.expect_state(order, OrderState::Cancelled).await?;
    Ok(counted)
}

async fn sweep(scene: &Scene, due: u32) -> Result<Counted, Error> {
    let (counted, answer) = scene.measure(scene.run("Sweep", json!({}))).await?;
    ensure(answer["looked"] == due, || format!("{due} orders were due, and the sweep answered {answer}"))?;
    Ok(counted)
}

async fn place_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 0).await?;
    let (counted, order) = scene.measure(scene.place_goods(CUSTOMER, "order", Plan::PayFirst)).await?;
    scene.expect_state(order, OrderState::AwaitingPayment).await?;
    Ok(counted)
}

/// Takes an order as far as it goes, and counts what that costs.
async fn advance_one(scene: &Scene, plan: Plan, state: OrderState) -> Result<(Counted, OrderId), Error> {
    let order = scene.place_goods(CUSTOMER, "order", plan).await?;
    let work = scene.placed(&[order]).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    scene.expect_state(order, state).await?;
    Ok((counted, order))
}

async fn advance_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    Ok(advance_one(scene, Plan::PayFirst, OrderState::Completed).await?.0)
}

async fn advance_ten_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(10, 10).await?;
    let mut orders = Vec::new();
    for number in 0..10 {
        let customer = format!("customer-{number}");
        scene.deposit_of(&customer, PLENTY).await?;
        orders.push(scene.place_goods(&customer, "order", Plan::PayFirst).await?);
    }
    let work = scene.placed(&orders).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    for order in orders {
        scene.expect_state(order, OrderState::Completed).await?;
    }
    Ok(counted)
}

async fn park_for_stock(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 5).await?;
    Ok(advance_one(scene, Plan::ReserveFirst, OrderState::AwaitingStock).await?.0)
}

async fn pay_and_park(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    Ok(advance_one(scene, Plan::PayFirst, OrderState::AwaitingStock).await?.0)
}

async fn park_for_courier(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 0).await?;
    scene.deposit("deposit", PLENTY).await?;
    Ok(advance_one(scene, Plan::PayFirst, OrderState::AwaitingDelivery).await?.0)
}

/// Lets those go on who wait for more of something, and counts what that costs.
async fn woken(scene: &Scene, resource: Resource, order: OrderId, state: OrderState) -> Result<Counted, Error> {
    let work = scene.more_of(resource).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    scene.expect_state(order, state).await?;
    Ok(counted)
}

async fn wake_for_stock(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::ReserveFirst, OrderState::AwaitingStock).await?;
    scene.receive("more", 5).await?;
    woken(scene, goods::stock(), order, OrderState::Completed).await
}

async fn wake_paid(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingStock).await?;
    scene.receive("more", 5).await?;
    woken(scene, goods::stock(), order, OrderState::Completed).await
}

async fn wake_for_courier(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 0).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingDelivery).await?;
    scene.open_slot(5).await?;
    woken(scene, goods::slot(), order, OrderState::Completed).await
}

/// The wake comes when what it tells of has gone to somebody else.
async fn wake_for_stock_in_vain(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingStock).await?;
    scene.receive("more", 1).await?;
    let work = scene.more_of(goods::stock()).await?;
    let rival = scene.place_goods(CUSTOMER, "rival", Plan::ReserveFirst).await?;
    let taken = scene.placed(&[rival]).await?;
    scene.run("AdvanceOrders", taken).await?;
    let (counted, _) = scene.measure(scene.run("AdvanceOrders", work)).await?;
    scene.expect_state(order, OrderState::AwaitingStock).await?;
    Ok(counted)
}

async fn cancelled(scene: &Scene, order: OrderId) -> Result<Counted, Error> {
    let (counted, ()) = scene.measure(scene.cancel(order)).await?;
    scene.expect_state(order, OrderState::Cancelled).await?;
    Ok(counted)
}

async fn cancel_unpaid_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 5).await?;
    scene.deposit("deposit", TOO_LITTLE).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingPayment).await?;
    cancelled(scene, order).await
}

async fn cancel_paid_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(0, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingStock).await?;
    cancelled(scene, order).await
}

async fn cancel_reserved_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 0).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingDelivery).await?;
    cancelled(scene, order).await
}

async fn accept_order(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 0).await?;
    scene.deposit("deposit", PLENTY).await?;
    let (_, order) = advance_one(scene, Plan::PayFirst, OrderState::AwaitingDelivery).await?;
    let (counted, ()) = scene.measure(scene.accept(order)).await?;
    scene.expect_state(order, OrderState::Completed).await?;
    Ok(counted)
}

async fn sweep_lost_goods(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 5).await?;
    scene.deposit("deposit", PLENTY).await?;
    let order = scene.place_goods(CUSTOMER, "order", Plan::PayFirst).await?;
    scene.pass(0, 3).await;
    let counted = sweep(scene, 1).await?;
    scene.expect_state(order, OrderState::Completed).await?;
    Ok(counted)
}

async fn put_product(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(scene.put_product()).await?.0)
}

async fn receive(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 0).await?;
    Ok(scene.measure(scene.receive("more", 5)).await?.0)
}

async fn receive_again(scene: &Scene) -> Result<Counted, Error> {
    scene.shop(5, 0).await?;
    let (counted, again) = scene.measure(scene.receive("first", 5)).await?;
    ensure(matches!(again, Outcome::AlreadyDone(_)), || "a receipt was made twice".to_owned())?;
    Ok(counted)
}

async fn open_slot(scene: &Scene) -> Result<Counted, Error> {
    Ok(scene.measure(scene.open_slot(5)).await?.0)
}

async fn raise_slot(scene: &Scene) -> Result<Counted, Error> {
    scene.open_slot(5).await?;
    Ok(scene.measure(scene.open_slot(6)).await?.0)
}

/// A customer with eleven entries, ten orders and a notification for each.
async fn lived_in(scene: &Scene) -> Result<OrderId, Error> {
    scene.deposit("deposit", PLENTY).await?;
    let (_, orders) = complete(scene, "order", 10).await?;
    for order in &orders {
        let notice = scene.told_a_person(*order).await?;
        scene.run("Notify", notice).await?;
    }
    orders.first().copied().ok_or_else(|| Error::Unexpected("nothing was ordered".to_owned()))
}

async fn read_account(scene: &Scene) -> Result<Counted, Error> {
    lived_in(scene).await?;
    Ok(scene.measure(scene.get("/account")).await?.0)
}

async fn read_entries(scene: &Scene) -> Result<Counted, Error> {
    lived_in(scene).await?;
    read_ten(scene, "/account/entries?limit=10").await
}

async fn read_orders(scene: &Scene) -> Result<Counted, Error> {
    lived_in(scene).await?;
    read_ten(scene, "/orders?limit=10").await
}

async fn read_notifications(scene: &Scene) -> Result<Counted, Error> {
    lived_in(scene).await?;
    read_ten(scene, "/notifications?limit=10").await
}

async fn read_ten(scene: &Scene, path: &str) -> Result<Counted, Error> {
    let (counted, list) = scene.measure(scene.get(path)).await?;
    let length = list["items"].as_array().map_or(0, Vec::len);
    ensure(length == 10, || format!("{path} listed {length}: {list}"))?;
    Ok(counted)
}

async fn read_order(scene: &Scene) -> Result<Counted, Error> {
    let order = lived_in(scene).await?;
    Ok(scene.measure(scene.get(&format!("/orders/{order}"))).await?.0)
}

async fn read_timeline(scene: &Scene) -> Result<Counted, Error> {
    let order = lived_in(scene).await?;
    Ok(scene.measure(scene.get(&format!("/orders/{order}/timeline"))).await?.0)
}
