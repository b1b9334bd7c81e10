//! Why something was not done. A flat vocabulary whose codes are stable on the wire: clients match on them.

use crate::Currency;
use crate::text::Description;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("An amount is written as digits with at most one decimal point, such as 1500.99.")]
    AmountMalformed,
    #[error("An amount has no sign.")]
    AmountHasSign,
    #[error("An amount has no exponent; write out its digits.")]
    AmountHasExponent,
    #[error("{currency} has {} digits after the decimal point; nothing is rounded.", currency.digits())]
    AmountTooPrecise { currency: Currency },
    #[error("The amount is larger than can be counted.")]
    AmountTooLarge,
    #[error("The amount must be more than zero.")]
    AmountNotPositive,
    #[error("The balance would be larger than can be counted.")]
    BalanceTooLarge,
    #[error("That is no currency code of ISO 4217, such as USD.")]
    CurrencyUnknown,
    #[error("Everything here is in {stack}.")]
    CurrencyNotOfThisStack { stack: Currency },
    #[error("A description has at most {} bytes.", Description::LONGEST)]
    DescriptionTooLong,
    #[error("A description has no control characters.")]
    DescriptionHasControlCharacters,
    #[error("if_unpaid is \"wait\" or \"cancel\".")]
    IfUnpaidUnknown,
    #[error("This idempotency key was used for another request; take a new key for a new request.")]
    KeyUsedForAnotherRequest,
    #[error("There is no such account; open it with POST /accounts, or with a first deposit.")]
    AccountNotFound,
    #[error("There is no such order.")]
    OrderNotFound,
}

macro_rules! codes {
    ($($variant:pat => $code:literal,)*) => {
        impl Refusal {
            /// Every code that there is.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// The stable name on the wire.
            pub const fn code(&self) -> &'static str {
                match self {
                    $($variant => $code,)*
                }
            }
        }
    };
}

codes! {
    Self::AmountMalformed => "amount_malformed",
    Self::AmountHasSign => "amount_has_sign",
    Self::AmountHasExponent => "amount_has_exponent",
    Self::AmountTooPrecise { .. } => "amount_too_precise",
    Self::AmountTooLarge => "amount_too_large",
    Self::AmountNotPositive => "amount_not_positive",
    Self::BalanceTooLarge => "balance_too_large",
    Self::CurrencyUnknown => "currency_unknown",
    Self::CurrencyNotOfThisStack { .. } => "currency_not_of_this_stack",
    Self::DescriptionTooLong => "description_too_long",
    Self::DescriptionHasControlCharacters => "description_has_control_characters",
    Self::IfUnpaidUnknown => "if_unpaid_unknown",
    Self::KeyUsedForAnotherRequest => "key_used_for_another_request",
    Self::AccountNotFound => "account_not_found",
    Self::OrderNotFound => "order_not_found",
}
