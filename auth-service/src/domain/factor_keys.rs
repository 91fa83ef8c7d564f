//! The keys of second factors. They come from the file that the auth service alone reads, so a copy of the database
//! without it makes no code.

use millgate_platform::{Entropy, ServiceSecrets};
use ring::error::Unspecified;
use ring::{aead, hmac};
use zeroize::Zeroizing;

use super::Micros;
use super::totp::TotpSecret;

/// Seals the secrets of apps, and hashes recovery codes.
pub(crate) struct FactorKeys {
    seal: aead::LessSafeKey,
    /// Under which recovery codes are stored.
    pub(crate) recovery: hmac::Key,
}

/// Where a sealed secret belongs: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FactorPlace {
    /// Whose it is.
    pub(crate) user_id: i64,
    /// When it was made.
    pub(crate) begin_time: Micros,
}

impl FactorPlace {
    fn aad(self) -> aead::Aad<[u8; 16]> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.user_id.to_be_bytes());
        bytes[8..].copy_from_slice(&self.begin_time.to_be_bytes());
        aead::Aad::from(bytes)
    }
}

impl FactorKeys {
    /// From the service's secrets: a key for each use.
    ///
    /// # Errors
    /// Never with keys of the cipher's length, as these are.
    pub(crate) fn new(secrets: &ServiceSecrets) -> Result<Self, Unspecified> {
        let seal = secrets.derive("second factor secrets");
        Ok(Self {
            seal: aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &seal[..])?),
            recovery: hmac::Key::new(
                hmac::HMAC_SHA256,
                secrets.derive("recovery codes").as_slice(),
            ),
        })
    }

    /// Encrypts a secret: a nonce, the secret, a tag. The nonce is random: 96 bits are enough for 2^32 secrets under one
    /// key (NIST SP 800-38D section 8.3).
    ///
    /// # Errors
    /// Never for a text as short as a secret.
    pub(crate) fn seal(
        &self,
        secret: &TotpSecret,
        place: FactorPlace,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; aead::NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = secret.bytes().to_vec();
        let unique = aead::Nonce::assume_unique_for_key(nonce);
        self.seal
            .seal_in_place_append_tag(unique, place.aad(), &mut sealed)?;
        sealed.splice(..0, nonce);
        Ok(sealed)
    }

    /// Decrypts the secret of this place. None when it was sealed for another, under another key, or changed since.
    pub(crate) fn open(&self, sealed: &[u8], place: FactorPlace) -> Option<TotpSecret> {
        let (nonce, sealed) = sealed.split_at_checked(aead::NONCE_LEN)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let opened = self
            .seal
            .open_in_place(nonce, place.aad(), &mut bytes)
            .ok()?;
        TotpSecret::from_bytes(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::SystemEntropy;

    const PLACE: FactorPlace = FactorPlace {
        user_id: 7,
        begin_time: 1_800_000_000_000_000,
    };

    fn keys(byte: u8) -> FactorKeys {
        FactorKeys::new(&ServiceSecrets::from_master(&[byte; 32])).expect("keys")
    }

    #[test]
    fn a_secret_opens_in_its_own_place_and_nowhere_else() {
        let secret = TotpSecret::generate(&SystemEntropy);
        let sealed = keys(1)
            .seal(&secret, PLACE, &SystemEntropy)
            .expect("sealed");
        let opened = keys(1).open(&sealed, PLACE).expect("its own place");
        assert_eq!(opened.bytes(), secret.bytes());
        let other_user = FactorPlace {
            user_id: 8,
            ..PLACE
        };
        let other_time = FactorPlace {
            begin_time: PLACE.begin_time + 1,
            ..PLACE
        };
        assert!(keys(1).open(&sealed, other_user).is_none());
        assert!(keys(1).open(&sealed, other_time).is_none());
        assert!(keys(2).open(&sealed, PLACE).is_none());
    }

    #[test]
    fn a_changed_byte_or_a_cut_end_does_not_open() {
        let secret = TotpSecret::generate(&SystemEntropy);
        let sealed = keys(1)
            .seal(&secret, PLACE, &SystemEntropy)
            .expect("sealed");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys(1).open(&changed, PLACE).is_none(), "{at}");
            assert!(keys(1).open(&sealed[..at], PLACE).is_none(), "{at}");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_to_the_same_bytes_and_does_not_show() {
        let secret = TotpSecret::generate(&SystemEntropy);
        let seal = || {
            keys(1)
                .seal(&secret, PLACE, &SystemEntropy)
                .expect("sealed")
        };
        let (one, other) = (seal(), seal());
        assert_ne!(one, other);
        assert!(!one.windows(8).any(|part| secret.bytes().starts_with(part)));
    }
}
