//! Money in whole minor units. Amounts are read from the text of a JSON number or string, digit by digit, never
//! through a float, and every way of being wrong has its own name. Arithmetic is checked; nothing rounds.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Currency, Refusal};

/// An amount in minor units, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Amount(i64);

/// What an entry adds to an account (positive) or takes from it (negative), in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Movement(i64);

impl Amount {
    pub const ZERO: Self = Self(0);

    /// `None` for a negative number.
    pub const fn from_minor(minor: i64) -> Option<Self> {
        if minor < 0 { None } else { Some(Self(minor)) }
    }

    pub const fn minor(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub fn checked_mul(self, times: u32) -> Option<Self> {
        self.0.checked_mul(times.into()).map(Self)
    }

    /// `None` where the result would be below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).and_then(Self::from_minor)
    }

    /// Reads what stands in a JSON number or string: digits, and at most one point with as many digits behind it as
    /// the currency has. Zero is an amount here; whether it may be one is for the caller to say.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, Refusal> {
        let unsigned = text.trim_start_matches(['-', '+']);
        if unsigned.len() != text.len() {
            return Err(if is_plain_decimal(unsigned) || is_exponential(unsigned) {
                Refusal::AmountHasSign
            } else {
                Refusal::AmountMalformed
            });
        }
        if is_exponential(text) {
            return Err(Refusal::AmountHasExponent);
        }
        if !is_plain_decimal(text) {
            return Err(Refusal::AmountMalformed);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = usize::try_from(currency.digits()).expect("a currency has few digits");
        if fraction.len() > digits {
            return Err(Refusal::AmountTooPrecise { currency });
        }
        let mut minor: i64 = 0;
        let padding = std::iter::repeat_n(b'0', digits - fraction.len());
        for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
            minor = minor
                .checked_mul(10)
                .and_then(|shifted| shifted.checked_add(i64::from(digit - b'0')))
                .ok_or(Refusal::AmountTooLarge)?;
        }
        Ok(Self(minor))
    }

    /// As [`Amount::parse`], for what must be more than nothing.
    pub fn parse_positive(text: &str, currency: Currency) -> Result<Self, Refusal> {
        let amount = Self::parse(text, currency)?;
        if amount.is_zero() { Err(Refusal::AmountNotPositive) } else { Ok(amount) }
    }

    /// `1500.99`: a decimal with exactly as many digits as the currency has.
    pub fn to_decimal(self, currency: Currency) -> String {
        decimal(self.0.unsigned_abs(), currency)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let minor = i64::deserialize(deserializer)?;
        Self::from_minor(minor).ok_or_else(|| de::Error::custom(format!("{minor} is below zero")))
    }
}

impl Movement {
    pub const fn into_account(amount: Amount) -> Self {
        Self(amount.0)
    }

    pub const fn out_of_account(amount: Amount) -> Self {
        Self(-amount.0)
    }

    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The balance after this movement; `None` below zero or beyond what can be counted.
    pub fn applied_to(self, balance: Amount) -> Option<Amount> {
        balance.0.checked_add(self.0).and_then(Amount::from_minor)
    }

    /// `-1500.99`: as [`Amount::to_decimal`], with a sign where money went out.
    pub fn to_decimal(self, currency: Currency) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{}", decimal(self.0.unsigned_abs(), currency))
    }
}

impl fmt::Display for Amount {
    /// In minor units, for logs and findings; people are shown [`Amount::to_decimal`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minor units", self.0)
    }
}

fn is_plain_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

fn is_exponential(text: &str) -> bool {
    text.split_once(['e', 'E']).is_some_and(|(mantissa, exponent)| {
        is_plain_decimal(mantissa) && is_plain_decimal(exponent.trim_start_matches(['-', '+']))
    })
}

