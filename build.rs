//! Compiles `proto/` to Rust, keeps the descriptor set, and refuses a method without a sound access rule.
//!
//! protox does what protoc would: nothing else needs to be installed.

#[path = "build/access_rules.rs"]
mod access_rules;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::path::{Path, PathBuf};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=proto");
    let root = Path::new("proto");
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_source_info(true).include_imports(true);
    for file in protos(&root.join("millgate"))? {
        compiler.open_file(file)?;
    }
    // No message of ours names the details of errors, but whoever reads them asks reflection for their types.
    compiler.open_file(root.join("google/rpc/error_details.proto"))?;

    // Only these bytes still hold the custom options: a round trip through prost's own types drops extensions.
    let descriptors = compiler.encode_file_descriptor_set();
    access_rules::check(&descriptors)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("descriptors.bin"), &descriptors)?;

    let redacted = messages_with_secrets(&DescriptorPool::decode(descriptors.as_slice())?);
    std::fs::write(out.join("redacted.rs"), debug_without_fields(&redacted))?;
    tonic_prost_build::configure()
        .include_file("contract.rs")
        // Options of methods and fields: read from the descriptors, never used as Rust types.
        .extern_path(".google.api", "::prost_types")
        .extern_path(".google.rpc", "::prost_types")
        .skip_debug(redacted.iter().map(|message| message.full_name()))
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The messages with a field marked `debug_redact`: a password or token must not reach a log by way of `{:?}`.
fn messages_with_secrets(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages()
        .filter(|message| {
            message.fields().any(|field| {
                let redact = field
                    .options()
                    .get_field_by_name("debug_redact")
                    .and_then(|value| value.as_bool());
                redact == Some(true)
            })
        })
        .collect()
}

/// A `Debug` that tells the message's name and nothing of its content.
fn debug_without_fields(messages: &[MessageDescriptor]) -> String {
    messages
        .iter()
        .map(|message| {
            format!(
                "impl ::core::fmt::Debug for {path} {{\n    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{\n        f.debug_struct({name:?}).finish_non_exhaustive()\n    }}\n}}\n",
                path = message.full_name().replace('.', "::"),
                name = message.name(),
            )
        })
        .collect()
}

fn protos(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
