//! A request as a function sees it: the event of payload format 2.0, field by field as API Gateway makes it.
//!
//! Fields that have nothing to say are absent, as they are there. `x-forwarded-*` tell the truth of this machine:
//! plain HTTP, and the port that the caller named.

use std::{collections::BTreeMap, net::IpAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Version, header};
use serde_json::{Map, Value, json};

use super::{
    routes::Match,
    text::{common_log_time, query_decoded},
};

/// What the edge knows of a request beside the request itself.
pub(super) struct Context<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) api_id: &'a str,
    pub(super) partition: &'a str,
    pub(super) url_suffix: &'a str,
    pub(super) stage: &'a str,
    pub(super) stage_variables: &'a BTreeMap<String, String>,
    /// What the request line names, decoded.
    pub(super) path: String,
    pub(super) request_id: String,
    /// The random part of the trace id, 24 hexadecimal digits.
    pub(super) trace: String,
    pub(super) peer: IpAddr,
    pub(super) now_ms: i64,
}

/// The fields that an authorizer's event and a function's have in common.
pub(super) fn common(request: &Request<Bytes>, found: &Match<'_>, context: &Context<'_>) -> Map<String, Value> {
    let headers = request.headers();
    let mut event = Map::new();
    let mut set = |key: &str, value: Value| {
        event.insert(key.to_owned(), value);
    };
    set("version", json!("2.0"));
    set("routeKey", json!(found.key()));
    set("rawPath", json!(context.path));
    set("rawQueryString", json!(request.uri().query().unwrap_or_default()));
    let cookies = cookies(headers);
    if !cookies.is_empty() {
        set("cookies", json!(cookies));
    }
    set("headers", json!(folded_headers(request, context)));
    let query = folded_query(request.uri().query().unwrap_or_default());
    if !query.is_empty() {
        set("queryStringParameters", json!(query));
    }
    set("requestContext", request_context(request, found, context));
    if !found.variables.is_empty() {
        set("pathParameters", json!(found.variables));
    }
    if !context.stage_variables.is_empty() {
        set("stageVariables", json!(context.stage_variables));
    }
    event
}

/// The event of the function behind a route, with what the authorizer said of the caller.
pub(super) fn for_function(
    mut event: Map<String, Value>,
    authorizer: Option<Value>,
    request: &Request<Bytes>,
) -> Value {
    if let (Some(context), Some(Value::Object(into))) = (authorizer, event.get_mut("requestContext")) {
        into.insert("authorizer".to_owned(), json!({"lambda": context}));
    }
    let body = request.body();
    let text = if is_text(request.headers()) { std::str::from_utf8(body).ok() } else { None };
    if !body.is_empty() {
        event.insert("body".to_owned(), Value::String(text.map_or_else(|| STANDARD.encode(body), str::to_owned)));
    }
    event.insert("isBase64Encoded".to_owned(), Value::Bool(!body.is_empty() && text.is_none()));
    Value::Object(event)
}

fn request_context(request: &Request<Bytes>, found: &Match<'_>, context: &Context<'_>) -> Value {
    let Context { account, api_id, stage, path, request_id, now_ms, .. } = context;
    let of = |name| context_variable(name, request, found, context);
    json!({
        "accountId": account,
        "apiId": api_id,
        "domainName": of("domainName"),
        "domainPrefix": api_id,
        "http": {
            "method": request.method().as_str(),
            "path": path,
            "protocol": of("protocol"),
            "sourceIp": of("identity.sourceIp"),
            "userAgent": of("identity.userAgent"),
        },
        "requestId": request_id,
        "routeKey": found.key(),
        "stage": stage,
        "time": common_log_time(*now_ms),
        "timeEpoch": now_ms,
    })
}

