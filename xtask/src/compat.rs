//! `cargo xtask tikv-client`: the published client's own tests against a cluster of `kvs-node dev`.
//!
//! ```text
//! the package as cargo unpacked it --copy, without its pinned toolchain--> target/tikv-client/source --cargo test --no-run--> programs
//! kvs-node dev, three nodes, an empty directory <-- each test by its name, one after the other: transactions, raw keys, failpoints
//! ```
//!
//! The client is used as it was published; nothing of it is changed but where its workspace ends. Its tests erase what is stored, so they get
//! a cluster of their own.

use std::fs;
use std::io::{IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cluster::node::free_addrs;
use crate::cluster::{self, Error, doing};
use crate::run;

type Result<T> = cluster::Result<T>;

const PACKAGE: &str = "tikv-client";
const NODES: u16 = 3;
/// A cluster that is not there by then does not come.
const STARTING: Duration = Duration::from_secs(30);
/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask tikv-client              all of them
  cargo xtask tikv-client txn_bank     those whose names contain this
  cargo xtask tikv-client --json F     outcomes as JSON, too")]
pub(crate) struct Arguments {
    /// Only tests whose names contain this
    filter: Option<String>,
    /// Also write the outcomes to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Test programs of the client, in the order in which they run, and the tests of each that come first.
const PROGRAMS: [(&str, &str); 2] = [("integration_tests", "txn_"), ("failpoint_tests", "")];

#[derive(Debug, Serialize)]
struct Outcome {
    program: &'static str,
    test: String,
    passed: bool,
    seconds: f64,
}

/// Runs the tests and fails with those that did not pass.
pub(crate) fn run(arguments: &Arguments) -> std::result::Result<(), run::Error> {
    let outcomes = outcomes(arguments.filter.as_deref().unwrap_or_default())
        .map_err(|error| run::Error::Findings(vec![error.to_string()]))?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&outcomes).expect("outcomes are numbers and texts");
        fs::write(path, json).map_err(|source| run::Error::Findings(vec![source.to_string()]))?;
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    println!("{passed} of {} tests of {PACKAGE} pass", outcomes.len());
    let failed = outcomes.into_iter().filter(|outcome| !outcome.passed);
    run::report(
        failed
            .map(|failed| format!("{} fails", failed.test))
            .collect(),
    )
}

fn outcomes(filter: &str) -> Result<Vec<Outcome>> {
    let node = cluster::build("kvs-node")?;
    let folder = run::root().join("target").join(PACKAGE);
    let source = unpack(&folder)?;
    let programs = build(&source, &folder.join("build"))?;
    let dev = Dev::start(&node, &folder)?;
    let mut outcomes = Vec::new();
    for (name, first) in PROGRAMS {
        let program = programs.iter().find(|(built, _)| built == name);
        let (_, program) = program.ok_or_else(|| failed("cargo", format!("no program {name}")))?;
        let (before, after): (Vec<_>, Vec<_>) = tests(program)?
            .into_iter()
            .filter(|test| test.contains(filter))
            .partition(|test| test.starts_with(first));
        for test in before.into_iter().chain(after) {
            outcomes.push(run_test(name, program, &source, test, &dev)?);
        }
    }
    Ok(outcomes)
}

fn failed(program: &str, reason: impl Into<String>) -> Error {
    Error::Program {
        program: program.into(),
        reason: reason.into(),
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// Copies the package to where it can be built.
fn unpack(folder: &Path) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(run::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(doing("run cargo metadata"))?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| failed("cargo metadata", error.to_string()))?;
    let package = metadata.packages.iter().find(|found| found.name == PACKAGE);
    let package = package.ok_or_else(|| failed("cargo metadata", "the client is not there"))?;
    let from = package
        .manifest_path
        .parent()
        .expect("a manifest is in a folder");
    let to = folder.join("source");
    if to.exists() {
        fs::remove_dir_all(&to).map_err(doing("remove an older copy"))?;
    }
    copy(from, &to)?;
    let toolchain = to.join("rust-toolchain.toml");
    if toolchain.exists() {
        fs::remove_file(toolchain).map_err(doing("set the pinned toolchain aside"))?;
    }
    // Or cargo takes it for a part of the workspace around it.
    let manifest = to.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(doing("read the client's manifest"))?;
    fs::write(manifest, text + "\n[workspace]\n").map_err(doing("write the client's manifest"))?;
    Ok(to)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(doing("make a folder"))?;
    for entry in fs::read_dir(from).map_err(doing("read the package"))? {
        let entry = entry.map_err(doing("read the package"))?;
        let target = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).map_err(doing("copy the package"))?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the test programs: their names and where they are.
fn build(source: &Path, target: &Path) -> Result<Vec<(String, PathBuf)>> {
    eprintln!("building the tests of {PACKAGE}; the first time takes some minutes");
    let output = Command::new("cargo")
        .args(["test", "--no-run", "--tests", "--message-format=json"])
        .args(["--no-default-features", "--features=integration-tests"])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("RUSTFLAGS", "--cap-lints=allow")
        .stderr(Stdio::inherit())
        .output()
        .map_err(doing("run cargo"))?;
    if !output.status.success() {
        return Err(failed(
            "cargo test",
            "the client's tests could not be built",
        ));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let built = lines.filter_map(|line| serde_json::from_slice::<Built>(line).ok());
    let programs = built.filter_map(|built| Some((built.target?.name, built.executable?)));
    Ok(programs.collect())
}

/// The names of a program's tests.
fn tests(program: &Path) -> Result<Vec<String>> {
    let output = Command::new(program)
        .args(["--list", "--format=terse"])
        .output()
        .map_err(doing("list the client's tests"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

fn run_test(
    name: &'static str,
    program: &Path,
    source: &Path,
    test: String,
    dev: &Dev,
) -> Result<Outcome> {
    let log = dev.folder.join(format!("{test}.log"));
    let file = fs::File::create(&log).map_err(doing("write a test's log"))?;
    let also = file.try_clone().map_err(doing("write a test's log"))?;
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(["--exact", &test, "--test-threads=1", "--nocapture"])
        .current_dir(source)
        .env("PD_ADDRS", dev.addr.to_string())
        .env_remove("MULTI_REGION")
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(also)
        .spawn()
        .map_err(doing("start a test"))?;
    let status = loop {
        match child.try_wait().map_err(doing("wait for a test"))? {
            Some(status) => break Some(status),
            None if began.elapsed() > PATIENCE => {
                // It may end by itself just now.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let outcome = Outcome {
        program: name,
        passed: status.is_some_and(|status| status.success()),
        seconds: began.elapsed().as_secs_f64(),
        test,
    };
    let word = match (outcome.passed, status) {
        (true, _) => "passes".to_owned(),
        (false, None) => format!("HANGS, see {}", log.display()),
        (false, Some(_)) => format!("FAILS, see {}", log.display()),
    };
    println!("{:<44} {:>6.1} s  {word}", outcome.test, outcome.seconds);
    if std::io::stdout().is_terminal() {
        // The terminal may be gone.
        let _ = std::io::stdout().flush();
    }
    Ok(outcome)
}

/// A cluster of its own, killed in the end.
struct Dev {
    child: Child,
    folder: PathBuf,
    /// Of the first node's services.
    addr: SocketAddr,
}

impl Drop for Dev {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).ok();
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            // Its nodes go with it, in good order.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

impl Dev {
    fn start(node: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.join("run");
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(doing("remove an older cluster"))?;
        }
        fs::create_dir_all(&folder).map_err(doing("make a folder"))?;
        let log = fs::File::create(folder.join("cluster.log")).map_err(doing("write a log"))?;
        let (port, peer_port) = ports()?;
        let child = Command::new(node)
            .args(["dev", "--nodes", &NODES.to_string()])
            .args(["--port", &port.to_string()])
            .args(["--peer-port", &peer_port.to_string()])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(doing("start a cluster"))?;
        let dev = Self {
            child,
            folder,
            addr: SocketAddr::from(([127, 0, 0, 1], peer_port)),
        };
        let began = Instant::now();
        while !has_leader(dev.addr) {
            if began.elapsed() > STARTING {
                return Err(failed("kvs-node dev", "no leader was elected in time"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(dev)
    }
}

/// Two rows of ports that were free a moment ago.
fn ports() -> Result<(u16, u16)> {
    for _ in 0..100 {
        let [first]: [SocketAddr; 1] = free_addrs(200)?;
        let first = first.port();
        let Some(last) = first.checked_add(2 * NODES) else {
            continue;
        };
        let is_free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (first..last).all(is_free) {
            return Ok((first, first + NODES));
        }
    }
    Err(failed("kvs-node dev", "no free ports were found"))
}

fn has_leader(addr: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let request = "GET /pd/api/v1/regions HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes())?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    };
    ask().is_ok_and(|page| page.contains("\"leader\":{"))
}
