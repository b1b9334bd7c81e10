//! Calling a gateway about one thing under one key: an attempt is counted before it is made and settled after it, what
//! fails is tried again after a pause, and what may have arrived is asked for before anything is sent again.

use serde::{Deserialize, Serialize};

use super::gateway::{Gateway, GatewayKey, GatewayRef, Reported};
use super::{Limits, charge, refund};
use crate::books::{Draft, Halt};
use crate::{Amount, Currency, Millis, Outcome, Timestamp, planted};

/// How it stands with calling the gateway about one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calling {
    /// How many attempts have begun.
    #[serde(default)]
    pub attempts: u32,
    /// Since when one has been under way, of which nobody has said yet what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was first sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The first attempt at sending that may have arrived, if the gateway has not said since what it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_doubt: Option<u32>,
    /// The gateway has said that it has it.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub is_there: bool,
    /// How many in a row have failed.
    #[serde(default)]
    pub failures: u32,
    /// How often in a row it was put off, as nobody was to be called.
    #[serde(default)]
    pub put_offs: u32,
}

/// Asks for one attempt. A repeat finds that the attempt has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayMessage {
    pub key: GatewayKey,
    /// How many have begun before it.
    pub attempt: u32,
}

/// What is to be done with the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Send the request, with its key. The same request under the same key is done once.
    Send,
    /// Ask what became of it.
    Ask,
}

/// An attempt that has begun and is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub key: GatewayKey,
    /// From 1.
    pub number: u32,
    pub call: Call,
    pub gateway: Gateway,
    pub amount: Amount,
    pub currency: Currency,
    /// What the gateway calls it, if it has said so.
    pub reference: Option<GatewayRef>,
    /// Of a refund: what it gives back from.
    pub charge: Option<Charge>,
}

/// A charge as its gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub key: GatewayKey,
    pub reference: Option<GatewayRef>,
}

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    Call(Attempt),
    /// Nobody is to be called now. It is looked at again by itself.
    PutOff,
    /// It has begun before, or is over.
    Nothing,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The gateway says what it has under the key, or has done now.
    Says(Reported),
    /// Asked, it has nothing under the key.
    NotThere,
    /// It answers with something else.
    Status {
        status: u16,
        no: No,
        /// How long it asks us to wait.
        retry_after: Option<Millis>,
    },
    Silence(NoAnswer),
}

/// What a status that is no success says, as far as its body was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// The card is not charged, or the money not given back.
    Declined,
    /// It knows the key with another request.
    AboutTheKey,
    /// Nothing of that.
    Unsaid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection came about, so nothing was sent.
    NotReached,
    /// It was sent, and no answer came in time, or the connection broke.
    Lost,
    /// Nobody knows: whoever called did not come back to say so.
    NobodyKnows,
}

/// What an answer comes to, whatever was called about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Reported(Reported),
    NotThere,
    Declined,
    KeyRefused,
    NotUnderstood(u16),
    /// It was not done, and nothing is wrong: later.
    PutOff(Millis),
    /// It came to nothing, or may have arrived all the same.
    Failed {
        may_have_arrived: bool,
    },
}

/// What lies between an attempt that failed and the next. After the last it is left to whoever looks.
pub(super) const PAUSES: [Millis; 3] = [Millis::seconds(2), Millis::seconds(4), Millis::seconds(8)];
/// A pause is up to a quarter longer, so that what failed together does not come again together.
const JITTER: i64 = 4;
/// How long a message may be on its way before it is taken for lost.
pub(super) const MESSAGE: Millis = Millis::minutes(5);
/// How long a call may take, with all that is around it, before nobody is taken to be at it any more.
pub(super) const CALL: Millis = Millis::minutes(2);
/// Between looks at what the gateway does not speak about, at first; twice as long each time.
const FIRST_LOOK: Millis = Millis::minutes(1);
const LONGEST_LOOK: Millis = Millis::hours(1);
/// After how long the gateway is asked about what it accepted, if it has not called back.
pub(super) const ACCEPTED: Millis = Millis::minutes(10);
/// The longest that the gateway can put us off, and the longest that a queue holds a message back.
const LONGEST_PUT_OFF: Millis = Millis::minutes(15);
/// While nobody is called, those that are put off come back within so long of each other; twice as long each time.
const FIRST_SPREAD: Millis = Millis::seconds(30);
const LONGEST_SPREAD: Millis = Millis::minutes(5);

