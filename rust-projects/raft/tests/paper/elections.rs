//! Sections 5.1, 5.2 and 5.4.1.

use raft::{Input, LogId, Message, Role};

use crate::support::{Cluster, append};

/// Makes server 1 a candidate of term 1, in a cluster of five, with a durable vote of its own.
fn candidate() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3, 4, 5]);
    cluster.input(1, Input::Campaign);
    for other in [2, 3] {
        cluster.deliver(1, other);
        cluster.deliver(other, 1);
    }
    cluster.persist(1);
    cluster.wire.clear();
    assert_eq!(cluster.role(1), Role::Candidate);
    cluster
}

/// 5.1: "When servers start up, they begin as followers" (5.2).
#[test]
fn a_server_starts_as_a_follower_even_if_it_led_before() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.crash(1);
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Follower, 1));
    assert_eq!(cluster.core(1).leader(), None);
}

/// 5.1: "If a server receives a request with a stale term number, it rejects the request".
#[test]
fn replies_of_an_earlier_term_count_for_nothing() {
    let mut cluster = candidate();
    for other in [2, 3, 4, 5] {
        cluster.tell(other, 1, 0, Message::VoteReply { granted: true });
    }
    assert_eq!(cluster.role(1), Role::Candidate);
}

/// 5.2: "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the same term".
#[test]
fn votes_of_a_majority_make_a_leader_and_a_vote_that_comes_twice_counts_once() {
    let mut cluster = candidate();
    let granted = true;
    cluster.tell(2, 1, 1, Message::VoteReply { granted });
    cluster.tell(2, 1, 1, Message::VoteReply { granted });
    assert_eq!(cluster.role(1), Role::Candidate);
    cluster.tell(3, 1, 1, Message::VoteReply { granted });
    assert_eq!(cluster.role(1), Role::Leader);
}

/// A candidate's own vote is a promise like any other: it counts once it is durable.
#[test]
fn a_candidates_own_vote_counts_only_once_it_is_durable() {
    let mut cluster = Cluster::new([1]);
    cluster.input(1, Input::Campaign);
    assert_eq!(cluster.role(1), Role::Candidate);
    cluster.persist(1);
    assert_eq!(cluster.role(1), Role::Leader);
}

/// 5.2: refused by a majority, a candidate cannot win; it waits for the next election.
#[test]
fn a_candidate_that_a_majority_refuses_gives_up() {
    let mut cluster = candidate();
    let granted = false;
    for other in [2, 3, 4] {
        assert_eq!(cluster.role(1), Role::Candidate);
        cluster.tell(other, 1, 1, Message::VoteReply { granted });
    }
    assert_eq!(cluster.role(1), Role::Follower);
}

/// 5.2: "If the term in the RPC is smaller than the candidate's current term, then the candidate rejects the RPC and continues in candidate state".
#[test]
fn a_candidate_goes_on_when_the_leader_of_an_earlier_term_speaks() {
    let mut cluster = candidate();
    cluster.tell(2, 1, 0, append(LogId::default(), &[], 0));
    assert_eq!(cluster.role(1), Role::Candidate);
    assert_eq!(cluster.said(1), [Message::StaleTerm]);
}

/// 5.2: "Raft uses randomized election timeouts": between the timeout and the spread above it, and not the same for all.
#[test]
fn election_timeouts_are_spread_over_their_interval() {
    let cluster = Cluster::new(1..=20);
    let deadlines: std::collections::BTreeSet<_> = (1..=20)
        .map(|server| cluster.core(server).deadline().unwrap().as_millis())
        .collect();
    assert!(deadlines.iter().all(|ms| (150..300).contains(ms)));
    assert!(deadlines.len() > 10, "{deadlines:?}");
}

/// 5.2, split votes: two candidates share the votes, nobody wins, and a later election is won.
#[test]
fn after_a_split_vote_somebody_is_elected() {
    let mut cluster = Cluster::new([1, 2]);
    cluster.input(1, Input::Campaign);
    cluster.input(2, Input::Campaign);
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    cluster.deliver(1, 2);
    assert_eq!(
        (cluster.role(1), cluster.role(2)),
        (Role::Candidate, Role::Candidate)
    );
    cluster.settle();
    assert!(cluster.role(1) != Role::Leader && cluster.role(2) != Role::Leader);
    cluster.run(3000);
    let leaders = [1, 2].map(|server| cluster.role(server) == Role::Leader);
    assert_eq!(leaders.iter().filter(|&&leads| leads).count(), 1);
}

/// Figure 3, Election Safety, and 5.2: a second leader in a term cannot be, so who claims it is not believed.
#[test]
fn a_second_leader_of_a_term_is_not_believed() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.tell(2, 3, 1, append(LogId::new(1, 1), &[1], 0));
    assert_eq!(cluster.terms(3), [1]);
    assert_eq!(cluster.core(3).leader(), Some(1));
}

/// 5.4.1: "a candidate must contact a majority of the cluster in order to be elected, which means that every committed entry must be present in at least
/// one of those servers" (Leader Completeness).
#[test]
fn a_server_that_lacks_a_committed_entry_cannot_be_elected() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.cut.insert(3);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.cut = [1].into();
    while cluster.role(2) != Role::Leader {
        cluster.wait(50);
        cluster.input(3, Input::Campaign);
        cluster.settle();
        assert_ne!(cluster.role(3), Role::Leader);
    }
    assert_eq!(cluster.commands(3), ["a"]);
}
