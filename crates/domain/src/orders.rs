//! The order's way: placed, then paid from the balance, reserved from the stock and handed to delivery as its plan says,
//! as far as it can go in one commit; or waiting for what it lacks until that comes; or cancelled, with everything given
//! back. The order is its own idempotency record and its own inbox: whatever arrives late, twice or out of order finds it
//! past that step and is done.

mod asked;
pub mod awaited;
mod card;
mod delivery;
mod reservation;
mod undoing;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accounts::{self, Account, Cause, Missing, RENDERER, SystemAccount};
use crate::books::{Draft, Halt, Key, Version};
use crate::events::{EventId, Told};
use crate::goods::{Line, Lines};
use crate::ids::{CustomerId, Fingerprint, OrderId, PaymentId, Sku, SlotId};
use crate::payments::{self, Gateway};
use crate::slots::Slot;
use crate::text::Description;
use crate::{Amount, Currency, Millis, Outcome, Refusal, Terms, Timestamp, planted};

pub use asked::{Asked, Paying};
pub(crate) use card::card_spoke;
pub use delivery::accept;
pub use undoing::cancel;

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
    #[serde(default, skip_serializing_if = "PayWith::is_balance")]
    pub pay_with: PayWith,
    pub if_unpaid: IfLacking,
    #[serde(default, skip_serializing_if = "IfLacking::is_wait")]
    pub if_unavailable: IfLacking,
    #[serde(default, skip_serializing_if = "IfLacking::is_wait")]
    pub if_undeliverable: IfLacking,
    /// What it is for, if it is for goods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// When the goods are to be handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotId>,
    #[serde(rename = "created_at")]
    pub placed_at: Timestamp,
    pub fingerprint: Fingerprint,
    pub renderer: u32,
    pub plan: Vec<Step>,
    pub state: OrderState,
    /// What was taken for it, from the balance or by card, and not given back as it ended.
    pub charged: Amount,
    /// Its goods were taken from the stock and not given back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reserved: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
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
    AwaitingStock,
    AwaitingDelivery,
    Completed,
    Cancelled,
}

/// A step of an order's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Payment,
    Stock,
    Delivery,
}

/// How an order was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It has a place in its slot.
    Booked,
    /// A courier took it, whose slot had no room.
    Accepted,
}

/// What moves an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Pay,
    Reserve,
    HandOver,
    Park,
    Stall,
    Cancel,
}

/// What an order is paid with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayWith {
    /// Its customer's balance.
    #[default]
    Balance,
    /// A card, through this gateway.
    Card(Gateway),
}

impl PayWith {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_balance(&self) -> bool {
        matches!(self, Self::Balance)
    }
}

/// What an order does when it lacks something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfLacking {
    #[default]
    Wait,
    Cancel,
}

impl IfLacking {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    const fn is_wait(&self) -> bool {
        matches!(self, Self::Wait)
    }
}

/// Something that an order can lack, and what made it lack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Lack {
    Money {
        missing: Amount,
    },
    Stock {
        sku: Sku,
        missing: u32,
    },
    /// Its slot has no room.
    Delivery,
    /// The gateway has not said whether its card is charged.
    Card,
}

/// What an order says it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingFor {
    pub what: What,
    pub since: Timestamp,
    /// When the waiting ends, whatever comes.
    pub until: Timestamp,
    /// When it would end if its slot did not begin before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Money,
    Stock,
    Delivery,
    Card,
    /// It could not be processed, and is looked at again after a pause.
    Stalled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// It was not to wait for money.
    Unpaid,
    /// It was not to wait for its goods.
    Unavailable,
    /// It was not to wait for room in its slot, or the slot has begun without it.
    Undeliverable,
    /// It waited as long as it may.
    Deadline,
    /// Its customer wanted it so.
    Requested,
    /// The gateway did not charge its card.
    NotCharged,
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
    Stock(Sku),
    Slot(SlotId),
}

