//! The token of a password reset.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_platform::Entropy;
use ring::digest;
use secrecy::SecretString;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// How long a token works: OWASP's Forgot Password Cheat Sheet asks for short; a mail may take some minutes.
pub(crate) const RESET_LIFE: Duration = Duration::from_secs(15 * 60);
/// The most mails to one account in an hour: nobody's mailbox is filled by strangers, and they do not use the hour up by
/// asking a few times.
pub(crate) const MAILS_PER_HOUR: i64 = 10;
/// What an hour is.
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// 256 random bits, as base64url.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct ResetToken([u8; 32]);

impl ResetToken {
    /// A new one.
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

    /// What is stored of it. A plain SHA-256 is enough: there is nothing to guess in 256 random bits.
    pub(crate) fn stored(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::SystemEntropy;
    use secrecy::ExposeSecret;

    #[test]
    fn a_token_reads_back_and_has_one_spelling() {
        let token = ResetToken::generate(&SystemEntropy);
        let text = token.text();
        let text = text.expose_secret();
        let read = ResetToken::parse(text).expect("a token");
        assert_eq!(read.stored(), token.stored());
        for bad in [
            "",
            &text[1..],
            &format!("{text}="),
            &format!(" {}", &text[1..]),
            &format!("{}/", &text[1..]),
        ] {
            assert!(ResetToken::parse(bad).is_none(), "{bad}");
        }
        assert!(
            ResetToken::parse(&format!("{}B", "A".repeat(42))).is_none(),
            "stray bits"
        );
    }
}
