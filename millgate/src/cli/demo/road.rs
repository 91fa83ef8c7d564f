//! How far orders and tickets go, and what the next step there is from where they stand.

use millgate_contract::factory::v1::{OrderState, TicketState};

/// Where an order stands in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderGoal {
    Placed,
    Confirmed,
    InProduction,
    Shipped,
    Completed,
    /// Cancelled after so many steps: 0 to 2.
    Cancelled {
        after: u32,
    },
}

/// Where a ticket stands in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TicketGoal {
    Open,
    Assigned,
    InProgress,
    Closed,
    /// Cancelled once somebody has it.
    Cancelled,
}

/// What is to be done with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next<V> {
    /// This.
    Do(V),
    /// It is where it is to be.
    Arrived,
    /// Somebody has moved it elsewhere: it is left there.
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderVerb {
    Confirm,
    StartProduction,
    Ship,
    Complete,
    Cancel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TicketVerb {
    Assign,
    Start,
    Close,
    Cancel,
}

impl OrderVerb {
    /// The state behind it.
    pub(super) fn leads_to(self) -> OrderState {
        match self {
            Self::Confirm => OrderState::Confirmed,
            Self::StartProduction => OrderState::InProduction,
            Self::Ship => OrderState::Shipped,
            Self::Complete => OrderState::Completed,
            Self::Cancel => OrderState::Cancelled,
        }
    }
}

impl OrderGoal {
    /// The next step of an order that stands there.
    pub(super) fn next(self, state: OrderState) -> Next<OrderVerb> {
        const ROAD: [OrderVerb; 4] = [
            OrderVerb::Confirm,
            OrderVerb::StartProduction,
            OrderVerb::Ship,
            OrderVerb::Complete,
        ];
        let at = match state {
            OrderState::Placed => 0,
            OrderState::Confirmed => 1,
            OrderState::InProduction => 2,
            OrderState::Shipped => 3,
            OrderState::Completed => 4,
            OrderState::Cancelled if matches!(self, Self::Cancelled { .. }) => {
                return Next::Arrived;
            }
            OrderState::Cancelled | OrderState::Unspecified => return Next::Elsewhere,
        };
        let (goal, last) = match self {
            Self::Placed => (0, None),
            Self::Confirmed => (1, None),
            Self::InProduction => (2, None),
            Self::Shipped => (3, None),
            Self::Completed => (4, None),
            Self::Cancelled { after } => (after as usize, Some(OrderVerb::Cancel)),
        };
        step(at, goal, &ROAD, last)
    }
}

impl TicketGoal {
    /// The next step of a ticket that stands there.
    pub(super) fn next(self, state: TicketState) -> Next<TicketVerb> {
        const ROAD: [TicketVerb; 3] = [TicketVerb::Assign, TicketVerb::Start, TicketVerb::Close];
        let at = match state {
            TicketState::Open => 0,
            TicketState::Assigned => 1,
            TicketState::InProgress => 2,
            TicketState::Closed => 3,
            TicketState::Cancelled if self == Self::Cancelled => return Next::Arrived,
            TicketState::Cancelled | TicketState::Unspecified => return Next::Elsewhere,
        };
        let (goal, last) = match self {
            Self::Open => (0, None),
            Self::Assigned => (1, None),
            Self::InProgress => (2, None),
            Self::Closed => (3, None),
            Self::Cancelled => (1, Some(TicketVerb::Cancel)),
        };
        step(at, goal, &ROAD, last)
    }
}

/// Along the road to the goal, and there the last step, where there is one.
fn step<V: Copy>(at: usize, goal: usize, road: &[V], last: Option<V>) -> Next<V> {
    let next = match at.cmp(&goal) {
        std::cmp::Ordering::Less => road.get(at).copied(),
        std::cmp::Ordering::Equal => match last {
            None => return Next::Arrived,
            last => last,
        },
        std::cmp::Ordering::Greater => None,
    };
    next.map_or(Next::Elsewhere, Next::Do)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states that an order goes through from its placing, by the machine of the service.
    fn travelled(goal: OrderGoal) -> Vec<OrderState> {
        let mut states = vec![OrderState::Placed];
        while let Next::Do(verb) = goal.next(states[states.len() - 1]) {
            states.push(verb.leads_to());
        }
        states
    }

    #[test]
    fn an_order_goes_to_its_goal_and_stays_there() {
        let all = [
            OrderState::Placed,
            OrderState::Confirmed,
            OrderState::InProduction,
            OrderState::Shipped,
            OrderState::Completed,
        ];
        assert_eq!(travelled(OrderGoal::Completed), all);
        assert_eq!(travelled(OrderGoal::Placed), all[..1]);
        let cancelled = travelled(OrderGoal::Cancelled { after: 2 });
        assert_eq!(cancelled[..3], all[..3]);
        assert_eq!(cancelled[3..], [OrderState::Cancelled]);
    }

    #[test]
    fn what_somebody_moved_elsewhere_is_left_there() {
        for (goal, state) in [
            (OrderGoal::Confirmed, OrderState::Shipped),
            (OrderGoal::Completed, OrderState::Cancelled),
            (OrderGoal::Cancelled { after: 0 }, OrderState::Confirmed),
        ] {
            assert_eq!(goal.next(state), Next::Elsewhere);
        }
        assert_eq!(
            TicketGoal::Open.next(TicketState::Assigned),
            Next::Elsewhere
        );
        assert_eq!(
            TicketGoal::Closed.next(TicketState::Cancelled),
            Next::Elsewhere
        );
    }

    #[test]
    fn a_ticket_is_cancelled_once_somebody_has_it() {
        let goal = TicketGoal::Cancelled;
        assert_eq!(goal.next(TicketState::Open), Next::Do(TicketVerb::Assign));
        assert_eq!(
            goal.next(TicketState::Assigned),
            Next::Do(TicketVerb::Cancel)
        );
        assert_eq!(goal.next(TicketState::Cancelled), Next::Arrived);
    }
}
