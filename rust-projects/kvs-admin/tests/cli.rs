//! The program as its users run it.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use commands::keyspace;
use serde_json::Value;
use storage::kvs::{LogEngine, Options};
use storage::{Batch, Engine, Reader};
use tempfile::TempDir;

use support::{assert_code, run, stderr, stdout};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn options() -> Options {
    Options {
        background: false,
        ..Options::small()
    }
}

struct Data {
    _root: TempDir,
    root: PathBuf,
    dir: String,
}

impl Data {
    fn path(&self, name: &str) -> String {
        self.root
            .join(name)
            .to_str()
            .expect("temporary paths are UTF-8")
            .to_owned()
    }

    fn segment(&self) -> PathBuf {
        Path::new(&self.dir).join("0000000001.segment")
    }

    fn flip_bit(&self, offset: usize) {
        let mut bytes = fs::read(self.segment()).unwrap();
        bytes[offset] ^= 1;
        fs::write(self.segment(), bytes).unwrap();
    }

    /// Names and contents, the lock file aside.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("LOCK"))
            .map(|path| (path.clone(), fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

/// A closed directory with three strings, one of them binary, and one that expired long ago.
fn data() -> Data {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_owned();
    let dir = path.join("data");
    let engine = LogEngine::open(&dir, options()).unwrap();
    for (key, value, expires) in [
        (&b"greeting"[..], &b"hello"[..], None),
        (b"later", b"soon gone", Some(u64::MAX)),
        (b"\xff", b"\xfe\xfd", None),
        (b"past", b"gone", Some(1)),
    ] {
        let mut batch = Batch::new();
        keyspace::set(&mut batch, key, value, expires);
        engine.write(&batch).unwrap();
    }
    engine.close().unwrap();
    let dir = dir.to_str().expect("temporary paths are UTF-8").to_owned();
    Data {
        _root: root,
        root: path,
        dir,
    }
}

#[test]
fn a_sound_directory_verifies_and_a_repair_leaves_it_alone() {
    let data = data();
    let before = data.files();
    let output = run(&["verify", &data.dir]);
    assert_code(&output, 0);
    assert!(stdout(&output).ends_with("sound\n"), "{output:?}");
    assert_eq!(stderr(&output), "");
    let report = json(&run(&["verify", "--json", &data.dir]));
    assert_eq!(report["sound"], true);
    assert_eq!(report["segments"][0]["kind"], "log");
    assert_eq!(report["segments"][0]["hint"], "used");
    assert_eq!(report["segments"][0]["records"], 6);
    let output = run(&["repair", &data.dir]);
    assert_code(&output, 0);
    assert!(stdout(&output).contains("nothing to do"));
    assert_eq!(data.files(), before);
}

#[test]
fn damage_is_found_then_planned_then_repaired() {
    let data = data();
    data.flip_bit(70);
    let before = data.files();
    let output = run(&["verify", &data.dir]);
    assert_code(&output, 1);
    assert!(
        stdout(&output).contains("damage  0000000001.segment at 32"),
        "{output:?}"
    );
    assert!(stdout(&output).contains("kvs-admin repair --dry-run"));
    let output = run(&["repair", "--dry-run", "--json", &data.dir]);
    assert_code(&output, 1);
    let plan = json(&output);
    assert_eq!(plan["dropped"][0]["offset"], 32);
    assert_eq!(data.files(), before);
    let output = run(&["repair", "--json", &data.dir]);
    assert_code(&output, 0);
    let done = json(&output);
    assert_eq!(done["actions"], plan["actions"]);
    assert_eq!(done["actions"][1]["records"], 5);
    assert_code(&run(&["verify", &data.dir]), 0);
    let engine = LogEngine::open(Path::new(&data.dir), options()).unwrap();
    assert!(
        keyspace::get(&engine, b"greeting", 0).unwrap().is_none(),
        "its batch was hit"
    );
    assert_eq!(
        keyspace::get(&engine, b"later", 0)
            .unwrap()
            .unwrap()
            .payload,
        "soon gone"
    );
}

#[test]
fn a_dump_has_the_strings_that_a_server_would_show() {
    let data = data();
    let output = run(&["dump", &data.dir]);
    assert_code(&output, 0);
    let lines = stdout(&output);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"key":"greeting","value":"hello"}"#,
            r#"{"key":"later","value":"soon gone","expires_at_ms":18446744073709551615}"#,
            r#"{"key_base64":"/w==","value_base64":"/v0="}"#,
        ]
    );
}

