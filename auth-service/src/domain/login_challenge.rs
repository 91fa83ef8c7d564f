//! The token between the two steps of a login: it says that the password was good, and is worth nothing without a code.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_platform::Entropy;
use ring::digest;
use secrecy::SecretString;
use zeroize::Zeroizing;

/// How long the second step may take (DESIGN).
pub(crate) const CHALLENGE_LIFE: Duration = Duration::from_secs(5 * 60);
/// Codes that may be tried with one token: people mistype, and a code can run out while it is typed.
pub(crate) const CODES_PER_CHALLENGE: i64 = 5;
/// Bytes of a token: 256 bits, nothing to guess.
const LENGTH: usize = 32;

/// The token. No `Debug`: it is half of a login.
pub(crate) struct ChallengeToken(Zeroizing<[u8; LENGTH]>);

impl ChallengeToken {
    /// A new token.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        entropy.fill(&mut bytes[..]);
        Self(bytes)
    }

    /// Reads a token that somebody sent. None when it does not have the form of one; there is one spelling only.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH.div_ceil(3) * 4 - 1 {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The token, to be sent.
    pub(crate) fn text(&self) -> SecretString {
        URL_SAFE_NO_PAD.encode(&self.0[..]).into()
    }

    /// What is stored of it. A plain SHA-256 is enough for 256 random bits.
    pub(crate) fn stored(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0[..])
            .as_ref()
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::SystemEntropy;
    use secrecy::ExposeSecret;

    #[test]
    fn a_token_reads_back_in_one_spelling_only() {
        let token = ChallengeToken::generate(&SystemEntropy);
        let text = token.text().expose_secret().to_owned();
        let read = ChallengeToken::parse(&text).expect("own text");
        assert_eq!(read.stored(), token.stored());
        for bad in [
            format!("{text}="),
            format!(" {text}"),
            text[1..].to_owned(),
            format!("{}B", "A".repeat(42)),
            "A".repeat(1_000_000),
            String::new(),
        ] {
            assert!(ChallengeToken::parse(&bad).is_none(), "{bad:.50?}");
        }
    }
}
