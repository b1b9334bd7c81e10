//! The books that a decision is made on: the items that were loaded, each with its version, and what became of them.
//!
//! A decision works on a [`Draft`]. What it reads it depends on; what it changes is written over the version that was
//! read. [`Books::changes`] turns that into one conditional write in which **every item that a change depended on is
//! written or checked**, by construction and not by care. Several decisions may be folded onto the same books: each
//! sees what those before it did, each item is written once, and a draft that was refused leaves nothing behind.
//!
//! Deliberately absent: how items are stored, and any way to write an item without saying over what.

use std::collections::BTreeMap;

use crate::accounts::{Account, Deposit, Entry};
use crate::attempts::{Attempts, Budget};
use crate::events::{Event, EventId, Told};
use crate::goods::{Product, Receipt, Stock};
use crate::ids::{
    CallbackId, CustomerId, DepositId, OrderId, PaymentId, ProfileId, ReceiptId, RefundId, Sku, SlotId, UnreadableId,
};
use crate::messages::{Notification, Unreadable};
use crate::orders::{Order, Resource, Waiting};
use crate::payments::{Breaker, Callback, Gateway, Payment, PaymentEntry, Refund, Stub};
use crate::profiles::Profile;
use crate::refusal::Refusal;
use crate::slots::{ListedSlot, Slot};
use crate::webhooks::{Delivery, Endpoint};
use crate::{Timestamp, planted};

pub type Version = u64;

/// The address of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Account(CustomerId),
    Entry(CustomerId, u64),
    Deposit(DepositId),
    Order(OrderId),
    Waiting(Resource, Timestamp, OrderId),
    Notification(CustomerId, Timestamp, EventId),
    Unreadable(UnreadableId),
    Product(Sku),
    Stock(Sku),
    Receipt(ReceiptId),
    Slot(SlotId),
    ListedSlot(SlotId),
    Profile(ProfileId),
    Attempts(Budget),
    Endpoint(CustomerId),
    Delivery(EventId),
    /// A payment, or what was heard of it before it was there.
    Payment(PaymentId),
    PaymentEntry(PaymentId, u64),
    /// A refund, or what was heard of it before it was there.
    Refund(RefundId),
    Callback(CallbackId),
    Breaker(Gateway),
}

/// Anything that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Account(Account),
    Entry(Entry),
    Deposit(Deposit),
    Order(Order),
    Waiting(Waiting),
    Notification(Notification),
    Unreadable(Unreadable),
    Product(Product),
    Stock(Stock),
    Receipt(Receipt),
    Slot(Slot),
    ListedSlot(ListedSlot),
    Profile(Profile),
    Attempts(Attempts),
    Endpoint(Endpoint),
    Delivery(Delivery),
    Payment(Payment),
    PaymentEntry(PaymentEntry),
    Refund(Refund),
    Stub(Stub),
    Callback(Callback),
    Breaker(Breaker),
}

/// What kinds of item have in common.
pub trait Kept: Clone {
    fn key(&self) -> Key;
    fn into_item(self) -> Item;
    fn of_item(item: &Item) -> Option<&Self>;
}

macro_rules! kept {
    ($($kind:ident: $item:ident => $key:expr;)*) => {
        $(impl Kept for $kind {
            fn key(&self) -> Key {
                let $item = self;
                $key
            }

            fn into_item(self) -> Item {
                Item::$kind(self)
            }

            fn of_item(item: &Item) -> Option<&Self> {
                match item {
                    Item::$kind(inner) => Some(inner),
                    _ => None,
                }
            }
        })*

        impl Item {
            pub fn key(&self) -> Key {
                match self {
                    $(Self::$kind(inner) => inner.key(),)*
                }
            }
        }
    };
}

