//! One notification on its way to its customer's endpoint: attempt by attempt, each committed before the call, until it
//! has arrived or is given up.

use serde::{Deserialize, Serialize};

use super::endpoint::{Endpoint, EndpointUrl, GaveUp, GivenUp, Secret, Target};
use crate::books::{Draft, Halt, Kept, Key};
use crate::events::{EventId, Told};
use crate::ids::CustomerId;
use crate::messages::Notification;
use crate::{Millis, Outcome, Timestamp, planted};

/// A notification to be delivered. Its id is the event's, so there is one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub event: EventId,
    pub customer: CustomerId,
    /// The notification's own time, which is part of its key.
    pub at: Timestamp,
    pub created_at: Timestamp,
    pub state: DeliveryState,
    /// How many have begun.
    pub attempts: u32,
    /// What became of the last that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// When someone looks at it next; one that is over has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// In seconds: when one that is over may be forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forget_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// For its next attempt.
    Waiting,
    /// An attempt has begun; what became of it is not known yet.
    Sending,
    Delivered,
    /// The last attempt failed too.
    Exhausted,
    /// The endpoint said that it is gone.
    Gone,
    /// There is no endpoint any more, or it was given up.
    Withdrawn,
}

impl DeliveryState {
    pub const fn is_over(self) -> bool {
        match self {
            Self::Waiting | Self::Sending => false,
            Self::Delivered | Self::Exhausted | Self::Gone | Self::Withdrawn => true,
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status {
        status: u16,
        /// How long it asks us to wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<i64>,
    },
    Silence(NoAnswer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// It could not be reached, or the connection broke.
    Unreachable,
    TimedOut,
    /// Its name stands for an address that is not public.
    NotPublic,
    /// Nobody knows: whoever called did not come back to say so.
    Unknown,
}

/// Asks for one attempt. A repeat finds that the attempt has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookMessage {
    pub webhook: EventId,
    pub customer: CustomerId,
    pub at: Timestamp,
    /// How many have begun before it.
    pub attempt: u32,
}

impl WebhookMessage {
    pub const fn delivery(&self) -> Key {
        Key::Delivery(self.webhook)
    }

    /// Everything that an attempt is made of.
    pub const fn needs(&self) -> [Key; 3] {
        let notification = Key::Notification(self.customer, self.at, self.webhook);
        [self.delivery(), Key::Endpoint(self.customer), notification]
    }

    /// Whose calls are slow is not to hold up others': the queue is fair among these.
    pub fn group(&self) -> String {
        self.customer.to_string()
    }
}

/// An attempt that has begun and is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    pub url: EndpointUrl,
    /// What it is signed with.
    pub secrets: Vec<Secret>,
    pub notification: Notification,
}

/// What lies between one attempt and the next, as Standard Webhooks proposes it: about three days in all.
const PAUSES: [Millis; 9] = [
    Millis::seconds(5),
    Millis::minutes(5),
    Millis::minutes(30),
    Millis::hours(2),
    Millis::hours(5),
    Millis::hours(10),
    Millis::hours(14),
    Millis::hours(20),
    Millis::hours(24),
];
/// Attempts of one delivery.
pub const ATTEMPTS: u32 = 10;
/// The longest that an endpoint can put us off.
const LONGEST_PUT_OFF: Millis = Millis::hours(24);
/// A pause is up to a tenth longer, so that what failed together does not come again together.
const JITTER: i64 = 10;
/// The longest that the queue holds a message back. What pauses longer waits for the sweep.
const LONGEST_DELAY: Millis = Millis::minutes(15);
/// How long a message may be on its way before it is taken for lost.
const MESSAGE: Millis = Millis::minutes(10);
/// How long an attempt may take, with all that is around the call, before nobody is taken to be at it any more.
const CALL: Millis = Millis::minutes(2);
/// After how long without anything arriving an endpoint is given up, once a delivery is. Somewhat less than all pauses.
const LONG: Millis = Millis::hours(72);
/// How long one that is over is kept for whoever wants to know.
const KEPT: Millis = Millis::hours(30 * 24);

impl Delivery {
    pub const fn key(&self) -> Key {
        Key::Delivery(self.event)
    }

    pub const fn notification(&self) -> Key {
        Key::Notification(self.customer, self.at, self.event)
    }

