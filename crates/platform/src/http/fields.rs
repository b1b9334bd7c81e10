//! The fields of a JSON object, each with the text that stands for it, so that a number is read digit by digit and
//! what is twice there, or not known, is refused by name instead of losing to the last one. Of objects in a list the
//! name says where: `lines[2].quantity`.

use std::fmt;

use domain::goods;
use domain::ids::{Sku, SlotId};
use domain::orders::{IfLacking, Paying};
use domain::text::Reference;
use domain::{Amount, Currency, Refusal, Timestamp};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Problem;

/// What was sent. Each field is taken once; what is left in the end is unknown.
#[derive(Default)]
pub struct Fields {
    fields: Vec<(String, Box<RawValue>)>,
    /// Name and canonical value of what was taken, for the fingerprint.
    taken: Vec<(&'static str, String)>,
    /// Where the object stands in the body: nothing for the body itself, else such as `lines[2].`.
    within: String,
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
    /// Where it stands: `amount`, or `lines[2].quantity`.
    place: &'a str,
    raw: &'a str,
}

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body).map_err(|_| Problem::body_not_utf8())?;
        let start = text.trim_start_matches([' ', '\t', '\r', '\n']);
        let Object(fields) = serde_json::from_str(text).map_err(|error| {
            if !start.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok() {
                Problem::body_not_an_object()
            } else {
                Problem::json_malformed(&place(&error))
            }
        })?;
        Self::of(fields, String::new())
    }

    fn of(fields: Vec<(String, Box<RawValue>)>, within: String) -> Result<Self, Problem> {
        for (at, (name, _)) in fields.iter().enumerate() {
            if fields[..at].iter().any(|(other, _)| other == name) {
                return Err(Problem::field_duplicate(&format!("{within}{name}")));
            }
        }
        Ok(Self { fields, taken: Vec::new(), within })
    }

    /// Takes a field and what `read` makes of it; its canonical form goes into the fingerprint.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'_>) -> Result<(T, String), Problem>,
    ) -> Result<Option<T>, Problem> {
        let Some(at) = self.fields.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, raw) = self.fields.remove(at);
        let place = format!("{}{name}", self.within);
        let (value, canonical) = read(Value { place: &place, raw: raw.get() })?;
        self.taken.push((name, canonical));
        Ok(Some(value))
    }

    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value<'_>) -> Result<(T, String), Problem>,
    ) -> Result<T, Problem> {
        self.optional(name, read)?.ok_or_else(|| Problem::field_missing(&format!("{}{name}", self.within)))
    }

    /// The end: what was taken, and a refusal of what was not.
    pub fn finish(self) -> Result<Vec<(&'static str, String)>, Problem> {
        match self.fields.first() {
            Some((unknown, _)) => Err(Problem::field_unknown(&format!("{}{unknown}", self.within))),
            None => Ok(self.taken),
        }
    }
}

