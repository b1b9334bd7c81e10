//! The queries: a statement, an inbox, a queue of waiters, an owner's orders, what is due, and everything for `verify`.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use data_encoding::BASE64URL_NOPAD;
use domain::accounts::Entry;
use domain::books::{Kept, Key};
use domain::events::EventId;
use domain::goods::Product;
use domain::ids::{CustomerId, OrderId, PaymentId};
use domain::messages::{Cursor, Notification};
use domain::orders::Resource;
use domain::payments::GatewayKey;
use domain::slots::ListedSlot;
use domain::{Timestamp, planted};

use super::codec::{self, Attributes, Stored, decode, parse_address};
use super::{CodecError, ReadError, Table, unavailable};

/// Some of a list, and where the rest begins.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Place>,
}

/// A place in a list, opaque to whoever is handed it. It names no owner, so it leads nobody to another's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    pub fn to_cursor(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.as_bytes())
    }

    pub fn from_cursor(cursor: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        String::from_utf8(bytes).ok().filter(|text| !text.is_empty() && text.len() <= 200).map(Self)
    }
}

/// By sort key, in which direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sorted {
    FirstFirst,
    LastFirst,
}

/// One of the parts that a table is read in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: i32,
    pub(crate) of: i32,
}

/// A page of what is there, item by item readable or not.
pub(crate) struct Scanned {
    pub(crate) items: Vec<Result<Stored, CodecError>>,
    pub(crate) next: Option<Attributes>,
    pub(crate) read_units: f64,
}

impl Table {
    /// A customer's entries, newest first. `None` if the place is none in this list.
    pub async fn entries(
        &self,
        customer: &CustomerId,
        from: Option<&Place>,
        limit: i32,
    ) -> Result<Option<Page<Entry>>, ReadError> {
        let pk = codec::account(customer);
        let is_place = |sk: &str| matches!(parse_address(&pk, sk), Some(Key::Entry(..)));
        self.listed(&pk, Some("entry#"), Sorted::LastFirst, from, limit, is_place).await
    }

    /// What a customer was told, newest first.
    pub async fn notifications(
        &self,
        customer: &CustomerId,
        from: Option<&Place>,
        limit: i32,
    ) -> Result<Option<Page<Notification>>, ReadError> {
        let pk = codec::inbox(customer);
        let is_place = |sk: &str| parse_address(&pk, sk).is_some();
        self.listed(&pk, None, Sorted::LastFirst, from, limit, is_place).await
    }

    /// What is sold, by sku.
    pub async fn products(&self, from: Option<&Place>, limit: i32) -> Result<Option<Page<Product>>, ReadError> {
        let is_place = |sk: &str| parse_address(codec::CATALOGUE, sk).is_some();
        self.listed(codec::CATALOGUE, None, Sorted::FirstFirst, from, limit, is_place).await
    }

    /// Which slots there are, by id.
    pub async fn slots(&self, from: Option<&Place>, limit: i32) -> Result<Option<Page<ListedSlot>>, ReadError> {
        let is_place = |sk: &str| parse_address(codec::SLOTS, sk).is_some();
        self.listed(codec::SLOTS, None, Sorted::FirstFirst, from, limit, is_place).await
    }

