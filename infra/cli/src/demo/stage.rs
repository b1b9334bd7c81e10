//! Where the story is played: the system over a temporary state, calls in the names of its people, and a line for
//! each thing that was to be seen, with what was seen instead where that differs.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use domain::Millis;
use domain::payments::{Reconciled, Reconciling};
use domain::webhooks::Reach;
use futures_util::future::join_all;
use gateway::{Gateway, Mood, Running, Timing};
use http::{Method, Request, StatusCode};
use local_cloud::edge::Edge;
use local_cloud::{Clock, Storage};
use local_system::{Options, System};
use platform::gateways::Gateways;
use platform::tokens::SigningKey;
use platform::verify::{self, Now, Plan, Reading};
use platform::{App, reports};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::serve::{Listener, StandIn};
use crate::state::StateDirectory;
use crate::terminal::{Paint, say};

/// Who may do more than what is their own, and what.
const WORK_HERE: [(&str, &str); 2] = [("olga", "stock slots"), ("carl", "courier")];

/// What a name begins with that is a token.
const TOKEN: &str = "token ";

/// The gateway is given up on within this: long enough for a machine that is busy.
const GATEWAY_TIMEOUT_MS: u32 = 1_500;
/// A callback that is late comes when the gateway has been asked, which is two and a half seconds later at most.
const LATE_MS: u64 = 6_000;
/// How often it is looked whether the gateway has called back.
const LOOK: Duration = Duration::from_millis(20);
/// And for how long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Stage {
    system: System,
    gateway: Running,
    /// Where the gateway calls back to.
    api: JoinHandle<()>,
    paint: Paint,
    scenes: u32,
    differences: u32,
    /// Deleted last.
    _state: TempDir,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) is_replay: bool,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A refusal's name.
    pub(super) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }
}

impl Stage {
    pub(super) async fn open(paint: Paint) -> Result<Self, Failure> {
        let state = tempfile::Builder::new().prefix("paidonce-demo-").tempdir();
        let state = state.map_err(|error| Failure::Failed(format!("no temporary directory can be made: {error}")))?;
        let storage = Storage::Directory(state.path().to_owned());
        let cloud = local_cloud::Options::new(storage, Clock::wall(), fastrand::u64(..));
        let mut options = Options::new(cloud);
        let key = SigningKey::generate().and_then(|key| Ok((SigningKey::from_pkcs8(&key)?, key)));
        let (key, bytes) = key.map_err(|error| Failure::Failed(format!("no key can be made: {error}")))?;
        options.parameters.insert("TokenKeys".to_owned(), key.key_set());
        options.parameters.insert("SigningKey".to_owned(), SigningKey::as_text(&bytes));
        options.parameters.insert("GatewayTimeoutMs".to_owned(), GATEWAY_TIMEOUT_MS.to_string());
        options.parameters.insert("GatewayConnectMs".to_owned(), (GATEWAY_TIMEOUT_MS / 2).to_string());
        let directory = StateDirectory::new(state.path().to_owned())?;
        let stand_in = StandIn::open(0, &directory).await?;
        stand_in.tell(&mut options.parameters);
        options.gateways = Gateways::network(Reach::ThisMachineToo);
        let api = Listener::open(0, "--port").await?;
        let system = System::start(options)?;
        let gateway = stand_in.start(&directory, &format!("http://127.0.0.1:{}", api.port))?;
        // Nothing goes wrong but what the story asks for.
        let timing = Timing { callback_late_ms: [LATE_MS, LATE_MS], ..Timing::default() };
        gateway.with(|gateway, _| gateway.set_mood(Mood { timing, ..Mood::calm() }));
        let api = tokio::spawn(local_cloud::edge::serve(system.edge.clone(), api.socket, std::future::pending()));
        Ok(Self { system, gateway, api, paint, scenes: 0, differences: 0, _state: state })
    }

    /// Looks into the gateway, or tells it how to behave.
    pub(super) fn gateway<T>(&self, look: impl FnOnce(&mut Gateway, i64) -> T) -> T {
        self.gateway.with(look)
    }

