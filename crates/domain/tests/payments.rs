//! Payments: every state and everything that can be said, each answer of a gateway, the schedule of attempts, what is
//! asked before it is sent again; and that no repeat and no loss makes one charge too many.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::books::Halt;
use domain::ids::{IdempotencyKey, OrderId, PaymentId};
use domain::payments::{
    self, Answer, Begun, Call, Doubt, Gateway, GatewayKey, GatewayMessage, GatewayRef, InventoryEvent, No, NoAnswer,
    PaymentState, Reported, ReportedState, Said, Taken, Verdict,
};
use domain::text::Reference;
use domain::{Amount, Currency, Millis, Outcome, Refusal, Timestamp};
use support::{Ledger, START, customer, key, reported};

const LOST: Answer = Answer::Silence(NoAnswer::Lost);

fn says(state: ReportedState, minor: i64) -> Answer {
    Answer::Says(reported(state, minor))
}

fn status(status: u16, no: No) -> Answer {
    Answer::Status { status, no, retry_after: None }
}

/// A payment of 500 for an order that is kept elsewhere.
fn paying(gateway: Gateway) -> (Ledger, GatewayKey) {
    let mut ledger = Ledger::new();
    let payment = ledger.make_payment("alice", "k", 500, gateway).unwrap().into_inner();
    (ledger, payment.gateway_key())
}

fn id(of: GatewayKey) -> PaymentId {
    match of {
        GatewayKey::Charge(id) => id,
        GatewayKey::Refund(_) => panic!("{of} is no payment"),
    }
}

fn state(ledger: &Ledger, of: GatewayKey) -> PaymentState {
    ledger.payment(id(of)).state
}

fn holds(ledger: &Ledger) {
    assert_eq!(ledger.audit().findings, []);
}

