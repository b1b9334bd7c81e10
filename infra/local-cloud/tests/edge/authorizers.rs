//! Lambda authorizers with payload format 2.0. Page: `http-api-lambda-authorizer`.

use std::{sync::Arc, time::Duration};

use local_cloud::edge::TrustedIdentity;
use serde_json::{Map, Value, json};

use crate::support::{Scene, guarded};

const TOKEN: [(&str, &str); 1] = [("Authorization", "Bearer a")];

fn simple(identity: &str) -> Scene {
    let guard = guarded(&format!("EnableSimpleResponses: true, Identity: {{ {identity} }}"));
    Scene::new(&guard, &["Echo GET /things/{id}", "Echo ANY /others", "Echo GET /open + Auth: { Authorizer: NONE }"])
}

/// Answers with IAM policies.
fn policies() -> Scene {
    let guard = guarded("Identity: { Headers: [Authorization], ReauthorizeEvery: 60 }");
    Scene::new(&guard, &["Echo GET /things/{id}", "Echo ANY /others"])
}

fn policy(effect: &str, resource: &str) -> Value {
    let statement = json!({"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource});
    json!({
        "principalId": "abcdef",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"exampleKey": "exampleValue"},
    })
}

/// The example of format 2.0 field by field: `type`, `routeArn` and `identitySource` beside what the function's event
/// has, and no body. `routeArn` names the method and path that are called: the example's is of a request that the
/// `$default` route takes, and ends in `GET/request`.
#[tokio::test]
async fn an_authorizer_sees_the_request_without_its_body() {
    let scene = simple("Headers: [Authorization]");
    let event = scene.event("GET /things/a%20b?x=1", &TOKEN, "").await;
    let mut asked_with = scene.last_event("Guard");
    let map = asked_with.as_object_mut().unwrap();
    assert_eq!(map.remove("type"), Some(json!("REQUEST")));
    assert_eq!(map.remove("identitySource"), Some(json!(["Bearer a"])));
    let api = event["requestContext"]["apiId"].as_str().unwrap();
    let arn = format!("arn:aws:execute-api:eu-central-1:000000000000:{api}/$default/GET/things/a b");
    assert_eq!(map.remove("routeArn"), Some(json!(arn)));
    let mut seen_by_function = event;
    seen_by_function["requestContext"].as_object_mut().unwrap().remove("authorizer");
    seen_by_function.as_object_mut().unwrap().remove("isBase64Encoded");
    assert_eq!(asked_with, seen_by_function);
}

/// "The `context` object is optional. You can pass context properties to Lambda integrations": they are under
/// `requestContext.authorizer.lambda`, of whatever type (the page's example has numbers, lists and maps).
#[tokio::test]
async fn the_context_is_handed_on_to_the_function() {
    let scene = simple("Headers: [Authorization]");
    let context =
        json!({"stringKey": "value", "numberKey": 1, "booleanKey": true, "arrayKey": ["a"], "mapKey": {"a": 1}});
    scene.guard_says(json!({"isAuthorized": true, "context": context}));
    let event = scene.event("GET /others", &TOKEN, "").await;
    assert_eq!(event["requestContext"]["authorizer"], json!({ "lambda": context }));
    assert_eq!(scene.event("GET /open", &[], "").await["requestContext"].get("authorizer"), None);
}

/// "`isAuthorized`: true/false". What the client of a denial is told is not on the page; it is a 403 with `Forbidden`,
/// as in ministackorg/ministack#1362 and floci-io/floci#1011, which set out to do as AWS does.
#[tokio::test]
async fn a_denial_is_a_403_and_the_function_is_not_asked() {
    let scene = simple("Headers: [Authorization]");
    scene.guard_says(json!({"isAuthorized": false, "context": {"why": "not you"}}));
    scene.call("GET /others", &TOKEN, "").await.is(403, "Forbidden");
    assert_eq!((scene.asked("Guard"), scene.asked("Echo")), (1, 0));
}

/// "If the client's request doesn't include the identity sources, API Gateway doesn't invoke your Lambda authorizer,
/// and the client receives a `401` error." An empty one counts as missing: "present in the request, not null, and
/// non-empty" (API reference, `identitySource` of `CreateAuthorizer`).
#[tokio::test]
async fn a_missing_identity_source_is_a_401_without_asking() {
    let scene = simple("Headers: [Authorization], QueryStrings: [Name]");
    for (line, headers) in [
        ("GET /others", [].as_slice()),
        ("GET /others", &TOKEN),
        ("GET /others?Name=", &TOKEN),
        ("GET /others?name=x", &TOKEN),
        ("GET /others?Name=x", &[]),
        ("GET /others?Name=x", &[("authorization", "")]),
    ] {
        scene.call(line, headers, "").await.is(401, "Unauthorized");
    }
    assert_eq!((scene.asked("Guard"), scene.asked("Echo")), (0, 0));
    assert_eq!(scene.call("GET /others?Name=x%20y", &TOKEN, "").await.status, 200);
    assert_eq!(scene.last_event("Guard")["identitySource"], json!(["Bearer a", "x y"]));
}

/// "Header names are case-insensitive. … Query string names are case-sensitive. … The value of a supported context
/// variable. … The value of a stage variable." In the order in which SAM lists them.
#[tokio::test]
async fn identity_is_found_in_headers_query_stage_and_context() {
    let guard = guarded(
        "EnableSimpleResponses: true, Identity: { Context: [routeKey, identity.sourceIp], StageVariables: [colour], \
         QueryStrings: [q], Headers: [X-ONE] }",
    );
    let scene = Scene::new(&format!("{guard}, StageVariables: {{ colour: blue }}"), &["Echo GET /things/{id}"]);
    let headers = [("x-one", "a"), ("x-one", "b")];
    assert_eq!(scene.call("GET /things/5?q=1&q=2", &headers, "").await.status, 200);
    let expected = json!(["a,b", "1,2", "blue", "GET /things/{id}", "192.0.2.1"]);
    assert_eq!(scene.last_event("Guard")["identitySource"], expected);
}

/// Without identity sources every request is put to the authorizer ("You can optionally specify identity sources").
#[tokio::test]
async fn without_identity_sources_everyone_is_put_to_the_authorizer() {
    let scene = simple("");
    assert_eq!(scene.call("GET /others", &[], "").await.status, 200);
    assert_eq!(scene.call("GET /others", &[], "").await.status, 200);
    assert_eq!((scene.asked("Guard"), scene.last_event("Guard").get("identitySource")), (2, None));
}

/// "If a client specifies the same parameters in identity sources within the configured TTL, API Gateway uses the
/// cached authorizer result … By default, API Gateway uses the cached authorizer response for all routes of an API
/// that use the authorizer."
#[tokio::test(start_paused = true)]
async fn an_answer_is_cached_by_identity_for_all_routes_until_it_is_old() {
    let scene = simple("Headers: [Authorization], ReauthorizeEvery: 60");
    assert_eq!(scene.call("GET /things/1", &TOKEN, "").await.status, 200);
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(scene.call("DELETE /others", &TOKEN, "").await.status, 200);
    assert_eq!(scene.asked("Guard"), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(scene.call("DELETE /others", &TOKEN, "").await.status, 200);
    assert_eq!(scene.asked("Guard"), 2);
    assert_eq!(scene.call("DELETE /others", &[("authorization", "Bearer b")], "").await.status, 200);
    assert_eq!(scene.asked("Guard"), 3);
}

/// "the authorizer's response fully allows or denies all API requests that match the cached identity source values":
/// a denial is kept as well.
#[tokio::test(start_paused = true)]
async fn a_denial_is_cached_as_well() {
    let scene = simple("Headers: [Authorization], ReauthorizeEvery: 60");
    scene.guard_says(json!({"isAuthorized": false}));
    scene.call("GET /things/1", &TOKEN, "").await.is(403, "Forbidden");
    scene.guard_says(json!({"isAuthorized": true}));
    scene.call("GET /others", &TOKEN, "").await.is(403, "Forbidden");
    assert_eq!(scene.asked("Guard"), 1);
}

/// "If it equals 0, authorization caching is disabled." (API reference, `authorizerResultTtlInSeconds`)
#[tokio::test(start_paused = true)]
async fn a_time_of_zero_caches_nothing() {
    let scene = simple("Headers: [Authorization], ReauthorizeEvery: 0");
    for asked in 1..=3 {
        assert_eq!(scene.call("GET /others", &TOKEN, "").await.status, 200);
        assert_eq!(scene.asked("Guard"), asked);
    }
}

/// "To cache responses per route, add `$context.routeKey` to your authorizer's identity sources."
#[tokio::test(start_paused = true)]
async fn the_route_key_as_identity_caches_per_route() {
    let scene = simple("Headers: [Authorization], Context: [routeKey], ReauthorizeEvery: 60");
    for (line, asked) in [("GET /things/1", 1), ("GET /things/2", 1), ("GET /others", 2), ("PUT /others", 2)] {
        assert_eq!(scene.call(line, &TOKEN, "").await.status, 200);
        assert_eq!(scene.asked("Guard"), asked, "{line}");
    }
}

/// "you can return a Boolean value or an IAM policy that uses standard IAM policy syntax from your Lambda function."
#[tokio::test]
async fn a_policy_allows_and_denies_by_resource() {
    for (effect, resource, status) in [
        ("Allow", "*", 200),
        ("Allow", "arn:aws:execute-api:*:*:*/$default/GET/others", 200),
        ("Deny", "*", 403),
        ("Allow", "arn:aws:execute-api:*:*:*/$default/POST/others", 403),
        ("Allow", "arn:aws:execute-api:*:*:*/$default/GET/other", 403),
    ] {
        let scene = policies();
        scene.guard_says(policy(effect, resource));
        let answer = scene.call("GET /others", &TOKEN, "").await;
        assert_eq!(answer.status, status, "{effect} {resource}");
        match status {
            200 => {
                let context = json!({"lambda": {"exampleKey": "exampleValue"}});
                assert_eq!(answer.json()["requestContext"]["authorizer"], context);
            }
            _ => answer.is(403, "Forbidden"),
        }
    }
}

/// "For more granular permissions, disable simple responses and return an IAM policy": what is cached is the policy,
/// and each route is judged by it anew. (The page's example returns `event.routeArn` as the resource.)
#[tokio::test(start_paused = true)]
async fn a_cached_policy_is_judged_for_each_route() {
    let scene = policies();
    scene.guard_says(policy("Allow", "arn:aws:execute-api:*:*:*/$default/GET/things/*"));
    assert_eq!(scene.call("GET /things/1", &TOKEN, "").await.status, 200);
    scene.call("GET /others", &TOKEN, "").await.is(403, "Forbidden");
    assert_eq!(scene.call("GET /things/2", &TOKEN, "").await.status, 200);
    assert_eq!(scene.asked("Guard"), 1);
}

/// "If API Gateway can't invoke your Lambda authorizer, or your Lambda authorizer returns a response in an invalid
/// format, clients receive a `500 Internal Server Error`." That an authorizer that throws `Unauthorized` makes a 401 is
/// documented for REST APIs only (`apigateway-use-lambda-authorizer`); this page knows no such thing.
#[tokio::test(start_paused = true)]
async fn an_authorizer_that_fails_or_answers_nonsense_is_a_500_and_is_not_cached() {
    let nonsense = [
        json!({"fails": "out of order"}),
        json!({"fails": "Unauthorized"}),
        json!({"panics": true}),
        json!({}),
        json!("true"),
        json!({"isAuthorized": "true"}),
        json!({"isAuthorized": true, "context": "a"}),
        policy("Allow", "*"),
    ];
    let scene = simple("Headers: [Authorization], ReauthorizeEvery: 60");
    for answer in nonsense {
        scene.guard_says(answer.clone());
        let before = scene.asked("Guard");
        for _ in 0..2 {
            scene.call("GET /others", &TOKEN, "").await.is(500, "Internal Server Error");
        }
        assert_eq!(scene.asked("Guard") - before, 2, "{answer}");
    }
    assert_eq!(scene.asked("Echo"), 0);
    let scene = policies();
    for answer in [json!({"isAuthorized": true}), json!({"policyDocument": {}}), policy("Perhaps", "*")] {
        scene.guard_says(answer);
        scene.call("GET /others", &TOKEN, "").await.is(500, "Internal Server Error");
    }
}

/// "Timeout for Lambda authorizer response: 10000 ms" (`limits`). That it is a 500 then is what the page says of an
/// authorizer that cannot be invoked.
#[tokio::test(start_paused = true)]
async fn an_authorizer_has_ten_seconds() {
    let scene = simple("Headers: [Authorization]");
    scene.guard_says(json!({"takes_ms": 9_999}));
    assert_eq!(scene.call("GET /others", &TOKEN, "").await.status, 200);
    scene.guard_says(json!({"takes_ms": 10_001}));
    scene.call("GET /others", &TOKEN, "").await.is(500, "Internal Server Error");
}

/// A rule of this project, not of AWS: code may take a caller's word, a bearer token wins over it, and routes without
/// an authorizer are told nothing.
#[tokio::test(start_paused = true)]
async fn a_trusted_identity_stands_in_for_the_authorizer_but_a_bearer_token_wins() {
    let trusted: TrustedIdentity = Arc::new(|headers| {
        let name = headers.get("x-name")?.to_str().ok()?;
        Some(Map::from_iter([("name".to_owned(), json!(name))]))
    });
    let guard = guarded("EnableSimpleResponses: true, Identity: { Headers: [Authorization] }");
    let routes = ["Echo GET /others", "Echo GET /open + Auth: { Authorizer: NONE }"];
    let scene = Scene::trusting(&guard, &routes, Some(trusted));
    scene.guard_says(json!({"isAuthorized": true, "context": {"by": "guard"}}));
    let caller = async |headers: &[(&str, &str)]| {
        let event = scene.event("GET /others", headers, "").await;
        event["requestContext"]["authorizer"]["lambda"].clone()
    };
    assert_eq!(caller(&[("x-name", "ann")]).await, json!({"name": "ann"}));
    assert_eq!(caller(&[("x-name", "ann"), ("authorization", "Basic eA==")]).await, json!({"name": "ann"}));
    assert_eq!(scene.asked("Guard"), 0);
    assert_eq!(caller(&[("x-name", "ann"), ("authorization", "bearer b")]).await, json!({"by": "guard"}));
    scene.call("GET /others", &[], "").await.is(401, "Unauthorized");
    let event = scene.event("GET /open", &[("x-name", "ann")], "").await;
    assert_eq!(event["requestContext"].get("authorizer"), None);
}
