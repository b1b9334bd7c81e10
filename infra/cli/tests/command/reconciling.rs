//! `reconcile`: a state with payments, and a report that differs from it in each way there is.

use std::path::Path;
use std::process::Output;

use domain::ids::{CustomerId, Digest, Fingerprint, IdempotencyKey, PaymentId, RefundId};
use domain::payments::{
    self, Answer, AskRefund, Begun, Gateway, GatewayKey, GatewayMessage, GatewayRef, Limits, MakePayment, Reported,
    ReportedState,
};
use domain::text::Reference;
use domain::{Amount, Currency};
use local_cloud::{Clock, Cloud, Options, Storage};
use platform::App;
use platform::store::Needs;
use serde_json::{Value, json};

use crate::support::{paidonce, run, stderr, stdout};

const HEAD: &str = "kind,id,charge,key,reference,amount,currency,at";

fn open(state: &Path) -> App {
    let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, Default::default()).unwrap();
    let cloud = Cloud::open(stack, Options::new(Storage::Directory(state.to_owned()), Clock::wall(), 1)).unwrap();
    local_system::reader(&cloud).unwrap()
}

/// What the table holds, to the last try of each item.
async fn fingerprint(state: &Path) -> Digest {
    platform::verify::fingerprint(open(state).store.table()).await.unwrap()
}

struct Shop {
    app: App,
    customer: CustomerId,
}

impl Shop {
    /// What the gateway answers to a first call.
    async fn call(&self, key: GatewayKey, state: ReportedState, amount: i64, name: &str) {
        let message = GatewayMessage { key, attempt: 0 };
        let begun = self.app.store.decide(Needs::load([key.key()]), |books, now| {
            books.decide(|draft| payments::begin(draft, &message, &Limits::default(), 0, now))
        });
        let Begun::Call(attempt) = begun.await.unwrap() else { panic!("{key} is called about already") };
        let (amount, currency) = (Amount::from_minor(amount), Currency::from_code("EUR"));
        let answer = Answer::Says(Reported { state, amount, currency, reference: GatewayRef::new(name) });
        let settled = self.app.store.decide(Needs::load([key.key()]), |books, now| {
            books.decide(|draft| payments::settle(draft, key, attempt.number, &answer, 0, now))
        });
        settled.await.unwrap();
    }

    async fn pay(&self, key: &str, amount: i64) -> PaymentId {
        let command = MakePayment {
            id: PaymentId::of_request(&self.customer, &IdempotencyKey::new(key).unwrap()),
            customer: self.customer,
            gateway: Gateway::Plain,
            amount: Amount::from_minor(amount).unwrap(),
            currency: None,
            reference: Reference::new(key).unwrap(),
            fingerprint: Fingerprint::of("POST /payments", &[]),
        };
        let terms = &self.app.config.terms;
        let made = self.app.store.decide(Needs::load(command.needs()), |books, now| {
            books.decide(|draft| payments::make(draft, &command, now, terms))
        });
        made.await.unwrap();
        command.id
    }

    async fn capture(&self, key: &str, amount: i64) -> PaymentId {
        let id = self.pay(key, amount).await;
        self.call(GatewayKey::Charge(id), ReportedState::Captured, amount, &format!("ch_{key}")).await;
        id
    }

    async fn give_back(&self, payment: PaymentId, key: &str, amount: i64) -> RefundId {
        let command = AskRefund {
            id: RefundId::of_request(&self.customer, &IdempotencyKey::new(key).unwrap()),
            payment,
            customer: self.customer,
            amount: Amount::from_minor(amount),
            fingerprint: Fingerprint::of("POST /refunds", &[]),
        };
        let terms = &self.app.config.terms;
        let asked = self.app.store.decide(Needs::load(command.needs()), |books, now| {
            books.decide(|draft| payments::ask_refund(draft, &command, now, terms))
        });
        asked.await.unwrap();
        self.call(GatewayKey::Refund(command.id), ReportedState::Refunded, amount, &format!("re_{key}")).await;
        command.id
    }
}

fn reconcile(state: &Path, report: &str, more: &[&str]) -> Output {
    let file = state.join("report.csv");
    std::fs::write(&file, report).unwrap();
    run(state, &[&["reconcile", file.to_str().unwrap()], more].concat())
}