/// That an order waits under a resource, oldest first; with what it may go on with, to be loaded at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub resource: Resource,
    /// When the order was placed, which is its place in the queue.
    pub placed_at: Timestamp,
    pub order: OrderId,
    pub customer: CustomerId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skus: Vec<Sku>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<SlotId>,
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
            Self::Stock(sku) => Key::Stock(sku),
            Self::Slot(slot) => Key::Slot(slot),
        }
    }

    /// What lacks where this is waited for.
    pub const fn what(self) -> What {
        match self {
            Self::Account(_) => What::Money,
            Self::Stock(_) => What::Stock,
            Self::Slot(_) => What::Delivery,
        }
    }
}

/// Everything that an order may take or give back on its way, so that one read brings it all.
pub fn ways(customer: CustomerId, skus: &[Sku], slot: Option<SlotId>) -> impl Iterator<Item = Key> {
    let goods = skus.iter().copied().map(Key::Stock);
    std::iter::once(Key::Account(customer)).chain(goods).chain(slot.map(Key::Slot))
}

impl Waiting {
    /// Everything that it may take when it is woken. Who waits for its slot has all the rest.
    pub fn ways(&self) -> impl Iterator<Item = Key> {
        let goods = if matches!(self.resource, Resource::Slot(_)) { &[] } else { &self.skus[..] };
        ways(self.customer, goods, self.slot)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(customer) => write!(f, "account#{customer}"),
            Self::Stock(sku) => write!(f, "sku#{sku}"),
            Self::Slot(slot) => write!(f, "slot#{slot}"),
        }
    }
}

