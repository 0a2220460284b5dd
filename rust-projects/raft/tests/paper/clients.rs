//! Section 8 and the thesis' 6.4: reads, and the first entry of a term.

use raft::{Input, Message, Payload, Role};

use crate::support::{Cluster, entry};

fn leader() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster
}

/// "each leader commit[s] a blank no-op entry into the log at the start of its term".
#[test]
fn the_first_entry_of_every_leader_is_a_noop() {
    let mut cluster = leader();
    cluster.elect(2);
    for server in [1, 2, 3] {
        let entries = cluster.core(server).entries();
        let payloads: Vec<_> = entries.map(|entry| entry.payload.clone()).collect();
        assert_eq!(payloads, [Payload::Noop, Payload::Noop]);
    }
}

/// "a leader must have the latest information on which entries are committed": a read waits for the first entry of its term (etcd issue 7331).
#[test]
fn a_read_waits_until_an_entry_of_the_leaders_term_is_committed() {
    let mut cluster = Cluster::new([1, 2, 3]);
    for server in [1, 2, 3] {
        cluster.with_log(server, 1, &[1]);
    }
    cluster.input(1, Input::Campaign);
    while cluster.role(1) != Role::Leader {
        cluster.persist(1);
        cluster.deliver(1, 2);
        cluster.persist(2);
        cluster.deliver(2, 1);
    }
    cluster.input(1, Input::Read { id: 1 });
    cluster.input(1, Input::Heartbeat);
    let is_heartbeat = |message: &Message| matches!(message, Message::Heartbeat { .. });
    for envelope in cluster.take_between(1, 2) {
        if is_heartbeat(&envelope.message) {
            cluster.arrive(envelope);
        }
    }
    cluster.deliver(2, 1);
    assert_eq!(cluster.read(1, 1), None);
    cluster.settle();
    assert_eq!(cluster.read(1, 1), Some(Some(2)));
}

/// "a leader must check whether it has been deposed before processing a read-only request": by a majority's answers.
#[test]
fn a_read_is_answered_once_a_majority_confirms_the_leader() {
    let mut cluster = leader();
    cluster.input(1, Input::Read { id: 1 });
    assert_eq!(cluster.read(1, 1), None);
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    assert_eq!(cluster.read(1, 1), Some(Some(1)));
}

/// Answers to heartbeats that were sent before the read began say nothing of the time since (etcd issue 20418).
#[test]
fn answers_to_earlier_heartbeats_confirm_no_read() {
    let mut cluster = leader();
    cluster.input(1, Input::Heartbeat);
    for other in [2, 3] {
        cluster.deliver(1, other);
    }
    cluster.input(1, Input::Read { id: 1 });
    for other in [2, 3] {
        cluster.deliver(other, 1);
    }
    assert_eq!(cluster.read(1, 1), None);
    cluster.settle();
    assert_eq!(cluster.read(1, 1), Some(Some(1)));
}

/// The index is that of the time at which the read's round begins, so whatever was acknowledged before the read is in it.
#[test]
fn a_read_sees_what_was_committed_before_it_began() {
    let mut cluster = leader();
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    for server in [1, 2, 3] {
        cluster.input(server, Input::Read { id: server });
        cluster.settle();
        assert_eq!(
            cluster.read(server, server),
            Some(Some(2)),
            "server {server}"
        );
    }
}

/// Thesis, 6.4: reads are batched; those that come during a round share the next one.
#[test]
fn reads_that_come_during_a_round_share_the_next() {
    let mut cluster = leader();
    for id in 1..=10 {
        cluster.input(1, Input::Read { id });
    }
    assert_eq!(cluster.wire.len(), 2, "one round for the first");
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    assert_eq!(cluster.server(1).reads.len(), 1);
    cluster.settle();
    assert_eq!(cluster.server(1).reads.len(), 10);
}

/// A read at a leader that was deposed meanwhile fails and can be asked again.
#[test]
fn a_read_fails_when_leadership_is_lost() {
    let mut cluster = leader();
    cluster.cut.insert(1);
    cluster.input(1, Input::Read { id: 1 });
    cluster.input(1, Input::Read { id: 2 });
    cluster.elect(2);
    cluster.propose(2, "a").unwrap();
    cluster.settle();
    cluster.cut.clear();
    cluster.run(100);
    assert_eq!(cluster.read(1, 1), Some(None));
    assert_eq!(cluster.read(1, 2), Some(None));
}

/// A follower's question to a leader that is gone fails when it gives that leader up.
#[test]
fn a_followers_read_fails_when_it_gives_up_its_leader() {
    let mut cluster = leader();
    cluster.cut.insert(1);
    cluster.input(3, Input::Read { id: 1 });
    assert_eq!(cluster.read(3, 1), None);
    cluster.tick(3, 400);
    assert_eq!(cluster.read(3, 1), Some(None));
    cluster.input(3, Input::Read { id: 2 });
    assert_eq!(cluster.read(3, 2), Some(None), "there is nobody to ask");
}

/// A leader that is not a voter confirms nothing by itself.
#[test]
fn a_leader_that_is_no_voter_needs_a_majority_of_the_voters_for_a_read() {
    let mut cluster = leader();
    cluster.change(1, [2, 3], []).unwrap();
    while cluster.core(1).configuration().1.is_joint() {
        for server in [1, 2, 3] {
            cluster.persist(server);
        }
        for other in [2, 3] {
            cluster.deliver(1, other);
            cluster.persist(other);
            cluster.deliver(other, 1);
        }
    }
    assert_eq!(cluster.role(1), Role::Leader);
    cluster.wire.clear();
    cluster.input(1, Input::Read { id: 1 });
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    assert_eq!(cluster.read(1, 1), None, "one of two");
    cluster.deliver(1, 3);
    cluster.deliver(3, 1);
    assert_eq!(cluster.read(1, 1), Some(Some(2)));
}

/// Reads leave no trace in the log (thesis, 6.4).
#[test]
fn reads_write_nothing() {
    let mut cluster = leader();
    let last = cluster.core(1).last();
    for id in 1..=5 {
        cluster.input(1, Input::Read { id });
        cluster.settle();
    }
    assert_eq!(cluster.core(1).last(), last);
    assert_eq!(entry(1, 1).id, last);
}
