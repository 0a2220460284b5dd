//! The program as users run it.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn zk_prove(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zk-prove"))
        .args(arguments)
        .current_dir(directory)
        .env("XDG_CACHE_HOME", directory.join("cache"))
        .env_remove("ZK_PROVE_DIR")
        .output()
        .expect("the program was built for this test")
}

/// Runs what must succeed; its standard output.
fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = zk_prove(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs what must end with a code; its standard error, or output if that is empty.
fn ends_with(code: i32, directory: &Path, arguments: &[&str]) -> String {
    let output = zk_prove(directory, arguments);
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("--json prints JSON")
}

fn write_private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const VERIFY: &[&str] = &[
    "verify",
    "mixer",
    "--keys",
    "keys",
    "--proof",
    "proof/proof.json",
    "--public",
    "proof/public.json",
];

#[test]
fn a_sample_is_proved_and_verified_and_a_changed_input_is_refused() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    assert!(done(at, &["setup", "mixer", "--out", "keys"]).contains("DEMO"));
    write_private(&at.join("input.json"), &done(at, &["sample", "mixer"]));
    let prove = [
        "prove",
        "mixer",
        "--keys",
        "keys",
        "--input",
        "input.json",
        "--out",
        "proof",
    ];
    done(at, &prove);
    let verdict = json(&done(at, &[VERIFY, &["--json"]].concat()));
    assert_eq!(verdict["accepted"], true);
    assert_eq!(verdict["key"], "demo");

    let public = fs::read_to_string(at.join("proof/public.json")).unwrap();
    let mut inputs: Vec<String> = serde_json::from_str(&public).unwrap();
    inputs[2] = "1".to_owned();
    fs::write(
        at.join("proof/public.json"),
        serde_json::to_string(&inputs).unwrap(),
    )
    .unwrap();
    assert!(ends_with(1, at, VERIFY).contains("REFUSED"));
}