    pub const fn message(&self) -> WebhookMessage {
        WebhookMessage { webhook: self.event, customer: self.customer, at: self.at, attempt: self.attempts }
    }

    fn over(self, state: DeliveryState, now: Timestamp) -> Self {
        Self { state, look_at: None, forget_at: Some(now.after(KEPT).as_seconds()), ..self }
    }

    /// Keeps it, to be sent after a pause: by a message that the queue holds back, or by the sweep.
    fn wait(self, draft: &mut Draft<'_>, pause: Millis, now: Timestamp) -> Result<(), Halt> {
        let due = now.after(pause);
        let by_message = pause <= LONGEST_DELAY;
        let look_at = Some(if by_message { due.after(MESSAGE) } else { due });
        let delivery = Self { state: DeliveryState::Waiting, look_at, ..self };
        let key = delivery.key();
        draft.put(delivery)?;
        if by_message {
            let seconds = u32::try_from((pause.0 + 999) / 1_000).unwrap_or_default();
            draft.tell(key, Told::DeliveryDue { seconds }, now)?;
        }
        Ok(())
    }
}

/// How long it pauses after an attempt that failed; `None` after the last.
fn pause(attempts: u32, answer: Answer, chance: u64) -> Option<Millis> {
    let place = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let Millis(usual) = *PAUSES.get(place)?;
    let share = i64::try_from(chance % 1_000).unwrap_or_default();
    let usual = usual + usual / JITTER * share / 1_000;
    let put_off = match answer {
        Answer::Status { status: 429 | 503, retry_after_ms: Some(wanted) } if !planted!(PutOffIgnored) => {
            wanted.min(LONGEST_PUT_OFF.0)
        }
        _ => 0,
    };
    Some(Millis(usual.max(put_off)))
}

/// Keeps a notification once, however often it comes, and with it its delivery, if its customer has an endpoint. The
/// endpoint is only glanced at: one that is set or removed meanwhile is as if it had been a moment later.
pub fn tell(draft: &mut Draft<'_>, notification: &Notification, now: Timestamp) -> Result<Outcome<()>, Halt> {
    if draft.get::<Notification>(notification.key())?.is_some() {
        return Ok(Outcome::AlreadyDone(()));
    }
    let endpoint = draft.glance::<Endpoint>(Key::Endpoint(notification.customer))?;
    draft.put(notification.clone())?;
    if endpoint.is_some_and(|endpoint| endpoint.active().is_some()) {
        let Notification { event, customer, at, .. } = *notification;
        let delivery = Delivery {
            event,
            customer,
            at,
            created_at: now,
            state: DeliveryState::Waiting,
            attempts: 0,
            answer: None,
            look_at: None,
            forget_at: None,
        };
        draft.insert(delivery.clone())?;
        delivery.wait(draft, Millis(0), now)?;
    }
    Ok(Outcome::Done(()))
}

/// Begins the attempt that a message asks for; `None` if it has begun before, or if there is nobody to send to.
pub fn begin(draft: &mut Draft<'_>, message: &WebhookMessage, now: Timestamp) -> Result<Option<Attempt>, Halt> {
    let asked_for = |delivery: &Delivery| {
        delivery.state == DeliveryState::Waiting
            && (delivery.attempts == message.attempt || planted!(RepeatAttempts))
            && delivery.customer == message.customer
    };
    let Some(delivery) = draft.get::<Delivery>(message.delivery())?.filter(asked_for) else { return Ok(None) };
    let endpoint = draft.glance::<Endpoint>(Key::Endpoint(delivery.customer))?;
    let set = endpoint.as_ref().and_then(|endpoint| endpoint.target.as_ref());
    let Some(target) = set.filter(|target| target.given_up.is_none() || planted!(GivenUpCalled)) else {
        draft.put(delivery.over(DeliveryState::Withdrawn, now))?;
        return Ok(None);
    };
    // It is committed together with its delivery, and never changes.
    let Some(notification) = draft.glance::<Notification>(delivery.notification())? else { return Ok(None) };
    let number = delivery.attempts + 1;
    let look_at = delivery.look_at.max(Some(now.after(CALL)));
    let attempts = if planted!(AttemptUncounted) { delivery.attempts } else { number };
    draft.put(Delivery { state: DeliveryState::Sending, attempts, look_at, ..delivery })?;
    Ok(Some(Attempt { number, url: target.url.clone(), secrets: target.secrets(now), notification }))
}

/// Keeps what became of an attempt.
pub fn settle(
    draft: &mut Draft<'_>,
    event: EventId,
    (number, called): (u32, &EndpointUrl),
    answer: Answer,
    chance: u64,
    now: Timestamp,
) -> Result<Outcome<DeliveryState>, Halt> {
    let is_its_own = |delivery: &Delivery| {
        let is_this = delivery.attempts == number || planted!(AttemptUncounted);
        delivery.state == DeliveryState::Sending && is_this
    };
    let found = draft.get::<Delivery>(Key::Delivery(event))?;
    let Some(delivery) = found.clone().filter(is_its_own) else {
        return Ok(Outcome::AlreadyDone(found.map_or(DeliveryState::Withdrawn, |delivery| delivery.state)));
    };
    let delivery = Delivery { answer: Some(answer), attempts: number, ..delivery };
    let customer = delivery.customer;
    let state = match (answer, pause(number, answer, chance)) {
        (Answer::Status { status: 200, .. }, _) => DeliveryState::Delivered,
        (Answer::Status { status: 201..=299, .. }, _) if !planted!(OnlyTwoHundred) => DeliveryState::Delivered,
        (Answer::Status { status: 410, .. }, _) => DeliveryState::Gone,
        (_, Some(pause)) => {
            delivery.wait(draft, pause, now)?;
            mark(draft, customer, called, now, |target| {
                target.failing_since = target.failing_since.or(Some(now));
            })?;
            return Ok(Outcome::Done(DeliveryState::Waiting));
        }
        (_, None) => DeliveryState::Exhausted,
    };
    draft.put(delivery.over(state, now))?;
    mark(draft, customer, called, now, |target| match state {
        DeliveryState::Delivered => target.failing_since = None,
        DeliveryState::Gone => target.given_up = Some(GivenUp { at: now, because: GaveUp::Gone }),
        // In all the time in which this one was tried nothing else has arrived either.
        _ => {
            let since = *target.failing_since.get_or_insert(now);
            if since.after(LONG) <= now {
                target.given_up = Some(GivenUp { at: now, because: GaveUp::Failing });
            }
        }
    })?;
    Ok(Outcome::Done(state))
}

/// Notes something of the endpoint that was called, if it is still where it was. Written only when that changes it.
fn mark(
    draft: &mut Draft<'_>,
    customer: CustomerId,
    called: &EndpointUrl,
    now: Timestamp,
    note: impl FnOnce(&mut Target),
) -> Result<(), Halt> {
    let key = Key::Endpoint(customer);
    let Some(endpoint) = draft.glance::<Endpoint>(key)? else { return Ok(()) };
    let is_called = |target: &&Target| (target.url == *called || planted!(OldUrlBlamed)) && target.given_up.is_none();
    let Some(target) = endpoint.target.as_ref().filter(is_called) else { return Ok(()) };
    let mut noted = target.clone();
    note(&mut noted);
    if noted != *target {
        // Now it counts.
        draft.get::<Endpoint>(key)?;
        draft.put(Endpoint { customer, changed_at: now, target: Some(noted) })?;
    }
    Ok(())
}

/// Sends one that is due on its way: its time has come, or its message was lost, or nobody came back to say what became
/// of an attempt, which then counts as one that failed. Says whether there was anything to do.
pub fn look(draft: &mut Draft<'_>, event: EventId, now: Timestamp) -> Result<bool, Halt> {
    let is_due = |delivery: &Delivery| delivery.look_at.is_some_and(|due| due <= now);
    let Some(delivery) = draft.get::<Delivery>(Key::Delivery(event))?.filter(is_due) else { return Ok(false) };
    if delivery.state == DeliveryState::Sending {
        let delivery = Delivery { answer: Some(Answer::Silence(NoAnswer::Unknown)), ..delivery };
        if planted!(UnknownIsDelivered) {
            draft.put(delivery.over(DeliveryState::Delivered, now))?;
        } else if delivery.attempts >= ATTEMPTS {
            draft.put(delivery.over(DeliveryState::Exhausted, now))?;
        } else {
            delivery.wait(draft, Millis(0), now)?;
        }
    } else {
        delivery.wait(draft, Millis(0), now)?;
    }
    Ok(true)
}
