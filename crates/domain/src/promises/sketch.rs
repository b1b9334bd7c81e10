//! Whether everything agrees, in memory that does not grow: each claim that stands in two places is added where it
//! stands first and taken away where it stands second, as a number of 128 bits that nobody can foresee. What agrees sums
//! to nothing. Where something is left over, or an order is wrong by itself, the bucket is suspect, and only what falls
//! into it has to be looked at one by one.
//!
//! | claim | is said by | and by |
//! |---|---|---|
//! | so much was taken for this order, from whom, in which currency | the order | the entry |
//! | so much was given back of it, to whom, in which currency | the order | the entry |
//! | the same, of what it was paid with by card | the order | the payment's entry |
//! | this passage of this order is told to its customer | the order's timeline | the notification |
//! | this deposit made this entry | the deposit | the entry |
//!
//! Not here: what stock and slots come to, of which [`super::Shelves`] hold the sums; and who waits where. That changes all the time, and both places are known by their keys, so whoever reads asks
//! for them. Deliveries name their notifications by key too.

use sha2::{Digest as _, Sha256};

use super::subjects::{Subject, Until, is_wrong_alone};
use crate::Timestamp;
use crate::accounts::{Cause, Deposit, Entry};
use crate::books::{Item, Version};
use crate::ids::Digest;
use crate::messages::Notification;
use crate::notices;
use crate::orders::{Order, PayWith};
use crate::payments::{PaymentCause, PaymentEntry};

/// 2^18 buckets take 8 MB. Of a hundred million orders and deposits some four hundred share one.
pub const BUCKETS_BITS: u32 = 18;

const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

#[derive(Clone)]
struct Bucket {
    left_over: u128,
    /// When the first of its orders is to be looked at.
    due: Timestamp,
    is_suspect: bool,
}

/// See the head of this module.
pub struct Sketch {
    spread: Spread,
    key: [u8; 16],
    until: Until,
    buckets: Vec<Bucket>,
}

/// Which bucket something falls into. Keyed, so that nobody can fill one.
#[derive(Clone, Copy)]
struct Spread {
    factor: u64,
    bits: u32,
}

impl Spread {
    fn bucket(self, subject: &Subject) -> usize {
        let id = match subject {
            Subject::Order(id) => id.digest(),
            Subject::Deposit(id) => id.digest(),
        };
        let mut start = [0; 8];
        start.copy_from_slice(&id.bytes()[..8]);
        let mixed = u64::from_be_bytes(start).wrapping_mul(self.factor);
        usize::try_from(mixed >> (u64::BITS - self.bits)).expect("a bucket's number is small")
    }
}

impl Sketch {
    /// `chance` is fresh for each run; what was chosen to fit an earlier one does not fit this.
    pub fn new(chance: u128, bits: u32, until: Until) -> Self {
        let spread = Spread { factor: u64::try_from(chance >> 64).expect("half of it fits") | 1, bits };
        let empty = Bucket { left_over: 0, due: NEVER, is_suspect: false };
        Self { spread, key: chance.to_be_bytes(), until, buckets: vec![empty; 1 << bits] }
    }

    /// Takes every item once, in any order.
    pub fn see(&mut self, item: &Item, version: Version) {
        match item {
            Item::Entry(entry) => self.see_entry(entry),
            Item::PaymentEntry(entry) => self.see_payment_entry(entry),
            Item::Deposit(deposit) => self.see_deposit(deposit),
            Item::Order(order) => self.see_order(order, version),
            Item::Notification(notification) => self.see_notification(notification),
            Item::Account(_)
            | Item::Waiting(_)
            | Item::Unreadable(_)
            | Item::Product(_)
            | Item::Stock(_)
            | Item::Receipt(_)
            | Item::Slot(_)
            | Item::ListedSlot(_)
            | Item::Profile(_)
            | Item::Attempts(_)
            | Item::Endpoint(_)
            | Item::Delivery(_)
            | Item::Payment(_)
            | Item::Refund(_)
            | Item::Stub(_)
            | Item::Callback(_)
            | Item::Breaker(_) => {}
        }
    }

    /// Something about it is not right that its claims do not show.
    pub fn suspect(&mut self, subject: &Subject) {
        self.bucket(subject).is_suspect = true;
    }

    /// Where something is left over, or should have been looked at before `settled`.
    pub fn suspects(&self, settled: Timestamp) -> Suspects {
        let is_suspect = |bucket: &Bucket| bucket.is_suspect || bucket.left_over != 0 || bucket.due < settled;
        Suspects { spread: self.spread, buckets: self.buckets.iter().map(is_suspect).collect() }
    }

    fn bucket(&mut self, subject: &Subject) -> &mut Bucket {
        let place = self.spread.bucket(subject);
        &mut self.buckets[place]
    }

