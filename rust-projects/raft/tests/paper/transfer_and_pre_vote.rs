//! What the thesis adds: leadership transfer (3.10), leaders that step down (6.2), pre-vote (9.6) and sticky leaders (4.2.3).

use raft::{Input, LogId, Message, Refused, Role};

use crate::support::Cluster;

fn leader() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.elect(1);
    cluster
}

fn transfer(cluster: &mut Cluster, to: u64) -> Result<LogId, Refused> {
    cluster.input(1, Input::Transfer(to)).unwrap()
}

/// 3.10: "the prior leader sends a TimeoutNow request to the target server", which wins at once although all hear a leader.
#[test]
fn leadership_is_handed_to_the_server_that_was_named() {
    let mut cluster = leader();
    transfer(&mut cluster, 3).unwrap();
    cluster.settle();
    assert_eq!(cluster.role(3), Role::Leader);
    assert_eq!(cluster.term(3), 2);
}

/// 3.10: "The prior leader fully updates the target server's log to match its own" first.
#[test]
fn a_target_that_lags_is_brought_up_to_date_before_it_stands() {
    let mut cluster = leader();
    cluster.cut.insert(3);
    cluster.propose(1, "a").unwrap();
    cluster.settle();
    cluster.cut.clear();
    transfer(&mut cluster, 3).unwrap();
    assert!(!cluster.said(1).contains(&Message::TimeoutNow));
    cluster.run(60);
    assert_eq!(cluster.role(3), Role::Leader);
    assert_eq!(cluster.commands(3), ["a"]);
}

/// 3.10: "The prior leader stops accepting new client requests"; "if leadership transfer does not complete after about an election timeout ... the prior
/// leader aborts the transfer and resumes accepting client requests".
#[test]
fn a_transfer_takes_no_proposals_and_is_given_up_after_an_election_timeout() {
    let mut cluster = leader();
    cluster.cut.insert(3);
    transfer(&mut cluster, 3).unwrap();
    let refused = Err(Refused::Transferring(3));
    assert_eq!(cluster.propose(1, "a"), refused);
    assert_eq!(cluster.change(1, [1, 2], []), refused);
    cluster.run(140);
    assert_eq!(cluster.propose(1, "a"), refused);
    cluster.run(20);
    assert!(cluster.propose(1, "a").is_ok());
}

/// Only to another voter.
#[test]
fn leadership_is_handed_to_voters_only() {
    let mut cluster = leader();
    cluster.join(4);
    cluster.change(1, [1, 2, 3], [4]).unwrap();
    cluster.settle();
    for other in [1, 4, 9] {
        assert_eq!(
            transfer(&mut cluster, other),
            Err(Refused::NotAVoter(other))
        );
    }
    cluster.tell(1, 4, 1, Message::TimeoutNow);
    assert_eq!(cluster.role(4), Role::Follower);
}

/// A request to stand that comes late, from a term that is over, moves nobody.
#[test]
fn a_late_request_to_stand_is_ignored() {
    let mut cluster = leader();
    cluster.elect(2);
    cluster.tell(1, 3, 1, Message::TimeoutNow);
    assert_eq!((cluster.role(3), cluster.term(3)), (Role::Follower, 2));
}

/// 6.2: "a leader steps down if an election timeout elapses without a successful round of heartbeats to a majority".
#[test]
fn a_leader_that_reaches_no_majority_steps_down() {
    let mut cluster = leader();
    cluster.cut = [3].into();
    cluster.run(1000);
    assert_eq!(cluster.role(1), Role::Leader, "it reaches one of two");
    cluster.cut = [2, 3].into();
    cluster.run(140);
    assert_eq!(cluster.role(1), Role::Leader);
    cluster.run(20);
    assert_ne!(cluster.role(1), Role::Leader);
    assert_eq!(cluster.term(1), 1);
}

