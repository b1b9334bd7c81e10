//! Why something was not done. A flat vocabulary whose codes are stable on the wire: clients match on them.

use crate::goods::{Lines, Stock};
use crate::ids::{Sku, SlotId};
use crate::orders::OrderState;
use crate::payments::{MOST_OPEN_REFUNDS, PaymentState};
use crate::profiles::Password;
use crate::text::{Description, ProductName, Reference};
use crate::webhooks::EndpointUrl;
use crate::{Amount, Currency, Millis, ids};

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
    #[error("pay_with is \"balance\" or \"card\".")]
    PayWithUnknown,
    #[error("No cards are charged here: this stack has no payment gateway.")]
    CardsNotOffered,
    #[error("This idempotency key was used for another request; take a new key for a new request.")]
    KeyUsedForAnotherRequest,
    #[error("There is no such account; open it with POST /accounts, or with a first deposit.")]
    AccountNotFound,
    #[error("There is no such order.")]
    OrderNotFound,
    #[error("A sku is 1 to {} letters (A to Z, a to z), digits, dots, hyphens and underscores.", ids::LONGEST_NAME)]
    SkuMalformed,
    #[error("There is no such sku; put it into the catalogue with PUT /stock/{{sku}}.")]
    SkuNotFound,
    #[error("{sku} is not in the catalogue; GET /stock lists what is.")]
    SkuUnknown { sku: Sku },
    #[error("{sku} is in two lines; put the quantities into one.")]
    SkuTwice { sku: Sku },
    #[error("A quantity is a whole number, such as 2.")]
    QuantityMalformed,
    #[error("The quantity must be more than zero.")]
    QuantityNotPositive,
    #[error("A quantity is at most {}.", u32::MAX)]
    QuantityTooLarge,
    #[error("No more than {} pieces are kept of one sku.", Stock::MOST)]
    StockTooLarge,
    #[error("An order has an amount, or lines of sku and quantity: one of the two.")]
    AmountOrLines,
    #[error("There are no lines; an order has 1 to {}.", Lines::MOST)]
    LinesEmpty,
    #[error("An order has at most {} lines; place two orders.", Lines::MOST)]
    TooManyLines,
    #[error("slot, reserve_first, if_unavailable and if_undeliverable go with lines only.")]
    OnlyWithLines,
    #[error("if_unavailable is \"wait\" or \"cancel\".")]
    IfUnavailableUnknown,
    #[error("if_undeliverable is \"wait\" or \"cancel\".")]
    IfUndeliverableUnknown,
    #[error("A product's name is 1 to {} bytes.", ProductName::LONGEST)]
    NameLength,
    #[error("A product's name has no control characters.")]
    NameHasControlCharacters,
    #[error(
        "A slot's id is 1 to {} letters (A to Z, a to z), digits, dots, hyphens and underscores.",
        ids::LONGEST_NAME
    )]
    SlotIdMalformed,
    #[error("There is no slot {slot}; GET /slots lists what there is.")]
    SlotUnknown { slot: SlotId },
    #[error("Slot {slot} has begun; take a later one.")]
    SlotHasBegun { slot: SlotId },
    #[error("A slot ends after it begins.")]
    SlotTimesReversed,
    #[error("A time is written as 2026-11-21T09:30:00Z, with milliseconds at most.")]
    TimeMalformed,
    #[error("A capacity is a whole number from 0 to {}.", u32::MAX)]
    CapacityMalformed,
    #[error("The capacity cannot be less than what is booked, which is {booked}.")]
    CapacityBelowBooked { booked: u32 },
    #[error("The order is {}; it cannot be cancelled any more.", state.name())]
    TooLateToCancel { state: OrderState },
    #[error("The order is {}; a courier takes one that is awaiting_delivery.", state.name())]
    NotAwaitingDelivery { state: OrderState },
    #[error("Its slot has room for the order, which goes there by itself.")]
    SlotHasRoom,
    #[error("That is no e-mail address such as alice@example.com; it is not trimmed, and its letters are ASCII.")]
    EmailMalformed,
    #[error("An e-mail address has at most {} bytes.", ids::ProfileId::LONGEST_EMAIL)]
    EmailTooLong,
    #[error("A password has at least {} characters.", Password::SHORTEST)]
    PasswordTooShort,
    #[error("A password has at most {} characters.", Password::LONGEST)]
    PasswordTooLong,
    #[error("This e-mail address has a profile already; sign in with POST /sessions.")]
    EmailTaken,
    #[error("The e-mail address or the password is not right.")]
    WrongEmailOrPassword,
    #[error("There were too many attempts; wait for as many seconds as Retry-After says.")]
    TooManyAttempts { wait: Millis },
    #[error("A url has at most {} bytes.", EndpointUrl::LONGEST)]
    WebhookUrlTooLong,
    #[error("That is no url; write it in full, such as https://shop.example/hooks.")]
    WebhookUrlMalformed,
    #[error("A webhook is called over https alone.")]
    WebhookUrlNotHttps,
    #[error("A webhook's url holds no user and no password; verify the signature instead.")]
    WebhookUrlHasCredentials,
    #[error("A webhook's url has no fragment; nobody would be sent it.")]
    WebhookUrlHasFragment,
    #[error("A webhook is called at port 443, or at one from 1024 on.")]
    WebhookUrlPort,
    #[error("A webhook is called at a public address alone.")]
    WebhookUrlNotPublic,
    #[error("No webhook is set; set one with PUT /webhook.")]
    WebhookNotFound,
    #[error("A webhook's secret is written as GET /webhook shows it.")]
    WebhookSecretMalformed,
    #[error("That is not the webhook's secret; GET /webhook shows the one that is.")]
    WebhookSecretNotCurrent,
    #[error("There is no such payment.")]
    PaymentNotFound,
    #[error("A reference is 1 to {} bytes.", Reference::LONGEST)]
    ReferenceLength,
    #[error("A reference has no control characters.")]
    ReferenceHasControlCharacters,
    #[error("That reference is written as an order here is; an order is paid with pay_with \"card\".")]
    ReferenceNamesOrder,
    #[error("The payment is {}; only what was captured is given back.", state.name())]
    PaymentNotCaptured { state: PaymentState },
    #[error("The payment is in review; nothing is given back until that has ended.")]
    PaymentInReview,
    #[error("The payment did not come through a gateway; give it back the way it came.")]
    PaymentNotByCard,
    #[error("The order is {}; cancel it, and all of it is given back.", state.name())]
    OrderNotCompleted { state: OrderState },
    #[error("Of the payment {} {currency} can be given back.", left.to_decimal(*currency))]
    RefundTooLarge { left: Amount, currency: Currency },
    #[error(
        "At most {MOST_OPEN_REFUNDS} refunds of one payment are on their way at once; wait until some have arrived."
    )]
    TooManyRefunds,
    #[error("The payment is {}; that cannot be decided by hand.", state.name())]
    NotForAnOperator { state: PaymentState },
    #[error("The money was captured; give it back instead.")]
    CapturedAlready,
    #[error("There is no such refund.")]
    RefundNotFound,
    #[error("The order has ended, so its money is given back and not kept.")]
    RefundIsOwed,
}