#[test]
fn a_raw_dump_has_every_pair_of_the_engine_in_base64() {
    let data = data();
    let engine = LogEngine::open(Path::new(&data.dir), options()).unwrap();
    engine.write(Batch::new().put("zzz", "no string")).unwrap();
    engine.close().unwrap();
    let output = run(&["dump", "--raw", &data.dir]);
    assert_code(&output, 0);
    assert_eq!(stdout(&output).lines().count(), 7);
    assert!(stdout(&output).contains(r#"{"key_base64":"enp6","value_base64":"bm8gc3RyaW5n"}"#));
    let output = run(&["dump", &data.dir]);
    assert_code(&output, 1);
    assert_eq!(stdout(&output).lines().count(), 3);
    assert!(
        stderr(&output).contains("1 keys are no RESP strings"),
        "{output:?}"
    );
}

#[test]
fn stats_count_keys_and_bytes() {
    let data = data();
    let before = data.files();
    let output = run(&["stats", "--json", &data.dir]);
    assert_code(&output, 0);
    let figures = json(&output);
    assert_eq!(figures["keys"], 6);
    assert_eq!(figures["segments"], 1);
    assert_eq!(figures["segments_opened_by_hint"], 1);
    assert!(figures["disk_bytes"].as_u64() > figures["live_bytes"].as_u64());
    assert!(stdout(&run(&["stats", &data.dir])).contains("keys             6"));
    assert_eq!(data.files(), before);
}

#[test]
fn a_backup_restores_to_the_same_data() {
    let data = data();
    let (backup, restored) = (data.path("backup/monday"), data.path("restored"));
    let output = run(&["backup", &data.dir, &backup]);
    assert_code(&output, 0);
    assert_eq!(stderr(&output), "");
    data.flip_bit(70);
    fs::create_dir(&restored).unwrap();
    let output = run(&["restore", &restored, &backup, "--json"]);
    assert_code(&output, 0);
    assert_eq!(json(&output)["files"], 3);
    let engine = LogEngine::open(Path::new(&restored), options()).unwrap();
    assert_eq!(
        keyspace::get(&engine, b"greeting", 0)
            .unwrap()
            .unwrap()
            .payload,
        "hello"
    );
    drop(engine);
    let output = run(&["restore", &data.dir, &backup]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("not empty"), "{output:?}");
}

#[test]
fn a_damaged_directory_is_not_backed_up() {
    let data = data();
    data.flip_bit(70);
    let backup = data.path("backup");
    let output = run(&["backup", &data.dir, &backup]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("kvs-admin verify"), "{output:?}");
    let names: Vec<_> = fs::read_dir(&data.root)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["data"], "nothing is left of the copy");
}

#[test]
fn a_directory_in_use_is_refused_by_every_command() {
    let data = data();
    let backup = data.path("backup");
    let engine = LogEngine::open(Path::new(&data.dir), options()).unwrap();
    let commands: &[&[&str]] = &[
        &["verify", &data.dir],
        &["repair", &data.dir],
        &["repair", "--dry-run", &data.dir],
        &["stats", &data.dir],
        &["dump", &data.dir],
        &["backup", &data.dir, &backup],
    ];
    for command in commands {
        let output = run(command);
        assert_code(&output, 1);
        assert!(
            stderr(&output).contains("in use by another process: stop it first"),
            "{output:?}"
        );
        assert_eq!(stdout(&output), "");
    }
    assert!(engine.get(b"rgreeting").unwrap().is_some());
}

#[test]
fn a_directory_without_data_is_refused_and_stays_as_it_is() {
    let data = data();
    let (empty, missing, backup) = (
        data.path("empty"),
        data.path("missing"),
        data.path("backup"),
    );
    fs::create_dir(&empty).unwrap();
    for dir in [&empty, &missing] {
        for command in ["verify", "repair", "stats", "dump"] {
            let output = run(&[command, dir]);
            assert_code(&output, 1);
            assert!(stderr(&output).contains(dir.as_str()), "{output:?}");
        }
        assert_code(&run(&["backup", dir, &backup]), 1);
    }
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert!(!Path::new(&missing).exists() && !Path::new(&backup).exists());
}

#[test]
fn a_directory_of_another_engine_is_refused_by_name() {
    let data = data();
    let identity = Path::new(&data.dir).join("KEYPROOF");
    fs::write(&identity, "keyproof sled 1\n").unwrap();
    let backup = data.path("backup");
    for command in [&["verify", &data.dir][..], &["backup", &data.dir, &backup]] {
        let output = run(command);
        assert_code(&output, 1);
        assert!(stderr(&output).contains("engine `sled`"), "{output:?}");
    }
}

#[test]
fn corruption_met_by_a_dump_says_what_to_do() {
    let data = data();
    // A byte of the first value.
    data.flip_bit(78);
    let output = run(&["dump", &data.dir]);
    assert_code(&output, 1);
    let message = stderr(&output);
    assert!(
        message.contains("0000000001.segment is corrupt at offset"),
        "{message}"
    );
    assert!(
        message.contains(&format!("`kvs-admin repair {}`", data.dir)),
        "{message}"
    );
}

#[test]
fn misuse_exits_with_2_and_help_shows_examples() {
    let data = data();
    let inside = format!("{}/backup", data.dir);
    let misuses: &[&[&str]] = &[
        &[],
        &["verify"],
        &["verify", "a", "b"],
        &["unknown", &data.dir],
        &["backup", &data.dir],
        &["backup", &data.dir, &inside],
        &["backup", &data.dir, &data.dir],
        &["completions", "no-shell"],
    ];
    for misuse in misuses {
        let output = run(misuse);
        assert_code(&output, 2);
        assert_eq!(stdout(&output), "", "{misuse:?}");
        assert!(!stderr(&output).is_empty());
    }
    let help = run(&["--help"]);
    assert_code(&help, 0);
    assert!(stdout(&help).contains("kvs-admin backup /var/lib/kvs /backup/monday"));
}

#[test]
fn there_are_completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_code(&output, 0);
        assert!(stdout(&output).contains("dry-run"), "{shell}");
    }
}
