//! A fresh system in memory for one thing to measure, and the few things that are done on it: calls of the HTTP API by
//! one customer, and functions run with the events that AWS would hand them.
//!
//! Nothing runs by itself here. What the stream and the queues would carry is taken from the commits, by the product's
//! own rule of what a commit tells, so each function is run alone and its calls are nobody else's.

use std::sync::Arc;

use bytes::Bytes;
use domain::Terms;
use domain::books::{Kept, Key};
use domain::ids::{CustomerId, OrderId};
use domain::messages::{self, Message, Notification, WorkMessage};
use domain::orders::{Order, OrderState, Resource};
use domain::webhooks::{Answer, Reach};
use http::Request;
use local_cloud::{Clock, Storage};
use local_system::{Network, Options, System};
use platform::Store;
use platform::outside::{Call, Outside, Post};
use platform::runtime::BoxFuture;
use serde_json::{Value, json};

use crate::error::{Error, ensure};
use crate::item;
use crate::meter::{Counted, Meter};

/// 2027-01-15, 08:00 UTC.
const START_MS: i64 = 1_800_000_000_000;
const SEED: u64 = 1;
pub(crate) const CUSTOMER: &str = "alice";
/// As long as descriptions commonly are.
const DESCRIPTION: &str = "Two tickets for the late show, row 7";

pub(crate) struct Scene {
    system: System,
    meter: Meter,
}

/// Everyone's endpoints: one that fails, and others that take what comes.
struct Endpoints;

impl Post for Endpoints {
    fn post(&self, call: Call) -> BoxFuture<'_, Answer> {
        let status = if call.url.as_str().ends_with("/fails") { 500 } else { 200 };
        Box::pin(std::future::ready(Answer::Status { status, retry_after_ms: None }))
    }
}

impl Scene {
    /// Call it inside a runtime whose time stands still: it passes by `pass` alone.
    pub(crate) fn open() -> Result<Self, Error> {
        let meter = Meter::default();
        let cloud = local_cloud::Options::new(Storage::Memory, Clock::starting_at(START_MS), SEED);
        let at_the_door = meter.clone();
        let network: Network = Arc::new(move |connector| at_the_door.before(platform::aws::shared(connector)));
        let outside = Outside::answered_by(Endpoints, Reach::Public);
        let options = Options { runs_by_itself: false, network, outside, ..Options::new(cloud) };
        Ok(Self { system: System::start(options)?, meter })
    }

    /// What the table's calls of this cost together.
    pub(crate) async fn measure<T>(&self, act: impl Future<Output = Result<T, Error>>) -> Result<(Counted, T), Error> {
        self.meter.take().counted()?;
        let done = act.await?;
        Ok((self.meter.take().counted()?, done))
    }

    pub(crate) async fn pass(&self, hours: u64, minutes: u64) {
        tokio::time::advance(std::time::Duration::from_secs((hours * 60 + minutes) * 60)).await;
    }

    pub(crate) async fn open_account(&self) -> Result<Value, Error> {
        self.call("POST", "/accounts", None, None).await
    }

    pub(crate) async fn deposit(&self, key: &str, amount: &str) -> Result<Value, Error> {
        self.call("POST", "/deposits", Some(key), Some(json!({ "amount": amount }))).await
    }

    /// So that several customers pay for theirs from an account each.
    pub(crate) async fn deposit_of(&self, customer: &str, amount: &str) -> Result<Value, Error> {
        self.call_as(customer, "POST", "/deposits", Some("deposit"), Some(json!({ "amount": amount }))).await
    }

    /// Places an order that waits if it lacks money.
    pub(crate) async fn place(&self, key: &str, amount: &str) -> Result<OrderId, Error> {
        self.place_or(key, amount, "wait").await
    }

    pub(crate) async fn place_or(&self, key: &str, amount: &str, if_unpaid: &str) -> Result<OrderId, Error> {
        let body = json!({ "amount": amount, "description": DESCRIPTION, "if_unpaid": if_unpaid });
        let placed = self.call("POST", "/orders", Some(key), Some(body)).await?;
        let id = placed["id"].as_str().and_then(OrderId::parse);
        id.ok_or_else(|| Error::Unexpected(format!("a placed order has no id: {placed}")))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call("GET", path, None, None).await
    }

    async fn call(&self, method: &str, path: &str, key: Option<&str>, body: Option<Value>) -> Result<Value, Error> {
        self.call_as(CUSTOMER, method, path, key, body).await
    }

