//! An issuer of tokens, in process: of any role, scope, age or defect.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;

use crate::ambient::{Entropy as _, SharedClock};
use crate::claims::Claims;
use crate::keys::{KeyAlgorithm, KeyRing, RingKey, Signer};
use crate::scopes::Scopes;
use crate::shared_ring::SharedRing;
use crate::testing::SeededEntropy;
use crate::verify::{Expectations, Verifier};

/// Makes tokens for tests, with a key ring of its own or the one of the server under test.
#[derive(Debug)]
pub struct Issuer {
    ring: SharedRing,
    clock: SharedClock,
    entropy: SeededEntropy,
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// `alg: none` and an empty signature (RFC 7519 section 6).
    AlgNone,
    /// `alg: none` above a good signature of the ring's key.
    AlgNoneButSigned,
    /// `alg: HS512` above a good HS256 signature.
    OtherAlgorithm,
    /// Signed with a key that is not in the ring, under a `kid` that is.
    ForeignKey,
    /// Signed with a key that is not in the ring, under its own `kid`.
    UnknownKey,
    /// The role was changed after signing.
    TamperedPayload,
    /// One bit of the signature is another.
    TamperedSignature,
    /// Well signed, but `typ` is `rt+jwt`.
    WrongType,
    /// Well signed, with a fourth header member (`jwk`).
    ExtraHeader,
    /// Well signed, with `role` twice.
    DuplicateClaim,
    /// Well signed, with `=` behind each part.
    Padded,
}

impl Defect {
    /// Every defect, for tests that go through all of them.
    pub const ALL: [Self; 11] = [
        Self::AlgNone,
        Self::AlgNoneButSigned,
        Self::OtherAlgorithm,
        Self::ForeignKey,
        Self::UnknownKey,
        Self::TamperedPayload,
        Self::TamperedSignature,
        Self::WrongType,
        Self::ExtraHeader,
        Self::DuplicateClaim,
        Self::Padded,
    ];
}

impl Issuer {
    /// An issuer with a key ring of its own, the same in every run.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self::with_algorithm(KeyAlgorithm::Hs256, clock)
    }

    /// The same, with a key for this algorithm.
    #[must_use]
    pub fn with_algorithm(algorithm: KeyAlgorithm, clock: SharedClock) -> Self {
        let ring = generate(1, algorithm, &clock);
        Self::over(SharedRing::new(ring), clock)
    }

    /// An issuer that signs with the ring of a server under test.
    #[must_use]
    pub fn over(ring: SharedRing, clock: SharedClock) -> Self {
        Self {
            ring,
            clock,
            entropy: SeededEntropy::new(3),
        }
    }

    /// The ring that the tokens are signed with.
    #[must_use]
    pub fn ring(&self) -> SharedRing {
        self.ring.clone()
    }

    /// A verifier of these tokens, with the default expectations.
    #[must_use]
    pub fn verifier(&self) -> Arc<Verifier> {
        let clock = self.clock.clone();
        Arc::new(Verifier::new(self.ring(), Expectations::default(), clock))
    }

    /// A person's token: unscoped, issued and proved now, for 15 minutes.
    pub fn user(&self, id: i64, role: &str) -> Draft<'_> {
        let mut draft = self.draft(id.to_string());
        draft.claims.auth_time = Some(draft.claims.issued_at);
        draft.claims.amr = vec!["pwd".to_owned()];
        draft.claims.role = Some(role.to_owned());
        draft.claims.session = Some(format!("session-of-{id}"));
        draft.claims.generation = Some(0);
        draft
    }

    /// A service's token; an empty `scope` means none.
    pub fn service(&self, client_id: &str, scope: &str) -> Draft<'_> {
        let draft = self.draft(client_id.to_owned());
        if scope.is_empty() {
            draft
        } else {
            draft.scope(scope)
        }
    }

    /// A token with this very header and payload, well signed.
    #[must_use]
    pub fn sign_raw(&self, header: &str, payload: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(header);
        signer(&self.ring.current()).sign_parts(&header, payload.as_bytes())
    }

    fn draft(&self, subject: String) -> Draft<'_> {
        let now = self.clock.now_seconds();
        Draft {
            issuer: self,
            defect: None,
            claims: Claims {
                issuer: "millgate".to_owned(),
                audience: "millgate".to_owned(),
                subject,
                issued_at: now,
                expires_at: now + 900,
                not_before: None,
                token_id: self.entropy.uuid_v4().to_string(),
                auth_time: None,
                amr: Vec::new(),
                scope: None,
                role: None,
                session: None,
                generation: None,
                actors: Vec::new(),
            },
        }
    }
}

/// A token that is being made.
#[derive(Clone, Debug)]
#[must_use = "call token() or bearer()"]
pub struct Draft<'a> {
    issuer: &'a Issuer,
    claims: Claims,
    defect: Option<Defect>,
}

