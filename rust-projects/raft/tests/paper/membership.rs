//! Section 6, and the thesis' chapter 4.

use std::collections::BTreeSet;

use raft::{ChangeError, Configuration, Input, LogId, Message, Refused, Role};

use crate::support::Cluster;

const UNDER_WAY: Result<LogId, Refused> = Err(Refused::Change(ChangeError::UnderWay));

fn leader(voters: impl IntoIterator<Item = u64>) -> Cluster {
    let mut cluster = Cluster::new(voters);
    cluster.elect(1);
    cluster
}

fn joint(new: impl IntoIterator<Item = u64>, old: impl IntoIterator<Item = u64>) -> Configuration {
    Configuration {
        outgoing: old.into_iter().collect(),
        ..Configuration::of_voters(new)
    }
}

/// "a server always uses the latest configuration in its log, regardless of whether the entry is committed".
#[test]
fn a_configuration_counts_from_when_it_is_appended() {
    let mut cluster = leader([1, 2, 3]);
    cluster.join(4);
    cluster.change(1, [1, 2, 4], []).unwrap();
    let expected = joint([1, 2, 4], [1, 2, 3]);
    assert_eq!(cluster.core(1).configuration(), (2, &expected));
    cluster.deliver(1, 2);
    assert_eq!(cluster.core(2).configuration(), (2, &expected));
    assert!(cluster.core(2).committed() < 2);
}

/// The same, the other way: an entry that is deleted takes its configuration with it (thesis, 4.1).
#[test]
fn a_configuration_whose_entry_is_overwritten_never_was() {
    let mut cluster = leader([1, 2, 3]);
    cluster.cut.insert(1);
    cluster.change(1, [1], []).unwrap();
    cluster.settle();
    cluster.elect(2);
    cluster.cut.clear();
    cluster.run(200);
    for server in [1, 2, 3] {
        let (_, members) = cluster.core(server).configuration();
        assert_eq!(*members, Configuration::of_voters([1, 2, 3]));
    }
    assert_eq!(cluster.terms(1), [1, 2]);
}

/// Undone and crashed: what counts after a restart is what the log holds.
#[test]
fn the_latest_configuration_in_the_log_counts_after_a_restart() {
    let mut cluster = leader([1, 2, 3]);
    cluster.change(1, [1, 2], []).unwrap();
    cluster.deliver(1, 2);
    cluster.sync(2, 1);
    cluster.crash(2);
    let expected = joint([1, 2], [1, 2, 3]);
    assert_eq!(cluster.core(2).configuration(), (2, &expected));
    cluster.crash(1);
    let (_, members) = cluster.core(1).configuration();
    assert_eq!(
        *members,
        Configuration::of_voters([1, 2, 3]),
        "never durable"
    );
}

/// "Agreement (for elections and entry commitment) requires separate majorities from both the old and new configurations": commitment.
#[test]
fn a_joint_configuration_commits_with_both_majorities_only() {
    for (reachable, commits) in [
        ([2, 3], false),
        ([4, 5], false),
        ([2, 4], true),
        ([3, 5], true),
    ] {
        let mut cluster = leader([1, 2, 3]);
        cluster.join(4);
        cluster.join(5);
        cluster.cut = BTreeSet::from([2, 3, 4, 5]);
        cluster.cut.retain(|server| !reachable.contains(server));
        cluster.change(1, [1, 4, 5], []).unwrap();
        cluster.settle();
        assert_eq!(
            cluster.core(1).committed() >= 2,
            commits,
            "with {reachable:?}"
        );
    }
}

/// The same for elections.
#[test]
fn a_joint_configuration_elects_with_both_majorities_only() {
    for (reachable, elects) in [
        ([2, 3], false),
        ([4, 5], false),
        ([2, 4], true),
        ([3, 5], true),
    ] {
        let mut cluster = leader([1, 2, 3]);
        cluster.join(4);
        cluster.join(5);
        cluster.change(1, [1, 4, 5], []).unwrap();
        cluster.persist(1);
        cluster.wire.clear();
        cluster.crash(1);
        cluster.cut = BTreeSet::from([2, 3, 4, 5]);
        cluster.cut.retain(|server| !reachable.contains(server));
        cluster.wait(150);
        cluster.input(1, Input::Campaign);
        cluster.settle();
        let elected = cluster.role(1) == Role::Leader;
        assert_eq!(elected, elects, "with {reachable:?}");
    }
}

/// "Once C_old,new has been committed ... it is now safe for the leader to create a log entry describing C_new".
#[test]
fn a_joint_configuration_is_left_once_it_is_committed_and_not_before() {
    let mut cluster = leader([1, 2, 3]);
    cluster.join(4);
    cluster.change(1, [1, 2, 4], []).unwrap();
    cluster.persist(1);
    assert!(cluster.core(1).configuration().1.is_joint());
    cluster.settle();
    let (_, members) = cluster.core(1).configuration();
    assert_eq!(*members, Configuration::of_voters([1, 2, 4]));
    assert_eq!(cluster.core(1).committed(), 3);
}

