//! Figure 2, "AppendEntries RPC", receiver implementation.

use raft::{Appended, LogId, Message};

use crate::support::{Cluster, append};

fn matched(index: u64) -> Message {
    let outcome = Appended::Matched(index);
    Message::AppendReply {
        session: 0,
        outcome,
    }
}

/// Server 2 has entries of terms 1, 1 and 2 and is in term 3.
fn follower() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(2, 3, &[1, 1, 2]);
    cluster
}

/// 1. "Reply false if term < currentTerm".
#[test]
fn the_leader_of_an_earlier_term_is_told_so_and_changes_nothing() {
    let mut cluster = follower();
    cluster.tell(1, 2, 2, append(LogId::new(2, 3), &[2], 3));
    let reply = &cluster.take_between(2, 1)[0];
    assert_eq!((reply.term, &reply.message), (3, &Message::StaleTerm));
    assert_eq!(cluster.terms(2), [1, 1, 2]);
    assert_eq!(cluster.core(2).committed(), 0);
    assert_eq!(cluster.core(2).leader(), None);
}

/// 2. "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm".
#[test]
fn entries_that_do_not_attach_are_refused() {
    for previous in [LogId::new(3, 4), LogId::new(3, 3), LogId::new(1, 3)] {
        let mut cluster = follower();
        cluster.tell(1, 2, 3, append(previous, &[3], 9));
        let said = cluster.said(2);
        let [Message::AppendReply { outcome, .. }] = said[..] else {
            panic!("{said:?}");
        };
        assert!(matches!(outcome, Appended::Conflict { .. }), "{previous:?}");
        assert_eq!(cluster.terms(2), [1, 1, 2]);
        assert_eq!(cluster.core(2).committed(), 0);
    }
}

/// 3. "If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all that follow it".
#[test]
fn an_entry_of_another_term_is_replaced_with_all_behind_it() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[3], 0));
    assert_eq!(cluster.terms(2), [1, 3]);
    cluster.persist(2);
    assert_eq!(cluster.server(2).disk.entries.len(), 2);
    assert_eq!(cluster.said(2), [matched(2)]);
}

/// 3. Only a conflict deletes: messages that come late hold fewer entries than the log by now.
#[test]
fn a_late_message_with_fewer_entries_deletes_nothing() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[1], 0));
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[], 0));
    assert_eq!(cluster.terms(2), [1, 1, 2]);
}

/// 4. "Append any new entries not already in the log".
#[test]
fn only_entries_that_are_new_are_written() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(1, 2), &[2, 3, 3], 0));
    assert_eq!(cluster.terms(2), [1, 1, 2, 3, 3]);
    let written = &cluster.server(2).unsynced[0].entries;
    let written: Vec<_> = written.iter().map(|entry| entry.id.index).collect();
    assert_eq!(written, [4, 5]);
}

/// 5. "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)".
///
/// What lies behind the last new entry may not be the leader's.
#[test]
fn nothing_behind_the_last_new_entry_is_committed() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[1], 9));
    assert_eq!(cluster.core(2).committed(), 2);
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[], 1));
    assert_eq!(cluster.core(2).committed(), 2, "it never goes back");
}

/// The same rule for heartbeats, which name no entry: the leader tells each follower of what it knows it to hold.
#[test]
fn a_heartbeat_commits_nothing_that_the_follower_is_not_known_to_share() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(1, 2, &[1, 2]);
    cluster.with_log(2, 2, &[1, 2]);
    cluster.with_log(3, 1, &[1, 1, 1]);
    cluster.cut.insert(3);
    cluster.elect(1);
    assert_eq!(cluster.core(1).committed(), 3);
    cluster.cut.clear();
    cluster.input(1, raft::Input::Heartbeat);
    cluster.deliver(1, 3);
    assert_eq!(cluster.core(3).committed(), 0);
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.terms(3), [1, 2, 3]);
    assert_eq!(cluster.core(3).committed(), 3);
}

/// "Updated on stable storage before responding to RPCs".
#[test]
fn an_acknowledgement_leaves_only_once_the_entries_are_durable() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(2, 3), &[3], 0));
    assert_eq!(cluster.wire, []);
    cluster.tell(1, 2, 3, append(LogId::new(2, 3), &[3], 0));
    assert_eq!(cluster.wire, [], "nor when they come twice");
    cluster.persist(2);
    assert_eq!(cluster.said(2), [matched(4), matched(4)]);
}

/// Idempotence (section 5.5): "Raft RPCs are idempotent".
#[test]
fn a_message_that_comes_twice_is_answered_twice_and_changes_nothing() {
    let mut cluster = follower();
    let message = append(LogId::new(2, 3), &[3], 4);
    cluster.tell(1, 2, 3, message.clone());
    cluster.persist(2);
    let before = (cluster.terms(2), cluster.core(2).committed());
    cluster.tell(1, 2, 3, message);
    assert_eq!((cluster.terms(2), cluster.core(2).committed()), before);
    assert!(cluster.server(2).unsynced.is_empty());
    assert_eq!(cluster.said(2), [matched(4), matched(4)]);
}

/// An entry committed here is in every later leader's log (Leader Completeness), so a message that attaches to a compacted one attaches.
#[test]
fn entries_that_attach_to_what_is_compacted_are_taken() {
    let mut cluster = follower();
    cluster.tell(1, 2, 3, append(LogId::new(2, 3), &[], 3));
    cluster.compact(2, 3);
    cluster.tell(1, 2, 3, append(LogId::new(1, 1), &[1, 2, 3], 3));
    cluster.persist(2);
    assert_eq!(cluster.terms(2), [3]);
    assert_eq!(cluster.said(2), [matched(3), matched(4)]);
}
