//! `cargo xtask sim`: seeds of the Raft simulation, in parallel on all cores.
//!
//! A violation is shrunk, its trace written as JSON, and the line that shows it again printed. A run of many seeds in which
//! something never happened that must happen sometimes fails too: it would prove nothing about it.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use raft_sim::{Counters, Fault, Options, Outcome};

use crate::run::{Error, root};

/// So many seeds must contain everything that has to happen sometimes.
const MANY_SEEDS: u64 = 500;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Events of servers in each run before its faults stop
    #[arg(long, default_value_t = 10_000)]
    events: u64,
    /// Kinds of faults to leave out, separated by commas
    #[arg(long, value_delimiter = ',')]
    without: Vec<Fault>,
    /// Where the trace of a violation goes
    #[arg(long, default_value = "target/sim")]
    traces: PathBuf,
}

#[derive(Default)]
struct Total {
    counters: Counters,
    seeds: u64,
    events: u64,
    served: u64,
    linearizable: u64,
    inconclusive: u64,
    failed: Vec<(Options, String)>,
}

impl Total {
    fn add(&mut self, options: Options, outcome: &Outcome) {
        self.counters.join(&outcome.counters);
        self.seeds += 1;
        self.events += outcome.events;
        self.served += outcome.served;
        self.linearizable += outcome.linearizable;
        self.inconclusive += outcome.inconclusive;
        if let Some(violation) = &outcome.violation {
            self.failed.push((options, violation.to_string()));
        }
    }
}

/// `cargo xtask sim`.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // A panic is a violation that is reported below; its own message would only disturb.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let total = run_all(arguments, cores);
    let elapsed = started.elapsed();
    drop(std::panic::take_hook());
    print(&total, elapsed, cores);
    let mut findings = Vec::new();
    for (options, violation) in total.failed.iter().take(3) {
        findings.push(explain(options, violation, arguments)?);
    }
    if total.failed.len() > 3 {
        let more = total.failed[3..].iter();
        findings.extend(more.map(|(options, violation)| format!("{violation}\n  {options}")));
    }
    if arguments.seeds >= MANY_SEEDS {
        let missing = total.counters.missing().into_iter();
        findings.extend(missing.map(|what| format!("never happened: {}", what.text())));
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Findings(findings))
    }
}

fn run_all(arguments: &Arguments, cores: usize) -> Total {
    let without: BTreeSet<_> = arguments.without.iter().copied().collect();
    let next = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.seeds {
                        return;
                    }
                    let options = Options {
                        without: without.clone(),
                        ..Options::new(arguments.start + seed, arguments.events)
                    };
                    let outcome = raft_sim::run(&options);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.add(options, &outcome);
                    progress(&total, arguments.seeds);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Quiet in a pipe.
fn progress(total: &Total, seeds: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let failed = total.failed.len();
        // What cannot be shown is not worth failing for.
        let _ = write!(out, "\r{} of {seeds} seeds, {failed} failed", total.seeds);
        if total.seeds == seeds {
            let _ = writeln!(out);
        }
    }
}

fn print(total: &Total, elapsed: Duration, cores: usize) {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    println!("{}", total.counters);
    println!(
        "{} seeds in {seconds:.1} s: {:.1} seeds per second; {} events: {:.0} per second and core",
        total.seeds,
        total.seeds as f64 / seconds,
        total.events,
        total.events as f64 / seconds / cores as f64,
    );
    println!(
        "{} requests served; {} histories linearizable, {} inconclusive; {} seeds failed",
        total.served,
        total.linearizable,
        total.inconclusive,
        total.failed.len()
    );
}

/// Shrinks a failing run, writes its trace and says how to see it again.
fn explain(options: &Options, violation: &str, arguments: &Arguments) -> Result<String, Error> {
    let Some((smaller, outcome)) = raft_sim::shrink(options) else {
        return Ok(format!(
            "{violation}\n  {options}\n  does not fail again: the simulation is not deterministic"
        ));
    };
    let folder = root().join(&arguments.traces);
    let path = folder.join(format!("seed-{}.json", smaller.seed));
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        let text = serde_json::to_string_pretty(&outcome.lines)?;
        std::fs::write(&path, text)
    });
    written.map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })?;
    let violation = outcome
        .violation
        .map_or_else(|| violation.to_owned(), |v| v.to_string());
    Ok(format!(
        "{violation}\n  {smaller}\n  trace: {}",
        path.display()
    ))
}
