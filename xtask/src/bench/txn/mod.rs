//! `bench txn`: transactions against the store's own raw keys, three nodes on loopback, the published client of TiKV as the load for both.
//!
//! Each measurement is a process of its own (example `load` of crate `tikv-compat`); within a run all of them meet the same cluster, in
//! an order that changes from run to run. What it does not: the load shares the cores with the nodes, and a transaction costs the client itself
//! more than a raw call does.

mod page;

use std::path::Path;
use std::process::Command;

use super::error::{Error, Result, doing};
use super::job::{Figures, quiet_disk};
use super::raft::{Cluster, NODES, Setup, Side};
use super::report::{Report, Sample, Section};
use super::{Bench, in_turn};

pub(crate) use page::write;

/// File of the raw results.
pub(crate) const RESULTS: &str = "benchmarks-txn.json";
/// Name of the section in the results.
pub(crate) const TRANSACTIONS: &str = "transactions";
/// The one subject of it.
const STORE: &str = "kvs-node";
const VALUE_BYTES: usize = 100;
/// Clients with one thing under way each.
const CLIENTS: usize = 64;
/// Clients that ask for timestamps and do nothing else.
const ASKERS: usize = 1024;

/// How many keys there are to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contention {
    Low,
    High,
}

impl Contention {
    const fn keys(self) -> usize {
        match self {
            Self::Low => 100_000,
            Self::High => 64,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

/// How transactions are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    TwoPhase,
    Async,
    OnePhase,
}

impl Commit {
    const ALL: [Self; 3] = [Self::TwoPhase, Self::Async, Self::OnePhase];

    /// As the load takes it.
    const fn name(self) -> &'static str {
        match self {
            Self::TwoPhase => "two-phase",
            Self::Async => "async",
            Self::OnePhase => "one-phase",
        }
    }
}

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    RawGet,
    Get,
    BeginAndGet,
    /// So many keys with each call.
    RawPut(usize),
    Write {
        commit: Commit,
        size: usize,
        pessimistic: bool,
        contention: Contention,
    },
    Timestamp,
    TimestampStream,
}

/// Keys per transaction.
const SIZES: [usize; 3] = [1, 2, 8];

impl Case {
    const fn optimistic(commit: Commit, size: usize) -> Self {
        Self::Write {
            commit,
            size,
            pessimistic: false,
            contention: Contention::Low,
        }
    }

    fn all() -> Vec<Self> {
        let mut all = vec![
            Self::RawGet,
            Self::Get,
            Self::BeginAndGet,
            Self::Timestamp,
            Self::TimestampStream,
        ];
        all.extend(SIZES.map(Self::RawPut));
        for size in SIZES {
            all.extend(Commit::ALL.map(|commit| Self::optimistic(commit, size)));
            let rest = [
                (true, Contention::Low),
                (false, Contention::High),
                (true, Contention::High),
            ];
            all.extend(rest.map(|(pessimistic, contention)| Self::Write {
                commit: Commit::TwoPhase,
                size,
                pessimistic,
                contention,
            }));
        }
        all
    }

    /// What the load is told, which is the name of the figures, too.
    fn words(self) -> Vec<String> {
        let clients = match self {
            Self::Timestamp => ASKERS,
            _ => CLIENTS,
        };
        let mut words = self.work();
        words.push(format!("--clients={clients}"));
        words
    }

    fn work(self) -> Vec<String> {
        let sized = |work: &str, size: usize| vec![work.to_owned(), format!("--size={size}")];
        match self {
            Self::RawGet => vec!["raw-get".into()],
            Self::Get => vec!["get".into()],
            Self::BeginAndGet => vec!["begin-and-get".into()],
            Self::RawPut(size) => sized("raw-put", size),
            Self::Write {
                commit,
                size,
                pessimistic,
                contention,
            } => {
                let mut words = sized("write", size);
                words.push(format!("--commit={}", commit.name()));
                words.push(format!("--keys={}", contention.keys()));
                words.extend(pessimistic.then(|| "--pessimistic".to_owned()));
                words
            }
            Self::Timestamp => vec!["timestamp".into()],
            Self::TimestampStream => vec!["timestamp-stream".into()],
        }
    }

    fn figure(self, what: &str) -> String {
        format!("{} {what}", self.words().join(" "))
    }
}

/// Measures, and writes the results.
pub(crate) fn measure(
    bench: &Bench,
    quick: bool,
    section: impl Fn() -> Section,
    (report, results): (&mut Report, &Path),
) -> Result<()> {
    let kvs_node = crate::cluster::build("kvs-node")?;
    let load = crate::cluster::build_example("load")?;
    let runtime = tokio::runtime::Runtime::new().map_err(doing("start tokio"))?;
    let mut section = section();
    // The engines' versions say nothing here.
    section.machine.peers.clear();
    let seconds = if quick { 0.3 } else { 4.0 };
    for (name, value) in [
        ("seconds", seconds),
        ("clients", CLIENTS as f64),
        ("value_bytes", VALUE_BYTES as f64),
        ("nodes", NODES as f64),
    ] {
        section.set(name, value);
    }
    for run in 0..bench.runs {
        let dir = bench.temporary()?;
        quiet_disk();
        let setup = Setup::default_of(Side::Kvs);
        let cluster = runtime.block_on(Cluster::start(setup, &kvs_node, dir.path()))?;
        let driver = Driver {
            load: &load,
            endpoints: cluster.peer_addrs().join(","),
            seconds,
            seed: run as u64 + 1,
        };
        driver.drive(vec!["fill".into()])?;
        let mut figures = Figures::new();
        for case in in_turn(run, &Case::all()) {
            eprintln!("bench: run {}: {}", run + 1, case.words().join(" "));
            let measured: Figures =
                serde_json::from_slice(&driver.drive(case.words())?).map_err(|source| {
                    Error::Json {
                        what: "the figures of the load".into(),
                        source,
                    }
                })?;
            let named = measured.into_iter();
            figures.extend(named.map(|(what, value)| (case.figure(&what), value)));
        }
        runtime.block_on(cluster.stop())?;
        section.samples.push(Sample::new(run, STORE, figures));
        report.sections.insert(TRANSACTIONS.into(), section);
        report.write(results)?;
        section = report.sections.remove(TRANSACTIONS).unwrap_or_default();
    }
    report.sections.insert(TRANSACTIONS.into(), section);
    report.write(results)
}

/// Runs the load against a cluster.
struct Driver<'a> {
    load: &'a Path,
    endpoints: String,
    seconds: f64,
    seed: u64,
}

impl Driver<'_> {
    /// What the load printed.
    fn drive(&self, words: Vec<String>) -> Result<Vec<u8>> {
        let output = Command::new(self.load)
            .args(words)
            .arg(format!("--endpoints={}", self.endpoints))
            .arg(format!("--seconds={}", self.seconds))
            .arg(format!("--warm-up={}", self.seconds / 4.0))
            .arg(format!("--value-bytes={VALUE_BYTES}"))
            .arg(format!("--seed={}", self.seed))
            .output()
            .map_err(doing("run the load"))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Error::Program {
                program: "load".into(),
                reason: String::from_utf8_lossy(&output.stderr).trim().into(),
            }),
        }
    }
}
