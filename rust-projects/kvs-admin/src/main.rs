//! rust-projects/kvs-admin
fn main() {}
