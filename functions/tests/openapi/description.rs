//! The description as the product serves it, read: operations, requests made of its examples, and the judge of answers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use jsonschema::{Draft, Validator};
use local_system::System;
use serde_json::{Value, json};

/// The gateway answers these in words of its own, without a code.
pub(crate) const MESSAGE: &str = "application/json";
pub(crate) const PROBLEM: &str = "application/problem+json";

pub(crate) struct Description {
    pub(crate) whole: Value,
    /// With objects that have no other fields than those described.
    closed: Value,
    /// By the schema, and whether its objects are closed.
    validators: RefCell<BTreeMap<(String, bool), Rc<Validator>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) content: Value,
}

/// An answer that there may be: the operation, the status, and the code or the gateway's message; empty for a success.
pub(crate) type Told = (String, u16, String);

impl Description {
    pub(crate) async fn of(system: &System) -> Self {
        let request = Request::get("/openapi.json").header("host", "localhost");
        let answer = system.call(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        let whole: Value = serde_json::from_slice(answer.body()).unwrap();
        let mut closed = whole["components"].clone();
        closed["schemas"].as_object_mut().unwrap().values_mut().for_each(close);
        Self { whole, closed, validators: RefCell::default() }
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.whole["paths"].as_object().unwrap();
        let all = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(|(method, content)| Operation {
                id: content["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                content: content.clone(),
            })
        });
        all.collect()
    }

    pub(crate) fn operation(&self, id: &str) -> Operation {
        self.operations().into_iter().find(|operation| operation.id == id).unwrap_or_else(|| panic!("no {id}"))
    }

    /// What a `$ref` points to, or the thing itself.
    pub(crate) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let pointer = reference.strip_prefix('#').unwrap();
        self.resolved(self.whole.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere")))
    }

    /// Judges by a schema of this document.
    pub(crate) fn validator(&self, schema: &Value) -> Rc<Validator> {
        self.validator_over(schema, false)
    }

    fn validator_over(&self, schema: &Value, is_closed: bool) -> Rc<Validator> {
        let mut validators = self.validators.borrow_mut();
        let known = validators.entry((schema.to_string(), is_closed)).or_insert_with(|| {
            let components = if is_closed { &self.closed } else { &self.whole["components"] };
            let whole = json!({ "components": components, "allOf": [schema] });
            Rc::new(jsonschema::options().with_draft(Draft::Draft202012).build(&whole).unwrap())
        });
        known.clone()
    }

