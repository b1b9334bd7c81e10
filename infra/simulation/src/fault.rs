//! Everything that can go wrong, where it can, and how often it does in a run.
//!
//! Rates are drawn for each seed, with each kind off in half of the seeds, so that a run may be quiet, stormy, or plagued
//! by one thing alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chance;
use crate::named::written_by_name;
use crate::plan::Part;
use crate::trace::stamp;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    /// The request is lost: nothing happens, and the caller hears of a broken connection.
    LostBefore = "lost before",
    /// It is carried out, and the caller hears of a broken connection.
    LostAfter = "lost after",
    /// The caller hears of a broken connection; the request arrives seconds later, whatever was done meanwhile.
    Late = "late",
    /// Slower than the caller waits, and never carried out.
    SlowBefore = "slow before",
    /// Carried out, and answered later than the caller waits.
    SlowAfter = "slow after",
    Throttled = "throttled",
    /// A rival transaction holds an item.
    Conflict = "conflict",
    /// The transaction runs, and is not carried out.
    InProgressBefore = "in progress before",
    InProgressAfter = "in progress after",
    /// Keys come back unprocessed.
    Unprocessed = "keys unprocessed",
    /// Some entries of a batch are refused.
    EntriesFailed = "entries failed",
    /// Some entries of a batch are said to have been refused, and arrived.
    EntriesFailedAfter = "entries failed after",
    ErrorBefore = "error before",
    ErrorAfter = "error after",
    /// Others come first.
    Rival = "rival first",
    /// The process dies.
    CrashBefore = "crash before",
    CrashAfter = "crash after",
    /// The process hangs until its time limit.
    HangBefore = "hang before",
    HangAfter = "hang after",
    /// A delivery comes twice in a row.
    Twice = "delivered twice",
    /// And while the first still runs.
    AtOnce = "delivered twice at once",
    /// It is held up for longer than it should be.
    Delayed = "delivered late",
    /// In smaller batches.
    Split = "delivered in parts",
    /// Together with what was delivered before.
    Merged = "delivered with earlier ones",
    /// It is worked off, and whoever delivered it hears of a failure.
    AnswerLost = "answer of a delivery lost",
    /// A client's request does not arrive.
    RequestLost = "request lost",
    /// It is answered, and the client does not hear it.
    ResponseLost = "response lost",
    /// It comes twice at once.
    SentTwice = "request twice at once",
    /// The client has given up on it when it arrives.
    RequestLate = "request late",
    /// The same work is done from its beginning to its end by another process, before the call arrives.
    Overtaken = "overtaken",
    /// A function is not allowed to write: a policy was changed by mistake, and is changed back. It strikes what works in
    /// the background; a caller would rightly be told of an internal error.
    Denied = "denied",
    /// An endpoint says that it is gone.
    Gone = "gone",
    /// The gateway answers 500, has done nothing, and answers the same to whoever sends it again.
    ErrorKept = "error kept",
    /// The bank says no.
    Declined = "declined",
    /// What comes of it is settled later.
    SettledLater = "settled later",
    /// The gateway calls back before it answers.
    ToldEarly = "told early",
    ToldLate = "told late",
    ToldTwice = "told twice",
    /// What was first is told after what followed.
    ToldOutOfOrder = "told out of order",
    NeverTold = "never told",
    /// The gateway tells of another amount than it was asked for.
    WrongAmount = "wrong amount",
    WrongCurrency = "wrong currency",
    /// It tells of something else under the same id.
    Altered = "altered",
    BadSignature = "bad signature",
    StaleSignature = "stale signature",
}

written_by_name!(Fault, "fault");
written_by_name!(Class, "kind of call");

/// What kind of call something is, as far as faults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Load,
    LoadSome,
    Query,
    Put,
    Transact,
    Send,
    Announce,
    Object,
    /// Not a call of a service: a call of a customer's endpoint.
    Outside,
    /// Not a call of a service: a call of the payment gateway.
    Gateway,
    /// Not a call at all: what the gateway makes of something new that it is asked for.
    Money,
    /// Not a call at all: how the gateway tells what it made of that.
    Telling,
    /// Not a call of a service: a batch handed to a function.
    Delivery,
    /// Not a call of a service: a client's request.
    Request,
}

