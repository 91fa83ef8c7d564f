//! Service tickets: what a customer wants looked at or mended.

use millgate_platform::{Etag, Fault, Reason};

/// The longest description, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 2000;

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketState {
    /// Nobody works on it yet.
    Open,
    /// Cancelled.
    Cancelled,
}

/// The verbs that move a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketVerb {
    /// Open to cancelled.
    Cancel,
}

impl TicketState {
    /// Every state.
    pub(crate) const ALL: [Self; 2] = [Self::Open, Self::Cancelled];

    /// The name in the database and in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
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
            (Self::Open, TicketVerb::Cancel) => Some(Self::Cancelled),
            (Self::Cancelled, TicketVerb::Cancel) => None,
        }
    }

    /// The verbs that may be used now, by whoever sees the ticket.
    pub(crate) fn verbs(self) -> Vec<TicketVerb> {
        [TicketVerb::Cancel]
            .into_iter()
            .filter(|verb| self.after(*verb).is_some())
            .collect()
    }
}

impl TicketVerb {
    /// The name in `next_actions` and in the HTTP path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
        }
    }
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
    /// What is wanted.
    pub description: String,
    /// Counts its moves.
    pub revision: i64,
    /// When it was opened, microseconds since the epoch.
    pub create_time: i64,
    /// When it last changed.
    pub update_time: i64,
}

impl Ticket {
    /// Moves the ticket.
    ///
    /// # Errors
    /// ETAG_MISMATCH when it is not the revision that the caller read, STATE_CONFLICT when the machine does not allow
    /// the verb.
    pub(crate) fn apply(&mut self, verb: TicketVerb, etag: &str, now: i64) -> Result<(), Fault> {
        Etag::check(etag, self.revision)?;
        self.state = self.state.after(verb).ok_or_else(|| {
            let message = format!(
                "a ticket that is {} does not take `{}`; allowed: none",
                self.state.as_str(),
                verb.as_str()
            );
            Fault::new(Reason::StateConflict, message).with_metadata("state", self.state.as_str())
        })?;
        self.revision += 1;
        self.update_time = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_cancelled_once() {
        let mut ticket = Ticket {
            id: 1,
            customer_id: 1,
            state: TicketState::Open,
            description: "squeaks".into(),
            revision: 1,
            create_time: 1,
            update_time: 1,
        };
        assert_eq!(
            ticket
                .apply(TicketVerb::Cancel, "9", 2)
                .expect_err("stale")
                .reason(),
            Reason::EtagMismatch
        );
        ticket.apply(TicketVerb::Cancel, "1", 2).expect("cancelled");
        assert!(ticket.state.verbs().is_empty());
        assert_eq!(
            ticket
                .apply(TicketVerb::Cancel, "", 3)
                .expect_err("once")
                .reason(),
            Reason::StateConflict
        );
        assert_eq!((ticket.revision, ticket.update_time), (2, 2));
    }
}
