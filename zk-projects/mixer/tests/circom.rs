//! The same statement in Circom: its constants are those of the gadgets, what was compiled is from these sources, and it is the same
//! statement.
//!
//! After a change that is meant: `BLESS=1 cargo test -p mixer --test circom` writes the constants, `node build.mjs` in
//! `zk-projects/mixer/circom` compiles.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use ark_bn254::Fr;
use gadgets::poseidon::{Parameters, parameters};
use mixer::{Private, Public, Withdraw};
use proof::circom::{Calculator, CircomError, Exception, Limits, read_inputs};
use proof::digest::Digest;
use proof::files::r1cs;
use proof::r1cs::R1cs;
use proof::statement::Statement;
use statement_suite as suite;

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
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, constants()).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap() == constants(),
        "other constants"
    );
}

/// `build.mjs` notes which sources it compiled.
#[test]
fn what_was_compiled_is_from_these_sources() {
    let sources = ["constants.circom", "poseidon.circom", "withdraw.circom"];
    let texts = sources.map(|source| fs::read(Path::new("circom").join(source)).unwrap());
    let digest = Digest::of(&texts.concat()).to_string();
    let noted = fs::read_to_string("circom/sources.sha256").unwrap();
    assert_eq!(
        noted.trim(),
        digest,
        "run `node build.mjs` in zk-projects/mixer/circom"
    );
}

fn compiled() -> R1cs {
    let bytes = fs::read("circom/withdraw.r1cs").unwrap();
    r1cs::read(&bytes).unwrap().0
}

#[test]
fn it_has_few_constraints_and_the_public_inputs_of_the_statement() {
    let compiled = compiled();
    assert_eq!(compiled.constraints(), 3_494);
    assert_eq!(compiled.public_outputs, 0);
    assert_eq!(
        compiled.public_inputs as usize,
        Withdraw::PUBLIC_INPUTS.len()
    );
}

/// The input document of the statement, public and private inputs side by side, as circom takes it.
fn document((public, private): &(Public, Private)) -> String {
    let mut document = serde_json::to_value(public).unwrap();
    let private = serde_json::to_value(private).unwrap();
    let fields = document.as_object_mut().unwrap();
    fields.extend(private.as_object().unwrap().clone());
    document.to_string()
}

#[test]
fn it_accepts_and_refuses_what_the_statement_in_rust_does() {
    let program = fs::read("circom/withdraw.wasm").unwrap();
    let program = Calculator::new(&program, Limits::default()).unwrap();
    let witness = |input: &(Public, Private)| {
        program.witness(&read_inputs(document(input).as_bytes()).unwrap())
    };
    let (compiled, input) = (compiled(), suite::sample::<Withdraw>(1));
    let wires = witness(&input).unwrap();
    assert_eq!(compiled.first_unsatisfied(&wires), None);
    assert_eq!(wires[1..=3], Withdraw::public_inputs(&input.0));
    for index in 1..=3 {
        let mut changed = wires.to_vec();
        changed[index] += Fr::from(1);
        let unsatisfied = compiled.first_unsatisfied(&changed);
        assert!(unsatisfied.is_some(), "public input {index}");
    }
    let changes: [fn(&mut Private); 5] = [
        |private| private.nullifier += Fr::from(1),
        |private| private.secret += Fr::from(1),
        |private| private.position ^= 1,
        |private| private.position += 1 << 20,
        |private| private.path[9][2] += Fr::from(1),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut other = input.clone();
        change(&mut other.1);
        let Err(CircomError::Refused { exception, .. }) = witness(&other) else {
            panic!("change {number} is accepted");
        };
        assert_eq!(exception, Exception::AssertionFailed, "change {number}");
    }
}
