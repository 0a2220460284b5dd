//! `bench zk`: our prover against snarkjs and ark-groth16, on the same keys and witnesses.
//!
//! # What it is
//!
//! Three circuits ([`circuits`]), three provers. In process: key and witness are in memory, and only proving counts. As a whole process:
//! from the start of the program until it ended, with reading, writing and whatever it checks. Beside that the time to load a key, to
//! compute a witness, and two hashes inside and outside of a circuit.
//!
//! # What it guarantees
//!
//! The sides prove the same files and take turns within a run. A proof that our verifier refuses gives no figure.
//!
//! # What it does not
//!
//! In process and as a process are not compared with each other. Keys are made by one party in memory: how long a ceremony takes is not
//! measured here.
//!
//! # How it works
//!
//! ```text
//! Prepare           mixer.zkey, mixer.wtns, ...      in a folder that is kept; a child process, so that this one stays small
//! for each run, circuit and side, in turn
//!     keyproof      bench-child (Prove)              zk-prove groth16 prove
//!     ark-groth16   bench-child (ProveByArkworks)
//!     snarkjs       node snarkjs.cjs prove           node snarkjs/build/cli.cjs groth16 prove
//! ```

mod arkworks;
mod child;
mod circuits;
mod files;
mod page;
mod process;

use std::path::{Path, PathBuf};
use std::process::Command;

use self::files::Files;
use super::build::build;
use super::error::{Error, Result, doing};
use super::job::{self, Figures, Job, quiet_disk};
use super::report::{Report, Sample, Section};
use super::{Bench, Machine, in_turn};
use crate::run::root;

pub(crate) use child::{Task, run as run_task};
pub(crate) use circuits::Circuit;
pub(crate) use page::write;

/// File of the raw results.
pub(crate) const RESULTS: &str = "benchmarks-zk.json";
/// Names of the sections in the results.
pub(crate) const PROVE: &str = "prove";
pub(crate) const WITNESS: &str = "witness";
pub(crate) const HASHES: &str = "hashes";

/// What all sides prove, at full size.
pub(crate) const PROVED: [Circuit; 3] = [
    Circuit::Mixer,
    Circuit::Sha256,
    Circuit::Synthetic { domain_log2: 18 },
];
/// Whose hashes are compared.
pub(crate) const HASHED: [Circuit; 2] = [Circuit::Poseidon, Circuit::Sha256];
/// In names of figures: the mixer's statement in Circom.
pub(crate) const CIRCOM: &str = "circom";

/// Who proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Arkworks,
    Snarkjs,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Snarkjs, Self::Arkworks, Self::Ours];

    /// As it stands in the tables.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Ours => "keyproof",
            Self::Arkworks => "ark-groth16",
            Self::Snarkjs => "snarkjs",
        }
    }
}

/// Name of the figure `what` of a circuit.
pub(crate) fn figure(circuit: &str, what: &str) -> String {
    format!("{circuit}_{what}")
}

/// Where everything is.
struct Place<'a> {
    bench: &'a Bench,
    /// Keys and witnesses.
    dir: PathBuf,
    zk_prove: PathBuf,
    /// The folder of its package.
    snarkjs: Option<PathBuf>,
    quick: bool,
}

/// Measures, and writes the results after each section.
pub(crate) fn measure(
    bench: &Bench,
    quick: bool,
    section: impl Fn() -> Section,
    (report, results): (&mut Report, &Path),
) -> Result<()> {
    let place = Place {
        bench,
        dir: bench.dir.join("zk"),
        zk_prove: build(&["xtask", "zk-prove"], "zk-prove")?,
        snarkjs: snarkjs(),
        quick,
    };
    let measures: [(&str, Measure<'_>); 3] = [
        (PROVE, Place::prove),
        (WITNESS, Place::witness),
        (HASHES, Place::hashes),
    ];
    for (name, measure) in measures {
        let mut section = section();
        section.machine.peers = Machine::prover_peers(place.snarkjs.as_deref());
        measure(&place, &mut section)?;
        report.sections.insert(name.into(), section);
        report.write(results)?;
    }
    Ok(())
}

type Measure<'a> = fn(&Place<'a>, &mut Section) -> Result<()>;

/// The folder of the snarkjs that `npm ci` installed, if there is Node to run it.
fn snarkjs() -> Option<PathBuf> {
    let modules = std::env::var_os("KEYPROOF_NODE_MODULES").map_or_else(
        || root().join("zk-projects").join("node_modules"),
        PathBuf::from,
    );
    let folder = modules.join("snarkjs").canonicalize().ok()?;
    super::server::is_there("node").then_some(folder)
}

