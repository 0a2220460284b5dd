//! Section 5.3, and the flow control that the core adds to it.

use raft::{Appended, Input, LogId, Message};

use crate::support::{Cluster, append};

fn appends(messages: &[Message]) -> Vec<(u64, usize)> {
    let appends = messages.iter().filter_map(|message| match message {
        Message::Append {
            previous, entries, ..
        } => Some((previous.index, entries.len())),
        _ => None,
    });
    appends.collect()
}

/// "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel to each of the other servers", its own disk
/// included (thesis, 10.2.1).
#[test]
fn a_leader_sends_an_entry_before_its_own_write_of_it_is_durable() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    assert_eq!(cluster.server(1).unsynced.len(), 1);
    assert_eq!(appends(&cluster.said(1)), [(1, 1), (1, 1)]);
}

/// "If followers crash or run slowly, or if network packets are lost, the leader retries AppendEntries RPCs indefinitely".
#[test]
fn a_follower_that_was_away_gets_everything_in_the_end() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.cut.insert(3);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
        cluster.run(100);
    }
    cluster.cut.clear();
    cluster.run(100);
    assert_eq!(cluster.commands(3), ["a", "b", "c"]);
}

/// Figure 3, Leader Append-Only, and Figure 7: whatever the followers' logs are like, they become the leader's.
#[test]
fn every_log_of_figure_7_becomes_the_leaders() {
    let leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [&[u64]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    let mut cluster = Cluster::new(1..=7);
    cluster.with_log(1, 7, &leader);
    for (log, server) in followers.iter().zip(2..) {
        cluster.with_log(server, 7, log);
    }
    // (a), (b), (e) and (f) vote for it, (c) and (d) have more.
    cluster.elect(1);
    cluster.run(100);
    for server in 1..=7 {
        assert_eq!(cluster.terms(server), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]);
    }
}

/// "the leader can decrement nextIndex to bypass all of the conflicting entries in that term; one AppendEntries RPC will be required for each term with
/// conflicting entries, rather than one RPC per entry".
#[test]
fn a_conflict_is_passed_term_by_term() {
    let mut cluster = Cluster::new([1, 2, 3]);
    let long = |term| vec![term; 50];
    let leader: Vec<_> = [long(1), long(4), long(6)].concat();
    let follower: Vec<_> = [long(1), long(2), long(3), long(4)].concat();
    cluster.with_log(1, 6, &leader);
    cluster.with_log(2, 6, &leader);
    cluster.with_log(3, 6, &follower);
    cluster.cut.insert(3);
    cluster.elect(1);
    cluster.cut.clear();
    cluster.input(1, Input::Heartbeat);
    let mut refusals = 0;
    while cluster.core(3).last() != cluster.core(1).last() {
        cluster.deliver(1, 3);
        cluster.persist(3);
        for envelope in cluster.take_between(3, 1) {
            let outcome = match envelope.message {
                Message::AppendReply { outcome, .. } => Some(outcome),
                _ => None,
            };
            refusals += usize::from(matches!(outcome, Some(Appended::Conflict { .. })));
            cluster.arrive(envelope);
        }
    }
    assert!(refusals <= 3, "{refusals} for 150 entries of 3 terms");
}

/// "After a leader has found where the logs meet": one message at a time until then, many afterwards (thesis, 10.2.1).
#[test]
fn messages_are_pipelined_once_the_logs_are_known_to_meet() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
    }
    let to_2 = cluster.take_between(1, 2).into_iter();
    let to_2: Vec<_> = to_2.map(|envelope| envelope.message).collect();
    assert_eq!(appends(&to_2), [(1, 1), (2, 1), (3, 1)]);
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.cut = [3].into();
    cluster.elect(1);
    cluster.cut.clear();
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
    }
    assert_eq!(
        cluster.take_between(1, 3),
        [],
        "its first message is not answered"
    );
}

