//! The HTTP API of a stack: from a request to a route, past its authorizer, to a function and back, as API Gateway
//! does it with payload format 2.0.
//!
//! It knows neither how functions run nor the other services: it is handed a way to invoke a function by its logical
//! id. No CORS, no stages beside the one, no access logs.

mod answer;
mod authorizer;
mod event;
mod routes;
mod server;
mod text;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, uri::Authority};
use serde_json::{Map, Value};

use self::{authorizer::Verdict, event::Context, routes::Match};
use crate::{
    Clock,
    function::FunctionError,
    stack::{HttpApi, Stack},
};

pub use self::server::serve;

/// Runs a function, named by its logical id, with an event.
pub type Invoke = Arc<dyn Fn(&str, Value) -> BoxFuture<'static, Result<Value, FunctionError>> + Send + Sync>;

/// Takes a caller's word for who they are: from headers to what an authorizer would have handed on. Only code can
/// give one to an [`Edge`]; a bearer token in the request wins over it.
pub type TrustedIdentity = Arc<dyn Fn(&HeaderMap) -> Option<Map<String, Value>> + Send + Sync>;

/// The largest request body that API Gateway takes.
pub(crate) const MOST_BODY_BYTES: usize = 10 * 1024 * 1024;
/// The largest event or answer of a function that Lambda takes.
const MOST_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;
/// The request line and all headers together.
const MOST_HEADER_BYTES: usize = 10_240;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// One request, told when it has been answered.
#[derive(Clone, Debug)]
pub struct AnswerRecord {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub status: u16,
    pub duration_ms: i64,
}

pub type AnswerObserver = Arc<dyn Fn(&AnswerRecord) + Send + Sync>;

/// The HTTP API of a stack. Clones are the same API.
#[derive(Clone)]
pub struct Edge {
    inner: Arc<Inner>,
    observer: Option<AnswerObserver>,
}

struct Inner {
    region: String,
    account: String,
    api: HttpApi,
    clock: Clock,
    ids: Mutex<fastrand::Rng>,
    invoke: Invoke,
    trusted: Option<TrustedIdentity>,
    cache: authorizer::Cache,
}

impl Edge {
    /// `None` if the stack has no HTTP API. `seed` decides the request ids.
    pub fn new(
        stack: &Stack,
        clock: Clock,
        seed: u64,
        invoke: Invoke,
        trusted: Option<TrustedIdentity>,
    ) -> Option<Self> {
        let api = stack.api.clone()?;
        let inner = Inner {
            region: stack.region.clone(),
            account: stack.account.clone(),
            api,
            clock,
            ids: Mutex::new(fastrand::Rng::with_seed(seed)),
            invoke,
            trusted,
            cache: authorizer::Cache::default(),
        };
        Some(Self { inner: Arc::new(inner), observer: None })
    }

    /// The same API, whose answers are told to `observer`.
    #[must_use]
    pub fn observed_by(self, observer: AnswerObserver) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Answers one request, whatever is in it.
    pub async fn answer(&self, request: Request<Bytes>, peer: IpAddr) -> Response<Bytes> {
        let context = self.inner.context(peer);
        let mut response = self.inner.answer(&request, &context).await;
        if let Some(observer) = &self.observer {
            observer(&AnswerRecord {
                method: request.method().to_string(),
                path: request.uri().path().to_owned(),
                status: response.status().as_u16(),
                duration_ms: self.inner.clock.now_ms() - context.now_ms,
            });
        }
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            response.headers_mut().insert("apigw-requestid", id);
        }
        response
    }
}

