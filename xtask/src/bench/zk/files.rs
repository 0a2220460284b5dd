//! The files that all sides work on: of each circuit a key, a witness, and the key's verifying part.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use ark_bn254::Fr;
use ark_std::rand::rngs::OsRng;
use proof::files::{json, r1cs, wtns, zkey};
use proof::key::ProvingKey;
use proof::r1cs::R1cs;
use proof::setup;
use proof::verify::{Proof, Verifier};

use super::circuits::{Circuit, circom_input};
use crate::bench::error::{Error, Result, doing, proving};
use crate::bench::job::{Figures, figures};
use crate::run::root;

/// Where the files of a circuit are.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) zkey: PathBuf,
    pub(super) wtns: PathBuf,
    pub(super) vkey: PathBuf,
    /// An input for circom's programs; of the mixer only.
    pub(super) input: PathBuf,
    /// Which constraints the key is for.
    digest: PathBuf,
}

impl Files {
    pub(super) fn of(circuit: Circuit, dir: &Path) -> Self {
        let path = |extension: &str| dir.join(format!("{}.{extension}", circuit.name()));
        Self {
            zkey: path("zkey"),
            wtns: path("wtns"),
            vkey: path("vkey.json"),
            input: path("input.json"),
            digest: path("digest"),
        }
    }

    pub(super) fn key_bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.zkey).map_err(doing("read the key"))
    }

    pub(super) fn key(&self) -> Result<ProvingKey> {
        zkey::read(&self.key_bytes()?).map_err(proving("read the key"))
    }

    pub(super) fn wires(&self) -> Result<Vec<Fr>> {
        read_wires(&self.wtns)
    }

    /// Sees that a proof which somebody wrote is one of this witness's public inputs.
    pub(super) fn verify(&self, proof: &Path, public: &Path) -> Result<()> {
        let proof = fs::read(proof).map_err(doing("read a proof"))?;
        let proof = json::read_proof(&proof).map_err(proving("read a proof"))?;
        let public = fs::read(public).map_err(doing("read public inputs"))?;
        let public = json::read_public(&public).map_err(proving("read public inputs"))?;
        self.verify_values(&proof, &public)
    }

    pub(super) fn verify_values(&self, proof: &Proof, public: &[Fr]) -> Result<()> {
        if self.wires()?.get(1..=public.len()) != Some(public) {
            return Err(Error::Wrong("a proof of other public inputs".into()));
        }
        let vkey = fs::read(&self.vkey).map_err(doing("read the verification key"))?;
        let vkey = json::read_verifying_key(&vkey).map_err(proving("read the verification key"))?;
        let verifier = Verifier::new(vkey).map_err(proving("use the verification key"))?;
        let verdict = verifier.verify(public, proof);
        verdict.map_err(|error| Error::Wrong(format!("a proof that does not verify ({error})")))
    }
}

pub(super) fn read_wires(path: &Path) -> Result<Vec<Fr>> {
    let bytes = fs::read(path).map_err(doing("read the witness"))?;
    wtns::read(&bytes).map_err(proving("read the witness"))
}

/// The folder of the mixer's statement in Circom.
fn circom() -> PathBuf {
    root().join("zk-projects/mixer/circom")
}

/// The mixer's program that circom wrote.
pub(super) fn mixer_program() -> PathBuf {
    circom().join("withdraw.wasm")
}

/// Sees that a witness satisfies the constraints that circom wrote beside the mixer's program.
pub(super) fn check_circom_witness(wires: &[Fr]) -> Result<()> {
    let bytes = fs::read(circom().join("withdraw.r1cs")).map_err(doing("read constraints"))?;
    let (constraints, _) = r1cs::read(&bytes).map_err(proving("read constraints"))?;
    if wires.len() != constraints.wires as usize || constraints.first_unsatisfied(wires).is_some() {
        return Err(Error::Wrong("a witness that satisfies no mixer".into()));
    }
    Ok(())
}

/// Writes the files of a circuit: a new witness, and a key, which is kept if it is there already. Figures of their size.
pub(super) fn prepare(circuit: Circuit, dir: &Path) -> Result<Figures> {
    fs::create_dir_all(dir).map_err(doing("create the folder of the keys"))?;
    let files = Files::of(circuit, dir);
    let r1cs = circuit.constraints()?;
    prepare_key(&r1cs, &files)?;
    let wires = circuit.random_witness()()?;
    if let Some(row) = r1cs.first_unsatisfied(&wires) {
        return Err(Error::Wrong(format!("constraint {row} is not satisfied")));
    }
    let file = fs::File::create(&files.wtns).map_err(doing("write the witness"))?;
    wtns::write(&wires, BufWriter::new(file)).map_err(doing("write the witness"))?;
    if circuit == Circuit::Mixer {
        let input = circom_input()?.to_string();
        fs::write(&files.input, input).map_err(doing("write the mixer's input"))?;
    }
    let metadata = fs::metadata(&files.zkey).map_err(doing("read the key"))?;
    Ok(figures([
        ("constraints", r1cs.constraints() as f64),
        ("wires", f64::from(r1cs.wires)),
        ("zkey_bytes", metadata.len() as f64),
    ]))
}

fn prepare_key(r1cs: &R1cs, files: &Files) -> Result<()> {
    let digest = r1cs.digest().to_string();
    let kept = fs::read_to_string(&files.digest).is_ok_and(|kept| kept == digest);
    if kept && files.zkey.exists() && files.vkey.exists() {
        return Ok(());
    }
    let key = setup::local(r1cs, &mut OsRng).map_err(proving("make a key"))?;
    let file = fs::File::create(&files.zkey).map_err(doing("write the key"))?;
    zkey::write(&key, BufWriter::new(file)).map_err(doing("write the key"))?;
    let vkey = json::write_verifying_key(&key.verifying).map_err(proving("use the key"))?;
    fs::write(&files.vkey, vkey).map_err(doing("write the verification key"))?;
    // Last: whoever is interrupted leaves no key that would be taken for a whole one.
    fs::write(&files.digest, digest).map_err(doing("write the key's digest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_for_the_same_constraints_and_made_again_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let prepare = |domain_log2| {
            let circuit = Circuit::Synthetic { domain_log2 };
            let figures = prepare(circuit, dir.path()).unwrap();
            let files = Files::of(circuit, dir.path());
            (
                figures["constraints"],
                files.key_bytes().unwrap(),
                files.wires().unwrap(),
            )
        };
        let (constraints, key, wires) = prepare(4);
        assert_eq!(constraints, 14.0);
        let again = prepare(4);
        assert_eq!(again.1, key);
        assert_ne!(again.2, wires, "a new witness");
        assert_ne!(prepare(5).1, key);
    }

    #[test]
    fn a_wrong_proof_and_one_of_other_inputs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let circuit = Circuit::Synthetic { domain_log2: 4 };
        prepare(circuit, dir.path()).unwrap();
        let files = Files::of(circuit, dir.path());
        let prover = proof::prove::Prover::new(files.key().unwrap()).unwrap();
        let wires = files.wires().unwrap();
        let proof = prover.prove(&wires, &mut OsRng).unwrap();
        files.verify_values(&proof, &wires[1..2]).unwrap();
        let wrong = Proof {
            c: proof.a,
            ..proof
        };
        let refused = |proof: &Proof| {
            let error = files.verify_values(proof, &wires[1..2]).unwrap_err();
            error.to_string()
        };
        assert!(refused(&wrong).contains("does not verify"));
        prepare(circuit, dir.path()).unwrap();
        assert!(refused(&proof).contains("other public inputs"));
    }
}
