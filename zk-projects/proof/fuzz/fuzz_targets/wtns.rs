//! Feeds arbitrary bytes to what reads `.wtns` files.

#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::wtns(data));
