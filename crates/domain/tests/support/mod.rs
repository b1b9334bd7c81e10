//! A table in memory that keeps what decisions decide, under the conditions that the real one would check.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

pub(crate) mod callbacks;
pub(crate) mod interleavings;

use std::collections::BTreeMap;

use domain::accounts::{self, Account, Deposit, MakeDeposit};
use domain::books::{Books, Change, Draft, Found, Halt, Item, Kept, Key, Version};
use domain::events::Event;
use domain::goods::{self, Lines, PutProduct, Receipt, ReceiveStock, Stock};
use domain::ids::{
    BodyHash, CallbackId, CustomerId, DepositId, Fingerprint, IdempotencyKey, OrderId, PaymentId, ReceiptId, RefundId,
    Sku, SlotId,
};
use domain::messages::{self, Message, Notification, Work, WorkMessage};
use domain::orders::{self, Advanced, Goods, IfLacking, Order, PayWith, PlaceOrder, Resource, Waiting, Wanted};
use domain::payments::{
    self, Answer, AskRefund, Begun, Gateway, GatewayKey, GatewayMessage, Limits, MakePayment, Payment, Refund,
    Reported, ReportedState, TakeCallback, Taken,
};
use domain::promises::watch::{Action, Watch};
use domain::promises::{Audit, Report};
use domain::slots::{self, PutSlot, Slot};
use domain::text::{ProductName, Reference};
use domain::{Amount, Currency, Millis, Outcome, Refusal, Terms, Timestamp};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_240_383_000);

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) items: BTreeMap<Key, (Item, Version)>,
    pub(crate) told: Vec<Notification>,
    /// Work that was told of and is not done.
    pub(crate) work: Vec<WorkMessage>,
    /// Calls to a gateway that were asked for and are not made.
    pub(crate) calls: Vec<GatewayMessage>,
    pub(crate) now: Timestamp,
    pub(crate) terms: Terms,
    pub(crate) watch: Watch,
    /// What was done, commit by commit.
    pub(crate) commits: Vec<Vec<Action>>,
}

pub(crate) fn customer(name: &str) -> CustomerId {
    CustomerId::of("test", name)
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

/// The id before all others.
fn first_order() -> OrderId {
    OrderId::parse(&"a".repeat(32)).unwrap()
}

/// How an order of goods is to be handled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policies {
    pub(crate) reserve_first: bool,
    pub(crate) if_unpaid: IfLacking,
    pub(crate) if_unavailable: IfLacking,
    pub(crate) if_undeliverable: IfLacking,
    pub(crate) slot: Option<&'static str>,
    pub(crate) pay_with: PayWith,
}

