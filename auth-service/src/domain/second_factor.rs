//! What a second factor is proved with: a code of an app, or a recovery code.

use millgate_platform::Entropy;
use ring::hmac;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::totp::TotpCode;

/// Symbols of a recovery code: 16 of five bits each, 80 bits.
const SYMBOLS: usize = 16;
/// Symbols of a group.
const GROUP: usize = 4;
/// How many recovery codes an account gets (DESIGN).
pub(crate) const RECOVERY_CODES: usize = 10;
/// The longest text that is looked at: a recovery code with a space around each symbol.
const LONGEST: usize = 64;
/// Crockford's base 32: no letter of it is taken for a digit on paper.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How a person proved a second factor, beside the password (RFC 8176 section 2): a one-time password, so more than one
/// factor. A recovery code is a one-time password, too.
pub(crate) const BOTH_METHODS: &str = "pwd otp mfa";
/// The method in an access token's `amr` that says that a second factor was proved.
pub(crate) const CODE_METHOD: &str = "otp";

/// What somebody proves a second factor with.
pub(crate) enum Code {
    /// What the app shows.
    Totp(TotpCode),
    /// One of the codes that were written down.
    Recovery(RecoveryCode),
}

impl Code {
    /// Reads either; spaces and hyphens do not matter.
    ///
    /// # Errors
    /// What a code looks like.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let bare = bare(text);
        let totp = || TotpCode::from_digits(&bare).map(Self::Totp);
        let recovery = || RecoveryCode::from_symbols(&bare).map(Self::Recovery);
        totp()
            .or_else(recovery)
            .ok_or("6 digits, or a recovery code of 16 letters and digits")
    }

    /// Reads what the app shows, and nothing else.
    ///
    /// # Errors
    /// What a code looks like.
    pub(crate) fn parse_totp(text: &str) -> Result<TotpCode, &'static str> {
        TotpCode::from_digits(&bare(text)).ok_or("6 digits")
    }
}

/// Without spaces and hyphens; empty for a text that is too long to be looked at.
fn bare(text: &str) -> Zeroizing<String> {
    let text = if text.len() > LONGEST { "" } else { text };
    Zeroizing::new(
        text.chars()
            .filter(|letter| !matches!(letter, ' ' | '-'))
            .collect(),
    )
}

/// A code that logs in once without the app.
pub(crate) struct RecoveryCode(Zeroizing<[u8; SYMBOLS]>);

