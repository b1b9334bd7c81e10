//! Each mischief of a call does what it says, in both protocols, and no more.

use gateway::{Mischief, Mood, Order};
use serde_json::json;

use crate::support::{Caller, Said, id};

/// Charges by each protocol, and what tells whether it was charged.
const BOTH: [fn(&mut Caller, &str) -> Said; 2] = [Caller::charge, Caller::intent];

#[test]
fn what_comes_before_does_nothing_and_leaves_the_key_free() {
    for charge in BOTH {
        for (mischief, status) in [(Mischief::TooMany, 429), (Mischief::TimeoutBefore, 0), (Mischief::ErrorBefore, 500)]
        {
            let mut caller = Caller::calm();
            let said = charge(caller.next(&[mischief]), "key-1");
            assert_eq!(said.status, status, "{mischief:?}");
            assert_eq!(caller.gateway.book().charges().count(), 0, "{mischief:?}");
            assert!(caller.hear_all().is_empty(), "{mischief:?}");
            let again = charge(&mut caller, "key-1");
            assert!(again.status < 300 && !again.is_replay(), "{mischief:?}");
            assert_eq!(caller.charges(), 1, "{mischief:?}");
        }
    }
}

#[test]
fn too_many_says_when_to_come_again() {
    for charge in BOTH {
        let mut caller = Caller::calm();
        let said = charge(caller.next(&[Mischief::TooMany]), "key-1");
        let seconds: u64 = said.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
    }
}

#[test]
fn silence_is_held_for_as_long_as_the_mood_says() {
    let mut caller = Caller::calm();
    assert_eq!(caller.next(&[Mischief::TimeoutBefore]).charge("key-1").after_ms, 30_000);
    assert_eq!(caller.next(&[Mischief::TimeoutAfter]).charge("key-2").after_ms, 30_000);
}

#[test]
fn a_time_out_after_doing_it_was_a_success() {
    for charge in BOTH {
        let mut caller = Caller::calm();
        assert_eq!(charge(caller.next(&[Mischief::TimeoutAfter]), "key-1").status, 0);
        assert_eq!(caller.charges(), 1);
        let again = charge(&mut caller, "key-1");
        assert!(again.is_replay() && again.status < 300);
        assert_eq!((caller.charges(), caller.hear_all().len()), (1, 1));
    }
}

#[test]
fn an_error_after_doing_it_was_a_success() {
    let mut caller = Caller::calm();
    assert_eq!(caller.next(&[Mischief::ErrorAfter]).charge("key-1").status, 500);
    assert_eq!(caller.charges(), 1);
    assert_eq!(caller.get("/charges?key=key-1").json()["state"], "captured");
    let again = caller.charge("key-1");
    assert!(again.status == 201 && again.is_replay());
}

#[test]
fn an_error_that_is_kept_uses_the_key_up() {
    for charge in BOTH {
        let mut caller = Caller::calm();
        assert_eq!(charge(caller.next(&[Mischief::ErrorKept]), "key-1").status, 500);
        let again = charge(&mut caller, "key-1");
        assert!(again.status == 500 && again.is_replay());
        assert_eq!(caller.gateway.book().charges().count(), 0);
    }
    let mut caller = Caller::calm();
    caller.next(&[Mischief::ErrorKept]).charge("key-1");
    assert_eq!(caller.get("/charges?key=key-1").status, 404);
}

#[test]
fn what_arrives_late_is_not_found_until_it_is_there() {
    let mut caller = Caller::calm();
    assert_eq!(caller.next(&[Mischief::ArrivesLate]).charge("key-1").status, 0);
    assert_eq!(caller.get("/charges?key=key-1").status, 404);
    assert_eq!(caller.charges(), 0);
    let heard = caller.hear(121_000, |_| Some(200));
    assert_eq!(heard.len(), 1);
    assert!(heard[0].at >= crate::support::START + 15_000);
    assert_eq!(caller.get("/charges?key=key-1").json()["state"], "captured");
    assert_eq!(caller.charges(), 1);
}

