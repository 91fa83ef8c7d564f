//! The secrets that are given to machines: service accounts' secrets and personal access tokens.
//!
//! A secret that ends up in a repository or a log must be found by the scanners that look for such things, so it has the
//! form that GitHub has published for its own ("Behind GitHub's new authentication token formats", 2021): a prefix that
//! says what it is, random characters, and a checksum, by which a scanner tells a real one from a look-alike without
//! asking anybody, and by which we refuse a mistyped one without asking the database.

use millgate_platform::Entropy;
use secrecy::{ExposeSecret, SecretString};

/// The digits of base 62: no character of it ends a word, so that a double click takes a secret whole.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Random digits of a secret: 62^43 is a little more than 2^256.
const RANDOM: usize = 43;
/// Digits of the checksum: 62^6 is more than 2^32.
const CHECKSUM: usize = 6;

/// What a secret is for, as its prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretKind {
    /// A service account's secret.
    ServiceAccount,
    /// A personal access token.
    AccessToken,
}

impl SecretKind {
    /// What every secret of the kind begins with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::ServiceAccount => "mgs_",
            Self::AccessToken => "mgp_",
        }
    }
}

/// A secret of this form. Its `Debug` does not show it.
#[derive(Debug, Clone)]
pub(crate) struct MachineSecret(SecretString);

impl MachineSecret {
    /// A new secret: 256 random bits.
    pub(crate) fn generate(kind: SecretKind, entropy: &dyn Entropy) -> Self {
        let mut text = String::with_capacity(kind.prefix().len() + RANDOM + CHECKSUM);
        text.push_str(kind.prefix());
        let whole = text.len() + RANDOM;
        while text.len() < whole {
            let mut random = [0; 64];
            entropy.fill(&mut random);
            // Six bits of each byte; the two values that are no digit are left out, so that every digit is as likely.
            let digits = random
                .iter()
                .filter_map(|byte| DIGITS.get(usize::from(byte & 63)))
                .take(whole - text.len());
            text.extend(digits.map(|digit| char::from(*digit)));
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text.into())
    }

    /// Reads a secret that somebody sent. None unless it has the form, checksum included.
    pub(crate) fn parse(kind: SecretKind, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(kind.prefix())?;
        let good = digits.len() == RANDOM + CHECKSUM
            && digits.bytes().all(|byte| DIGITS.contains(&byte))
            && text.ends_with(&checksum(&text[..text.len() - CHECKSUM]));
        good.then(|| Self(text.into()))
    }

    /// The secret, to be sent.
    pub(crate) fn text(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The CRC-32 of what stands before it, prefix included, as six digits. No protection against anybody: it finds
/// mistakes, all those of a single character among them.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        // Below 62 by the remainder.
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_guard::SeededEntropy;
    use proptest::prelude::*;

    const KINDS: [SecretKind; 2] = [SecretKind::ServiceAccount, SecretKind::AccessToken];

    #[test]
    fn a_secret_has_the_form_that_scanners_are_told() {
        let secret = MachineSecret::generate(SecretKind::AccessToken, &SeededEntropy::new(1));
        assert_eq!(secret.text().len(), 53);
        assert!(secret.text().starts_with("mgp_"));
        assert!(
            secret.text()[4..]
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric())
        );
        assert!(!format!("{secret:?}").contains(secret.text()));
    }

    #[test]
    fn the_checksum_is_the_crc_32_of_everybody() {
        // The check value of CRC-32/ISO-HDLC for "123456789" is 0xcbf43926, which is 3421780262.
        let mut value: u64 = 0;
        for digit in checksum("123456789").bytes() {
            let place = DIGITS
                .iter()
                .position(|one| *one == digit)
                .expect("a digit");
            value = value * 62 + place as u64;
        }
        assert_eq!(value, 0xcbf4_3926);
    }

    #[test]
    fn a_kind_is_never_taken_for_the_other() {
        let secret = MachineSecret::generate(SecretKind::AccessToken, &SeededEntropy::new(1));
        let other = secret.text().replacen("mgp_", "mgs_", 1);
        for kind in KINDS {
            assert!(MachineSecret::parse(kind, &other).is_none());
        }
    }

    proptest! {
        #[test]
        fn what_is_generated_is_read_and_one_changed_character_is_refused(
            seed in any::<u64>(), place in 0usize..53, other in "[ -~]",
        ) {
            for kind in KINDS {
                let secret = MachineSecret::generate(kind, &SeededEntropy::new(seed));
                let text = secret.text();
                let read = MachineSecret::parse(kind, text);
                prop_assert_eq!(read.as_ref().map(MachineSecret::text), Some(text));
                let mut changed = text.to_owned();
                changed.replace_range(place..=place, &other);
                prop_assert_eq!(
                    MachineSecret::parse(kind, &changed).is_some(),
                    changed == text,
                    "{}", changed
                );
                prop_assert!(MachineSecret::parse(kind, &text[..place]).is_none());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            for kind in KINDS {
                let prefixed = format!("{}{text}", kind.prefix());
                for text in [&text, &prefixed] {
                    if let Some(secret) = MachineSecret::parse(kind, text) {
                        prop_assert_eq!(secret.text(), text);
                    }
                }
            }
        }
    }
}
