//! Items as the table holds them: keys, and the attributes that every item has beside its own.
//!
//! | attribute | what |
//! |---|---|
//! | `pk`, `sk` | the address |
//! | `version` | counted up by each write; written over only as it was read |
//! | `commit` | which try wrote it, so that a lost answer can be told from a lost race |
//! | `format` | an item of a newer format than the code knows is read by nobody and never written |
//! | `events`, `tells` | the outbox of the last commit, and the leaf that the stream's filter sees |
//! | `look_shard` | with `look_at`, the index of what has not ended |
//! | `forget_at` | in seconds: from then on the service may delete it, since it says nothing any more |

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::Timestamp;
use domain::accounts::Cause;
use domain::attempts::Budget;
use domain::books::{Found, Item, Key, Version};
use domain::events::{Event, EventId, Teller, Told};
use domain::ids::{
    CallbackId, CustomerId, DepositId, Digest, OrderId, PaymentId, ProfileId, ReceiptId, RefundId, Sku, SlotId,
    SourceId, UnreadableId,
};
use domain::orders::{CancelReason, PayWith, Resource};
use domain::payments::Gateway;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// The newest format that this code writes and reads.
pub(super) const FORMAT: u32 = 4;
pub(super) const LOOK_SHARDS: u8 = 16;
/// Partitions that list what there is of something.
pub(super) const CATALOGUE: &str = "catalogue";
pub(super) const SLOTS: &str = "slots";
/// Of deliveries there are fewer than of orders: only who has an endpoint has any.
pub(super) const DELIVERY_SHARDS: u8 = 4;
/// Payments, and what was reported of what is not there, are looked at apart from orders. The last shard has what waits for a
/// person, so that it can be listed apart from all that takes its course.
pub(super) const PAYMENT_SHARDS: u8 = REVIEW_SHARD + 1;
pub(super) const REVIEW_SHARD: u8 = 16;

#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{pk} / {sk} is of format {format}; this release knows {FORMAT}. Deploy the newer release again")]
    Newer { pk: String, sk: String, format: u32 },
    #[error("{pk} / {sk} is no address of an item")]
    Address { pk: String, sk: String },
    #[error("{pk} / {sk} has events and is of a kind that tells none")]
    TellsNothing { pk: String, sk: String },
    #[error("{what} cannot be read: {source}")]
    Attributes { what: String, source: Box<serde_dynamo::Error> },
}

/// An item as it was read, with what the platform knows of it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub found: Found,
    pub commit: String,
    pub events: Vec<Event>,
}

#[derive(Deserialize)]
struct Envelope {
    pk: String,
    sk: String,
    version: Version,
    commit: String,
    #[serde(default)]
    events: Vec<Event>,
}

/// The primary key of an item.
pub(super) fn address(key: &Key) -> (String, String) {
    match key {
        Key::Account(customer) => (account(customer), "account".to_owned()),
        Key::Entry(customer, number) => (account(customer), entry(*number)),
        Key::Deposit(id) => twice(format!("deposit#{id}")),
        Key::Order(id) => (format!("order#{id}"), "order".to_owned()),
        Key::Waiting(resource, placed_at, order) => (queue(resource), place(*placed_at, order)),
        Key::Notification(customer, at, event) => (inbox(customer), format!("{}#{event}", at.sortable())),
        Key::Unreadable(id) => ("unreadable".to_owned(), id.to_string()),
        Key::Product(sku) => (CATALOGUE.to_owned(), sku.to_string()),
        Key::Stock(sku) => (format!("sku#{sku}"), "stock".to_owned()),
        Key::Receipt(id) => twice(format!("receipt#{id}")),
        Key::Slot(id) => (format!("slot#{id}"), "slot".to_owned()),
        Key::ListedSlot(id) => (SLOTS.to_owned(), id.to_string()),
        Key::Profile(id) => (format!("profile#{id}"), "profile".to_owned()),
        Key::Attempts(budget) => attempts(budget),
        Key::Endpoint(customer) => (format!("webhook#{customer}"), "endpoint".to_owned()),
        Key::Delivery(event) => (format!("delivery#{event}"), "delivery".to_owned()),
        Key::Payment(id) => (payment(id), "payment".to_owned()),
        Key::PaymentEntry(id, number) => (payment(id), entry(*number)),
        Key::Refund(id) => twice(format!("refund#{id}")),
        Key::Callback(id) => twice(format!("callback#{id}")),
        Key::Breaker(gateway) => (format!("breaker#{}", gateway.name()), "breaker".to_owned()),
    }
}

