//! What is noted when a call is over, however it ends: its line in the log, its numbers.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use tokio::time::Instant;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::StatusExt as _;
use tracing::Span;

use super::{edge::Shared, rate::is_health, witness::RefusedCall};
use crate::{client_address::ClientInfo, fault::Reason};

/// Lives as long as the call and its answer; what is to be noted is noted when it is dropped.
/// A call that is dropped before it had a code was given up by its caller.
pub(super) struct Ending {
    code: Option<Code>,
    reason: Option<Reason>,
    span: Span,
    client: ClientInfo,
    /// For a witness: the request's id, and the credentials that it came with.
    witnessed: Option<(String, MetadataMap)>,
    path: String,
    started: Instant,
    shared: Arc<Shared>,
}

impl Ending {
    pub(super) fn new(span: Span, client: ClientInfo, path: &str, shared: &Arc<Shared>) -> Self {
        Self {
            code: None,
            reason: None,
            span,
            client,
            witnessed: None,
            path: path.to_owned(),
            started: Instant::now(),
            shared: shared.clone(),
        }
    }

    /// Keeps what a witness is told, should the call be refused.
    pub(super) fn may_be_witnessed(&mut self, request_id: &str, headers: &HeaderMap) {
        let mut credentials = HeaderMap::new();
        for entry in headers.get_all(AUTHORIZATION) {
            let mut entry = entry.clone();
            entry.set_sensitive(true);
            credentials.append(AUTHORIZATION, entry);
        }
        let credentials = MetadataMap::from_headers(credentials);
        self.witnessed = Some((request_id.to_owned(), credentials));
    }

    /// The code that the answer ended with, and the headers or trailers that say so.
    pub(super) fn with(&mut self, code: Code, trailers: &HeaderMap) {
        self.code = Some(code);
        if code != Code::Ok {
            self.reason = Status::from_header_map(trailers)
                .and_then(|status| status.get_details_error_info())
                .and_then(|info| Reason::parse(&info.reason));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let took = self.started.elapsed();
        if let Some(metrics) = &self.shared.metrics {
            let known = self.shared.kinds.get(&self.path).is_some();
            metrics.call(known.then_some(self.path.as_str()), code, took);
            if let Some(reason) = self.reason {
                metrics.refusal(reason);
            }
        }
        let _entered = self.span.enter();
        if let (Some(witness), Some((request_id, credentials)), Some(reason)) =
            (&self.shared.witness, &self.witnessed, self.reason)
        {
            witness(&RefusedCall {
                path: &self.path,
                reason,
                client: &self.client,
                request_id,
                credentials,
            });
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let reason = self.reason.map(Reason::as_str).unwrap_or_default();
        let client = self.client.address;
        // Orchestrators ask every few seconds, for ever.
        if code == Code::Ok && is_health(&self.path) {
            tracing::debug!(target: "millgate.access", ?code, reason, micros, %client, "call");
        } else {
            tracing::info!(target: "millgate.access", ?code, reason, micros, %client, "call");
        }
    }
}
