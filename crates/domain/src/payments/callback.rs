//! What a gateway calls back with. Each callback is kept by its id, so that a repeat is known for ever; what it reports is
//! taken in, or kept until what it is about is there.

use serde::{Deserialize, Serialize};

use super::gateway::{Gateway, GatewayKey, Reported};
use super::{Doubt, Payment, REMINDER, refund};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{BodyHash, CallbackId};
use crate::{Millis, Outcome, Refusal, Timestamp, planted};

/// A callback that was taken in. Never changed once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    pub id: CallbackId,
    pub gateway: Gateway,
    pub body: BodyHash,
    pub of: GatewayKey,
    pub reported: Reported,
    pub at: Timestamp,
    pub came_to: CameTo,
}

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameTo {
    /// What it is about has taken it in.
    Report,
    /// What it is about was not there yet.
    Early,
    /// It came under the id of another, and was not taken in.
    Review(CallbackId),
}

/// What was reported of what is not there yet. It stands where that will stand, which is written over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stub {
    pub of: GatewayKey,
    pub gateway: Gateway,
    /// Each once, however often it was reported.
    pub reports: Vec<Reported>,
    pub since: Timestamp,
    /// When somebody looks whether it is there by now; never, once a person has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// It has waited for longer than anything takes to come.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub is_orphan: bool,
}

/// A callback whose signature is right.
#[derive(Clone, Debug)]
pub struct TakeCallback {
    pub id: CallbackId,
    pub gateway: Gateway,
    pub body: BodyHash,
    pub of: GatewayKey,
    pub reported: Reported,
}

impl Stub {
    /// Whether it is an orphan at which nobody has looked.
    pub const fn waits_for_a_person(&self) -> bool {
        self.is_orphan && self.look_at.is_some()
    }
}

impl TakeCallback {
    pub fn needs(&self) -> [Key; 2] {
        [Key::Callback(self.id), self.of.key()]
    }
}

/// What is answered to a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Now,
    /// It is kept for what it is about.
    Early,
    Before,
    /// Another came under its id. It is kept for a person to look at.
    Changed,
}

/// After how long what is not there will hardly come.
const EARLY: Millis = Millis::minutes(30);
/// Far more different things than a gateway says of one.
const MOST_REPORTS: usize = 20;

/// Takes a callback in, once.
pub fn take(draft: &mut Draft<'_>, command: &TakeCallback, now: Timestamp) -> Result<Taken, Halt> {
    let TakeCallback { id, gateway, body, of, ref reported } = *command;
    let callback = Callback { id, gateway, body, of, reported: reported.clone(), at: now, came_to: CameTo::Report };
    if let Some(first) = draft.get::<Callback>(Key::Callback(id))? {
        return if first.body == body || planted!(CallbackBodyIgnored) {
            Ok(Taken::Before)
        } else {
            changed(draft, callback, now)
        };
    }
    let is_there = match of {
        GatewayKey::Charge(payment) => match draft.get::<Payment>(Key::Payment(payment))? {
            Some(mut payment) => {
                payment.called_back(draft, gateway, reported, now)?;
                true
            }
            None => false,
        },
        GatewayKey::Refund(id) => refund::hear(draft, id, reported, now)?,
    };
    if is_there {
        draft.put(callback)?;
        return Ok(Taken::Now);
    }
    early(draft, command, now)?;
    draft.put(Callback { came_to: CameTo::Early, ..callback })?;
    Ok(Taken::Early)
}

impl Payment {
    /// Takes in what a gateway calls back with, and lets its order go on.
    fn called_back(
        &mut self,
        draft: &mut Draft<'_>,
        gateway: Gateway,
        reported: &Reported,
        now: Timestamp,
    ) -> Result<(), Halt> {
        if self.gateway != Some(gateway) {
            return self.doubt(draft, Doubt::OtherGateway, now);
        }
        self.report(draft, reported, now)?;
        self.then_order(draft, now)
    }
}

/// Keeps what came under the id of another, once, and has a person look at what it is about.
fn changed(draft: &mut Draft<'_>, callback: Callback, now: Timestamp) -> Result<Taken, Halt> {
    let id = callback.id.with_another_body(&callback.body);
    if draft.get::<Callback>(Key::Callback(id))?.is_some() {
        return Ok(Taken::Changed);
    }
    let about = match callback.of {
        GatewayKey::Charge(payment) => Some(payment),
        GatewayKey::Refund(refund) => draft.get::<super::Refund>(Key::Refund(refund))?.map(|refund| refund.payment),
    };
    let payment = about.map(|payment| draft.get::<Payment>(Key::Payment(payment))).transpose()?.flatten();
    draft.put(Callback { id, came_to: CameTo::Review(callback.id), ..callback })?;
    if let Some(mut payment) = payment {
        payment.doubt(draft, Doubt::CallbackChanged, now)?;
    }
    Ok(Taken::Changed)
}

fn early(draft: &mut Draft<'_>, command: &TakeCallback, now: Timestamp) -> Result<(), Halt> {
    let TakeCallback { gateway, of, ref reported, .. } = *command;
    let stub = draft.get::<Stub>(of.key())?;
    let mut stub = stub.unwrap_or_else(|| Stub {
        of,
        gateway,
        reports: Vec::new(),
        since: now,
        look_at: Some(now.after(EARLY)),
        is_orphan: false,
    });
    if !stub.reports.contains(reported) && stub.reports.len() < MOST_REPORTS {
        stub.reports.push(reported.clone());
        stub.reports.sort_unstable();
        // Whoever has looked has not seen this.
        stub.look_at = stub.look_at.or(Some(now.after(EARLY)));
        draft.put(stub)?;
    }
    Ok(())
}

/// A person has looked at what was reported of what is not there. If it comes all the same, it still takes that in.
pub fn dismiss(draft: &mut Draft<'_>, of: GatewayKey) -> Result<Outcome<Stub>, Halt> {
    let stub = draft.get::<Stub>(of.key())?;
    let stub = stub.ok_or(if matches!(of, GatewayKey::Charge(_)) {
        Refusal::PaymentNotFound
    } else {
        Refusal::RefundNotFound
    })?;
    if stub.look_at.is_none() {
        return Ok(Outcome::AlreadyDone(stub));
    }
    let stub = Stub { look_at: None, ..stub };
    draft.put(stub.clone())?;
    Ok(Outcome::Done(stub))
}

/// Whoever waits for what is not there is brought before a person, and again each day.
pub(super) fn look(draft: &mut Draft<'_>, stub: Stub, now: Timestamp) -> Result<(), Halt> {
    let key = stub.of.key();
    draft.put(Stub { is_orphan: true, look_at: Some(now.after(REMINDER)), ..stub })?;
    draft.tell(key, Told::ReportOrphaned, now)?;
    Ok(())
}
