//! Access tokens: JWTs in the form of RFC 9068 (`typ: at+jwt`, its claims but `client_id`: `sub` says who).

use std::time::Duration;

use millgate_guard::{Claims, Expectations, Scopes, SigningRing};
use millgate_platform::{SharedClock, SharedEntropy};
use secrecy::SecretString;

use crate::domain::{self, DELEGATED_LIFE, Micros, Session, SessionLimits, User, seconds};

/// The `amr` of a personal access token. RFC 8176 registers no value for one, and each that it has says something that
/// did not happen (`pop`: that a key was proved); RFC 7519 leaves values to those who use them.
const ACCESS_TOKEN_METHOD: &str = "pat";

/// Signs access tokens.
pub(crate) struct Mint {
    ring: SigningRing,
    expect: Expectations,
    life: Duration,
    sessions: SessionLimits,
    clock: SharedClock,
    entropy: SharedEntropy,
}

/// A signed access token.
pub(crate) struct AccessToken {
    /// The token.
    pub(crate) text: SecretString,
    /// How long it lives, in seconds.
    pub(crate) expires_in: i32,
}

impl Mint {
    /// Tokens of `life` that the guards with these expectations take.
    pub(crate) fn new(
        ring: SigningRing,
        expect: Expectations,
        life: Duration,
        sessions: SessionLimits,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        Self {
            ring,
            expect,
            life,
            sessions,
            clock,
            entropy,
        }
    }

    /// A person's token. It ends with its session at the latest.
    pub(crate) fn person(&self, user: &User, session: &Session) -> AccessToken {
        let ends = seconds(session.end(self.sessions));
        self.sign(ends, |claims| Claims {
            subject: user.id.to_string(),
            auth_time: Some(seconds(session.auth_time)),
            amr: session
                .amr
                .split(' ')
                .filter(|method| !method.is_empty())
                .map(str::to_owned)
                .collect(),
            role: Some(user.role.as_str().to_owned()),
            session: Some(session.id.clone()),
            generation: Some(user.generation),
            ..claims
        })
    }

    /// A token of a person who is not there, for their personal access token: with its scopes, and without a time at
    /// which they proved who they are, so that it never passes for a fresh one. It ends with the personal access token
    /// at the latest.
    pub(crate) fn by_access_token(
        &self,
        user: &User,
        token: &domain::AccessToken,
        scopes: &Scopes,
    ) -> AccessToken {
        self.sign(seconds(token.expire_time), |claims| Claims {
            subject: user.id.to_string(),
            amr: vec![ACCESS_TOKEN_METHOD.to_owned()],
            scope: Some(scopes.clone()),
            role: Some(user.role.as_str().to_owned()),
            session: Some(token.sid.clone()),
            generation: Some(user.generation),
            ..claims
        })
    }

    /// A service account's token. It is of the time at which the account was looked up, and not of now: an account that
    /// is taken out of use in between ends it.
    pub(crate) fn service(&self, client_id: &str, scopes: &Scopes, read: Micros) -> AccessToken {
        self.sign_at(seconds(read), i64::MAX, |claims| Claims {
            subject: client_id.to_owned(),
            scope: Some(scopes.clone()),
            ..claims
        })
    }

    /// A token by which services act for the person of `subject`, a token that is good now. It ends with that one at the
    /// latest, and soon.
    pub(crate) fn delegated(
        &self,
        subject: &Claims,
        scopes: &Scopes,
        actors: Vec<String>,
    ) -> AccessToken {
        let life = i64::try_from(DELEGATED_LIFE.as_secs()).unwrap_or(i64::MAX);
        let soon = self.clock.now_seconds().saturating_add(life);
        self.sign(subject.expires_at.min(soon), |claims| Claims {
            subject: subject.subject.clone(),
            auth_time: subject.auth_time,
            amr: subject.amr.clone(),
            scope: Some(scopes.clone()),
            role: subject.role.clone(),
            session: subject.session.clone(),
            generation: subject.generation,
            actors,
            ..claims
        })
    }

    /// The audience of every token.
    pub(crate) fn audience(&self) -> &str {
        &self.expect.audience
    }

    fn sign(&self, ends: i64, fill: impl FnOnce(Claims) -> Claims) -> AccessToken {
        self.sign_at(self.clock.now_seconds(), ends, fill)
    }

