//! Bounds that a replica keeps: who asks for more is told that it is busy, and nothing is done.

mod support;

use raft::Refused;
use replica::{Answer, Client, WINDOW};
use support::{Group, one};
use wire::Reply;

const BUSY: Option<Answer> = Some(Answer::Refused(Refused::Busy));

/// A command that takes so many bytes.
fn set(bytes: usize) -> String {
    format!("SET large {}", "x".repeat(bytes))
}

fn assert_count(group: &mut Group, expected: &str) {
    group.pass(1000);
    let node = group.leader();
    let read = group.read(node, "GET count");
    group.pass(1000);
    assert_eq!(
        group.answer(read),
        Some(one(Reply::bulk(expected.to_owned())))
    );
}

fn applied(group: &mut Group, client: Client) -> bool {
    matches!(group.answer(client), Some(Answer::Replies(_)))
}

#[test]
fn what_comes_while_too_many_bytes_wait_to_be_committed_is_refused_wherever_it_is_asked() {
    let mut group = Group::new(|settings| settings.raft.max_uncommitted_bytes = 1000);
    let (leader, follower) = (group.leader(), group.follower());
    for node in 1..=3 {
        group.hold_disk(node);
    }
    let large = group.write(leader, &set(2000));
    assert_eq!(group.answer(large), None);
    let small = group.write(leader, "INCR count");
    assert_eq!(group.answer(small), BUSY);
    let forwarded = group.write(follower, "INCR count");
    assert_eq!(group.answer(forwarded), BUSY);
    for node in 1..=3 {
        group.release_disk(node);
    }
    group.pass(1000);
    assert!(applied(&mut group, large));
    let again = group.write(follower, "INCR count");
    group.pass(1000);
    assert!(applied(&mut group, again));
    assert_count(&mut group, "1");
}

#[test]
fn what_comes_while_too_many_entries_wait_to_be_applied_is_refused() {
    let mut group = Group::new(|settings| settings.max_unapplied_entries = 3);
    let leader = group.leader();
    group.hold_disk(leader);
    let waiting: Vec<_> = (0..4).map(|_| group.write(leader, "INCR count")).collect();
    let core = group.servers[&leader].core();
    assert_eq!(core.committed() - core.applied(), 4, "by the others");
    let refused = group.write(leader, "INCR count");
    assert_eq!(group.answer(refused), BUSY);
    let forwarded = group.write(group.follower(), "INCR count");
    assert_eq!(group.answer(forwarded), BUSY);
    group.release_disk(leader);
    for client in waiting {
        assert!(applied(&mut group, client));
    }
    assert_count(&mut group, "4");
}

#[test]
fn what_comes_while_too_many_bytes_wait_to_be_applied_is_refused() {
    let mut group = Group::new(|settings| settings.max_unapplied_bytes = 1000);
    let leader = group.leader();
    group.hold_disk(leader);
    let small = group.write(leader, "INCR count");
    let large = group.write(leader, &set(2000));
    let refused = group.write(leader, "INCR count");
    assert_eq!(group.answer(refused), BUSY);
    group.release_disk(leader);
    assert!(applied(&mut group, small) && applied(&mut group, large));
    assert_count(&mut group, "1");
}

#[test]
fn a_follower_whose_disk_does_not_keep_up_refuses_its_own_clients_only() {
    let mut group = Group::new(|settings| settings.max_unapplied_entries = 3);
    let (leader, follower) = (group.leader(), group.follower());
    group.hold_disk(follower);
    for _ in 0..6 {
        let done = group.write(leader, "INCR count");
        assert!(applied(&mut group, done));
    }
    let refused = group.write(follower, "INCR count");
    assert_eq!(group.answer(refused), BUSY);
    group.release_disk(follower);
    assert_count(&mut group, "6");
}

#[test]
fn no_more_requests_are_pending_than_a_session_remembers() {
    let mut group = Group::new(|_| {});
    let (leader, follower) = (group.leader(), group.follower());
    group.cut_off.insert(follower);
    group.pass(1000);
    let window = usize::try_from(WINDOW).unwrap();
    let mut clients = group.writes(follower, &vec!["INCR count"; window + 3]);
    let refused = clients.split_off(window);
    for client in refused {
        assert_eq!(group.answer(client), BUSY);
    }
    assert_eq!(group.answer(clients[0]), None, "it waits for a leader");
    group.cut_off.clear();
    group.pass(2000);
    assert!(
        clients
            .into_iter()
            .all(|client| applied(&mut group, client))
    );
    assert_eq!(group.leader(), leader, "nothing was lost on the way");
    assert_count(&mut group, &WINDOW.to_string());
}