    async fn listed<T: Kept>(
        &self,
        pk: &str,
        prefix: Option<&str>,
        sorted: Sorted,
        from: Option<&Place>,
        limit: i32,
        is_place: impl Fn(&str) -> bool,
    ) -> Result<Option<Page<T>>, ReadError> {
        if from.is_some_and(|place| !is_place(&place.0)) {
            return Ok(None);
        }
        let start =
            from.map(|place| Attributes::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(&place.0))]));
        let mut query = self.partition(pk).consistent_read(true).limit(limit + 1);
        query = query.scan_index_forward(sorted == Sorted::FirstFirst);
        if let Some(prefix) = prefix {
            query = query
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix));
        }
        let answer = query.set_exclusive_start_key(start).send().await.map_err(unavailable)?;
        let mut stored: Vec<Stored> =
            answer.items.unwrap_or_default().into_iter().map(decode).collect::<Result<_, _>>()?;
        // One more than was asked for tells whether there is a next page at all.
        let wanted = usize::try_from(limit).unwrap_or_default();
        let more = stored.len() > wanted;
        if planted!(PageSkips) && more {
            stored.swap(wanted - 1, wanted);
        }
        stored.truncate(wanted);
        let next = stored.last().filter(|_| more).map(|last| Place(codec::address(&last.found.item.key()).1));
        Ok(Some(Page {
            items: stored.iter().filter_map(|stored| T::of_item(&stored.found.item)).cloned().collect(),
            next,
        }))
    }

    /// The ids of a customer's orders, newest first. The index may lag a moment behind.
    pub async fn orders_of(
        &self,
        customer: &CustomerId,
        from: Option<&Place>,
        limit: i32,
    ) -> Result<Option<Page<OrderId>>, ReadError> {
        let of = Owned { owner: customer.to_string(), prefix: "", key_of: |id| OrderId::parse(id).map(Key::Order) };
        self.owned(of, order_of, from, limit).await
    }

    /// The ids of a customer's payments, newest first. The index may lag a moment behind.
    pub async fn payments_of(
        &self,
        customer: &CustomerId,
        from: Option<&Place>,
        limit: i32,
    ) -> Result<Option<Page<PaymentId>>, ReadError> {
        let key_of = |id: &str| PaymentId::parse(id).map(Key::Payment);
        let of = Owned { owner: codec::payer(customer), prefix: "payments#", key_of };
        self.owned(of, payment_id_of, from, limit).await
    }

    async fn owned<T>(
        &self,
        of: Owned,
        id_of: fn(&Attributes) -> Result<T, CodecError>,
        from: Option<&Place>,
        limit: i32,
    ) -> Result<Option<Page<T>>, ReadError> {
        let start = match from {
            None => None,
            Some(place) => {
                let Some((created_at, key)) = of.parse(&place.0) else { return Ok(None) };
                let mut start = codec::key_attributes(&key);
                start.insert("owner".to_owned(), text(&of.owner));
                start.insert("created_at".to_owned(), number(created_at));
                Some(start)
            }
        };
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("by_owner")
            .key_condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(&of.owner))
            .scan_index_forward(false)
            .limit(limit + 1)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(Some(page(answer.items, limit, id_of, |last| of.place(last))?))
    }

    /// Who waits under a resource, oldest order first, strongly consistent, with the versions of the waiting items.
    pub async fn waiters(
        &self,
        resource: &Resource,
        after: Option<&Cursor>,
        limit: i32,
    ) -> Result<Vec<Stored>, ReadError> {
        let pk = codec::queue(resource);
        let start = after.map(|cursor| {
            let sk = codec::place(cursor.placed_at, &cursor.order);
            Attributes::from([("pk".to_owned(), text(&pk)), ("sk".to_owned(), text(&sk))])
        });
        let answer = self
            .partition(&pk)
            .consistent_read(!planted!(StaleWaiters))
            .limit(limit)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(answer.items.unwrap_or_default().into_iter().map(decode).collect::<Result<_, _>>()?)
    }

    /// Which orders of one shard are to be looked at by now, the longest due first.
    pub async fn due(&self, shard: u8, now: Timestamp, limit: i32) -> Result<Vec<OrderId>, ReadError> {
        let due = self.due_in(&codec::look_shard(shard), now, limit).await?;
        due.iter().map(|image| Ok(order_of(image)?)).collect()
    }

    /// Which deliveries of one shard are.
    pub async fn due_deliveries(&self, shard: u8, now: Timestamp, limit: i32) -> Result<Vec<EventId>, ReadError> {
        let due = self.due_in(&codec::delivery_shard(shard), now, limit).await?;
        due.iter().map(|image| Ok(delivery_of(image)?)).collect()
    }

    /// Which payments are, and what was reported of payments and refunds that are not there.
    pub async fn due_payments(&self, shard: u8, now: Timestamp, limit: i32) -> Result<Vec<GatewayKey>, ReadError> {
        let due = self.due_in(&codec::payment_shard(shard), now, limit).await?;
        due.iter().map(|image| Ok(payment_of(image)?)).collect()
    }

    /// What waits for a person: payments, and what was reported of payments and refunds that are not there. Those of which
    /// somebody is to be reminded soonest come first. The index may lag a moment behind.
    pub async fn reviews(&self, from: Option<&Place>, limit: i32) -> Result<Option<Page<GatewayKey>>, ReadError> {
        let shard = codec::payment_shard(codec::REVIEW_SHARD);
        let start = match from {
            None => None,
            Some(place) => {
                let Some((at, key)) = parse_review(&place.0) else { return Ok(None) };
                let mut start = codec::key_attributes(&key.key());
                start.insert("look_shard".to_owned(), text(&shard));
                start.insert("look_at".to_owned(), number(at));
                Some(start)
            }
        };
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("by_look")
            .key_condition_expression("look_shard = :shard")
            .expression_attribute_values(":shard", text(&shard))
            .limit(limit + 1)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(Some(page(answer.items, limit, payment_of, review_place)?))
    }

    async fn due_in(&self, shard: &str, now: Timestamp, limit: i32) -> Result<Vec<Attributes>, ReadError> {
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("by_look")
            .key_condition_expression("look_shard = :shard AND look_at <= :now")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":now", number(now))
            .limit(limit)
            .send()
            .await
            .map_err(unavailable)?;
        Ok(answer.items.unwrap_or_default())
    }

    pub const LOOK_SHARDS: u8 = codec::LOOK_SHARDS;
    pub const DELIVERY_SHARDS: u8 = codec::DELIVERY_SHARDS;
    pub const PAYMENT_SHARDS: u8 = codec::PAYMENT_SHARDS;

    /// Everything of one segment, page by page, for `verify` alone.
    pub(crate) async fn scan(&self, part: Segment, limit: i32, from: Option<Attributes>) -> Result<Scanned, ReadError> {
        let answer = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .set_segment((part.of > 1).then_some(part.number))
            .set_total_segments((part.of > 1).then_some(part.of))
            .limit(limit)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(unavailable)?;
        let read_units = answer.consumed_capacity.and_then(|consumed| consumed.capacity_units).unwrap_or_default();
        let items = answer.items.unwrap_or_default().into_iter().map(decode).collect();
        Ok(Scanned { items, next: answer.last_evaluated_key, read_units })
    }

    /// An account and its entries by number, page by page, strongly consistent.
    pub(crate) async fn account(
        &self,
        customer: &CustomerId,
        limit: i32,
        from: Option<Attributes>,
    ) -> Result<Scanned, ReadError> {
        let query = self.partition(&codec::account(customer)).consistent_read(true).limit(limit);
        let answer = query.set_exclusive_start_key(from).send().await.map_err(unavailable)?;
        let items = answer.items.unwrap_or_default().into_iter().map(decode).collect();
        Ok(Scanned { items, next: answer.last_evaluated_key, read_units: 0.0 })
    }

    /// A payment and its entries, in the same way.
    pub(crate) async fn payment(
        &self,
        id: &PaymentId,
        limit: i32,
        from: Option<Attributes>,
    ) -> Result<Scanned, ReadError> {
        let query = self.partition(&codec::payment(id)).consistent_read(true).limit(limit);
        let answer = query.set_exclusive_start_key(from).send().await.map_err(unavailable)?;
        let items = answer.items.unwrap_or_default().into_iter().map(decode).collect();
        Ok(Scanned { items, next: answer.last_evaluated_key, read_units: 0.0 })
    }

    /// How many items the service counted when it last did, some hours ago; and so that the table is there at all.
    pub async fn counted(&self) -> Result<u64, ReadError> {
        let answer = self.client.describe_table().table_name(&self.name).send().await.map_err(unavailable)?;
        let count = answer.table.and_then(|table| table.item_count).unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn partition(&self, pk: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(pk))
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_millis().to_string())
}