impl Value<'_> {
    pub fn text(self) -> Result<String, Problem> {
        if !self.raw.starts_with('"') {
            return Err(Problem::field_wrong_type(self.place, "a string"));
        }
        // Its syntax was checked with the body; what can still be wrong is half of a surrogate pair.
        serde_json::from_str(self.raw).map_err(|_| Problem::text_malformed(self.place))
    }

    /// An amount that is more than nothing, from a number or a string.
    pub fn amount(self, currency: Currency) -> Result<(Amount, String), Problem> {
        let amount = if self.raw.starts_with('"') {
            Amount::parse_positive(&self.text()?, currency)
        } else if self.raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Amount::parse_positive(self.raw, currency)
        } else {
            return Err(Problem::field_wrong_type(self.place, "a decimal, as a number or a string"));
        };
        let amount = amount.map_err(|refusal| self.refused(refusal))?;
        Ok((amount, amount.minor().to_string()))
    }

    pub fn currency(self) -> Result<(Currency, String), Problem> {
        let code = self.text()?;
        Currency::from_code(&code).map(|currency| (currency, code)).ok_or_else(|| Refusal::CurrencyUnknown.into())
    }

    /// How many, of something.
    pub fn quantity(self) -> Result<(u32, String), Problem> {
        let quantity = goods::quantity(self.number()?).map_err(|refusal| self.refused(refusal))?;
        Ok((quantity, quantity.to_string()))
    }

    /// How many at most; none is a capacity too.
    pub fn capacity(self) -> Result<(u32, String), Problem> {
        let digits = Some(self.number()?).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let capacity: Option<u32> = digits.and_then(|digits| digits.parse().ok());
        let capacity = capacity.ok_or_else(|| self.refused(Refusal::CapacityMalformed))?;
        Ok((capacity, capacity.to_string()))
    }

    pub fn flag(self) -> Result<(bool, String), Problem> {
        match self.raw {
            "true" => Ok((true, self.raw.to_owned())),
            "false" => Ok((false, self.raw.to_owned())),
            _ => Err(Problem::field_wrong_type(self.place, "true or false")),
        }
    }

    /// A moment. However it was written, the same moment is the same request.
    pub fn time(self) -> Result<(Timestamp, String), Problem> {
        let moment = Timestamp::parse(&self.text()?).map_err(|refusal| self.refused(refusal))?;
        Ok((moment, moment.to_string()))
    }

    pub fn sku(self) -> Result<(Sku, String), Problem> {
        let text = self.text()?;
        Ok((Sku::parse(&text).map_err(|refusal| self.refused(refusal))?, text))
    }

    pub fn slot(self) -> Result<(SlotId, String), Problem> {
        let text = self.text()?;
        Ok((SlotId::parse(&text).map_err(|refusal| self.refused(refusal))?, text))
    }

    /// `wait` or `cancel`, or else the refusal that is said.
    pub fn if_lacking(self, otherwise: Refusal) -> Result<(IfLacking, String), Problem> {
        let text = self.text()?;
        let choice = match text.as_str() {
            "wait" => IfLacking::Wait,
            "cancel" => IfLacking::Cancel,
            _ => return Err(self.refused(otherwise)),
        };
        Ok((choice, text))
    }

    pub fn pay_with(self) -> Result<(Paying, String), Problem> {
        let text = self.text()?;
        let choice = match text.as_str() {
            "balance" => Paying::Balance,
            "card" => Paying::Card,
            _ => return Err(self.refused(Refusal::PayWithUnknown)),
        };
        Ok((choice, text))
    }

    pub fn reference(self) -> Result<(Reference, String), Problem> {
        let text = self.text()?;
        Ok((Reference::new(&text).map_err(|refusal| self.refused(refusal))?, text))
    }

    /// A list of objects, each read by `read` and with no other fields than those that it takes.
    pub fn list<T>(self, read: impl Fn(&mut Fields) -> Result<T, Problem>) -> Result<(Vec<T>, String), Problem> {
        if !self.raw.starts_with('[') {
            return Err(Problem::field_wrong_type(self.place, "a list"));
        }
        let items: Vec<&RawValue> =
            serde_json::from_str(self.raw).map_err(|_| Problem::field_wrong_type(self.place, "a list"))?;
        let mut values = Vec::with_capacity(items.len());
        let mut canonical = Vec::with_capacity(items.len());
        for (number, raw) in items.into_iter().enumerate() {
            let place = format!("{}[{number}]", self.place);
            if !raw.get().starts_with('{') {
                return Err(Problem::field_wrong_type(&place, "an object"));
            }
            // Half of a surrogate pair in a name is all that can still be wrong.
            let Object(fields) = serde_json::from_str(raw.get()).map_err(|_| Problem::text_malformed(&place))?;
            let mut fields = Fields::of(fields, format!("{place}."))?;
            values.push(read(&mut fields)?);
            let mut taken = fields.finish()?;
            taken.sort_unstable();
            canonical.push(taken);
        }
        // As JSON, so that no two different lists have one form.
        let canonical = serde_json::to_string(&canonical).expect("texts are plain data");
        Ok((values, canonical))
    }

    /// The text of a number, as it stands.
    fn number(&self) -> Result<&str, Problem> {
        if self.raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Ok(self.raw)
        } else {
            Err(Problem::field_wrong_type(self.place, "a number"))
        }
    }

    /// That it must be something else.
    pub(crate) fn wrong(self, must_be: &str) -> Problem {
        Problem::field_wrong_type(self.place, must_be)
    }

    /// A refusal; of what is further in, with where that is.
    fn refused(&self, refusal: Refusal) -> Problem {
        let problem = Problem::from(refusal);
        if self.place.contains('[') { problem.at(self.place) } else { problem }
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

    fn read_lines(body: &str) -> Result<(Vec<(Sku, u32)>, String), Problem> {
        let mut fields = Fields::parse(body.as_bytes())?;
        let lines = fields.required("lines", |value| {
            value.list(|line| {
                let sku = line.required("sku", |value| value.sku())?;
                Ok((sku, line.required("quantity", |value| value.quantity())?))
            })
        })?;
        let taken = fields.finish()?;
        Ok((lines, taken[0].1.clone()))
    }

    #[test]
    fn what_is_wrong_further_in_is_named_with_its_place() {
        let line = r#"{"sku":"tea","quantity":1}"#;
        for (lines, code, says) in [
            (r#"{}"#.to_owned(), "field_wrong_type", "\"lines\" must be a list."),
            (format!("[{line},5]"), "field_wrong_type", "\"lines[1]\" must be an object."),
            (format!("[{line},[]]"), "field_wrong_type", "\"lines[1]\" must be an object."),
            (format!(r#"[{line},{{"sku":"tea"}}]"#), "field_missing", "\"lines[1].quantity\" is missing."),
            (
                r#"[{"sku":"tea","quantity":1,"colour":2}]"#.to_owned(),
                "field_unknown",
                "\"lines[0].colour\" is no field",
            ),
            (
                r#"[{"sku":"a","sku":"a","quantity":1}]"#.to_owned(),
                "field_duplicate",
                "\"lines[0].sku\" is there twice.",
            ),
            (r#"[{"sku":5,"quantity":1}]"#.to_owned(), "field_wrong_type", "\"lines[0].sku\" must be a string."),
            (r#"[{"sku":"\ud800","quantity":1}]"#.to_owned(), "text_malformed", "\"lines[0].sku\" holds half"),
            (r#"[{"\ud800":1}]"#.to_owned(), "text_malformed", "\"lines[0]\" holds half"),
            (r#"[{"sku":"a b","quantity":1}]"#.to_owned(), "sku_malformed", "lines[0].sku: A sku is"),
            (
                r#"[{"sku":"a","quantity":"1"}]"#.to_owned(),
                "field_wrong_type",
                "\"lines[0].quantity\" must be a number.",
            ),
            (r#"[{"sku":"a","quantity":1.0}]"#.to_owned(), "quantity_malformed", "lines[0].quantity: A quantity is"),
            (r#"[{"sku":"a","quantity":-1}]"#.to_owned(), "quantity_malformed", "lines[0].quantity: A quantity is"),
            (r#"[{"sku":"a","quantity":0}]"#.to_owned(), "quantity_not_positive", "lines[0].quantity: The quantity"),
            (
                r#"[{"sku":"a","quantity":4294967296}]"#.to_owned(),
                "quantity_too_large",
                "lines[0].quantity: A quantity",
            ),
        ] {
            let problem = read_lines(&format!("{{\"lines\":{lines}}}")).unwrap_err();
            assert_eq!(problem.code(), code, "{lines}");
            assert!(problem.detail().starts_with(says), "{lines}: {}", problem.detail());
        }
    }

    #[test]
    fn lists_are_the_same_request_as_far_as_they_say_the_same() {
        let canonical = |lines: &str| read_lines(&format!("{{\"lines\":{lines}}}")).unwrap().1;
        let base = canonical(r#"[{"sku":"a","quantity":1},{"sku":"b","quantity":2}]"#);
        assert_eq!(base, canonical(r#"[ {"quantity":1, "s\u006bu":"a"}, {"quantity" : 2,"sku":"b"} ]"#));
        for other in [
            r#"[{"sku":"b","quantity":2},{"sku":"a","quantity":1}]"#,
            r#"[{"sku":"a","quantity":1}]"#,
            r#"[{"sku":"a","quantity":12},{"sku":"b","quantity":2}]"#,
            "[]",
        ] {
            assert_ne!(base, canonical(other), "{other}");
        }
    }

    #[test]
    fn moments_capacities_and_flags_are_read_as_they_stand() {
        let code = |raw: &str, read: fn(Value<'_>) -> Result<String, Problem>| {
            let mut fields = Fields::parse(format!("{{\"a\":{raw}}}").as_bytes()).unwrap();
            match fields.required("a", |value| Ok((read(value)?, String::new()))) {
                Ok(read) => read,
                Err(problem) => problem.code().to_owned(),
            }
        };
        let capacity = |value: Value<'_>| value.capacity().map(|(_, canonical)| canonical);
        for (raw, expected) in [
            ("0", "0"),
            ("4294967295", "4294967295"),
            ("4294967296", "capacity_malformed"),
            ("-1", "capacity_malformed"),
            ("1.5", "capacity_malformed"),
            ("1e3", "capacity_malformed"),
            ("\"5\"", "field_wrong_type"),
            ("null", "field_wrong_type"),
        ] {
            assert_eq!(code(raw, capacity), expected, "{raw}");
        }
        let time = |value: Value<'_>| value.time().map(|(_, canonical)| canonical);
        for (raw, expected) in [
            ("\"2026-11-24T14:00:00+01:00\"", "2026-11-24T13:00:00.000Z"),
            ("\"2026-11-24\"", "time_malformed"),
            ("1795240383", "field_wrong_type"),
        ] {
            assert_eq!(code(raw, time), expected, "{raw}");
        }
        let flag = |value: Value<'_>| value.flag().map(|(_, canonical)| canonical);
        for (raw, expected) in
            [("true", "true"), ("false", "false"), ("1", "field_wrong_type"), ("\"true\"", "field_wrong_type")]
        {
            assert_eq!(code(raw, flag), expected, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::parse(&body);
        }

        #[test]
        fn no_list_makes_it_panic(list in "[\\[\\]{}\",:a0\\\\ud8sku]{0,60}") {
            let _ = read_lines(&format!("{{\"lines\":[{list}]}}"));
        }
    }
}
