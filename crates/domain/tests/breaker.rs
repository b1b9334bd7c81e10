//! The breaker: when it opens, who may call meanwhile, how it closes; and that what goes well is not written.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::books::{Kept as _, Key};
use domain::events::Told;
use domain::ids::PaymentId;
use domain::payments::{
    self, Answer, Begun, Breaker, BreakerPhase, Gateway, GatewayKey, Limits, No, NoAnswer, PaymentState, ReportedState,
    Tally, Went,
};
use domain::promises::watch::Action;
use domain::{Millis, Timestamp};
use support::{Ledger, customer, key, reported};

fn of(number: u32) -> GatewayKey {
    GatewayKey::Charge(PaymentId::of_request(&customer("alice"), &key(&format!("k{number}"))))
}

fn heard(ledger: &mut Ledger, number: u32, went: Went, successes: u32) -> bool {
    let now = ledger.now;
    let heard = |draft: &mut domain::books::Draft<'_>| {
        payments::heard(draft, Gateway::Plain, of(number), went, Tally { successes }, &Limits::default(), now)
    };
    ledger.decide(heard).unwrap()
}

fn breaker(ledger: &Ledger) -> Breaker {
    Breaker::of_item(&ledger.items[&Key::Breaker(Gateway::Plain)].0).unwrap().clone()
}

fn phase(ledger: &Ledger) -> BreakerPhase {
    breaker(ledger).phase
}

/// So many payments that are to be called about.
fn waiting(payments: u32) -> Ledger {
    let mut ledger = Ledger::new();
    for number in 0..payments {
        ledger.make_payment("alice", &format!("k{number}"), 500, Gateway::Plain).unwrap();
    }
    ledger
}

fn opened(payments: u32) -> Ledger {
    let mut ledger = waiting(payments);
    for number in 0..10 {
        heard(&mut ledger, number, Went::Badly, 0);
    }
    assert_eq!(phase(&ledger), BreakerPhase::Open);
    ledger
}

#[test]
fn it_opens_when_too_many_of_enough_calls_fail_within_the_window() {
    for (what, failures, successes_with_each, seconds_between, opens) in [
        ("nine are too few", 9, 0, 0, false),
        ("ten are enough", 10, 0, 0, true),
        ("half of twenty", 10, 1, 0, true),
        ("a third of thirty", 10, 2, 0, false),
        ("a third of a hundred and fifty", 50, 2, 0, false),
        ("half of a hundred", 50, 1, 0, true),
        ("ten within the minute", 10, 0, 5, true),
        ("one each half minute", 50, 0, 30, false),
    ] {
        let mut ledger = Ledger::new();
        for number in 0..failures {
            heard(&mut ledger, number, Went::Badly, successes_with_each);
            ledger.pass(Millis::seconds(seconds_between));
        }
        assert_eq!(phase(&ledger) == BreakerPhase::Open, opens, "{what}");
    }
}

#[test]
fn what_goes_well_is_written_only_where_it_decides_something() {
    let mut ledger = Ledger::new();
    assert!(!heard(&mut ledger, 0, Went::Well, 9));
    assert!(ledger.items.is_empty());
    heard(&mut ledger, 0, Went::Badly, 0);
    let commits = ledger.commits.concat().len();
    assert!(!heard(&mut ledger, 1, Went::Well, 9));
    assert_eq!(ledger.commits.concat().len(), commits);
    let begun = waiting(1).begin_next(of(0));
    assert!(matches!(begun, Begun::Call(_)), "without a breaker everybody calls");
}

