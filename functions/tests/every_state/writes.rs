//! Every write, seen on the wire between the SDK and the table.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use domain::books::{Item, Version};
use domain::events::Event;
use domain::ids::Fingerprint;
use domain::promises::watch::Action;
use local_cloud::Connector;
use platform::table::wire;
use serde_json::Value;

const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

/// A write, and what it was answered with.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    operation: String,
    request: Value,
    status: u16,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Writes(Arc<Mutex<Vec<Write>>>);

impl Writes {
    /// Those since it was last asked.
    pub(crate) fn take(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn watching(&self, connector: Connector) -> Watching {
        Watching { connector, writes: self.clone() }
    }
}

/// The network, watched.
#[derive(Clone, Debug)]
pub(crate) struct Watching {
    connector: Connector,
    writes: Writes,
}

impl HttpConnector for Watching {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.strip_prefix("DynamoDB_20120810.").filter(|operation| !READS.contains(operation));
        let write = operation.map(|operation| {
            let request = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            Write { operation: operation.to_owned(), request, status: 0 }
        });
        let Self { connector, writes } = self.clone();
        HttpConnectorFuture::new(async move {
            let answer = connector.call(request).await;
            if let (Some(write), Ok(answer)) = (write, &answer) {
                writes.0.lock().unwrap().push(Write { status: answer.status().as_u16(), ..write });
            }
            answer
        })
    }
}

impl HttpClient for Watching {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Write {
    /// What it did. Nobody else writes here, so that none may be refused.
    pub(crate) fn actions(&self) -> Vec<Action> {
        assert_eq!(self.status, 200, "{self:?}");
        wire::actions(&self.operation, &self.request).expect("it writes").unwrap()
    }

    /// Whether it is turned away when it comes again as a write of its own: each part of it that changes something has a
    /// condition that does not hold any more.
    pub(crate) async fn is_refused_again(&self, connector: &Connector) -> Result<(), String> {
        let mut request = self.request.clone();
        request["ClientRequestToken"] = match &request["ClientRequestToken"] {
            Value::String(_) => "another".into(),
            _ => Value::Null,
        };
        request.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let (status, answer) = call(connector, &self.operation, &request).await;
        let reasons = match &request["TransactItems"] {
            Value::Array(parts) => parts.iter().zip(answer["CancellationReasons"].as_array().into_iter().flatten()),
            _ if answer["__type"].as_str().is_some_and(|kind| kind.ends_with("ConditionalCheckFailedException")) => {
                return Ok(());
            }
            _ => return Err(format!("{} again: {status} {answer}", self.operation)),
        };
        let passes = |(part, reason): (&Value, &Value)| {
            let is_check = part["ConditionCheck"].is_object();
            (!is_check && reason["Code"] != "ConditionalCheckFailed").then(|| format!("{part} again: {reason}"))
        };
        match reasons.map(passes).collect::<Vec<_>>() {
            reasons if reasons.is_empty() => Err(format!("{} again: {status} {answer}", self.operation)),
            reasons => reasons.into_iter().flatten().next().map_or(Ok(()), Err),
        }
    }
}

/// A call of the table as it stands on the wire.
pub(crate) async fn call(connector: &Connector, operation: &str, request: &Value) -> (u16, Value) {
    let request = http::Request::post("/")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Bytes::from(request.to_string()))
        .unwrap();
    let answer = connector.answer(request).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

/// What an action does to an item.
pub(crate) type Deed = (&'static str, Option<(Item, Version, Vec<Event>)>);

pub(crate) fn deed(action: &Action) -> Deed {
    match action {
        Action::Put { item, version, events } => ("put", Some((unmarked(item.clone()), *version, events.clone()))),
        Action::Delete(_) => ("deleted", None),
        Action::Check(_) => ("checked", None),
    }
}

/// Without the fingerprint of the request that made it, which in `domain` none did.
pub(crate) fn unmarked(mut item: Item) -> Item {
    match &mut item {
        Item::Order(order) => order.fingerprint = none(),
        Item::Deposit(deposit) => deposit.fingerprint = none(),
        Item::Receipt(receipt) => receipt.fingerprint = none(),
        Item::Payment(payment) => payment.fingerprint = none(),
        _ => {}
    }
    item
}

fn none() -> Fingerprint {
    Fingerprint::of("none", &[])
}