/// What is under way to a slow disk stays bounded, however many commits and reads the others make possible meanwhile.
#[test]
fn a_peer_that_answers_heartbeats_and_writes_nothing_is_sent_no_more_than_its_bound() {
    let mut cluster = Cluster::tuned([1, 2, 3], |config| {
        config.flow.max_inflight_messages = 4;
    });
    cluster.elect(1);
    let mut sent = 0;
    for read in 0..100 {
        cluster.propose(1, "a").unwrap();
        cluster.input(1, Input::Read { id: read });
        for _ in 0..4 {
            cluster.persist(1);
            cluster.persist(2);
            let wire = std::mem::take(&mut cluster.wire);
            for envelope in wire {
                let carries = matches!(&envelope.message, Message::Append { entries, .. } if !entries.is_empty());
                sent += usize::from(carries && envelope.to == 3);
                cluster.arrive(envelope);
            }
        }
    }
    assert_eq!(cluster.core(1).committed(), 101);
    assert!(sent <= 4, "{sent} messages with entries are under way");
}

/// A commit is told in one message, whose answer brings nothing new to send.
#[test]
fn an_answer_to_the_news_of_a_commit_is_not_followed_by_empty_messages() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.cut.insert(3);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.propose(1, "b").unwrap();
    cluster.deliver(1, 2);
    cluster.persist(2);
    cluster.propose(1, "c").unwrap();
    cluster.persist(1);
    cluster.deliver(2, 1);
    let mut empty = 0;
    for _ in 0..4 {
        let wire = std::mem::take(&mut cluster.wire);
        for envelope in wire {
            let nothing =
                matches!(&envelope.message, Message::Append { entries, .. } if entries.is_empty());
            empty += usize::from(nothing);
            cluster.arrive(envelope);
        }
    }
    assert_eq!(empty, 0);
}

/// A lost message is sent again after the next heartbeat.
#[test]
fn a_lost_message_is_found_by_the_next_heartbeat() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.wire.clear();
    cluster.run(120);
    assert_eq!(cluster.commands(2), ["a"]);
    assert_eq!(cluster.commands(3), ["a"]);
}

/// A follower that lost what it had acknowledged refuses what the leader is sure of. It is asked again by the clock, not in a circle.
#[test]
fn a_follower_that_refuses_what_it_acknowledged_is_not_asked_again_at_once() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    let disk = &mut cluster.server(3).disk;
    disk.entries.clear();
    let disk = disk.clone();
    cluster.servers.remove(&3);
    cluster.start(3, disk);
    cluster.propose(1, "b").unwrap();
    cluster.settle();
    cluster.input(1, Input::Heartbeat);
    cluster.settle();
    assert_eq!(cluster.terms(3), [0; 0]);
}

/// Replies may come in any order; an old refusal takes nothing back.
#[test]
fn old_replies_take_nothing_back() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    let outcome = Appended::Conflict {
        previous: 1,
        hint: LogId::default(),
    };
    let session = 0;
    cluster.tell(2, 1, 1, Message::AppendReply { session, outcome });
    let outcome = Appended::Matched(1);
    cluster.tell(2, 1, 1, Message::AppendReply { session, outcome });
    let matched: Vec<_> = cluster.core(1).matched().collect();
    assert_eq!(matched, [(1, 2), (2, 2), (3, 2)]);
    assert_eq!(cluster.said(1), []);
}

/// Bounds on what waits: a leader that commits nothing takes no more than so many bytes (and says so).
#[test]
fn proposals_are_refused_while_too_many_bytes_wait_to_be_committed() {
    let mut cluster = Cluster::tuned([1, 2, 3], |config| config.max_uncommitted_bytes = 100);
    cluster.elect(1);
    let mut taken = 0;
    while cluster.propose(1, "0123456789").is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 3, "of 34 bytes each");
    assert_eq!(cluster.propose(1, "a"), Err(raft::Refused::Busy));
    cluster.settle();
    assert!(cluster.propose(1, "a").is_ok());
}

/// Figure 3, Log Matching: a follower whose disk was overwritten in between holds what the leader holds, also after a crash.
#[test]
fn a_disk_holds_what_the_log_holds_after_every_completion() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(2, 3, &[1, 1, 2]);
    cluster.tell(1, 2, 3, append(LogId::new(2, 3), &[3, 3], 0));
    cluster.tell(3, 2, 4, append(LogId::new(1, 2), &[4], 0));
    cluster.sync(2, 1);
    cluster.complete(2);
    assert_eq!(
        cluster.core(2).durable(),
        2,
        "4 and 5 are overwritten, 3 is not durable yet"
    );
    cluster.persist(2);
    cluster.crash(2);
    assert_eq!(cluster.terms(2), [1, 1, 4]);
}
