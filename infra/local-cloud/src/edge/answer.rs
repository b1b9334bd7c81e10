//! A function's answer made into a response, as payload format 2.0 has it, and the answers that the edge gives itself.
//!
//! A JSON without `statusCode` is the body of a 200; anything that does not hold together is a 500 that says nothing.
//! Headers that belong to the connection are the server's, whatever a function says of them.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

/// The `{"message": …}` of the gateway itself.
pub(super) fn message(status: StatusCode, message: &str) -> Response<Bytes> {
    respond(status, "application/json", json!({ "message": message }).to_string().into())
}

pub(super) fn internal_error() -> Response<Bytes> {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

pub(super) fn too_long() -> Response<Bytes> {
    message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
}

/// How long a JSON is when it is written.
pub(super) fn json_bytes(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).map_or(usize::MAX, |()| counter.0)
}

/// What a function answered.
pub(super) fn of_function(answer: Value) -> Response<Bytes> {
    match answer {
        Value::Object(map) if map.contains_key("statusCode") => structured(&map).unwrap_or_else(|why| {
            tracing::warn!(why, "a function's answer is malformed: {why}");
            internal_error()
        }),
        Value::String(text) => respond(StatusCode::OK, "application/json", text.into()),
        other => respond(StatusCode::OK, "application/json", other.to_string().into()),
    }
}

fn structured(answer: &Map<String, Value>) -> Result<Response<Bytes>, &'static str> {
    let status = match &answer["statusCode"] {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let status = status.filter(|status| (200..=599).contains(status)).and_then(|status| u16::try_from(status).ok());
    let status =
        status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or("statusCode is not from 200 to 599")?;
    let mut response = Response::new(body(answer)?);
    *response.status_mut() = status;

    // Of the cookies, those of the list come first. `multiValueHeaders` is not a field of this format.
    match answer.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            cookies.iter().try_for_each(|cookie| set(&mut response, header::SET_COOKIE.as_str(), cookie))?;
        }
        Some(_) => return Err("cookies is not a list"),
    }
    match answer.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(headers)) => {
            headers.iter().try_for_each(|(name, value)| set(&mut response, name, value))?;
        }
        Some(_) => return Err("headers are not a map"),
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().entry(header::CONTENT_TYPE).or_insert(plain);
    Ok(response)
}

fn body(answer: &Map<String, Value>) -> Result<Bytes, &'static str> {
    let body = match answer.get("body") {
        None | Some(Value::Null) => return Ok(Bytes::new()),
        Some(Value::String(body)) => body,
        Some(_) => return Err("body is not a text"),
    };
    match answer.get("isBase64Encoded") {
        Some(Value::Bool(true)) => STANDARD.decode(body).map(Bytes::from).map_err(|_| "body is not base64"),
        None | Some(Value::Null | Value::Bool(false)) => Ok(Bytes::from(body.clone())),
        Some(_) => Err("isBase64Encoded is neither true nor false"),
    }
}

fn set(response: &mut Response<Bytes>, name: &str, value: &Value) -> Result<(), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is not one")?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err("a header's value is not a text"),
    };
    let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| "a header's value cannot be sent")?;
    let of_the_connection = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::DATE,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    if !of_the_connection.contains(&name) {
        response.headers_mut().append(name, value);
    }
    Ok(())
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(answer: Value) -> (u16, Vec<(String, String)>, Bytes) {
        let response = of_function(answer);
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        (response.status().as_u16(), headers, response.into_body())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_structured_answer_is_taken_at_its_word() {
        let answer = json!({
            "statusCode": 201,
            "headers": {"Content-Type": "application/json", "Content-Length": "9999", "Set-Cookie": "c=3", "X-A": 1},
            "multiValueHeaders": {"x-b": ["a", "b"]},
            "cookies": ["a=1", "b=2"],
            "body": "{}",
        });
        let headers = pairs(&[
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("content-type", "application/json"),
            ("x-a", "1"),
        ]);
        assert_eq!(seen(answer), (201, headers, Bytes::from("{}")));
        let answer = json!({"statusCode": 200, "body": "/wA=", "isBase64Encoded": true});
        let plain = pairs(&[("content-type", "text/plain; charset=utf-8")]);
        assert_eq!(seen(answer), (200, plain, Bytes::from_static(b"\xff\0")));
    }

    #[test]
    fn an_answer_without_a_status_is_the_body_of_a_200() {
        let headers = pairs(&[("content-type", "application/json")]);
        assert_eq!(seen(json!({"a": 1})), (200, headers.clone(), Bytes::from(r#"{"a":1}"#)));
        assert_eq!(seen(json!("Hello")), (200, headers.clone(), Bytes::from("Hello")));
        assert_eq!(seen(json!([1])), (200, headers.clone(), Bytes::from("[1]")));
        assert_eq!(seen(json!(null)), (200, headers, Bytes::from("null")));
    }

    #[test]
    fn a_malformed_answer_is_a_500_that_says_nothing() {
        let headers = pairs(&[("content-type", "application/json")]);
        for answer in [
            json!({"statusCode": "many"}),
            json!({"statusCode": 99}),
            json!({"statusCode": 101}),
            json!({"statusCode": 600}),
            json!({"statusCode": 200.5}),
            json!({"statusCode": 200, "headers": []}),
            json!({"statusCode": 200, "headers": {"a b": "c"}}),
            json!({"statusCode": 200, "headers": {"a": "line\nfeed"}}),
            json!({"statusCode": 200, "headers": {"a": ["b"]}}),
            json!({"statusCode": 200, "cookies": "a"}),
            json!({"statusCode": 200, "body": {}}),
            json!({"statusCode": 200, "body": "?", "isBase64Encoded": true}),
        ] {
            let expected = (500, headers.clone(), Bytes::from(r#"{"message":"Internal Server Error"}"#));
            assert_eq!(seen(answer.clone()), expected, "{answer}");
        }
    }
}
