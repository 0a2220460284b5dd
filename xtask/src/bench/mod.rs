//! `cargo run --release -p xtask -- bench`: measures the engine and the server against their peers.
//!
//! # What it is
//!
//! One command that measures both sides of each comparison in turn, in one run, and writes the raw results
//! (`docs/benchmarks.json`), a page (`docs/benchmarks.md`) and plots (`docs/plots`). `bench render` makes page and plots
//! from results measured before. The replicated store, transactions and the zero-knowledge prover have pages of their own
//! (`bench raft`, module `raft`; `bench txn`, module `txn`; `bench zk`, module `zk`).
//!
//! # What it guarantees
//!
//! The same data for every engine of a run; a process, and an empty directory, for every measurement; the order of the
//! sides changes from run to run; an engine that answers wrongly gives no figure; what falls short of its aim is
//! reported as it is. It refuses to measure an unoptimised build or a file system in memory.
//!
//! # What it does not
//!
//! It does not make a busy machine quiet: only ratios within a run count, and the page shows the load.
//!
//! # How it works
//!
//! ```text
//!  section (engine, writers, open, server)
//!     |  for each run, for each side: a child process, `bench-child ORDER` --> figures
//!     v
//!  report (samples by run and subject) --> aims (medians, ratios, reached or not) --> page, plots
//! ```

mod aims;
mod build;
mod data;
mod engine;
mod error;
mod job;
mod machine;
mod open;
mod page;
mod plots;
mod raft;
mod report;
mod server;
mod stores;
mod txn;
mod writers;
mod zk;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) use error::Error;
pub(crate) use job::run_child;

use self::error::{Result, doing};
use self::job::{Figures, Job, Order};
use self::machine::Machine;
use self::report::{Report, Section};
use crate::run::root;

/// What to measure, how often and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; `render` makes the page from results measured before
    #[arg(value_enum, default_value_t = Target::All)]
    target: Target,
    /// Tiny sizes, to see that everything works; the page goes below the build folder unless --out says otherwise
    #[arg(long)]
    quick: bool,
    /// Times that each measurement is repeated, the sides in turn [default: 5, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: Option<u32>,
    /// Times that a leader is killed, with `raft` [default: 100, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trials: Option<u32>,
    /// Folder for the data, on the disk to be measured [default: below the build folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder of page, plots and results [default: docs]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    Engine,
    Writers,
    Open,
    Server,
    /// The replicated store against etcd; not part of `all`, and with a page of its own
    Raft,
    /// The prover against snarkjs and ark-groth16; not part of `all`, and with a page of its own
    Zk,
    /// Transactions against raw keys; not part of `all`, and with a page of its own
    Txn,
    All,
    Render,
}

/// Names of the sections in the results.
pub(crate) const ENGINE: &str = "engine";
pub(crate) const WRITERS: &str = "writers";
pub(crate) const OPEN: &str = "open";
pub(crate) const SERVER: &str = "server";

type Measure = fn(&Bench, &mut Section) -> Result<()>;

impl Target {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn sections(self) -> Vec<(&'static str, Measure)> {
        let all: [(Self, &'static str, Measure); 4] = [
            (Self::Engine, ENGINE, engine::section),
            (Self::Writers, WRITERS, writers::section),
            (Self::Open, OPEN, open::section),
            (Self::Server, SERVER, server::section),
        ];
        all.into_iter()
            .filter(|(target, _, _)| self == Self::All || self == *target)
            .map(|(_, name, measure)| (name, measure))
            .collect()
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Pairs of 24 and 100 bytes.
    pub(crate) pairs: usize,
    /// Pairs per batch.
    pub(crate) batch: usize,
    /// The course's pairs.
    pub(crate) large_pairs: usize,
    /// How long the writers write.
    pub(crate) seconds: f64,
    /// Size of a segment where compaction is measured; small ones give a short trial something to compact.
    pub(crate) segment_bytes: u64,
    /// Appends to a file, each synced.
    pub(crate) syncs: usize,
    /// Times that everything is overwritten.
    pub(crate) rounds: usize,
    /// Requests to a server without pipelining.
    pub(crate) requests: usize,
    /// Requests to a server with pipelining.
    pub(crate) pipelined_requests: usize,
}

impl Scale {
    const FULL: Self = Self {
        pairs: 1_000_000,
        batch: 1000,
        large_pairs: 1000,
        seconds: 10.0,
        segment_bytes: 64 << 20,
        syncs: 2000,
        rounds: 5,
        requests: 200_000,
        pipelined_requests: 2_000_000,
    };

    const QUICK: Self = Self {
        pairs: 20_000,
        batch: 1000,
        large_pairs: 50,
        seconds: 0.5,
        segment_bytes: 1 << 20,
        syncs: 50,
        rounds: 2,
        requests: 5_000,
        pipelined_requests: 20_000,
    };
}

/// A measurement under way.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) scale: Scale,
    pub(crate) runs: usize,
    dir: PathBuf,
}

impl Bench {
    /// An empty directory on the disk that is measured.
    pub(crate) fn temporary(&self) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&self.dir)
            .map_err(doing("create a directory for the data"))
    }

    /// `job` on the data of `run`, in `dir`.
    pub(crate) fn order(&self, run: usize, job: Job, dir: &Path) -> Order {
        Order {
            job,
            dir: dir.to_owned(),
            seed: run as u64 + 1,
        }
    }

    /// Does `job` in a process and a directory of its own.
    pub(crate) fn child(&self, run: usize, job: Job) -> Result<Figures> {
        let dir = self.temporary()?;
        eprintln!("bench: run {}: {job:?}", run + 1);
        job::measure(&self.order(run, job, dir.path()))
    }
}