impl Class {
    pub const ALL: [Self; 14] = [
        Self::Load,
        Self::LoadSome,
        Self::Query,
        Self::Put,
        Self::Transact,
        Self::Send,
        Self::Announce,
        Self::Object,
        Self::Outside,
        Self::Gateway,
        Self::Money,
        Self::Telling,
        Self::Delivery,
        Self::Request,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LoadSome => "load some",
            Self::Query => "query",
            Self::Put => "put",
            Self::Transact => "transact",
            Self::Send => "send",
            Self::Announce => "announce",
            Self::Object => "object",
            Self::Outside => "outside",
            Self::Gateway => "gateway",
            Self::Money => "money",
            Self::Telling => "telling",
            Self::Delivery => "delivery",
            Self::Request => "request",
        }
    }

    const fn changes(self) -> bool {
        matches!(
            self,
            Self::Put | Self::Transact | Self::Send | Self::Announce | Self::Object | Self::Outside | Self::Gateway
        )
    }
}

impl Fault {
    /// Whether it can strike a call of this kind.
    pub const fn strikes(self, class: Class) -> bool {
        match self {
            Self::Twice | Self::AtOnce | Self::Delayed | Self::Split | Self::Merged | Self::AnswerLost => {
                matches!(class, Class::Delivery)
            }
            Self::RequestLost | Self::ResponseLost | Self::SentTwice | Self::RequestLate => {
                matches!(class, Class::Request)
            }
            Self::Conflict | Self::Denied => matches!(class, Class::Put | Class::Transact),
            Self::InProgressBefore | Self::InProgressAfter => matches!(class, Class::Transact),
            Self::Unprocessed => matches!(class, Class::LoadSome),
            Self::Gone => matches!(class, Class::Outside),
            Self::ErrorKept => matches!(class, Class::Gateway),
            Self::Declined | Self::SettledLater => matches!(class, Class::Money),
            Self::ToldEarly
            | Self::ToldLate
            | Self::ToldTwice
            | Self::ToldOutOfOrder
            | Self::NeverTold
            | Self::WrongAmount
            | Self::WrongCurrency
            | Self::Altered
            | Self::BadSignature
            | Self::StaleSignature => matches!(class, Class::Telling),
            Self::EntriesFailed | Self::EntriesFailedAfter => matches!(class, Class::Send | Class::Announce),
            Self::Late => class.changes(),
            // For what changes nothing, before and after are the same.
            Self::LostAfter | Self::SlowAfter | Self::ErrorAfter | Self::CrashAfter | Self::HangAfter => {
                class.changes()
            }
            Self::LostBefore
            | Self::SlowBefore
            | Self::Throttled
            | Self::ErrorBefore
            | Self::Rival
            | Self::Overtaken
            | Self::CrashBefore
            | Self::HangBefore => !matches!(class, Class::Delivery | Class::Request | Class::Money | Class::Telling),
        }
    }

    /// Whether it is drawn with the weather of those outside, not with that of the services.
    const fn is_from_outside(self) -> bool {
        matches!(
            self,
            Self::Gone
                | Self::ErrorKept
                | Self::Declined
                | Self::SettledLater
                | Self::ToldEarly
                | Self::ToldLate
                | Self::ToldTwice
                | Self::ToldOutOfOrder
                | Self::NeverTold
                | Self::WrongAmount
                | Self::WrongCurrency
                | Self::Altered
                | Self::BadSignature
                | Self::StaleSignature
        )
    }

    /// Whether it strikes only where nobody waits for an answer.
    pub const fn is_of_background(self) -> bool {
        matches!(self, Self::Denied)
    }

