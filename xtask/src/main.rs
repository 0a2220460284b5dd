//! Developer verbs, one module each: `cargo xtask <verb>`.
//!
//! `check` is what CI runs and changes nothing; `edges` and `tidy` are its steps that need more than cargo; `fix`
//! mends what can be mended without thought; `bench` measures; `planted` breaks a copy on purpose to see tests fail;
//! `sim` and `faults` look for what Raft's tests miss, in a simulation and on real processes; `tikv-client` runs another's tests. The rules are pure functions over what cargo and git report, so that
//! their tests need neither.

mod bench;
mod cluster;
mod compat;
mod edges;
mod faults;
mod fix;
mod links;
mod metadata;
mod names;
mod planted;
mod run;
mod sim;
mod sizes;
mod sol;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::Error;

const EXAMPLES: &str = "\
Examples:
  cargo xtask check                                     what CI runs
  cargo xtask tidy                                      one of its steps
  cargo run --release -p xtask -- bench server --runs 3 figures need an optimised build";

/// Developer verbs of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the whole read-only check, as CI does (`.ci/run`)
    Check,
    /// Format, and apply the fixes that clippy is sure of
    Fix,
    /// Check which crate depends on which against the table in `xtask/src/edges.rs`
    Edges,
    /// Check file and function sizes, unique names, links in Markdown, and that planted bugs still apply
    Tidy,
    /// Plant each bug of `xtask/planted/` in a copy of the workspace and see its tests fail
    Planted(planted::Arguments),
    /// Compile the contracts by solc into smart-contracts/out (needs Node, and `npm ci` there)
    Sol(sol::Arguments),
    /// Measure engine, server, replicated store or prover against their peers and write docs/benchmarks*.md
    Bench(bench::Arguments),
    /// Run seeds of the Raft simulation, on all cores
    Sim(sim::Arguments),
    /// Run real nodes under load and faults, and check what clients saw
    Faults(faults::Arguments),
    /// Run the tests of the published tikv-client against a cluster of kvs-node
    TikvClient(compat::Arguments),
    /// One measurement in a process of its own, started by `bench`
    #[command(hide = true)]
    BenchChild {
        /// What to measure, as JSON
        order: String,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Check => run::check(),
        Verb::Fix => fix::fix(),
        Verb::Edges => edges::run(),
        Verb::Tidy => tidy::run(),
        Verb::Planted(arguments) => planted::run(&arguments),
        Verb::Sol(arguments) => sol::run_verb(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments).map_err(Error::from),
        Verb::Sim(arguments) => sim::run(&arguments),
        Verb::Faults(arguments) => faults::run(&arguments),
        Verb::TikvClient(arguments) => compat::run(&arguments),
        Verb::BenchChild { order } => bench::run_child(&order).map_err(Error::from),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Findings(findings)) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            eprintln!("{} finding(s)", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
