//! What stands on the wire: which call a request is, and the services' own words for what they refuse.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};

use crate::fault::Class;
use crate::network;

/// A request to a service, read.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: Request<Bytes>,
    pub(crate) operation: String,
    pub(crate) class: Class,
    /// Its JSON; `Null` for an object's.
    pub(crate) body: Value,
}

const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810#";

impl Call {
    pub(crate) fn read(request: Request<Bytes>) -> Self {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = match target.and_then(|target| target.rsplit_once('.')) {
            Some((_, operation)) => operation.to_owned(),
            None => format!("{} object", request.method()),
        };
        let class = match operation.as_str() {
            "GetItem" => Class::Load,
            "BatchGetItem" => Class::LoadSome,
            "Query" | "Scan" => Class::Query,
            "PutItem" => Class::Put,
            "TransactWriteItems" => Class::Transact,
            "SendMessage" | "SendMessageBatch" => Class::Send,
            "PutEvents" => Class::Announce,
            _ => Class::Object,
        };
        let body = if class == Class::Object { Value::Null } else { network::json(request.body()) };
        Self { request, operation, class, body }
    }

    /// The request, the same for the same content: an SDK writes the fields of an item in no order.
    pub(crate) fn canonical(&self) -> String {
        match self.class {
            Class::Object => self.request.uri().to_string(),
            _ => self.body.to_string(),
        }
    }

    fn is_dynamodb(&self) -> bool {
        matches!(self.class, Class::Load | Class::LoadSome | Class::Query | Class::Put | Class::Transact)
    }

    pub(crate) fn throttled(&self, rng: &mut fastrand::Rng) -> Response<Bytes> {
        let which = rng.u32(0..3);
        match self.class {
            Class::Transact if which == 0 => self.cancelled(
                rng,
                "ThrottlingError",
                "Throughput exceeds the current capacity of your table or index.",
            ),
            _ if self.is_dynamodb() && which == 1 => error(
                400,
                &format!("{DYNAMODB}ThrottlingException"),
                "Rate of requests exceeds the allowed throughput.",
            ),
            _ if self.is_dynamodb() => error(
                400,
                &format!("{DYNAMODB}ProvisionedThroughputExceededException"),
                "The level of configured provisioned throughput for the table was exceeded.",
            ),
            Class::Send => {
                let mut answer = error(400, "com.amazonaws.sqs#RequestThrottled", "Request was throttled.");
                let code = HeaderValue::from_static("RequestThrottled;Sender");
                answer.headers_mut().insert("x-amzn-query-error", code);
                answer
            }
            Class::Object => object_error(503, "SlowDown", "Please reduce your request rate."),
            _ => error(400, "com.amazon.coral.availability#ThrottlingException", "Rate exceeded"),
        }
    }

    pub(crate) fn internal_error(&self) -> Response<Bytes> {
        match self.class {
            _ if self.is_dynamodb() => error(500, &format!("{DYNAMODB}InternalServerError"), "Internal server error"),
            Class::Object => object_error(500, "InternalError", "We encountered an internal error. Please try again."),
            _ => error(500, "com.amazon.coral.service#InternalFailure", "The request failed for an internal error."),
        }
    }

    pub(crate) fn conflict(&self, rng: &mut fastrand::Rng) -> Response<Bytes> {
        const SAYS: &str = "Transaction is ongoing for the item";
        if self.class == Class::Transact {
            return self.cancelled(rng, "TransactionConflict", SAYS);
        }
        error(400, &format!("{DYNAMODB}TransactionConflictException"), SAYS)
    }

