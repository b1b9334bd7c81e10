//! `paidonce timeline`: how one order came to where it is, what it waits for and what would end that, read from the state
//! itself. It asks
//! nobody whose order it is: whoever can read the directory can read all of it.

use domain::books::{Kept, Key};
use domain::events::Told;
use domain::ids::OrderId;
use domain::orders::awaited::{self, Around};
use domain::orders::{CancelReason, Lack, Order, Passage, WaitingFor, What};
use domain::told_of_no_order;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::runtime;
use crate::state::Which;
use crate::terminal::{Paint, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The order's id, as the API answers it
    order: String,
    /// For machines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: Which,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let id = OrderId::parse(&arguments.order).ok_or_else(|| {
        let order = &arguments.order;
        Failure::Usage(format!("{order:?} is no order id; one has 32 letters and digits, as GET /orders lists them"))
    })?;
    let runtime = runtime::of_one_thread()?;
    let (order, ends_with) = runtime.block_on(load(arguments, id))?;
    if arguments.json {
        say(format_args!("{:#}", to_json(&order, &ends_with)));
    } else {
        show(&order, &ends_with, Paint::for_stdout());
    }
    Ok(())
}

/// The order, and what would end its waiting.
async fn load(arguments: &Arguments, id: OrderId) -> Result<(Order, Vec<String>), Failure> {
    let directory = arguments.state.directory();
    let (_snapshot, reader) = directory.snapshot()?;
    let key = Key::Order(id);
    let table = reader.store.table();
    let found = table.load(&[key]).await.map_err(platform::Failure::from)?.remove(&key).flatten();
    let order = found.and_then(|stored| Order::of_item(&stored.found.item).cloned()).ok_or_else(|| {
        let directory = directory.path().display();
        Failure::Failed(format!("there is no order {id} in {directory}; is it in another one (--state DIR)?"))
    })?;
    let around = table.load(&awaited::needs(&order)).await.map_err(platform::Failure::from)?;
    let around = Around::of(around.into_values().flatten().map(|stored| stored.found.item));
    let ends_with = awaited::ends_with(&order, &around, reader.store.now());
    Ok((order, ends_with))
}

fn to_json(order: &Order, ends_with: &[String]) -> Value {
    let passed = |passage: &Passage| {
        let (transition, cause) = words(order, &passage.told);
        let event = passage.event(&order.id).to_string();
        json!({ "at": passage.at.to_string(), "transition": transition, "cause": cause, "event": event })
    };
    let waiting = order.waiting_for.map(|waiting| {
        let (since, until) = (waiting.since.to_string(), waiting.until.to_string());
        json!({ "what": waiting.what, "since": since, "until": until, "ends_with": ends_with })
    });
    let lines = order.lines.iter().map(|line| {
        let price = line.price.to_decimal(order.currency);
        json!({ "sku": line.sku.to_string(), "quantity": line.quantity, "price": price })
    });
    json!({
        "id": order.id.to_string(),
        "customer": order.customer.to_string(),
        "state": order.state.name(),
        "amount": order.amount.to_decimal(order.currency),
        "currency": order.currency.code(),
        "lines": lines.collect::<Vec<_>>(),
        "slot": order.slot.map(|slot| slot.to_string()),
        "waiting_for": waiting,
        "next_look": order.look_at.map(|at| at.to_string()),
        "items": order.timeline.iter().map(passed).collect::<Vec<_>>(),
    })
}

fn show(order: &Order, ends_with: &[String], paint: Paint) {
    let amount = order.amount.to_decimal(order.currency);
    say(format_args!("order {}  {}  {amount} {}", order.id, paint.bold(order.state.name()), order.currency));
    if let Some(description) = &order.description {
        say(format_args!("  {}", paint.faint(description.as_str())));
    }
    for line in &order.lines {
        say(format_args!("  {} of {} at {}", line.quantity, line.sku, line.price.to_decimal(order.currency)));
    }
    if !order.lines.is_empty() {
        say(format_args!("  for slot {}", order.slot()));
    }
    say("");
    for passage in &order.timeline {
        let (transition, cause) = words(order, &passage.told);
        say(format_args!("  {}  {}  {cause}", passage.at, paint.bold(format_args!("{transition:<9}"))));
        say(format_args!("  {:24}  {:9}  {}", "", "", paint.faint(passage.event(&order.id))));
    }
    say("");
    say(match (&order.waiting_for, order.look_at) {
        (Some(waiting), _) => paint.yellow(awaited(waiting)),
        (None, Some(look_at)) => format!("  on its way; it is looked at again at {look_at} at the latest"),
        (None, None) => "  it has ended and waits for nothing".to_owned(),
    });
    if !ends_with.is_empty() {
        say("  what would end that, each for itself:");
    }
    for end in ends_with {
        say(format_args!("    {end}"));
    }
}

fn awaited(WaitingFor { what, since, until, .. }: &WaitingFor) -> String {
    let what = match what {
        What::Money => "more money on its account",
        What::Stock => "its goods to come in",
        What::Delivery => "a courier, or room in its slot",
        What::Card => "the gateway's word on its card",
        What::Stalled => "another try, as it could not be processed",
    };
    format!("  waits for {what} since {since}\n  and is cancelled if that has not come by {until}")
}

/// The transition's name, and what made it.
fn words(order: &Order, told: &Told) -> (&'static str, String) {
    let money = |amount: domain::Amount| format!("{} {}", amount.to_decimal(order.currency), order.currency);
    match told {
        Told::OrderPlaced => ("placed", "by its customer".to_owned()),
        Told::OrderPaid { balance } => ("paid", format!("from the balance, which left {}", money(*balance))),
        Told::OrderWaiting { lacks: Lack::Money { missing } } => {
            ("waiting", format!("{} was missing", money(*missing)))
        }
        Told::OrderWaiting { lacks: Lack::Stock { sku, missing } } => {
            ("waiting", format!("{missing} of {sku} was missing"))
        }
        Told::OrderWaiting { lacks: Lack::Delivery } => ("waiting", format!("slot {} had no room", order.slot())),
        Told::OrderWaiting { lacks: Lack::Card } => ("waiting", "the gateway was asked for the money".to_owned()),
        Told::OrderPaidByCard => ("paid", format!("{} by card", money(order.amount))),
        Told::OrderRefundedToCard => ("refunded", "to the card".to_owned()),
        Told::OrderStalled => ("stalled", "it could not be processed".to_owned()),
        Told::OrderReserved => ("reserved", "its goods were taken from the stock".to_owned()),
        Told::OrderQueued => ("queued", format!("for slot {}, which many want at once", order.slot())),
        Told::OrderBooked => ("booked", format!("in slot {}", order.slot())),
        Told::OrderAccepted { courier } => ("accepted", format!("by courier {courier}")),
        Told::OrderCompleted => ("completed", "every step was taken".to_owned()),
        Told::OrderReleased => ("released", "its goods were put back into the stock".to_owned()),
        Told::OrderRefunded { balance } => ("refunded", format!("to the balance, which is {} then", money(*balance))),
        Told::OrderCancelled { reason } => ("cancelled", cancelled(*reason).to_owned()),
        told_of_no_order!() => ("other", "not told of an order".to_owned()),
    }
}

const fn cancelled(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Unpaid => "the balance did not cover it and it was not to wait",
        CancelReason::Unavailable => "not all of its goods were in stock and it was not to wait",
        CancelReason::Undeliverable => "its slot had no room, and it was not to wait or could not wait longer",
        CancelReason::Requested => "by its customer",
        CancelReason::NotCharged => "its card was not charged",
        CancelReason::Deadline => "it waited as long as it could",
    }
}
