//! Section 7: log compaction and `InstallSnapshot`, as far as the log is concerned.

use raft::{Appended, Configuration, Input, LogId, Message, SnapshotMeta};

use crate::support::{Cluster, append};

fn snapshot(term: u64, index: u64) -> Message {
    Message::InstallSnapshot {
        session: 0,
        snapshot: SnapshotMeta {
            id: 7,
            last: LogId::new(term, index),
            configuration: Configuration::of_voters([1, 2]),
        },
    }
}

/// Server 2 with entries of terms 1, 1, 2 and 2, of which the first is committed.
fn follower() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(2, 3, &[1, 1, 2, 2]);
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[], 1));
    cluster.said(2);
    cluster
}

fn acknowledged(cluster: &mut Cluster) -> u64 {
    cluster.persist(2);
    match cluster.said(2)[..] {
        [
            Message::AppendReply {
                outcome: Appended::Matched(index),
                ..
            },
        ] => index,
        ref other => panic!("{other:?}"),
    }
}

/// "Reply immediately if term < currentTerm".
#[test]
fn a_snapshot_of_an_earlier_term_is_refused() {
    let mut cluster = follower();
    cluster.tell(1, 2, 2, snapshot(2, 9));
    assert_eq!(cluster.said(2), [Message::StaleTerm]);
    assert!(cluster.server(2).installed.is_empty());
}

/// "If existing log entry has same index and term as snapshot's last included entry, retain log entries following it and reply".
#[test]
fn a_snapshot_of_what_the_log_holds_commits_it_and_keeps_the_rest() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, snapshot(2, 3));
    assert_eq!(cluster.terms(2), [1, 1, 2, 2]);
    assert_eq!(cluster.core(2).committed(), 3);
    assert_eq!(cluster.core(2).applied(), 3, "by applying the entries");
    assert!(cluster.server(2).installed.is_empty());
    assert_eq!(
        acknowledged(&mut cluster),
        3,
        "what follows may not be the leader's"
    );
}

/// "Discard the entire log; reset state machine using snapshot contents (and load snapshot's cluster configuration)": the log is too short.
#[test]
fn a_snapshot_beyond_the_log_replaces_log_state_and_configuration() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, snapshot(3, 9));
    assert_eq!(cluster.terms(2), [0; 0]);
    assert_eq!(cluster.core(2).last(), LogId::new(3, 9));
    assert_eq!(
        cluster.core(2).configuration(),
        (9, &Configuration::of_voters([1, 2]))
    );
    assert_eq!(cluster.server(2).installed.len(), 1);
    assert_eq!(cluster.wire, [], "the acknowledgement waits for the disk");
    assert_eq!(acknowledged(&mut cluster), 9);
    cluster.tell(1, 2, 3, append(LogId::new(3, 9), &[3], 10));
    assert_eq!(acknowledged(&mut cluster), 10);
    let applied = &cluster.server(2).applied;
    assert_eq!(applied.last().unwrap().id, LogId::new(3, 10));
    cluster.crash(2);
    assert_eq!(cluster.core(2).compacted(), LogId::new(3, 9));
    assert_eq!(cluster.terms(2), [3]);
}

/// The same: the log has another entry at that index, so all of it behind what is committed is another leader's.
#[test]
fn a_snapshot_that_contradicts_the_log_discards_it() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, snapshot(3, 3));
    assert_eq!(cluster.terms(2), [0; 0]);
    assert_eq!(acknowledged(&mut cluster), 3);
    assert_eq!(cluster.server(2).disk.compacted, LogId::new(3, 3));
    assert!(cluster.server(2).disk.entries.is_empty());
}

/// A crash between the state machine's install and the log's write of it: what the log holds at these indexes is not what the state machine
/// holds, and must not pass for committed.
#[test]
fn a_snapshot_whose_write_was_lost_still_discards_what_contradicts_it() {
    for (term, index) in [(3, 3), (3, 9)] {
        let mut cluster = follower();
        cluster.tell(1, 2, 3, snapshot(term, index));
        cluster.crash(2);
        assert_eq!(cluster.core(2).compacted(), LogId::new(term, index));
        assert_eq!(cluster.terms(2), [0; 0]);
        assert_eq!(cluster.core(2).committed(), index);
        assert_eq!(
            cluster.core(2).configuration().1,
            &Configuration::of_voters([1, 2])
        );
        cluster.tell(1, 2, 3, append(LogId::new(term, index), &[3], index));
        assert_eq!(acknowledged(&mut cluster), index + 1);
    }
}

