//! The HTTP API of a stack: from a request to a route, past its authorizer, to a function and back, as API Gateway
//! does it with payload format 2.0.
//!
//! It knows neither how functions run nor the other services: it is handed a way to invoke a function by its logical
//! id. No stages beside the one, no access logs, no custom domains.

mod answer;
mod authorizer;
mod cors;
mod event;
mod policy;
mod routes;
mod server;
mod text;
mod throttle;

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

use self::{
    authorizer::{Call, Verdict},
    event::Context,
    routes::Match,
    throttle::Throttles,
};
use crate::{
    Clock,
    function::FunctionError,
    stack::{HttpApi, Stack},
    template::{partition, url_suffix},
};

pub use self::server::serve;

/// Runs a function, named by its logical id, with an event.
pub type Invoke = Arc<dyn Fn(&str, Value) -> BoxFuture<'static, Result<Value, FunctionError>> + Send + Sync>;

/// Takes a caller's word for who they are: from headers to what an authorizer would have handed on. Only code can
/// give one to an [`Edge`]; a bearer token in the request wins over it.
pub type TrustedIdentity = Arc<dyn Fn(&HeaderMap) -> Option<Map<String, Value>> + Send + Sync>;

/// The largest request body that API Gateway takes.
pub(crate) const MOST_BODY_BYTES: usize = 10 * 1024 * 1024;
/// The largest event that Lambda takes.
const MOST_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// The largest answer that Lambda takes of a function: what it documents as 6 MB, and names in its error.
const MOST_ANSWER_BYTES: usize = 6_291_556;
/// The request line and the values of all headers together.
const MOST_HEADER_BYTES: usize = 10_240;

pub(crate) const DEFAULT_STAGE: &str = "$default";

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
    partition: &'static str,
    url_suffix: &'static str,
    api: HttpApi,
    throttles: Throttles,
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
            partition: partition(&stack.region),
            url_suffix: url_suffix(&stack.region),
            throttles: Throttles::of(&api),
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
        let context = self.inner.context(&request, peer);
        let response = self.inner.answer(&request, &context).await;
        if let Some(observer) = &self.observer {
            observer(&AnswerRecord {
                method: request.method().to_string(),
                path: request.uri().path().to_owned(),
                status: response.status().as_u16(),
                duration_ms: self.inner.clock.now_ms() - context.now_ms,
            });
        }
        identified(response, &context.request_id)
    }

    /// An answer to a request that could not be read.
    fn refuse(&self, refusal: Response<Bytes>) -> Response<Bytes> {
        let (request_id, _) = self.inner.ids();
        identified(refusal, &request_id)
    }
}

fn identified(mut response: Response<Bytes>, request_id: &str) -> Response<Bytes> {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("apigw-requestid", id);
    }
    response
}

type Refusal = Box<Response<Bytes>>;

impl Inner {
    /// The id of a request, and the random part of its trace.
    fn ids(&self) -> (String, String) {
        let (mut id, mut trace) = ([0; 11], [0; 12]);
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.fill(&mut id);
        ids.fill(&mut trace);
        (BASE64.encode(&id), HEXLOWER.encode(&trace))
    }

    fn context(&self, request: &Request<Bytes>, peer: IpAddr) -> Context<'_> {
        let (request_id, trace) = self.ids();
        Context {
            account: &self.account,
            region: &self.region,
            api_id: &self.api.id,
            partition: self.partition,
            url_suffix: self.url_suffix,
            stage: &self.api.stage,
            stage_variables: &self.api.stage_variables,
            path: text::decoded_path(request.uri().path()),
            request_id,
            trace,
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
        let not_found = || answer::message(StatusCode::NOT_FOUND, "Not Found");
        let Some(path) = self.behind_stage(&context.path) else { return not_found() };
        let found = routes::find(&self.api.routes, request.method().as_str(), path);
        let preflight = self.api.cors.as_ref().filter(|_| cors::is_preflight(request));
        match (found, preflight) {
            (Some(found), _) => self.run(request, &found, context).await.unwrap_or_else(|refusal| *refusal),
            (None, Some(cors)) => cors::preflight(cors, request.headers()),
            (None, None) => not_found(),
        }
    }

    async fn run(
        &self,
        request: &Request<Bytes>,
        found: &Match<'_>,
        context: &Context<'_>,
    ) -> Result<Response<Bytes>, Refusal> {
        if !self.throttles.admits(&found.key(), context.now_ms) {
            return Err(Box::new(answer::message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")));
        }
        let event = event::common(request, found, context);
        let caller = self.caller(Call { request, found, context, event: &event }).await?;
        // A route that takes `OPTIONS` has its authorizer asked even so; its function hears nothing of a preflight.
        if let Some(cors) = self.api.cors.as_ref().filter(|_| cors::is_preflight(request)) {
            return Ok(cors::preflight(cors, request.headers()));
        }
        let event = event::for_function(event, caller, request);
        if answer::json_bytes(&event) > MOST_EVENT_BYTES {
            return Err(Box::new(answer::too_long()));
        }
        let mut response = self.ask(found, event).await?;
        if let Some(cors) = &self.api.cors {
            cors::apply(cors, request.headers(), response.headers_mut());
        }
        Ok(response)
    }

    /// Runs the route's function, and waits for it as long as the route does.
    async fn ask(&self, found: &Match<'_>, event: Value) -> Result<Response<Bytes>, Refusal> {
        let function = &found.route.function;
        let limit = Duration::from_millis(u64::from(found.route.timeout_ms));
        match tokio::time::timeout(limit, invoke(&self.invoke, function, event)).await {
            Err(_) => Err(Box::new(answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"))),
            Ok(Ok(answer)) if answer::json_bytes(&answer) > MOST_ANSWER_BYTES => {
                tracing::warn!(function, "the answer of {function} is longer than {MOST_ANSWER_BYTES} bytes");
                Err(Box::new(answer::internal_error()))
            }
            Ok(Ok(answer)) => Ok(answer::of_function(answer)),
            Ok(Err(error)) => {
                tracing::warn!(function, %error, "the function {function} failed: {error}");
                Err(Box::new(answer::internal_error()))
            }
        }
    }

    /// What the route's authorizer, or whoever is trusted in its place, says of the caller.
    async fn caller(&self, call: Call<'_>) -> Result<Option<Value>, Refusal> {
        let Some(name) = &call.found.route.authorizer else { return Ok(None) };
        let headers = call.request.headers();
        let trusted = self.trusted.as_ref().filter(|_| !has_bearer_token(headers));
        if let Some(identity) = trusted.and_then(|trusted| trusted(headers)) {
            return Ok(Some(Value::Object(identity)));
        }
        let Some(authorizer) = self.api.authorizers.get(name) else {
            tracing::error!(authorizer = name, "the API has no authorizer {name}");
            return Err(Box::new(answer::internal_error()));
        };
        match authorizer::judge((name, authorizer), call, (&self.invoke, &self.cache, &self.clock)).await {
            Ok(Verdict::Allowed(caller)) => Ok(Some(caller)),
            Ok(Verdict::Forbidden) => Err(Box::new(answer::message(StatusCode::FORBIDDEN, "Forbidden"))),
            Err(no_verdict) => Err(Box::new(no_verdict.response())),
        }
    }

    /// A stage with a name is the path's first segment, `$default` is not.
    fn behind_stage<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.api.stage == DEFAULT_STAGE {
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

/// As the quota counts: the request line, and of the headers the values only.
fn header_bytes(request: &Request<Bytes>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1".len();
    line + request.headers().values().map(HeaderValue::len).sum::<usize>()
}