fn decimal(minor: u64, currency: Currency) -> String {
    match currency.digits() {
        0 => minor.to_string(),
        digits => {
            let unit = 10_u64.pow(digits);
            format!("{}.{:0width$}", minor / unit, minor % unit, width = digits as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    #[test]
    fn amounts_are_read_exactly_or_refused_by_name() {
        let eur = currency("EUR");
        let table: &[(&str, Result<i64, Refusal>)] = &[
            ("1500.99", Ok(150_099)),
            ("1500.9", Ok(150_090)),
            ("1500", Ok(150_000)),
            ("0.01", Ok(1)),
            ("0", Ok(0)),
            ("0.00", Ok(0)),
            ("0001.50", Ok(150)),
            ("92233720368547758.07", Ok(i64::MAX)),
            ("92233720368547758.08", Err(Refusal::AmountTooLarge)),
            ("1000000000000000000000000000000", Err(Refusal::AmountTooLarge)),
            ("0.001", Err(Refusal::AmountTooPrecise { currency: eur })),
            ("1.000", Err(Refusal::AmountTooPrecise { currency: eur })),
            ("1e400", Err(Refusal::AmountHasExponent)),
            ("1E2", Err(Refusal::AmountHasExponent)),
            ("1.5e-3", Err(Refusal::AmountHasExponent)),
            ("-0", Err(Refusal::AmountHasSign)),
            ("-5", Err(Refusal::AmountHasSign)),
            ("+5", Err(Refusal::AmountHasSign)),
            ("-1e5", Err(Refusal::AmountHasSign)),
            ("1,5", Err(Refusal::AmountMalformed)),
            ("1.", Err(Refusal::AmountMalformed)),
            (".5", Err(Refusal::AmountMalformed)),
            ("1.5.0", Err(Refusal::AmountMalformed)),
            (" 1", Err(Refusal::AmountMalformed)),
            ("1 ", Err(Refusal::AmountMalformed)),
            ("", Err(Refusal::AmountMalformed)),
            ("-", Err(Refusal::AmountMalformed)),
            ("0x10", Err(Refusal::AmountMalformed)),
            ("NaN", Err(Refusal::AmountMalformed)),
            ("Infinity", Err(Refusal::AmountMalformed)),
            ("١٢", Err(Refusal::AmountMalformed)),
            ("1_000", Err(Refusal::AmountMalformed)),
        ];
        for (text, expected) in table {
            assert_eq!(Amount::parse(text, eur).map(Amount::minor), *expected, "{text:?}");
        }
        assert_eq!(Amount::parse_positive("0.00", eur), Err(Refusal::AmountNotPositive));
        assert_eq!(Amount::parse("1.5", currency("JPY")), Err(Refusal::AmountTooPrecise { currency: currency("JPY") }));
        assert_eq!(Amount::parse("1.234", currency("KWD")), Ok(Amount(1_234)));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(minor in 0..=i64::MAX, code in prop::sample::select(vec!["JPY", "EUR", "KWD"])) {
            let (amount, currency) = (Amount(minor), currency(code));
            prop_assert_eq!(Amount::parse(&amount.to_decimal(currency), currency), Ok(amount));
        }

        #[test]
        fn reading_never_panics_and_never_invents(text in "\\PC{0,40}") {
            if let Ok(amount) = Amount::parse(&text, currency("EUR")) {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
                prop_assert_eq!(Amount::parse(&amount.to_decimal(currency("EUR")), currency("EUR")), Ok(amount));
            }
        }

        #[test]
        fn a_movement_and_its_reverse_leave_the_balance(balance in 0..=i64::MAX / 2, moved in 0..=i64::MAX / 2) {
            let (balance, moved) = (Amount(balance), Amount(moved));
            let raised = Movement::into_account(moved).applied_to(balance).unwrap();
            prop_assert_eq!(Movement::out_of_account(moved).applied_to(raised), Some(balance));
            prop_assert_eq!(balance.checked_sub(moved).is_some(), moved <= balance);
        }
    }

    #[test]
    fn money_that_went_out_is_shown_with_its_sign() {
        assert_eq!(Movement::out_of_account(Amount(150_099)).to_decimal(currency("EUR")), "-1500.99");
        assert_eq!(Movement::into_account(Amount(5)).to_decimal(currency("EUR")), "0.05");
        assert_eq!(Amount(7).to_decimal(currency("JPY")), "7");
    }
}
