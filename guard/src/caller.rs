//! Who is calling, as the token said and the guard verified.

use std::sync::{Arc, OnceLock};

use crate::claims::{Claims, Kind};
use crate::json::Flaw;
use crate::scopes::Scopes;

/// A person or a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A person, who has a role and a session.
    User {
        /// The person's id.
        id: i64,
        /// Their role, as it was when the token was made.
        role: String,
        /// The session that the token belongs to.
        session: String,
        /// The generation of the person's tokens.
        generation: i64,
    },
    /// A service account, which has only scopes.
    Service {
        /// Its client id.
        client_id: String,
    },
}

/// The verified caller of a request. Only the guard makes one. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    claims: Claims,
    key_id: Arc<str>,
    /// Made when it is first asked for: most of it stands in the claims.
    principal: OnceLock<Principal>,
}

impl Caller {
    pub(crate) fn new(claims: Claims, key_id: Arc<str>) -> Result<Self, Flaw> {
        Ok(Self(Arc::new(Inner {
            kind: claims.kind()?,
            claims,
            key_id,
            principal: OnceLock::new(),
        })))
    }

    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        let claims = self.claims();
        self.0.principal.get_or_init(|| match self.0.kind {
            Kind::User { id } => Principal::User {
                id,
                role: claims.role.clone().unwrap_or_default(),
                session: claims.session.clone().unwrap_or_default(),
                generation: claims.generation.unwrap_or_default(),
            },
            Kind::Service => Principal::Service {
                client_id: claims.subject.clone(),
            },
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// All that the token says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The name of the key that the token was signed with.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// What the token is restricted to. A person's token without scope is not restricted.
    #[must_use]
    pub fn scope(&self) -> Option<&Scopes> {
        self.0.claims.scope.as_ref()
    }

    /// When the person last proved who they are, in seconds since the Unix epoch.
    #[must_use]
    pub fn auth_time(&self) -> Option<i64> {
        self.0.claims.auth_time
    }

    /// The token's own name (`jti`).
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.0.claims.token_id
    }

    /// When the token ends, in seconds since the Unix epoch. A unary call that has begun
    /// is finished; the guard ends a stream then.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.0.claims.expires_at
    }

    /// Who acts on the subject's behalf, where somebody does. All of them, where one acts through
    /// another: [`Claims::actors`].
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.0.claims.actors.first().map(String::as_str)
    }

    /// The person's id; a service has none.
    #[must_use]
    pub fn user_id(&self) -> Option<i64> {
        match self.kind() {
            Kind::User { id } => Some(id),
            Kind::Service => None,
        }
    }

    /// The person's role; a service has none.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.claims().role.as_deref()
    }

    /// Whether this is a person of that role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.role() == Some(role)
    }

    /// The session of the person's token; a service has none.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.claims().session.as_deref()
    }

    /// The token's `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.claims.subject
    }

    /// A name that never belongs to two principals: `user:7`, `service:factory`. For keys of
    /// idempotency and of rate limits.
    #[must_use]
    pub fn key(&self) -> String {
        match self.kind() {
            Kind::User { id } => format!("user:{id}"),
            Kind::Service => format!("service:{}", self.subject()),
        }
    }
}
