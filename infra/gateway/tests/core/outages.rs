//! Outages: nobody answers and nobody calls back, for as long as they last.

use gateway::{Outage, OutageKind};
use serde_json::json;

use crate::support::{Caller, START};

#[test]
fn nothing_is_done_and_each_call_is_counted() {
    for (how, status, after_ms) in
        [(OutageKind::Errors, 503, 0), (OutageKind::Silence, 0, 30_000), (OutageKind::Refused, 0, 0)]
    {
        let mut caller = Caller::calm();
        caller.charge("before");
        caller.gateway.set_outage(Some(Outage { until_ms: START + 600_000, how }));
        for said in [caller.charge("during"), caller.intent("during-2"), caller.get("/charges?key=before")] {
            assert_eq!((said.status, said.after_ms), (status, after_ms), "{how:?}");
        }
        assert_eq!(caller.gateway.book().calls().filter(|call| call.in_outage).count(), 3);
        assert_eq!(caller.charges(), 1);
        assert_eq!(caller.wait(599_999).charge("during").status, status);
        assert_eq!(caller.wait(1).charge("during").status, 201, "{how:?}");
        assert_eq!(caller.charges(), 2);
    }
}

#[test]
fn callbacks_wait_until_it_is_over() {
    let mut caller = Caller::calm();
    caller.charge("key-1");
    caller.gateway.set_outage(Some(Outage { until_ms: START + 600_000, how: OutageKind::Errors }));
    let heard = caller.hear_all();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].at, START + 600_000);
    assert!(heard[0].is_genuine(), "signed when it was sent");
}

#[test]
fn controls_answer_all_the_same() {
    let mut caller = Caller::calm();
    let begun = caller.control("POST", "/outage", &json!({"for_ms": 600_000, "how": "silence"}));
    let expected = json!({"outage": {"until": "2026-11-21T06:03:03Z", "how": "silence"}});
    assert_eq!((begun.status, begun.json()), (200, expected.clone()));
    assert_eq!(caller.get("/outage").json(), expected);
    assert_eq!(caller.charge("key-1").status, 0);
    assert_eq!(caller.get("/book").json()["charges"], json!([]));
    assert_eq!(caller.control("DELETE", "/outage", &json!(null)).json(), json!({"outage": null}));
    assert_eq!(caller.charge("key-1").status, 201);
    caller.control("POST", "/outage", &json!({"for_ms": 5}));
    assert_eq!(caller.wait(5).get("/outage").json(), json!({"outage": null}), "it ends by itself");
}
