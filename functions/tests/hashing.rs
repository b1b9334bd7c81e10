//! How often a password is hashed: as often for an address that nobody has as for one that somebody has, and never
//! without an attempt that was taken and kept. Alone in its binary, since what it counts is the process's.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "openapi/busy.rs"]
mod busy;
mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::Request;
use local_system::System;
use platform::passwords::computed;
use serde_json::json;
use support::Answer;

const PASSWORD: &str = "correct horse battery staple";

async fn hashed(system: &System, path: &str, email: &str, password: &str) -> (u16, u64) {
    let before = computed();
    let body = json!({ "email": email, "password": password }).to_string();
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    let answer: Answer = system.call(request.body(Bytes::from(body)).unwrap()).await.into();
    (answer.status, computed() - before)
}

#[tokio::test(start_paused = true)]
async fn each_answer_takes_as_many_hashes_as_it_should() {
    let system = support::system();
    let (alice, nobody) = ("alice@example.com", "nobody@example.com");
    assert_eq!(hashed(&system, "/profiles", alice, PASSWORD).await, (201, 1));
    assert_eq!(hashed(&system, "/profiles", alice, PASSWORD).await, (409, 0), "that it is taken is said anyway");
    assert_eq!(hashed(&system, "/profiles", "alice", PASSWORD).await, (422, 0));
    assert_eq!(hashed(&system, "/sessions", alice, PASSWORD).await, (200, 1));
    assert_eq!(hashed(&system, "/sessions", alice, "short").await, (422, 0));
    for email in [alice, nobody] {
        for _ in 0..10 {
            assert_eq!(hashed(&system, "/sessions", email, "correct horse").await, (401, 1), "{email}");
        }
        assert_eq!(hashed(&system, "/sessions", email, PASSWORD).await, (429, 0), "{email}");
    }
    for number in 0..18 {
        let email = format!("a{number}@example.com");
        assert_eq!(hashed(&system, "/profiles", &email, PASSWORD).await, (201, 1));
    }
    assert_eq!(hashed(&system, "/profiles", "late@example.com", PASSWORD).await, (429, 0));

    // An attempt that cannot be kept is none.
    for why in busy::WHY {
        let system = support::system_with(|mut options| {
            let is_busy = Arc::new(AtomicBool::new(true));
            options.network = Arc::new(move |connector| {
                platform::aws::shared(busy::Busy { connector, why, is_busy: Arc::clone(&is_busy) })
            });
            options
        });
        for path in ["/profiles", "/sessions"] {
            assert_eq!(hashed(&system, path, alice, PASSWORD).await, (503, 0), "{why} {path}");
        }
    }
    let lost: local_cloud::Plan = Arc::new(|_, _| local_cloud::Fate::LostBefore);
    let system = support::faulty(lost);
    for path in ["/profiles", "/sessions"] {
        assert_eq!(hashed(&system, path, alice, PASSWORD).await, (503, 0), "{path}");
    }
}
