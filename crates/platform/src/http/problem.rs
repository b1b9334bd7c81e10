//! Problem details (RFC 9457) for everything that is not done. A refusal of the domain keeps its code; what is wrong
//! with the request itself has codes of its own. Nothing of the inside is shown.

use domain::Refusal;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::store::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    code: &'static str,
    detail: String,
    /// In seconds, where it depends.
    retry_after: Option<i64>,
    /// Where that which was asked for stands instead.
    state: Option<&'static str>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) => $status:literal $code:literal $detail:expr;)*) => {
        impl Problem {
            $($(#[$doc])* pub fn $name($($argument: $kind),*) -> Self {
                Self { status: $status, code: $code, detail: $detail.to_string(), retry_after: None, state: None }
            })*

            /// Every code that is not a refusal of the domain, with its status.
            pub const OF_REQUESTS: &'static [(&'static str, u16)] = &[$(($code, $status)),*];
        }
    };
}

problems! {
    unauthorized() => 401 "unauthorized" "Sign in, or send a token that has not expired.";
    scope_missing(scope: &str) => 403 "scope_missing" format!("This takes a token with the scope {scope:?}.");
    key_missing() => 400 "idempotency_key_missing" "Send an Idempotency-Key header; repeat the request with the same one.";
    key_malformed() => 400 "idempotency_key_malformed"
        "An Idempotency-Key is 1 to 255 visible ASCII characters without comma, semicolon, quote or backslash, bare or in double quotes.";
    body_too_large() => 413 "body_too_large" "A body has at most 65536 bytes.";
    content_type() => 415 "content_type_unsupported" "Send Content-Type: application/json.";
    body_not_utf8() => 400 "body_not_utf8" "JSON is UTF-8.";
    json_malformed(why: &str) => 400 "json_malformed" format!("The body is not JSON: {why}.");
    body_not_an_object() => 400 "body_not_an_object" "The body must be a JSON object.";
    field_duplicate(name: &str) => 422 "field_duplicate" format!("{name:?} is there twice.");
    field_unknown(name: &str) => 422 "field_unknown" format!("{name:?} is no field of this call.");
    field_missing(name: &str) => 422 "field_missing" format!("{name:?} is missing.");
    field_wrong_type(name: &str, must_be: &str) => 422 "field_wrong_type" format!("{name:?} must be {must_be}.");
    text_malformed(name: &str) => 422 "text_malformed" format!("{name:?} holds half of a surrogate pair.");
    parameter_unknown(name: &str) => 400 "parameter_unknown" format!("{name:?} is no parameter of this call; there are limit and cursor.");
    limit_malformed(largest: i32) => 400 "limit_malformed" format!("limit is a whole number from 1 to {largest}.");
    cursor_malformed() => 400 "cursor_malformed" "Take the cursor as next_cursor of the same list gave it.";
    contended() => 503 "try_again" "Others changed the same things at the same time. Nothing was done; send the request again.";
    unavailable() => 503 "outcome_unknown"
        "It could not be found out in time whether this was done. Send the same request with the same Idempotency-Key.";
    callback_not_verified() => 401 "callback_not_verified" "No signature of this is the gateway's.";
    callback_malformed() => 400 "callback_malformed" "This is signed, and cannot be read as an event of the gateway's. It is kept.";
    callback_changed() => 409 "callback_changed" "Another body came under this id before. This one is kept, and not taken in.";
    sign_in_not_set_up() => 501 "sign_in_not_set_up"
        "Nobody can sign up or in here: this stack has no key to sign tokens with. Its operator sets the parameter SigningKey.";
    internal() => 500 "internal_error" "Something is wrong on our side. Send the same request again later.";
}

impl Problem {
    pub const fn status(&self) -> u16 {
        self.status
    }

