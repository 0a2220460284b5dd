//! Feeds arbitrary bytes to what reads `.r1cs` files.

#![no_main]

#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::r1cs(data));