kept! {
    Account: account => Key::Account(account.customer);
    Entry: entry => Key::Entry(entry.customer, entry.number);
    Deposit: deposit => Key::Deposit(deposit.id);
    Order: order => Key::Order(order.id);
    Waiting: waiting => Key::Waiting(waiting.resource, waiting.placed_at, waiting.order);
    Notification: notification => Key::Notification(notification.customer, notification.at, notification.event);
    Unreadable: unreadable => Key::Unreadable(unreadable.id);
    Product: product => Key::Product(product.sku);
    Stock: stock => Key::Stock(stock.sku);
    Receipt: receipt => Key::Receipt(receipt.id);
    Slot: slot => Key::Slot(slot.id);
    ListedSlot: listed => Key::ListedSlot(listed.slot);
    Profile: profile => Key::Profile(profile.id);
    Attempts: attempts => Key::Attempts(attempts.budget);
    Endpoint: endpoint => Key::Endpoint(endpoint.customer);
    Delivery: delivery => Key::Delivery(delivery.event);
    Payment: payment => Key::Payment(payment.id);
    PaymentEntry: entry => Key::PaymentEntry(entry.payment, entry.number);
    Refund: refund => Key::Refund(refund.id);
    Stub: stub => stub.of.key();
    Callback: callback => Key::Callback(callback.id);
    Breaker: breaker => Key::Breaker(breaker.gateway);
}

/// Why a decision ended without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It looks at items that were not loaded, or that others say have changed since. Load them and decide again.
    Needs(Vec<Key>),
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An item as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub item: Item,
    pub version: Version,
}

#[derive(Clone, Debug)]
struct Page {
    found: Option<Found>,
    now: Option<Item>,
    /// A change depended on it, so the commit writes or checks it.
    counts: bool,
    written: bool,
    events: Vec<Event>,
}

impl Page {
    fn new(found: Option<Found>) -> Self {
        let now = found.as_ref().map(|found| found.item.clone());
        Self { found, now, counts: false, written: false, events: Vec::new() }
    }

    fn version(&self) -> Option<Version> {
        self.found.as_ref().map(|found| found.version)
    }
}

/// What a commit has to do to one item. `over: None` is "only if absent".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    Put { key: Key, item: &'a Item, over: Option<Version>, events: &'a [Event] },
    Delete { key: Key, over: Version },
    Check { key: Key, over: Option<Version> },
}