    async fn call_as(
        &self,
        customer: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Result<Value, Error> {
        let mut request = Request::builder().method(method).uri(path).header("x-user-id", customer);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Bytes::from(body)).expect("a request of known parts");
        let answer = self.system.call(request).await;
        let status = answer.status();
        if !status.is_success() {
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            return Err(Error::Answered { call: format!("{method} {path}"), status: status.as_u16(), body });
        }
        serde_json::from_slice(answer.body())
            .map_err(|error| Error::Unexpected(format!("{method} {path} was answered with no JSON: {error}")))
    }

    /// The messages that placing these orders sends to `advance-orders`, as one batch.
    pub(crate) async fn placed(&self, orders: &[OrderId]) -> Result<Value, Error> {
        let mut work = Vec::new();
        for order in orders {
            work.extend(self.work_told_by(Key::Order(*order)).await?);
        }
        ensure(work.len() == orders.len(), || format!("{} orders told {} pieces of work", orders.len(), work.len()))?;
        self.batch("AdvanceOrders", work.iter().map(|message| (message.group(), json!(message))))
    }

    /// The message that a deposit sends to `advance-orders`: there is more money.
    pub(crate) async fn deposited(&self) -> Result<Value, Error> {
        self.more_of(Resource::Account(self.customer(CUSTOMER))).await
    }

    /// The message that the last commit of a resource sends to `advance-orders`: there is more of it.
    pub(crate) async fn more_of(&self, resource: Resource) -> Result<Value, Error> {
        let work = self.work_told_by(resource.key()).await?;
        ensure(work.len() == 1, || format!("{resource} told {} pieces of work", work.len()))?;
        self.batch("AdvanceOrders", work.iter().map(|message| (message.group(), json!(message))))
    }

    pub(crate) async fn told_a_person(&self, order: OrderId) -> Result<Value, Error> {
        self.told_people(&[order]).await
    }

    /// The first of the messages that the last commit of each order sends to `notify`, in one batch.
    pub(crate) async fn told_people(&self, orders: &[OrderId]) -> Result<Value, Error> {
        let mut notices = Vec::new();
        for order in orders {
            let told = self.told_by(Key::Order(*order)).await?;
            let notice = told.into_iter().find_map(|message| match message {
                Message::Notice(notification) => Some(notification),
                _ => None,
            });
            notices.push(notice.ok_or_else(|| Error::Unexpected(format!("nobody was told of order {order}")))?);
        }
        self.batch("Notify", notices.iter().map(|notification| (notification.group(), json!(notification))))
    }

    pub(crate) async fn put_webhook(&self, url: &str) -> Result<Value, Error> {
        self.call("PUT", "/webhook", None, Some(json!({ "url": url }))).await
    }

    /// The message that keeping a notification sends to `deliver-webhook`.
    pub(crate) async fn told_outside(&self, notice: &Value) -> Result<Value, Error> {
        let body = notice["Records"][0]["body"].as_str().unwrap_or_default();
        let told: Notification = serde_json::from_str(body).map_err(|error| Error::Unexpected(error.to_string()))?;
        let told = self.told_by(Key::Delivery(told.event)).await?;
        let due: Vec<_> = told
            .into_iter()
            .filter_map(|message| match message {
                Message::Webhook(message, _) => Some(message),
                _ => None,
            })
            .collect();
        ensure(due.len() == 1, || format!("{} deliveries are due", due.len()))?;
        self.batch("DeliverWebhook", due.iter().map(|message| (message.group(), json!(message))))
    }

    async fn work_told_by(&self, key: Key) -> Result<Vec<WorkMessage>, Error> {
        let told = self.told_by(key).await?;
        Ok(told
            .into_iter()
            .filter_map(|message| match message {
                Message::Work(work) => Some(work),
                _ => None,
            })
            .collect())
    }

    /// What `relay` would publish for the last commit of an item.
    async fn told_by(&self, key: Key) -> Result<Vec<Message>, Error> {
        let table = self.system.app().store.table();
        let found = table.load(&[key]).await.map_err(|error| Error::Unexpected(error.to_string()))?.remove(&key);
        let stored = found.flatten().ok_or_else(|| Error::Unexpected(format!("{key:?} is not there")))?;
        Ok(messages::of_commit(&stored.found.item, stored.found.version, &stored.events))
    }

