//! Products: what the factory sells, and how much of it there is.

use millgate_platform::{Etag, Fault, FieldFault, Reason};

use super::money::Money;
use super::rate::BasisPoints;
use super::text;

/// The most pieces that a store holds of one product. Far from where sums would overflow; the database holds it too.
pub(crate) const MAX_ON_HAND: i64 = 1_000_000_000_000;
const MAX_DELTA: u64 = MAX_ON_HAND.unsigned_abs();
/// The longest name, in characters.
pub(crate) const MAX_NAME: usize = 200;
/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 2000;
/// The longest reason of a stock adjustment, in characters.
pub(crate) const MAX_REASON: usize = 200;
/// The most products that are fetched at once by id.
pub(crate) const MAX_BATCH: usize = 1000;

/// A stock-keeping unit: 1 to 64 letters, digits, `.`, `_`, `-` and `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sku(String);

impl Sku {
    const LONGEST: usize = 64;

    /// Parses a SKU.
    ///
    /// # Errors
    /// Says what it may consist of.
    pub(crate) fn parse(text: &str) -> Result<Self, FieldFault> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if text.is_empty() || text.len() > Self::LONGEST || !text.chars().all(good) {
            return Err("must be 1 to 64 letters, digits, `.`, `_`, `-` or `/`".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is compared.
    pub(crate) fn canonical(&self) -> String {
        text::canonical(&self.0)
    }
}

/// Whether a product can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProductState {
    /// It can.
    Active,
    /// Not for now.
    Inactive,
}

impl ProductState {
    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }

    /// The state of this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Inactive]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What staff write of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductFields {
    /// The stock-keeping unit.
    pub sku: Sku,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The price of one piece.
    pub unit_price: Money,
    /// Whether it can be ordered.
    pub state: ProductState,
    /// The tax on it, where an order's line does not say another.
    pub tax_rate: BasisPoints,
    /// When so many pieces or fewer are available, more are to be made; 0 for never.
    pub reorder_threshold: i64,
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    /// Its id.
    pub id: i64,
    /// What staff wrote.
    pub fields: ProductFields,
    /// Pieces in the store.
    pub on_hand: i64,
    /// Those of them that placed orders wait for.
    pub reserved: i64,
    /// Counts the changes by staff and of `on_hand`; a reservation alone does not count.
    pub revision: i64,
    /// When it was made, microseconds since the epoch.
    pub create_time: i64,
    /// When it was last changed.
    pub update_time: i64,
    /// When it was deleted.
    pub delete_time: Option<i64>,
}

impl Product {
    /// The name that people search for, without regard to case.
    pub(crate) fn name_canonical(&self) -> String {
        text::canonical(&self.fields.name)
    }

    /// Pieces that nobody has reserved.
    pub(crate) fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Takes note of a change: checks the revision that the caller read and counts on.
    ///
    /// # Errors
    /// PRODUCT_NOT_FOUND when it is deleted: what is deleted can only be read, by staff, and be undeleted.
    /// ETAG_MISMATCH.
    pub(crate) fn touch(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        if self.delete_time.is_some() {
            return Err(not_found(self.id));
        }
        self.revise(etag, now)
    }

    /// Deletes it: it can no longer be ordered, the orders that have it stay.
    ///
    /// # Errors
    /// As [`Product::touch`], and REFERENCED while pieces are reserved.
    pub(crate) fn delete(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        self.touch(etag, now)?;
        if self.reserved > 0 {
            return Err(Fault::new(
                Reason::Referenced,
                format!(
                    "open orders have reserved {} pieces of product {}",
                    self.reserved, self.id
                ),
            )
            .with_metadata("reserved", self.reserved));
        }
        self.delete_time = Some(now);
        Ok(())
    }

    /// Brings it back.
    ///
    /// # Errors
    /// STATE_CONFLICT when it is not deleted, ETAG_MISMATCH.
    pub(crate) fn undelete(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        if self.delete_time.is_none() {
            let message = format!("product {} is not deleted", self.id);
            return Err(Fault::new(Reason::StateConflict, message));
        }
        self.revise(etag, now)?;
        self.delete_time = None;
        Ok(())
    }

    /// Adds pieces to the stock or takes some away.
    ///
    /// # Errors
    /// As [`Product::touch`]. Whether the stock allows it is the database's to say.
    pub(crate) fn adjust(&mut self, delta: i64, etag: &str, now: i64) -> Result<(), Fault> {
        self.touch(etag, now)?;
        self.on_hand = self.on_hand.saturating_add(delta);
        Ok(())
    }

    /// Adds what a production run has made: also to a product that was deleted meanwhile, because the pieces are there.
    /// Whether the store has room for it is the database's to say.
    pub(crate) fn gain(&mut self, pieces: i64, now: i64) {
        self.on_hand = self.on_hand.saturating_add(pieces);
        self.revision += 1;
        self.update_time = now;
    }

    /// Takes pieces out for a ticket. Whether there are as many that no order waits for is the database's to say.
    ///
    /// # Errors
    /// PRODUCT_NOT_FOUND when it is deleted.
    pub(crate) fn take(&mut self, pieces: i64, now: i64) -> Result<(), Fault> {
        self.touch("", now)?;
        self.on_hand = self.on_hand.saturating_sub(pieces);
        Ok(())
    }

    /// The etag: the revision, and what is reserved. It covers everything that is shown, so whoever has it has the
    /// product as it is. A change is only refused for another revision: a reservation does not make the edit of somebody
    /// in the office stale.
    pub(crate) fn etag(&self) -> String {
        format!("{}-{}", Etag::of(self.revision), self.reserved)
    }

