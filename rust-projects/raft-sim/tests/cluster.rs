//! The simulated cluster by itself, without chance driving it.

use std::time::Duration;

use bytes::Bytes;
use raft_sim::{Cluster, Setup, Stop, request};
use replica::Answer;
use wire::Reply;

const LONG: Duration = Duration::from_secs(5);

fn started(servers: u64, seed: u64) -> Cluster {
    let mut cluster = Cluster::new(&Setup::new(servers, seed));
    assert_eq!(cluster.start_all(), Ok(()));
    let elected = cluster.run_until(LONG, |cluster| cluster.leader().is_some());
    assert_eq!(elected, Ok(true));
    cluster
}

#[test]
fn what_one_server_takes_every_server_tells() {
    let mut cluster = started(3, 1);
    for id in 1..=3 {
        let value = id.to_string();
        let write = cluster.write(id, request(&["SET", "k", &value])).unwrap();
        let answer = cluster.wait(write, LONG).unwrap();
        assert_eq!(answer, Some(Answer::Replies(vec![Reply::OK])));
        for reader in 1..=3 {
            let read = cluster.read(reader, request(&["GET", "k"])).unwrap();
            let answer = cluster.wait(read, LONG).unwrap();
            let value = Reply::Bulk(value.clone().into());
            assert_eq!(answer, Some(Answer::Replies(vec![value])));
        }
    }
}

#[test]
fn what_was_acknowledged_outlives_the_loss_of_all_power() {
    let mut cluster = started(3, 2);
    let write = cluster.write(1, request(&["SET", "k", "v"])).unwrap();
    let answer = cluster.wait(write, LONG).unwrap();
    assert_eq!(answer, Some(Answer::Replies(vec![Reply::OK])));
    for id in 1..=3 {
        cluster.stop(id, Stop::PowerLoss);
    }
    cluster.start_all().unwrap();
    let read = cluster.read(2, request(&["GET", "k"])).unwrap();
    let answer = cluster.wait(read, LONG).unwrap();
    let value = Reply::Bulk(Bytes::from_static(b"v"));
    assert_eq!(answer, Some(Answer::Replies(vec![value])));
}

#[test]
fn a_minority_acknowledges_nothing() {
    let mut cluster = started(3, 3);
    let leader = cluster.leader().unwrap();
    cluster.disconnect(leader);
    let write = cluster.write(leader, request(&["SET", "k", "v"])).unwrap();
    let answer = cluster.wait(write, Duration::from_secs(30)).unwrap();
    assert_eq!(answer, Some(Answer::Unknown));
    let other = cluster.leader().unwrap();
    assert_ne!(other, leader, "the others elected one of themselves");
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let hash = |seed| {
        let mut cluster = started(5, seed);
        cluster.run_for(LONG).unwrap();
        cluster.trace.hash()
    };
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

#[test]
fn a_server_that_stood_still_goes_on_and_notices_that_it_was_replaced() {
    let mut cluster = started(3, 4);
    let paused = cluster.leader().unwrap();
    cluster.pause(paused, Duration::from_secs(2));
    let replaced = cluster.run_until(LONG, |cluster| cluster.leader() != Some(paused));
    assert_eq!(replaced, Ok(true));
    let follows = |cluster: &Cluster| cluster.replica(paused).is_some_and(|r| !r.is_leader());
    assert_eq!(cluster.run_until(LONG, follows), Ok(true));
    let mut alone = started(1, 5);
    alone.pause(1, Duration::from_secs(1));
    alone.run_for(Duration::from_secs(2)).unwrap();
    assert!(alone.next_time().is_some(), "its timers are still set");
}
