//! Feeds arbitrary bytes to what reads snarkjs' JSON.

#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::json(data));