/// The sides in another order each run, so that none always comes first.
pub(crate) fn in_turn<T: Clone>(run: usize, sides: &[T]) -> Vec<T> {
    let mut sides = sides.to_vec();
    let first = run % sides.len().max(1);
    sides.rotate_left(first);
    sides
}

/// `cargo xtask bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let build = std::env::current_exe().map_err(doing("find this program"))?;
    let build = build.parent().expect("a program lies in a folder");
    let out = match (&arguments.out, arguments.quick) {
        (Some(out), _) => out.clone(),
        (None, true) => build.join("bench-quick"),
        (None, false) => root().join("docs"),
    };
    std::fs::create_dir_all(&out).map_err(doing("create the folder of the page"))?;
    let dir = arguments.dir.clone();
    let dir = dir.unwrap_or_else(|| build.join("bench-data"));
    let (mut raft, raft_results) = Report::beside(&out, raft::RESULTS)?;
    let (mut zk, zk_results) = Report::beside(&out, zk::RESULTS)?;
    let (mut txn, txn_results) = Report::beside(&out, txn::RESULTS)?;
    if arguments.target == Target::Raft {
        let bench = prepare(arguments, &dir)?;
        let section = || section(&bench, arguments);
        raft::measure(&bench, arguments, section, (&mut raft, &raft_results))?;
        return raft::write(&raft, &out);
    }
    if arguments.target == Target::Zk {
        let bench = prepare(arguments, &dir)?;
        let section = || section(&bench, arguments);
        zk::measure(&bench, arguments.quick, section, (&mut zk, &zk_results))?;
        return zk::write(&zk, &out);
    }
    if arguments.target == Target::Txn {
        let bench = prepare(arguments, &dir)?;
        let section = || section(&bench, arguments);
        txn::measure(&bench, arguments.quick, section, (&mut txn, &txn_results))?;
        return txn::write(&txn, &out);
    }
    let results = out.join("benchmarks.json");
    let mut report = Report::read(&results)?;
    if arguments.target == Target::Render {
        raft.write(&raft_results)?;
        raft::write(&raft, &out)?;
        zk.write(&zk_results)?;
        zk::write(&zk, &out)?;
        txn.write(&txn_results)?;
        txn::write(&txn, &out)?;
    } else {
        measure(arguments, &dir, &mut report, &results)?;
    }
    // Also where nothing was measured yet: the page links to it.
    report.write(&results)?;
    page::write(&report, &out)?;
    eprintln!("bench: wrote {}", out.join("benchmarks.md").display());
    Ok(())
}

fn measure(arguments: &Arguments, dir: &Path, report: &mut Report, results: &Path) -> Result<()> {
    let bench = prepare(arguments, dir)?;
    for (name, measure) in arguments.target.sections() {
        let mut section = section(&bench, arguments);
        measure(&bench, &mut section)?;
        report.sections.insert(name.to_owned(), section);
        // After each section: whoever is interrupted keeps what was measured.
        report.write(results)?;
    }
    Ok(())
}

/// Sees that figures would mean something, and makes the folder of the data.
fn prepare(arguments: &Arguments, dir: &Path) -> Result<Bench> {
    // Load and nodes of transactions are programs of their own, optimised always.
    let measures_itself = arguments.target != Target::Txn;
    if cfg!(debug_assertions) && measures_itself && !arguments.quick {
        return Err(Error::Misuse(
            "figures of an unoptimised build mean nothing: use `cargo run --release`, or --quick to try it".into(),
        ));
    }
    std::fs::create_dir_all(dir).map_err(doing("create the folder of the data"))?;
    let dir = dir
        .canonicalize()
        .map_err(doing("find the folder of the data"))?;
    if Machine::read(&dir).file_system == "tmpfs" {
        return Err(Error::Misuse(
            "the data would lie in memory (tmpfs), where a sync costs nothing: give --dir on a disk".into(),
        ));
    }
    Ok(Bench {
        scale: if arguments.quick {
            Scale::QUICK
        } else {
            Scale::FULL
        },
        runs: arguments
            .runs
            .map_or(if arguments.quick { 1 } else { 5 }, |runs| runs as usize),
        dir,
    })
}

/// A section without figures yet.
fn section(bench: &Bench, arguments: &Arguments) -> Section {
    Section {
        machine: Machine::read(&bench.dir),
        command: command(arguments),
        quick: arguments.quick,
        runs: bench.runs,
        ..Section::default()
    }
}

/// The command as somebody would repeat it.
fn command(arguments: &Arguments) -> String {
    let mut command = format!(
        "cargo run --release -p xtask -- bench {}",
        arguments.target.name()
    );
    if arguments.quick {
        command.push_str(" --quick");
    }
    if let Some(runs) = arguments.runs {
        command.push_str(&format!(" --runs {runs}"));
    }
    if let Some(trials) = arguments.trials {
        command.push_str(&format!(" --trials {trials}"));
    }
    if arguments.dir.is_some() {
        command.push_str(" --dir DIR");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_side_comes_first_in_some_run() {
        let first = [0, 1, 2].map(|run| in_turn(run, &['a', 'b', 'c'])[0]);
        assert_eq!(first, ['a', 'b', 'c']);
        assert!(in_turn::<char>(1, &[]).is_empty());
    }

    #[test]
    fn the_command_on_the_page_holds_no_path_of_this_machine() {
        let arguments = Arguments {
            target: Target::Engine,
            quick: true,
            runs: Some(3),
            trials: None,
            dir: Some("/some/where".into()),
            out: None,
        };
        assert_eq!(
            command(&arguments),
            "cargo run --release -p xtask -- bench engine --quick --runs 3 --dir DIR"
        );
    }
}
