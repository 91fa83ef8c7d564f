//! Money: whole minor units of one currency of ISO 4217.
//!
//! Outside it is `google.type.Money` (units and billionths), inside an `i64` of the currency's minor unit: cents for
//! EUR, whole yen for JPY, thousandths for KWD. What a caller sends is never rounded: what does not fit is refused. Only
//! shares are ([`super::rate`]).

use iso_currency::Currency as Iso;
use millgate_platform::{FieldFault, Reason};

use super::rate::BasisPoints;

const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// A currency of ISO 4217 that has a minor unit (precious metals and test codes have none).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency {
    iso: Iso,
    exponent: u32,
}

impl Currency {
    /// Parses the three capital letters.
    ///
    /// # Errors
    /// Not a code of ISO 4217, or one of something that is not paid with.
    pub(crate) fn parse(code: &str) -> Result<Self, FieldFault> {
        let iso = Iso::from_code(code)
            .filter(|iso| iso.code() == code)
            .ok_or("must be a currency code of ISO 4217, such as EUR")?;
        let exponent = iso
            .exponent()
            .map(u32::from)
            .filter(|exponent| *exponent <= 9)
            .ok_or("must be a currency with a minor unit")?;
        Ok(Self { iso, exponent })
    }

    /// The three letters.
    pub(crate) fn code(self) -> &'static str {
        self.iso.code()
    }

    /// Minor units in one unit: 100 for EUR.
    fn minor_per_unit(self) -> i64 {
        10_i64.pow(self.exponent)
    }
}

/// An amount, 0 or more, in the minor unit of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// From minor units, as the database holds them.
    ///
    /// # Errors
    /// A negative amount.
    pub(crate) fn of_minor(minor: i64, currency: Currency) -> Result<Self, FieldFault> {
        if minor < 0 {
            return Err("must not be negative".into());
        }
        Ok(Self { minor, currency })
    }

    /// From the parts of a `google.type.Money`.
    ///
    /// # Errors
    /// Unknown currency, nanos out of their range, signs that differ, negative, or finer than the minor unit:
    /// FIELD_INVALID. More than fits: AMOUNT_OUT_OF_RANGE.
    pub(crate) fn parse(code: &str, units: i64, nanos: i32) -> Result<Self, FieldFault> {
        let currency = Currency::parse(code)?;
        let nanos = i64::from(nanos);
        if nanos.abs() >= NANOS_PER_UNIT {
            return Err("nanos must be between -999999999 and 999999999".into());
        }
        if units.signum() * nanos.signum() < 0 {
            return Err("units and nanos must have the same sign".into());
        }
        if units < 0 || nanos < 0 {
            return Err("must not be negative".into());
        }
        let nanos_per_minor = NANOS_PER_UNIT / currency.minor_per_unit();
        if nanos % nanos_per_minor != 0 {
            let digits = currency.exponent;
            return Err(format!("must have at most {digits} decimal places in {code}").into());
        }
        let minor = units
            .checked_mul(currency.minor_per_unit())
            .and_then(|minor| minor.checked_add(nanos / nanos_per_minor))
            .ok_or_else(out_of_range)?;
        Ok(Self { minor, currency })
    }

    /// The parts of a `google.type.Money`: whole units and billionths.
    pub(crate) fn parts(self) -> (i64, i32) {
        let per_unit = self.currency.minor_per_unit();
        let nanos = (self.minor % per_unit) * (NANOS_PER_UNIT / per_unit);
        // Below a billion, by the remainder.
        (self.minor / per_unit, i32::try_from(nanos).unwrap_or(0))
    }

    /// In minor units.
    pub(crate) fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub(crate) fn currency(self) -> Currency {
        self.currency
    }

    /// This many times the amount.
    ///
    /// # Errors
    /// AMOUNT_OUT_OF_RANGE.
    pub(crate) fn times(self, quantity: i64) -> Result<Self, FieldFault> {
        let minor = self.minor.checked_mul(quantity).ok_or_else(out_of_range)?;
        Self::of_minor(minor, self.currency)
    }

    /// A share of the amount, rounded half to even.
    pub(crate) fn share(self, rate: BasisPoints) -> Self {
        Self {
            minor: rate.of(self.minor),
            currency: self.currency,
        }
    }

    /// The amount less a share of it.
    pub(crate) fn less(self, share: Self) -> Self {
        Self {
            minor: self.minor.saturating_sub(share.minor).max(0),
            currency: self.currency,
        }
    }

    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    /// AMOUNT_OUT_OF_RANGE; FIELD_INVALID when the currencies differ.
    pub(crate) fn plus(self, other: Self) -> Result<Self, FieldFault> {
        if self.currency != other.currency {
            return Err("must be in one currency".into());
        }
        let minor = self
            .minor
            .checked_add(other.minor)
            .ok_or_else(out_of_range)?;
        Self::of_minor(minor, self.currency)
    }
}

