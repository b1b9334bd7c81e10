//! What an inventory tells, as it stands in a queue: read as strictly as a request is, since nobody can be asked what was
//! meant.

use domain::ids::{CustomerId, Fingerprint, IdempotencyKey};
use domain::payments::{InventoryEvent, InventoryStatus};
use domain::text::Reference;
use domain::{Amount, Currency, Terms};

use crate::http::{Fields, Problem, Value};

/// Why nothing can be made of an event. Nothing of it is repeated: it stands in the queue where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Malformed {
    pub code: &'static str,
    detail: String,
}

impl From<Problem> for Malformed {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code(), detail: problem.detail().to_owned() }
    }
}

/// An event, as it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub key: IdempotencyKey,
    pub order: Reference,
    pub status: InventoryStatus,
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
    pub customer: Option<CustomerId>,
    pub fingerprint: Fingerprint,
}

impl Told {
    /// Whoever sends an amount means the currency of this stack; that it is of another is for the decision to say.
    pub fn read(body: &str, terms: &Terms) -> Result<Self, Malformed> {
        let mut fields = Fields::parse(body.as_bytes())?;
        let key = fields.required("idempotent_key", |value| read(value, KEY, IdempotencyKey::new))?;
        let order = fields.required("order_id", |value| {
            let text = value.text()?;
            Ok((Reference::new(&text)?, text))
        })?;
        let status = fields.required("status", |value| read(value, &statuses(), InventoryStatus::parse))?;
        let amount = fields.optional("amount", |value| value.amount(terms.currency))?;
        let currency = fields.optional("currency", |value| value.currency())?;
        let customer = fields.optional("customer", |value| read(value, CUSTOMER, CustomerId::parse))?;
        let fingerprint = Fingerprint::of("inventory event", &fields.finish()?);
        Ok(Self { key, order, status, amount, currency, customer, fingerprint })
    }

    /// What is to be done about it, if anything is.
    pub fn payment(self) -> Option<InventoryEvent> {
        let Self { key, order, status, amount, currency, customer, fingerprint } = self;
        status.makes_a_payment().then_some(InventoryEvent { key, order, amount, currency, customer, fingerprint })
    }
}

const KEY: &str = "1 to 255 visible ASCII characters without comma, semicolon, quote or backslash";
const CUSTOMER: &str = "the id of a customer, 32 letters and digits";

fn statuses() -> String {
    format!("one of {}", InventoryStatus::ALL.map(InventoryStatus::name).join(", "))
}

fn read<T>(value: Value<'_>, must_be: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<(T, String), Problem> {
    let text = value.text()?;
    match parse(&text) {
        Some(read) => Ok((read, text)),
        None => Err(value.wrong(must_be)),
    }
}

#[cfg(test)]
mod tests {
    use domain::Millis;

    use super::*;

    fn told(body: &str) -> Result<Told, Malformed> {
        Told::read(body, &Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) })
    }

    const LEAST: &str = r#"{"idempotent_key":"k-1","order_id":"A 7","status":"COMPLETED"}"#;

    fn with(more: &str) -> Result<Told, Malformed> {
        told(&LEAST.replace('}', &format!(",{more}}}")))
    }

    #[test]
    fn an_event_is_read_with_what_it_has() {
        let least = told(LEAST).unwrap();
        assert_eq!((least.order.as_str(), least.amount, least.currency, least.customer), ("A 7", None, None, None));
        for amount in ["1500.99", r#""1500.99""#, "1500.990e0"] {
            let read = with(&format!(r#""amount":{amount}"#)).map(|told| told.amount.map(Amount::minor));
            let expected = if amount.contains('e') { Err("amount_has_exponent") } else { Ok(Some(150_099)) };
            assert_eq!(read.map_err(|malformed| malformed.code), expected, "{amount}");
        }
        // Far beyond what a float would keep.
        let exact = with(r#""amount":92233720368547758.07,"currency":"EUR""#).unwrap();
        assert_eq!(exact.amount.map(Amount::minor), Some(i64::MAX));
        let customer = CustomerId::of("issuer", "alice");
        assert_eq!(with(&format!(r#""customer":"{customer}""#)).unwrap().customer, Some(customer));
    }

    #[test]
    fn only_what_is_complete_is_to_be_paid() {
        for status in InventoryStatus::ALL {
            let told = told(&LEAST.replace("COMPLETED", status.name())).unwrap();
            assert_eq!(told.payment().is_some(), status == InventoryStatus::Completed, "{status:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_event_is_named() {
        for (body, code, says) in [
            ("", "json_malformed", "not JSON"),
            ("{", "json_malformed", "not JSON"),
            ("[]", "body_not_an_object", "object"),
            (r#"{"order_id":"A","status":"COMPLETED"}"#, "field_missing", "idempotent_key"),
            (r#"{"idempotent_key":"k","status":"COMPLETED"}"#, "field_missing", "order_id"),
            (r#"{"idempotent_key":"k","order_id":"A"}"#, "field_missing", "status"),
            (r#"{"idempotent_key":" k","order_id":"A","status":"COMPLETED"}"#, "field_wrong_type", "visible ASCII"),
            (r#"{"idempotent_key":7,"order_id":"A","status":"COMPLETED"}"#, "field_wrong_type", "a string"),
            (r#"{"idempotent_key":"k","order_id":"","status":"COMPLETED"}"#, "reference_length", "200"),
            (r#"{"idempotent_key":"k","order_id":"A\n","status":"COMPLETED"}"#, "reference_has_control_characters", ""),
            (r#"{"idempotent_key":"k","order_id":"A","status":"completed"}"#, "field_wrong_type", "COMPLETED, FAILED"),
            (r#"{"idempotent_key":"k","order_id":"A","status":"SHIPPED"}"#, "field_wrong_type", "status"),
            (r#"{"idempotent_key":"k","order_id":"A","status":"\ud800"}"#, "text_malformed", "status"),
        ] {
            let malformed = told(body).unwrap_err();
            assert_eq!(malformed.code, code, "{body}");
            assert!(malformed.to_string().contains(says), "{malformed}");
        }
        for (more, code) in [
            (r#""amount":-1"#, "amount_has_sign"),
            (r#""amount":0"#, "amount_not_positive"),
            (r#""amount":null"#, "field_wrong_type"),
            (r#""amount":1.001"#, "amount_too_precise"),
            (r#""amount":1,"amount":1"#, "field_duplicate"),
            (r#""currency":"euro""#, "currency_unknown"),
            (r#""customer":"alice""#, "field_wrong_type"),
            (r#""note":"""#, "field_unknown"),
        ] {
            assert_eq!(with(more).unwrap_err().code, code, "{more}");
        }
    }

    #[test]
    fn the_same_event_has_the_same_fingerprint_and_another_has_not() {
        let print = |more: &str| with(more).unwrap().fingerprint;
        assert_eq!(print(r#""amount":1.5,"currency":"EUR""#), print(r#""currency":"EUR", "amount":"1.50""#));
        assert_ne!(print(r#""amount":1.5"#), print(r#""amount":1.51"#));
        assert_ne!(print(r#""amount":1.5"#), told(LEAST).unwrap().fingerprint);
    }
}
