//! What was told of payments, and what may still be said of them.

use std::collections::BTreeSet;

use domain::payments::Payment;
use serde_json::Value;

use crate::model::{Body, Heard, Intent, Judged, Kind, Model, decimal, must};

/// The index of an owner's payments lags for a moment; this is far more than one.
const INDEX_LAG_MS: i64 = 60_000;

/// Why nothing is given back, as it stands then.
const NOT_GIVEN_BACK: [(u16, &str); 7] = [
    (409, "payment_not_captured"),
    (409, "payment_in_review"),
    (409, "order_not_completed"),
    (409, "too_many_refunds"),
    (409, "refund_too_large"),
    (422, "refund_too_large"),
    (404, "payment_not_found"),
];
/// What an operator is told who is too late, or was overtaken.
const NOT_FOR_AN_OPERATOR: [(u16, &str); 3] =
    [(409, "not_for_an_operator"), (409, "captured_already"), (409, "refund_is_owed")];

impl Intent {
    /// Whether it must be in a list that was asked for then.
    pub(super) fn is_listed_by(&self, asked_ms: i64) -> bool {
        self.is_by_card() && self.told_ms.is_some_and(|told_ms| told_ms + INDEX_LAG_MS <= asked_ms)
    }
}

/// Whether a refund was refused for how its payment stands, which may be so.
pub(crate) fn is_refused(kind: Kind, heard: &Heard) -> bool {
    kind == Kind::Refund && NOT_GIVEN_BACK.contains(&(heard.status, heard.code().as_str()))
}

/// What was taken is what was asked for.
pub(crate) fn as_asked(key: &str, kind: Kind, body: &Body, json: &Value) -> Judged {
    match kind {
        Kind::Payment => {
            let is_right = json["amount"] == decimal(body.minor) && json["state"] == "pending";
            must(is_right, || format!("{key}: a payment of {} was asked for: {json}", decimal(body.minor)))
        }
        Kind::Refund => {
            let is_right = (body.minor == 0 || json["amount"] == decimal(body.minor)) && json["state"] == "pending";
            must(is_right, || format!("{key}: {} was to go back: {json}", decimal(body.minor)))
        }
        Kind::Order if body.card => must(json["pay_with"] == "card" && json["payment"].is_string(), || {
            format!("{key}: it was to be paid by card: {json}")
        }),
        Kind::Order => {
            must(json["pay_with"].is_null(), || format!("{key}: it was to be paid from the balance: {json}"))
        }
        Kind::Deposit | Kind::Receipt => Ok(()),
    }
}

pub(super) fn operated(heard: &Heard, is_calm: bool) -> Judged {
    if heard.is_unknown() {
        return Model::judge_error(heard, is_calm);
    }
    let code = heard.code();
    let is_right = heard.status == 200 || NOT_FOR_AN_OPERATOR.contains(&(heard.status, code.as_str()));
    must(is_right, || format!("{} {}", heard.status, heard.json()))
}

pub(super) fn listed(heard: &Heard, due: &[String], is_calm: bool) -> Judged {
    if heard.is_unknown() {
        return Model::judge_error(heard, is_calm);
    }
    let json = heard.json();
    must(heard.status == 200, || format!("a list answered {}", heard.status))?;
    let mut listed = BTreeSet::new();
    for item in json["items"].as_array().into_iter().flatten() {
        let id = item["id"].as_str().unwrap_or_default().to_owned();
        must(listed.insert(id), || format!("listed twice: {item}"))?;
    }
    let missing = due.iter().find(|id| !listed.contains(*id));
    must(missing.is_none(), || format!("{missing:?} is not in the list of payments"))
}

impl Model {
    /// A payment as it is shown. What was captured stays so, and in the calm it is shown as it stands.
    pub(super) fn judge_payment(
        &mut self,
        intent: usize,
        payment: Option<&Payment>,
        heard: &Heard,
        is_calm: bool,
    ) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let intent = &mut self.intents[intent];
        let (key, json) = (intent.key.clone(), heard.json());
        if heard.status == 404 {
            // Where stock comes first, it is opened only then.
            return must(heard.code() == "payment_not_found" && payment.is_none(), || format!("{key}: it is gone"));
        }
        must(heard.status == 200, || format!("{key}: {} {json}", heard.status))?;
        let captured = json["captured"].clone();
        if let Some(before) = &intent.seen.captured {
            must(*before == captured, || format!("{key}: {before} were captured, and now {json}"))?;
        }
        if captured != "0.00" {
            intent.seen.captured = Some(captured.clone());
        }
        if let Some(payment) = payment.filter(|_| is_calm) {
            let shown = |amount: domain::Amount| amount.to_decimal(payment.currency);
            let is_so = json["state"] == payment.state.name()
                && captured == shown(payment.captured.unwrap_or_default())
                && json["refunded"] == shown(payment.refunded)
                && json["refunding"] == shown(payment.going_back);
            must(is_so, || format!("{key}: it is {}, and shown as {json}", payment.state.name()))?;
        }
        Ok(())
    }
}
