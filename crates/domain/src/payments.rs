//! Money that comes from outside, through a gateway that is slow, unreliable and repeats itself; or in some other way, as
//! an operator says.
//!
//! A [`Payment`] is an account of its own: what is captured comes into it from the gateway and goes on to the revenue,
//! and what is given back comes out of the revenue and waits on it until the gateway has it. So what stands on a payment
//! is owed to its customer. What the gateway says may come late, twice and out of order: each [`Said`] leads on or leads
//! nowhere, and the sums are kept apart from the state. Each call is counted before it is made and settled after it, and
//! an outcome that nobody knows is asked for under the same key before anything is sent again.

mod breaker;
mod call;
mod callback;
mod charge;
mod gateway;
mod inventory;
mod looking;
mod opening;
mod reconciling;
mod refund;
mod reviewing;
mod state;

use serde::{Deserialize, Serialize};

use crate::accounts::SystemAccount;
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{CustomerId, Fingerprint, OrderId, PaymentId, RefundId};
use crate::orders::{self, Order, Passage};
use crate::text::Reference;
use crate::{Amount, Currency, Millis, Movement, Refusal, Timestamp, planted};

pub use breaker::{Breaker, BreakerPhase, Limits, Permit, Tally, Went, heard};
pub use call::{Answer, Attempt, Begun, Call, Calling, Charge, GatewayMessage, No, NoAnswer, begin, settle};
pub use callback::{Callback, CameTo, Stub, TakeCallback, Taken, dismiss, take};
pub use gateway::{Gateway, GatewayKey, GatewayRef, Reported, ReportedState};
pub use inventory::{InventoryEvent, InventoryStatus, of_event};
pub use looking::look;
pub(crate) use opening::open_for_order;
pub use opening::{MakePayment, made_before, make};
pub use reconciling::{Difference, Differs, Moved, Ours, Reconciled, Reconciling, ReportLine, Window};
pub(crate) use refund::give_back_all;
pub use refund::{AskRefund, MOST_OPEN_REFUNDS, Refund, RefundState, WhyRefund, ask_refund, ask_refund_of_anyones};
pub use reviewing::{Verdict, end_refund, judge};
pub use state::{PaymentState, Said};

/// A payment and all that was ever decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub id: PaymentId,
    pub customer: CustomerId,
    pub origin: Origin,
    /// Through which gateway; `None` for what an operator completes or fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    pub amount: Amount,
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    pub created_at: Timestamp,
    /// From then on nothing is sent that was not sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    pub fingerprint: Fingerprint,
    pub renderer: u32,
    pub state: PaymentState,
    /// Its order has ended, so nothing new is sent for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withdrawn: bool,
    #[serde(default)]
    pub call: Calling,
    /// What the gateway calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ref: Option<GatewayRef>,
    /// What was captured, once it was; all of the amount or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<Amount>,
    /// What the gateway has given back.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub refunded: Amount,
    /// What it is to give back, and has not yet.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub going_back: Amount,
    /// The refunds that are not over. They come to what is going back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_refunds: Vec<RefundId>,
    /// What stands on it: what is owed to its customer.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub balance: Amount,
    /// The number of the last entry, and so how many there are.
    #[serde(default)]
    pub entries: u64,
    /// What a person is to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
    /// When someone looks at it next; one of which nothing is unsettled has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// While it waits for a person: when they are told so next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_at: Option<Timestamp>,
    pub timeline: Vec<Passage>,
}

/// What a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An order of ours, which is paid by this payment alone.
    Order(OrderId),
    /// An order that is kept elsewhere, for whoever asked.
    Request,
    /// An inventory event told of it; an operator completes or fails it.
    Event,
}

/// One movement of money, as the payment's side of it. Never changed once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEntry {
    pub payment: PaymentId,
    pub customer: CustomerId,
    /// From 1, without a gap.
    pub number: u64,
    pub amount: Movement,
    pub currency: Currency,
    pub counter: SystemAccount,
    pub cause: PaymentCause,
    /// After this entry.
    pub balance: Amount,
    pub at: Timestamp,
}

