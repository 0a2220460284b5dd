//! The verifiers that are compiled once, with sentinels where a key's words go.
//!
//! `BLESS=1 cargo test -p smart-contracts --test evm` writes them anew; `cargo xtask sol` then compiles them.

use std::path::PathBuf;

#[test]
fn the_compiled_verifiers_are_the_template_that_keys_are_exported_by() {
    for inputs in 1..=smart_contracts::verifier::MOST_INPUTS {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join(format!("contracts/generated/Verifier{inputs}.sol"));
        let source = proof::solidity::template(inputs);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &source).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == source,
            "{} is not what the template gives; see the head of this file",
            path.display()
        );
    }
}
