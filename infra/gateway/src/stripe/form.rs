//! Parameters as Stripe takes them: form-encoded, with brackets for what is nested; and refusals as Stripe words them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::json;
use url::form_urlencoded;

use crate::answer::Answer;

/// What is taken out of it as it is understood, so that what is left was not.
pub(super) struct Form {
    given: BTreeMap<String, String>,
}

const MOST_METADATA: usize = 50;
const MOST_METADATA_NAME: usize = 40;
const MOST_METADATA_VALUE: usize = 500;

impl Form {
    /// The body of a POST, or the query.
    pub(super) fn of(request: &Request<Bytes>) -> Result<Self, Refusal> {
        if request.method() == Method::POST {
            let kind = request.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
            if !request.body().is_empty() && !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                let message = "Parameters are sent as application/x-www-form-urlencoded.";
                return Err(Refusal::new(400, message));
            }
            Self::parse(request.body())
        } else {
            Self::parse(request.uri().query().unwrap_or_default().as_bytes())
        }
    }

    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Refusal> {
        let mut given = BTreeMap::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            let mut name = name.into_owned();
            // `list[]=a&list[]=b` is `list[0]=a&list[1]=b`.
            if let Some(list) = name.strip_suffix("[]") {
                let place = places.entry(list.to_owned()).or_default();
                let numbered = format!("{list}[{place}]");
                *place += 1;
                name = numbered;
            }
            if given.contains_key(&name) {
                return Err(Refusal::named(&name, None, &format!("{name} is given more than once.")));
            }
            given.insert(name, value.into_owned());
        }
        Ok(Self { given })
    }

    /// One parameter, whatever the others are.
    pub(super) fn peek(encoded: &[u8], name: &str) -> Option<String> {
        form_urlencoded::parse(encoded).find(|(given, _)| given == name).map(|(_, value)| value.into_owned())
    }

    /// What was asked for, in one order.
    pub(super) fn fingerprint(&self, endpoint: &str) -> String {
        json!([endpoint, self.given]).to_string()
    }

    /// An empty value is none.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let text = self.given.remove(name).filter(|text| !text.is_empty());
        if text.as_ref().is_some_and(|text| text.chars().count() > 5_000) {
            return Err(Refusal::named(name, None, &format!("{name} is longer than 5000 characters.")));
        }
        Ok(text)
    }

    pub(super) fn whole_number(&mut self, name: &'static str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| text.parse().ok()).flatten();
        let refused = || Refusal::invalid(name, Some("parameter_invalid_integer"), &format!("Invalid integer: {text}"));
        number.map(Some).ok_or_else(refused)
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => Err(Refusal::invalid(name, None, &format!("Invalid boolean: {text}"))),
        }
    }

    /// `name[of]` for each that is known; what is said there is not looked at.
    pub(super) fn nested(&mut self, name: &str, known: &[&str]) -> Result<(), Refusal> {
        known.iter().try_for_each(|of| self.text(&format!("{name}[{of}]")).map(drop))
    }

    /// `name[0]`, `name[1]` and so on.
    pub(super) fn list(&mut self, name: &str) -> Result<(), Refusal> {
        let mut place = 0;
        while self.text(&format!("{name}[{place}]"))?.is_some() {
            place += 1;
        }
        Ok(())
    }

    /// `name[gte]` and the like, in seconds.
    pub(super) fn bounds(&mut self, name: &'static str) -> Result<impl Fn(i64) -> bool + use<>, Refusal> {
        let mut bound = |which: &str| -> Result<Option<i64>, Refusal> {
            let Some(text) = self.text(&format!("{name}[{which}]"))? else { return Ok(None) };
            let refused =
                || Refusal::invalid(name, Some("parameter_invalid_integer"), &format!("Invalid integer: {text}"));
            text.parse().map(Some).map_err(|_| refused())
        };
        let (gt, gte, lt, lte) = (bound("gt")?, bound("gte")?, bound("lt")?, bound("lte")?);
        Ok(move |at| {
            gt.is_none_or(|bound| at > bound)
                && gte.is_none_or(|bound| at >= bound)
                && lt.is_none_or(|bound| at < bound)
                && lte.is_none_or(|bound| at <= bound)
        })
    }

    pub(super) fn metadata(&mut self) -> Result<BTreeMap<String, String>, Refusal> {
        let is_metadata = |name: &str| name.starts_with("metadata[") && name.ends_with(']');
        let names: Vec<_> = self.given.keys().filter(|name| is_metadata(name)).cloned().collect();
        if names.len() > MOST_METADATA {
            return Err(Refusal::invalid("metadata", None, "There are at most 50 metadata."));
        }
        let mut metadata = BTreeMap::new();
        for name in names {
            let value = self.given.remove(&name).unwrap_or_default();
            let inner = &name["metadata[".len()..name.len() - 1];
            let is_sound = (1..=MOST_METADATA_NAME).contains(&inner.chars().count())
                && !inner.contains(['[', ']'])
                && value.chars().count() <= MOST_METADATA_VALUE;
            if !is_sound {
                let message = "Metadata have names of 1 to 40 characters, without brackets, and values of at most 500.";
                return Err(Refusal::invalid("metadata", None, message));
            }
            // An empty value unsets it.
            if !value.is_empty() {
                metadata.insert(inner.to_owned(), value);
            }
        }
        Ok(metadata)
    }

    pub(super) fn nothing_else(self) -> Result<(), Refusal> {
        match self.given.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = format!("Received unknown parameter: {name}");
                Err(Refusal::named(&name, Some("parameter_unknown"), &message))
            }
        }
    }
}

/// An `invalid_request_error`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, message: &str) -> Self {
        Self { status, code: None, message: message.to_owned(), param: None }
    }

    pub(super) fn named(param: &str, code: Option<&'static str>, message: &str) -> Self {
        Self { code, param: Some(param.to_owned()), ..Self::new(400, message) }
    }

    pub(super) fn invalid(param: &'static str, code: Option<&'static str>, message: &str) -> Self {
        Self::named(param, code, message)
    }

    pub(super) fn parameter_missing(param: &'static str) -> Self {
        Self::named(param, Some("parameter_missing"), &format!("Missing required param: {param}."))
    }

    /// Stripe answers 404 to what the path names, 400 to what a parameter does.
    pub(super) fn missing(what: &str, id: &str, param: &str, status: u16) -> Self {
        let message = format!("No such {what}: '{id}'");
        Self { status, ..Self::named(param, Some("resource_missing"), &message) }
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal { status, code, message, param }: Refusal) -> Self {
        let mut error = json!({"type": "invalid_request_error", "message": message});
        if let Some(code) = code {
            error["code"] = code.into();
        }
        if let Some(param) = param {
            error["param"] = param.into();
        }
        Self::said(status, &json!({ "error": error }))
    }
}