fn attempts(budget: &Budget) -> (String, String) {
    match budget {
        Budget::Pair { profile, source } => (format!("attempts#profile#{profile}"), format!("source#{source}")),
        Budget::Strangers(profile) => (format!("attempts#profile#{profile}"), "strangers".to_owned()),
        Budget::Source(source) => (format!("attempts#source#{source}"), "sign-ins".to_owned()),
        Budget::SignUps(source) => (format!("attempts#source#{source}"), "sign-ups".to_owned()),
    }
}

fn parse_attempts(of: &str, sk: &str) -> Option<Budget> {
    Some(match of.split_once('#')? {
        ("profile", id) if sk == "strangers" => Budget::Strangers(ProfileId::parse(id)?),
        ("profile", id) => {
            let source = SourceId::parse(sk.strip_prefix("source#")?)?;
            Budget::Pair { profile: ProfileId::parse(id)?, source }
        }
        ("source", id) if sk == "sign-ins" => Budget::Source(SourceId::parse(id)?),
        ("source", id) => Budget::SignUps(SourceId::parse(id)?),
        _ => return None,
    })
}

pub(super) fn account(customer: &CustomerId) -> String {
    format!("account#{customer}")
}

pub(super) fn payment(id: &PaymentId) -> String {
    format!("payment#{id}")
}

pub(super) fn entry(number: u64) -> String {
    format!("entry#{number:012}")
}

pub(super) fn queue(resource: &Resource) -> String {
    format!("wait#{resource}")
}

pub(super) fn inbox(customer: &CustomerId) -> String {
    format!("inbox#{customer}")
}

pub(super) fn place(placed_at: Timestamp, order: &OrderId) -> String {
    format!("{}#{order}", placed_at.sortable())
}

pub(super) fn look_shard(shard: u8) -> String {
    format!("look#{shard:02}")
}

/// Deliveries are looked at apart from orders, so that however many there are, no order waits behind them.
pub(super) fn delivery_shard(shard: u8) -> String {
    format!("delivery#{shard:02}")
}

pub(super) fn payment_shard(shard: u8) -> String {
    format!("payment#{shard:02}")
}

/// Whose payments are listed by the index `by_owner`, apart from their orders.
pub(super) fn payer(customer: &CustomerId) -> String {
    format!("payments#{customer}")
}

pub(super) fn key_attributes(key: &Key) -> Attributes {
    let (pk, sk) = address(key);
    HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
}

fn twice(text: String) -> (String, String) {
    (text.clone(), text)
}

/// The key that an address stands for.
pub(super) fn parse_address(pk: &str, sk: &str) -> Option<Key> {
    let (kind, id) = pk.split_once('#').unwrap_or((pk, ""));
    let key = match kind {
        "account" if sk == "account" => Key::Account(CustomerId::parse(id)?),
        "account" => Key::Entry(CustomerId::parse(id)?, sk.strip_prefix("entry#")?.parse().ok()?),
        "deposit" => Key::Deposit(DepositId::parse(id)?),
        "order" => Key::Order(OrderId::parse(id)?),
        "wait" => {
            let resource = match id.split_once('#')? {
                ("account", id) => Resource::Account(CustomerId::parse(id)?),
                ("sku", sku) => Resource::Stock(Sku::parse(sku).ok()?),
                ("slot", id) => Resource::Slot(SlotId::parse(id).ok()?),
                _ => return None,
            };
            let (placed_at, order) = sk.split_once('#')?;
            Key::Waiting(resource, Timestamp::from_sortable(placed_at)?, OrderId::parse(order)?)
        }
        "inbox" => {
            let (at, event) = sk.split_once('#')?;
            Key::Notification(CustomerId::parse(id)?, Timestamp::from_sortable(at)?, EventId::parse(event)?)
        }
        "unreadable" => Key::Unreadable(UnreadableId::parse(sk)?),
        CATALOGUE => Key::Product(Sku::parse(sk).ok()?),
        "sku" => Key::Stock(Sku::parse(id).ok()?),
        "receipt" => Key::Receipt(ReceiptId::parse(id)?),
        "slot" => Key::Slot(SlotId::parse(id).ok()?),
        SLOTS => Key::ListedSlot(SlotId::parse(sk).ok()?),
        "profile" => Key::Profile(ProfileId::parse(id)?),
        "attempts" => Key::Attempts(parse_attempts(id, sk)?),
        "webhook" => Key::Endpoint(CustomerId::parse(id)?),
        "delivery" => Key::Delivery(EventId::parse(id)?),
        "payment" if sk == "payment" => Key::Payment(PaymentId::parse(id)?),
        "payment" => Key::PaymentEntry(PaymentId::parse(id)?, sk.strip_prefix("entry#")?.parse().ok()?),
        "refund" => Key::Refund(RefundId::parse(id)?),
        "callback" => Key::Callback(CallbackId::parse(id)?),
        "breaker" => Key::Breaker(Gateway::parse(id)?),
        _ => return None,
    };
    (address(&key) == (pk.to_owned(), sk.to_owned())).then_some(key)
}

