//! Signing up and in, through HTTP: whom a token names, what a wrong password is told, and how often it may be tried.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::books::Key;
use domain::ids::{CustomerId, Nonce, ProfileId};
use domain::profiles::{self, PasswordHash, Profile, SignUp};
use futures_util::future::join_all;
use http::{Request, Response};
use local_system::System;
use platform::store::Needs;
use platform::tokens::{self, Claims, SigningKey};
use serde_json::{Value, json};
use support::{Answer, promises_hold, system, system_with};

const EMAIL: &str = "alice@example.com";
const PASSWORD: &str = "correct horse battery staple";
const WRONG: &str = "correct horse";

fn source(number: u8) -> IpAddr {
    [192, 0, 2, number].into()
}

async fn post(system: &System, from: IpAddr, path: &str, email: &str, password: &str) -> Response<Bytes> {
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    let body = json!({ "email": email, "password": password }).to_string();
    system.edge.answer(request.body(body.into()).unwrap(), from).await
}

async fn sign_up(system: &System, email: &str) -> Answer {
    post(system, source(1), "/profiles", email, PASSWORD).await.into()
}

async fn sign_in(system: &System, number: u8, email: &str, password: &str) -> Answer {
    post(system, source(number), "/sessions", email, password).await.into()
}

async fn with_token(system: &System, token: &str, request: http::request::Builder, body: &str) -> Answer {
    let request = request.header("host", "localhost").header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json").header("idempotency-key", "k");
    system.call(request.body(body.to_owned().into()).unwrap()).await.into()
}

