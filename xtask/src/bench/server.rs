//! `kvs-server` against `redis-server`, both driven by `redis-benchmark`, in turn and on the same disk.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::build::build;
use super::error::{Error, Result, doing};
use super::job::{Figures, quiet_disk, wait_until};
use super::report::{Sample, Section};
use super::{Bench, Scale, in_turn};

/// How long a server may take to answer after its start, and to leave when asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Kvs,
    Redis,
}

impl Server {
    /// As it stands in the tables.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Kvs => "kvs-server",
            Self::Redis => "redis-server",
        }
    }
}

/// When a write is forced to the disk, in the words of each side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) kvs: &'static str,
    pub(crate) redis: &'static str,
}

/// The two policies compared.
pub(crate) const POLICIES: [Policy; 2] = [
    Policy {
        kvs: "interval",
        redis: "everysec",
    },
    Policy {
        kvs: "always",
        redis: "always",
    },
];

/// Requests under way at a time on a connection.
pub(crate) const PIPELINES: [usize; 2] = [1, 16];
/// Commands compared, in the order in which `redis-benchmark` sends them.
pub(crate) const COMMANDS: [&str; 2] = ["SET", "GET"];

/// Name of a figure: requests per second.
pub(crate) fn figure(policy: Policy, pipeline: usize, command: &str) -> String {
    format!(
        "{}_p{pipeline}_{}_per_s",
        policy.kvs,
        command.to_lowercase()
    )
}

/// Name of the figure for the 99th percentile of the latency in seconds.
pub(crate) fn latency_figure(policy: Policy, pipeline: usize, command: &str) -> String {
    format!(
        "{}_p{pipeline}_{}_p99_s",
        policy.kvs,
        command.to_lowercase()
    )
}

/// Measures everything of this section, or notes why it cannot.
pub(crate) fn section(bench: &Bench, section: &mut Section) -> Result<()> {
    let Scale {
        requests,
        pipelined_requests,
        ..
    } = bench.scale;
    section.set("requests", requests as f64);
    section.set("pipelined_requests", pipelined_requests as f64);
    let missing: Vec<_> = ["redis-server", "redis-benchmark"]
        .into_iter()
        .filter(|program| !is_there(program))
        .collect();
    if !missing.is_empty() {
        section.note(&format!("SKIPPED: {} not installed", missing.join(" and ")));
        return Ok(());
    }
    let kvs_server = match build(&["project-5"], "kvs-server") {
        Ok(program) => program,
        Err(error) => {
            section.note(&format!("SKIPPED: {error}"));
            return Ok(());
        }
    };
    for run in 0..bench.runs {
        for policy in POLICIES {
            for server in in_turn(run, &[Server::Redis, Server::Kvs]) {
                let figures = measure(bench, server, policy, &kvs_server)?;
                section
                    .samples
                    .push(Sample::new(run, server.text(), figures));
            }
        }
    }
    merge(section);
    Ok(())
}

/// One sample per run and server instead of one for each policy.
fn merge(section: &mut Section) {
    let mut merged: Vec<Sample> = Vec::new();
    for sample in std::mem::take(&mut section.samples) {
        let same =
            |other: &&mut Sample| (other.run, &other.subject) == (sample.run, &sample.subject);
        match merged.iter_mut().find(same) {
            Some(other) => other.figures.extend(sample.figures),
            None => merged.push(sample),
        }
    }
    section.samples = merged;
}

/// Whether a program can be run.
pub(super) fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn measure(bench: &Bench, server: Server, policy: Policy, kvs_server: &Path) -> Result<Figures> {
    let mut all = Figures::new();
    for pipeline in PIPELINES {
        let dir = bench.temporary()?;
        quiet_disk();
        let port = free_port()?;
        let mut command = match server {
            Server::Kvs => kvs_command(kvs_server, policy, port, dir.path()),
            Server::Redis => redis_command(policy, port, dir.path()),
        };
        let running = Running::start(&mut command, server, port)?;
        let requests = match pipeline {
            1 => bench.scale.requests,
            _ => bench.scale.pipelined_requests,
        };
        for row in drive(port, pipeline, requests)? {
            all.insert(figure(policy, pipeline, &row.command), row.per_s);
            all.insert(latency_figure(policy, pipeline, &row.command), row.p99_s);
        }
        running.stop()?;
    }
    Ok(all)
}

fn kvs_command(program: &Path, policy: Policy, port: u16, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--addr", &format!("127.0.0.1:{port}")])
        .args(["--engine", "kvs", "--sync", policy.kvs])
        .args(["--log-level", "warn"])
        .arg("--data-dir")
        .arg(dir);
    command
}

fn redis_command(policy: Policy, port: u16, dir: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--appendonly", "yes", "--appendfsync", policy.redis])
        .args(["--save", "", "--daemonize", "no", "--loglevel", "warning"])
        .arg("--dir")
        .arg(dir);
    command
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|addr| addr.port())
        .map_err(doing("find a free port"))
}

