//! What operators do: servers that are added, promoted and removed, leadership handed over, a stop in good order.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use raft::{Configuration, NodeId};
use replica::{
    Answer, Declined, Event, FORMAT, Member, Order, Recovered, Replica, Restore, Settings, Stop,
};
use storage::{MemoryEngine, Reader};
use support::{Cluster, request};

/// Of the log, for a peer that a snapshot is on its way to.
const PIN_BYTES: usize = 20_000;

fn member(node: NodeId) -> Member {
    Member {
        peer_addr: format!("127.0.0.1:{}", 2000 + node),
        client_addr: format!("127.0.0.1:{}", 4000 + node),
        version: "1".to_owned(),
        format: FORMAT,
        incarnation: node.into(),
    }
}

/// Every server announces itself, and its log is compacted all the time.
fn settings(settings: &mut Settings) {
    settings.member = Some(member(settings.raft.id));
    (settings.flush_bytes, settings.compact_bytes) = (1, 1000);
    (settings.keep_bytes, settings.pin_bytes) = (100, PIN_BYTES);
}

fn founded_by(nodes: NodeId) -> Cluster {
    Cluster::of(nodes, 1..=nodes, settings)
}

/// A server that belongs to no cluster yet.
fn start(cluster: &mut Cluster, node: NodeId) {
    cluster.start(node, &Configuration::default(), settings);
}

impl Cluster {
    fn order(&mut self, order: Order) -> Answer {
        self.ask(|client| Event::Order(client, order))
    }

    fn set(&mut self, key: &str) {
        let command = request(&format!("SET {key} x"));
        let answer = self.ask(|client| Event::Write(vec![(client, command)]));
        assert!(matches!(answer, Answer::Replies(_)), "{answer:?}");
    }
}

#[test]
fn servers_announce_themselves_and_everybody_knows_everybody() {
    let cluster = founded_by(3);
    let hashes: BTreeSet<_> = cluster
        .servers
        .values()
        .map(|server| {
            let known: Vec<_> = server.machine().registry().members().collect();
            let expected = [1, 2, 3].map(|node| (node, member(node)));
            assert_eq!(
                known,
                expected
                    .iter()
                    .map(|(node, m)| (*node, m))
                    .collect::<Vec<_>>()
            );
            server.machine().hash()
        })
        .collect();
    assert_eq!(hashes.len(), 1);
}

#[test]
fn a_server_that_joins_learns_the_log_and_votes_once_it_is_promoted() {
    let mut cluster = founded_by(3);
    cluster.set("before");
    let behind = cluster.order(Order::Add(4, member(4)));
    assert!(matches!(behind, Answer::Done(_)), "{behind:?}");
    let declined = cluster.order(Order::Promote(4));
    let Answer::Declined(Declined::Behind { node: 4, behind }) = declined else {
        panic!("it has not even started: {declined:?}");
    };
    assert!(behind > 0);
    start(&mut cluster, 4);
    cluster.pass(1000);
    let promoted = cluster.order(Order::Promote(4));
    assert!(matches!(promoted, Answer::Done(_)), "{promoted:?}");
    assert_eq!(
        cluster.order(Order::Promote(4)),
        Answer::Declined(Declined::Votes(4))
    );
    let (_, configuration) = cluster.servers[&4].core().configuration();
    assert_eq!(configuration, &Configuration::of_voters(1..=4));
    let hash = |node: NodeId| cluster.servers[&node].machine().hash();
    assert_eq!(hash(4), hash(1));
}

#[test]
fn a_server_that_joins_by_a_snapshot_knows_who_is_where_and_who_was_removed() {
    let mut cluster = founded_by(3);
    let removed = cluster.order(Order::Remove(3));
    assert!(matches!(removed, Answer::Done(_)), "{removed:?}");
    cluster.servers.remove(&3);
    for _ in 0..20 {
        cluster.set("again");
    }
    cluster.order(Order::Add(4, member(4)));
    start(&mut cluster, 4);
    cluster.pass(2000);
    assert!(cluster.snapshots > 0, "the log was compacted");
    let registry = |node: NodeId| cluster.servers[&node].machine().registry();
    assert_eq!(registry(4).get(1), Some(&member(1)));
    assert!(registry(4).is_removed(3));
    assert_eq!(registry(4), registry(1));
}

/// Three servers, of which the third was away for so long that it needs a snapshot, which is under way.
fn third_needs_a_snapshot() -> Cluster {
    let mut cluster = founded_by(3);
    let done = cluster.order(Order::Transfer(Some(1)));
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    cluster.cut_off.insert(3);
    for _ in 0..20 {
        cluster.set("again");
    }
    cluster.slow = Some(Vec::new());
    cluster.cut_off.clear();
    cluster.pass(500);
    assert_eq!(cluster.slow.as_ref().map(Vec::len), Some(1), "it is needed");
    cluster
}

fn log_bytes(cluster: &Cluster, node: NodeId) -> usize {
    let entries = cluster.servers[&node].core().entries();
    entries.map(raft::Entry::size).sum()
}

#[test]
fn the_log_behind_a_snapshot_is_kept_while_it_is_under_way_and_its_receiver_goes_on_from_there() {
    let mut cluster = third_needs_a_snapshot();
    // Ten times as much as a log holds otherwise.
    for _ in 0..100 {
        cluster.set("again");
    }
    let arriving = cluster.slow.take().unwrap();
    for (from, to, message) in arriving {
        cluster.arrive(from, to, message);
    }
    cluster.pass(500);
    assert_eq!(cluster.snapshots, 1);
    let applied = |node| cluster.servers[&node].machine().applied();
    assert_eq!(applied(3), applied(1));
    // And then no longer.
    for _ in 0..10 {
        cluster.set("again");
    }
    assert!(log_bytes(&cluster, 1) <= 1500);
    assert_eq!(cluster.snapshots, 1);
}

