//! Callbacks: signed, sent again until they are taken, and each mischief of theirs.

use std::collections::BTreeSet;

use gateway::{Mischief, Mood};
use serde_json::json;

use crate::support::{Caller, Heard, START, id};

fn ids(heard: &[Heard]) -> BTreeSet<&str> {
    heard.iter().map(|heard| heard.id.as_str()).collect()
}

#[test]
fn a_plain_callback_says_what_asking_says() {
    let mut caller = Caller::calm();
    let charge = caller.charge("key-1").json();
    let heard = caller.hear_all();
    assert_eq!(heard.len(), 1);
    let (one, expected) = (
        &heard[0],
        json!({"type": "charge.captured", "timestamp": "2026-11-21T05:53:03Z", "data": {"charge": charge}}),
    );
    assert_eq!(one.json(), expected);
    assert!(one.is_genuine());
    assert_eq!(one.headers["webhook-id"], one.id.as_str());
    assert_eq!(one.headers["content-type"], "application/json");
    assert!(one.at > START && one.at <= START + 300);
    let event = caller.gateway.book().event(&one.id).unwrap();
    let attempts: Vec<_> = event.copies.iter().flat_map(|copy| &copy.attempts).collect();
    assert!(attempts.len() == 1 && attempts[0].status == Some(200) && attempts[0].at_ms == one.at);
}

#[test]
fn a_stripe_callback_is_an_event_of_the_intent() {
    let mut caller = Caller::calm();
    let intent = caller.intent("key-1").json();
    let heard = caller.hear_all();
    assert_eq!(heard.len(), 1);
    let event = heard[0].json();
    assert!(heard[0].is_genuine());
    assert_eq!((&event["object"], &event["type"]), (&json!("event"), &json!("payment_intent.succeeded")));
    assert_eq!((&event["data"]["object"], &event["id"]), (&intent, &json!(heard[0].id)));
    assert_eq!(event["request"]["idempotency_key"], "key-1");
}

#[test]
fn what_is_not_taken_is_sent_again_with_growing_pauses_and_then_given_up() {
    let mut caller = Caller::calm();
    caller.charge("key-1");
    let mut answers = [None, Some(500), Some(301), Some(200)].into_iter();
    let heard = caller.hear(86_400_000, |_| answers.next().unwrap());
    assert_eq!((heard.len(), ids(&heard).len()), (4, 1));
    assert!(heard.iter().all(|one| one.is_genuine() && one.text == heard[0].text));
    let pauses: Vec<_> = heard.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert_eq!(pauses, [1_000, 5_000, 30_000]);
    let stamps: BTreeSet<_> = heard
        .iter()
        .map(|heard| heard.headers["webhook-timestamp"].clone())
        .map(|stamp| stamp.to_str().unwrap().to_owned())
        .collect();
    assert!(stamps.len() >= 3, "the time is the attempt's: {stamps:?}");

    let mut caller = Caller::calm();
    caller.charge("key-1");
    let heard = caller.hear(30 * 86_400_000, |_| Some(503));
    assert_eq!(heard.len(), 8, "once, and after each of seven pauses");
    assert_eq!(caller.gateway.next_due_ms(), None);
}

#[test]
fn an_answer_of_another_attempt_is_not_believed() {
    let mut caller = Caller::calm();
    caller.charge("key-1");
    caller.wait(1_000);
    let first = caller.gateway.due(caller.now).remove(0).id;
    caller.gateway.delivered(caller.now, &first, None);
    caller.gateway.delivered(caller.now, &first, Some(200));
    let status = |caller: &Caller| caller.gateway.book().event(&first.event).unwrap().copies[0].attempts[0].status;
    assert_eq!(status(&caller), None, "it was not taken, whatever is said later");
    assert_eq!(caller.hear_all().len(), 1);
    caller.gateway.delivered(caller.now, &first, Some(500));
    assert_eq!((status(&caller), caller.gateway.next_due_ms()), (None, None), "it was taken the second time");
    let unknown = gateway::CallbackId { event: "evt_none".to_owned(), copy: 7, attempt: 3 };
    caller.gateway.delivered(caller.now, &unknown, Some(200));
}

#[test]
fn twice_is_the_same_twice() {
    for charge in [Caller::charge, Caller::intent] {
        let mut caller = Caller::calm();
        charge(caller.next(&[Mischief::CallbackTwice]), "key-1");
        let heard = caller.hear_all();
        assert_eq!((heard.len(), ids(&heard).len()), (2, 1));
        assert_eq!(heard[0].text, heard[1].text);
        assert!(heard.iter().all(Heard::is_genuine));
    }
}

#[test]
fn each_of_two_is_sent_until_it_is_taken() {
    let mut caller = Caller::calm();
    caller.next(&[Mischief::CallbackTwice]).charge("key-1");
    let mut refusals = 2;
    let heard = caller.hear(3_600_000, |_| {
        refusals -= 1;
        Some(if refusals >= 0 { 503 } else { 200 })
    });
    assert_eq!((heard.len(), ids(&heard).len()), (4, 1));
}

