//! Feeds arbitrary bytes to what reads `.ptau` files.

#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::ptau(data));
