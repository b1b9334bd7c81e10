//! A cloud behind a port of its own, and requests as they are on the wire.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use local_cloud::stack::{Bucket, Function, Rule, Schedule, Stack, Table, Target, Timing};
use local_cloud::{Clock, Cloud, FunctionError, Handler, Options, Running, Storage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) use crate::parts::{ACCOUNT, REGION, TABLE};
use crate::parts::{function, queue, queue_mapping, table_arn};

pub(crate) const STREAM: &str =
    "arn:aws:dynamodb:eu-central-1:123456789012:table/things-table/stream/2026-01-01T00:00:00.000";

/// A cloud with one of each, served until it is dropped or stopped.
pub(crate) struct Served {
    pub(crate) port: u16,
    pub(crate) cloud: Cloud,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    running: Option<Running>,
    /// What the functions got.
    pub(crate) events: mpsc::UnboundedReceiver<(String, Value)>,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let cloud = Cloud::open(stack(), Options::new(Storage::Memory, Clock::wall(), 1)).unwrap();
        let (told, events) = mpsc::unbounded_channel();
        let running = cloud.start(|function| Some(handler(function, told.clone()))).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = cloud.clone();
        let serving = tokio::spawn(async move {
            local_cloud::port::serve(&served, listener, async { drop(stopped.await) }).await;
        });
        Self { port, cloud, stop: Some(stop), serving, running: Some(running), events }
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.serving.await.unwrap();
        self.running.take().unwrap().stop().await;
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire { stream: TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap(), unread: Vec::new() }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &Asking) -> Answer {
        self.connect().await.ask(request).await
    }

    /// A signed call of a JSON service.
    pub(crate) async fn call(&self, target: &str, body: &Value) -> Answer {
        self.ask(&Asking::call(target, &body.to_string())).await
    }
}

/// A function does as its event says: fails, hangs, or gives the event back.
fn handler(function: &Function, told: mpsc::UnboundedSender<(String, Value)>) -> Handler {
    let name = function.logical_id.clone();
    std::sync::Arc::new(move |invocation| {
        let (name, told) = (name.clone(), told.clone());
        Box::pin(async move {
            drop(told.send((name, invocation.event.clone())));
            match invocation.event.get("fail").and_then(Value::as_str) {
                Some(why) => Err(FunctionError { kind: "Broken".into(), message: why.into() }),
                None => Ok(invocation.event),
            }
        })
    })
}

/// A request as it goes over the wire.
#[derive(Clone)]
pub(crate) struct Asking {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asking {
    pub(crate) fn new(method: &str, path: &str, body: &[u8]) -> Self {
        let headers = vec![("host".to_owned(), "localhost".to_owned())];
        Self { line: format!("{method} {path} HTTP/1.1"), headers, body: body.to_vec() }
    }

    /// For a JSON service, signed.
    pub(crate) fn call(target: &str, body: &str) -> Self {
        let service = match target.split_once('.').unwrap().0 {
            "AmazonSQS" => "sqs",
            "AWSEvents" => "events",
            _ => "dynamodb",
        };
        Self::new("POST", "/", body.as_bytes())
            .with("content-type", "application/x-amz-json-1.0")
            .with("x-amz-target", target)
            .signed(service)
    }

    pub(crate) fn s3(method: &str, path: &str, body: &[u8]) -> Self {
        Self::new(method, path, body).signed("s3")
    }

    pub(crate) fn form(service: &str, body: &str) -> Self {
        Self::new("POST", "/", body.as_bytes())
            .with("content-type", "application/x-www-form-urlencoded")
            .signed(service)
    }

    pub(crate) fn at(mut self, path: &str) -> Self {
        let method = self.line.split_once(' ').unwrap().0.to_owned();
        self.line = format!("{method} {path} HTTP/1.1");
        self
    }

    pub(crate) fn signed(self, service: &str) -> Self {
        let scope = format!("AKID/20260101/{REGION}/{service}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=abc");
        self.with("authorization", &signature).with("x-amz-date", "20260101T000000Z")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// The lines before the body, with its length.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.headers.iter().any(|(name, _)| matches!(name.as_str(), "content-length" | "transfer-encoding")) {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        (head + "\r\n").into_bytes()
    }
}

/// A connection, with what was read of it beyond the last answer.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub(crate) async fn ask(&mut self, request: &Asking) -> Answer {
        self.write(&request.head()).await;
        self.write(&request.body).await;
        let is_head = request.line.starts_with("HEAD ");
        self.answer(is_head).await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, is_head: bool) -> Answer {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.read().await;
        };
        let rest = self.unread.split_off(end + 4);
        let head = String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let headers: BTreeMap<String, String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let length = if is_head || status == 100 { 0 } else { length };
        while self.unread.len() < length {
            self.read().await;
        }
        let rest = self.unread.split_off(length);
        let body = std::mem::replace(&mut self.unread, rest);
        Answer { status, headers, body }
    }

    async fn read(&mut self) {
        let count = self.stream.read_buf(&mut self.unread).await.unwrap();
        assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&self.unread));
    }

    /// Whether the other side has closed it, with nothing left to read.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && matches!(self.stream.read_buf(&mut self.unread).await, Ok(0) | Err(_))
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The status, and the code without its namespace.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let kind = self.json()["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
        (self.status, kind)
    }

    pub(crate) fn message(&self) -> String {
        let said = self.json();
        said["message"].as_str().or(said["Message"].as_str()).unwrap_or_default().to_owned()
    }

    /// What stands in the first element of that name.
    pub(crate) fn element(&self, name: &str) -> String {
        let (_, after) = self.text().split_once(&format!("<{name}>")).unwrap_or_default();
        after.split_once(&format!("</{name}>")).unwrap_or_default().0.to_owned()
    }
}

fn stack() -> Stack {
    Stack {
        region: REGION.into(),
        account: ACCOUNT.into(),
        functions: vec![
            function("Echo"),
            Function { reserved_concurrency: Some(0), ..function("Shut") },
            function("Worker"),
        ],
        tables: vec![Table {
            name: TABLE.into(),
            arn: table_arn(),
            stream_arn: Some(STREAM.into()),
            create: json!({
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
                "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
                "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
            }),
            ttl_attribute: None,
        }],
        queues: vec![queue("jobs"), queue("things"), queue("things.fifo")],
        buses: vec!["stack-bus".into()],
        buckets: vec![Bucket { name: "things".into(), arn: "arn:aws:s3:::things".into(), tells_event_bridge: false }],
        queue_mappings: vec![queue_mapping("Worker", "jobs")],
        schedules: vec![Schedule {
            name: "hourly".into(),
            arn: format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/hourly"),
            function: "Worker".into(),
            timing: Timing::EverySeconds(3_600),
            input: None,
            enabled: false,
        }],
        rules: vec![Rule {
            name: "told".into(),
            arn: format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/stack-bus/told"),
            bus: "stack-bus".into(),
            pattern: json!({ "source": ["test"] }),
            targets: vec![Target::Function("Worker".into())],
            enabled: true,
        }],
        ..Stack::default()
    }
}
