//! A table in memory that keeps what decisions decide, under the conditions that the real one would check.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;

use domain::accounts::{self, Account, Deposit, MakeDeposit};
use domain::books::{Books, Change, Draft, Found, Halt, Item, Kept, Key, Version};
use domain::events::Event;
use domain::ids::{CustomerId, DepositId, Fingerprint, IdempotencyKey, OrderId};
use domain::messages::{self, Message, Notification};
use domain::orders::{self, Advanced, IfLacking, Order, PlaceOrder};
use domain::promises::watch::{Action, Watch};
use domain::promises::{Audit, Report};
use domain::{Amount, Currency, Millis, Outcome, Refusal, Terms, Timestamp};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_240_383_000);

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) items: BTreeMap<Key, (Item, Version)>,
    pub(crate) told: Vec<Notification>,
    pub(crate) now: Timestamp,
    pub(crate) terms: Terms,
    pub(crate) watch: Watch,
    pub(crate) commits: Vec<Vec<Action>>,
}

pub(crate) fn customer(name: &str) -> CustomerId {
    CustomerId::of("test", name)
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

pub(crate) fn action(change: &Change<'_>) -> Action {
    match change {
        Change::Put { item, over, events, .. } => {
            Action::Put { item: (*item).clone(), version: Change::next_version(*over), events: events.to_vec() }
        }
        Change::Delete { key, .. } => Action::Delete(*key),
        Change::Check { key, .. } => Action::Check(*key),
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let terms = Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) };
        Self {
            items: BTreeMap::new(),
            told: Vec::new(),
            now: START,
            terms,
            watch: Watch::default(),
            commits: Vec::new(),
        }
    }

    /// Decides, loading what is asked for, and keeps it under every condition of the commit.
    pub(crate) fn decide<T>(&mut self, decide: impl Fn(&mut Draft<'_>) -> Result<T, Halt>) -> Result<T, Refusal> {
        let mut books = Books::default();
        let answer = loop {
            match books.decide(&decide) {
                Ok(answer) => break answer,
                Err(Halt::Refused(refusal)) => return Err(refusal),
                Err(Halt::Needs(key)) => books.lay(key, self.found(&key)),
            }
        };
        self.commit(&books);
        Ok(answer)
    }

    pub(crate) fn found(&self, key: &Key) -> Option<Found> {
        self.items.get(key).map(|(item, version)| Found { item: item.clone(), version: *version })
    }

    pub(crate) fn commit(&mut self, books: &Books) {
        let version = |items: &BTreeMap<Key, (Item, Version)>, key: &Key| items.get(key).map(|(_, version)| *version);
        let actions: Vec<Action> = books.changes().iter().map(action).collect();
        assert_eq!(self.watch.see(&actions), [], "{actions:#?}");
        self.commits.push(actions);
        for change in books.changes() {
            match change {
                Change::Put { key, item, over, events } => {
                    assert_eq!(version(&self.items, &key), over, "{key:?} is written over what was read");
                    let next = Change::next_version(over);
                    self.publish(item, next, events);
                    self.items.insert(key, (item.clone(), next));
                }
                Change::Delete { key, over } => {
                    assert_eq!(version(&self.items, &key), Some(over), "{key:?} is deleted as it was read");
                    self.items.remove(&key);
                }
                Change::Check { key, over } => {
                    assert_eq!(version(&self.items, &key), over, "{key:?} is as it was read")
                }
            }
        }
    }

    fn publish(&mut self, item: &Item, version: Version, events: &[Event]) {
        self.told.extend(messages::of_commit(item, version, events).into_iter().filter_map(|message| match message {
            Message::Notice(notification) => Some(notification),
            _ => None,
        }));
    }

    pub(crate) fn deposit(&mut self, name: &str, idempotency: &str, minor: i64) -> Result<Outcome<Deposit>, Refusal> {
        let command = MakeDeposit {
            id: DepositId::of(&customer(name), &key(idempotency)),
            customer: customer(name),
            amount: Amount::from_minor(minor).unwrap(),
            fingerprint: Fingerprint::of("POST /deposits", &[("amount", minor.to_string())]),
        };
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| accounts::deposit(draft, &command, now, &terms))
    }

    pub(crate) fn place(
        &mut self,
        name: &str,
        idempotency: &str,
        minor: i64,
        if_unpaid: IfLacking,
    ) -> Result<Outcome<Order>, Refusal> {
        let command = PlaceOrder {
            id: OrderId::of(&customer(name), &key(idempotency)),
            customer: customer(name),
            amount: Amount::from_minor(minor).unwrap(),
            description: None,
            if_unpaid,
            fingerprint: Fingerprint::of("POST /orders", &[("amount", minor.to_string())]),
        };
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::place(draft, &command, now, &terms))
    }

    pub(crate) fn advance(&mut self, id: OrderId) -> Advanced {
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::advance(draft, id, now, &terms)).unwrap()
    }

    pub(crate) fn look(&mut self, id: OrderId) -> Advanced {
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::look(draft, id, now, &terms)).unwrap()
    }

    pub(crate) fn stall(&mut self, id: OrderId) -> Advanced {
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::stall(draft, id, now, &terms)).unwrap()
    }

    /// Lets everyone go on who waits for the account, oldest first.
    pub(crate) fn wake(&mut self, name: &str) {
        let waiting: Vec<OrderId> = self
            .items
            .values()
            .filter_map(|(item, _)| match item {
                Item::Waiting(waiting) if waiting.customer == customer(name) => {
                    Some((waiting.placed_at, waiting.order))
                }
                _ => None,
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(|(_, order)| order)
            .collect();
        for order in waiting {
            self.advance(order);
        }
    }

    pub(crate) fn pass(&mut self, length: Millis) {
        self.now = self.now.after(length);
    }

    pub(crate) fn order(&self, id: OrderId) -> Order {
        Order::of_item(&self.items[&Key::Order(id)].0).unwrap().clone()
    }

    pub(crate) fn balance(&self, name: &str) -> i64 {
        self.items
            .get(&Key::Account(customer(name)))
            .and_then(|(item, _)| Account::of_item(item))
            .map_or(0, |account| account.balance.minor())
    }

    /// Judged with no grace, everything told having arrived.
    pub(crate) fn audit(&self) -> Report {
        let mut audit = Audit::default();
        for (item, version) in self.items.values() {
            audit.see(item.clone(), *version);
        }
        for notification in &self.told {
            audit.see(Item::Notification(notification.clone()), 1);
        }
        audit.finish(self.now, Millis(0))
    }
}