/// A `$context` variable, of those that [`crate::stack::IdentitySource::CONTEXT_VARIABLES`] names.
pub(super) fn context_variable(
    name: &str,
    request: &Request<Bytes>,
    found: &Match<'_>,
    context: &Context<'_>,
) -> String {
    let Context { account, region, api_id, url_suffix, stage, path, peer, .. } = context;
    match name {
        "accountId" => (*account).to_owned(),
        "apiId" | "domainPrefix" => (*api_id).to_owned(),
        "domainName" => format!("{api_id}.execute-api.{region}.{url_suffix}"),
        "httpMethod" => request.method().to_string(),
        "identity.sourceIp" => peer.to_string(),
        "identity.userAgent" => {
            request.headers().get(header::USER_AGENT).map(|agent| lossy(agent.as_bytes())).unwrap_or_default()
        }
        "path" => path.clone(),
        "protocol" if request.version() == Version::HTTP_10 => "HTTP/1.0".to_owned(),
        "protocol" => "HTTP/1.1".to_owned(),
        "routeKey" => found.key(),
        "stage" => (*stage).to_owned(),
        _ => String::new(),
    }
}

/// They end at the gateway, as RFC 9110 (7.6.1) asks of whoever stands in between.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Lower-case names, values of one name folded with commas. Cookies have a field of their own. The length is that of
/// the body, however it came, and is told of an empty one as well.
fn folded_headers(request: &Request<Bytes>, context: &Context<'_>) -> BTreeMap<String, String> {
    let headers = request.headers();
    let nominated = folded_header(headers, header::CONNECTION.as_str()).to_ascii_lowercase();
    let is_nominated = |name: &HeaderName| nominated.split(',').any(|nominated| nominated.trim() == name.as_str());
    let passed_on = |name: &&HeaderName| {
        **name != header::COOKIE && !OF_THE_CONNECTION.contains(&name.as_str()) && !is_nominated(name)
    };
    let names = headers.keys().filter(passed_on);
    let mut folded: BTreeMap<String, String> =
        names.map(|name| (name.to_string(), folded_header(headers, name.as_str()))).collect();
    folded.insert(header::CONTENT_LENGTH.to_string(), request.body().len().to_string());
    let peer = context.peer.to_string();
    folded
        .entry("x-forwarded-for".to_owned())
        .and_modify(|known| *known = format!("{known},{peer}"))
        .or_insert_with(|| peer.clone());
    let host = folded_header(headers, header::HOST.as_str());
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).unwrap_or(80);
    folded.insert("x-forwarded-port".to_owned(), port.to_string());
    folded.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    let seconds = context.now_ms.div_euclid(1_000);
    let trace = || format!("Root=1-{seconds:08x}-{}", context.trace);
    folded.entry("x-amzn-trace-id".to_owned()).or_insert_with(trace);
    folded
}

/// All values of one header, with commas between them; empty if there is none.
pub(super) fn folded_header(headers: &HeaderMap, name: &str) -> String {
    let values: Vec<String> = headers.get_all(name).iter().map(|value| lossy(value.as_bytes())).collect();
    values.join(",")
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::COOKIE).iter().map(|line| lossy(line.as_bytes()));
    lines
        .flat_map(|line| line.split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

pub(super) fn folded_query(query: &str) -> BTreeMap<String, String> {
    let mut folded: BTreeMap<String, String> = BTreeMap::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = query_decoded(value);
        folded.entry(query_decoded(name)).and_modify(|known| *known = format!("{known},{value}")).or_insert(value);
    }
    folded
}

