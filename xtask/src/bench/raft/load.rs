//! The load generator, the same for both sides: clients that ask one thing at a time, each over a connection of its own to the leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::cluster::{Cluster, Connection};
use crate::bench::error::{Error, Result};
use crate::bench::job::Figures;
use crate::bench::report::percentile;

/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;
/// Keys that are written and read, at random.
pub(crate) const KEYS: u64 = 10_000;

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Put,
    Get,
}

impl Work {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// Name of the figure for operations per second.
pub(crate) fn rate_figure(work: Work, clients: usize) -> String {
    format!("{}_{clients}_per_s", work.text())
}

/// Name of the figure for a percentile of the latency in seconds.
pub(crate) fn latency_figure(work: Work, clients: usize, percentile: &str) -> String {
    format!("{}_{clients}_{percentile}_s", work.text())
}

/// Percentiles that are kept.
pub(crate) const PERCENTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"bench-0000000000";
    for (place, byte) in key[6..].iter_mut().rev().enumerate() {
        let digit = number / 10_u64.pow(u32::try_from(place).unwrap_or(0)) % 10;
        *byte = b'0' + u8::try_from(digit).unwrap_or(0);
    }
    key
}

/// Has so many clients work for a while, after a while that does not count.
pub(crate) async fn drive(
    cluster: &Cluster,
    work: Work,
    clients: usize,
    (warm_up, length): (Duration, Duration),
) -> Result<Figures> {
    let leader = cluster.leader().await?;
    let ready = Arc::new(Barrier::new(clients + 1));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let connection = cluster.connect(leader).await?;
        let (ready, stop) = (Arc::clone(&ready), Arc::clone(&stop));
        tasks.spawn(async move {
            ready.wait().await;
            one(connection, work, client as u64, &stop).await
        });
    }
    ready.wait().await;
    tokio::time::sleep(warm_up).await;
    let from = Instant::now();
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    let to = Instant::now();
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| Error::Wrong(error.to_string()))?;
        let done = done.map_err(Error::Wrong)?;
        let counted = done.into_iter().filter(|(at, _)| (from..=to).contains(at));
        latencies.extend(counted.map(|(_, took)| took.as_secs_f64()));
    }
    latencies.sort_by(f64::total_cmp);
    let per_s = latencies.len() as f64 / (to - from).as_secs_f64();
    let mut figures = Figures::from([(rate_figure(work, clients), per_s)]);
    for (name, share) in PERCENTILES {
        let value = percentile(&latencies, share);
        let value = value.ok_or_else(|| Error::Wrong("nothing was answered".into()))?;
        figures.insert(latency_figure(work, clients, name), value);
    }
    Ok(figures)
}

/// When each answer came, and how long it took.
async fn one(
    mut connection: Connection,
    work: Work,
    seed: u64,
    stop: &AtomicBool,
) -> std::result::Result<Vec<(Instant, Duration)>, String> {
    let mut rng = SmallRng::seed_from_u64(seed + 1);
    let mut value = [0; VALUE_BYTES];
    let mut done = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let key = key(rng.random_range(0..KEYS));
        if work == Work::Put {
            rng.fill_bytes(&mut value);
        }
        let began = Instant::now();
        match work {
            Work::Put => connection.put(&key, &value).await?,
            Work::Get => match connection.get(&key).await? {
                Some(VALUE_BYTES) => {}
                other => return Err(format!("a read found {other:?} bytes")),
            },
        }
        let ended = Instant::now();
        done.push((ended, ended - began));
    }
    Ok(done)
}

/// Writes every key once, so that reads find something.
pub(crate) async fn fill(cluster: &Cluster) -> Result<()> {
    const WRITERS: u64 = 64;
    let leader = cluster.leader().await?;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let mut connection = cluster.connect(leader).await?;
        tasks.spawn(async move {
            for number in (writer..KEYS).step_by(WRITERS as usize) {
                connection.put(&key(number), &[b'x'; VALUE_BYTES]).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        let done: std::result::Result<(), String> =
            done.map_err(|error| Error::Wrong(error.to_string()))?;
        done.map_err(Error::Wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decimal_and_distinct() {
        assert_eq!(&key(0), b"bench-0000000000");
        assert_eq!(&key(9_999), b"bench-0000009999");
        assert_eq!(&key(1_234_567_890), b"bench-1234567890");
    }
}