    pub const fn code(&self) -> &'static str {
        self.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same, with where in the request it is.
    #[must_use]
    pub(super) fn at(self, place: &str) -> Self {
        Self { detail: format!("{place}: {}", self.detail), ..self }
    }

    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        match self.status {
            401 => vec![("www-authenticate", "Bearer".to_owned())],
            503 => vec![("retry-after", "1".to_owned())],
            _ => self.retry_after.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect(),
        }
    }

    pub const fn status_of(refusal: &Refusal) -> u16 {
        match refusal {
            Refusal::AmountMalformed
            | Refusal::AmountHasSign
            | Refusal::AmountHasExponent
            | Refusal::AmountTooPrecise { .. }
            | Refusal::AmountTooLarge
            | Refusal::AmountNotPositive
            | Refusal::BalanceTooLarge
            | Refusal::CurrencyUnknown
            | Refusal::CurrencyNotOfThisStack { .. }
            | Refusal::DescriptionTooLong
            | Refusal::DescriptionHasControlCharacters
            | Refusal::IfUnpaidUnknown
            | Refusal::PayWithUnknown
            | Refusal::CardsNotOffered
            | Refusal::KeyUsedForAnotherRequest
            | Refusal::SkuMalformed
            | Refusal::SkuUnknown { .. }
            | Refusal::SkuTwice { .. }
            | Refusal::QuantityMalformed
            | Refusal::QuantityNotPositive
            | Refusal::QuantityTooLarge
            | Refusal::StockTooLarge
            | Refusal::AmountOrLines
            | Refusal::LinesEmpty
            | Refusal::TooManyLines
            | Refusal::OnlyWithLines
            | Refusal::IfUnavailableUnknown
            | Refusal::IfUndeliverableUnknown
            | Refusal::NameLength
            | Refusal::NameHasControlCharacters
            | Refusal::SlotIdMalformed
            | Refusal::SlotUnknown { .. }
            | Refusal::SlotHasBegun { .. }
            | Refusal::SlotTimesReversed
            | Refusal::TimeMalformed
            | Refusal::CapacityMalformed
            | Refusal::EmailMalformed
            | Refusal::EmailTooLong
            | Refusal::PasswordTooShort
            | Refusal::PasswordTooLong
            | Refusal::WebhookUrlTooLong
            | Refusal::WebhookUrlMalformed
            | Refusal::WebhookUrlNotHttps
            | Refusal::WebhookUrlHasCredentials
            | Refusal::WebhookUrlHasFragment
            | Refusal::WebhookUrlPort
            | Refusal::WebhookUrlNotPublic
            | Refusal::WebhookSecretMalformed
            | Refusal::ReferenceLength
            | Refusal::ReferenceHasControlCharacters
            | Refusal::ReferenceNamesOrder => 422,
            Refusal::WrongEmailOrPassword => 401,
            Refusal::TooManyAttempts { .. } => 429,
            Refusal::AccountNotFound
            | Refusal::OrderNotFound
            | Refusal::SkuNotFound
            | Refusal::WebhookNotFound
            | Refusal::PaymentNotFound
            | Refusal::RefundNotFound => 404,
            Refusal::CapacityBelowBooked { .. }
            | Refusal::TooLateToCancel { .. }
            | Refusal::NotAwaitingDelivery { .. }
            | Refusal::SlotHasRoom
            | Refusal::EmailTaken
            | Refusal::WebhookSecretNotCurrent
            | Refusal::PaymentNotCaptured { .. }
            | Refusal::PaymentInReview
            | Refusal::PaymentNotByCard
            | Refusal::OrderNotCompleted { .. }
            | Refusal::RefundTooLarge { .. }
            | Refusal::TooManyRefunds
            | Refusal::NotForAnOperator { .. }
            | Refusal::CapturedAlready
            | Refusal::RefundIsOwed => 409,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let retry_after = match refusal {
            Refusal::TooManyAttempts { wait } => Some(wait.in_seconds_at_least()),
            _ => None,
        };
        let state = match refusal {
            Refusal::TooLateToCancel { state }
            | Refusal::NotAwaitingDelivery { state }
            | Refusal::OrderNotCompleted { state } => Some(state.name()),
            Refusal::PaymentNotCaptured { state } | Refusal::NotForAnOperator { state } => Some(state.name()),
            _ => None,
        };
        let (status, detail) = (Self::status_of(&refusal), refusal.to_string());
        Self { status, code: refusal.code(), detail, retry_after, state }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Contended => Self::contended(),
            Failure::Unavailable(why) => {
                tracing::error!(why, "the table did not answer");
                Self::unavailable()
            }
            Failure::TooLarge(_) | Failure::Unreadable(_) | Failure::Broken(_) => {
                tracing::error!(error = %failure, "a request could not be answered");
                Self::internal()
            }
        }
    }
}

impl From<crate::table::ReadError> for Problem {
    fn from(error: crate::table::ReadError) -> Self {
        Failure::from(error).into()
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut title = self.code.replace('_', " ");
        title[..1].make_ascii_uppercase();
        let mut problem = serializer.serialize_struct("Problem", 5 + usize::from(self.state.is_some()))?;
        problem.serialize_field("type", &format!("urn:paidonce:problem:{}", self.code))?;
        problem.serialize_field("title", &title)?;
        problem.serialize_field("status", &self.status)?;
        problem.serialize_field("code", self.code)?;
        problem.serialize_field("detail", &self.detail)?;
        if let Some(state) = self.state {
            problem.serialize_field("state", state)?;
        }
        problem.end()
    }
}
