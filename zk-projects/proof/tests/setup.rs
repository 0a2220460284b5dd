//! The setup engine beside files that snarkjs made (`tests/golden/README.md` says how).

#![allow(clippy::unwrap_used, reason = "a test may stop where it fails")]

use std::fs;
use std::path::PathBuf;

use proof::files::ptau::Ptau;
use proof::files::{r1cs, zkey};
use proof::setup::Quiet;
use proof::setup::circuit::from_powers;
use proof::setup::contribute;

const CIRCUITS: [&str; 2] = ["multiplier", "ranges"];

fn golden(file: &str) -> Vec<u8> {
    let path = PathBuf::from("tests/golden").join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_start_of_a_key_is_that_of_snarkjs_byte_for_byte() {
    let ptau = golden("final.ptau");
    let ptau = Ptau::parse(&ptau).unwrap();
    for circuit in CIRCUITS {
        let (system, _) = r1cs::read(&golden(&format!("{circuit}/circuit.r1cs"))).unwrap();
        let mut written = Vec::new();
        zkey::write(&from_powers(&system, &ptau).unwrap(), &mut written).unwrap();
        assert!(
            written == golden(&format!("{circuit}/fresh.zkey")),
            "{circuit}"
        );
    }
}

#[test]
fn a_beacon_makes_of_a_contributed_key_what_snarkjs_makes_of_it_byte_for_byte() {
    let value: Vec<u8> = (1..=32).collect();
    for circuit in CIRCUITS {
        let mut key = zkey::read(&golden(&format!("{circuit}/contributed.zkey"))).unwrap();
        contribute::beacon(&mut key, Some("beacon"), &value, 10, &Quiet).unwrap();
        let mut written = Vec::new();
        zkey::write(&key, &mut written).unwrap();
        assert!(
            written == golden(&format!("{circuit}/final.zkey")),
            "{circuit}"
        );
    }
}
