//! Lambda authorizers with payload format 2.0: who is asked, with what, and the cache of what they said.
//!
//! An answer is cached by the values of the identity sources and counts for every route of that authorizer. A simple
//! response is a verdict on all of them, allowed or not; a policy is judged anew for each. A failure is not cached.
//! Concurrent requests with a new identity each ask.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    Invoke, answer,
    event::{self, Context},
    policy::Policy,
    routes::Match,
};
use crate::{
    Clock,
    stack::{Authorizer, IdentitySource},
};

/// An authorizer that takes longer has failed.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What an authorizer said of a caller and a route.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// With the context that is handed on to the function.
    Allowed(Value),
    Forbidden,
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoVerdict {
    /// An identity source is missing.
    Unauthorized,
    /// The function failed, took too long, or answered what is neither a simple response nor a policy.
    Failed,
}

impl NoVerdict {
    pub(super) fn response(self) -> Response<Bytes> {
        match self {
            Self::Unauthorized => answer::message(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Failed => answer::internal_error(),
        }
    }
}

/// What an authorizer said of a caller, for whatever route.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Allowed(Value),
    Forbidden,
    Policy(Policy, Value),
}

impl Word {
    fn of(answer: &Value, simple_responses: bool) -> Result<Self, &'static str> {
        let context = match answer.get("context") {
            None | Some(Value::Null) => Value::Null,
            Some(context @ Value::Object(_)) => context.clone(),
            Some(_) => return Err("context is not a map"),
        };
        if !simple_responses {
            let document = answer.get("policyDocument").ok_or("there is no policyDocument")?;
            return Ok(Self::Policy(Policy::parse(document)?, context));
        }
        match answer.get("isAuthorized") {
            Some(Value::Bool(true)) => Ok(Self::Allowed(context)),
            Some(Value::Bool(false)) => Ok(Self::Forbidden),
            _ => Err("isAuthorized is neither true nor false"),
        }
    }

    fn on(self, route_arn: &str) -> Verdict {
        match self {
            Self::Allowed(context) => Verdict::Allowed(context),
            Self::Policy(policy, context) if policy.allows(route_arn) => Verdict::Allowed(context),
            Self::Forbidden | Self::Policy(..) => Verdict::Forbidden,
        }
    }
}

/// More callers than this within one cache time are asked for anew.
const MOST_CACHED: usize = 1_000;

/// The authorizer's name and the values of its identity sources.
type Key = (String, Vec<String>);

#[derive(Default)]
pub(super) struct Cache {
    known: Mutex<BTreeMap<Key, (i64, Word)>>,
}

impl Cache {
    fn get(&self, key: &Key, now_ms: i64) -> Option<Word> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(until_ms, _)| now_ms < *until_ms).map(|(_, word)| word.clone())
    }

    fn keep(&self, key: Key, word: Word, until_ms: i64, now_ms: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_CACHED && !known.contains_key(&key) {
            known.retain(|_, (until_ms, _)| now_ms < *until_ms);
        }
        if known.len() >= MOST_CACHED && !known.contains_key(&key) {
            let first_to_end = known.iter().min_by_key(|(_, (until_ms, _))| *until_ms).map(|(key, _)| key.clone());
            first_to_end.into_iter().for_each(|key| drop(known.remove(&key)));
        }
        known.insert(key, (until_ms, word));
    }
}

/// What is to be judged.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request<Bytes>,
    pub(super) found: &'a Match<'a>,
    pub(super) context: &'a Context<'a>,
    /// What the function's event has in common with the authorizer's.
    pub(super) event: &'a Map<String, Value>,
}