/// A leader that dies in the middle leaves the joint configuration to its successor.
#[test]
fn a_new_leader_goes_on_with_the_change_that_it_finds() {
    let mut cluster = leader([1, 2, 3]);
    cluster.change(1, [2, 3], []).unwrap();
    cluster.deliver(1, 2);
    cluster.persist(2);
    cluster.cut.insert(1);
    cluster.elect(2);
    let (_, members) = cluster.core(2).configuration();
    assert_eq!(*members, Configuration::of_voters([2, 3]));
    assert_eq!(cluster.core(2).committed(), cluster.core(2).last().index);
}

/// One change at a time: none is taken before both entries of the one before are committed.
#[test]
fn a_change_is_refused_while_another_is_in_flight() {
    let mut cluster = leader([1, 2, 3]);
    cluster.change(1, [1, 2], []).unwrap();
    assert_eq!(cluster.change(1, [1, 3], []), UNDER_WAY);
    cluster.deliver(1, 2);
    cluster.persist(1);
    cluster.persist(2);
    cluster.deliver(2, 1);
    assert!(!cluster.core(1).configuration().1.is_joint());
    assert_eq!(cluster.change(1, [1, 3], []), UNDER_WAY);
    cluster.settle();
    assert!(cluster.change(1, [1, 2, 3], []).is_ok());
}

/// The bug of 2015 (raft-dev, "bug in single-server membership changes"): a new leader may not know of an open change.
#[test]
fn a_leader_changes_nothing_before_an_entry_of_its_term_is_committed() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.wait(150);
    cluster.input(1, Input::Campaign);
    while cluster.role(1) != Role::Leader {
        cluster.persist(1);
        cluster.persist(2);
        cluster.deliver(1, 2);
        cluster.persist(2);
        cluster.deliver(2, 1);
    }
    assert_eq!(cluster.change(1, [1, 2], []), UNDER_WAY);
    cluster.settle();
    assert!(cluster.change(1, [1, 2], []).is_ok());
}

/// "the leader steps down (returns to follower state) once it has committed the C_new log entry", and manages "a cluster that does not include
/// itself" until then, without counting itself.
#[test]
fn a_leader_that_is_removed_leads_until_its_removal_is_committed() {
    let mut cluster = leader([1, 2, 3]);
    cluster.change(1, [2, 3], []).unwrap();
    cluster.deliver(1, 2);
    cluster.deliver(1, 3);
    for server in [1, 2, 3] {
        cluster.persist(server);
    }
    cluster.deliver(2, 1);
    cluster.deliver(3, 1);
    assert_eq!(cluster.core(1).last().index, 3);
    cluster.persist(1);
    cluster.deliver(1, 2);
    cluster.persist(2);
    cluster.deliver(2, 1);
    assert_eq!(
        (cluster.core(1).committed(), cluster.role(1)),
        (2, Role::Leader)
    );
    cluster.deliver(1, 3);
    cluster.persist(3);
    cluster.deliver(3, 1);
    assert_eq!(
        (cluster.core(1).committed(), cluster.role(1)),
        (3, Role::Follower)
    );
    cluster.settle();
    cluster.run(2000);
    assert_eq!(cluster.role(1), Role::Follower);
    assert_eq!(cluster.core(1).deadline(), None, "it never stands again");
    assert!(
        [2, 3]
            .iter()
            .any(|&server| cluster.role(server) == Role::Leader)
    );
}

/// "removed servers (those not in C_new) can disrupt the cluster ... servers disregard RequestVote RPCs when they believe a current leader
/// exists".
#[test]
fn a_removed_server_that_never_heard_of_it_disturbs_nobody() {
    let mut cluster = leader([1, 2, 3, 4]);
    cluster.cut.insert(4);
    cluster.change(1, [1, 2, 3], []).unwrap();
    cluster.settle();
    cluster.run(500);
    cluster.cut.clear();
    cluster.run(3000);
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, 1));
    // Nor does a real request for votes, of a server without pre-vote.
    let (last, forced) = (LogId::new(9, 9), false);
    for server in [1, 2, 3] {
        cluster.tell(4, server, 7, Message::Vote { last, forced });
        assert_eq!(cluster.term(server), 1);
    }
}

/// Thesis, 4.2.2: "a server that is not part of its own latest configuration should still start new elections": its log may be the only one that can
/// be elected.
#[test]
fn a_removed_server_stands_for_election_until_its_removal_is_committed() {
    let mut cluster = leader([1, 2]);
    cluster.change(1, [2], []).unwrap();
    cluster.settle();
    assert_eq!(
        cluster.core(2).configuration().1,
        &Configuration::of_voters([2])
    );
    // Again, with the leader dying while only it has the last entry.
    let mut cluster = leader([1, 2]);
    cluster.change(1, [2], []).unwrap();
    cluster.deliver(1, 2);
    cluster.persist(1);
    cluster.persist(2);
    cluster.deliver(2, 1);
    cluster.persist(1);
    assert_eq!(
        cluster.core(1).configuration().1,
        &Configuration::of_voters([2])
    );
    cluster.wire.clear();
    cluster.crash(1);
    cluster.wait(150);
    cluster.input(2, Input::Campaign);
    cluster.settle();
    assert_ne!(cluster.role(2), Role::Leader, "its log is behind");
    cluster.run(2000);
    assert_eq!(cluster.role(2), Role::Leader);
    assert_eq!(
        cluster.core(2).configuration().1,
        &Configuration::of_voters([2])
    );
}

