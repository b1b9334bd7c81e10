//! The gateway itself: requests in, answers or silence out, and callbacks when they are due. It has no socket and no
//! clock, so whoever drives it may do so over a network, or in one thread and in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;
use http::Request;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Reply};
use crate::book::{Book, Call, Protocol, RefundState, Unreadable};
use crate::control;
use crate::dice::{Dice, happens, within};
use crate::mood::{CallKind, Group, Mischief, Mood, Order, spelled_in};
use crate::settings::Settings;
use crate::{plain, stripe};

/// Milliseconds since the epoch, of whoever drives it. It may stand still and should not go back.
pub type Moment = i64;

pub struct Gateway {
    pub(crate) settings: Settings,
    pub(crate) dice: Dice,
    pub(crate) mood: Mood,
    pub(crate) orders: Vec<Order>,
    pub(crate) outage: Option<Outage>,
    /// Whose references have had what they ask for.
    spelled: BTreeSet<(Protocol, String)>,
    pub(crate) book: Book,
    tasks: BTreeMap<(Moment, u64), Task>,
    tasks_made: u64,
    pub(crate) outbox: Vec<Callback>,
}

/// For a while nobody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    pub until_ms: Moment,
    pub how: OutageKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageKind {
    /// 503, at once.
    #[default]
    Errors,
    /// The connection is held, and nothing is said.
    Silence,
    /// The connection ends at once.
    Refused,
}

/// A callback to be made now. Tell [`Gateway::delivered`] how it was answered.
#[derive(Clone, Debug)]
pub struct Callback {
    pub id: CallbackId,
    pub request: Request<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId {
    pub event: String,
    /// Which copy of it: 0 is the first.
    pub copy: usize,
    pub attempt: usize,
}

/// What is to be done later.
pub(crate) enum Task {
    /// A request that was late gets here.
    Arrive(Box<Request<Bytes>>, Thrown),
    SettleCharge(String),
    SettleRefund(String),
    Send {
        event: String,
        copy: usize,
    },
}

/// What goes wrong with a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thrown {
    pub(crate) mischiefs: BTreeSet<Mischief>,
    /// Whether it was asked for by name, so that the mood has no say.
    pub(crate) is_ordered: bool,
}

impl Thrown {
    fn of_the_call(&self) -> Option<Mischief> {
        Mischief::ALL.into_iter().find(|one| one.group() == Group::Call && self.mischiefs.contains(one))
    }
}

/// A request while it is carried out.
pub(crate) struct Doing {
    pub(crate) now_ms: Moment,
    /// When it is answered, if it is.
    pub(crate) answer_ms: Moment,
    pub(crate) thrown: Thrown,
    pub(crate) rng: Rng,
    call: Option<Mischief>,
}

impl Doing {
    pub(crate) fn suffers(&self, mischief: Mischief) -> bool {
        self.thrown.mischiefs.contains(&mischief)
    }
}

/// What can be told of a request before it is understood.
pub(crate) struct Peeked {
    pub(crate) kind: CallKind,
    pub(crate) key: Option<String>,
    pub(crate) reference: Option<String>,
}

impl Gateway {
    pub fn new(settings: Settings, mood: Mood, seed: u64) -> Self {
        Self {
            settings,
            dice: Dice::new(seed),
            mood,
            orders: Vec::new(),
            outage: None,
            spelled: BTreeSet::new(),
            book: Book::default(),
            tasks: BTreeMap::new(),
            tasks_made: 0,
            outbox: Vec::new(),
        }
    }

    /// One that goes on with what [`Gateway::take_journal`] gave: lines of text. What was on its way is sent again.
    pub fn restored(
        settings: Settings,
        mood: Mood,
        seed: u64,
        journal: &str,
        now_ms: Moment,
    ) -> Result<Self, Unreadable> {
        let mut gateway = Self { book: Book::read(journal)?, ..Self::new(settings, mood, seed) };
        gateway.book.forget_keys(now_ms, gateway.settings.key_retention_ms);
        let charges: Vec<_> =
            gateway.book.charges().filter_map(|charge| Some((charge.settles_ms?, charge.id.clone()))).collect();
        charges.into_iter().for_each(|(at, id)| gateway.later(at, Task::SettleCharge(id)));
        let refunds: Vec<_> =
            gateway.book.refunds().filter_map(|refund| Some((refund.settles_ms?, refund.id.clone()))).collect();
        refunds.into_iter().for_each(|(at, id)| gateway.later(at, Task::SettleRefund(id)));
        gateway.send_what_was_on_its_way(now_ms);
        Ok(gateway)
    }

