//! Where the story is played: the system over a temporary state, calls in the names of its people, and a line for
//! each thing that was to be seen, with what was seen instead where that differs.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use local_cloud::edge::Edge;
use local_cloud::{Clock, Storage};
use local_system::{Options, System};
use platform::App;
use platform::tokens::SigningKey;
use serde_json::Value;
use tempfile::TempDir;

use crate::failure::Failure;
use crate::terminal::{Paint, say};

/// Who may do more than what is their own, and what.
const WORK_HERE: [(&str, &str); 2] = [("olga", "stock slots"), ("carl", "courier")];

/// What a name begins with that is a token.
const TOKEN: &str = "token ";

pub(super) struct Stage {
    system: System,
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
    pub(super) fn open(paint: Paint) -> Result<Self, Failure> {
        let state = tempfile::Builder::new().prefix("paidonce-demo-").tempdir();
        let state = state.map_err(|error| Failure::Failed(format!("no temporary directory can be made: {error}")))?;
        let storage = Storage::Directory(state.path().to_owned());
        let cloud = local_cloud::Options::new(storage, Clock::wall(), fastrand::u64(..));
        let mut options = Options::new(cloud);
        let key = SigningKey::generate().and_then(|key| Ok((SigningKey::from_pkcs8(&key)?, key)));
        let (key, bytes) = key.map_err(|error| Failure::Failed(format!("no key can be made: {error}")))?;
        options.parameters.insert("TokenKeys".to_owned(), key.key_set());
        options.parameters.insert("SigningKey".to_owned(), SigningKey::as_text(&bytes));
        let system = System::start(options)?;
        Ok(Self { system, paint, scenes: 0, differences: 0, _state: state })
    }

    /// Ends the system and says how much went otherwise than told.
    pub(super) async fn close(self) -> u32 {
        self.system.stop().await;
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
