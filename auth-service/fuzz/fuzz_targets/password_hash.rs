//! No text makes the parser of stored hashes panic, and what it takes is within the ceilings.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = auth_service::fuzzing::password_hash(text);
});
