//! An API with three functions: `Echo` answers its event, `Say` answers what the request's body tells it to, and
//! `Guard` is an authorizer that says what the test wants.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use local_cloud::{
    Clock, FunctionError, Settings,
    edge::{Edge, Invoke, TrustedIdentity},
    stack::Stack,
};
use serde_json::{Value, json};

pub(crate) const START_MS: i64 = 1_583_348_638_390;

pub(crate) struct Scene {
    pub(crate) edge: Edge,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    guard: Arc<Mutex<Value>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Functions and the API's properties; `routes` are `Echo GET /path` with what else the event says in braces.
pub(crate) fn template(api: &str, routes: &[&str]) -> String {
    let mut yaml = format!(
        "
Globals: {{ Function: {{ Runtime: provided.al2023 }} }}
Resources:
  Guard: {{ Type: AWS::Serverless::Function, Properties: {{ Handler: guard }} }}
  Api: {{ Type: AWS::Serverless::HttpApi, Properties: {{ {api} }} }}
"
    );
    for function in ["Echo", "Say"] {
        yaml += &format!("  {function}:\n    Type: AWS::Serverless::Function\n    Properties:\n");
        yaml += &format!("      Handler: {}\n      Events:\n        Never: ", function.to_lowercase());
        yaml +=
            &format!("{{ Type: HttpApi, Properties: {{ ApiId: !Ref Api, Method: PUT, Path: /{function}/only }} }}\n");
        for (number, route) in routes.iter().enumerate() {
            let Some(rest) = route.strip_prefix(function).and_then(|rest| rest.strip_prefix(' ')) else { continue };
            let (route, more) = rest.split_once(" + ").unwrap_or((rest, ""));
            let at = match route.split_once(' ') {
                Some((method, path)) => format!("Method: {method}, Path: '{path}'"),
                None => format!("Path: '{route}'"),
            };
            yaml +=
                &format!("        R{number}: {{ Type: HttpApi, Properties: {{ ApiId: !Ref Api, {at}, {more} }} }}\n");
        }
    }
    yaml
}

/// `Auth` with `Guard` before every route; `more` is what the authorizer says beside.
pub(crate) fn guarded(more: &str) -> String {
    format!(
        "Auth: {{ DefaultAuthorizer: Guard, Authorizers: {{ Guard: {{ FunctionArn: !GetAtt Guard.Arn, \
         AuthorizerPayloadFormatVersion: '2.0', {more} }} }} }}"
    )
}

impl Scene {
    pub(crate) fn new(api: &str, routes: &[&str]) -> Self {
        Self::trusting(api, routes, None)
    }

    pub(crate) fn trusting(api: &str, routes: &[&str], trusted: Option<TrustedIdentity>) -> Self {
        let template = template(api, routes);
        let stack = Stack::from_template(&template, &Settings::new("test")).unwrap_or_else(|error| panic!("{error}"));
        let (calls, guard) = (Arc::default(), Arc::new(Mutex::new(json!({"isAuthorized": true}))));
        let invoke = invoke(&calls, &guard);
        let edge = Edge::new(&stack, Clock::starting_at(START_MS), 7, invoke, trusted).unwrap();
        Self { edge, calls, guard }
    }

    /// What `Guard` answers from now on, or `{"fails": …}`, or `{"takes_ms": …}` before it allows.
    pub(crate) fn guard_says(&self, answer: Value) {
        *self.guard.lock().unwrap() = answer;
    }

    pub(crate) fn asked(&self, function: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|(name, _)| name == function).count()
    }

    /// The event of the last call of a function.
    pub(crate) fn last_event(&self, function: &str) -> Value {
        let calls = self.calls.lock().unwrap();
        calls.iter().rev().find(|(name, _)| name == function).unwrap().1.clone()
    }

    pub(crate) fn each_event(&self, function: &str, check: impl Fn(&Value)) {
        let calls = self.calls.lock().unwrap();
        let events: Vec<&Value> = calls.iter().filter(|(name, _)| name == function).map(|(_, event)| event).collect();
        assert!(!events.is_empty(), "nothing reached {function}");
        events.into_iter().for_each(check);
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answer {
        let peer = IpAddr::from(Ipv4Addr::new(192, 0, 2, 1));
        Answer::of(self.edge.answer(request, peer).await)
    }

    /// `GET /path?query`, with these headers and this body.
    pub(crate) async fn call(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request.body(body.into()).unwrap()).await
    }

