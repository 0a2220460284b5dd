//! What must hold for any bytes at all. Shared by the fuzz targets and by `tests/hostile_bytes.rs`.
//!
//! A reader refuses or accepts, without a panic; what it accepted is written and read again as the same.

#![allow(dead_code, reason = "each fuzz target uses its own part")]

use proof::files::{json, ptau, r1cs, wtns, zkey};
use proof::prove::Prover;
use proof::verify::Verifier;

/// Reads `data` as a constraint system.
pub(crate) fn r1cs(data: &[u8]) {
    let Ok((system, labels)) = r1cs::read(data) else {
        return;
    };
    let mut out = Vec::new();
    r1cs::write(&system, &labels, &mut out).expect("memory takes it");
    assert_eq!(r1cs::read(&out), Ok((system.clone(), labels)));
    assert!(out.len() <= data.len(), "the same in more bytes");
    let _digest = system.digest();
}

/// Reads `data` as a witness.
pub(crate) fn wtns(data: &[u8]) {
    let Ok(wires) = wtns::read(data) else { return };
    let mut out = Vec::new();
    wtns::write(&wires, &mut out).expect("memory takes it");
    assert_eq!(wtns::read(&out), Ok(wires));
}

/// Reads `data` as a proving key; if it may be used, nothing that is done with it panics.
pub(crate) fn zkey(data: &[u8]) {
    let Ok(key) = zkey::read(data) else { return };
    assert_eq!(zkey::read_verifying_key(data).as_ref(), Ok(&key.verifying));
    let mut out = Vec::new();
    zkey::write(&key, &mut out).expect("names that were read fit");
    assert_eq!(zkey::read(&out).as_ref(), Ok(&key));
    let _refused = Verifier::new(key.verifying.clone());
    let _refused = Prover::new(key);
}

/// Reads `data` as powers of tau.
pub(crate) fn ptau(data: &[u8]) {
    let Ok(file) = ptau::Ptau::parse(data) else {
        return;
    };
    let Ok(powers) = file.powers() else { return };
    let mut out = Vec::new();
    ptau::write(&powers, &mut out).expect("names that were read fit");
    let again = ptau::Ptau::parse(&out).and_then(|file| file.powers());
    assert_eq!(again, Ok(powers));
}

/// Reads `data` as each of snarkjs' documents.
pub(crate) fn json(data: &[u8]) {
    if let Ok(proof) = json::read_proof(data) {
        assert_eq!(
            json::read_proof(json::write_proof(&proof).as_bytes()),
            Ok(proof)
        );
    }
    if let Ok(inputs) = json::read_public(data) {
        assert_eq!(
            json::read_public(json::write_public(&inputs).as_bytes()),
            Ok(inputs)
        );
    }
    if let Ok(key) = json::read_verifying_key(data)
        && let Ok(text) = json::write_verifying_key(&key)
    {
        assert_eq!(json::read_verifying_key(text.as_bytes()), Ok(key));
    }
}
