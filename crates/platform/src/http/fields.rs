//! The fields of a JSON object, each with the text that stands for it, so that a number is read digit by digit and
//! what is twice there, or not known, is refused by name instead of losing to the last one.

use std::fmt;

use domain::{Amount, Currency, Refusal};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Problem;

/// What was sent. Each field is taken once; what is left in the end is unknown.
#[derive(Default)]
pub struct Fields {
    fields: Vec<(String, Box<RawValue>)>,
    /// Name and canonical value of what was taken, for the fingerprint.
    taken: Vec<(&'static str, String)>,
}

/// By name, without what is in them.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.iter().map(|(name, _)| name)).finish()
    }
}

/// A field's value, as JSON wrote it.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    name: &'static str,
    raw: &'a str,
}

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body).map_err(|_| Problem::body_not_utf8())?;
        let start = text.trim_start_matches([' ', '\t', '\r', '\n']);
        let Object(fields) = serde_json::from_str(text).map_err(|error| {
            if !start.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok() {
                Problem::body_not_an_object()
            } else {
                Problem::json_malformed(&place(&error))
            }
        })?;
        for (at, (name, _)) in fields.iter().enumerate() {
            if fields[..at].iter().any(|(other, _)| other == name) {
                return Err(Problem::field_duplicate(name));
            }
        }
        Ok(Self { fields, taken: Vec::new() })
    }

    /// Takes a field and what `read` makes of it; its canonical form goes into the fingerprint.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'_>) -> Result<(T, String), Problem>,
    ) -> Result<Option<T>, Problem> {
        let Some(at) = self.fields.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, raw) = self.fields.remove(at);
        let (value, canonical) = read(Value { name, raw: raw.get() })?;
        self.taken.push((name, canonical));
        Ok(Some(value))
    }

    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'_>) -> Result<(T, String), Problem>,
    ) -> Result<T, Problem> {
        self.optional(name, read)?.ok_or_else(|| Problem::field_missing(name))
    }

    /// The end: what was taken, and a refusal of what was not.
    pub fn finish(self) -> Result<Vec<(&'static str, String)>, Problem> {
        match self.fields.first() {
            Some((unknown, _)) => Err(Problem::field_unknown(unknown)),
            None => Ok(self.taken),
        }
    }
}

impl Value<'_> {
    pub fn text(self) -> Result<String, Problem> {
        if !self.raw.starts_with('"') {
            return Err(Problem::field_wrong_type(self.name, "a string"));
        }
        // Its syntax was checked with the body; what can still be wrong is half of a surrogate pair.
        serde_json::from_str(self.raw).map_err(|_| Problem::text_malformed(self.name))
    }

    /// An amount that is more than nothing, from a number or a string.
    pub fn amount(self, currency: Currency) -> Result<(Amount, String), Problem> {
        let amount = if self.raw.starts_with('"') {
            Amount::parse_positive(&self.text()?, currency)
        } else if self.raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Amount::parse_positive(self.raw, currency)
        } else {
            return Err(Problem::field_wrong_type(self.name, "a decimal, as a number or a string"));
        };
        let amount = amount.map_err(Problem::from)?;
        Ok((amount, amount.minor().to_string()))
    }

    pub fn currency(self) -> Result<(Currency, String), Problem> {
        let code = self.text()?;
        Currency::from_code(&code).map(|currency| (currency, code)).ok_or_else(|| Refusal::CurrencyUnknown.into())
    }
}

struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Every;

        impl<'de> Visitor<'de> for Every {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Every)
    }
}

/// Where and why, without an echo of what was sent.
fn place(error: &serde_json::Error) -> String {
    let what = if error.is_eof() { "it ends too early" } else { "it is wrong" };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(body: &[u8]) -> &'static str {
        Fields::parse(body).map_or_else(|problem| problem.code(), |_| "read")
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        for (body, expected) in [
            (&b"{}"[..], "read"),
            (b" {\"a\":1}\n", "read"),
            (b"", "json_malformed"),
            (b"{", "json_malformed"),
            (b"{\"a\":}", "json_malformed"),
            (b"{\"a\":01}", "json_malformed"),
            (b"{\"a\":1}x", "json_malformed"),
            (b"{\"a\":NaN}", "json_malformed"),
            (b"{'a':1}", "json_malformed"),
            (b"[1]", "body_not_an_object"),
            (b"null", "body_not_an_object"),
            (b"1", "body_not_an_object"),
            (b"\"a\"", "body_not_an_object"),
            (b"{\"a\":1,\"a\":1}", "field_duplicate"),
            (b"{\"a\":1,\"\\u0061\":2}", "field_duplicate"),
            (b"{\"a\":\"\xff\"}", "body_not_utf8"),
        ] {
            assert_eq!(code(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn an_amount_is_read_digit_by_digit() {
        let eur = Currency::from_code("EUR").unwrap();
        for (raw, expected) in [
            ("1500.99", Ok(150_099)),
            ("\"1500.99\"", Ok(150_099)),
            ("92233720368547758.07", Ok(i64::MAX)),
            ("1e400", Err("amount_has_exponent")),
            ("-0", Err("amount_has_sign")),
            ("0.001", Err("amount_too_precise")),
            ("\"1,5\"", Err("amount_malformed")),
            ("1000000000000000000000000000000", Err("amount_too_large")),
            ("0", Err("amount_not_positive")),
            ("null", Err("field_wrong_type")),
            ("true", Err("field_wrong_type")),
            ("[1]", Err("field_wrong_type")),
            ("\"\"", Err("amount_malformed")),
            ("\"\\ud800\"", Err("text_malformed")),
        ] {
            let body = format!("{{\"amount\":{raw}}}");
            let mut fields = Fields::parse(body.as_bytes()).unwrap();
            let read = fields.required("amount", |value| value.amount(eur));
            assert_eq!(read.map(Amount::minor).map_err(|problem| problem.code()), expected, "{raw}");
        }
    }

    #[test]
    fn equal_amounts_have_equal_fingerprints_and_what_is_left_is_unknown() {
        let eur = Currency::from_code("EUR").unwrap();
        let taken = |body: &str| {
            let mut fields = Fields::parse(body.as_bytes()).unwrap();
            fields.required("amount", |value| value.amount(eur)).unwrap();
            fields.finish()
        };
        assert_eq!(taken("{\"amount\":1.5}"), taken("{\"amount\":\"1.50\"}"));
        assert_eq!(taken("{\"amount\":1,\"amuont\":2}").unwrap_err().code(), "field_unknown");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::parse(&body);
        }
    }
}
