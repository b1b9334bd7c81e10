//! Stripe's events: of payment intents, of refunds, and of charges only that they were given back. What each is about is
//! said by its metadata, which goes with each request of ours; Stripe's own word for the request's key is there in events
//! that the request itself caused, and in no others.

use domain::Currency;
use domain::ids::{BodyHash, CallbackId, PaymentId};
use domain::payments::{Gateway, GatewayKey, GatewayRef, Reported, ReportedState, TakeCallback};

use super::Malformed;
use super::json::{Object, amount, object, parse, text, text_if_any};

/// In the metadata of what we make: the idempotency key that it was made with.
const KEY: &str = "key";
/// The payment, where whoever charged says no more than that.
const REFERENCE: &str = "reference";

/// What an event is about, and where it says so.
enum Of {
    /// A payment intent, and how much of it in which field.
    Intent {
        state: ReportedState,
        amount: &'static str,
    },
    /// A charge, so much of which was given back in all.
    GivenBack,
    Refund,
}

pub(super) fn event(body: &[u8]) -> Result<Option<TakeCallback>, Malformed> {
    let event = parse(body)?;
    let id = text(&event, "id", "id")?;
    let of = match text(&event, "type", "type")? {
        "payment_intent.processing" => Of::Intent { state: ReportedState::Pending, amount: "amount" },
        "payment_intent.succeeded" => Of::Intent { state: ReportedState::Captured, amount: "amount_received" },
        "payment_intent.payment_failed" | "payment_intent.canceled" => {
            Of::Intent { state: ReportedState::Declined, amount: "amount" }
        }
        "charge.refunded" => Of::GivenBack,
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => Of::Refund,
        _ => return Ok(None),
    };
    let told = object(object(&event, "data", "data")?, "object", "data.object")?;
    let Some(key) = key(&event, told, &of) else { return Ok(None) };
    let currency = Currency::from_code(&text(told, "currency", "currency")?.to_ascii_uppercase());
    let (state, minor, reference) = match of {
        Of::Intent { state, amount: field } => (state, amount(told, field, "amount")?, text(told, "id", "object.id")?),
        Of::GivenBack => (
            ReportedState::Refunded,
            amount(told, "amount_refunded", "amount_refunded")?,
            text(told, "payment_intent", "payment_intent")?,
        ),
        Of::Refund => (refund_state(told)?, amount(told, "amount", "amount")?, text(told, "id", "object.id")?),
    };
    let reported = Reported {
        state,
        // In Stripe's smallest unit. Where that is another than ours nothing is charged through Stripe.
        amount: Some(minor),
        currency,
        reference: Some(GatewayRef::new(reference).ok_or(Malformed::Wrong("object.id"))?),
    };
    if id.is_empty() {
        return Err(Malformed::NoId);
    }
    let id = CallbackId::of(Gateway::Stripe.name(), id);
    Ok(Some(TakeCallback { id, gateway: Gateway::Stripe, body: said(event), of: key, reported }))
}

/// Our key, if it is ours.
fn key(event: &Object, told: &Object, of: &Of) -> Option<GatewayKey> {
    let metadata = told.get("metadata").and_then(serde_json::Value::as_object);
    let of_metadata = |name: &str| metadata.and_then(|metadata| text_if_any(metadata, name));
    let request = event.get("request").and_then(serde_json::Value::as_object);
    let of_request = || text_if_any(request?, "idempotency_key");
    let fits = |key: &GatewayKey| matches!(key, GatewayKey::Refund(_)) == matches!(of, Of::Refund);
    let of_charge = || match of {
        Of::Intent { .. } | Of::GivenBack => of_metadata(REFERENCE).and_then(PaymentId::parse).map(GatewayKey::Charge),
        Of::Refund => None,
    };
    let named = of_metadata(KEY).and_then(GatewayKey::parse).filter(fits);
    named.or_else(of_charge).or_else(|| of_request().and_then(GatewayKey::parse).filter(fits))
}

fn refund_state(refund: &Object) -> Result<ReportedState, Malformed> {
    Ok(match text(refund, "status", "status")? {
        "succeeded" => ReportedState::Refunded,
        "pending" | "requires_action" => ReportedState::Pending,
        "failed" | "canceled" => ReportedState::Declined,
        _ => return Err(Malformed::Wrong("status")),
    })
}

/// What an event says, however it is written. Stripe counts in it how many endpoints have not taken it yet, so that an
/// honest repeat is not the same bytes.
fn said(mut event: Object) -> BodyHash {
    event.remove("pending_webhooks");
    let text = serde_json::to_vec(&event).expect("JSON that was read can be written");
    BodyHash::of(&text)
}