impl OrderState {
    /// Every move that there is; all others are illegal.
    pub fn after(self, made: Move, plan: &[Step]) -> Result<Self, IllegalMove> {
        match (self, made) {
            (Self::AwaitingPayment, Move::Pay) => Ok(Self::past(Step::Payment, plan)),
            (Self::AwaitingStock, Move::Reserve) => Ok(Self::past(Step::Stock, plan)),
            (Self::AwaitingDelivery, Move::HandOver) => Ok(Self::past(Step::Delivery, plan)),
            (state, Move::Park | Move::Stall) if !state.has_ended() => Ok(state),
            (state, Move::Cancel) if !state.has_ended() => Ok(Self::Cancelled),
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
            Some(Step::Stock) => Self::AwaitingStock,
            Some(Step::Delivery) => Self::AwaitingDelivery,
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
            Self::AwaitingStock => "awaiting_stock",
            Self::AwaitingDelivery => "awaiting_delivery",
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

    /// Where its goods are to be handed over.
    pub fn slot(&self) -> SlotId {
        self.slot.unwrap_or_else(SlotId::standard)
    }

    pub fn skus(&self) -> Vec<Sku> {
        self.lines.iter().map(|line| line.sku).collect()
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

    /// The payment that it is paid by, if that is by card.
    pub fn payment(&self) -> Option<PaymentId> {
        matches!(self.pay_with, PayWith::Card(_)).then(|| PaymentId::of_order(&self.id))
    }

    /// The steps that it has not taken.
    fn steps_left(&self) -> &[Step] {
        let mut ends = (0..=self.plan.len()).map(|taken| &self.plan[taken..]);
        ends.find(|left| OrderState::before(left) == self.state).unwrap_or_default()
    }

    fn place(&self) -> Option<Key> {
        self.parked.map(|resource| self.waiting_key(resource))
    }

    /// All that it may look at on the way that is left to it.
    fn ahead(&self) -> impl Iterator<Item = Key> {
        let left = self.steps_left();
        let money = left.contains(&Step::Payment).then(|| self.money());
        let goods = if left.contains(&Step::Stock) { &self.lines[..] } else { &[] };
        let slot = left.contains(&Step::Delivery).then(|| Key::Slot(self.slot()));
        let goods = goods.iter().map(|line| Key::Stock(line.sku));
        self.place().into_iter().chain(money).chain(goods).chain(slot)
    }

    /// All that it gives back if it ends before it completes.
    fn behind(&self) -> impl Iterator<Item = Key> {
        let is_paid = !self.charged.is_zero() || self.gateway().is_some();
        let money = is_paid.then(|| self.money());
        let goods = if self.reserved { &self.lines[..] } else { &[] };
        let goods = goods.iter().map(|line| Key::Stock(line.sku));
        self.place().into_iter().chain(money).chain(goods)
    }

    /// Where its money comes from.
    fn money(&self) -> Key {
        match self.pay_with {
            PayWith::Balance => Key::Account(self.customer),
            PayWith::Card(_) => Key::Payment(PaymentId::of_order(&self.id)),
        }
    }

    /// Puts the order into the queue under a resource, out of the one that it may stand in.
    fn take_place(&mut self, draft: &mut Draft<'_>, resource: Resource) -> Result<(), Halt> {
        if let Some(left) = self.parked.replace(resource).filter(|_| !planted!(PlaceKeptOnMove)) {
            draft.delete(self.waiting_key(left))?;
        }
        draft.insert(Waiting {
            resource,
            placed_at: self.placed_at,
            order: self.id,
            customer: self.customer,
            skus: self.skus(),
            slot: self.slot,
        })
    }

    fn waits_until(&self, now: Timestamp, terms: &Terms) -> Timestamp {
        let waiting = self.waiting_for.filter(|_| !planted!(DeadlineMoves));
        waiting.map_or_else(|| now.after(terms.wait), |waiting| waiting.until)
    }

    /// Whether the last that was told of it, but that it stalled, is that it lacks this.
    fn says_that_it_lacks(&self, what: What) -> bool {
        let last = self.timeline.iter().rev().map(|passage| &passage.told).find(|told| **told != Told::OrderStalled);
        matches!(last, Some(Told::OrderWaiting { lacks }) if lacks.what() == what)
    }
}

impl Lack {
    pub const fn what(self) -> What {
        match self {
            Self::Money { .. } => What::Money,
            Self::Stock { .. } => What::Stock,
            Self::Delivery => What::Delivery,
            Self::Card => What::Card,
        }
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
    pub wanted: Wanted,
    pub description: Option<Description>,
    pub pay_with: PayWith,
    pub if_unpaid: IfLacking,
    pub fingerprint: Fingerprint,
}

/// What an order is for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// It is kept elsewhere; only the money moves here.
    Amount(Amount),
    Goods(Goods),
}

/// Goods, and how they are to come.
#[derive(Clone, Debug)]
pub struct Goods {
    pub lines: Lines,
    /// `None` is the slot of who names none.
    pub slot: Option<SlotId>,
    /// Stock is taken before the money.
    pub reserve_first: bool,
    pub if_unavailable: IfLacking,
    pub if_undeliverable: IfLacking,
}

impl Wanted {
    /// An amount or goods: one of the two.
    pub fn of(amount: Option<Amount>, goods: Option<Goods>) -> Result<Self, Refusal> {
        match (amount, goods) {
            (Some(amount), None) => Ok(Self::Amount(amount)),
            (None, Some(goods)) => Ok(Self::Goods(goods)),
            (None, None) | (Some(_), Some(_)) => Err(Refusal::AmountOrLines),
        }
    }
}

impl Goods {
    fn plan(&self) -> Vec<Step> {
        let (first, second) =
            if self.reserve_first { (Step::Stock, Step::Payment) } else { (Step::Payment, Step::Stock) };
        vec![first, second, Step::Delivery]
    }

    /// A slot that is named is there, and has not begun. That of who names none may be opened later.
    fn bookable(&self, draft: &Draft<'_>, now: Timestamp) -> Result<SlotId, Halt> {
        let standard = SlotId::standard();
        let Some(id) = self.slot.filter(|id| *id != standard) else { return Ok(standard) };
        let slot = draft.glance::<Slot>(Key::Slot(id))?.ok_or(Refusal::SlotUnknown { slot: id })?;
        if slot.has_begun(now) { Err(Refusal::SlotHasBegun { slot: id }.into()) } else { Ok(id) }
    }
}

impl PlaceOrder {
    /// What is to be loaded for an order of goods. The order too: whether its key was used comes before any check that
    /// depends on what else is there. Of a plain amount it may be presumed absent.
    pub fn needs(&self) -> Vec<Key> {
        let mut keys = vec![Key::Order(self.id)];
        if matches!(self.pay_with, PayWith::Card(_)) {
            keys.push(Key::Payment(PaymentId::of_order(&self.id)));
        }
        if let Wanted::Goods(goods) = &self.wanted {
            keys.extend(goods.lines.skus().map(Key::Product));
            keys.extend(goods.slot.map(Key::Slot));
        }
        keys
    }
}

/// Takes an order, once for each key. What goods cost is read from the catalogue and holds from then on.
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
    let plain = (vec![Step::Payment], None, IfLacking::Wait, IfLacking::Wait);
    let (lines, amount, (plan, slot, if_unavailable, if_undeliverable)) = match &command.wanted {
        Wanted::Amount(amount) => (Vec::new(), *amount, plain),
        Wanted::Goods(goods) => {
            let (lines, amount) = goods.lines.priced(draft, terms)?;
            let slot = goods.bookable(draft, now)?;
            (lines, amount, (goods.plan(), Some(slot), goods.if_unavailable, goods.if_undeliverable))
        }
    };
    let mut order = Order {
        id: command.id,
        customer: command.customer,
        amount,
        currency: terms.currency,
        description: command.description.clone(),
        pay_with: command.pay_with,
        if_unpaid: command.if_unpaid,
        if_unavailable,
        if_undeliverable,
        lines,
        slot,
        placed_at: now,
        fingerprint: command.fingerprint,
        renderer: RENDERER,
        state: OrderState::before(&plan),
        plan,
        charged: Amount::ZERO,
        reserved: false,
        delivery: None,
        waiting_for: None,
        parked: None,
        stalls: 0,
        look_at: Some(now.after(FIRST_LOOK)),
        timeline: Vec::new(),
    };
    order.pass(draft, Told::OrderPlaced, now)?;
    if let (PayWith::Card(gateway), Some(Step::Payment)) = (order.pay_with, order.plan.first()) {
        payments::open_for_order(draft, &order, gateway, now, terms)?;
        // The gateway may have spoken before.
        card::card_spoke(draft, order.id, now)?;
        order = draft.get::<Order>(order.key())?.unwrap_or(order);
    }
    Ok(Outcome::Done(order))
}

/// An order by card where none are charged any more: what was placed when they were is answered as it was.
pub fn placed_before(draft: &mut Draft<'_>, id: OrderId, fingerprint: Fingerprint) -> Result<Outcome<Order>, Halt> {
    let placed = draft.get::<Order>(Key::Order(id))?.ok_or(Refusal::CardsNotOffered)?;
    accounts::replay(placed.fingerprint == fingerprint, placed)
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
    go_on(draft, id, now, terms, Reach::AllTheWay)
}

/// The same for an order that keeps losing races for its slot: what it takes on the way there does not depend on the
/// slot, and a message of its own goes on from there, in the slot's group. One that stands before its slot already has
/// no other way.
pub fn advance_to_slot(draft: &mut Draft<'_>, id: OrderId, now: Timestamp, terms: &Terms) -> Result<Advanced, Halt> {
    go_on(draft, id, now, terms, Reach::ToItsSlot)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    AllTheWay,
    ToItsSlot,
}

fn go_on(draft: &mut Draft<'_>, id: OrderId, now: Timestamp, terms: &Terms, reach: Reach) -> Result<Advanced, Halt> {
    let Some(mut order) = draft.get::<Order>(Key::Order(id))? else { return Ok(Advanced::Unknown) };
    draft.foresee(order.ahead())?;
    let mut advanced = Advanced::Unchanged;
    while !order.state.has_ended() {
        if order.state == OrderState::AwaitingDelivery && (advanced, reach) == (Advanced::Moved, Reach::ToItsSlot) {
            // It waits for nothing, so it is not parked; in case that message is lost, it is looked at.
            order.look_at = Some(now.after(FIRST_LOOK));
            order.pass(draft, Told::OrderQueued, now)?;
            return Ok(advanced);
        }
        let stepped = match order.state {
            OrderState::AwaitingPayment => match order.gateway() {
                None => pay(draft, &mut order, now)?,
                Some(gateway) => match card::pay(draft, &mut order, gateway, now, terms)? {
                    card::Asked::Paid => Ok(()),
                    card::Asked::Lacks(lack) => Err(lack),
                    card::Asked::Ended => return Ok(Advanced::Moved),
                },
            },
            OrderState::AwaitingStock => reservation::reserve(draft, &mut order, now)?,
            OrderState::AwaitingDelivery => delivery::book(draft, &mut order, now)?,
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

/// What becomes of an order that lacks something: it is cancelled, parked, moved to where it now has to wait, or goes on
/// waiting as it did.
fn lacking(draft: &mut Draft<'_>, mut order: Order, lack: Lack, now: Timestamp, terms: &Terms) -> Result<bool, Halt> {
    let (resource, if_lacking, reason) = match lack {
        Lack::Money { .. } => (Resource::Account(order.customer), order.if_unpaid, CancelReason::Unpaid),
        Lack::Stock { sku, .. } => (Resource::Stock(sku), order.if_unavailable, CancelReason::Unavailable),
        Lack::Delivery => (Resource::Slot(order.slot()), order.if_undeliverable, CancelReason::Undeliverable),
        Lack::Card => return card::wait(draft, order, now, terms),
    };
    let closes_at = match resource {
        Resource::Slot(slot) => draft.get::<Slot>(Key::Slot(slot))?.and_then(|slot| slot.closes_at()),
        Resource::Account(_) | Resource::Stock(_) => None,
    };
    if if_lacking == IfLacking::Cancel || closes_at.is_some_and(|closes| closes <= now) {
        undoing::end(draft, order, reason, now)?;
        return Ok(true);
    }
    let what = lack.what();
    let waited = order.waiting_for.filter(|waiting| waiting.what == what);
    let deadline = order.waiting_for.and_then(|waiting| waiting.deadline);
    let deadline = deadline.unwrap_or_else(|| order.waits_until(now, terms));
    let until = closes_at.map_or(deadline, |closes| deadline.min(closes));
    let waits_there = order.parked == Some(resource);
    if waits_there && waited.is_some_and(|waiting| waiting.until == until) {
        return Ok(false);
    }
    order.moved(Move::Park);
    if !waits_there {
        order.take_place(draft, resource)?;
    }
    let since = waited.map_or(now, |waiting| waiting.since);
    let deadline = (deadline != until).then_some(deadline);
    order.waiting_for = Some(WaitingFor { what, since, until, deadline });
    order.stalls = 0;
    order.look_at = Some(until);
    if order.says_that_it_lacks(what) {
        // It was stalled and is not any more, or waits elsewhere for the same step; that it waits was told before.
        draft.put(order)?;
    } else {
        order.pass(draft, Told::OrderWaiting { lacks: lack }, now)?;
    }
    Ok(true)
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
        undoing::end(draft, order, CancelReason::Deadline, now)?;
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
            let deadline = order.waiting_for.and_then(|waiting| waiting.deadline);
            order.waiting_for = Some(WaitingFor { what: What::Stalled, since: now, until, deadline });
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
