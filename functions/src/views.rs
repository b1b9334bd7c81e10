//! What callers are shown. The answers that a replay must repeat byte for byte are rendered from facts that never
//! change after their commit, by the renderer that the commit fixed. A renderer that was ever released stays, with
//! its golden file; a new shape is a new number.

pub(crate) mod goods;
pub(crate) mod payments;

use domain::accounts::{Account, Cause, Deposit, Entry};
use domain::events::Told;
use domain::messages::Notification;
use domain::orders::{CancelReason, IfLacking, Lack, Order, OrderState, Passage, Step, WaitingFor, What};
use domain::profiles::Profile;
use domain::{Amount, Millis, planted, told_of_no_order};
use serde::Serialize;

/// An order as it was answered when it was placed.
#[derive(Serialize)]
pub(crate) struct PlacedV1<'a> {
    id: String,
    state: &'static str,
    amount: String,
    currency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(flatten)]
    goods: Option<GoodsV1>,
    if_unpaid: IfLacking,
    #[serde(flatten)]
    card: Option<CardV1>,
    created_at: String,
}

/// What an order by card says besides. Without it an order is paid from the balance.
#[derive(Serialize)]
struct CardV1 {
    pay_with: &'static str,
    payment: String,
}

/// What an order of goods says besides.
#[derive(Serialize)]
struct GoodsV1 {
    lines: Vec<goods::LineV1>,
    slot: String,
    reserve_first: bool,
    if_unavailable: IfLacking,
    if_undeliverable: IfLacking,
}

/// An order as it stands.
#[derive(Serialize)]
pub(crate) struct OrderView<'a> {
    #[serde(flatten)]
    placed: PlacedV1<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<WaitingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_because: Option<CancelReason>,
}

#[derive(Serialize)]
pub(crate) struct WaitingView {
    what: What,
    since: String,
    until: String,
}

/// What an order waits for, and what would end that.
#[derive(Serialize)]
struct AwaitedView {
    #[serde(flatten)]
    waiting: WaitingView,
    ends_with: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct TimelineView {
    id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<AwaitedView>,
    items: Vec<PassageView>,
}

#[derive(Serialize)]
struct PassageView {
    at: String,
    transition: &'static str,
    cause: String,
    event: String,
}

#[derive(Serialize)]
pub(crate) struct AccountView {
    id: String,
    balance: String,
    currency: &'static str,
    created_at: String,
}

#[derive(Serialize)]
pub(crate) struct DepositV1 {
    id: String,
    state: &'static str,
    amount: String,
    currency: &'static str,
    balance: String,
    created_at: String,
}

#[derive(Serialize)]
pub(crate) struct EntryView {
    id: String,
    number: u64,
    amount: String,
    currency: &'static str,
    balance: String,
    cause: CauseView,
    created_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum CauseView {
    Deposit(String),
    Order(String),
    Refund(String),
}

#[derive(Serialize)]
pub(crate) struct NotificationView<'a> {
    id: String,
    order: String,
    transition: &'a str,
    text: &'a str,
    created_at: String,
}

/// The answer to placing an order, now and for ever.
pub(crate) fn placed(order: &Order) -> PlacedV1<'_> {
    // There is one renderer so far; `order.renderer` says which.
    let state = if planted!(ReplayShowsNow) { order.state } else { OrderState::before(&order.plan) };
    shape(order, state)
}

pub(crate) fn order(order: &Order) -> OrderView<'_> {
    let cancelled_because = order.timeline.iter().rev().find_map(|passage| match passage.told {
        Told::OrderCancelled { reason } => Some(reason),
        _ => None,
    });
    OrderView {
        placed: shape(order, order.state),
        waiting_for: order.waiting_for.as_ref().map(waiting),
        cancelled_because,
    }
}

fn shape(order: &Order, state: OrderState) -> PlacedV1<'_> {
    PlacedV1 {
        id: order.id.to_string(),
        state: state.name(),
        amount: order.amount.to_decimal(order.currency),
        currency: order.currency.code(),
        description: order.description.as_ref().map(domain::text::Description::as_str),
        goods: goods::lines(order).map(|lines| GoodsV1 {
            lines,
            slot: order.slot().to_string(),
            reserve_first: order.plan.first() == Some(&Step::Stock),
            if_unavailable: order.if_unavailable,
            if_undeliverable: order.if_undeliverable,
        }),
        if_unpaid: order.if_unpaid,
        card: order.payment().map(|payment| CardV1 { pay_with: "card", payment: payment.to_string() }),
        created_at: order.placed_at.to_string(),
    }
}

fn waiting(waiting: &WaitingFor) -> WaitingView {
    WaitingView { what: waiting.what, since: waiting.since.to_string(), until: waiting.until.to_string() }
}

