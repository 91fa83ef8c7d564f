//! The guard of a server: rules, verifier and revocations, from which layer and interceptor come.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::InterceptorLayer;
use tower::layer::util::Stack;

use crate::caller::Caller;
use crate::interceptor::{self, GuardInterceptor};
use crate::layer::RuleLayer;
use crate::revocations::{NoRevocations, Revocations};
use crate::rules::Rules;
use crate::verify::Verifier;

/// What stands before every service of a server. Mount it server-wide, with [`Guard::layer`]: an
/// interceptor on one service does not run for paths that nobody serves.
///
/// ```no_run
/// # async fn serve(descriptors: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// use std::{path::Path, sync::Arc, time::Duration};
/// use millgate_guard::*;
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
/// let server = tonic::transport::Server::builder().layer(guard.layer());
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
    /// A guard that enforces these rules. It knows of no revocations until it is given some: a
    /// token is good until it expires.
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

    /// Who calls a public method, where the handler would like to know: nobody without a token. The
    /// caller is verified like any other, but no rule was looked at.
    ///
    /// # Errors
    /// As a method that needs a token, when one was sent and is not good.
    pub fn optional_caller(&self, metadata: &MetadataMap) -> Result<Option<Caller>, Status> {
        interceptor::optional(&self.verifier, self.revocations.as_ref(), metadata)
    }

    /// The rule layer with the interceptor behind it. Neither guards anything without the other:
    /// mount them apart only to put something in between.
    #[must_use]
    pub fn layer(&self) -> Stack<InterceptorLayer<GuardInterceptor>, RuleLayer> {
        Stack::new(InterceptorLayer::new(self.interceptor()), self.rule_layer())
    }

    /// The layer that looks up the rule of the called method. It lets every gRPC call pass: the
    /// interceptor behind it decides.
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
