//! Payment intents, charges, refunds and events as Stripe shows them, with the fields that are read by those who charge
//! cards.

use serde_json::{Value, json};

use crate::book::{Charge, ChargeState, Decline, Refund, RefundState};
use crate::events::Said;

/// The version whose shapes these are.
const API_VERSION: &str = "2025-03-31.basil";

pub(super) fn intent_json(charge: &Charge) -> Value {
    let captured = charge.was_captured();
    let status = match charge.state {
        ChargeState::Pending => "processing",
        ChargeState::Captured | ChargeState::Refunded => "succeeded",
        ChargeState::Declined => "requires_payment_method",
    };
    let declined = charge.state == ChargeState::Declined;
    json!({
        "id": charge.id,
        "object": "payment_intent",
        "amount": charge.amount,
        "amount_capturable": 0,
        "amount_received": if captured { charge.amount } else { 0 },
        "canceled_at": null,
        "cancellation_reason": null,
        "capture_method": "automatic",
        "client_secret": format!("{}_secret", charge.id),
        "confirmation_method": "automatic",
        "created": charge.created_ms.div_euclid(1_000),
        "currency": charge.currency.to_ascii_lowercase(),
        "customer": null,
        "description": charge.description,
        "last_payment_error": if declined { payment_error(charge) } else { Value::Null },
        "latest_charge": charge_id(charge),
        "livemode": false,
        "metadata": charge.metadata,
        "next_action": null,
        "payment_method": charge.payment_method.as_deref().filter(|_| !declined),
        "payment_method_types": ["card"],
        "status": status,
    })
}

/// What is in `last_payment_error`, and in the answer to a charge that is declined.
pub(super) fn payment_error(charge: &Charge) -> Value {
    let decline = charge.decline.unwrap_or(Decline::GenericDecline);
    let message = match decline {
        Decline::InsufficientFunds => "The card has insufficient funds.",
        Decline::GenericDecline | Decline::DoNotHonor => "The card was declined.",
    };
    json!({
        "type": "card_error",
        "code": "card_declined",
        "decline_code": decline.name(),
        "message": message,
        "charge": charge_id(charge),
    })
}

fn charge_id(charge: &Charge) -> String {
    charge.id.replacen("pi_", "ch_", 1)
}

fn charge_json(charge: &Charge) -> Value {
    json!({
        "id": charge_id(charge),
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": if charge.was_captured() { charge.amount } else { 0 },
        "amount_refunded": charge.refunded,
        "captured": charge.was_captured(),
        "created": charge.created_ms.div_euclid(1_000),
        "currency": charge.currency.to_ascii_lowercase(),
        "livemode": false,
        "metadata": charge.metadata,
        "paid": charge.was_captured(),
        "payment_intent": charge.id,
        "refunded": charge.state == ChargeState::Refunded,
        "status": match charge.state {
            ChargeState::Pending => "pending",
            ChargeState::Captured | ChargeState::Refunded => "succeeded",
            ChargeState::Declined => "failed",
        },
    })
}

pub(super) fn refund_json(refund: &Refund) -> Value {
    let failed = refund.state == RefundState::Failed;
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": refund.charge.replacen("pi_", "ch_", 1),
        "created": refund.created_ms.div_euclid(1_000),
        "currency": refund.currency.to_ascii_lowercase(),
        "failure_reason": failed.then_some("declined"),
        "metadata": refund.metadata,
        "payment_intent": refund.charge,
        "reason": refund.reason,
        "status": match refund.state {
            RefundState::Pending => "pending",
            RefundState::Done => "succeeded",
            RefundState::Failed => "failed",
        },
    })
}

pub(crate) fn event(said: &Said<'_>) -> Value {
    let object = match (said.kind, said.refund) {
        ("charge.refunded", _) => charge_json(said.charge),
        (_, Some(refund)) => refund_json(refund),
        (_, None) => intent_json(said.charge),
    };
    json!({
        "id": said.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": said.at_ms.div_euclid(1_000),
        "data": { "object": object },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": said.refund.map_or(&said.charge.key, |refund| &refund.key) },
        "type": said.kind,
    })
}
