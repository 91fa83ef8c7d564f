//! What every Millgate service shares at run time.
//!
//! - [`database`]: SQLite and PostgreSQL behind one handle, one SQL text a statement.
//! - [`fault`], [`fields`], [`mask`], [`etag`], [`page`], [`idempotency`]: the rules of the
//!   contract that hold for every resource.
//! - [`config`], [`secrets`], [`telemetry`]: a start that refuses what is wrong, by name.
//! - [`serve`]: the server with all its limits; [`channel`]: calls to other services.

pub mod channel;
pub mod client_address;
pub mod config;
pub mod context;
pub mod database;
pub mod etag;
pub mod fault;
pub mod fields;
pub mod idempotency;
pub mod mask;
pub mod metrics;
pub mod page;
pub mod peer;
mod process;
mod reason;
pub mod secrets;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod trust;

pub use millgate_guard::{Clock, Entropy, SharedClock, SharedEntropy, SystemClock, SystemEntropy};

pub use channel::Propagation;
pub use client_address::{ClientInfo, ProxyArgs, TrustedProxies};
pub use config::{
    ClientTls, ClientTlsArgs, KeyArgs, LimitArgs, Limits, Permissions, ServerTls, StartError,
    TlsArgs,
};
pub use context::RequestContext;
pub use database::{
    Affected, Database, DatabaseOptions, Migrations, Tx, Violation, ViolationKind, Wake, violated,
};
pub use etag::Etag;
pub use fault::{Fault, FieldViolation, Reason};
pub use fields::{FieldFault, Fields};
pub use idempotency::{Claim, ClaimBy, Idempotency, Once};
pub use mask::Mask;
pub use metrics::{Metrics, MetricsArgs};
pub use page::{Binding, Cursor, Page, PageKey, PageRequest, SortValue};
pub use process::{Ambient, reachable};
pub use secrets::ServiceSecrets;
pub use serve::{Probe, RefusedCall, ServeError, Server, Witness};
pub use shutdown::{healthcheck, shutdown_signal};
pub use telemetry::LogArgs;
