//! The handlers: who calls and what they ask for, one action, the reply.

mod access_tokens;
mod audit;
mod auth;
mod import;
mod second_factor;
mod service_accounts;
mod sessions;
mod sign_in;
mod trust;
mod users;

use std::sync::Arc;

use axum::middleware;
use millgate_contract::auth::v1::access_token_service_server::AccessTokenServiceServer;
use millgate_contract::auth::v1::audit_service_server::AuditServiceServer;
use millgate_contract::auth::v1::auth_service_server::AuthServiceServer;
use millgate_contract::auth::v1::second_factor_service_server::SecondFactorServiceServer;
use millgate_contract::auth::v1::service_account_service_server::ServiceAccountServiceServer;
use millgate_contract::auth::v1::session_service_server::SessionServiceServer;
use millgate_contract::auth::v1::trust_service_server::TrustServiceServer;
use millgate_contract::auth::v1::user_service_server::UserServiceServer;
use millgate_guard::{Admitted, Anyone, Caller, Refusal};
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Request, Status};

use crate::app::App;
use crate::origin::Origin;
use crate::standing::{self, GoodStanding};

/// The names of the services in [`routes`].
pub(crate) const SERVICES: &[&str] = &[
    "millgate.auth.v1.AccessTokenService",
    "millgate.auth.v1.AuditService",
    "millgate.auth.v1.AuthService",
    "millgate.auth.v1.SecondFactorService",
    "millgate.auth.v1.ServiceAccountService",
    "millgate.auth.v1.SessionService",
    "millgate.auth.v1.TrustService",
    "millgate.auth.v1.UserService",
];

/// The calls that count against the logins of an address: those that cost a password hash and are open to everybody,
/// or to everybody who registers. ChangePassword is one: whoever has got hold of a token guesses its password there, and
/// one account could otherwise keep the hashing pool full for all. Not IssueServiceToken: guessing a 256-bit secret is
/// hopeless, and people who mistype their passwords must not lock out the services behind the same address.
pub(crate) const LOGIN_PATHS: &[&str] = &[
    "/millgate.auth.v1.AuthService/Login",
    "/millgate.auth.v1.AuthService/Register",
    "/millgate.auth.v1.AuthService/ChangePassword",
    "/millgate.auth.v1.AuthService/RequestPasswordReset",
    "/millgate.auth.v1.AuthService/ResetPassword",
    "/millgate.auth.v1.AuthService/Reauthenticate",
];

/// All services, with the check of the caller's standing before each of them.
pub(crate) fn routes(app: &Arc<App>, max_message_bytes: usize) -> Routes {
    let auth = AuthServiceServer::new(auth::Auth(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let users = UserServiceServer::new(users::Users(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let access_tokens = AccessTokenServiceServer::new(access_tokens::AccessTokens(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let audit = AuditServiceServer::new(audit::Audit(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let second_factors = SecondFactorServiceServer::new(second_factor::SecondFactors(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let service_accounts =
        ServiceAccountServiceServer::new(service_accounts::ServiceAccounts(app.clone()))
            .max_decoding_message_size(max_message_bytes);
    let sessions = SessionServiceServer::new(sessions::Sessions(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let trust = TrustServiceServer::new(trust::Trust(app.clone()))
        .max_decoding_message_size(max_message_bytes);
    let routes = Routes::new(auth)
        .add_service(trust)
        .add_service(access_tokens)
        .add_service(second_factors)
        .add_service(service_accounts)
        .add_service(sessions)
        .add_service(users)
        .add_service(audit)
        .prepare();
    routes
        .into_axum_router()
        .layer(middleware::from_fn_with_state(app.clone(), standing::layer))
        .into()
}

/// A call of somebody who was let in by the guard and whose standing is good.
struct Known<T> {
    caller: Caller,
    message: T,
    origin: Origin,
}

impl<T> Known<T> {
    /// Takes a request apart.
    ///
    /// # Errors
    /// POLICY_MISSING when the guard or the check of the standing did not run.
    fn of(request: Request<T>) -> Result<Self, Status> {
        let Admitted {
            caller,
            message,
            extensions,
            ..
        } = Admitted::of(request)?;
        extensions
            .get::<GoodStanding>()
            .ok_or(Refusal::PolicyMissing)?;
        Ok(Self {
            caller,
            message,
            origin: Origin::of(&extensions),
        })
    }
}

/// A call to a public method.
struct Visitor<T> {
    message: T,
    metadata: MetadataMap,
    origin: Origin,
}

impl<T> Visitor<T> {
    /// Takes a request apart.
    ///
    /// # Errors
    /// POLICY_MISSING when the guard did not run.
    fn of(request: Request<T>) -> Result<Self, Status> {
        let Anyone {
            message,
            metadata,
            extensions,
            ..
        } = Anyone::of(request)?;
        Ok(Self {
            message,
            metadata,
            origin: Origin::of(&extensions),
        })
    }
}
