//! One revocation.

/// What is refused, and until when it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is refused.
    pub target: Target,
    /// When everything that it refuses has expired by itself, in seconds since the Unix epoch:
    /// from then on nobody needs to know it.
    pub expires_at: i64,
}

/// What a revocation refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The token of this `jti`.
    Token(String),
    /// All tokens of this `sid`.
    Session(String),
    /// All tokens of a person whose `gen` is below this one. No clock decides.
    User {
        /// The person's id, as in `sub`.
        subject: String,
        /// The lowest generation that is still good.
        generation: i64,
    },
    /// All tokens of a service account, and those that it got on behalf of others, that were
    /// issued up to this second: a service's token has no generation.
    Service {
        /// Its client id.
        client_id: String,
        /// The last `iat` that is refused.
        issued_until: i64,
    },
    /// All tokens that were signed with the key of this `kid`. Such an entry does not expire:
    /// whoever stole the key makes new tokens with it.
    Key(String),
}