/// The format that an item needs: the first of those that can read it, so that an older release, while a newer one takes
/// its place, still reads whatever it knows. The second has goods, couriers, refunds, cancels and profiles; the third
/// endpoints and deliveries, the fourth payments and what is paid by them.
fn format_of(item: &Item) -> u32 {
    let asked_for = Told::OrderCancelled { reason: CancelReason::Requested };
    if is_of_payments(item) {
        return 4;
    }
    if matches!(item, Item::Endpoint(_) | Item::Delivery(_)) {
        return 3;
    }
    let is_of_the_second = match item {
        Item::Order(order) => {
            !order.lines.is_empty() || order.timeline.last().is_some_and(|passage| passage.told == asked_for)
        }
        Item::Waiting(waiting) => !matches!(waiting.resource, Resource::Account(_)),
        Item::Entry(entry) => matches!(entry.cause, Cause::Refund(_)),
        Item::Product(_) | Item::Stock(_) | Item::Receipt(_) | Item::Slot(_) | Item::ListedSlot(_) => true,
        Item::Profile(_) | Item::Attempts(_) => true,
        Item::Account(_)
        | Item::Deposit(_)
        | Item::Notification(_)
        | Item::Unreadable(_)
        | Item::Endpoint(_)
        | Item::Delivery(_)
        | Item::Payment(_)
        | Item::PaymentEntry(_)
        | Item::Refund(_)
        | Item::Stub(_)
        | Item::Callback(_)
        | Item::Breaker(_) => false,
    };
    if is_of_the_second { 2 } else { 1 }
}

fn is_of_payments(item: &Item) -> bool {
    match item {
        Item::Order(order) => order.pay_with != PayWith::Balance,
        Item::Payment(_)
        | Item::PaymentEntry(_)
        | Item::Refund(_)
        | Item::Stub(_)
        | Item::Callback(_)
        | Item::Breaker(_) => true,
        _ => false,
    }
}

/// The shard in which something of a payment is looked at.
fn looked_at_with_payments(attributes: &mut Attributes, id: &Digest, by_a_person: bool) {
    let shard = payment_shard(if by_a_person { REVIEW_SHARD } else { id.first_byte() % REVIEW_SHARD });
    attributes.insert("look_shard".to_owned(), AttributeValue::S(shard));
}

/// An item as it is written. Every put replaces or removes the events of the one before.
pub(super) fn encode(item: &Item, version: Version, commit: &str, events: &[Event]) -> Result<Attributes, CodecError> {
    let key = item.key();
    let mut attributes = match item {
        Item::Account(account) => own(account, &key)?,
        Item::Entry(entry) => own(entry, &key)?,
        Item::Deposit(deposit) => own(deposit, &key)?,
        Item::Order(order) => {
            let mut attributes = own(order, &key)?;
            if order.look_at.is_some() {
                let shard = look_shard(order.id.digest().first_byte() % LOOK_SHARDS);
                attributes.insert("look_shard".to_owned(), AttributeValue::S(shard));
            }
            attributes
        }
        Item::Waiting(waiting) => own(waiting, &key)?,
        Item::Notification(notification) => own(notification, &key)?,
        Item::Unreadable(unreadable) => own(unreadable, &key)?,
        Item::Product(product) => own(product, &key)?,
        Item::Stock(stock) => own(stock, &key)?,
        Item::Receipt(receipt) => own(receipt, &key)?,
        Item::Slot(slot) => own(slot, &key)?,
        Item::ListedSlot(listed) => own(listed, &key)?,
        Item::Profile(profile) => own(profile, &key)?,
        Item::Attempts(attempts) => {
            let seconds = attempts.forget_at().as_seconds() + 1;
            let mut attributes = own(attempts, &key)?;
            attributes.insert("forget_at".to_owned(), AttributeValue::N(seconds.to_string()));
            attributes
        }
        Item::Endpoint(endpoint) => own(endpoint, &key)?,
        Item::Delivery(delivery) => {
            let mut attributes = own(delivery, &key)?;
            if delivery.look_at.is_some() {
                let shard = delivery_shard(delivery.event.id.first_byte() % DELIVERY_SHARDS);
                attributes.insert("look_shard".to_owned(), AttributeValue::S(shard));
            }
            attributes
        }
        Item::Payment(payment) => {
            let mut attributes = own(payment, &key)?;
            attributes.insert("owner".to_owned(), AttributeValue::S(payer(&payment.customer)));
            if payment.look_at.is_some() {
                looked_at_with_payments(&mut attributes, payment.id.digest(), payment.needs_a_person());
            }
            attributes
        }
        Item::PaymentEntry(entry) => own(entry, &key)?,
        Item::Refund(refund) => own(refund, &key)?,
        Item::Stub(stub) => {
            let mut attributes = own(stub, &key)?;
            attributes.insert("stub".to_owned(), AttributeValue::Bool(true));
            if stub.look_at.is_some() {
                looked_at_with_payments(&mut attributes, stub.of.digest(), stub.is_orphan);
            }
            attributes
        }
        Item::Callback(callback) => own(callback, &key)?,
        Item::Breaker(breaker) => own(breaker, &key)?,
    };
    attributes.extend(key_attributes(&key));
    attributes.insert("version".to_owned(), AttributeValue::N(version.to_string()));
    attributes.insert("commit".to_owned(), AttributeValue::S(commit.to_owned()));
    attributes.insert("format".to_owned(), AttributeValue::N(format_of(item).to_string()));
    if !events.is_empty() {
        let events = serde_dynamo::to_attribute_value(events).map_err(|source| unreadable(&key, source))?;
        attributes.insert("events".to_owned(), events);
        attributes.insert("tells".to_owned(), AttributeValue::S("1".to_owned()));
    }
    Ok(attributes)
}

