//! The time from the death of the leader to the next acknowledged write.
//!
//! From the kill on a new write is begun on every survivor every few milliseconds, whatever became of those before: what a node still
//! sends to the dead leader, or holds back, does not count against it when a later one is answered.

use std::time::{Duration, Instant};

use rand::Rng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cluster::{Cluster, Side, Way};
use crate::bench::error::{Error, Result};

/// Between two writes on a survivor: how exact the figure is.
pub(crate) const EVERY: Duration = Duration::from_millis(5);
/// No election takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The kill comes at any time between two heartbeats.
const SPREAD: Duration = Duration::from_millis(400);

/// Kills the leader, measures, and starts it again.
pub(crate) async fn trial(cluster: &mut Cluster, number: usize) -> Result<f64> {
    let leader = cluster.leader().await?;
    let ways = cluster.ids().filter(|&id| id != leader);
    let ways: Vec<_> = ways.map(|id| cluster.way(id)).collect();
    let mut connections = Vec::new();
    for way in &ways {
        connections.push(way.connect().await.map_err(Error::Wrong)?);
    }
    let pause = SPREAD.mul_f64(rand::rng().random_range(0.0..1.0));
    tokio::time::sleep(pause).await;
    let killed = Instant::now();
    cluster.kill(leader);
    let (sender, mut receiver) = mpsc::channel(1);
    let mut attempts = JoinSet::new();
    for (way, connection) in ways.into_iter().zip(connections) {
        attempts.spawn(keep_trying(way, connection, number, sender.clone()));
    }
    let first = tokio::time::timeout(PATIENCE, receiver.recv()).await;
    attempts.abort_all();
    let Ok(Some(at)) = first else {
        return Err(Error::Wrong(
            "no write was acknowledged after the leader's death".into(),
        ));
    };
    cluster.restart(leader).await?;
    Ok(at.duration_since(killed).as_secs_f64())
}

/// Begins a write every few milliseconds; tells when the first is acknowledged.
async fn keep_trying(
    way: Way,
    connection: super::cluster::Connection,
    number: usize,
    acknowledged: mpsc::Sender<Instant>,
) {
    use super::cluster::Connection;
    let mut ticks = tokio::time::interval(EVERY);
    // Dropped with this future, and all attempts with it.
    let mut attempts = JoinSet::new();
    // gRPC carries any number of calls on a connection; RESP answers in order, so each write takes a connection of its own.
    let shared = match &connection {
        Connection::Etcd(etcd) => Some(etcd.clone()),
        Connection::Kvs(_) => None,
    };
    loop {
        ticks.tick().await;
        let (shared, acknowledged) = (shared.clone(), acknowledged.clone());
        attempts.spawn(async move {
            let mut connection = match shared {
                Some(etcd) => Connection::Etcd(etcd),
                None => way.connect().await?,
            };
            let key = format!("failover-{number}");
            connection.put(key.as_bytes(), b"served").await?;
            // A second one changes nothing.
            let _ = acknowledged.try_send(Instant::now());
            Ok::<(), String>(())
        });
    }
}

/// The name of a side with its election timeout, as it stands in the tables.
pub(crate) fn subject(side: Side, election_timeout_ms: u64) -> String {
    format!("{}, {election_timeout_ms} ms", side.text())
}
