//! `docs/ERRORS.md` has one line for each code that a caller can be answered with, with its status, and no other.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::path::Path;

use domain::ids::{Sku, SlotId};
use domain::orders::OrderState;
use domain::payments::PaymentState;
use domain::{Amount, Currency, Refusal};
use platform::http::Problem;

/// One of each; `every_refusal_is_here` holds it against the codes.
fn refusals() -> Vec<Refusal> {
    let currency = Currency::from_code("EUR").unwrap();
    let (sku, slot) = (Sku::parse("tea").unwrap(), SlotId::standard());
    vec![
        Refusal::AmountMalformed,
        Refusal::AmountHasSign,
        Refusal::AmountHasExponent,
        Refusal::AmountTooPrecise { currency },
        Refusal::AmountTooLarge,
        Refusal::AmountNotPositive,
        Refusal::BalanceTooLarge,
        Refusal::CurrencyUnknown,
        Refusal::CurrencyNotOfThisStack { stack: currency },
        Refusal::DescriptionTooLong,
        Refusal::DescriptionHasControlCharacters,
        Refusal::IfUnpaidUnknown,
        Refusal::PayWithUnknown,
        Refusal::CardsNotOffered,
        Refusal::KeyUsedForAnotherRequest,
        Refusal::AccountNotFound,
        Refusal::OrderNotFound,
        Refusal::SkuMalformed,
        Refusal::SkuNotFound,
        Refusal::SkuUnknown { sku },
        Refusal::SkuTwice { sku },
        Refusal::QuantityMalformed,
        Refusal::QuantityNotPositive,
        Refusal::QuantityTooLarge,
        Refusal::StockTooLarge,
        Refusal::AmountOrLines,
        Refusal::LinesEmpty,
        Refusal::TooManyLines,
        Refusal::OnlyWithLines,
        Refusal::IfUnavailableUnknown,
        Refusal::IfUndeliverableUnknown,
        Refusal::NameLength,
        Refusal::NameHasControlCharacters,
        Refusal::SlotIdMalformed,
        Refusal::SlotUnknown { slot },
        Refusal::SlotHasBegun { slot },
        Refusal::SlotTimesReversed,
        Refusal::TimeMalformed,
        Refusal::CapacityMalformed,
        Refusal::CapacityBelowBooked { booked: 1 },
        Refusal::TooLateToCancel { state: OrderState::Completed },
        Refusal::NotAwaitingDelivery { state: OrderState::AwaitingStock },
        Refusal::SlotHasRoom,
        Refusal::EmailMalformed,
        Refusal::EmailTooLong,
        Refusal::PasswordTooShort,
        Refusal::PasswordTooLong,
        Refusal::EmailTaken,
        Refusal::WrongEmailOrPassword,
        Refusal::TooManyAttempts { wait: domain::Millis(1) },
        Refusal::WebhookUrlTooLong,
        Refusal::WebhookUrlMalformed,
        Refusal::WebhookUrlNotHttps,
        Refusal::WebhookUrlHasCredentials,
        Refusal::WebhookUrlHasFragment,
        Refusal::WebhookUrlPort,
        Refusal::WebhookUrlNotPublic,
        Refusal::WebhookNotFound,
        Refusal::WebhookSecretMalformed,
        Refusal::WebhookSecretNotCurrent,
        Refusal::PaymentNotFound,
        Refusal::ReferenceLength,
        Refusal::ReferenceHasControlCharacters,
        Refusal::ReferenceNamesOrder,
        Refusal::PaymentNotCaptured { state: PaymentState::Pending },
        Refusal::PaymentInReview,
        Refusal::PaymentNotByCard,
        Refusal::OrderNotCompleted { state: OrderState::AwaitingStock },
        Refusal::RefundTooLarge { left: Amount::ZERO, currency },
        Refusal::TooManyRefunds,
        Refusal::NotForAnOperator { state: PaymentState::Pending },
        Refusal::CapturedAlready,
        Refusal::RefundNotFound,
        Refusal::RefundIsOwed,
    ]
}

/// Code and status of everything that a function refuses or fails with.
fn in_the_code() -> BTreeMap<String, u16> {
    let refused = refusals().into_iter().map(|refusal| (refusal.code(), Problem::status_of(&refusal)));
    let all: Vec<_> = refused.chain(Problem::OF_REQUESTS.iter().copied()).collect();
    let by_code: BTreeMap<String, u16> = all.iter().map(|(code, status)| ((*code).to_owned(), *status)).collect();
    assert_eq!(by_code.len(), all.len(), "two problems have one code: {all:?}");
    by_code
}

/// The lines of the page's tables: ``| `code` | status | when | what to do |``.
fn on_the_page() -> BTreeMap<String, u16> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/ERRORS.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut lines = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [code, status, when, what_to_do] = cells[..] else { panic!("a line has four cells: {line}") };
        assert!(when.ends_with('.') && what_to_do.ends_with('.'), "it says when, and what to do: {line}");
        let status = status.parse().unwrap_or_else(|_| panic!("no status: {line}"));
        let before = lines.insert(code.trim_matches('`').to_owned(), status);
        assert_eq!(before, None, "there twice: {line}");
    }
    lines
}

#[test]
fn every_refusal_is_here() {
    let codes: Vec<&str> = refusals().iter().map(Refusal::code).collect();
    assert_eq!(codes, Refusal::CODES);
}

#[test]
fn the_page_and_the_code_name_the_same_errors() {
    assert_eq!(on_the_page(), in_the_code(), "left: docs/ERRORS.md; right: the code");
}