impl Inner {
    fn context(&self, peer: IpAddr) -> Context<'_> {
        let (mut id, mut trace) = ([0; 11], [0; 12]);
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.fill(&mut id);
        ids.fill(&mut trace);
        Context {
            account: &self.account,
            region: &self.region,
            api_id: &self.api.id,
            stage: &self.api.stage,
            request_id: BASE64.encode(&id),
            trace: HEXLOWER.encode(&trace),
            peer,
            now_ms: self.clock.now_ms(),
        }
    }

    async fn answer(&self, request: &Request<Bytes>, context: &Context<'_>) -> Response<Bytes> {
        if request.body().len() > MOST_BODY_BYTES {
            return answer::too_long();
        }
        if header_bytes(request) > MOST_HEADER_BYTES {
            return answer::message(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
        }
        if request.headers().get_all(header::HOST).iter().any(|host| Authority::try_from(host.as_bytes()).is_err()) {
            return answer::message(StatusCode::BAD_REQUEST, "Bad Request");
        }
        let path = self.behind_stage(request.uri().path());
        let Some(found) = path.and_then(|path| routes::find(&self.api.routes, request.method().as_str(), path)) else {
            return answer::message(StatusCode::NOT_FOUND, "Not Found");
        };
        match tokio::time::timeout(TIME_LIMIT, self.run(request, &found, context)).await {
            Ok(response) => response,
            Err(_) => answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }

    async fn run(&self, request: &Request<Bytes>, found: &Match<'_>, context: &Context<'_>) -> Response<Bytes> {
        let event = event::common(request, found, context);
        let caller = match self.caller(request.headers(), &event, found, context).await {
            Ok(caller) => caller,
            Err(refusal) => return *refusal,
        };
        let event = event::for_function(event, caller, request);
        // A long body is longer still as an event: up to six times, where all of it is escaped.
        if request.body().len() > MOST_PAYLOAD_BYTES / 8 && event.to_string().len() > MOST_PAYLOAD_BYTES {
            return answer::too_long();
        }
        let function = &found.route.function;
        match invoke(&self.invoke, function, event).await {
            Ok(answer) => {
                let response = answer::of_function(answer);
                if response.body().len() > MOST_PAYLOAD_BYTES { answer::internal_error() } else { response }
            }
            Err(error) => {
                tracing::warn!(function, %error, "the function {function} failed: {error}");
                answer::internal_error()
            }
        }
    }

    /// What the route's authorizer, or whoever is trusted in its place, says of the caller.
    async fn caller(
        &self,
        headers: &HeaderMap,
        event: &Map<String, Value>,
        found: &Match<'_>,
        context: &Context<'_>,
    ) -> Result<Option<Value>, Box<Response<Bytes>>> {
        let Some(name) = &found.route.authorizer else { return Ok(None) };
        let trusted = self.trusted.as_ref().filter(|_| !has_bearer_token(headers));
        if let Some(identity) = trusted.and_then(|trusted| trusted(headers)) {
            return Ok(Some(Value::Object(identity)));
        }
        let Some(authorizer) = self.api.authorizers.get(name) else {
            tracing::error!(authorizer = name, "the API has no authorizer {name}");
            return Err(Box::new(answer::internal_error()));
        };
        let tools = (&self.invoke, &self.cache, &self.clock);
        match authorizer::judge((name, authorizer), headers, event, (found, context), tools).await {
            Ok(Verdict::Allowed(caller)) => Ok(Some(caller)),
            Ok(Verdict::Forbidden) => Err(Box::new(answer::message(StatusCode::FORBIDDEN, "Forbidden"))),
            Err(no_verdict) => Err(Box::new(no_verdict.response())),
        }
    }

    /// A stage with a name is the path's first segment, `$default` is not.
    fn behind_stage<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.api.stage == "$default" {
            return Some(path);
        }
        let rest = path.strip_prefix('/')?.strip_prefix(self.api.stage.as_str())?;
        match rest {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }
}

/// A function that has been called runs to its end, whether or not the caller waits for it.
async fn invoke(invoke: &Invoke, function: &str, event: Value) -> Result<Value, FunctionError> {
    tokio::spawn(invoke(function, event)).await.unwrap_or_else(|error| {
        let kind = "Runtime.ExitError".to_owned();
        Err(FunctionError { kind, message: format!("the function ended without an answer: {error}") })
    })
}

fn has_bearer_token(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    let mut schemes = values.filter_map(|value| value.as_bytes().get(..7));
    schemes.any(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

fn header_bytes(request: &Request<Bytes>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>()
}