#[test]
fn what_arrives_late_finds_its_key_used_by_the_repeat() {
    for charge in BOTH {
        let mut caller = Caller::calm();
        charge(caller.next(&[Mischief::ArrivesLate]), "key-1");
        let again = charge(caller.wait(1_000), "key-1");
        assert!(again.status < 300 && !again.is_replay());
        assert_eq!(caller.hear_all().len(), 1);
        let arrivals: Vec<_> = caller.gateway.book().calls().filter(|call| call.is_arrival).collect();
        assert!(arrivals.len() == 1 && arrivals[0].is_replay);
        assert_eq!(caller.charges(), 1);
    }
}

#[test]
fn while_it_is_slow_its_key_is_busy() {
    for (charge, code) in [(BOTH[0], "key_busy"), (BOTH[1], "idempotency_key_in_use")] {
        let mut caller = Caller::calm();
        let said = charge(caller.next(&[Mischief::Slow]), "key-1");
        assert!(said.status < 300 && (1_000..=8_000).contains(&said.after_ms), "{}", said.after_ms);
        let meanwhile = charge(caller.wait(999), "key-1");
        assert_eq!((meanwhile.status, &meanwhile.json()["error"]["code"]), (409, &json!(code)));
        let later = charge(caller.wait(8_000), "key-1");
        assert!(later.is_replay() && later.text == said.text);
        assert_eq!(caller.charges(), 1);
    }
}

#[test]
fn a_decline_takes_no_money_and_stays_one() {
    let mut caller = Caller::calm();
    let said = caller.next(&[Mischief::Decline]).charge("key-1");
    let error = said.json()["error"].clone();
    assert_eq!((said.status, &error["code"]), (402, &json!("declined")));
    assert_eq!(error["charge"]["state"], "declined");
    assert!(error["charge"]["decline"].is_string());
    assert!(caller.charge("key-1").is_replay());
    assert_eq!(caller.get("/charges?key=key-1").json()["state"], "declined");
    let kinds: Vec<_> = caller.hear_all().iter().map(crate::support::Heard::kind).collect();
    assert_eq!((kinds.as_slice(), caller.charges()), (&["charge.declined".to_owned()][..], 0));
}

#[test]
fn what_settles_later_is_pending_first() {
    for (mischiefs, state) in
        [(&[Mischief::SettleLater][..], "captured"), (&[Mischief::SettleLater, Mischief::Decline][..], "declined")]
    {
        let mut caller = Caller::calm();
        let said = caller.next(mischiefs).charge("key-1");
        assert_eq!((said.status, &said.json()["state"]), (202, &json!("pending")));
        assert_eq!((&said.json()["decline"], &said.json()["settled_at"]), (&json!(null), &json!(null)));
        assert_eq!(caller.refund("refund-1", &id(&said), 1).status, 409);
        let kinds: Vec<_> = caller.hear_all().iter().map(crate::support::Heard::kind).collect();
        assert_eq!(kinds, ["charge.pending".to_owned(), format!("charge.{state}")]);
        assert_eq!(caller.get("/charges?key=key-1").json()["state"], state);
        assert_eq!(caller.charge("key-1").json()["state"], "pending", "a replay is of what was said");
    }
}

#[test]
fn refunds_fail_and_settle_later_too() {
    for (mischiefs, status, first, last) in [
        (&[Mischief::SettleLater][..], 202, "pending", "done"),
        (&[Mischief::SettleLater, Mischief::Decline][..], 202, "pending", "failed"),
        (&[Mischief::Decline][..], 402, "failed", "failed"),
    ] {
        let mut caller = Caller::calm();
        let charge = id(&caller.charge("key-1"));
        let said = caller.next(mischiefs).refund("refund-1", &charge, 150_099);
        assert_eq!(said.status, status);
        let refund = if status == 402 { said.json()["error"]["refund"].clone() } else { said.json() };
        assert_eq!(refund["state"], first);
        let left = if first == "pending" { 422 } else { 201 };
        assert_eq!(caller.refund("refund-2", &charge, 150_099).status, left, "what is on its way counts");
        let kinds: Vec<_> = caller.hear_all().iter().map(crate::support::Heard::kind).collect();
        assert!(kinds.contains(&format!("refund.{last}")), "{kinds:?}");
        let now = caller.get("/refunds?key=refund-1").json();
        assert_eq!(now["state"], last);
        let given_back = caller.get(&format!("/charges/{charge}")).json()["refunded"].clone();
        assert_eq!(given_back, if last == "failed" && left == 422 { 0 } else { 150_099 });
    }
}

