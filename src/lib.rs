//! The contract: what `proto/` says, as generated Rust modules, and the descriptor set it was made from.

// The generated modules stand in the nesting of their packages, because they name each other by relative path.
include!(concat!(env!("OUT_DIR"), "/contract.rs"));
// `Debug` for the messages with a field marked `debug_redact`.
include!(concat!(env!("OUT_DIR"), "/redacted.rs"));

pub use millgate::{access, auth, factory};

/// The encoded `google.protobuf.FileDescriptorSet` of every file of the contract, imports, comments and custom
/// options included: what reflection serves, and where the guard and the gateway read their rules and routes.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
