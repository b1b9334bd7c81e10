//! How badly the gateway behaves: what may go wrong, how often, and for how long.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Something that a gateway does and should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mischief {
    // Of the call. One at most comes true, the first of these that is thrown.
    /// 429 with `Retry-After`; nothing is done.
    TooMany,
    /// Nothing is done, and nothing is answered.
    TimeoutBefore,
    /// 500; nothing is done, nothing is kept under the key.
    ErrorBefore,
    /// 500; nothing is done, and that is kept under the key: a repeat gets it again.
    ErrorKept,
    /// Nothing is answered, and it is done a good while later: whoever asks in between is told that there is nothing.
    ArrivesLate,
    /// It is done, and nothing is answered.
    TimeoutAfter,
    /// It is done, and the answer is 500. Stripe keeps that under the key, the plain protocol does not.
    ErrorAfter,
    /// It is done at once and answered late; until then the key is in use.
    Slow,

    // Of what comes of it.
    Decline,
    /// First it is pending; later it is done, or declined.
    SettleLater,

    // Of the callbacks. Any of them together.
    CallbackTwice,
    /// Sent again under the same id with another amount.
    CallbackAltered,
    /// Held back until the next one of the same charge has gone.
    CallbackOutOfOrder,
    CallbackLate,
    /// Sent before the call is answered.
    CallbackEarly,
    CallbackWrongAmount,
    CallbackWrongCurrency,
    /// The first attempt is signed with another key; what is sent again is signed as it should be.
    CallbackBadSignature,
    /// The first attempt is signed as of an hour ago.
    CallbackStale,
    CallbackNever,
}

/// What a mischief is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Call,
    Outcome,
    Callback,
}

impl Mischief {
    pub const ALL: [Self; 20] = [
        Self::TooMany,
        Self::TimeoutBefore,
        Self::ErrorBefore,
        Self::ErrorKept,
        Self::ArrivesLate,
        Self::TimeoutAfter,
        Self::ErrorAfter,
        Self::Slow,
        Self::Decline,
        Self::SettleLater,
        Self::CallbackTwice,
        Self::CallbackAltered,
        Self::CallbackOutOfOrder,
        Self::CallbackLate,
        Self::CallbackEarly,
        Self::CallbackWrongAmount,
        Self::CallbackWrongCurrency,
        Self::CallbackBadSignature,
        Self::CallbackStale,
        Self::CallbackNever,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TimeoutBefore => "timeout_before",
            Self::ErrorBefore => "error_before",
            Self::ErrorKept => "error_kept",
            Self::ArrivesLate => "arrives_late",
            Self::TimeoutAfter => "timeout_after",
            Self::ErrorAfter => "error_after",
            Self::Slow => "slow",
            Self::Decline => "decline",
            Self::SettleLater => "settle_later",
            Self::CallbackTwice => "callback_twice",
            Self::CallbackAltered => "callback_altered",
            Self::CallbackOutOfOrder => "callback_out_of_order",
            Self::CallbackLate => "callback_late",
            Self::CallbackEarly => "callback_early",
            Self::CallbackWrongAmount => "callback_wrong_amount",
            Self::CallbackWrongCurrency => "callback_wrong_currency",
            Self::CallbackBadSignature => "callback_bad_signature",
            Self::CallbackStale => "callback_stale",
            Self::CallbackNever => "callback_never",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mischief| mischief.name() == name)
    }

    pub const fn group(self) -> Group {
        match self {
            Self::TooMany
            | Self::TimeoutBefore
            | Self::ErrorBefore
            | Self::ErrorKept
            | Self::ArrivesLate
            | Self::TimeoutAfter
            | Self::ErrorAfter
            | Self::Slow => Group::Call,
            Self::Decline | Self::SettleLater => Group::Outcome,
            Self::CallbackTwice
            | Self::CallbackAltered
            | Self::CallbackOutOfOrder
            | Self::CallbackLate
            | Self::CallbackEarly
            | Self::CallbackWrongAmount
            | Self::CallbackWrongCurrency
            | Self::CallbackBadSignature
            | Self::CallbackStale
            | Self::CallbackNever => Group::Callback,
        }
    }
}

/// Of ten thousand.
pub type Rates = BTreeMap<Mischief, u32>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mood {
    pub rates: Rates,
    pub timing: Timing,
}

