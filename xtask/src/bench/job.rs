//! Measurements that run in a process of their own, so that no memory or cache is shared: `xtask bench-child ORDER`.
//!
//! The parent sends an [`Order`] as JSON in the arguments and reads the figures as one line of JSON from stdout.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::{Error, Result, doing};
use super::stores::Name;
use super::{engine, open, writers, zk};

/// What a measurement gives: names and values, units in the names.
pub(crate) type Figures = BTreeMap<String, f64>;

/// What to measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Put pairs in batches, flush, read them at random.
    PutBatches {
        engine: Name,
        pairs: usize,
        batch: usize,
    },
    /// Put pairs one by one, flush.
    PutSingles {
        engine: Name,
        pairs: usize,
        buffered: bool,
    },
    /// Put the course's pairs, flush, read them at random.
    Large { engine: Name, pairs: usize },
    /// Write the course's pairs to a plain file and sync it.
    LargeFile { pairs: usize },
    /// Append 100 bytes to a file and sync it, again and again.
    Syncs { count: usize },
    /// Many threads write with `Always`.
    Writers {
        pairs: usize,
        threads: usize,
        seconds: f64,
    },
    /// The same while compaction runs.
    WritersAndCompaction {
        pairs: usize,
        threads: usize,
        seconds: f64,
        segment_bytes: u64,
    },
    /// Fill a store and close it, or say so and wait for the end.
    Fill { pairs: usize, crash: bool },
    /// Open what is there.
    Open { pairs: usize },
    /// Overwrite everything so many times.
    Overwrite { pairs: usize, rounds: usize },
    /// Something with keys and proofs.
    Zk {
        circuit: zk::Circuit,
        task: zk::Task,
    },
}

/// A job, where to do it and on what data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) job: Job,
    pub(crate) dir: PathBuf,
    pub(crate) seed: u64,
}

/// What [`Job::Fill`] prints before it waits to be killed.
const READY: &str = "ready";

/// `xtask bench-child ORDER`.
pub(crate) fn run_child(order: &str) -> Result<()> {
    let order: Order = serde_json::from_str(order).map_err(|source| Error::Json {
        what: "the order".into(),
        source,
    })?;
    let figures = run(&order)?;
    let line = serde_json::to_string(&figures).map_err(|source| Error::Json {
        what: "the figures".into(),
        source,
    })?;
    println!("{line}");
    Ok(())
}

fn run(order: &Order) -> Result<Figures> {
    let Order { job, dir, seed } = order;
    match *job {
        Job::PutBatches {
            engine,
            pairs,
            batch,
        } => engine::put_batches(engine, dir, *seed, pairs, batch),
        Job::PutSingles {
            engine,
            pairs,
            buffered,
        } => engine::put_singles(engine, dir, *seed, pairs, buffered),
        Job::Large { engine, pairs } => engine::large(engine, dir, *seed, pairs),
        Job::LargeFile { pairs } => engine::large_file(dir, *seed, pairs),
        Job::Syncs { count } => writers::syncs(dir, count),
        Job::Writers {
            pairs,
            threads,
            seconds,
        } => writers::writers(dir, *seed, pairs, threads, seconds),
        Job::WritersAndCompaction {
            pairs,
            threads,
            seconds,
            segment_bytes,
        } => writers::during_compaction(dir, *seed, pairs, threads, seconds, segment_bytes),
        Job::Fill { pairs, crash } => open::fill(dir, *seed, pairs, || {
            if crash {
                wait_for_the_end();
            }
        }),
        Job::Open { pairs } => open::open(dir, pairs),
        Job::Overwrite { pairs, rounds } => open::overwrite(dir, *seed, pairs, rounds),
        Job::Zk { circuit, task } => zk::run_task(circuit, task, dir),
    }
}

