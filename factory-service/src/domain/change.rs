//! Changes: who did what to which resource. Every write leaves one, in its own transaction.

use millgate_guard::Caller;
use millgate_platform::{FieldFault, RequestContext};

use super::access::Actor;

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A customer's profile.
    Customer,
    /// A product.
    Product,
    /// An order.
    Order,
    /// A service ticket.
    Ticket,
    /// An employee.
    Employee,
    /// A production run.
    Run,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 6] = [
        Self::Customer,
        Self::Product,
        Self::Order,
        Self::Ticket,
        Self::Employee,
        Self::Run,
    ];

    /// The name in the database and in messages: as in the HTTP path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customers",
            Self::Product => "products",
            Self::Order => "orders",
            Self::Ticket => "tickets",
            Self::Employee => "employees",
            Self::Run => "production-runs",
        }
    }

    /// The kind that a filter names; empty is none.
    ///
    /// # Errors
    /// Names the kinds.
    pub(crate) fn parse_filter(text: &str) -> Result<Option<Self>, FieldFault> {
        if text.is_empty() {
            return Ok(None);
        }
        match Self::ALL.into_iter().find(|kind| kind.as_str() == text) {
            Some(kind) => Ok(Some(kind)),
            None => {
                let kinds: Vec<_> = Self::ALL.into_iter().map(Self::as_str).collect();
                Err(format!("must be one of {}", kinds.join(", ")).into())
            }
        }
    }

    /// The contract's message of this kind: what a change shows is of this form.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Customer => "millgate.factory.v1.Customer",
            Self::Product => "millgate.factory.v1.Product",
            Self::Order => "millgate.factory.v1.Order",
            Self::Ticket => "millgate.factory.v1.ServiceTicket",
            Self::Employee => "millgate.factory.v1.Employee",
            Self::Run => "millgate.factory.v1.ProductionRun",
        }
    }

    /// The members that hold what a person wrote of themselves or what was written of them: gone from the log with the
    /// person. Of a customer everything goes.
    pub(crate) fn personal(self) -> &'static [&'static str] {
        match self {
            Self::Order => &["shipping_address", "notes", "cancel_reason"],
            Self::Ticket => &["description", "resolution"],
            Self::Customer | Self::Product | Self::Employee | Self::Run => &[],
        }
    }
}

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: i64,
    /// Whose personal data may be in it.
    pub customer_id: Option<i64>,
}

/// Who changes something, and by which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Author {
    /// The principal and the session.
    pub actor: Actor,
    /// The service that acts on the principal's behalf; empty where none does.
    pub act: String,
    /// The request's id in the logs.
    pub request_id: String,
}

impl Author {
    /// The caller of the request that is being served.
    pub(crate) fn of(caller: &Caller) -> Self {
        Self {
            actor: Actor::of(caller),
            act: caller.actor().unwrap_or_default().to_owned(),
            request_id: request_id(),
        }
    }

    /// A customer who registers: they have no token yet, but already the user that it will be about.
    pub(crate) fn registering(user_id: i64) -> Self {
        Self {
            actor: Actor {
                key: format!("user:{user_id}"),
                session: String::new(),
            },
            act: String::new(),
            request_id: request_id(),
        }
    }
}

/// Empty where nobody asked: the reconciler finishes what a request began.
fn request_id() -> String {
    RequestContext::current()
        .map(|context| context.request_id)
        .unwrap_or_default()
}

/// A change that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number in the order of the commits.
    pub seq: i64,
    /// When, microseconds since the epoch.
    pub time: i64,
    /// Who.
    pub author: Author,
    /// Of what, as it stands in the database.
    pub kind: String,
    /// Of which one.
    pub resource_id: i64,
    /// What was done.
    pub verb: String,
    /// The resource before, as JSON of its message.
    pub before: Option<String>,
    /// The resource after.
    pub after: Option<String>,
}

impl Change {
    /// The bytes of what it shows.
    pub(crate) fn weight(&self) -> usize {
        let bytes = |shown: &Option<String>| shown.as_ref().map_or(0, String::len);
        bytes(&self.before) + bytes(&self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_name_and_nothing_else_is_one() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse_filter(kind.as_str()), Ok(Some(kind)));
        }
        assert_eq!(Kind::parse_filter(""), Ok(None));
        for bad in ["Orders", "order", " orders", "logins", "orders;"] {
            assert!(Kind::parse_filter(bad).is_err(), "{bad}");
        }
    }
}