    /// In how many shapes it comes that are worth a try each.
    pub const fn shapes(self) -> u64 {
        match self {
            Self::Late => 4,
            Self::Throttled | Self::Unprocessed | Self::EntriesFailed | Self::EntriesFailedAfter => 3,
            Self::Twice | Self::AtOnce | Self::Delayed | Self::Split => 2,
            _ => 1,
        }
    }

    /// Which of its shapes it takes with these numbers, in the order in which it draws them, counted from 1. Where it
    /// is one of many, it is none.
    fn shape(self, mut rng: fastrand::Rng) -> Option<u64> {
        match self {
            Self::Late => Some(1 + u64::from(rng.u64(50..12_000) < 2_000) + 2 * u64::from(rng.bool())),
            Self::Throttled => Some(1 + u64::from(rng.u32(0..3))),
            Self::Twice | Self::Delayed | Self::Split => Some(1 + u64::from(rng.bool())),
            Self::AtOnce => {
                rng.u64(0..40);
                Some(1 + u64::from(rng.bool()))
            }
            _ => None,
        }
    }

    /// Numbers with which it comes in this shape.
    pub(crate) fn shaped(self, mut rng: fastrand::Rng, shape: u64) -> fastrand::Rng {
        loop {
            let drawn = fastrand::Rng::with_seed(chance::mixed(rng.u64(..), shape));
            if shape > self.shapes() || self.shape(drawn.clone()).is_none_or(|is| is == shape) {
                return drawn;
            }
        }
    }

    /// The name under which it is counted.
    pub fn at(self, class: Class) -> String {
        format!("{} ({})", self.name(), class.name())
    }
}

/// How often what goes wrong in one run, and how clocks differ in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Swarm {
    /// In ten thousand.
    rates: BTreeMap<Fault, u32>,
    /// How far a clock may be from the true time, either way.
    pub(crate) skew_ms: i64,
    /// How many deliveries in ten thousand are kept, to come once more much later.
    pub(crate) kept: u32,
    pub(crate) outage: Option<Outage>,
    /// How many deliveries in ten thousand that wake others come when there is hardly time left for it.
    pub(crate) late_wakes: u32,
    /// How old what is read may be, where the service does not promise the newest.
    pub(crate) lag_ms: i64,
    /// What goes wrong at endpoints beside all that, in ten thousand.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    outside: BTreeMap<Fault, u32>,
    /// For how long endpoints are all down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) down: Option<Outage>,
    /// What goes wrong at the gateway beside all that, in ten thousand.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    gateway: BTreeMap<Fault, u32>,
    /// For how long nobody is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<Outage>,
}

/// For a while one thing goes wrong at nearly every call of one kind. Whatever is given up after many tries is given up
/// in an outage, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outage {
    /// Counted from the beginning of the run.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) class: Class,
    pub(crate) fault: Fault,
    pub(crate) rate: u32,
}

impl Outage {
    /// Those that are there twice strike twice as often.
    const CLASSES: [Class; 11] = [
        Class::Load,
        Class::LoadSome,
        Class::Query,
        Class::Put,
        Class::Put,
        Class::Transact,
        Class::Transact,
        Class::Send,
        Class::Send,
        Class::Announce,
        Class::Object,
    ];
    const FAULTS: [Fault; 7] = [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Throttled,
        Fault::Conflict,
        Fault::ErrorBefore,
        Fault::ErrorAfter,
        Fault::CrashBefore,
    ];

    fn draw(rng: &mut fastrand::Rng) -> Option<Self> {
        if rng.u32(0..100) >= 14 {
            return None;
        }
        // Only in the longest is a message given up, but they take many calls.
        let length_ms = match rng.u32(0..20) {
            0..9 => rng.i64(20_000..100_000),
            9..17 => rng.i64(200_000..480_000),
            _ => rng.i64(960_000..1_200_000),
        };
        let class = Self::CLASSES[rng.usize(0..Self::CLASSES.len())];
        let faults: Vec<Fault> = Self::FAULTS.into_iter().filter(|fault| fault.strikes(class)).collect();
        let fault = faults[rng.usize(0..faults.len())];
        let rate = [6_000, 9_000, 10_000][rng.usize(0..3)];
        // A race that is not lost every time is not lost, and one that is takes more calls than anything else.
        let (length_ms, rate) =
            if fault == Fault::Conflict { (length_ms.min(200_000), 10_000) } else { (length_ms, rate) };
        let from_ms = rng.i64(0..8_000);
        Some(Self { from_ms, to_ms: from_ms + length_ms, class, fault, rate })
    }