/// Whose things of one kind are listed, and how a place among them is written.
struct Owned {
    owner: String,
    /// So that a place in the one list is none in another.
    prefix: &'static str,
    key_of: fn(&str) -> Option<Key>,
}

/// What was asked for with one more than is wanted, so that it shows whether there is more.
fn page<T>(
    images: Option<Vec<Attributes>>,
    limit: i32,
    read: impl Fn(&Attributes) -> Result<T, CodecError>,
    place: impl Fn(&Attributes) -> Result<Place, CodecError>,
) -> Result<Page<T>, CodecError> {
    let mut images = images.unwrap_or_default();
    let wanted = usize::try_from(limit).unwrap_or_default();
    let more = images.len() > wanted;
    images.truncate(wanted);
    let next = images.last().filter(|_| more).map(place).transpose()?;
    Ok(Page { items: images.iter().map(read).collect::<Result<_, _>>()?, next })
}

impl Owned {
    fn parse(&self, place: &str) -> Option<(Timestamp, Key)> {
        let (at, id) = place.strip_prefix(self.prefix)?.split_once('#')?;
        Some((Timestamp::from_sortable(at)?, (self.key_of)(id)?))
    }

    fn place(&self, image: &Attributes) -> Result<Place, CodecError> {
        let (pk, sk) = key_of(image);
        let at = image.get("created_at").and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok());
        let id = pk.split_once('#').map(|(_, id)| id.to_owned());
        match (at, id) {
            (Some(at), Some(id)) => Ok(Place(format!("{}{}#{id}", self.prefix, Timestamp::from_millis(at).sortable()))),
            _ => Err(CodecError::Address { pk, sk }),
        }
    }
}