/// The log may be ahead of the state machine as usual: nothing is discarded.
#[test]
fn a_restart_keeps_the_log_that_the_state_machine_is_part_of() {
    let mut cluster = follower();
    cluster.crash(2);
    assert_eq!(cluster.terms(2), [1, 1, 2, 2]);
    assert_eq!(cluster.core(2).committed(), 1);
}

/// A snapshot older than what is committed changes nothing, state machine included.
#[test]
fn a_snapshot_that_is_older_than_what_is_committed_is_ignored() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, snapshot(2, 3));
    cluster.said(2);
    for index in [1, 2, 3] {
        cluster.tell(1, 2, 3, snapshot(1, index));
        assert_eq!(acknowledged(&mut cluster), 3);
    }
    assert_eq!(cluster.terms(2), [1, 1, 2, 2]);
    assert!(cluster.server(2).installed.is_empty());
}

/// A completion of entries that the snapshot replaced does not stand for the snapshot's write.
#[test]
fn a_late_completion_of_discarded_entries_is_no_completion_of_the_snapshot() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(2, 4), &[3, 3], 0));
    cluster.tell(1, 2, 3, snapshot(3, 9));
    cluster.tell(1, 2, 3, append(LogId::new(3, 9), &[3], 10));
    cluster.sync(2, 1);
    cluster.complete(2);
    let said = cluster.said(2);
    let outcome = Appended::Matched(6);
    assert_eq!(
        said,
        [Message::AppendReply {
            session: 0,
            outcome
        }]
    );
    assert_eq!(cluster.core(2).applied(), 9, "10 is not durable");
}

/// "Although servers normally take snapshots independently, the leader must occasionally send snapshots to followers that lag behind": "when the leader has
/// already discarded the next log entry that it needs to send".
#[test]
fn a_follower_that_needs_what_is_compacted_gets_a_snapshot_and_what_follows() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.cut.insert(3);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.compact(1, 2);
    cluster.cut.clear();
    cluster.run(60);
    assert!(cluster.server(1).snapshot_wanted);
    cluster.snapshot(1);
    cluster.propose(1, "b").unwrap();
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.server(3).installed.len(), 1);
    assert_eq!(cluster.commands(3), ["b"]);
    assert_eq!(cluster.core(3).committed(), 3);
}

/// A snapshot that did not get there is sent again; nothing else is sent meanwhile.
#[test]
fn a_snapshot_that_was_lost_is_sent_again() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.cut.insert(3);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.snapshot(1);
    cluster.compact(1, 2);
    cluster.cut.clear();
    let is_snapshot =
        |envelope: &raft::Envelope| matches!(envelope.message, Message::InstallSnapshot { .. });
    cluster.input(1, Input::Heartbeat);
    while cluster.take(is_snapshot).is_empty() {
        cluster.deliver(1, 3);
        cluster.persist(3);
        cluster.deliver(3, 1);
    }
    cluster.propose(1, "b").unwrap();
    assert_eq!(cluster.take_between(1, 3), []);
    let (to, delivered) = (3, false);
    cluster.input(1, Input::SnapshotSent { to, delivered });
    cluster.run(200);
    assert_eq!(cluster.core(3).committed(), 3);
    assert_eq!(cluster.server(3).installed.len(), 1);
}

/// Only what is applied is forgotten: the rest is nowhere else.
#[test]
fn compaction_stops_at_what_is_applied() {
    let mut cluster = follower();
    cluster.compact(2, 4);
    assert_eq!(cluster.core(2).compacted(), LogId::new(1, 1));
    assert_eq!(cluster.terms(2), [1, 2, 2]);
    assert_eq!(
        cluster.core(2).term_at(1),
        Some(1),
        "the last one's term stays known"
    );
}