/// What an entry of a payment was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentCause {
    /// It came in.
    Capture,
    /// An order of ours was paid with it.
    Order(OrderId),
    /// An order that is kept elsewhere was paid with it.
    Elsewhere,
    /// What an order of ours was paid with, given back as that ended.
    OrderBack(OrderId),
    /// To be given back by this refund.
    SetAside(RefundId),
    /// The gateway gave it back.
    GivenBack(RefundId),
    /// It was not given back after all.
    Kept(RefundId),
}

/// Why a person is to look at a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Doubt {
    /// The gateway reports another amount or currency, or none.
    OtherMoney { amount: Option<Amount>, currency: Option<Currency> },
    /// Another gateway reports on it, or one on what went through none.
    OtherGateway,
    /// The gateway knows the key with another request.
    KeyRefused { key: GatewayKey },
    /// The gateway does not take what it was sent for a request.
    NotUnderstood { key: GatewayKey, status: u16 },
    /// The gateway may have forgotten the key, and cannot say what became of it.
    TooOld { key: GatewayKey },
    /// The gateway gave back what nobody asked it to.
    GivenBackUnasked { amount: Amount },
    /// The gateway does not give back what it is to.
    RefundRefused { refund: RefundId },
    /// The gateway says of a refund what cannot be said of one.
    RefundMisreported { refund: RefundId },
    /// A callback came again with another body.
    CallbackChanged,
    /// What is kept elsewhere calls itself by the id of an order here.
    NamesOrder,
}

/// Far more than a payment ever gives reason to. Those beyond say nothing new.
const MOST_DOUBTS: usize = 20;
/// How often whoever has to decide something is reminded.
const REMINDER: Millis = Millis::hours(24);

/// How it stands with the payment of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none yet.
    NotOpened,
    /// The gateway has not spoken.
    Open,
    /// It was captured, and the order is paid with it.
    Paid,
    /// The card was not charged, and will not be for this order.
    Over,
}

impl Payment {
    pub const fn key(&self) -> Key {
        Key::Payment(self.id)
    }

    pub const fn gateway_key(&self) -> GatewayKey {
        GatewayKey::Charge(self.id)
    }

    /// What can still be given back.
    pub fn left(&self) -> Amount {
        let left = self.captured.unwrap_or_default().checked_sub(self.refunded);
        let going_back = if planted!(RefundUncounted) { Amount::ZERO } else { self.going_back };
        left.and_then(|left| left.checked_sub(going_back)).unwrap_or_default()
    }

    /// Every refund that was begun, the first first: how much of it, and how it ended, if it has.
    pub fn refunds(&self) -> Vec<(RefundId, Amount, Option<RefundState>)> {
        let mut refunds = Vec::new();
        for passage in &self.timeline {
            match passage.told {
                Told::RefundBegun { refund, amount } => refunds.push((refund, amount, None)),
                Told::RefundEnded { refund, given_back, .. } => {
                    let ended = if given_back { RefundState::GivenBack } else { RefundState::Kept };
                    refunds.iter_mut().filter(|(id, ..)| *id == refund).for_each(|(.., state)| *state = Some(ended));
                }
                _ => {}
            }
        }
        refunds
    }

    /// Whether anything of it is still to come, so that somebody has to look.
    pub const fn is_unsettled(&self) -> bool {
        !self.state.is_settled() || !self.open_refunds.is_empty()
    }

    /// Whether it waits for what only a person can say.
    pub const fn needs_a_person(&self) -> bool {
        matches!(self.state, PaymentState::Created | PaymentState::InReview)
    }

