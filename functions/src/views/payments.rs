//! How payments look: to whom they are of, and to the operator, who sees what is in doubt.

use std::collections::BTreeMap;

use domain::ids::RefundId;
use domain::payments::{Doubt, Origin, Payment, PaymentState, Refund, RefundState, Reported, ReportedState, Stub};
use domain::text::Reference;
use domain::{Amount, Currency};
use serde::Serialize;

/// A payment as it was answered when it was made.
#[derive(Serialize)]
pub(crate) struct PaymentV1<'a> {
    id: String,
    state: &'static str,
    amount: String,
    currency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    created_at: String,
}

/// A payment as it stands.
#[derive(Serialize)]
pub(crate) struct PaymentView<'a> {
    #[serde(flatten)]
    made: PaymentV1<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    captured: String,
    refunded: String,
    /// What is on its way back.
    refunding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunds: Option<Vec<PartView>>,
    #[serde(flatten)]
    of_operator: Option<OperatorView>,
}

/// What of a payment was given back, or is to be.
#[derive(Serialize)]
struct PartView {
    id: String,
    state: &'static str,
    amount: String,
}

/// What an operator has to know besides.
#[derive(Serialize)]
struct OperatorView {
    customer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'static str>,
    /// By which the gateway knows it, in each request.
    key: String,
    /// What the gateway calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_reference: Option<String>,
    doubts: Vec<DoubtView>,
}

#[derive(Default, Serialize)]
struct DoubtView {
    why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<String>,
}

/// A refund as it was answered when it was begun, and, with another state, as it stands.
#[derive(Serialize)]
pub(crate) struct RefundV1 {
    id: String,
    payment: String,
    state: &'static str,
    amount: String,
    currency: &'static str,
    created_at: String,
}

/// What a gateway reported of what is not there.
#[derive(Serialize)]
pub(crate) struct ReportView {
    key: String,
    gateway: &'static str,
    since: String,
    reports: Vec<ReportedView>,
}

#[derive(Serialize)]
struct ReportedView {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

/// What waits for a person: one of the two.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReviewView<'a> {
    Payment(Box<PaymentView<'a>>),
    Report(ReportView),
}

#[derive(Serialize)]
pub(crate) struct CallbackView {
    outcome: &'static str,
}

/// The answer to making a payment, now and for ever.
pub(crate) fn made(payment: &Payment) -> PaymentV1<'_> {
    // There is one renderer so far; `payment.renderer` says which.
    shape(payment, PaymentState::Pending)
}

fn shape(payment: &Payment, state: PaymentState) -> PaymentV1<'_> {
    PaymentV1 {
        id: payment.id.to_string(),
        state: state.name(),
        amount: payment.amount.to_decimal(payment.currency),
        currency: payment.currency.code(),
        reference: payment.reference.as_ref().map(Reference::as_str),
        created_at: payment.created_at.to_string(),
    }
}

/// As one of a list.
pub(crate) fn listed(payment: &Payment) -> PaymentView<'_> {
    let decimal = |amount: Amount| amount.to_decimal(payment.currency);
    let is_under_way = matches!(payment.state, PaymentState::Pending | PaymentState::Unknown);
    PaymentView {
        made: shape(payment, payment.state),
        order: match payment.origin {
            Origin::Order(order) => Some(order.to_string()),
            Origin::Request | Origin::Event => None,
        },
        captured: decimal(payment.captured.unwrap_or_default()),
        refunded: decimal(payment.refunded),
        refunding: decimal(payment.going_back),
        until: payment.deadline.filter(|_| is_under_way).map(|until| until.to_string()),
        refunds: None,
        of_operator: None,
    }
}

/// `open` is how it stands with those of its refunds that are not over.
pub(crate) fn of_owner<'a>(payment: &'a Payment, open: &BTreeMap<RefundId, RefundState>) -> PaymentView<'a> {
    let part = |(id, amount, ended): (RefundId, Amount, Option<RefundState>)| PartView {
        id: id.to_string(),
        state: ended.or_else(|| open.get(&id).copied()).unwrap_or(RefundState::Pending).name(),
        amount: amount.to_decimal(payment.currency),
    };
    let refunds = payment.refunds().into_iter().map(part).collect();
    PaymentView { refunds: Some(refunds), ..listed(payment) }
}

pub(crate) fn of_operator<'a>(payment: &'a Payment, open: &BTreeMap<RefundId, RefundState>) -> PaymentView<'a> {
    PaymentView { of_operator: Some(operated(payment)), ..of_owner(payment, open) }
}

/// As one of a list.
pub(crate) fn of_payment(payment: &Payment) -> ReviewView<'_> {
    ReviewView::Payment(Box::new(PaymentView { of_operator: Some(operated(payment)), ..listed(payment) }))
}

pub(crate) fn of_report(stub: &Stub) -> ReviewView<'_> {
    ReviewView::Report(report(stub))
}

fn operated(payment: &Payment) -> OperatorView {
    OperatorView {
        customer: payment.customer.to_string(),
        gateway: payment.gateway.map(domain::payments::Gateway::name),
        key: payment.gateway_key().to_string(),
        gateway_reference: payment.gateway_ref.as_ref().map(|reference| reference.as_str().to_owned()),
        doubts: payment.doubts.iter().map(|doubt| doubted(doubt, payment.currency)).collect(),
    }
}

