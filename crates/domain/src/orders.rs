//! The order's way: placed, paid from the balance and completed; or waiting for what it lacks until that comes; or
//! cancelled. The order is its own idempotency record and its own inbox: whatever arrives late, twice or out of order
//! finds it past that step and is done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accounts::{self, Account, Cause, Missing, RENDERER, SystemAccount};
use crate::books::{Draft, Halt, Key, Version};
use crate::events::{EventId, Told};
use crate::ids::{CustomerId, Fingerprint, OrderId};
use crate::text::Description;
use crate::{Amount, Currency, Millis, Outcome, Refusal, Terms, Timestamp, planted};

/// An order and all that was ever decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    #[serde(rename = "owner")]
    pub customer: CustomerId,
    pub amount: Amount,
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    pub if_unpaid: IfLacking,
    #[serde(rename = "created_at")]
    pub placed_at: Timestamp,
    pub fingerprint: Fingerprint,
    pub renderer: u32,
    pub plan: Vec<Step>,
    pub state: OrderState,
    /// What was taken from the balance and not given back.
    pub charged: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<WaitingFor>,
    /// Where its waiting item stands. One exists exactly while this says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Resource>,
    /// How often in a row it could not be processed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stalls: u32,
    /// When someone looks at it next; an order that has ended has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    pub timeline: Vec<Passage>,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    AwaitingPayment,
    Completed,
    Cancelled,
}

/// A step of an order's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Payment,
}

/// What moves an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Pay,
    Park,
    Stall,
    Cancel,
}

/// What an order does when it lacks something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfLacking {
    #[default]
    Wait,
    Cancel,
}

/// Something that an order can lack, and what made it lack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Lack {
    Money { missing: Amount },
}

/// What an order says it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingFor {
    pub what: What,
    pub since: Timestamp,
    /// When the waiting ends, whatever comes.
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Money,
    /// It could not be processed, and is looked at again after a pause.
    Stalled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// It was not to wait for money.
    Unpaid,
    /// It waited as long as it may.
    Deadline,
}

/// One transition on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    pub at: Timestamp,
    /// With `index`, which event told it.
    pub version: Version,
    pub index: u32,
    #[serde(flatten)]
    pub told: Told,
}

/// What orders wait under, and what tells them that there is more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Account(CustomerId),
}

/// That an order waits under a resource, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub resource: Resource,
    /// When the order was placed, which is its place in the queue.
    pub placed_at: Timestamp,
    pub order: OrderId,
    pub customer: CustomerId,
}

/// A move that this state does not know. A flaw in the code that made it, never in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {state:?} does not {made:?}")]
pub struct IllegalMove {
    pub state: OrderState,
    pub made: Move,
}

/// How long after placing an order is looked at, in case its message was lost.
const FIRST_LOOK: Millis = Millis::minutes(2);
const FIRST_PAUSE: Millis = Millis::minutes(1);
const LONGEST_PAUSE: Millis = Millis::hours(6);

impl Resource {
    /// The account is an item of its own; whoever parks depends on it.
    pub const fn key(self) -> Key {
        match self {
            Self::Account(customer) => Key::Account(customer),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(customer) => write!(f, "account#{customer}"),
        }
    }
}

impl OrderState {
    /// Every move that there is; all others are illegal.
    pub fn after(self, made: Move, plan: &[Step]) -> Result<Self, IllegalMove> {
        match (self, made) {
            (Self::AwaitingPayment, Move::Pay) => Ok(Self::past(Step::Payment, plan)),
            (Self::AwaitingPayment, Move::Park | Move::Stall) => Ok(self),
            (Self::AwaitingPayment, Move::Cancel) => Ok(Self::Cancelled),
            (state, made) => Err(IllegalMove { state, made }),
        }
    }

    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Where an order stands that is to take the steps of `plan`.
    pub fn before(plan: &[Step]) -> Self {
        match plan.first() {
            Some(Step::Payment) => Self::AwaitingPayment,
            None => Self::Completed,
        }
    }

