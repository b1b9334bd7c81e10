//! A request as the function sees it. Pages: `http-api-develop-integrations-lambda`, `http-api-stages`.

use serde_json::{Value, json};

use crate::support::{Scene, is_payload_2};

fn scene() -> Scene {
    Scene::new("", &["Echo ANY /{proxy+}", "Echo GET /things/{id}"])
}

/// "Header names are lowercased. … Duplicate headers are combined with commas and included in the `headers` field."
/// The comma stands alone: captured from AWS in hotsock/voker, `vokerhttp/testdata/apigwv2-request.json`.
#[tokio::test]
async fn headers_are_folded() {
    let headers = [("X-Mixed-Case", "first"), ("x-other", "a, b"), ("x-mixed-case", "second")];
    let event = scene().event("GET /a", &headers, "").await;
    assert_eq!(event["headers"]["x-mixed-case"], json!("first,second"));
    assert_eq!(event["headers"]["x-other"], json!("a, b"));
    assert_eq!(event.get("multiValueHeaders"), None, "\"Format 2.0 doesn't have multiValueHeaders\"");
    is_payload_2(&event);
}

/// "Format `2.0` includes a new `cookies` field. All cookie headers in the request are combined with commas and added
/// to the `cookies` field." The header itself is gone: so captured in hotsock/voker.
#[tokio::test]
async fn cookies_have_a_field_and_no_header() {
    let headers = [("Cookie", "session=abc; theme=dark"), ("cookie", "third"), ("cookie", " ; ")];
    let event = scene().event("GET /a", &headers, "").await;
    assert_eq!(event["cookies"], json!(["session=abc", "theme=dark", "third"]));
    assert_eq!(event["headers"].get("cookie"), None);
    is_payload_2(&event);
}

/// "Duplicate query strings are combined with commas and included in the `queryStringParameters` field." Decoding as
/// captured in hotsock/voker: `+` is a space, `%2B` a plus, an empty value is there, and `rawQueryString` is as sent.
#[tokio::test]
async fn query_strings_are_folded_and_decoded_and_the_raw_one_untouched() {
    let raw = "repeat=one&repeat=two&redirect=https%3A%2F%2Fe.com%2Fa&plus=a+b&encoded=a%2Bb&empty=&bare&a%20b=1";
    let event = scene().event(&format!("GET /a?{raw}"), &[], "").await;
    assert_eq!(event["rawQueryString"], json!(raw));
    let expected = json!({
        "repeat": "one,two", "redirect": "https://e.com/a", "plus": "a b", "encoded": "a+b", "empty": "", "bare": "",
        "a b": "1",
    });
    assert_eq!(event["queryStringParameters"], expected);
    assert_eq!(event.get("multiValueQueryStringParameters"), None);
    is_payload_2(&event);
}

/// Names are told apart by case ("Query string names are case-sensitive", `http-api-lambda-authorizer`).
#[tokio::test]
async fn query_string_names_are_case_sensitive() {
    let event = scene().event("GET /a?Name=1&name=2", &[], "").await;
    assert_eq!(event["queryStringParameters"], json!({"Name": "1", "name": "2"}));
}