pub(crate) fn timeline(order: &Order, ends_with: Vec<String>) -> TimelineView {
    TimelineView {
        id: order.id.to_string(),
        state: order.state.name(),
        waiting_for: order.waiting_for.as_ref().map(|awaited| AwaitedView { waiting: waiting(awaited), ends_with }),
        items: order.timeline.iter().filter_map(|passage| passed(order, passage)).collect(),
    }
}

/// `None` for what is told of an account: no order's timeline holds that.
fn passed(order: &Order, passage: &Passage) -> Option<PassageView> {
    let decimal = |amount: Amount| format!("{} {}", amount.to_decimal(order.currency), order.currency);
    let (transition, cause) = match &passage.told {
        Told::OrderPlaced => ("placed", "the customer asked for it".to_owned()),
        Told::OrderPaid { balance } => {
            ("paid", format!("charged to the balance, which was {} afterwards", decimal(*balance)))
        }
        Told::OrderWaiting { lacks: Lack::Money { missing } } => {
            ("waiting", format!("{} was missing; a deposit or the deadline ends the waiting", decimal(*missing)))
        }
        Told::OrderWaiting { lacks: Lack::Stock { sku, missing } } => {
            ("waiting", format!("{missing} of {sku} was missing; a receipt or the deadline ends the waiting"))
        }
        Told::OrderWaiting { lacks: Lack::Delivery } => (
            "waiting",
            format!("slot {} had no room; a courier, more room or the deadline ends the waiting", order.slot()),
        ),
        Told::OrderWaiting { lacks: Lack::Card } => {
            ("waiting", "the gateway is asked for the money; its word or the deadline ends the waiting".to_owned())
        }
        Told::OrderPaidByCard => ("paid", format!("{} were charged to the card", decimal(order.amount))),
        Told::OrderRefundedToCard => ("refunded", "it goes back to the card".to_owned()),
        Told::OrderStalled => ("stalled", "it could not be processed and is tried again".to_owned()),
        Told::OrderReserved => ("reserved", "its goods were taken from the stock".to_owned()),
        Told::OrderQueued => {
            ("queued", format!("many orders want slot {} at once; it is booked in its turn", order.slot()))
        }
        Told::OrderBooked => ("booked", format!("it has a place in slot {}", order.slot())),
        Told::OrderAccepted { courier } => ("accepted", format!("courier {courier} took it")),
        Told::OrderCompleted => ("completed", "every step was taken".to_owned()),
        Told::OrderReleased => ("released", "its goods were put back into the stock".to_owned()),
        Told::OrderRefunded { balance } => {
            ("refunded", format!("given back to the balance, which was {} afterwards", decimal(*balance)))
        }
        Told::OrderCancelled { reason } => ("cancelled", cancelled_because(*reason).to_owned()),
        told_of_no_order!() => return None,
    };
    Some(PassageView { at: passage.at.to_string(), transition, cause, event: passage.event(&order.id).to_string() })
}

const fn cancelled_because(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Unpaid => "the balance did not cover it and it was not to wait",
        CancelReason::Unavailable => "not all of its goods were in stock and it was not to wait",
        CancelReason::Undeliverable => "its slot had no room and it was not to wait, or could not wait longer",
        CancelReason::Deadline => "it waited as long as it could",
        CancelReason::Requested => "the customer asked for it",
        CancelReason::NotCharged => "the card was not charged",
    }
}

/// The account as it stands.
pub(crate) fn account(account: &Account) -> AccountView {
    account_with(account, account.balance)
}

/// The account as it was when it was opened.
pub(crate) fn opened(account: &Account) -> AccountView {
    account_with(account, Amount::ZERO)
}

fn account_with(account: &Account, balance: Amount) -> AccountView {
    AccountView {
        id: account.customer.to_string(),
        balance: balance.to_decimal(account.currency),
        currency: account.currency.code(),
        created_at: account.opened_at.to_string(),
    }
}

/// The answer to a deposit, now and for ever.
pub(crate) fn deposited(deposit: &Deposit) -> DepositV1 {
    // There is one renderer so far; `deposit.renderer` says which.
    DepositV1 {
        id: deposit.id.to_string(),
        state: "completed",
        amount: deposit.amount.to_decimal(deposit.currency),
        currency: deposit.currency.code(),
        balance: deposit.balance_after.to_decimal(deposit.currency),
        created_at: deposit.created_at.to_string(),
    }
}

pub(crate) fn entry(entry: &Entry) -> EntryView {
    EntryView {
        id: format!("{}.{}", entry.customer, entry.number),
        number: entry.number,
        amount: entry.amount.to_decimal(entry.currency),
        currency: entry.currency.code(),
        balance: entry.balance.to_decimal(entry.currency),
        cause: match entry.cause {
            Cause::Deposit(id) => CauseView::Deposit(id.to_string()),
            Cause::Order(id) => CauseView::Order(id.to_string()),
            Cause::Refund(id) => CauseView::Refund(id.to_string()),
        },
        created_at: entry.at.to_string(),
    }
}

