//! What is measured within a process of its own.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::{Groth16, prepare_verifying_key};
use ark_std::rand::rngs::OsRng;
use gadgets::{poseidon, sha256};
use proof::circom::{Calculator, Limits, read_inputs};
use proof::files::zkey;
use proof::prove::Prover;
use serde::{Deserialize, Serialize};

use super::arkworks;
use super::circuits::Circuit;
use super::files::{self, Files};
use crate::bench::error::{Error, Result, doing, proving};
use crate::bench::job::{Figures, figures, memory};
use crate::bench::report::Spread;

/// What to do with a circuit. A figure is the median of so many repetitions after a first one that does not count.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Write its files.
    Prepare,
    /// Load the key, prove and verify by crate `proof`.
    Prove { repeats: usize },
    /// Prove and verify by ark-groth16.
    ProveByArkworks { repeats: usize },
    /// Compute a witness.
    Witness { repeats: usize },
    /// Compute the mixer's witness by the program that circom wrote.
    CircomWitness { repeats: usize },
    /// Compute the hash that the circuit is about.
    Hash { repeats: usize },
}

/// Does `task` with the files in `dir`.
pub(crate) fn run(circuit: Circuit, task: Task, dir: &Path) -> Result<Figures> {
    let files = Files::of(circuit, dir);
    match task {
        Task::Prepare => files::prepare(circuit, dir),
        Task::Prove { repeats } => prove(&files, repeats),
        Task::ProveByArkworks { repeats } => prove_by_arkworks(&files, repeats),
        Task::Witness { repeats } => {
            let witness = circuit.random_witness();
            let seconds = median(repeats, || witness().map(black_box))?;
            Ok(figures([("witness_s", seconds)]))
        }
        Task::CircomWitness { repeats } => circom_witness(&files, repeats),
        Task::Hash { repeats } => hash(circuit, repeats),
    }
}

/// The median of the seconds that `work` takes.
fn median<T>(repeats: usize, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    work()?;
    let mut seconds = Vec::with_capacity(repeats);
    for _ in 0..repeats.max(1) {
        let began = Instant::now();
        work()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(Spread::of(seconds).expect("there is a repetition").median)
}

/// Verifications are short.
const VERIFICATIONS: usize = 10;

/// Most memory while `work` runs, in bytes.
fn peak<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    // Resets the peak to what is used now. Where that is not possible the peak of loading the key may be the figure.
    let _ = fs::write("/proc/self/clear_refs", "5");
    work()?;
    memory("VmHWM")
}

fn prove(files: &Files, repeats: usize) -> Result<Figures> {
    let load = || {
        let key = zkey::read(&files.key_bytes()?).map_err(proving("read the key"))?;
        Prover::new(key).map_err(proving("use the key"))
    };
    let load_s = median(repeats, load)?;
    let prover = load()?;
    let wires = files.wires()?;
    let prove = || prover.prove(&wires, &mut OsRng).map_err(proving("prove"));
    let peak_bytes = peak(prove)?;
    let prove_s = median(repeats, prove)?;
    let (proof, public) = (prove()?, prover.public(&wires));
    files.verify_values(&proof, public)?;
    let verify = || {
        prover
            .verifier()
            .verify(public, &proof)
            .map_err(proving("verify"))
    };
    Ok(figures([
        ("load_s", load_s),
        ("prove_s", prove_s),
        ("verify_s", median(VERIFICATIONS, verify)?),
        ("peak_bytes", peak_bytes),
    ]))
}

fn prove_by_arkworks(files: &Files, repeats: usize) -> Result<Figures> {
    let key = arkworks::Key::of(files.key()?);
    let wires = files.wires()?;
    let prove = || {
        let [r, s] = [Fr::rand(&mut OsRng), Fr::rand(&mut OsRng)];
        key.prove(&wires, r, s)
            .map_err(proving("prove by arkworks"))
    };
    let peak_bytes = peak(prove)?;
    let prove_s = median(repeats, prove)?;
    let proof = prove()?;
    let prepared = prepare_verifying_key(&key.key.vk);
    let public = &wires[1..key.key.vk.gamma_abc_g1.len()];
    files.verify_values(&arkworks::converted(&proof), public)?;
    let verify = || match Groth16::<Bn254>::verify_proof(&prepared, &proof, public) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Wrong("arkworks refuses its own proof".into())),
        Err(error) => Err(proving("verify by arkworks")(error)),
    };
    Ok(figures([
        ("prove_s", prove_s),
        ("verify_s", median(VERIFICATIONS, verify)?),
        ("peak_bytes", peak_bytes),
    ]))
}