    fn sign_at(&self, now: i64, ends: i64, fill: impl FnOnce(Claims) -> Claims) -> AccessToken {
        let life = i64::try_from(self.life.as_secs()).unwrap_or(i64::MAX);
        // A token of a session in its last second still has to be one: `exp` is after `iat`.
        let expires_at = now
            .saturating_add(life)
            .min(ends)
            .max(now.saturating_add(1));
        let claims = fill(Claims {
            issuer: self.expect.issuer.clone(),
            audience: self.expect.audience.clone(),
            subject: String::new(),
            issued_at: now,
            expires_at,
            not_before: None,
            token_id: self.entropy.uuid_v4().to_string(),
            auth_time: None,
            amr: Vec::new(),
            scope: None,
            role: None,
            session: None,
            generation: None,
            actors: Vec::new(),
        });
        AccessToken {
            text: self.ring.signer().sign(&claims).into(),
            expires_in: i32::try_from(expires_at.saturating_sub(now)).unwrap_or(i32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::Role;
    use crate::domain::tests::user;
    use millgate_guard::testing::{Issuer, ManualClock};
    use millgate_platform::SystemEntropy;
    use secrecy::ExposeSecret;

    const NOW: i64 = 1_800_000_000_000_000;

    fn mint(issuer: &Issuer, clock: &Arc<ManualClock>) -> Mint {
        let limits = SessionLimits {
            idle: Duration::from_secs(60),
            absolute: Duration::from_secs(600),
            per_user: 100,
        };
        let life = Duration::from_secs(900);
        Mint::new(
            issuer.ring().signing().expect("a ring that signs"),
            Expectations::default(),
            life,
            limits,
            clock.clone(),
            Arc::new(SystemEntropy),
        )
    }

    fn session(create_time: i64) -> Session {
        Session {
            id: "sid-1".into(),
            user_id: 7,
            auth_time: create_time,
            amr: "pwd".into(),
            create_time,
            last_used_time: create_time,
            ended_time: None,
        }
    }

    #[test]
    fn the_guard_takes_a_persons_token_and_reads_what_the_mint_wrote() {
        let clock = ManualClock::shared(NOW);
        let issuer = Issuer::new(clock.clone());
        let token = mint(&issuer, &clock).person(&user(7, Role::Mechanic, None), &session(NOW));
        let claims = issuer
            .verifier()
            .verify(token.text.expose_secret())
            .expect("a good token");
        assert_eq!(
            (claims.subject.as_str(), claims.role.as_deref()),
            ("7", Some("mechanic"))
        );
        assert_eq!(
            (claims.session.as_deref(), claims.generation),
            (Some("sid-1"), Some(1))
        );
        assert_eq!(
            (claims.auth_time, claims.amr),
            (Some(NOW / 1_000_000), vec!["pwd".to_owned()])
        );
        assert_eq!(claims.scope, None);
    }

    #[test]
    fn a_token_does_not_outlive_its_session() {
        let clock = ManualClock::shared(NOW);
        let issuer = Issuer::new(clock.clone());
        let mint = mint(&issuer, &clock);
        let person = user(7, Role::Customer, None);
        assert_eq!(mint.person(&person, &session(NOW)).expires_in, 600);
        assert_eq!(
            mint.person(&person, &session(NOW - 590_000_000)).expires_in,
            10
        );
        assert_eq!(
            mint.person(&person, &session(NOW - 599_999_999)).expires_in,
            1
        );
    }

    #[test]
    fn a_services_token_has_its_scope_and_no_role() {
        let clock = ManualClock::shared(NOW);
        let issuer = Issuer::new(clock.clone());
        let scopes = Scopes::parse("users.read").expect("a scope");
        let token = mint(&issuer, &clock).service("shop", &scopes, NOW - 2_000_000);
        let claims = issuer
            .verifier()
            .verify(token.text.expose_secret())
            .expect("a good token");
        assert_eq!(
            (claims.subject.as_str(), claims.role, claims.session),
            ("shop", None, None)
        );
        assert_eq!(claims.scope, Some(scopes));
        assert_eq!(token.expires_in, 900);
        assert_eq!(claims.issued_at, NOW / 1_000_000 - 2);
    }
}