fn minor(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

#[test]
fn everything_that_can_be_said_in_every_state() {
    use PaymentState::{Captured, Created, Declined, Expired, InReview, Pending, Refunded, Refunding, Unknown};
    let whole = |whole| Said::RefundsOver { whole };
    let leads = [
        (Said::Accepted, vec![(Unknown, Pending), (Expired, Pending)]),
        (Said::Captured, [Created, Pending, Unknown, Expired, Declined].map(|from| (from, Captured)).to_vec()),
        (Said::Declined, [Created, Pending, Unknown, Expired].map(|from| (from, Declined)).to_vec()),
        (Said::Unheard, vec![(Pending, Unknown)]),
        (Said::Lapsed, vec![(Pending, Expired), (Unknown, Expired)]),
        (Said::Doubted, PaymentState::ALL.map(|from| (from, InReview)).to_vec()),
        (Said::RefundBegun, vec![(Captured, Refunding)]),
        (whole(true), vec![(Refunding, Refunded)]),
        (whole(false), vec![(Refunding, Captured)]),
        (Said::Judged(Captured), vec![(InReview, Captured)]),
        (Said::Judged(Declined), vec![(InReview, Declined)]),
    ];
    for (said, leads) in leads {
        for from in PaymentState::ALL {
            let to = leads.iter().find(|(of, _)| *of == from).map_or(from, |(_, to)| *to);
            assert_eq!(from.after(said), to, "{from:?} and {said:?}");
        }
    }
}

#[test]
fn a_payment_is_made_once_and_called_about_once() {
    let (mut ledger, of) = paying(Gateway::Plain);
    assert!(ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap().is_replay());
    let refused = ledger.make_payment("alice", "k", 501, Gateway::Plain);
    assert_eq!(refused, Err(Refusal::KeyUsedForAnotherRequest));
    let message = GatewayMessage { key: of, attempt: 0 };
    assert_eq!(ledger.calls, [message]);
    let payment = ledger.payment(id(of));
    assert_eq!((payment.state, payment.deadline), (PaymentState::Pending, Some(START.after(Millis::hours(72)))));
    assert_eq!(payment.look_at, Some(START.after(Millis::minutes(5))), "in case its message is lost");
    let Begun::Call(attempt) = ledger.begin_call(message) else { panic!() };
    assert_eq!((attempt.number, attempt.call, attempt.gateway), (1, Call::Send, Gateway::Plain));
    assert_eq!((attempt.key, attempt.amount), (of, minor(500)));
    assert_eq!(ledger.payment(id(of)).look_at, Some(START.after(Millis::minutes(2))), "somebody may be at it");
    assert_eq!(ledger.begin_call(message), Begun::Nothing, "it has begun");
    assert_eq!(ledger.begin_next(of), Begun::Nothing, "and is under way");
    ledger.settle_call(of, &says(ReportedState::Captured, 500), 0);
    let payment = ledger.payment(id(of));
    assert_eq!((payment.state, payment.captured, payment.look_at), (PaymentState::Captured, Some(minor(500)), None));
    assert_eq!((payment.entries, payment.balance), (2, Amount::ZERO), "it came, and went on to the revenue");
    assert_eq!(ledger.begin_call(message), Begun::Nothing, "it is over");
    assert_eq!(ledger.begin_next(of), Begun::Nothing);
    let report = ledger.audit();
    assert_eq!((report.findings, report.gateway, report.revenue, report.owed), (vec![], 500, 500, 0));
}

#[test]
fn what_may_not_be_asked_for_is_refused_by_name() {
    let mut ledger = Ledger::new();
    assert_eq!(ledger.make_payment("alice", "k", 0, Gateway::Plain), Err(Refusal::AmountNotPositive));
    let order = OrderId::of(&customer("bob"), &key("theirs")).to_string();
    let named = ledger.make_payment("alice", &order, 5, Gateway::Plain);
    assert_eq!(named, Err(Refusal::ReferenceNamesOrder), "whether there is such an order or not");
    assert!(ledger.items.is_empty());
    let payment = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap().into_inner();
    assert_eq!(payments::seen_by(&customer("bob"), Some(payment)), Err(Refusal::PaymentNotFound));
}

/// What each answer to a first request comes to: the state, and after how many seconds it is called about again.
#[test]
fn how_each_answer_is_taken() {
    use PaymentState::{Captured, Declined, InReview, Pending};
    let other_currency = Reported { currency: Currency::from_code("USD"), ..reported(ReportedState::Captured, 500) };
    let unsaid = Reported { amount: None, currency: None, ..reported(ReportedState::Captured, 500) };
    let bare = |state| Answer::Says(Reported { amount: None, currency: None, ..reported(state, 500) });
    let wait = |seconds| Answer::Status { status: 429, no: No::Unsaid, retry_after: Some(Millis::seconds(seconds)) };
    for (answer, to, again) in [
        (says(ReportedState::Captured, 500), Captured, None),
        (says(ReportedState::Pending, 500), Pending, None),
        (bare(ReportedState::Pending), Pending, None),
        (says(ReportedState::Declined, 500), Declined, None),
        (bare(ReportedState::Declined), Declined, None),
        (says(ReportedState::Captured, 499), InReview, None),
        (says(ReportedState::Captured, 501), InReview, None),
        (says(ReportedState::Pending, 5), InReview, None),
        (says(ReportedState::Declined, 5), InReview, None),
        (says(ReportedState::Refunded, 500), InReview, None),
        (Answer::Says(other_currency), InReview, None),
        (Answer::Says(unsaid), InReview, None),
        (status(402, No::Declined), Declined, None),
        (status(402, No::Unsaid), Declined, None),
        (status(400, No::Declined), Declined, None),
        (status(422, No::Declined), Declined, None),
        (status(409, No::AboutTheKey), InReview, None),
        (status(422, No::AboutTheKey), InReview, None),
        (status(400, No::Unsaid), InReview, None),
        (status(404, No::Unsaid), InReview, None),
        (status(422, No::Unsaid), InReview, None),
        (status(401, No::Unsaid), Pending, Some(2)),
        (status(403, No::Unsaid), Pending, Some(2)),
        (status(408, No::Unsaid), Pending, Some(2)),
        (status(409, No::Unsaid), Pending, Some(2)),
        (status(429, No::Unsaid), Pending, Some(2)),
        (wait(0), Pending, Some(2)),
        (wait(90), Pending, Some(90)),
        (wait(i64::MAX / 1_000), Pending, Some(900)),
        (status(500, No::Unsaid), Pending, Some(2)),
        (status(503, No::Declined), Pending, Some(2)),
        (status(200, No::Unsaid), Pending, Some(2)),
        (status(301, No::Unsaid), Pending, Some(2)),
        (LOST, Pending, Some(2)),
        (Answer::Silence(NoAnswer::NotReached), Pending, Some(2)),
    ] {
        let (mut ledger, of) = paying(Gateway::Plain);
        ledger.begin_next(of);
        ledger.calls.clear();
        ledger.settle_call(of, &answer, 0);
        let payment = ledger.payment(id(of));
        assert_eq!(payment.state, to, "{answer:?}");
        let called: Vec<u32> = ledger.calls.iter().map(|message| message.attempt).collect();
        assert_eq!(called, Vec::from_iter(again.map(|_| 1)), "{answer:?}");
        let look = again.map(|seconds| START.after(Millis::seconds(seconds)).after(Millis::minutes(5)));
        let look = look.or_else(|| match to {
            InReview => Some(START.after(Millis::hours(24))),
            Pending => Some(START.after(Millis::minutes(10))),
            _ => None,
        });
        assert_eq!(payment.look_at, look, "{answer:?}");
        assert_eq!(payment.captured.is_some(), to == Captured, "{answer:?}");
        holds(&ledger);
    }
}

#[test]
fn what_fails_is_tried_again_after_2_4_and_8_seconds_and_is_then_unknown() {
    for chance in [0, 999] {
        let (mut ledger, of) = paying(Gateway::Stripe);
        for seconds in [2_i64, 4, 8] {
            ledger.begin_next(of);
            ledger.calls.clear();
            ledger.settle_call(of, &LOST, chance);
            let longer = if chance == 0 { 0 } else { seconds * 1_000 / 4 * 999 / 1_000 };
            let pause = Millis(seconds * 1_000 + longer);
            assert_eq!(ledger.calls.len(), 1);
            let look_at = ledger.payment(id(of)).look_at.unwrap();
            assert_eq!(look_at, ledger.now.after(pause).after(Millis::minutes(5)));
            assert_eq!(state(&ledger, of), PaymentState::Pending);
            ledger.pass(pause);
        }
        ledger.begin_next(of);
        ledger.calls.clear();
        ledger.settle_call(of, &LOST, 0);
        assert_eq!((state(&ledger, of), ledger.calls.len()), (PaymentState::Unknown, 0), "left to whoever looks");
        // Each look is one more attempt, and they come less and less often.
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let look_at = ledger.payment(id(of)).look_at.unwrap();
            pauses.push((look_at.as_millis() - ledger.now.as_millis()) / 60_000);
            ledger.now = look_at;
            assert!(ledger.look_at(of));
            assert_eq!(ledger.calls.len(), 1);
            assert_eq!(ledger.begin_next(of).call(), Some(Call::Send), "the same request, which is the asking");
            ledger.calls.clear();
            ledger.settle_call(of, &LOST, 0);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let told = ledger.payment(id(of)).timeline.len();
        assert_eq!(told, 2, "pending, unknown: however long it takes");
        holds(&ledger);
    }
}

#[test]
fn what_may_have_arrived_is_asked_for_before_anything_is_sent_again() {
    let (mut ledger, of) = paying(Gateway::Plain);
    assert_eq!(ledger.call(of, &LOST), Some(Call::Send));
    assert_eq!(ledger.call(of, &LOST), Some(Call::Ask), "the asking was lost too");
    assert_eq!(ledger.call(of, &Answer::NotThere), Some(Call::Ask));
    assert_eq!(ledger.call(of, &status(500, No::Unsaid)), Some(Call::Send));
    assert_eq!(ledger.call(of, &says(ReportedState::Pending, 500)), Some(Call::Ask));
    assert_eq!(ledger.begin_next(of).call(), Some(Call::Ask), "it is there, and may be asked for at any time");
    ledger.settle_call(of, &says(ReportedState::Captured, 500), 0);
    assert_eq!(state(&ledger, of), PaymentState::Captured);
    holds(&ledger);
}

/// A key that is used up by an error, of which the gateway knows nothing else: sending fails, asking finds nothing.
#[test]
fn what_fails_and_is_not_there_is_not_tried_without_a_pause_for_ever() {
    let (mut ledger, of) = paying(Gateway::Plain);
    let began = ledger.now;
    let (mut sent, mut asked) = (0, 0);
    while ledger.payment(id(of)).state != PaymentState::InReview {
        while !ledger.calls.is_empty() {
            let message = ledger.calls.remove(0);
            match ledger.begin_call(message).call() {
                Some(Call::Send) => {
                    sent += 1;
                    ledger.settle_call(of, &status(500, No::Unsaid), 0);
                }
                Some(Call::Ask) => {
                    asked += 1;
                    ledger.settle_call(of, &Answer::NotThere, 0);
                }
                None => {}
            }
            ledger.pass(Millis::seconds(1));
        }
        let due = ledger.payment(id(of)).look_at.unwrap();
        ledger.now = ledger.now.max(due);
        ledger.look_at(of);
        assert!(ledger.now < began.after(Millis::hours(49)), "it ends");
    }
    assert!(sent <= 35 && asked <= 35, "sent {sent} times and asked {asked} times within a day");
    holds(&ledger);
}

#[test]
fn what_surely_did_not_arrive_is_sent_without_asking() {
    for answer in [status(429, No::Unsaid), status(401, No::Unsaid), Answer::Silence(NoAnswer::NotReached)] {
        let (mut ledger, of) = paying(Gateway::Plain);
        assert_eq!(ledger.call(of, &answer), Some(Call::Send));
        assert!(ledger.payment(id(of)).call.sent_at.is_none(), "{answer:?}: nothing was sent");
        assert_eq!(ledger.call(of, &LOST), Some(Call::Send));
        assert_eq!(ledger.call(of, &answer), Some(Call::Ask), "{answer:?}: but now it may have arrived");
        assert_eq!(ledger.call(of, &answer), Some(Call::Ask), "{answer:?} to an asking says nothing of it");
    }
}

#[test]
fn what_the_gateway_may_have_forgotten_is_never_sent_again() {
    for (gateway, knows_reference, asks) in
        [(Gateway::Stripe, false, false), (Gateway::Stripe, true, true), (Gateway::Plain, false, true)]
    {
        let (mut ledger, of) = paying(gateway);
        ledger.call(of, &LOST);
        ledger.pass(Millis::hours(22));
        if knows_reference {
            let reference = GatewayRef::new("pi_1");
            let pending = Reported { reference, ..reported(ReportedState::Pending, 500) };
            assert_eq!(ledger.call(of, &Answer::Says(pending)), Some(Call::Send));
        } else {
            let call = if asks { Call::Ask } else { Call::Send };
            assert_eq!(ledger.call(of, &LOST), Some(call), "still known");
        }
        ledger.pass(Millis::hours(1));
        let call = ledger.begin_next(of).call();
        assert_eq!(call, asks.then_some(Call::Ask), "{gateway:?}");
        if asks && !knows_reference {
            ledger.settle_call(of, &Answer::NotThere, 0);
        }
        if !asks || !knows_reference {
            let payment = ledger.payment(id(of));
            assert_eq!(
                (payment.state, &payment.doubts[..]),
                (PaymentState::InReview, &[Doubt::TooOld { key: of }][..])
            );
            assert_eq!(ledger.begin_next(of), Begun::Nothing);
        }
        holds(&ledger);
    }
}

#[test]
fn an_attempt_that_nobody_came_back_from_is_taken_for_lost_and_what_it_said_late_counts() {
    let (mut ledger, of) = paying(Gateway::Plain);
    ledger.begin_next(of);
    assert!(!ledger.look_at(of), "somebody may be at it");
    ledger.pass(Millis::minutes(2));
    ledger.calls.clear();
    assert!(ledger.look_at(of));
    assert_eq!(ledger.calls, [GatewayMessage { key: of, attempt: 1 }]);
    assert_eq!(ledger.begin_next(of).call(), Some(Call::Ask));
    let now = ledger.now;
    let late = |ledger: &mut Ledger, answer: &Answer| {
        ledger.decide(|draft| payments::settle(draft, of, 1, answer, 0, now)).unwrap()
    };
    assert!(late(&mut ledger, &LOST).is_replay(), "that is known");
    assert_eq!(late(&mut ledger, &says(ReportedState::Captured, 500)), Outcome::Done(()));
    assert_eq!(state(&ledger, of), PaymentState::Captured);
    ledger.settle_call(of, &says(ReportedState::Captured, 500), 0);
    assert_eq!(ledger.audit().gateway, 500, "once");
    holds(&ledger);
}

#[test]
fn a_deadline_ends_what_the_gateway_does_not_know_and_a_capture_may_follow() {
    // Never sent, never heard of, asked for in vain.
    let (mut ledger, of) = paying(Gateway::Plain);
    ledger.pass(Millis::hours(72));
    assert!(ledger.look_at(of));
    assert_eq!((state(&ledger, of), ledger.calls.len()), (PaymentState::Expired, 1));
    let (mut ledger, of) = paying(Gateway::Plain);
    ledger.pass(Millis::hours(72));
    assert_eq!(ledger.begin_next(of), Begun::Nothing, "a message that comes so late sends nothing");
    assert_eq!(state(&ledger, of), PaymentState::Expired);
    let (mut ledger, of) = paying(Gateway::Plain);
    ledger.pass(Millis::hours(71));
    ledger.call(of, &LOST);
    ledger.pass(Millis::hours(2));
    assert!(ledger.look_at(of));
    assert_eq!(ledger.call(of, &LOST), Some(Call::Ask));
    assert_eq!(ledger.call(of, &Answer::NotThere), Some(Call::Ask));
    assert_eq!(state(&ledger, of), PaymentState::Expired);
    assert_eq!(ledger.payment(id(of)).look_at, None);
    holds(&ledger);
    // Not found does not prove not charged.
    ledger.call_back("c1", "", of, &reported(ReportedState::Pending, 500));
    assert_eq!(state(&ledger, of), PaymentState::Pending, "it is there after all, and is asked for");
    assert_eq!(ledger.payment(id(of)).look_at, Some(ledger.now.after(Millis::minutes(10))));
    let mut asked = ledger.clone();
    assert_eq!(asked.call(of, &Answer::NotThere), Some(Call::Ask));
    assert_eq!(state(&asked, of), PaymentState::Expired, "and is not after all");
    ledger.call_back("c2", "", of, &reported(ReportedState::Captured, 500));
    assert_eq!(state(&ledger, of), PaymentState::Captured);
    holds(&ledger);
}

#[test]
fn a_callback_is_taken_in_once_and_another_under_its_id_is_for_a_person() {
    let (mut ledger, of) = paying(Gateway::Plain);
    let captured = reported(ReportedState::Captured, 500);
    assert_eq!(ledger.call_back("c1", "a", of, &captured), Taken::Now);
    let kept = ledger.items.clone();
    assert_eq!(ledger.call_back("c1", "a", of, &captured), Taken::Before);
    assert_eq!(ledger.items, kept, "nothing is written");
    assert_eq!(ledger.call_back("c1", "b", of, &reported(ReportedState::Captured, 5)), Taken::Changed);
    let payment = ledger.payment(id(of));
    assert_eq!((payment.state, &payment.doubts[..]), (PaymentState::InReview, &[Doubt::CallbackChanged][..]));
    assert_eq!(payment.captured, Some(minor(500)), "and it is not taken in");
    let kept = ledger.items.clone();
    assert_eq!(ledger.call_back("c1", "b", of, &reported(ReportedState::Captured, 5)), Taken::Changed);
    assert_eq!(ledger.call_back("c1", "a", of, &captured), Taken::Before);
    assert_eq!(ledger.items, kept);
    holds(&ledger);
}

#[test]
fn a_callback_before_its_payment_is_kept_where_that_will_stand_and_taken_in_by_it() {
    let wanted = PaymentId::of_request(&customer("alice"), &key("k"));
    let of = GatewayKey::Charge(wanted);
    for (state, comes_to) in [
        (ReportedState::Captured, PaymentState::Captured),
        (ReportedState::Declined, PaymentState::Declined),
        (ReportedState::Pending, PaymentState::Pending),
    ] {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.call_back("c1", "a", of, &reported(state, 500)), Taken::Early);
        assert_eq!(ledger.call_back("c1", "a", of, &reported(state, 500)), Taken::Before);
        assert_eq!(ledger.call_back("c2", "b", of, &reported(state, 500)), Taken::Early, "the same under another id");
        let made = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap();
        assert!(!made.is_replay());
        assert_eq!(made.into_inner().state, comes_to);
        if state == ReportedState::Pending {
            assert_eq!(ledger.clone().begin_next(of).call(), Some(Call::Ask), "it is there, and need not be sent");
        }
        assert_eq!(ledger.call_back("c3", "c", of, &reported(state, 500)), Taken::Now);
        assert_eq!(self::state(&ledger, of), comes_to);
        holds(&ledger);
    }
    // Of other money, and from another gateway than it goes through.
    for gateway in [Gateway::Plain, Gateway::Stripe] {
        let mut ledger = Ledger::new();
        ledger.call_back("c1", "a", of, &reported(ReportedState::Captured, 501));
        let made = ledger.make_payment("alice", "k", 500, gateway).unwrap().into_inner();
        assert_eq!((made.state, made.captured, made.doubts.len()), (PaymentState::InReview, None, 1));
        holds(&ledger);
    }
}

