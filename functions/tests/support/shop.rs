//! A shop on the system: what is done with goods straight through the store, by the decisions that the routes make.

use bytes::Bytes;
use domain::books::{Draft, Halt, Kept, Key};
use domain::goods::{self, Lines, PutProduct, ReceiveStock, Stock};
use domain::ids::{CustomerId, Fingerprint, IdempotencyKey, OrderId, ReceiptId, Sku, SlotId};
use domain::messages::{self, Message, WorkMessage};
use domain::orders::{self, Goods, IfLacking, Order, OrderState, PayWith, PlaceOrder, Resource, Waiting, Wanted};
use domain::slots::{self, PutSlot, Slot};
use domain::text::ProductName;
use domain::{Amount, Outcome, Timestamp};
use local_system::System;
use platform::Failure;
use platform::store::Needs;
use serde_json::{Value, json};

pub(crate) struct Shop<'a>(pub(crate) &'a System);

/// How an order is to go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes<'a> {
    pub(crate) slot: Option<&'a str>,
    pub(crate) reserve_first: bool,
}

pub(crate) fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}

pub(crate) fn slot(name: &str) -> SlotId {
    SlotId::parse(name).unwrap()
}

fn idempotency(key: &str) -> IdempotencyKey {
    IdempotencyKey::parse(key).unwrap()
}

