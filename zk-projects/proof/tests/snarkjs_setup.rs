//! Ceremonies that snarkjs and we make together. Skipped, visibly, without Node or without `npm ci` in `zk-projects`.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use std::fs;
use std::path::Path;

use common::snarkjs::{run, snarkjs, succeeds};
use common::{constraints, golden, seeded};
use proof::files::ptau::Ptau;
use proof::files::{ptau, zkey};
use proof::key::ProvingKey;
use proof::setup::{Quiet, circuit, contribute, powers, verify};

const CIRCUIT: &str = "ranges";
const VALUE: [u8; 4] = [0xca, 0xfe, 0xba, 0xbe];
const VALUE_HEX: &str = "cafebabe";

/// Reads powers, changes them, writes them.
fn change_powers(folder: &Path, from: &str, to: &str, change: impl FnOnce(&mut ptau::Powers)) {
    let bytes = fs::read(folder.join(from)).unwrap();
    let mut powers = Ptau::parse(&bytes).unwrap().powers().unwrap();
    change(&mut powers);
    ptau::write(&powers, fs::File::create(folder.join(to)).unwrap()).unwrap();
}

fn read_key(folder: &Path, file: &str) -> ProvingKey {
    zkey::read(&fs::read(folder.join(file)).unwrap()).unwrap()
}

/// Reads a key, changes it, writes it.
fn change_key(folder: &Path, from: &str, to: &str, change: impl FnOnce(&mut ProvingKey)) {
    let mut key = read_key(folder, from);
    change(&mut key);
    zkey::write(&key, fs::File::create(folder.join(to)).unwrap()).unwrap();
}

#[test]
fn powers_contributed_to_in_turn_are_accepted_by_both() {
    let Some(program) = snarkjs() else { return };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let start = powers::start(4).unwrap();
    ptau::write(&start, fs::File::create(folder.join("0.ptau")).unwrap()).unwrap();
    change_powers(folder, "0.ptau", "1.ptau", |powers| {
        powers::contribute(powers, Some("ours"), &mut seeded(1), &Quiet).unwrap();
    });
    let theirs = [
        "powersoftau",
        "contribute",
        "1.ptau",
        "2.ptau",
        "-n=theirs",
        "-e=of a test",
    ];
    succeeds(&program, folder, &theirs);
    let mut response = [0; 64];
    change_powers(folder, "2.ptau", "3.ptau", |powers| {
        response = powers::beacon(powers, Some("ours"), &VALUE, 10, &Quiet).unwrap();
    });
    let theirs = [
        "powersoftau",
        "beacon",
        "3.ptau",
        "4.ptau",
        VALUE_HEX,
        "10",
        "-n=theirs",
    ];
    succeeds(&program, folder, &theirs);

    succeeds(
        &program,
        folder,
        &["powersoftau", "prepare", "phase2", "4.ptau", "5.ptau"],
    );
    let bytes = fs::read(folder.join("4.ptau")).unwrap();
    let mut ours = Vec::new();
    powers::prepare(&Ptau::parse(&bytes).unwrap(), &mut ours, &Quiet).unwrap();
    assert!(ours == fs::read(folder.join("5.ptau")).unwrap());
    let prepared = Ptau::parse(&ours).unwrap();
    assert_eq!(powers::verify(&prepared, &mut seeded(2), &Quiet), Ok(()));

    let said = succeeds(&program, folder, &["powersoftau", "verify", "5.ptau"]);
    assert!(said.contains("Powers of Tau Ok!"), "{said}");
    for line in contribute::format_hash(&response).lines() {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn a_key_contributed_to_in_turn_is_accepted_by_both() {
    let Some(program) = snarkjs() else { return };
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let (r1cs, ptau) = (constraints(CIRCUIT), golden("", "final.ptau"));
    fs::write(folder.join("c.r1cs"), golden(CIRCUIT, "circuit.r1cs")).unwrap();
    fs::write(folder.join("p.ptau"), &ptau).unwrap();
    let ptau = Ptau::parse(&ptau).unwrap();
    succeeds(
        &program,
        folder,
        &["groth16", "setup", "c.r1cs", "p.ptau", "0.zkey"],
    );
    assert_eq!(
        circuit::from_powers(&r1cs, &ptau),
        Ok(read_key(folder, "0.zkey"))
    );

    let mut hash = [0; 64];
    change_key(folder, "0.zkey", "1.zkey", |key| {
        hash = contribute::contribute(key, Some("ours"), &mut seeded(1)).unwrap();
    });
    let theirs = [
        "zkey",
        "contribute",
        "1.zkey",
        "2.zkey",
        "-n=theirs",
        "-e=of a test",
    ];
    succeeds(&program, folder, &theirs);
    change_key(folder, "2.zkey", "3.zkey", |key| {
        contribute::beacon(key, Some("ours"), &VALUE, 10, &Quiet).unwrap();
    });
    let theirs = [
        "zkey",
        "beacon",
        "3.zkey",
        "4.zkey",
        VALUE_HEX,
        "10",
        "-n=theirs",
    ];
    succeeds(&program, folder, &theirs);

    let key = read_key(folder, "4.zkey");
    assert_eq!(
        verify::verify(&key, &r1cs, &ptau, &mut seeded(2), &Quiet),
        Ok(())
    );
    let said = succeeds(
        &program,
        folder,
        &["zkey", "verify", "c.r1cs", "p.ptau", "4.zkey"],
    );
    assert!(said.contains("ZKey Ok!"), "{said}");
    for line in contribute::format_hash(&hash).lines() {
        assert!(said.contains(line), "{said}");
    }
    // What is refused here is refused there.
    change_key(folder, "4.zkey", "changed.zkey", |key| {
        key.l_g1[0] = key.h_g1[0];
    });
    let changed = read_key(folder, "changed.zkey");
    assert!(verify::verify(&changed, &r1cs, &ptau, &mut seeded(3), &Quiet).is_err());
    let arguments = ["zkey", "verify", "c.r1cs", "p.ptau", "changed.zkey"];
    assert!(!run(&program, folder, &arguments).status.success());
}
