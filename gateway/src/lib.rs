//! HTTP/JSON in, gRPC out: every method that carries a `google.api.http` annotation as a REST route, from the
//! descriptors alone.
//!
//! The way of a request, a module a hop:
//!
//! ```text
//! server        connections: TLS, time limits, stop
//! gateway       routes, upstreams, rules
//! call          the order of things for one request
//!   transport   refuses what can be read in two ways
//!   own         what the gateway serves itself                       (openapi, docs)
//!   router      method and path -> a binding     (template, percent; api reads them from the descriptors)
//!   headers     what may pass on, and whether there is a token at all
//!   body        content type, size, time                         (memory)
//!   binder      path, query, body, headers -> one message      (json, query, mask, preconditions)
//!   upstream    the call
//!   answer      message -> status, headers, JSON                (json, location)
//!   conditional, compression    304 and gzip
//!   error       a refusal or a failure -> status, headers, JSON
//! ```
//!
//! A method that streams takes its messages by `client_stream`, or answers by `server_stream`; one that does both at once
//! answers 501 STREAM_NOT_SERVED: HTTP/1.1 has no way to do that.

mod accept;
mod activity;
pub mod answer;
pub mod api;
pub mod binder;
pub mod body;
mod call;
mod call_stream;
mod client_stream;
pub mod compression;
mod conditional;
pub mod config;
pub mod cors;
mod csv;
mod docs;
pub mod error;
pub mod gateway;
pub mod headers;
pub mod health;
pub mod healthcheck;
pub mod json;
pub mod location;
pub mod mask;
pub mod memory;
mod numbers;
pub mod openapi;
mod own;
pub mod percent;
mod pipe;
mod places;
pub mod preconditions;
pub mod prepare;
pub mod problem;
pub mod query;
pub mod rate;
mod raw;
pub mod reply;
pub mod router;
pub mod sequence;
pub mod server;
mod server_stream;
mod stream_gzip;
pub mod streams;
pub mod template;
pub mod transport;
mod unzip;
pub mod upstream;

pub use config::{Config, LimitArgs};
pub use gateway::{Gateway, Peer, Rules};
pub use healthcheck::healthcheck;
pub use prepare::{Prepared, prepare};
pub use server::ServeError;
pub use upstream::{Upstream, UpstreamConfig};
