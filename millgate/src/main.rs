//! millgate
fn main() {}
