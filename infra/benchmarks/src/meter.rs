//! What calls to the table cost, in the units that they are billed by.
//!
//! The functions do not ask what a call consumed; it is nothing to them. So this stands between their SDK clients and
//! the services, adds that one question to each request, notes what passes and sums up the answers. How they are
//! counted:
//!
//! - A write is a unit for each started kilobyte of the larger of the item before and after. In a transaction it is
//!   two, and so is a condition check, also of an item that is not there.
//! - An index entry that appears, changes or goes is a unit; one whose key changes is two, a deletion and an insertion;
//!   one that stays as it was is none. In a transaction these are not doubled: the documentation is silent on that, and
//!   the emulator's authors measured it on the service.
//! - A strongly consistent read is a unit for each started four kilobytes, also of nothing; otherwise half of that.
//! - **Corrected here:** a refused condition is billed as the write that it would have been, without its indexes, but
//!   neither the service nor the emulator says so in the refusal. This adds it.
//!
//! A call whose cost is not known fails the measuring; it is never counted as nothing. That goes for a cancelled
//! transaction too, which only rivals bring about, and nothing that is measured here has any.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use platform::aws::SharedHttpClient;
use serde_json::Value;

use crate::error::Error;
use crate::item;

const DYNAMODB: &str = "DynamoDB_20120810";

/// What some calls consumed of the table and its indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    pub write_units: f64,
    pub read_units: f64,
    /// Calls to the table, repeats by the SDK included.
    pub round_trips: u32,
}

/// One call to a service that speaks JSON, which is all of them but S3.
#[derive(Clone, Debug)]
pub struct Call {
    /// As the service names itself in the protocol: `DynamoDB_20120810`, `AmazonSQS`, `AWSEvents`.
    pub service: String,
    pub operation: String,
    pub request: Value,
    /// The status and the body. `None` is a call whose answer did not come.
    pub answer: Option<(u16, Value)>,
}

/// The calls that were made between two looks, in their order.
#[derive(Clone, Debug, Default)]
pub struct Calls(Vec<Call>);

/// Notes what passes through the networks that it stands before. Clones share what is noted.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Calls>>);

impl Meter {
    /// The same way to the services, with the meter at its door.
    pub fn before(&self, network: SharedHttpClient) -> SharedHttpClient {
        platform::aws::shared(Metered { network, meter: self.clone() })
    }

    /// What came together since the last time, and begins anew.
    pub fn take(&self) -> Calls {
        std::mem::take(&mut *self.noted())
    }

    fn note(&self, call: Call) {
        self.noted().0.push(call);
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    /// What all of it consumed, if that is known of every call.
    pub fn counted(&self) -> Result<Counted, Error> {
        match self.counted_as_far_as_known() {
            (counted, None) => Ok(counted),
            (_, Some(call)) => Err(Error::Unaccounted(call)),
        }
    }

    /// What it consumed at least, and the last call of which that is not known.
    pub fn counted_as_far_as_known(&self) -> (Counted, Option<String>) {
        let (mut counted, mut unaccounted) = (Counted::default(), None);
        for call in self.iter().filter(|call| call.service == DYNAMODB) {
            counted.round_trips += 1;
            match consumed(call) {
                Some((write_units, read_units)) => counted.add(write_units, read_units),
                None => unaccounted = Some(call.unaccounted()),
            }
        }
        (counted, unaccounted)
    }
}

impl Call {
    /// The answer, if it was what was asked for.
    pub fn done(&self) -> Option<&Value> {
        self.answer.as_ref().filter(|(status, _)| *status == 200).map(|(_, body)| body)
    }

    /// The items that it wrote into the table, in the wire's JSON.
    pub fn written(&self) -> Vec<&Value> {
        if self.service != DYNAMODB || self.done().is_none() {
            return Vec::new();
        }
        match self.operation.as_str() {
            "PutItem" => self.request.get("Item").into_iter().collect(),
            "TransactWriteItems" => {
                let actions = self.request["TransactItems"].as_array().into_iter().flatten();
                actions.filter_map(|action| action.get("Put")?.get("Item")).collect()
            }
            _ => Vec::new(),
        }
    }