/// What is to be done next about something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Call(Call),
    /// It was never sent, or the gateway does not know it, and it is not to be sent any more.
    Lapse,
    /// It may have arrived, and the gateway may have forgotten the key since.
    Review,
}

impl Calling {
    pub(super) const fn was_never_sent(&self) -> bool {
        self.sent_at.is_none() && self.since.is_none()
    }

    pub(super) const fn is_free_for(&self, message: &GatewayMessage) -> bool {
        self.since.is_none() && self.attempts == message.attempt
    }

    /// Whether nobody has come back from an attempt for longer than any takes.
    pub(super) fn is_forsaken(&self, now: Timestamp) -> bool {
        self.since.is_some_and(|since| since.after(CALL) <= now)
    }

    /// Asked for where it may have arrived, if the gateway can be asked; where it cannot, sent again, which is the asking,
    /// as long as the gateway surely knows the key.
    pub(super) fn next(&self, gateway: Gateway, has_reference: bool, may_send: bool, now: Timestamp) -> Next {
        let may_have_arrived = self.in_doubt.is_some() || self.is_there;
        if may_have_arrived && (gateway.is_asked_by_key() || has_reference) && !planted!(SentUnasked) {
            return Next::Call(Call::Ask);
        }
        match self.sent_at {
            None if may_send => Next::Call(Call::Send),
            Some(sent_at) if (may_send || may_have_arrived) && sent_at.after(gateway.retention()) > now => {
                Next::Call(Call::Send)
            }
            Some(_) if may_send => Next::Review,
            Some(_) | None if may_have_arrived => Next::Review,
            Some(_) | None => Next::Lapse,
        }
    }

    /// Counts an attempt. From here on it may have arrived, whatever becomes of whoever makes it.
    pub(super) fn begin(&mut self, call: Call, now: Timestamp) {
        self.attempts += u32::from(!planted!(CallUncounted));
        self.since = Some(now);
        self.put_offs = 0;
        if call == Call::Send {
            self.sent_at = self.sent_at.or(Some(now));
            self.in_doubt = self.in_doubt.or(Some(self.attempts)).filter(|_| !planted!(DoubtForgotten));
        }
    }

    /// The gateway has said that it has it, or that it has not. To have failed and not be there is to have failed all the
    /// same: what is sent next may fail again, and is not to be tried without a pause for ever.
    pub(super) const fn heard(&mut self, is_there: bool) {
        self.since = None;
        self.in_doubt = None;
        self.is_there = is_there;
        if is_there {
            self.failures = 0;
        }
    }

    /// An attempt did surely not arrive. If it was the first to be sent, nothing has been.
    pub(super) fn did_not_arrive(&mut self, number: u32) {
        self.in_doubt = self.in_doubt.filter(|first| *first != number);
        let may_have_arrived = self.in_doubt.is_some() || self.is_there;
        self.sent_at = self.sent_at.filter(|sent_at| may_have_arrived || self.since != Some(*sent_at));
        self.since = None;
    }

    /// An attempt has failed. How long it pauses, while a message brings it back; `None` when it is left to whoever looks.
    pub(super) fn fail(&mut self, chance: u64) -> Option<Millis> {
        self.since = None;
        self.failures = self.failures.saturating_add(1);
        let place = usize::try_from(self.failures - 1).ok()?;
        let Millis(usual) = *PAUSES.get(place)?;
        Some(Millis(usual + part_of(usual / JITTER, chance)))
    }

    /// How long until somebody looks at what has failed too often.
    pub(super) fn look_after(&self, chance: u64) -> Millis {
        let times = self.failures.saturating_sub(u32::try_from(PAUSES.len()).unwrap_or_default() + 1);
        let usual = doubled(FIRST_LOOK, times, LONGEST_LOOK).0;
        Millis(usual + part_of(usual / JITTER, chance))
    }

