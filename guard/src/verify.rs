//! Verification of an access token: who signed it, whom it is for, and whether it is time.

mod cache;

use std::time::Duration;

use crate::ambient::SharedClock;
use crate::caller::Caller;
use crate::claims::Claims;
use crate::compact::Compact;
use crate::crypto::NotVerified;
use crate::keys::{KeyRing, RingKey};
use crate::refusal::Refusal;
use crate::shared_ring::SharedRing;
use cache::Cache;

/// The `typ` of an access token (RFC 9068 section 2.1), compared without case.
const ACCESS_TOKEN: &str = "at+jwt";
/// How far ahead of ours the issuer's clock may be, in seconds.
pub(crate) const FARTHEST_FUTURE: i64 = 5;

/// No leeway is longer (RFC 7519 section 4.1.4: "usually no more than a few minutes"). Revocations are
/// kept for as much longer than what they refuse, so that nothing revoked comes back to life in it.
pub const LONGEST_LEEWAY: Duration = Duration::from_secs(60);

/// What a token must say.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, exactly.
    pub audience: String,
    /// How long after `exp`, and before `nbf`, a token is still taken. None by default, and never more
    /// than [`LONGEST_LEEWAY`].
    pub leeway: Duration,
    /// The longest life (`exp - iat`) that any issuer may give.
    pub longest_life: Duration,
}

impl Default for Expectations {
    fn default() -> Self {
        Self {
            issuer: "millgate".to_owned(),
            audience: "millgate".to_owned(),
            leeway: Duration::ZERO,
            longest_life: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Why a token was refused: the fine cause, for the audit log and the metrics. The wire is told
/// [`TokenFault::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFault {
    /// Not a token of the strict form; the text says what was wrong.
    Malformed(&'static str),
    /// The ring has no key of this `kid`.
    UnknownKey,
    /// `alg` is not the algorithm that the ring's key is used with (`none` among others).
    WrongAlgorithm,
    /// Not signed with the key it names.
    BadSignature,
    /// Well signed, yet no access token (`typ`).
    WrongType,
    /// Well signed by another issuer.
    WrongIssuer,
    /// Well signed for another audience.
    WrongAudience,
    /// It lives longer than any token may.
    LivesTooLong,
    /// Its `nbf`, or its `iat` by more than five seconds, is still to come.
    NotYetValid,
    /// Its `exp` has come.
    Expired,
}

impl TokenFault {
    /// What the wire is told: TOKEN_INVALID for all that a forger could have made.
    #[must_use]
    pub fn reason(self) -> Refusal {
        match self {
            Self::Malformed(_)
            | Self::UnknownKey
            | Self::WrongAlgorithm
            | Self::BadSignature
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::LivesTooLong => Refusal::TokenInvalid,
            Self::WrongType => Refusal::TokenWrongType,
            Self::NotYetValid => Refusal::TokenNotYetValid,
            Self::Expired => Refusal::TokenExpired,
        }
    }

    /// A short name of the cause, with few values: fit for a metric's label.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::BadSignature => "bad_signature",
            Self::WrongType => "wrong_type",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::LivesTooLong => "lives_too_long",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
        }
    }
}

/// Verifies access tokens against the key ring, in memory.
#[derive(Debug)]
pub struct Verifier {
    ring: SharedRing,
    expect: Expectations,
    leeway: i64,
    longest_life: i64,
    clock: SharedClock,
    cache: Option<Cache>,
}

impl Verifier {
    /// A verifier over a ring that may change under it.
    #[must_use]
    pub fn new(ring: SharedRing, expect: Expectations, clock: SharedClock) -> Self {
        Self {
            ring,
            leeway: whole_seconds(expect.leeway.min(LONGEST_LEEWAY)),
            longest_life: whole_seconds(expect.longest_life),
            expect,
            clock,
            cache: Some(Cache::new()),
        }
    }

    /// Checks every signature anew, and keeps no token.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.cache = None;
        self
    }