    /// The state that its sums say, if something was captured.
    fn state_by_sums(&self) -> Option<PaymentState> {
        let captured = self.captured?;
        Some(if !self.open_refunds.is_empty() {
            PaymentState::Refunding
        } else if !captured.is_zero() && self.refunded == captured {
            PaymentState::Refunded
        } else {
            PaymentState::Captured
        })
    }

    /// Writes the payment and tells one thing of it, on the timeline and as an event.
    fn pass(&mut self, draft: &mut Draft<'_>, told: Told, now: Timestamp) -> Result<(), Halt> {
        let event = draft.next_event(self.key())?;
        self.timeline.push(Passage { at: now, version: event.version, index: event.index, told: told.clone() });
        draft.put(self.clone())?;
        draft.tell(self.key(), told, now)?;
        Ok(())
    }

    /// Writes the payment and asks for a call.
    fn due(
        &mut self,
        draft: &mut Draft<'_>,
        (key, attempt): (GatewayKey, u32),
        pause: Millis,
        now: Timestamp,
    ) -> Result<(), Halt> {
        let seconds = u32::try_from(pause.in_seconds_at_least()).unwrap_or_default();
        self.look_by(now.after(pause).after(call::MESSAGE));
        draft.put(self.clone())?;
        draft.tell(self.key(), Told::GatewayDue { key, attempt, seconds }, now)?;
        Ok(())
    }

    /// Writes the payment, if it is not what stands there. What has nothing to come is not looked at any more, and what
    /// has always is.
    fn keep(&mut self, draft: &mut Draft<'_>, now: Timestamp) -> Result<(), Halt> {
        match (self.is_unsettled(), self.look_at) {
            (false, Some(_)) => self.look_at = None,
            (true, None) => self.look_at = Some(now.after(REMINDER)),
            _ => {}
        }
        if draft.glance::<Self>(self.key())?.as_ref() != Some(&*self) {
            draft.put(self.clone())?;
        }
        Ok(())
    }

    /// Another is to look at it by then, or earlier if that was so.
    fn look_by(&mut self, at: Timestamp) {
        let others_wait =
            self.open_refunds.len() > 1 || (self.state == PaymentState::InReview && !self.open_refunds.is_empty());
        self.look_at = Some(self.look_at.filter(|_| others_wait).map_or(at, |before| before.min(at)));
    }

    /// Goes where this leads, and tells of it if that is somewhere else.
    fn hear(&mut self, draft: &mut Draft<'_>, said: Said, now: Timestamp) -> Result<(), Halt> {
        let state = self.state.after(said);
        if state == self.state {
            return Ok(());
        }
        self.state = state;
        if !self.is_unsettled() {
            self.look_at = None;
        }
        self.pass(draft, Told::PaymentBecame { state }, now)
    }

    /// Gives a reason for a person to look at it, once.
    fn doubt(&mut self, draft: &mut Draft<'_>, doubt: Doubt, now: Timestamp) -> Result<(), Halt> {
        if self.doubts.contains(&doubt) || self.doubts.len() >= MOST_DOUBTS {
            return self.keep(draft, now);
        }
        self.doubts.push(doubt);
        self.doubts.sort_unstable();
        self.remind_at = self.remind_at.or(Some(now.after(REMINDER)));
        self.pass(draft, Told::PaymentDoubted { doubt }, now)?;
        self.hear(draft, Said::Doubted, now)?;
        self.look_by(now.after(REMINDER));
        self.keep(draft, now)
    }

    /// Moves money, by an entry of its own.
    fn post(
        &mut self,
        draft: &mut Draft<'_>,
        amount: Movement,
        counter: SystemAccount,
        cause: PaymentCause,
        now: Timestamp,
    ) -> Result<(), Halt> {
        if amount.minor() == 0 {
            return Ok(());
        }
        self.balance = amount.applied_to(self.balance).expect("a payment moves what it captured and no more");
        self.entries += 1;
        let (payment, customer, number, currency) = (self.id, self.customer, self.entries, self.currency);
        let balance = self.balance;
        draft.insert(PaymentEntry { payment, customer, number, amount, currency, counter, cause, balance, at: now })
    }

