//! `cargo xtask faults`: real nodes, real clients, and faults.
//!
//! # What it is
//!
//! Processes of `kvs-node` on loopback, a [`proxy`] for each directed link, clients that record what they see, and a
//! [`mod@plan`] of faults made from a seed. Each key's history is searched for an order that explains it (crate `history`). Or clients of TiKV
//! transfer money, and what their transactions saw must be snapshot isolation ([`mod@bank`]).
//!
//! # What it guarantees
//!
//! A run fails if a history cannot be explained, an acknowledged write is not found by a read at the end, a node ends by itself, nodes
//! do not come to agree after the last fault, a client is told what no client may be told, or no fault was injected. A search that
//! was given up is counted as inconclusive.
//!
//! # What it does not
//!
//! A seed decides the plan and what clients ask, not how processes and network interleave: the same seed gives the same faults, not the same
//! run. SIGKILL leaves the page cache as it was; lost power is simulated in `raft-sim`.
//!
//! # How it works
//!
//! ```text
//!   clients ------> node 1 --proxy--> node 2        plan --> director --> signals, links, disk
//!      |               ^ '---proxy--> node 3 ...
//!      '--> recorder --> history of each key --> search
//! ```

mod bank;
mod director;
mod disk;
mod load;
mod members;
mod plan;
mod proxy;
mod record;
mod summary;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinHandle;

use self::bank::Bank;
use self::director::{Director, Programs, addresses};
use self::disk::SmallDisk;
use self::load::Shared;
use self::plan::{Kind, plan};
use self::summary::Summary;
use crate::cluster::{self, doing};
use crate::run::Error;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What clients do
    #[arg(long, value_enum, default_value_t = Load::Keys)]
    load: Load,
    /// How long faults are injected
    #[arg(long, default_value_t = 30.0, value_parser = minutes)]
    minutes: f64,
    /// Decides the faults and what clients ask for [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = nodes)]
    nodes: usize,
    /// Number of clients [default: 64 with keys, 16 with transactions]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: Option<u16>,
    /// Operations per second of all clients together, with keys
    #[arg(long, default_value_t = 2500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Folder for the data, on a disk [default: below the build folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Writes the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Load {
    /// Single keys over RESP: their histories must be linearizable
    Keys,
    /// A bank with TiKV's published client: what it sees must be snapshot isolation, and the total stays
    Transactions,
}

impl Arguments {
    fn clients(&self) -> u16 {
        let usual = match self.load {
            Load::Keys => 64,
            Load::Transactions => 16,
        };
        self.clients.unwrap_or(usual)
    }
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.2..=10_000.0).contains(&minutes) {
        true => Ok(minutes),
        false => Err("expected 0.2 to 10000".to_owned()),
    }
}

fn nodes(text: &str) -> Result<usize, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("expected 3 or 5".to_owned()),
    }
}

/// `cargo xtask faults`.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let programs = Programs {
        node: cluster::build("kvs-node")?,
        admin: cluster::build("kvs-admin")?,
    };
    let bank = match arguments.load {
        Load::Keys => None,
        Load::Transactions => Some(cluster::build_example("bank")?),
    };
    let runtime = tokio::runtime::Runtime::new().map_err(doing("start tokio"))?;
    let dir = data_dir(arguments.dir.as_deref())?;
    let summary = runtime.block_on(inject(arguments, programs, bank.as_deref(), dir.path()))?;
    println!("{summary}");
    if let Some(path) = &arguments.json {
        summary.write(path)?;
    }
    let mut findings = summary.findings();
    if findings.is_empty() {
        return Ok(());
    }
    let kept = dir.keep();
    findings.push(format!(
        "data, words of the nodes and histories are kept in {}",
        kept.display()
    ));
    Err(Error::Findings(findings))
}

fn data_dir(given: Option<&Path>) -> Result<TempDir, Error> {
    let own = std::env::current_exe().map_err(doing("find this program"))?;
    let dir = match (given, own.parent()) {
        (Some(dir), _) => dir.to_owned(),
        (None, Some(build)) => build.join("faults"),
        (None, None) => std::env::temp_dir(),
    };
    std::fs::create_dir_all(&dir).map_err(doing("create the folder of the data"))?;
    let made = tempfile::Builder::new().prefix("faults-").tempdir_in(&dir);
    Ok(made.map_err(doing("create a directory for the data"))?)
}

