//! Lab 3A: a key-value service on the log, in which each request takes effect once. `cargo test -p raft-sim --test lab_3a`
//!
//! Clients that share keys are judged by a search for an order that explains what all of them saw; clients with a key of their own by what
//! the key must hold. See `raft_sim::lab::Service`.

use raft_sim::lab::{AGREEMENT, ELECTION, Plan, Service, expect, impatient, on_seeds};
use raft_sim::{Sometimes, Stepped, request};
use replica::Answer;
use wire::Reply;

/// So many clients of each kind, five servers, and what the plan has in store; the plan's faults must have happened.
fn play(seed: u64, clients: u64, plan: Plan) -> Stepped {
    let mut service = Service::new(5, clients, seed, impatient())?;
    service.lab.leader()?;
    service.play(plan, 3)?;
    let served = service.served();
    let lab = service.end()?;
    let happened = |what| lab.cluster.counters.count(what) > 0;
    expect(served >= 5 * clients, || {
        format!("only {served} requests were served")
    })?;
    let faults = [
        (plan.unreliable, Sometimes::MessageLost),
        (plan.partitions, Sometimes::MessageBlocked),
        (plan.crashes, Sometimes::PowerLost),
    ];
    for (wanted, fault) in faults {
        expect(!wanted || happened(fault), || {
            format!("never happened: {}", fault.text())
        })?;
    }
    Ok(())
}

const UNRELIABLE: Plan = Plan {
    unreliable: true,
    ..Plan::QUIET
};
const PARTITIONS: Plan = Plan {
    partitions: true,
    ..Plan::QUIET
};
const CRASHES: Plan = Plan {
    crashes: true,
    ..Plan::QUIET
};

#[test]
fn one_client_is_served() {
    on_seeds(|seed| play(seed, 1, Plan::QUIET));
}

#[test]
fn many_clients_are_served() {
    on_seeds(|seed| play(seed, 5, Plan::QUIET));
}

#[test]
fn many_clients_are_served_over_an_unreliable_network() {
    on_seeds(|seed| play(seed, 5, UNRELIABLE));
}

#[test]
fn a_majority_serves_while_a_minority_waits() {
    on_seeds(|seed| {
        let service = Service::new(5, 1, seed, impatient())?;
        let mut lab = service.lab;
        let leader = lab.leader()?;
        let friend = lab.other_than(&[leader]).unwrap_or(1);
        let many: Vec<_> = lab
            .on()
            .into_iter()
            .filter(|id| ![leader, friend].contains(id))
            .collect();
        lab.cluster.partition(&[&[leader, friend], &many]);
        let set = |value: &str| request(&["SET", "key", value]);
        let lost = lab.cluster.write(leader, set("minority"))?;
        let answer = lab.cluster.wait(lost, ELECTION)?;
        expect(!matches!(answer, Some(Answer::Replies(_))), || {
            format!("the minority answers {answer:?}")
        })?;
        let kept = lab.cluster.write(many[0], set("majority"))?;
        let answer = lab.cluster.wait(kept, AGREEMENT)?;
        expect(matches!(answer, Some(Answer::Replies(_))), || {
            format!("the majority answers {answer:?}")
        })?;
        let read = lab.cluster.read(leader, request(&["GET", "key"]))?;
        let answer = lab.cluster.wait(read, AGREEMENT)?;
        expect(!matches!(answer, Some(Answer::Replies(_))), || {
            format!("a leader without a majority reads {answer:?}")
        })?;
        lab.cluster.network.unblock_all();
        let reader = lab.leader()?;
        let read = lab.cluster.read(reader, request(&["GET", "key"]))?;
        let answer = lab.cluster.wait(read, AGREEMENT)?;
        let is_majority = answer == Some(Answer::Replies(vec![Reply::Bulk("majority".into())]));
        expect(is_majority, || format!("after the partition: {answer:?}"))?;
        lab.end().map(drop)
    });
}

#[test]
fn one_client_is_served_through_partitions() {
    on_seeds(|seed| play(seed, 1, PARTITIONS));
}

#[test]
fn many_clients_are_served_through_partitions() {
    on_seeds(|seed| play(seed, 5, PARTITIONS));
}

#[test]
fn one_client_is_served_through_power_cuts() {
    on_seeds(|seed| play(seed, 1, CRASHES));
}

#[test]
fn many_clients_are_served_through_power_cuts() {
    on_seeds(|seed| play(seed, 5, CRASHES));
}

#[test]
fn many_clients_are_served_through_power_cuts_over_an_unreliable_network() {
    on_seeds(|seed| {
        play(
            seed,
            5,
            Plan {
                unreliable: true,
                ..CRASHES
            },
        )
    });
}

#[test]
fn many_clients_are_served_through_power_cuts_and_partitions() {
    on_seeds(|seed| {
        play(
            seed,
            5,
            Plan {
                partitions: true,
                ..CRASHES
            },
        )
    });
}

#[test]
fn many_clients_are_served_through_everything_at_once() {
    on_seeds(|seed| play(seed, 5, Plan::EVERYTHING));
}
