//! Feeds arbitrary bytes to what reads `.zkey` files.

#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::zkey(data));
