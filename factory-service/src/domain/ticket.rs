//! Service tickets: what a customer wants looked at or mended.

use millgate_platform::{Etag, Fault, FieldFault, Reason};

use super::access::TicketSight;
use super::money::Money;

/// The longest description and the longest resolution, in characters.
pub(crate) const MAX_TEXT: usize = 2000;
/// The most parts rows of a ticket: what an answer about one ticket holds.
pub(crate) const MAX_PARTS: usize = 200;
/// The most pieces of a part.
pub(crate) const MAX_PIECES: i64 = 1_000_000;
/// The longest labour, in minutes: more than two months of days and nights.
pub(crate) const MAX_LABOUR: i32 = 100_000;

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketState {
    /// Nobody works on it yet.
    Open,
    /// A mechanic has it.
    Assigned,
    /// The mechanic works on it.
    InProgress,
    /// Done.
    Closed,
    /// Cancelled.
    Cancelled,
}

/// The verbs that a ticket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketVerb {
    /// Open or assigned to assigned.
    AssignMechanic,
    /// Assigned to in progress.
    Start,
    /// In progress, and stays so.
    AddPart,
    /// In progress to closed.
    Close,
    /// Any state before closed to cancelled.
    Cancel,
}

/// How urgent a ticket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// When there is nothing else to do.
    Low,
    /// In its turn.
    Normal,
    /// Before the others.
    High,
    /// At once.
    Urgent,
}

impl TicketState {
    /// Every state.
    pub(crate) const ALL: [Self; 5] = [
        Self::Open,
        Self::Assigned,
        Self::InProgress,
        Self::Closed,
        Self::Cancelled,
    ];

    /// The name in the database and in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Assigned => "ASSIGNED",
            Self::InProgress => "IN_PROGRESS",
            Self::Closed => "CLOSED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The machine: where the verb leads from here, if it may be used.
    pub(crate) fn after(self, verb: TicketVerb) -> Option<Self> {
        match (self, verb) {
            (Self::Open | Self::Assigned, TicketVerb::AssignMechanic) => Some(Self::Assigned),
            (Self::Assigned, TicketVerb::Start) => Some(Self::InProgress),
            (Self::InProgress, TicketVerb::AddPart) => Some(Self::InProgress),
            (Self::InProgress, TicketVerb::Close) => Some(Self::Closed),
            (Self::Open | Self::Assigned | Self::InProgress, TicketVerb::Cancel) => {
                Some(Self::Cancelled)
            }
            _ => None,
        }
    }

    /// The verbs that a caller with this sight may use now. A customer only cancels, and only before work has begun; a
    /// mechanic works.
    pub(crate) fn verbs(self, sight: TicketSight) -> Vec<TicketVerb> {
        let may = |verb: TicketVerb| match sight {
            TicketSight::All => true,
            TicketSight::Customer { .. } => verb == TicketVerb::Cancel && self != Self::InProgress,
            TicketSight::Mechanic { .. } => verb.is_work(),
        };
        TicketVerb::ALL
            .into_iter()
            .filter(|verb| self.after(*verb).is_some() && may(*verb))
            .collect()
    }
}

impl TicketVerb {
    /// Every verb, in the order in which a ticket meets them.
    pub(crate) const ALL: [Self; 5] = [
        Self::AssignMechanic,
        Self::Start,
        Self::AddPart,
        Self::Close,
        Self::Cancel,
    ];

    /// The name in `next_actions` and in the HTTP path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AssignMechanic => "assignMechanic",
            Self::Start => "start",
            Self::AddPart => "addPart",
            Self::Close => "close",
            Self::Cancel => "cancel",
        }
    }

    /// Whether it is what a mechanic does.
    fn is_work(self) -> bool {
        matches!(self, Self::Start | Self::AddPart | Self::Close)
    }
}

impl Priority {
    /// Every priority.
    pub(crate) const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Normal => "NORMAL",
            Self::High => "HIGH",
            Self::Urgent => "URGENT",
        }
    }

    /// The priority of this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// What a ticket is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketFields {
    /// What is wanted.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// The product that it is about.
    pub product_id: Option<i64>,
    /// The order that the product came with.
    pub order_id: Option<i64>,
}

/// A part that a ticket took from the stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The product.
    pub product_id: i64,
    /// Its SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Its price.
    pub unit_price: Money,
    /// How many pieces.
    pub quantity: i64,
    /// When they were taken, microseconds since the epoch.
    pub create_time: i64,
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Its id.
    pub id: i64,
    /// Whose it is.
    pub customer_id: i64,
    /// Where it stands.
    pub state: TicketState,
    /// What it was opened with.
    pub fields: TicketFields,
    /// Who works on it.
    pub employee_id: Option<i64>,
    /// How long it took, in minutes.
    pub labour_minutes: i32,
    /// What was done.
    pub resolution: String,
    /// When work began, microseconds since the epoch.
    pub start_time: Option<i64>,
    /// When it was closed or cancelled.
    pub finish_time: Option<i64>,
    /// Counts its moves.
    pub revision: i64,
    /// When it was opened, microseconds since the epoch.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
}

impl Ticket {
    /// Moves the ticket by the caller's verb.
    ///
    /// # Errors
    /// ETAG_MISMATCH when it is not the revision that the caller read, STATE_CONFLICT when the machine does not allow
    /// the verb, or not this caller.
    pub(crate) fn apply(
        &mut self,
        verb: TicketVerb,
        sight: TicketSight,
        etag: &str,
        now: i64,
    ) -> Result<(), Fault> {
        Etag::check(etag, self.revision)?;
        let allowed = self.state.verbs(sight);
        let next = self
            .state
            .after(verb)
            .filter(|_| allowed.contains(&verb))
            .ok_or_else(|| self.conflict(verb, &allowed))?;
        if verb == TicketVerb::Start {
            self.start_time = Some(now);
        }
        if matches!(next, TicketState::Closed | TicketState::Cancelled) {
            self.finish_time = Some(now);
        }
        self.state = next;
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }

