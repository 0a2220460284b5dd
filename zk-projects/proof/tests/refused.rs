//! What readers say about files that are wrong: what, and where.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use proof::files::binary::{FormatError, Sections};
use proof::files::json::{self, JsonError};
use proof::files::{r1cs, wtns, zkey};

use common::{golden, outside_of_subgroup};

/// Where the content of a section begins.
fn section(magic: &'static str, version: u32, bytes: &[u8], number: u32) -> usize {
    let sections = Sections::parse(magic, version, bytes).unwrap();
    usize::try_from(sections.section(number).unwrap().offset()).unwrap()
}

fn with(mut bytes: Vec<u8>, at: usize, change: &[u8]) -> Vec<u8> {
    bytes[at..at + change.len()].copy_from_slice(change);
    bytes
}

fn assert_says<T: std::fmt::Debug>(result: Result<T, FormatError>, offset: usize, problem: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.offset, offset as u64, "{error}");
    assert!(error.problem.contains(problem), "{error}");
}

#[test]
fn another_curve_is_refused() {
    let bls12_381 = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
    let modulus = num_bigint::BigUint::parse_bytes(bls12_381.as_bytes(), 16)
        .unwrap()
        .to_bytes_le();
    let bytes = golden("multiplier", "circuit.r1cs");
    let at = section("r1cs", 1, &bytes, 1) + 4;
    assert_says(r1cs::read(&with(bytes, at, &modulus)), at, "another curve");
    let bytes = golden("multiplier", "witness.wtns");
    let at = section("wtns", 2, &bytes, 1) + 4;
    assert_says(wtns::read(&with(bytes, at, &modulus)), at, "another curve");
    let bytes = golden("multiplier", "final.zkey");
    let at = section("zkey", 1, &bytes, 2) + 4 + 32 + 4;
    assert_says(zkey::read(&with(bytes, at, &modulus)), at, "another curve");
}

#[test]
fn numbers_that_are_not_reduced_are_refused() {
    let r = Fr::MODULUS.to_bytes_le();
    let bytes = golden("multiplier", "witness.wtns");
    let at = section("wtns", 2, &bytes, 2) + 32;
    assert_says(
        wtns::read(&with(bytes, at, &r)),
        at,
        "not below the field's modulus",
    );
    let bytes = golden("multiplier", "circuit.r1cs");
    let at = section("r1cs", 1, &bytes, 2) + 4 + 4;
    assert_says(
        r1cs::read(&with(bytes, at, &r)),
        at,
        "not below the field's modulus",
    );
    let bytes = golden("multiplier", "final.zkey");
    let at = section("zkey", 1, &bytes, 4) + 4 + 12;
    assert_says(
        zkey::read(&with(bytes, at, &r)),
        at - 12,
        "not below the field's modulus",
    );
    let bytes = golden("multiplier", "final.zkey");
    let at = section("zkey", 1, &bytes, 5);
    assert_says(
        zkey::read(&with(bytes, at, &Fq::MODULUS.to_bytes_le())),
        at,
        "not below the field's modulus",
    );
}

/// Z12: in every section that holds points, in G1 and in G2.
#[test]
fn points_off_the_curve_are_refused_in_every_section() {
    let bytes = golden("multiplier", "final.zkey");
    let header = section("zkey", 1, &bytes, 2) + 2 * 36 + 12;
    let mut places = vec![
        header,
        header + 64,
        header + 128,
        header + 256,
        header + 384,
        header + 448,
    ];
    places.extend([3, 5, 8, 9].map(|number| section("zkey", 1, &bytes, number)));
    // The first three wires are not in B: their points are the identity.
    places.push(section("zkey", 1, &bytes, 6) + 3 * 64);
    places.push(section("zkey", 1, &bytes, 7) + 3 * 128);
    places.push(section("zkey", 1, &bytes, 10) + 64 + 4);
    for at in places {
        // Exchanging the two coordinates of a point, or half of one in G2, leaves its curve.
        let half: Vec<u8> = bytes[at + 32..at + 64].to_vec();
        let other: Vec<u8> = bytes[at..at + 32].to_vec();
        let exchanged = with(bytes.clone(), at, &[half, other].concat());
        let identity = bytes[at..at + 64].iter().all(|byte| *byte == 0);
        assert!(!identity, "{at}");
        assert_says(zkey::read(&exchanged), at, "not on the curve");
    }
}

#[test]
fn the_first_bad_point_of_many_is_named() {
    let bytes = golden("ranges", "final.zkey");
    let at = section("zkey", 1, &bytes, 9);
    let mut wrong = bytes;
    for index in [30, 11, 7] {
        wrong[at + index * 64..at + index * 64 + 64].fill(1);
    }
    assert_says(zkey::read(&wrong), at + 7 * 64, "not on the curve");
}