impl Shop<'_> {
    pub(crate) fn customer(&self, name: &str) -> CustomerId {
        CustomerId::of(&self.0.app().config.tokens.issuer, name)
    }

    async fn decide<T>(
        &self,
        needs: impl IntoIterator<Item = Key>,
        decide: impl Fn(&mut Draft<'_>, Timestamp) -> Result<T, Halt>,
    ) -> Result<T, Failure> {
        let store = &self.0.app().store;
        store.decide(Needs::load(needs), |books, now| books.decide(|draft| decide(draft, now))).await
    }

    pub(crate) async fn product(&self, name: &str, price: i64) {
        let (sku, price) = (sku(name), Amount::from_minor(price).unwrap());
        let product = PutProduct { sku, name: ProductName::new(name).unwrap(), price };
        let terms = &self.0.app().config.terms;
        self.decide([Key::Product(sku)], |draft, _| goods::put_product(draft, &product, terms)).await.unwrap();
    }

    pub(crate) async fn receive(&self, key: &str, name: &str, quantity: u32) {
        let keeper = self.customer("keeper");
        let (id, fingerprint) = (ReceiptId::of(&keeper, &idempotency(key)), Fingerprint::of("a test", &[]));
        let receipt = ReceiveStock { id, sku: sku(name), quantity, keeper, fingerprint };
        let received = self.decide(receipt.needs(), |draft, now| goods::receive(draft, &receipt, now)).await.unwrap();
        assert!(matches!(received, Outcome::Done(_)), "{key} was used before");
    }

    pub(crate) async fn slot(&self, name: &str, capacity: u32, from: Option<Timestamp>) {
        let command = PutSlot { id: slot(name), capacity, from, to: None };
        self.decide([Key::Slot(command.id)], |draft, now| slots::put(draft, &command, now)).await.unwrap();
    }

    pub(crate) async fn order(&self, customer: &str, key: &str, lines: &[(&str, u32)], wishes: Wishes<'_>) -> OrderId {
        let customer = self.customer(customer);
        let wanted = Wanted::Goods(Goods {
            lines: Lines::new(lines.iter().map(|(name, quantity)| (sku(name), *quantity)).collect()).unwrap(),
            slot: wishes.slot.map(slot),
            reserve_first: wishes.reserve_first,
            if_unavailable: IfLacking::Wait,
            if_undeliverable: IfLacking::Wait,
        });
        let (id, fingerprint) = (OrderId::of(&customer, &idempotency(key)), Fingerprint::of("a test", &[]));
        let order = PlaceOrder {
            id,
            customer,
            wanted,
            description: None,
            pay_with: PayWith::Balance,
            if_unpaid: IfLacking::Wait,
            fingerprint,
        };
        let terms = &self.0.app().config.terms;
        self.decide(order.needs(), |draft, now| orders::place(draft, &order, now, terms)).await.unwrap();
        id
    }

    pub(crate) async fn cancel(&self, customer: &str, order: OrderId) -> Result<Outcome<Order>, Failure> {
        let customer = self.customer(customer);
        self.decide([Key::Order(order)], |draft, now| orders::cancel(draft, order, &customer, now)).await
    }

    pub(crate) async fn get<T: Kept>(&self, key: Key) -> Option<T> {
        self.0.app().store.table().get(&key).await.unwrap()
    }

    pub(crate) async fn placed(&self, order: OrderId) -> Order {
        self.get(Key::Order(order)).await.unwrap()
    }

    pub(crate) async fn state(&self, order: OrderId) -> OrderState {
        self.placed(order).await.state
    }

    pub(crate) async fn on_hand(&self, name: &str) -> u64 {
        self.get::<Stock>(Key::Stock(sku(name))).await.map_or(0, |stock| stock.on_hand)
    }

    pub(crate) async fn booked(&self, name: &str) -> u32 {
        self.get::<Slot>(Key::Slot(slot(name))).await.map_or(0, |slot| slot.booked)
    }

    /// Who waits under something, oldest order first, all of them.
    pub(crate) async fn queue(&self, resource: Resource) -> Vec<OrderId> {
        let stored = self.0.app().store.table().waiters(&resource, None, 10_000).await.unwrap();
        stored.iter().filter_map(|stored| Waiting::of_item(&stored.found.item)).map(|waiting| waiting.order).collect()
    }

    /// What `advance-orders` left to messages of their own, taken out of its queue.
    pub(crate) async fn left_to_the_queue(&self) -> Vec<WorkMessage> {
        let cloud = &self.0.cloud;
        let url =
            cloud.stack().queues.iter().find(|queue| queue.name.ends_with("-order-updates.fifo")).unwrap().url.clone();
        let call = async |operation: &str, request: Value| -> Value {
            let request = http::Request::post("/")
                .header("x-amz-target", format!("AmazonSQS.{operation}"))
                .body(Bytes::from(request.to_string()))
                .unwrap();
            serde_json::from_slice(cloud.connector().answer(request).await.body()).unwrap_or_default()
        };
        let got = call("ReceiveMessage", json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 })).await;
        let mut work = Vec::new();
        for message in got["Messages"].as_array().into_iter().flatten() {
            work.push(serde_json::from_str(message["Body"].as_str().unwrap()).unwrap());
            call("DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] })).await;
        }
        work
    }

    /// The work that the last commit of an item told of.
    pub(crate) async fn told_by(&self, key: Key) -> Vec<WorkMessage> {
        let found = self.0.app().store.table().load(&[key]).await.unwrap().remove(&key).flatten().unwrap();
        let told = messages::of_commit(&found.found.item, found.found.version, &found.events);
        told.into_iter()
            .filter_map(|message| match message {
                Message::Work(work) => Some(work),
                _ => None,
            })
            .collect()
    }

    /// Runs `advance-orders` with a batch of work, as its queue would, and says how many it left undone.
    pub(crate) async fn advance(&self, work: &[WorkMessage]) -> usize {
        self.hand_over("AdvanceOrders", work.iter().map(|message| (message.group(), json!(message).to_string()))).await
    }

    /// Runs the function behind a queue with a batch of messages, each of a group, and says how many it left undone.
    pub(crate) async fn hand_over(&self, function: &str, messages: impl Iterator<Item = (String, String)>) -> usize {
        let stack = self.0.cloud.stack();
        let mapping = stack.queue_mappings.iter().find(|mapping| mapping.function == function).unwrap();
        let record = |(number, (group, body)): (usize, (String, String))| {
            json!({
                "messageId": format!("message-{number}"),
                "receiptHandle": format!("receipt-{number}"),
                "body": body,
                "attributes": { "ApproximateReceiveCount": "1", "MessageGroupId": group },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": mapping.queue_arn,
                "awsRegion": stack.region,
            })
        };
        let records: Vec<Value> = messages.enumerate().map(record).collect();
        let answer = self.0.cloud.invoke(function, json!({ "Records": records })).await.unwrap();
        answer["batchItemFailures"].as_array().map_or(0, Vec::len)
    }
}
