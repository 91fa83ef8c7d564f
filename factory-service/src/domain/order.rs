//! Orders: the states they go through, and the verbs that move them.

use millgate_platform::{Etag, Fault, Reason};

use super::access::Sight;
use super::placement::{Line, Totals};

/// The longest reason of a cancellation, in characters.
pub(crate) const MAX_REASON: usize = 500;
/// The longest notes, in characters.
pub(crate) const MAX_NOTES: usize = 2000;

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
    /// The sums of the lines.
    pub totals: Totals,
    /// Where it is sent, as it was when the order was placed.
    pub shipping_address: String,
    /// What was said at the placing. The customer sees it too.
    pub notes: String,
    /// Why it was cancelled; empty while it is not.
    pub cancel_reason: String,
    /// Counts its moves.
    pub revision: i64,
    /// When it was placed, microseconds since the epoch.
    pub create_time: i64,
    /// When it last moved, microseconds since the epoch.
    pub update_time: i64,
}

/// A state that an order was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PastState {
    /// The state.
    pub state: OrderState,
    /// Who moved it there.
    pub actor: String,
    /// When, microseconds since the epoch.
    pub time: i64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{Currency, Money};
    use proptest::prelude::*;

    const CUSTOMER: Sight = Sight::Own { user_id: 7 };

    fn order(state: OrderState) -> OrderHead {
        let euro = Currency::parse("EUR").expect("a currency");
        let amount = |minor| Money::of_minor(minor, euro).expect("an amount");
        OrderHead {
            id: 1,
            customer_id: 1,
            state,
            totals: Totals {
                subtotal: amount(100),
                tax: amount(19),
                total: amount(119),
            },
            shipping_address: String::new(),
            notes: String::new(),
            cancel_reason: String::new(),
            revision: 1,
            create_time: 1,
            update_time: 1,
        }
    }

    #[test]
    fn the_whole_machine_is_these_seven_moves() {
        use OrderState::{Cancelled, Completed, Confirmed, InProduction, Placed, Shipped};
        use OrderVerb::{Cancel, Complete, Confirm, Ship, StartProduction};
        let moves = [
            (Placed, Confirm, Confirmed),
            (Placed, Cancel, Cancelled),
            (Confirmed, StartProduction, InProduction),
            (Confirmed, Cancel, Cancelled),
            (InProduction, Ship, Shipped),
            (InProduction, Cancel, Cancelled),
            (Shipped, Complete, Completed),
        ];
        for state in OrderState::ALL {
            for verb in OrderVerb::ALL {
                let expected = moves
                    .iter()
                    .find(|(from, by, _)| (*from, *by) == (state, verb));
                assert_eq!(
                    state.after(verb),
                    expected.map(|(_, _, to)| *to),
                    "{state:?} {verb:?}"
                );
            }
        }
    }

    #[test]
    fn a_customer_only_cancels_and_only_what_is_not_confirmed() {
        for state in OrderState::ALL {
            let expected: &[OrderVerb] = match state {
                OrderState::Placed => &[OrderVerb::Cancel],
                _ => &[],
            };
            assert_eq!(state.verbs(CUSTOMER), expected, "{state:?}");
            for verb in OrderVerb::ALL {
                assert_eq!(
                    state.moved(verb, CUSTOMER).is_ok(),
                    expected.contains(&verb)
                );
            }
        }
    }

    #[test]
    fn a_refused_verb_names_the_state_and_what_is_allowed() {
        let fault = OrderState::Confirmed
            .moved(OrderVerb::Ship, Sight::All)
            .expect_err("refused");
        assert_eq!(fault.reason(), Reason::StateConflict);
        assert!(
            fault.message().contains("CONFIRMED")
                && fault.message().contains("startProduction, cancel")
        );
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let mut stale = order(OrderState::Placed);
        let fault = stale
            .apply(OrderVerb::Confirm, Sight::All, "2", 9)
            .expect_err("stale");
        assert_eq!(fault.reason(), Reason::EtagMismatch);
        assert!(stale.apply(OrderVerb::Ship, Sight::All, "1", 9).is_err());
        assert_eq!(
            (stale.state, stale.revision, stale.update_time),
            (OrderState::Placed, 1, 1)
        );
    }

    #[test]
    fn every_state_is_spelled_once_and_reads_back() {
        for state in OrderState::ALL {
            assert_eq!(OrderState::parse(state.as_str()), Some(state));
        }
        assert_eq!(OrderState::parse("placed"), None);
    }

    proptest! {
        /// Whatever verbs arrive in whatever order: what was reserved is given back or shipped, once, or still held.
        #[test]
        fn pieces_are_neither_lost_nor_made(
            verbs in prop::collection::vec(prop::sample::select(OrderVerb::ALL.to_vec()), 0..30),
            by_customer in prop::collection::vec(any::<bool>(), 30),
        ) {
            let (mut order, mut reserved, mut given_back, mut shipped) = (order(OrderState::Placed), 1, 0, 0);
            for (verb, by_customer) in verbs.into_iter().zip(by_customer) {
                let sight = if by_customer { CUSTOMER } else { Sight::All };
                let before = order.clone();
                if order.apply(verb, sight, "", 2).is_err() {
                    prop_assert_eq!((order.state, order.revision), (before.state, before.revision));
                    continue;
                }
                prop_assert_eq!(order.revision, before.revision + 1);
                match verb.stock_effect() {
                    StockEffect::None => {}
                    StockEffect::GiveBack => { reserved -= 1; given_back += 1; }
                    StockEffect::Consume => { reserved -= 1; shipped += 1; }
                }
                prop_assert!(reserved >= 0);
            }
            prop_assert_eq!(reserved + given_back + shipped, 1);
            let (held, gone) = match order.state {
                OrderState::Placed | OrderState::Confirmed | OrderState::InProduction => (1, (0, 0)),
                OrderState::Shipped | OrderState::Completed => (0, (0, 1)),
                OrderState::Cancelled => (0, (1, 0)),
            };
            prop_assert_eq!((reserved, (given_back, shipped)), (held, gone));
        }
    }
}