    fn conflict(&self, verb: TicketVerb, allowed: &[TicketVerb]) -> Fault {
        let allowed: Vec<&str> = allowed.iter().map(|verb| verb.as_str()).collect();
        let allowed = if allowed.is_empty() {
            "none".to_owned()
        } else {
            allowed.join(", ")
        };
        let message = format!(
            "a ticket that is {} does not take `{}`; allowed: {allowed}",
            self.state.as_str(),
            verb.as_str()
        );
        Fault::new(Reason::StateConflict, message)
            .with_metadata("state", self.state.as_str())
            .with_metadata("allowed", allowed)
    }
}

/// How many pieces of a part.
///
/// # Errors
/// FIELD_INVALID below 1, AMOUNT_OUT_OF_RANGE above [`MAX_PIECES`].
pub(crate) fn pieces(quantity: i64) -> Result<i64, FieldFault> {
    match quantity {
        ..1 => Err("must be 1 or more".into()),
        1..=MAX_PIECES => Ok(quantity),
        _ => Err(FieldFault::new(
            Reason::AmountOutOfRange,
            format!("must be at most {MAX_PIECES}"),
        )),
    }
}

/// How long a ticket took.
///
/// # Errors
/// Outside 0 to [`MAX_LABOUR`] minutes.
pub(crate) fn labour(minutes: i32) -> Result<i32, FieldFault> {
    if (0..=MAX_LABOUR).contains(&minutes) {
        Ok(minutes)
    } else {
        Err(format!("must be 0 to {MAX_LABOUR} minutes").into())
    }
}

/// What whoever names no ticket of theirs is told.
pub(crate) fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::TicketNotFound, format_args!("ticket {id}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAFF: TicketSight = TicketSight::All;
    const CUSTOMER: TicketSight = TicketSight::Customer { user_id: 7 };
    const MECHANIC: TicketSight = TicketSight::Mechanic { user_id: 8 };

    fn ticket() -> Ticket {
        Ticket {
            id: 1,
            customer_id: 1,
            state: TicketState::Open,
            fields: TicketFields {
                description: "squeaks".into(),
                priority: Priority::Normal,
                product_id: None,
                order_id: None,
            },
            employee_id: None,
            labour_minutes: 0,
            resolution: String::new(),
            start_time: None,
            finish_time: None,
            revision: 1,
            create_time: 1,
            update_time: 1,
        }
    }

    #[test]
    fn a_ticket_goes_from_open_to_closed_and_says_when() {
        let mut ticket = ticket();
        let mut now = 1;
        for (verb, state) in [
            (TicketVerb::AssignMechanic, TicketState::Assigned),
            (TicketVerb::AssignMechanic, TicketState::Assigned),
            (TicketVerb::Start, TicketState::InProgress),
            (TicketVerb::AddPart, TicketState::InProgress),
            (TicketVerb::Close, TicketState::Closed),
        ] {
            now += 1;
            ticket.apply(verb, STAFF, "", now).expect("allowed");
            assert_eq!(ticket.state, state);
        }
        assert_eq!(
            (ticket.start_time, ticket.finish_time, ticket.revision),
            (Some(4), Some(6), 6)
        );
        assert!(ticket.state.verbs(STAFF).is_empty());
    }

    #[test]
    fn a_customer_cancels_before_work_begins_and_does_nothing_else() {
        let cancel = [TicketVerb::Cancel];
        assert_eq!(TicketState::Open.verbs(CUSTOMER), cancel);
        assert_eq!(TicketState::Assigned.verbs(CUSTOMER), cancel);
        for state in [
            TicketState::InProgress,
            TicketState::Closed,
            TicketState::Cancelled,
        ] {
            assert!(state.verbs(CUSTOMER).is_empty(), "{state:?}");
        }
    }

    #[test]
    fn a_mechanic_works_and_neither_assigns_nor_cancels() {
        assert!(TicketState::Open.verbs(MECHANIC).is_empty());
        assert_eq!(TicketState::Assigned.verbs(MECHANIC), [TicketVerb::Start]);
        assert_eq!(
            TicketState::InProgress.verbs(MECHANIC),
            [TicketVerb::AddPart, TicketVerb::Close]
        );
    }

    #[test]
    fn a_stale_etag_moves_nothing() {
        let mut ticket = ticket();
        let refused = ticket.apply(TicketVerb::Cancel, STAFF, "9", 2);
        assert_eq!(refused.expect_err("stale").reason(), Reason::EtagMismatch);
        assert_eq!(ticket, self::ticket());
    }

    proptest! {
        #[test]
        fn whatever_is_tried_an_ended_ticket_stays_as_it_is(
            verbs in proptest::collection::vec((0usize..5, 0usize..3), 0..30),
        ) {
            let mut ticket = ticket();
            for (verb, sight) in verbs {
                let before = ticket.clone();
                let moved = ticket.apply(
                    TicketVerb::ALL[verb],
                    [STAFF, CUSTOMER, MECHANIC][sight],
                    "",
                    ticket.update_time + 1,
                );
                match moved {
                    Ok(()) => {
                        prop_assert!(before.finish_time.is_none());
                        prop_assert_eq!(ticket.revision, before.revision + 1);
                    }
                    Err(_) => prop_assert_eq!(&ticket, &before),
                }
                let ended = matches!(ticket.state, TicketState::Closed | TicketState::Cancelled);
                prop_assert_eq!(ended, ticket.finish_time.is_some());
            }
        }
    }
}