#[test]
fn a_report_on_what_never_comes_is_brought_before_a_person_and_stays() {
    let of = GatewayKey::Charge(PaymentId::of_request(&customer("alice"), &key("k")));
    let mut ledger = Ledger::new();
    ledger.call_back("c1", "a", of, &reported(ReportedState::Captured, 500));
    assert!(!ledger.look_at(of));
    ledger.pass(Millis::minutes(30));
    assert!(ledger.look_at(of));
    assert_eq!(ledger.audit().orphans, 1);
    let now = ledger.now;
    let dismiss = |ledger: &mut Ledger| ledger.decide(|draft| payments::dismiss(draft, of)).unwrap();
    assert!(!dismiss(&mut ledger).is_replay());
    assert!(dismiss(&mut ledger).is_replay());
    ledger.now = now.after(Millis::hours(1_000));
    assert!(!ledger.look_at(of));
    let made = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap().into_inner();
    assert_eq!(made.state, PaymentState::Captured, "it is taken in all the same");
    holds(&ledger);
}

fn event(amount: Option<i64>, order: &str) -> InventoryEvent {
    InventoryEvent {
        key: IdempotencyKey::parse("e1").unwrap(),
        order: Reference::new(order).unwrap(),
        amount: amount.map(minor),
        currency: None,
        customer: Some(customer("shop")),
        fingerprint: domain::ids::Fingerprint::of("inventory", &[("order", order.to_owned())]),
    }
}

