//! Who may do what to which account: what only the data can decide. The guard has decided about the method before.

use millgate_guard::{Caller, Principal};
use millgate_platform::{Fault, Reason};

use super::{Role, User};

/// Whose eyes look at an account.
///
/// | viewer | sees | changes, deletes |
/// | --- | --- | --- |
/// | an administrator | every account | every account |
/// | another person | their own | their own (the guard lets no one but administrators delete) |
/// | a service account | those that it made | those that it made, while they are customers |
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// A person with the role `admin`.
    Admin,
    /// Any other person, by their id.
    Person(i64),
    /// A service account, by its client id.
    Service(String),
}

impl Viewer {
    /// The viewer behind a call.
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller.principal() {
            Principal::User { role, .. } if role == Role::Admin.as_str() => Self::Admin,
            Principal::User { id, .. } => Self::Person(*id),
            Principal::Service { client_id } => Self::Service(client_id.clone()),
        }
    }

    /// The client that the accounts in a list must have been made by; none where there is no such limit.
    pub(crate) fn only_made_by(&self) -> Option<&str> {
        match self {
            Self::Service(client_id) => Some(client_id),
            Self::Admin | Self::Person(_) => None,
        }
    }

    /// Lets through who may see the account.
    ///
    /// # Errors
    /// USER_NOT_FOUND: what one may not see is not there.
    pub(crate) fn see(&self, user: &User) -> Result<(), Fault> {
        let may = match self {
            Self::Admin => true,
            Self::Person(id) => *id == user.id,
            Self::Service(client_id) => user.created_by.as_ref() == Some(client_id),
        };
        if may { Ok(()) } else { Err(not_found(user.id)) }
    }

    /// Lets through who may change or delete the account.
    ///
    /// # Errors
    /// USER_NOT_FOUND for who may not even see it; ROLE_DENIED for a service whose customer has become staff since:
    /// a service that makes customers must never get at staff.
    pub(crate) fn change(&self, user: &User) -> Result<(), Fault> {
        self.see(user)?;
        match self {
            Self::Service(_) if user.role != Role::Customer => Err(only_customers()),
            _ => Ok(()),
        }
    }

    /// Lets through who may make an account with this role.
    ///
    /// # Errors
    /// ROLE_DENIED for a service that asks for anything but a customer.
    pub(crate) fn create(&self, role: Role) -> Result<(), Fault> {
        match self {
            Self::Service(_) if role != Role::Customer => Err(only_customers()),
            _ => Ok(()),
        }
    }
}

/// The answer for an account that is not there, and for one that the caller may not see.
pub(crate) fn not_found(id: i64) -> Fault {
    Fault::not_found(Reason::UserNotFound, format_args!("user {id}"))
}

fn only_customers() -> Fault {
    Fault::new(
        Reason::RoleDenied,
        "a service account handles accounts with the role customer only",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::tests::user;

    fn reason(result: Result<(), Fault>) -> Option<Reason> {
        result.err().map(|fault| fault.reason())
    }

    #[test]
    fn an_administrator_sees_and_changes_every_account() {
        for role in [Role::Admin, Role::User, Role::Mechanic, Role::Customer] {
            assert!(Viewer::Admin.change(&user(7, role, Some("shop"))).is_ok());
            assert!(Viewer::Admin.create(role).is_ok());
        }
        assert_eq!(Viewer::Admin.only_made_by(), None);
    }

    #[test]
    fn a_person_sees_their_own_account_and_no_other() {
        let own = user(7, Role::Customer, Some("shop"));
        assert!(Viewer::Person(7).change(&own).is_ok());
        assert_eq!(
            reason(Viewer::Person(8).see(&own)),
            Some(Reason::UserNotFound)
        );
        assert_eq!(
            reason(Viewer::Person(8).change(&own)),
            Some(Reason::UserNotFound)
        );
    }

    #[test]
    fn a_service_handles_the_customers_it_made() {
        let shop = Viewer::Service("shop".into());
        assert!(shop.change(&user(1, Role::Customer, Some("shop"))).is_ok());
        for foreign in [Some("other"), None] {
            assert_eq!(
                reason(shop.change(&user(1, Role::Customer, foreign))),
                Some(Reason::UserNotFound)
            );
        }
        assert_eq!(shop.only_made_by(), Some("shop"));
    }

    #[test]
    fn a_service_never_gets_at_staff() {
        let shop = Viewer::Service("shop".into());
        for role in [Role::Admin, Role::User, Role::Mechanic] {
            assert!(shop.see(&user(1, role, Some("shop"))).is_ok());
            assert_eq!(
                reason(shop.change(&user(1, role, Some("shop")))),
                Some(Reason::RoleDenied)
            );
            assert_eq!(reason(shop.create(role)), Some(Reason::RoleDenied));
        }
        assert!(shop.create(Role::Customer).is_ok());
    }
}
