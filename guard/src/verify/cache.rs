//! Tokens whose signature was good, so that it need not be checked again. What can change (time,
//! revocations, the ring) is looked at every time.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use zeroize::Zeroizing;

use crate::caller::Caller;

/// As many tokens as are kept, at most: with all of them about 12 MB.
const SLOTS: usize = 8192;
/// The end of a token is its signature, different in every token; enough of it to tell where the
/// token is kept.
const TAIL: usize = 32;

/// A place for each token; another one that belongs there takes it over. Reading takes no lock
/// and allocates nothing.
pub(super) struct Cache {
    slots: Box<[ArcSwapOption<Good>]>,
    hasher: RandomState,
}

struct Good {
    token: Zeroizing<String>,
    ring: u64,
    caller: Caller,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| ArcSwapOption::empty()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Whose token this very text is, if this ring found it good before.
    pub(super) fn get(&self, token: &str, ring: u64) -> Option<Caller> {
        let held = self.slot(token).load();
        held.as_ref()
            .filter(|good| good.ring == ring && same(&good.token, token))
            .map(|good| good.caller.clone())
    }

    pub(super) fn put(&self, token: &str, ring: u64, caller: Caller) {
        let good = Good {
            token: Zeroizing::new(token.to_owned()),
            ring,
            caller,
        };
        self.slot(token).store(Some(Arc::new(good)));
    }

    /// Forgets what is kept where this token belongs.
    pub(super) fn forget(&self, token: &str) {
        self.slot(token).store(None);
    }

    fn slot(&self, token: &str) -> &ArcSwapOption<Good> {
        let bytes = token.as_bytes();
        let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
        let hash = self.hasher.hash_one(tail) % SLOTS as u64;
        &self.slots[usize::try_from(hash).unwrap_or_default()]
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
