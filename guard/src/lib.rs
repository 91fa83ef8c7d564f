//! The guard: `token_required` and `role_required` for any tonic service.
//!
//! Two pieces stand before every service of a server. The [`RuleLayer`] looks up who may call the
//! method (the access rule in its proto) and puts it into the request's extensions; the
//! [`GuardInterceptor`] verifies the token against the key ring and enforces the rule.
//! [`Guard::layer`] is both. A handler then takes [`Admitted`] or [`Anyone`], which do not exist
//! unless the guard has run.
//!
//! On the way of a request everything is synchronous, in memory, and total: no bytes that a caller
//! can send make it panic, block or answer INTERNAL.

mod admitted;
mod ambient;
mod audit;
mod bearer;
mod caller;
mod claims;
mod client;
mod compact;
mod crypto;
mod descriptors;
mod enforce;
mod guard;
mod interceptor;
mod json;
mod keyfile;
mod keys;
mod layer;
mod plain;
mod refusal;
mod revocations;
mod rules;
mod scopes;
mod shared_ring;
mod verify;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use admitted::{Admitted, Anyone};
pub use ambient::{Clock, Entropy, SharedClock, SharedEntropy, SystemClock, SystemEntropy};
pub use bearer::bearer_token;
pub use caller::{Caller, Principal};
pub use claims::{Claims, MOST_ACTORS};
pub use client::{IssuedToken, TokenSource};
pub use guard::Guard;
pub use interceptor::GuardInterceptor;
pub use keyfile::FilePermissions;
pub use keys::{KeyRing, KeyRingError, KeyStatus, Signer};
pub use layer::{RuleLayer, RuleService};
pub use plain::{PlainInterceptor, role_required, token_required};
pub use refusal::{DOMAIN, Details, Refusal, status};
pub use revocations::{NoRevocations, Revocations};
pub use rules::{
    Access, HEALTH_SERVICE, PrincipalKind, REFLECTION_SERVICES, Rule, Rules, RulesError,
};
pub use scopes::{Scopes, ScopesError};
pub use shared_ring::SharedRing;
#[cfg(any(test, feature = "testing"))]
pub use testing::{ManualClock, SeededEntropy};
pub use verify::{Expectations, TokenFault, Verifier};
