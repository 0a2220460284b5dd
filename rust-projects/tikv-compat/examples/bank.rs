//! A bank as a program, for as long as its input stays open: `cargo xtask faults --load transactions` runs it.
//!
//! Each second it prints how many transactions have ended, and how, as a line of JSON; the last line says what the checker found.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tikv_client::{Config, TransactionClient};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

#[path = "support/bank.rs"]
mod bank;

use bank::Bank;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long the cluster may take to serve, in the beginning and in the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever gets no answer for so long breaks off.
const GIVING_UP: Duration = Duration::from_secs(20);
/// After a failure, and between two looks.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Parser)]
struct Arguments {
    /// Where the placement driver of each node is
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// Tasks that transfer
    #[arg(long, default_value_t = 16)]
    clients: u64,
    #[arg(long, default_value_t = 20)]
    accounts: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() {
    if let Err(error) = run(Arguments::parse()).await {
        eprintln!("bank: {error}");
        // The runtime would wait for the read of the input to end.
        std::process::exit(1);
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let bank = Arc::new(open(&arguments).await?);
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for client in 0..arguments.clients {
        let (bank, over) = (Arc::clone(&bank), Arc::clone(&over));
        let mut rng = SmallRng::seed_from_u64(arguments.seed << 32 | client);
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let done = tokio::time::timeout(GIVING_UP, bank.transfer(&mut rng)).await;
                if done != Ok(true) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
    }
    for backwards in [false, true] {
        let (bank, over) = (Arc::clone(&bank), Arc::clone(&over));
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let _ = tokio::time::timeout(GIVING_UP, bank.look(backwards)).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    let mut input = tokio::io::stdin();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut byte = [0];
    loop {
        tokio::select! {
            _ = ticks.tick() => println!("{}", counts(&bank)),
            // A task ends by itself only if it saw what must not be.
            Some(ended) = tasks.join_next() => ended?,
            read = input.read(&mut byte) => if read? == 0 {
                break;
            },
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let began = Instant::now();
    while let Err(error) = bank.look(false).await {
        if began.elapsed() > PATIENCE {
            return Err(format!("after all faults nobody can read the accounts: {error}").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let checked = tokio::task::spawn_blocking({
        let bank = Arc::clone(&bank);
        move || bank.check()
    });
    let checked = checked.await??;
    let mut figures = counts(&bank);
    figures["committed"] = checked.committed.into();
    figures["told_by_others"] = checked.told_by_others.into();
    figures["dependencies"] = checked.dependencies.into();
    println!("{figures}");
    Ok(())
}

async fn open(arguments: &Arguments) -> Result<Bank> {
    let began = Instant::now();
    loop {
        let config = Config::default().with_default_keyspace();
        let client = TransactionClient::new_with_config(arguments.endpoints.clone(), config).await;
        let bank = match client {
            Ok(client) => Bank::open(client, arguments.accounts).await,
            Err(error) => Err(error),
        };
        match bank {
            Ok(bank) => return Ok(bank),
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn counts(bank: &Bank) -> serde_json::Value {
    let counts = &bank.counts;
    serde_json::json!({
        "transfers": counts.transfers.load(Ordering::Relaxed),
        "looks": counts.looks.load(Ordering::Relaxed),
        "aborted": counts.aborted.load(Ordering::Relaxed),
        "unknown": counts.unknown.load(Ordering::Relaxed),
        "false_commits": counts.false_commits.load(Ordering::Relaxed),
    })
}