/// An amount is said in its own currency, and not at all where nobody knows which that is.
fn doubted(doubt: &Doubt, ours: Currency) -> DoubtView {
    let none = DoubtView::default();
    match *doubt {
        Doubt::OtherMoney { amount, currency } => DoubtView {
            why: "other_money",
            amount: amount.zip(currency).map(|(amount, currency)| amount.to_decimal(currency)),
            currency: currency.map(Currency::code),
            ..none
        },
        Doubt::OtherGateway => DoubtView { why: "other_gateway", ..none },
        Doubt::KeyRefused { key } => DoubtView { why: "key_refused", key: Some(key.to_string()), ..none },
        Doubt::NotUnderstood { key, status } => {
            DoubtView { why: "not_understood", key: Some(key.to_string()), status: Some(status), ..none }
        }
        Doubt::TooOld { key } => DoubtView { why: "too_old", key: Some(key.to_string()), ..none },
        Doubt::GivenBackUnasked { amount } => DoubtView {
            why: "given_back_unasked",
            amount: Some(amount.to_decimal(ours)),
            currency: Some(ours.code()),
            ..none
        },
        Doubt::RefundRefused { refund } => {
            DoubtView { why: "refund_refused", refund: Some(refund.to_string()), ..none }
        }
        Doubt::RefundMisreported { refund } => {
            DoubtView { why: "refund_misreported", refund: Some(refund.to_string()), ..none }
        }
        Doubt::CallbackChanged => DoubtView { why: "callback_changed", ..none },
        Doubt::NamesOrder => DoubtView { why: "names_order", ..none },
    }
}

/// The answer to beginning a refund, now and for ever.
pub(crate) fn begun(refund: &Refund) -> RefundV1 {
    // There is one renderer so far; `refund.renderer` says which.
    refund_with(refund, RefundState::Pending)
}

pub(crate) fn refund(refund: &Refund) -> RefundV1 {
    refund_with(refund, refund.state)
}

fn refund_with(refund: &Refund, state: RefundState) -> RefundV1 {
    RefundV1 {
        id: refund.id.to_string(),
        payment: refund.payment.to_string(),
        state: state.name(),
        amount: refund.amount.to_decimal(refund.currency),
        currency: refund.currency.code(),
        created_at: refund.created_at.to_string(),
    }
}

pub(crate) fn report(stub: &Stub) -> ReportView {
    ReportView {
        key: stub.of.to_string(),
        gateway: stub.gateway.name(),
        since: stub.since.to_string(),
        reports: stub.reports.iter().map(reported).collect(),
    }
}

fn reported(reported: &Reported) -> ReportedView {
    ReportedView {
        state: match reported.state {
            ReportedState::Pending => "pending",
            ReportedState::Captured => "captured",
            ReportedState::Declined => "declined",
            ReportedState::Refunded => "refunded",
        },
        amount: reported.amount.zip(reported.currency).map(|(amount, currency)| amount.to_decimal(currency)),
        currency: reported.currency.map(Currency::code),
        reference: reported.reference.as_ref().map(|reference| reference.as_str().to_owned()),
    }
}

pub(crate) const fn callback(outcome: &'static str) -> CallbackView {
    CallbackView { outcome }
}

#[cfg(test)]
mod tests {
    use domain::books::Books;
    use domain::ids::{CustomerId, Fingerprint, IdempotencyKey, PaymentId};
    use domain::payments::{self, AskRefund, Gateway, MakePayment, Verdict};
    use domain::{Millis, Terms, Timestamp};

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_240_383_007);

    /// What was released is in clients' hands: a golden file is never changed, a new shape gets a new number.
    #[test]
    fn the_first_renderers_answer_as_they_always_did() {
        let customer = CustomerId::of("local", "alice");
        let key = IdempotencyKey::parse("k").unwrap();
        let terms = Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) };
        let command = MakePayment {
            id: PaymentId::of_request(&customer, &key),
            customer,
            gateway: Gateway::Plain,
            amount: Amount::from_minor(150_099).unwrap(),
            currency: None,
            reference: Reference::new("order \"7\" 🫖").unwrap(),
            fingerprint: Fingerprint::of("POST /payments", &[]),
        };
        let mut books = Books::default();
        books.lay(domain::books::Key::Payment(command.id), None);
        let payment = books.decide(|draft| payments::make(draft, &command, AT, &terms)).unwrap().into_inner();
        for state in PaymentState::ALL {
            let answer = serde_json::to_string(&made(&Payment { state, ..payment.clone() })).unwrap();
            let golden = include_str!("../../golden/payment.v1.json").trim_end();
            assert_eq!(answer, golden, "whatever has become of it");
        }

        let doubted = Payment { state: PaymentState::InReview, ..payment };
        let id = doubted.id;
        let mut books = Books::default();
        let item = domain::books::Kept::into_item(doubted);
        books.lay(domain::books::Key::Payment(id), Some(domain::books::Found { item, version: 1 }));
        books.decide(|draft| payments::judge(draft, id, Verdict::Completed, AT)).unwrap();
        let refund = AskRefund {
            id: RefundId::of_request(&customer, &key),
            payment: id,
            customer,
            amount: Amount::from_minor(99),
            fingerprint: Fingerprint::of("POST /payments/{id}/refunds", &[]),
        };
        books.lay(domain::books::Key::Refund(refund.id), None);
        let refund = books.decide(|draft| payments::ask_refund(draft, &refund, AT, &terms)).unwrap().into_inner();
        for state in [RefundState::Pending, RefundState::InReview, RefundState::GivenBack, RefundState::Kept] {
            let answer = serde_json::to_string(&begun(&Refund { state, ..refund.clone() })).unwrap();
            let golden = include_str!("../../golden/refund.v1.json").trim_end();
            assert_eq!(answer, golden, "whatever has become of it");
        }
    }
}
