//! Changes that were decided outside are applied under the leader and for the epoch that they were decided under, or not at all.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use raft::{NodeId, Refused};
use replica::{Answer, Changes, Client, Event, Lead, Region};
use storage::Batch;
use support::Cluster;

const FIRST: Client = 1001;
const SECOND: Client = 1002;

fn lead(cluster: &mut Cluster) -> Lead {
    match cluster.ask(Event::Lead) {
        Answer::Leads(lead) => lead,
        other => panic!("{other:?}"),
    }
}

fn changes(cluster: &Cluster, lead: &Lead, key: &'static str) -> Changes {
    let mut batch = Batch::new();
    batch.put(key, "v");
    Changes {
        term: lead.term,
        epoch: cluster.servers[&cluster.leader()].machine().region().epoch,
        batch,
    }
}

fn holds(cluster: &Cluster, node: NodeId, key: &str) -> bool {
    let engine = cluster.servers[&node].machine().engine();
    engine.latest().get(key.as_bytes()).unwrap().is_some()
}

#[test]
fn changes_of_the_leader_are_applied_everywhere() {
    let mut cluster = Cluster::new(|_| {});
    let lead = lead(&mut cluster);
    let changes = changes(&cluster, &lead, "wa");
    let answer = cluster.ask(|client| Event::Decided(vec![(client, changes)]));
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
    for node in 1..=3 {
        assert!(holds(&cluster, node, "wa"), "on {node}");
    }
}

/// Bug class P9.
#[test]
fn a_decision_is_not_applied_under_another_leader_nor_in_another_term_of_the_same() {
    let mut cluster = Cluster::new(|_| {});
    let old = cluster.leader();
    let decided = lead(&mut cluster);
    let changes = changes(&cluster, &decided, "wa");
    cluster.cut_off.insert(old);
    cluster.pass(3000);
    let new = cluster.leader();
    cluster.cut_off.clear();
    cluster.pass(3000);
    for node in [new, old] {
        cluster.step(node, Event::Decided(vec![(FIRST, changes.clone())]));
        let answer = cluster.answer(FIRST).expect("it is refused at once");
        assert!(
            matches!(answer, Answer::Refused(Refused::NotLeader(_))),
            "{answer:?}"
        );
    }
    // The same server leads again, later.
    cluster.cut_off.insert(new);
    cluster.pass(3000);
    let third = cluster.leader();
    cluster.step(third, Event::Decided(vec![(FIRST, changes)]));
    assert!(matches!(cluster.answer(FIRST), Some(Answer::Refused(_))));
    cluster.pass(1000);
    assert!((1..=3).all(|node| !holds(&cluster, node, "wa")));
}

#[test]
fn whoever_waits_when_leadership_ends_is_told_that_nobody_knows() {
    let mut cluster = Cluster::new(|_| {});
    let old = cluster.leader();
    let lead = lead(&mut cluster);
    let changes = changes(&cluster, &lead, "wa");
    cluster.cut_off.insert(old);
    cluster.step(old, Event::Decided(vec![(FIRST, changes)]));
    assert_eq!(cluster.answer(FIRST), None);
    cluster.pass(3000);
    assert_eq!(cluster.answer(FIRST), Some(Answer::Unknown));
    cluster.cut_off.clear();
    cluster.pass(3000);
    assert!((1..=3).all(|node| !holds(&cluster, node, "wa")));
}

#[test]
fn changes_for_a_region_that_changed_before_them_are_not_applied() {
    let mut cluster = Cluster::new(|_| {});
    let node = cluster.leader();
    let lead = lead(&mut cluster);
    let mut narrower = changes(&cluster, &lead, "wa");
    let late = changes(&cluster, &lead, "wb");
    let mut region: Region = (**cluster.servers[&node].machine().region()).clone();
    region.end = "m".into();
    region.epoch.version += 1;
    region.put(&mut narrower.batch);
    cluster.step(
        node,
        Event::Decided(vec![(FIRST, narrower), (SECOND, late)]),
    );
    cluster.pass(100);
    assert!(matches!(cluster.answer(FIRST), Some(Answer::Done(_))));
    assert_eq!(cluster.answer(SECOND), Some(Answer::Stale));
    for node in 1..=3 {
        assert!(holds(&cluster, node, "wa") && !holds(&cluster, node, "wb"));
        assert_eq!(**cluster.servers[&node].machine().region(), region);
    }
    assert!(region.contains(b"l") && !region.contains(b"m"));
}

#[test]
fn only_a_leader_that_a_majority_follows_says_that_it_leads() {
    let mut cluster = Cluster::new(|_| {});
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.step(follower, Event::Lead(FIRST));
    assert_eq!(
        cluster.answer(FIRST),
        Some(Answer::Refused(Refused::NotLeader(Some(leader))))
    );
    cluster.cut_off.insert(leader);
    cluster.step(leader, Event::Lead(SECOND));
    assert_eq!(cluster.answer(SECOND), None, "it must ask the others");
    cluster.pass(3000);
    assert!(matches!(cluster.answer(SECOND), Some(Answer::Refused(_))));
}

#[test]
fn who_leads_has_applied_what_the_leaders_before_committed() {
    let mut cluster = Cluster::new(|_| {});
    let old = cluster.leader();
    let decided = lead(&mut cluster);
    let changes = changes(&cluster, &decided, "wa");
    let answer = cluster.ask(|client| Event::Decided(vec![(client, changes)]));
    assert!(matches!(answer, Answer::Done(_)));
    cluster.cut_off.insert(old);
    cluster.pass(3000);
    let lead = lead(&mut cluster);
    assert!(lead.term > decided.term);
    assert!(lead.engine.latest().get(b"wa").unwrap().is_some());
}