#[tokio::test(start_paused = true)]
async fn a_token_names_the_customer_that_signed_up() {
    let system = system();
    let customer = sign_up(&system, EMAIL).await.expect(201).get("customer");
    let answer = sign_in(&system, 1, "ALICE@example.com", PASSWORD).await.expect(200);
    assert_eq!((answer.get("token_type"), &answer.json()["expires_in"]), ("Bearer".to_owned(), &json!(3_600)));
    let token = answer.get("token");
    let deposit = with_token(&system, &token, Request::post("/deposits"), r#"{"amount":1000}"#).await.expect(201);
    assert_eq!(deposit.get("balance"), "1000.00");
    let order = with_token(&system, &token, Request::post("/orders"), r#"{"amount":999.99}"#).await.expect(201).id();
    system.settled().await;
    let account = with_token(&system, &token, Request::get("/account"), "").await.expect(200);
    assert_eq!((account.get("id"), account.get("balance")), (customer.clone(), "0.01".to_owned()));
    let order = with_token(&system, &token, Request::get(format!("/orders/{order}")), "").await.expect(200);
    assert_eq!(order.get("state"), "completed");
    // The same person an hour later, whose token is no good any more, with a new one.
    tokio::time::advance(Duration::from_secs(3_600 + 31)).await;
    assert_eq!(with_token(&system, &token, Request::get("/account"), "").await.status, 403);
    let token = sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200).get("token");
    assert_eq!(with_token(&system, &token, Request::get("/account"), "").await.expect(200).id(), customer);
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_tells_neither_the_address_nor_of_any_scope() {
    let system = system();
    let customer = sign_up(&system, EMAIL).await.expect(201).get("customer");
    let token = sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200).get("token");
    let app = system.app();
    let claims: Claims = tokens::verify(&token, &app.config.tokens, app.now()).unwrap();
    assert_eq!(CustomerId::of(&claims.iss, &claims.sub).to_string(), customer);
    assert_eq!((claims.scope.as_str(), claims.exp), ("", app.now().as_seconds() + 3_600));
    let id = ProfileId::of_email(EMAIL).unwrap();
    assert!(!claims.sub.contains("alice") && claims.sub != id.to_string(), "{}", claims.sub);
    let again = sign_up(&self::system(), EMAIL).await.expect(201).get("customer");
    assert_ne!(again, customer, "it does not follow from the address");
}

#[tokio::test(start_paused = true)]
async fn an_address_is_signed_up_once_however_it_is_written() {
    let system = system();
    let customer = sign_up(&system, EMAIL).await.expect(201).get("customer");
    for again in [EMAIL, "Alice@Example.COM"] {
        assert_eq!(sign_up(&system, again).await.expect(409).code(), "email_taken");
    }
    assert_ne!(sign_up(&system, "alice@example.org").await.expect(201).get("customer"), customer);
    let rivals = join_all((0..8).map(|_| sign_up(&system, "bob@example.com"))).await;
    assert_eq!(rivals.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(rivals.iter().all(|answer| answer.status == 201 || answer.code() == "email_taken"));
    promises_hold(&system).await;
}

/// Everything but what the gateway calls the request.
fn shown(response: &Response<Bytes>) -> (u16, Vec<(String, String)>, Bytes) {
    let headers = response.headers().iter().filter(|(name, _)| *name != "apigw-requestid");
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (response.status().as_u16(), headers.collect(), response.body().clone())
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_and_an_unknown_address_look_the_same_until_the_end() {
    let system = system();
    sign_up(&system, EMAIL).await.expect(201);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let wrong = post(&system, source(1), "/sessions", EMAIL, WRONG).await;
        let unknown = post(&system, source(1), "/sessions", "nobody@example.com", WRONG).await;
        assert_eq!(shown(&wrong), shown(&unknown));
        statuses.push(wrong.status().as_u16());
    }
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
    // Right or wrong, there is no attempt left; and then there is one.
    let right = post(&system, source(1), "/sessions", EMAIL, PASSWORD).await;
    assert_eq!((right.status().as_u16(), &right.headers()["retry-after"]), (429, &"360".parse().unwrap()));
    tokio::time::advance(Duration::from_secs(359)).await;
    let early = post(&system, source(1), "/sessions", EMAIL, PASSWORD).await;
    assert_eq!((early.status().as_u16(), &early.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    tokio::time::advance(Duration::from_secs(1)).await;
    sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn guesses_at_the_same_time_are_no_more_than_guesses_one_by_one() {
    let system = system();
    sign_up(&system, EMAIL).await.expect(201);
    for email in [EMAIL, "nobody@example.com"] {
        let answers = join_all((0..40).map(|_| sign_in(&system, 2, email, WRONG))).await;
        let (mut compared, mut refused) = (0, 0);
        for answer in answers {
            match answer.status {
                401 => compared += 1,
                429 | 503 => refused += 1,
                other => panic!("{other}"),
            }
        }
        assert!(compared <= 10 && compared + refused == 40, "{email}: {compared} were compared");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_lock_an_owner_out_of_her_own_place() {
    let system = system();
    sign_up(&system, EMAIL).await.expect(201);
    sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200);
    for number in 10..30 {
        sign_in(&system, number, EMAIL, WRONG).await.expect(401);
    }
    // Whoever is new here is refused, with the right password too: it may be a guess.
    for password in [WRONG, PASSWORD] {
        let refused = post(&system, source(200), "/sessions", EMAIL, password).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"900".parse().unwrap()));
    }
    for _ in 0..30 {
        sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200);
    }
    sign_up(&system, "bob@example.com").await.expect(201);
    sign_in(&system, 200, "bob@example.com", PASSWORD).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn one_source_may_not_try_all_addresses_and_a_network_of_ipv6_is_one() {
    let system = system();
    let mut tried = 0;
    for number in 0..120_u16 {
        let from: IpAddr = format!("2001:db8:7:9::{number:x}").parse().unwrap();
        let answer: Answer = post(&system, from, "/sessions", &format!("a{number}@example.com"), WRONG).await.into();
        if answer.status == 429 {
            assert_eq!(answer.code(), "too_many_attempts");
            break;
        }
        answer.expect(401);
        tried += 1;
    }
    assert_eq!(tried, 100);
    let from: IpAddr = "2001:db8:7:a::1".parse().unwrap();
    assert_eq!(post(&system, from, "/sessions", "a@example.com", WRONG).await.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn what_attempts_leave_behind_is_forgotten() {
    let system = system();
    sign_in(&system, 1, "nobody@example.com", WRONG).await.expect(401);
    let fingerprint = || async { platform::verify::fingerprint(system.app().store.table()).await.unwrap() };
    let before = platform::verify::fingerprint(self::system().app().store.table()).await.unwrap();
    assert_ne!(fingerprint().await, before);
    tokio::time::sleep(Duration::from_secs(20 * 60)).await;
    assert_eq!(fingerprint().await, before);
}

#[tokio::test(start_paused = true)]
async fn an_older_hash_is_replaced_when_its_owner_signs_in() {
    let system = system();
    // "correct horse battery staple" with 8 KiB and one pass.
    let weak = "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiBhbiBvbGRlciBkYXk$8xN/5ppTDnm35LNcvEaFOIsGQqAndXQLbzkh2SCkvm4";
    let id = ProfileId::of_email(EMAIL).unwrap();
    let old = SignUp { id, nonce: Nonce::of(&[7; 32]), password: PasswordHash::new(weak.to_owned()) };
    let store = &system.app().store;
    let made = store.decide(Needs::presume_absent(Key::Profile(id)), |books, now| {
        books.decide(|draft| profiles::sign_up(draft, &old, now))
    });
    let made = made.await.unwrap();
    let kept = || async { store.table().get::<Profile>(&Key::Profile(id)).await.unwrap().unwrap() };
    sign_in(&system, 1, EMAIL, WRONG).await.expect(401);
    assert_eq!(kept().await, made);
    sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200);
    let renewed = kept().await;
    assert!(renewed.password.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", renewed.password.as_phc());
    assert_eq!(Profile { password: made.password.clone(), ..renewed.clone() }, made);
    sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200);
    assert_eq!(kept().await, renewed, "once");
    promises_hold(&system).await;
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_a_key_refuses_and_keeps_nothing() {
    let system = system_with(|mut options| {
        options
            .parameters
            .insert("TokenKeys".to_owned(), SigningKey::from_text(support::SIGNING_KEY).unwrap().key_set());
        options
    });
    let before = platform::verify::fingerprint(system.app().store.table()).await.unwrap();
    for path in ["/profiles", "/sessions"] {
        let answer: Answer = post(&system, source(1), path, EMAIL, PASSWORD).await.into();
        assert_eq!(answer.expect(501).code(), "sign_in_not_set_up");
    }
    assert_eq!(platform::verify::fingerprint(system.app().store.table()).await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn an_outside_issuer_is_believed_with_its_scopes_and_its_people_are_others() {
    let outside = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let system = system_with(|mut options| {
        for (name, value) in [
            ("OutsideIssuer", "https://outside.example"),
            ("OutsideAudience", "shop"),
            ("OutsideKeys", &outside.key_set()),
        ] {
            options.parameters.insert(name.to_owned(), value.to_owned());
        }
        options
    });
    let ours = SigningKey::from_text(support::SIGNING_KEY).unwrap();
    let until = system.app().now().as_seconds() + 600;
    let of_ours = support::claims(&system, until, "");
    let of_theirs = Claims {
        iss: "https://outside.example".to_owned(),
        aud: tokens::Audience::One("shop".to_owned()),
        ..support::claims(&system, until, "stock slots")
    };
    let mut customers = Vec::new();
    for (key, claims) in [(&ours, &of_ours), (&outside, &of_theirs)] {
        let token = key.sign(claims).unwrap();
        customers.push(with_token(&system, &token, Request::post("/accounts"), "").await.expect(201).id());
    }
    assert_ne!(customers[0], customers[1], "both are alice, of another issuer each");
    for (key, claims) in [(&ours, &of_theirs), (&outside, &of_ours)] {
        let token = key.sign(claims).unwrap();
        assert_eq!(with_token(&system, &token, Request::get("/account"), "").await.status, 403);
    }
    let event = json!({ "headers": { "authorization": format!("Bearer {}", outside.sign(&of_theirs).unwrap()) } });
    let word = system.cloud.invoke("Authorize", event).await.unwrap();
    assert_eq!((&word["isAuthorized"], &word["context"]["scope"]), (&json!(true), &json!("stock slots")));
}

#[tokio::test(start_paused = true)]
async fn the_keys_are_for_everyone_and_believe_what_is_signed_here() {
    let system = system();
    let request = Request::get("/.well-known/jwks.json").header("host", "localhost");
    let answer = system.call(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["cache-control"]),
        (200, &"public, max-age=300".parse().unwrap())
    );
    let keys: Value = serde_json::from_slice(answer.body()).unwrap();
    let own = SigningKey::from_text(support::SIGNING_KEY).unwrap();
    assert_eq!(keys, serde_json::from_str::<Value>(&own.key_set()).unwrap());
    assert!(tokens::Keys::from_json(&keys.to_string()).unwrap().believe(&own));
}

/// At the finest level that a stack can be set to, of our own code and of everything under it.
#[tokio::test(start_paused = true)]
async fn no_log_has_an_address_or_a_password() {
    let written: Arc<Mutex<Vec<u8>>> = Arc::default();
    let writer = Arc::clone(&written);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || Written(Arc::clone(&writer)))
        .finish();
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let system = system();
    sign_up(&system, EMAIL).await.expect(201);
    sign_up(&system, EMAIL).await.expect(409);
    for (email, password, status) in
        [(EMAIL, PASSWORD, 200), (EMAIL, WRONG, 401), ("nobody@example.com", WRONG, 401), (EMAIL, "short", 422)]
    {
        sign_in(&system, 1, email, password).await.expect(status);
    }
    let token = sign_in(&system, 1, EMAIL, PASSWORD).await.expect(200).get("token");
    assert_eq!(with_token(&system, "not.a.token", Request::get("/account"), "").await.status, 403);
    let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert!(written.contains("a token was not believed"), "nothing is written at all");
    for secret in
        ["alice@example.com", "nobody@example.com", PASSWORD, WRONG, "$argon2id", &token, support::SIGNING_KEY]
    {
        assert!(!written.contains(secret), "{secret} is in the log");
    }
}

struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