pub(crate) fn notification(notification: &Notification) -> NotificationView<'_> {
    NotificationView {
        id: notification.event.to_string(),
        order: notification.order.to_string(),
        transition: &notification.transition,
        text: &notification.text,
        created_at: notification.at.to_string(),
    }
}

#[derive(Serialize)]
pub(crate) struct ProfileView {
    customer: String,
    created_at: String,
}

#[derive(Serialize)]
pub(crate) struct SessionView {
    token: String,
    token_type: &'static str,
    /// In seconds.
    expires_in: i64,
}

/// Whom the profile's tokens name. Who signs up twice is refused, so this is no answer that replays.
pub(crate) fn profile(profile: &Profile, issuer: &str) -> ProfileView {
    ProfileView { customer: profile.customer(issuer).to_string(), created_at: profile.created_at.to_string() }
}

pub(crate) fn session(token: String, good_for: Millis) -> SessionView {
    SessionView { token, token_type: "Bearer", expires_in: good_for.in_seconds_at_least() }
}

#[cfg(test)]
mod tests {
    use domain::goods::Line;
    use domain::ids::{CustomerId, DepositId, Fingerprint, IdempotencyKey, OrderId, Sku, SlotId};
    use domain::orders::WaitingFor;
    use domain::text::Description;
    use domain::{Currency, Timestamp};

    use super::*;

    fn customer() -> CustomerId {
        CustomerId::of("local", "alice")
    }

    fn key() -> IdempotencyKey {
        IdempotencyKey::parse("k").unwrap()
    }

    fn order(state: OrderState) -> Order {
        let at = Timestamp::from_millis(1_795_240_383_007);
        Order {
            id: OrderId::of(&customer(), &key()),
            customer: customer(),
            amount: Amount::from_minor(150_099).unwrap(),
            currency: Currency::from_code("EUR").unwrap(),
            description: Some(Description::new("tea \"for\" two 🫖").unwrap()),
            pay_with: domain::orders::PayWith::Balance,
            if_unpaid: IfLacking::Wait,
            if_unavailable: IfLacking::Wait,
            if_undeliverable: IfLacking::Wait,
            lines: Vec::new(),
            slot: None,
            placed_at: at,
            fingerprint: Fingerprint::of("POST /orders", &[]),
            renderer: 1,
            plan: vec![Step::Payment],
            state,
            charged: Amount::ZERO,
            reserved: false,
            delivery: None,
            waiting_for: Some(WaitingFor { what: What::Money, since: at, until: at, deadline: None }),
            parked: None,
            stalls: 0,
            look_at: None,
            timeline: Vec::new(),
        }
    }

    /// What was released is in clients' hands: a golden file is never changed, a new shape gets a new number.
    #[test]
    fn the_first_renderer_answers_as_it_always_did() {
        for state in [OrderState::AwaitingPayment, OrderState::Completed, OrderState::Cancelled] {
            let answer = serde_json::to_string(&placed(&order(state))).unwrap();
            assert_eq!(answer, include_str!("../golden/order.v1.json").trim_end(), "whatever has become of it");
        }
        let line =
            |sku, quantity| Line { sku: Sku::parse(sku).unwrap(), quantity, price: Amount::from_minor(1_250).unwrap() };
        for state in [OrderState::AwaitingStock, OrderState::Completed, OrderState::Cancelled] {
            let of_goods = Order {
                lines: vec![line("EARL-GREY-100G", 2), line("teapot.blue", 1)],
                slot: SlotId::parse("2026-11-24.afternoon").ok(),
                plan: vec![Step::Stock, Step::Payment, Step::Delivery],
                if_unavailable: IfLacking::Cancel,
                ..order(state)
            };
            let answer = serde_json::to_string(&placed(&of_goods)).unwrap();
            assert_eq!(
                answer,
                include_str!("../golden/order-of-goods.v1.json").trim_end(),
                "whatever has become of it"
            );
        }
        for state in [OrderState::AwaitingPayment, OrderState::Completed, OrderState::Cancelled] {
            let pay_with = domain::orders::PayWith::Card(domain::payments::Gateway::Plain);
            let answer = serde_json::to_string(&placed(&Order { pay_with, ..order(state) })).unwrap();
            let golden = include_str!("../golden/order-by-card.v1.json").trim_end();
            assert_eq!(answer, golden, "whatever has become of it");
        }
        let deposit = Deposit {
            id: DepositId::of(&customer(), &key()),
            customer: customer(),
            amount: Amount::from_minor(500_000).unwrap(),
            currency: Currency::from_code("EUR").unwrap(),
            entry: 7,
            balance_after: Amount::from_minor(500_001).unwrap(),
            created_at: Timestamp::from_millis(1_795_240_383_007),
            fingerprint: Fingerprint::of("POST /deposits", &[]),
            renderer: 1,
        };
        let answer = serde_json::to_string(&deposited(&deposit)).unwrap();
        assert_eq!(answer, include_str!("../golden/deposit.v1.json").trim_end());
    }
}