impl Place<'_> {
    fn proved(&self) -> [Circuit; 3] {
        match self.quick {
            true => [
                Circuit::Mixer,
                Circuit::Sha256,
                Circuit::Synthetic { domain_log2: 8 },
            ],
            false => PROVED,
        }
    }

    fn sides(&self, section: &mut Section) -> Vec<Side> {
        if self.snarkjs.is_none() {
            section.note("SKIPPED: snarkjs is not there (Node, and `npm ci` in zk-projects)");
        }
        let sides = Side::ALL.into_iter();
        let is_there = |side: &Side| *side != Side::Snarkjs || self.snarkjs.is_some();
        sides.filter(is_there).collect()
    }

    /// Repetitions within a process: more where one takes little.
    fn repeats(&self, circuit: Circuit) -> usize {
        match circuit {
            _ if self.quick => 1,
            Circuit::Poseidon | Circuit::Mixer => 9,
            Circuit::Sha256 => 3,
            Circuit::Synthetic { .. } => 2,
        }
    }

    /// Does `task` in a process of its own.
    fn child(&self, run: usize, circuit: Circuit, task: Task) -> Result<Figures> {
        eprintln!("bench: run {}: {circuit:?}, {task:?}", run + 1);
        let job = Job::Zk { circuit, task };
        job::measure(&self.bench.order(run, job, &self.dir))
    }

    /// Writes the files of a circuit and records their sizes.
    fn prepare(&self, circuit: Circuit, section: &mut Section) -> Result<()> {
        for (size, value) in self.child(0, circuit, Task::Prepare)? {
            section.set(&figure(circuit.name(), &size), value);
        }
        Ok(())
    }

    fn prove(&self, section: &mut Section) -> Result<()> {
        let sides = self.sides(section);
        for circuit in self.proved() {
            self.prepare(circuit, section)?;
        }
        for run in 0..self.bench.runs {
            for circuit in self.proved() {
                for side in in_turn(run, &sides) {
                    let figures = self.prove_by(run, circuit, side)?;
                    record(section, run, side.text(), circuit.name(), figures);
                }
            }
        }
        Ok(())
    }

    fn prove_by(&self, run: usize, circuit: Circuit, side: Side) -> Result<Figures> {
        let repeats = self.repeats(circuit);
        match side {
            Side::Arkworks => self.child(run, circuit, Task::ProveByArkworks { repeats }),
            Side::Ours => {
                let mut figures = self.child(run, circuit, Task::Prove { repeats })?;
                figures.extend(self.zk_prove(run, circuit)?);
                Ok(figures)
            }
            Side::Snarkjs => {
                let snarkjs = self.snarkjs.as_deref();
                let snarkjs = snarkjs.expect("sides that are not there were left out");
                let mut figures = self.snarkjs_process(run, circuit, snarkjs)?;
                figures.extend(self.snarkjs_prove(run, circuit, snarkjs)?);
                Ok(figures)
            }
        }
    }

    /// `zk-prove` twice: the first time it checks the key's points, then it remembers that it did.
    fn zk_prove(&self, run: usize, circuit: Circuit) -> Result<Figures> {
        let dir = self.bench.temporary()?;
        let files = Files::of(circuit, &self.dir);
        let mut figures = Figures::new();
        for what in ["first_process", "process"] {
            let mut command = Command::new(&self.zk_prove);
            command
                .args(["groth16", "prove"])
                .args([&files.zkey, &files.wtns])
                .arg("--out")
                .arg(dir.path())
                .env("XDG_CACHE_HOME", dir.path());
            figures.extend(self.process(run, circuit, what, &mut command, dir.path())?);
        }
        Ok(figures)
    }

    fn snarkjs_process(&self, run: usize, circuit: Circuit, snarkjs: &Path) -> Result<Figures> {
        let dir = self.bench.temporary()?;
        let files = Files::of(circuit, &self.dir);
        let mut command = Command::new("node");
        command
            .arg(snarkjs.join("build/cli.cjs"))
            .args(["groth16", "prove"])
            .args([&files.zkey, &files.wtns])
            .args(["proof.json", "public.json"])
            .current_dir(dir.path());
        self.process(run, circuit, "process", &mut command, dir.path())
    }

    /// Runs a prover that leaves proof.json and public.json in `dir`.
    fn process(
        &self,
        run: usize,
        circuit: Circuit,
        what: &str,
        command: &mut Command,
        dir: &Path,
    ) -> Result<Figures> {
        let program = command.get_program().to_string_lossy().into_owned();
        let program = program.rsplit('/').next().unwrap_or_default();
        eprintln!("bench: run {}: {circuit:?}, {program}, {what}", run + 1);
        quiet_disk();
        let taken = process::run(command, &dir.join("output"))?;
        let files = Files::of(circuit, &self.dir);
        files.verify(&dir.join("proof.json"), &dir.join("public.json"))?;
        Ok(Figures::from([
            (format!("{what}_s"), taken.seconds),
            (format!("{what}_peak_bytes"), taken.peak_bytes),
        ]))
    }

    fn snarkjs_prove(&self, run: usize, circuit: Circuit, snarkjs: &Path) -> Result<Figures> {
        let dir = self.bench.temporary()?;
        let files = Files::of(circuit, &self.dir);
        let [proof, public] = ["proof.json", "public.json"].map(|file| dir.path().join(file));
        let mut command = script(snarkjs, "prove");
        command
            .args([&files.zkey, &files.wtns, &files.vkey, &proof, &public])
            .arg(self.repeats(circuit).to_string());
        eprintln!("bench: run {}: {circuit:?}, snarkjs in process", run + 1);
        let figures = printed(&mut command, dir.path())?;
        files.verify(&proof, &public)?;
        Ok(figures)
    }

    fn witness(&self, section: &mut Section) -> Result<()> {
        let mut sides = self.sides(section);
        // arkworks runs no program of circom.
        sides.retain(|side| *side != Side::Arkworks);
        self.prepare(Circuit::Mixer, section)?;
        for run in 0..self.bench.runs {
            for circuit in self.proved() {
                let repeats = self.repeats(circuit);
                let figures = self.child(run, circuit, Task::Witness { repeats })?;
                record(section, run, Side::Ours.text(), circuit.name(), figures);
            }
            for side in in_turn(run, &sides) {
                let figures = self.circom_witness(run, side)?;
                record(section, run, side.text(), CIRCOM, figures);
            }
        }
        Ok(())
    }

    /// By the program that circom wrote, run by snarkjs or by us.
    fn circom_witness(&self, run: usize, side: Side) -> Result<Figures> {
        let repeats = self.repeats(Circuit::Mixer);
        let snarkjs = self.snarkjs.as_deref();
        let Some(snarkjs) = snarkjs.filter(|_| side == Side::Snarkjs) else {
            return self.child(run, Circuit::Mixer, Task::CircomWitness { repeats });
        };
        eprintln!("bench: run {}: the mixer's program, snarkjs", run + 1);
        let dir = self.bench.temporary()?;
        let wtns = dir.path().join("witness.wtns");
        let input = Files::of(Circuit::Mixer, &self.dir).input;
        let mut command = script(snarkjs, "witness");
        command.args([&files::mixer_program(), &input, &wtns]);
        let figures = printed(command.arg(repeats.to_string()), dir.path())?;
        files::check_circom_witness(&files::read_wires(&wtns)?)?;
        Ok(figures)
    }

    fn hashes(&self, section: &mut Section) -> Result<()> {
        for circuit in HASHED {
            self.prepare(circuit, section)?;
        }
        for run in 0..self.bench.runs {
            for circuit in in_turn(run, &HASHED) {
                let repeats = self.repeats(circuit);
                for task in [
                    Task::Hash { repeats },
                    Task::Witness { repeats },
                    Task::Prove { repeats },
                ] {
                    let figures = self.child(run, circuit, task)?;
                    record(section, run, Side::Ours.text(), circuit.name(), figures);
                }
            }
        }
        Ok(())
    }
}

