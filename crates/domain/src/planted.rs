//! Bugs of the kinds that happen, each at its place in the code and all of them switched off, so that the simulator can
//! be seen to find them. They exist in a build with the feature `planted`, which only the simulator's own command asks
//! for; in every other, [`planted!`](crate::planted!) is the constant `false` and nothing of a bug is compiled.
//!
//! One at a time is active, in one thread, for as long as its [`Plot`] is held.

/// Whether this build has bugs in it. Whatever is deployed asserts that it has none.
pub const IS_PLANTED: bool = cfg!(feature = "planted");

/// What a build with bugs says of itself, and no other does.
pub const MARKER: &str = "bugs are planted in this build";

/// Whether this bug is active here: `planted!(FingerprintIgnored)`.
#[cfg(feature = "planted")]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_active($crate::planted::Bug::$bug)
    };
}

/// Whether this bug is active here: never, in this build.
#[cfg(not(feature = "planted"))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        const { $crate::planted::is_active($crate::planted::Bug::$bug) }
    };
}

/// Nothing is planted in this build.
#[cfg(not(feature = "planted"))]
pub const fn is_active(_: Bug) -> bool {
    false
}

macro_rules! bugs {
    ($($bug:ident = $name:literal, $wrong:literal;)*) => {
        /// What can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug { $(#[doc = $wrong] $bug,)* }

        #[cfg(feature = "planted")]
        impl Bug {
            pub const ALL: &'static [Self] = &[$(Self::$bug),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name,)* }
            }

            /// What is wrong, in a sentence.
            pub const fn wrong(self) -> &'static str {
                match self { $(Self::$bug => $wrong,)* }
            }
        }
    };
}