    /// The money is there: all of it, once.
    fn capture(&mut self, draft: &mut Draft<'_>, now: Timestamp) -> Result<(), Halt> {
        if self.captured.is_none() {
            let counter = if self.gateway.is_some() { SystemAccount::Gateway } else { SystemAccount::Confirmed };
            self.captured = Some(self.amount);
            self.post(draft, Movement::into_account(self.amount), counter, PaymentCause::Capture, now)?;
            if !matches!(self.origin, Origin::Order(_)) {
                let out = Movement::out_of_account(self.amount);
                self.post(draft, out, SystemAccount::Revenue, PaymentCause::Elsewhere, now)?;
            }
            self.pass(draft, Told::MoneyCaptured { amount: self.amount }, now)?;
        }
        self.hear(draft, Said::Captured, now)
    }

    /// Lets its order go on, or end, by what has become of it.
    fn then_order(&self, draft: &mut Draft<'_>, now: Timestamp) -> Result<(), Halt> {
        match self.origin {
            Origin::Order(_) if self.state == PaymentState::Declined && planted!(DeclineUntold) => Ok(()),
            Origin::Order(order) if self.captured.is_some() || self.state.is_over_uncharged() => {
                orders::card_spoke(draft, order, now)
            }
            Origin::Order(_) | Origin::Request | Origin::Event => Ok(()),
        }
    }
}

/// Pays an order with what its payment captured, if that stands on it, and says how it stands.
pub(crate) fn pay_order(draft: &mut Draft<'_>, order: &Order, now: Timestamp) -> Result<Standing, Halt> {
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(PaymentId::of_order(&order.id)))? else {
        return Ok(Standing::NotOpened);
    };
    if payment.captured.is_none() {
        return Ok(if payment.state.is_over_uncharged() { Standing::Over } else { Standing::Open });
    }
    if payment.balance < order.amount {
        return Ok(Standing::Open);
    }
    let out = Movement::out_of_account(order.amount);
    payment.post(draft, out, SystemAccount::Revenue, PaymentCause::Order(order.id), now)?;
    payment.keep(draft, now)?;
    Ok(Standing::Paid)
}

/// Takes back what an order was paid with, and gives it to the refund that goes out for it.
pub(crate) fn unpay_order(draft: &mut Draft<'_>, order: &Order, now: Timestamp) -> Result<(), Halt> {
    let key = Key::Payment(PaymentId::of_order(&order.id));
    let mut payment = draft.get::<Payment>(key)?.ok_or(Refusal::PaymentNotFound)?;
    let back = Movement::into_account(order.charged);
    payment.post(draft, back, SystemAccount::Revenue, PaymentCause::OrderBack(order.id), now)?;
    payment.keep(draft, now)?;
    give_back_all(draft, order.id, now)
}

/// Its order has ended unpaid: what was never sent is not sent any more, and what comes all the same is given back.
pub(crate) fn withdraw(draft: &mut Draft<'_>, order: &OrderId, now: Timestamp) -> Result<(), Halt> {
    let key = Key::Payment(PaymentId::of_order(order));
    let Some(mut payment) = draft.get::<Payment>(key)? else { return Ok(()) };
    if payment.captured.is_some() {
        return give_back_all(draft, *order, now);
    }
    if payment.state.is_over_uncharged() {
        return Ok(());
    }
    payment.withdrawn = true;
    if payment.call.was_never_sent() {
        payment.hear(draft, Said::Lapsed, now)?;
    }
    payment.keep(draft, now)
}

/// A payment as its owner may see it; another's is as one that does not exist.
pub fn seen_by(customer: &CustomerId, payment: Option<Payment>) -> Result<Payment, Refusal> {
    payment.filter(|payment| payment.customer == *customer).ok_or(Refusal::PaymentNotFound)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_nothing(amount: &Amount) -> bool {
    amount.is_zero()
}
