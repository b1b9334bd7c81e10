//! The real way there, over sockets of this machine.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::payments::Call::{Ask, Send};
use domain::payments::ReportedState::{Captured, Refunded};
use domain::payments::{Answer, Gateway, NoAnswer};
use domain::webhooks::Reach;
use gateway::{Mischief, Mood, Options, Order, Running, Settings};
use platform::gateways::Gateways;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{AT, charging, config, named, refunding};

#[expect(clippy::disallowed_methods, reason = "sockets know no other clock")]
fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

async fn started() -> Running {
    let settings = Settings { api_key: Some("sk_hush".to_owned()), ..Settings::default() };
    let options = Options { settings, mood: Mood::calm(), seed: 1, clock: Arc::new(now_ms), journal: None };
    gateway::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).unwrap()
}

#[tokio::test]
async fn both_protocols_are_spoken_over_a_socket() {
    let running = started().await;
    let config = config(&format!("http://{}", running.address()), 5_000);
    let network = Gateways::network(Reach::ThisMachineToo);
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        let said = network.call(&config, &charging(gateway, Send), AT).await;
        let Answer::Says(captured) = said else { panic!("{said:?}") };
        assert_eq!(captured.state, Captured);
        let reference = captured.reference.clone().unwrap();
        let asked = network.call(&config, &named(charging(gateway, Ask), reference.as_str()), AT).await;
        assert_eq!(asked, Answer::Says(captured));
        let said = network.call(&config, &refunding(gateway, Send, Some(reference.as_str())), AT).await;
        assert!(matches!(&said, Answer::Says(refunded) if refunded.state == Refunded), "{said:?}");
    }
    running.stop().await;
    let gone = network.call(&config, &charging(Gateway::Plain, Send), AT).await;
    assert!(matches!(gone, Answer::Silence(_)), "{gone:?}");
}

/// A time-out that was a success, which asking tells.
#[tokio::test]
async fn who_keeps_silent_is_waited_for_no_longer_than_so_long() {
    let running = started().await;
    running.with(|gateway, _| gateway.order(Order::next([Mischief::TimeoutAfter])));
    let config = config(&format!("http://{}", running.address()), 300);
    let network = Gateways::network(Reach::ThisMachineToo);
    let silent = network.call(&config, &charging(Gateway::Plain, Send), AT).await;
    assert_eq!(silent, Answer::Silence(NoAnswer::Lost));
    let said = network.call(&config, &charging(Gateway::Plain, Ask), AT).await;
    assert!(matches!(&said, Answer::Says(reported) if reported.state == Captured), "{said:?}");
    running.stop().await;
}

#[tokio::test]
async fn what_was_never_sent_is_told_from_what_may_have_been() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = config(&format!("http://{address}"), 2_000);
    let call = async |reach| Gateways::network(reach).call(&config, &charging(Gateway::Plain, Send), AT).await;

    // What is deployed calls nobody without TLS, and so not this one.
    assert_eq!(call(Reach::Public).await, Answer::Silence(NoAnswer::NotReached));

    let breaks_off = tokio::spawn(async move {
        // It hears the request out, and says nothing; then it says too much.
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4_096];
        assert!(socket.read(&mut heard).await.unwrap() > 0);
        drop(socket);
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut heard).await.unwrap() > 0);
        socket.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 400000\r\n\r\n").await.unwrap();
        let _ = socket.write_all(&vec![b' '; 400_000]).await;
    });
    assert_eq!(call(Reach::ThisMachineToo).await, Answer::Silence(NoAnswer::Lost), "it broke off");
    assert_eq!(call(Reach::ThisMachineToo).await, Answer::Silence(NoAnswer::Lost), "nobody reads all of that");
    breaks_off.await.unwrap();
    assert_eq!(call(Reach::ThisMachineToo).await, Answer::Silence(NoAnswer::NotReached), "nobody listens");
}

/// Who does not get as far as TLS has sent nothing.
#[tokio::test]
async fn a_greeting_that_nobody_answers_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(&format!("https://localhost:{}", listener.local_addr().unwrap().port()), 2_000);
    let greeted = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4_096];
        let read = socket.read(&mut heard).await.unwrap();
        // It keeps the connection, until whoever greets has had enough.
        let _ = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut [0; 16])).await;
        heard.truncate(read);
        heard
    });
    let silent = Gateways::network(Reach::Public).call(&config, &charging(Gateway::Plain, Send), AT).await;
    assert_eq!(silent, Answer::Silence(NoAnswer::NotReached));
    let heard = greeted.await.unwrap();
    assert_eq!(heard[..2], [0x16, 3], "TLS is greeted with");
    assert!(!heard.windows(4).any(|part| part == b"hush"));
}
