//! The look that everything gets of which something is still to come, when its time has come: what was lost is sent on
//! its way again, what nobody came back from is taken for lost, and whoever has to decide something is reminded.

use super::call::CALL;
use super::{GatewayKey, Payment, PaymentState, REMINDER, Stub, callback, refund};
use crate::books::{Draft, Halt};
use crate::events::Told;
use crate::{Millis, Timestamp};

/// Looks at a payment, or at what was reported of one or of a refund that is not there. Says whether there was anything
/// to do. `chance` is drawn, for what failed together not to come again together.
pub fn look(draft: &mut Draft<'_>, of: GatewayKey, chance: u64, now: Timestamp) -> Result<bool, Halt> {
    let is_due = |look_at: Option<Timestamp>| look_at.is_some_and(|due| due <= now);
    if let Some(stub) = draft.get::<Stub>(of.key())? {
        if !is_due(stub.look_at) {
            return Ok(false);
        }
        callback::look(draft, stub, now)?;
        return Ok(true);
    }
    let Some(mut payment) = draft.get::<Payment>(of.key())?.filter(|payment| is_due(payment.look_at)) else {
        return Ok(false);
    };
    payment.look_at = Some(now.after(REMINDER));
    match payment.state {
        PaymentState::Pending | PaymentState::Unknown => payment.look(draft, chance, now)?,
        PaymentState::Created | PaymentState::InReview => payment.remind(draft, now)?,
        PaymentState::Captured
        | PaymentState::Declined
        | PaymentState::Refunding
        | PaymentState::Refunded
        | PaymentState::Expired => payment.keep(draft, now)?,
    }
    for refund in payment.open_refunds {
        refund::look(draft, refund, chance, now)?;
    }
    Ok(true)
}

impl Payment {
    /// Of one that waits for a person, who is told so once a day, however often it is looked at for its refunds.
    fn remind(&mut self, draft: &mut Draft<'_>, now: Timestamp) -> Result<(), Halt> {
        if let Some(at) = self.remind_at.filter(|at| *at > now) {
            self.look_at = Some(at);
            return self.keep(draft, now);
        }
        self.remind_at = Some(now.after(REMINDER));
        draft.put(self.clone())?;
        draft.tell(self.key(), Told::OperatorDue, now)?;
        Ok(())
    }

    /// Of one that the gateway has not spoken about.
    fn look(&mut self, draft: &mut Draft<'_>, chance: u64, now: Timestamp) -> Result<(), Halt> {
        match self.call.since {
            Some(since) if !self.call.is_forsaken(now) => {
                self.look_at = Some(since.after(CALL));
                self.keep(draft, now)
            }
            Some(_) => self.fail(draft, chance, now),
            None => self.go_on(draft, Millis(0), now),
        }
    }
}