    pub const fn book(&self) -> &Book {
        &self.book
    }

    pub const fn mood(&self) -> &Mood {
        &self.mood
    }

    pub fn set_mood(&mut self, mood: Mood) {
        self.mood = mood;
    }

    /// For the next request that it fits. Orders are carried out in the order in which they came.
    pub fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    pub const fn set_outage(&mut self, outage: Option<Outage>) {
        self.outage = outage;
    }

    /// From now on every change of the book is written down, to be taken with [`Gateway::take_journal`].
    pub fn keep_journal(&mut self) {
        self.book.journal.get_or_insert_default();
    }

    /// What changed since it was taken last: a line for each change.
    pub fn take_journal(&mut self) -> Vec<String> {
        self.book.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The whole book, as the fewest lines that say it.
    pub fn whole_journal(&self) -> Vec<String> {
        self.book.written()
    }

    /// Answers a request, of either protocol or to the gateway's own controls, or keeps silent.
    pub fn receive(&mut self, now_ms: Moment, request: &Request<Bytes>) -> Reply {
        self.advance(now_ms);
        if let Some(answer) = control::answer(self, now_ms, request) {
            return Reply::at_once(answer);
        }
        let protocol = protocol_of(request);
        let peeked = peek(protocol, request);
        let who = peeked.key.as_deref().unwrap_or_else(|| request.uri().path()).to_owned();
        let place = self.book.ask(protocol, peeked.kind, &who);
        if let Some(outage) = self.outage_at(now_ms) {
            return self.absent(now_ms, outage, protocol, request, peeked);
        }
        let mut rng = self.dice.at(&format!("{:?}/{}/{who}", peeked.kind, protocol.name()), place);
        let thrown = self.throw(protocol, &peeked, &mut rng);
        let call = match (thrown.of_the_call(), peeked.kind) {
            (Some(Mischief::ArrivesLate), CallKind::Ask) => Some(Mischief::TimeoutBefore),
            (Some(Mischief::ErrorKept), CallKind::Ask) => Some(Mischief::ErrorBefore),
            (call, _) => call,
        };
        let silence_ms = self.mood.timing.silence_ms;
        let (after_ms, answer) = match call {
            Some(Mischief::TooMany) => {
                let seconds = within(&mut rng, self.mood.timing.retry_after_s);
                (0, Some(too_many(protocol).with("retry-after", seconds)))
            }
            Some(Mischief::TimeoutBefore) => (silence_ms, None),
            Some(Mischief::ErrorBefore) => (0, Some(broken(protocol))),
            Some(Mischief::ArrivesLate) => {
                let late_ms = within(&mut rng, self.mood.timing.arrives_late_ms);
                self.later(plus(now_ms, late_ms), Task::Arrive(Box::new(request.clone()), thrown));
                (silence_ms, None)
            }
            _ => {
                let slow_ms = if call == Some(Mischief::Slow) { within(&mut rng, self.mood.timing.slow_ms) } else { 0 };
                let answer_ms = plus(now_ms, slow_ms);
                let mut doing = Doing { now_ms, answer_ms, thrown, rng, call };
                let answer = self.carry_out(protocol, request, &mut doing);
                let after_ms = u64::try_from(doing.answer_ms - now_ms).unwrap_or(0);
                match call {
                    Some(Mischief::TimeoutAfter) => (silence_ms, None),
                    Some(Mischief::ErrorAfter) => (after_ms, Some(broken(protocol))),
                    _ => (after_ms, Some(answer)),
                }
            }
        };
        let answer = answer.map(|answer| match protocol {
            Protocol::Plain => answer,
            Protocol::Stripe => stripe::with_ids(answer, request, &self.dice.id("req_", &who, place)),
        });
        self.note(Call {
            mischief: call,
            is_replay: answer.as_ref().is_some_and(|answer| answer.is_replay),
            status: answer.as_ref().map(|answer| answer.status),
            after_ms,
            ..called(now_ms, protocol, request, peeked)
        });
        // What was ordered for early callbacks may be due by now.
        self.advance(now_ms);
        Reply { after_ms, response: answer.map(Answer::into_response) }
    }

    /// The callbacks to be made now. Each is handed out once.
    pub fn due(&mut self, now_ms: Moment) -> Vec<Callback> {
        self.advance(now_ms);
        std::mem::take(&mut self.outbox)
    }

    /// When to ask for callbacks next, if nothing is received before. There may be none then.
    pub fn next_due_ms(&self) -> Option<Moment> {
        if self.outbox.is_empty() { self.tasks.keys().next().map(|(at, _)| *at) } else { Some(Moment::MIN) }
    }

    pub(crate) fn outage_at(&self, now_ms: Moment) -> Option<Outage> {
        self.outage.filter(|outage| now_ms < outage.until_ms)
    }

    pub(crate) fn later(&mut self, at_ms: Moment, task: Task) {
        self.tasks.insert((at_ms, self.tasks_made), task);
        self.tasks_made += 1;
    }

    fn advance(&mut self, now_ms: Moment) {
        while let Some(first) = self.tasks.first_entry().filter(|first| first.key().0 <= now_ms) {
            let ((at_ms, _), task) = first.remove_entry();
            match task {
                Task::Arrive(request, thrown) => self.arrive(at_ms, &request, thrown),
                Task::SettleCharge(id) => self.settle_charge(&id, at_ms),
                Task::SettleRefund(id) => self.settle_refund(&id, at_ms),
                Task::Send { event, copy } => self.send(&event, copy, at_ms, now_ms),
            }
        }
    }

    fn absent(
        &mut self,
        now_ms: Moment,
        outage: Outage,
        protocol: Protocol,
        request: &Request<Bytes>,
        peeked: Peeked,
    ) -> Reply {
        let (after_ms, answer) = match outage.how {
            OutageKind::Errors => (0, Some(unavailable(protocol))),
            OutageKind::Silence => (self.mood.timing.silence_ms, None),
            OutageKind::Refused => (0, None),
        };
        let status = answer.as_ref().map(|answer| answer.status);
        self.note(Call { in_outage: true, status, after_ms, ..called(now_ms, protocol, request, peeked) });
        Reply { after_ms, response: answer.map(Answer::into_response) }
    }

    /// A request that was given up by whoever sent it, and is carried out all the same.
    fn arrive(&mut self, now_ms: Moment, request: &Request<Bytes>, thrown: Thrown) {
        let protocol = protocol_of(request);
        let peeked = peek(protocol, request);
        let who = peeked.key.as_deref().unwrap_or_else(|| request.uri().path());
        let place = self.book.ask(protocol, peeked.kind, who);
        let rng = self.dice.at(&format!("arrival/{}/{who}", protocol.name()), place);
        let mut doing = Doing { now_ms, answer_ms: now_ms, thrown, rng, call: None };
        let answer = self.carry_out(protocol, request, &mut doing);
        let is_replay = answer.is_replay;
        self.note(Call { is_arrival: true, is_replay, ..called(now_ms, protocol, request, peeked) });
    }

    fn carry_out(&mut self, protocol: Protocol, request: &Request<Bytes>, doing: &mut Doing) -> Answer {
        match protocol {
            Protocol::Plain => plain::respond(self, request, doing),
            Protocol::Stripe => stripe::respond(self, request, doing),
        }
    }

    /// What goes wrong: as it was ordered, as the reference asks for, or as the mood has it.
    fn throw(&mut self, protocol: Protocol, peeked: &Peeked, rng: &mut Rng) -> Thrown {
        let (key, reference) = (peeked.key.as_deref(), peeked.reference.as_deref());
        self.orders.retain(|order| order.times > 0);
        if let Some(order) = self.orders.iter_mut().find(|order| order.is_for(peeked.kind, key, reference)) {
            order.times -= 1;
            return Thrown { mischiefs: order.mischiefs.clone(), is_ordered: true };
        }
        if let (Some(key), Some(mischiefs)) = (key, reference.and_then(spelled_in))
            && self.book.charges_under(protocol, key).next().is_none()
            && self.spelled.insert((protocol, key.to_owned()))
        {
            return Thrown { mischiefs, is_ordered: true };
        }
        let mut thrown = Thrown::default();
        for mischief in Mischief::ALL {
            let may = match mischief.group() {
                Group::Call => true,
                Group::Outcome => peeked.kind != CallKind::Ask,
                // Each callback has its own.
                Group::Callback => false,
            };
            if may && happens(rng, self.mood.rate(mischief)) {
                thrown.mischiefs.insert(mischief);
            }
        }
        thrown
    }

    /// Once for each key: what was answered to the first request is answered to every repeat of it.
    pub(crate) fn once(
        &mut self,
        protocol: Protocol,
        key: Option<&str>,
        fingerprint: String,
        doing: &mut Doing,
        act: impl FnOnce(&mut Self, &mut Doing) -> Answer,
    ) -> Answer {
        let Some(key) = key else { return act(self, doing) };
        if let Some(kept) = self.book.key(protocol, key, doing.now_ms, self.settings.key_retention_ms) {
            return if kept.fingerprint != fingerprint {
                match protocol {
                    Protocol::Plain => plain::key_reused(),
                    Protocol::Stripe => stripe::key_reused(key),
                }
            } else if doing.now_ms < kept.busy_until_ms {
                match protocol {
                    Protocol::Plain => plain::key_busy(),
                    Protocol::Stripe => stripe::key_busy(),
                }
            } else {
                Answer::replayed(kept.status, kept.body.clone())
            };
        }
        let is_kept_error = doing.call == Some(Mischief::ErrorKept);
        let answer = if is_kept_error { broken(protocol) } else { act(self, doing) };
        let forgets_what_it_did = doing.call == Some(Mischief::ErrorAfter) && protocol == Protocol::Stripe;
        if answer.keeps || is_kept_error {
            let kept = if forgets_what_it_did { broken(protocol) } else { answer.clone() };
            self.book.keep_key(crate::book::KeptKey {
                protocol,
                key: key.to_owned(),
                fingerprint,
                status: kept.status,
                body: kept.body,
                kept_ms: doing.now_ms,
                busy_until_ms: doing.answer_ms,
            });
        }
        answer
    }

    fn note(&mut self, call: Call) {
        let most = self.settings.calls_kept;
        self.book.keep_call(call, most);
    }

    /// What is still to be given back of a charge.
    pub(crate) fn is_refundable(&self, charge: &str) -> u64 {
        let Some(charge) = self.book.charge(charge).filter(|charge| charge.was_captured()) else { return 0 };
        let taken: u64 = self
            .book
            .refunds_of(&charge.id)
            .filter(|refund| refund.state != RefundState::Failed)
            .map(|refund| refund.amount)
            .sum();
        charge.amount.saturating_sub(taken)
    }
}

pub(crate) fn plus(at_ms: Moment, ms: u64) -> Moment {
    at_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn protocol_of(request: &Request<Bytes>) -> Protocol {
    if request.uri().path().starts_with("/v1/") { Protocol::Stripe } else { Protocol::Plain }
}

fn peek(protocol: Protocol, request: &Request<Bytes>) -> Peeked {
    match protocol {
        Protocol::Plain => plain::peek(request),
        Protocol::Stripe => stripe::peek(request),
    }
}

fn called(at_ms: Moment, protocol: Protocol, request: &Request<Bytes>, peeked: Peeked) -> Call {
    Call {
        at_ms,
        protocol,
        kind: peeked.kind,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        key: peeked.key,
        mischief: None,
        in_outage: false,
        is_arrival: false,
        is_replay: false,
        status: None,
        after_ms: 0,
    }
}

fn too_many(protocol: Protocol) -> Answer {
    match protocol {
        Protocol::Plain => plain::too_many(),
        Protocol::Stripe => stripe::too_many(),
    }
}

fn broken(protocol: Protocol) -> Answer {
    match protocol {
        Protocol::Plain => plain::broken(),
        Protocol::Stripe => stripe::broken(),
    }
}

fn unavailable(protocol: Protocol) -> Answer {
    match protocol {
        Protocol::Plain => plain::unavailable(),
        Protocol::Stripe => stripe::unavailable(),
    }
}

/// Whether a caller says who it is, as either protocol has it.
pub(crate) fn is_known(settings: &Settings, request: &Request<Bytes>) -> bool {
    let Some(api_key) = &settings.api_key else { return true };
    let Some(said) = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let (scheme, credentials) = said.split_once(' ').unwrap_or((said, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return credentials.trim() == api_key;
    }
    let user = data_encoding::BASE64.decode(credentials.trim().as_bytes()).ok();
    let user = user.and_then(|pair| String::from_utf8(pair).ok());
    scheme.eq_ignore_ascii_case("basic") && user.is_some_and(|pair| pair.split(':').next() == Some(api_key.as_str()))
}