#[test]
fn a_witness_without_the_constant_is_refused() {
    let bytes = golden("multiplier", "witness.wtns");
    let at = section("wtns", 2, &bytes, 2);
    assert_says(wtns::read(&with(bytes, at, &[2])), at, "the first wire");
}

#[test]
fn counts_that_the_file_does_not_hold_are_refused_before_anything_is_read() {
    let bytes = golden("multiplier", "circuit.r1cs");
    let at = section("r1cs", 1, &bytes, 1) + 4 + 32;
    // 2^32 - 1 wires, for which there are not enough labels.
    let labels = section("r1cs", 1, &bytes, 3);
    assert_says(
        r1cs::read(&with(bytes.clone(), at, &[0xff; 4])),
        labels,
        "labels",
    );
    // More public inputs than wires.
    assert_says(
        r1cs::read(&with(bytes, at + 8, &[0xff; 4])),
        at,
        "fewer than one",
    );
    let bytes = golden("multiplier", "final.zkey");
    let at = section("zkey", 1, &bytes, 2) + 2 * 36;
    let a = section("zkey", 1, &bytes, 5);
    assert_says(zkey::read(&with(bytes.clone(), at, &[5])), a, "points");
    assert_says(
        zkey::read(&with(bytes.clone(), at + 4, &[4])),
        at,
        "fewer than one",
    );
    assert_says(
        zkey::read(&with(bytes, at + 8, &[3])),
        at + 8,
        "no power of two",
    );
}

#[test]
fn wires_and_rows_that_are_not_there_are_refused() {
    let bytes = golden("multiplier", "circuit.r1cs");
    let at = section("r1cs", 1, &bytes, 2) + 4;
    assert_says(
        r1cs::read(&with(bytes, at, &[4])),
        at,
        "wire 4, where there are 4",
    );
    let bytes = golden("multiplier", "final.zkey");
    let at = section("zkey", 1, &bytes, 4) + 4;
    assert_says(zkey::read(&with(bytes.clone(), at, &[2])), at, "matrix 2");
    assert_says(
        zkey::read(&with(bytes.clone(), at + 4, &[4])),
        at,
        "constraint 4",
    );
    assert_says(zkey::read(&with(bytes, at + 8, &[4])), at, "wire 4");
}

#[test]
fn a_wire_twice_in_a_row_is_refused() {
    let bytes = golden("ranges", "circuit.r1cs");
    // The first row of A with two terms; make both of one wire.
    let (system, _) = r1cs::read(&bytes).unwrap();
    let row = system.a.rows().position(|row| row.len() == 2).unwrap();
    let before = [&system.a, &system.b, &system.c].map(|matrix| {
        matrix
            .rows()
            .take(row)
            .map(|terms| 4 + 36 * terms.len())
            .sum::<usize>()
    });
    let at = section("r1cs", 1, &bytes, 2) + before.into_iter().sum::<usize>();
    let wire = system.a.row(row)[1].wire.to_le_bytes();
    assert_says(r1cs::read(&with(bytes, at + 4, &wire)), at, "comes twice");
}

