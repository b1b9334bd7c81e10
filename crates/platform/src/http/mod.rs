//! The HTTP edge of a function: what API Gateway hands over, as a request that says who calls; and answers, among
//! them problem details for whatever is refused. Deliberately absent: any header that could say who calls.

mod fields;
mod problem;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;

use domain::Timestamp;
use domain::ids::{CustomerId, IdempotencyKey, SourceId};
use lambda_http::RequestExt as _;
use serde::Serialize;

pub use fields::{Fields, Value};
pub use problem::Problem;

use crate::table::Place;

/// The largest body that is read.
pub const LARGEST_BODY: usize = 64 * 1024;
const DEFAULT_LIMIT: i32 = 20;
const LARGEST_LIMIT: i32 = 100;

/// A request, after the authorizer.
pub struct Request {
    /// The route as the template writes it: `POST /orders`.
    pub route: String,
    pub path: String,
    pub caller: Option<Caller>,
    pub now: Timestamp,
    path_parameters: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    headers: http::HeaderMap,
    body: Vec<u8>,
    source: Option<IpAddr>,
}

/// Without the body and the headers: there are passwords and tokens in them.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("route", &self.route).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Who the authorizer says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub customer: CustomerId,
    pub subject: String,
    pub scopes: Vec<String>,
}

/// The names under which the authorizer hands over what it found, shared by both ends.
pub mod context {
    pub const ISSUER: &str = "issuer";
    pub const SUBJECT: &str = "subject";
    pub const SCOPE: &str = "scope";
    /// Seconds since the epoch. An authorizer's answer may be cached; a token's life is not lengthened by it.
    pub const EXPIRES_AT: &str = "expires_at";
}

/// What a token may let its bearer do besides what is their own.
pub mod scopes {
    pub const STOCK: &str = "stock";
    pub const SLOTS: &str = "slots";
    pub const COURIER: &str = "courier";
    /// Giving back what was captured, of whomever.
    pub const REFUNDS: &str = "refunds";
    /// Looking at anyone's payment, and ending what only a person can.
    pub const OPERATOR: &str = "operator";
}

impl Request {
    pub(crate) fn new(request: lambda_http::Request, now: Timestamp) -> Self {
        let context = request.request_context_ref();
        let (route, caller, source) = match context {
            Some(lambda_http::request::RequestContext::ApiGatewayV2(context)) => (
                context.route_key.clone().unwrap_or_default(),
                context.authorizer.as_ref().and_then(|authorizer| Caller::from_context(&authorizer.fields, now)),
                context.http.source_ip.as_ref().and_then(|address| address.parse().ok()),
            ),
            _ => (String::new(), None, None),
        };
        let folded = |map: &lambda_http::aws_lambda_events::query_map::QueryMap| {
            let mut folded: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in map.iter() {
                folded
                    .entry(name.to_owned())
                    .and_modify(|all| *all = format!("{all},{value}"))
                    .or_insert(value.to_owned());
            }
            folded
        };
        Self {
            route,
            path: request.raw_http_path().to_owned(),
            caller,
            now,
            path_parameters: folded(&request.path_parameters()),
            query: folded(&request.query_string_parameters()),
            headers: request.headers().clone(),
            body: request.body().to_vec(),
            source,
        }
    }

    /// Where it comes from, as the gateway saw it. No header says so.
    pub fn source(&self) -> Result<SourceId, Problem> {
        self.source.map(SourceId::of).ok_or_else(|| {
            tracing::error!("the gateway does not say where a request comes from");
            Problem::internal()
        })
    }

    /// Who calls. A route that a stranger reaches is one that the template left open by mistake.
    pub fn caller(&self) -> Result<&Caller, Problem> {
        self.caller.as_ref().ok_or_else(Problem::unauthorized)
    }

    /// Who calls, if their token lets them do what takes this scope.
    pub fn caller_with(&self, scope: &str) -> Result<&Caller, Problem> {
        let caller = self.caller()?;
        if caller.may(scope) { Ok(caller) } else { Err(Problem::scope_missing(scope)) }
    }

    pub const fn headers(&self) -> &http::HeaderMap {
        &self.headers
    }

