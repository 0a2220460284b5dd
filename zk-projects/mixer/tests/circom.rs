//! The same statement in Circom: its constants are those of the gadgets, what was compiled is from these sources, and it is the same
//! statement.
//!
//! After a change that is meant: `KEYPROOF_BLESS=1 cargo test -p mixer --test circom` writes the constants, `node build.mjs` in
//! `zk-projects/mixer/circom` compiles.

use std::fmt::Write;
use std::path::Path;

use ark_bn254::Fr;
use gadgets::poseidon::{Parameters, parameters};

/// Numbers of inputs that the circuit hashes.
const INPUTS: [usize; 3] = [1, 2, 4];

/// A function that returns one list for each number of inputs.
fn function(text: &mut String, name: &str, list: impl Fn(&Parameters) -> Vec<Fr>) {
    writeln!(text, "\nfunction {name}(n) {{").unwrap();
    for inputs in INPUTS {
        let numbers: Vec<String> = list(parameters(inputs)).iter().map(Fr::to_string).collect();
        let numbers = numbers.join(",\n            ");
        writeln!(
            text,
            "    if (n == {inputs}) {{\n        return [\n            {numbers}\n        ];\n    }}"
        )
        .unwrap();
    }
    writeln!(text, "    assert(0);\n    return [0];\n}}").unwrap();
}

fn constants() -> String {
    let mut text = "pragma circom 2.1.0;\n\n// Written by ../tests/circom.rs from crate gadgets. Poseidon of 1, 2 and 4 numbers.\n".to_owned();
    text += "\nfunction poseidon_partial_rounds(n) {\n";
    for inputs in INPUTS {
        let rounds = parameters(inputs).partial.len();
        writeln!(
            text,
            "    if (n == {inputs}) {{\n        return {rounds};\n    }}"
        )
        .unwrap();
    }
    text += "    assert(0);\n    return 0;\n}\n";
    function(&mut text, "poseidon_full", |p| p.full.concat());
    function(&mut text, "poseidon_partial", |p| p.partial.clone());
    function(&mut text, "poseidon_matrix", |p| p.matrix.concat());
    function(&mut text, "poseidon_before_partial", |p| {
        p.before_partial.concat()
    });
    function(&mut text, "poseidon_sparse", |p| {
        let rows = p
            .sparse
            .iter()
            .map(|s| [&[s.corner][..], &s.row, &s.column].concat());
        rows.collect::<Vec<_>>().concat()
    });
    text
}

#[test]
fn constants_are_those_of_the_gadgets() {
    let path = Path::new("circom/constants.circom");
    if std::env::var_os("KEYPROOF_BLESS").is_some() {
        std::fs::write(path, constants()).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == constants(),
        "other constants"
    );
}
