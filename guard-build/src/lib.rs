//! For the `build.rs` of a service behind the guard: compiles its protos, and fails on a method
//! that says nothing about who may call it. Nothing else needs to be installed, no protoc.
//!
//! ```no_run
//! # // build.rs
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     millgate_guard_build::compile(&["notes/v1/note_service.proto"], &["proto"])
//! }
//! ```
//!
//! In the service: `include!(concat!(env!("OUT_DIR"), "/services.rs"))` for the modules, and
//! `include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))` for `Rules::from_descriptors`.

#![deny(missing_docs)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use millgate_guard::Rules;

/// `millgate/access/v1/access.proto`, which annotated protos import.
pub const ACCESS_PROTO: &str = include_str!("../../proto/millgate/access/v1/access.proto");

/// Compiles `protos`, paths below one of the `includes`, into `OUT_DIR`: `services.rs` and
/// `descriptors.bin`. `millgate/access/v1/access.proto` is found by itself.
///
/// # Errors
/// When a proto is not good, or a method has no sound access rule; all such methods are named.
#[expect(
    clippy::print_stdout,
    reason = "a build.rs speaks to cargo by printing"
)]
pub fn compile(
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<(), Box<dyn Error>> {
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: call this from a build.rs")?;
    for include in includes {
        println!("cargo:rerun-if-changed={}", include.as_ref().display());
    }
    compile_to(Path::new(&out), protos, includes)
}

fn compile_to(
    out: &Path,
    protos: &[impl AsRef<Path>],
    includes: &[impl AsRef<Path>],
) -> Result<(), Box<dyn Error>> {
    let own = out.join("guard-protos");
    let access = own.join("millgate/access/v1/access.proto");
    fs::create_dir_all(access.parent().unwrap_or(&own))?;
    fs::write(&access, ACCESS_PROTO)?;
    let mut folders: Vec<PathBuf> = includes.iter().map(|it| it.as_ref().to_owned()).collect();
    folders.push(own);

    let mut compiler = protox::Compiler::new(folders)?;
    compiler.include_source_info(true).include_imports(true);
    for proto in protos {
        compiler.open_file(proto)?;
    }
    // Only these bytes hold the rules: a round trip through prost's own types drops them.
    let descriptors = compiler.encode_file_descriptor_set();
    let rules = Rules::from_descriptors(&descriptors)?;
    let unruled: Vec<&str> = rules.unruled().collect();
    if !unruled.is_empty() {
        let methods = unruled.join("\n  ");
        return Err(
            format!("no access rule (option millgate.access.v1.rule):\n  {methods}").into(),
        );
    }
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    tonic_prost_build::configure()
        .out_dir(out)
        .include_file("services.rs")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(option: &str) -> Result<tempfile::TempDir, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let proto = format!(
            r#"syntax = "proto3"; package t.v1;
            import "millgate/access/v1/access.proto";
            message M {{}}
            service S {{ rpc Do(M) returns (M) {{ {option} }} }}"#
        );
        fs::write(folder.path().join("t.proto"), proto)?;
        compile_to(folder.path(), &["t.proto"], &[folder.path()])?;
        Ok(folder)
    }

    #[test]
    fn an_annotated_proto_becomes_code_and_descriptors_with_its_rules() {
        let folder =
            compiled("option (millgate.access.v1.rule) = {token_required: true};").unwrap();
        let descriptors = fs::read(folder.path().join("descriptors.bin")).unwrap();
        assert!(
            Rules::from_descriptors(&descriptors)
                .unwrap()
                .get("/t.v1.S/Do")
                .is_some()
        );
        assert!(folder.path().join("services.rs").is_file());
    }

    #[test]
    fn a_method_without_a_sound_rule_is_named() {
        let without = compiled("").unwrap_err().to_string();
        assert!(without.contains("/t.v1.S/Do"), "{without}");
        let twofold = "option (millgate.access.v1.rule) = {public: true token_required: true};";
        let unsound = compiled(twofold).unwrap_err().to_string();
        assert!(unsound.contains("/t.v1.S/Do"), "{unsound}");
    }
}
