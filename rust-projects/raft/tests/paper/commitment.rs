//! Sections 5.3 and 5.4: what is committed.

use raft::{Appended, LogId, Message, Refused};

use crate::support::Cluster;

/// Server 1, leader of term 2 of five, with entries of term 1 at 1 and 2 and its own first at 3, all of its own durable.
fn leader() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3, 4, 5]);
    for server in 1..=5 {
        cluster.with_log(server, 1, &[1]);
    }
    cluster.with_log(1, 1, &[1, 1]);
    cluster.wait(150);
    cluster.input(1, raft::Input::Campaign);
    for kind in [0, 1] {
        for other in [2, 3] {
            cluster.deliver(1, other);
            cluster.persist(other);
            cluster.deliver(other, 1);
        }
        if kind == 0 {
            cluster.persist(1);
        }
    }
    cluster.wire.clear();
    assert_eq!(cluster.role(1), raft::Role::Leader);
    cluster
}

fn acknowledge(cluster: &mut Cluster, from: u64, index: u64) {
    let outcome = Appended::Matched(index);
    let session = 0;
    cluster.tell(from, 1, 2, Message::AppendReply { session, outcome });
}

/// Leaders: "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term == currentTerm: set commitIndex = N";
/// 5.4.2: "Raft never commits log entries from previous terms by counting replicas".
#[test]
fn a_majority_commits_an_entry_of_the_leaders_term_and_with_it_all_before() {
    let mut cluster = leader();
    cluster.persist(1);
    for other in [2, 3, 4, 5] {
        acknowledge(&mut cluster, other, 2);
    }
    assert_eq!(cluster.core(1).committed(), 0, "held by all, and of term 1");
    acknowledge(&mut cluster, 2, 3);
    assert_eq!(cluster.core(1).committed(), 0, "held by two of five");
    acknowledge(&mut cluster, 3, 3);
    assert_eq!(cluster.core(1).committed(), 3);
}

/// A leader counts its own log only as far as it is durable.
#[test]
fn a_leader_does_not_count_what_its_own_disk_does_not_hold() {
    let mut cluster = leader();
    acknowledge(&mut cluster, 2, 3);
    acknowledge(&mut cluster, 3, 3);
    assert_eq!(cluster.core(1).committed(), 0);
    cluster.persist(1);
    assert_eq!(cluster.core(1).committed(), 3);
}

/// A majority without the leader commits, and the leader applies once its own log holds it: its log is never behind its state machine.
#[test]
fn a_majority_without_the_leader_commits_and_the_leader_applies_later() {
    let mut cluster = leader();
    for other in [2, 3, 4] {
        acknowledge(&mut cluster, other, 3);
    }
    assert_eq!(cluster.core(1).committed(), 3);
    assert_eq!(cluster.core(1).applied(), 2);
    cluster.persist(1);
    assert_eq!(cluster.core(1).applied(), 3);
}

/// Figure 8, (c) to (d): the entry of term 2 on a majority is not committed, and server 5 overwrites it.
#[test]
fn an_entry_of_an_earlier_term_on_a_majority_may_still_be_overwritten() {
    let mut cluster = Cluster::new([1, 2, 3, 4, 5]);
    for (server, log) in [
        (1, &[1, 2][..]),
        (2, &[1, 2]),
        (3, &[1, 2]),
        (4, &[1]),
        (5, &[1, 3]),
    ] {
        cluster.with_log(server, 4, log);
    }
    cluster.cut.insert(1);
    cluster.elect(5);
    cluster.run(100);
    assert!((2..=5).all(|server| cluster.terms(server) == [1, 3, 5]));
}

/// Figure 8, (e): once an entry of the leader's term is on a majority, nobody without it is elected.
#[test]
fn once_an_entry_of_the_leaders_term_is_committed_all_before_it_stay() {
    let mut cluster = Cluster::new([1, 2, 3, 4, 5]);
    for (server, log) in [
        (1, &[1, 2][..]),
        (2, &[1, 2]),
        (3, &[1]),
        (4, &[1]),
        (5, &[1, 3]),
    ] {
        cluster.with_log(server, 3, log);
    }
    cluster.cut = [4, 5].into();
    cluster.elect(1);
    assert_eq!(cluster.core(1).committed(), 3);
    cluster.cut = [1].into();
    while !(2..=4).any(|server| cluster.role(server) == raft::Role::Leader) {
        cluster.wait(50);
        cluster.input(5, raft::Input::Campaign);
        cluster.settle();
        assert_ne!(cluster.role(5), raft::Role::Leader);
    }
    cluster.run(1000);
    assert!((2..=5).all(|server| cluster.terms(server).starts_with(&[1, 2, 4])));
}

/// "The leader keeps track of the highest index it knows to be committed, and it includes that index in future AppendEntries RPCs (including
/// heartbeats)".
#[test]
fn followers_learn_what_is_committed_although_nothing_new_is_proposed() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.run(60);
    assert!(
        [2, 3]
            .iter()
            .all(|&server| cluster.core(server).committed() == 2)
    );
}

/// The same for the follower that is slower than a majority: clients may wait there, so it is told in answer to its acknowledgement and not
/// only by the next heartbeat.
#[test]
fn who_acknowledges_what_is_committed_already_is_told_so_at_once() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.persist(1);
    for follower in [2, 3] {
        cluster.deliver(1, follower);
        cluster.persist(follower);
    }
    cluster.deliver(2, 1);
    assert_eq!(cluster.core(1).committed(), 2);
    cluster.deliver(1, 3);
    assert_eq!(cluster.core(3).committed(), 1, "not known to hold it");
    cluster.deliver(3, 1);
    cluster.deliver(1, 3);
    assert_eq!(cluster.core(3).committed(), 2);
}

/// A proposal to a leader that reached nobody is lost with its term, and the new leader's entry stands in its place (State Machine Safety).
#[test]
fn what_was_not_committed_may_be_replaced_and_is_applied_nowhere() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.cut.insert(1);
    let lost: Result<LogId, Refused> = cluster.propose(1, "lost");
    cluster.settle();
    cluster.elect(2);
    cluster.propose(2, "kept").unwrap();
    cluster.settle();
    cluster.cut.clear();
    cluster.run(200);
    assert_eq!(lost, Ok(LogId::new(1, 2)));
    assert!((1..=3).all(|server| cluster.commands(server) == ["kept"]));
}
