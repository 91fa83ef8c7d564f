//! What a person may do.

/// The role of an account. The guard treats it as a plain string; here it is one of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// Staff: `user` in a token.
    User,
    /// Works on the service tickets assigned to them.
    Mechanic,
    /// Sees and changes only what is their own.
    Customer,
}

impl Role {
    /// The role in a token and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Mechanic => "mechanic",
            Self::Customer => "customer",
        }
    }

    /// The role of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Admin, Self::User, Self::Mechanic, Self::Customer]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}
