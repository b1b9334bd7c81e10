//! A run, told to people: who did what, what was lost, and what was committed, in columns, with names in place of ids.

use std::collections::{BTreeMap, BTreeSet};

use domain::books::Item;
use domain::events::Told;
use domain::ids::{CustomerId, DepositId, IdempotencyKey, OrderId, PaymentId, ReceiptId, RefundId};
use domain::orders::{CancelReason, Lack};
use domain::promises::watch::Action;

use crate::trace::stamp;

/// What kind of line it is, as far as the eye is to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is shown where something else in its group is: a read, a beginning.
    Aside,
    Plain,
    /// From here on it is calm, or time jumps.
    Phase,
    Commit,
    /// Something went wrong here.
    Struck,
    Finding,
}

impl Mark {
    const fn sign(self) -> char {
        match self {
            Self::Aside | Self::Plain => ' ',
            Self::Phase => '─',
            Self::Commit => '•',
            Self::Struck => '✗',
            Self::Finding => '‼',
        }
    }
}

/// Who did what, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) mark: Mark,
    /// An invocation with the number of its call, or a customer with the number of a request.
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) came: String,
}

impl Line {
    pub(crate) fn new(mark: Mark, who: impl ToString, what: impl Into<String>) -> Self {
        Self { mark, who: who.to_string(), what: what.into(), came: String::new() }
    }

    pub(crate) fn to(self, came: impl Into<String>) -> Self {
        Self { came: came.into(), ..self }
    }

    /// The invocation or the request that it belongs to: lines of one are shown or left out together.
    fn group(&self) -> &str {
        let is_call_of_a_function = self.who.contains('#');
        match self.who.split_once('/') {
            Some((invocation, _)) if is_call_of_a_function => invocation,
            _ => &self.who,
        }
    }
}

/// What ids are called: a customer by their name, what they asked for by their name and the key.
#[derive(Debug, Default)]
pub(crate) struct Names {
    of: BTreeMap<String, String>,
    customers: BTreeMap<String, CustomerId>,
}

impl Names {
    pub(crate) fn meet(&mut self, issuer: &str, name: &str) {
        let id = CustomerId::of(issuer, name);
        self.of.insert(id.to_string(), name.to_owned());
        self.customers.insert(name.to_owned(), id);
    }

    pub(crate) fn ask(&mut self, name: &str, key: &str) {
        let (Some(customer), Some(parsed)) = (self.customers.get(name), IdempotencyKey::parse(key)) else { return };
        let called = format!("{name}-{key}");
        self.of.insert(OrderId::of(customer, &parsed).to_string(), called.clone());
        self.of.insert(ReceiptId::of(customer, &parsed).to_string(), called.clone());
        let order = OrderId::of(customer, &parsed);
        self.of.insert(PaymentId::of_order(&order).to_string(), format!("{called}'s payment"));
        self.of.insert(RefundId::of_order(&order).to_string(), format!("{called}'s refund"));
        self.of.insert(PaymentId::of_request(customer, &parsed).to_string(), called.clone());
        self.of.insert(RefundId::of_request(customer, &parsed).to_string(), called.clone());
        self.of.insert(DepositId::of(customer, &parsed).to_string(), called);
    }

    /// The text with names in place of ids, and times counted from the beginning.
    pub(crate) fn put_into(&self, text: &str, start_ms: i64) -> String {
        const MONTHS_MS: i64 = 90 * 24 * 60 * 60 * 1_000;
        let mut said = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (run, after) = rest.split_at(word.max(first.len_utf8()));
            let moment = || Some(run.parse::<i64>().ok()? - start_ms).filter(|ms| run.len() == 13 && *ms >= 0);
            match self.of.get(run) {
                Some(name) => said.push_str(name),
                None => match moment().filter(|ms| *ms < MONTHS_MS) {
                    Some(ms) => said.push_str(&stamp(ms)),
                    None => said.push_str(run),
                },
            }
            rest = after;
        }
        said
    }
}

const WHO: usize = 22;
const WHAT: usize = 78;

