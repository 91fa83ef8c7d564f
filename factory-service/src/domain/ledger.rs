//! What is kept of a product's past: its prices, and every movement of its stock.

use super::money::Money;

/// A price that a product had from some moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    /// Its row.
    pub id: i64,
    /// The price of one piece.
    pub unit_price: Money,
    /// Who set it; empty for one from before prices were kept.
    pub actor: String,
    /// Since when, microseconds since the epoch.
    pub time: i64,
}

/// Why a stock moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MovementKind {
    /// The pieces that a new product begins with.
    Created,
    /// AdjustStock.
    Adjusted,
    /// ImportProducts.
    Imported,
    /// An order was placed.
    Reserved,
    /// An order was cancelled.
    Released,
    /// An order was shipped.
    Shipped,
    /// A production run was completed.
    Produced,
    /// A service ticket took a part.
    Part,
}

impl MovementKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 8] = [
        Self::Created,
        Self::Adjusted,
        Self::Imported,
        Self::Reserved,
        Self::Released,
        Self::Shipped,
        Self::Produced,
        Self::Part,
    ];

    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Adjusted => "ADJUSTED",
            Self::Imported => "IMPORTED",
            Self::Reserved => "RESERVED",
            Self::Released => "RELEASED",
            Self::Shipped => "SHIPPED",
            Self::Produced => "PRODUCED",
            Self::Part => "PART",
        }
    }

    /// The kind of this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Movement {
    /// Its row.
    pub id: i64,
    /// Why.
    pub kind: MovementKind,
    /// Pieces that came to or left the store.
    pub delta: i64,
    /// Pieces that were reserved or are free again.
    pub reserved_delta: i64,
    /// What staff said.
    pub reason: String,
    /// The order that it was for.
    pub order_id: Option<i64>,
    /// The production run that it came from.
    pub run_id: Option<i64>,
    /// Who.
    pub actor: String,
    /// When, microseconds since the epoch.
    pub time: i64,
}
