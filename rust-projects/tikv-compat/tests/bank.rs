//! Money is transferred while nodes are killed and started again: the total stays, whoever looks and whenever, and all that was seen is
//! snapshot isolation.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;
#[path = "support/bank.rs"]
mod transfers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use support::{Cluster, until};
use transfers::Bank;

const ACCOUNTS: u64 = 16;
const TRANSFERRERS: u64 = 4;
/// How often a node is killed.
const KILLS: usize = 4;
/// Between two kills at least so many transfers are committed, so that each meets some.
const TRANSFERS_BETWEEN: u64 = 25;

fn transferrer(bank: &Arc<Bank>, over: &Arc<AtomicBool>, seed: u64) -> tokio::task::JoinHandle<()> {
    let (bank, over) = (Arc::clone(bank), Arc::clone(over));
    tokio::spawn(async move {
        let mut rng = SmallRng::seed_from_u64(seed);
        while !over.load(Ordering::Relaxed) {
            bank.transfer(&mut rng).await;
        }
    })
}

async fn transfers_go_on(bank: &Bank) {
    let done = || bank.counts.transfers.load(Ordering::Relaxed);
    let wanted = done() + TRANSFERS_BETWEEN;
    until("transfers go on", async || (done() >= wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_stays_while_nodes_are_killed() {
    let mut cluster = Cluster::start(3);
    let client = cluster.transactions().await;
    let bank = Arc::new(Bank::open(client, ACCOUNTS).await.unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let transferrers: Vec<_> = (0..TRANSFERRERS)
        .map(|seed| transferrer(&bank, &over, seed))
        .collect();
    let looks = tokio::spawn({
        let (bank, over) = (Arc::clone(&bank), Arc::clone(&over));
        async move {
            let mut backwards = false;
            while !over.load(Ordering::Relaxed) {
                bank.look(backwards).await;
                backwards = !backwards;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let began = Instant::now();
    for kill in 0..KILLS {
        transfers_go_on(&bank).await;
        let victim = kill % 3 + 1;
        cluster.kill(victim);
        transfers_go_on(&bank).await;
        cluster.run(victim);
    }
    over.store(true, Ordering::Relaxed);
    for transferrer in transferrers {
        transferrer.await.unwrap();
    }
    looks.await.unwrap();
    until("the last look", async || {
        bank.look(false).await.then_some(())
    })
    .await;
    let looks = bank.counts.looks.load(Ordering::Relaxed);
    assert!(looks > 1, "somebody looked meanwhile");
    let checked = bank.check().unwrap();
    println!(
        "{checked:?}, {looks} looks, {KILLS} kills in {:?}",
        began.elapsed()
    );
}
