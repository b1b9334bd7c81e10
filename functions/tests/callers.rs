//! Every route, called by everyone: nobody, the owner, another customer, the bearer of each scope, and of a token that
//! has expired or that nobody known has signed. What comes of it stands in a table, which must have every route.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response};
use local_system::System;
use platform::tokens::{Claims, SigningKey};
use serde_json::Value;
use support::system;

/// Every scope that a token may have.
const SCOPES: [&str; 5] = ["stock", "slots", "courier", "refunds", "operator"];

struct Row {
    route: &'static str,
    body: &'static str,
    /// Nobody need be known.
    is_open: bool,
    /// Without which nobody is answered but that it is missing: `Row { scope: Some("stock"), ..own(…) }`.
    scope: Option<&'static str>,
    /// With one of which another is answered as the owner.
    also: &'static [&'static str],
    /// What the owner is answered, and what another is who may call.
    owner: u16,
    other: u16,
}

const fn open(route: &'static str, body: &'static str, status: u16) -> Row {
    Row { is_open: true, ..own(route, body, status) }
}

/// What each has one of.
const fn own(route: &'static str, body: &'static str, status: u16) -> Row {
    Row { route, body, is_open: false, scope: None, also: &[], owner: status, other: status }
}

/// What is the owner's, and for others as if it were not there.
const fn owners(route: &'static str, body: &'static str, status: u16) -> Row {
    Row { other: 404, ..own(route, body, status) }
}