fn moment(image: &Attributes, name: &str) -> Option<Timestamp> {
    let digits = image.get(name).and_then(|value| value.as_n().ok())?;
    digits.parse().ok().map(Timestamp::from_millis)
}

const REVIEWS: &str = "reviews#";

fn parse_review(place: &str) -> Option<(Timestamp, GatewayKey)> {
    let (at, key) = place.strip_prefix(REVIEWS)?.split_once('#')?;
    Some((Timestamp::from_sortable(at)?, GatewayKey::parse(key)?))
}

fn review_place(image: &Attributes) -> Result<Place, CodecError> {
    let key = payment_of(image)?;
    match moment(image, "look_at") {
        Some(at) => Ok(Place(format!("{REVIEWS}{}#{key}", at.sortable()))),
        None => {
            let (pk, sk) = key_of(image);
            Err(CodecError::Address { pk, sk })
        }
    }
}

fn delivery_of(image: &Attributes) -> Result<EventId, CodecError> {
    let (pk, sk) = key_of(image);
    match parse_address(&pk, &sk) {
        Some(Key::Delivery(event)) => Ok(event),
        _ => Err(CodecError::Address { pk, sk }),
    }
}

fn payment_of(image: &Attributes) -> Result<GatewayKey, CodecError> {
    let (pk, sk) = key_of(image);
    match parse_address(&pk, &sk) {
        Some(Key::Payment(id)) => Ok(GatewayKey::Charge(id)),
        Some(Key::Refund(id)) => Ok(GatewayKey::Refund(id)),
        _ => Err(CodecError::Address { pk, sk }),
    }
}

fn key_of(image: &Attributes) -> (String, String) {
    let part = |name: &str| image.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
    (part("pk"), part("sk"))
}

fn order_of(image: &Attributes) -> Result<OrderId, CodecError> {
    let (pk, sk) = key_of(image);
    match parse_address(&pk, &sk) {
        Some(Key::Order(order)) => Ok(order),
        _ => Err(CodecError::Address { pk, sk }),
    }
}

fn payment_id_of(image: &Attributes) -> Result<PaymentId, CodecError> {
    let (pk, sk) = key_of(image);
    match parse_address(&pk, &sk) {
        Some(Key::Payment(payment)) => Ok(payment),
        _ => Err(CodecError::Address { pk, sk }),
    }
}
