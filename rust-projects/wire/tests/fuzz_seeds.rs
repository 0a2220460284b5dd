//! Replays the fuzzers' checked-in seeds through the same checks, so that they run without a fuzzer.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

fn replay(name: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut replayed = 0;
    for entry in fs::read_dir(folder).expect("the folder of seeds") {
        let path = entry.expect("an entry of the folder").path();
        let seed = fs::read(&path).expect("a readable seed");
        println!("replaying {}", path.display());
        // Every way of cutting and both sizes of limits, and every beginning of the seed.
        for control in 0..32 {
            let mut input = seed.clone();
            input[0] = control;
            check(&input);
        }
        for len in 0..seed.len() {
            check(&seed[..len]);
        }
        replayed += 1;
    }
    assert!(replayed >= 10, "only {replayed} seeds of {name} were found");
}

#[test]
fn every_request_seed_passes_the_fuzzers_checks() {
    replay("request", checks::request);
}

#[test]
fn every_reply_seed_passes_the_fuzzers_checks() {
    replay("reply", checks::reply);
}