fn own<T: Serialize>(item: &T, key: &Key) -> Result<Attributes, CodecError> {
    serde_dynamo::to_item(item).map_err(|source| unreadable(key, source))
}

fn unreadable(key: &Key, source: serde_dynamo::Error) -> CodecError {
    let (pk, sk) = address(key);
    CodecError::Attributes { what: format!("{pk} / {sk}"), source: Box::new(source) }
}

/// An item as it was read, from the table or from the stream's image of it.
pub fn decode(image: impl Into<serde_dynamo::Item>) -> Result<Stored, CodecError> {
    #[derive(Deserialize)]
    struct Formatted {
        pk: String,
        sk: String,
        format: u32,
    }

    let image = image.into();
    // The format first: of a newer one nothing else is known.
    let Formatted { pk, sk, format } = part(&image, "an item")?;
    if format > FORMAT {
        return Err(CodecError::Newer { pk, sk, format });
    }
    let Envelope { pk, sk, version, commit, events } = part(&image, "an item")?;
    let Some(key) = parse_address(&pk, &sk) else { return Err(CodecError::Address { pk, sk }) };
    let what = format!("{pk} / {sk}");
    let item = match key {
        Key::Account(_) => Item::Account(part(&image, &what)?),
        Key::Entry(..) => Item::Entry(part(&image, &what)?),
        Key::Deposit(_) => Item::Deposit(part(&image, &what)?),
        Key::Order(_) => Item::Order(part(&image, &what)?),
        Key::Waiting(..) => Item::Waiting(part(&image, &what)?),
        Key::Notification(..) => Item::Notification(part(&image, &what)?),
        Key::Unreadable(_) => Item::Unreadable(part(&image, &what)?),
        Key::Product(_) => Item::Product(part(&image, &what)?),
        Key::Stock(_) => Item::Stock(part(&image, &what)?),
        Key::Receipt(_) => Item::Receipt(part(&image, &what)?),
        Key::Slot(_) => Item::Slot(part(&image, &what)?),
        Key::ListedSlot(_) => Item::ListedSlot(part(&image, &what)?),
        Key::Profile(_) => Item::Profile(part(&image, &what)?),
        Key::Attempts(_) => Item::Attempts(part(&image, &what)?),
        Key::Endpoint(_) => Item::Endpoint(part(&image, &what)?),
        Key::Delivery(_) => Item::Delivery(part(&image, &what)?),
        Key::Payment(_) | Key::Refund(_) if is_stub(&image, &what)? => Item::Stub(part(&image, &what)?),
        Key::Payment(_) => Item::Payment(part(&image, &what)?),
        Key::PaymentEntry(..) => Item::PaymentEntry(part(&image, &what)?),
        Key::Refund(_) => Item::Refund(part(&image, &what)?),
        Key::Callback(_) => Item::Callback(part(&image, &what)?),
        Key::Breaker(_) => Item::Breaker(part(&image, &what)?),
    };
    // What was checked when it was written is checked again when it is read.
    if item.key() != key {
        return Err(CodecError::Address { pk, sk });
    }
    if !events.is_empty() && Teller::of(&key).is_none() {
        return Err(CodecError::TellsNothing { pk, sk });
    }
    Ok(Stored { found: Found { item, version }, commit, events })
}