/// "RequestVote ... requests from servers that are not part of the receiver's configuration" are answered (section 6; thesis, 4.1): the receiver may
/// be the one that lags.
#[test]
fn a_server_votes_for_one_that_it_does_not_know() {
    let mut cluster = Cluster::new([1, 2, 3]);
    let (last, forced) = (LogId::new(1, 1), false);
    cluster.tell(9, 1, 1, Message::Vote { last, forced });
    cluster.persist(1);
    assert_eq!(cluster.core(1).hard_state().voted_for, Some(9));
}

/// "new servers join the cluster as non-voting members": learners receive the log and count for nothing.
#[test]
fn a_learner_receives_the_log_and_counts_for_nothing() {
    let mut cluster = leader([1, 2, 3]);
    cluster.join(4);
    cluster.change(1, [1, 2, 3], [4]).unwrap();
    assert!(
        !cluster.core(1).configuration().1.is_joint(),
        "no majority changes"
    );
    cluster.settle();
    cluster.run(100);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.commands(4), ["a"]);
    cluster.cut = [2, 3].into();
    cluster.propose(1, "b").unwrap();
    cluster.settle();
    assert_eq!(cluster.commands(1), ["a"], "two of three voters are away");
    cluster.tick(4, 3000);
    assert_eq!(cluster.role(4), Role::Follower, "nor does it stand");
}

/// A voter becomes a learner when the change ends, not before: its vote counts in the old half until then.
#[test]
fn a_voter_becomes_a_learner_through_a_joint_configuration() {
    let mut cluster = leader([1, 2, 3]);
    cluster.change(1, [1, 2], [3]).unwrap();
    let (_, members) = cluster.core(1).configuration();
    assert!(members.is_joint() && members.is_voter(3));
    cluster.settle();
    let (_, members) = cluster.core(1).configuration();
    assert_eq!(members.learners, [3].into());
    assert!(!members.is_voter(3));
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.commands(3), ["a"]);
}

/// A member that is removed and added again in one term is another: replies to its former self say nothing of it.
#[test]
fn replies_of_a_former_membership_count_for_nothing() {
    let mut cluster = leader([1, 2, 3]);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.change(1, [1, 2], []).unwrap();
    cluster.settle();
    cluster.join(3);
    cluster.change(1, [1, 2, 3], []).unwrap();
    cluster.wire.clear();
    let (session, outcome) = (0, raft::Appended::Matched(2));
    cluster.tell(3, 1, 1, Message::AppendReply { session, outcome });
    let (session, round) = (0, 99);
    cluster.tell(3, 1, 1, Message::HeartbeatReply { session, round });
    let matched: Vec<_> = cluster.core(1).matched().collect();
    assert_eq!(matched[2], (3, 0));
    cluster.run(100);
    assert_eq!(cluster.commands(3), ["a"]);
}

/// Changes that cannot be are refused with the reason.
#[test]
fn impossible_changes_are_refused() {
    let mut cluster = leader([1, 2, 3]);
    let refused = |error| Err(Refused::Change(error));
    assert_eq!(cluster.change(1, [], [4]), refused(ChangeError::NoVoters));
    assert_eq!(
        cluster.change(1, [1, 4], [4]),
        refused(ChangeError::Both(4))
    );
    assert_eq!(
        cluster.change(1, [1, 2, 3], []),
        refused(ChangeError::Nothing)
    );
    assert_eq!(cluster.change(2, [1], []), Err(Refused::NotLeader(Some(1))));
    assert_eq!(cluster.core(1).last().index, 1, "and leave nothing behind");
}

/// Compaction keeps what counts at the new start of the log, and truncation later goes back no further.
#[test]
fn configurations_survive_compaction_and_truncation_behind_it() {
    let mut cluster = leader([1, 2, 3]);
    cluster.change(1, [1, 2], []).unwrap();
    cluster.settle();
    cluster.run(100);
    assert_eq!(cluster.core(2).committed(), 3);
    cluster.compact(2, 3);
    cluster.change(1, [1, 2, 3], []).unwrap();
    cluster.deliver(1, 2);
    assert!(cluster.core(2).configuration().1.is_joint());
    cluster.tell(3, 2, 2, crate::support::append(LogId::new(1, 3), &[2], 3));
    assert_eq!(
        cluster.core(2).configuration(),
        (3, &Configuration::of_voters([1, 2]))
    );
    cluster.persist(2);
    cluster.crash(2);
    assert_eq!(
        cluster.core(2).configuration(),
        (3, &Configuration::of_voters([1, 2]))
    );
}
