//! Where a call comes from, for sessions and for the audit log.

use std::net::IpAddr;

use millgate_platform::{ClientInfo, RequestContext};
use tonic::Extensions;

/// The client's address and program, as far as the server believes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The address; empty where nobody knows it.
    pub(crate) address: String,
    /// What its attempts are counted by: the address, or the /64 of an IPv6 one.
    pub(crate) network: Option<IpAddr>,
    /// The program: at most 256 printable characters, may be empty.
    pub(crate) user_agent: String,
    /// What the request is called in the logs.
    pub(crate) request_id: String,
}

impl Origin {
    /// From what the server put into a request's extensions.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let client = extensions.get::<ClientInfo>();
        let context = extensions.get::<RequestContext>();
        Self {
            address: client.map_or_else(String::new, |client| client.address.to_string()),
            network: client.map(ClientInfo::throttle_key),
            user_agent: client.map_or_else(String::new, |client| client.user_agent.clone()),
            request_id: context.map_or_else(String::new, |context| context.request_id.clone()),
        }
    }
}