    /// The event that `Echo` saw of a request.
    pub(crate) async fn event(&self, line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Value {
        let answer = self.call(line, headers, body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.json()
    }

    /// `Say` behind `POST /say` answers this.
    pub(crate) async fn say(&self, answer: &Value) -> Answer {
        self.call("POST /say", &[("content-type", "application/json")], answer.to_string()).await
    }
}

impl Answer {
    fn of(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        assert_eq!(head.headers["apigw-requestid"].len(), 16);
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// That the service answered this itself.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, message: &str) {
        assert_eq!((self.status, self.json()), (status, json!({ "message": message })));
        assert_eq!(self.header("content-type"), ["application/json"]);
    }
}

fn invoke(calls: &Arc<Mutex<Vec<(String, Value)>>>, guard: &Arc<Mutex<Value>>) -> Invoke {
    let (calls, guard) = (Arc::clone(calls), Arc::clone(guard));
    Arc::new(move |function, event: Value| {
        calls.lock().unwrap().push((function.to_owned(), event.clone()));
        let answer = match function {
            "Echo" => event,
            "Say" => serde_json::from_str(event["body"].as_str().unwrap_or_default()).unwrap(),
            "Guard" => guard.lock().unwrap().clone(),
            other => panic!("nobody asked for {other}"),
        };
        async move {
            if let Some(ms) = answer["takes_ms"].as_u64() {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                return Ok(json!({"isAuthorized": true}));
            }
            if let Some(message) = answer["fails"].as_str() {
                return Err(FunctionError { kind: "Error".into(), message: message.into() });
            }
            assert!(answer.get("panics").is_none(), "as a handler may");
            match answer["is_long"].as_u64() {
                Some(bytes) => Ok(Value::String("x".repeat(usize::try_from(bytes).unwrap()))),
                None => Ok(answer),
            }
        }
        .boxed()
    })
}

/// That this is an event of payload format 2.0: the fields that the format has, each of its type, no others; and that
/// the runtime's crate for HTTP reads it.
#[track_caller]
pub(crate) fn is_payload_2(event: &Value) {
    let text = |value: &Value| value.is_string();
    let texts = |value: &Value| value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string));
    let map = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
    let some_map = |value: &Value| map(value) && value.as_object().is_some_and(|map| !map.is_empty());
    let fields: &[Field<'_>] = &[
        ("version", true, &|value| *value == json!("2.0")),
        ("routeKey", true, &text),
        ("rawPath", true, &text),
        ("rawQueryString", true, &text),
        ("cookies", false, &texts),
        ("headers", true, &map),
        ("queryStringParameters", false, &some_map),
        ("requestContext", true, &Value::is_object),
        ("body", false, &text),
        ("pathParameters", false, &some_map),
        ("isBase64Encoded", true, &Value::is_boolean),
        ("stageVariables", false, &some_map),
    ];
    has_fields(event, fields);
    let context = &event["requestContext"];
    has_fields(
        context,
        &[
            ("accountId", true, &text),
            ("apiId", true, &text),
            ("authorizer", false, &|value| value.get("lambda").is_some()),
            ("domainName", true, &text),
            ("domainPrefix", true, &text),
            ("http", true, &Value::is_object),
            ("requestId", true, &text),
            ("routeKey", true, &|value| *value == event["routeKey"]),
            ("stage", true, &text),
            ("time", true, &text),
            ("timeEpoch", true, &Value::is_i64),
        ],
    );
    let names = ["method", "path", "protocol", "sourceIp", "userAgent"];
    has_fields(&context["http"], &names.map(|name| (name, true, &text as &dyn Fn(&Value) -> bool)));
    assert_eq!(context["http"]["path"], event["rawPath"]);
    for name in event["headers"].as_object().unwrap().keys() {
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()) && name != "cookie", "{name}");
    }
    lambda_http::request::from_str(&event.to_string()).unwrap_or_else(|error| panic!("{error}: {event}"));
}

type Field<'a> = (&'a str, bool, &'a dyn Fn(&Value) -> bool);

#[track_caller]
fn has_fields(value: &Value, fields: &[Field<'_>]) {
    let map = value.as_object().unwrap();
    for key in map.keys() {
        assert!(fields.iter().any(|(name, ..)| name == key), "`{key}` is no field: {value}");
    }
    for (name, is_required, is_right) in fields {
        match map.get(*name) {
            Some(given) => assert!(is_right(given), "`{name}` is wrong: {value}"),
            None => assert!(!is_required, "`{name}` is missing: {value}"),
        }
    }
}
