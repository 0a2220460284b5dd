//! Seeds of the full simulation. `cargo xtask sim` runs as many as wanted, shrinks what fails and writes its trace.

use std::thread;

use raft_sim::{Options, run};

/// Events of each run before its faults stop.
const EVENTS: u64 = 10_000;

/// The violation of a run, if there was one, and how to see it again.
fn violation(seed: u64) -> Option<String> {
    let options = Options::new(seed, EVENTS);
    let violation = run(&options).violation?;
    Some(format!("{violation}: {options}"))
}

/// `KEYPROOF_SIM_SEEDS` of them, 200 if nothing else is said.
#[test]
fn seeds_hold_every_invariant() {
    let seeds = match std::env::var("KEYPROOF_SIM_SEEDS") {
        Ok(text) => text.parse().expect("KEYPROOF_SIM_SEEDS is a number"),
        Err(_) => 200,
    };
    assert!(seeds > 0, "KEYPROOF_SIM_SEEDS is 0: nothing would be run");
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    for first in (0..seeds).step_by(usize::try_from(cores).unwrap()) {
        let failed = thread::scope(|scope| {
            let runs = (first..seeds.min(first + cores))
                .map(|seed| scope.spawn(move || violation(seed)))
                .collect::<Vec<_>>();
            let mut ended = (first..)
                .zip(runs)
                .map(|(seed, run)| (seed, run.join().unwrap()));
            ended.find_map(|(seed, violation)| Some((seed, violation?)))
        });
        if let Some((seed, violation)) = failed {
            panic!("after {} seeds: {violation}", seed + 1);
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_again_and_another_seed_another() {
    let hash = |seed| run(&Options::new(seed, 3000)).hash;
    let first: Vec<_> = (100..104).map(hash).collect();
    let again: Vec<_> = (100..104).map(hash).collect();
    assert_eq!(first, again);
    let different: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(different.len(), first.len());
}
