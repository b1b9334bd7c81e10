//! Events of the plain protocol, as `docs/GATEWAY.md` has them: `{"type", "timestamp", "data": {"charge" | "refund"}}`.

use domain::Currency;
use domain::ids::{BodyHash, CallbackId};
use domain::payments::{Gateway, GatewayKey, GatewayRef, Reported, ReportedState, TakeCallback};

use super::Malformed;
use super::json::{Object, amount, object, parse, text};

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Charge,
    Refund,
}

pub(super) fn event(signed_id: Option<&str>, body: &[u8]) -> Result<Option<TakeCallback>, Malformed> {
    let event = parse(body)?;
    let (of, state) = match text(&event, "type", "type")? {
        "charge.pending" => (Of::Charge, ReportedState::Pending),
        "charge.captured" => (Of::Charge, ReportedState::Captured),
        "charge.declined" => (Of::Charge, ReportedState::Declined),
        "refund.pending" => (Of::Refund, ReportedState::Pending),
        "refund.done" => (Of::Refund, ReportedState::Refunded),
        "refund.failed" => (Of::Refund, ReportedState::Declined),
        _ => return Ok(None),
    };
    let data = object(&event, "data", "data")?;
    let told = match of {
        Of::Charge => object(data, "charge", "data.charge")?,
        Of::Refund => object(data, "refund", "data.refund")?,
    };
    let Some(key) = key(told, of)? else { return Ok(None) };
    let reported = Reported {
        state,
        amount: Some(amount(told, "amount", "amount")?),
        currency: Currency::from_code(text(told, "currency", "currency")?),
        reference: Some(GatewayRef::new(text(told, "id", "id")?).ok_or(Malformed::Wrong("id"))?),
    };
    let id = CallbackId::of(Gateway::Plain.name(), signed_id.ok_or(Malformed::NoId)?);
    Ok(Some(TakeCallback { id, gateway: Gateway::Plain, body: BodyHash::of(body), of: key, reported }))
}

/// The key that we made it with; `None` for a key that is not of our making.
fn key(told: &Object, of: Of) -> Result<Option<GatewayKey>, Malformed> {
    let Some(key) = GatewayKey::parse(text(told, "key", "key")?) else { return Ok(None) };
    match (of, key) {
        (Of::Charge, GatewayKey::Charge(_)) | (Of::Refund, GatewayKey::Refund(_)) => Ok(Some(key)),
        // We never made a charge with the key of a refund.
        (Of::Charge | Of::Refund, _) => Err(Malformed::Wrong("key")),
    }
}
