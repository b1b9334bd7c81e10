//! Lambda, as far as a client calls the stack's functions: invoke, list, look at one.
//!
//! A function is named by its name, its ARN or its logical id in the template. An asynchronous invocation is owed like
//! any delivery, with the same two more tries. Not here: versions, aliases, the log tail, and changing anything.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};
use serde_json::{Value, json};

use crate::asked::{pairs, text};
use crate::cloud::Core;
use crate::function::FunctionError;
use crate::invoke::Trigger;
use crate::stack::{Function, Target};
use crate::text::percent_decoded;
use crate::wire::response;

pub(crate) const PATH: &str = "/2015-03-31/functions";

const JSON: &str = "application/json";
const MOST_BYTES: usize = 6 * 1024 * 1024;
const MOST_ASYNCHRONOUS_BYTES: usize = 1024 * 1024;
/// What an asynchronous invocation is owed by.
const ORIGIN: &str = "lambda:Invoke";

struct Refused {
    status: u16,
    code: String,
    message: String,
}

impl Refused {
    fn into_response(self) -> Response<Bytes> {
        refusal(self.status, &self.code, &self.message)
    }
}

fn refused(status: u16, code: &str, message: &str) -> Refused {
    Refused { status, code: code.to_owned(), message: message.to_owned() }
}

/// The name of the operation, and its answer.
pub(crate) async fn answer(core: &Core, head: &Parts, body: &Bytes) -> (&'static str, Response<Bytes>) {
    let path = head.uri.path().strip_prefix(PATH).unwrap_or_default();
    let segments: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&head.method, segments.as_slice()) {
        (&Method::GET, []) => ("ListFunctions", list(core, head)),
        (&Method::GET, [name]) => ("GetFunction", one(core, name).unwrap_or_else(Refused::into_response)),
        (&Method::GET, [name, "configuration"]) => {
            let found = known(core, name).map(|function| json_response(200, &configuration(function)));
            ("GetFunctionConfiguration", found.unwrap_or_else(Refused::into_response))
        }
        (&Method::POST, [name, "invocations"]) => {
            ("Invoke", invoke(core, name, head, body).await.unwrap_or_else(Refused::into_response))
        }
        _ => {
            let message = format!(
                "{} {} is not an operation that is served here; Invoke, ListFunctions, GetFunction and \
                 GetFunctionConfiguration are",
                head.method,
                head.uri.path()
            );
            ("Unknown", refusal(404, "UnknownOperationException", &message))
        }
    }
}

async fn invoke(core: &Core, name: &str, head: &Parts, body: &Bytes) -> Result<Response<Bytes>, Refused> {
    let function = known(core, name)?;
    let kind = text(&head.headers, "x-amz-invocation-type").unwrap_or("RequestResponse");
    let most = if kind == "Event" { MOST_ASYNCHRONOUS_BYTES } else { MOST_BYTES };
    if body.len() > most {
        let message = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Err(refused(413, "RequestTooLargeException", &message));
    }
    let event: Value = if body.is_empty() {
        json!({})
    } else {
        serde_json::from_slice(body).map_err(|reason| {
            let message = format!("Could not parse request body into json: {reason}");
            refused(400, "InvalidRequestContentException", &message)
        })?
    };
    match kind {
        "RequestResponse" => {
            let answered = core.functions.invoke(&function.logical_id, event, Trigger::Call).await;
            answered_by(function, answered)
        }
        "Event" => {
            owe(core, function, &event).map_err(|reason| refused(500, "ServiceException", &reason.to_string()))?;
            Ok(response(202, JSON, Vec::new()))
        }
        "DryRun" => Ok(response(204, JSON, Vec::new())),
        other => Err(refused(
            400,
            "ValidationException",
            &format!(
                "1 validation error detected: Value '{other}' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]"
            ),
        )),
    }
}

fn owe(core: &Core, function: &Function, event: &Value) -> rusqlite::Result<()> {
    let target = Target::Function(function.logical_id.clone());
    let now_ms = core.clock.now_ms();
    core.store
        .write::<_, rusqlite::Error>(|transaction| core.deliveries.add(transaction, ORIGIN, &target, event, now_ms))?;
    core.deliveries.added();
    Ok(())
}

