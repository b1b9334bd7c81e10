//! Both protocols against the stand-in, which carries requests out by rules of its own and judges by its own book.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::payments::Call::{Ask, Send};
use domain::payments::ReportedState::{Captured, Declined, Pending, Refunded};
use domain::payments::{Answer, Attempt, Call, Gateway, GatewayRef, No, NoAnswer, Reported};
use gateway::{Mischief, Mood, Order, Settings};
use platform::gateways::{Carry, Gateways, Request, Response};
use platform::runtime::BoxFuture;
use tokio::time::Instant;

use crate::support::{AT, MINOR, charging, config, named, refunding};

/// A stand-in whose time is the test's.
#[derive(Clone)]
struct StandIn {
    gateway: Arc<Mutex<gateway::Gateway>>,
    began: Instant,
}

impl Carry for StandIn {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        Box::pin(async move {
            let sent: http::Request<Bytes> = request.try_into().unwrap();
            let reply = self.gateway.lock().unwrap().receive(self.now_ms(), &sent);
            tokio::time::sleep(Duration::from_millis(reply.after_ms)).await;
            reply.response.map(Response::from).ok_or(NoAnswer::Lost)
        })
    }
}

impl StandIn {
    fn calm() -> Self {
        let settings = Settings { api_key: Some("sk_hush".to_owned()), ..Settings::default() };
        let gateway = gateway::Gateway::new(settings, Mood::calm(), 7);
        Self { gateway: Arc::new(Mutex::new(gateway)), began: Instant::now() }
    }

