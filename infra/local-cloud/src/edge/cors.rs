//! Cross-origin requests as `CorsConfiguration` has them: preflights answered by the API itself, and its headers in
//! place of the function's.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::stack::Cors;

/// A browser asks whether it may send a request: `OPTIONS` with an origin and the method it wants.
pub(super) fn is_preflight(request: &Request<Bytes>) -> bool {
    let has = |name| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The whole answer to a preflight. To an origin that is not allowed it says nothing, and the browser stops.
pub(super) fn preflight(cors: &Cors, headers: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let Some(origin) = allowed_origin(cors, headers) else { return response };
    let into = response.headers_mut();
    into.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set_credentials(cors, into);
    set_list(into, header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
    set_list(into, header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
    if let Some(seconds) = cors.max_age_seconds {
        into.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
    response
}

/// Takes a function's own words on the matter out of its answer, and puts the configured ones in.
pub(super) fn apply(cors: &Cors, headers: &HeaderMap, into: &mut HeaderMap) {
    let of_the_function: Vec<HeaderName> =
        into.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in of_the_function {
        into.remove(name);
    }
    if let Some(origin) = allowed_origin(cors, headers) {
        into.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set_credentials(cors, into);
        set_list(into, header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
    }
}

/// What the request's origin may be told of itself; `None` if it has none, or one that is not allowed.
fn allowed_origin(cors: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let is_allowed = |allowed: &str| match allowed.strip_suffix('*') {
        Some(scheme) => text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)),
        None => text.eq_ignore_ascii_case(allowed),
    };
    if cors.allow_origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    cors.allow_origins.iter().any(|allowed| is_allowed(allowed)).then(|| origin.clone())
}

fn set_credentials(cors: &Cors, into: &mut HeaderMap) {
    if cors.allow_credentials {
        into.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

fn set_list(into: &mut HeaderMap, name: HeaderName, values: &[String]) {
    // The template has checked them; one that cannot be sent is none.
    if let (false, Ok(value)) = (values.is_empty(), HeaderValue::from_str(&values.join(","))) {
        into.insert(name, value);
    }
}
