//! Who hears of every call that was refused, for a service that keeps a log of them.

use std::sync::Arc;

use tonic::metadata::MetadataMap;

use crate::{client_address::ClientInfo, fault::Reason};

/// Hears of every call that ended with a reason of ours, whether a service, the guard or a limit refused it. Runs on the
/// thread of the call when its answer is gone: it must not block.
pub type Witness = Arc<dyn Fn(&RefusedCall<'_>) + Send + Sync>;

/// A call that was refused.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedCall<'a> {
    /// The path as it was called, served or not.
    pub path: &'a str,
    /// Why.
    pub reason: Reason,
    /// Who called, as far as it can be believed.
    pub client: &'a ClientInfo,
    /// What the request is called in the logs.
    pub request_id: &'a str,
    /// The `authorization` entries as they were sent, and not verified: secrets.
    pub credentials: &'a MetadataMap,
}
