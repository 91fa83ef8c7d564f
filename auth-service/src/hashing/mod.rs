//! Password hashes: made with argon2id, checked in that and in the older formats that accounts may come with.

mod argon;
mod legacy;
mod pool;

pub(crate) use argon::Cost;
pub(crate) use pool::HashingPool;

use crate::domain::Password;

/// What comparing a password with a stored hash gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Whether it is the password.
    pub(crate) matches: bool,
    /// Whether the stored hash is of another format or cost than new ones are.
    pub(crate) outdated: bool,
}

/// Compares a password with a stored hash of any known format.
///
/// A hash that is malformed, of an unknown format, or asks for more work than its format's ceiling matches nothing
/// and is not obeyed; a hash of ours is computed instead, so that its account does not stand out by a fast answer.
fn verify(password: &Password, stored: &str, cost: Cost) -> Verification {
    if let Some(hash) = argon::Stored::parse(stored) {
        return Verification {
            matches: hash.matches(password.normal()),
            outdated: !hash.costs(cost),
        };
    }
    if let Some(hash) = legacy::Stored::parse(stored) {
        return Verification {
            matches: hash.matches(password.typed()),
            outdated: true,
        };
    }
    tracing::error!("a stored password hash has an unknown format or asks for too much work");
    let _same_time = argon::hash(password.normal(), &[0; 16], cost);
    Verification {
        matches: false,
        outdated: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Werkzeug 3.1.9 (`generate_password_hash`) and passlib 1.7.4 (`pbkdf2_sha256.hash`, `pbkdf2_sha512`).
    const OLD: &[(&str, &str)] = &[
        (
            "correct horse battery",
            "scrypt:32768:8:1$v0w9aizklWZU73hV$d53424f8c55798b9c0fc41f012a45d959ac9c647ef55eb2374e6584ac4b1a792cc12c7b06552ffcc4107df26bd44c948bf09c2efc7a58e7090786434a025b703",
        ),
        (
            "correct horse battery",
            "scrypt:1024:8:1$90ZsL4SdfIQplBY9$d2cb07f3a26d1f6e44b2078a8b2a2c9874e6743ea4c23d7d355ae8145b0e43aab8c84de27b3b0acc9591b56a174f81854dc2eee7b1590cba0e1b0a5ab603bc61",
        ),
        (
            "correct horse battery",
            "pbkdf2:sha256:1000$cvWAynnbPnuzN7iO$f1c140a6591cc90f68f008a74b8b47697898f3aa8b333be9dfce9512ecc189a6",
        ),
        (
            "correct horse battery",
            "pbkdf2:sha1:1000$M7UIInwRHoD1FTZI$c55f9135f4869182b85d5dd486e7ebc32723a0de",
        ),
        (
            "correct horse battery",
            "pbkdf2:sha512:1000$SfZWy7CW1olnV0sm$b5fe9777431dd379de0a278e3a1a4a19f5250a7ce522692fc9e650c967adf3e59ebf19f41a539ebeb9492428c846b705a0190fe19cca476671a3c8fc5d3e401a",
        ),
        (
            "correct horse battery",
            "pbkdf2:sha256:1000000$2TGxoTycrgL7zvk3$885c96317e6681dc38000e2df8b45731c88626012dccc26cb3298f23e0bcd21a",
        ),
        (
            "correct horse battery",
            "$pbkdf2-sha256$29000$yNkbA6CUcg7BWIsxBmCMEQ$8l55EwTSO.jImOTcXP0chcgrH7Q722.ZkQ83jezCsVM",
        ),
        (
            "correct horse battery",
            "$pbkdf2-sha512$1000$KYXwHuP8H0OoVWoNQWgtpQ$u/m7macxGCFxtc2JpCcAG/zW2tSSAY.R48EIfCs7ibgOsWdjPi8lQegrlSbFLyjdje2Z.7U8wAzf0SniVgNsbA",
        ),
        (
            "pässwörd-1",
            "scrypt:1024:8:1$YCcHeVKhKO6NssAE$810e4a56ed929ad5d41af5993f85eb038a92402269ec424ea39c2eb20bacc507cbf1b0152e7da2401af1e85cc71dfbae240dc203711571bfb9ae03647af4fe78",
        ),
        (
            "pässwörd-1",
            "pbkdf2:sha256:1000$reAMv1PJJDnnq9cr$6161691b5b44fdb9559a659425881b3e4e01bcccc3450fec9d20783b5b861cdf",
        ),
        (
            "pässwörd-1",
            "$pbkdf2-sha256$1000$r3XuXQvBGKNUqnUupXSuFQ$2v6vlnQiaK4BM.6imWn2.F67Tir5.kic47.HydK9R4w",
        ),
    ];

    fn password(text: &str) -> Password {
        Password::parse(text).expect("a password")
    }

    #[test]
    fn the_hashes_of_the_real_libraries_let_their_password_in_and_ask_to_be_replaced() {
        for (text, stored) in OLD {
            let good = verify(&password(text), stored, Cost::default());
            assert_eq!(
                good,
                Verification {
                    matches: true,
                    outdated: true
                },
                "{stored}"
            );
            let wrong = verify(&password("correct horse batterz"), stored, Cost::default());
            assert!(!wrong.matches, "{stored}");
        }
    }

    #[test]
    fn what_is_no_hash_lets_nobody_in() {
        for stored in [
            "",
            "$",
            "plain",
            "pbkdf2:md5:1$a$b",
            "$argon2id$",
            "scrypt:0:8:1$a$00",
            "$2b$12$abc",
        ] {
            let result = verify(&password("plain"), stored, Cost::default());
            assert_eq!(
                result,
                Verification {
                    matches: false,
                    outdated: true
                },
                "{stored}"
            );
        }
    }
}