/// What the function said, or that it failed, which is a 200 as well; only what kept it from running is an error of the
/// service.
fn answered_by(function: &Function, answered: Result<Value, FunctionError>) -> Result<Response<Bytes>, Refused> {
    match answered {
        Ok(value) => Ok(executed(response(200, JSON, value.to_string().into_bytes()))),
        Err(failure) => match failure.kind.as_str() {
            "TooManyRequestsException" => Err(refused(429, &failure.kind, &failure.message)),
            "ResourceNotFoundException" => Err(refused(404, &failure.kind, &failure.message)),
            "ResourceNotReadyException" => {
                let message = format!("{} has nothing that runs it now: {}", function.name, failure.message);
                Err(refused(502, &failure.kind, &message))
            }
            kind => {
                let body = json!({ "errorType": kind, "errorMessage": failure.message });
                let mut failed = executed(response(200, JSON, body.to_string().into_bytes()));
                let header = HeaderName::from_static("x-amz-function-error");
                failed.headers_mut().insert(header, HeaderValue::from_static("Unhandled"));
                Ok(failed)
            }
        },
    }
}

fn executed(mut response: Response<Bytes>) -> Response<Bytes> {
    let header = HeaderName::from_static("x-amz-executed-version");
    response.headers_mut().insert(header, HeaderValue::from_static("$LATEST"));
    response
}

fn list(core: &Core, head: &Parts) -> Response<Bytes> {
    let query: Vec<_> = pairs(head.uri.query().unwrap_or_default()).collect();
    let of = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let most = match of("MaxItems").map_or(Ok(50), str::parse::<usize>) {
        Ok(most @ 1..=10_000) => most.min(50),
        _ => {
            let message = "MaxItems must be a number from 1 to 10000";
            return refusal(400, "InvalidParameterValueException", message);
        }
    };
    let functions = &core.stack.functions;
    let start = match of("Marker") {
        None => 0,
        Some(marker) => match functions.iter().position(|function| function.name == marker) {
            Some(at) => at,
            None => return refusal(400, "InvalidParameterValueException", "The provided marker is not valid"),
        },
    };
    let page: Vec<_> = functions.iter().skip(start).take(most).map(configuration).collect();
    let next = functions.get(start + most).map(|function| &function.name);
    json_response(200, &json!({ "Functions": page, "NextMarker": next }))
}

fn one(core: &Core, name: &str) -> Result<Response<Bytes>, Refused> {
    let function = known(core, name)?;
    let mut answer = json!({ "Configuration": configuration(function) });
    if let Some(reserved) = function.reserved_concurrency {
        answer["Concurrency"] = json!({ "ReservedConcurrentExecutions": reserved });
    }
    Ok(json_response(200, &answer))
}

fn known<'a>(core: &'a Core, name: &str) -> Result<&'a Function, Refused> {
    let unqualified = name.strip_suffix(":$LATEST").unwrap_or(name);
    let found = core.stack.functions.iter().find(|function| {
        [&function.name, &function.arn, &function.logical_id].into_iter().any(|known| known == unqualified)
    });
    found.ok_or_else(|| {
        let arn = if name.starts_with("arn:") {
            name.to_owned()
        } else {
            format!("arn:aws:lambda:{}:{}:function:{name}", core.stack.region, core.stack.account)
        };
        refused(404, "ResourceNotFoundException", &format!("Function not found: {arn}"))
    })
}

fn configuration(function: &Function) -> Value {
    json!({
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": "provided.al2023",
        "PackageType": "Zip",
        "Handler": function.handler,
        "Timeout": function.timeout_seconds,
        "MemorySize": function.memory_mib,
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Environment": { "Variables": function.environment },
    })
}

fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    response(status, JSON, body.to_string().into_bytes())
}

/// Lambda says the code of an error in a header and in no field.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response<Bytes> {
    let kind = if status < 500 { "User" } else { "Service" };
    let mut refused = json_response(status, &json!({ "Type": kind, "Message": message }));
    if let Ok(code) = HeaderValue::from_str(code) {
        refused.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), code);
    }
    refused
}