    fn unaccounted(&self) -> String {
        match &self.answer {
            Some((status, body)) => format!("{} was answered with {status}: {body}", self.operation),
            None => format!("{} was not answered", self.operation),
        }
    }
}

impl Counted {
    #[expect(clippy::float_arithmetic, reason = "units come in halves, which floats hold exactly")]
    fn add(&mut self, write_units: f64, read_units: f64) {
        self.write_units += write_units;
        self.read_units += read_units;
    }
}

/// Write and read units of one call.
fn consumed(Call { operation, request, answer, .. }: &Call) -> Option<(f64, f64)> {
    let (status, answer) = answer.as_ref()?;
    if *status == 200 {
        let consumed = answer.get("ConsumedCapacity")?;
        let tables = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
        let mut sum = Counted::default();
        for table in tables {
            let (write_units, read_units) = of_table(operation, table)?;
            sum.add(write_units, read_units);
        }
        return (!tables.is_empty()).then_some((sum.write_units, sum.read_units));
    }
    let is_refusal = answer["__type"].as_str().is_some_and(|kind| kind.ends_with("#ConditionalCheckFailedException"));
    if operation != "PutItem" || !is_refusal {
        return None;
    }
    // The stored item comes with the refusal only where it was asked for.
    let asked_for_stored = request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD";
    let stored = match answer.get("Item") {
        Some(stored) => item::size(stored)?,
        None if asked_for_stored => 0,
        None => return None,
    };
    let larger = item::size(request.get("Item")?)?.max(stored);
    Some((f64::from(item::write_units(larger)), 0.0))
}

/// A transaction says which kind of unit it took; otherwise the operation tells.
fn of_table(operation: &str, table: &Value) -> Option<(f64, f64)> {
    let units = |kind: &str| table.get(kind).and_then(Value::as_f64);
    match (units("WriteCapacityUnits"), units("ReadCapacityUnits")) {
        (None, None) => {}
        (write_units, read_units) => return Some((write_units.unwrap_or_default(), read_units.unwrap_or_default())),
    }
    let all = units("CapacityUnits")?;
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => Some((all, 0.0)),
        "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => Some((0.0, all)),
        _ => None,
    }
}

/// A network with a meter at its door.
#[derive(Clone, Debug)]
struct Metered {
    network: SharedHttpClient,
    meter: Meter,
}

/// One of the network's connectors, behind the meter.
#[derive(Clone, Debug)]
struct MeteredConnector {
    connector: SharedHttpConnector,
    meter: Meter,
}

impl MeteredConnector {
    async fn answer(&self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").and_then(|target| target.split_once('.'));
        let Some((service, operation)) = target else { return self.connector.call(request).await };
        let (service, operation) = (service.to_owned(), operation.to_owned());
        let mut asked = json(request.body())?;
        if service == DYNAMODB {
            asked["ReturnConsumedCapacity"] = "INDEXES".into();
            let body = asked.to_string();
            if request.headers().contains_key("content-length") {
                request.headers_mut().insert("content-length", body.len().to_string());
            }
            *request.body_mut() = SdkBody::from(body);
        }
        let noted = |answer| self.meter.note(Call { service, operation, request: asked, answer });
        let mut answer = match self.connector.call(request).await {
            Ok(answer) => answer,
            Err(error) => {
                noted(None);
                return Err(error);
            }
        };
        let body = ByteStream::new(answer.take_body()).collect().await;
        let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
        // What is no JSON accounts for nothing, and is the SDK's to make something of.
        noted(Some((answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default())));
        *answer.body_mut() = SdkBody::from(body);
        Ok(answer)
    }
}

fn json(body: &SdkBody) -> Result<Value, ConnectorError> {
    let bytes = body.bytes().ok_or_else(|| ConnectorError::user("a body that cannot be read twice".into()))?;
    serde_json::from_slice(bytes).map_err(|error| ConnectorError::user(error.into()))
}

impl HttpConnector for MeteredConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let metered = self.clone();
        HttpConnectorFuture::new(async move { metered.answer(request).await })
    }
}

impl HttpClient for Metered {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = self.network.http_connector(settings, components);
        SharedHttpConnector::new(MeteredConnector { connector, meter: self.meter.clone() })
    }
}

#[cfg(test)]
mod tests {
    use local_cloud::stack::Stack;
    use local_cloud::{Clock, Cloud, Options, Settings, Storage};
    use serde_json::json;

    use super::*;

    const TABLE: &str = "meter-table";

    /// A bare table of the product's shape, and the meter before it.
    struct Bare {
        metered: MeteredConnector,
    }

