//! Tokens that are refused before they expire.

use crate::claims::Claims;
use crate::refusal::Refusal;

/// What the guard asks about every well-made token. It answers from memory: no I/O, no waiting.
pub trait Revocations: Send + Sync + 'static {
    /// Why these claims are refused, if they are: [`Refusal::TokenRevoked`],
    /// [`Refusal::SessionEnded`], or [`Refusal::RevocationUnavailable`] when what is known is too
    /// old to go by.
    fn refuses(&self, claims: &Claims) -> Option<Refusal>;
}

/// Refuses nothing: a token lives until it expires.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRevocations;

impl Revocations for NoRevocations {
    fn refuses(&self, _claims: &Claims) -> Option<Refusal> {
        None
    }
}