/// API Gateway hands on as text `text/*` and three application types, and everything else, forms and bodies without
/// a type included, in base64. (Not documented; others have tried it against AWS.)
fn is_text(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let kind = kind.to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let other_charset = parts
        .filter_map(|parameter| parameter.strip_prefix("charset="))
        .any(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "us-ascii"));
    let text = media.starts_with("text/")
        || matches!(media, "application/json" | "application/xml" | "application/javascript");
    text && !other_charset
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{routes::find, text::percent_decoded},
        *,
    };
    use crate::stack::Route;

    static NO_VARIABLES: BTreeMap<String, String> = BTreeMap::new();

    fn context(path: &str) -> Context<'static> {
        Context {
            account: "123456789012",
            region: "us-east-1",
            api_id: "api-id",
            partition: "aws",
            url_suffix: "amazonaws.com",
            stage: "$default",
            stage_variables: &NO_VARIABLES,
            path: percent_decoded(path),
            request_id: "id".to_owned(),
            trace: "0123456789abcdef01234567".to_owned(),
            peer: IpAddr::from([192, 0, 2, 1]),
            now_ms: 1_583_348_638_390,
        }
    }

    fn event(request: Request<&'static [u8]>, path: &str, authorizer: Option<Value>) -> Value {
        let request = request.map(Bytes::from_static);
        let (method, function) = ("POST".into(), "F".into());
        let routes = [Route { method, path: path.into(), function, authorizer: None, timeout_ms: 30_000 }];
        let context = context(request.uri().path());
        let found = find(&routes, request.method().as_str(), &context.path).unwrap();
        for_function(common(&request, &found, &context), authorizer, &request)
    }

    /// The documented example, as far as a server without client certificates and stage variables can make it.
    #[test]
    fn the_documented_example_field_by_field() {
        let request = Request::post("/my/path?parameter1=value1&parameter1=value2&parameter2=value")
            .header("Host", "localhost:3000")
            .header("Cookie", "cookie1; cookie2")
            .header("Header1", "value1")
            .header("Header2", "value1")
            .header("header2", "value2")
            .header("User-Agent", "agent")
            .header("Content-Type", "text/plain")
            .body(b"Hello from client!".as_slice())
            .unwrap();
        let lambda = json!({"key": "value"});
        let expected = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/my/path",
            "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
            "cookies": ["cookie1", "cookie2"],
            "headers": {
                "content-length": "18",
                "content-type": "text/plain",
                "header1": "value1",
                "header2": "value1,value2",
                "host": "localhost:3000",
                "user-agent": "agent",
                "x-amzn-trace-id": "Root=1-5e5ffb9e-0123456789abcdef01234567",
                "x-forwarded-for": "192.0.2.1",
                "x-forwarded-port": "3000",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api-id",
                "authorizer": {"lambda": {"key": "value"}},
                "domainName": "api-id.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "api-id",
                "http": {
                    "method": "POST",
                    "path": "/my/path",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "agent",
                },
                "requestId": "id",
                "routeKey": "$default",
                "stage": "$default",
                "time": "04/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64,
            },
            "body": "Hello from client!",
            "isBase64Encoded": false,
        });
        assert_eq!(event(request, "$default", Some(lambda)), expected);
    }

    #[test]
    fn what_has_nothing_to_say_is_absent_and_variables_are_decoded() {
        let request = Request::post("/things/a%20b").body(b"".as_slice()).unwrap();
        let event = event(request, "/things/{id}", None);
        assert_eq!((&event["pathParameters"], &event["rawPath"]), (&json!({"id": "a b"}), &json!("/things/a b")));
        assert_eq!((&event["routeKey"], &event["isBase64Encoded"]), (&json!("POST /things/{id}"), &json!(false)));
        for absent in ["body", "cookies", "queryStringParameters", "stageVariables"] {
            assert_eq!(event.get(absent), None, "{absent}");
        }
        assert_eq!(event["requestContext"].get("authorizer"), None);
    }

    #[test]
    fn only_what_api_gateway_takes_for_text_is_text() {
        for (kind, text) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=UTF-8"), true),
            (Some("text/csv"), true),
            (Some("application/xml"), true),
            (Some("application/json; charset=utf-16"), false),
            (Some("application/problem+json"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (Some("application/octet-stream"), false),
            (None, false),
        ] {
            let request = Request::post("/a");
            let request = match kind {
                Some(kind) => request.header("content-type", kind),
                None => request,
            };
            let event = event(request.body(b"{}".as_slice()).unwrap(), "/a", None);
            let expected = if text { (json!("{}"), json!(false)) } else { (json!("e30="), json!(true)) };
            assert_eq!((event["body"].clone(), event["isBase64Encoded"].clone()), expected, "{kind:?}");
        }
        let broken = Request::post("/a").header("content-type", "text/plain").body(b"\xff".as_slice()).unwrap();
        assert_eq!(event(broken, "/a", None)["isBase64Encoded"], json!(true));
    }
}
