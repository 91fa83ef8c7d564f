//! What every call shares.

use std::sync::Arc;

use millgate_guard::Verifier;
use millgate_platform::{Database, Idempotency, PageKey, SharedClock, SharedEntropy};
use ring::hmac;

use crate::actions::password_reset::Desk;
use crate::audit::Audit;
use crate::config::Registration;
use crate::domain::{FactorKeys, KnownScopes, Micros, RefreshKeys, SessionLimits};
use crate::hashing::HashingPool;
use crate::tokens::Mint;
use crate::trust::Trust;

/// The service's parts, as its actions use them.
pub(crate) struct App {
    /// Accounts, sessions, service accounts.
    pub(crate) db: Database,
    /// The time.
    pub(crate) clock: SharedClock,
    /// Randomness for ids and refresh tokens.
    pub(crate) entropy: SharedEntropy,
    /// Computes password hashes.
    pub(crate) hashing: HashingPool,
    /// Signs access tokens.
    pub(crate) mint: Mint,
    /// Verifies the tokens that come in a body, and at Logout.
    pub(crate) verifier: Arc<Verifier>,
    /// Where requests for a password reset go.
    pub(crate) resets: Desk,
    /// Whether people may make their own accounts.
    pub(crate) registration: Registration,
    /// How long sessions live.
    pub(crate) sessions: SessionLimits,
    /// What refresh tokens are made with.
    pub(crate) refresh_keys: RefreshKeys,
    /// What second factors are kept under.
    pub(crate) factor_keys: FactorKeys,
    /// What authenticator apps call this installation.
    pub(crate) totp_issuer: String,
    /// Under which service accounts' secrets are stored.
    pub(crate) client_key: hmac::Key,
    /// Under which the counters of attempts are stored.
    pub(crate) throttle_key: hmac::Key,
    /// Whether attempts are counted at all.
    pub(crate) throttles: bool,
    /// Under which personal access tokens are stored.
    pub(crate) access_token_key: hmac::Key,
    /// The scopes that can be granted.
    pub(crate) known_scopes: KnownScopes,
    /// Seals page tokens.
    pub(crate) page_key: PageKey,
    /// Remembers answers by `request_id`.
    pub(crate) idempotency: Idempotency,
    /// What the guards of all services are told.
    pub(crate) trust: Trust,
    /// What the security events go through.
    pub(crate) audit: Audit,
}

impl App {
    /// The time, in microseconds since the Unix epoch.
    pub(crate) fn now(&self) -> Micros {
        self.clock.now_micros()
    }
}