/// The lines in columns, without what only looked and changed nothing.
pub(crate) fn told(lines: Vec<(i64, Line)>, names: &Names, start_ms: i64) -> Vec<String> {
    let telling: BTreeSet<String> =
        lines.iter().filter(|(_, line)| line.mark != Mark::Aside).map(|(_, line)| line.group().to_owned()).collect();
    let (shown, left_out): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|(_, line)| line.who.is_empty() || telling.contains(line.group()));
    let names_in = |text: &str| names.put_into(text, start_ms);
    let shown: Vec<(i64, Line)> = shown
        .into_iter()
        .map(|(ms, line)| (ms, Line { what: names_in(&line.what), came: names_in(&line.came), ..line }))
        .collect();
    let widest = |of: fn(&Line) -> &str, most: usize| {
        shown
            .iter()
            .filter(|(_, line)| !line.who.is_empty())
            .map(|(_, line)| of(line).chars().count())
            .max()
            .unwrap_or(0)
            .min(most)
    };
    let (who, what) =
        (widest(|line| &line.who, WHO), widest(|line| if line.came.is_empty() { "" } else { &line.what }, WHAT));
    let time = shown.last().map_or(12, |(ms, _)| stamp(*ms).len());
    let mut said: Vec<String> = shown
        .iter()
        .map(|(ms, line)| {
            let (sign, at) = (line.mark.sign(), stamp(*ms));
            let text = match line.mark {
                Mark::Phase => format!("{sign} {at:>time$}  ──── {} ────", line.what),
                _ if line.came.is_empty() => format!("{sign} {at:>time$}  {:<who$}  {}", line.who, line.what),
                _ => format!("{sign} {at:>time$}  {:<who$}  {:<what$}  → {}", line.who, line.what, line.came),
            };
            text.trim_end().to_owned()
        })
        .collect();
    let quiet: BTreeSet<&str> = left_out.iter().map(|(_, line)| line.group()).collect();
    if !quiet.is_empty() {
        said.push(format!("  {} invocations and requests that only looked are left out", quiet.len()));
    }
    said
}

/// A line with colours for a terminal.
pub(crate) fn coloured(line: &str) -> String {
    let colour = match line.chars().next() {
        Some('✗') => "31",
        Some('‼') => "1;31",
        Some('•') => "32",
        Some('─') => "1",
        _ => return line.to_owned(),
    };
    format!("\u{1b}[{colour}m{line}\u{1b}[0m")
}

/// What a commit comes to.
pub(crate) fn commit(actions: &[Action]) -> String {
    let mut said = Vec::new();
    for action in actions {
        match action {
            Action::Put { item, events, .. } => {
                let told: Vec<String> = events.iter().map(|event| happened(item, &event.told)).collect();
                match item {
                    _ if !told.is_empty() => said.push(format!("{}: {}", called(item), told.join(", "))),
                    Item::Account(account) => {
                        said.push(format!(
                            "{}: balance {}",
                            called(item),
                            account.balance.to_decimal(account.currency)
                        ));
                    }
                    Item::Entry(_) | Item::PaymentEntry(_) | Item::Waiting(_) => {}
                    _ => said.push(called(item)),
                }
            }
            Action::Delete(_) | Action::Check(_) => {}
        }
    }
    said.join("; ")
}

fn called(item: &Item) -> String {
    match item {
        Item::Account(account) => format!("account {}", account.customer),
        Item::Entry(entry) => format!("entry {} of {}", entry.number, entry.customer),
        Item::Deposit(deposit) => format!("deposit {}", deposit.id),
        Item::Order(order) => format!("order {}", order.id),
        Item::Waiting(_) => "a place in a queue".to_owned(),
        Item::Notification(notice) => format!("{} is told: {}", notice.customer, notice.text),
        Item::Unreadable(unreadable) => format!("unreadable: {unreadable:?}"),
        Item::Product(product) => format!("product {}", product.sku),
        Item::Stock(stock) => format!("stock of {}, {} on hand", stock.sku, stock.on_hand),
        Item::Receipt(receipt) => format!("receipt {}", receipt.id),
        Item::Slot(slot) => format!("slot {}, {} of {} booked", slot.id, slot.booked, slot.capacity),
        Item::ListedSlot(listed) => format!("slot {} in the list", listed.slot),
        Item::Profile(profile) => format!("profile {}", profile.id),
        Item::Attempts(attempts) => format!("attempts: {:?}", attempts.budget),
        Item::Endpoint(endpoint) => format!("endpoint of {}", endpoint.customer),
        Item::Delivery(delivery) => {
            format!("delivery of {}, {:?} after {} attempts", delivery.event, delivery.state, delivery.attempts)
        }
        Item::Payment(payment) => {
            let (state, attempts) = (payment.state.name(), payment.call.attempts);
            format!("payment {}, {state} after {attempts} attempts", payment.id)
        }
        Item::PaymentEntry(entry) => format!("entry {} of payment {}", entry.number, entry.payment),
        Item::Refund(refund) => {
            let (state, attempts) = (refund.state.name(), refund.call.attempts);
            format!("refund {}, {state} after {attempts} attempts", refund.id)
        }
        Item::Stub(stub) => format!("a report on {}, which is not there", stub.of),
        Item::Callback(callback) => format!("callback {} on {}", callback.id, callback.of),
        Item::Breaker(breaker) => format!("breaker of {}, {:?}", breaker.gateway.name(), breaker.phase),
    }
}