/// How long things take. Two numbers are the least and the most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    pub slow_ms: [u64; 2],
    pub arrives_late_ms: [u64; 2],
    /// How long a call without an answer is held before the connection ends.
    pub silence_ms: u64,
    pub retry_after_s: [u64; 2],
    pub settle_ms: [u64; 2],
    /// From the answer, or from settling, to the callback.
    pub callback_ms: [u64; 2],
    pub callback_late_ms: [u64; 2],
    /// By how much a callback that is early comes before the answer.
    pub early_ms: [u64; 2],
    /// Pauses before a callback that was not taken is sent again; after the last it is given up.
    pub callback_retries_ms: Vec<u64>,
    /// How long after a change Stripe's search finds it.
    pub search_lag_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            slow_ms: [1_000, 8_000],
            arrives_late_ms: [15_000, 120_000],
            silence_ms: 30_000,
            retry_after_s: [1, 5],
            settle_ms: [200, 5_000],
            callback_ms: [20, 300],
            callback_late_ms: [20_000, 180_000],
            early_ms: [50, 500],
            callback_retries_ms: vec![1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000, 14_400_000],
            search_lag_ms: 30_000,
        }
    }
}

/// Longer than anything here is meant to take.
const MOST_MS: u64 = 30 * 24 * 3_600_000;

impl Mood {
    /// The moods that have a name.
    pub const NAMES: [&str; 3] = ["calm", "usual", "foul"];

    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self::default()
    }

    /// A little goes wrong, and nothing that needs a person to be put right.
    pub fn usual() -> Self {
        Self::of(&[
            (Mischief::TooMany, 50),
            (Mischief::TimeoutBefore, 50),
            (Mischief::ErrorBefore, 100),
            (Mischief::ArrivesLate, 20),
            (Mischief::TimeoutAfter, 100),
            (Mischief::Slow, 200),
            (Mischief::Decline, 100),
            (Mischief::SettleLater, 3_000),
            (Mischief::CallbackTwice, 500),
            (Mischief::CallbackOutOfOrder, 200),
            (Mischief::CallbackLate, 200),
            (Mischief::CallbackEarly, 300),
            (Mischief::CallbackBadSignature, 50),
            (Mischief::CallbackStale, 50),
            (Mischief::CallbackNever, 20),
        ])
    }

    /// Everything goes wrong, and often.
    pub fn foul() -> Self {
        Self::of(&[
            (Mischief::TooMany, 500),
            (Mischief::TimeoutBefore, 500),
            (Mischief::ErrorBefore, 500),
            (Mischief::ErrorKept, 100),
            (Mischief::ArrivesLate, 300),
            (Mischief::TimeoutAfter, 1_000),
            (Mischief::ErrorAfter, 500),
            (Mischief::Slow, 1_000),
            (Mischief::Decline, 1_000),
            (Mischief::SettleLater, 5_000),
            (Mischief::CallbackTwice, 3_000),
            (Mischief::CallbackAltered, 200),
            (Mischief::CallbackOutOfOrder, 2_000),
            (Mischief::CallbackLate, 2_000),
            (Mischief::CallbackEarly, 2_000),
            (Mischief::CallbackWrongAmount, 200),
            (Mischief::CallbackWrongCurrency, 100),
            (Mischief::CallbackBadSignature, 1_000),
            (Mischief::CallbackStale, 500),
            (Mischief::CallbackNever, 500),
        ])
    }

    pub fn named(name: &str) -> Option<Self> {
        match name {
            "calm" => Some(Self::calm()),
            "usual" => Some(Self::usual()),
            "foul" => Some(Self::foul()),
            _ => None,
        }
    }

    fn of(rates: &[(Mischief, u32)]) -> Self {
        Self { rates: rates.iter().copied().collect(), timing: Timing::default() }
    }

    pub(crate) fn rate(&self, mischief: Mischief) -> u32 {
        self.rates.get(&mischief).copied().unwrap_or(0)
    }

    /// What is wrong with it, if anything.
    pub fn objection(&self) -> Option<String> {
        if let Some((mischief, rate)) = self.rates.iter().find(|(_, rate)| **rate > 10_000) {
            return Some(format!("the rate of {} is {rate}; a rate is of ten thousand", mischief.name()));
        }
        let Timing {
            slow_ms,
            arrives_late_ms,
            silence_ms,
            retry_after_s,
            settle_ms,
            callback_ms,
            callback_late_ms,
            early_ms,
            callback_retries_ms,
            search_lag_ms,
        } = &self.timing;
        let ranges = [
            ("slow_ms", slow_ms),
            ("arrives_late_ms", arrives_late_ms),
            ("retry_after_s", retry_after_s),
            ("settle_ms", settle_ms),
            ("callback_ms", callback_ms),
            ("callback_late_ms", callback_late_ms),
            ("early_ms", early_ms),
        ];
        for (name, [least, most]) in ranges {
            if least > most {
                return Some(format!("{name} is from {least} to {most}; the least comes first"));
            }
        }
        let all = ranges.into_iter().map(|(name, [_, most])| (name, *most));
        let retries = callback_retries_ms.iter().map(|pause| ("callback_retries_ms", *pause));
        let single = [("silence_ms", *silence_ms), ("search_lag_ms", *search_lag_ms)];
        let mut all = all.chain(retries).chain(single);
        all.find(|(_, most)| *most > MOST_MS).map(|(name, most)| format!("{name} is {most}; the most is {MOST_MS}"))
    }
}

