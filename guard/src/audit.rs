//! Refusals, told to the `millgate.audit` log target with their fine cause. Never a token.

use crate::caller::Caller;
use crate::refusal::Refusal;

/// Tells of a refused request. `cause` is a short name out of few, `flaw` what was wrong with a
/// malformed token or empty.
pub(crate) fn refused(refusal: Refusal, cause: &str, flaw: &str, caller: Option<&Caller>) {
    tracing::info!(
        target: "millgate.audit",
        reason = refusal.as_str(),
        cause,
        flaw = (!flaw.is_empty()).then_some(flaw),
        subject = caller.map(Caller::key),
        token_id = caller.map(Caller::token_id),
        "refused"
    );
}
