//! Placing an order: the lines that are wanted, and what they come to.

use millgate_platform::{Fault, FieldFault, Fields, Reason};

use super::money::Money;
use super::rate::BasisPoints;

/// The most lines an order has.
pub(crate) const MAX_LINES: usize = 500;
/// The most pieces of a line.
pub(crate) const MAX_QUANTITY: i64 = 1_000_000;

/// A line as a request says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AskedLine {
    /// The product.
    pub product_id: i64,
    /// Pieces.
    pub quantity: i64,
    /// The discount.
    pub discount: i32,
    /// The tax rate, where it is not the product's.
    pub tax_rate: Option<i32>,
}

impl From<(i64, i64)> for AskedLine {
    fn from((product_id, quantity): (i64, i64)) -> Self {
        Self {
            product_id,
            quantity,
            ..Self::default()
        }
    }
}

/// A line that is wanted: a product, and how many pieces of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WantedLine {
    /// The product.
    pub product_id: i64,
    /// Pieces: 1 to [`MAX_QUANTITY`].
    pub quantity: i64,
    /// What is taken off the price.
    pub discount: BasisPoints,
    /// The tax rate; the product's own where it is not said.
    pub tax_rate: Option<BasisPoints>,
}

/// The lines that are wanted: 1 to [`MAX_LINES`], every product once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedLines(Vec<WantedLine>);

impl WantedLines {
    /// Parses lines; every bad field is noted in `fields`. Prices are for staff to make (`may_price`): a customer says
    /// neither discount nor tax.
    pub(crate) fn parse(
        lines: impl IntoIterator<Item = impl Into<AskedLine>>,
        may_price: bool,
        fields: &mut Fields,
    ) -> Option<Self> {
        let mut wanted: Vec<WantedLine> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let mut good = true;
        for (i, line) in lines.into_iter().enumerate() {
            if i == MAX_LINES {
                fields.refuse("lines", format!("must be at most {MAX_LINES}"));
                return None;
            }
            let AskedLine {
                product_id,
                quantity,
                discount,
                tax_rate,
            } = line.into();
            let product: Result<i64, FieldFault> = match product_id {
                1.. if seen.insert(product_id) => Ok(product_id),
                1.. => Err("must not be the product of an earlier line".into()),
                _ => Err("must be the id of a product".into()),
            };
            let quantity: Result<i64, FieldFault> = match quantity {
                1..=MAX_QUANTITY => Ok(quantity),
                _ => Err(format!("must be 1 to {MAX_QUANTITY}").into()),
            };
            let product = fields.parse(&format!("lines[{i}].product_id"), product);
            let quantity = fields.parse(&format!("lines[{i}].quantity"), quantity);
            let rate = |rate: i32, said: bool| {
                if said && !may_price {
                    return Err(FieldFault::new(
                        Reason::FieldNotWritable,
                        "is for staff to say: leave it out",
                    ));
                }
                BasisPoints::parse(rate)
            };
            let discount = fields.parse(
                &format!("lines[{i}].discount_basis_points"),
                rate(discount, discount != 0),
            );
            let tax_rate = fields.parse(
                &format!("lines[{i}].tax_rate_basis_points"),
                tax_rate.map(|tax| rate(tax, true)).transpose(),
            );
            match (product, quantity, discount, tax_rate) {
                (Some(product_id), Some(quantity), Some(discount), Some(tax_rate)) => {
                    wanted.push(WantedLine {
                        product_id,
                        quantity,
                        discount,
                        tax_rate,
                    });
                }
                _ => good = false,
            }
        }
        if wanted.is_empty() && good {
            fields.refuse("lines", "must not be empty");
            return None;
        }
        good.then_some(Self(wanted))
    }

    /// The lines, in the order of the request.
    pub(crate) fn as_slice(&self) -> &[WantedLine] {
        &self.0
    }
}

/// What an order needs to know of a product, read under a lock.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The product.
    pub product_id: i64,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Its price.
    pub unit_price: Money,
    /// Its tax rate.
    pub tax_rate: BasisPoints,
    /// Pieces that nobody has reserved.
    pub available: i64,
    /// Whether it may be ordered now.
    pub active: bool,
}