    /// Checks everything that a token must be, in the order of what may be told to its bearer:
    /// nothing but "invalid" before the signature was good.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenFault> {
        self.identify(token).map(|caller| caller.claims().clone())
    }

    /// The same, with everything that handlers ask about the caller. A token that was good before
    /// costs neither its signature nor an allocation; its time is looked at again.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn identify(&self, token: &str) -> Result<Caller, TokenFault> {
        let ring = self.ring.load();
        if let Some(cache) = &self.cache
            && let Some(caller) = cache.get(token, ring.id())
        {
            return match self.check_time(caller.claims()) {
                Ok(()) => Ok(caller),
                Err(fault) => {
                    cache.forget(token);
                    Err(fault)
                }
            };
        }
        let caller = read_signed(&ring, token)?;
        self.check(caller.claims())?;
        if let Some(cache) = &self.cache {
            cache.put(token, ring.id(), caller.clone());
        }
        Ok(caller)
    }

    /// What a token says that was well signed, whatever its times, issuer and audience are: to
    /// decide what may be told about a token that [`Verifier::verify`] refused. It lets nobody in.
    ///
    /// # Errors
    /// When it was not well signed, or is no access token of the strict form.
    pub fn read_signed(&self, token: &str) -> Result<Claims, TokenFault> {
        let caller = read_signed(&self.ring.load(), token)?;
        Ok(caller.claims().clone())
    }

    /// The clock that tokens are verified by.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Whether the ring still has the key that a token was signed with.
    pub(crate) fn has_key(&self, kid: &str) -> bool {
        self.ring.load().key(kid).is_some()
    }

    /// How long a token with these claims is still good.
    pub(crate) fn life_left(&self, claims: &Claims) -> Duration {
        let end = claims.expires_at.saturating_add(self.leeway);
        let left = end
            .saturating_mul(1_000_000)
            .saturating_sub(self.clock.now_micros());
        Duration::from_micros(u64::try_from(left).unwrap_or_default())
    }

    fn check(&self, claims: &Claims) -> Result<(), TokenFault> {
        if claims.issuer != self.expect.issuer {
            return Err(TokenFault::WrongIssuer);
        }
        if claims.audience != self.expect.audience {
            return Err(TokenFault::WrongAudience);
        }
        let life = claims.expires_at.saturating_sub(claims.issued_at);
        if life <= 0 {
            return Err(TokenFault::Malformed("exp is not after iat"));
        }
        if life > self.longest_life {
            return Err(TokenFault::LivesTooLong);
        }
        self.check_time(claims)
    }

    fn check_time(&self, claims: &Claims) -> Result<(), TokenFault> {
        let now = self.clock.now_seconds();
        if claims.issued_at > now.saturating_add(FARTHEST_FUTURE) {
            return Err(TokenFault::NotYetValid);
        }
        if claims
            .not_before
            .is_some_and(|begin| begin > now.saturating_add(self.leeway))
        {
            return Err(TokenFault::NotYetValid);
        }
        if claims.expires_at.saturating_add(self.leeway) <= now {
            return Err(TokenFault::Expired);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Typ {
    AccessToken,
    Other,
}

fn read_signed(ring: &KeyRing, token: &str) -> Result<Caller, TokenFault> {
    let compact = Compact::split(token).map_err(TokenFault::Malformed)?;
    let (key, typ) = check_signature(ring, &compact)?;
    if typ == Typ::Other {
        return Err(TokenFault::WrongType);
    }
    let payload = compact.payload().map_err(TokenFault::Malformed)?;
    let claims = Claims::read(&payload).map_err(TokenFault::Malformed)?;
    Caller::new(claims, key.kid.clone()).map_err(TokenFault::Malformed)
}

/// Finds the key and verifies the signature over the bytes as they came. The token only names a
/// key; which algorithm the key is used with is the ring's to say.
fn check_signature<'a>(
    ring: &'a KeyRing,
    compact: &Compact<'_>,
) -> Result<(&'a RingKey, Typ), TokenFault> {
    if let Some(key) = ring.key_by_header(compact.header) {
        verify_with(key, compact)?;
        return Ok((key, Typ::AccessToken));
    }
    let header = compact.header().map_err(TokenFault::Malformed)?;
    let key = ring.key(&header.kid).ok_or(TokenFault::UnknownKey)?;
    if header.algorithm != key.algorithm_name() {
        return Err(TokenFault::WrongAlgorithm);
    }
    verify_with(key, compact)?;
    let typ = match header.typ.eq_ignore_ascii_case(ACCESS_TOKEN) {
        true => Typ::AccessToken,
        false => Typ::Other,
    };
    Ok((key, typ))
}

fn verify_with(key: &RingKey, compact: &Compact<'_>) -> Result<(), TokenFault> {
    let signed = compact.signed.as_bytes();
    key.verifying
        .verify(compact.signature, signed)
        .map_err(|why| match why {
            NotVerified::Wrong => TokenFault::BadSignature,
            NotVerified::Encoding => {
                TokenFault::Malformed("the signature is not canonical base64url")
            }
        })
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