/// What a gateway reports of so much money.
pub(crate) fn reported(state: ReportedState, minor: i64) -> Reported {
    let (amount, currency) = (Amount::from_minor(minor), Currency::from_code("EUR"));
    Reported { state, amount, currency, reference: None }
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
            work: Vec::new(),
            calls: Vec::new(),
            now: START,
            terms,
            watch: Watch::default().with_wait(Millis::hours(72)),
            commits: Vec::new(),
        }
    }

    /// Decides, loading what is asked for, and keeps it under every condition of the commit.
    pub(crate) fn decide<T>(&mut self, decide: impl Fn(&mut Draft<'_>) -> Result<T, Halt>) -> Result<T, Refusal> {
        let (books, answer) = self.try_decide(decide)?;
        self.commit(&books);
        Ok(answer)
    }

    /// Decides, and keeps nothing.
    pub(crate) fn try_decide<T>(
        &self,
        decide: impl Fn(&mut Draft<'_>) -> Result<T, Halt>,
    ) -> Result<(Books, T), Refusal> {
        let mut books = Books::default();
        loop {
            match books.decide(&decide) {
                Ok(answer) => return Ok((books, answer)),
                Err(Halt::Refused(refusal)) => return Err(refusal),
                Err(Halt::Needs(keys)) => keys.into_iter().for_each(|key| books.lay(key, self.found(&key))),
            }
        }
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
        for message in messages::of_commit(item, version, events) {
            match message {
                Message::Notice(notification) => self.told.push(notification),
                Message::Work(work) => self.work.push(work),
                Message::Gateway(message, _) => self.calls.push(message),
                Message::Public(_) | Message::Webhook(..) => {}
            }
        }
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
        self.place_paid_with(name, idempotency, minor, if_unpaid, PayWith::Balance)
    }

    pub(crate) fn place_paid_with(
        &mut self,
        name: &str,
        idempotency: &str,
        minor: i64,
        if_unpaid: IfLacking,
        pay_with: PayWith,
    ) -> Result<Outcome<Order>, Refusal> {
        let command = PlaceOrder {
            id: OrderId::of(&customer(name), &key(idempotency)),
            customer: customer(name),
            wanted: Wanted::Amount(Amount::from_minor(minor).unwrap()),
            description: None,
            pay_with,
            if_unpaid,
            fingerprint: Fingerprint::of("POST /orders", &[("amount", minor.to_string())]),
        };
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::place(draft, &command, now, &terms))
    }

    pub(crate) fn product(&mut self, sku: &str, price: i64) {
        let name = ProductName::new(sku).unwrap();
        let command = PutProduct { sku: self::sku(sku), name, price: Amount::from_minor(price).unwrap() };
        let terms = self.terms.clone();
        self.decide(|draft| goods::put_product(draft, &command, &terms)).unwrap();
    }

    pub(crate) fn receive(&mut self, idempotency: &str, sku: &str, quantity: u32) -> Result<Outcome<Receipt>, Refusal> {
        let keeper = customer("keeper");
        let command = ReceiveStock {
            id: ReceiptId::of(&keeper, &key(idempotency)),
            sku: self::sku(sku),
            quantity,
            keeper,
            fingerprint: Fingerprint::of("POST /stock/{sku}/receipts", &[("quantity", quantity.to_string())]),
        };
        let now = self.now;
        self.decide(|draft| goods::receive(draft, &command, now))
    }

    pub(crate) fn put_slot(
        &mut self,
        slot: &str,
        capacity: u32,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Outcome<Slot>, Refusal> {
        let command = PutSlot { id: SlotId::parse(slot).unwrap(), capacity, from, to };
        let now = self.now;
        self.decide(|draft| slots::put(draft, &command, now))
    }

    pub(crate) fn place_goods(
        &mut self,
        name: &str,
        idempotency: &str,
        lines: &[(&str, u32)],
        policies: Policies,
    ) -> Result<Outcome<Order>, Refusal> {
        let fields = [("lines", format!("{lines:?}")), ("policies", format!("{policies:?}"))];
        let Policies { reserve_first, if_unpaid, if_unavailable, if_undeliverable, slot, pay_with } = policies;
        let lines = Lines::new(lines.iter().map(|(name, quantity)| (sku(name), *quantity)).collect())?;
        let slot = slot.map(|slot| SlotId::parse(slot).unwrap());
        let command = PlaceOrder {
            id: OrderId::of(&customer(name), &key(idempotency)),
            customer: customer(name),
            wanted: Wanted::Goods(Goods { lines, slot, reserve_first, if_unavailable, if_undeliverable }),
            description: None,
            pay_with,
            if_unpaid,
            fingerprint: Fingerprint::of("POST /orders", &fields),
        };
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::place(draft, &command, now, &terms))
    }

    pub(crate) fn cancel(&mut self, name: &str, id: OrderId) -> Result<Outcome<Order>, Refusal> {
        let now = self.now;
        self.decide(|draft| orders::cancel(draft, id, &customer(name), now))
    }

    pub(crate) fn accept(&mut self, courier: &str, id: OrderId) -> Result<Outcome<Order>, Refusal> {
        let now = self.now;
        self.decide(|draft| orders::accept(draft, id, customer(courier), now))
    }

    pub(crate) fn advance(&mut self, id: OrderId) -> Advanced {
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::advance(draft, id, now, &terms)).unwrap()
    }

    pub(crate) fn advance_to_slot(&mut self, id: OrderId) -> Advanced {
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| orders::advance_to_slot(draft, id, now, &terms)).unwrap()
    }

    /// Several in one commit, each on what those before it left.
    pub(crate) fn advance_together(&mut self, ids: &[OrderId]) {
        let (now, terms) = (self.now, self.terms.clone());
        let mut known: Vec<Key> = Vec::new();
        let books = loop {
            let mut books = Books::default();
            known.iter().for_each(|key| books.lay(*key, self.found(key)));
            let decided =
                ids.iter().try_for_each(|id| books.decide(|draft| orders::advance(draft, *id, now, &terms)).map(drop));
            match decided {
                Ok(()) => break books,
                Err(Halt::Needs(keys)) => known.extend(keys),
                Err(Halt::Refused(refusal)) => panic!("{refusal}"),
            }
        };
        self.commit(&books);
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
        self.wake_for(Resource::Account(customer(name)));
    }

    /// Lets everyone go on who waits for something, oldest first.
    pub(crate) fn wake_for(&mut self, resource: Resource) {
        for waiting in self.waiters(resource) {
            self.advance(waiting.order);
        }
    }

    pub(crate) fn waiters(&self, resource: Resource) -> Vec<Waiting> {
        let first = Key::Waiting(resource, Timestamp::from_millis(i64::MIN), first_order());
        let queue = self.items.range(first..).map(|(_, (item, _))| item);
        queue.map_while(Waiting::of_item).take_while(|waiting| waiting.resource == resource).cloned().collect()
    }

    /// Does all work that was told of, and what that tells of, until nothing is left.
    pub(crate) fn settle(&mut self) {
        while !self.work.is_empty() {
            match self.work.remove(0).work {
                Work::Advance { order, .. } => _ = self.advance(order),
                Work::Wake { resource, .. } => self.wake_for(resource),
            }
        }
    }

    pub(crate) fn pass(&mut self, length: Millis) {
        self.now = self.now.after(length);
    }

    /// Makes a payment for an order that is kept elsewhere.
    pub(crate) fn make_payment(
        &mut self,
        name: &str,
        idempotency: &str,
        minor: i64,
        gateway: Gateway,
    ) -> Result<Outcome<Payment>, Refusal> {
        let command = MakePayment {
            id: PaymentId::of_request(&customer(name), &key(idempotency)),
            customer: customer(name),
            gateway,
            amount: Amount::from_minor(minor).unwrap(),
            currency: None,
            reference: Reference::new(idempotency).unwrap(),
            fingerprint: Fingerprint::of("POST /payments", &[("amount", minor.to_string())]),
        };
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| payments::make(draft, &command, now, &terms))
    }

    pub(crate) fn ask_refund(
        &mut self,
        name: &str,
        idempotency: &str,
        payment: PaymentId,
        minor: Option<i64>,
    ) -> Result<Outcome<Refund>, Refusal> {
        let command = AskRefund {
            id: RefundId::of_request(&customer(name), &key(idempotency)),
            payment,
            customer: customer(name),
            amount: minor.map(|minor| Amount::from_minor(minor).unwrap()),
            fingerprint: Fingerprint::of("POST /payments/{id}/refunds", &[("amount", format!("{minor:?}"))]),
        };
        let (now, terms) = (self.now, self.terms.clone());
        self.decide(|draft| payments::ask_refund(draft, &command, now, &terms))
    }

    /// Begins the attempt that a message asks for.
    pub(crate) fn begin_call(&mut self, message: GatewayMessage) -> Begun {
        let now = self.now;
        self.decide(|draft| payments::begin(draft, &message, &Limits::default(), 0, now)).unwrap()
    }

    /// Begins the next attempt, whether or not a message has asked for it.
    pub(crate) fn begin_next(&mut self, of: GatewayKey) -> Begun {
        let attempt = self.attempts(of);
        self.begin_call(GatewayMessage { key: of, attempt })
    }

    pub(crate) fn attempts(&self, of: GatewayKey) -> u32 {
        match of {
            GatewayKey::Charge(id) => self.payment(id).call.attempts,
            GatewayKey::Refund(id) => self.refund(id).call.attempts,
        }
    }

    /// Keeps what became of the last attempt that has begun.
    pub(crate) fn settle_call(&mut self, of: GatewayKey, answer: &Answer, chance: u64) -> Outcome<()> {
        let (number, now) = (self.attempts(of), self.now);
        self.decide(|draft| payments::settle(draft, of, number, answer, chance, now)).unwrap()
    }

    /// The next attempt, whatever it is, has this answer.
    pub(crate) fn call(&mut self, of: GatewayKey, answer: &Answer) -> Option<payments::Call> {
        let called = self.begin_next(of).call();
        if called.is_some() {
            self.settle_call(of, answer, 0);
        }
        called
    }

    pub(crate) fn call_back(&mut self, id: &str, body: &str, of: GatewayKey, reported: &Reported) -> Taken {
        self.call_back_by(Gateway::Plain, id, body, of, reported)
    }

    pub(crate) fn call_back_by(
        &mut self,
        gateway: Gateway,
        id: &str,
        body: &str,
        of: GatewayKey,
        reported: &Reported,
    ) -> Taken {
        let command = TakeCallback {
            id: CallbackId::of(gateway.name(), id),
            gateway,
            body: BodyHash::of(body.as_bytes()),
            of,
            reported: reported.clone(),
        };
        let now = self.now;
        self.decide(|draft| payments::take(draft, &command, now)).unwrap()
    }

    pub(crate) fn look_at(&mut self, of: GatewayKey) -> bool {
        let now = self.now;
        self.decide(|draft| payments::look(draft, of, 0, now)).unwrap()
    }

    pub(crate) fn payment(&self, id: PaymentId) -> Payment {
        Payment::of_item(&self.items[&Key::Payment(id)].0).unwrap().clone()
    }

    pub(crate) fn refund(&self, id: RefundId) -> Refund {
        Refund::of_item(&self.items[&Key::Refund(id)].0).unwrap().clone()
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

    pub(crate) fn on_hand(&self, name: &str) -> u64 {
        let stock = self.items.get(&Key::Stock(sku(name))).and_then(|(item, _)| Stock::of_item(item));
        stock.map_or(0, |stock| stock.on_hand)
    }

    pub(crate) fn booked(&self, slot: &str) -> u32 {
        let key = Key::Slot(SlotId::parse(slot).unwrap());
        self.items.get(&key).and_then(|(item, _)| Slot::of_item(item)).map_or(0, |slot| slot.booked)
    }

    pub(crate) fn capacity(&self, slot: &str) -> u32 {
        let key = Key::Slot(SlotId::parse(slot).unwrap());
        self.items.get(&key).and_then(|(item, _)| Slot::of_item(item)).map_or(0, |slot| slot.capacity)
    }

    /// The last that was told of an order.
    pub(crate) fn last_told(&self, id: OrderId) -> String {
        self.told.iter().rev().find(|told| told.order == id).map_or_else(String::new, |told| told.text.clone())
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
