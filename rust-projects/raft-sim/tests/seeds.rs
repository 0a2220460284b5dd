//! Some seeds of the full simulation. `cargo xtask sim` runs as many as wanted.

use raft_sim::{Options, run};

#[test]
fn some_seeds_hold_every_invariant() {
    let failed = (0..30).filter_map(|seed| {
        let options = Options::new(seed, 3000);
        let violation = run(&options).violation?;
        Some(format!("{violation}: {options}"))
    });
    assert_eq!(failed.collect::<Vec<_>>(), Vec::<String>::new());
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
