//! Flags, exit codes and messages.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::harness::{CLIENT, SERVER, Server, client, secret_file, stderr, stdout};

fn server(flags: &[&str]) -> Output {
    Command::new(SERVER).args(flags).output().unwrap()
}

fn bare_client(args: &[&str]) -> Output {
    Command::new(CLIENT).args(args).output().unwrap()
}

#[test]
fn both_programs_know_their_version_and_print_completions() {
    for program in [SERVER, CLIENT] {
        let output = Command::new(program).arg("-V").output().unwrap();
        assert!(output.status.success());
        assert!(stdout(&output).contains(env!("CARGO_PKG_VERSION")));
    }
    assert!(stdout(&server(&["--completions", "bash"])).contains("kvs-server"));
    assert!(stdout(&bare_client(&["completions", "fish"])).contains("kvs-client"));
}

#[test]
fn help_says_what_the_program_is_and_gives_an_example_of_each_verb() {
    let help = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).arg("--help").output();
        stdout(&output.unwrap())
    };
    assert!(help(SERVER, &[]).starts_with("A durable key-value server"));
    assert!(help(CLIENT, &[]).starts_with("Talks to a kvs-server"));
    for verb in [
        "set",
        "get",
        "rm",
        "scan",
        "import",
        "export",
        "bench",
        "completions",
    ] {
        let help = help(CLIENT, &[verb]);
        let (_, examples) = help.split_once("Example").expect(verb);
        assert!(examples.contains(&format!("kvs-client {verb}")), "{help}");
    }
}

#[test]
fn misuse_ends_with_2_and_says_what_is_wrong() {
    for flags in [
        &["--engine", "rocks"][..],
        &["--addr", "nowhere"],
        &["--sync", "sometimes"],
        &["--log-level", "project_5=loud"],
        &["extra"],
    ] {
        let output = server(flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(!stderr(&output).is_empty());
    }
    for args in [
        &[][..],
        &["get"],
        &["get", "a", "b"],
        &["set", "a"],
        &["set", "a", "b", "c"],
        &["rm"],
        &["unknown"],
        &["get", "a", "--addr", "nowhere"],
        &["bench", "--reads", "101"],
        &["get", "a", "--password-file", "/nonexistent"],
    ] {
        let output = bare_client(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr(&output).is_empty());
    }
}

#[test]
fn the_server_does_not_listen_beyond_the_machine_without_a_password() {
    let output = server(&["--addr", "0.0.0.0:0", "--engine", "memory"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--requirepass-file"));
}

#[test]
fn a_password_file_that_everyone_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "s3cret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = server(&["--requirepass-file", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("chmod 600"));
}

#[test]
fn the_log_names_version_address_engine_directory_and_policy() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--sync", "interval"]);
    let log = server.log();
    for part in [
        env!("CARGO_PKG_VERSION"),
        &server.addr.to_string(),
        "engine=kvs",
        dir.path().to_str().unwrap(),
        "sync=\"interval\"",
    ] {
        assert!(log.contains(part), "no {part} in {log}");
    }
}

#[test]
fn a_taken_port_is_a_failure_that_names_it() {
    let (first, _dir) = Server::in_memory(&[]);
    let addr = first.addr.to_string();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let output = server(&["--addr", &addr, "--data-dir", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&addr));
    // Nor does it leave a store where perhaps none was wanted.
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    for engine in ["kvs", "sled", "fjall"] {
        let dir = tempfile::tempdir().unwrap();
        let first = Server::start(dir.path(), &["--engine", engine]);
        let refusal = Server::try_start(dir.path(), &["--engine", engine]).err();
        assert!(
            refusal.as_ref().is_some_and(|log| log.contains("in use")),
            "{engine}: {refusal:?}"
        );
        assert!(first.terminate().success());
        Server::start(dir.path(), &[]);
    }
}

#[test]
fn the_engine_defaults_to_the_one_whose_data_is_there_and_others_are_refused() {
    for (engine, other) in [("kvs", "sled"), ("sled", "fjall"), ("fjall", "kvs")] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &["--engine", engine]);
        assert!(client(&server, &["set", "key", engine]).status.success());
        assert!(server.terminate().success());
        let refusal = Server::try_start(dir.path(), &["--engine", other])
            .err()
            .unwrap();
        assert!(refusal.contains(&format!("engine `{engine}`")), "{refusal}");
        let server = Server::start(dir.path(), &[]);
        assert!(server.log().contains(&format!("engine={engine}")));
        assert_eq!(
            stdout(&client(&server, &["get", "key"])),
            format!("{engine}\n")
        );
    }
}

#[test]
fn the_client_keeps_the_output_rules_of_the_course() {
    let (server, _dir) = Server::in_memory(&[]);
    let set = client(&server, &["set", "key", "value"]);
    assert!(set.status.success() && set.stdout.is_empty() && set.stderr.is_empty());
    assert_eq!(stdout(&client(&server, &["get", "key"])), "value\n");
    let rm = client(&server, &["rm", "key"]);
    assert!(rm.status.success() && rm.stdout.is_empty());
    // A value that is a negative number is no option.
    assert!(client(&server, &["set", "n", "-5"]).status.success());
    assert_eq!(stdout(&client(&server, &["get", "n"])), "-5\n");
    let absent = client(&server, &["get", "key"]);
    assert!(absent.status.success());
    assert_eq!(stdout(&absent), "Key not found\n");
    let rm = client(&server, &["rm", "key"]);
    assert_eq!(rm.status.code(), Some(1));
    assert!(rm.stdout.is_empty());
    assert_eq!(stderr(&rm), "Key not found\n");
}

#[test]
fn a_client_without_a_server_fails_and_says_so() {
    // A port that was free a moment ago.
    let addr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for args in [&["get", "key"][..], &["bench"]] {
        let output = bare_client(&[args, &["--addr", &addr]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&addr), "{}", stderr(&output));
    }
}