/// "`isBase64Encoded`" with a body of the request whose content type is binary; which types those are is not
/// documented. ministackorg/ministack#766 has tried it on AWS: text is `text/*` and three application types, all else
/// is not, a missing type and `application/x-www-form-urlencoded` included, and so is `+json`, which is on no list.
#[tokio::test]
async fn a_body_is_text_by_its_content_type_and_base64_otherwise() {
    for (kind, is_text) in [
        (Some("text/plain"), true),
        (Some("text/csv; header=present"), true),
        (Some("application/json"), true),
        (Some("Application/JSON;charset=UTF-8"), true),
        (Some("application/xml"), true),
        (Some("application/javascript"), true),
        (Some("application/problem+json"), false),
        (Some("application/vnd.api+json"), false),
        (Some("image/svg+xml"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("multipart/form-data; boundary=x"), false),
        (Some("application/octet-stream"), false),
        (Some(""), false),
        (None, false),
    ] {
        let header = kind.map(|kind| ("content-type", kind));
        let event = scene().event("POST /a", header.as_slice(), "hello").await;
        let expected = if is_text { (json!("hello"), json!(false)) } else { (json!("aGVsbG8="), json!(true)) };
        assert_eq!((event["body"].clone(), event["isBase64Encoded"].clone()), expected, "{kind:?}");
        is_payload_2(&event);
    }
}

/// Not documented. A text that is not UTF-8 could not be handed on as a text, so it goes in base64, undamaged.
#[tokio::test]
async fn a_text_that_is_not_utf_8_is_base64() {
    let event = scene().event("POST /a", &[("content-type", "text/plain")], b"\xff\xfe".as_slice()).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("//4="), &json!(true)));
}

/// Not documented; a compressed body is bytes whatever type it is of, and arrives as it was sent, with its header.
#[tokio::test]
async fn a_compressed_body_is_handed_on_as_it_is() {
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let event = scene().event("POST /a", &headers, b"\x1f\x8b\x08\x00".as_slice()).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("H4sIAA=="), &json!(true)));
    assert_eq!(event["headers"]["content-encoding"], json!("gzip"));
}

/// Not documented; seen in events from AWS: curl's GET sends no length, and the event has `content-length` "0"
/// (awslabs/swift-aws-lambda-events, the tests of its authorizer events). A body in chunks has a length here, and no
/// header of the connection is handed on, as RFC 9110 (7.6.1) has it for intermediaries.
#[tokio::test]
async fn the_length_is_told_and_headers_of_the_connection_are_not() {
    let event = scene().event("GET /a", &[], "").await;
    assert_eq!(event["headers"]["content-length"], json!("0"));
    assert_eq!((event.get("body"), &event["isBase64Encoded"]), (None, &json!(false)));
    let headers = [
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("x-end", "2"),
    ];
    let event = scene().event("POST /a", &headers, "hello").await;
    assert_eq!((&event["headers"]["content-length"], &event["headers"]["x-end"]), (&json!("5"), &json!("2")));
    for gone in ["transfer-encoding", "connection", "x-hop", "te", "expect"] {
        assert_eq!(event["headers"].get(gone), None, "{gone}");
    }
}

/// Not documented. Captured from AWS: `/capture/space%20value` has the `rawPath` `/capture/space value`
/// (hotsock/voker), and `%40`, `%2F` and `%23` arrive decoded as well (honojs/hono#2156). A plus stays one.
#[tokio::test]
async fn the_raw_path_is_decoded_once() {
    let event = scene().event("GET /caf%C3%A9/%40id%2Fa+b%23c/%252F", &[], "").await;
    assert_eq!(event["rawPath"], json!("/café/@id/a+b#c/%2F"));
    assert_eq!(event["requestContext"]["http"]["path"], event["rawPath"]);
    assert_eq!(event["pathParameters"], json!({"proxy": "café/@id/a+b#c/%2F"}));
    is_payload_2(&event);
}

/// Not documented; middleapi/standard-server#93 tells of captures from AWS in which the path ends where a decoded
/// question mark stands.
#[tokio::test]
async fn the_raw_path_ends_at_a_decoded_question_mark() {
    let event = scene().event("GET /users/me%3Fadmin=true?x=1", &[], "").await;
    assert_eq!((&event["rawPath"], &event["rawQueryString"]), (&json!("/users/me"), &json!("x=1")));
}

/// Not documented. aws/aws-lambda-dotnet#1901, where AWS's own people tried it: path parameters are decoded.
#[tokio::test]
async fn path_parameters_are_decoded() {
    let event = scene().event("GET /things/%E2%98%95%20cup", &[], "").await;
    assert_eq!((&event["routeKey"], &event["pathParameters"]), (&json!("GET /things/{id}"), &json!({"id": "☕ cup"})));
}

