//! Throttling by route. Page: `http-api-throttling`.

use std::time::Duration;

use crate::support::{Scene, guarded};

/// "API Gateway throttles requests to your API using the token bucket algorithm, where a token counts for a request. …
/// When request submissions exceed the steady-state request rate and burst limits, API Gateway begins to throttle
/// requests. Clients may receive `429 Too Many Requests` error responses at this point." On AWS "on a best-effort
/// basis", here exactly.
#[tokio::test(start_paused = true)]
async fn more_than_the_burst_is_a_429_until_the_rate_has_filled_the_bucket() {
    let limits = "DefaultRouteSettings: { ThrottlingBurstLimit: 2, ThrottlingRateLimit: 0.5 }";
    let scene = Scene::new(limits, &["Echo GET /a", "Echo GET /b"]);
    for status in [200, 200, 429, 429] {
        assert_eq!(scene.call("GET /a", &[], "").await.status, status);
    }
    scene.call("GET /a", &[], "").await.is(429, "Too Many Requests");
    assert_eq!(scene.call("GET /b", &[], "").await.status, 200, "each route has a bucket of its own");
    tokio::time::advance(Duration::from_millis(1_999)).await;
    assert_eq!(scene.call("GET /a", &[], "").await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    for status in [200, 429] {
        assert_eq!(scene.call("GET /a", &[], "").await.status, status);
    }
    tokio::time::advance(Duration::from_secs(3_600)).await;
    for status in [200, 200, 429] {
        assert_eq!(
            scene.call("GET /a", &[], "").await.status,
            status,
            "\"using a maximum bucket capacity\" (`limits`)"
        );
    }
    assert_eq!(scene.asked("Echo"), 6);
}

/// "You can set route-level throttling to override the account-level request throttling limits for a specific stage or
/// for individual routes in your API": by route key, in `RouteSettings` of the API or of SAM's event,
/// "with the event source properties taking precedence" (SAM guide, `HttpApi` of a function).
#[tokio::test(start_paused = true)]
async fn a_routes_own_limits_come_before_the_default() {
    let limits = "DefaultRouteSettings: { ThrottlingBurstLimit: 1, ThrottlingRateLimit: 1 }, RouteSettings: { \
                  'GET /a/{b}': { ThrottlingBurstLimit: 3, ThrottlingRateLimit: 1 }, \
                  'GET /c': { ThrottlingBurstLimit: 4, ThrottlingRateLimit: 1 }, \
                  $default: { ThrottlingBurstLimit: 0, ThrottlingRateLimit: 0 } }";
    let event = "Echo GET /c + RouteSettings: { ThrottlingBurstLimit: 2, ThrottlingRateLimit: 1 }";
    let scene = Scene::new(limits, &["Echo GET /a/{b}", "Echo GET /b", event, "Echo $default"]);
    for (line, admitted) in [("GET /a/1", 3), ("GET /b", 1), ("GET /c", 2), ("GET /none", 0)] {
        for number in 0..5 {
            let status = scene.call(line, &[], "").await.status;
            assert_eq!(status, if number < admitted { 200 } else { 429 }, "{line}");
        }
    }
}

/// Not documented, but what a limit is for: whoever is turned away costs neither an authorizer nor a function.
#[tokio::test(start_paused = true)]
async fn who_is_throttled_reaches_nobody() {
    let limits = "DefaultRouteSettings: { ThrottlingBurstLimit: 1, ThrottlingRateLimit: 1 }";
    let guard = guarded("EnableSimpleResponses: true, Identity: { Headers: [Authorization] }");
    let scene = Scene::new(&format!("{limits}, {guard}"), &["Echo GET /a"]);
    for status in [200, 429, 429] {
        assert_eq!(scene.call("GET /a", &[("authorization", "x")], "").await.status, status);
    }
    assert_eq!((scene.asked("Guard"), scene.asked("Echo")), (1, 1));
}

/// The account's own limit, 10,000 requests a second, is not imitated.
#[tokio::test(start_paused = true)]
async fn without_settings_nobody_is_throttled() {
    let scene = Scene::new("DefaultRouteSettings: { DetailedMetricsEnabled: true }", &["Echo GET /a"]);
    for _ in 0..200 {
        assert_eq!(scene.call("GET /a", &[], "").await.status, 200);
    }
}
