//! Tokens that are refused before they expire.

mod entry;
mod live;
mod table;

use tokio::sync::watch;

pub use entry::{Revocation, Target};
pub(crate) use live::Progress;
pub use live::{LiveRevocations, Stats};

use crate::claims::Claims;
use crate::refusal::Refusal;

/// What the guard asks about every well-made token. It answers from memory: no I/O, no waiting.
pub trait Revocations: Send + Sync + 'static {
    /// Why these claims are refused, if they are: [`Refusal::TokenRevoked`],
    /// [`Refusal::SessionEnded`], or [`Refusal::RevocationUnavailable`] when what is known is too
    /// old to go by.
    fn refuses(&self, claims: &Claims) -> Option<Refusal>;

    /// Why everything that was signed with the key of this name is refused, if it is.
    fn refuses_key(&self, kid: &str) -> Option<Refusal> {
        let _ = kid;
        None
    }

    /// What changes with every revocation that becomes known: whoever serves a long stream waits
    /// for it, and asks again. None where nothing ever changes.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// Refuses nothing: a token lives until it expires.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRevocations;

impl Revocations for NoRevocations {
    fn refuses(&self, _claims: &Claims) -> Option<Refusal> {
        None
    }
}
