//! Cross-origin requests. Page: `http-api-cors`.

use serde_json::json;

use crate::support::{Answer, Scene, guarded};

const CORS: &str = "CorsConfiguration: { AllowOrigins: ['https://shop.example', 'http://*'], \
                    AllowMethods: [GET, post], AllowHeaders: [Authorization, Content-Type], ExposeHeaders: [Date, x-api-id], MaxAge: 300, \
                    AllowCredentials: true }";

fn preflight(origin: &str) -> [(&str, &str); 2] {
    [("Origin", origin), ("Access-Control-Request-Method", "POST")]
}

fn cors_headers(answer: &Answer) -> Vec<(String, String)> {
    let all = answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-"));
    let mut all: Vec<_> = all
        .map(|(name, value)| (name.as_str()["access-control-".len()..].to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    all.sort();
    all
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// "If you configure CORS for an API, API Gateway automatically sends a response to preflight OPTIONS requests, even if
/// there isn't an OPTIONS route configured for your API." It is a 204 without a body, with the configured values.
#[tokio::test]
async fn a_preflight_is_answered_by_the_api_itself() {
    let guard = guarded("EnableSimpleResponses: true, Identity: { Headers: [Authorization] }");
    let scene = Scene::new(&format!("{CORS}, {guard}"), &["Echo POST /orders"]);
    for path in ["/orders", "/nowhere"] {
        let answer = scene.call(&format!("OPTIONS {path}"), &preflight("https://shop.example"), "").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        let expected = pairs(&[
            ("allow-credentials", "true"),
            ("allow-headers", "Authorization,Content-Type"),
            ("allow-methods", "GET,POST"),
            ("allow-origin", "https://shop.example"),
            ("max-age", "300"),
        ]);
        assert_eq!(cors_headers(&answer), expected);
    }
    assert_eq!((scene.asked("Guard"), scene.asked("Echo")), (0, 0));
}

/// Not documented. The browser is told nothing, and so refuses by itself: a 204 without any of the headers.
#[tokio::test]
async fn a_preflight_of_an_origin_that_is_not_allowed_is_told_nothing() {
    let scene = Scene::new(CORS, &["Echo POST /orders"]);
    for origin in ["https://other.example", "https://shop.example.evil", "https://shop.example:444", "null"] {
        let answer = scene.call("OPTIONS /orders", &preflight(origin), "").await;
        assert_eq!((answer.status, cors_headers(&answer)), (204, vec![]), "{origin}");
    }
}

/// "The `$default` route catches requests for all methods and routes that you haven't explicitly defined, including
/// `OPTIONS` requests. To support unauthorized `OPTIONS` requests, add an `OPTIONS /{proxy+}` route to your API that
/// doesn't require authorization". So a route that takes `OPTIONS` has its authorizer asked; `ANY` likewise
/// (anomalyco/sst#5493). The function behind it hears nothing: "automatically … even if" is read to the letter.
#[tokio::test]
async fn a_preflight_that_a_guarded_route_takes_is_put_to_its_authorizer() {
    let guard = guarded("EnableSimpleResponses: true, Identity: { Headers: [Authorization] }");
    for route in ["Echo $default", "Echo ANY /orders", "Echo OPTIONS /orders"] {
        let scene = Scene::new(&format!("{CORS}, {guard}"), &[route]);
        scene.call("OPTIONS /orders", &preflight("https://shop.example"), "").await.is(401, "Unauthorized");
        let open = "Echo OPTIONS /{proxy+} + Auth: { Authorizer: NONE }";
        let scene = Scene::new(&format!("{CORS}, {guard}"), &["Echo $default", open]);
        let answer = scene.call("OPTIONS /orders", &preflight("https://shop.example"), "").await;
        assert_eq!((answer.status, answer.header("access-control-max-age")), (204, vec!["300"]), "{route}");
        assert_eq!(scene.asked("Echo"), 0);
    }
}

/// An `OPTIONS` without an origin, or without a method that is asked for, is no preflight: it goes its way.
#[tokio::test]
async fn options_that_are_no_preflight_are_requests_like_others() {
    let scene = Scene::new(CORS, &["Echo OPTIONS /orders"]);
    assert_eq!(scene.event("OPTIONS /orders", &[], "").await["routeKey"], json!("OPTIONS /orders"));
    assert_eq!(scene.call("OPTIONS /orders", &[("origin", "https://shop.example")], "").await.status, 200);
    scene.call("OPTIONS /other", &[("access-control-request-method", "GET")], "").await.is(404, "Not Found");
    let without = Scene::new("", &["Echo GET /orders"]);
    without.call("OPTIONS /orders", &preflight("https://shop.example"), "").await.is(404, "Not Found");
}

/// "For a CORS request, API Gateway adds the configured CORS headers to the response from an integration. … If you
/// configure CORS for an API, API Gateway ignores CORS headers returned from your backend integration."
#[tokio::test]
async fn configured_headers_take_the_place_of_the_functions() {
    let scene = Scene::new(CORS, &["Say POST /say"]);
    let own =
        json!({"Access-Control-Allow-Origin": "*", "access-control-max-age": "5", "access-control-x": "y", "x-a": "b"});
    let body = json!({"statusCode": 200, "headers": own}).to_string();
    let json = ("content-type", "application/json");
    let answer = scene.call("POST /say", &[json, ("origin", "http://localhost:5173")], body.clone()).await;
    let expected = pairs(&[
        ("allow-credentials", "true"),
        ("allow-origin", "http://localhost:5173"),
        ("expose-headers", "Date,x-api-id"),
    ]);
    assert_eq!((cors_headers(&answer), answer.header("x-a")), (expected, vec!["b"]));
    for headers in [[json].as_slice(), &[json, ("origin", "https://other.example")]] {
        assert_eq!(cors_headers(&scene.call("POST /say", headers, body.clone()).await), vec![]);
    }
    let without = Scene::new("", &["Say POST /say"]);
    assert_eq!(cors_headers(&without.call("POST /say", &[json], body).await).len(), 3);
}

/// `*`, as a list or as SAM's `true`, allows everyone and says so.
#[tokio::test]
async fn a_wildcard_is_told_as_a_wildcard() {
    for cors in ["CorsConfiguration: true", "CorsConfiguration: { AllowOrigins: ['*'] }", "CorsConfiguration: '*'"] {
        let scene = Scene::new(cors, &["Echo GET /a"]);
        let answer = scene.call("OPTIONS /a", &preflight("https://anyone.example"), "").await;
        assert_eq!((answer.status, cors_headers(&answer)), (204, pairs(&[("allow-origin", "*")])));
        let answer = scene.call("GET /a", &[("origin", "https://anyone.example")], "").await;
        assert_eq!(cors_headers(&answer), pairs(&[("allow-origin", "*")]));
    }
}

/// "adds the configured CORS headers to the response from an integration": to the API's own answers it adds none.
#[tokio::test]
async fn the_apis_own_answers_have_no_cors_headers() {
    let guard = guarded("EnableSimpleResponses: true, Identity: { Headers: [Authorization] }");
    let scene = Scene::new(&format!("{CORS}, {guard}"), &["Echo GET /a"]);
    for line in ["GET /a", "GET /nowhere"] {
        let answer = scene.call(line, &[("origin", "https://shop.example")], "").await;
        assert_eq!(cors_headers(&answer), vec![], "{line}");
    }
}
