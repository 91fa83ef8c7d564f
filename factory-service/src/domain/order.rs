//! Orders: the states they go through, and the verbs that move them.

use millgate_platform::{Etag, Fault, Reason};

use super::access::Sight;
use super::money::Money;
use super::placement::Line;

/// The longest reason of a cancellation, in characters.
pub(crate) const MAX_REASON: usize = 500;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OrderState {
    /// Placed; its stock is reserved.
    Placed,
    /// Accepted by staff.
    Confirmed,
    /// Being made.
    InProduction,
    /// On its way; its stock has left.
    Shipped,
    /// Done.
    Completed,
    /// Cancelled; its stock was given back.
    Cancelled,
}

/// The verbs that move an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum OrderVerb {
    /// Placed to confirmed.
    Confirm,
    /// Confirmed to in production.
    StartProduction,
    /// In production to shipped: the reserved pieces leave the stock.
    Ship,
    /// Shipped to completed.
    Complete,
    /// Any state before shipped to cancelled: the reserved pieces are given back.
    Cancel,
}

/// What a move does to the stock of the order's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StockEffect {
    /// Nothing.
    None,
    /// Reserved pieces are free again.
    GiveBack,
    /// Reserved pieces leave the stock.
    Consume,
}

impl OrderState {
    /// Every state.
    pub(crate) const ALL: [Self; 6] = [
        Self::Placed,
        Self::Confirmed,
        Self::InProduction,
        Self::Shipped,
        Self::Completed,
        Self::Cancelled,
    ];

    /// The name in the database and in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Confirmed => "CONFIRMED",
            Self::InProduction => "IN_PRODUCTION",
            Self::Shipped => "SHIPPED",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The machine: where the verb leads from here, if it may be used.
    pub(crate) fn after(self, verb: OrderVerb) -> Option<Self> {
        match (self, verb) {
            (Self::Placed, OrderVerb::Confirm) => Some(Self::Confirmed),
            (Self::Confirmed, OrderVerb::StartProduction) => Some(Self::InProduction),
            (Self::InProduction, OrderVerb::Ship) => Some(Self::Shipped),
            (Self::Shipped, OrderVerb::Complete) => Some(Self::Completed),
            (Self::Placed | Self::Confirmed | Self::InProduction, OrderVerb::Cancel) => {
                Some(Self::Cancelled)
            }
            _ => None,
        }
    }

    /// The verbs that a caller with this sight may use now: a customer may only cancel, and only what is not confirmed.
    pub(crate) fn verbs(self, sight: Sight) -> Vec<OrderVerb> {
        OrderVerb::ALL
            .into_iter()
            .filter(|verb| self.after(*verb).is_some())
            .filter(|verb| sight.is_all() || (*verb == OrderVerb::Cancel && self == Self::Placed))
            .collect()
    }

    /// The state that the caller's verb leads to.
    ///
    /// # Errors
    /// STATE_CONFLICT, naming the state and the verbs that are allowed.
    pub(crate) fn moved(self, verb: OrderVerb, sight: Sight) -> Result<Self, Fault> {
        let allowed = self.verbs(sight);
        if let Some(next) = self.after(verb).filter(|_| allowed.contains(&verb)) {
            return Ok(next);
        }
        let allowed: Vec<&str> = allowed.into_iter().map(OrderVerb::as_str).collect();
        let allowed = if allowed.is_empty() {
            "none".to_owned()
        } else {
            allowed.join(", ")
        };
        Err(Fault::new(
            Reason::StateConflict,
            format!(
                "an order that is {} does not take `{}`; allowed: {allowed}",
                self.as_str(),
                verb.as_str()
            ),
        )
        .with_metadata("state", self.as_str())
        .with_metadata("allowed", allowed))
    }
}

impl OrderVerb {
    /// Every verb, in the order in which an order meets them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Confirm,
        Self::StartProduction,
        Self::Ship,
        Self::Complete,
        Self::Cancel,
    ];

    /// The name in `next_actions` and in the HTTP path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::StartProduction => "startProduction",
            Self::Ship => "ship",
            Self::Complete => "complete",
            Self::Cancel => "cancel",
        }
    }

    /// What the verb does to the stock.
    pub(crate) fn stock_effect(self) -> StockEffect {
        match self {
            Self::Ship => StockEffect::Consume,
            Self::Cancel => StockEffect::GiveBack,
            Self::Confirm | Self::StartProduction | Self::Complete => StockEffect::None,
        }
    }
}

/// An order, as far as a verb needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct OrderHead {
    /// Its id.
    pub id: i64,
    /// Whose it is.
    pub customer_id: i64,
    /// Where it stands.
    pub state: OrderState,
    /// The sum of the lines.
    pub total: Money,
    /// Why it was cancelled; empty while it is not.
    pub cancel_reason: String,
    /// Counts its moves.
    pub revision: i64,
    /// When it was placed, microseconds since the epoch.
    pub create_time: i64,
    /// When it last moved, microseconds since the epoch.
    pub update_time: i64,
}

/// An order with its lines.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The order.
    pub head: OrderHead,
    /// Its lines, in the order of the request.
    pub lines: Vec<Line>,
}

impl OrderHead {
    /// Moves the order by the caller's verb.
    ///
    /// # Errors
    /// ETAG_MISMATCH when it is not the revision that the caller read, STATE_CONFLICT when the machine does not allow
    /// the verb.
    pub(crate) fn apply(
        &mut self,
        verb: OrderVerb,
        sight: Sight,
        etag: &str,
        now: i64,
    ) -> Result<(), Fault> {
        Etag::check(etag, self.revision)?;
        self.state = self.state.moved(verb, sight)?;
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }
}
