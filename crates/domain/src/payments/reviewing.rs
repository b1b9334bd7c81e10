//! What a person decides: whether the money came of which nobody here can know, and what becomes of a refund that the
//! gateway does not make.

use serde::{Deserialize, Serialize};

use super::{Payment, PaymentState, Refund, RefundState, Said, refund};
use crate::books::{Draft, Halt, Key};
use crate::ids::{PaymentId, RefundId};
use crate::{Outcome, Refusal, Timestamp};

/// What an operator says of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The money is there, all of it; nothing else is wrong with it.
    Completed,
    /// It is not, and does not come.
    Failed,
}

/// Completes or fails a payment that waits for an operator. Saying the same again finds it said.
pub fn judge(draft: &mut Draft<'_>, id: PaymentId, verdict: Verdict, now: Timestamp) -> Result<Outcome<Payment>, Halt> {
    let mut payment = draft.get::<Payment>(Key::Payment(id))?.ok_or(Refusal::PaymentNotFound)?;
    match (payment.state, verdict) {
        (PaymentState::Created | PaymentState::InReview, _) => {}
        (PaymentState::Captured | PaymentState::Refunding | PaymentState::Refunded, Verdict::Completed)
        | (PaymentState::Declined, Verdict::Failed) => return Ok(Outcome::AlreadyDone(payment)),
        (state, _) => return Err(Refusal::NotForAnOperator { state }.into()),
    }
    match verdict {
        Verdict::Completed => {
            payment.capture(draft, now)?;
            if let Some(state) = payment.state_by_sums() {
                payment.hear(draft, Said::Judged(state), now)?;
            }
        }
        Verdict::Failed if payment.captured.is_some() => return Err(Refusal::CapturedAlready.into()),
        Verdict::Failed => {
            payment.hear(draft, Said::Declined, now)?;
            payment.hear(draft, Said::Judged(PaymentState::Declined), now)?;
        }
    }
    payment.doubts.clear();
    payment.remind_at = None;
    payment.keep(draft, now)?;
    payment.then_order(draft, now)?;
    let judged = draft.get::<Payment>(Key::Payment(id))?;
    Ok(Outcome::Done(judged.unwrap_or(payment)))
}

/// Ends a refund that is in review: the money was given back some other way, or is kept after all. What is owed as its
/// order has ended is not kept.
pub fn end_refund(
    draft: &mut Draft<'_>,
    id: RefundId,
    given_back: bool,
    now: Timestamp,
) -> Result<Outcome<Refund>, Halt> {
    let mut refund = draft.get::<Refund>(Key::Refund(id))?.ok_or(Refusal::RefundNotFound)?;
    let key = Key::Payment(refund.payment);
    let mut payment = draft.get::<Payment>(key)?.ok_or(Refusal::PaymentNotFound)?;
    match (refund.state, given_back) {
        (RefundState::GivenBack, true) | (RefundState::Kept, false) => return Ok(Outcome::AlreadyDone(refund)),
        (RefundState::InReview, true) => {}
        (RefundState::InReview, false) if refund.is_owed() => return Err(Refusal::RefundIsOwed.into()),
        (RefundState::InReview, false) => {}
        (RefundState::Pending | RefundState::GivenBack | RefundState::Kept, _) => {
            return Err(Refusal::NotForAnOperator { state: payment.state }.into());
        }
    }
    refund::end(draft, &mut refund, &mut payment, given_back, now)?;
    Ok(Outcome::Done(refund))
}
