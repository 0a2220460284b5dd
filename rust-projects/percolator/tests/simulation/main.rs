//! Clients that crash between any two steps, over a network that loses, delays and repeats messages, with leaders and oracles that change:
//! what they saw is snapshot isolation, and nothing stays locked.
//!
//! `KEYPROOF_TXN_SEEDS=10000 cargo test -p percolator --test simulation` runs more seeds; `KEYPROOF_TXN_SEED=7` runs one.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod checker;
mod random;
mod workload;
mod world;

use percolator::Columns;
use storage::{Direction, KeyRange};

use checker::Committed;
use world::{Counters, Faults, World};

const CLIENTS: usize = 4;
const TRANSACTIONS: u32 = 12;

const FAULTS: Faults = Faults {
    crash: 8,
    request_lost: 20,
    reply_lost: 20,
    duplicate: 30,
    delay: 100,
    cut_off: 15,
    leader_change: 10,
    oracle_failover: 3,
    long_wait: 50,
};

const NO_FAULTS: Faults = Faults {
    crash: 0,
    request_lost: 0,
    reply_lost: 0,
    duplicate: 0,
    delay: 0,
    cut_off: 0,
    leader_change: 0,
    oracle_failover: 0,
    long_wait: 0,
};

/// One run; gives what happened in it, or what did not hold.
fn run(seed: u64, faults: Faults) -> Result<Counters, String> {
    let mut world = World::new(seed, CLIENTS, NO_FAULTS);
    alone(&world, workload::set_up);
    world.begin_anew(faults);
    let history = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let world = &world;
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    world.play(client, || {
                        seen = workload::client(world, client, TRANSACTIONS);
                    });
                    seen
                })
            })
            .collect();
        world.run();
        let histories = clients.into_iter().map(|client| client.join().unwrap());
        histories.flatten().collect::<Vec<_>>()
    });
    world.begin_anew(NO_FAULTS);
    let left = locks(&world);
    alone(&world, workload::sweep);
    if locks(&world) > 0 {
        return Err("locks stay though everybody is gone".to_owned());
    }
    let mut state = world.state();
    if left > 0 {
        state.counters.count("runs that left locks");
    }
    checker::check(&history, &Committed::of(&state.engine))?;
    Ok(state.counters.clone())
}

/// Lets one program run to its end, with nobody else about.
fn alone(world: &World, program: fn(&World)) {
    std::thread::scope(|scope| {
        let one = scope.spawn(|| world.play(0, || program(world)));
        let others: Vec<_> = (1..CLIENTS)
            .map(|client| scope.spawn(move || world.play(client, || {})))
            .collect();
        world.run();
        one.join().unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

fn locks(world: &World) -> usize {
    let state = world.state();
    let columns = Columns::new(&state.engine);
    columns.locks(&KeyRange::all(), Direction::Forward).count()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap())
}

#[test]
fn what_clients_see_is_snapshot_isolation_whatever_is_lost_and_whoever_dies() {
    let seeds = match number("KEYPROOF_TXN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KEYPROOF_TXN_SEEDS").unwrap_or(60),
    };
    let mut counters = Counters::default();
    let all = seeds.end - seeds.start > 1;
    for seed in seeds {
        match run(seed, FAULTS) {
            Ok(of_run) => counters.add(&of_run),
            Err(violation) => panic!("KEYPROOF_TXN_SEED={seed}: {violation}"),
        }
    }
    println!("{:#?}", counters.0);
    for what in [
        "committed in two phases",
        "committed by prewrites",
        "committed in one phase",
        "aborted",
        "locked before they commit",
        "appends to lists",
        "undetermined",
        "clients that died with a transaction under way",
        "crashes",
        "clients cut off",
        "requests lost",
        "replies lost",
        "requests duplicated",
        "leader changes",
        "oracle failovers",
        "waits for latches",
        "decisions thrown away",
        "clients that stood still",
        "runs that left locks",
    ] {
        assert!(
            !all || counters.0.contains_key(what),
            "never happened: {what}"
        );
    }
}

#[test]
fn without_faults_most_transactions_commit_and_none_is_undetermined() {
    let mut counters = Counters::default();
    for seed in 0..10 {
        counters.add(&run(seed, NO_FAULTS).unwrap());
    }
    let count = |what: &str| counters.0.get(what).copied().unwrap_or(0);
    assert_eq!(count("undetermined"), 0);
    let committed = ["in two phases", "by prewrites", "in one phase"]
        .map(|how| count(&format!("committed {how}")));
    assert!(
        committed.iter().sum::<u64>() > count("aborted"),
        "{counters:?}"
    );
}

#[test]
fn a_seed_says_all_that_happens() {
    let once = run(3, FAULTS).unwrap();
    assert_eq!(once.0, run(3, FAULTS).unwrap().0);
}
