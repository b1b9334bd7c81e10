//! The book: what it shows, the report, what it finds wrong, and that it outlives the gateway.

use gateway::{Gateway, Mischief, Mood, Settings};
use serde_json::json;

use crate::support::{Caller, START, id, settings};

const DAY_MS: i64 = 24 * 3_600_000;

#[test]
fn it_shows_what_was_asked_and_how_it_was_answered() {
    let mut caller = Caller::calm();
    caller.next(&[Mischief::TimeoutAfter]).charge("key-1");
    let charge = id(&caller.wait(1_000).charge("key-1"));
    caller.charge("key-2");
    caller.refund("refund-1", &charge, 99);
    caller.hear_all();
    let book = caller.get("/book?key=key-1").json();
    let calls: Vec<_> = book["calls"].as_array().unwrap().iter().collect();
    let shown: Vec<_> = calls
        .iter()
        .map(|call| (call["key"].as_str().unwrap(), call["mischief"].as_str(), call["status"].as_u64()))
        .collect();
    let expected = [("key-1", Some("timeout_after"), None), ("key-1", None, Some(201)), ("refund-1", None, Some(201))];
    assert_eq!(shown, expected);
    assert_eq!(calls[1]["is_replay"], json!(true));
    assert_eq!(book["charges"].as_array().unwrap().len(), 1);
    assert_eq!((&book["charges"][0]["amount"], &book["charges"][0]["refunded"]), (&json!(150_099), &json!(99)));
    assert_eq!(book["refunds"][0]["charge"], json!(charge));
    let kinds: Vec<_> =
        book["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["charge.captured", "refund.done"]);
    assert_eq!(book["events"][0]["copies"][0]["attempts"][0]["status"], 200);
    assert_eq!(caller.get("/book?reference=order%20of%20key-2").json()["charges"][0]["key"], "key-2");
    assert_eq!(caller.get("/book?key=refund-1").json()["charges"][0]["id"], json!(charge));
    assert_eq!(caller.get("/book").json()["charges"].as_array().unwrap().len(), 2);
    assert_eq!(caller.get("/book?key=none").json()["charges"], json!([]));
}

#[test]
fn it_keeps_the_latest_calls_one_by_one() {
    let mut caller = Caller::calm();
    caller.gateway = Gateway::new(Settings { calls_kept: 3, ..settings() }, Mood::calm(), 1);
    (0..5).for_each(|place| drop(caller.charge(&format!("key-{place}"))));
    let keys: Vec<_> = caller.gateway.book().calls().map(|call| call.key.clone().unwrap()).collect();
    assert_eq!(
        (keys.as_slice(), caller.gateway.book().calls_forgotten()),
        (&["key-2", "key-3", "key-4"].map(str::to_owned)[..], 2)
    );
    assert_eq!(caller.charges(), 5);
}

#[test]
fn the_report_has_a_line_for_each_movement_of_money() {
    let mut caller = Caller::calm();
    let charge = id(&caller.charge("key-1"));
    let body = json!({"amount": 5, "currency": "JPY", "reference": "say \"five\", please"});
    let other = id(&caller.wait(1_000).post("/charges", "key-2", &body));
    caller.next(&[Mischief::Decline]).charge("key-3");
    let refund = id(&caller.wait(1_000).refund("refund-1", &charge, 99));
    caller.next(&[Mischief::SettleLater]).charge("key-4");
    let lines = [
        "kind,id,charge,key,reference,amount,currency,at".to_owned(),
        format!("charge,{charge},{charge},key-1,order of key-1,150099,EUR,2026-11-21T05:53:03Z"),
        format!("charge,{other},{other},key-2,\"say \"\"five\"\", please\",5,JPY,2026-11-21T05:53:04Z"),
        format!("refund,{refund},{charge},refund-1,order of key-1,99,EUR,2026-11-21T05:53:05Z"),
    ];
    let said = caller.get("/report.csv");
    assert_eq!(said.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(said.text, format!("{}\n", lines.join("\n")));
    let bounded = caller.get("/report.csv?from=2026-11-21T05:53:04Z&to=2026-11-21T05:53:05Z").text;
    assert_eq!(bounded, format!("{}\n{}\n", lines[0], lines[2]));
}

#[test]
fn it_finds_two_charges_for_one_reference_under_two_keys() {
    let mut caller = Caller::calm();
    let body = json!({"amount": 5, "currency": "EUR", "reference": "payment 7"});
    let charges = [id(&caller.post("/charges", "key-1", &body)), id(&caller.post("/charges", "key-2", &body))];
    let expected = json!([
        {"finding": "two_charges_for_reference", "protocol": "plain", "reference": "payment 7", "charges": charges},
    ]);
    assert_eq!(caller.get("/book/findings").json()["findings"], expected);
    let mut caller = Caller::calm();
    caller.next(&[Mischief::Decline]).post("/charges", "key-1", &body);
    caller.post("/charges", "key-2", &body);
    assert_eq!(caller.get("/book/findings").json()["findings"], json!([]), "what was declined is no charge");
}

/// Also when the first settles after the second, and after a restart.
#[test]
fn it_finds_what_becomes_two_later() {
    let mut caller = journaled();
    let body = json!({"amount": 5, "currency": "EUR", "reference": "payment 7"});
    caller.next(&[Mischief::SettleLater]).post("/charges", "key-1", &body);
    caller.post("/charges", "key-2", &body);
    assert!(caller.gateway.book().findings().is_empty(), "one is pending");
    caller.hear_all();
    let findings = caller.gateway.book().findings();
    assert_eq!(findings.len(), 1);
    assert_eq!(caller.gateway.book().charges_for(gateway::Protocol::Plain, "payment 7").count(), 2);
    let journal = caller.gateway.take_journal().join("\n") + "\n";
    assert_eq!(restored(&journal, caller.now).gateway.book().findings(), findings);
}

#[test]
fn it_finds_two_refunds_under_one_key() {
    let mut caller = Caller::calm();
    let charge = id(&caller.charge("key-1"));
    caller.refund("refund-1", &charge, 1);
    caller.wait(DAY_MS).refund("refund-1", &charge, 1);
    let findings = caller.get("/book/findings").json()["findings"].clone();
    assert_eq!((findings[0]["finding"].as_str(), &findings[1]), (Some("two_refunds_for_key"), &json!(null)));
}

fn journaled() -> Caller {
    let mut caller = Caller::calm();
    caller.gateway.keep_journal();
    caller
}

fn restored(journal: &str, now: i64) -> Caller {
    let gateway = Gateway::restored(settings(), Mood::calm(), 7, journal, now).unwrap();
    Caller { gateway, now }
}

#[test]
fn it_outlives_the_gateway() {
    let mut caller = journaled();
    let first = caller.charge("key-1");
    caller.next(&[Mischief::SettleLater]).intent("key-2");
    caller.refund("refund-1", &id(&first), 99);
    let sent = caller.wait(300).gateway.due(START + 300);
    assert!(!sent.is_empty(), "and nobody said how they were answered");
    let journal = caller.gateway.take_journal().join("\n") + "\n";
    let whole = caller.gateway.whole_journal();
    assert!(whole.len() < journal.lines().count(), "the whole has each thing once");
    for journal in [journal, whole.join("\n") + "\n"] {
        let mut again = restored(&journal, START + 400);
        assert!(again.charge("key-1").is_replay());
        assert_eq!(again.charge("key-1").text, first.text);
        assert_eq!(again.get(&format!("/charges/{}", id(&first))).json()["refunded"], 99);
        let heard = again.hear_all();
        let events: Vec<_> = sent.iter().map(|callback| callback.id.event.clone()).collect();
        assert!(
            events.iter().all(|event| heard.iter().any(|heard| heard.id == *event)),
            "what was on its way goes again"
        );
        let kinds: Vec<_> = heard.iter().map(crate::support::Heard::kind).collect();
        assert!(kinds.contains(&"payment_intent.succeeded".to_owned()), "what was pending settles: {kinds:?}");
        assert_eq!(again.charges(), 2);
        let numbers = |caller: &Caller| caller.gateway.book().charges().map(|charge| charge.number).max();
        let before = numbers(&again);
        again.charge("key-9");
        assert!(numbers(&again) > before, "it counts on from where it was");
        assert!(again.gateway.book().findings().is_empty());
    }
}

#[test]
fn keys_that_are_forgotten_are_not_written_again() {
    let mut caller = journaled();
    caller.charge("key-1");
    caller.wait(DAY_MS - 1).charge("key-2");
    let journal = caller.gateway.take_journal().join("\n") + "\n";
    let again = restored(&journal, caller.now + 1).gateway.whole_journal();
    let keys: Vec<_> = again.iter().filter(|line| line.starts_with("{\"key\":")).collect();
    assert!(keys.len() == 1 && keys[0].contains("key-2"), "{keys:?}");
}

#[test]
fn a_line_that_was_cut_off_said_nothing_and_one_that_is_broken_is_told() {
    let mut caller = journaled();
    caller.charge("key-1");
    let journal = caller.gateway.take_journal().join("\n") + "\n";
    for cut in 0..journal.len() {
        if journal.is_char_boundary(cut) {
            let again = Gateway::restored(settings(), Mood::calm(), 7, &journal[..cut], START);
            assert!(again.is_ok(), "cut at {cut}");
        }
    }
    let broken = format!("{journal}nonsense\n{journal}");
    let Err(error) = Gateway::restored(settings(), Mood::calm(), 7, &broken, START) else { panic!("it was read") };
    let line = journal.lines().count() + 1;
    assert!(error.to_string().starts_with(&format!("line {line} of the gateway's book cannot be read")), "{error}");
}

/// Whatever the mood, and wherever it is stopped: what was answered is known afterwards.
#[test]
fn what_was_answered_is_kept_under_any_mood() {
    for seed in 0..20 {
        let mut caller = Caller::of(Mood::foul(), seed);
        caller.gateway.keep_journal();
        for place in 0..40 {
            caller.wait(500).charge(&format!("key-{place}"));
            caller.intent(&format!("intent-{place}"));
            caller.hear(200, |_| Some(200));
        }
        let journal = caller.gateway.take_journal().join("\n") + "\n";
        let again = restored(&journal, caller.now);
        let view = |gateway: &Gateway| {
            let mut charges: Vec<_> = gateway.book().charges().cloned().collect();
            charges.sort_by_key(|charge| charge.number);
            (json!(charges), gateway.book().report(i64::MIN, i64::MAX))
        };
        assert_eq!(view(&again.gateway), view(&caller.gateway), "seed {seed}");
    }
}
