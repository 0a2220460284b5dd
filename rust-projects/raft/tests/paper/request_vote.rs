//! Figure 2, "RequestVote RPC", receiver implementation.

use raft::{LogId, Message, Term};

use crate::support::Cluster;

/// Asks server 1, whose log has entries of terms 1, 1 and 2, and which is in term 3.
fn asked(cluster: &mut Cluster, from: u64, term: Term, last: LogId) -> bool {
    let forced = false;
    cluster.tell(from, 1, term, Message::Vote { last, forced });
    cluster.persist(1);
    match cluster.said(1)[..] {
        [Message::VoteReply { granted }] => granted,
        ref other => panic!("{other:?}"),
    }
}

fn voter() -> Cluster {
    let mut cluster = Cluster::new([1, 2, 3]);
    cluster.with_log(1, 3, &[1, 1, 2]);
    cluster
}

/// 1. "Reply false if term < currentTerm".
#[test]
fn a_candidate_of_an_earlier_term_gets_no_vote_and_learns_the_term() {
    let mut cluster = voter();
    let (last, forced) = (LogId::new(2, 3), false);
    cluster.tell(2, 1, 2, Message::Vote { last, forced });
    let reply = &cluster.take_between(1, 2)[0];
    assert_eq!(reply.term, 3);
    assert_eq!(reply.message, Message::VoteReply { granted: false });
}

/// 2. "If votedFor is null or candidateId ... grant vote".
#[test]
fn a_vote_is_given_once_a_term_and_again_only_to_the_same_candidate() {
    let mut cluster = voter();
    let last = LogId::new(2, 3);
    assert!(asked(&mut cluster, 2, 4, last));
    assert!(!asked(&mut cluster, 3, 4, last));
    assert!(
        asked(&mut cluster, 2, 4, last),
        "the first reply may be lost"
    );
    assert!(asked(&mut cluster, 3, 5, last), "a new term, a new vote");
}

/// 2. "... and candidate's log is at least as up-to-date as receiver's log": the later term wins, then the longer log (section 5.4.1).
#[test]
fn only_a_log_that_is_at_least_as_up_to_date_gets_the_vote() {
    let cases = [
        (LogId::new(1, 9), false, "longer, of an earlier term"),
        (LogId::new(2, 2), false, "shorter, of the same term"),
        (LogId::new(2, 3), true, "equal"),
        (LogId::new(2, 4), true, "longer, of the same term"),
        (LogId::new(3, 1), true, "shorter, of a later term"),
    ];
    for (last, granted, what) in cases {
        assert_eq!(asked(&mut voter(), 2, 4, last), granted, "{what}");
    }
}

/// "Updated on stable storage before responding to RPCs".
#[test]
fn a_vote_leaves_only_once_it_is_durable() {
    let mut cluster = voter();
    let (last, forced) = (LogId::new(2, 3), false);
    cluster.tell(2, 1, 4, Message::Vote { last, forced });
    assert_eq!(cluster.wire, []);
    cluster.persist(1);
    assert_eq!(cluster.said(1), [Message::VoteReply { granted: true }]);
}

/// A vote for a candidate whose first request's reply waits for the disk: the second request's reply waits too.
#[test]
fn a_repeated_request_does_not_get_the_vote_out_before_it_is_durable() {
    let mut cluster = voter();
    let (last, forced) = (LogId::new(2, 3), false);
    for _ in 0..2 {
        cluster.tell(2, 1, 4, Message::Vote { last, forced });
    }
    assert_eq!(cluster.wire, []);
}
