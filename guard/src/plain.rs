//! `token_required` and `role_required` as plain interceptors, for a service without an annotated
//! proto.

use std::sync::Arc;

use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::interceptor::{admit, authenticate, authorize, hide_credential};
use crate::revocations::{NoRevocations, Revocations};
use crate::rules::{Access, Rule};
use crate::stream::StreamToken;
use crate::verify::Verifier;

/// An interceptor with one rule for whatever stands behind it. It sees no path, verb or content
/// type, so it refuses none; that is the part of the [`crate::RuleLayer`]. Nor does it know a stream
/// when it sees one: a handler that answers with one ends it by [`StreamToken::cut`].
///
/// ```no_run
/// # fn mount(verifier: std::sync::Arc<millgate_guard::Verifier>) {
/// use millgate_guard::role_required;
/// use tonic::service::InterceptorLayer;
/// let server = tonic::transport::Server::builder()
///     .layer(InterceptorLayer::new(role_required(verifier, ["admin"])));
/// # }
/// ```
#[derive(Clone)]
pub struct PlainInterceptor {
    verifier: Arc<Verifier>,
    revocations: Arc<dyn Revocations>,
    rule: Arc<Rule>,
}

/// Lets every unscoped person with a good token pass. Add [`PlainInterceptor::with_scope`] to let
/// services and scoped tokens in.
#[must_use]
pub fn token_required(verifier: Arc<Verifier>) -> PlainInterceptor {
    PlainInterceptor::new(verifier, Access::Token)
}

/// Lets people of these roles pass. With no role at all, nobody does.
#[must_use]
pub fn role_required<R: Into<String>>(
    verifier: Arc<Verifier>,
    roles: impl IntoIterator<Item = R>,
) -> PlainInterceptor {
    let roles = roles.into_iter().map(Into::into).collect();
    PlainInterceptor::new(verifier, Access::Roles(roles))
}

impl PlainInterceptor {
    fn new(verifier: Arc<Verifier>, access: Access) -> Self {
        Self {
            verifier,
            revocations: Arc::new(NoRevocations),
            rule: Arc::new(Rule {
                access,
                scope: None,
                fresh_within: None,
                principal: None,
            }),
        }
    }

    /// The scope that a scoped person's token and every service's token must contain.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.rule).scope = Some(scope.into());
        self
    }

    /// Asks `revocations` about every good token.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<dyn Revocations>) -> Self {
        self.revocations = revocations;
        self
    }
}

impl Interceptor for PlainInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        hide_credential(&mut request);
        let caller = authenticate(
            &self.verifier,
            self.revocations.as_ref(),
            request.metadata(),
        )?;
        authorize(&self.rule, &caller, self.verifier.clock().now_seconds())?;
        let (verifier, revocations) = (self.verifier.clone(), self.revocations.clone());
        let token = StreamToken::new(caller.clone(), verifier, revocations, self.rule.clone());
        request.extensions_mut().insert(token);
        admit(&mut request, caller);
        Ok(request)
    }
}

impl std::fmt::Debug for PlainInterceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainInterceptor")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}