bugs! {
    // Decisions.
    WakeOnlyFromZero = "wake-only-from-zero", "a deposit wakes only if nothing was on the account before";
    FingerprintIgnored = "fingerprint-ignored", "another request under a used key is answered as if it were the first";
    DepositWindow = "deposit-window", "a deposit's key is remembered for five minutes, as a queue remembers a message";
    OrderLease = "order-lease",
        "an order that has not ended after a minute is taken for an attempt that died, and placed anew";
    EffectAlone = "effect-alone", "money is taken in, and the record that it was is not in the same commit";
    StepAlone = "step-alone", "an order is paid and completed, and the charge is not in the same commit";
    WholeBalanceRefused = "whole-balance-refused", "an order for all that is on the account is refused: `<=` for `<`";
    DeadlineMoves = "deadline-moves", "the deadline of an order is counted anew whenever it is parked or stalled";
    StallEndsWaiting = "stall-ends-waiting", "a stalled order waits until its pause is over, not until its deadline";
    PlaceLeft = "place-left", "an order that is cancelled keeps its place among those that wait";
    AnothersShown = "anothers-shown", "an order is shown to whoever knows its id";
    LostWakeUp = "lost-wake-up", "what a decision only read is not checked when it is committed";
    BatchSeesPast = "batch-sees-past",
        "each order of a batch is decided on what was loaded, not on what those before it left";
    KeyWithoutCustomer = "key-without-customer", "an idempotency key is looked up without whose it is";
    // Goods.
    OneTooMany = "one-too-many", "the last piece of a stock is sold twice";
    ReleaseForgotten = "release-forgotten", "what is cancelled is no longer reserved, and its goods stay away";
    ReleasedTwice = "released-twice", "what is cancelled gives its goods back twice";
    ReservationKept = "reservation-kept", "what is cancelled keeps its goods and says so";
    ReleaseUntold = "release-untold", "goods that are given back wake nobody";
    RefundUntold = "refund-untold", "money that is given back wakes nobody";
    UndoneForwards = "undone-forwards", "what is cancelled is undone in the order in which it was done";
    SlotOverfull = "slot-overfull", "a full slot takes one more: `<=` for `<`";
    RaiseUntold = "raise-untold", "a slot wakes those who wait only when it is opened, not when it is raised";
    ParkedUnchecked = "parked-unchecked", "an order is parked over a stock that it only looked at";
    PlaceKeptOnMove = "place-kept-on-move", "an order that moves to another queue keeps its place in the first";
    ReceiptAnew = "receipt-anew", "a receipt that comes again is taken in again";
    AcceptedUnseen = "accepted-unseen", "a courier takes an order without a look at its slot";
    // What is told.
    NoticeWithoutIndex = "notice-without-index", "two notices of one commit have the same deduplication id";
    // What is told outside.
    AttemptUncounted = "attempt-uncounted", "an attempt is counted after its call, not before it";
    RepeatAttempts = "repeat-attempts", "a repeat of a message begins another attempt of its delivery";
    OnlyTwoHundred = "only-two-hundred", "what an endpoint took and answered with another 2xx than 200 is sent again";
    UnknownIsDelivered = "unknown-is-delivered", "a call that nobody came back to tell of is taken for delivered";
    PutOffIgnored = "put-off-ignored", "an endpoint that asks to be left alone for longer is not";
    GivenUpCalled = "given-up-called", "what is on its way to an endpoint is sent there though it was given up";
    GivenUpForEver = "given-up-for-ever", "an endpoint that was given up is not tried again when it is set again";
    OldUrlBlamed = "old-url-blamed", "what an old url answers is held against the new one";
    NoOverlap = "no-overlap", "what was replaced as a secret is not signed with any more";
    SecretAnew = "secret-anew", "an endpoint that is moved gets a new secret";
    ReplacedTwice = "replaced-twice", "a request to replace a secret that comes twice replaces it twice";
    IdByAttempt = "id-by-attempt", "each attempt of a delivery has an id of its own";
    EndpointOfTheFirst = "endpoint-of-the-first",
        "the endpoint is looked up for the first notification of a batch alone";
    DeliveriesUnswept = "deliveries-unswept", "the sweep leaves out deliveries";
    // Cards.
    SentUnasked = "sent-unasked", "what may have arrived at a gateway is sent again without asking for it";
    DoubtForgotten = "doubt-forgotten", "that an attempt may have arrived is kept after its call, not before it";
    CallUncounted = "call-uncounted", "an attempt at a gateway is counted after its call, not before it";
    KeyByAttempt = "key-by-attempt", "each attempt at a gateway has a key of its own";
    LateCaptureIgnored = "late-capture-ignored", "what is captured after nobody knew for long is booked, and that is all";
    UnheardIsDeclined = "unheard-is-declined", "a payment of which the gateway says nothing is taken for declined";
    PendingUndoes = "pending-undoes", "that a payment is pending, heard late, undoes that it is captured";
    OtherMoneyTaken = "other-money-taken", "what a gateway reports is not held against the amount of its payment";
    StubDropped = "stub-dropped", "what was reported of a payment before it was there is forgotten when it is made";
    CallbackBodyIgnored = "callback-body-ignored", "a callback is known again by its id, whatever it says";
    OldCallbackTaken = "old-callback-taken", "how long ago a callback was signed is not looked at";
    RefundUncounted = "refund-uncounted", "what is on its way back does not count against what may still go back";
    UnfinishedRefunded = "unfinished-refunded", "of an order by card that is not completed money goes back on request";
    CaptureForEnded = "capture-for-ended", "what is captured for an order that has ended stays";
    WithdrawnUnasked = "withdrawn-unasked", "a payment whose order has ended is given up without asking for it";
    DeclineUntold = "decline-untold", "an order does not learn that its card was declined";
    NeverHalfOpen = "never-half-open", "a breaker that is open stays so";
    PaymentsUnswept = "payments-unswept", "the sweep leaves out payments";
    // How it is kept.
    StockUnconditional = "stock-unconditional", "stock is written over whatever version is there";
    VersionNotCompared = "version-not-compared", "an item is written over whatever version is there";
    AbsenceNotChecked = "absence-not-checked", "a new item is written over one that is there";
    UnknownIsDone = "unknown-is-done", "a write whose answer was lost is taken for done";
    LostRaceStale = "lost-race-stale", "after a lost race the decision is made again on what was read before it";
    ConflictSwallowed = "conflict-swallowed", "a transaction that was cancelled for a rival's is taken for done";
    StaleGet = "stale-get", "an item that is shown is not read consistently";
    StaleWaiters = "stale-waiters", "those who wait are not read consistently";
    PageSkips = "page-skips", "the item that shows that there is a next page takes the place of the last of this one";
    // How it is carried.
    FailedEntriesIgnored = "failed-entries-ignored",
        "messages that a queue did not take out of a batch are taken for sent";
    BusFailuresIgnored = "bus-failures-ignored", "events that the bus did not take out of a batch are taken for sent";
    RelayNamesLast = "relay-names-last",
        "of the records that failed the last is named, and the mapping goes on from there";
    WakeSwallowed = "wake-swallowed", "waiters that could not be woken are logged, and their message is done";
    WakeStopsAtFirst = "wake-stops-at-first", "a waiter who cannot be served ends the pass";
    WakeStopsAtThirty = "wake-stops-at-thirty", "a wake serves the first thirty and leaves the rest";
    LastShardUnswept = "last-shard-unswept", "the sweep leaves out the last shard: `..` for `..=`";
    NoticeSwallowed = "notice-swallowed", "a notification that could not be kept is logged, and its message is done";
    DeadLetterSwallowed = "dead-letter-swallowed", "a dead letter that could not be taken up is logged, and is gone";
    DeadWakeForgotten = "dead-wake-forgotten", "of dead letters only orders and notifications are taken up, no wakes";
    RecordsDeletedUnsent = "records-deleted-unsent",
        "failed records are deleted whether or not their events could be sent";
    // What is shown.
    ReplayShowsNow = "replay-shows-now", "the repeat of a request is answered with the order as it stands";
}

#[cfg(feature = "planted")]
mod active {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// The bug that is active in this thread, until this is dropped.
    #[derive(Debug)]
    #[must_use]
    pub struct Plot {
        before: Option<Bug>,
    }

    impl Plot {
        pub fn with(bug: Option<Bug>) -> Self {
            Self { before: ACTIVE.replace(bug) }
        }
    }

    impl Drop for Plot {
        fn drop(&mut self) {
            ACTIVE.set(self.before);
        }
    }

    pub fn is_active(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub use active::{Plot, is_active};
