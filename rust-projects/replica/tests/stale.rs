//! Stale reads: answered at once from what a server has applied, also when it is cut off.

mod support;

use replica::Answer;
use support::{Group, one};
use wire::Reply;

#[test]
fn a_follower_that_is_cut_off_answers_stale_reads_while_a_linearizable_one_gets_nowhere() {
    let mut group = Group::new(|_| {});
    let (leader, follower) = (group.leader(), group.follower());
    let done = group.write(leader, "SET key old");
    group.pass(100);
    assert_eq!(group.answer(done), Some(one(Reply::OK)));
    group.cut_off.insert(follower);
    let done = group.write(leader, "SET key new");
    group.pass(1000);
    assert_eq!(group.answer(done), Some(one(Reply::OK)));

    let linearizable = group.read(follower, "GET key");
    assert_eq!(group.read_stale(follower, "GET key"), Reply::bulk("old"));
    assert_eq!(group.read_stale(leader, "GET key"), Reply::bulk("new"));
    group.pass(1000);
    assert_eq!(group.answer(linearizable), None, "it waits for a leader");
    group.pass(10_000);
    assert_eq!(group.answer(linearizable), Some(Answer::NoLeader));

    let linearizable = group.read(follower, "GET key");
    group.cut_off.clear();
    group.pass(1000);
    assert_eq!(
        group.answer(linearizable),
        Some(one(Reply::bulk("new"))),
        "it waited, and is answered by what it missed"
    );
    assert_eq!(group.read_stale(follower, "GET key"), Reply::bulk("new"));
}

#[test]
fn what_has_expired_by_the_time_of_the_state_is_in_no_stale_read() {
    let mut group = Group::new(|_| {});
    let (leader, follower) = (group.leader(), group.follower());
    group.write(leader, "SET key value PX 1000");
    group.pass(500);
    assert_eq!(group.read_stale(follower, "GET key"), Reply::bulk("value"));
    // Its own clock goes on, but the time of the state does not without a leader.
    group.cut_off.insert(follower);
    group.pass(2000);
    assert_eq!(group.read_stale(follower, "GET key"), Reply::bulk("value"));
    assert_eq!(group.read_stale(leader, "GET key"), Reply::Null);
    group.cut_off.clear();
    group.pass(1000);
    assert_eq!(group.read_stale(follower, "GET key"), Reply::Null);
}

#[test]
fn a_client_sees_its_own_writes_in_stale_reads_of_the_server_that_answered_them() {
    let mut group = Group::new(|_| {});
    let follower = group.follower();
    for count in 1..=20 {
        let done = group.write(follower, "INCR count");
        group.pass(100);
        assert_eq!(group.answer(done), Some(one(Reply::Integer(count))));
        let seen = group.read_stale(follower, "GET count");
        assert_eq!(seen, Reply::bulk(count.to_string()));
    }
}