fn out_of_range() -> FieldFault {
    FieldFault::new(
        Reason::AmountOutOfRange,
        "the amount is larger than can be kept",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(units: i64, nanos: i32, code: &str) -> Reason {
        Money::parse(code, units, nanos)
            .expect_err("refused")
            .reason
    }

    #[test]
    fn the_exponent_of_the_currency_counts() {
        let minor = |code, units, nanos| Money::parse(code, units, nanos).expect(code).minor();
        assert_eq!(minor("EUR", 12, 340_000_000), 1234);
        assert_eq!(minor("JPY", 500, 0), 500);
        assert_eq!(minor("KWD", 1, 1_000_000), 1001);
        assert_eq!(minor("EUR", 0, 0), 0);
    }

    #[test]
    fn what_is_finer_than_the_minor_unit_is_refused_not_rounded() {
        assert_eq!(reason(1, 5_000_000, "EUR"), Reason::FieldInvalid);
        assert_eq!(reason(1, 1, "EUR"), Reason::FieldInvalid);
        assert_eq!(reason(1, 10_000_000, "JPY"), Reason::FieldInvalid);
        assert!(Money::parse("EUR", 1, 10_000_000).is_ok());
    }

    #[test]
    fn negative_and_sign_mixed_amounts_are_refused() {
        for (units, nanos) in [
            (-1, 0),
            (0, -10_000_000),
            (1, -10_000_000),
            (-1, 10_000_000),
        ] {
            assert_eq!(
                reason(units, nanos, "EUR"),
                Reason::FieldInvalid,
                "{units} {nanos}"
            );
        }
        assert_eq!(reason(i64::MIN, i32::MIN, "EUR"), Reason::FieldInvalid);
        assert_eq!(reason(0, 1_000_000_000, "EUR"), Reason::FieldInvalid);
    }

    #[test]
    fn only_currencies_of_iso_4217_in_capitals_are_taken() {
        for code in ["", "eur", "EURO", "ZZZ", "EU", "XAU", "XXX", "€"] {
            assert!(Money::parse(code, 1, 0).is_err(), "{code:?}");
        }
    }

    #[test]
    fn the_largest_amount_fits_and_one_more_does_not() {
        let units = i64::MAX / 100;
        let most = Money::parse("EUR", units, 70_000_000).expect("the most");
        assert_eq!(most.minor(), i64::MAX);
        assert_eq!(reason(units, 80_000_000, "EUR"), Reason::AmountOutOfRange);
        assert_eq!(reason(i64::MAX, 0, "EUR"), Reason::AmountOutOfRange);
        assert_eq!(
            most.times(2).expect_err("too much").reason,
            Reason::AmountOutOfRange
        );
        assert_eq!(
            most.plus(most).expect_err("too much").reason,
            Reason::AmountOutOfRange
        );
    }

    #[test]
    fn two_currencies_have_no_sum() {
        let euro = Money::parse("EUR", 1, 0).expect("euro");
        let dollar = Money::parse("USD", 1, 0).expect("dollar");
        assert_eq!(
            euro.plus(dollar).expect_err("mixed").reason,
            Reason::FieldInvalid
        );
    }

    proptest! {
        #[test]
        fn what_was_parsed_comes_out_again(
            code in prop::sample::select(vec!["EUR", "JPY", "KWD", "USD", "CLF"]),
            minor in 0..=i64::MAX,
        ) {
            let money = Money::of_minor(minor, Currency::parse(code).expect("known")).expect("positive");
            let (units, nanos) = money.parts();
            prop_assert_eq!(Money::parse(code, units, nanos), Ok(money));
        }

        #[test]
        fn no_parts_panic_and_nothing_negative_passes(units: i64, nanos: i32) {
            if let Ok(money) = Money::parse("EUR", units, nanos) {
                prop_assert!(money.minor() >= 0);
                prop_assert_eq!(money.parts(), (units, nanos));
            }
        }
    }
}