fn wait_for_the_end() {
    println!("{READY}");
    let _ = std::io::stdout().flush();
    // The parent kills this process; if the parent goes first, its end of the pipe closes.
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// Does `order` in a process of its own and returns its figures.
pub(crate) fn measure(order: &Order) -> Result<Figures> {
    quiet_disk();
    let mut child = spawn(order)?;
    let said = last_line(&mut child)?;
    let status = child.wait().map_err(doing("wait for a measurement"))?;
    if !status.success() {
        return Err(failed(order, &status.to_string()));
    }
    serde_json::from_str(&said).map_err(|source| Error::Json {
        what: format!("what {:?} printed", order.job),
        source,
    })
}

/// Does `order` in a process of its own and kills it with SIGKILL once it is ready.
pub(crate) fn crash(order: &Order) -> Result<()> {
    quiet_disk();
    let mut child = spawn(order)?;
    let stdout = child.stdout.take().expect("it was piped");
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    let killed = child.kill();
    child.wait().map_err(doing("wait for a measurement"))?;
    read.map_err(doing("read from a measurement"))?;
    killed.map_err(doing("kill a measurement"))?;
    match line.trim() {
        READY => Ok(()),
        said => Err(failed(order, &format!("it said `{said}`"))),
    }
}

fn spawn(order: &Order) -> Result<Child> {
    fs::create_dir_all(&order.dir).map_err(doing("create a directory"))?;
    let order = serde_json::to_string(order).map_err(|source| Error::Json {
        what: "the order".into(),
        source,
    })?;
    // Not `current_exe`: this stays the same program even if its file is replaced meanwhile.
    Command::new("/proc/self/exe")
        .arg("bench-child")
        .arg(order)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(doing("start a measurement"))
}

fn last_line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().expect("it was piped");
    let mut last = String::new();
    for line in BufReader::new(stdout).lines() {
        last = line.map_err(doing("read from a measurement"))?;
    }
    Ok(last)
}

fn failed(order: &Order, reason: &str) -> Error {
    Error::Program {
        program: format!("{:?}", order.job),
        reason: reason.to_owned(),
    }
}

/// Lets the disk finish what earlier measurements left behind.
pub(crate) fn quiet_disk() {
    // Without `sync` the figures are a bit noisier, no more.
    let _ = Command::new("sync").status();
}

/// The figures `items` by name.
pub(crate) fn figures<const N: usize>(items: [(&str, f64); N]) -> Figures {
    items.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Seconds that `work` takes.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let began = Instant::now();
    let value = work()?;
    Ok((value, began.elapsed().as_secs_f64()))
}

/// Memory of this process in bytes, as `/proc/self/status` names it: `VmRSS`, `VmHWM`.
pub(crate) fn memory(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").map_err(doing("read the memory used"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok())
        .map(|kibibytes| kibibytes * 1024.0)
        .ok_or_else(|| Error::Program {
            program: "/proc/self/status".into(),
            reason: format!("no line {field}"),
        })
}

/// Bytes allocated on disk to the files below `dir`.
pub(crate) fn disk_bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    for entry in fs::read_dir(dir).map_err(doing("list a directory"))? {
        let entry = entry.map_err(doing("list a directory"))?;
        total += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path())?,
            // Blocks of 512 bytes, whatever the file system.
            Ok(metadata) => metadata.blocks() * 512,
            // Compaction removed it meanwhile.
            Err(_) => 0,
        };
    }
    Ok(total)
}

/// Calls `done` until it says so or the deadline has passed; says which.
pub(crate) fn wait_until(deadline: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if done() {
            return true;
        }
        if began.elapsed() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_disk_of_this_process_are_found() {
        let memory = memory("VmRSS").unwrap();
        assert!(memory > 100_000.0);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        let mut file = fs::File::create(dir.path().join("below/file")).unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        file.sync_all().unwrap();
        assert!(disk_bytes(dir.path()).unwrap() >= 90_000);
    }

    #[test]
    fn an_order_survives_the_way_to_the_child() {
        let order = Order {
            job: Job::PutSingles {
                engine: Name::Fjall,
                pairs: 3,
                buffered: true,
            },
            dir: "somewhere".into(),
            seed: 7,
        };
        let text = serde_json::to_string(&order).unwrap();
        let read: Order = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{order:?}"));
    }
}
