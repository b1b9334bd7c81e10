//! Giving money back: a record and a gateway key of its own for each refund. It counts against what was captured before
//! the gateway is called, so that no two together give back more; and it is called about with the same care as a charge.

use serde::{Deserialize, Serialize};

use super::breaker::{self, Admitted};
use super::call::{ACCEPTED, Answer, Attempt, Begun, CALL, Calling, Charge, GatewayMessage, Meaning, Next};
use super::gateway::{Gateway, GatewayKey, GatewayRef, Reported, ReportedState};
use super::{Doubt, Limits, Origin, Payment, PaymentCause, PaymentState, Said, Stub, seen_by};
use crate::accounts::{self, RENDERER, SystemAccount};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{CustomerId, Fingerprint, OrderId, PaymentId, RefundId};
use crate::orders::{Order, OrderState};
use crate::{Amount, Currency, Millis, Movement, Outcome, Refusal, Terms, Timestamp, planted};

/// So many of one payment are on their way at once, and no more.
pub const MOST_OPEN_REFUNDS: usize = 20;

/// Money that goes back, and the idempotency record of whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub id: RefundId,
    pub payment: PaymentId,
    pub customer: CustomerId,
    pub why: WhyRefund,
    pub gateway: Gateway,
    pub amount: Amount,
    pub currency: Currency,
    pub created_at: Timestamp,
    pub fingerprint: Fingerprint,
    pub renderer: u32,
    pub state: RefundState,
    pub call: Calling,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ref: Option<GatewayRef>,
    /// The charge as the gateway knew it when this was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge_ref: Option<GatewayRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyRefund {
    Requested,
    /// The order that was paid with it has ended.
    OrderEnded(OrderId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The gateway is being asked to give it back, or has not said yet that it has.
    Pending,
    /// A person has to say what becomes of it.
    InReview,
    GivenBack,
    /// It was not given back, and is not going to be.
    Kept,
}

impl RefundState {
    pub const fn is_over(self) -> bool {
        matches!(self, Self::GivenBack | Self::Kept)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InReview => "in_review",
            Self::GivenBack => "given_back",
            Self::Kept => "kept",
        }
    }
}

/// What a request for a refund asks for.
#[derive(Clone, Debug)]
pub struct AskRefund {
    pub id: RefundId,
    pub payment: PaymentId,
    pub customer: CustomerId,
    /// `None` is all that is left.
    pub amount: Option<Amount>,
    pub fingerprint: Fingerprint,
}

impl AskRefund {
    pub fn needs(&self) -> [Key; 2] {
        [Key::Refund(self.id), Key::Payment(self.payment)]
    }
}

impl Refund {
    pub const fn key(&self) -> Key {
        Key::Refund(self.id)
    }

    pub const fn gateway_key(&self) -> GatewayKey {
        GatewayKey::Refund(self.id)
    }

    /// Whether it gives back of this payment; of another it is as one that does not exist.
    pub fn of(refund: Option<Self>, payment: PaymentId) -> Result<Self, Refusal> {
        refund.filter(|refund| refund.payment == payment).ok_or(Refusal::RefundNotFound)
    }

    /// Whether it was promised with an order's end, and is nobody's to keep.
    pub const fn is_owed(&self) -> bool {
        matches!(self.why, WhyRefund::OrderEnded(_))
    }
}

