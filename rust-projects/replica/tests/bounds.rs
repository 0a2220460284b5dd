//! Bounds that a replica keeps: who asks for more is told that it is busy, and nothing is done.

mod support;

use raft::Refused;
use replica::{Answer, Client, WINDOW};
use support::{Cluster, one};
use wire::Reply;

const BUSY: Option<Answer> = Some(Answer::Refused(Refused::Busy));

/// A command that takes so many bytes.
fn set(bytes: usize) -> String {
    format!("SET large {}", "x".repeat(bytes))
}

fn assert_count(cluster: &mut Cluster, expected: &str) {
    cluster.pass(1000);
    let node = cluster.leader();
    let read = cluster.read(node, "GET count");
    cluster.pass(1000);
    assert_eq!(
        cluster.answer(read),
        Some(one(Reply::bulk(expected.to_owned())))
    );
}

fn applied(cluster: &mut Cluster, client: Client) -> bool {
    matches!(cluster.answer(client), Some(Answer::Replies(_)))
}

#[test]
fn what_comes_while_too_many_bytes_wait_to_be_committed_is_refused_wherever_it_is_asked() {
    let mut cluster = Cluster::new(|settings| settings.raft.max_uncommitted_bytes = 1000);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    for node in 1..=3 {
        cluster.hold_disk(node);
    }
    let large = cluster.write(leader, &set(2000));
    assert_eq!(cluster.answer(large), None);
    let small = cluster.write(leader, "INCR count");
    assert_eq!(cluster.answer(small), BUSY);
    let forwarded = cluster.write(follower, "INCR count");
    assert_eq!(cluster.answer(forwarded), BUSY);
    for node in 1..=3 {
        cluster.release_disk(node);
    }
    cluster.pass(1000);
    assert!(applied(&mut cluster, large));
    let again = cluster.write(follower, "INCR count");
    cluster.pass(1000);
    assert!(applied(&mut cluster, again));
    assert_count(&mut cluster, "1");
}

#[test]
fn what_comes_while_too_many_entries_wait_to_be_applied_is_refused() {
    let mut cluster = Cluster::new(|settings| settings.max_unapplied_entries = 3);
    let leader = cluster.leader();
    cluster.hold_disk(leader);
    let waiting: Vec<_> = (0..4)
        .map(|_| cluster.write(leader, "INCR count"))
        .collect();
    let core = cluster.servers[&leader].core();
    assert_eq!(core.committed() - core.applied(), 4, "by the others");
    let refused = cluster.write(leader, "INCR count");
    assert_eq!(cluster.answer(refused), BUSY);
    let forwarded = cluster.write(cluster.follower(), "INCR count");
    assert_eq!(cluster.answer(forwarded), BUSY);
    cluster.release_disk(leader);
    for client in waiting {
        assert!(applied(&mut cluster, client));
    }
    assert_count(&mut cluster, "4");
}

#[test]
fn what_comes_while_too_many_bytes_wait_to_be_applied_is_refused() {
    let mut cluster = Cluster::new(|settings| settings.max_unapplied_bytes = 1000);
    let leader = cluster.leader();
    cluster.hold_disk(leader);
    let small = cluster.write(leader, "INCR count");
    let large = cluster.write(leader, &set(2000));
    let refused = cluster.write(leader, "INCR count");
    assert_eq!(cluster.answer(refused), BUSY);
    cluster.release_disk(leader);
    assert!(applied(&mut cluster, small) && applied(&mut cluster, large));
    assert_count(&mut cluster, "1");
}

#[test]
fn a_follower_whose_disk_does_not_keep_up_refuses_its_own_clients_only() {
    let mut cluster = Cluster::new(|settings| settings.max_unapplied_entries = 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.hold_disk(follower);
    for _ in 0..6 {
        let done = cluster.write(leader, "INCR count");
        assert!(applied(&mut cluster, done));
    }
    let refused = cluster.write(follower, "INCR count");
    assert_eq!(cluster.answer(refused), BUSY);
    cluster.release_disk(follower);
    assert_count(&mut cluster, "6");
}

#[test]
fn no_more_requests_are_pending_than_a_session_remembers() {
    let mut cluster = Cluster::new(|_| {});
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.cut_off.insert(follower);
    cluster.pass(1000);
    let window = usize::try_from(WINDOW).unwrap();
    let mut clients = cluster.writes(follower, &vec!["INCR count"; window + 3]);
    let refused = clients.split_off(window);
    for client in refused {
        assert_eq!(cluster.answer(client), BUSY);
    }
    assert_eq!(cluster.answer(clients[0]), None, "it waits for a leader");
    cluster.cut_off.clear();
    cluster.pass(2000);
    assert!(
        clients
            .into_iter()
            .all(|client| applied(&mut cluster, client))
    );
    assert_eq!(cluster.leader(), leader, "nothing was lost on the way");
    assert_count(&mut cluster, &WINDOW.to_string());
}