/// What is no escape stays as it is, and what is not UTF-8 becomes the replacement character: not documented, and
/// never an error here.
#[tokio::test]
async fn broken_escapes_are_harmless() {
    let event = scene().event("GET /a%zz%/b%ff?%=%zz&%ff", &[], "").await;
    assert_eq!(event["rawPath"], json!("/a%zz%/b\u{fffd}"));
    assert_eq!(event["queryStringParameters"], json!({"%": "%zz", "\u{fffd}": ""}));
    is_payload_2(&event);
}

/// "You can create a `$default` stage that is served from the base of your API's URL"; another stage's name is
/// "included in the URL you use to invoke the API", and in `rawPath` (floci-io/floci#2172 and swift-aws-lambda-events show
/// `/dev/…` with the stage `dev`).
#[tokio::test]
async fn a_named_stage_is_in_the_raw_path_but_not_in_the_route() {
    let scene = Scene::new("StageName: dev", &["Echo GET /things/{id}", "Echo GET /"]);
    let event = scene.event("GET /dev/things/5", &[], "").await;
    assert_eq!((&event["rawPath"], &event["routeKey"]), (&json!("/dev/things/5"), &json!("GET /things/{id}")));
    assert_eq!((&event["requestContext"]["stage"], &event["pathParameters"]), (&json!("dev"), &json!({"id": "5"})));
    assert_eq!(scene.event("GET /dev", &[], "").await["routeKey"], json!("GET /"));
    assert_eq!(scene.event("GET /dev/", &[], "").await["routeKey"], json!("GET /"));
    // "If there's no `$default` stage, then the API returns `{"message":"Not Found"}`." (`http-api-develop-routes`)
    for line in ["GET /things/5", "GET /", "GET /development/things/5", "GET /prod/things/5"] {
        scene.call(line, &[], "").await.is(404, "Not Found");
    }
}

/// "Stage variables are key-value pairs that you can define for a stage of an HTTP API." They are in the event's
/// `stageVariables`, which is not there without any.
#[tokio::test]
async fn stage_variables_are_in_the_event() {
    let scene_with = Scene::new("StageVariables: { colour: blue, level: 5 }", &["Echo GET /a"]);
    let event = scene_with.event("GET /a", &[], "").await;
    assert_eq!(event["stageVariables"], json!({"colour": "blue", "level": "5"}));
    is_payload_2(&event);
    assert_eq!(scene().event("GET /a", &[], "").await.get("stageVariables"), None);
}

/// The context as the page's example has it: the API's own names, the caller's address, the time twice.
#[tokio::test(start_paused = true)]
async fn the_request_context_names_api_caller_and_time() {
    let event = scene().event("DELETE /a/b", &[("host", "localhost:3000"), ("user-agent", "agent")], "").await;
    let context = &event["requestContext"];
    let api = context["apiId"].as_str().unwrap();
    assert_eq!(context["domainName"], json!(format!("{api}.execute-api.eu-central-1.amazonaws.com")));
    assert_eq!((&context["domainPrefix"], &context["accountId"]), (&json!(api), &json!("000000000000")));
    let http = json!({
        "method": "DELETE", "path": "/a/b", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "agent",
    });
    assert_eq!(context["http"], http);
    assert_eq!(
        (&context["time"], &context["timeEpoch"]),
        (&json!("04/Mar/2020:19:03:58 +0000"), &json!(1_583_348_638_390_i64))
    );
    let forwarded = ["x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"].map(|name| &event["headers"][name]);
    assert_eq!(forwarded, [&json!("192.0.2.1"), &json!("3000"), &json!("http")]);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_ids() {
    let ids = async || {
        let scene = scene();
        let id = |event: Value| event["requestContext"]["requestId"].clone();
        [id(scene.event("GET /a", &[], "").await), id(scene.event("GET /a", &[], "").await)]
    };
    let first = ids().await;
    assert_eq!(first, ids().await);
    assert_ne!(first[0], first[1]);
}
