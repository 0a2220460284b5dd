//! `bench raft`: the replicated store against etcd, three nodes each on loopback, both syncing to the same disk, one load generator.
//!
//! Sides are measured in turn, each on a new cluster with nothing else running. Clients connect to the leader. What it does not: etcd is
//! asked by gRPC and kvs-node by RESP, as their clients do; the load generator shares the cores with the nodes, and gRPC costs it
//! more.

mod cluster;
mod etcd;
mod failover;
mod load;
mod page;

use std::path::Path;
use std::time::Duration;

pub(crate) use self::cluster::{Cluster, NODES, Setup, Side};
use self::load::{KEYS, VALUE_BYTES, Work};
use super::error::{Result, doing};
use super::job::{Figures, quiet_disk};
use super::report::{Report, Sample, Section};
use super::{Arguments, Bench, Machine, in_turn};

pub(crate) use page::write;

/// File of the raw results.
pub(crate) const RESULTS: &str = "benchmarks-raft.json";
/// Names of the sections in the results.
pub(crate) const LOAD: &str = "load";
pub(crate) const FAILOVER: &str = "failover";

/// Clients that write at a time.
pub(crate) const WRITERS: [usize; 4] = [1, 16, 64, 256];
/// Clients that read at a time.
pub(crate) const READERS: usize = 64;

/// What is killed: etcd as it comes, ours with the same election timeout, and with that of the Raft paper's section 9.3.
pub(crate) const FAILOVERS: [Setup; 3] = [
    Setup {
        side: Side::Etcd,
        election_timeout_ms: 1000,
    },
    Setup {
        side: Side::Kvs,
        election_timeout_ms: 1000,
    },
    Setup {
        side: Side::Kvs,
        election_timeout_ms: 150,
    },
];

/// Measures, and writes the results after each section.
pub(crate) fn measure(
    bench: &Bench,
    arguments: &Arguments,
    section: impl Fn() -> Section,
    (report, results): (&mut Report, &Path),
) -> Result<()> {
    let kvs_node = crate::cluster::build("kvs-node")?;
    let runtime = tokio::runtime::Runtime::new().map_err(doing("start tokio"))?;
    let sides = sides();
    let mut loads = with_etcd(section());
    skipped(&sides, &mut loads);
    runtime.block_on(load(bench, arguments.quick, &kvs_node, &sides, &mut loads))?;
    report.sections.insert(LOAD.into(), loads);
    report.write(results)?;
    let mut failovers = with_etcd(section());
    skipped(&sides, &mut failovers);
    let trials = arguments
        .trials
        .unwrap_or(if arguments.quick { 2 } else { 100 });
    let trials = trials as usize;
    runtime.block_on(fail_over(bench, trials, &kvs_node, &sides, &mut failovers))?;
    report.sections.insert(FAILOVER.into(), failovers);
    report.write(results)
}

fn sides() -> Vec<Side> {
    let there = Side::ALL.into_iter();
    there
        .filter(|&side| side != Side::Etcd || super::server::is_there("etcd"))
        .collect()
}

fn skipped(sides: &[Side], section: &mut Section) {
    if !sides.contains(&Side::Etcd) {
        section.note(
            "SKIPPED: etcd is not installed (Debian: etcd-server); only kvs-node is measured",
        );
    }
}

/// The engines' versions say nothing here; etcd's does.
fn with_etcd(mut section: Section) -> Section {
    section.machine.peers.clear();
    if let Some(version) = Machine::etcd_version() {
        section.machine.peers.insert("etcd".into(), version);
    }
    section
}

async fn load(
    bench: &Bench,
    quick: bool,
    kvs_node: &Path,
    sides: &[Side],
    section: &mut Section,
) -> Result<()> {
    let seconds = if quick { 0.3 } else { 8.0 };
    let length = Duration::from_secs_f64(seconds);
    let spans = (length / 4, length);
    section.set("seconds", seconds);
    section.set("value_bytes", VALUE_BYTES as f64);
    section.set("keys", KEYS as f64);
    section.set("nodes", NODES as f64);
    for run in 0..bench.runs {
        for &side in in_turn(run, sides).iter() {
            let dir = bench.temporary()?;
            quiet_disk();
            let cluster = Cluster::start(Setup::default_of(side), kvs_node, dir.path()).await?;
            let mut figures = Figures::new();
            for clients in WRITERS {
                eprintln!("bench: run {}: {}, {clients} write", run + 1, side.text());
                figures.extend(load::drive(&cluster, Work::Put, clients, spans).await?);
            }
            load::fill(&cluster).await?;
            eprintln!("bench: run {}: {}, {READERS} read", run + 1, side.text());
            figures.extend(load::drive(&cluster, Work::Get, READERS, spans).await?);
            cluster.stop().await?;
            section.samples.push(Sample::new(run, side.text(), figures));
        }
    }
    Ok(())
}

async fn fail_over(
    bench: &Bench,
    trials: usize,
    kvs_node: &Path,
    sides: &[Side],
    section: &mut Section,
) -> Result<()> {
    section.set("trials", trials as f64);
    let setups = FAILOVERS.into_iter();
    let setups: Vec<_> = setups.filter(|setup| sides.contains(&setup.side)).collect();
    // The trials of a side in some blocks, the sides in turn.
    let block = trials.div_ceil(bench.runs);
    for run in 0..bench.runs {
        for setup in in_turn(run, &setups) {
            let dir = bench.temporary()?;
            quiet_disk();
            let mut cluster = Cluster::start(setup, kvs_node, dir.path()).await?;
            let subject = failover::subject(setup.side, setup.election_timeout_ms);
            for trial in run * block..trials.min((run + 1) * block) {
                let seconds = failover::trial(&mut cluster, trial).await?;
                eprintln!(
                    "bench: {subject}: trial {}: {:.0} ms",
                    trial + 1,
                    seconds * 1e3
                );
                let figures = Figures::from([("downtime_s".to_owned(), seconds)]);
                section.samples.push(Sample::new(trial, &subject, figures));
            }
            cluster.stop().await?;
        }
    }
    Ok(())
}
