//! Every scenario under `tests/scenarios` gives the replies written in it.
//!
//! `BLESS=1 cargo test -p commands --test scenarios` writes the replies anew; review the difference.

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
fn every_scenario_gets_the_replies_written_in_it() {
    let files = scenarios();
    assert!(!files.is_empty());
    let blesses = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let mut wrong = String::new();
    for file in files {
        let written = std::fs::read_to_string(&file).unwrap();
        let played = support::script::play(&written);
        if blesses {
            std::fs::write(&file, &played).unwrap();
        } else if let Some(difference) = first_difference(&written, &played) {
            wrong += &format!("{}:{difference}\n", file.display());
        }
    }
    assert!(wrong.is_empty(), "replies changed:\n{wrong}");
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

#[test]
fn every_command_occurs_in_a_scenario() {
    let all: String = scenarios()
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap().to_ascii_uppercase())
        .collect();
    let table = support::script::play("> COMMAND LIST\n");
    let names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"'))
        .collect();
    assert!(names.len() > 50);
    for name in names {
        let name = name.trim_end_matches('"').to_ascii_uppercase();
        let occurs = all.lines().any(|line| {
            let request = line.split_once("> ").map_or("", |(_, request)| request);
            request.split(' ').next() == Some(&name)
        });
        assert!(occurs, "no scenario sends {name}");
    }
}
