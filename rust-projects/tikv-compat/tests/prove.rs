//! An application over engine `tikv`, from a shell.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use storage::{Direction, KeyRange, Reader};
use support::Cluster;

fn run(at: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compat-prove"))
        .args(arguments)
        .current_dir(at)
        .env("XDG_CACHE_HOME", at.join("cache"))
        .env_remove("ZK_PROVE_DIR")
        .env_remove("ZK_PROVE_STORE")
        .output()
        .unwrap()
}

fn done(at: &Path, arguments: &[&str]) -> String {
    let output = run(at, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(at: &Path, arguments: &[&str]) -> String {
    let output = run(at, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    errors
}

#[test]
fn a_mixer_moves_to_a_cluster_by_an_address_and_takes_no_secret_along() {
    let mut cluster = Cluster::start(1);
    let tree = cluster.engine("shared/mixer");
    let store = cluster.address("shared").to_string();
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    done(at, &["mixer", "deposit", "--note", "first"]);
    let second = ["mixer", "deposit", "--note", "second", "--store", &store];
    done(at, &second);
    let leaves = tree.get(b"mixer/deposits/leaves").unwrap().unwrap();
    assert_eq!(leaves[..], 2_u64.to_be_bytes(), "the first was copied");
    let to = "0x00000000000000000000000000000000000000b0";
    let withdraw = ["mixer", "withdraw", "--note", "first", "--to", to, "--json"];
    // The address is remembered.
    let withdrawn: serde_json::Value = serde_json::from_str(&done(at, &withdraw)).unwrap();
    assert_eq!(withdrawn["deposits"], 2);
    assert!(fails(at, &withdraw).contains("withdrawn already"));

    let secret = std::fs::read_to_string(at.join("second")).unwrap();
    let digits = secret.trim().rsplit('-').next().unwrap();
    for pair in tree.scan(&KeyRange::all(), Direction::Forward) {
        let (key, value) = pair.unwrap();
        assert!(!key.starts_with(b"mixer/note") && value.len() <= 40);
        let bytes: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            bytes.len() < 64 || !digits.contains(&bytes),
            "a part of a note"
        );
    }

    let other = tempfile::tempdir().unwrap();
    let third = ["mixer", "deposit", "--note", "third", "--store", &store];
    let refused = fails(other.path(), &third);
    assert!(refused.contains("has data of its own"), "{refused}");

    cluster.kill(1);
    let refused = fails(at, &["mixer", "deposit", "--note", "fourth"]);
    let expected = refused.contains(&format!("{store}/mixer")) && refused.contains("kvs-node dev");
    assert!(expected, "{refused}");
}
