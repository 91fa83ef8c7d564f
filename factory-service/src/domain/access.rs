//! Who may see what: the object rules, in one place.
//!
//! Staff (`admin`, `user`) and services see everything; the guard has already checked that a service's token carries
//! the scope of the method. Everybody else sees only what belongs to the profile with their user id. What is hidden
//! reads as not there: the store adds [`Sight::owner`] to its condition, so that both cost the same.

use millgate_guard::{Caller, Principal};
use millgate_platform::{Fault, FieldFault, Reason};

/// The roles that see and change everything.
const STAFF: [&str; 2] = ["admin", "user"];

/// The role that works on service tickets.
const MECHANIC: &str = "mechanic";

/// How much a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything, what is deleted included.
    All,
    /// Only what belongs to the profile of this user.
    Own {
        /// The user's id at the auth service.
        user_id: i64,
    },
}

impl Sight {
    /// How much this caller sees. An unknown role sees no more than its own.
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller.principal() {
            Principal::Service { .. } => Self::All,
            Principal::User { .. } if STAFF.iter().any(|role| caller.has_role(role)) => Self::All,
            Principal::User { id, .. } => Self::Own { user_id: *id },
        }
    }

    /// Whether this is staff or a service.
    pub(crate) fn is_all(self) -> bool {
        self == Self::All
    }

    /// The user whose things alone are seen; `None` when all are.
    pub(crate) fn owner(self) -> Option<i64> {
        match self {
            Self::All => None,
            Self::Own { user_id } => Some(user_id),
        }
    }
}

/// Which service tickets a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketSight {
    /// Every ticket.
    All,
    /// Those of the profile of this user.
    Customer {
        /// The user's id at the auth service.
        user_id: i64,
    },
    /// Those that are assigned to the employee with this login.
    Mechanic {
        /// The user's id at the auth service.
        user_id: i64,
    },
}

impl TicketSight {
    /// Which tickets this caller sees.
    pub(crate) fn of(caller: &Caller) -> Self {
        match Sight::of(caller) {
            Sight::All => Self::All,
            Sight::Own { user_id } if caller.has_role(MECHANIC) => Self::Mechanic { user_id },
            Sight::Own { user_id } => Self::Customer { user_id },
        }
    }

    /// The binds of the store's condition: the login whose profile the ticket must be of, and the login that it must be
    /// assigned to. Both are null where every ticket is seen.
    pub(crate) fn keys(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::All => (None, None),
            Self::Customer { user_id } => (Some(user_id), None),
            Self::Mechanic { user_id } => (None, Some(user_id)),
        }
    }
}

/// Who did something, for the rows that keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// `user:7` or `service:factory-service`.
    pub key: String,
    /// The session of the token; empty for a service.
    pub session: String,
}

impl Actor {
    /// The caller, as the rows of history keep them.
    pub(crate) fn of(caller: &Caller) -> Self {
        let session = match caller.principal() {
            Principal::User { session, .. } => session.clone(),
            Principal::Service { .. } => String::new(),
        };
        Self {
            key: caller.key(),
            session,
        }
    }
}

/// For whom something is placed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The profile of this user: a customer acts for themselves.
    User(i64),
    /// The profile with this id: staff name the customer.
    Customer(i64),
}

impl Owner {
    /// For whom the caller acts, given the `customer_id` of the request (0: not said).
    ///
    /// # Errors
    /// FIELD_NOT_WRITABLE for a customer who names one, FIELD_INVALID for staff who name none.
    pub(crate) fn of(sight: Sight, customer_id: i64) -> Result<Self, FieldFault> {
        match sight {
            Sight::Own { user_id } if customer_id == 0 => Ok(Self::User(user_id)),
            Sight::Own { .. } => Err(FieldFault::new(
                Reason::FieldNotWritable,
                "is always your own profile: leave it out",
            )),
            Sight::All if customer_id > 0 => Ok(Self::Customer(customer_id)),
            Sight::All => Err("the id of the customer is needed".into()),
        }
    }

    /// The caller's own profile.
    ///
    /// # Errors
    /// CUSTOMER_NOT_FOUND for a service, which has none.
    pub(crate) fn of_caller(caller: &Caller) -> Result<Self, Fault> {
        match caller.user_id() {
            Some(id) => Ok(Self::User(id)),
            None => Err(Fault::not_found(
                Reason::CustomerNotFound,
                "a customer profile of a service",
            )),
        }
    }

    /// The two binds of `(id = $1 or user_id = $2)`; the one that does not apply is null and matches nothing.
    pub(crate) fn keys(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::User(id) => (None, Some(id)),
            Self::Customer(id) => (Some(id), None),
        }
    }

    /// What the caller is told when there is no such profile, or a deleted one.
    pub(crate) fn not_found(self) -> Fault {
        match self {
            Self::User(_) => Fault::not_found(Reason::CustomerNotFound, "your customer profile"),
            Self::Customer(id) => {
                Fault::not_found(Reason::CustomerNotFound, format_args!("customer {id}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Sight = Sight::Own { user_id: 7 };

    #[test]
    fn a_customer_acts_for_themselves_and_names_nobody() {
        assert_eq!(Owner::of(OWN, 0), Ok(Owner::User(7)));
        for named in [1, 7, -1, i64::MAX] {
            let fault = Owner::of(OWN, named).expect_err("refused");
            assert_eq!(fault.reason, Reason::FieldNotWritable, "{named}");
        }
    }

    #[test]
    fn staff_must_name_the_customer() {
        assert_eq!(Owner::of(Sight::All, 3), Ok(Owner::Customer(3)));
        for named in [0, -1, i64::MIN] {
            let fault = Owner::of(Sight::All, named).expect_err("refused");
            assert_eq!(fault.reason, Reason::FieldInvalid, "{named}");
        }
    }

    #[test]
    fn an_owner_has_exactly_one_key() {
        assert_eq!(Owner::User(7).keys(), (None, Some(7)));
        assert_eq!(Owner::Customer(3).keys(), (Some(3), None));
    }
}