    /// The bytes of the body as they were sent, whatever the gateway made of them to hand them over.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn path_parameter(&self, name: &str) -> &str {
        self.path_parameters.get(name).map_or("", String::as_str)
    }

    pub fn idempotency_key(&self) -> Result<IdempotencyKey, Problem> {
        let mut given = self.headers.get_all("idempotency-key").iter();
        let Some(header) = given.next() else { return Err(Problem::key_missing()) };
        if given.next().is_some() {
            return Err(Problem::key_malformed());
        }
        header.to_str().ok().and_then(IdempotencyKey::parse).ok_or_else(Problem::key_malformed)
    }

    /// The body as a JSON object, with every field as it was written.
    pub fn fields(&self) -> Result<Fields, Problem> {
        if self.body.len() > LARGEST_BODY {
            return Err(Problem::body_too_large());
        }
        let content_type = self.headers.get("content-type").map(|value| value.to_str().unwrap_or_default());
        if !content_type.is_some_and(is_json) {
            return Err(Problem::content_type());
        }
        Fields::parse(&self.body)
    }

    /// As [`Request::fields`], where nothing need be sent.
    pub fn fields_if_any(&self) -> Result<Fields, Problem> {
        if self.body.is_empty() { Ok(Fields::default()) } else { self.fields() }
    }

    /// Whether the caller says in `If-None-Match` that this tag, or whatever there is, is what they hold.
    fn holds(&self, tag: &str) -> bool {
        let given = self.headers.get_all("if-none-match").iter().filter_map(|value| value.to_str().ok());
        given.flat_map(|value| value.split(',')).map(str::trim).any(|known| {
            let opaque = known.strip_prefix("W/").unwrap_or(known);
            known == "*" || opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(tag)
        })
    }

    /// How many of a list, and from where.
    pub fn page(&self) -> Result<(i32, Option<Place>), Problem> {
        if let Some(unknown) = self.query.keys().find(|name| !matches!(name.as_str(), "limit" | "cursor")) {
            return Err(Problem::parameter_unknown(unknown));
        }
        let limit = match self.query.get("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => Some(text)
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
                .filter(|limit| (1..=LARGEST_LIMIT).contains(limit))
                .ok_or_else(|| Problem::limit_malformed(LARGEST_LIMIT))?,
        };
        let from = match self.query.get("cursor") {
            None => None,
            Some(cursor) => Some(Place::from_cursor(cursor).ok_or_else(Problem::cursor_malformed)?),
        };
        Ok((limit, from))
    }
}

impl Caller {
    pub fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|known| known == scope)
    }

    /// `context` is what the authorizer function said, which payload format 2.0 puts under `lambda`.
    fn from_context(context: &HashMap<String, serde_json::Value>, now: Timestamp) -> Option<Self> {
        let text = |name: &str| context.get(name).and_then(serde_json::Value::as_str);
        let (issuer, subject) = (text(context::ISSUER)?, text(context::SUBJECT)?);
        if let Some(expires_at) = context.get(context::EXPIRES_AT) {
            let seconds = expires_at.as_i64().or_else(|| expires_at.as_str()?.parse().ok())?;
            if seconds <= now.as_seconds() {
                return None;
            }
        }
        let scopes = text(context::SCOPE).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        Some(Self { customer: CustomerId::of(issuer, subject), subject: subject.to_owned(), scopes })
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim_matches([' ', '\t']);
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// An answer that is no problem.
#[derive(Debug)]
pub struct Response {
    status: u16,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
    cache: &'static str,
}

/// What a customer owns is nobody else's to keep.
const KEPT_BY_NOBODY: &str = "no-store";
/// What is the same for everyone may be kept, and is asked for again after a while.
const KEPT_FOR_MINUTES: &str = "public, max-age=300";

/// Items, and where the rest begins.
#[derive(Debug, Serialize)]
pub struct List<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> List<T> {
    pub fn new(items: Vec<T>, next: Option<&Place>) -> Self {
        Self { items, next_cursor: next.map(Place::to_cursor) }
    }
}

impl Response {
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("answers are plain data with text keys");
        Self { status, body, headers: Vec::new(), cache: KEPT_BY_NOBODY }
    }

    /// Done, and nothing to show.
    pub const fn nothing() -> Self {
        Self { status: 204, body: Vec::new(), headers: Vec::new(), cache: KEPT_BY_NOBODY }
    }

    /// A document in JSON that is the same for everyone. Who has it already, by its tag, is told so with a 304.
    pub fn document(request: &Request, text: String, tag: &str) -> Self {
        let (status, body) = if request.holds(tag) { (304, Vec::new()) } else { (200, text.into_bytes()) };
        Self { status, body, headers: vec![("etag", format!("\"{tag}\""))], cache: KEPT_FOR_MINUTES }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Says that this was answered before.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        if replayed { self.header("idempotent-replayed", "true") } else { self }
    }

    pub(crate) fn into_http(self) -> http::Response<lambda_http::Body> {
        render(self.status, "application/json", self.cache, self.headers, self.body)
    }
}

impl Problem {
    pub(crate) fn into_http(self) -> http::Response<lambda_http::Body> {
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        render(self.status(), "application/problem+json", KEPT_BY_NOBODY, self.headers(), body)
    }
}

fn render(
    status: u16,
    content_type: &'static str,
    cache: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
) -> http::Response<lambda_http::Body> {
    let mut response = http::Response::builder().status(status).header("cache-control", cache);
    if !body.is_empty() {
        response = response.header("content-type", content_type);
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let text = String::from_utf8(body).expect("JSON is UTF-8");
    response.body(lambda_http::Body::Text(text)).expect("the headers are ours")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_by_its_name() {
        for right in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(right), "{right}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/jsonx",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }
}
