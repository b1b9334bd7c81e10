//! The gateway to run against, in the process and in the test's time: it answers the calls that go out, its callbacks come
//! in over the route, and its book is the judge.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::payments::NoAnswer;
use gateway::{Call, CallKind, Finding, Gateway, Mischief, Mood, Order, Outage, OutageKind, Settings, WebhookSecret};
use local_cloud::Clock;
use local_system::{Options, System};
use platform::gateways::{Carry, Gateways, Request, Response};
use platform::runtime::BoxFuture;
use tokio::sync::Notify;

use super::callbacks::{PLAIN_SECRET, STRIPE_SECRET, with_gateway};

const KEY: &str = "key_of_a_test";

#[derive(Clone)]
pub(crate) struct StandIn(Arc<Inner>);

struct Inner {
    gateway: Mutex<Gateway>,
    clock: Clock,
    /// Something may be due sooner than it was.
    changed: Notify,
}

impl Carry for StandIn {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        Box::pin(async move {
            let sent: http::Request<Bytes> = request.try_into().unwrap();
            let reply = self.with(|gateway, now_ms| gateway.receive(now_ms, &sent));
            tokio::time::sleep(Duration::from_millis(reply.after_ms)).await;
            reply.response.map(Response::from).ok_or(NoAnswer::Lost)
        })
    }
}

impl StandIn {
    /// Has cards charged through it, by this protocol.
    pub(crate) fn behind(options: &mut Options, protocol: &str, mood: Mood, seed: u64) -> Self {
        for name in ["PlainGatewayKey", "StripeKey"] {
            options.parameters.insert(name.to_owned(), KEY.to_owned());
        }
        with_gateway(options, protocol);
        let settings = Settings {
            api_key: Some(KEY.to_owned()),
            callback_url: Some(gateway::callback_url("http://127.0.0.1:3000/payments/callback").unwrap()),
            webhook_secrets: vec![WebhookSecret::parse(PLAIN_SECRET).unwrap()],
            stripe_secrets: vec![STRIPE_SECRET.to_owned()],
            ..Settings::default()
        };
        let inner = Inner {
            gateway: Mutex::new(Gateway::new(settings, mood, seed)),
            clock: options.cloud.clock.clone(),
            changed: Notify::new(),
        };
        let stand_in = Self(Arc::new(inner));
        options.gateways = Gateways::answered_by(stand_in.clone());
        stand_in
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Gateway, i64) -> T) -> T {
        let seen = look(&mut self.0.gateway.lock().unwrap(), self.now_ms());
        self.0.changed.notify_one();
        seen
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// For the next calls of this kind.
    pub(crate) fn next(&self, call: CallKind, times: u32, mischiefs: impl IntoIterator<Item = Mischief>) {
        let order = Order { call: Some(call), times, ..Order::next(mischiefs) };
        self.with(|gateway, _| gateway.order(order));
    }

    pub(crate) fn down_for(&self, length: Duration, how: OutageKind) {
        let ms = i64::try_from(length.as_millis()).unwrap();
        self.with(|gateway, now_ms| gateway.set_outage(Some(Outage { until_ms: now_ms + ms, how })));
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.with(|gateway, _| gateway.book().calls().cloned().collect())
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.with(|gateway, _| gateway.book().findings())
    }

    /// What it has taken, in all: how often, and how much.
    pub(crate) fn captured(&self) -> (usize, u64) {
        self.with(|gateway, _| {
            let taken = gateway.book().charges().filter(|charge| charge.was_captured());
            taken.fold((0, 0), |(times, sum), charge| (times + 1, sum + charge.amount))
        })
    }

    /// What it has given back, in all.
    pub(crate) fn given_back(&self) -> u64 {
        self.with(|gateway, _| gateway.book().charges().map(|charge| charge.refunded).sum())
    }

    /// Lets so much time pass, and brings its callbacks to the system as they are due.
    pub(crate) async fn pass(&self, system: &System, length: Duration) {
        let end_ms = self.now_ms() + i64::try_from(length.as_millis()).unwrap();
        loop {
            let now_ms = self.now_ms();
            let (due, next) = self.with_quietly(|gateway| (gateway.due(now_ms), gateway.next_due_ms()));
            for callback in due {
                let (mut head, body) = callback.request.into_parts();
                head.headers.insert("host", http::HeaderValue::from_static("localhost"));
                head.uri = http::Uri::from_static("/payments/callback");
                let answer = system.call(http::Request::from_parts(head, body)).await;
                let answered_ms = self.now_ms();
                self.with_quietly(|gateway| {
                    gateway.delivered(answered_ms, &callback.id, Some(answer.status().as_u16()));
                });
            }
            let now_ms = self.now_ms();
            if now_ms >= end_ms {
                return;
            }
            let until_ms = next.map_or(end_ms, |next| next.clamp(now_ms, end_ms));
            let pause = Duration::from_millis(u64::try_from(until_ms - now_ms).unwrap());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    fn with_quietly<T>(&self, look: impl FnOnce(&mut Gateway) -> T) -> T {
        look(&mut self.0.gateway.lock().unwrap())
    }
}
