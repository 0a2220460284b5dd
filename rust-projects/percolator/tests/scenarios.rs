//! Every scenario under `tests/scenarios` goes as it is written there; `tests/support/script.rs` has the commands.
//!
//! `BLESS=1 cargo test -p percolator --test scenarios` writes the outcomes anew; review the difference.

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
        if blesses {
            std::fs::write(&file, &played).unwrap();
        } else if written != played {
            let mut lines = written.lines().zip(played.lines()).enumerate();
            let (number, (left, right)) =
                lines.find(|(_, (left, right))| left != right).unwrap_or((
                    written.lines().count().min(played.lines().count()),
                    ("", ""),
                ));
            let number = number + 1;
            wrong += &format!(
                "{}:{number}: written {left:?}, got {right:?}\n",
                file.display()
            );
        }
    }
    assert!(wrong.is_empty(), "outcomes changed:\n{wrong}");
}
