//! Files exchanged with snarkjs itself. Skipped, visibly, without Node or without `npm ci` in `zk-projects`.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod common;

use std::fs;
use std::path::Path;

use ark_bn254::Fr;
use proof::files::{json, wtns, zkey};
use proof::prove::Prover;
use proof::setup;
use proof::verify::{Proof, Verifier};

use common::snarkjs::{run, snarkjs, succeeds};
use common::{constraints, golden, key, seeded, witness};

const CIRCUIT: &str = "ranges";

/// Whether snarkjs accepts the proof in a folder.
fn accepts(program: &Path, folder: &Path) -> bool {
    let output = run(
        program,
        folder,
        &[
            "groth16",
            "verify",
            "verification_key.json",
            "public.json",
            "proof.json",
        ],
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let accepted = said.contains("OK!");
    assert!(
        accepted || said.contains("Invalid proof"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(accepted, output.status.success());
    accepted
}

fn write_proof(folder: &Path, proof: &Proof, public: &[Fr]) {
    fs::write(folder.join("proof.json"), json::write_proof(proof)).unwrap();
    fs::write(folder.join("public.json"), json::write_public(public)).unwrap();
}

fn read_proof(folder: &Path) -> (Proof, Vec<Fr>) {
    let proof = json::read_proof(&fs::read(folder.join("proof.json")).unwrap()).unwrap();
    let public = json::read_public(&fs::read(folder.join("public.json")).unwrap()).unwrap();
    (proof, public)
}

#[test]
fn snarkjs_verifies_what_we_prove_with_its_key_and_its_witness() {
    let Some(program) = snarkjs() else { return };
    let place = tempfile::tempdir().unwrap();
    let wires = witness(CIRCUIT);
    let prover = Prover::new(key(CIRCUIT)).unwrap();
    let proof = prover.prove(&wires, &mut seeded(1)).unwrap();
    fs::write(
        place.path().join("verification_key.json"),
        golden(CIRCUIT, "verification_key.json"),
    )
    .unwrap();
    write_proof(place.path(), &proof, prover.public(&wires));
    assert!(accepts(&program, place.path()));
    let mut other = prover.public(&wires).to_vec();
    other[1] += Fr::from(1);
    write_proof(place.path(), &proof, &other);
    assert!(!accepts(&program, place.path()));
}

#[test]
fn snarkjs_proves_and_verifies_with_our_key_and_our_witness_file() {
    let Some(program) = snarkjs() else { return };
    let place = tempfile::tempdir().unwrap();
    let ours = setup::local(&constraints(CIRCUIT), &mut seeded(2)).unwrap();
    let wires = witness(CIRCUIT);
    zkey::write(
        &ours,
        fs::File::create(place.path().join("ours.zkey")).unwrap(),
    )
    .unwrap();
    wtns::write(
        &wires,
        fs::File::create(place.path().join("ours.wtns")).unwrap(),
    )
    .unwrap();
    let vkey = json::write_verifying_key(&ours.verifying).unwrap();

    succeeds(
        &program,
        place.path(),
        &[
            "zkey",
            "export",
            "verificationkey",
            "ours.zkey",
            "verification_key.json",
        ],
    );
    assert_eq!(
        fs::read_to_string(place.path().join("verification_key.json")).unwrap(),
        vkey
    );

    succeeds(
        &program,
        place.path(),
        &[
            "groth16",
            "prove",
            "ours.zkey",
            "ours.wtns",
            "proof.json",
            "public.json",
        ],
    );
    let (proof, public) = read_proof(place.path());
    assert_eq!(public, wires[1..3]);
    assert_eq!(
        Verifier::new(ours.verifying.clone())
            .unwrap()
            .verify(&public, &proof),
        Ok(())
    );

    let prover = Prover::new(ours).unwrap();
    write_proof(
        place.path(),
        &prover.prove(&wires, &mut seeded(3)).unwrap(),
        &public,
    );
    assert!(accepts(&program, place.path()));
}
