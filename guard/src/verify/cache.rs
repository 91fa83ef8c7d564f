//! Tokens whose signature was good, so that it need not be checked again. What can change (time,
//! revocations, the ring) is looked at every time.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use zeroize::Zeroizing;

use crate::caller::Caller;

/// Where tokens are kept: each belongs in one set, at one of its places. With all of them, 8192, about 12 MB.
const SETS: usize = 2048;
/// The places of a set. With one alone, two of a hundred callers would often take each other's.
const PLACES: usize = 4;
/// The end of a token is its signature, different in every token; enough of it to tell where the
/// token is kept.
const TAIL: usize = 32;

/// Places for tokens; where all of a set are taken, the one goes whose token ends first. Reading takes no lock and
/// allocates nothing.
pub(super) struct Cache {
    sets: Box<[Set]>,
    hasher: RandomState,
}

type Set = [ArcSwapOption<Good>; PLACES];

struct Good {
    token: Zeroizing<String>,
    ring: u64,
    caller: Caller,
}

impl Good {
    /// Whether it is this very text, found good by this ring.
    fn is(&self, token: &str, ring: u64) -> bool {
        self.ring == ring && same(&self.token, token)
    }
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            sets: (0..SETS).map(|_| Set::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Whose token this very text is, if this ring found it good before.
    pub(super) fn get(&self, token: &str, ring: u64) -> Option<Caller> {
        self.set(token).iter().find_map(|place| {
            let held = place.load();
            let good = held.as_ref().filter(|good| good.is(token, ring))?;
            Some(good.caller.clone())
        })
    }

    pub(super) fn put(&self, token: &str, ring: u64, caller: Caller) {
        // One that is empty, or this token's own, or another ring's, goes before all others.
        let worth = |place: &&ArcSwapOption<Good>| match place.load().as_ref() {
            Some(good) if good.ring == ring && !good.is(token, ring) => {
                good.caller.claims().expires_at
            }
            _ => i64::MIN,
        };
        let good = Good {
            token: Zeroizing::new(token.to_owned()),
            ring,
            caller,
        };
        if let Some(place) = self.set(token).iter().min_by_key(worth) {
            place.store(Some(Arc::new(good)));
        }
    }

    /// Forgets this token.
    pub(super) fn forget(&self, token: &str) {
        for place in self.set(token) {
            let held = place.load();
            if held.as_ref().is_some_and(|good| same(&good.token, token)) {
                place.store(None);
            }
        }
    }

    fn set(&self, token: &str) -> &Set {
        let bytes = token.as_bytes();
        let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
        let hash = self.hasher.hash_one(tail) % SETS as u64;
        &self.sets[usize::try_from(hash).unwrap_or_default()]
    }
}

/// Whether both are one token. The tails, which hold the signature, are compared first and in a time
/// that does not tell where they differ: from an ordinary comparison a signature could be guessed
/// byte by byte.
fn same(held: &str, token: &str) -> bool {
    let (held, token) = (held.as_bytes(), token.as_bytes());
    let (Some((held, held_tail)), Some((token, tail))) = (
        held.split_last_chunk::<TAIL>(),
        token.split_last_chunk::<TAIL>(),
    ) else {
        return false;
    };
    let differing = held_tail
        .iter()
        .zip(tail)
        .fold(0, |differing, (one, other)| differing | (one ^ other));
    std::hint::black_box(differing) == 0 && held == token
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Claims;

    const RING: u64 = 1;

    fn caller(number: usize, expires_at: i64) -> Caller {
        let payload = format!(
            r#"{{"iss":"i","aud":"a","sub":"{}","iat":1,"exp":{expires_at},"jti":"j","role":"user","sid":"s","gen":0}}"#,
            number + 1
        );
        let claims = Claims::read(payload.as_bytes()).unwrap();
        Caller::new(claims, "k".into()).unwrap()
    }

    fn token(number: usize) -> String {
        format!("header.payload.{number:0>64}")
    }

    #[test]
    fn a_thousand_callers_do_not_take_each_others_places() {
        let cache = Cache::new();
        for number in 0..1000 {
            cache.put(&token(number), RING, caller(number, 10));
        }
        let kept = (0..1000).filter(|number| cache.get(&token(*number), RING).is_some());
        // Five of one set are as good as none.
        assert!(kept.count() >= 990);
    }

    #[test]
    fn who_comes_when_a_set_is_full_takes_the_place_of_what_ends_first() {
        let cache = Cache::new();
        let set = cache.set(&token(0)) as *const Set;
        let neighbours = (0..).filter(|number| std::ptr::eq(cache.set(&token(*number)), set));
        let numbers: Vec<usize> = neighbours.take(PLACES + 1).collect();
        let (last, first) = numbers.split_last().unwrap();
        for (place, number) in first.iter().enumerate() {
            let expires_at = 20 + i64::try_from(place % 3).unwrap();
            cache.put(&token(*number), RING, caller(*number, expires_at));
        }
        let is_kept = |number: &usize| cache.get(&token(*number), RING).is_some();
        assert!(first.iter().all(is_kept));
        cache.put(&token(*last), RING, caller(*last, 10));
        assert!(is_kept(last));
        assert_eq!(
            first.iter().filter(|number| is_kept(number)).count(),
            PLACES - 1
        );
        // A token takes one place, however often it is put there, and is gone when it is forgotten.
        for _ in 0..PLACES {
            cache.put(&token(*last), RING, caller(*last, 10));
        }
        assert_eq!(
            first.iter().filter(|number| is_kept(number)).count(),
            PLACES - 1
        );
        cache.forget(&token(*last));
        assert!(!is_kept(last));
        assert_eq!(
            first.iter().filter(|number| is_kept(number)).count(),
            PLACES - 1
        );
    }

    #[test]
    fn nothing_is_kept_for_another_ring_or_another_signature() {
        let cache = Cache::new();
        cache.put(&token(7), RING, caller(7, 10));
        assert!(cache.get(&token(7), RING).is_some());
        assert!(cache.get(&token(7), RING + 1).is_none());
        assert!(cache.get(&token(8), RING).is_none());
    }
}
