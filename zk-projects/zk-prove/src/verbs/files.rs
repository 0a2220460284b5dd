//! `groth16`: proving and verifying with plain files, of any circuit.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use ark_std::rand::rngs::OsRng;
use proof::circom::{Calculator, Limits, read_inputs};
use proof::files::{json, wtns, zkey};
use proof::key::ProvingKey;
use proof::private_file;
use proof::prove::Prover;
use proof::verify::Verifier;
use serde::Serialize;
use zeroize::Zeroizing;

use super::statement::Verdict;
use super::{Outcome, Written, milliseconds, read_proof, read_public, remembered, write_proof};
use crate::args::Groth16;
use crate::failure::Failure;
use crate::output::Output;
use crate::paths;

pub(super) fn run(verb: Groth16, output: Output) -> Result<Outcome, Failure> {
    match verb {
        Groth16::Witness { wasm, input, wtns } => witness(&wasm, &input, &wtns, output),
        Groth16::Prove { zkey, wtns, out } => prove(&zkey, &wtns, &out, output),
        Groth16::Verify {
            vkey,
            public,
            proof,
        } => verify(&vkey, &public, &proof, output),
    }
}

#[derive(Serialize)]
struct ProveReport {
    #[serde(flatten)]
    written: Written,
    loading_ms: f64,
    proving_ms: f64,
}

impl fmt::Display for ProveReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (proof, public) = (self.written.proof.display(), self.written.public.display());
        writeln!(out, "proved and verified: {proof}, {public}")?;
        writeln!(
            out,
            "key {} ms, proof {} ms",
            self.loading_ms, self.proving_ms
        )
    }
}

#[derive(Serialize)]
struct WitnessReport<'a> {
    witness: &'a Path,
    wires: usize,
    milliseconds: f64,
}

impl fmt::Display for WitnessReport<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (witness, wires) = (self.witness.display(), self.wires);
        writeln!(out, "{witness}: {wires} wires, {} ms", self.milliseconds)
    }
}

fn witness(wasm: &Path, input: &Path, wtns: &Path, output: Output) -> Result<Outcome, Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Circom { path, source }
    };
    let program = paths::read(wasm)?;
    let calculator = Calculator::new(&program, Limits::default()).map_err(failed(wasm))?;
    let document = Zeroizing::new(paths::read(input)?);
    let inputs = read_inputs(&document).map_err(Failure::json(input))?;
    let began = Instant::now();
    let wires = calculator.witness(&inputs).map_err(failed(wasm))?;
    let took = began.elapsed();
    let mut bytes = Zeroizing::new(Vec::new());
    wtns::write(&wires, &mut *bytes).map_err(Failure::io("write", wtns))?;
    private_file::write_new(wtns, &bytes)?;
    output.print(&WitnessReport {
        witness: wtns,
        wires: wires.len(),
        milliseconds: milliseconds(took),
    })?;
    Ok(Outcome::Done)
}

fn prove(zkey: &Path, wtns: &Path, out: &Path, output: Output) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let prover = Prover::with_subgroup_checked(read_checked(zkey)?)?;
    let loaded = Instant::now();
    let bytes = Zeroizing::new(paths::read(wtns)?);
    let wires = Zeroizing::new(wtns::read(&bytes).map_err(Failure::format(wtns))?);
    let proof = prover.prove(&wires, &mut OsRng)?;
    let proved = Instant::now();
    let written = write_proof(out, &proof, prover.public(&wires))?;
    output.print(&ProveReport {
        written,
        loading_ms: milliseconds(loaded - began),
        proving_ms: milliseconds(proved - loaded),
    })?;
    Ok(Outcome::Done)
}

/// Reads a key and checks that its points are in the subgroup, unless this file was checked before.
fn read_checked(path: &Path) -> Result<ProvingKey, Failure> {
    let bytes = paths::map(path)?;
    let key = zkey::read(&bytes).map_err(Failure::format(path))?;
    let remembered = remembered();
    let digest = proof::digest::Digest::of(&bytes);
    if !remembered.holds(&digest) {
        key.check_subgroup()?;
        remembered.add(&digest);
    }
    Ok(key)
}

fn verify(vkey: &Path, public: &Path, proof: &Path, output: Output) -> Result<Outcome, Failure> {
    let key = json::read_verifying_key(&paths::read(vkey)?).map_err(Failure::json(vkey))?;
    let result = Verifier::new(key)?.verify(&read_public(public)?, &read_proof(proof)?);
    let verdict = Verdict {
        accepted: result.is_ok(),
        reason: result.err().map(|error| error.to_string()),
        key: None,
        proof: proof.to_owned(),
    };
    output.print(&verdict)?;
    Ok(verdict.outcome())
}