#[test]
fn altered_is_the_same_id_with_other_money() {
    for (charge, amount) in
        [(Caller::charge as fn(&mut Caller, &str) -> _, "/data/charge/amount"), (Caller::intent, "/data/object/amount")]
    {
        let mut caller = Caller::calm();
        charge(caller.next(&[Mischief::CallbackAltered]), "key-1");
        let heard = caller.hear(3_600_000, |heard| {
            Some(if heard.json().pointer(amount) == Some(&json!(150_099)) { 200 } else { 409 })
        });
        assert_eq!((heard.len(), ids(&heard).len()), (2, 1), "what is refused is not sent again");
        assert!(heard.iter().all(Heard::is_genuine));
        assert_ne!(heard[0].json().pointer(amount), heard[1].json().pointer(amount));
    }
}

#[test]
fn out_of_order_is_after_the_next() {
    for (charge, expected) in [
        (Caller::charge as fn(&mut Caller, &str) -> _, ["charge.captured", "charge.pending"]),
        (Caller::intent, ["payment_intent.succeeded", "payment_intent.processing"]),
    ] {
        let mut caller = Caller::calm();
        charge(caller.next(&[Mischief::CallbackOutOfOrder, Mischief::SettleLater]), "key-1");
        let heard = caller.hear(20_000, |_| Some(200));
        let kinds: Vec<_> = heard.iter().map(Heard::kind).collect();
        assert_eq!(kinds, expected);
        assert!(heard[0].at < heard[1].at);
    }
}

#[test]
fn what_is_held_back_goes_in_the_end_if_nothing_follows() {
    let mut caller = Caller::calm();
    caller.next(&[Mischief::CallbackOutOfOrder]).charge("key-1");
    assert_eq!(caller.hear(19_000, |_| Some(200)).len(), 0);
    assert_eq!(caller.hear_all().len(), 1);
}

#[test]
fn late_is_late_and_signed_when_it_is_sent() {
    let mut caller = Caller::calm();
    caller.next(&[Mischief::CallbackLate]).charge("key-1");
    let heard = caller.hear_all();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].at >= START + 20_000 && heard[0].is_genuine());
}

#[test]
fn early_is_before_the_answer() {
    for charge in [Caller::charge, Caller::intent] {
        let mut caller = Caller::calm();
        let said = charge(caller.next(&[Mischief::CallbackEarly]), "key-1");
        assert!(said.after_ms >= 50, "{}", said.after_ms);
        let heard = caller.hear(0, |_| Some(200));
        assert_eq!((heard.len(), heard[0].at), (1, START));
        assert!(heard[0].is_genuine() && heard[0].text.contains(&id(&said)));
    }
}

#[test]
fn wrong_money_is_told_and_the_truth_is_in_the_book() {
    for (mischief, amount, currency) in
        [(Mischief::CallbackWrongAmount, 150_199, "EUR"), (Mischief::CallbackWrongCurrency, 150_099, "USD")]
    {
        let mut caller = Caller::calm();
        caller.next(&[mischief]).charge("key-1");
        caller.next(&[mischief]).intent("key-2");
        let heard = caller.hear_all();
        assert!(heard.iter().all(Heard::is_genuine));
        let plain = heard.iter().find(|heard| heard.kind() == "charge.captured").unwrap().json();
        assert_eq!(
            (&plain["data"]["charge"]["amount"], &plain["data"]["charge"]["currency"]),
            (&json!(amount), &json!(currency))
        );
        let stripe = heard.iter().find(|heard| heard.kind() != "charge.captured").unwrap().json();
        let object = &stripe["data"]["object"];
        assert_eq!((&object["amount"], &object["currency"]), (&json!(amount), &json!(currency.to_lowercase())));
        assert!(caller.gateway.book().charges().all(|charge| charge.amount == 150_099 && charge.currency == "EUR"));
    }
}

#[test]
fn bad_signatures_and_stale_ones_are_of_the_first_attempt() {
    for mischief in [Mischief::CallbackBadSignature, Mischief::CallbackStale] {
        for charge in [Caller::charge, Caller::intent] {
            let mut caller = Caller::calm();
            charge(caller.next(&[mischief]), "key-1");
            let heard = caller.hear(3_600_000, |heard| Some(if heard.is_genuine() { 200 } else { 401 }));
            let genuine: Vec<_> = heard.iter().map(Heard::is_genuine).collect();
            assert_eq!(genuine, [false, true], "{mischief:?}");
            assert_eq!(heard[0].text, heard[1].text);
        }
    }
}

#[test]
fn never_is_never() {
    let mut caller = Caller::calm();
    caller.next(&[Mischief::CallbackNever]).charge("key-1");
    assert!(caller.hear_all().is_empty());
    let events: Vec<_> = caller.gateway.book().events().collect();
    assert!(events.len() == 1 && events[0].copies.is_empty(), "the book knows of it");
}

#[test]
fn by_the_mood_each_callback_has_its_own_luck() {
    let mut mood = Mood::calm();
    mood.rates.insert(Mischief::CallbackTwice, 3_000);
    let mut caller = Caller::of(mood, 5);
    (0..1_000).for_each(|place| drop(caller.charge(&format!("key-{place}"))));
    let heard = caller.hear_all();
    assert_eq!(ids(&heard).len(), 1_000);
    assert!((1_220..1_380).contains(&heard.len()), "{}", heard.len());
}

#[test]
fn without_a_url_nothing_is_sent_and_all_is_known() {
    let settings = gateway::Settings { callback_url: None, ..crate::support::settings() };
    let mut caller = Caller::calm();
    caller.gateway = gateway::Gateway::new(settings, Mood::calm(), 1);
    caller.charge("key-1");
    assert_eq!(caller.gateway.next_due_ms(), None);
    assert_eq!(caller.gateway.book().events().count(), 1);
}