/// In the path, `{id}` and `{order}` are an order of the owner's, which is cancelled before there is money for it; of payments
/// `{id}` is one of the owner's that was captured, and `{refund}` was given back of it.
const TABLE: &[Row] = &[
    owners("POST /orders/{id}/cancel", "", 200),
    Row { scope: Some("stock"), ..own("PUT /stock/{sku}", r#"{"name":"Tea","price":1}"#, 200) },
    own("GET /stock/{sku}", "", 200),
    own("GET /stock", "", 200),
    Row { scope: Some("stock"), ..own("POST /stock/{sku}/receipts", r#"{"quantity":1}"#, 201) },
    Row { scope: Some("slots"), ..own("PUT /slots/{id}", r#"{"capacity":1}"#, 200) },
    own("GET /slots", "", 200),
    Row { scope: Some("courier"), ..own("POST /deliveries/{order}/accept", "", 409) },
    own("POST /accounts", "", 200),
    own("GET /account", "", 200),
    own("GET /account/entries", "", 200),
    own("POST /deposits", r#"{"amount":1}"#, 201),
    own("POST /orders", r#"{"amount":1}"#, 201),
    own("GET /orders", "", 200),
    owners("GET /orders/{id}", "", 200),
    owners("GET /orders/{id}/timeline", "", 200),
    own("GET /notifications", "", 200),
    own("PUT /webhook", r#"{"url":"https://shop.example/"}"#, 200),
    own("GET /webhook", "", 200),
    // Another's secret, which replaces nobody's.
    own("POST /webhook/secret", r#"{"replaces":"whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}"#, 409),
    own("DELETE /webhook", "", 204),
    own("POST /payments", r#"{"amount":1,"currency":"EUR","reference":"7"}"#, 202),
    own("GET /payments", "", 200),
    Row { also: &["operator"], ..owners("GET /payments/{id}", "", 200) },
    Row { scope: Some("refunds"), ..own("POST /payments/{id}/refunds", r#"{"amount":5}"#, 409) },
    Row { also: &["refunds", "operator"], ..owners("GET /payments/{id}/refunds/{refund}", "", 200) },
    Row { scope: Some("operator"), ..own("POST /payments/{id}/complete", "", 200) },
    Row { scope: Some("operator"), ..own("POST /payments/{id}/fail", "", 409) },
    Row { scope: Some("operator"), ..own("POST /payments/{id}/refunds/{refund}/complete", "", 200) },
    Row { scope: Some("operator"), ..own("POST /payments/{id}/refunds/{refund}/fail", "", 409) },
    Row { scope: Some("operator"), ..own("GET /reviews", "", 200) },
    Row { scope: Some("operator"), ..own("POST /reports/{key}/dismiss", "", 404) },
    // Whoever is known by a token has signed nothing.
    open("POST /payments/callback", "{}", 401),
    open("GET /openapi.json", "", 200),
    open("POST /profiles", r#"{"email":"a@b","password":"1234567"}"#, 422),
    open("POST /sessions", r#"{"email":"a@b","password":"1234567"}"#, 422),
    open("GET /.well-known/jwks.json", "", 200),
];

/// Somebody who calls, with a token or without.
struct Who {
    called: String,
    scopes: String,
    token: Option<String>,
}

impl Who {
    fn has(&self, scope: &str) -> bool {
        self.scopes.split(' ').any(|held| held == scope)
    }

    fn may(&self, row: &Row) -> bool {
        row.scope.is_none_or(|scope| self.has(scope))
    }
}

/// What the paths name.
struct Ids {
    order: String,
    payment: String,
    refund: String,
}

impl Ids {
    /// Of what is not there.
    fn none() -> Self {
        let none = || "a".repeat(32);
        Self { order: none(), payment: none(), refund: none() }
    }
}

async fn call(system: &System, row: &Row, who: &Who, ids: &Ids) -> Response<Bytes> {
    let (method, path) = row.route.split_once(' ').unwrap();
    let id = if path.starts_with("/payments") { &ids.payment } else { &ids.order };
    let path = path.replace("{id}", id).replace("{order}", &ids.order).replace("{sku}", "TEA");
    let path = path.replace("{refund}", &ids.refund).replace("{key}", &format!("charge-{}", ids.payment));
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(token) = &who.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request = request.header("content-type", "application/json");
    if method != "GET" {
        request = request.header("idempotency-key", format!("{} by {}", row.route.len(), who.called).replace(' ', "-"));
    }
    system.call(request.body(Bytes::from(row.body)).unwrap()).await
}

fn said(response: &Response<Bytes>) -> (u16, String) {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let said =
        if response.status().is_success() { "" } else { body["code"].as_str().or(body["message"].as_str()).unwrap() };
    (response.status().as_u16(), said.to_owned())
}

#[tokio::test(start_paused = true)]
async fn every_route_answers_every_caller_as_the_table_says() {
    let system = system();
    let routes = system.cloud.stack().api.as_ref().unwrap().routes.iter();
    let routes: BTreeSet<String> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    let in_the_table: BTreeSet<String> = TABLE.iter().map(|row| row.route.to_owned()).collect();
    assert_eq!(routes, in_the_table, "left: template.yaml; right: the table in this test");
    assert_eq!(TABLE.len(), in_the_table.len(), "a route is in the table twice");

    let (key, strange) = (SigningKey::from_text(support::SIGNING_KEY).unwrap(), SigningKey::generate().unwrap());
    let strange = SigningKey::from_pkcs8(&strange).unwrap();
    let now = system.app().now().as_seconds();
    let claims = |subject: &str, exp: i64, scope: &str| Claims {
        sub: subject.to_owned(),
        ..support::claims(&system, exp, scope)
    };
    let known = |called: &str, subject: &str, scopes: &str| Who {
        called: called.to_owned(),
        scopes: scopes.to_owned(),
        token: Some(key.sign(&claims(subject, now + 600, scopes)).unwrap()),
    };
    let owner = known("owner", "alice", "");
    let others = std::iter::once(known("other", "bob", ""))
        .chain(SCOPES.iter().map(|scope| known(scope, &format!("{scope} keeper"), scope)))
        .chain([known("all", "keeper of all", &SCOPES.join(" "))]);
    let others: Vec<Who> = others.collect();
    let with_token =
        |called: &str, token: Option<String>| Who { called: called.to_owned(), scopes: String::new(), token };
    let all = SCOPES.join(" ");
    let nobody = with_token("nobody", None);
    let expired = with_token("expired", Some(key.sign(&claims("alice", now - 600, &all)).unwrap()));
    let forged = with_token("forged", Some(strange.sign(&claims("alice", now + 600, &all)).unwrap()));

    let row = |route: &str| TABLE.iter().find(|row| row.route == route).unwrap();
    for who in others.iter().chain([&owner]) {
        call(&system, row("POST /accounts"), who, &Ids::none()).await;
    }
    let made = async |route: &str, body: &'static str, who: &Who, ids: &Ids| {
        let row = Row { body, ..*row(route) };
        let made: Value = serde_json::from_slice(call(&system, &row, who, ids).await.body()).unwrap();
        system.settled().await;
        made["id"].as_str().unwrap_or_else(|| panic!("{route}: {made}")).to_owned()
    };
    // Under keys of their own.
    let (before, refunder) = (known("before", "alice", ""), known("before", "refunds keeper", "refunds"));
    let mut ids = Ids::none();
    ids.order = made("POST /orders", r#"{"amount":1}"#, &before, &ids).await;
    ids.payment = made("POST /payments", r#"{"amount":2,"currency":"EUR","reference":"8"}"#, &before, &ids).await;
    ids.refund = made("POST /payments/{id}/refunds", r#"{"amount":1}"#, &refunder, &ids).await;

    for row in TABLE {
        let answered = async |who: &Who| said(&call(&system, row, who, &ids).await);
        let shown = |who: &Who| format!("{} by {}", row.route, who.called);
        if row.is_open {
            for who in others.iter().chain([&owner, &nobody, &expired, &forged]) {
                assert_eq!(answered(who).await.0, row.owner, "{}", shown(who));
            }
            continue;
        }
        assert_eq!(answered(&nobody).await, (401, "Unauthorized".to_owned()), "{}", row.route);
        for who in [&expired, &forged] {
            assert_eq!(answered(who).await, (403, "Forbidden".to_owned()), "{}", shown(who));
        }
        let status_of = |who: &Who| if row.also.iter().any(|scope| who.has(scope)) { row.owner } else { row.other };
        for (who, status) in others.iter().map(|who| (who, status_of(who))).chain([(&owner, row.owner)]) {
            if !who.may(row) {
                assert_eq!(answered(who).await, (403, "scope_missing".to_owned()), "{}", shown(who));
                continue;
            }
            assert_eq!(answered(who).await.0, status, "{}", shown(who));
            if status == 404 {
                // As if it were not there: the same as what is not.
                let theirs = call(&system, row, who, &ids).await;
                let none = call(&system, row, who, &Ids::none()).await;
                assert_eq!(theirs.body(), none.body(), "{}", shown(who));
            }
        }
    }
    support::promises_hold(&system).await;
}