    fn revise(&mut self, etag: &str, now: i64) -> Result<(), Fault> {
        let bare = etag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(etag);
        let is_reserved = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits && text.len() <= 19
        };
        let revision = match bare.split_once('-') {
            Some((revision, reserved)) if is_reserved(reserved) && !revision.is_empty() => revision,
            _ => etag,
        };
        Etag::check(revision, self.revision)?;
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }
}

/// What the caller is told when there is no such product.
pub(crate) fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::ProductNotFound, format_args!("product {id}"))
}

/// The change of a stock: not 0, and not more than a store holds.
///
/// # Errors
/// FIELD_INVALID for 0, AMOUNT_OUT_OF_RANGE past [`MAX_ON_HAND`] either way.
pub(crate) fn delta(delta: i64) -> Result<i64, FieldFault> {
    match delta.unsigned_abs() {
        0 => Err("must not be 0".into()),
        1..=MAX_DELTA => Ok(delta),
        _ => Err(out_of_range()),
    }
}

/// The stock of a new product: 0 to [`MAX_ON_HAND`].
///
/// # Errors
/// FIELD_INVALID below 0, AMOUNT_OUT_OF_RANGE above.
pub(crate) fn first_stock(on_hand: i64) -> Result<i64, FieldFault> {
    match on_hand {
        ..0 => Err("must not be negative".into()),
        0..=MAX_ON_HAND => Ok(on_hand),
        _ => Err(out_of_range()),
    }
}

/// The threshold below which more pieces are to be made: 0 to [`MAX_ON_HAND`].
///
/// # Errors
/// As [`first_stock`].
pub(crate) fn threshold(pieces: i64) -> Result<i64, FieldFault> {
    first_stock(pieces)
}

fn out_of_range() -> FieldFault {
    FieldFault::new(
        Reason::AmountOutOfRange,
        format!("must be at most {MAX_ON_HAND} pieces"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product() -> Product {
        Product {
            id: 7,
            fields: ProductFields {
                sku: Sku::parse("M8x40").expect("good"),
                name: "Bolt".into(),
                description: String::new(),
                unit_price: Money::parse("EUR", 1, 0).expect("good"),
                state: ProductState::Active,
                tax_rate: BasisPoints::default(),
                reorder_threshold: 0,
            },
            on_hand: 10,
            reserved: 3,
            revision: 4,
            create_time: 1,
            update_time: 1,
            delete_time: None,
        }
    }

    #[test]
    fn an_etag_covers_what_is_shown_and_a_reservation_refuses_no_edit() {
        let mut product = product();
        let etag = product.etag();
        product.reserved = 5;
        assert_ne!(product.etag(), etag);
        for sent in ["", "4", "4-3", "\"4-3\"", &etag] {
            assert!(product.clone().touch(sent, 9).is_ok(), "{sent}");
        }
        for sent in [
            "3", "3-3", "4-", "-3", "4-x", "4-3-3", "04-3", "\"4-3", "4--3", "-",
        ] {
            let fault = product.clone().touch(sent, 9).expect_err(sent);
            assert_eq!(fault.reason(), Reason::EtagMismatch, "{sent}");
        }
    }

    #[test]
    fn a_sku_is_ascii_and_compared_without_case() {
        assert_eq!(
            Sku::parse("AB-1/x._9").expect("good").canonical(),
            "ab-1/x._9"
        );
        assert!(Sku::parse(&"a".repeat(64)).is_ok());
        for bad in ["", " ", "a b", "é", "a\0", "a%", &"a".repeat(65)] {
            assert!(Sku::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_change_needs_the_revision_that_was_read_and_makes_the_next() {
        let mut product = product();
        assert_eq!(
            product.touch("3", 9).expect_err("stale").reason(),
            Reason::EtagMismatch
        );
        assert_eq!((product.revision, product.update_time), (4, 1));
        product.touch("4", 9).expect("current");
        assert_eq!((product.revision, product.update_time), (5, 9));
    }

    #[test]
    fn a_product_with_reserved_pieces_is_not_deleted() {
        let mut product = product();
        assert_eq!(
            product.delete("", 9).expect_err("reserved").reason(),
            Reason::Referenced
        );
        assert_eq!(product.delete_time, None);
        product.reserved = 0;
        product.delete("", 9).expect("free");
        assert_eq!(
            product.delete("", 9).expect_err("gone").reason(),
            Reason::ProductNotFound
        );
        assert_eq!(
            product.adjust(1, "", 9).expect_err("gone").reason(),
            Reason::ProductNotFound
        );
        product.undelete("", 9).expect("back");
        assert_eq!(
            product.undelete("", 9).expect_err("is back").reason(),
            Reason::StateConflict
        );
    }

    #[test]
    fn a_stock_change_is_not_nothing_and_not_more_than_a_store_holds() {
        assert_eq!(delta(0).expect_err("nothing").reason, Reason::FieldInvalid);
        for far in [i64::MIN, i64::MAX, MAX_ON_HAND + 1, -MAX_ON_HAND - 1] {
            assert_eq!(
                delta(far).expect_err("far").reason,
                Reason::AmountOutOfRange
            );
        }
        assert_eq!(delta(-MAX_ON_HAND), Ok(-MAX_ON_HAND));
        assert_eq!(
            first_stock(-1).expect_err("negative").reason,
            Reason::FieldInvalid
        );
        assert_eq!(
            first_stock(i64::MAX).expect_err("far").reason,
            Reason::AmountOutOfRange
        );
    }
}
