//! Thousands of odd requests, the same ones each time: each is answered with a status of the service or closed, none
//! makes anything panic, and what reaches the function is an event of payload format 2.0.

use std::{
    panic,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    server::Server,
    support::{Scene, guarded, is_payload_2},
};

const SEED: u64 = 20_261_121;

/// What the service itself may say.
const STATUSES: &[u16] = &[200, 204, 400, 401, 403, 404, 408, 413, 429, 431, 500];

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of the tests in here, by their threads' names: a runtime that serves one test is on its thread.
fn count_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if thread::current().name().is_some_and(|name| name.starts_with("odd_requests::")) {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        before(panicked);
    }));
}

struct Odd(fastrand::Rng);

impl Odd {
    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.0.usize(..words.len())]
    }

    fn several(&mut self, most: usize, words: &[&str]) -> String {
        (0..self.0.usize(..=most)).map(|_| self.pick(words)).collect()
    }

    fn method(&mut self) -> &'static str {
        self.pick(&[
            "GET",
            "POST",
            "PUT",
            "DELETE",
            "PATCH",
            "HEAD",
            "OPTIONS",
            "TRACE",
            "BREW",
            "get",
            "M-SEARCH",
            "A!#$%&'*+",
        ])
    }

    fn path(&mut self) -> String {
        let start = self.pick(&["/files/", "/files/", "/files/", "/files/", "/echo", "/things/", "/", "//", "/echo/"]);
        let rest = self.several(
            6,
            &[
                "a", "/", "%2F", "%", "%zz", "%C3%A4", "%ff", "%00", "%3F", "+", "..", "~", ";x=1", ":", "@", "{b}",
                "%25",
            ],
        );
        format!("{start}{rest}")
    }

    fn query(&mut self) -> String {
        if self.0.bool() {
            return String::new();
        }
        let parts = ["a=1", "&", "=", "a", "%", "%ff=%fe", "+", "b=%2B", "&&", "a=b=c", "?", "/", "[0]", "token=t"];
        format!("?{}", self.several(8, &parts))
    }

    fn header(&mut self) -> (String, String) {
        let name = self.pick(&[
            "Cookie",
            "X-A",
            "x-a",
            "Content-Type",
            "Authorization",
            "Origin",
            "Access-Control-Request-Method",
            "X-Forwarded-For",
            "X-Amzn-Trace-Id",
            "Accept",
            "User-Agent",
            "Content-Encoding",
            "X-Forwarded-Port",
            "Te",
            "Connection",
            "Upgrade",
            "Range",
            "If-None-Match",
            "Proxy-Connection",
            "x-http-method-override",
        ]);
        let parts = [
            "a=1; b",
            ";",
            ",",
            "text/plain",
            "application/json",
            "; charset=utf-16",
            "gzip",
            "*",
            "Bearer t",
            "\"",
            "ä",
            "https://shop.example",
            "GET",
            "null",
            "keep-alive",
            "websocket",
            " ",
            "\t",
            "=",
            "[::1]",
            "Host",
            "\u{7f}x",
        ];
        (name.to_owned(), self.several(4, &parts))
    }

    fn body(&mut self) -> Vec<u8> {
        let length = if self.0.u8(..) < 8 { self.0.usize(..200_000) } else { self.0.usize(..40) };
        match self.0.u8(..3) {
            0 => Vec::new(),
            1 => (0..length).map(|_| self.0.u8(..)).collect(),
            _ => (0..length).map(|_| self.0.u8(b' '..b'~')).collect(),
        }
    }

    /// A request as bytes, most of it near enough to HTTP to get far.
    fn bytes(&mut self) -> Vec<u8> {
        let versions = ["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "http/1.1", ""];
        let version = if self.0.u8(..12) == 0 { self.pick(&versions) } else { "HTTP/1.1" };
        let mut head = format!("{} {}{} {version}\r\n", self.method(), self.path(), self.query());
        let hosts = ["Host: localhost:3000\r\n", "", "Host: \r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n"];
        let host = if self.0.u8(..8) == 0 { self.pick(&hosts) } else { "Host: a\r\n" };
        head += host;
        for _ in 0..self.0.usize(..8) {
            let (name, value) = self.header();
            head += &format!(
                "{name}{}{value}\r\n",
                if self.0.u8(..40) == 0 { " : " } else { self.pick(&[": ", ":", ":  "]) }
            );
        }
        let body = self.body();
        let mut bytes = match self.0.u8(..12) {
            0..8 => {
                let length = body.len();
                [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), &body].concat()
            }
            8 | 9 => {
                let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
                let end = self.pick(&["\r\n0\r\n\r\n", "\r\n0\r\nX: y\r\n\r\n", "\r\n", "\n0\n\n", "\r\n-1\r\n\r\n"]);
                [chunk.as_bytes(), &body, end.as_bytes()].concat()
            }
            10 => {
                let length = self.pick(&["-1", "x", "18446744073709551616", "99999999999", "1, 1", "+1", "0x1", ""]);
                [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), &body].concat()
            }
            _ => [format!("{head}\r\n").as_bytes(), &body].concat(),
        };
        match self.0.u8(..16) {
            0 => bytes.truncate(self.0.usize(..bytes.len())),
            1 => {
                for _ in 0..self.0.usize(1..6) {
                    let at = self.0.usize(..bytes.len());
                    bytes[at] = self.0.u8(..);
                }
            }
            2 => bytes = (0..self.0.usize(1..400)).map(|_| self.0.u8(..)).collect(),
            3 => {
                let at = self.0.usize(..bytes.len());
                bytes.insert(at, b'\n');
            }
            _ => {}
        }
        bytes
    }
}