/// What is asked for one request, or a few, instead of what the mood would do to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Empty is that nothing goes wrong.
    pub mischiefs: BTreeSet<Mischief>,
    /// For how many requests it holds.
    #[serde(default = "once")]
    pub times: u32,
    /// Only for requests of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallKind>,
    /// Only for requests with this idempotency key, or about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only for charges with this reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

const fn once() -> u32 {
    1
}

impl Order {
    pub fn next(mischiefs: impl IntoIterator<Item = Mischief>) -> Self {
        Self { mischiefs: mischiefs.into_iter().collect(), times: 1, call: None, key: None, reference: None }
    }

    pub(crate) fn is_for(&self, call: CallKind, key: Option<&str>, reference: Option<&str>) -> bool {
        let fits =
            |wanted: &Option<String>, given: Option<&str>| wanted.as_deref().is_none_or(|wanted| given == Some(wanted));
        self.call.is_none_or(|wanted| wanted == call) && fits(&self.key, key) && fits(&self.reference, reference)
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    Charge,
    Refund,
    Ask,
}

/// A reference that begins so says what is to go wrong with its charge, the first time it is asked for.
const SPELL: &str = "misbehave:";

/// What a reference asks for: names after `misbehave:`, parted by commas. Whatever follows a second colon is not read, so
/// that references can differ.
pub(crate) fn spelled_in(reference: &str) -> Option<BTreeSet<Mischief>> {
    let names = reference.strip_prefix(SPELL)?;
    let names = names.split(':').next().unwrap_or(names);
    names.split(',').map(|name| Mischief::named(name.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mischief_has_one_name_everywhere() {
        for mischief in Mischief::ALL {
            assert_eq!(serde_json::to_value(mischief).unwrap(), mischief.name());
            assert_eq!(Mischief::named(mischief.name()), Some(mischief));
        }
        assert_eq!(Mischief::ALL.into_iter().collect::<BTreeSet<_>>().len(), Mischief::ALL.len());
        assert_eq!(Mischief::named("worse"), None);
    }

    #[test]
    fn moods_with_a_name_are_sound_and_the_foul_one_has_everything() {
        for name in Mood::NAMES {
            assert_eq!(Mood::named(name).unwrap().objection(), None, "{name}");
        }
        assert!(Mischief::ALL.iter().all(|mischief| Mood::foul().rate(*mischief) > 0));
        assert!(Mischief::ALL.iter().all(|mischief| Mood::calm().rate(*mischief) == 0));
        assert_eq!(Mood::named("jolly"), None);
    }

    #[test]
    fn a_mood_that_makes_no_sense_is_told_why() {
        let mut mood = Mood::usual();
        mood.rates.insert(Mischief::Slow, 10_001);
        assert_eq!(mood.objection().unwrap(), "the rate of slow is 10001; a rate is of ten thousand");
        let mut mood = Mood::calm();
        mood.timing.settle_ms = [2, 1];
        assert_eq!(mood.objection().unwrap(), "settle_ms is from 2 to 1; the least comes first");
        let mut mood = Mood::calm();
        mood.timing.callback_retries_ms = vec![u64::MAX];
        assert!(mood.objection().unwrap().starts_with("callback_retries_ms is 18446744073709551615"));
    }

    #[test]
    fn a_reference_may_ask_for_it() {
        let both = BTreeSet::from([Mischief::TimeoutAfter, Mischief::CallbackTwice]);
        for reference in ["misbehave:timeout_after,callback_twice", "misbehave:callback_twice, timeout_after:order 7"] {
            assert_eq!(spelled_in(reference).as_ref(), Some(&both), "{reference}");
        }
        for reference in ["order 7", "misbehave:", "misbehave:worse", "Misbehave:slow", "misbehave:slow,worse"] {
            assert_eq!(spelled_in(reference), None, "{reference}");
        }
    }
}