/// Begins to give back some or all of what was captured, once for each key.
pub fn ask_refund(
    draft: &mut Draft<'_>,
    command: &AskRefund,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Refund>, Halt> {
    if let Some(made) = draft.get::<Refund>(Key::Refund(command.id))? {
        return accounts::replay(made.fingerprint == command.fingerprint && made.payment == command.payment, made);
    }
    let payment = seen_by(&command.customer, draft.get::<Payment>(Key::Payment(command.payment))?)?;
    accounts::currency_of(Some(payment.currency), terms)?;
    if payment.state == PaymentState::InReview {
        return Err(Refusal::PaymentInReview.into());
    }
    if payment.captured.is_none() {
        return Err(Refusal::PaymentNotCaptured { state: payment.state }.into());
    }
    if payment.gateway.is_none() {
        return Err(Refusal::PaymentNotByCard.into());
    }
    if let (Origin::Order(order), false) = (payment.origin, planted!(UnfinishedRefunded)) {
        let order = draft.get::<Order>(Key::Order(order))?.ok_or(Refusal::OrderNotFound)?;
        if order.state != OrderState::Completed {
            return Err(Refusal::OrderNotCompleted { state: order.state }.into());
        }
    }
    let left = payment.left();
    let amount = command.amount.unwrap_or(left);
    if left < amount || left.is_zero() {
        return Err(Refusal::RefundTooLarge { left, currency: payment.currency }.into());
    }
    if amount.is_zero() {
        return Err(Refusal::AmountNotPositive.into());
    }
    if payment.open_refunds.len() >= MOST_OPEN_REFUNDS {
        return Err(Refusal::TooManyRefunds.into());
    }
    let fingerprint = command.fingerprint;
    Ok(Outcome::Done(give_back(draft, payment, (command.id, WhyRefund::Requested), amount, fingerprint, now)?))
}

/// The same by whoever may give back what is anyone's: the refund is its payment's customer's.
pub fn ask_refund_of_anyones(
    draft: &mut Draft<'_>,
    command: &AskRefund,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Refund>, Halt> {
    let payment = draft.get::<Payment>(Key::Payment(command.payment))?;
    let customer = payment.map_or(command.customer, |payment| payment.customer);
    ask_refund(draft, &AskRefund { customer, ..command.clone() }, now, terms)
}

/// Gives back all that was captured for an order that has ended, as far as it is not on its way.
pub(crate) fn give_back_all(draft: &mut Draft<'_>, order: OrderId, now: Timestamp) -> Result<(), Halt> {
    let key = Key::Payment(PaymentId::of_order(&order));
    let Some(payment) = draft.get::<Payment>(key)? else { return Ok(()) };
    let (left, id) = (payment.left(), RefundId::of_order(&order));
    if left.is_zero() {
        return Ok(());
    }
    let fingerprint = Fingerprint::of("an order's end", &[("order", order.to_string())]);
    give_back(draft, payment, (id, WhyRefund::OrderEnded(order)), left, fingerprint, now).map(drop)
}

fn give_back(
    draft: &mut Draft<'_>,
    mut payment: Payment,
    (id, why): (RefundId, WhyRefund),
    amount: Amount,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Result<Refund, Halt> {
    let early = draft.get::<Stub>(Key::Refund(id))?;
    let gateway = payment.gateway.ok_or(Refusal::PaymentNotByCard)?;
    let refund = Refund {
        id,
        payment: payment.id,
        customer: payment.customer,
        why,
        gateway,
        amount,
        currency: payment.currency,
        created_at: now,
        fingerprint,
        renderer: RENDERER,
        state: RefundState::Pending,
        call: Calling::default(),
        gateway_ref: None,
        charge_ref: payment.gateway_ref.clone(),
    };
    // What an order was paid with came back from it before; what was never taken for one stands there still.
    if !refund.is_owed() {
        let back = Movement::into_account(amount);
        payment.post(draft, back, SystemAccount::Revenue, PaymentCause::SetAside(id), now)?;
    }
    payment.going_back = payment.going_back.checked_add(amount).ok_or(Refusal::AmountTooLarge)?;
    payment.open_refunds.push(id);
    payment.pass(draft, Told::RefundBegun { refund: id, amount }, now)?;
    payment.hear(draft, Said::RefundBegun, now)?;
    payment.due(draft, (refund.gateway_key(), 0), Millis(0), now)?;
    draft.put(refund)?;
    for reported in early.into_iter().flat_map(|stub| stub.reports) {
        hear(draft, id, &reported, now)?;
    }
    Ok(draft.get::<Refund>(Key::Refund(id))?.expect("it was put"))
}

/// Takes in what the gateway reports of a refund. Says whether there is such a refund.
pub(super) fn hear(draft: &mut Draft<'_>, id: RefundId, reported: &Reported, now: Timestamp) -> Result<bool, Halt> {
    let Some(mut refund) = draft.get::<Refund>(Key::Refund(id))? else { return Ok(false) };
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(refund.payment))? else { return Ok(false) };
    report(draft, &mut refund, &mut payment, reported, now)?;
    Ok(true)
}

fn report(
    draft: &mut Draft<'_>,
    refund: &mut Refund,
    payment: &mut Payment,
    reported: &Reported,
    now: Timestamp,
) -> Result<(), Halt> {
    refund.gateway_ref = refund.gateway_ref.take().or_else(|| reported.reference.clone());
    let is_right = reported.is_of(refund.amount, refund.currency);
    match reported.state {
        ReportedState::Refunded if is_right => return end(draft, refund, payment, true, now),
        ReportedState::Pending if is_right => {}
        ReportedState::Declined if is_right => refuse(draft, refund, payment, now)?,
        _ => payment.doubt(draft, Doubt::RefundMisreported { refund: refund.id }, now)?,
    }
    keep(draft, refund)?;
    payment.keep(draft, now)
}

/// The gateway does not give it back. Who does, a person has to say.
fn refuse(draft: &mut Draft<'_>, refund: &mut Refund, payment: &mut Payment, now: Timestamp) -> Result<(), Halt> {
    review(draft, refund, payment, Doubt::RefundRefused { refund: refund.id }, now)
}

fn review(
    draft: &mut Draft<'_>,
    refund: &mut Refund,
    payment: &mut Payment,
    doubt: Doubt,
    now: Timestamp,
) -> Result<(), Halt> {
    if !refund.state.is_over() {
        refund.state = RefundState::InReview;
        payment.doubt(draft, doubt, now)?;
    }
    keep(draft, refund)
}

/// It was given back, or is kept: no refund any more, but for the record. What the gateway gave back is, whatever was
/// thought of it before; only what is kept by then is too late.
pub(super) fn end(
    draft: &mut Draft<'_>,
    refund: &mut Refund,
    payment: &mut Payment,
    given_back: bool,
    now: Timestamp,
) -> Result<(), Halt> {
    let (id, amount) = (refund.id, refund.amount);
    match refund.state {
        RefundState::Pending | RefundState::InReview => {}
        RefundState::GivenBack => return keep(draft, refund),
        RefundState::Kept if given_back => {
            return payment.doubt(draft, Doubt::RefundMisreported { refund: id }, now);
        }
        RefundState::Kept => return Ok(()),
    }
    // One of them was read later than the other. Nothing is decided on two moments.
    if !payment.open_refunds.contains(&id) {
        return Err(Halt::Needs(vec![refund.key(), payment.key()]));
    }
    refund.state = if given_back { RefundState::GivenBack } else { RefundState::Kept };
    refund.call.since = None;
    payment.open_refunds.retain(|open| *open != id);
    payment.going_back = payment.going_back.checked_sub(amount).expect("what is going back counts every open refund");
    let out = Movement::out_of_account(amount);
    if given_back {
        payment.refunded = payment.refunded.checked_add(amount).ok_or(Refusal::AmountTooLarge)?;
        payment.post(draft, out, SystemAccount::Gateway, PaymentCause::GivenBack(id), now)?;
    } else {
        payment.post(draft, out, SystemAccount::Revenue, PaymentCause::Kept(id), now)?;
    }
    payment.pass(draft, Told::RefundEnded { refund: id, amount, given_back }, now)?;
    if payment.open_refunds.is_empty() {
        let whole = payment.captured == Some(payment.refunded);
        payment.hear(draft, Said::RefundsOver { whole }, now)?;
    }
    keep(draft, refund)?;
    payment.keep(draft, now)
}

/// Writes the refund, if it is not what stands there.
fn keep(draft: &mut Draft<'_>, refund: &Refund) -> Result<(), Halt> {
    if draft.glance::<Refund>(refund.key())?.as_ref() != Some(refund) { draft.put(refund.clone()) } else { Ok(()) }
}

/// What is to be done next about it: by a message, or by a person.
pub(super) fn go_on(
    draft: &mut Draft<'_>,
    refund: &mut Refund,
    payment: &mut Payment,
    pause: Millis,
    now: Timestamp,
) -> Result<(), Halt> {
    match refund.call.next(refund.gateway, refund.gateway_ref.is_some(), true, now) {
        Next::Call(_) => {
            keep(draft, refund)?;
            payment.due(draft, (refund.gateway_key(), refund.call.attempts), pause, now)
        }
        Next::Lapse | Next::Review => review(draft, refund, payment, Doubt::TooOld { key: refund.gateway_key() }, now),
    }
}

fn fail(
    draft: &mut Draft<'_>,
    refund: &mut Refund,
    payment: &mut Payment,
    chance: u64,
    now: Timestamp,
) -> Result<(), Halt> {
    if let Some(pause) = refund.call.fail(chance) {
        return go_on(draft, refund, payment, pause, now);
    }
    payment.look_by(now.after(refund.call.look_after(chance)));
    keep(draft, refund)?;
    payment.keep(draft, now)
}

pub(super) fn begin(
    draft: &mut Draft<'_>,
    id: RefundId,
    message: &GatewayMessage,
    limits: &Limits,
    chance: u64,
    now: Timestamp,
) -> Result<Begun, Halt> {
    let asked_for = |refund: &Refund| refund.state == RefundState::Pending && refund.call.is_free_for(message);
    let Some(mut refund) = draft.get::<Refund>(Key::Refund(id))?.filter(asked_for) else {
        return Ok(Begun::Nothing);
    };
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(refund.payment))? else { return Ok(Begun::Nothing) };
    let gateway = refund.gateway;
    let Next::Call(call) = refund.call.next(gateway, refund.gateway_ref.is_some(), true, now) else {
        go_on(draft, &mut refund, &mut payment, Millis(0), now)?;
        return Ok(Begun::Nothing);
    };
    if let Admitted::NotUntil(until) = breaker::admit(draft, gateway, message.key, limits, now)? {
        payment.look_by(refund.call.put_off(until, chance));
        keep(draft, &refund)?;
        payment.keep(draft, now)?;
        return Ok(Begun::PutOff);
    }
    refund.call.begin(call, now);
    payment.look_by(now.after(CALL));
    keep(draft, &refund)?;
    payment.keep(draft, now)?;
    Ok(Begun::Call(Attempt {
        key: message.key,
        number: refund.call.attempts,
        call,
        gateway,
        amount: refund.amount,
        currency: refund.currency,
        reference: refund.gateway_ref,
        charge: Some(Charge { key: payment.gateway_key(), reference: refund.charge_ref }),
    }))
}

pub(super) fn settle(
    draft: &mut Draft<'_>,
    id: RefundId,
    number: u32,
    answer: &Answer,
    chance: u64,
    now: Timestamp,
) -> Result<Outcome<()>, Halt> {
    let Some(mut refund) = draft.get::<Refund>(Key::Refund(id))? else { return Ok(Outcome::AlreadyDone(())) };
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(refund.payment))? else {
        return Ok(Outcome::AlreadyDone(()));
    };
    let is_its_own = refund.call.since.is_some() && refund.call.attempts == number;
    let meaning = answer.meaning();
    if !is_its_own && !matches!(meaning, Meaning::Reported(_)) {
        return Ok(Outcome::AlreadyDone(()));
    }
    let is_pending = refund.state == RefundState::Pending;
    let key = refund.gateway_key();
    match meaning {
        Meaning::Reported(reported) => {
            if is_its_own {
                refund.call.heard(true);
                payment.look_by(now.after(ACCEPTED));
            }
            report(draft, &mut refund, &mut payment, &reported, now)?;
        }
        Meaning::NotThere => {
            refund.call.heard(false);
            if is_pending {
                go_on(draft, &mut refund, &mut payment, Millis(0), now)?;
            }
        }
        Meaning::Declined => {
            refund.call.heard(true);
            refuse(draft, &mut refund, &mut payment, now)?;
        }
        Meaning::KeyRefused => {
            refund.call.since = None;
            review(draft, &mut refund, &mut payment, Doubt::KeyRefused { key }, now)?;
        }
        Meaning::NotUnderstood(status) => {
            refund.call.since = None;
            review(draft, &mut refund, &mut payment, Doubt::NotUnderstood { key, status }, now)?;
        }
        Meaning::PutOff(pause) => {
            refund.call.did_not_arrive(number);
            if is_pending {
                go_on(draft, &mut refund, &mut payment, pause, now)?;
            }
        }
        Meaning::Failed { may_have_arrived } => {
            if !may_have_arrived {
                refund.call.did_not_arrive(number);
            }
            refund.call.since = None;
            if is_pending {
                fail(draft, &mut refund, &mut payment, chance, now)?;
            }
        }
    }
    keep(draft, &refund)?;
    payment.keep(draft, now)?;
    Ok(Outcome::Done(()))
}

/// Looks at one that is not over: sends it on its way, or takes an attempt for lost that nobody came back from. When it
/// is to be looked at next, if somebody is at it now.
pub(super) fn look(draft: &mut Draft<'_>, id: RefundId, chance: u64, now: Timestamp) -> Result<(), Halt> {
    let Some(mut refund) = draft.get::<Refund>(Key::Refund(id))? else { return Ok(()) };
    let Some(mut payment) = draft.get::<Payment>(Key::Payment(refund.payment))? else { return Ok(()) };
    match refund.call.since {
        _ if refund.state != RefundState::Pending => {
            payment.look_by(now.after(super::REMINDER));
            payment.keep(draft, now)
        }
        Some(since) if !refund.call.is_forsaken(now) => {
            payment.look_by(since.after(CALL));
            payment.keep(draft, now)
        }
        Some(_) => {
            refund.call.since = None;
            fail(draft, &mut refund, &mut payment, chance, now)
        }
        None => go_on(draft, &mut refund, &mut payment, Millis(0), now),
    }
}