    fn see_entry(&mut self, entry: &Entry) {
        if !self.until.counts(entry.at) {
            return;
        }
        let moved = i128::from(entry.amount.minor());
        let (subject, claim) = match entry.cause {
            Cause::Order(id) => {
                let claim = self.claim("charge").id(id.digest()).id(entry.customer.digest());
                (Subject::Order(id), claim.text(entry.currency.code()).number(-moved))
            }
            Cause::Refund(id) => {
                let claim = self.claim("refund").id(id.digest()).id(entry.customer.digest());
                (Subject::Order(id), claim.text(entry.currency.code()).number(moved))
            }
            Cause::Deposit(id) => {
                let claim = self.claim("deposit").id(id.digest()).id(entry.customer.digest());
                let claim = claim.text(entry.currency.code()).number(moved).number(i128::from(entry.number));
                (Subject::Deposit(id), claim.number(i128::from(entry.balance.minor())))
            }
        };
        self.take(&subject, claim);
    }

    /// What an order is paid with by card stands in its payment.
    fn see_payment_entry(&mut self, entry: &PaymentEntry) {
        if !self.until.counts(entry.at) {
            return;
        }
        let moved = i128::from(entry.amount.minor());
        let (kind, order, moved) = match entry.cause {
            PaymentCause::Order(order) => ("card charge", order, -moved),
            PaymentCause::OrderBack(order) => ("card refund", order, moved),
            PaymentCause::Capture
            | PaymentCause::Elsewhere
            | PaymentCause::SetAside(_)
            | PaymentCause::GivenBack(_)
            | PaymentCause::Kept(_) => return,
        };
        let claim = self.claim(kind).id(order.digest()).id(entry.customer.digest());
        self.take(&Subject::Order(order), claim.text(entry.currency.code()).number(moved));
    }

    fn see_deposit(&mut self, deposit: &Deposit) {
        if !self.until.counts(deposit.created_at) {
            return;
        }
        let claim = self.claim("deposit").id(deposit.id.digest()).id(deposit.customer.digest());
        let claim = claim.text(deposit.currency.code()).number(i128::from(deposit.amount.minor()));
        let claim = claim.number(i128::from(deposit.entry)).number(i128::from(deposit.balance_after.minor()));
        self.add(&Subject::Deposit(deposit.id), claim);
    }

    fn see_order(&mut self, order: &Order, version: Version) {
        let subject = Subject::Order(order.id);
        if is_wrong_alone(order, version) {
            self.suspect(&subject);
        }
        let due = order.look_at.filter(|_| !order.state.has_ended()).unwrap_or(NEVER);
        let bucket = self.bucket(&subject);
        bucket.due = bucket.due.min(due);
        let (charge, refund) = match order.pay_with {
            PayWith::Balance => ("charge", "refund"),
            PayWith::Card(_) => ("card charge", "card refund"),
        };
        for (kind, moved) in [(charge, self.until.taken(order)), (refund, self.until.given_back(order))] {
            if moved != 0 {
                let claim = self.claim(kind).id(order.id.digest()).id(order.customer.digest());
                self.add(&subject, claim.text(order.currency.code()).number(moved));
            }
        }
        for passage in &order.timeline {
            if self.until.counts(passage.at) && notices::is_told(&passage.told) {
                let event = passage.event(&order.id);
                let claim = self.claim("told").id(order.id.digest()).id(order.customer.digest());
                self.add(&subject, claim.text(event.teller.name()).id(&event.id).event(event.version, event.index));
            }
        }
    }

    fn see_notification(&mut self, told: &Notification) {
        if !self.until.counts(told.at) {
            return;
        }
        let claim = self.claim("told").id(told.order.digest()).id(told.customer.digest());
        let claim = claim.text(told.event.teller.name()).id(&told.event.id);
        let claim = claim.event(told.event.version, told.event.index);
        self.take(&Subject::Order(told.order), claim);
    }

    fn claim(&self, kind: &str) -> Claim {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        Claim(hasher).text(kind)
    }

    fn add(&mut self, subject: &Subject, claim: Claim) {
        let bucket = self.bucket(subject);
        bucket.left_over = bucket.left_over.wrapping_add(claim.sum());
    }

    fn take(&mut self, subject: &Subject, claim: Claim) {
        let bucket = self.bucket(subject);
        bucket.left_over = bucket.left_over.wrapping_sub(claim.sum());
    }
}

/// What is claimed, part by part; texts with their length, so that no two claims look alike.
struct Claim(Sha256);

impl Claim {
    fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
        self
    }

    fn id(mut self, id: &Digest) -> Self {
        self.0.update(id.bytes());
        self
    }

    fn number(mut self, number: i128) -> Self {
        self.0.update(number.to_be_bytes());
        self
    }

    fn event(self, version: Version, index: u32) -> Self {
        self.number(i128::from(version)).number(i128::from(index))
    }

    fn sum(self) -> u128 {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize()[..16]);
        u128::from_be_bytes(half)
    }
}

/// The buckets in which something does not agree.
pub struct Suspects {
    spread: Spread,
    buckets: Vec<bool>,
}

impl Suspects {
    pub fn count(&self) -> usize {
        self.buckets.iter().filter(|is_suspect| **is_suspect).count()
    }

    /// The number of its bucket, if that is suspect.
    pub fn bucket_of(&self, subject: &Subject) -> Option<usize> {
        let place = self.spread.bucket(subject);
        self.buckets[place].then_some(place)
    }
}
