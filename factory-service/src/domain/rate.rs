//! Rates: shares of an amount, and the one rule of rounding.
//!
//! A discount and a tax are each rounded once, on the line, to the nearest minor unit of the currency; what lies exactly
//! between two goes to the even one. Sums are of rounded amounts and are never rounded again, so a total always is what
//! its lines say.

use millgate_platform::FieldFault;

/// A share in basis points: hundredths of a percent, 0 to 10000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BasisPoints(i64);

impl BasisPoints {
    /// All of it.
    pub(crate) const WHOLE: i64 = 10_000;

    /// Parses a rate.
    ///
    /// # Errors
    /// Outside of 0 to 10000.
    pub(crate) fn parse(points: i32) -> Result<Self, FieldFault> {
        let points = i64::from(points);
        if !(0..=Self::WHOLE).contains(&points) {
            return Err("must be 0 to 10000 basis points: 10000 is 100 percent".into());
        }
        Ok(Self(points))
    }

    /// The rate as the database holds it.
    pub(crate) fn stored(points: i64) -> Self {
        Self(points)
    }

    /// As the database holds it.
    pub(crate) fn get(self) -> i64 {
        self.0
    }

    /// As the contract has it.
    pub(crate) fn message(self) -> i32 {
        i32::try_from(self.0).unwrap_or(0)
    }

    /// This share of an amount that is not negative, rounded half to even. Never more than the amount.
    pub(crate) fn of(self, minor: i64) -> i64 {
        let whole = i128::from(Self::WHOLE);
        let product = i128::from(minor) * i128::from(self.0);
        let (floor, rest) = (product / whole, product % whole);
        let up = match (rest * 2).cmp(&whole) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => floor % 2,
            std::cmp::Ordering::Greater => 1,
        };
        // A share is at most the amount, which fits.
        i64::try_from(floor + up).unwrap_or(minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(minor: i64, points: i32) -> i64 {
        BasisPoints::parse(points).expect("a rate").of(minor)
    }

    #[test]
    fn what_lies_between_two_goes_to_the_even_one() {
        // A half of an odd number of cents.
        assert_eq!([1, 3, 5, 7].map(|minor| share(minor, 5000)), [0, 2, 2, 4]);
        // 19 percent of 0.50 is 0.095, of 1.50 is 0.285.
        assert_eq!([50, 150].map(|minor| share(minor, 1900)), [10, 28]);
        assert_eq!([49, 51].map(|minor| share(minor, 100)), [0, 1]);
    }

    #[test]
    fn only_shares_are_rates() {
        for bad in [-1, 10_001, i32::MIN, i32::MAX] {
            assert!(BasisPoints::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_share_is_the_nearest_and_a_tie_is_even(minor in 0..=i64::MAX, points in 0..=10_000_i32) {
            let rounded = i128::from(share(minor, points));
            let exact = i128::from(minor) * i128::from(points);
            let twice_off = (rounded * 10_000 - exact).abs() * 2;
            prop_assert!(twice_off <= 10_000);
            if twice_off == 10_000 {
                prop_assert_eq!(rounded % 2, 0);
            }
            prop_assert!((0..=i128::from(minor)).contains(&rounded));
        }
    }
}