/// The small disk that can be filled, the kinds of faults that can be injected, and what is left out and why.
fn possible(small: &Path) -> (Option<SmallDisk>, Vec<Kind>, Vec<String>) {
    let mut kinds = Kind::ALL.to_vec();
    let mut skipped = vec![
        "network namespaces: links are cut in proxies instead".to_owned(),
        "netem: links are delayed in proxies instead".to_owned(),
    ];
    let disk = match SmallDisk::mount(small.parent().unwrap_or(small)) {
        Ok(disk) => Some(disk),
        Err(why) => {
            kinds.retain(|&kind| kind != Kind::FullDisk);
            skipped.push(format!("full disk: none can be mounted: {why}"));
            None
        }
    };
    for what in &skipped {
        eprintln!("faults: SKIPPED {what}");
    }
    (disk, kinds, skipped)
}

/// The clients of a run.
enum Clients {
    Keys(JoinHandle<()>),
    Transactions(Box<Bank>),
}

impl Clients {
    fn progress(&self, shared: &Shared) -> String {
        match self {
            Self::Keys(_) => {
                let counts = shared.recorder.counts();
                format!(
                    "{} answered, {} unknown, {} not done",
                    counts.answered, counts.unknown, counts.not_done
                )
            }
            Self::Transactions(bank) => {
                bank.watch(shared);
                let figures = bank.figures();
                format!(
                    "{} transfers, {} looks, {} unknown, {} not done",
                    figures.transfers, figures.looks, figures.unknown, figures.aborted
                )
            }
        }
    }
}

async fn inject(
    arguments: &Arguments,
    programs: Programs,
    bank: Option<&Path>,
    dir: &Path,
) -> Result<Summary, Error> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let length = Duration::from_secs_f64(arguments.minutes * 60.0);
    let addrs = addresses(arguments.nodes)?;
    let endpoints: Vec<_> = addrs.iter().map(|addr| addr[1].to_string()).collect();
    let shared = Arc::new(Shared::new(addrs.iter().map(|addr| addr[0]).collect()));
    let (disk, kinds, skipped) = possible(&members::node_dir(dir, arguments.nodes));
    eprintln!(
        "faults: seed {seed}, {} nodes, {} minutes",
        arguments.nodes, arguments.minutes
    );
    let steps = plan(seed, arguments.nodes, length, &kinds);
    let mut director = Director::start(programs, dir, addrs, disk, Arc::clone(&shared)).await?;
    let clients = match bank {
        None => {
            let (clients, rate) = (usize::from(arguments.clients()), arguments.rate);
            Clients::Keys(tokio::spawn(load::run(
                Arc::clone(&shared),
                clients,
                rate,
                seed,
            )))
        }
        Some(program) => {
            let log = dir.join("bank.log");
            let bank = Bank::start(program, arguments, seed, &endpoints, &log)?;
            Clients::Transactions(Box::new(bank))
        }
    };
    let began = Instant::now();
    let interrupted = tokio::select! {
        done = director.carry_out(steps, |active| {
            progress(&clients.progress(&shared), began, length, active);
        }) => {
            done?;
            false
        }
        _ = tokio::signal::ctrl_c() => true,
    };
    director.heal()?;
    let lasted = began.elapsed();
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    let transactions = judge(clients, &mut director, &shared).await?;
    let summary = Summary::of(
        &shared,
        &director,
        seed,
        arguments,
        lasted,
        (skipped, interrupted, transactions),
    );
    summary.keep_violated(&shared, dir)?;
    Ok(summary)
}

/// Has the clients end, now that all faults have, and what they saw judged.
async fn judge(
    clients: Clients,
    director: &mut Director,
    shared: &Arc<Shared>,
) -> Result<Option<bank::Figures>, Error> {
    let figures = match clients {
        Clients::Keys(load) => {
            shared.stop.store(true, Ordering::Relaxed);
            if let Err(error) = load.await {
                shared.violated(format!("the load: {error}"));
            }
            None
        }
        Clients::Transactions(bank) => {
            let figures = bank.end(shared).await?;
            shared.stop.store(true, Ordering::Relaxed);
            Some(figures)
        }
    };
    if let Some(what) = director.agreement().await? {
        shared.violated(what);
    }
    if figures.is_none() {
        let before = shared.violations().len();
        load::read_all(shared, director::PATIENCE).await;
        if shared.violations().len() > before {
            eprintln!("faults: the last reads found what the run did not");
        }
    }
    Ok(figures)
}

/// Quiet in a pipe.
fn progress(clients: &str, began: Instant, length: Duration, active: usize) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        // What cannot be shown is not worth failing for.
        let _ = write!(
            out,
            "\r{:.0} of {:.0} s: {clients}; {active} fault(s) on   ",
            began.elapsed().as_secs_f64(),
            length.as_secs_f64(),
        );
    }
}
