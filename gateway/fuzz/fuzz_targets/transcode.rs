//! The way from a request to a message, and back to JSON, with whatever bytes the fuzzer finds.
#![no_main]

#[path = "../request.rs"]
mod request;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    request::is_bound_or_refused(bytes);
});
