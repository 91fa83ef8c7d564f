//! The migrations of both services are embedded: a new file must lead to a new build.

fn main() {
    println!("cargo:rerun-if-changed=../auth-service/migrations");
    println!("cargo:rerun-if-changed=../factory-service/migrations");
}