    fn now_ms(&self) -> i64 {
        AT.as_millis() + i64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    fn next(&self, mischiefs: impl IntoIterator<Item = Mischief>) {
        self.gateway.lock().unwrap().order(Order::next(mischiefs));
    }

    async fn call(&self, attempt: &Attempt) -> Answer {
        let config = config("http://127.0.0.1:1", 15_000);
        Gateways::answered_by(self.clone()).call(&config, attempt, AT).await
    }

    fn charges(&self) -> usize {
        let gateway = self.gateway.lock().unwrap();
        assert_eq!(gateway.book().findings(), []);
        gateway.book().charges().filter(|charge| charge.was_captured()).count()
    }
}

fn reported(answer: Answer) -> Reported {
    let Answer::Says(reported) = answer else { panic!("{answer:?}") };
    assert_eq!(reported.amount.unwrap().minor(), MINOR);
    assert_eq!(reported.currency.unwrap().code(), "EUR");
    reported
}

/// Asked as `domain` would: by key where that can be, else by the name that it has told.
fn asking(gateway: Gateway, reference: Option<&GatewayRef>) -> Attempt {
    match reference {
        Some(reference) => named(charging(gateway, Ask), reference.as_str()),
        None if gateway.is_asked_by_key() => charging(gateway, Ask),
        None => charging(gateway, Send),
    }
}

#[tokio::test(start_paused = true)]
async fn a_charge_is_made_once_asked_for_and_given_back_once() {
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        let stand_in = StandIn::calm();
        let first = reported(stand_in.call(&charging(gateway, Send)).await);
        assert_eq!(first.state, Captured);
        let reference = first.reference.clone().unwrap();
        for attempt in [charging(gateway, Send), asking(gateway, Some(&reference)), asking(gateway, None)] {
            assert_eq!(reported(stand_in.call(&attempt).await), first, "{gateway:?}");
        }
        assert_eq!(stand_in.charges(), 1);

        let refund = refunding(gateway, Send, Some(reference.as_str()));
        let given_back = reported(stand_in.call(&refund).await);
        assert_eq!(given_back.state, Refunded);
        let ask = named(refunding(gateway, Ask, None), given_back.reference.as_ref().unwrap().as_str());
        for attempt in [refund, ask] {
            assert_eq!(reported(stand_in.call(&attempt).await), given_back, "{gateway:?}");
        }
        assert_eq!(stand_in.gateway.lock().unwrap().book().refunds().count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_stripe_calls_a_charge_is_found_where_nobody_has_kept_it() {
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        let stand_in = StandIn::calm();
        stand_in.call(&charging(gateway, Send)).await;
        // Its search lags behind by half a minute.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(reported(stand_in.call(&refunding(gateway, Send, None)).await).state, Refunded, "{gateway:?}");
    }
}

/// What each mischief comes to, and that asking afterwards, as one would, tells the truth.
#[tokio::test(start_paused = true)]
async fn each_mischief_comes_to_what_it_is() {
    let status = |status: u16| Answer::Status { status, no: No::Unsaid, retry_after: None };
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        for (mischief, expected) in [
            (Mischief::TimeoutBefore, Some(Answer::Silence(NoAnswer::Lost))),
            (Mischief::TimeoutAfter, Some(Answer::Silence(NoAnswer::Lost))),
            (Mischief::ArrivesLate, Some(Answer::Silence(NoAnswer::Lost))),
            (Mischief::ErrorBefore, Some(status(500))),
            (Mischief::ErrorAfter, Some(status(500))),
            (Mischief::ErrorKept, Some(status(500))),
            (Mischief::Slow, None),
            (Mischief::Decline, None),
            (Mischief::SettleLater, None),
        ] {
            let stand_in = StandIn::calm();
            stand_in.next([mischief]);
            let answer = stand_in.call(&charging(gateway, Send)).await;
            match expected {
                Some(expected) => assert_eq!(answer, expected, "{gateway:?} {mischief:?}"),
                None => {
                    let state = match mischief {
                        Mischief::Decline => Declined,
                        Mischief::SettleLater => Pending,
                        _ => Captured,
                    };
                    assert_eq!(reported(answer).state, state, "{gateway:?} {mischief:?}");
                }
            }
            tokio::time::sleep(Duration::from_secs(180)).await;
            let asked = stand_in.call(&asking(gateway, None)).await;
            let was_done = stand_in.charges() == 1;
            match (gateway, mischief) {
                // Nothing was done, and a key that is used up says so by its own answer.
                (Gateway::Plain, Mischief::TimeoutBefore | Mischief::ErrorBefore | Mischief::ErrorKept) => {
                    assert_eq!((asked, was_done), (Answer::NotThere, false), "{mischief:?}");
                }
                (Gateway::Stripe, Mischief::ErrorKept) => assert_eq!((asked, was_done), (status(500), false)),
                // A replay says what was said first, though more is known by now.
                (Gateway::Stripe, Mischief::SettleLater) => {
                    assert_eq!((reported(asked).state, was_done), (Pending, true));
                }
                (_, Mischief::Decline) => assert_eq!((reported(asked).state, was_done), (Declined, false)),
                _ => assert_eq!((reported(asked).state, was_done), (Captured, true), "{gateway:?} {mischief:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_about_the_key_is_told_apart_from_what_is_busy() {
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        let stand_in = StandIn::calm();
        stand_in.next([Mischief::Slow]);
        let first = charging(gateway, Send);
        let (_, busy) = tokio::join!(stand_in.call(&first), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            stand_in.call(&charging(gateway, Send)).await
        });
        assert!(matches!(busy, Answer::Status { status: 409, no: No::Unsaid, .. }), "{busy:?}");
        let other = Attempt { amount: domain::Amount::from_minor(1).unwrap(), ..charging(gateway, Send) };
        let reused = stand_in.call(&other).await;
        assert!(matches!(reused, Answer::Status { status: 400 | 422, no: No::AboutTheKey, .. }), "{reused:?}");

        stand_in.next([Mischief::TooMany]);
        let limited = stand_in.call(&charging(gateway, Call::Send)).await;
        assert!(matches!(limited, Answer::Status { status: 429, retry_after: Some(_), .. }), "{limited:?}");
        assert_eq!(stand_in.charges(), 1);
    }
}