impl Draft<'_> {
    /// Restricts the token to scopes, separated by spaces.
    #[expect(clippy::expect_used, reason = "a test names its scopes itself")]
    pub fn scope(mut self, scope: &str) -> Self {
        self.claims.scope = Some(Scopes::parse(scope).expect("the test's scope"));
        self
    }

    /// Issues the token that long ago; it ends as much earlier.
    pub fn issued_ago(mut self, age: Duration) -> Self {
        self.claims.issued_at -= seconds(age);
        self.claims.expires_at -= seconds(age);
        self
    }

    /// Lets the token live that long from its issue.
    pub fn lives(mut self, life: Duration) -> Self {
        self.claims.expires_at = self.claims.issued_at + seconds(life);
        self
    }

    /// A token whose time was over a second ago.
    pub fn expired(self) -> Self {
        self.issued_ago(Duration::from_secs(901))
    }

    /// Lets the person have proved who they are that long ago.
    pub fn proved_ago(mut self, age: Duration) -> Self {
        self.claims.auth_time = Some(self.issuer.clock.now_seconds() - seconds(age));
        self
    }

    /// Lets somebody act on the subject's behalf, through whoever did before.
    pub fn acting(mut self, actor: &str) -> Self {
        self.claims.actors.insert(0, actor.to_owned());
        self
    }

    /// Changes the claims at will.
    pub fn with(mut self, change: impl FnOnce(&mut Claims)) -> Self {
        change(&mut self.claims);
        self
    }

    /// Breaks the token.
    pub fn defect(mut self, defect: Defect) -> Self {
        self.defect = Some(defect);
        self
    }

    /// The claims, as they stand.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> String {
        let ring = self.issuer.ring.current();
        let good = signer(&ring).sign(&self.claims);
        let payload = self.claims.to_json();
        let kid = ring.active_kid().to_owned();
        let algorithm = ring.key(&kid).map_or(KeyAlgorithm::Hs256, RingKey::kind);
        let foreign = generate(2, algorithm, &self.issuer.clock);
        let alg = algorithm.as_str();
        let header =
            |alg: &str, typ: &str| format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"{typ}"}}"#);
        let (good_head, good_signature) = good.rsplit_once('.').unwrap_or_default();
        match self.defect {
            None => good,
            Some(Defect::AlgNone) => format!(
                "{}.{}.",
                URL_SAFE_NO_PAD.encode(header("none", "at+jwt")),
                URL_SAFE_NO_PAD.encode(&payload)
            ),
            Some(Defect::AlgNoneButSigned) => {
                self.issuer.sign_raw(&header("none", "at+jwt"), &payload)
            }
            Some(Defect::OtherAlgorithm) => {
                self.issuer.sign_raw(&header("HS512", "at+jwt"), &payload)
            }
            Some(Defect::ForeignKey) => signer(&foreign).sign_parts(
                &URL_SAFE_NO_PAD.encode(header(alg, "at+jwt")),
                payload.as_bytes(),
            ),
            Some(Defect::UnknownKey) => signer(&foreign).sign(&self.claims),
            Some(Defect::TamperedPayload) => {
                let mut claims = self.claims.clone();
                claims.role = Some("admin".to_owned());
                claims.token_id.push('x');
                let head = good_head.split('.').next().unwrap_or_default();
                let forged = URL_SAFE_NO_PAD.encode(claims.to_json());
                format!("{head}.{forged}.{good_signature}")
            }
            Some(Defect::TamperedSignature) => {
                let mut signature = URL_SAFE_NO_PAD.decode(good_signature).unwrap_or_default();
                if let Some(byte) = signature.first_mut() {
                    *byte ^= 1;
                }
                format!("{good_head}.{}", URL_SAFE_NO_PAD.encode(signature))
            }
            Some(Defect::WrongType) => self.issuer.sign_raw(&header(alg, "rt+jwt"), &payload),
            Some(Defect::ExtraHeader) => {
                let header = header(alg, "at+jwt").replacen('{', r#"{"jwk":{},"#, 1);
                self.issuer.sign_raw(&header, &payload)
            }
            Some(Defect::DuplicateClaim) => {
                let payload = payload.replacen('{', r#"{"role":"admin","role":"admin","#, 1);
                self.issuer.sign_raw(&header(alg, "at+jwt"), &payload)
            }
            Some(Defect::Padded) => {
                let parts: Vec<String> = good.split('.').map(|part| format!("{part}=")).collect();
                parts.join(".")
            }
        }
    }

    /// The value of an `authorization` entry with the token.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token())
    }
}

#[expect(clippy::expect_used, reason = "an issuer is made of a ring that signs")]
fn signer(ring: &KeyRing) -> &Signer {
    ring.signer().expect("a ring with a private key")
}

#[expect(
    clippy::expect_used,
    reason = "a generated ring is a good one, or the test must fail"
)]
fn generate(seed: u64, algorithm: KeyAlgorithm, clock: &SharedClock) -> KeyRing {
    let jwks = KeyRing::generate_with(algorithm, &SeededEntropy::new(seed), clock.as_ref());
    KeyRing::from_jwks(jwks.expose_secret()).expect("a generated key ring")
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
