//! A caller of the gateway, who has all the time of the world.

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use gateway::{Callback, Gateway, Mischief, Mood, Order, Settings, WebhookSecret};
use http::{HeaderMap, Request};
use ring::hmac;
use serde_json::{Value, json};

pub(crate) const START: i64 = 1_795_240_383_000;
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const STRIPE_SECRET: &str = "whsec_of_stripe";

pub(crate) struct Caller {
    pub(crate) gateway: Gateway,
    pub(crate) now: i64,
}

/// What came back, after how long.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) after_ms: u64,
    /// 0 is silence.
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

/// A callback, when it came.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) at: i64,
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    /// Whether it is signed with the secret that both have, and as of now.
    pub(crate) fn is_genuine(&self) -> bool {
        let header = |name: &str| self.headers.get(name).map(|value| value.to_str().unwrap());
        let key = |bytes: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let is_fresh = |seconds: &str| (self.at / 1_000 - seconds.parse::<i64>().unwrap()).abs() <= 300;
        if let Some(signature) = header("webhook-signature") {
            let (id, seconds) = (header("webhook-id").unwrap(), header("webhook-timestamp").unwrap());
            let tag = BASE64.decode(signature.strip_prefix("v1,").unwrap().as_bytes()).unwrap();
            let key = key(&BASE64.decode(WEBHOOK_SECRET.strip_prefix("whsec_").unwrap().as_bytes()).unwrap());
            let signed = format!("{id}.{seconds}.{}", self.text);
            return is_fresh(seconds) && hmac::verify(&key, signed.as_bytes(), &tag).is_ok();
        }
        let (seconds, tag) = header("stripe-signature").unwrap().split_once(",v1=").unwrap();
        let seconds = seconds.strip_prefix("t=").unwrap();
        let tag = HEXLOWER.decode(tag.as_bytes()).unwrap();
        let signed = format!("{seconds}.{}", self.text);
        is_fresh(seconds) && hmac::verify(&key(STRIPE_SECRET.as_bytes()), signed.as_bytes(), &tag).is_ok()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        callback_url: Some(gateway::callback_url("http://127.0.0.1:3000/payments/callback").unwrap()),
        webhook_secrets: vec![WebhookSecret::parse(WEBHOOK_SECRET).unwrap()],
        stripe_secrets: vec![STRIPE_SECRET.to_owned()],
        ..Settings::default()
    }
}

impl Caller {
    pub(crate) fn calm() -> Self {
        Self::of(Mood::calm(), 7)
    }

    pub(crate) fn of(mood: Mood, seed: u64) -> Self {
        Self { gateway: Gateway::new(settings(), mood, seed), now: START }
    }

    /// Asks for this to go wrong with the next request.
    pub(crate) fn next(&mut self, mischiefs: &[Mischief]) -> &mut Self {
        self.gateway.order(Order::next(mischiefs.iter().copied()));
        self
    }

    pub(crate) fn send(&mut self, request: Request<Bytes>) -> Said {
        let reply = self.gateway.receive(self.now, &request);
        let Some(response) = reply.response else {
            return Said { after_ms: reply.after_ms, status: 0, headers: HeaderMap::new(), text: String::new() };
        };
        Said {
            after_ms: reply.after_ms,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Said {
        self.send(Request::get(path).body(Bytes::new()).unwrap())
    }

    pub(crate) fn control(&mut self, method: &str, path: &str, body: &Value) -> Said {
        self.send(Request::builder().method(method).uri(path).body(Bytes::from(body.to_string())).unwrap())
    }

    pub(crate) fn post(&mut self, path: &str, key: &str, body: &Value) -> Said {
        let request = Request::post(path).header("idempotency-key", key).header("content-type", "application/json");
        self.send(request.body(Bytes::from(body.to_string())).unwrap())
    }

    pub(crate) fn form(&mut self, path: &str, key: &str, body: &str) -> Said {
        let request = Request::post(path).header("idempotency-key", key);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Bytes::from(body.to_owned())).unwrap())
    }

    /// A charge of 1500.99 under this key, and a reference of its own.
    pub(crate) fn charge(&mut self, key: &str) -> Said {
        let body = json!({"amount": 150_099, "currency": "EUR", "reference": format!("order of {key}")});
        self.post("/charges", key, &body)
    }

    pub(crate) fn refund(&mut self, key: &str, charge: &str, amount: u64) -> Said {
        self.post("/refunds", key, &json!({"charge": charge, "amount": amount}))
    }

    /// The same by Stripe's protocol.
    pub(crate) fn intent(&mut self, key: &str) -> Said {
        let body = format!(
            "amount=150099&currency=eur&confirm=true&payment_method=pm_card_visa&metadata[reference]=order+of+{key}"
        );
        self.form("/v1/payment_intents", key, &body)
    }

    pub(crate) fn wait(&mut self, ms: i64) -> &mut Self {
        self.now += ms;
        self
    }

    /// All callbacks of the next `ms`, each answered as `answer` says.
    pub(crate) fn hear(&mut self, ms: i64, mut answer: impl FnMut(&Heard) -> Option<u16>) -> Vec<Heard> {
        let end = self.now + ms;
        let mut all = Vec::new();
        while let Some(due) = self.gateway.next_due_ms().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            for Callback { id, request } in self.gateway.due(self.now) {
                assert_eq!(request.uri(), "http://127.0.0.1:3000/payments/callback");
                let heard = Heard {
                    at: self.now,
                    id: id.event.clone(),
                    headers: request.headers().clone(),
                    text: String::from_utf8(request.body().to_vec()).unwrap(),
                };
                self.gateway.delivered(self.now, &id, answer(&heard));
                all.push(heard);
            }
        }
        self.now = end;
        all
    }

    /// All callbacks of an hour, each taken.
    pub(crate) fn hear_all(&mut self) -> Vec<Heard> {
        self.hear(3_600_000, |_| Some(200))
    }

    pub(crate) fn charges(&self) -> usize {
        self.gateway.book().charges().filter(|charge| charge.was_captured()).count()
    }
}

pub(crate) fn id(said: &Said) -> String {
    said.json()["id"].as_str().unwrap().to_owned()
}
