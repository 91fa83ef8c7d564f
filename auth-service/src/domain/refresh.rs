//! Refresh tokens: opaque, used once, in families (RFC 9700 section 4.14.2).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_platform::Entropy;
use ring::{digest, hmac};
use secrecy::SecretString;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Micros;
use super::time::micros;

/// How long after its use a refresh token may come again and gets the same answer: the first one may have been lost
/// on the way.
const RETRY: Duration = Duration::from_secs(10);

/// The keys behind refresh tokens.
pub(crate) struct RefreshKeys {
    /// Derives a token's successor.
    pub(crate) derive: hmac::Key,
    /// Seals a token's place.
    pub(crate) seal: hmac::Key,
}

/// A refresh token: 256 random bits, and its place in its session.
///
/// The random bits decide: only whoever has them has a token, and only their hash is stored. The place (which session,
/// the how-maniest token of it) is there so that a used one can be told from an unknown one for as long as its session
/// lives, without a row for every token that ever was: a caller could otherwise fill the disk by refreshing. Keeping
/// the last thousand rows and calling older ones unknown would have been simpler, but then a thief who waits for a
/// thousand refreshes is not noticed. The place is sealed together with the random bits: nobody can make up a token
/// that looks used and end another's session with it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct RefreshToken {
    secret: [u8; SECRET],
    /// None in a token from before there were places.
    #[zeroize(skip)]
    place: Option<Place>,
}

/// Where a token stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its session.
    pub(crate) session: String,
    /// The how-maniest token of the session it is, from 1.
    pub(crate) number: i64,
}

impl Place {
    /// That of the first token of a session.
    pub(crate) fn first(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            number: 1,
        }
    }
}

const SECRET: usize = 32;
/// 128 bits: RFC 2104 section 5 asks for half the hash at least, and 80 bits.
const SEAL: usize = 16;
const HEAD: usize = SECRET + size_of::<i64>() + SEAL;
/// The most bytes of a session's id, which is a UUID.
const LONGEST_SESSION: usize = 64;
/// The characters of a token without a place: 32 bytes.
const WITHOUT_PLACE: usize = 43;

impl RefreshToken {
    /// The first token of a family.
    pub(crate) fn generate(entropy: &dyn Entropy, place: Place) -> Self {
        let mut secret = [0; SECRET];
        entropy.fill(&mut secret);
        Self {
            secret,
            place: Some(place),
        }
    }

    /// Reads a token that somebody sent. One token has one spelling, and nobody but us can spell one with a place.
    pub(crate) fn parse(text: &str, keys: &RefreshKeys) -> Option<Self> {
        if text.len() > (HEAD + LONGEST_SESSION).div_ceil(3) * 4 {
            return None;
        }
        // The decoder refuses stray bits in the last character.
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (secret, place) = bytes.split_first_chunk::<SECRET>()?;
        if text.len() == WITHOUT_PLACE {
            return Some(Self {
                secret: *secret,
                place: None,
            });
        }
        let (number, place) = place.split_first_chunk()?;
        let (seal, session) = place.split_first_chunk::<SEAL>()?;
        let place = Place {
            session: std::str::from_utf8(session).ok()?.to_owned(),
            number: i64::from_be_bytes(*number),
        };
        let good = sealed(secret, &place, keys).ct_eq(seal);
        bool::from(good).then_some(Self {
            secret: *secret,
            place: Some(place),
        })
    }

    /// The token, to be sent.
    pub(crate) fn text(&self, keys: &RefreshKeys) -> SecretString {
        let mut bytes = Zeroizing::new(self.secret.to_vec());
        if let Some(place) = &self.place {
            bytes.extend_from_slice(&place.number.to_be_bytes());
            bytes.extend_from_slice(&sealed(&self.secret, place, keys));
            bytes.extend_from_slice(place.session.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&bytes).into()
    }

    /// What is stored of it. A plain SHA-256 is enough: there is nothing to guess in 256 random bits, so a slow hash
    /// would cost us and no attacker.
    pub(crate) fn stored(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.secret)
            .as_ref()
            .to_vec()
    }

    /// Its place, where it has one.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The token that follows it in `session`. Derived under a key, so that a retry can be given the same one although
    /// only its hash is stored.
    pub(crate) fn child(&self, keys: &RefreshKeys, session: &str) -> Self {
        let mut secret = [0; SECRET];
        secret.copy_from_slice(hmac::sign(&keys.derive, &self.secret).as_ref());
        let number = self.place.as_ref().map_or(0, |place| place.number);
        Self {
            secret,
            place: Some(Place {
                session: session.to_owned(),
                number: number + 1,
            }),
        }
    }
}

fn sealed(secret: &[u8; SECRET], place: &Place, keys: &RefreshKeys) -> [u8; SEAL] {
    let mut context = hmac::Context::with_key(&keys.seal);
    context.update(secret);
    context.update(&place.number.to_be_bytes());
    context.update(place.session.as_bytes());
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&context.sign().as_ref()[..SEAL]);
    seal
}

/// Which numbers the tokens of a session have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    /// Of the first one that counts.
    pub(crate) floor: i64,
    /// Of the newest.
    pub(crate) count: i64,
}

impl Family {
    /// Whether a token of which no row is left was used. One from before the floor was forgotten on purpose; one that
    /// is newer than the newest was issued by a database that has been restored since.
    pub(crate) fn has_used(self, token: &RefreshToken) -> bool {
        token
            .place()
            .is_some_and(|place| (self.floor..self.count).contains(&place.number))
    }

    /// The rows below this number may go: a retry asks about the newest token and the one before it.
    pub(crate) const fn forgotten_below(self) -> i64 {
        self.count - 1
    }
}

