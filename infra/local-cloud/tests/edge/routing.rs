//! Which route a request takes. Page: `http-api-develop-routes`.

use serde_json::json;

use crate::support::Scene;

async fn takes(scene: &Scene, line: &str, expected: &str) {
    assert_eq!(scene.event(line, &[], "").await["routeKey"], json!(expected), "{line}");
}

/// "API Gateway selects the route with the most-specific match, using the following priorities: 1. Full match for a
/// route and method. 2. Match for a route and method with a greedy path variable (`{proxy+}`). 3. The `$default`
/// route." The first five are the page's own table.
#[tokio::test]
async fn the_most_specific_route_is_taken() {
    let routes = [
        "Echo GET /pets/dog/1",
        "Echo GET /pets/dog/{id}",
        "Echo GET /pets/{proxy+}",
        "Echo ANY /stores/{proxy+}",
        "Echo GET /{kind}/dog/9/name",
        "Echo $default",
    ];
    let scene = Scene::new("", &routes);
    takes(&scene, "GET /pets/dog/1", "GET /pets/dog/1").await;
    takes(&scene, "GET /pets/dog/2", "GET /pets/dog/{id}").await;
    takes(&scene, "GET /pets/cat/1", "GET /pets/{proxy+}").await;
    takes(&scene, "POST /stores/5", "ANY /stores/{proxy+}").await;
    takes(&scene, "POST /test/5", "$default").await;
    takes(&scene, "GET /pets/dog/9/name", "GET /{kind}/dog/9/name").await;
    takes(&scene, "POST /pets/dog/1", "$default").await;
    takes(&scene, "GET /", "$default").await;
}

/// "you can use the `ANY` method to match all methods that you haven't defined for a resource"
#[tokio::test]
async fn any_takes_the_methods_that_are_not_defined() {
    let scene = Scene::new("", &["Echo GET /a", "Echo ANY /a"]);
    takes(&scene, "GET /a", "GET /a").await;
    for method in ["HEAD", "OPTIONS", "DELETE", "BREW"] {
        takes(&scene, &format!("{method} /a"), "ANY /a").await;
    }
    let scene = Scene::new("", &["Echo GET /a"]);
    for line in ["HEAD /a", "OPTIONS /a", "POST /a", "get /a"] {
        scene.call(line, &[], "").await.is(404, "Not Found");
    }
}

/// "The `$default` route catches requests that don't explicitly match other routes in your API. When the `$default`
/// route receives a request, API Gateway sends the full request path to the integration."
#[tokio::test]
async fn the_default_route_gets_the_full_path() {
    let scene = Scene::new("", &["Echo $default"]);
    let event = scene.event("PATCH /store/checkout", &[], "").await;
    assert_eq!((&event["routeKey"], &event["rawPath"]), (&json!("$default"), &json!("/store/checkout")));
    assert_eq!((event.get("pathParameters"), &event["requestContext"]["routeKey"]), (None, &json!("$default")));
}

/// "A *greedy path variable* catches all child resources of a route." That it takes an empty rest as well is not
/// documented: AWS's own Lambda test tool (aws/aws-lambda-dotnet) does so, storacha/w3infra#166 relies on it.
#[tokio::test]
async fn a_greedy_variable_takes_all_that_follows() {
    let scene = Scene::new("", &["Echo GET /files/{path+}"]);
    for (line, path) in
        [("GET /files/a", "a"), ("GET /files/a/b/", "a/b/"), ("GET /files//a", "/a"), ("GET /files/", "")]
    {
        assert_eq!(scene.event(line, &[], "").await["pathParameters"], json!({ "path": path }), "{line}");
    }
    scene.call("GET /files", &[], "").await.is(404, "Not Found");
}

/// Not documented for HTTP APIs. That `/a/` is not `/a`: storacha/w3infra#166; Powertools treats them alike for REST
/// APIs only, after trying both (aws-powertools/powertools-lambda-python#1609). Two slashes hold an empty segment.
#[tokio::test]
async fn a_slash_more_is_another_path() {
    let scene = Scene::new("", &["Echo GET /a", "Echo GET /a/{b}/c", "Echo GET /"]);
    for line in ["GET /a/", "GET //a", "GET /a//c", "GET /a/b/c/", "GET //", "GET /A"] {
        scene.call(line, &[], "").await.is(404, "Not Found");
    }
    takes(&scene, "GET /", "GET /").await;
}

/// Not documented. aws/aws-lambda-dotnet#1901: "The api gatway cannot handle `%2f` in the urls"; the path is decoded
/// before it is matched, so an encoded slash is a slash, and an encoded letter a letter.
#[tokio::test]
async fn an_encoded_slash_is_a_slash() {
    let scene = Scene::new("", &["Echo GET /things/{id}"]);
    scene.call("GET /things/a%2Fb", &[], "").await.is(404, "Not Found");
    takes(&scene, "GET /%74hings/%61", "GET /things/{id}").await;
}

/// "If no routes match a request, API Gateway returns `{"message":"Not Found"}` to the client."
#[tokio::test]
async fn what_matches_no_route_is_a_404() {
    let scene = Scene::new("", &["Echo GET /a"]);
    for line in ["GET /b", "POST /a", "GET *", "CONNECT a:1"] {
        scene.call(line, &[], "").await.is(404, "Not Found");
    }
    assert_eq!(scene.asked("Echo"), 0);
}