    /// A batch of queue messages as a function gets it.
    fn batch(&self, function: &str, messages: impl Iterator<Item = (String, Value)>) -> Result<Value, Error> {
        let stack = self.system.cloud.stack();
        let mapping = stack.queue_mappings.iter().find(|mapping| mapping.function == function);
        let mapping = mapping.ok_or_else(|| Error::Unexpected(format!("no queue is mapped to {function}")))?;
        let records: Vec<Value> = (1..)
            .zip(messages)
            .map(|(number, (group, body)): (u32, _)| {
                json!({
                    "messageId": format!("message-{number}"),
                    "receiptHandle": format!("receipt-{number}"),
                    "body": body.to_string(),
                    "attributes": {
                        "ApproximateReceiveCount": "1",
                        "SentTimestamp": START_MS.to_string(),
                        "MessageGroupId": group,
                    },
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": mapping.queue_arn,
                    "awsRegion": stack.region,
                })
            })
            .collect();
        Ok(json!({ "Records": records }))
    }

    /// Runs a function and insists on its having done everything.
    pub(crate) async fn run(&self, function: &str, event: Value) -> Result<Value, Error> {
        let answer = self.system.cloud.invoke(function, event).await;
        let answer = answer.map_err(|error| Error::Function { function: function.to_owned(), error })?;
        let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
        ensure(failures == 0, || format!("{function} left {failures} messages undone: {answer}"))?;
        Ok(answer)
    }

    pub(crate) async fn expect_state(&self, order: OrderId, state: OrderState) -> Result<Order, Error> {
        let key = Key::Order(order);
        let table = self.system.app().store.table();
        let found = table.load(&[key]).await.map_err(|error| Error::Unexpected(error.to_string()))?.remove(&key);
        let order = found.flatten().and_then(|stored| Order::of_item(&stored.found.item).cloned());
        let order = order.ok_or_else(|| Error::Unexpected("an order is not there".to_owned()))?;
        ensure(order.state == state, || format!("an order is {:?}, and should be {state:?}", order.state))?;
        Ok(order)
    }

    /// The kind and the size of every item in the table.
    pub(crate) async fn item_sizes(&self) -> Result<Vec<(String, usize)>, Error> {
        let mut sizes = Vec::new();
        let mut from = Value::Null;
        loop {
            let mut scan = json!({ "TableName": self.system.app().store.table().name() });
            if !from.is_null() {
                scan["ExclusiveStartKey"] = from;
            }
            let mut page = self.scan(scan).await?;
            for item in page["Items"].as_array().into_iter().flatten() {
                let size = item::size(item).ok_or_else(|| Error::Unexpected(format!("what is in {item}?")))?;
                sizes.push((kind(item), size));
            }
            from = page["LastEvaluatedKey"].take();
            if from.is_null() {
                return Ok(sizes);
            }
        }
    }

    /// As whoever looks into the table from outside; the meter does not see it.
    async fn scan(&self, request: Value) -> Result<Value, Error> {
        let request = Request::post("/")
            .header("x-amz-target", "DynamoDB_20120810.Scan")
            .body(Bytes::from(request.to_string()))
            .expect("a request of known parts");
        let answer = self.system.cloud.connector().answer(request).await;
        let body = String::from_utf8_lossy(answer.body());
        serde_json::from_str(&body).ok().filter(|_| answer.status().is_success()).ok_or_else(|| Error::Answered {
            call: "Scan".to_owned(),
            status: answer.status().as_u16(),
            body: body.into_owned(),
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.system.app().store
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.system.app().config.terms
    }

    pub(crate) fn customer(&self, name: &str) -> CustomerId {
        CustomerId::of(&self.system.app().config.tokens.issuer, name)
    }
}

/// What an item is, by its address; an order also by where it stands, since it grows on its way.
fn kind(item: &Value) -> String {
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
    match (text("pk").split('#').next().unwrap_or_default(), text("sk")) {
        ("account", "account") => "account".to_owned(),
        ("account", _) => "entry".to_owned(),
        ("order", _) => {
            let of_goods = if item["lines"].is_object() { " of goods" } else { "" };
            format!("order{of_goods}, {}", text("state").replace('_', " "))
        }
        ("wait", _) => "waiting".to_owned(),
        ("inbox", _) => "notification".to_owned(),
        ("sku", _) => "stock".to_owned(),
        (kind, _) => kind.to_owned(),
    }
}