/// Adds the figures of one circuit.
fn record(section: &mut Section, run: usize, subject: &str, circuit: &str, figures: Figures) {
    let figures = figures
        .into_iter()
        .map(|(what, value)| (figure(circuit, &what), value));
    let sample = Sample::new(run, subject, figures.collect());
    section.samples.push(sample);
}

/// Our script that calls snarkjs within its process.
fn script(snarkjs: &Path, verb: &str) -> Command {
    let mut command = Command::new("node");
    let script = root().join("xtask/src/bench/zk/snarkjs.cjs");
    command.arg(script).arg(snarkjs).arg(verb);
    command
}

/// The figures that a program prints.
fn printed(command: &mut Command, dir: &Path) -> Result<Figures> {
    quiet_disk();
    let output = dir.join("output");
    process::run(command, &output)?;
    let said = std::fs::read(&output).map_err(doing("read what a program printed"))?;
    serde_json::from_slice(&said).map_err(|source| Error::Json {
        what: "the figures of snarkjs".into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_carry_the_circuit_in_their_name() {
        let mut section = Section::default();
        let figures = Figures::from([("prove_s".to_owned(), 0.5)]);
        record(&mut section, 2, "somebody", Circuit::Mixer.name(), figures);
        let spread = section.spread("somebody", &figure("mixer", "prove_s"));
        assert_eq!(spread.map(|spread| spread.median), Some(0.5));
    }

    #[test]
    fn figures_that_a_program_prints_are_read_and_anything_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let said = |text: &str| printed(Command::new("echo").arg(text), dir.path());
        assert_eq!(said(r#"{"prove_s": 0.25}"#).unwrap()["prove_s"], 0.25);
        assert!(said("0.25 seconds").is_err());
    }
}