    fn until_given_up(rng: &mut fastrand::Rng) -> Self {
        let class = [Class::Query, Class::Query, Class::Put, Class::Send, Class::Announce][rng.usize(0..5)];
        let fault = [Fault::ErrorBefore, Fault::Throttled, Fault::CrashBefore][rng.usize(0..3)];
        let from_ms = rng.i64(0..4_000);
        Self { from_ms, to_ms: from_ms + rng.i64(1_000_000..1_800_000), class, fault, rate: 10_000 }
    }

    /// Of endpoints: some do not come back before it is calm.
    fn draw_outside(rng: &mut fastrand::Rng) -> Option<Self> {
        const FAULTS: [Fault; 6] = [
            Fault::LostBefore,
            Fault::LostBefore,
            Fault::SlowBefore,
            Fault::SlowAfter,
            Fault::ErrorBefore,
            Fault::CrashAfter,
        ];
        if rng.u32(0..4) > 0 {
            return None;
        }
        let (from_ms, length_ms) = (rng.i64(0..8_000), [rng.i64(4_000..60_000), rng.i64(300_000..420_000)]);
        let (fault, rate) = (FAULTS[rng.usize(0..FAULTS.len())], [6_000, 10_000][rng.usize(0..2)]);
        let to_ms = from_ms + length_ms[usize::from(rng.u32(0..3) == 0)];
        Some(Self { from_ms, to_ms, class: Class::Outside, fault, rate })
    }

    /// Of the gateway: most are over before anybody gives up, and some last until much is put off.
    fn draw_gateway(rng: &mut fastrand::Rng) -> Option<Self> {
        const FAULTS: [Fault; 6] = [
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::SlowBefore,
            Fault::SlowAfter,
            Fault::ErrorBefore,
            Fault::CrashAfter,
        ];
        if rng.u32(0..3) > 0 {
            return None;
        }
        let (from_ms, length_ms) = (rng.i64(0..8_000), [rng.i64(4_000..60_000), rng.i64(120_000..420_000)]);
        let (fault, rate) = (FAULTS[rng.usize(0..FAULTS.len())], [6_000, 10_000][rng.usize(0..2)]);
        let to_ms = from_ms + length_ms[usize::from(rng.u32(0..3) == 0)];
        Some(Self { from_ms, to_ms, class: Class::Gateway, fault, rate })
    }

    fn strikes(self, elapsed_ms: i64, rng: &mut fastrand::Rng, class: Class) -> bool {
        class == self.class && (self.from_ms..self.to_ms).contains(&elapsed_ms) && chance::happens(rng, self.rate)
    }
}

