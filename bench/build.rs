//! The factory's migrations are embedded: a new file must lead to a new build.

fn main() {
    println!("cargo:rerun-if-changed=../factory-service/migrations");
}