#[test]
fn other_protocols_kinds_and_versions_are_named() {
    let bytes = golden("multiplier", "final.zkey");
    let at = section("zkey", 1, &bytes, 1);
    assert_says(zkey::read(&with(bytes.clone(), at, &[2])), at, "PlonK");
    assert_says(zkey::read(&with(bytes.clone(), 4, &[3])), 4, "version 3");
    assert_says(wtns::read(&bytes), 0, "instead of \"wtns\"");
    let mut custom = golden("multiplier", "circuit.r1cs");
    custom[8] = 4;
    custom.extend([4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let at = custom.len();
    assert_says(r1cs::read(&custom), at, "custom gates");
}

fn json_problem<T: std::fmt::Debug>(result: Result<T, JsonError>) -> (String, String) {
    let error = result.unwrap_err();
    (error.field, error.problem)
}

fn text(file: &str) -> String {
    String::from_utf8(golden("multiplier", file)).unwrap()
}

/// A document with one text exchanged for another.
fn exchanged(file: &str, from: &str, to: &str) -> Vec<u8> {
    let text = text(file);
    let other = text.replacen(from, to, 1);
    assert_ne!(other, text, "{from}");
    other.into_bytes()
}

const R: &str = "21888242871839275222246405745257275088548364400416034343698204186575808495617";
const Q: &str = "21888242871839275222246405745257275088696311157297823662689037894645226208583";

/// Z2: the same number of the field in another text would be a second encoding of one nullifier.
#[test]
fn a_public_input_is_refused_from_the_scalar_fields_modulus_on() {
    let read = |number: &str| json::read_public(format!("[\"{number}\"]").as_bytes());
    let plus = |number: &str, add: u64| {
        (num_bigint::BigUint::parse_bytes(number.as_bytes(), 10).unwrap() + add).to_string()
    };
    let largest = (num_bigint::BigUint::parse_bytes(R.as_bytes(), 10).unwrap() - 1_u8).to_string();
    assert_eq!(read(&largest), Ok(vec![-Fr::from(1)]));
    let refused = (
        "[0]".to_owned(),
        "a number that is not below the field's modulus".to_owned(),
    );
    for number in [
        R.to_owned(),
        plus(R, 33),
        plus(&num_bigint::BigUint::from(2_u8).pow(256).to_string(), 33),
    ] {
        let (field, problem) = json_problem(read(&number));
        assert_eq!(field, refused.0);
        assert!(problem.starts_with(&refused.1), "{problem}");
    }
    for number in ["033", "+33", "-1", "33.0", "3e1", "0x21", "", " 33"] {
        assert_eq!(json_problem(read(number)).0, "[0]", "{number}");
    }
    assert_eq!(json_problem(json::read_public(b"[33]")).0, "[0]");
}

/// Z3: r and q share their upper half; what lies between them is a coordinate and no public input.
#[test]
fn a_public_input_is_compared_with_r_and_not_with_q() {
    let between = "21888242871839275222246405745257275088600000000000000000000000000000000000000";
    assert!(R < between && between < Q);
    assert_eq!(Fr::MODULUS.to_string(), R);
    assert_eq!(Fq::MODULUS.to_string(), Q);
    assert!(json::read_public(format!("[\"{between}\"]").as_bytes()).is_err());
    let proof = text("proof.json");
    let x = proof.split('"').nth(3).unwrap();
    let (field, problem) = json_problem(json::read_proof(&exchanged("proof.json", x, between)));
    assert_eq!(field, "pi_a");
    assert!(
        problem.contains("not on the curve"),
        "below q it is a coordinate: {problem}"
    );
    let (field, problem) = json_problem(json::read_proof(&exchanged("proof.json", x, Q)));
    assert_eq!(field, "pi_a[0]");
    assert!(problem.contains("not below"), "{problem}");
}

#[test]
fn documents_with_other_fields_or_names_are_refused() {
    let proof = |from, to| json_problem(json::read_proof(&exchanged("proof.json", from, to)));
    assert_eq!(proof("\"groth16\"", "\"plonk\"").0, "protocol");
    assert_eq!(proof("\"bn128\"", "\"bls12381\"").0, "curve");
    assert_eq!(proof("\"pi_c\"", "\"pi_d\"").0, "pi_d");
    let (_, twice) = proof("\"curve\":", "\"curve\": \"bn128\", \"curve\":");
    assert!(twice.contains("duplicate field `curve`"), "{twice}");
    assert!(
        proof(",\n \"curve\": \"bn128\"", "")
            .1
            .contains("missing field `curve`")
    );
    assert_eq!(proof("  \"1\"", "  \"2\"").0, "pi_a");
    assert_eq!(proof("  \"1\"", "  \"1\", \"1\"").0, "pi_a");
}

#[test]
fn verification_keys_that_contradict_themselves_are_refused() {
    let key = |from, to| {
        json_problem(json::read_verifying_key(&exchanged(
            "verification_key.json",
            from,
            to,
        )))
    };
    assert_eq!(key("\"nPublic\": 1", "\"nPublic\": 2").0, "IC");
    assert_eq!(key("\"nPublic\": 1", "\"nPublic\": -1").0, "nPublic");
    let document = text("verification_key.json");
    let target = document.split("vk_alphabeta_12").nth(1).unwrap();
    let number = target.split('"').nth(2).unwrap();
    assert_eq!(key(number, "1").0, "vk_alphabeta_12");
}

/// Z12: of a point in G2 the equation of the curve is not enough.
#[test]
fn points_outside_of_the_subgroup_are_refused_in_json() {
    let mut proof = json::read_proof(&golden("multiplier", "proof.json")).unwrap();
    proof.b = outside_of_subgroup();
    let (field, problem) = json_problem(json::read_proof(json::write_proof(&proof).as_bytes()));
    assert_eq!(field, "pi_b");
    assert!(problem.contains("subgroup"), "{problem}");
    proof.b = G2Affine::zero();
    proof.a = G1Affine::zero();
    assert_eq!(
        json::read_proof(json::write_proof(&proof).as_bytes()),
        Ok(proof)
    );
}