/// A line of an order: a copy of the product as it was when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The product.
    pub product_id: i64,
    /// Its SKU then.
    pub sku: String,
    /// Its name then.
    pub name: String,
    /// Its price then.
    pub unit_price: Money,
    /// Pieces.
    pub quantity: i64,
    /// What share of price times pieces is taken off.
    pub discount_rate: BasisPoints,
    /// What is taken off.
    pub discount: Money,
    /// Price times pieces, less the discount.
    pub line_total: Money,
    /// The tax rate.
    pub tax_rate: BasisPoints,
    /// The tax on the line's total.
    pub tax: Money,
}

impl Line {
    /// Prices a line.
    ///
    /// # Errors
    /// AMOUNT_OUT_OF_RANGE.
    pub(crate) fn price(wanted: &WantedLine, offer: &Offer) -> Result<Self, FieldFault> {
        let gross = offer.unit_price.times(wanted.quantity)?;
        let discount = gross.share(wanted.discount);
        let line_total = gross.less(discount);
        let tax_rate = wanted.tax_rate.unwrap_or(offer.tax_rate);
        Ok(Self {
            product_id: wanted.product_id,
            sku: offer.sku.clone(),
            name: offer.name.clone(),
            unit_price: offer.unit_price,
            quantity: wanted.quantity,
            discount_rate: wanted.discount,
            discount,
            line_total,
            tax_rate,
            tax: line_total.share(tax_rate),
        })
    }
}

/// What an order comes to: the sums of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// The sum of the lines' totals.
    pub subtotal: Money,
    /// The sum of the lines' taxes.
    pub tax: Money,
    /// Both.
    pub total: Money,
}

impl Totals {
    fn of(line: &Line) -> Result<Self, FieldFault> {
        Ok(Self {
            subtotal: line.line_total,
            tax: line.tax,
            total: line.line_total.plus(line.tax)?,
        })
    }

    fn plus(self, line: &Line) -> Result<Self, FieldFault> {
        let subtotal = self.subtotal.plus(line.line_total)?;
        let tax = self.tax.plus(line.tax)?;
        Ok(Self {
            subtotal,
            tax,
            total: subtotal.plus(tax)?,
        })
    }
}

/// What is placed: the priced lines, in the order of the request, and their sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The lines.
    pub lines: Vec<Line>,
    /// Their sums.
    pub totals: Totals,
}

impl Placement {
    /// Prices the wanted lines from the offers (by ascending product id), or says what stands in the way, all of one kind at once:
    ///
    /// # Errors
    /// 1. PRODUCT_NOT_FOUND: unknown or deleted, naming `lines[i].product_id`.
    /// 2. STATE_CONFLICT: not for sale now. It is the product's state that is wrong, not the request's text.
    /// 3. FIELD_INVALID: another currency than the first line's; AMOUNT_OUT_OF_RANGE: a line or the total overflows.
    /// 4. OUT_OF_STOCK: less is available than wanted; the metadata has the first `product_id` and its `available`.
    pub(crate) fn price(wanted: &WantedLines, offers: &[Offer]) -> Result<Self, Fault> {
        let offer = |line: &WantedLine| {
            let at = offers.binary_search_by_key(&line.product_id, |offer| offer.product_id);
            at.ok().and_then(|at| offers.get(at))
        };
        let lines: Vec<(&WantedLine, &Offer)> =
            all(wanted, Reason::ProductNotFound, "product_id", |line| {
                offer(line).ok_or_else(|| format!("product {} was not found", line.product_id))
            })?;
        let found = |line: &WantedLine| -> Option<&Offer> { offer(line) };
        all(
            wanted,
            Reason::StateConflict,
            "product_id",
            |line| match found(line) {
                Some(offer) if !offer.active => {
                    Err(format!("product {} cannot be ordered now", line.product_id))
                }
                _ => Ok(()),
            },
        )?;
        let placement = Self::add_up(&lines)?;
        let missing = lines
            .iter()
            .find(|(line, offer)| offer.available < line.quantity);
        let Some((line, offer)) = missing else {
            return Ok(placement);
        };
        let short = all(wanted, Reason::OutOfStock, "quantity", |line| {
            match found(line) {
                Some(offer) if offer.available < line.quantity => Err(format!(
                    "product {} has {} available, {} are wanted",
                    line.product_id, offer.available, line.quantity
                )),
                _ => Ok(()),
            }
        });
        match short {
            Ok(_) => Ok(placement),
            Err(fault) => Err(fault
                .with_metadata("product_id", line.product_id)
                .with_metadata("available", offer.available)),
        }
    }

