//! Orders that are paid by card, and what is given back: what was captured has its order paid or its refund made, and
//! never goes back more than once.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use domain::books::{Books, Change, Found, Halt, Key};
use domain::events::Told;
use domain::ids::{Fingerprint, OrderId, PaymentId, RefundId};
use domain::orders::{Advanced, IfLacking, OrderState, PayWith, What};
use domain::payments::{
    self, Answer, AskRefund, Begun, Call, Doubt, Gateway, GatewayKey, MOST_OPEN_REFUNDS, No, NoAnswer, PaymentState,
    RefundState, ReportedState, Verdict, WhyRefund,
};
use domain::promises::watch::Action;
use domain::{Amount, Millis, Refusal, Timestamp};
use support::{Ledger, Policies, customer, key, reported};

const CARD: PayWith = PayWith::Card(Gateway::Plain);
const LOST: Answer = Answer::Silence(NoAnswer::Lost);

fn says(state: ReportedState, minor: i64) -> Answer {
    Answer::Says(reported(state, minor))
}

fn captured() -> Answer {
    says(ReportedState::Captured, 500)
}

fn declined() -> Answer {
    Answer::Status { status: 402, no: No::Declined, retry_after: None }
}

/// A plain order of 500 by card, after its message.
fn placed() -> (Ledger, OrderId, GatewayKey) {
    let mut ledger = Ledger::new();
    let order = ledger.place_paid_with("alice", "k", 500, IfLacking::Wait, CARD).unwrap().into_inner();
    ledger.settle();
    (ledger, order.id, GatewayKey::Charge(PaymentId::of_order(&order.id)))
}

/// An order of goods by card, two pieces of 250.
fn placed_goods(policies: Policies) -> (Ledger, OrderId, GatewayKey) {
    let mut ledger = Ledger::new();
    ledger.product("tea", 250);
    ledger.put_slot("standard", 5, None, None).unwrap();
    let order = ledger.place_goods("alice", "k", &[("tea", 2)], policies).unwrap().into_inner();
    ledger.settle();
    (ledger, order.id, GatewayKey::Charge(PaymentId::of_order(&order.id)))
}

fn by_card() -> Policies {
    Policies { pay_with: CARD, ..Policies::default() }
}

fn payment_of(of: GatewayKey) -> PaymentId {
    let GatewayKey::Charge(id) = of else { panic!("{of} is no payment") };
    id
}

fn state(ledger: &Ledger, of: GatewayKey) -> PaymentState {
    ledger.payment(payment_of(of)).state
}

