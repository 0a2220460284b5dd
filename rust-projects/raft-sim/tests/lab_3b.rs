//! Lab 3B: the service with snapshots. `cargo test -p raft-sim --test lab_3b`

use raft_sim::lab::{AGREEMENT, Plan, Service, compacting, expect, impatient, on_seeds};
use raft_sim::{Sometimes, Stepped, request};
use replica::Answer;
use wire::Reply;

/// What the course calls `maxraftstate`: a log of so many bytes is compacted.
const MAX_RAFT_STATE: usize = 1000;

/// What the log may come to, in these: what is proposed before the state machine was synced, and what is on its way.
const SMALL_MULTIPLE: usize = 8;

fn play(seed: u64, clients: u64, plan: Plan) -> Stepped {
    let mut service = Service::new(5, clients, seed, compacting(impatient(), MAX_RAFT_STATE))?;
    service.lab.leader()?;
    service.play(plan, 3)?;
    let lab = service.end()?;
    for id in lab.cluster.ids() {
        let bytes = lab.cluster.log_bytes(id);
        expect(bytes <= SMALL_MULTIPLE * MAX_RAFT_STATE, || {
            format!("server {id} keeps {bytes} bytes of its log")
        })?;
    }
    let compacted = lab.cluster.counters.count(Sometimes::LogCompacted);
    expect(compacted >= 5, || {
        format!("logs were compacted {compacted} times")
    })
}

#[test]
fn a_follower_that_was_away_gets_a_snapshot_and_serves_from_it() {
    on_seeds(|seed| {
        let service = Service::new(3, 1, seed, compacting(impatient(), MAX_RAFT_STATE))?;
        let mut lab = service.lab;
        let leader = lab.leader()?;
        let away = lab.other_than(&[leader]).unwrap_or(1);
        let set =
            |number: u64| request(&["SET", &format!("key{number}"), &format!("value{number}")]);
        lab.disconnect(away);
        for number in 0..60 {
            let write = lab.cluster.write(leader, set(number))?;
            let answer = lab.cluster.wait(write, AGREEMENT)?;
            expect(matches!(answer, Some(Answer::Replies(_))), || {
                format!("{answer:?}")
            })?;
        }
        lab.pass(500)?;
        let bytes = lab.cluster.log_bytes(leader);
        expect(bytes <= SMALL_MULTIPLE * MAX_RAFT_STATE, || {
            format!("the leader keeps {bytes} bytes")
        })?;
        lab.connect(away);
        let other = lab.other_than(&[leader, away]).unwrap_or(1);
        lab.disconnect(other);
        // A majority only with the server that was away.
        lab.agree(2)?;
        let installed = lab.cluster.counters.count(Sometimes::SnapshotInstalled);
        expect(installed >= 1, || "no snapshot was installed".to_owned())?;
        let read = lab.cluster.read(away, request(&["GET", "key7"]))?;
        let answer = lab.cluster.wait(read, AGREEMENT)?;
        let is_there = answer == Some(Answer::Replies(vec![Reply::Bulk("value7".into())]));
        expect(is_there, || format!("read from the snapshot: {answer:?}"))?;
        lab.end().map(drop)
    });
}

#[test]
fn logs_stay_small_while_many_clients_are_served() {
    on_seeds(|seed| play(seed, 5, Plan::QUIET));
}

#[test]
fn one_client_is_served_from_snapshots_after_power_cuts() {
    on_seeds(|seed| {
        play(
            seed,
            1,
            Plan {
                crashes: true,
                ..Plan::QUIET
            },
        )
    });
}

#[test]
fn many_clients_are_served_from_snapshots_after_power_cuts() {
    on_seeds(|seed| {
        play(
            seed,
            5,
            Plan {
                crashes: true,
                ..Plan::QUIET
            },
        )
    });
}

#[test]
fn logs_stay_small_over_an_unreliable_network() {
    on_seeds(|seed| {
        play(
            seed,
            5,
            Plan {
                unreliable: true,
                ..Plan::QUIET
            },
        )
    });
}

#[test]
fn many_clients_are_served_from_snapshots_through_power_cuts_over_an_unreliable_network() {
    on_seeds(|seed| {
        play(
            seed,
            5,
            Plan {
                unreliable: true,
                crashes: true,
                ..Plan::QUIET
            },
        )
    });
}

#[test]
fn many_clients_are_served_from_snapshots_through_everything_at_once() {
    on_seeds(|seed| play(seed, 5, Plan::EVERYTHING));
}
