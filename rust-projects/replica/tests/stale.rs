//! Stale reads: answered at once from what a server has applied, also when it is cut off.

mod support;

use replica::Answer;
use support::{Cluster, one};
use wire::Reply;

#[test]
fn a_follower_that_is_cut_off_answers_stale_reads_while_a_linearizable_one_gets_nowhere() {
    let mut cluster = Cluster::new(|_| {});
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let done = cluster.write(leader, "SET key old");
    cluster.pass(100);
    assert_eq!(cluster.answer(done), Some(one(Reply::OK)));
    cluster.cut_off.insert(follower);
    let done = cluster.write(leader, "SET key new");
    cluster.pass(1000);
    assert_eq!(cluster.answer(done), Some(one(Reply::OK)));

    let linearizable = cluster.read(follower, "GET key");
    assert_eq!(cluster.read_stale(follower, "GET key"), Reply::bulk("old"));
    assert_eq!(cluster.read_stale(leader, "GET key"), Reply::bulk("new"));
    cluster.pass(1000);
    assert_eq!(cluster.answer(linearizable), None, "it waits for a leader");
    cluster.pass(10_000);
    assert_eq!(cluster.answer(linearizable), Some(Answer::NoLeader));

    let linearizable = cluster.read(follower, "GET key");
    cluster.cut_off.clear();
    cluster.pass(1000);
    assert_eq!(
        cluster.answer(linearizable),
        Some(one(Reply::bulk("new"))),
        "it waited, and is answered by what it missed"
    );
    assert_eq!(cluster.read_stale(follower, "GET key"), Reply::bulk("new"));
}

#[test]
fn what_has_expired_by_the_time_of_the_state_is_in_no_stale_read() {
    let mut cluster = Cluster::new(|_| {});
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.write(leader, "SET key value PX 1000");
    cluster.pass(500);
    assert_eq!(
        cluster.read_stale(follower, "GET key"),
        Reply::bulk("value")
    );
    // Its own clock goes on, but the time of the state does not without a leader.
    cluster.cut_off.insert(follower);
    cluster.pass(2000);
    assert_eq!(
        cluster.read_stale(follower, "GET key"),
        Reply::bulk("value")
    );
    assert_eq!(cluster.read_stale(leader, "GET key"), Reply::Null);
    cluster.cut_off.clear();
    cluster.pass(1000);
    assert_eq!(cluster.read_stale(follower, "GET key"), Reply::Null);
}

#[test]
fn a_client_sees_its_own_writes_in_stale_reads_of_the_server_that_answered_them() {
    let mut cluster = Cluster::new(|_| {});
    let follower = cluster.follower();
    for count in 1..=20 {
        let done = cluster.write(follower, "INCR count");
        cluster.pass(100);
        assert_eq!(cluster.answer(done), Some(one(Reply::Integer(count))));
        let seen = cluster.read_stale(follower, "GET count");
        assert_eq!(seen, Reply::bulk(count.to_string()));
    }
}
