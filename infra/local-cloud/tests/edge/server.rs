//! The server on a real loopback socket: what HTTP/1.1 asks, whatever a client does. Not AWS's rules but those of
//! RFC 9112, where a comment does not say otherwise.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use local_cloud::edge::serve;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use crate::support::{Scene, is_payload_2};

pub(crate) struct Server {
    pub(crate) scene: Scene,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let scene =
            Scene::new("", &["Echo ANY /echo", "Say POST /say", "Echo GET /things/{id}", "Echo ANY /files/{path+}"]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(serve(scene.edge.clone(), listener, stopped));
        Self { scene, address, stop, task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads until the server closes.
    async fn last_words(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    }
}

/// Reads one response: its head, and as much of a body as the head announces.
async fn response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let head = head(stream).await;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    (head + body).into_bytes()
}

#[tokio::test]
async fn a_connection_is_kept_alive_and_bodies_come_whole_or_in_chunks() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(&post("/echo", "hello")).await.unwrap();
    let (head, body) = response(&mut stream).await;
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("\r\napigw-requestid: "), "{head}");
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["requestContext"]["http"]["sourceIp"], json!("127.0.0.1"));
    is_payload_2(&event);

    let head = "POST /echo HTTP/1.1\r\nHost: a:81\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"3\r\nhel\r\n").await.unwrap();
    stream.write_all(b"2;ext=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\n").await.unwrap();
    let (_, body) = response(&mut stream).await;
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&event["body"], &event["headers"]["x-forwarded-port"]), (&json!("hello"), &json!("81")));
    assert_eq!(event["headers"]["content-length"], json!("5"));
    is_payload_2(&event);
}

#[tokio::test]
async fn requests_in_a_row_on_one_connection_are_answered_in_their_order() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let all: Vec<u8> = (0..20).flat_map(|number| post("/echo", &number.to_string())).collect();
    stream.write_all(&all).await.unwrap();
    for number in 0..20 {
        let (_, body) = response(&mut stream).await;
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["body"], json!(number.to_string()));
    }
}

