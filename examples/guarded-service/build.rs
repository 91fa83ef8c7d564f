//! Compiles the protos; a method without an access rule fails here.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    millgate_guard_build::compile(&["notes/v1/note_service.proto"], &["proto"])
}