    /// A transaction that is cancelled for one of its actions, or for several.
    fn cancelled(&self, rng: &mut fastrand::Rng, code: &str, says: &str) -> Response<Bytes> {
        let actions = self.body["TransactItems"].as_array().map_or(1, Vec::len).max(1);
        let hit = rng.usize(0..actions);
        let reasons: Vec<Value> = (0..actions)
            .map(|place| {
                let is_hit = place == hit || rng.u32(0..5) == 0;
                if is_hit { json!({ "Code": code, "Message": says }) } else { json!({ "Code": "None" }) }
            })
            .collect();
        let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason["Code"].as_str()).collect();
        let message = format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        );
        let kind = format!("{DYNAMODB}TransactionCanceledException");
        answer(400, &json!({ "__type": kind, "Message": message, "CancellationReasons": reasons }))
    }

    /// The request with some of its keys, and the others as they come back; `None` if it asks for one key only.
    pub(crate) fn without_some_keys(&self, rng: &mut fastrand::Rng) -> Option<(Request<Bytes>, Value)> {
        let (table, wanted) = self.body["RequestItems"].as_object()?.iter().next()?;
        let keys = wanted["Keys"].as_array().filter(|keys| keys.len() > 1)?;
        let most = rng.usize(1..keys.len());
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        for key in keys {
            if left.len() < most && rng.bool() { left.push(key.clone()) } else { kept.push(key.clone()) }
        }
        if left.is_empty() {
            left.extend(kept.pop());
        }
        let mut body = self.body.clone();
        body["RequestItems"][table]["Keys"] = kept.into();
        let mut unprocessed = wanted.clone();
        unprocessed["Keys"] = left.into();
        Some((self.with_body(&body), json!({ table: unprocessed })))
    }

    /// The request with some of its entries, if any are left, and the places of the others.
    pub(crate) fn without_some_entries(&self, rng: &mut fastrand::Rng) -> (Option<Request<Bytes>>, BTreeSet<usize>) {
        let entries = self.body["Entries"].as_array().cloned().unwrap_or_default();
        let mut failed: BTreeSet<usize> = (0..entries.len()).filter(|_| rng.bool()).collect();
        failed.insert(rng.usize(0..entries.len().max(1)));
        let kept: Vec<Value> =
            places(&entries).filter(|(place, _)| !failed.contains(place)).map(|(_, e)| e.clone()).collect();
        if kept.is_empty() {
            return (None, failed);
        }
        let mut body = self.body.clone();
        body["Entries"] = kept.into();
        (Some(self.with_body(&body)), failed)
    }

    /// An answer to all entries as if some of them had not been there.
    pub(crate) fn without_answers_of(&self, answered: Response<Bytes>, failed: &BTreeSet<usize>) -> Response<Bytes> {
        if !answered.status().is_success() {
            return answered;
        }
        let mut body = network::json(answered.body());
        let failed_ids: BTreeSet<&str> =
            failed.iter().filter_map(|place| self.body["Entries"][*place]["Id"].as_str()).collect();
        if let Some(successful) = body["Successful"].as_array_mut() {
            successful.retain(|entry| entry["Id"].as_str().is_none_or(|id| !failed_ids.contains(id)));
        }
        if let Some(entries) = body["Entries"].as_array_mut() {
            let mut place = 0;
            entries.retain(|_| {
                place += 1;
                !failed.contains(&(place - 1))
            });
        }
        answer(200, &body)
    }

    /// The answer to the rest, with the failed entries in their places.
    pub(crate) fn with_failed_entries(
        &self,
        answered: Option<Response<Bytes>>,
        failed: &BTreeSet<usize>,
    ) -> Response<Bytes> {
        let mut body = match answered {
            Some(answered) if answered.status().is_success() => network::json(answered.body()),
            Some(refused) => return refused,
            None => json!({}),
        };
        if self.class == Class::Send {
            let entries = failed.iter().map(|place| {
                let id = &self.body["Entries"][*place]["Id"];
                json!({ "Id": id, "Code": "InternalError", "Message": "It did not arrive.", "SenderFault": false })
            });
            body["Failed"] = entries.collect();
            if body["Successful"].is_null() {
                body["Successful"] = json!([]);
            }
            return answer(200, &body);
        }
        let total = self.body["Entries"].as_array().map_or(0, Vec::len);
        let mut arrived = body["Entries"].as_array().cloned().unwrap_or_default().into_iter();
        let entries: Vec<Value> = (0..total)
            .filter_map(|place| {
                let refused = || json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "It did not arrive." });
                if failed.contains(&place) { Some(refused()) } else { arrived.next() }
            })
            .collect();
        answer(200, &json!({ "FailedEntryCount": failed.len(), "Entries": entries }))
    }

    fn with_body(&self, body: &Value) -> Request<Bytes> {
        let bytes = Bytes::from(body.to_string());
        let mut request = self.request.clone();
        request.headers_mut().remove("content-length");
        *request.body_mut() = bytes;
        request
    }

    /// What it is about, in few words.
    pub(crate) fn in_short(&self) -> String {
        let about: Vec<String> = match self.class {
            Class::Load => vec![address(&self.body["Key"])],
            Class::LoadSome => {
                let tables = self.body["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values());
                tables.flat_map(|wanted| wanted["Keys"].as_array().into_iter().flatten()).map(address).collect()
            }
            Class::Query => {
                // Whatever the field is called, its names begin with a colon.
                let mut fields = self.body.as_object().into_iter().flat_map(|fields| fields.values());
                let asked =
                    fields.find_map(|field| field.as_object().filter(|f| f.keys().any(|key| key.starts_with(':'))));
                let asked = asked.into_iter().flat_map(|asked| asked.values());
                vec![asked.filter_map(|value| value["S"].as_str()).collect::<Vec<_>>().join(" ")]
            }
            Class::Put => vec![item(&self.body["Item"])],
            Class::Transact => self.body["TransactItems"].as_array().into_iter().flatten().map(action).collect(),
            Class::Send => {
                let entries = self.body["Entries"].as_array().into_iter().flatten();
                let queue = self.body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
                let ids = entries.filter_map(|entry| entry["MessageDeduplicationId"].as_str());
                std::iter::once(queue.to_owned()).chain(ids.map(str::to_owned)).collect()
            }
            Class::Announce => {
                let entries = self.body["Entries"].as_array().into_iter().flatten();
                entries.filter_map(|entry| entry["DetailType"].as_str().map(str::to_owned)).collect()
            }
            Class::Object
            | Class::Outside
            | Class::Gateway
            | Class::Money
            | Class::Telling
            | Class::Delivery
            | Class::Request => {
                vec![self.request.uri().path().to_owned()]
            }
        };
        format!("{} {}", self.operation, about.join(", ")).trim_end().to_owned()
    }
}