impl Change<'_> {
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } | Self::Check { key, .. } => key,
        }
    }

    /// The version that a put leaves behind.
    pub const fn next_version(over: Option<Version>) -> Version {
        match over {
            Some(version) => version + 1,
            None => 1,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Books {
    pages: BTreeMap<Key, Page>,
}

impl Books {
    /// Lays an item out as it was loaded; `None` is an item that was looked for and is not there, or one that is
    /// presumed not to be, which the commit will find out.
    pub fn lay(&mut self, key: Key, found: Option<Found>) {
        self.pages.insert(key, Page::new(found));
    }

    pub fn knows(&self, key: &Key) -> bool {
        self.pages.contains_key(key)
    }

    /// Lets a decision draft its changes, and keeps them only if it comes to an end. What only looked and changed
    /// nothing need not hold at the commit, so it is forgotten.
    pub fn decide<T>(&mut self, decide: impl FnOnce(&mut Draft<'_>) -> Result<T, Halt>) -> Result<T, Halt> {
        let mut draft = Draft { books: self, touched: BTreeMap::new() };
        let decided = decide(&mut draft)?;
        let touched = draft.touched;
        if touched.values().any(|page| page.written) {
            for (key, mut page) in touched {
                page.counts = true;
                self.pages.insert(key, page);
            }
        }
        Ok(decided)
    }

    /// An item as it now stands, without depending on it.
    pub fn peek<T: Kept>(&self, key: &Key) -> Option<&T> {
        self.pages.get(key)?.now.as_ref().and_then(T::of_item)
    }

    /// Everything that the commit has to do, in one order that depends on nothing but the keys.
    pub fn changes(&self) -> Vec<Change<'_>> {
        let mut changes = Vec::new();
        for (key, page) in self.pages.iter().filter(|(_, page)| page.counts) {
            let (key, over) = (*key, page.version());
            changes.push(match (&page.now, over) {
                (Some(item), over) if page.written => Change::Put { key, item, over, events: &page.events },
                (None, Some(over)) if page.written => Change::Delete { key, over },
                _ if planted!(LostWakeUp) => continue,
                (_, over) => Change::Check { key, over },
            });
        }
        if changes.iter().all(|change| matches!(change, Change::Check { .. })) {
            changes.clear();
        }
        changes
    }
}

/// The books while one decision works on them.
#[derive(Debug)]
pub struct Draft<'a> {
    books: &'a Books,
    touched: BTreeMap<Key, Page>,
}

impl Draft<'_> {
    /// The item as it stands, after what this draft and those before it did. The decision depends on it from now on.
    pub fn get<T: Kept>(&mut self, key: Key) -> Result<Option<T>, Halt> {
        Ok(self.page(key)?.now.as_ref().and_then(T::of_item).cloned())
    }

    /// The item as it stands, without depending on it: what is done with it holds whatever becomes of it meanwhile.
    pub fn glance<T: Kept>(&self, key: Key) -> Result<Option<T>, Halt> {
        let page = self.touched.get(&key).or_else(|| self.books.pages.get(&key)).ok_or_else(|| needs(key))?;
        Ok(page.now.as_ref().and_then(T::of_item).cloned())
    }

    /// Asks for everything at once that the decision is going to look at, so that one more read brings it. Nothing
    /// depends on it yet.
    pub fn foresee(&self, keys: impl IntoIterator<Item = Key>) -> Result<(), Halt> {
        let is_known = |key: &Key| self.touched.contains_key(key) || self.books.knows(key);
        let missing: Vec<Key> = keys.into_iter().filter(|key| !is_known(key)).collect();
        if missing.is_empty() { Ok(()) } else { Err(Halt::Needs(missing)) }
    }

    /// Keeps the new state of an item that was looked at.
    pub fn put<T: Kept>(&mut self, item: T) -> Result<(), Halt> {
        let page = self.page(item.key())?;
        page.now = Some(item.into_item());
        page.written = true;
        Ok(())
    }

    /// Keeps a new item whose absence follows from what else is written, so that nobody looked: the commit will.
    pub fn insert<T: Kept>(&mut self, item: T) -> Result<(), Halt> {
        let key = item.key();
        if !self.books.knows(&key) {
            self.touched.entry(key).or_insert_with(|| Page::new(None));
        }
        self.put(item)
    }

    pub fn delete(&mut self, key: Key) -> Result<(), Halt> {
        let page = self.page(key)?;
        page.now = None;
        page.written = true;
        page.events.clear();
        Ok(())
    }

    /// The id that the next event told by this item will have.
    pub fn next_event(&mut self, key: Key) -> Result<EventId, Halt> {
        let page = self.page(key)?;
        let version = Change::next_version(page.version());
        let index = u32::try_from(page.events.len()).expect("a commit tells few events");
        Ok(EventId::new(&key, version, index))
    }

    /// Tells an event with the write of the item under `key`.
    pub fn tell(&mut self, key: Key, told: Told, at: Timestamp) -> Result<EventId, Halt> {
        let id = self.next_event(key)?;
        let page = self.page(key)?;
        assert!(page.written && page.now.is_some(), "an event rides on an item that is written");
        page.events.push(Event { at, told });
        Ok(id)
    }

    fn page(&mut self, key: Key) -> Result<&mut Page, Halt> {
        match self.touched.entry(key) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let page = self.books.pages.get(&key).ok_or_else(|| needs(key))?;
                let page = if planted!(BatchSeesPast) { Page::new(page.found.clone()) } else { page.clone() };
                Ok(entry.insert(page))
            }
        }
    }
}