#[test]
fn an_input_that_others_may_read_is_refused_and_a_wrong_one_names_its_field() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    done(at, &["setup", "mixer", "--out", "keys"]);
    let sample = done(at, &["sample", "mixer"]);
    let prove = [
        "prove",
        "mixer",
        "--keys",
        "keys",
        "--input",
        "input.json",
        "--out",
        "proof",
    ];
    fs::write(at.join("input.json"), &sample).unwrap();
    fs::set_permissions(at.join("input.json"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(ends_with(1, at, &prove).contains("chmod 600"));

    let mut input = json(&sample);
    input["private"]["secret"] = Value::from("hunter2");
    write_private(&at.join("input.json"), &input.to_string());
    let said = ends_with(1, at, &prove);
    assert!(said.contains("private.secret"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!at.join("proof").exists());
}

#[test]
fn misuse_ends_with_two_and_says_what_to_do() {
    let place = TempDir::new().unwrap();
    let said = ends_with(2, place.path(), &["sample", "no-such-thing"]);
    assert!(said.contains("zk-prove list"), "{said}");
    ends_with(2, place.path(), &["prove", "mixer"]);
    let said = ends_with(1, place.path(), VERIFY);
    assert!(said.contains("there are no keys in keys"), "{said}");
    ends_with(2, place.path(), &["ptau", "new", "40", "powers.ptau"]);
}

#[test]
fn keys_and_files_of_a_ceremony_are_not_overwritten() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    done(at, &["setup", "mixer", "--out", "keys"]);
    let before = fs::read(at.join("keys/mixer.zkey")).unwrap();
    ends_with(1, at, &["setup", "mixer", "--out", "keys"]);
    assert_eq!(fs::read(at.join("keys/mixer.zkey")).unwrap(), before);
    done(at, &["ptau", "new", "4", "powers.ptau"]);
    ends_with(1, at, &["ptau", "new", "4", "powers.ptau"]);
}

#[test]
fn a_ceremony_of_both_phases_makes_a_key_that_proves() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    let circuit = golden("multiplier/circuit.r1cs");
    let circuit = circuit.to_str().unwrap();
    for step in [
        &["ptau", "new", "4", "0.ptau"][..],
        &["ptau", "contribute", "0.ptau", "1.ptau", "--name", "first"],
        &["ptau", "beacon", "1.ptau", "2.ptau", "0xc0ffee"],
        &["ptau", "prepare", "2.ptau", "3.ptau"],
        &["ptau", "verify", "3.ptau"],
        &["zkey", "new", circuit, "3.ptau", "0.zkey"],
        &["zkey", "contribute", "0.zkey", "1.zkey", "--name", "first"],
        &["zkey", "beacon", "1.zkey", "2.zkey", "c0ffee"],
        &["zkey", "verify", circuit, "3.ptau", "2.zkey"],
    ] {
        done(at, step);
    }
    let shown = json(&done(at, &["inspect", "2.zkey", "--json"]));
    assert_eq!(shown["contributions"].as_array().unwrap().len(), 2);
    let fresh = done(at, &["inspect", "0.zkey"]);
    assert!(fresh.contains("WARNING"), "{fresh}");
    let wtns = golden("multiplier/witness.wtns");
    let wtns = wtns.to_str().unwrap();
    done(at, &["groth16", "prove", "2.zkey", wtns, "--out", "proof"]);
    fs::write(
        at.join("vkey.json"),
        done(at, &["export", "vkey", "2.zkey"]),
    )
    .unwrap();
    let verify = [
        "groth16",
        "verify",
        "vkey.json",
        "proof/public.json",
        "proof/proof.json",
    ];
    assert!(done(at, &verify).contains("accepted"));
    assert!(done(at, &["export", "solidity", "2.zkey"]).contains("contract Verifier"));
    let call = done(
        at,
        &[
            "export",
            "calldata",
            "proof/proof.json",
            "proof/public.json",
        ],
    );
    assert!(call.starts_with("0x"), "{call}");
    // Nobody may prove with the key of the first step, under which anybody can forge.
    ends_with(
        1,
        at,
        &["groth16", "prove", "0.zkey", wtns, "--out", "proof"],
    );
    // A key of other powers is refused.
    done(at, &["ptau", "new", "4", "other.ptau"]);
    done(at, &["ptau", "contribute", "other.ptau", "other1.ptau"]);
    done(at, &["ptau", "prepare", "other1.ptau", "other2.ptau"]);
    ends_with(1, at, &["zkey", "verify", circuit, "other2.ptau", "2.zkey"]);
}

#[test]
fn a_deposit_is_withdrawn_once_and_its_note_is_its_owners_alone() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    done(at, &["mixer", "deposit", "--note", "note"]);
    done(at, &["mixer", "deposit", "--note", "other"]);
    assert_eq!(mode(&at.join("note")), 0o600);
    let to = "0x00000000000000000000000000000000000000b0";
    let withdraw = ["mixer", "withdraw", "--note", "note", "--to", to, "--json"];
    let withdrawn = json(&done(at, &withdraw));
    assert_eq!(withdrawn["deposits"], 2);
    let said = ends_with(1, at, &withdraw);
    assert!(said.contains("withdrawn already"), "{said}");
    ends_with(1, at, &["mixer", "deposit", "--note", "note"]);
}

#[test]
fn what_a_chain_that_could_not_be_saved_has_seen_is_forgotten_by_the_tree_too() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    done(at, &["mixer", "deposit", "--note", "first"]);
    // The chain is written under this name and then renamed.
    let obstacle = at.join("zk-world/chain.json.new");
    fs::create_dir(&obstacle).unwrap();
    ends_with(1, at, &["mixer", "deposit", "--note", "lost"]);
    fs::remove_dir(&obstacle).unwrap();
    done(at, &["mixer", "deposit", "--note", "third"]);
    let to = "0x00000000000000000000000000000000000000b0";
    let withdraw = |note| ["mixer", "withdraw", "--note", note, "--to", to];
    done(at, &withdraw("third"));
    done(at, &withdraw("first"));
    ends_with(1, at, &withdraw("lost"));
}