/// The statuses of all answers in what a connection said, one after the other.
fn statuses(mut said: &[u8]) -> Vec<u16> {
    let mut found = Vec::new();
    while let Some(rest) = said.strip_prefix(b"HTTP/1.") {
        let status = std::str::from_utf8(&rest[2..5]).unwrap().parse().unwrap();
        found.push(status);
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a head has an end");
        let head = String::from_utf8_lossy(&rest[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        // What answers a HEAD announces a body that does not come; nothing follows it that could be told apart.
        said = rest.get(end + 4 + length..).unwrap_or_default();
    }
    found
}

#[tokio::test]
async fn raw_bytes_are_answered_or_closed() {
    count_panics();
    let server = Server::start().await;
    let mut odd = Odd(fastrand::Rng::with_seed(SEED));
    let mut seen: std::collections::BTreeMap<u16, usize> = Default::default();
    for number in 0..2_500 {
        let bytes = odd.bytes();
        let mut stream = server.connect().await;
        let (mut reading, mut writing) = stream.split();
        let mut said = Vec::new();
        let sending = async {
            // The server may have closed before all was sent.
            let _: std::io::Result<()> = writing.write_all(&bytes).await;
            let _: std::io::Result<()> = writing.shutdown().await;
        };
        let (_, _) = tokio::join!(sending, reading.read_to_end(&mut said));
        for status in statuses(&said) {
            *seen.entry(status).or_default() += 1;
            let is_known = STATUSES.contains(&status) || status == 100;
            assert!(is_known, "{number}: {status} to {}", String::from_utf8_lossy(&bytes));
        }
        if !said.is_empty() {
            assert!(said.starts_with(b"HTTP/1."), "{number}: {}", String::from_utf8_lossy(&said));
        }
    }
    // Not all of it is refused at the door, or this would be a test of the door.
    assert!(seen[&200] > 300 && seen[&400] > 400 && seen[&404] > 400, "{seen:?}");
    assert_eq!(seen.get(&500), None, "{seen:?}");
    server.scene.each_event("Echo", is_payload_2);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    let well = server.scene.event("GET /echo", &[], "").await;
    is_payload_2(&well);
}

#[tokio::test]
async fn odd_requests_come_through_every_rule() {
    let cors = "CorsConfiguration: { AllowOrigins: ['https://shop.example'], MaxAge: 5 }";
    let guard = guarded(
        "EnableSimpleResponses: true, Identity: { QueryStrings: [token], Context: [path, identity.userAgent], \
         ReauthorizeEvery: 60 }",
    );
    let limits = "DefaultRouteSettings: { ThrottlingBurstLimit: 900, ThrottlingRateLimit: 100 }";
    let open = "Auth: { Authorizer: NONE }";
    let scene = Scene::new(
        &format!("{cors}, {guard}, {limits}, StageVariables: {{ a: b }}"),
        &[
            &format!("Echo ANY /echo + {open}"),
            &format!("Echo GET /things/{{id}} + {open}"),
            &format!("Echo ANY /files/{{rest+}} + {open}"),
            "Echo $default",
        ],
    );
    let mut odd = Odd(fastrand::Rng::with_seed(SEED + 1));
    let mut sent = 0;
    while sent < 3_500 {
        let mut request = Request::builder().method(odd.method()).uri(odd.path() + &odd.query());
        for _ in 0..odd.0.usize(..6) {
            let (name, value) = odd.header();
            request = request.header(name, value);
        }
        // What the types of HTTP cannot even hold, only the socket can send.
        let Ok(request) = request.body(Bytes::from(odd.body())) else { continue };
        let line = format!("{} {}", request.method(), request.uri());
        let answer = scene.send(request).await;
        assert!(STATUSES.contains(&answer.status) && answer.status != 500, "{line}: {}", answer.status);
        sent += 1;
    }
    scene.each_event("Echo", is_payload_2);
    scene.each_event("Guard", |event: &Value| {
        let mut as_of_function = event.clone();
        for field in ["type", "routeArn", "identitySource"] {
            assert!(as_of_function.as_object_mut().unwrap().remove(field).is_some(), "{event}");
        }
        as_of_function["isBase64Encoded"] = false.into();
        is_payload_2(&as_of_function);
    });
}