    fn add_up(lines: &[(&WantedLine, &Offer)]) -> Result<Self, Fault> {
        let mut fields = Fields::new();
        let mut priced = Vec::with_capacity(lines.len());
        let mut totals: Option<Totals> = None;
        for (i, (line, offer)) in lines.iter().enumerate() {
            let line = Line::price(line, offer);
            let Some(line) = fields.parse(&format!("lines[{i}].quantity"), line) else {
                continue;
            };
            let currency = line.line_total.currency();
            let (field, sum) = match totals {
                None => ("lines".to_owned(), Totals::of(&line)),
                Some(sums) if sums.total.currency() != currency => (
                    format!("lines[{i}].product_id"),
                    Err(FieldFault::from(format!(
                        "is priced in {}, the lines before it in {}",
                        currency.code(),
                        sums.total.currency().code()
                    ))),
                ),
                Some(sums) => ("lines".to_owned(), sums.plus(&line)),
            };
            if let Some(sum) = fields.parse(&field, sum) {
                totals = Some(sum);
            }
            priced.push(line);
        }
        let (totals,) = fields.all((totals,))?;
        Ok(Self {
            lines: priced,
            totals,
        })
    }
}

/// Applies `check` to every line and reports all its refusals under one reason.
fn all<'a, T>(
    wanted: &'a WantedLines,
    reason: Reason,
    field: &str,
    check: impl Fn(&'a WantedLine) -> Result<T, String>,
) -> Result<Vec<(&'a WantedLine, T)>, Fault> {
    let mut fields = Fields::new();
    let mut good = Vec::with_capacity(wanted.as_slice().len());
    for (i, line) in wanted.as_slice().iter().enumerate() {
        match check(line) {
            Ok(value) => good.push((line, value)),
            Err(description) => {
                fields.refuse(
                    &format!("lines[{i}].{field}"),
                    FieldFault::new(reason, description),
                );
            }
        }
    }
    fields.finish()?;
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(product_id: i64, code: &str, units: i64, available: i64) -> Offer {
        Offer {
            product_id,
            sku: format!("sku-{product_id}"),
            name: format!("Product {product_id}"),
            unit_price: Money::parse(code, units, 0).expect("a price"),
            tax_rate: BasisPoints::default(),
            available,
            active: true,
        }
    }

    fn wanted(lines: &[(i64, i64)]) -> WantedLines {
        let mut fields = Fields::new();
        let wanted = WantedLines::parse(lines.iter().copied(), true, &mut fields);
        fields.finish().expect("good lines");
        wanted.expect("good lines")
    }

    fn refused(lines: &[(i64, i64)], offers: &[Offer]) -> (Reason, Vec<String>) {
        let fault = Placement::price(&wanted(lines), offers).expect_err("refused");
        (
            fault.reason(),
            fault
                .violations()
                .iter()
                .map(|bad| bad.field.clone())
                .collect(),
        )
    }

    #[test]
    fn the_lines_keep_the_order_of_the_request() {
        let offers = [offer(1, "EUR", 2, 9), offer(2, "EUR", 3, 9)];
        let placed = Placement::price(&wanted(&[(2, 3), (1, 1)]), &offers).expect("placed");
        assert_eq!(
            placed
                .lines
                .iter()
                .map(|line| line.product_id)
                .collect::<Vec<_>>(),
            [2, 1]
        );
        assert_eq!(placed.totals.total.minor(), 1100);
    }

    #[test]
    fn what_stands_in_the_way_is_told_in_this_order() {
        let mut sleeping = offer(2, "USD", 1, 0);
        sleeping.active = false;
        let lines = [(1, 5), (2, 1), (3, 1)];
        let missing = refused(&lines, &[offer(1, "EUR", 1, 0), sleeping.clone()]);
        assert_eq!(
            missing,
            (
                Reason::ProductNotFound,
                vec!["lines[2].product_id".to_owned()]
            )
        );
        let offers = [offer(1, "EUR", 1, 0), sleeping, offer(3, "GBP", 1, 0)];
        assert_eq!(
            refused(&lines, &offers),
            (
                Reason::StateConflict,
                vec!["lines[1].product_id".to_owned()]
            )
        );
        let offers = [
            offer(1, "EUR", 1, 0),
            offer(2, "USD", 1, 0),
            offer(3, "GBP", 1, 0),
        ];
        let mixed = vec![
            "lines[1].product_id".to_owned(),
            "lines[2].product_id".to_owned(),
        ];
        assert_eq!(refused(&lines, &offers), (Reason::FieldInvalid, mixed));
        let offers = [
            offer(1, "EUR", 1, 4),
            offer(2, "EUR", 1, 1),
            offer(3, "EUR", 1, 0),
        ];
        let short = vec![
            "lines[0].quantity".to_owned(),
            "lines[2].quantity".to_owned(),
        ];
        assert_eq!(refused(&lines, &offers), (Reason::OutOfStock, short));
    }

    #[test]
    fn a_line_or_a_total_that_overflows_is_named() {
        let dear = i64::MAX / 100;
        let line = refused(&[(1, 2)], &[offer(1, "EUR", dear, 9)]);
        assert_eq!(
            line,
            (
                Reason::AmountOutOfRange,
                vec!["lines[0].quantity".to_owned()]
            )
        );
        let offers = [offer(1, "EUR", dear, 9), offer(2, "EUR", dear, 9)];
        let total = refused(&[(1, 1), (2, 1)], &offers);
        assert_eq!(total, (Reason::AmountOutOfRange, vec!["lines".to_owned()]));
    }

    #[test]
    fn a_customer_makes_no_prices() {
        let asked = |discount, tax_rate| AskedLine {
            product_id: 1,
            quantity: 1,
            discount,
            tax_rate,
        };
        for line in [asked(1, None), asked(0, Some(0)), asked(10_000, None)] {
            let mut fields = Fields::new();
            assert!(WantedLines::parse([line], false, &mut fields).is_none());
            let fault = fields.finish().expect_err("refused");
            assert_eq!(fault.reason(), Reason::FieldNotWritable, "{line:?}");
        }
        let mut fields = Fields::new();
        assert!(WantedLines::parse([asked(0, None)], false, &mut fields).is_some());
    }

    proptest! {
        #[test]
        fn no_lines_panic_and_every_line_that_passes_is_in_range(
            lines in prop::collection::vec((any::<i64>(), any::<i64>()), 0..20),
        ) {
            let mut fields = Fields::new();
            let wanted = WantedLines::parse(lines, true, &mut fields);
            prop_assert_eq!(wanted.is_some(), fields.finish().is_ok());
            for line in wanted.iter().flat_map(WantedLines::as_slice) {
                prop_assert!(line.product_id > 0 && (1..=MAX_QUANTITY).contains(&line.quantity));
            }
        }

        #[test]
        fn a_total_is_the_sum_of_its_lines(
            lines in prop::collection::btree_map(
                1..1000_i64,
                (0..10_000_i64, 1..=MAX_QUANTITY, 0..=10_000_i32, prop::option::of(0..=10_000_i32)),
                1..40,
            ),
        ) {
            let offers: Vec<Offer> =
                lines.iter().map(|(id, (price, ..))| offer(*id, "EUR", *price, MAX_QUANTITY)).collect();
            let asked = lines.iter().map(|(id, (_, quantity, discount, tax_rate))| AskedLine {
                product_id: *id,
                quantity: *quantity,
                discount: *discount,
                tax_rate: *tax_rate,
            });
            let mut fields = Fields::new();
            let wanted = WantedLines::parse(asked, true, &mut fields).expect("good lines");
            let placed = Placement::price(&wanted, &offers).expect("placed");
            let sum = |amount: fn(&Line) -> Money| -> i64 {
                placed.lines.iter().map(|line| amount(line).minor()).sum()
            };
            let totals = placed.totals;
            prop_assert_eq!(totals.subtotal.minor(), sum(|line| line.line_total));
            prop_assert_eq!(totals.tax.minor(), sum(|line| line.tax));
            prop_assert_eq!(totals.total.minor(), totals.subtotal.minor() + totals.tax.minor());
            for line in &placed.lines {
                let gross = line.unit_price.minor() * line.quantity;
                prop_assert_eq!(line.line_total.minor() + line.discount.minor(), gross);
                prop_assert!(line.tax.minor() <= line.line_total.minor());
            }
        }
    }
}