impl RecoveryCode {
    /// A new one.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; SYMBOLS]);
        entropy.fill(&mut bytes[..]);
        for byte in bytes.iter_mut() {
            // 256 is a multiple of 32, so every symbol is as likely.
            *byte = ALPHABET[usize::from(*byte & 31)];
        }
        Self(bytes)
    }

    /// Small letters are the same, and the letters that the alphabet leaves out are the digits that they look like.
    fn from_symbols(text: &str) -> Option<Self> {
        if text.len() != SYMBOLS {
            return None;
        }
        let mut symbols = Zeroizing::new([0; SYMBOLS]);
        for (symbol, byte) in symbols.iter_mut().zip(text.bytes()) {
            *symbol = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                byte => byte,
            };
            if !ALPHABET.contains(symbol) {
                return None;
            }
        }
        Some(Self(symbols))
    }

    /// The code as it is shown, in groups.
    pub(crate) fn text(&self) -> SecretString {
        let groups = self.0.chunks(GROUP).map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join("-").into()
    }

    /// What is stored of it for this account: the same code is another one elsewhere. A keyed hash is enough: there is
    /// nothing to guess in 80 random bits, so a slow hash would cost us and no attacker; the key keeps whoever reads the
    /// database from trying at all.
    pub(crate) fn stored(&self, user_id: i64, key: &hmac::Key) -> Vec<u8> {
        let mut context = hmac::Context::with_key(key);
        context.update(&user_id.to_be_bytes());
        context.update(&self.0[..]);
        context.sign().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use millgate_platform::SystemEntropy;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn kind(text: &str) -> &'static str {
        match Code::parse(text) {
            Ok(Code::Totp(_)) => "totp",
            Ok(Code::Recovery(_)) => "recovery",
            Err(_) => "none",
        }
    }

    #[test]
    fn codes_are_told_apart_by_their_form() {
        for (text, is) in [
            ("123456", "totp"),
            ("000000", "totp"),
            ("123 456", "totp"),
            (" 123-456 ", "totp"),
            ("0123-4567-89AB-CDEF", "recovery"),
            ("0123456789012345", "recovery"),
            ("o123-4567-89ab-cdef", "recovery"),
            ("", "none"),
            ("12345", "none"),
            ("1234567", "none"),
            ("12345a", "none"),
            ("+12345", "none"),
            ("１２３４５６", "none"),
            ("123\u{a0}456", "none"),
            ("123\n456", "none"),
            ("0123-4567-89AB-CDEU", "none"),
            ("0123-4567-89AB-CDE", "none"),
            ("0123-4567-89AB-CDEé", "none"),
        ] {
            assert_eq!(kind(text), is, "{text:?}");
        }
        assert_eq!(kind(&" ".repeat(1_000_000)), "none");
        assert_eq!(kind(&format!("123456{}", " ".repeat(LONGEST - 6))), "totp");
        assert_eq!(kind(&format!("123456{}", " ".repeat(LONGEST - 5))), "none");
        assert!(Code::parse_totp("0123-4567-89AB-CDEF").is_err());
    }

    #[test]
    fn a_recovery_code_is_another_one_at_another_account_and_under_another_key() {
        let code = RecoveryCode::generate(&SystemEntropy);
        assert_ne!(code.stored(1, &key(1)), code.stored(2, &key(1)));
        assert_ne!(code.stored(1, &key(1)), code.stored(1, &key(2)));
    }

    #[test]
    fn no_two_codes_are_the_same_and_every_symbol_comes_up() {
        let texts: HashSet<_> = (0..200)
            .map(|_| RecoveryCode::generate(&SystemEntropy).text())
            .map(|text| text.expose_secret().to_owned())
            .collect();
        assert_eq!(texts.len(), 200);
        let seen: HashSet<u8> = texts.iter().flat_map(|text| text.bytes()).collect();
        assert_eq!(seen.len(), ALPHABET.len() + 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_only_digits_are_a_code(text in "\\PC{0,80}") {
            let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
            let six = bare.len() == 6 && bare.bytes().all(|b| b.is_ascii_digit()) && text.len() <= LONGEST;
            prop_assert_eq!(kind(&text) == "totp", six);
        }

        #[test]
        fn spaces_and_hyphens_do_not_matter_anywhere(
            digits in "[0-9]{6}",
            gaps in proptest::collection::vec("[ -]{0,6}", 7),
        ) {
            let mut text = gaps[0].clone();
            for (digit, gap) in digits.chars().zip(&gaps[1..]) {
                text.push(digit);
                text.push_str(gap);
            }
            let read = bare(&text);
            prop_assert_eq!(read.as_str(), digits.as_str());
            prop_assert_eq!(kind(&text), "totp");
        }

        #[test]
        fn a_recovery_code_reads_back_however_it_is_typed(lower in any::<bool>(), spaced in any::<bool>()) {
            let code = RecoveryCode::generate(&SystemEntropy);
            let mut text = code.text().expose_secret().to_owned();
            if lower { text = text.to_lowercase().replace('0', "o").replace('1', "l"); }
            if spaced { text = text.replace('-', " "); }
            let Ok(Code::Recovery(read)) = Code::parse(&text) else { panic!("own text") };
            prop_assert_eq!(read.stored(7, &key(1)), code.stored(7, &key(1)));
        }
    }
}
