//! Every scenario under `tests/scenarios` goes as it is written there; `tests/support/script.rs` has the commands.
//!
//! `BLESS=1 cargo test -p raft --test scenarios` writes the outcomes anew; review the difference.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

mod support;

use std::path::{Path, PathBuf};

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_scenario_goes_as_it_is_written() {
    let files = scenarios();
    assert!(!files.is_empty());
    let blesses = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let mut wrong = String::new();
    for file in files {
        let written = std::fs::read_to_string(&file).unwrap();
        let played = support::script::play(&written);
        if played.contains(support::script::MISTAKE) {
            wrong += &format!("{}: a command with `???` did nothing\n", file.display());
        }
        if blesses {
            std::fs::write(&file, &played).unwrap();
        } else if let Some(difference) = first_difference(&written, &played) {
            wrong += &format!("{}:{difference}\n", file.display());
        }
    }
    assert!(wrong.is_empty(), "outcomes changed:\n{wrong}");
}

fn first_difference(written: &str, played: &str) -> Option<String> {
    if written == played {
        return None;
    }
    let (mut written, mut played) = (written.lines(), played.lines());
    let mut number = 0;
    loop {
        number += 1;
        let (left, right) = (written.next(), played.next());
        if left != right || left.is_none() {
            let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
            return Some(format!("{number}: written {left:?}, got {right:?}"));
        }
    }
}