#[test]
fn an_inventory_event_makes_one_payment_that_an_operator_ends() {
    for amount in [Some(700), None] {
        for verdict in [Verdict::Completed, Verdict::Failed] {
            let mut ledger = Ledger::new();
            let (now, terms) = (ledger.now, ledger.terms.clone());
            let made = |ledger: &mut Ledger, order: &str| {
                ledger.decide(|draft| payments::of_event(draft, &event(amount, order), now, &terms))
            };
            let payment = made(&mut ledger, "A-1").unwrap().into_inner();
            assert_eq!((payment.state, payment.gateway), (PaymentState::Created, None));
            assert!(ledger.calls.is_empty(), "no gateway knows of it");
            assert!(made(&mut ledger, "A-1").unwrap().is_replay());
            assert_eq!(made(&mut ledger, "A-2"), Err(Refusal::KeyUsedForAnotherRequest));
            ledger.now = payment.look_at.unwrap();
            assert!(ledger.look_at(payment.gateway_key()), "whoever has to say is reminded");
            let judge = |ledger: &mut Ledger, verdict| {
                let now = ledger.now;
                ledger.decide(|draft| payments::judge(draft, payment.id, verdict, now))
            };
            let judged = judge(&mut ledger, verdict).unwrap().into_inner();
            let (state, other) = match verdict {
                Verdict::Completed => (PaymentState::Captured, Verdict::Failed),
                Verdict::Failed => (PaymentState::Declined, Verdict::Completed),
            };
            assert_eq!(judged.state, state);
            assert!(judge(&mut ledger, verdict).unwrap().is_replay());
            assert_eq!(judge(&mut ledger, other), Err(Refusal::NotForAnOperator { state }));
            let came = if verdict == Verdict::Completed { i128::from(amount.unwrap_or(0)) } else { 0 };
            assert_eq!((ledger.audit().confirmed, ledger.audit().gateway), (came, 0));
            let refund = ledger.ask_refund("shop", "r", payment.id, None).unwrap_err();
            let by_hand = match verdict {
                Verdict::Completed => Refusal::PaymentNotByCard,
                Verdict::Failed => Refusal::PaymentNotCaptured { state },
            };
            assert_eq!(refund, by_hand);
            holds(&ledger);
        }
    }
}