    /// Until the gateway has called back about everything, and was answered.
    pub(super) async fn called_back(&self) {
        let is_over = || {
            self.gateway(|gateway, _| {
                let mut copies = gateway.book().events().flat_map(|event| &event.copies);
                copies.all(|copy| {
                    copy.due_ms.is_none() && !copy.is_held && copy.attempts.iter().all(|sent| sent.status.is_some())
                })
            })
        };
        let until_over = async {
            while !is_over() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // What has not come by then is missed in what is expected of it.
        let _ = tokio::time::timeout(PATIENCE, until_over).await;
    }

    /// Holds a report of the gateway against everything that is kept.
    pub(super) async fn reconcile(&self, report: &str) -> Reconciled {
        let mut reconciling = Reconciling::default();
        let read = reports::read(report.as_bytes(), |line| reconciling.line(line));
        let table = self.app().store.table();
        let plan = Plan::new(Reading::Still(Now::Newest), Millis(0), fastrand::u128(..));
        let seen = verify::each(table, &plan, |item| reconciling.see(item), |_| {}).await;
        if let Err(why) = read.map_err(|error| error.to_string()).and(seen.map_err(|error| error.to_string())) {
            say(self.paint.red(format_args!("   the report cannot be held against the table: {why}")));
        }
        reconciling.finish()
    }

    /// Ends the system and says how much went otherwise than told.
    pub(super) async fn close(self) -> u32 {
        self.api.abort();
        self.system.stop().await;
        self.gateway.stop().await;
        self.differences
    }

    pub(super) fn app(&self) -> &App {
        self.system.app()
    }

    pub(super) const fn paint(&self) -> Paint {
        self.paint
    }

    /// Until nothing is left to do.
    pub(super) async fn settled(&self) {
        self.system.settled().await;
    }

    pub(super) fn scene(&mut self, title: &str) {
        if self.scenes > 0 {
            say("");
        }
        self.scenes += 1;
        say(self.paint.bold(format_args!("{}. {title}", self.scenes)));
    }

    pub(super) fn expect<T: Display + PartialEq<W>, W: Display>(&mut self, what: &str, seen: &T, wanted: W) {
        if *seen == wanted {
            say(format_args!("   {} {what}: {seen}", self.paint.green("✓")));
        } else {
            self.differences += 1;
            let wanted = self.paint.faint(format_args!("(promised: {wanted})"));
            say(format_args!("   {} {what}: {seen} {wanted}", self.paint.red("✗")));
        }
    }

    pub(super) async fn expect_state(&mut self, who: &str, placed: &Answer, what: &str, wanted: &str) {
        let order = self.order(who, placed).await;
        self.expect(what, &order["state"].as_str().unwrap_or("unknown"), wanted);
    }

    pub(super) async fn expect_balance(&mut self, who: &str, wanted: &str) {
        let account = self.get(who, "/account").await.json();
        self.expect(&format!("{who}'s balance"), &account["balance"].as_str().unwrap_or("unknown"), wanted);
    }

    pub(super) async fn order(&self, who: &str, placed: &Answer) -> Value {
        self.get(who, &format!("/orders/{}", placed.id())).await.json()
    }

    /// What was said about an order, oldest first.
    pub(super) async fn told(&self, who: &str, placed: &Answer) -> Vec<String> {
        let (notifications, order) = (self.get(who, "/notifications").await.json(), placed.id());
        let items = notifications["items"].as_array().cloned().unwrap_or_default();
        let about_it = items.iter().rev().filter(|item| item["order"] == order.as_str());
        about_it.filter_map(|item| item["text"].as_str().map(str::to_owned)).collect()
    }

    pub(super) async fn get(&self, who: &str, path: &str) -> Answer {
        call(self.system.edge.clone(), request(Method::GET, who, path, None, "")).await
    }

    pub(super) async fn post(&self, who: &str, path: &str, key: &str, body: &str) -> Answer {
        call(self.system.edge.clone(), request(Method::POST, who, path, Some(key), body)).await
    }

    /// A call whose path names all that it is about, so that it needs no key.
    pub(super) async fn put(&self, who: &str, path: &str, body: &str) -> Answer {
        call(self.system.edge.clone(), request(Method::PUT, who, path, None, body)).await
    }

    /// Signs up and in, and gives the name to call by from then on: the token.
    pub(super) async fn sign_in(&mut self, email: &str, password: &str) -> String {
        let who = serde_json::json!({ "email": email, "password": password }).to_string();
        let profile = call(self.system.edge.clone(), request(Method::POST, "", "/profiles", None, &who)).await;
        self.expect("there is a profile", &profile.status, 201);
        let session = call(self.system.edge.clone(), request(Method::POST, "", "/sessions", None, &who)).await;
        self.expect("and a token for its password", &session.status, 200);
        format!("{TOKEN}{}", session.json()["token"].as_str().unwrap_or_default())
    }

    /// A call whose path says it all.
    pub(super) async fn ask(&self, who: &str, path: &str) -> Answer {
        call(self.system.edge.clone(), request(Method::POST, who, path, None, "")).await
    }

    /// The same request many times, in parallel.
    pub(super) async fn post_at_once(&self, times: u32, who: &str, path: &str, key: &str, body: &str) -> Vec<Answer> {
        let calls = (0..times).map(|_| {
            let request = request(Method::POST, who, path, Some(key), body);
            tokio::spawn(call(self.system.edge.clone(), request))
        });
        join_all(calls).await.into_iter().map(|answer| answer.unwrap_or_else(|_| nothing())).collect()
    }
}

fn request(method: Method, who: &str, path: &str, key: Option<&str>, body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    // Whoever signed in is named by their token.
    request = match who.strip_prefix(TOKEN) {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request.header("x-user-id", who),
    };
    if let Some((_, scopes)) = WORK_HERE.iter().find(|(name, _)| *name == who) {
        request = request.header("x-user-scopes", *scopes);
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    request.body(Bytes::from(body.to_owned())).expect("the story's requests are well formed")
}

async fn call(edge: Edge, request: Request<Bytes>) -> Answer {
    let (head, body) = edge.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.into_parts();
    let is_replay = head.headers.get("idempotent-replayed").is_some_and(|value| value == "true");
    Answer { status: head.status.as_u16(), is_replay, body }
}

/// What a call that ended without an answer looks like.
fn nothing() -> Answer {
    Answer { status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(), is_replay: false, body: Bytes::new() }
}