/// A server that ends with this value.
struct Running {
    child: Child,
    server: Server,
}

impl Running {
    fn start(command: &mut Command, server: Server, port: u16) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(doing(format!("start {}", server.text())))?;
        let mut running = Self { child, server };
        let mut left = None;
        let answers = wait_until(PATIENCE, || {
            left = running.child.try_wait().ok().flatten();
            left.is_some() || answers_ping(port)
        });
        match (left, answers) {
            (Some(status), _) => Err(running.failed(&format!("it left at once: {status}"))),
            (None, false) => Err(running.failed("it does not answer")),
            (None, true) => Ok(running),
        }
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Program {
            program: self.server.text().into(),
            reason: reason.into(),
        }
    }

    /// Asks it to leave, and waits until it has.
    fn stop(mut self) -> Result<()> {
        // SIGTERM, which the standard library cannot send.
        let status = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let asked = status.is_ok_and(|status| status.success());
        if asked && wait_until(PATIENCE, || matches!(self.child.try_wait(), Ok(Some(_)))) {
            return Ok(());
        }
        Err(self.failed("it does not leave when asked to"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do for one that has left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers_ping(port: u16) -> bool {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ping = || -> std::io::Result<[u8; 7]> {
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        let mut reply = [0; 7];
        stream.read_exact(&mut reply)?;
        Ok(reply)
    };
    ping().is_ok_and(|reply| &reply == b"+PONG\r\n")
}

/// A line of `redis-benchmark --csv`.
#[derive(Debug, PartialEq)]
struct Row {
    command: String,
    per_s: f64,
    p99_s: f64,
}

fn drive(port: u16, pipeline: usize, requests: usize) -> Result<Vec<Row>> {
    const PROGRAM: &str = "redis-benchmark";
    let failed = |reason: String| Error::Program {
        program: PROGRAM.into(),
        reason,
    };
    let output = Command::new(PROGRAM)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(["-c", "50", "-d", "100", "-r", "100000"])
        .args(["-n", &requests.to_string(), "-P", &pipeline.to_string()])
        .args(["-t", "set,get", "--csv"])
        .output()
        .map_err(doing("run redis-benchmark"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{} {said} {complaint}", output.status)));
    }
    let rows = parse(&said);
    if rows.len() != COMMANDS.len() {
        return Err(failed(format!("it printed {said:?}")));
    }
    Ok(rows)
}

/// Reads `redis-benchmark --csv` of version 7: a line of column names, then one line per command.
fn parse(csv: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        line.split(',')
            .map(|cell| cell.trim().trim_matches('"').to_owned())
            .collect()
    };
    let mut lines = csv.lines().map(cells);
    let Some(names) = lines.find(|cells| cells.first().is_some_and(|cell| cell == "test")) else {
        return Vec::new();
    };
    let column = |name: &str| names.iter().position(|found| found == name);
    let (Some(per_s), Some(p99)) = (column("rps"), column("p99_latency_ms")) else {
        return Vec::new();
    };
    let rows = lines.filter_map(|cells| {
        Some(Row {
            command: COMMANDS
                .iter()
                .find(|known| **known == cells[0])?
                .to_string(),
            per_s: cells.get(per_s)?.parse().ok()?,
            p99_s: cells.get(p99)?.parse::<f64>().ok()? / 1000.0,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_redis_benchmark_are_read_by_the_names_of_their_columns() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"p99_latency_ms\"\n\"SET\",\"100000.00\",\"0.2\",\"1.500\"\n\"GET\",\"120000.00\",\"0.2\",\"0.500\"\n";
        let row = |command: &str, per_s, p99_s| Row {
            command: command.into(),
            per_s,
            p99_s,
        };
        assert_eq!(
            parse(csv),
            [row("SET", 100_000.0, 0.0015), row("GET", 120_000.0, 0.0005)]
        );
        assert_eq!(parse("ERROR: something\n"), []);
    }

    #[test]
    fn samples_of_one_run_and_server_become_one() {
        let mut section = Section::default();
        for (run, subject, name) in [(0, "a", "x"), (0, "a", "y"), (0, "b", "x"), (1, "a", "x")] {
            let figures = Figures::from([(name.to_owned(), 1.0)]);
            section.samples.push(Sample::new(run, subject, figures));
        }
        merge(&mut section);
        let seen: Vec<_> = section
            .samples
            .iter()
            .map(|sample| (sample.run, sample.subject.as_str(), sample.figures.len()))
            .collect();
        assert_eq!(seen, [(0, "a", 2), (0, "b", 1), (1, "a", 1)]);
    }

    #[test]
    fn nobody_answers_on_a_free_port() {
        assert!(!answers_ping(free_port().unwrap()));
    }
}