fn minor(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

fn holds(ledger: &Ledger) {
    assert_eq!(ledger.audit().findings, []);
}

/// The refund that an order's end began is made.
fn comes_back(ledger: &mut Ledger, order: OrderId) {
    let of = GatewayKey::Refund(RefundId::of_order(&order));
    assert!(matches!(ledger.refund(RefundId::of_order(&order)).why, WhyRefund::OrderEnded(_)));
    assert_eq!(state(ledger, GatewayKey::Charge(PaymentId::of_order(&order))), PaymentState::Refunding);
    holds(ledger);
    assert_eq!(ledger.call(of, &says(ReportedState::Refunded, 500)), Some(Call::Send));
    let payment = ledger.payment(PaymentId::of_order(&order));
    assert_eq!((payment.state, payment.refunded, payment.look_at), (PaymentState::Refunded, minor(500), None));
    let report = ledger.audit();
    assert_eq!((report.gateway, report.revenue, report.owed), (0, 0, 0));
    holds(ledger);
}

#[test]
fn an_order_by_card_waits_for_the_gateway_and_is_paid_in_the_commit_of_its_word() {
    let (mut ledger, id, of) = placed();
    let order = ledger.order(id);
    let waits = order.waiting_for.unwrap();
    assert_eq!((order.state, waits.what, order.parked), (OrderState::AwaitingPayment, What::Card, None));
    assert_eq!(order.look_at, Some(waits.until));
    assert!(ledger.told.is_empty(), "that the gateway is asked is no news");
    assert_eq!(ledger.advance(id), Advanced::Unchanged);
    assert_eq!((ledger.calls.len(), ledger.balance("alice")), (1, 0));
    let commits = ledger.commits.len();
    ledger.begin_next(of);
    ledger.settle_call(of, &captured(), 0);
    assert_eq!(ledger.commits.len(), commits + 2, "begun, and settled");
    let order = ledger.order(id);
    assert_eq!((order.state, order.charged, order.look_at), (OrderState::Completed, minor(500), None));
    assert!(ledger.work.is_empty(), "a plain order has no way left");
    let told: Vec<&str> = ledger.told.iter().map(|told| told.text.as_str()).collect();
    assert_eq!(told, ["Your order is paid: 5.00 EUR by card", "Your order is completed"]);
    let report = ledger.audit();
    assert_eq!((report.gateway, report.revenue, report.deposited), (500, 500, 0));
    holds(&ledger);
}

#[test]
fn the_balance_pays_nothing_of_an_order_by_card_and_a_card_nothing_of_another() {
    let (mut ledger, id, _) = placed();
    ledger.deposit("alice", "d", 500).unwrap();
    ledger.settle();
    assert_eq!((ledger.order(id).state, ledger.balance("alice")), (OrderState::AwaitingPayment, 500));
    let plain = ledger.place("alice", "k2", 900, IfLacking::Wait).unwrap().into_inner().id;
    ledger.settle();
    let of = GatewayKey::Charge(PaymentId::of_order(&plain));
    ledger.call_back("c", "", of, &reported(ReportedState::Captured, 900));
    ledger.settle();
    assert_eq!(ledger.order(plain).state, OrderState::AwaitingPayment, "there is no payment that it would be paid by");
}

#[test]
fn a_card_that_is_not_charged_ends_its_order_and_what_is_captured_after_all_goes_back() {
    for if_unpaid in [IfLacking::Wait, IfLacking::Cancel] {
        let mut ledger = Ledger::new();
        let id = ledger.place_paid_with("alice", "k", 500, if_unpaid, CARD).unwrap().into_inner().id;
        let of = GatewayKey::Charge(PaymentId::of_order(&id));
        ledger.settle();
        assert_eq!(ledger.order(id).state, OrderState::AwaitingPayment, "the gateway is not slow to whoever hurries");
        ledger.call(of, &declined());
        assert_eq!((ledger.order(id).state, state(&ledger, of)), (OrderState::Cancelled, PaymentState::Declined));
        assert_eq!(ledger.last_told(id), "Your order is cancelled: your card was not charged");
        holds(&ledger);
        ledger.call_back("c", "", of, &reported(ReportedState::Captured, 500));
        assert_eq!(ledger.order(id).state, OrderState::Cancelled);
        comes_back(&mut ledger, id);
        ledger.call_back("c2", "", of, &reported(ReportedState::Captured, 500));
        assert_eq!(state(&ledger, of), PaymentState::Refunded, "and not again");
    }
}

#[test]
fn an_order_that_is_cancelled_before_anything_was_sent_is_not_charged() {
    let (mut ledger, id, of) = placed();
    ledger.cancel("alice", id).unwrap();
    assert_eq!(state(&ledger, of), PaymentState::Expired);
    assert_eq!(ledger.begin_next(of).call(), None);
    holds(&ledger);
    ledger.call_back("c", "", of, &reported(ReportedState::Captured, 500));
    comes_back(&mut ledger, id);
}

#[test]
fn an_order_that_is_cancelled_while_the_gateway_is_asked_gets_its_money_back() {
    // It was captured.
    let (mut ledger, id, of) = placed();
    ledger.begin_next(of);
    ledger.cancel("alice", id).unwrap();
    assert_eq!(state(&ledger, of), PaymentState::Pending, "nobody knows");
    ledger.settle_call(of, &captured(), 0);
    comes_back(&mut ledger, id);
    // It was not, and the gateway does not know it.
    let (mut ledger, id, of) = placed();
    ledger.call(of, &LOST);
    ledger.cancel("alice", id).unwrap();
    assert_eq!(ledger.call(of, &Answer::NotThere), Some(Call::Ask));
    assert_eq!(state(&ledger, of), PaymentState::Expired, "what nobody wants is not sent again");
    assert_eq!(ledger.order(id).state, OrderState::Cancelled);
    holds(&ledger);
}

#[test]
fn a_deadline_ends_the_order_and_not_what_may_have_been_captured() {
    let (mut ledger, id, of) = placed();
    ledger.call(of, &LOST);
    ledger.pass(Millis::hours(72));
    ledger.look(id);
    assert_eq!((ledger.order(id).state, state(&ledger, of)), (OrderState::Cancelled, PaymentState::Pending));
    ledger.look_at(of);
    assert_eq!(ledger.call(of, &captured()), Some(Call::Ask));
    comes_back(&mut ledger, id);
}

#[test]
fn an_order_of_goods_goes_on_by_work_of_its_own_after_its_card_was_charged() {
    let (mut ledger, id, of) = placed_goods(by_card());
    ledger.receive("r", "tea", 2).unwrap();
    ledger.settle();
    ledger.call(of, &captured());
    let order = ledger.order(id);
    assert_eq!((order.state, order.charged, order.reserved), (OrderState::AwaitingStock, minor(500), false));
    assert!(order.look_at.is_some() && ledger.work.len() == 1);
    ledger.settle();
    assert_eq!((ledger.order(id).state, ledger.on_hand("tea")), (OrderState::Completed, 0));
    holds(&ledger);
}

#[test]
fn an_order_of_goods_that_ends_after_its_card_was_charged_gets_its_money_back() {
    let (mut ledger, id, of) = placed_goods(by_card());
    ledger.call(of, &captured());
    ledger.settle();
    assert_eq!(ledger.order(id).waiting_for.unwrap().what, What::Stock);
    ledger.cancel("alice", id).unwrap();
    let order = ledger.order(id);
    assert_eq!((order.state, order.charged), (OrderState::Cancelled, Amount::ZERO));
    assert!(order.timeline.iter().any(|passage| passage.told == Told::OrderRefundedToCard));
    assert_eq!(ledger.balance("alice"), 0, "it goes back where it came from");
    let report = ledger.audit();
    assert_eq!((report.gateway, report.revenue, report.owed), (500, 0, 500), "until then it is owed");
    comes_back(&mut ledger, id);
}

#[test]
fn where_stock_comes_first_the_gateway_is_asked_only_then() {
    let (mut ledger, id, of) = placed_goods(Policies { reserve_first: true, ..by_card() });
    assert!(ledger.calls.is_empty() && !ledger.items.contains_key(&of.key()));
    ledger.receive("r", "tea", 2).unwrap();
    ledger.settle();
    assert_eq!((ledger.order(id).state, ledger.calls.len()), (OrderState::AwaitingPayment, 1));
    assert_eq!(ledger.order(id).waiting_for.unwrap().what, What::Card);
    holds(&ledger);
    let mut other = ledger.clone();
    ledger.call(of, &captured());
    ledger.settle();
    assert_eq!(ledger.order(id).state, OrderState::Completed);
    holds(&ledger);
    other.call(of, &declined());
    assert_eq!((other.order(id).state, other.on_hand("tea")), (OrderState::Cancelled, 2), "its goods are back");
    holds(&other);
}

#[test]
fn what_was_captured_before_the_order_was_there_pays_it_once_it_is() {
    for (minor, state) in [(500, OrderState::Completed), (499, OrderState::AwaitingPayment)] {
        let mut ledger = Ledger::new();
        let id = OrderId::of(&customer("alice"), &key("k"));
        let of = GatewayKey::Charge(PaymentId::of_order(&id));
        ledger.call_back("c", "", of, &reported(ReportedState::Captured, minor));
        let placed = ledger.place_paid_with("alice", "k", 500, IfLacking::Wait, CARD).unwrap().into_inner();
        assert_eq!(placed.state, state, "in the same commit");
        ledger.settle();
        assert_eq!(ledger.order(id).state, state);
        holds(&ledger);
    }
    // Declined before: it is placed, and ends.
    let mut ledger = Ledger::new();
    let id = OrderId::of(&customer("alice"), &key("k"));
    let of = GatewayKey::Charge(PaymentId::of_order(&id));
    ledger.call_back("c", "", of, &reported(ReportedState::Declined, 500));
    ledger.place_paid_with("alice", "k", 500, IfLacking::Wait, CARD).unwrap();
    ledger.settle();
    assert_eq!((ledger.order(id).state, ledger.calls.len()), (OrderState::Cancelled, 0));
    holds(&ledger);
}

#[test]
fn a_review_that_ends_lets_the_order_go_on_or_end() {
    for (verdict, state) in [(Verdict::Completed, OrderState::Completed), (Verdict::Failed, OrderState::Cancelled)] {
        let (mut ledger, id, of) = placed();
        ledger.call(of, &says(ReportedState::Captured, 5));
        assert_eq!(
            (ledger.order(id).state, self::state(&ledger, of)),
            (OrderState::AwaitingPayment, PaymentState::InReview)
        );
        let now = ledger.now;
        ledger.decide(|draft| payments::judge(draft, payment_of(of), verdict, now)).unwrap();
        assert_eq!(ledger.order(id).state, state);
        holds(&ledger);
    }
}

#[test]
fn what_stalls_waits_for_the_gateway_again() {
    let (mut ledger, id, of) = placed();
    ledger.stall(id);
    assert_eq!(ledger.order(id).waiting_for.unwrap().what, What::Stalled);
    let passed = ledger.order(id).timeline.len();
    ledger.advance(id);
    assert_eq!(ledger.order(id).waiting_for.unwrap().what, What::Card);
    assert_eq!(ledger.order(id).timeline.len(), passed, "that it waits was told before");
    ledger.stall(id);
    ledger.call(of, &captured());
    assert_eq!(ledger.order(id).state, OrderState::Completed);
    holds(&ledger);
}

/// A payment of 500 that is captured.
fn paid() -> (Ledger, PaymentId) {
    let mut ledger = Ledger::new();
    let payment = ledger.make_payment("alice", "k", 500, Gateway::Plain).unwrap().into_inner();
    ledger.call(payment.gateway_key(), &captured());
    ledger.calls.clear();
    (ledger, payment.id)
}

fn asked(ledger: &mut Ledger, payment: PaymentId, idempotency: &str, minor: i64) -> GatewayKey {
    ledger.ask_refund("alice", idempotency, payment, Some(minor)).unwrap().into_inner().gateway_key()
}

#[test]
fn what_goes_back_counts_before_the_gateway_is_called_and_never_comes_to_more_than_came() {
    let (mut ledger, payment) = paid();
    let refunds = [asked(&mut ledger, payment, "r1", 200), asked(&mut ledger, payment, "r2", 250)];
    assert_eq!(ledger.calls.len(), 2);
    let left = Refusal::RefundTooLarge { left: minor(50), currency: ledger.terms.currency };
    assert_eq!(ledger.ask_refund("alice", "r3", payment, Some(51)), Err(left));
    assert!(ledger.ask_refund("alice", "r1", payment, Some(200)).unwrap().is_replay());
    let other = ledger.ask_refund("alice", "r1", payment, Some(201));
    assert_eq!(other, Err(Refusal::KeyUsedForAnotherRequest));
    let now = ledger.payment(payment);
    assert_eq!((now.state, now.going_back, now.balance), (PaymentState::Refunding, minor(450), minor(450)));
    holds(&ledger);
    ledger.call(refunds[0], &says(ReportedState::Refunded, 200));
    assert_eq!(ledger.payment(payment).state, PaymentState::Refunding, "another is on its way");
    ledger.call(refunds[1], &says(ReportedState::Refunded, 250));
    assert_eq!(ledger.payment(payment).state, PaymentState::Captured, "part of it stays");
    assert_eq!(ledger.payment(payment).look_at, None);
    let rest = ledger.ask_refund("alice", "r4", payment, None).unwrap().into_inner();
    assert_eq!(rest.amount, minor(50), "all that is left");
    ledger.call(rest.gateway_key(), &says(ReportedState::Refunded, 50));
    assert_eq!(ledger.payment(payment).state, PaymentState::Refunded);
    let nothing = Refusal::RefundTooLarge { left: Amount::ZERO, currency: ledger.terms.currency };
    assert_eq!(ledger.ask_refund("alice", "r5", payment, None), Err(nothing));
    assert!(ledger.ask_refund("alice", "r1", payment, Some(200)).unwrap().is_replay());
    let report = ledger.audit();
    assert_eq!((report.gateway, report.revenue, report.owed), (0, 0, 0));
    holds(&ledger);
}

#[test]
fn refunds_that_are_decided_at_once_see_each_other_or_one_has_to_decide_again() {
    let (ledger, payment) = paid();
    let command = |idempotency: &str| AskRefund {
        id: RefundId::of_request(&customer("alice"), &key(idempotency)),
        payment,
        customer: customer("alice"),
        amount: Some(minor(300)),
        fingerprint: Fingerprint::of("r", &[]),
    };
    let (first, second) = (command("r1"), command("r2"));
    let (now, terms) = (ledger.now, ledger.terms.clone());
    let laid = || {
        let mut books = Books::default();
        let version =
            |key: &Key| ledger.items.get(key).map(|(item, version)| Found { item: item.clone(), version: *version });
        first.needs().into_iter().chain(second.needs()).for_each(|key| books.lay(key, version(&key)));
        books
    };
    let mut folded = laid();
    assert!(folded.decide(|draft| payments::ask_refund(draft, &first, now, &terms)).is_ok());
    let refused = folded.decide(|draft| payments::ask_refund(draft, &second, now, &terms)).map(drop);
    assert!(matches!(refused, Err(Halt::Refused(Refusal::RefundTooLarge { .. }))), "{refused:?}");
    // Each on what was before the other: both write the payment over the same version, so one of them is turned away.
    for command in [&first, &second] {
        let mut alone = laid();
        alone.decide(|draft| payments::ask_refund(draft, command, now, &terms)).unwrap();
        assert!(alone.changes().iter().any(|change| *change.key() == Key::Payment(payment)));
    }
}

/// Items are read one after another. What is read of a payment after its refund has ended is later than what was read of
/// that.
#[test]
fn a_refund_that_ended_between_two_reads_is_read_again() {
    let (mut ledger, payment) = paid();
    let refund = asked(&mut ledger, payment, "r1", 500);
    let done = reported(ReportedState::Refunded, 500);
    assert_eq!(ledger.begin_next(refund).call(), Some(Call::Send));
    let before = ledger.found(&refund.key());
    ledger.settle_call(refund, &Answer::Says(done.clone()), 0);
    let mut books = Books::default();
    books.lay(refund.key(), before);
    books.lay(Key::Payment(payment), ledger.found(&Key::Payment(payment)));
    let now = ledger.now;
    let settle = |books: &mut Books| {
        books.decide(|draft| payments::settle(draft, refund, 1, &Answer::Says(done.clone()), 0, now)).map(drop)
    };
    let again = vec![refund.key(), Key::Payment(payment)];
    assert_eq!(settle(&mut books), Err(Halt::Needs(again)));
    books.lay(refund.key(), ledger.found(&refund.key()));
    assert_eq!(settle(&mut books), Ok(()));
    assert!(books.changes().iter().all(|change| matches!(change, Change::Check { .. })), "it is known");
}

#[test]
fn who_may_not_ask_for_a_refund_is_told_why() {
    let (mut ledger, payment) = paid();
    assert_eq!(ledger.ask_refund("bob", "r", payment, None), Err(Refusal::PaymentNotFound));
    assert_eq!(ledger.ask_refund("alice", "r", payment, Some(0)), Err(Refusal::AmountNotPositive));
    for number in 0..MOST_OPEN_REFUNDS {
        asked(&mut ledger, payment, &format!("r{number}"), 1);
    }
    assert_eq!(ledger.ask_refund("alice", "more", payment, None), Err(Refusal::TooManyRefunds));
    let (mut ledger, id, of) = placed_goods(by_card());
    let refused = ledger.ask_refund("alice", "r", payment_of(of), None);
    assert_eq!(refused, Err(Refusal::PaymentNotCaptured { state: PaymentState::Pending }));
    ledger.call(of, &captured());
    let refused = ledger.ask_refund("alice", "r", payment_of(of), None);
    assert_eq!(refused, Err(Refusal::OrderNotCompleted { state: OrderState::AwaitingStock }));
    ledger.receive("r", "tea", 2).unwrap();
    ledger.settle();
    assert_eq!(ledger.order(id).state, OrderState::Completed);
    ledger.ask_refund("alice", "r", payment_of(of), Some(100)).unwrap();
    let order = ledger.commits.last().unwrap().iter().any(|action| action.key() == Key::Order(id));
    assert!(order, "that its order has completed is checked in the same commit");
    holds(&ledger);
}

#[test]
fn a_refund_is_called_about_with_the_care_of_a_charge() {
    let (mut ledger, payment) = paid();
    let of = asked(&mut ledger, payment, "r", 200);
    assert_eq!(ledger.call(of, &LOST), Some(Call::Send));
    assert_eq!(ledger.call(of, &Answer::NotThere), Some(Call::Ask));
    assert_eq!(ledger.call(of, &says(ReportedState::Pending, 200)), Some(Call::Send));
    assert!(ledger.payment(payment).look_at.is_some());
    for _ in 0..4 {
        assert_eq!(ledger.call(of, &LOST), Some(Call::Ask));
    }
    ledger.now = ledger.payment(payment).look_at.unwrap();
    ledger.calls.clear();
    assert!(ledger.look_at(GatewayKey::Charge(payment)));
    assert_eq!(ledger.calls.len(), 1, "whoever looks has it asked for");
    ledger.begin_next(of);
    ledger.pass(Millis::minutes(2));
    ledger.look_at(GatewayKey::Charge(payment));
    assert_eq!(ledger.call(of, &says(ReportedState::Refunded, 200)), Some(Call::Ask), "nobody came back");
    assert_eq!(ledger.payment(payment).state, PaymentState::Captured);
    assert_eq!(ledger.call(of, &LOST), None, "it is over");
    ledger.call_back("c", "", of, &reported(ReportedState::Refunded, 200));
    assert_eq!(ledger.payment(payment).refunded, minor(200), "once");
    holds(&ledger);
}

#[test]
fn a_refund_that_the_gateway_does_not_make_is_for_a_person() {
    let about_the_key = Answer::Status { status: 422, no: No::AboutTheKey, retry_after: None };
    for answer in [declined(), about_the_key, says(ReportedState::Refunded, 199), says(ReportedState::Captured, 200)] {
        for given_back in [true, false] {
            let (mut ledger, payment) = paid();
            let of = asked(&mut ledger, payment, "r", 200);
            let GatewayKey::Refund(id) = of else { panic!() };
            ledger.call(of, &answer);
            assert_eq!(ledger.payment(payment).state, PaymentState::InReview, "{answer:?}");
            assert!(ledger.payment(payment).look_at.is_some());
            holds(&ledger);
            let now = ledger.now;
            let end = |ledger: &mut Ledger, given_back| {
                ledger.decide(|draft| payments::end_refund(draft, id, given_back, now))
            };
            if ledger.refund(id).state == RefundState::Pending {
                // What is doubted may still come, and does.
                ledger.call(of, &says(ReportedState::Refunded, 200));
            } else {
                assert!(!end(&mut ledger, given_back).unwrap().is_replay());
                assert!(end(&mut ledger, given_back).unwrap().is_replay());
                assert!(end(&mut ledger, !given_back).is_err());
            }
            let now_in = ledger.payment(payment);
            assert_eq!(now_in.going_back, Amount::ZERO);
            ledger.decide(|draft| payments::judge(draft, payment, Verdict::Completed, now)).unwrap();
            assert_eq!(ledger.payment(payment).state, PaymentState::Captured);
            holds(&ledger);
        }
    }
}

#[test]
fn what_is_owed_for_an_order_that_has_ended_is_not_kept() {
    let (mut ledger, id, of) = placed();
    ledger.cancel("alice", id).unwrap();
    ledger.call_back("c", "", of, &reported(ReportedState::Captured, 500));
    let refund = RefundId::of_order(&id);
    ledger.call(GatewayKey::Refund(refund), &declined());
    let now = ledger.now;
    assert_eq!(ledger.decide(|draft| payments::end_refund(draft, refund, false, now)), Err(Refusal::RefundIsOwed));
    ledger.decide(|draft| payments::end_refund(draft, refund, true, now)).unwrap();
    ledger.decide(|draft| payments::judge(draft, payment_of(of), Verdict::Completed, now)).unwrap();
    assert_eq!(state(&ledger, of), PaymentState::Refunded);
    holds(&ledger);
}

#[test]
fn what_the_gateway_gives_back_unasked_is_for_a_person_and_ours_is_known() {
    let (mut ledger, payment) = paid();
    let charge = GatewayKey::Charge(payment);
    asked(&mut ledger, payment, "r", 200);
    ledger.call_back("c1", "", charge, &reported(ReportedState::Refunded, 200));
    assert_eq!(ledger.payment(payment).state, PaymentState::Refunding, "that is ours, and is settled by its own word");
    ledger.call_back("c2", "", charge, &reported(ReportedState::Refunded, 300));
    assert_eq!(ledger.payment(payment).doubts, [Doubt::GivenBackUnasked { amount: minor(300) }]);
    holds(&ledger);
}

#[test]
fn a_report_on_a_refund_that_is_not_there_waits_for_it() {
    let (mut ledger, id, of) = placed();
    let refund = GatewayKey::Refund(RefundId::of_order(&id));
    ledger.call_back("c1", "", refund, &reported(ReportedState::Refunded, 500));
    ledger.cancel("alice", id).unwrap();
    ledger.call_back("c2", "", of, &reported(ReportedState::Captured, 500));
    assert_eq!(state(&ledger, of), PaymentState::Refunded);
    holds(&ledger);
}

/// How often somebody was told that a person has to decide.
fn reminders(ledger: &Ledger) -> Vec<Timestamp> {
    let events = ledger.commits.iter().flatten().flat_map(|action| match action {
        Action::Put { events, .. } => events.clone(),
        _ => Vec::new(),
    });
    events.filter(|event| event.told == Told::OperatorDue).map(|event| event.at).collect()
}

#[test]
fn a_person_is_reminded_once_a_day_though_a_refund_is_looked_at_each_hour() {
    let (mut ledger, payment) = paid();
    let refund = asked(&mut ledger, payment, "r", 100);
    let other = reported(ReportedState::Captured, 999);
    ledger.call_back("c", "body", GatewayKey::Charge(payment), &other);
    assert_eq!(ledger.payment(payment).state, PaymentState::InReview);
    // The gateway never says what became of the refund.
    let doubted_at = ledger.now;
    while ledger.now < doubted_at.after(Millis::hours(73)) {
        let due = ledger.payment(payment).look_at.unwrap();
        ledger.now = ledger.now.max(due);
        assert!(ledger.look_at(GatewayKey::Charge(payment)), "it is due");
        while !ledger.calls.is_empty() {
            let message = ledger.calls.remove(0);
            if matches!(ledger.begin_call(message), Begun::Call(_)) {
                ledger.settle_call(refund, &LOST, 0);
            }
        }
    }
    let hours: Vec<_> =
        reminders(&ledger).iter().map(|at| (at.as_millis() - doubted_at.as_millis()) / 3_600_000).collect();
    assert_eq!(hours.len(), 3, "{hours:?}");
    assert!(hours.iter().zip([24, 48, 72]).all(|(at, day)| (day..=day + 2).contains(at)), "{hours:?}");
    holds(&ledger);
}