    /// Puts it off until somebody may be called, and then some, so that not all come at once.
    pub(super) fn put_off(&mut self, until: Timestamp, chance: u64) -> Timestamp {
        let spread = doubled(FIRST_SPREAD, self.put_offs, LONGEST_SPREAD);
        self.put_offs = self.put_offs.saturating_add(1);
        until.after(Millis(part_of(spread.0, chance)))
    }
}

fn doubled(first: Millis, times: u32, longest: Millis) -> Millis {
    Millis(first.0.saturating_mul(1 << times.min(20))).min(longest)
}

/// A drawn part of so much.
fn part_of(whole: i64, chance: u64) -> i64 {
    let share = i64::try_from(chance % 1_000).unwrap_or_default();
    whole.saturating_mul(share) / 1_000
}

impl Answer {
    /// What it comes to. A 4xx that says no is a no; one about the key, or that we are not understood, is for a person,
    /// since the same request would come to the same again; whoever does not let us in has done nothing.
    pub(super) fn meaning(&self) -> Meaning {
        let failed = |may_have_arrived| Meaning::Failed { may_have_arrived };
        match self {
            Self::Says(reported) => Meaning::Reported(reported.clone()),
            Self::NotThere => Meaning::NotThere,
            Self::Status { status: 429, retry_after, .. } => {
                let asked_for = retry_after.unwrap_or(PAUSES[0]);
                Meaning::PutOff(asked_for.max(PAUSES[0]).min(LONGEST_PUT_OFF))
            }
            Self::Status { status: 400 | 409 | 422, no: No::AboutTheKey, .. } => Meaning::KeyRefused,
            Self::Status { status: 400..=499, no: No::Declined, .. } | Self::Status { status: 402, .. } => {
                Meaning::Declined
            }
            Self::Status { status: 401 | 403 | 407, .. } | Self::Silence(NoAnswer::NotReached) => failed(false),
            // It is busy with it, took too long to read it, or hangs on somebody else.
            Self::Status { status: 408 | 409 | 424 | 425, .. } => failed(true),
            Self::Status { status: status @ 400..=499, .. } => Meaning::NotUnderstood(*status),
            Self::Status { .. } | Self::Silence(NoAnswer::Lost | NoAnswer::NobodyKnows) => failed(true),
        }
    }

    /// Whether it speaks for or against the gateway: what says no works. That it is too much for it, or nobody knows, does
    /// neither.
    pub const fn went(&self) -> Option<super::Went> {
        match self {
            Self::Says(_) | Self::NotThere => Some(super::Went::Well),
            Self::Status { status: 429, .. } | Self::Silence(NoAnswer::NobodyKnows) => None,
            Self::Status { status: 401 | 403 | 407 | 408 | 424, .. } => Some(super::Went::Badly),
            Self::Status { status: 400..=499, .. } => Some(super::Went::Well),
            Self::Status { .. } | Self::Silence(NoAnswer::NotReached | NoAnswer::Lost) => Some(super::Went::Badly),
        }
    }
}

/// Begins the attempt that a message asks for. `chance` is drawn, for what is put off not to come back at once.
pub fn begin(
    draft: &mut Draft<'_>,
    message: &GatewayMessage,
    limits: &Limits,
    chance: u64,
    now: Timestamp,
) -> Result<Begun, Halt> {
    match message.key {
        GatewayKey::Charge(id) => charge::begin(draft, id, message, limits, chance, now),
        GatewayKey::Refund(id) => refund::begin(draft, id, message, limits, chance, now),
    }
}

/// Keeps what became of an attempt. What a gateway says counts, however late; what else became of an attempt that another
/// has taken for lost is known already.
pub fn settle(
    draft: &mut Draft<'_>,
    key: GatewayKey,
    number: u32,
    answer: &Answer,
    chance: u64,
    now: Timestamp,
) -> Result<Outcome<()>, Halt> {
    match key {
        GatewayKey::Charge(id) => charge::settle(draft, id, number, answer, chance, now),
        GatewayKey::Refund(id) => refund::settle(draft, id, number, answer, chance, now),
    }
}