/// Asks the authorizer of a route, or remembers.
pub(super) async fn judge(
    (name, authorizer): (&str, &Authorizer),
    call: Call<'_>,
    (invoke, cache, clock): (&Invoke, &Cache, &Clock),
) -> Result<Verdict, NoVerdict> {
    let identity = identity(authorizer, call).ok_or(NoVerdict::Unauthorized)?;
    let route_arn = route_arn(call);
    let key = (name.to_owned(), identity);
    if let Some(word) = cache.get(&key, clock.now_ms()) {
        return Ok(word.on(&route_arn));
    }
    let mut event = call.event.clone();
    event.insert("type".to_owned(), json!("REQUEST"));
    event.insert("routeArn".to_owned(), json!(route_arn));
    if !key.1.is_empty() {
        event.insert("identitySource".to_owned(), json!(key.1));
    }
    let asked = tokio::time::timeout(TIME_LIMIT, super::invoke(invoke, &authorizer.function, Value::Object(event)));
    let answer = match asked.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::warn!(authorizer = name, %error, "the authorizer {name} failed: {error}");
            return Err(NoVerdict::Failed);
        }
        Err(_) => {
            tracing::warn!(authorizer = name, "the authorizer {name} took more than {} s", TIME_LIMIT.as_secs());
            return Err(NoVerdict::Failed);
        }
    };
    let word = Word::of(&answer, authorizer.simple_responses).map_err(|why| {
        tracing::warn!(authorizer = name, why, "the authorizer {name} gave a malformed answer: {why}");
        NoVerdict::Failed
    })?;
    if authorizer.cache_seconds > 0 {
        let now_ms = clock.now_ms();
        cache.keep(key, word.clone(), now_ms + i64::from(authorizer.cache_seconds) * 1_000, now_ms);
    }
    Ok(word.on(&route_arn))
}

/// `None` if anything that identifies the caller is missing or empty.
fn identity(authorizer: &Authorizer, Call { request, found, context, .. }: Call<'_>) -> Option<Vec<String>> {
    let value = |source: &IdentitySource| {
        let value = match source {
            IdentitySource::Header(name) => event::folded_header(request.headers(), name),
            IdentitySource::Query(name) => {
                event::folded_query(request.uri().query().unwrap_or_default()).remove(name).unwrap_or_default()
            }
            IdentitySource::StageVariable(name) => context.stage_variables.get(name).cloned().unwrap_or_default(),
            IdentitySource::Context(name) => event::context_variable(name, request, found, context),
        };
        Some(value).filter(|value| !value.is_empty())
    };
    authorizer.identity.iter().map(value).collect()
}

/// The method and path that are called, not the route's pattern: a policy speaks of resources.
fn route_arn(Call { request, found, context, .. }: Call<'_>) -> String {
    let Context { account, region, api_id, stage, .. } = context;
    let partition = context.partition;
    format!("arn:{partition}:execute-api:{region}:{account}:{api_id}/{stage}/{}{}", request.method(), found.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets_what_ends_first() {
        let cache = Cache::default();
        let key = |name: usize| ("A".to_owned(), vec![name.to_string()]);
        for name in 0..MOST_CACHED {
            cache.keep(key(name), Word::Forbidden, 1_000 + i64::try_from(name).unwrap(), 0);
        }
        cache.keep(key(MOST_CACHED), Word::Allowed(json!({})), 9_000, 0);
        assert_eq!(cache.get(&key(0), 0), None);
        assert_eq!(cache.get(&key(1), 0), Some(Word::Forbidden));
        assert_eq!(cache.get(&key(1), 1_001), None);
        cache.keep(key(5_000), Word::Forbidden, 9_000, 1_500);
        assert!(cache.known.lock().unwrap().len() < MOST_CACHED);
    }

    #[test]
    fn only_an_answer_of_the_agreed_form_is_a_word() {
        let simple = |answer| Word::of(&answer, true);
        assert_eq!(simple(json!({"isAuthorized": true})), Ok(Word::Allowed(Value::Null)));
        assert_eq!(simple(json!({"isAuthorized": false, "context": {}})), Ok(Word::Forbidden));
        let policy = json!({"principalId": "a", "policyDocument": {"Statement": []}});
        assert!(Word::of(&policy, false).is_ok());
        for malformed in [
            json!(null),
            json!({}),
            json!({"isAuthorized": "true"}),
            json!({"isAuthorized": true, "context": [1]}),
            policy,
        ] {
            assert!(simple(malformed.clone()).is_err(), "{malformed}");
        }
        assert!(Word::of(&json!({"isAuthorized": true}), false).is_err());
    }
}