#[tokio::test]
async fn head_and_204_have_no_body() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(head(&mut stream).await.starts_with("http/1.1 200 ok"));
    stream.write_all(&post("/say", r#"{"statusCode": 204, "body": "none the less"}"#)).await.unwrap();
    assert!(head(&mut stream).await.starts_with("http/1.1 204 no content"));
    stream.write_all(&post("/say", r#"{"statusCode": 304, "body": "none the less"}"#)).await.unwrap();
    assert!(head(&mut stream).await.starts_with("http/1.1 304 not modified"));
    // Whatever were left of a body would stand before the next answer.
    stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (head, body) = response(&mut stream).await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
    assert_eq!(body, br#"{"message":"Not Found"}"#);
}

#[tokio::test]
async fn who_waits_for_leave_to_send_a_body_gets_it() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let asking = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n";
    stream.write_all(format!("{asking}Expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("http/1.1 100 continue"));
    stream.write_all(b"hello").await.unwrap();
    let (_, body) = response(&mut stream).await;
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&event["body"], event["headers"].get("expect")), (&json!("hello"), None));
}

#[tokio::test]
async fn who_has_said_all_still_gets_the_answer() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(&post("/say", r#"{"takes_ms": 50}"#)).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut read = String::new();
    stream.read_to_string(&mut read).await.unwrap();
    assert!(read.starts_with("HTTP/1.1 200 OK"), "{read}");
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_server_lives_on() {
    let server = Server::start().await;
    for (bytes, expected) in [
        (b"nonsense\r\n\r\n".as_slice(), "HTTP/1.1 400"),
        (b"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400"),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "HTTP/1.1 400"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400"),
        (b"GET /echo HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /echo HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /echo HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        (b"GET http://other/%zz%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        (b"GET /things/%ff?%ff=%&&= HTTP/1.1\r\nHost: a\r\nX: \xff\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        (b"GET /echo HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
    ] {
        let answer = server.last_words(bytes).await;
        assert!(answer.starts_with(expected), "{} was answered {answer:?}", String::from_utf8_lossy(bytes));
    }
    // Who speaks HTTP/2 would not understand an answer in HTTP/1.1.
    assert_eq!(server.last_words(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, "");
}

/// The quota counts values, so many short headers are within it; a thousand and more are not held.
#[tokio::test]
async fn many_headers_are_taken_and_too_many_are_a_431() {
    let server = Server::start().await;
    for (headers, expected) in [(400, "HTTP/1.1 200"), (2_000, "HTTP/1.1 431")] {
        let start = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".to_owned();
        let many = (0..headers).fold(start, |head, number| head + &format!("x{number}: y\r\n"));
        let answer = server.last_words((many + "\r\n").as_bytes()).await;
        assert!(answer.starts_with(expected), "{headers}: {}", &answer[..answer.len().min(200)]);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_without_being_kept() {
    let server = Server::start().await;
    let over = 10 * 1024 * 1024 + 1;

    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {over}\r\n\r\n");
    let mut announced = head.into_bytes();
    announced.resize(announced.len() + over, b'x');
    let mut chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..11 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + 0x10_0000, b'x');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let patient = format!("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {over}\r\n\r\n");
    let endless = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551613\r\n\r\n".to_owned();
    for bytes in [announced, chunked, patient.into_bytes(), endless.into_bytes()] {
        let answer = server.last_words(&bytes).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("apigw-requestid: "), "{answer}");
        assert!(answer.ends_with(r#"{"message":"Request Entity Too Large"}"#), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(server.scene.asked("Echo"), 0);
}

#[tokio::test]
async fn a_stopped_server_finishes_what_is_under_way_and_closes() {
    let server = Server::start().await;
    let mut idle = server.connect().await;
    idle.write_all(&post("/echo", "")).await.unwrap();
    response(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(&post("/say", r#"{"takes_ms": 100}"#)).await.unwrap();
    while server.scene.asked("Say") == 0 {
        tokio::task::yield_now().await;
    }
    server.stop.send(()).unwrap();
    let (head, body) = response(&mut busy).await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert_eq!(body, br#"{"isAuthorized":true}"#);
    server.task.await.unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn slow_senders_are_cut_off() {
    let server = Server::start().await;
    let answer = server.last_words(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = server.last_words(b"POST /echo HTT").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn slow_readers_are_cut_off() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let since = tokio::time::Instant::now();
    // More in all than the buffers between the two hold.
    for _ in 0..10 {
        stream.write_all(&post("/say", r#"{"is_long": 6000000}"#)).await.unwrap();
    }
    while server.scene.asked("Say") == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(35)).await;
    server.stop.send(()).unwrap();
    // The connection is gone already, or stopping would take until the server gives up on it.
    let stopping = tokio::time::Instant::now();
    server.task.await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(1), "{:?}", stopping.elapsed());
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end() {
    let server = Server::start().await;
    assert_eq!(server.last_words(b"").await, "");
    let mut used = server.connect().await;
    used.write_all(&post("/echo", "")).await.unwrap();
    response(&mut used).await;
    let since = tokio::time::Instant::now();
    assert_eq!(used.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(since.elapsed() <= Duration::from_secs(11), "{:?}", since.elapsed());
}

/// A crowd beyond what is held at once waits, and is served as places become free.
#[tokio::test]
async fn more_connections_than_are_held_wait_and_are_served() {
    let server = Server::start().await;
    let mut crowd = Vec::new();
    for _ in 0..1_000 {
        crowd.push(server.connect().await);
    }
    // The last of them has been accepted when it is answered.
    let last = crowd.last_mut().unwrap();
    last.write_all(&post("/echo", "")).await.unwrap();
    response(last).await;
    let mut late = server.connect().await;
    late.write_all(&post("/echo", "late")).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(200), late.read_u8()).await;
    assert!(waited.is_err(), "it is not accepted while all places are taken");
    crowd.truncate(990);
    let mut rest = vec![0; 4_096];
    let read = late.read(&mut rest).await.unwrap();
    assert!(rest[..read].starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn many_callers_at_once_each_get_their_own_answer() {
    let server = Server::start().await;
    let mut callers = Vec::new();
    for number in 0..50 {
        let mut stream = server.connect().await;
        callers.push(tokio::spawn(async move {
            for round in 0..10 {
                let said = format!("{number}/{round}");
                stream.write_all(&post("/echo", &said)).await.unwrap();
                let (_, body) = response(&mut stream).await;
                assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["body"], json!(said));
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(server.scene.asked("Echo"), 500);
}
