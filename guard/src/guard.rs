//! The guard of a server: rules, verifier and revocations, from which layer and interceptor come.

use std::sync::Arc;

use crate::interceptor::GuardInterceptor;
use crate::layer::RuleLayer;
use crate::revocations::{NoRevocations, Revocations};
use crate::rules::Rules;
use crate::verify::Verifier;

/// What stands before every service of a server. Mount both parts, the rule layer outside:
///
/// ```no_run
/// # fn mount(guard: millgate_guard::Guard) {
/// use tonic::service::InterceptorLayer;
/// let server = tonic::transport::Server::builder()
///     .layer(guard.rule_layer())
///     .layer(InterceptorLayer::new(guard.interceptor()));
/// # }
/// ```
#[derive(Clone)]
pub struct Guard {
    verifier: Arc<Verifier>,
    rules: Arc<Rules>,
    revocations: Arc<dyn Revocations>,
}

impl Guard {
    /// A guard that enforces these rules.
    #[must_use]
    pub fn new(verifier: Arc<Verifier>, rules: Rules) -> Self {
        Self {
            verifier,
            rules: Arc::new(rules),
            revocations: Arc::new(NoRevocations),
        }
    }

    /// Asks `revocations` about every good token.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<dyn Revocations>) -> Self {
        self.revocations = revocations;
        self
    }

    /// The layer that looks up the rule of the called method.
    #[must_use]
    pub fn rule_layer(&self) -> RuleLayer {
        RuleLayer::new(self.rules.clone())
    }

    /// The interceptor that verifies the token and enforces the rule.
    #[must_use]
    pub fn interceptor(&self) -> GuardInterceptor {
        GuardInterceptor::new(self.verifier.clone(), self.revocations.clone())
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The verifier.
    #[must_use]
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.verifier
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("verifier", &self.verifier)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