macro_rules! codes {
    ($($variant:pat => $code:literal,)*) => {
        impl Refusal {
            /// Every code.
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
    Self::PayWithUnknown => "pay_with_unknown",
    Self::CardsNotOffered => "cards_not_offered",
    Self::KeyUsedForAnotherRequest => "key_used_for_another_request",
    Self::AccountNotFound => "account_not_found",
    Self::OrderNotFound => "order_not_found",
    Self::SkuMalformed => "sku_malformed",
    Self::SkuNotFound => "sku_not_found",
    Self::SkuUnknown { .. } => "sku_unknown",
    Self::SkuTwice { .. } => "sku_twice",
    Self::QuantityMalformed => "quantity_malformed",
    Self::QuantityNotPositive => "quantity_not_positive",
    Self::QuantityTooLarge => "quantity_too_large",
    Self::StockTooLarge => "stock_too_large",
    Self::AmountOrLines => "amount_or_lines",
    Self::LinesEmpty => "lines_empty",
    Self::TooManyLines => "too_many_lines",
    Self::OnlyWithLines => "only_with_lines",
    Self::IfUnavailableUnknown => "if_unavailable_unknown",
    Self::IfUndeliverableUnknown => "if_undeliverable_unknown",
    Self::NameLength => "name_length",
    Self::NameHasControlCharacters => "name_has_control_characters",
    Self::SlotIdMalformed => "slot_id_malformed",
    Self::SlotUnknown { .. } => "slot_unknown",
    Self::SlotHasBegun { .. } => "slot_has_begun",
    Self::SlotTimesReversed => "slot_times_reversed",
    Self::TimeMalformed => "time_malformed",
    Self::CapacityMalformed => "capacity_malformed",
    Self::CapacityBelowBooked { .. } => "capacity_below_booked",
    Self::TooLateToCancel { .. } => "too_late_to_cancel",
    Self::NotAwaitingDelivery { .. } => "not_awaiting_delivery",
    Self::SlotHasRoom => "slot_has_room",
    Self::EmailMalformed => "email_malformed",
    Self::EmailTooLong => "email_too_long",
    Self::PasswordTooShort => "password_too_short",
    Self::PasswordTooLong => "password_too_long",
    Self::EmailTaken => "email_taken",
    Self::WrongEmailOrPassword => "wrong_email_or_password",
    Self::TooManyAttempts { .. } => "too_many_attempts",
    Self::WebhookUrlTooLong => "webhook_url_too_long",
    Self::WebhookUrlMalformed => "webhook_url_malformed",
    Self::WebhookUrlNotHttps => "webhook_url_not_https",
    Self::WebhookUrlHasCredentials => "webhook_url_has_credentials",
    Self::WebhookUrlHasFragment => "webhook_url_has_fragment",
    Self::WebhookUrlPort => "webhook_url_port",
    Self::WebhookUrlNotPublic => "webhook_url_not_public",
    Self::WebhookNotFound => "webhook_not_found",
    Self::WebhookSecretMalformed => "webhook_secret_malformed",
    Self::WebhookSecretNotCurrent => "webhook_secret_not_current",
    Self::PaymentNotFound => "payment_not_found",
    Self::ReferenceLength => "reference_length",
    Self::ReferenceHasControlCharacters => "reference_has_control_characters",
    Self::ReferenceNamesOrder => "reference_names_order",
    Self::PaymentNotCaptured { .. } => "payment_not_captured",
    Self::PaymentInReview => "payment_in_review",
    Self::PaymentNotByCard => "payment_not_by_card",
    Self::OrderNotCompleted { .. } => "order_not_completed",
    Self::RefundTooLarge { .. } => "refund_too_large",
    Self::TooManyRefunds => "too_many_refunds",
    Self::NotForAnOperator { .. } => "not_for_an_operator",
    Self::CapturedAlready => "captured_already",
    Self::RefundNotFound => "refund_not_found",
    Self::RefundIsOwed => "refund_is_owed",
}