fn needs(key: Key) -> Halt {
    Halt::Needs(vec![key])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Amount, Currency};

    fn account(subject: &str) -> Account {
        let customer = CustomerId::of("test", subject);
        Account::new(customer, Currency::from_code("EUR").unwrap(), Timestamp::from_millis(1))
    }

    fn laid(account: &Account, version: Version) -> Books {
        let mut books = Books::default();
        books.lay(account.key(), Some(Found { item: account.clone().into_item(), version }));
        books
    }

    #[test]
    fn what_was_not_loaded_is_asked_for() {
        let key = account("alice").key();
        assert_eq!(Books::default().decide(|draft| draft.get::<Account>(key)), Err(needs(key)));
    }

    #[test]
    fn what_is_foreseen_is_asked_for_at_once_as_far_as_it_is_not_known() {
        let (alice, bob, carol) = (account("alice"), account("bob"), account("carol"));
        let mut books = laid(&alice, 7);
        let keys = [alice.key(), bob.key(), carol.key()];
        assert_eq!(books.decide(|draft| draft.foresee(keys)), Err(Halt::Needs(vec![bob.key(), carol.key()])));
        let foreseen = books.decide(|draft| {
            draft.insert(bob.clone())?;
            draft.foresee([alice.key(), bob.key()])
        });
        assert_eq!(foreseen, Ok(()), "what the draft itself brought is known to it");
        assert_eq!(books.changes().len(), 1, "and nothing depends on what was only foreseen");
    }

    #[test]
    fn a_change_is_written_over_what_was_read_and_the_rest_is_checked() {
        let (alice, bob) = (account("alice"), account("bob"));
        let mut books = laid(&alice, 7);
        books.lay(bob.key(), None);
        books
            .decide(|draft| {
                draft.get::<Account>(bob.key())?;
                let mut alice: Account = draft.get(alice.key())?.unwrap();
                alice.balance = Amount::from_minor(5).unwrap();
                draft.put(alice)
            })
            .unwrap();
        let mut changes = books.changes();
        changes.sort_by_key(|change| matches!(change, Change::Check { .. }));
        assert!(matches!(&changes[0], Change::Put { over: Some(7), .. }));
        assert_eq!(changes[1], Change::Check { key: bob.key(), over: None });
    }

    #[test]
    fn a_glance_asks_for_what_is_not_there_and_depends_on_nothing() {
        let (alice, bob) = (account("alice"), account("bob"));
        let mut books = laid(&alice, 7);
        let glanced = |books: &mut Books| {
            books.decide(|draft| {
                draft.put(alice.clone())?;
                draft.glance::<Account>(bob.key())
            })
        };
        assert_eq!(glanced(&mut books), Err(needs(bob.key())));
        books.lay(bob.key(), Some(Found { item: bob.clone().into_item(), version: 3 }));
        assert_eq!(glanced(&mut books), Ok(Some(bob)));
        assert_eq!(books.changes().len(), 1, "only what was put");
    }

    #[test]
    fn looking_alone_commits_nothing() {
        let alice = account("alice");
        let mut books = laid(&alice, 7);
        books.decide(|draft| draft.get::<Account>(alice.key())).unwrap();
        assert_eq!(books.changes(), []);
    }

    #[test]
    fn a_refused_draft_leaves_nothing_behind() {
        let alice = account("alice");
        let mut books = laid(&alice, 7);
        let refused: Result<(), Halt> = books.decide(|draft| {
            draft.put(alice.clone())?;
            Err(Refusal::AmountTooLarge.into())
        });
        assert_eq!(refused, Err(Halt::Refused(Refusal::AmountTooLarge)));
        assert_eq!(books.changes(), []);
    }

    #[test]
    fn decisions_fold_into_one_write_with_numbered_events() {
        let alice = account("alice");
        let mut books = laid(&alice, 7);
        for index in 0..2 {
            let told = books
                .decide(|draft| {
                    let alice: Account = draft.get(alice.key())?.unwrap();
                    let key = alice.key();
                    draft.put(alice)?;
                    draft.tell(key, Told::MoneyAvailable, Timestamp::from_millis(9))
                })
                .unwrap();
            assert_eq!(told, EventId::new(&alice.key(), 8, index));
        }
        let changes = books.changes();
        assert!(matches!(&changes[..], [Change::Put { over: Some(7), events, .. }] if events.len() == 2));
    }

    #[test]
    fn what_comes_and_goes_within_one_commit_is_only_checked() {
        let (alice, bob) = (account("alice"), account("bob"));
        let mut books = laid(&alice, 7);
        books.decide(|draft| draft.insert(bob.clone())).unwrap();
        books.decide(|draft| draft.delete(bob.key())).unwrap();
        assert_eq!(books.changes(), [], "nothing is written, so nothing needs to hold");
        books.decide(|draft| draft.put(alice.clone())).unwrap();
        assert!(books.changes().contains(&Change::Check { key: bob.key(), over: None }));
    }
}