/// 9.6: "a candidate only increments its term number if it first learns from a majority of the cluster that they would be willing to grant the candidate
/// their votes".
#[test]
fn a_server_that_reaches_nobody_stays_in_its_term() {
    let mut cluster = leader();
    cluster.cut.insert(3);
    cluster.run(5000);
    assert_eq!((cluster.role(3), cluster.term(3)), (Role::PreCandidate, 1));
    cluster.cut.clear();
    cluster.run(1000);
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Leader, 1));
    assert_eq!(cluster.role(3), Role::Follower);
}

/// 9.6: a pre-vote is granted by the rules of a vote, changes nothing, and promises nothing.
#[test]
fn a_pre_vote_is_granted_to_whoever_asks_and_could_be_elected() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(1, 3, &[1, 1, 2]);
    let state = cluster.core(1).hard_state();
    for (term, last, granted) in [
        (4, LogId::new(2, 3), true),
        (4, LogId::new(2, 2), false),
        (3, LogId::new(9, 9), false),
    ] {
        for from in [2, 3] {
            cluster.tell(from, 1, term, Message::PreVote { last });
            assert_eq!(cluster.said(1), [Message::PreVoteReply { granted }]);
        }
    }
    assert_eq!(cluster.core(1).hard_state(), state);
    assert!(cluster.server(1).unsynced.is_empty());
}

/// 4.2.3: "if a server receives a RequestVote request within the minimum election timeout of hearing from a current leader, it does not update its
/// term or grant its vote".
#[test]
fn who_hears_a_leader_elects_no_other() {
    let mut cluster = leader();
    let last = LogId::new(9, 9);
    let vote = |forced| Message::Vote { last, forced };
    cluster.wait(149);
    for server in [1, 2] {
        cluster.tell(3, server, 5, Message::PreVote { last });
        cluster.tell(3, server, 5, vote(false));
        assert_eq!(cluster.term(server), 1);
        let to_3 = cluster.take_between(server, 3).into_iter();
        let mut said = to_3.map(|envelope| envelope.message);
        assert!(said.all(|message| matches!(message, Message::Heartbeat { .. })));
    }
    cluster.tell(3, 1, 5, vote(true));
    assert_eq!(cluster.term(1), 5, "unless the leader asked for it");
    cluster.wire.clear();
    cluster.wait(1);
    cluster.tell(3, 2, 5, Message::PreVote { last });
    assert_eq!(
        cluster.said(2),
        [Message::PreVoteReply { granted: true }],
        "or was not heard for too long"
    );
}

/// Grants of an earlier question count for nothing, wherever the server is by now.
#[test]
fn pre_votes_of_an_earlier_term_count_for_nothing() {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(1, 5, &[1]);
    cluster.input(1, Input::Campaign);
    cluster.tell(2, 1, 5, Message::PreVoteReply { granted: true });
    assert_eq!(cluster.role(1), Role::PreCandidate);
    cluster.tell(2, 1, 6, Message::PreVoteReply { granted: true });
    assert_eq!((cluster.role(1), cluster.term(1)), (Role::Candidate, 6));
}

/// etcd issues 8243 and 8501, openraft issue 1796: with terms and logs apart, somebody is elected.
#[test]
fn servers_apart_in_terms_and_logs_elect_somebody() {
    for (terms, logs) in [
        ([5, 5, 1], [&[1, 5][..], &[1, 5], &[1]]),
        ([7, 5, 7], [&[1], &[1, 5], &[1]]),
        ([9, 2, 1], [&[1], &[1, 1, 1], &[1, 1]]),
    ] {
        for away in [1, 2, 3] {
            let mut cluster = Cluster::new([1, 2, 3]);
            for ((server, term), log) in (1..).zip(terms).zip(logs) {
                cluster.with_log(server, term, log);
            }
            cluster.cut.insert(away);
            cluster.run(3000);
            let leads = |server| server != away && cluster.role(server) == Role::Leader;
            assert!((1..=3).any(leads), "terms {terms:?} without {away}");
        }
    }
}
