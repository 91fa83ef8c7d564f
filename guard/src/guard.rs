//! The guard of a server: rules, verifier and revocations, from which layer and interceptor come.

use std::sync::Arc;

use crate::interceptor::GuardInterceptor;
use crate::layer::RuleLayer;
use crate::revocations::{NoRevocations, Revocations};
use crate::rules::Rules;
use crate::verify::Verifier;

/// What stands before every service of a server. Mount both parts server-wide, the rule layer
/// outside: an interceptor on one service does not run for paths that nobody serves.
///
/// ```no_run
/// # async fn serve(descriptors: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use std::{path::Path, sync::Arc, time::Duration};
/// use millgate_guard::*;
/// use tonic::service::InterceptorLayer;
///
/// let every = Duration::from_secs(2);
/// let (ring, watch) =
///     SharedRing::watch(Path::new("keys.json"), FilePermissions::Private, every)?;
/// tokio::spawn(watch);
/// let verifier = Verifier::new(ring, Expectations::default(), Arc::new(SystemClock));
/// let rules = Rules::from_descriptors(descriptors)?
///     .serving(&["notes.v1.NoteService"])
///     .allow_public(&[HEALTH_SERVICE]);
/// let guard = Guard::new(Arc::new(verifier), rules);
///
/// let server = tonic::transport::Server::builder()
///     .layer(guard.rule_layer())
///     .layer(InterceptorLayer::new(guard.interceptor()));
/// # Ok(())
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
