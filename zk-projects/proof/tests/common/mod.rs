//! What the tests with golden files share.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]
#![allow(dead_code, reason = "each test uses its own part")]

pub(crate) mod snarkjs;

use std::fs;
use std::path::PathBuf;

use ark_bn254::{Fq2, Fr, G2Affine};
use ark_std::rand::SeedableRng;
use proof::files::{json, r1cs, wtns, zkey};
use proof::key::ProvingKey;
use proof::r1cs::R1cs;
use proof::verify::Proof;
use rand_chacha::ChaCha20Rng;

/// The circuits there are golden files of.
pub(crate) const CIRCUITS: [&str; 2] = ["multiplier", "ranges"];

/// A golden file.
pub(crate) fn golden(circuit: &str, file: &str) -> Vec<u8> {
    let path = PathBuf::from("tests/golden").join(circuit).join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The key of a circuit, with all its contributions.
pub(crate) fn key(circuit: &str) -> ProvingKey {
    zkey::read(&golden(circuit, "final.zkey")).unwrap()
}

/// The witness of a circuit that snarkjs calculated.
pub(crate) fn witness(circuit: &str) -> Vec<Fr> {
    wtns::read(&golden(circuit, "witness.wtns")).unwrap()
}

/// The constraints of a circuit.
pub(crate) fn constraints(circuit: &str) -> R1cs {
    r1cs::read(&golden(circuit, "circuit.r1cs")).unwrap().0
}

/// The proof that snarkjs made, and its public inputs.
pub(crate) fn proof_of_snarkjs(circuit: &str) -> (Proof, Vec<Fr>) {
    let proof = json::read_proof(&golden(circuit, "proof.json")).unwrap();
    let public = json::read_public(&golden(circuit, "public.json")).unwrap();
    (proof, public)
}

/// Randomness that is the same in each run.
pub(crate) fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A point that is on the curve of G2, but not in its subgroup.
pub(crate) fn outside_of_subgroup() -> G2Affine {
    (0_u64..)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .unwrap()
}