fn action(action: &Value) -> String {
    if action["Put"].is_object() {
        item(&action["Put"]["Item"])
    } else if action["Delete"].is_object() {
        format!("- {}", address(&action["Delete"]["Key"]))
    } else {
        format!("? {}", address(&action["ConditionCheck"]["Key"]))
    }
}

fn item(item: &Value) -> String {
    format!("{} v{}", address(item), item["version"]["N"].as_str().unwrap_or("?"))
}

fn address(key: &Value) -> String {
    let part = |name: &str| key[name]["S"].as_str().unwrap_or_default();
    place(part("pk"), part("sk"))
}

/// Where an item stands.
pub(crate) fn place(pk: &str, sk: &str) -> String {
    if sk == "order" || sk == "account" || sk == pk { pk.to_owned() } else { format!("{pk} {sk}") }
}

/// What a service says when it does not do what it was asked for.
pub(crate) fn refusal(answer: &Response<Bytes>) -> String {
    let body = network::json(answer.body());
    let kind = body["__type"].as_str().and_then(|kind| kind.rsplit('#').next()).unwrap_or_default();
    let reasons = body["CancellationReasons"].as_array().into_iter().flatten();
    let codes: Vec<&str> = reasons.filter_map(|reason| reason["Code"].as_str()).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" [{}]", codes.join(", ")) };
    format!("{} {kind}{codes}", answer.status().as_u16()).trim_end().to_owned()
}

fn places(entries: &[Value]) -> impl Iterator<Item = (usize, &Value)> {
    entries.iter().enumerate()
}

pub(crate) fn in_progress() -> Response<Bytes> {
    let kind = format!("{DYNAMODB}TransactionInProgressException");
    error(400, &kind, "The transaction with the given request token is already in progress.")
}

pub(crate) fn denied() -> Response<Bytes> {
    error(400, "com.amazon.coral.service#AccessDeniedException", "User is not authorized to perform this action.")
}

pub(crate) fn with_unprocessed(answered: Response<Bytes>, left: Value) -> Response<Bytes> {
    if !answered.status().is_success() {
        return answered;
    }
    let mut body = network::json(answered.body());
    body["UnprocessedKeys"] = left;
    answer(200, &body)
}

fn error(status: u16, kind: &str, message: &str) -> Response<Bytes> {
    answer(status, &json!({ "__type": kind, "message": message }))
}

pub(crate) fn answer(status: u16, body: &Value) -> Response<Bytes> {
    made(status, "application/x-amz-json-1.0", body.to_string())
}

fn object_error(status: u16, code: &str, message: &str) -> Response<Bytes> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    made(status, "application/xml", body)
}

fn made(status: u16, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