impl Swarm {
    const RATES: [u32; 5] = [50, 150, 400, 900, 1_800];

    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let weather = rng.u32(0..10);
        let (on_in_ten, softened) = match weather {
            0 => (0, 1),
            1..=3 => (2, 1),
            4..=7 => (5, 2),
            _ => (8, 4),
        };
        let mut rates = BTreeMap::new();
        for fault in Fault::ALL.iter().filter(|fault| !(**fault == Fault::Overtaken || fault.is_from_outside())) {
            let (is_on, rate) = (rng.u32(0..10) < on_in_ten, rng.usize(0..Self::RATES.len()));
            // What strikes at a delivery or a request has few places to strike at.
            let often = if fault.strikes(Class::Delivery) || fault.strikes(Class::Request) { 3 } else { 1 };
            if is_on {
                rates.insert(*fault, Self::RATES[rate] * often / softened);
            }
        }
        let skew_ms = if rng.u32(0..10) < 3 { rng.i64(1..=150_000) } else { 0 };
        let kept = if rng.bool() { 600 } else { 0 };
        let outage = Outage::draw(&mut rng);
        let late_wakes = if on_in_ten > 0 && rng.u32(0..5) < 3 { 9_000 } else { 0 };
        if on_in_ten > 0 && rng.u32(0..4) == 0 {
            rates.insert(Fault::Overtaken, Self::RATES[rng.usize(0..Self::RATES.len())] / softened);
        }
        let lag_ms = if on_in_ten > 0 && rng.bool() { rng.i64(20..4_000) } else { 0 };
        // Nothing but an outage that lasts until messages are given up, and until what takes them up fails too.
        if rng.u32(0..60) == 0 {
            let outage = Some(Outage::until_given_up(&mut rng));
            return Self { outage, ..Self::default() };
        }
        Self { rates, skew_ms, kept, outage, late_wakes, lag_ms, ..Self::default() }
    }

    /// The same, with what goes wrong at endpoints, from numbers of its own.
    pub(crate) fn with_endpoints(self, seed: u64) -> Self {
        const FAULTS: [Fault; 8] = [
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::SlowBefore,
            Fault::SlowAfter,
            Fault::Throttled,
            Fault::ErrorBefore,
            Fault::ErrorAfter,
            Fault::Rival,
        ];
        let mut rng = fastrand::Rng::with_seed(seed);
        let on_in_ten = [0, 2, 5, 8][rng.usize(0..4)];
        let mut outside = BTreeMap::new();
        for fault in FAULTS {
            let (is_on, rate) = (rng.u32(0..10) < on_in_ten, rng.usize(0..4));
            if is_on {
                outside.insert(fault, [200, 600, 1_500, 2_500][rate]);
            }
        }
        if rng.u32(0..4) == 0 {
            outside.insert(Fault::Gone, 300);
        }
        Self { outside, down: Outage::draw_outside(&mut rng), ..self }
    }

    /// The same, with what goes wrong at the gateway, from numbers of its own.
    pub(crate) fn with_gateway(self, seed: u64) -> Self {
        /// Each with how often it is, at most.
        const FAULTS: [(Fault, u32); 22] = [
            (Fault::LostBefore, 1_500),
            (Fault::LostAfter, 1_500),
            (Fault::Late, 800),
            (Fault::SlowBefore, 600),
            (Fault::SlowAfter, 1_000),
            (Fault::Throttled, 1_500),
            (Fault::ErrorBefore, 1_500),
            (Fault::ErrorAfter, 1_500),
            (Fault::Rival, 1_500),
            (Fault::ErrorKept, 300),
            (Fault::Declined, 2_000),
            (Fault::SettledLater, 6_000),
            (Fault::ToldEarly, 2_000),
            (Fault::ToldLate, 2_000),
            (Fault::ToldTwice, 3_000),
            (Fault::ToldOutOfOrder, 2_000),
            (Fault::NeverTold, 1_500),
            (Fault::WrongAmount, 500),
            (Fault::WrongCurrency, 300),
            (Fault::Altered, 500),
            (Fault::BadSignature, 1_000),
            (Fault::StaleSignature, 800),
        ];
        let mut rng = fastrand::Rng::with_seed(seed);
        let on_in_ten = [0, 2, 4, 7][rng.usize(0..4)];
        let mut gateway = BTreeMap::new();
        for (fault, most) in FAULTS {
            let (is_on, rate) = (rng.u32(0..10) < on_in_ten, most / [1, 2, 4][rng.usize(0..3)]);
            // What is settled later goes on in parts, which is where most can come in between.
            if is_on || fault == Fault::SettledLater && on_in_ten > 0 {
                gateway.insert(fault, rate);
            }
        }
        Self { gateway, closed: Outage::draw_gateway(&mut rng), ..self }
    }

    /// Nothing goes wrong but in this outage.
    pub(crate) fn in_outage(outage: Option<Outage>) -> Self {
        Self { outage, ..Self::default() }
    }

    pub(crate) fn is_calm(&self) -> bool {
        *self == Self::default()
    }

    /// What of it is left when parts are switched off.
    pub(crate) fn only(self, has: impl Fn(Part) -> bool) -> Self {
        Self {
            rates: if has(Part::Rates) { self.rates } else { BTreeMap::new() },
            skew_ms: if has(Part::Skew) { self.skew_ms } else { 0 },
            kept: if has(Part::Kept) { self.kept } else { 0 },
            outage: self.outage.filter(|_| has(Part::Outage)),
            late_wakes: if has(Part::LateWakes) { self.late_wakes } else { 0 },
            lag_ms: if has(Part::Lag) { self.lag_ms } else { 0 },
            outside: if has(Part::Rates) { self.outside } else { BTreeMap::new() },
            down: self.down.filter(|_| has(Part::Outage)),
            gateway: if has(Part::Rates) { self.gateway } else { BTreeMap::new() },
            closed: self.closed.filter(|_| has(Part::Outage)),
        }
    }

    /// In words, as far as it is not the rates of what goes wrong now and then.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(Outage { from_ms, to_ms, class, fault, rate }) = self.outage {
            let (from, to) = (stamp(from_ms), stamp(to_ms));
            words.push(format!("an outage from {from} to {to}: {}, {} in 100", fault.at(class), rate / 100));
        }
        if let Some(Outage { from_ms, to_ms, class, fault, rate }) = self.down {
            let (from, to) = (stamp(from_ms), stamp(to_ms));
            words.push(format!("endpoints are down from {from} to {to}: {}, {} in 100", fault.at(class), rate / 100));
        }
        if let Some(Outage { from_ms, to_ms, class, fault, rate }) = self.closed {
            let (from, to) = (stamp(from_ms), stamp(to_ms));
            words.push(format!("the gateway is away from {from} to {to}: {}, {} in 100", fault.at(class), rate / 100));
        }
        if self.skew_ms > 0 {
            words.push(format!("clocks up to {} wrong", stamp(self.skew_ms)));
        }
        if self.late_wakes > 0 {
            words.push("wakes come late".to_owned());
        }
        if self.lag_ms > 0 {
            words.push(format!("reads up to {} behind", stamp(self.lag_ms)));
        }
        if self.kept > 0 {
            words.push("copies of deliveries are kept".to_owned());
        }
        words
    }

    /// What strikes a call of this kind, if anything.
    pub(crate) fn strike(&self, rng: &mut fastrand::Rng, class: Class, elapsed_ms: i64) -> Option<Fault> {
        if let Some(outage) = self.outage.filter(|outage| outage.strikes(elapsed_ms, rng, class)) {
            return Some(outage.fault);
        }
        if let Some(down) = self.down.filter(|down| down.strikes(elapsed_ms, rng, class)) {
            return Some(down.fault);
        }
        if let Some(closed) = self.closed.filter(|closed| closed.strikes(elapsed_ms, rng, class)) {
            return Some(closed.fault);
        }
        let mut left = rng.u32(0..10_000);
        // Objects are read and deleted rarely.
        let often = if class == Class::Object { 6 } else { 1 };
        for (fault, rate) in self.rates.iter().filter(|(fault, _)| fault.strikes(class)) {
            match left.checked_sub(*rate * often) {
                Some(rest) => left = rest,
                None => return Some(*fault),
            }
        }
        let of_gateway = matches!(class, Class::Gateway | Class::Money | Class::Telling);
        let at_gateway = self.gateway.iter().filter(|(fault, _)| of_gateway && fault.strikes(class));
        for (fault, rate) in self.outside.iter().filter(|_| class == Class::Outside).chain(at_gateway) {
            match left.checked_sub(*rate) {
                Some(rest) => left = rest,
                None => return Some(*fault),
            }
        }
        None
    }

    pub(crate) fn skew_of(&self, stream: u64, who: &str) -> i64 {
        if self.skew_ms == 0 { 0 } else { chance::at(stream, who, 1).i64(-self.skew_ms..=self.skew_ms) }
    }
}
