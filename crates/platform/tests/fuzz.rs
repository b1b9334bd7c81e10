//! Everything that reads what others have written is thrown at with what is nearly right: `FUZZ_SECONDS=60` is for so long
//! in all, without it each is tried for a moment.
//!
//! With proptest rather than bolero: on a stable compiler both are the same blind throw, since an engine that is led by
//! coverage needs instruments of a nightly one; proptest is here already, builds what is nearly right from its parts, and
//! makes what it finds small.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test says what is wrong by failing, and how long it tried"
)]

use std::time::{Duration, Instant};

use data_encoding::{BASE64, HEXLOWER};
use domain::ids::{BodyHash, CustomerId, IdempotencyKey, PaymentId, RefundId};
use domain::payments::{Gateway, GatewayKey, InventoryStatus, Moved, ReportLine, ReportedState};
use domain::{Amount, Currency, Millis, Terms, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::callbacks::{self, Doubt, Scheme, Verifier};
use platform::inventory::Told;
use platform::reports;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use ring::hmac;
use serde_json::{Value, json};

/// Among how many the seconds are divided.
const TARGETS: u32 = 6;
const CASES: u32 = 200;

/// Throws until the time is up, each round from another seed.
fn fuzz<S: Strategy>(what: &str, strategy: &S, holds: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds: u32 = std::env::var("FUZZ_SECONDS").map_or(0, |seconds| seconds.parse().unwrap());
    let share = Duration::from_secs(seconds.into()) / TARGETS;
    let began = Instant::now();
    let mut cases = 0;
    while cases == 0 || began.elapsed() < share {
        let config = Config { cases: CASES, failure_persistence: None, max_global_rejects: CASES, ..Config::default() };
        let mut runner = TestRunner::new(config);
        if let Err(found) = runner.run(strategy, &holds) {
            panic!("{what}, after {cases} cases: {found}");
        }
        cases += CASES;
    }
    eprintln!("{what}: {cases} cases in {:?}", began.elapsed());
}

/// One thing done to a text on its way.
#[derive(Clone, Debug)]
enum Edit {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
    Splice(Index, &'static str),
}

impl Edit {
    fn apply(&self, text: &mut Vec<u8>) {
        let place = |at: &Index| if text.is_empty() { 0 } else { at.index(text.len()) };
        match self {
            Self::Flip(at, bit) => {
                let place = place(at);
                if let Some(byte) = text.get_mut(place) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Insert(at, byte) => text.insert(place(at), *byte),
            Self::Remove(at, length) => {
                let place = place(at);
                let end = text.len().min(place + length);
                text.drain(place..end);
            }
            Self::Repeat(at, length) => {
                let place = place(at);
                let part = text[place..text.len().min(place + length)].to_vec();
                text.splice(place..place, part);
            }
            Self::Cut(at) => text.truncate(place(at)),
            Self::Splice(at, part) => {
                let place = place(at);
                text.splice(place..place, part.bytes());
            }
        }
    }
}

/// What parsers part things by, and what they stumble over.
const PARTS: [&str; 24] = [
    ",",
    ".",
    "=",
    ";",
    " ",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "{",
    "}",
    "[",
    "]",
    "null",
    "v1,",
    "v1=",
    "t=",
    "1e9",
    "-0",
    "\\ud800",
    "0.1",
    "18446744073709551616",
    "\"amount\":1,",
    "charge-",
];

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
        any::<Index>().prop_map(Edit::Cut),
        (any::<Index>(), prop::sample::select(PARTS.as_slice())).prop_map(|(at, part)| Edit::Splice(at, part)),
    ];
    prop::collection::vec(edit, 0..4)
}

fn edited(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = text.to_vec();
    edits.iter().for_each(|edit| edit.apply(&mut text));
    text
}

const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STRIPE: &str = "whsec_a_secret_of_stripe_1";
const NOW: Timestamp = Timestamp::from_millis(1_795_240_383_000);

fn verifier(scheme: Scheme) -> Verifier {
    let secret = match scheme {
        Scheme::StandardWebhooks => STANDARD,
        Scheme::Stripe => STRIPE,
    };
    Verifier::new(scheme, secret).unwrap()
}

fn tag(scheme: Scheme, head: &str, body: &[u8]) -> Vec<u8> {
    let secret = match scheme {
        Scheme::StandardWebhooks => BASE64.decode(STANDARD.trim_start_matches("whsec_").as_bytes()).unwrap(),
        Scheme::Stripe => STRIPE.as_bytes().to_vec(),
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    hmac::sign(&key, &[head.as_bytes(), body].concat()).as_ref().to_vec()
}

/// What a gateway sends with a body, and what of it was signed.
#[derive(Clone, Debug)]
struct Sent {
    scheme: Scheme,
    id: String,
    seconds: i64,
    body: Vec<u8>,
}

impl Sent {
    fn headers(&self) -> Vec<(&'static str, Vec<u8>)> {
        let Self { scheme, id, seconds, body } = self;
        match scheme {
            Scheme::StandardWebhooks => {
                let tag = BASE64.encode(&tag(*scheme, &format!("{id}.{seconds}."), body));
                vec![
                    ("webhook-id", id.clone().into_bytes()),
                    ("webhook-timestamp", seconds.to_string().into_bytes()),
                    ("webhook-signature", format!("v1,{tag}").into_bytes()),
                ]
            }
            Scheme::Stripe => {
                let tag = HEXLOWER.encode(&tag(*scheme, &format!("{seconds}."), body));
                vec![("stripe-signature", format!("t={seconds},v1={tag}").into_bytes())]
            }
        }
    }

    fn verify(&self, headers: &[(&'static str, Vec<u8>)], body: &[u8]) -> Result<(Option<String>, i64), Doubt> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            // What HTTP itself does not carry, nobody is sent.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        let verified = verifier(self.scheme).verify(&map, body, NOW)?;
        Ok((verified.id, verified.signed_at.as_seconds()))
    }

    /// What verifying it says, where it is as it was sent.
    fn said(&self) -> (Option<String>, i64) {
        (Some(self.id.clone()).filter(|_| self.scheme == Scheme::StandardWebhooks), self.seconds)
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let scheme = prop_oneof![Just(Scheme::StandardWebhooks), Just(Scheme::Stripe)];
    let body = prop::collection::vec(any::<u8>(), 1..80);
    (scheme, "[!-\\-/-~]{1,40}", -300..=300_i64, body).prop_map(|(scheme, id, age, body)| Sent {
        scheme,
        id,
        seconds: NOW.as_seconds() - age,
        body,
    })
}

#[test]
fn headers_of_callbacks_are_genuine_only_as_they_were_signed() {
    let strategy = (sent(), prop::collection::vec(edits(), 4));
    fuzz("headers of callbacks", &strategy, |(sent, edits)| {
        prop_assert_eq!(sent.verify(&sent.headers(), &sent.body), Ok(sent.said()));
        let mut headers = sent.headers();
        for ((_, value), edits) in headers.iter_mut().zip(&edits[1..]) {
            *value = edited(value, edits);
        }
        let body = edited(&sent.body, &edits[0]);
        // Whatever became of the rest, what is taken for genuine is what was signed.
        if let Ok(said) = sent.verify(&headers, &body) {
            prop_assert_eq!((said, body), (sent.said(), sent.body));
        }
        Ok(())
    });
}

#[test]
fn a_bit_flipped_in_what_was_signed_is_refused() {
    fuzz("bits of what was signed", &(sent(), any::<Index>(), any::<Index>(), 0..8_u8), |(sent, part, at, bit)| {
        let (mut headers, mut body) = (sent.headers(), sent.body.clone());
        let part = part.index(headers.len() + 1);
        let bytes = if part == headers.len() { &mut body } else { &mut headers[part].1 };
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(sent.verify(&headers, &body).is_err(), "bit {} of byte {} of part {}", bit, place, part);
        Ok(())
    });
}

/// A thing of ours that events may be about, and what a gateway says of it.
#[derive(Clone, Debug)]
struct Said {
    gateway: Gateway,
    of: GatewayKey,
    state: ReportedState,
    amount: i64,
    id: String,
}

impl Said {
    fn event(&self) -> Value {
        let Self { gateway, of, state, amount, id } = self;
        let is_charge = matches!(of, GatewayKey::Charge(_));
        match (gateway, is_charge) {
            (Gateway::Plain, true) => json!({
                "type": match state {
                    ReportedState::Pending => "charge.pending",
                    ReportedState::Declined => "charge.declined",
                    _ => "charge.captured",
                },
                "timestamp": "2026-11-21T05:53:03Z",
                "data": { "charge": { "id": id, "key": of, "amount": amount, "currency": "EUR" } },
            }),
            (Gateway::Plain, false) => json!({
                "type": match state {
                    ReportedState::Pending => "refund.pending",
                    ReportedState::Declined => "refund.failed",
                    _ => "refund.done",
                },
                "data": { "refund": { "id": id, "key": of, "amount": amount, "currency": "EUR" } },
            }),
            (Gateway::Stripe, true) => json!({
                "id": "evt_1", "pending_webhooks": 1,
                "type": match state {
                    ReportedState::Pending => "payment_intent.processing",
                    ReportedState::Declined => "payment_intent.payment_failed",
                    _ => "payment_intent.succeeded",
                },
                "data": { "object": {
                    "id": id, "amount": amount, "amount_received": amount, "currency": "eur", "metadata": { "key": of },
                } },
            }),
            (Gateway::Stripe, false) => json!({
                "id": "evt_1", "type": "refund.updated",
                "data": { "object": {
                    "id": id, "amount": amount, "currency": "eur", "metadata": { "key": of },
                    "status": match state {
                        ReportedState::Pending => "pending",
                        ReportedState::Declined => "failed",
                        _ => "succeeded",
                    },
                } },
            }),
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    let gateway = prop_oneof![Just(Gateway::Plain), Just(Gateway::Stripe)];
    let state = prop_oneof![Just(ReportedState::Pending), Just(ReportedState::Declined), Just(ReportedState::Captured)];
    let amount = prop_oneof![0..=i64::MAX, 0..1_000_i64];
    (gateway, any::<bool>(), "[a-z]{1,8}", state, amount, "[!-~]{1,40}").prop_map(
        |(gateway, is_charge, key, state, amount, id)| {
            let (customer, key) = (CustomerId::of("local", "alice"), IdempotencyKey::new(&key).unwrap());
            let (of, state) = if is_charge {
                (GatewayKey::Charge(PaymentId::of_request(&customer, &key)), state)
            } else {
                let moved = if state == ReportedState::Captured { ReportedState::Refunded } else { state };
                (GatewayKey::Refund(RefundId::of_request(&customer, &key)), moved)
            };
            Said { gateway, of, state, amount, id }
        },
    )
}

#[test]
fn an_event_is_read_as_it_was_said() {
    fuzz("events as they are said", &said(), |said| {
        let body = said.event().to_string();
        let taken = callbacks::event(said.gateway, Some("msg_1"), body.as_bytes()).unwrap().unwrap();
        prop_assert_eq!((taken.of, taken.reported.state, taken.gateway), (said.of, said.state, said.gateway));
        prop_assert_eq!(taken.reported.amount.map(Amount::minor), Some(said.amount));
        prop_assert_eq!(taken.reported.currency, Currency::from_code("EUR"));
        prop_assert_eq!(taken.reported.reference.as_ref().map(|name| name.as_str()), Some(said.id.as_str()));
        Ok(())
    });
}

#[test]
fn an_event_that_was_changed_says_what_stands_in_it_or_nothing() {
    let signed = prop::option::of("\\PC{0,9}");
    fuzz("changed events", &(said(), edits(), signed), |(said, edits, signed)| {
        let body = edited(said.event().to_string().as_bytes(), &edits);
        let read = callbacks::event(said.gateway, signed.as_deref(), &body);
        let Ok(Some(taken)) = read else { return Ok(()) };
        let text = std::str::from_utf8(&body).expect("JSON is UTF-8");
        // What is written with escapes stands there in other letters.
        if !text.contains('\\') {
            let key = taken.of.digest().to_string();
            prop_assert!(text.contains(&key), "{}", taken.of);
            let amount = taken.reported.amount.unwrap().minor().to_string();
            prop_assert!(text.contains(&amount), "{amount} is not in {text}: it was rounded");
            let name = taken.reported.reference.unwrap();
            prop_assert!(text.contains(name.as_str()), "{name:?}");
        }
        if said.gateway == Gateway::Plain {
            prop_assert_eq!(taken.body, BodyHash::of(&body), "by which a repeat is known");
            prop_assert!(signed.is_some(), "without an id none would be known");
        }
        Ok(())
    });
}

fn terms() -> Terms {
    Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) }
}

fn written(told: &Told) -> String {
    let mut event = json!({
        "customer": told.customer.map(|customer| customer.to_string()),
        "currency": told.currency.map(|currency| currency.code()),
        "amount": told.amount.map(|amount| amount.to_decimal(terms().currency)),
        "status": told.status.name(),
        "order_id": told.order.as_str(),
        "idempotent_key": told.key.as_str(),
    });
    event.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    format!("\n {event:#}\t")
}

#[test]
fn an_inventory_event_that_is_read_is_the_same_when_it_is_written_and_read_again() {
    let status = prop::sample::select(InventoryStatus::ALL.as_slice());
    let amount = prop::option::of(prop_oneof!["[0-9]{1,5}(\\.[0-9]{0,3})?", "\"[0-9]{1,20}(\\.[0-9]{1,2})?\""]);
    let event = ("[!#-+\\--:<-~]{1,9}", "\\PC{1,20}", status, amount, any::<bool>(), any::<bool>());
    fuzz("inventory events", &(event, edits()), |((key, order, status, amount, is_named, is_whose), edits)| {
        let mut event = json!({ "idempotent_key": key, "order_id": order, "status": status.name() });
        if is_named {
            event["currency"] = json!("EUR");
        }
        if is_whose {
            event["customer"] = json!(CustomerId::of("local", "alice").to_string());
        }
        let mut text = event.to_string();
        if let Some(amount) = amount {
            text.insert_str(1, &format!("\"amount\":{amount},"));
        }
        let text = edited(text.as_bytes(), &edits);
        let Ok(text) = String::from_utf8(text) else { return Ok(()) };
        let Ok(told) = Told::read(&text, &terms()) else { return Ok(()) };
        let again = Told::read(&written(&told), &terms());
        prop_assert_eq!(again.as_ref(), Ok(&told), "the same in other words");
        prop_assert!(told.amount.is_none_or(|amount| !amount.is_zero()));
        Ok(())
    });
}

fn lines(report: &[u8]) -> Option<Vec<ReportLine>> {
    let mut lines = Vec::new();
    reports::read(report, |line| lines.push(line)).ok().map(|()| lines)
}

fn rendered(lines: &[ReportLine]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(reports::COLUMNS).unwrap();
    for line in lines {
        let if_any = |text: &Option<String>| text.clone().unwrap_or_default();
        let (amount, at) = (line.amount.minor().to_string(), line.at.to_string());
        let (key, reference, currency) = (if_any(&line.key), if_any(&line.reference), line.currency.code());
        let record = [line.moved.name(), &line.id, &line.charge, &key, &reference, &amount, currency, &at];
        writer.write_record(record).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn a_report_that_is_read_is_the_same_when_it_is_written_and_read_again() {
    let text = "\\PC{1,9}|[,\"\n\r a]{1,6}";
    let line = (
        any::<bool>(),
        text,
        text,
        prop::option::of(text),
        prop::option::of(text),
        1..=i64::MAX,
        0..=4_000_000_000_000_i64,
    )
        .prop_map(|(is_charge, id, charge, key, reference, amount, at)| ReportLine {
            line: 0,
            moved: if is_charge { Moved::Charge } else { Moved::Refund },
            id,
            charge,
            key,
            reference,
            amount: Amount::from_minor(amount).unwrap(),
            currency: Currency::from_code("JPY").unwrap(),
            at: Timestamp::from_millis(at),
        });
    let same = |one: &[ReportLine], other: &[ReportLine]| {
        let anywhere =
            |lines: &[ReportLine]| lines.iter().map(|line| ReportLine { line: 0, ..line.clone() }).collect::<Vec<_>>();
        anywhere(one) == anywhere(other)
    };
    fuzz("reports", &(prop::collection::vec(line, 0..5), edits()), |(made, edits)| {
        let report = rendered(&made);
        let read = lines(&report).expect("it is as it was written");
        prop_assert!(same(&read, &made), "{read:?}");
        let Some(read) = lines(&edited(&report, &edits)) else { return Ok(()) };
        let again = lines(&rendered(&read)).expect("it was read before");
        prop_assert!(same(&again, &read), "{again:?} and {read:?}");
        prop_assert!(read.windows(2).all(|pair| pair[0].line < pair[1].line), "each has a line of its own");
        Ok(())
    });
}
