//! The key of a run, and the tokens signed with it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_guard::{
    Claims, Clock as _, Entropy as _, Expectations, KeyRing, SharedRing, Signer, SystemClock,
    SystemEntropy, Verifier,
};
use secrecy::SecretString;
use tonic::metadata::AsciiMetadataValue;

use crate::Problem;

/// Longer than any run, and within what a verifier takes.
const TOKEN_LIFE_SECONDS: i64 = 12 * 60 * 60;

/// A key ring with one random key.
pub(crate) struct Keys {
    /// The key itself, for what is measured without the guard.
    pub(crate) secret: [u8; 32],
    jwks: String,
    ring: SharedRing,
    signer: Signer,
}

impl Keys {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, Problem> {
        let mut secret = [0; 32];
        SystemEntropy.fill(&mut secret);
        let jwks = format!(
            r#"{{"keys":[{{"kty":"oct","kid":"bench","alg":"HS256","use":"sig","k":"{}"}}]}}"#,
            URL_SAFE_NO_PAD.encode(secret)
        );
        let ring = KeyRing::from_jwks(&jwks)?;
        let signer = ring.signer().ok_or("a ring that cannot sign")?.clone();
        Ok(Self {
            secret,
            jwks,
            ring: SharedRing::new(ring),
            signer,
        })
    }

    /// The ring as a JWK Set.
    pub(crate) fn jwks(&self) -> SecretString {
        SecretString::from(self.jwks.as_str())
    }

    /// A verifier of the tokens, as the services have it.
    pub(crate) fn verifier(&self) -> Arc<Verifier> {
        let clock = Arc::new(SystemClock);
        Arc::new(Verifier::new(
            self.ring.clone(),
            Expectations::default(),
            clock,
        ))
    }

    /// The same, which checks every signature anew.
    pub(crate) fn uncached_verifier(&self) -> Arc<Verifier> {
        let (ring, clock) = (self.ring.clone(), Arc::new(SystemClock));
        Arc::new(Verifier::new(ring, Expectations::default(), clock).without_cache())
    }

    /// A token of staff, as the auth service would give it to this user.
    pub(crate) fn token(&self, user_id: i64) -> String {
        self.signer.sign(&self.claims(user_id))
    }

    /// What such a token says.
    pub(crate) fn claims(&self, user_id: i64) -> Claims {
        let now = SystemClock.now_seconds();
        Claims {
            issuer: "millgate".to_owned(),
            audience: "millgate".to_owned(),
            subject: user_id.to_string(),
            issued_at: now,
            expires_at: now + TOKEN_LIFE_SECONDS,
            not_before: None,
            token_id: SystemEntropy.uuid_v4().to_string(),
            auth_time: Some(now),
            amr: vec!["pwd".to_owned()],
            scope: None,
            role: Some("user".to_owned()),
            session: Some(SystemEntropy.uuid_v4().to_string()),
            generation: Some(0),
            actors: Vec::new(),
        }
    }

    /// The `authorization` entry of such a token.
    pub(crate) fn bearer(&self) -> Result<AsciiMetadataValue, Problem> {
        Ok(format!("Bearer {}", self.token(1)).parse()?)
    }
}