/// Whether it is only what was reported of what is not there yet.
fn is_stub(image: &serde_dynamo::Item, what: &str) -> Result<bool, CodecError> {
    #[derive(Deserialize)]
    struct Marked {
        #[serde(default)]
        stub: bool,
    }

    part::<Marked>(image, what).map(|marked| marked.stub)
}

fn part<T: DeserializeOwned>(image: &serde_dynamo::Item, what: &str) -> Result<T, CodecError> {
    serde_dynamo::from_item(image.clone())
        .map_err(|source| CodecError::Attributes { what: what.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use domain::accounts::{self, MakeDeposit};
    use domain::attempts;
    use domain::books::Kept;
    use domain::books::{Books, Change, Draft, Halt};
    use domain::goods::{self, Lines, PutProduct, ReceiveStock};
    use domain::ids::{BodyHash, Fingerprint, IdempotencyKey, Nonce};
    use domain::orders::{self, Goods, IfLacking, PlaceOrder, Wanted};
    use domain::payments::{self, GatewayKey, Limits, Reported, ReportedState, TakeCallback, Tally, Went};
    use domain::profiles::{self, PasswordHash, SignUp};
    use domain::slots::{self, PutSlot};
    use domain::text::ProductName;
    use domain::webhooks::{self, Answer, EndpointUrl, NoAnswer, Reach, Secret, WebhookMessage};
    use domain::{Amount, Currency, Millis, Terms};

    use super::*;

    /// Every kind of item that a deposit, an order that waits and its notification leave behind, and those of goods and
    /// of signing in.
    fn items() -> Vec<(Item, Vec<Event>)> {
        let (goods, people, webhooks, payments) = (of_goods(), of_people(), of_webhooks(), of_payments());
        of_money().into_iter().chain(goods).chain(people).chain(webhooks).chain(payments).collect()
    }

    /// A profile, and the attempts at signing up and in, one of them right.
    fn of_people() -> Vec<(Item, Vec<Event>)> {
        let now = Timestamp::from_millis(1_795_240_383_007);
        let (id, source) = (ProfileId::of_email("alice@example.com").unwrap(), SourceId::of([192, 0, 2, 1].into()));
        let password = PasswordHash::new("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".to_owned());
        let sign_up = SignUp { id, nonce: Nonce::of(&[7; 32]), password };
        let mut books = Books::default();
        books.lay(Key::Attempts(Budget::SignUps(source)), None);
        attempts::needed_to_sign_in(id, source).into_iter().for_each(|key| books.lay(key, None));
        books.decide(|draft| attempts::sign_up(draft, source, now)).unwrap();
        books.decide(|draft| profiles::sign_up(draft, &sign_up, now)).unwrap();
        let taken = books.decide(|draft| attempts::sign_in(draft, id, source, now)).unwrap();
        books.decide(|draft| attempts::signed_in(draft, taken, now)).unwrap();
        puts(&books)
    }

    fn puts(books: &Books) -> Vec<(Item, Vec<Event>)> {
        let put = |change| match change {
            Change::Put { item, events, .. } => Some((Item::clone(item), events.to_vec())),
            _ => None,
        };
        books.changes().into_iter().filter_map(put).collect()
    }

    /// A product, its receipt and stock, a slot, and an order of two lines that is paid and reserved and waits for a
    /// courier.
    fn of_goods() -> Vec<(Item, Vec<Event>)> {
        let terms = Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) };
        let customer = CustomerId::of("local", "alice");
        let key = |text: &str| IdempotencyKey::parse(text).unwrap();
        let fingerprint = Fingerprint::of("r", &[]);
        let now = Timestamp::from_millis(1_795_240_383_007);
        let amount = |minor| Amount::from_minor(minor).unwrap();
        let skus = ["EARL-GREY-100G", "teapot.blue"].map(|sku| Sku::parse(sku).unwrap());
        let mut books = Books::default();
        let deposit =
            MakeDeposit { id: DepositId::of(&customer, &key("d")), customer, amount: amount(1_000_000), fingerprint };
        let slot = SlotId::parse("2026-11-24.afternoon").unwrap();
        let goods = Goods {
            lines: Lines::new(skus.map(|sku| (sku, 2)).to_vec()).unwrap(),
            slot: Some(slot),
            reserve_first: true,
            if_unavailable: IfLacking::Wait,
            if_undeliverable: IfLacking::Cancel,
        };
        let order = PlaceOrder {
            id: OrderId::of(&customer, &key("goods")),
            customer,
            wanted: Wanted::Goods(Goods { if_undeliverable: IfLacking::Wait, ..goods }),
            description: None,
            pay_with: PayWith::Balance,
            if_unpaid: IfLacking::Cancel,
            fingerprint,
        };
        deposit.needs().into_iter().chain(order.needs()).for_each(|key| books.lay(key, None));
        books.decide(|draft| accounts::deposit(draft, &deposit, now, &terms)).unwrap();
        for (number, sku) in skus.into_iter().enumerate() {
            let product = PutProduct { sku, name: ProductName::new("tea").unwrap(), price: amount(1_250) };
            books.decide(|draft| goods::put_product(draft, &product, &terms)).unwrap();
            let id = ReceiptId::of(&customer, &key(&format!("r{number}")));
            let receipt = ReceiveStock { id, sku, quantity: 7, keeper: customer, fingerprint };
            receipt.needs().into_iter().skip(2).chain([Key::Receipt(id)]).for_each(|key| books.lay(key, None));
            books.decide(|draft| goods::receive(draft, &receipt, now)).unwrap();
        }
        let (from, to) = (Some(now.after(Millis::hours(5))), Some(now.after(Millis::hours(6))));
        let opened = PutSlot { id: slot, capacity: 0, from, to };
        books.decide(|draft| slots::put(draft, &opened, now)).unwrap();
        books.decide(|draft| orders::place(draft, &order, now, &terms)).unwrap();
        books.decide(|draft| orders::advance(draft, order.id, now, &terms)).unwrap();
        puts(&books)
    }

    /// An endpoint that failed, a notification, and its delivery as it waits and when it is over.
    fn of_webhooks() -> Vec<(Item, Vec<Event>)> {
        let customer = CustomerId::of("local", "alice");
        let now = Timestamp::from_millis(1_795_240_383_007);
        let order = OrderId::of(&customer, &IdempotencyKey::parse("k").unwrap());
        let event = EventId::new(&Key::Order(order), 3, 1);
        let (transition, text) = ("paid".to_owned(), "Your order is paid".to_owned());
        let notification = domain::messages::Notification { customer, at: now, event, order, transition, text };
        let url = EndpointUrl::parse("https://shop.example/hooks", Reach::Public).unwrap();
        let mut books = Books::default();
        [Key::Endpoint(customer), notification.key()].into_iter().for_each(|key| books.lay(key, None));
        books.decide(|draft| webhooks::put(draft, customer, &url, Secret::of([7; 32]), now)).unwrap();
        books.decide(|draft| webhooks::tell(draft, &notification, now)).unwrap();
        let send = |books: &mut Books, attempt, answer| {
            let message = WebhookMessage { webhook: event, customer, at: now, attempt };
            let attempt = books.decide(|draft| webhooks::begin(draft, &message, now)).unwrap().unwrap();
            let called = (attempt.number, &attempt.url);
            books.decide(|draft| webhooks::settle(draft, event, called, answer, 0, now)).unwrap();
        };
        send(&mut books, 0, Answer::Status { status: 503, retry_after_ms: Some(7_000) });
        let mut items = puts(&books);
        send(&mut books, 1, Answer::Silence(NoAnswer::TimedOut));
        books.decide(|draft| webhooks::remove(draft, customer, now)).unwrap();
        let message = WebhookMessage { webhook: event, customer, at: now, attempt: 2 };
        assert_eq!(books.decide(|draft| webhooks::begin(draft, &message, now)), Ok(None));
        let over = |(item, _): &(Item, Vec<Event>)| matches!(item, Item::Delivery(_));
        items.extend(puts(&books).into_iter().filter(over).map(|(item, _)| (item, Vec::new())));
        items
    }

    /// An order by card that was cancelled and is charged all the same, with its payment, entry and refund; what is reported
    /// of a payment and a refund that are not there; the callbacks of that, and a breaker.
    fn of_payments() -> Vec<(Item, Vec<Event>)> {
        fn decided<T>(books: &mut Books, decide: impl Fn(&mut Draft<'_>) -> Result<T, Halt>) -> T {
            loop {
                match books.decide(&decide) {
                    Ok(done) => return done,
                    Err(Halt::Needs(keys)) => keys.into_iter().for_each(|key| books.lay(key, None)),
                    Err(Halt::Refused(refusal)) => panic!("{refusal}"),
                }
            }
        }

        let terms = Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) };
        let customer = CustomerId::of("local", "alice");
        let key = |text: &str| IdempotencyKey::parse(text).unwrap();
        let now = Timestamp::from_millis(1_795_240_383_007);
        let amount = Amount::from_minor(150_099).unwrap();
        let order = PlaceOrder {
            id: OrderId::of(&customer, &key("by-card")),
            customer,
            wanted: Wanted::Amount(amount),
            description: None,
            pay_with: PayWith::Card(Gateway::Stripe),
            if_unpaid: IfLacking::Wait,
            fingerprint: Fingerprint::of("r", &[]),
        };
        let charged = GatewayKey::Charge(PaymentId::of_order(&order.id));
        let early = GatewayKey::Charge(PaymentId::of_request(&customer, &key("early")));
        let refund = GatewayKey::Refund(RefundId::of_request(&customer, &key("early")));
        let mut books = Books::default();
        decided(&mut books, |draft| orders::place(draft, &order, now, &terms));
        decided(&mut books, |draft| orders::cancel(draft, order.id, &customer, now));
        for (id, of) in [("c1", charged), ("c2", early), ("c3", refund)] {
            let reported = Reported {
                state: ReportedState::Captured,
                amount: Some(amount),
                currency: Some(terms.currency),
                reference: payments::GatewayRef::new("pi_3MtwBwLkdIwHu7ix28a3tqPa"),
            };
            let (id, body) = (CallbackId::of("stripe", id), BodyHash::of(b"{}"));
            let command = TakeCallback { id, gateway: Gateway::Stripe, body, of, reported };
            decided(&mut books, |draft| payments::take(draft, &command, now));
        }
        let heard = |draft: &mut Draft<'_>| {
            let tally = Tally { successes: 3 };
            payments::heard(draft, Gateway::Stripe, charged, Went::Badly, tally, &Limits::default(), now)
        };
        assert!(decided(&mut books, heard));
        puts(&books)
    }

    fn of_money() -> Vec<(Item, Vec<Event>)> {
        let terms = Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) };
        let customer = CustomerId::of("local", "alice");
        let key = IdempotencyKey::parse("k").unwrap();
        let fingerprint = Fingerprint::of("r", &[]);
        let now = Timestamp::from_millis(1_795_240_383_007);
        let amount = Amount::from_minor(150_099).unwrap();
        let mut books = Books::default();
        let order = PlaceOrder {
            id: OrderId::of(&customer, &key),
            customer,
            wanted: Wanted::Amount(amount),
            description: Some(domain::text::Description::new("tea for two 🫖").unwrap()),
            pay_with: PayWith::Balance,
            if_unpaid: IfLacking::Wait,
            fingerprint,
        };
        let deposit = MakeDeposit {
            id: DepositId::of(&customer, &key),
            customer,
            amount: Amount::from_minor(5).unwrap(),
            fingerprint,
        };
        deposit.needs().into_iter().chain([Key::Order(order.id)]).for_each(|key| books.lay(key, None));
        books.decide(|draft| accounts::deposit(draft, &deposit, now, &terms)).unwrap();
        books.decide(|draft| orders::place(draft, &order, now, &terms)).unwrap();
        books.decide(|draft| orders::advance(draft, order.id, now, &terms)).unwrap();
        let mut items = puts(&books);
        let told: Vec<_> = items
            .iter()
            .flat_map(|(item, events)| domain::messages::of_commit(item, 1, events))
            .filter_map(|message| match message {
                domain::messages::Message::Notice(notification) => Some((Item::Notification(notification), Vec::new())),
                _ => None,
            })
            .collect();
        items.extend(told);
        let unreadable = domain::messages::Unreadable::new("queue", "\u{0}{", "it is no JSON".to_owned(), now);
        items.push((Item::Unreadable(unreadable), Vec::new()));
        items
    }

    #[test]
    fn every_kind_of_item_comes_back_as_it_was() {
        let items = items();
        // Of goods: account, entries, deposit, order, place, slot and its listing; product, stock and receipt of each.
        // Of people: a profile, and four budgets.
        // Of webhooks: the endpoint, a notification and its delivery on its way, and once more when it is over.
        // Of payments: order, payment, entry and refund, two reports that are early, three callbacks and a breaker.
        assert_eq!(items.len(), 7 + 8 + 6 + 5 + 4 + 10, "{items:#?}");
        for (item, events) in items {
            let stored = decode(encode(&item, 3, "c", &events).unwrap()).unwrap();
            assert_eq!((stored.found.item, stored.found.version, stored.events), (item, 3, events));
        }
    }

    #[test]
    fn an_order_stays_under_a_kilobyte() {
        for (order, events) in items().into_iter().filter(|(item, _)| matches!(item, Item::Order(_))) {
            let attributes = encode(&order, 1, "abcdefghijklmnopqrstuvwxyz", &events).unwrap();
            let size: usize = attributes.iter().map(|(name, value)| name.len() + size_of(value)).sum();
            assert!(size <= 1_024, "an order that waits takes {size} bytes");
        }
    }

    /// As the service counts: UTF-8 for text, about half a byte a digit, three bytes for a container and one for each
    /// element.
    fn size_of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
            AttributeValue::Bool(_) => 1,
            AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + size_of(value)).sum::<usize>(),
            AttributeValue::M(map) => {
                3 + map.iter().map(|(name, value)| 1 + name.len() + size_of(value)).sum::<usize>()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn attempts_and_deliveries_are_forgotten_and_not_before_they_say_nothing() {
        for (item, _) in items() {
            let attributes = encode(&item, 1, "c", &[]).unwrap();
            let forget_at = attributes.get("forget_at").map(|value| value.as_n().unwrap().parse::<i64>().unwrap());
            match &item {
                Item::Attempts(attempts) => {
                    let late = forget_at.unwrap() * 1_000 - attempts.forget_at().as_millis();
                    assert!((1..=1_000).contains(&late), "{item:?}");
                }
                Item::Delivery(delivery) => assert_eq!(forget_at.is_some(), delivery.state.is_over(), "{item:?}"),
                _ => assert_eq!(forget_at, None, "{item:?}"),
            }
        }
    }

    #[test]
    fn a_newer_item_is_read_by_nobody() {
        let (item, events) = items().remove(0);
        let mut attributes = encode(&item, 3, "c", &events).unwrap();
        attributes.insert("format".to_owned(), AttributeValue::N((FORMAT + 1).to_string()));
        attributes.remove("commit");
        assert!(matches!(decode(attributes), Err(CodecError::Newer { format, .. }) if format > FORMAT));
    }

    #[test]
    fn what_the_first_release_knew_it_still_reads_and_the_rest_it_leaves_alone() {
        let format = |item: &Item| encode(item, 1, "c", &[]).unwrap()["format"].as_n().unwrap().clone();
        for (item, _) in of_money() {
            assert_eq!(format(&item), "1", "{item:?}");
        }
        for (item, _) in of_goods() {
            let is_old = matches!(&item, Item::Account(_) | Item::Deposit(_) | Item::Entry(_));
            assert_eq!(format(&item), if is_old { "1" } else { "2" }, "{item:?}");
        }
        for (item, _) in of_people() {
            assert_eq!(format(&item), "2", "{item:?}");
        }
        for (item, _) in of_webhooks() {
            let is_old = matches!(&item, Item::Notification(_));
            assert_eq!(format(&item), if is_old { "1" } else { "3" }, "{item:?}");
        }
        for (item, _) in of_payments() {
            assert_eq!(format(&item), "4", "{item:?}");
        }
        let of_money = of_money();
        let place = of_money.iter().position(|(item, _)| matches!(item, Item::Order(_))).unwrap();
        let Item::Order(mut order) = of_money[place].0.clone() else { panic!() };
        let mut passage = order.timeline[0].clone();
        passage.told = Told::OrderCancelled { reason: CancelReason::Deadline };
        order.timeline.push(passage.clone());
        assert_eq!(format(&Item::Order(order.clone())), "1");
        passage.told = Told::OrderCancelled { reason: CancelReason::Requested };
        order.timeline.push(passage);
        assert_eq!(format(&Item::Order(order)), "2");
    }

    #[test]
    fn events_on_an_item_that_tells_none_are_refused() {
        let (deposit, _) = items().into_iter().find(|(item, _)| matches!(item, Item::Deposit(_))).unwrap();
        let (_, events) = items().into_iter().find(|(_, events)| !events.is_empty()).unwrap();
        let refused = decode(encode(&deposit, 1, "c", &events).unwrap());
        assert!(matches!(refused, Err(CodecError::TellsNothing { .. })), "{refused:?}");
    }

    #[test]
    fn an_item_under_anothers_address_is_refused() {
        let (item, events) = items().into_iter().find(|(item, _)| matches!(item, Item::Account(_))).unwrap();
        let mut attributes = encode(&item, 3, "c", &events).unwrap();
        let other = account(&CustomerId::of("local", "bob"));
        attributes.insert("pk".to_owned(), AttributeValue::S(other));
        assert!(matches!(decode(attributes), Err(CodecError::Address { .. })));
    }

    #[test]
    fn addresses_come_back_and_nothing_else_does() {
        for (item, _) in items() {
            let (pk, sk) = address(&item.key());
            assert_eq!(parse_address(&pk, &sk), Some(item.key()), "{pk} / {sk}");
            assert_eq!(parse_address(&format!("{pk}#"), &sk), None);
            assert_eq!(parse_address(&pk, &format!("{sk}#")), None);
        }
        let alice = account(&CustomerId::of("local", "alice"));
        assert_eq!(parse_address(&alice, "entry#1"), None, "an entry's number has twelve digits");
    }
}