#[test]
fn an_event_that_names_an_order_of_ours_goes_to_review() {
    let mut ledger = Ledger::new();
    let order = OrderId::of(&customer("alice"), &key("k")).to_string();
    let (now, terms) = (ledger.now, ledger.terms.clone());
    let payment = ledger.decide(|draft| payments::of_event(draft, &event(Some(5), &order), now, &terms));
    let payment = payment.unwrap().into_inner();
    assert_eq!((payment.state, &payment.doubts[..]), (PaymentState::InReview, &[Doubt::NamesOrder][..]));
    holds(&ledger);
}

#[test]
fn a_review_ends_by_a_person_and_never_against_what_was_captured() {
    let judge = |ledger: &mut Ledger, of: GatewayKey, verdict| {
        let now = ledger.now;
        ledger.decide(|draft| payments::judge(draft, id(of), verdict, now))
    };
    // Nothing was captured: either way.
    for (verdict, state) in [(Verdict::Completed, PaymentState::Captured), (Verdict::Failed, PaymentState::Declined)] {
        let (mut ledger, of) = paying(Gateway::Plain);
        ledger.call(of, &status(409, No::AboutTheKey));
        assert_eq!(judge(&mut ledger, of, verdict).unwrap().into_inner().state, state);
        assert_eq!(ledger.payment(id(of)).doubts, []);
        holds(&ledger);
    }
    // It was, and something else was wrong.
    let (mut ledger, of) = paying(Gateway::Plain);
    ledger.call(of, &says(ReportedState::Captured, 500));
    ledger.call_back("c1", "", of, &reported(ReportedState::Captured, 5));
    assert_eq!(state(&ledger, of), PaymentState::InReview);
    assert_eq!(ledger.ask_refund("alice", "r", id(of), None), Err(Refusal::PaymentInReview));
    assert_eq!(judge(&mut ledger, of, Verdict::Failed), Err(Refusal::CapturedAlready));
    assert_eq!(judge(&mut ledger, of, Verdict::Completed).unwrap().into_inner().state, PaymentState::Captured);
    assert_eq!(ledger.audit().gateway, 500);
    // Of what goes its way nobody decides by hand.
    let (mut ledger, of) = paying(Gateway::Plain);
    let refused = judge(&mut ledger, of, Verdict::Completed);
    assert_eq!(refused, Err(Refusal::NotForAnOperator { state: PaymentState::Pending }));
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut ledger = Ledger::new();
    let of = PaymentId::of_request(&customer("alice"), &key("k"));
    let now = Timestamp::from_millis(1);
    assert_eq!(ledger.begin_call(GatewayMessage { key: GatewayKey::Charge(of), attempt: 0 }), Begun::Nothing);
    assert!(!ledger.look_at(GatewayKey::Charge(of)));
    let settled = ledger.decide(|draft| payments::settle(draft, GatewayKey::Charge(of), 1, &LOST, 0, now));
    assert!(settled.unwrap().is_replay());
    let judged = ledger.try_decide(|draft| payments::judge(draft, of, Verdict::Failed, now)).map(|_| ());
    assert_eq!(judged, Err(Refusal::PaymentNotFound));
    let asked: Result<(), Halt> = Err(Refusal::RefundNotFound.into());
    let id = domain::ids::RefundId::of_request(&customer("alice"), &key("r"));
    let ended = ledger.try_decide(|draft| payments::end_refund(draft, id, true, now)).map(|_| ());
    assert_eq!(ended.map_err(Halt::from), asked);
    assert!(ledger.items.is_empty());
}