fn happened(item: &Item, told: &Told) -> String {
    let money = |amount: domain::Amount| match item {
        Item::Account(account) => amount.to_decimal(account.currency),
        Item::Order(order) => amount.to_decimal(order.currency),
        Item::Payment(payment) => amount.to_decimal(payment.currency),
        _ => amount.to_string(),
    };
    match told {
        Told::AccountOpened => "opened".to_owned(),
        Told::MoneyDeposited { amount, balance, .. } => {
            format!("{} deposited, balance {}", money(*amount), money(*balance))
        }
        Told::MoneyAvailable => "wakes who waits for money".to_owned(),
        Told::OrderPlaced => "placed".to_owned(),
        Told::OrderPaid { balance } => format!("paid, balance {}", money(*balance)),
        Told::OrderWaiting { lacks: Lack::Money { missing } } => format!("waits, {} is missing", money(*missing)),
        Told::OrderWaiting { lacks: Lack::Stock { sku, missing } } => format!("waits, {missing} of {sku} is missing"),
        Told::OrderWaiting { lacks: Lack::Delivery } => "waits, its slot has no room".to_owned(),
        Told::OrderWaiting { lacks: Lack::Card } => "waits for the gateway".to_owned(),
        Told::OrderPaidByCard => "paid by card".to_owned(),
        Told::OrderRefundedToCard => "refunded to the card".to_owned(),
        Told::OrderStalled => "stalled".to_owned(),
        Told::OrderReserved => "reserved".to_owned(),
        Told::OrderQueued => "goes on in its slot's queue".to_owned(),
        Told::OrderBooked => "booked".to_owned(),
        Told::OrderAccepted { courier } => format!("taken by courier {courier}"),
        Told::OrderReleased => "its goods given back".to_owned(),
        Told::OrderRefunded { balance } => format!("refunded, balance {}", money(*balance)),
        Told::OrderCompleted => "completed".to_owned(),
        Told::OrderCancelled { reason: CancelReason::Unpaid } => "cancelled as unpaid".to_owned(),
        Told::OrderCancelled { reason: CancelReason::Unavailable } => "cancelled as unavailable".to_owned(),
        Told::OrderCancelled { reason: CancelReason::Undeliverable } => "cancelled as undeliverable".to_owned(),
        Told::OrderCancelled { reason: CancelReason::Deadline } => "cancelled at its deadline".to_owned(),
        Told::OrderCancelled { reason: CancelReason::Requested } => "cancelled by its customer".to_owned(),
        Told::OrderCancelled { reason: CancelReason::NotCharged } => "cancelled as its card was not charged".to_owned(),
        Told::StockReceived { quantity, on_hand, .. } => format!("{quantity} received, {on_hand} on hand"),
        Told::StockAvailable => "wakes who waits for stock".to_owned(),
        Told::SlotAvailable => "wakes who waits for room".to_owned(),
        Told::DeliveryDue { seconds } => format!("to be sent to its endpoint in {seconds} s"),
        Told::GatewayDue { key, seconds, .. } => format!("the gateway is to be called about {key} in {seconds} s"),
        Told::PaymentBecame { state } => state.name().to_owned(),
        Told::MoneyCaptured { amount } => format!("{} captured", money(*amount)),
        Told::PaymentDoubted { doubt } => format!("doubted: {doubt:?}"),
        Told::OperatorDue => "waits for an operator".to_owned(),
        Told::RefundBegun { amount, .. } => format!("{} going back", money(*amount)),
        Told::RefundEnded { amount, given_back: true, .. } => format!("{} given back", money(*amount)),
        Told::RefundEnded { amount, given_back: false, .. } => format!("{} kept after all", money(*amount)),
        Told::ReportOrphaned => "nothing came of it".to_owned(),
        Told::BreakerBecame { phase } => format!("became {phase:?}"),
    }
}
