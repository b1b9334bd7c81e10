//! The system in memory on virtual time, and a client that reads like the calls that it makes.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

pub(crate) mod callbacks;
pub(crate) mod gateway;
pub(crate) mod shop;
pub(crate) mod stand_in;

use bytes::Bytes;
use http::{Request, Response};
use local_cloud::{Clock, Options as CloudOptions, Storage};
use local_system::{Options, System};
use platform::chance::Chance;
use platform::tokens::{Audience, Claims, SigningKey};
use serde_json::{Value, json};

/// 2026-11-21T05:53:03Z
pub(crate) const START_MS: i64 = 1_795_240_383_000;

pub(crate) fn system() -> System {
    system_with(|options| options)
}

/// The key of RFC 8410, 10.3, which signs where a test brings no keys of its own.
pub(crate) const SIGNING_KEY: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";

pub(crate) fn system_with(change: impl FnOnce(Options) -> Options) -> System {
    let cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
    let mut options = Options::new(cloud);
    // So that examples can name secrets.
    options.chance = Chance::seeded(7);
    options.gateways = platform::gateways::Gateways::answered_by(gateway::Prompt::default());
    let mut options = change(options);
    if !options.parameters.contains_key("TokenKeys") {
        sign_beside(&mut options, r#"{"keys":[]}"#);
    }
    callbacks::with_gateway(&mut options, "plain");
    System::start(options).unwrap()
}

/// Has tokens signed with [`SIGNING_KEY`], and believes them beside those of these keys.
pub(crate) fn sign_beside(options: &mut Options, others: &str) {
    let own = SigningKey::from_text(SIGNING_KEY).unwrap().key_set();
    let [mut set, others] = [own.as_str(), others].map(|set| serde_json::from_str::<Value>(set).unwrap());
    set["keys"].as_array_mut().unwrap().extend(others["keys"].as_array().unwrap().iter().cloned());
    options.parameters.insert("TokenKeys".to_owned(), set.to_string());
    options.parameters.insert("SigningKey".to_owned(), SIGNING_KEY.to_owned());
}

/// Over a network whose calls meet the fates of a plan.
pub(crate) fn faulty(plan: local_cloud::Plan) -> System {
    system_with(|mut options| {
        options.network = std::sync::Arc::new(move |connector| {
            platform::aws::shared(local_cloud::FaultyConnector::new(connector, plan.clone()))
        });
        options
    })
}

/// What a token of the stack's issuer says of alice.
pub(crate) fn claims(system: &System, exp: i64, scope: &str) -> Claims {
    let config = &system.app().config.tokens;
    Claims {
        iss: config.issuer.clone(),
        sub: "alice".to_owned(),
        aud: Audience::One(config.audience.clone()),
        exp,
        nbf: None,
        scope: scope.to_owned(),
    }
}

/// A call of a service as it stands on the wire.
pub(crate) async fn aws(system: &System, target: &str, body: Value) -> Value {
    let request = Request::post("/").header("x-amz-target", target).body(Bytes::from(body.to_string())).unwrap();
    let response = system.cloud.connector().answer(request).await;
    let answer = serde_json::from_slice(response.body()).unwrap_or_default();
    assert!(response.status().is_success(), "{target}: {answer}");
    answer
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {:?}", self.bytes))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of a field, as text.
    pub(crate) fn get(&self, field: &str) -> String {
        self.json()[field].as_str().map(str::to_owned).unwrap_or_else(|| panic!("no {field} in {}", self.json()))
    }

    pub(crate) fn id(&self) -> String {
        self.get("id")
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

impl From<Response<Bytes>> for Answer {
    fn from(response: Response<Bytes>) -> Self {
        Self {
            status: response.status().as_u16(),
            replayed: response.headers().get("idempotent-replayed").is_some_and(|value| value == "true"),
            bytes: response.into_body(),
        }
    }
}

pub(crate) struct User<'a> {
    pub(crate) system: &'a System,
    pub(crate) name: &'a str,
    pub(crate) scopes: &'a str,
}

pub(crate) fn user<'a>(system: &'a System, name: &'a str) -> User<'a> {
    User { system, name, scopes: "" }
}

/// Who may do more than what is their own.
pub(crate) fn user_with<'a>(system: &'a System, name: &'a str, scopes: &'a str) -> User<'a> {
    User { system, name, scopes }
}

impl User<'_> {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path)
            .header("host", "localhost")
            .header("x-user-id", self.name)
            .header("x-user-scopes", self.scopes);
        self.system.call(request.body(Bytes::new()).unwrap()).await.into()
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("x-user-id", self.name)
            .header("x-user-scopes", self.scopes)
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.system.call(request.body(body.into()).unwrap()).await.into()
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::put(path)
            .header("host", "localhost")
            .header("x-user-id", self.name)
            .header("x-user-scopes", self.scopes)
            .header("content-type", "application/json");
        self.system.call(request.body(body.into()).unwrap()).await.into()
    }

    /// A call whose path says it all.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("x-user-id", self.name)
            .header("x-user-scopes", self.scopes);
        self.system.call(request.body(Bytes::new()).unwrap()).await.into()
    }

    pub(crate) async fn deposit(&self, key: &str, amount: &str) -> Answer {
        self.post("/deposits", key, json!({ "amount": amount }).to_string()).await
    }

    pub(crate) async fn order(&self, key: &str, amount: &str) -> Answer {
        self.post("/orders", key, json!({ "amount": amount, "description": "tea" }).to_string()).await
    }

    pub(crate) async fn order_or_cancel(&self, key: &str, amount: &str) -> Answer {
        self.post("/orders", key, json!({ "amount": amount, "if_unpaid": "cancel" }).to_string()).await
    }

    pub(crate) async fn balance(&self) -> String {
        self.get("/account").await.expect(200).get("balance")
    }

    pub(crate) async fn state(&self, order: &str) -> String {
        self.get(&format!("/orders/{order}")).await.expect(200).get("state")
    }

    pub(crate) async fn last_notification_of(&self, order: &str) -> String {
        let list = self.get("/notifications?limit=100").await.expect(200).json();
        let told = list["items"].as_array().unwrap().iter().find(|told| told["order"] == order);
        told.and_then(|told| told["text"].as_str()).unwrap_or("nothing").to_owned()
    }
}

/// Every promise, over everything that is kept, with no grace: for a system that has settled.
pub(crate) async fn promises_hold(system: &System) {
    use platform::verify::{Now, audit};
    let now = Now::Moment(system.app().now());
    let report = audit(system.app().store.table(), now, domain::Millis(0), |_| {}).await.unwrap();
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{findings:#?}");
}