#[test]
fn asking_suffers_too_and_changes_nothing() {
    let mut caller = Caller::calm();
    caller.charge("key-1");
    for (mischief, status) in [
        (Mischief::TooMany, 429),
        (Mischief::TimeoutBefore, 0),
        (Mischief::TimeoutAfter, 0),
        (Mischief::ArrivesLate, 0),
        (Mischief::ErrorBefore, 500),
        (Mischief::ErrorAfter, 500),
        (Mischief::ErrorKept, 500),
        (Mischief::Slow, 200),
        (Mischief::Decline, 200),
    ] {
        assert_eq!(caller.next(&[mischief]).get("/charges?key=key-1").status, status, "{mischief:?}");
        assert_eq!(caller.get("/charges?key=key-1").status, 200, "{mischief:?}");
    }
}

#[test]
fn an_order_is_for_whom_it_names_and_for_so_many_times() {
    let mut caller = Caller::calm();
    let mut order = Order::next([Mischief::ErrorBefore]);
    (order.key, order.times) = (Some("key-2".to_owned()), 2);
    caller.gateway.order(order);
    assert_eq!(caller.charge("key-1").status, 201);
    let statuses: Vec<_> = (0..3).map(|_| caller.charge("key-2").status).collect();
    assert_eq!(statuses, [500, 500, 201]);

    let mut order = Order::next([Mischief::TimeoutBefore]);
    order.call = Some(gateway::CallKind::Refund);
    caller.gateway.order(order);
    let charge = id(&caller.charge("key-3"));
    assert_eq!(caller.get("/charges?key=key-3").status, 200);
    assert_eq!(caller.refund("refund-1", &charge, 1).status, 0);

    let mut order = Order::next([Mischief::Decline]);
    order.reference = Some("order of key-5".to_owned());
    caller.gateway.order(order);
    assert_eq!(caller.charge("key-4").status, 201);
    assert_eq!(caller.intent("key-5").status, 402);
}

/// What is ordered is all that goes wrong, however foul the mood.
#[test]
fn an_order_of_nothing_lets_a_request_through() {
    for seed in 0..50 {
        let mut caller = Caller::of(Mood::foul(), seed);
        caller.next(&[]);
        assert_eq!(caller.charge("key-1").status, 201, "seed {seed}");
        let heard = caller.hear_all();
        assert!(heard.len() == 1 && heard[0].is_genuine(), "seed {seed}");
    }
}

#[test]
fn a_reference_asks_for_it_the_first_time() {
    let mut caller = Caller::calm();
    let body = json!({"amount": 1, "currency": "EUR", "reference": "misbehave:timeout_after,callback_twice:7"});
    assert_eq!(caller.post("/charges", "key-1", &body).status, 0);
    assert!(caller.post("/charges", "key-1", &body).is_replay());
    assert_eq!(caller.hear_all().len(), 2);
    let form =
        "amount=1&currency=eur&confirm=true&payment_method=pm_card_visa&metadata[reference]=misbehave%3Atoo_many";
    assert_eq!(caller.form("/v1/payment_intents", "key-2", form).status, 429);
    assert_eq!(caller.form("/v1/payment_intents", "key-2", form).status, 200);
    assert_eq!(caller.charges(), 2);
}

#[test]
fn rates_come_true_as_often_as_they_say() {
    for (mischief, status) in [(Mischief::TimeoutBefore, 0), (Mischief::TooMany, 429), (Mischief::Decline, 402)] {
        let mut mood = Mood::calm();
        mood.rates.insert(mischief, 2_000);
        let mut caller = Caller::of(mood, 3);
        let count = (0..2_000).filter(|place| caller.charge(&format!("key-{place}")).status == status).count();
        assert!((320..480).contains(&count), "{mischief:?}: {count} of 2000");
    }
}
