//! Money is transferred while nodes are killed and started again: the total stays, whoever looks and whenever, and snapshot isolation explains all that was seen.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/support/bank.rs"]
mod bank;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bank::Bank;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use support::{Cluster, until};

const ACCOUNTS: u64 = 8;
const TRANSFERRERS: u64 = 4;
/// How often a node is killed.
const KILLS: usize = 4;
/// Between two kills at least so many transfers are committed, so that each meets some.
const TRANSFERS_BETWEEN: u64 = 25;

async fn more_transfers(bank: &Bank, what: &str) {
    let transfers = &bank.counts.transfers;
    let wanted = transfers.load(Ordering::Relaxed) + TRANSFERS_BETWEEN;
    until(what, async || {
        (transfers.load(Ordering::Relaxed) >= wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_stays_while_nodes_are_killed() {
    let mut cluster = Cluster::start(3);
    let bank = Bank::open(cluster.transactions().await, ACCOUNTS);
    let bank = Arc::new(bank.await.unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let transferrers = (0..TRANSFERRERS).map(|worker| {
        let (bank, over) = (Arc::clone(&bank), Arc::clone(&over));
        tokio::spawn(async move {
            let mut rng = SmallRng::seed_from_u64(worker);
            while !over.load(Ordering::Relaxed) {
                bank.transfer(&mut rng).await;
            }
        })
    });
    let transferrers: Vec<_> = transferrers.collect();
    let looks = tokio::spawn({
        let (bank, over) = (Arc::clone(&bank), Arc::clone(&over));
        async move {
            let mut backwards = false;
            while !over.load(Ordering::Relaxed) {
                // Nodes come and go.
                let _ = bank.look(backwards).await;
                backwards = !backwards;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let began = Instant::now();
    for kill in 0..KILLS {
        more_transfers(&bank, "transfers go on").await;
        let victim = kill % 3 + 1;
        cluster.kill(victim);
        more_transfers(&bank, "transfers go on without it").await;
        cluster.run(victim);
    }
    over.store(true, Ordering::Relaxed);
    for transferrer in transferrers {
        transferrer.await.unwrap();
    }
    looks.await.unwrap();
    let looks = bank.counts.looks.load(Ordering::Relaxed);
    assert!(looks > 0, "somebody looked");
    until("the last look", async || bank.look(false).await.ok()).await;
    let checked = bank.check().unwrap_or_else(|anomaly| panic!("{anomaly}"));
    println!(
        "{} transfers, {looks} looks, {KILLS} kills in {:?}: {checked:?}",
        bank.counts.transfers.load(Ordering::Relaxed),
        began.elapsed()
    );
}
