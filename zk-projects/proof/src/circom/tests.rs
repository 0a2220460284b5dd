//! A program of circom beside the witness that snarkjs computed with it, and programs that nobody should trust.

use std::fs;

use ark_ff::Field;

use super::*;
use crate::files::{r1cs, wtns};

fn golden(file: &str) -> Vec<u8> {
    let path = format!("tests/golden/ranges/{file}");
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn witness(json: &str) -> Result<Vec<Fr>, CircomError> {
    let calculator = Calculator::new(&golden("circuit.wasm"), Limits::default())?;
    let inputs = read_inputs(json.as_bytes()).expect("the input is well formed");
    calculator.witness(&inputs).map(|wires| wires.to_vec())
}

fn satisfies(wires: &[Fr]) -> bool {
    let (system, _) = r1cs::read(&golden("circuit.r1cs")).expect("a golden file");
    system.first_unsatisfied(wires).is_none()
}

#[test]
fn the_witness_is_that_of_snarkjs() {
    let input = String::from_utf8(golden("input.json")).expect("text");
    let expected = wtns::read(&golden("witness.wtns")).expect("a golden file");
    assert_eq!(witness(&input).expect("the input is good"), expected);
}

#[test]
fn one_program_computes_many_witnesses() {
    let calculator = Calculator::new(&golden("circuit.wasm"), Limits::default()).expect("sound");
    for price in [0_u8, 1, 255] {
        let inputs = [("tag", 1), ("price", price), ("amount", 2)];
        let inputs = inputs.map(|(name, value)| (name.to_owned(), vec![Fr::from(value)]));
        let wires = calculator
            .witness(&inputs.into_iter().collect())
            .expect("in range");
        assert!(satisfies(&wires));
        assert_eq!(wires[1], Fr::from(2) * Fr::from(price), "total");
    }
}

#[test]
fn numbers_may_be_integers_and_negative() {
    let wires = witness(r#"{"tag":"-7","price":200,"amount":"1"}"#).expect("in range");
    assert!(satisfies(&wires));
    assert_eq!(wires[2], -Fr::from(7));
    assert_eq!(
        witness(r#"{"tag":-7,"price":200,"amount":[[1]]}"#).expect("in range"),
        wires
    );
    let largest = format!(r#"{{"tag":"{}","price":0,"amount":0}}"#, -Fr::ONE);
    assert_eq!(witness(&largest).expect("in range")[2], -Fr::ONE);
}

#[test]
fn an_input_that_the_circuit_refuses_is_an_error_that_says_where() {
    let error = witness(r#"{"tag":7,"price":256,"amount":1}"#).expect_err("256 has nine bits");
    let CircomError::Refused { exception, message } = &error else {
        panic!("{error}");
    };
    assert_eq!(*exception, Exception::AssertionFailed);
    assert!(
        message.contains("Bits") && message.contains("line: 13"),
        "{message}"
    );
    assert!(!error.to_string().contains("256"));
}

#[test]
fn missing_unknown_and_too_many_inputs_are_refused_by_name() {
    let says = |json, expected: &str| {
        let error = witness(json).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    says(
        r#"{"tag":7,"price":200}"#,
        "takes 3 values in all, the input has 2",
    );
    says(
        r#"{"tag":7,"price":200,"amount":1,"fee":1}"#,
        "fee: the circuit has no such input",
    );
    says(
        r#"{"tag":7,"price":[200,1],"amount":1}"#,
        "price: the circuit takes 1 values, the input has 2",
    );
    says(
        r#"{"tag":7,"price":[],"amount":1}"#,
        "price: the circuit takes 1 values, the input has 0",
    );
    says(
        r#"{"total":1,"tag":7,"price":1,"amount":1}"#,
        "total: the circuit has no such input",
    );
}

#[test]
fn inputs_that_are_no_numbers_are_refused_with_their_place_and_without_their_value() {
    let says = |json: &str, field: &str, expected: &str| {
        let error = read_inputs(json.as_bytes()).expect_err(json);
        assert_eq!(error.field, field, "{error}");
        assert!(error.problem.contains(expected), "{error}");
        assert!(!error.to_string().contains("8765"), "{error}");
    };
    says(r#"{"a":"8765x"}"#, "a", "not a number");
    says(r#"{"a":[1,["8765x"]]}"#, "a[1][0]", "not a number");
    says(r#"{"a":"08765"}"#, "a", "not a number");
    says(r#"{"a":"--8765"}"#, "a", "not a number");
    says(r#"{"a":8765.5}"#, "a", "expected an integer");
    says(r#"{"a":{"b":8765}}"#, "a", "expected an integer");
    says(r#"{"a":null}"#, "a", "expected an integer");
    says(
        r#"{"a":87650000000000000000000}"#,
        "a",
        "expected an integer",
    );
    says(r#"{"a":1,"a":8765}"#, ".", "the signal a comes twice");
    says("[8765]", ".", "expected an object of signals");
    let r = BigInt::<4>::to_string(&Fr::MODULUS);
    says(&format!(r#"{{"a":"{r}"}}"#), "a", "not below");
}

#[test]
fn lists_are_flattened_in_order() {
    let inputs = read_inputs(br#"{"b":[[1,"2"],[3,[4]]],"a":[]}"#).expect("well formed");
    let expected = [
        ("a".to_owned(), vec![]),
        ("b".to_owned(), [1, 2, 3, 4].map(Fr::from).to_vec()),
    ];
    assert_eq!(inputs, expected.into_iter().collect());
    assert_eq!(format!("{inputs:?}"), r#"{"a": 0, "b": 4}"#);
}

#[test]
fn a_file_that_is_no_program_is_refused() {
    let wasm = golden("circuit.wasm");
    for bytes in [&b"{}"[..], &[], &wasm[..8000], &golden("circuit.r1cs")] {
        let error = Calculator::new(bytes, Limits::default()).expect_err("no program");
        assert!(matches!(error, CircomError::Program(_)), "{error}");
    }
}

/// A program with one function, `getVersion`, of this body, and a memory.
fn program(body: &[u8], import: bool, pages: u32) -> Vec<u8> {
    let section = |number: u8, content: &[u8]| -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("short");
        [&[number, length], content].concat()
    };
    let mut pages_bytes = vec![0x01, 0x00];
    for shift in [0, 7, 14] {
        let more = if shift < 14 { 0x80 } else { 0 };
        pages_bytes.push(u8::try_from(pages >> shift & 0x7f).expect("seven bits") | more);
    }
    let length = u8::try_from(body.len() + 1).expect("short");
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    wasm.extend(section(1, &[1, 0x60, 0, 1, 0x7f]));
    if import {
        wasm.extend(section(2, b"\x01\x03env\x04exec\0\0"));
    }
    wasm.extend(section(3, &[1, 0]));
    wasm.extend(section(5, &pages_bytes));
    let index = u8::from(import);
    wasm.extend(section(
        7,
        &[&b"\x01\x0agetVersion\0"[..], &[index]].concat(),
    ));
    wasm.extend(section(10, &[&[1, length, 0], body].concat()));
    wasm
}

const TWO: &[u8] = &[0x41, 2, 0x0b];
const FOREVER: &[u8] = &[0x03, 0x40, 0x0c, 0, 0x0b, 0x00, 0x0b];

fn run(wasm: &[u8]) -> CircomError {
    let limits = Limits {
        memory_bytes: 1 << 20,
        steps: 1_000_000,
    };
    let calculator = Calculator::new(wasm, limits).expect("it is a program");
    calculator
        .witness(&read_inputs(b"{}").expect("empty"))
        .expect_err("it is not circom's")
}

#[test]
fn a_program_that_never_ends_is_ended() {
    let error = run(&program(FOREVER, false, 1));
    assert!(matches!(error, CircomError::TooLong(1_000_000)), "{error}");
}

#[test]
fn a_program_that_wants_too_much_memory_is_refused() {
    assert!(matches!(
        run(&program(TWO, false, 17)),
        CircomError::TooLarge(_)
    ));
    // With less it comes to the functions that it lacks.
    assert!(matches!(
        run(&program(TWO, false, 16)),
        CircomError::Program(_)
    ));
}

#[test]
fn a_program_of_another_version_is_refused() {
    let error = run(&program(&[0x41, 1, 0x0b], false, 1));
    assert!(matches!(error, CircomError::Version(1)), "{error}");
}

#[test]
fn a_program_that_asks_for_anything_but_circoms_functions_is_refused() {
    let error = run(&program(TWO, true, 1));
    assert!(matches!(error, CircomError::Program(_)), "{error}");
    assert!(error.to_string().contains("exec"), "{error}");
}

#[test]
fn a_program_that_fails_is_an_error() {
    let error = run(&program(&[0x00, 0x0b], false, 1));
    assert!(matches!(error, CircomError::Failed(_)), "{error}");
}

/// A program whose `getVersion` prints a message of endless `character`s ten times, and stops with an assertion that failed.
fn chatty(character: u8) -> Vec<u8> {
    let section = |number: u8, content: &[&[u8]]| -> Vec<u8> {
        let content = content.concat();
        let length = u8::try_from(content.len()).expect("short");
        [&[number, length], content.as_slice()].concat()
    };
    // For `i` from 0: print; until `i` is 10. Then the exception, and 2 for the version.
    let body = [
        &[1, 1, 0x7f, 0x03, 0x40, 0x10, 1, 0x20, 0, 0x41, 1, 0x6a][..],
        &[0x22, 0, 0x41, 10, 0x49, 0x0d, 0, 0x0b],
        &[0x41, 4, 0x10, 0, 0x41, 2, 0x0b],
    ]
    .concat();
    let body_length = u8::try_from(body.len()).expect("short");
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[b"\x03\x60\0\x01\x7f\x60\0\0\x60\x01\x7f\0"]),
        section(
            2,
            &[
                b"\x02\x07runtime\x10exceptionHandler\0\x02",
                b"\x07runtime\x11printErrorMessage\0\x01",
            ],
        ),
        section(3, &[&[2, 0, 0]]),
        section(
            7,
            &[b"\x02\x0agetVersion\0\x02", b"\x0egetMessageChar\0\x03"],
        ),
        section(
            10,
            &[
                &[2, body_length],
                &body,
                // The constant's bytes may be two, its sign in bit 6.
                &[5, 0, 0x41, character | 0x80, 0, 0x0b],
            ],
        ),
    ]
    .concat()
}

fn message_of(wasm: &[u8]) -> String {
    match run(wasm) {
        CircomError::Refused { message, .. } => message,
        error => panic!("{error}"),
    }
}

#[test]
fn of_all_messages_together_a_thousand_characters_are_kept() {
    let message = message_of(&chatty(b'a'));
    assert_eq!(message.len(), 1000, "{message}");
}

#[test]
fn characters_that_could_steer_a_terminal_are_not_kept() {
    for character in [0x1b, b'\r', 0x7f] {
        assert_eq!(message_of(&chatty(character)), "");
    }
    assert!(message_of(&chatty(b'~')).starts_with("~~"));
}
