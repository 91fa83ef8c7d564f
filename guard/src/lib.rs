//! The guard: `token_required` and `role_required` for any tonic service.
//!
//! Two pieces stand before every service of a server. The [`RuleLayer`] looks up who may call the
//! method (the access rule in its proto) and puts it into the request's extensions; the
//! [`GuardInterceptor`] verifies the token against the key ring and enforces the rule.
//! [`Guard::layer`] is both. A handler then takes [`Admitted`] or [`Anyone`], which do not exist
//! unless the guard has run.
//!
//! What was revoked is known from [`LiveRevocations`], which a [`TrustFeed`] keeps up to date; a
//! [`TokenSource`] gives a service its own tokens for the calls that it makes.
//!
//! On the way of a request everything is synchronous, in memory, and total: no bytes that a caller
//! can send make it panic, block or answer INTERNAL.

#![deny(missing_docs)]

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
mod feed;
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
mod stream;
mod verify;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use admitted::{Admitted, Anyone};
pub use ambient::{Clock, Entropy, SharedClock, SharedEntropy, SystemClock, SystemEntropy};
pub use bearer::bearer_token;
pub use caller::{Caller, Principal};
pub use claims::{Claims, MOST_ACTORS};
pub use client::{IssuedToken, TokenSource, pass_on};
pub use feed::TrustFeed;
pub use guard::Guard;
pub use interceptor::GuardInterceptor;
pub use keyfile::FilePermissions;
pub use keys::{KeyAlgorithm, KeyInfo, KeyRing, KeyRingError, KeyStatus, Signer};
pub use layer::{RuleLayer, RuleService};
pub use plain::{PlainInterceptor, role_required, token_required};
pub use refusal::{DOMAIN, Details, Refusal, status};
pub use revocations::{LiveRevocations, NoRevocations, Revocation, Revocations, Stats, Target};
pub use rules::{
    Access, HEALTH_SERVICE, PrincipalKind, REFLECTION_SERVICES, Rule, Rules, RulesError,
};
pub use scopes::{Scopes, ScopesError};
pub use shared_ring::{SharedRing, SigningRing};
pub use stream::StreamToken;
#[cfg(any(test, feature = "testing"))]
pub use testing::{ManualClock, SeededEntropy};
pub use verify::{Expectations, LONGEST_LEEWAY, TokenFault, Verifier};