    impl Bare {
        fn open() -> Self {
            let stack = Stack::from_template(local_system::TEMPLATE, &Settings::new("meter")).unwrap();
            let cloud = Cloud::open(stack, Options::new(Storage::Memory, Clock::wall(), 1)).unwrap();
            let connector = SharedHttpConnector::new(cloud.connector());
            Self { metered: MeteredConnector { connector, meter: Meter::default() } }
        }

        async fn call(&self, operation: &str, request: Value) -> u16 {
            self.try_call(operation, request).await.unwrap()
        }

        async fn try_call(&self, operation: &str, request: Value) -> Option<u16> {
            let mut http = HttpRequest::empty();
            http.set_uri("http://dynamodb.local/").unwrap();
            http.set_method("POST").unwrap();
            http.headers_mut().insert("x-amz-target", format!("{DYNAMODB}.{operation}"));
            *http.body_mut() = SdkBody::from(request.to_string());
            self.metered.answer(http).await.ok().map(|answer| answer.status().as_u16())
        }

        async fn costs(&self, operation: &str, request: Value) -> (f64, f64) {
            assert_eq!(self.call(operation, request).await, 200);
            self.taken()
        }

        fn taken(&self) -> (f64, f64) {
            let counted = self.metered.meter.take().counted().unwrap();
            assert_eq!(counted.round_trips, 1);
            (counted.write_units, counted.read_units)
        }
    }

    /// An item of just this many bytes.
    fn item_of(bytes: usize) -> Value {
        let mut item = json!({ "pk": { "S": "a" }, "sk": { "S": "b" }, "x": { "S": "" } });
        item["x"]["S"] = "x".repeat(bytes - item::size(&item).unwrap()).into();
        assert_eq!(item::size(&item), Some(bytes));
        item
    }

    fn put(item: Value) -> Value {
        json!({ "TableName": TABLE, "Item": item })
    }

    fn put_if_absent(item: Value) -> Value {
        json!({
            "TableName": TABLE,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        })
    }

    fn transaction(action: Value) -> Value {
        json!({ "TransactItems": [action] })
    }

    fn with(mut item: Value, attributes: Value) -> Value {
        let Value::Object(attributes) = attributes else { panic!("attributes are an object") };
        item.as_object_mut().unwrap().extend(attributes);
        item
    }

    #[tokio::test]
    async fn a_put_is_a_unit_for_each_started_kilobyte_of_the_larger_item() {
        let bare = Bare::open();
        assert_eq!(bare.costs("PutItem", put(item_of(512))).await, (1.0, 0.0));
        assert_eq!(bare.costs("PutItem", put(item_of(1_024))).await, (1.0, 0.0));
        assert_eq!(bare.costs("PutItem", put(item_of(1_025))).await, (2.0, 0.0));
        assert_eq!(bare.costs("PutItem", put(item_of(1_536))).await, (2.0, 0.0));
        assert_eq!(bare.costs("PutItem", put(item_of(512))).await, (2.0, 0.0), "the item before was larger");
    }

