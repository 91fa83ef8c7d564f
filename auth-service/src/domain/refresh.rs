//! Refresh tokens: opaque, used once, in families (RFC 9700 section 4.14.2).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_platform::Entropy;
use ring::{digest, hmac};
use secrecy::SecretString;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Micros;
use super::time::micros;

/// How long after its use a refresh token may come again and gets the same answer: the first one may have been lost
/// on the way.
const RETRY: Duration = Duration::from_secs(10);

/// A refresh token: 256 random bits, as base64url.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct RefreshToken([u8; 32]);

impl RefreshToken {
    /// The first token of a family.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self(bytes)
    }

    /// Reads a token that somebody sent. One token has one spelling.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // 32 bytes are 43 characters; the decoder refuses stray bits in the last one.
        if text.len() != 43 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The token, to be sent.
    pub(crate) fn text(&self) -> SecretString {
        URL_SAFE_NO_PAD.encode(self.0).into()
    }

    /// What is stored of it. A plain SHA-256 is enough: there is nothing to guess in 256 random bits, so a slow hash
    /// would cost us and no attacker.
    pub(crate) fn stored(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0).as_ref().to_vec()
    }

    /// The token that follows it. Derived under a key, so that a retry can be given the same one although only its
    /// hash is stored.
    pub(crate) fn child(&self, key: &hmac::Key) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(key, &self.0).as_ref());
        Self(bytes)
    }
}

/// What the database says about a refresh token that somebody presents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented {
    /// Whether its session lives.
    pub(crate) session_lives: bool,
    /// When it was used, where it was.
    pub(crate) used_time: Option<Micros>,
    /// Whether its child exists and has not been used.
    pub(crate) child_is_unused: bool,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is good: use it up and give its child.
    Rotate,
    /// A retry: give the same child again.
    Repeat,
    /// Two parties have it: end the session.
    Reused,
    /// Its session has ended.
    Ended,
}

impl Presented {
    /// Decides at `now`.
    pub(crate) fn judge(self, now: Micros) -> Verdict {
        match self.used_time {
            _ if !self.session_lives => Verdict::Ended,
            None => Verdict::Rotate,
            Some(used) if self.child_is_unused && now.saturating_sub(used) <= micros(RETRY) => {
                Verdict::Repeat
            }
            Some(_) => Verdict::Reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::SystemEntropy;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_token_reads_back_in_one_spelling_only() {
        let token = RefreshToken::generate(&SystemEntropy);
        let text = token.text().expose_secret().to_owned();
        assert_eq!(
            RefreshToken::parse(&text).expect("own text").stored(),
            token.stored()
        );
        for bad in [
            format!("{text}="),
            format!(" {text}"),
            text[1..].to_owned(),
            text.replace('-', "+") + "/",
            String::new(),
        ] {
            assert!(RefreshToken::parse(&bad).is_none(), "{bad:?}");
        }
        assert!(
            RefreshToken::parse(&format!("{}B", "A".repeat(42))).is_none(),
            "stray bits"
        );
    }

    #[test]
    fn the_child_follows_from_token_and_key() {
        let key = |byte| hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]);
        let token = RefreshToken::generate(&SystemEntropy);
        assert_eq!(token.child(&key(1)).stored(), token.child(&key(1)).stored());
        assert_ne!(token.child(&key(1)).stored(), token.child(&key(2)).stored());
        assert_ne!(token.child(&key(1)).stored(), token.stored());
    }

    #[test]
    fn a_token_works_once_and_a_retry_gets_the_same() {
        let fresh = Presented {
            session_lives: true,
            used_time: None,
            child_is_unused: false,
        };
        assert_eq!(fresh.judge(5), Verdict::Rotate);
        let used = Presented {
            used_time: Some(0),
            child_is_unused: true,
            ..fresh
        };
        assert_eq!(used.judge(10_000_000), Verdict::Repeat);
        assert_eq!(used.judge(10_000_001), Verdict::Reused);
        assert_eq!(
            Presented {
                child_is_unused: false,
                ..used
            }
            .judge(1),
            Verdict::Reused
        );
    }

    #[test]
    fn an_ended_session_answers_nothing_else() {
        for used_time in [None, Some(0)] {
            for child_is_unused in [true, false] {
                let presented = Presented {
                    session_lives: false,
                    used_time,
                    child_is_unused,
                };
                assert_eq!(presented.judge(1), Verdict::Ended);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            if let Some(token) = RefreshToken::parse(&text) {
                let again = token.text();
                prop_assert_eq!(again.expose_secret(), &text);
            }
        }
    }
}
