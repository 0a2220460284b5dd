//! Figure 2, "Rules for Servers", and "State".

use raft::{Input, LogId, Message, Role};

use crate::support::{Cluster, append};

/// All servers: "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine".
#[test]
fn what_is_committed_is_applied_in_order_and_once() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
    }
    cluster.settle();
    cluster.run(200);
    for server in [1, 2, 3] {
        assert_eq!(cluster.commands(server), ["a", "b", "c"]);
    }
}

/// All servers: "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower".
#[test]
fn a_leader_that_hears_of_a_later_term_follows() {
    let requests_and_responses = [
        append(LogId::new(1, 1), &[], 0),
        Message::Vote {
            last: LogId::new(0, 0),
            forced: true,
        },
        Message::VoteReply { granted: false },
        Message::HeartbeatReply {
            session: 0,
            round: 1,
        },
        Message::StaleTerm,
        Message::PreVoteReply { granted: false },
    ];
    for message in requests_and_responses {
        let mut cluster = Cluster::new([1, 2, 3]);
        cluster.elect(1);
        cluster.tell(2, 1, 5, message.clone());
        assert_eq!(cluster.role(1), Role::Follower, "{message:?}");
        assert_eq!(cluster.term(1), 5, "{message:?}");
    }
}

/// Followers: "Respond to RPCs from candidates and leaders", and to nothing else of their own accord.
#[test]
fn a_follower_says_nothing_unasked_before_its_election_timeout() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.tick(1, 149);
    assert_eq!(cluster.wire, []);
    assert_eq!(cluster.role(1), Role::Follower);
}

/// Followers: "If election timeout elapses without receiving AppendEntries RPC from current leader or granting vote to candidate: convert to
/// candidate".
#[test]
fn a_follower_that_hears_no_leader_stands_for_election() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.tick(1, 300);
    cluster.settle();
    assert_eq!(cluster.role(1), Role::Leader);
    assert_eq!(cluster.term(1), 1);
}

/// The same rule: hearing the leader begins the timeout anew.
#[test]
fn a_follower_that_hears_its_leader_goes_on_following() {
    let mut cluster = Cluster::new([1, 2, 3]);
    for _ in 0..20 {
        cluster.wait(100);
        cluster.tell(1, 2, 1, append(LogId::default(), &[], 0));
        cluster.input(2, Input::Tick);
        assert_eq!(cluster.role(2), Role::Follower);
    }
}

/// The same rule: granting a vote begins the timeout anew; a vote refused does not.
#[test]
fn only_a_vote_that_is_granted_postpones_an_own_election() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(1, 1, &[1]);
    let before = cluster.core(1).deadline();
    cluster.wait(140);
    let forced = false;
    let last = LogId::new(0, 0);
    cluster.tell(2, 1, 2, Message::Vote { last, forced });
    assert_eq!(cluster.core(1).deadline(), before);
    let last = LogId::new(1, 1);
    cluster.tell(3, 1, 2, Message::Vote { last, forced });
    assert!(cluster.core(1).deadline() > before);
}

/// Candidates: "Increment currentTerm, vote for self, reset election timer, send RequestVote RPCs to all other servers".
#[test]
fn a_candidate_begins_a_term_votes_for_itself_and_asks_all_others() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.input(1, Input::Campaign);
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    assert_eq!(cluster.role(1), Role::Candidate);
    let state = cluster.core(1).hard_state();
    assert_eq!((state.term, state.voted_for), (1, Some(1)));
    cluster.persist(1);
    let asked = cluster.take(|envelope| matches!(envelope.message, Message::Vote { .. }));
    let asked: Vec<_> = asked
        .iter()
        .map(|envelope| (envelope.to, envelope.term))
        .collect();
    assert_eq!(asked, [(2, 1), (3, 1)]);
}

/// Candidates: "If AppendEntries RPC received from new leader: convert to follower".
#[test]
fn a_candidate_that_hears_the_leader_of_its_term_follows() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.input(1, Input::Campaign);
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    assert_eq!(cluster.role(1), Role::Candidate);
    cluster.tell(3, 1, 1, append(LogId::default(), &[1], 0));
    assert_eq!(cluster.role(1), Role::Follower);
    assert_eq!(cluster.core(1).leader(), Some(3));
    assert_eq!(cluster.terms(1), [1]);
}

/// Candidates: "If election timeout elapses: start new election".
#[test]
fn a_candidate_that_gets_no_majority_tries_again_in_a_later_term() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.input(1, Input::Campaign);
    cluster.deliver(1, 2);
    cluster.deliver(2, 1);
    cluster.persist(1);
    cluster.wire.clear();
    cluster.tick(1, 300);
    cluster.settle();
    assert_eq!(cluster.role(1), Role::Leader);
    assert_eq!(cluster.term(1), 2);
}

/// Leaders: "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server; repeat during idle periods to prevent election
/// timeouts". Here the first carries the leader's first entry.
#[test]
fn a_leader_tells_everybody_at_once_and_goes_on_telling() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    assert!([2, 3].map(|server| cluster.core(server).leader()) == [Some(1); 2]);
    cluster.tick(1, 50);
    let to: Vec<_> = cluster.wire.iter().map(|envelope| envelope.to).collect();
    assert_eq!(to, [2, 3]);
    cluster.run(2000);
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, 1));
}

/// Leaders: "If command received from client: append entry to local log, respond after entry applied to state machine".
#[test]
fn a_command_is_appended_at_once_and_applied_once_committed() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    let id = cluster.propose(1, "a").unwrap();
    assert_eq!(cluster.core(1).last(), id);
    assert_eq!(cluster.commands(1), [""; 0]);
    cluster.settle();
    assert_eq!(cluster.commands(1), ["a"]);
}

/// Who is not the leader takes no commands and says who does (section 8).
#[test]
fn a_follower_refuses_a_command_and_names_the_leader() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    assert_eq!(
        cluster.propose(2, "a"),
        Err(raft::Refused::NotLeader(Some(1)))
    );
}

/// Persistent state: "currentTerm, votedFor, log[]" survive; a server does not vote twice in a term because it crashed.
#[test]
fn term_vote_and_log_survive_a_crash() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    let before = (cluster.core(2).hard_state(), cluster.terms(2));
    cluster.crash(2);
    assert_eq!((cluster.core(2).hard_state(), cluster.terms(2)), before);
    let (last, forced) = (LogId::new(9, 9), false);
    cluster.tell(3, 2, 1, Message::Vote { last, forced });
    cluster.persist(2);
    assert_eq!(cluster.said(2), [Message::VoteReply { granted: false }]);
}
