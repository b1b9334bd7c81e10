//! The controls: the mood, what is to go wrong next, and what they say to nonsense.

use gateway::{Mischief, Mood};
use serde_json::{Value, json};

use crate::support::Caller;

#[test]
fn the_mood_is_read_and_put() {
    let mut caller = Caller::of(Mood::usual(), 1);
    assert_eq!(caller.get("/mood").json(), json!(Mood::usual()));
    let put = caller.control("PUT", "/mood", &json!({"rates": {"timeout_after": 10_000}}));
    assert_eq!((put.status, &put.json()["rates"]), (200, &json!({"timeout_after": 10_000})));
    assert_eq!(caller.charge("key-1").status, 0);
    let named = caller.control("PUT", "/mood", &json!({"name": "foul", "rates": {"decline": 0}}));
    let mut expected = Mood::foul();
    expected.rates.insert(Mischief::Decline, 0);
    assert_eq!(named.json(), json!(expected));
    caller.control("PUT", "/mood", &json!({"name": "calm", "timing": {"silence_ms": 1}}));
    assert_eq!(caller.gateway.mood().timing.silence_ms, 1);
    assert_eq!(caller.gateway.mood().timing.settle_ms, Mood::calm().timing.settle_ms);
}

#[test]
fn what_is_to_go_wrong_next_is_listed_until_it_has() {
    let mut caller = Caller::calm();
    let order = json!({"mischiefs": ["too_many"], "times": 2, "call": "charge"});
    assert_eq!(caller.control("POST", "/moods/next", &order).json(), json!({"next": [order]}));
    caller.charge("key-1");
    let left = json!({"next": [{"mischiefs": ["too_many"], "times": 1, "call": "charge"}]});
    assert_eq!(caller.get("/moods/next").json(), left);
    caller.charge("key-1");
    assert_eq!(caller.get("/moods/next").json(), json!({"next": []}));
    caller.control("POST", "/moods/next", &json!({"mischiefs": []}));
    assert_eq!(caller.control("DELETE", "/moods/next", &json!(null)).json(), json!({"next": []}));
}

#[test]
fn nonsense_is_told_what_is_wrong_and_changes_nothing() {
    let mut caller = Caller::of(Mood::usual(), 1);
    for (method, path, body, names) in [
        ("PUT", "/mood", json!({"name": "jolly"}), "calm, usual, foul"),
        ("PUT", "/mood", json!({"rates": {"slow": 10_001}}), "slow is 10001"),
        ("PUT", "/mood", json!({"rates": {"worse": 1}}), "worse"),
        ("PUT", "/mood", json!({"rates": {"slow": -1}}), "-1"),
        ("PUT", "/mood", json!({"rates": {"slow": 0.5}}), "0.5"),
        ("PUT", "/mood", json!({"timing": {"settle_ms": [5, 1]}}), "settle_ms"),
        ("PUT", "/mood", json!({"timing": {"silence_ms": u64::MAX}}), "silence_ms"),
        ("PUT", "/mood", json!({"weather": "rain"}), "weather"),
        ("PUT", "/mood", json!(7), "7"),
        ("POST", "/moods/next", json!({"mischiefs": ["worse"]}), "worse"),
        ("POST", "/moods/next", json!({"mischiefs": [], "times": 0}), "times is 0"),
        ("POST", "/moods/next", json!({}), "mischiefs"),
        ("POST", "/outage", json!({"for_ms": 0}), "for_ms is 0"),
        ("POST", "/outage", json!({"for_ms": u64::MAX}), "for_ms"),
        ("POST", "/outage", json!({"for_ms": 1, "how": "loudly"}), "loudly"),
        ("POST", "/outage", json!({}), "for_ms"),
        ("GET", "/book?id=1", Value::Null, "id"),
        ("GET", "/report.csv?from=yesterday", Value::Null, "yesterday"),
        ("GET", "/report.csv?since=1", Value::Null, "since"),
    ] {
        let said = caller.control(method, path, &body);
        let error = &said.json()["error"];
        assert_eq!((said.status, &error["code"]), (400, &json!("invalid")), "{method} {path} {body}");
        assert!(error["message"].as_str().unwrap().contains(names), "{path} {body}: {}", error["message"]);
    }
    for (method, path, allow) in [
        ("POST", "/mood", "GET, PUT"),
        ("PUT", "/moods/next", "GET, POST, DELETE"),
        ("PATCH", "/outage", "GET, POST, DELETE"),
        ("POST", "/book", "GET"),
        ("DELETE", "/report.csv", "GET"),
        ("PUT", "/book/findings", "GET"),
    ] {
        let said = caller.control(method, path, &json!(null));
        assert_eq!((said.status, said.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    assert_eq!(caller.gateway.mood(), &Mood::usual());
    assert_eq!(caller.get("/moods/next").json(), json!({"next": []}));
    assert_eq!(caller.get("/outage").json(), json!({"outage": null}));
    assert_eq!(caller.gateway.book().calls().count(), 0, "who controls it does not call it");
}
