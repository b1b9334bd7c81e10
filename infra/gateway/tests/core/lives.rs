//! Whatever is asked of it, in whatever mood, through outages and restarts: what holds of a gateway holds.

use std::collections::BTreeMap;

use gateway::{Gateway, Mischief, Mood, Outage, OutageKind, Protocol, RefundState};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Caller, Heard, Said, settings};

#[derive(Clone, Debug)]
enum Step {
    Charge(Protocol, u8),
    Refund(Protocol, u8, u8, u64),
    Ask(u8),
    Hear(i64, Option<u16>),
    Outage(i64),
    Order(Mischief),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let protocol = || prop_oneof![Just(Protocol::Plain), Just(Protocol::Stripe)];
    let status = prop_oneof![Just(Some(200)), Just(Some(401)), Just(Some(500)), Just(None)];
    prop_oneof![
        6 => (protocol(), 0..4_u8).prop_map(|(protocol, key)| Step::Charge(protocol, key)),
        3 => (protocol(), 0..4_u8, 0..3_u8, 1..150_099_u64)
            .prop_map(|(protocol, charge, key, amount)| Step::Refund(protocol, charge, key, amount)),
        1 => (0..4_u8).prop_map(Step::Ask),
        6 => (0..300_000_i64, status).prop_map(|(ms, status)| Step::Hear(ms, status)),
        1 => (1..600_000_i64).prop_map(Step::Outage),
        4 => prop::sample::select(&Mischief::ALL[..]).prop_map(Step::Order),
        1 => Just(Step::Restart),
    ]
}

/// A caller that writes down what it was told.
struct Witness {
    caller: Caller,
    mood: Mood,
    journal: String,
    /// What was first answered to a key, once it was neither lost nor broken.
    answers: BTreeMap<String, String>,
    heard: Vec<Heard>,
}

impl Witness {
    fn answered(&mut self, of: String, said: &Said) -> Result<(), TestCaseError> {
        let is_final = matches!(said.status, 200..=202 | 402);
        if is_final {
            let first = self.answers.entry(of).or_insert_with(|| said.text.clone());
            prop_assert_eq!(&said.text, &*first, "a repeat is answered as the first was");
        }
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Charge(Protocol::Plain, key) => {
                let said = self.caller.charge(&format!("key-{key}"));
                self.answered(format!("charge {key}"), &said)?;
            }
            Step::Charge(Protocol::Stripe, key) => {
                let said = self.caller.intent(&format!("key-{key}"));
                self.answered(format!("intent {key}"), &said)?;
            }
            Step::Refund(protocol, charge, key, amount) => {
                let key = format!("refund-{charge}-{key}-{amount}");
                let of = self.caller.gateway.book().charges_under(protocol, &format!("key-{charge}")).next();
                let Some(of) = of.map(|charge| charge.id.clone()) else { return Ok(()) };
                let said = match protocol {
                    Protocol::Plain => self.caller.refund(&key, &of, amount),
                    Protocol::Stripe => {
                        self.caller.form("/v1/refunds", &key, &format!("payment_intent={of}&amount={amount}"))
                    }
                };
                self.answered(format!("{protocol:?} {key}"), &said)?;
            }
            Step::Ask(key) => drop(self.caller.get(&format!("/charges?key=key-{key}"))),
            Step::Hear(ms, status) => self.heard.extend(self.caller.hear(ms, |_| status)),
            Step::Outage(ms) => {
                let outage = Outage { until_ms: self.caller.now + ms, how: OutageKind::Silence };
                self.caller.gateway.set_outage(Some(outage));
            }
            Step::Order(mischief) => drop(self.caller.next(&[mischief])),
            Step::Restart => {
                self.write();
                let restored = Gateway::restored(settings(), self.mood.clone(), 5, &self.journal, self.caller.now);
                self.caller.gateway = restored.unwrap();
                self.caller.gateway.keep_journal();
            }
        }
        self.write();
        Ok(())
    }

    fn write(&mut self) {
        for line in self.caller.gateway.take_journal() {
            self.journal.push_str(&line);
            self.journal.push('\n');
        }
    }
}

proptest! {
    // A life is long.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_holds_of_a_gateway_holds(is_foul in any::<bool>(), steps in prop::collection::vec(step(), 1..40)) {
        let mood = if is_foul { Mood::foul() } else { Mood::calm() };
        let caller = Caller::of(mood.clone(), 5);
        let mut witness =
            Witness { caller, mood, journal: String::new(), answers: BTreeMap::new(), heard: Vec::new() };
        witness.caller.gateway.keep_journal();
        for step in steps {
            witness.take(step)?;
        }
        witness.caller.gateway.set_outage(None);
        let rest = witness.caller.hear_all();
        witness.heard.extend(rest);
        witness.write();
        let book = witness.caller.gateway.book();
        prop_assert!(book.findings().is_empty(), "{:?}", book.findings());
        let mut taken = 0;
        for charge in book.charges() {
            let given_back = |state| -> u64 {
                book.refunds_of(&charge.id).filter(|refund| refund.state == state).map(|refund| refund.amount).sum()
            };
            prop_assert_eq!((charge.refunded, charge.refunding), (given_back(RefundState::Done), 0));
            prop_assert!(charge.refunded <= charge.amount && (charge.refunded == 0 || charge.was_captured()));
            prop_assert!(charge.settles_ms.is_none(), "an hour settles everything");
            let kinds: Vec<_> = book.events_of(&charge.id).map(|event| event.kind.as_str()).collect();
            let is_told = kinds.iter().any(|kind| matches!(*kind, "charge.captured" | "payment_intent.succeeded"));
            prop_assert_eq!(is_told, charge.was_captured(), "{:?}", kinds);
            taken += u64::from(charge.was_captured());
        }
        let lines = book.report(i64::MIN, i64::MAX);
        let reported = lines.lines().filter(|line| line.starts_with("charge,")).count();
        prop_assert_eq!(u64::try_from(reported).unwrap(), taken);
        let mut bodies: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for heard in &witness.heard {
            let said = bodies.entry(&heard.id).or_default();
            if !said.contains(&heard.text.as_str()) {
                said.push(&heard.text);
            }
        }
        for (id, bodies) in bodies {
            let is_altered = book.event(id).unwrap().mischiefs.contains(&Mischief::CallbackAltered);
            prop_assert!(bodies.len() == 1 || is_altered && bodies.len() == 2, "{} says {:?}", id, bodies);
        }
        let again = Gateway::restored(settings(), Mood::calm(), 5, &witness.journal, witness.caller.now);
        let charges = |gateway: &Gateway| json!(gateway.book().charges().collect::<Vec<_>>());
        prop_assert!(again.is_ok());
        let mut again = again.unwrap();
        again.due(witness.caller.now);
        prop_assert_eq!(charges(&again), charges(&witness.caller.gateway));
    }
}