#[test]
fn a_directory_in_use_is_refused() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    done(at, &["mixer", "deposit", "--note", "first"]);
    let lock = fs::File::open(at.join("zk-world/LOCK")).unwrap();
    lock.lock().unwrap();
    let said = ends_with(1, at, &["token", "mint", "--wallet", "alice", "1"]);
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn a_user_logs_in_with_password_and_key_and_not_without() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    write_private(&at.join("password"), "correct horse\n");
    write_private(&at.join("wrong"), "wrong horse\n");
    let user = [
        "--user",
        "alice",
        "--password-file",
        "password",
        "--key",
        "key",
    ];
    done(at, &[&["password", "register"][..], &user].concat());
    assert_eq!(mode(&at.join("key")), 0o600);
    done(
        at,
        &[&["password", "login", "--action", "read"][..], &user].concat(),
    );
    done(
        at,
        &[&["password", "login", "--action", "read"][..], &user].concat(),
    );
    let wrong = [
        "password",
        "login",
        "--user",
        "alice",
        "--password-file",
        "wrong",
        "--key",
        "key",
    ];
    assert!(ends_with(1, at, &wrong).contains("wrong"));
    let no_key = [
        "password",
        "login",
        "--user",
        "alice",
        "--password-file",
        "password",
    ];
    ends_with(1, at, &no_key);
}

#[test]
fn a_member_is_heard_once_for_each_topic_and_a_value_is_shown() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    let leaf = done(at, &["merkle", "member", "--secret", "secret"]);
    fs::write(at.join("leaves"), format!("# members\n17\n{leaf}\n")).unwrap();
    let say = |topic| {
        [
            "merkle",
            "prove",
            "--secret",
            "secret",
            "--topic",
            topic,
            "--message",
            "yes",
        ]
    };
    let first = [&say("a")[..], &["--leaves", "leaves"]].concat();
    done(at, &first);
    ends_with(1, at, &say("a"));
    done(at, &say("b"));
    fs::write(at.join("values"), "41\n42\n").unwrap();
    done(at, &["merkle", "build", "--leaves", "values", "--values"]);
    done(at, &["merkle", "prove", "--value", "42"]);
    ends_with(1, at, &["merkle", "prove", "--value", "43"]);
    ends_with(2, at, &["merkle", "prove", "--value", "forty-two"]);
}

#[test]
fn tokens_are_minted_sent_and_paid_out() {
    let place = TempDir::new().unwrap();
    let at = place.path();
    let balance = |wallet| {
        json(&done(
            at,
            &["token", "balance", "--wallet", wallet, "--json"],
        ))
    };
    done(at, &["token", "mint", "--wallet", "alice", "1000"]);
    assert_eq!(mode(&at.join("alice")), 0o600);
    let address = balance("bob")["address"].as_str().unwrap().to_owned();
    done(
        at,
        &[
            "token", "send", "--wallet", "alice", "--to", &address, "300",
        ],
    );
    ends_with(
        1,
        at,
        &[
            "token", "send", "--wallet", "alice", "--to", &address, "701",
        ],
    );
    ends_with(
        2,
        at,
        &["token", "send", "--wallet", "alice", "--to", "bob", "1"],
    );
    let account = "0x00000000000000000000000000000000000000b0";
    done(
        at,
        &["token", "send", "--wallet", "bob", "--to", account, "100"],
    );
    assert_eq!(balance("alice")["balance"], "700");
    assert_eq!(balance("bob")["balance"], "200");
    let rescanned = json(&done(at, &["token", "scan", "--wallet", "bob", "--json"]));
    assert_eq!(rescanned["balance"], "200");
}

#[test]
fn the_audit_finds_nothing_in_the_mixer() {
    let place = TempDir::new().unwrap();
    let report = json(&done(place.path(), &["audit", "mixer", "--json"]));
    assert_eq!(report["findings"].as_array().unwrap().len(), 0);
}

#[test]
fn the_demo_ends_with_a_table_in_which_every_contract_accepted() {
    let place = TempDir::new().unwrap();
    let rows = json(&done(place.path(), &["demo", "--json"]));
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(row["accepted"], true, "{row}");
        assert!(row["gas"].as_array().unwrap().len() >= 2, "{row}");
    }
}

fn golden(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proof/tests/golden");
    folder.join(name)
}
