//! Money is transferred while nodes are killed and started again: the total stays, whoever looks and whenever.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{Cluster, until};
use tikv_client::{Error, Transaction, TransactionClient, TransactionOptions};

const ACCOUNTS: u64 = 8;
const OPENING: u64 = 100;
const TRANSFERRERS: u64 = 4;
/// How often a node is killed.
const KILLS: usize = 4;
/// Between two kills at least so many transfers are committed, so that each meets some.
const TRANSFERS_BETWEEN: u64 = 25;

fn account(number: u64) -> String {
    format!("account {number:02}")
}

fn parse(value: Option<Vec<u8>>) -> u64 {
    let value = value.expect("every account is there");
    String::from_utf8(value).unwrap().parse().unwrap()
}

async fn balance(transaction: &mut Transaction, number: u64, lock: bool) -> Result<u64, Error> {
    let key = account(number);
    let value = match lock {
        true => transaction.get_for_update(key).await?,
        false => transaction.get(key).await?,
    };
    Ok(parse(value))
}

/// Moves a little money; false if there is none.
async fn transfer(
    transaction: &mut Transaction,
    from: u64,
    to: u64,
    lock: bool,
) -> Result<bool, Error> {
    let payer = balance(transaction, from, lock).await?;
    let payee = balance(transaction, to, lock).await?;
    if payer == 0 {
        return Ok(false);
    }
    let moved = 1 + payer / 10;
    transaction
        .put(account(from), (payer - moved).to_string())
        .await?;
    transaction
        .put(account(to), (payee + moved).to_string())
        .await?;
    Ok(true)
}

/// A transaction that failed: what it locked is given back, if anybody takes the request.
async fn give_up(mut transaction: Transaction) {
    let _ = transaction.rollback().await;
}

async fn try_transfer(client: &TransactionClient, round: u64, lock: bool) -> bool {
    let options = match (lock, round % 3) {
        (true, _) => TransactionOptions::new_pessimistic(),
        (false, 0) => TransactionOptions::new_optimistic(),
        (false, 1) => TransactionOptions::new_optimistic().use_async_commit(),
        (false, _) => TransactionOptions::new_optimistic().try_one_pc(),
    };
    let options = options.drop_check(tikv_client::CheckLevel::None);
    let Ok(mut transaction) = client.begin_with_options(options).await else {
        return false;
    };
    let (from, to) = (round % ACCOUNTS, (round / ACCOUNTS + round + 1) % ACCOUNTS);
    if from == to {
        give_up(transaction).await;
        return false;
    }
    match transfer(&mut transaction, from, to, lock).await {
        // In a task of its own: the client panics where it cannot find out the region of a key (docs/tikv-client-quirks.md).
        Ok(true) => {
            let committing = tokio::spawn(async move { transaction.commit().await.is_ok() });
            committing.await.unwrap_or(false)
        }
        Ok(false) | Err(_) => {
            give_up(transaction).await;
            false
        }
    }
}

/// The sum of all accounts as of one moment, read forwards or backwards.
async fn total(client: &TransactionClient, backwards: bool) -> Option<u64> {
    let options = TransactionOptions::new_optimistic().drop_check(tikv_client::CheckLevel::None);
    let mut transaction = client.begin_with_options(options).await.ok()?;
    let range = account(0)..account(ACCOUNTS);
    let limit = u32::try_from(2 * ACCOUNTS).unwrap();
    let values: Vec<_> = match backwards {
        false => transaction.scan(range, limit).await.ok()?.collect(),
        true => transaction.scan_reverse(range, limit).await.ok()?.collect(),
    };
    give_up(transaction).await;
    assert_eq!(values.len() as u64, ACCOUNTS, "no account is lost");
    let values = values
        .into_iter()
        .map(|pair| parse(Some(pair.into_value())));
    Some(values.sum())
}

async fn open_accounts(client: &TransactionClient) {
    let mut transaction = client.begin_optimistic().await.unwrap();
    for number in 0..ACCOUNTS {
        let put = transaction.put(account(number), OPENING.to_string());
        put.await.unwrap();
    }
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_stays_while_nodes_are_killed() {
    let mut cluster = Cluster::start(3);
    let client = Arc::new(cluster.transactions().await);
    open_accounts(&client).await;
    let (done, over) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let transferrers = (0..TRANSFERRERS).map(|worker| {
        let (client, done, over) = (Arc::clone(&client), Arc::clone(&done), Arc::clone(&over));
        tokio::spawn(async move {
            let mut round = worker * 1000;
            while !over.load(Ordering::Relaxed) {
                let committed = try_transfer(&client, round, worker % 2 == 1).await;
                done.fetch_add(u64::from(committed), Ordering::Relaxed);
                round += 1;
            }
        })
    });
    let transferrers: Vec<_> = transferrers.collect();
    let looks = tokio::spawn({
        let (client, over) = (Arc::clone(&client), Arc::clone(&over));
        async move {
            let mut looks = 0_u64;
            while !over.load(Ordering::Relaxed) {
                if let Some(sum) = total(&client, looks % 2 == 1).await {
                    assert_eq!(sum, ACCOUNTS * OPENING, "look {looks}");
                    looks += 1;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            looks
        }
    });
    let began = Instant::now();
    for kill in 0..KILLS {
        let wanted = done.load(Ordering::Relaxed) + TRANSFERS_BETWEEN;
        until("transfers go on", async || {
            (done.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
        let victim = kill % 3 + 1;
        cluster.kill(victim);
        let wanted = done.load(Ordering::Relaxed) + TRANSFERS_BETWEEN;
        until("transfers go on without it", async || {
            (done.load(Ordering::Relaxed) >= wanted).then_some(())
        })
        .await;
        cluster.run(victim);
    }
    over.store(true, Ordering::Relaxed);
    for transferrer in transferrers {
        transferrer.await.unwrap();
    }
    let looks = looks.await.unwrap();
    assert!(looks > 0, "somebody looked");
    let sum = until("the last look", async || total(&client, false).await).await;
    assert_eq!(sum, ACCOUNTS * OPENING);
    println!(
        "{} transfers, {looks} looks, {KILLS} kills in {:?}",
        done.load(Ordering::Relaxed),
        began.elapsed()
    );
}
