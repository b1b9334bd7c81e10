//! Lambda authorizers with payload format 2.0 and simple responses, and the cache of what they said.
//!
//! An answer is cached by the values of the identity headers and counts for every route of that authorizer, allowed
//! or not, as on AWS; a failure is not cached. Concurrent requests with a new token each ask.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{Invoke, answer, event::Context, routes::Match};
use crate::{Clock, function::FunctionError, stack::Authorizer};

/// What an authorizer said of a caller.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// With the context that is handed on to the function.
    Allowed(Value),
    Forbidden,
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoVerdict {
    /// An identity header is missing, or the function threw `Unauthorized`.
    Unauthorized,
    /// The function failed, or answered what is not a simple response.
    Failed,
}

impl NoVerdict {
    pub(super) fn response(self) -> Response<bytes::Bytes> {
        match self {
            Self::Unauthorized => answer::message(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Failed => answer::internal_error(),
        }
    }
}

/// More callers than this within one cache time are asked for anew.
const MOST_CACHED: usize = 1_000;

/// The authorizer's name and the values of its identity headers.
type Key = (String, Vec<String>);

#[derive(Default)]
pub(super) struct Cache {
    known: Mutex<BTreeMap<Key, (i64, Verdict)>>,
}

impl Cache {
    fn get(&self, key: &Key, now_ms: i64) -> Option<Verdict> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(until_ms, _)| now_ms < *until_ms).map(|(_, verdict)| verdict.clone())
    }

    fn keep(&self, key: Key, verdict: Verdict, until_ms: i64, now_ms: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_CACHED && !known.contains_key(&key) {
            known.retain(|_, (until_ms, _)| now_ms < *until_ms);
        }
        if known.len() >= MOST_CACHED && !known.contains_key(&key) {
            let first_to_end = known.iter().min_by_key(|(_, (until_ms, _))| *until_ms).map(|(key, _)| key.clone());
            first_to_end.into_iter().for_each(|key| drop(known.remove(&key)));
        }
        known.insert(key, (until_ms, verdict));
    }
}

/// Asks the authorizer of a route, or remembers. `event` is what the function's event has in common with its own.
pub(super) async fn judge(
    (name, authorizer): (&str, &Authorizer),
    headers: &HeaderMap,
    event: &Map<String, Value>,
    (found, context): (&Match<'_>, &Context<'_>),
    (invoke, cache, clock): (&Invoke, &Cache, &Clock),
) -> Result<Verdict, NoVerdict> {
    let identity = identity(authorizer, headers).ok_or(NoVerdict::Unauthorized)?;
    let key = (name.to_owned(), identity);
    if let Some(verdict) = cache.get(&key, clock.now_ms()) {
        return Ok(verdict);
    }
    let mut event = event.clone();
    event.insert("type".to_owned(), json!("REQUEST"));
    event.insert("routeArn".to_owned(), json!(route_arn(found, context)));
    event.insert("identitySource".to_owned(), json!(key.1));
    let verdict = match super::invoke(invoke, &authorizer.function, Value::Object(event)).await {
        Ok(answer) => simple_response(&answer).ok_or(NoVerdict::Failed)?,
        Err(FunctionError { message, .. }) if message == "Unauthorized" => return Err(NoVerdict::Unauthorized),
        Err(error) => {
            tracing::warn!(authorizer = name, %error, "the authorizer {name} failed: {error}");
            return Err(NoVerdict::Failed);
        }
    };
    if authorizer.cache_seconds > 0 {
        let now_ms = clock.now_ms();
        cache.keep(key, verdict.clone(), now_ms + i64::from(authorizer.cache_seconds) * 1_000, now_ms);
    }
    Ok(verdict)
}

/// `None` if a header that identifies the caller is missing or empty.
fn identity(authorizer: &Authorizer, headers: &HeaderMap) -> Option<Vec<String>> {
    let value = |name: &String| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        Some(values.join(",")).filter(|joined| !joined.is_empty())
    };
    authorizer.identity_headers.iter().map(value).collect()
}

fn route_arn(found: &Match<'_>, context: &Context<'_>) -> String {
    let Context { account, region, api_id, stage, .. } = context;
    let route = found.key().replacen(' ', "", 1);
    format!("arn:aws:execute-api:{region}:{account}:{api_id}/{stage}/{route}")
}

fn simple_response(answer: &Value) -> Option<Verdict> {
    match answer.get("isAuthorized")? {
        Value::Bool(false) => Some(Verdict::Forbidden),
        Value::Bool(true) => match answer.get("context") {
            None | Some(Value::Null) => Some(Verdict::Allowed(Value::Null)),
            Some(context @ Value::Object(_)) => Some(Verdict::Allowed(context.clone())),
            Some(_) => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets_what_ends_first() {
        let cache = Cache::default();
        let key = |name: usize| ("A".to_owned(), vec![name.to_string()]);
        for name in 0..MOST_CACHED {
            cache.keep(key(name), Verdict::Forbidden, 1_000 + i64::try_from(name).unwrap(), 0);
        }
        cache.keep(key(MOST_CACHED), Verdict::Allowed(json!({})), 9_000, 0);
        assert_eq!(cache.get(&key(0), 0), None);
        assert_eq!(cache.get(&key(1), 0), Some(Verdict::Forbidden));
        assert_eq!(cache.get(&key(1), 1_001), None);
        cache.keep(key(5_000), Verdict::Forbidden, 9_000, 1_500);
        assert!(cache.known.lock().unwrap().len() < MOST_CACHED);
    }

    #[test]
    fn only_a_simple_response_is_a_verdict() {
        assert_eq!(simple_response(&json!({"isAuthorized": true})), Some(Verdict::Allowed(Value::Null)));
        assert_eq!(simple_response(&json!({"isAuthorized": false, "context": {}})), Some(Verdict::Forbidden));
        for malformed in
            [json!(null), json!({}), json!({"isAuthorized": "true"}), json!({"isAuthorized": true, "context": [1]})]
        {
            assert_eq!(simple_response(&malformed), None, "{malformed}");
        }
    }
}
