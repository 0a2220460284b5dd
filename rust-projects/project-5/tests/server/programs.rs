//! The programs and libraries that people already have. Skipped, visibly, where they are not installed.

use std::process::{Command, Output};

use crate::harness::{Server, stderr, stdout};

/// Runs a program, or says that the test is skipped because it is not there.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

const MANUAL: &str = include_str!("../../../../docs/kvs-server.md");
const PROMPT: &str = "127.0.0.1:4000> ";

/// The commands of the manual's session, each with what it prints.
fn session_of_the_manual() -> Vec<(&'static str, String)> {
    let (_, rest) = MANUAL.split_once("```console\n").unwrap();
    let (session, _) = rest.split_once("```").unwrap();
    let mut commands = Vec::new();
    for line in session.lines() {
        match line.strip_prefix(PROMPT) {
            Some(command) => commands.push((command, String::new())),
            None => {
                let (_, printed) = commands.last_mut().unwrap();
                printed.push_str(line);
                printed.push('\n');
            }
        }
    }
    commands
}

#[test]
fn the_redis_cli_session_of_the_manual_works() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let port = server.addr.port().to_string();
    let session = session_of_the_manual();
    assert!(session.len() > 10);
    for (command, expected) in session {
        let words: Vec<&str> = command.split(' ').collect();
        // As on a terminal.
        let args = [&["--no-raw", "-p", &port], &words[..]].concat();
        let Some(output) = run("redis-cli", &args) else {
            return;
        };
        assert_eq!(stdout(&output).trim_end(), expected.trim_end(), "{command}");
    }
    let resp3 = run("redis-cli", &["-3", "-p", &port, "GET", "greeting"]).unwrap();
    assert_eq!(stdout(&resp3).trim_end(), "hello", "{}", stderr(&resp3));
    let scan = run("redis-cli", &["-p", &port, "--scan", "--pattern", "*it*"]).unwrap();
    assert_eq!(stdout(&scan).trim_end(), "visits");
}

#[test]
fn redis_benchmark_runs_through() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--sync", "interval"]);
    let port = server.addr.port().to_string();
    for pipeline in ["1", "16"] {
        let args = [
            "-p",
            &port,
            "-c",
            "20",
            "-n",
            "2000",
            "-r",
            "1000",
            "-d",
            "100",
            "-P",
            pipeline,
            "-t",
            "ping,set,get,incr,mset",
            "--csv",
        ];
        let Some(output) = run("redis-benchmark", &args) else {
            return;
        };
        let text = stdout(&output);
        assert!(output.status.success(), "{text}{}", stderr(&output));
        for test in [
            "PING_INLINE",
            "PING_MBULK",
            "SET",
            "GET",
            "INCR",
            "MSET (10 keys)",
        ] {
            assert!(text.contains(&format!("\"{test}\"")), "no {test} in {text}");
        }
        assert!(!stderr(&output).contains("WARNING"), "{}", stderr(&output));
    }
}

const REDIS_PY_SESSION: &str = r#"
import sys, redis
for protocol in (2, 3):
    db = redis.Redis(port=int(sys.argv[1]), protocol=protocol, decode_responses=True)
    db.flushdb()
    assert db.set("greeting", "hello") and db.get("greeting") == "hello"
    assert db.get("nothing") is None
    assert db.set("greeting", "other", nx=True) is None
    assert db.incrby("visits", 42) == 42
    assert db.mset({"a": 1, "b": 2}) and db.mget("a", "c", "b") == ["1", None, "2"]
    assert db.set("session", "x", ex=100) and 98 <= db.ttl("session") <= 100
    assert sorted(db.scan_iter(count=2)) == ["a", "b", "greeting", "session", "visits"]
    with db.pipeline(transaction=True) as pipe:
        pipe.watch("visits")
        pipe.multi()
        pipe.incr("visits")
        pipe.get("visits")
        assert pipe.execute() == [43, "43"]
    with db.pipeline() as pipe:
        pipe.watch("visits")
        db.incr("visits")
        pipe.multi()
        pipe.incr("visits")
        try:
            pipe.execute()
            raise SystemExit("a disturbed transaction went through")
        except redis.WatchError:
            pass
    try:
        db.lpush("list", "x")
        raise SystemExit("an unknown command was accepted")
    except redis.ResponseError as error:
        assert "unknown command" in str(error), error
    assert db.delete("a", "b", "c") == 2
    assert db.info("server")["engine"] == "kvs"
print("done")
"#;

#[test]
fn a_redis_py_session_works_in_both_protocols() {
    let Some(probe) = run("python3", &["-c", "import redis"]) else {
        return;
    };
    if !probe.status.success() {
        eprintln!("SKIPPED: python3 has no module redis");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let port = server.addr.port().to_string();
    let output = run("python3", &["-c", REDIS_PY_SESSION, &port]).unwrap();
    assert_eq!(stdout(&output), "done\n", "{}", stderr(&output));
}
