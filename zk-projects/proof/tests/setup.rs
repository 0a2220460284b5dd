//! The setup engine beside files that snarkjs made (`tests/golden/README.md` says how).

#![allow(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod common;

use common::{CIRCUITS, constraints, golden, seeded};
use proof::files::ptau::{Powers, Ptau};
use proof::files::{ptau, zkey};
use proof::setup::circuit::from_powers;
use proof::setup::powers::InvalidPowers;
use proof::setup::{Quiet, contribute, powers};

#[test]
fn the_start_of_a_key_is_that_of_snarkjs_byte_for_byte() {
    let ptau = golden("", "final.ptau");
    let ptau = Ptau::parse(&ptau).unwrap();
    for circuit in CIRCUITS {
        let mut written = Vec::new();
        zkey::write(
            &from_powers(&constraints(circuit), &ptau).unwrap(),
            &mut written,
        )
        .unwrap();
        assert!(written == golden(circuit, "fresh.zkey"), "{circuit}");
    }
}

#[test]
fn a_beacon_makes_of_a_contributed_key_what_snarkjs_makes_of_it_byte_for_byte() {
    let value: Vec<u8> = (1..=32).collect();
    for circuit in CIRCUITS {
        let mut key = zkey::read(&golden(circuit, "contributed.zkey")).unwrap();
        contribute::beacon(&mut key, Some("beacon"), &value, 10, &Quiet).unwrap();
        let mut written = Vec::new();
        zkey::write(&key, &mut written).unwrap();
        assert!(written == golden(circuit, "final.zkey"), "{circuit}");
    }
}

fn file_of(powers: &Powers) -> Vec<u8> {
    let mut out = Vec::new();
    ptau::write(powers, &mut out).unwrap();
    out
}

fn prepared(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    powers::prepare(&Ptau::parse(file).unwrap(), &mut out, &Quiet).unwrap();
    out
}

fn verified(file: &[u8]) -> Result<(), InvalidPowers> {
    powers::verify(&Ptau::parse(file).unwrap(), &mut seeded(1), &Quiet)
}

#[test]
fn powers_begin_as_those_of_snarkjs_byte_for_byte() {
    assert_eq!(
        file_of(&powers::start(2).unwrap()),
        golden("powers", "new.ptau")
    );
}

#[test]
fn a_beacon_makes_of_powers_what_snarkjs_makes_of_them_byte_for_byte() {
    let contributed = golden("powers", "contributed.ptau");
    let mut ours = Ptau::parse(&contributed).unwrap().powers().unwrap();
    let value: Vec<u8> = (1..=32).collect();
    let response = powers::beacon(&mut ours, Some("beacon"), &value, 10, &Quiet).unwrap();
    let beacon = golden("powers", "beacon.ptau");
    let theirs = Ptau::parse(&beacon).unwrap();
    let last = theirs.contributions().last().unwrap();
    assert_eq!(powers::response_hash(last), Some(response));
    // snarkjs leaves old bytes in the block of the hash's state that no hash reads.
    ours.contributions.last_mut().unwrap().response_state = last.response_state;
    assert!(file_of(&ours) == beacon);
}

#[test]
fn prepared_powers_are_those_of_snarkjs_byte_for_byte() {
    assert!(prepared(&golden("powers", "beacon.ptau")) == golden("powers", "prepared.ptau"));
    // Of powers that were prepared already as well.
    assert!(prepared(&golden("", "final.ptau")) == golden("", "final.ptau"));
}

#[test]
fn powers_of_snarkjs_are_accepted() {
    for file in ["contributed.ptau", "beacon.ptau", "prepared.ptau"] {
        assert_eq!(verified(&golden("powers", file)), Ok(()), "{file}");
    }
    assert_eq!(verified(&golden("", "final.ptau")), Ok(()));
    assert_eq!(
        verified(&golden("powers", "new.ptau")),
        Err(InvalidPowers::NoContribution)
    );
}

#[test]
fn powers_made_here_are_accepted_also_after_those_of_snarkjs() {
    let contributed = golden("powers", "contributed.ptau");
    let theirs = Ptau::parse(&contributed).unwrap().powers().unwrap();
    for mut powers in [powers::start(3).unwrap(), theirs] {
        powers::contribute(&mut powers, Some("Ärmel 🔑"), &mut seeded(2), &Quiet).unwrap();
        powers::contribute(&mut powers, None, &mut seeded(3), &Quiet).unwrap();
        powers::beacon(&mut powers, None, &[7], 11, &Quiet).unwrap();
        assert_eq!(verified(&prepared(&file_of(&powers))), Ok(()));
    }
}