    fn past(step: Step, plan: &[Step]) -> Self {
        let taken = plan.iter().position(|planned| *planned == step).map_or(plan.len(), |place| place + 1);
        Self::before(&plan[taken..])
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Order {
    pub const fn key(&self) -> Key {
        Key::Order(self.id)
    }

    pub const fn waiting_key(&self, resource: Resource) -> Key {
        Key::Waiting(resource, self.placed_at, self.id)
    }

    fn moved(&mut self, made: Move) {
        self.state = self.state.after(made, &self.plan).expect("decisions make only moves that the state knows");
    }

    /// Writes the order and tells one thing of it, on the timeline and as an event.
    fn pass(&mut self, draft: &mut Draft<'_>, told: Told, now: Timestamp) -> Result<(), Halt> {
        let event = draft.next_event(self.key())?;
        self.timeline.push(Passage { at: now, version: event.version, index: event.index, told: told.clone() });
        draft.put(self.clone())?;
        draft.tell(self.key(), told, now)?;
        Ok(())
    }

    /// Takes the order out of the queue that it waits in.
    fn leave_queue(&mut self, draft: &mut Draft<'_>) -> Result<(), Halt> {
        if let Some(resource) = self.parked.take().filter(|_| !planted!(PlaceLeft)) {
            draft.delete(self.waiting_key(resource))?;
        }
        self.waiting_for = None;
        self.stalls = 0;
        Ok(())
    }

    fn waits_until(&self, now: Timestamp, terms: &Terms) -> Timestamp {
        let waiting = self.waiting_for.filter(|_| !planted!(DeadlineMoves));
        waiting.map_or_else(|| now.after(terms.wait), |waiting| waiting.until)
    }
}

impl Passage {
    pub fn event(&self, order: &OrderId) -> EventId {
        EventId::new(&Key::Order(*order), self.version, self.index)
    }
}

/// What a request for an order asks for.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    pub id: OrderId,
    pub customer: CustomerId,
    pub amount: Amount,
    pub description: Option<Description>,
    pub if_unpaid: IfLacking,
    pub fingerprint: Fingerprint,
}

/// Takes an order, once for each key.
pub fn place(
    draft: &mut Draft<'_>,
    command: &PlaceOrder,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Order>, Halt> {
    let is_alive = |placed: &Order| {
        !(planted!(OrderLease) && !placed.state.has_ended() && placed.placed_at.after(Millis::minutes(1)) < now)
    };
    if let Some(placed) = draft.get::<Order>(Key::Order(command.id))?.filter(is_alive) {
        return accounts::replay(placed.fingerprint == command.fingerprint, placed);
    }
    let plan = vec![Step::Payment];
    let mut order = Order {
        id: command.id,
        customer: command.customer,
        amount: command.amount,
        currency: terms.currency,
        description: command.description.clone(),
        if_unpaid: command.if_unpaid,
        placed_at: now,
        fingerprint: command.fingerprint,
        renderer: RENDERER,
        state: OrderState::before(&plan),
        plan,
        charged: Amount::ZERO,
        waiting_for: None,
        parked: None,
        stalls: 0,
        look_at: Some(now.after(FIRST_LOOK)),
        timeline: Vec::new(),
    };
    order.pass(draft, Told::OrderPlaced, now)?;
    Ok(Outcome::Done(order))
}

/// How far an attempt to go on came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It took a step, was parked or was cancelled.
    Moved,
    /// It has ended, or still lacks what it waits for.
    Unchanged,
    /// There is no such order.
    Unknown,
}

/// Takes an order as far as it can go now, and parks it before the first step that it cannot take.
pub fn advance(draft: &mut Draft<'_>, id: OrderId, now: Timestamp, terms: &Terms) -> Result<Advanced, Halt> {
    let Some(mut order) = draft.get::<Order>(Key::Order(id))? else { return Ok(Advanced::Unknown) };
    let mut advanced = Advanced::Unchanged;
    while !order.state.has_ended() {
        let stepped = match order.state {
            OrderState::AwaitingPayment => pay(draft, &mut order, now)?,
            OrderState::Completed | OrderState::Cancelled => break,
        };
        match stepped {
            Ok(()) => advanced = Advanced::Moved,
            Err(lack) => return Ok(if lacking(draft, order, lack, now, terms)? { Advanced::Moved } else { advanced }),
        }
    }
    Ok(advanced)
}

/// Charges the order to its customer's balance.
fn pay(draft: &mut Draft<'_>, order: &mut Order, now: Timestamp) -> Result<Result<(), Lack>, Halt> {
    let Some(account) = draft.get::<Account>(Key::Account(order.customer))? else {
        return Ok(Err(Lack::Money { missing: order.amount }));
    };
    // A stack whose currency was changed over its money moves none of it.
    if account.currency != order.currency {
        return Err(Refusal::CurrencyNotOfThisStack { stack: account.currency }.into());
    }
    let cause = Cause::Order(order.id);
    let (account, entry) = match account.debit(order.amount, SystemAccount::Revenue, cause, now) {
        Ok(posted) => posted,
        Err(Missing(missing)) => return Ok(Err(Lack::Money { missing })),
    };
    assert!(order.charged.is_zero(), "order {} is charged once", order.id);
    order.leave_queue(draft)?;
    order.charged = order.amount;
    order.moved(Move::Pay);
    if order.state.has_ended() {
        order.look_at = None;
    }
    order.pass(draft, Told::OrderPaid { balance: account.balance }, now)?;
    if order.state == OrderState::Completed {
        order.pass(draft, Told::OrderCompleted, now)?;
    }
    if !planted!(StepAlone) {
        draft.put(account)?;
        draft.insert(entry)?;
    }
    Ok(Ok(()))
}

/// What becomes of an order that lacks something: it is cancelled, parked, or goes on waiting as it did.
fn lacking(draft: &mut Draft<'_>, mut order: Order, lack: Lack, now: Timestamp, terms: &Terms) -> Result<bool, Halt> {
    let (what, resource, if_lacking) = match lack {
        Lack::Money { .. } => (What::Money, Resource::Account(order.customer), order.if_unpaid),
    };
    if if_lacking == IfLacking::Cancel {
        cancel(draft, order, CancelReason::Unpaid, now)?;
        return Ok(true);
    }
    let until = order.waits_until(now, terms);
    let waits_there = order.parked == Some(resource);
    if waits_there && order.waiting_for.is_some_and(|waiting| waiting.what == what) {
        return Ok(false);
    }
    order.moved(Move::Park);
    order.waiting_for = Some(WaitingFor { what, since: now, until });
    order.stalls = 0;
    order.look_at = Some(until);
    if waits_there {
        // It was stalled and is not any more; that it waits was told before.
        draft.put(order)?;
        return Ok(true);
    }
    order.parked = Some(resource);
    let waiting = Waiting { resource, placed_at: order.placed_at, order: order.id, customer: order.customer };
    draft.insert(waiting)?;
    order.pass(draft, Told::OrderWaiting { lacks: lack }, now)?;
    Ok(true)
}

/// Ends an order and gives back what it took. Here that is nothing: an order that was charged has completed.
fn cancel(draft: &mut Draft<'_>, mut order: Order, reason: CancelReason, now: Timestamp) -> Result<(), Halt> {
    assert!(order.charged.is_zero(), "order {} is not cancelled with money in it", order.id);
    order.moved(Move::Cancel);
    order.leave_queue(draft)?;
    order.look_at = None;
    order.pass(draft, Told::OrderCancelled { reason }, now)
}

/// The look that every order gets which has not ended: it goes on if it can, and only then what is due ends.
pub fn look(draft: &mut Draft<'_>, id: OrderId, now: Timestamp, terms: &Terms) -> Result<Advanced, Halt> {
    let Some(order) = draft.get::<Order>(Key::Order(id))? else { return Ok(Advanced::Unknown) };
    if order.look_at.is_none_or(|due| due > now) {
        return Ok(Advanced::Unchanged);
    }
    if advance(draft, id, now, terms)? == Advanced::Moved {
        return Ok(Advanced::Moved);
    }
    let Some(waiting) = order.waiting_for else { return Ok(Advanced::Unchanged) };
    if waiting.until <= now {
        cancel(draft, order, CancelReason::Deadline, now)?;
    } else {
        draft.put(Order { look_at: Some(waiting.until), ..order })?;
    }
    Ok(Advanced::Moved)
}

/// Marks an order that could not be processed, so that it leaves its queue and is looked at again after a pause that
/// grows. Its place under the resource it waits for stays.
pub fn stall(draft: &mut Draft<'_>, id: OrderId, now: Timestamp, terms: &Terms) -> Result<Advanced, Halt> {
    let Some(mut order) = draft.get::<Order>(Key::Order(id))? else { return Ok(Advanced::Unknown) };
    if order.state.has_ended() {
        return Ok(Advanced::Unchanged);
    }
    order.moved(Move::Stall);
    let until = order.waits_until(now, terms);
    let pause = Millis(FIRST_PAUSE.0.saturating_mul(1 << order.stalls.min(20))).min(LONGEST_PAUSE);
    let next = now.after(pause);
    order.stalls = order.stalls.saturating_add(1);
    order.look_at = Some(if until > now { next.min(until) } else { next });
    match order.waiting_for {
        Some(waiting) if waiting.what == What::Stalled => draft.put(order)?,
        _ => {
            let until = if planted!(StallEndsWaiting) { next } else { until };
            order.waiting_for = Some(WaitingFor { what: What::Stalled, since: now, until });
            order.pass(draft, Told::OrderStalled, now)?;
        }
    }
    Ok(Advanced::Moved)
}

/// An order as its owner may see it; another's is as one that does not exist.
pub fn seen_by(customer: &CustomerId, order: Option<Order>) -> Result<Order, Refusal> {
    order.filter(|order| order.customer == *customer || planted!(AnothersShown)).ok_or(Refusal::OrderNotFound)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
