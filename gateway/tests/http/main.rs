//! The gateway over real HTTP, in front of a real tonic server whose answers each test writes.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod changes;
mod compression;
mod connections;
mod csv;
mod docs;
mod failures;
mod fuzzing;
mod guarded;
mod headers;
mod hostile;
mod json_grammar;
mod json_test_suite;
mod messages;
mod openapi;
mod raw;
mod refusals;
mod routes;
mod sample;
mod settings;
mod stream_rules;
mod streams;
mod support;
mod transcoding;
