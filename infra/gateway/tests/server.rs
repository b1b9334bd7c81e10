//! The gateway on real sockets of this machine: a charge, its callback, silence, who is let in, and a restart.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::{Mischief, Mood, Options, Order, Protocol, Running, Settings, StartError, WebhookSecret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const CHARGE: &str = r#"{"amount":150099,"currency":"EUR","reference":"order 7"}"#;

#[expect(clippy::disallowed_methods, reason = "sockets know no other clock")]
fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

async fn started(callbacks_to: u16, journal: Option<&Path>) -> Running {
    let mut mood = Mood::calm();
    mood.timing.callback_ms = [0, 0];
    mood.timing.callback_retries_ms = vec![10; 50];
    mood.timing.silence_ms = 20;
    let url = format!("http://127.0.0.1:{callbacks_to}/payments/callback?from=gateway");
    let settings = Settings {
        callback_url: Some(gateway::callback_url(&url).unwrap()),
        webhook_secrets: vec![WebhookSecret::parse(SECRET).unwrap()],
        ..Settings::default()
    };
    let options = Options { settings, mood, seed: 1, clock: Arc::new(now_ms), journal: journal.map(Path::to_path_buf) };
    gateway::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).unwrap()
}

/// All that comes back until the connection ends.
async fn exchange(running: &Running, request: &str) -> String {
    let mut socket = TcpStream::connect(running.address()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut off says nothing either.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn charge(running: &Running, key: &str) -> String {
    let request = format!(
        "POST /charges HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{CHARGE}",
        CHARGE.len()
    );
    exchange(running, &request).await
}

/// Takes one callback, and answers it.
async fn callback(listener: &TcpListener, status: &str) -> String {
    let accepted = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await;
    let (mut socket, _) = accepted.expect("a callback comes").unwrap();
    let (mut heard, mut part) = (String::new(), vec![0; 4_096]);
    while !heard.contains("\r\n\r\n") || !heard.trim_end().ends_with('}') {
        let read = socket.read(&mut part).await.unwrap();
        assert!(read > 0, "it broke off: {heard}");
        heard.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await.unwrap();
    heard
}

/// Waits until the book says so; whoever drives a socket learns of it a moment later.
async fn eventually(running: &Running, holds: impl Fn(&gateway::Book) -> bool) {
    for _ in 0..500 {
        if running.with(|gateway, _| holds(gateway.book())) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to be");
}

#[tokio::test]
async fn a_charge_is_answered_and_called_back_until_it_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = started(listener.local_addr().unwrap().port(), None).await;
    let answer = charge(&running, "key-1").await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.contains(r#""state":"captured""#), "{answer}");
    let first = callback(&listener, "503 Service Unavailable").await;
    let second = callback(&listener, "200 OK").await;
    for heard in [&first, &second] {
        assert!(heard.starts_with("POST /payments/callback?from=gateway HTTP/1.1\r\n"), "{heard}");
        for part in ["host: 127.0.0.1:", "webhook-id: evt_", "webhook-timestamp: ", "webhook-signature: v1,"] {
            assert!(heard.contains(part), "{part}: {heard}");
        }
    }
    let body = |heard: &str| heard.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&first), body(&second));
    eventually(&running, |book| {
        let statuses = book.events().flat_map(|event| &event.copies).flat_map(|copy| &copy.attempts);
        statuses.map(|attempt| attempt.status).eq([Some(503), Some(200)])
    })
    .await;
    let book = exchange(&running, "GET /book HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(book.contains(r#""findings":[]"#) && book.contains(r#""key":"key-1""#), "{book}");
    running.stop().await;
}

#[tokio::test]
async fn silence_ends_the_connection_without_a_word() {
    let running = started(9, None).await;
    running.with(|gateway, _| gateway.order(Order::next([Mischief::TimeoutAfter, Mischief::CallbackNever])));
    assert_eq!(charge(&running, "key-1").await, "");
    assert_eq!(running.with(|gateway, _| gateway.book().charges_under(Protocol::Plain, "key-1").count()), 1);
    running.stop().await;
}

#[tokio::test]
async fn strangers_and_floods_are_turned_away() {
    let running = started(9, None).await;
    for (request, status) in [
        ("GET /book HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n".to_owned(), "403"),
        (
            "GET /book HTTP/1.1\r\nHost: localhost\r\nOrigin: https://shop.example\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "403",
        ),
        ("POST /charges HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n{".to_owned(), "413"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = exchange(&running, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn only_this_machine_is_served_and_called() {
    let options = |settings| Options { settings, mood: Mood::calm(), seed: 1, clock: Arc::new(now_ms), journal: None };
    let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(gateway::start(everywhere, options(Settings::default())), Err(StartError::NotLoopback(_))));
    let elsewhere = Some("http://192.0.2.1/".parse().unwrap());
    let settings = Settings { callback_url: elsewhere, ..Settings::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(matches!(gateway::start(listener, options(settings)), Err(StartError::Settings(_))));
}

#[tokio::test]
async fn what_was_answered_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("gateway.jsonl");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = started(port, Some(&journal)).await;
    let first = charge(&running, "key-1").await;
    running.stop().await;
    for _ in 0..2 {
        let running = started(port, Some(&journal)).await;
        let again = charge(&running, "key-1").await;
        let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        assert_eq!(body(&again), body(&first));
        assert!(again.contains("idempotent-replayed: true"), "{again}");
        running.stop().await;
    }
    std::fs::write(&journal, "nonsense\n").unwrap();
    let options = Options {
        settings: Settings::default(),
        mood: Mood::calm(),
        seed: 1,
        clock: Arc::new(now_ms),
        journal: Some(journal.clone()),
    };
    let Err(error) = gateway::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), options) else {
        panic!("it began with a book that says nothing")
    };
    assert!(error.to_string().contains("line 1"), "{error}");
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), "nonsense\n", "and left it as it was");
}
