//! Files that circom and snarkjs wrote, read and written again. How they were made is in `tests/golden/README.md`.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use ark_bn254::Fr;
use proof::files::{json, r1cs, wtns, zkey};
use proof::key::Source;
use proof::r1cs::{Matrix, R1cs};

use common::{CIRCUITS, golden};

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    out
}

#[test]
fn constraint_systems_of_circom_are_written_again_byte_for_byte() {
    for circuit in CIRCUITS {
        let bytes = golden(circuit, "circuit.r1cs");
        let (system, labels) = r1cs::read(&bytes).unwrap();
        assert_eq!(
            written(|out| r1cs::write(&system, &labels, out)),
            bytes,
            "{circuit}"
        );
    }
}

#[test]
fn labels_of_wires_that_circom_simplified_away_are_kept() {
    let (system, labels) = r1cs::read(&golden("ranges", "circuit.r1cs")).unwrap();
    assert_eq!(
        (
            system.wires,
            system.public_outputs,
            system.public_inputs,
            system.private_inputs
        ),
        (22, 1, 1, 2)
    );
    assert_eq!(system.constraints(), 20);
    assert_eq!(labels.total, 24);
    assert_ne!(labels, r1cs::Labels::identity(&system));
}

#[test]
fn witnesses_of_circom_satisfy_its_constraints_and_are_written_again_byte_for_byte() {
    for circuit in CIRCUITS {
        let bytes = golden(circuit, "witness.wtns");
        let wires = wtns::read(&bytes).unwrap();
        let (system, _) = r1cs::read(&golden(circuit, "circuit.r1cs")).unwrap();
        assert_eq!(system.first_unsatisfied(&wires), None, "{circuit}");
        assert_eq!(written(|out| wtns::write(&wires, out)), bytes, "{circuit}");
    }
    let wires = wtns::read(&golden("multiplier", "witness.wtns")).unwrap();
    assert_eq!(wires, [1, 33, 3, 11].map(Fr::from));
}

#[test]
fn keys_of_snarkjs_are_written_again_byte_for_byte() {
    for circuit in CIRCUITS {
        for file in ["fresh.zkey", "contributed.zkey", "final.zkey"] {
            let bytes = golden(circuit, file);
            let key = zkey::read(&bytes).unwrap();
            assert_eq!(
                written(|out| zkey::write(&key, out)),
                bytes,
                "{circuit}/{file}"
            );
            assert_eq!(
                zkey::read_verifying_key(&bytes).unwrap(),
                key.verifying,
                "{circuit}/{file}"
            );
        }
    }
}

#[test]
fn contributions_keep_their_names_and_kinds() {
    let key = zkey::read(&golden("ranges", "final.zkey")).unwrap();
    let sources: Vec<_> = key
        .ceremony
        .contributions
        .into_iter()
        .map(|contribution| contribution.source)
        .collect();
    let value: Vec<u8> = (1..=32).collect();
    assert_eq!(
        sources,
        [
            Source::Person {
                name: Some("Ärmel 🔑".to_owned())
            },
            Source::Beacon {
                name: Some("beacon".to_owned()),
                iterations_log2: 10,
                value
            },
        ]
    );
    assert_eq!(
        zkey::read(&golden("ranges", "fresh.zkey"))
            .unwrap()
            .ceremony
            .contributions,
        []
    );
}

/// The rows of A and B within a key, without those that the setup adds.
fn rows_of_key(circuit: &str) -> [Matrix; 2] {
    use proof::key::Side;
    use proof::r1cs::Term;
    let key = zkey::read(&golden(circuit, "final.zkey")).unwrap();
    let (system, _) = r1cs::read(&golden(circuit, "circuit.r1cs")).unwrap();
    [Side::A, Side::B].map(|side| {
        let mut matrix = Matrix::default();
        for row in 0..system.constraints() {
            let of_row = key
                .coefficients
                .iter()
                .filter(|term| term.side == side && term.constraint as usize == row);
            matrix.push_row(of_row.map(|term| Term {
                wire: term.wire,
                coefficient: term.value,
            }));
        }
        matrix
    })
}

#[test]
fn a_key_holds_the_numbers_of_its_circuit_themselves() {
    for circuit in CIRCUITS {
        let (R1cs { a, b, .. }, _) = r1cs::read(&golden(circuit, "circuit.r1cs")).unwrap();
        assert_eq!(rows_of_key(circuit), [a, b], "{circuit}");
    }
}

#[test]
fn json_of_snarkjs_is_written_again_byte_for_byte() {
    for circuit in CIRCUITS {
        let text = |file| String::from_utf8(golden(circuit, file)).unwrap();
        let proof = json::read_proof(&golden(circuit, "proof.json")).unwrap();
        assert_eq!(json::write_proof(&proof), text("proof.json"), "{circuit}");
        let public = json::read_public(&golden(circuit, "public.json")).unwrap();
        assert_eq!(
            json::write_public(&public),
            text("public.json"),
            "{circuit}"
        );
        let key = json::read_verifying_key(&golden(circuit, "verification_key.json")).unwrap();
        assert_eq!(
            json::write_verifying_key(&key).unwrap(),
            text("verification_key.json"),
            "{circuit}"
        );
        assert_eq!(
            key,
            zkey::read(&golden(circuit, "final.zkey"))
                .unwrap()
                .verifying,
            "{circuit}"
        );
    }
}