/// With the program read into memory before, and compiled each time, as snarkjs does.
fn circom_witness(files: &Files, repeats: usize) -> Result<Figures> {
    let program = fs::read(files::mixer_program()).map_err(doing("read the mixer's program"))?;
    let input = fs::read(&files.input).map_err(doing("read the mixer's input"))?;
    let witness = || {
        let inputs = read_inputs(&input).map_err(proving("read the mixer's input"))?;
        let failed = || proving("compute the mixer's witness");
        let calculator = Calculator::new(&program, Limits::default()).map_err(failed())?;
        calculator.witness(&inputs).map_err(failed())
    };
    files::check_circom_witness(&witness()?)?;
    Ok(figures([("witness_s", median(repeats, witness)?)]))
}

/// Each hash is of the one before, so that none can be left out.
fn hash(circuit: Circuit, repeats: usize) -> Result<Figures> {
    const HASHES: u32 = 1000;
    let seconds = match circuit {
        Circuit::Poseidon => median(repeats, || {
            let start = Fr::rand(&mut OsRng);
            let last = (0..HASHES).fold(start, |last, _| poseidon::hash(&[last, start]));
            Ok(black_box(last))
        }),
        Circuit::Sha256 => median(repeats, || {
            let mut message = [7; 64];
            for _ in 0..HASHES {
                let hash = sha256::digest(&message);
                message[..32].copy_from_slice(&hash);
            }
            Ok(black_box(message))
        }),
        Circuit::Mixer | Circuit::Synthetic { .. } => {
            return Err(Error::Misuse("this circuit is about no hash".into()));
        }
    }?;
    Ok(figures([("native_s", seconds / f64::from(HASHES))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_provers_prove_on_the_same_files() {
        let dir = tempfile::tempdir().unwrap();
        // Poseidon's domain has rows that no constraint fills.
        for circuit in [Circuit::Poseidon, Circuit::Synthetic { domain_log2: 5 }] {
            let run = |task| run(circuit, task, dir.path()).unwrap();
            run(Task::Prepare);
            for figures in [
                run(Task::Prove { repeats: 1 }),
                run(Task::ProveByArkworks { repeats: 1 }),
            ] {
                assert!(figures["prove_s"] > 0.0 && figures["verify_s"] > 0.0);
                assert!(figures["peak_bytes"] > 1e6);
            }
        }
    }

    #[test]
    fn a_key_of_other_constraints_gives_no_figure() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = [5, 6].map(|domain_log2| {
            let circuit = Circuit::Synthetic { domain_log2 };
            let place = dir.path().join(domain_log2.to_string());
            run(circuit, Task::Prepare, &place).unwrap();
            Files::of(circuit, &place)
        });
        fs::copy(&other.wtns, &one.wtns).unwrap();
        assert!(prove(&one, 1).is_err());
    }

    #[test]
    fn only_what_is_about_a_hash_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let hash = |circuit| run(circuit, Task::Hash { repeats: 1 }, dir.path());
        for circuit in [Circuit::Poseidon, Circuit::Sha256] {
            assert!(hash(circuit).unwrap().contains_key("native_s"));
        }
        assert!(hash(Circuit::Mixer).is_err());
    }

    #[test]
    fn the_mixers_program_computes_a_witness() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(Circuit::Mixer, dir.path());
        let input = super::super::circuits::circom_input().unwrap();
        fs::write(&files.input, input.to_string()).unwrap();
        assert!(circom_witness(&files, 1).unwrap()["witness_s"] > 0.0);
        let zeros = vec![Fr::from(0); 3];
        assert!(files::check_circom_witness(&zeros).is_err());
    }
}