/// When a token was used of which no row is left: long ago.
pub(crate) const LONG_AGO: Micros = Micros::MIN;

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

    fn keys(byte: u8) -> RefreshKeys {
        let key = |byte| hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]);
        RefreshKeys {
            derive: key(byte),
            seal: key(byte + 100),
        }
    }

    fn first() -> RefreshToken {
        let place = Place {
            session: "a-session".to_owned(),
            number: 1,
        };
        RefreshToken::generate(&SystemEntropy, place)
    }

    fn without_place(text: &str) -> RefreshToken {
        RefreshToken::parse(text, &keys(1)).expect("a token from before there were places")
    }

    #[test]
    fn a_token_reads_back_in_one_spelling_only() {
        let token = first();
        let text = token.text(&keys(1)).expose_secret().to_owned();
        let read = RefreshToken::parse(&text, &keys(1)).expect("own text");
        assert_eq!(
            (read.stored(), read.place()),
            (token.stored(), token.place())
        );
        for bad in [
            format!("{text}="),
            format!(" {text}"),
            text[1..].to_owned(),
            text[..text.len() - 1].to_owned(),
            text.replace('-', "+") + "/",
            format!("{text}{text}"),
            "A".repeat(1_000_000),
            String::new(),
        ] {
            assert!(RefreshToken::parse(&bad, &keys(1)).is_none(), "{bad:.100?}");
        }
        assert!(
            RefreshToken::parse(&format!("{}B", "A".repeat(42)), &keys(1)).is_none(),
            "stray bits"
        );
    }

    #[test]
    fn nobody_can_make_up_a_token_that_looks_used() {
        let text = first().text(&keys(1)).expose_secret().to_owned();
        assert!(RefreshToken::parse(&text, &keys(2)).is_none());
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert!(RefreshToken::parse(&forged, &keys(1)).is_none(), "{at}");
        }
    }

    #[test]
    fn a_token_from_before_there_were_places_is_read_and_its_child_has_one() {
        let text = "A".repeat(WITHOUT_PLACE);
        let old = without_place(&text);
        assert_eq!(old.place(), None);
        assert_eq!(old.text(&keys(1)).expose_secret(), &text);
        let child = old.child(&keys(1), "a-session");
        assert_eq!(child.place(), first().place());
    }

    #[test]
    fn the_child_follows_from_token_and_key() {
        let token = first();
        let child = |key| token.child(&keys(key), "a-session");
        assert_eq!(
            child(1).text(&keys(1)).expose_secret(),
            child(1).text(&keys(1)).expose_secret()
        );
        assert_ne!(child(1).stored(), child(2).stored());
        assert_ne!(child(1).stored(), token.stored());
        assert_eq!(child(1).place().map(|place| place.number), Some(2));
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

    /// One thing that happens to a session.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// Somebody presents one of the tokens that there have been, counted from the newest.
        Present(usize),
        /// The password is changed: all tokens are forgotten, and a new family begins.
        Renew,
        /// Time passes, in seconds.
        Wait(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => Just(Step::Present(0)),
            3 => (0_usize..6).prop_map(Step::Present),
            1 => Just(Step::Renew),
            2 => (0_i64..15).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 1..60)
    }

    /// A row: its number, and when it was used.
    type Rows = std::collections::BTreeMap<i64, Option<Micros>>;

    fn judge(rows: &Rows, family: Family, token: &RefreshToken, now: Micros) -> Option<Verdict> {
        let number = token.place().expect("a place").number;
        let used_time = match rows.get(&number) {
            Some(used_time) => *used_time,
            None if family.has_used(token) => Some(LONG_AGO),
            None => return None,
        };
        let presented = Presented {
            session_lives: true,
            used_time,
            child_is_unused: rows.get(&(number + 1)) == Some(&None),
        };
        Some(presented.judge(now))
    }

    proptest! {
        /// What a session remembers with two rows is what it would know with all of them.
        #[test]
        fn two_rows_judge_every_token_as_all_rows_would(steps in steps()) {
            let keys = keys(1);
            let mut tokens = vec![first()];
            let mut family = Family { floor: 1, count: 1 };
            let (mut all, mut kept) = (Rows::from([(1, None)]), Rows::from([(1, None)]));
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Wait(seconds) => now += seconds * 1_000_000,
                    Step::Renew => {
                        family = Family { floor: family.count + 1, count: family.count + 1 };
                        let place = Place { session: "a-session".to_owned(), number: family.count };
                        tokens.push(RefreshToken::generate(&SystemEntropy, place));
                        all = Rows::from([(family.count, None)]);
                        kept = all.clone();
                    }
                    Step::Present(back) => {
                        let Some(at) = tokens.len().checked_sub(back + 1) else { continue };
                        let token = tokens[at].clone();
                        let full = judge(&all, Family { floor: i64::MAX, ..family }, &token, now);
                        prop_assert_eq!(judge(&kept, family, &token, now), full);
                        match full {
                            Some(Verdict::Rotate) => {
                                family.count += 1;
                                let number = token.place().expect("a place").number;
                                for rows in [&mut all, &mut kept] {
                                    rows.insert(number, Some(now));
                                    rows.insert(family.count, None);
                                }
                                kept.retain(|number, _| *number >= family.forgotten_below());
                                prop_assert!(kept.len() <= 2);
                                let child = token.child(&keys, "a-session");
                                prop_assert_eq!(child.place().expect("a place").number, family.count);
                                tokens.push(child);
                            }
                            // The session is over.
                            Some(Verdict::Reused) => return Ok(()),
                            _ => {}
                        }
                    }
                }
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in any::<String>()) {
            if let Some(token) = RefreshToken::parse(&text, &keys(1)) {
                let again = token.text(&keys(1));
                prop_assert_eq!(again.expose_secret(), &text);
            }
        }
    }
}