#[test]
fn the_log_is_kept_no_longer_for_a_peer_that_did_not_get_its_snapshot() {
    let mut cluster = third_needs_a_snapshot();
    cluster.cut_off.insert(3);
    let (to, delivered) = (3, false);
    cluster.step(1, Event::SnapshotSent { to, delivered });
    for _ in 0..20 {
        cluster.set("again");
    }
    assert!(log_bytes(&cluster, 1) <= 1500);
}

#[test]
fn a_log_that_is_kept_for_a_peer_has_a_bound() {
    let mut cluster = third_needs_a_snapshot();
    let mut most = 0;
    for _ in 0..500 {
        cluster.set("again");
        most = most.max(log_bytes(&cluster, 1));
    }
    assert!(most > PIN_BYTES / 2 && most <= PIN_BYTES + 1500, "{most}");
    assert!(log_bytes(&cluster, 1) <= 1500);
}

#[test]
fn a_number_that_belongs_to_other_data_is_declined_also_if_its_server_was_never_heard_of() {
    let mut cluster = founded_by(3);
    let other = Member {
        incarnation: 77,
        ..member(2)
    };
    let declined = Answer::Declined(Declined::OtherData(2));
    assert_eq!(cluster.order(Order::Add(2, other)), declined);
    let mut cluster = Cluster::of(3, [1, 2].into_iter(), settings);
    let declined = Answer::Declined(Declined::OtherData(3));
    assert_eq!(cluster.order(Order::Add(3, member(3))), declined);
}

#[test]
fn a_server_that_is_removed_stops_and_its_number_is_never_taken_again() {
    let mut cluster = founded_by(3);
    let leader = cluster.leader();
    let removed = cluster.order(Order::Remove(leader));
    assert!(matches!(removed, Answer::Done(_)), "{removed:?}");
    assert_eq!(cluster.stopped.get(&leader), Some(&Stop::Removed));
    cluster.servers.remove(&leader);
    cluster.pass(1000);
    cluster.set("after");
    let again = cluster.order(Order::Add(leader, member(leader)));
    assert_eq!(again, Answer::Declined(Declined::WasRemoved(leader)));
}

#[test]
fn a_learner_that_is_removed_is_told_though_it_receives_nothing_any_more() {
    let mut cluster = founded_by(1);
    cluster.order(Order::Add(2, member(2)));
    start(&mut cluster, 2);
    cluster.pass(1000);
    let removed = cluster.order(Order::Remove(2));
    assert!(matches!(removed, Answer::Done(_)), "{removed:?}");
    assert_eq!(cluster.stopped.get(&2), Some(&Stop::Removed));
}

#[test]
fn leadership_goes_to_who_is_asked_for_or_else_to_one_that_can_be_reached() {
    let mut cluster = founded_by(3);
    let first = cluster.leader();
    let to = first % 3 + 1;
    let other = to % 3 + 1;
    let done = cluster.order(Order::Transfer(Some(to)));
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    assert_eq!(cluster.leader(), to);
    cluster.cut_off.insert(first);
    cluster.pass(500);
    let done = cluster.order(Order::Transfer(None));
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    assert_eq!(cluster.leader(), other);
    let not_taken = Answer::Declined(Declined::NotTaken(first));
    assert_eq!(cluster.order(Order::Transfer(Some(first))), not_taken);
}

#[test]
fn a_leader_that_stops_has_a_successor_before_an_election_timeout_is_over() {
    let mut cluster = founded_by(3);
    let leader = cluster.leader();
    cluster.step(leader, Event::Stop);
    cluster.pass(50);
    assert_eq!(cluster.stopped.get(&leader), Some(&Stop::Asked));
    assert_ne!(cluster.leader(), leader);
    cluster.servers.remove(&leader);
    cluster.set("after");
}

#[test]
fn a_backup_is_the_state_of_a_new_cluster_with_one_founder() {
    let mut cluster = founded_by(3);
    // So that the founder has a session in the backup, with starts and numbers that it will use again.
    let done = cluster.order(Order::Transfer(Some(1)));
    assert!(matches!(done, Answer::Done(_)), "{done:?}");
    cluster.set("kept");
    let backup = cluster.servers[&1].machine().export().unwrap();
    let engine = Arc::new(MemoryEngine::new());
    let mut restore = Restore::new(&*engine);
    for chunk in backup.chunks(100) {
        restore.take(&chunk.unwrap()).unwrap();
    }
    let base = restore.finish(1).unwrap();
    let log = Recovered {
        compacted: base.last,
        configuration: base.configuration,
        ..Recovered::default()
    };
    cluster.servers.clear();
    let (replica, anew) = Replica::open(
        Settings::new(1),
        Arc::clone(&engine) as _,
        log,
        1,
        cluster.now,
        1,
    )
    .unwrap();
    assert_eq!(anew, None);
    assert_eq!(replica.machine().registry().members().count(), 0);
    cluster.servers.insert(1, replica);
    cluster.pass(1000);
    cluster.set("new");
    let pairs = engine.scan_keys(&storage::KeyRange::all(), storage::Direction::Forward);
    let keys: Vec<_> = pairs.map(Result::unwrap).collect();
    for key in ["rkept", "rnew"] {
        assert!(keys.iter().any(|found| found == key), "{key}");
    }
}