#[tokio::test]
async fn each_kind_of_difference_is_named_and_nothing_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let shop = Shop { app: open(state), customer: CustomerId::of("test", "alice") };
    let alike = shop.capture("alike", 1_500).await;
    let back = shop.give_back(alike, "back", 300).await;
    let missing = shop.capture("missing", 150_099).await;
    let unreported = shop.give_back(missing, "unreported", 99).await;
    let pending = shop.pay("pending", 5).await;
    let amount = shop.capture("amount", 700).await;
    let currency = shop.capture("currency", 800).await;
    let twice = shop.capture("twice", 900).await;
    let less = shop.give_back(twice, "less", 10).await;
    drop(shop);
    let before = fingerprint(state).await;

    let at = "2026-11-21T05:53:03Z";
    let right = [
        format!("charge,ch_alike,ch_alike,charge-{alike},{alike},1500,EUR,{at}"),
        format!("refund,re_back,ch_alike,refund-{back},,300,EUR,{at}"),
    ];
    let lines = [
        format!("charge,ch_pending,ch_pending,charge-{pending},,5,EUR,{at}"),
        format!("charge,ch_none,ch_none,by-hand,\"order 7, by hand\",5,EUR,{at}"),
        format!("charge,ch_amount,ch_amount,charge-{amount},,701,EUR,{at}"),
        format!("charge,ch_currency,ch_currency,charge-{currency},,800,USD,{at}"),
        format!("charge,ch_twice,ch_twice,charge-{twice},,900,EUR,{at}"),
        format!("charge,ch_again,ch_again,another,{twice},900,EUR,{at}"),
        format!("refund,re_less,ch_twice,refund-{less},,9,EUR,{at}"),
    ];
    let report = format!("{HEAD}\n{}\n{}\n", right.join("\n"), lines.join("\n"));
    let output = reconcile(state, &report, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |one: &Value| json!([one["differs"], one["kind"], one["report"]["line"], one["ours"]["payment"]]);
    let found: Vec<Value> = said["differences"].as_array().unwrap().iter().map(of).collect();
    let mut expected = vec![
        json!(["extra", "charge", 4, pending]),
        json!(["extra", "charge", 5, null]),
        json!(["amount", "charge", 6, amount]),
        json!(["currency", "charge", 7, currency]),
        json!(["twice", "charge", 9, twice]),
        json!(["amount", "refund", 10, twice]),
        json!(["missing", "charge", null, missing]),
        json!(["missing", "refund", null, missing]),
    ];
    assert_eq!(found, expected, "{said:#}");
    assert_eq!((&said["alike"], &said["report"]["charges"], &said["agrees"]), (&json!(3), &json!(7), &json!(false)));
    let differing = &said["differences"][2];
    assert_eq!(
        (&differing["ours"]["money"]["amount"], &differing["ours"]["state"]),
        (&json!("7.00"), &json!("captured"))
    );
    assert_eq!(
        (&differing["report"]["money"]["amount"], &differing["report"]["id"]),
        (&json!("7.01"), &json!("ch_amount"))
    );

    // And for eyes, with both sides.
    let output = reconcile(state, &report, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    for part in [
        &format!("missing   charge  here:   payment {missing}, captured, 1500.99 EUR"),
        &format!("missing   refund  here:   refund {unreported} of payment {missing}, given back, 0.99 EUR"),
        "report: it is not there",
        "here:   nothing is known of it",
        &format!("here:   payment {pending}, pending, 0.05 EUR"),
        "report: line 5, ch_none, 0.05 EUR, 2026-11-21T05:53:03.000Z, key by-hand, reference order 7, by hand",
        "report: line 10, re_less of ch_twice, 0.09 EUR",
        "different      8",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }

    // A report of a time before it all misses nothing.
    let old = reconcile(state, &report, &["--json", "--to", "2020-01-01T00:00:00Z"]);
    let said: Value = serde_json::from_slice(&old.stdout).unwrap();
    expected.truncate(6);
    assert_eq!(said["differences"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), expected);
    assert_eq!(fingerprint(state).await, before, "it was only looked at");
}

#[tokio::test]
async fn a_report_that_agrees_is_said_to() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    let shop = Shop { app: open(state), customer: CustomerId::of("test", "alice") };
    let payment = shop.capture("k", 1_500).await;
    drop(shop);
    let line = format!("charge,ch_k,ch_k,charge-{payment},,1500,EUR,2026-11-21T05:53:03Z");
    let agrees = reconcile(state, &format!("{HEAD}\r\n{line}\r\n"), &[]);
    assert!(agrees.status.success(), "{agrees:?}");
    assert!(stdout(&agrees).contains("different      0"), "{agrees:?}");
    assert!(reconcile(state, &format!("{HEAD}\n"), &["--gateway", "stripe"]).status.success());
    assert_eq!(reconcile(state, &format!("{HEAD}\n"), &["--gateway", "plain"]).status.code(), Some(1));
}

#[tokio::test]
async fn what_is_no_report_is_refused_by_the_number_of_its_lines() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path();
    drop(open(state));
    let good = "charge,c,c,,,5,EUR,2026-11-21T05:53:03Z";
    let broken = format!("{HEAD}\n{good}\n{}\n{good}\nrefund\n", good.replace(",5,", ",5.00,"));
    for (report, parts) in [
        (broken.as_str(), &["malformed", "line 3: amount is a whole number", "line 5: it has 1 fields"][..]),
        (good, &["is no report of a gateway", "line 1 must be kind,id,charge"]),
    ] {
        let output = reconcile(state, report, &[]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
        for part in parts {
            assert!(stderr(&output).contains(part), "{part:?} is not in:\n{}", stderr(&output));
        }
    }
    let absent = run(state, &["reconcile", "/nowhere.csv"]);
    assert!(stderr(&absent).contains("/nowhere.csv cannot be read"), "{absent:?}");
    for wrong in [["--from", "yesterday"], ["--gateway", "adyen"]] {
        let output = paidonce(["reconcile", "report.csv"]).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