    #[tokio::test]
    async fn a_transaction_doubles() {
        let bare = Bare::open();
        let absent = json!({ "ConditionCheck": {
            "TableName": TABLE,
            "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } },
            "ConditionExpression": "attribute_not_exists(pk)",
        } });
        assert_eq!(bare.costs("TransactWriteItems", transaction(absent)).await, (2.0, 0.0), "a check of nothing");
        let small = transaction(json!({ "Put": put(item_of(512)) }));
        assert_eq!(bare.costs("TransactWriteItems", small).await, (2.0, 0.0));
        let large = transaction(json!({ "Put": put(item_of(1_536)) }));
        assert_eq!(bare.costs("TransactWriteItems", large).await, (4.0, 0.0));
        let gone = json!({ "Delete": { "TableName": TABLE, "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } } } });
        assert_eq!(bare.costs("TransactWriteItems", transaction(gone)).await, (4.0, 0.0));
    }

    #[tokio::test]
    async fn an_index_entry_costs_when_it_appears_moves_and_goes() {
        let bare = Bare::open();
        let look_at = |at: &str| with(item_of(512), json!({ "look_shard": { "S": "s" }, "look_at": { "N": at } }));
        assert_eq!(bare.costs("PutItem", put(look_at("1"))).await, (2.0, 0.0), "it appears");
        assert_eq!(bare.costs("PutItem", put(look_at("1"))).await, (1.0, 0.0), "it stays");
        assert_eq!(bare.costs("PutItem", put(look_at("2"))).await, (3.0, 0.0), "it moves");
        let moved = transaction(json!({ "Put": put(look_at("3")) }));
        assert_eq!(bare.costs("TransactWriteItems", moved).await, (4.0, 0.0), "not doubled in a transaction");
        assert_eq!(bare.costs("PutItem", put(item_of(512))).await, (2.0, 0.0), "it goes");
    }

    #[tokio::test]
    async fn a_refused_condition_is_billed_by_the_larger_item() {
        let bare = Bare::open();
        assert_eq!(bare.costs("PutItem", put_if_absent(item_of(1_536))).await, (2.0, 0.0));
        for (bytes, units) in [(512, 2.0), (1_536, 2.0), (2_500, 3.0)] {
            assert_eq!(bare.call("PutItem", put_if_absent(item_of(bytes))).await, 400);
            assert_eq!(bare.taken(), (units, 0.0), "{bytes} bytes against 1,536");
        }
    }

    #[tokio::test]
    async fn reads_are_units_of_four_kilobytes_also_of_nothing() {
        let bare = Bare::open();
        let key = json!({ "pk": { "S": "a" }, "sk": { "S": "b" } });
        let get = |consistent: bool| json!({ "TableName": TABLE, "Key": key, "ConsistentRead": consistent });
        assert_eq!(bare.costs("GetItem", get(true)).await, (0.0, 1.0), "of nothing");
        bare.costs("PutItem", put(item_of(5_000))).await;
        assert_eq!(bare.costs("GetItem", get(true)).await, (0.0, 2.0));
        assert_eq!(bare.costs("GetItem", get(false)).await, (0.0, 1.0));
    }

    #[tokio::test]
    async fn what_was_written_is_what_was_answered_with_yes() {
        let bare = Bare::open();
        let written = |meter: &Meter| meter.take().iter().flat_map(Call::written).cloned().collect::<Vec<_>>();
        bare.call("PutItem", put_if_absent(item_of(100))).await;
        bare.call("PutItem", put_if_absent(item_of(200))).await;
        bare.call("TransactWriteItems", transaction(json!({ "Put": put(item_of(300)) }))).await;
        assert_eq!(written(&bare.metered.meter), [item_of(100), item_of(300)]);
    }

    #[tokio::test]
    async fn a_call_without_an_answer_is_noted_and_of_unknown_cost() {
        let stack = Stack::from_template(local_system::TEMPLATE, &Settings::new("meter")).unwrap();
        let cloud = Cloud::open(stack, Options::new(Storage::Memory, Clock::wall(), 1)).unwrap();
        let lost = local_cloud::FaultyConnector::new(
            cloud.connector(),
            Arc::new(|_, number| [local_cloud::Fate::LostAfter, local_cloud::Fate::Answered][number.min(1)]),
        );
        let meter = Meter::default();
        let bare = Bare { metered: MeteredConnector { connector: SharedHttpConnector::new(lost), meter } };
        assert_eq!(bare.try_call("PutItem", put(item_of(100))).await, None);
        assert_eq!(bare.try_call("PutItem", put(item_of(100))).await, Some(200));
        let calls = bare.metered.meter.take();
        let (counted, unaccounted) = calls.counted_as_far_as_known();
        assert_eq!((counted.round_trips, counted.write_units), (2, 1.0));
        assert_eq!(unaccounted.as_deref(), Some("PutItem was not answered"));
        assert!(matches!(calls.counted(), Err(Error::Unaccounted(_))));
    }

    #[tokio::test]
    async fn a_call_of_unknown_cost_fails_the_measuring() {
        let bare = Bare::open();
        assert_eq!(bare.call("PutItem", json!({ "TableName": "no-such-table", "Item": item_of(100) })).await, 400);
        assert!(matches!(bare.metered.meter.take().counted(), Err(Error::Unaccounted(_))));
        let check = json!({ "ConditionCheck": {
            "TableName": TABLE,
            "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } },
            "ConditionExpression": "attribute_exists(pk)",
        } });
        assert_eq!(bare.call("TransactWriteItems", transaction(check)).await, 400);
        assert!(matches!(bare.metered.meter.take().counted(), Err(Error::Unaccounted(_))));
    }
}