    /// What is wrong with an answer. It has no field that is not described.
    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator_over(schema, true);
        validator.iter_errors(value).map(|error| format!("{error} at {}", error.instance_path())).collect()
    }

    pub(crate) fn answer_of<'a>(&'a self, operation: &'a Operation, status: u16) -> &'a Value {
        self.resolved(&operation.content["responses"][status.to_string()])
    }

    /// Everything that an operation is said to answer.
    pub(crate) fn told(&self, operation: &Operation) -> BTreeSet<Told> {
        let mut told = BTreeSet::new();
        for (status, answer) in operation.content["responses"].as_object().unwrap() {
            let status: u16 = status.parse().unwrap();
            let answer = self.resolved(answer);
            let mut tell = |what: &str| assert!(told.insert((operation.id.clone(), status, what.to_owned())));
            if status < 400 {
                tell("");
                continue;
            }
            for (kind, content) in answer["content"].as_object().unwrap() {
                match kind.as_str() {
                    PROBLEM => self.codes(content).iter().for_each(|code| tell(code)),
                    MESSAGE => content["examples"].as_object().unwrap().values().for_each(|example| {
                        tell(example["value"]["message"].as_str().unwrap());
                    }),
                    other => panic!("{other} is answered by nobody"),
                }
            }
        }
        told
    }

    /// The codes that the problem details of an answer may have, each with its example.
    pub(crate) fn codes(&self, content: &Value) -> Vec<String> {
        let codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"].as_array().unwrap();
        let codes: Vec<String> = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
        let examples: BTreeSet<&String> = content["examples"].as_object().unwrap().keys().collect();
        assert_eq!(examples, codes.iter().collect(), "each code has its example");
        codes
    }

    /// A request made of the examples that have this name.
    pub(crate) fn request(&self, operation: &Operation, example: &str) -> Ask {
        let mut ask = Ask { method: operation.method.clone(), path: operation.path.clone(), ..Ask::default() };
        for parameter in operation.content["parameters"].as_array().into_iter().flatten() {
            let value = &self.resolved(&parameter["examples"][example])["value"];
            if value.is_null() {
                continue;
            }
            let (name, value) =
                (parameter["name"].as_str().unwrap(), value.as_str().map_or(value.to_string(), str::to_owned));
            match parameter["in"].as_str().unwrap() {
                "path" => ask.path = ask.path.replace(&format!("{{{name}}}"), &value),
                "query" => ask.query.push(format!("{name}={value}")),
                "header" => drop(ask.headers.insert(name.to_lowercase(), value)),
                other => panic!("a parameter in {other}"),
            }
        }
        let scopes = operation.content["security"][0]["token"].as_array().into_iter().flatten();
        let scopes: Vec<&str> = scopes.filter_map(Value::as_str).collect();
        if !scopes.is_empty() {
            ask = ask.header("x-user-scopes", &scopes.join(" "));
        }
        let body = &operation.content["requestBody"]["content"]["application/json"]["examples"][example]["value"];
        if !body.is_null() {
            ask.headers.insert("content-type".to_owned(), "application/json".to_owned());
            ask.body = body.to_string().into();
        }
        ask
    }

    /// Holds an answer against what is described, down to the header, and says what it was.
    pub(crate) fn judge(&self, operation: &Operation, answer: &Response<Bytes>) -> Told {
        let status = answer.status().as_u16();
        let text = String::from_utf8_lossy(answer.body());
        let shown = format!("{} {status}: {text}", operation.id);
        let described = self.answer_of(operation, status);
        assert!(described.is_object(), "not described: {shown}");
        self.judge_headers(described, answer.headers(), &shown);
        let told = |what: &str| (operation.id.clone(), status, what.to_owned());
        let Some(contents) = described["content"].as_object() else {
            assert_eq!(text, "", "{shown}");
            return told("");
        };
        let kind = answer.headers()["content-type"].to_str().unwrap();
        let content = contents.get(kind).unwrap_or_else(|| panic!("{kind} is not described: {shown}"));
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {shown}"));
        let faults = self.faults(&content["schema"], &body);
        assert!(faults.is_empty(), "{faults:#?}\n{shown}");
        match kind {
            _ if status < 400 => told(""),
            PROBLEM => {
                let code = body["code"].as_str().unwrap();
                assert_eq!(
                    body,
                    self.resolved(&content["examples"][code])["value"],
                    "left: answered; right: the example"
                );
                told(code)
            }
            _ => told(body["message"].as_str().unwrap()),
        }
    }

    fn judge_headers(&self, described: &Value, headers: &HeaderMap, shown: &str) {
        let described: BTreeMap<String, &Value> = described["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, header)| (name.to_lowercase(), self.resolved(header)))
            .collect();
        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-type") {
            let header = described.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not described: {shown}"));
            let value = Value::from(value.to_str().unwrap());
            assert!(self.validator(&header["schema"]).is_valid(&value), "{name}: {value} is not as described: {shown}");
        }
        for (name, header) in described {
            assert!(header["required"] == false || headers.contains_key(&name), "{name} is missing: {shown}");
        }
    }
}

/// No other fields than those described, here and further in.
fn close(schema: &mut Value) {
    if schema["type"] == "object" && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(close_if_any),
        Value::Array(items) => items.iter_mut().for_each(close_if_any),
        _ => {}
    }
}

fn close_if_any(value: &mut Value) {
    match value {
        Value::Object(_) => close(value),
        Value::Array(items) => items.iter_mut().for_each(close_if_any),
        _ => {}
    }
}

/// A request in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn by(self, user: &str) -> Self {
        self.header("x-user-id", user)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.headers.entry("content-type".to_owned()).or_insert("application/json".to_owned());
        self.body = body.into();
        self
    }

    pub(crate) fn http(&self) -> Request<Bytes> {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query.join("&")) };
        let mut request = Request::builder().method(self.method.as_str()).uri(format!("{}{query}", self.path));
        if !self.headers.contains_key("host") {
            request = request.header("host", "localhost");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.clone()).unwrap()
    }
}
