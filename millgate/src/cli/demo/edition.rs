//! Which demo: its seed and its size. Everything that belongs to one bears its mark, so that it is known again when the
//! request ids are forgotten, which the services keep for a day.

use std::fmt;

use super::dice::{Dice, Kind};

/// The most orders of a demo.
pub(super) const MOST_ORDERS: u32 = 1_000_000;
/// Another one when what is made of a seed changes: then an old answer is not one to the new request.
const GENERATION: u64 = 1;
/// Behind the mark, in email addresses.
const DOMAIN: &str = ".demo.example";

/// A seed and a size: the same make the same data. Written `S1N1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    /// What chance begins with.
    pub(super) seed: u32,
    /// How many orders.
    pub(super) orders: u32,
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}N{}", self.seed, self.orders)
    }
}

impl Edition {
    /// What the request ids begin with.
    pub(super) fn key(self) -> u64 {
        Dice::of(self.seed, Kind::Edition, self.orders)
            .roll()
            .wrapping_mul(2 * GENERATION + 1)
    }

    /// The mark of one thing of it: `S1N1000-7`.
    pub(super) fn mark(self, number: u32) -> String {
        format!("{self}-{number}")
    }

    /// The number of the thing that this mark, at the end of a text, is of.
    pub(super) fn number_of(self, text: &str) -> Option<u32> {
        let (before, number) = text.rsplit_once('-')?;
        let mark = self.to_string();
        let before = before.strip_suffix(&mark)?;
        let parsed: u32 = number.parse().ok()?;
        // `S1N9` is not the end of another mark, and a number has one spelling.
        let is_whole = !before.ends_with(|last: char| last.is_ascii_alphanumeric());
        (is_whole && parsed.to_string() == number).then_some(parsed)
    }

    /// The email address of a customer.
    pub(super) fn email(self, name: &str, number: u32) -> String {
        let name = name.to_lowercase().replace(' ', ".");
        format!("{name}.{number}@{}", self.domain())
    }

    /// What stands behind the `@` there.
    pub(super) fn domain(self) -> String {
        format!("{}{DOMAIN}", self.to_string().to_lowercase())
    }

    /// The customer's number in an email address of this demo.
    pub(super) fn customer_of(self, email: &str) -> Option<u32> {
        let (name, _) = Self::parts_of(email).filter(|(_, edition)| *edition == self)?;
        name.rsplit_once('.')?.1.parse().ok()
    }

    /// The demo, this one or another, that a customer with this email address is of.
    pub(super) fn of_email(email: &str) -> Option<Self> {
        Self::parts_of(email).map(|(_, edition)| edition)
    }

    fn parts_of(email: &str) -> Option<(&str, Self)> {
        let (name, domain) = email.split_once('@')?;
        let mark = domain.strip_suffix(DOMAIN)?.strip_prefix('s')?;
        let (seed, orders) = mark.split_once('n')?;
        let edition = Self {
            seed: seed.parse().ok()?,
            orders: orders.parse().ok()?,
        };
        Some((name, edition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: Edition = Edition {
        seed: 1,
        orders: 20,
    };

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_other_is_taken_for_it() {
        assert_eq!(DEMO.mark(7), "S1N20-7");
        assert_eq!(DEMO.number_of("Our usual terms. S1N20-7"), Some(7));
        for other in [
            "S1N2-7", "S11N20-7", "XS1N20-7", "S1N20-07", "S1N20-", "S1N20-7 ", "7", "",
        ] {
            assert_eq!(DEMO.number_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_email_says_which_demo_and_which_customer() {
        let email = DEMO.email("Ada Miller", 3);
        assert_eq!(email, "ada.miller.3@s1n20.demo.example");
        assert_eq!(DEMO.customer_of(&email), Some(3));
        let other = Edition { seed: 2, ..DEMO };
        assert_eq!(other.customer_of(&email), None);
        assert_eq!(Edition::of_email(&email), Some(DEMO));
        assert_eq!(Edition::of_email("ada@example.com"), None);
    }

    #[test]
    fn demos_do_not_share_request_ids() {
        let other = Edition { seed: 2, ..DEMO };
        let larger = Edition { orders: 21, ..DEMO };
        assert_ne!(DEMO.key(), other.key());
        assert_ne!(DEMO.key(), larger.key());
    }
}