#[test]
fn while_it_is_open_work_is_put_off_and_not_failed() {
    let mut ledger = opened(1);
    let told = |ledger: &Ledger| -> Vec<Told> {
        let puts = ledger.commits.iter().flatten().filter_map(|action| match action {
            Action::Put { events, .. } => Some(events.iter().map(|event| event.told.clone())),
            _ => None,
        });
        puts.flatten().filter(|told| matches!(told, Told::BreakerBecame { .. })).collect()
    };
    assert_eq!(told(&ledger), [Told::BreakerBecame { phase: BreakerPhase::Open }]);
    ledger.calls.clear();
    let GatewayKey::Charge(id) = of(0) else { panic!() };
    let mut put_off: Vec<Timestamp> = Vec::new();
    for _ in 0..3 {
        assert_eq!(ledger.begin_next(of(0)), Begun::PutOff);
        let payment = ledger.payment(id);
        assert_eq!((payment.state, payment.call.attempts), (PaymentState::Pending, 0), "it is no attempt");
        put_off.push(payment.look_at.unwrap());
    }
    assert!(ledger.calls.is_empty(), "its message is done; it is looked at when the breaker may be closed");
    assert_eq!(put_off[0], ledger.now.after(Limits::default().open));
    let (now, message) = (ledger.now, domain::payments::GatewayMessage { key: of(0), attempt: 0 });
    let begin = |chance| {
        let (books, begun) =
            ledger.try_decide(|draft| payments::begin(draft, &message, &Limits::default(), chance, now)).unwrap();
        assert_eq!((begun, books.changes().len()), (Begun::PutOff, 1), "the breaker itself is only glanced at");
        books.peek::<payments::Payment>(&message.key.key()).unwrap().look_at.unwrap()
    };
    assert!(begin(999) > begin(0).after(Millis::minutes(3)), "and not all come back at once");
}

#[test]
fn a_few_probes_find_out_and_close_it_or_open_it_again() {
    let captured = Answer::Says(reported(ReportedState::Captured, 500));
    let limits = Limits::default();
    let mut ledger = opened(6);
    ledger.pass(limits.open);
    for number in 0..3 {
        assert!(matches!(ledger.begin_next(of(number)), Begun::Call(_)), "{number}");
        assert_eq!((phase(&ledger), breaker(&ledger).permits.len()), (BreakerPhase::HalfOpen, number as usize + 1));
    }
    assert_eq!(ledger.begin_next(of(3)), Begun::PutOff, "no more than those");
    // One is lost: its permit runs out, and another calls.
    let mut lost = ledger.clone();
    lost.pass(limits.permit);
    assert!(matches!(lost.begin_next(of(3)), Begun::Call(_)));
    // One fails: nobody calls.
    let mut failed = ledger.clone();
    failed.settle_call(of(0), &Answer::Silence(NoAnswer::Lost), 0);
    heard(&mut failed, 0, Went::Badly, 0);
    assert_eq!((phase(&failed), breaker(&failed).until), (BreakerPhase::Open, Some(failed.now.after(limits.open))));
    assert_eq!(failed.begin_next(of(3)), Begun::PutOff);
    assert!(!heard(&mut failed, 1, Went::Well, 0), "what was on its way then says nothing");
    assert!(!heard(&mut failed, 2, Went::Badly, 0), "and does not keep it open");
    // All go well: everybody calls.
    assert!(!heard(&mut ledger, 4, Went::Well, 0), "it has no permit");
    for number in 0..3 {
        ledger.settle_call(of(number), &captured, 0);
        assert!(heard(&mut ledger, number, Went::Well, 0));
        assert!(!heard(&mut ledger, number, Went::Well, 0), "counted once");
    }
    assert_eq!((phase(&ledger), breaker(&ledger).counted.len()), (BreakerPhase::Closed, 0));
    for number in 3..6 {
        assert!(matches!(ledger.begin_next(of(number)), Begun::Call(_)));
    }
    assert_eq!(ledger.audit().findings, []);
}

#[test]
fn each_gateway_has_its_own() {
    let mut ledger = opened(0);
    let other = ledger.make_payment("alice", "other", 500, Gateway::Stripe).unwrap().into_inner();
    assert!(matches!(ledger.begin_next(other.gateway_key()), Begun::Call(_)));
}

#[test]
fn a_no_is_an_answer_and_too_many_requests_is_neither() {
    let status = |status| Answer::Status { status, no: No::Unsaid, retry_after: None };
    for (answer, went) in [
        (Answer::Says(reported(ReportedState::Declined, 5)), Some(Went::Well)),
        (Answer::NotThere, Some(Went::Well)),
        (status(402), Some(Went::Well)),
        (status(409), Some(Went::Well)),
        (status(429), None),
        (status(401), Some(Went::Badly)),
        (status(408), Some(Went::Badly)),
        (status(500), Some(Went::Badly)),
        (status(302), Some(Went::Badly)),
        (Answer::Silence(NoAnswer::NotReached), Some(Went::Badly)),
        (Answer::Silence(NoAnswer::Lost), Some(Went::Badly)),
        (Answer::Silence(NoAnswer::NobodyKnows), None),
    ] {
        assert_eq!(answer.went(), went, "{answer:?}");
    }
}
