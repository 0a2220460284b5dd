//! What a figure depends on and cannot be seen from it: machine, commit, versions.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::run::root;

/// Where and on what a section was measured. What could not be found out is "unknown".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
    pub(crate) rustc: String,
    /// The system's one-minute load when the measurement began: above the number of cores, others were at work.
    pub(crate) load: String,
    /// Versions of what we are compared with.
    pub(crate) peers: BTreeMap<String, String>,
}

impl Machine {
    /// Finds out about this machine; the data lies in `dir`.
    pub(crate) fn read(dir: &Path) -> Self {
        let mut peers =
            locked_versions(&read(root().join("Cargo.lock")), &["sled", "redb", "fjall"]);
        if let Some(version) = redis_version(&said("redis-server", &["--version"])) {
            peers.insert("redis-server".into(), version);
        }
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            commit: commit(),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory: gibibytes(&field(&read("/proc/meminfo"), "MemTotal")),
            kernel: or_unknown(&read("/proc/sys/kernel/osrelease")),
            file_system: file_system(&read("/proc/mounts"), dir),
            rustc: said("rustc", &["--version"]),
            load: or_unknown(read("/proc/loadavg").split(' ').next().unwrap_or_default()),
            peers,
        }
    }
}

impl Machine {
    /// The version of the etcd that is installed.
    pub(crate) fn etcd_version() -> Option<String> {
        let said = said("etcd", &["--version"]);
        let version = said
            .lines()
            .find_map(|line| line.strip_prefix("etcd Version: "));
        version.map(str::to_owned)
    }

    /// What the prover is compared with: arkworks' crate as it is locked, snarkjs as its `package.json` says, and what runs it.
    pub(crate) fn prover_peers(snarkjs: Option<&Path>) -> BTreeMap<String, String> {
        let mut peers = locked_versions(&read(root().join("Cargo.lock")), &["ark-groth16"]);
        if let Some(snarkjs) = snarkjs {
            let package = read(snarkjs.join("package.json"));
            peers.insert("snarkjs".into(), package_version(&package));
            peers.insert("node".into(), said("node", &["--version"]));
        }
        peers
    }
}

/// The version in a `package.json`.
fn package_version(text: &str) -> String {
    let package: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    or_unknown(package["version"].as_str().unwrap_or_default())
}

const UNKNOWN: &str = "unknown";

fn or_unknown(text: &str) -> String {
    match text.trim() {
        "" => UNKNOWN.to_owned(),
        text => text.to_owned(),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// What a program prints, without the line's end.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            or_unknown(&String::from_utf8_lossy(&output.stdout))
        }
        _ => UNKNOWN.to_owned(),
    }
}

/// The commit, and whether the tree differs from it other than in the results themselves.
fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let unchanged = [
        "status",
        "--porcelain",
        "--",
        ".",
        ":!docs/benchmarks*",
        ":!docs/plots",
    ];
    match said("git", &unchanged).as_str() {
        UNKNOWN => commit,
        _ => format!("{commit} and changes not committed"),
    }
}

/// The value of `name: value`, as in `/proc/cpuinfo`.
fn field(text: &str, name: &str) -> String {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or_else(|| UNKNOWN.to_owned(), |(_, value)| or_unknown(value))
}

fn gibibytes(kibibytes: &str) -> String {
    let number = kibibytes.trim_end_matches("kB").trim().parse::<f64>();
    number.map_or_else(
        |_| UNKNOWN.to_owned(),
        |number| format!("{:.0} GiB", number / f64::from(1 << 20)),
    )
}

/// The type of the file system that `dir` is on: that of the longest mount point above it.
fn file_system(mounts: &str, dir: &Path) -> String {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| dir.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map_or_else(|| UNKNOWN.to_owned(), |(_, kind)| kind.to_owned())
}

/// Versions of `names` in a `Cargo.lock`; of several the newest, which is listed last.
fn locked_versions(lock: &str, names: &[&str]) -> BTreeMap<String, String> {
    let quoted = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        Some(value.strip_suffix('"')?.to_owned())
    };
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        name = quoted(line, "name").or(name);
        if let (Some(name), Some(version)) = (&name, quoted(line, "version"))
            && names.contains(&name.as_str())
        {
            versions.insert(name.clone(), version);
        }
    }
    versions
}

/// From `Redis server v=7.0.15 sha=...`.
fn redis_version(line: &str) -> Option<String> {
    let version = line.split(' ').find_map(|word| word.strip_prefix("v="))?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_longest_mount_point() {
        let mounts = "a / ext4 rw 0 0\nb /mnt tmpfs rw 0 0\nc /mnt/deep xfs rw 0 0\n";
        let kind = |dir: &str| file_system(mounts, Path::new(dir));
        assert_eq!(kind("/mnt/deep/data"), "xfs");
        assert_eq!(kind("/mnt/other"), "tmpfs");
        assert_eq!(kind("/mntshop"), "ext4");
        assert_eq!(file_system("", Path::new("/")), UNKNOWN);
    }

    #[test]
    fn versions_come_from_the_lock_file_from_what_redis_says_and_from_packages() {
        let lock = "[[package]]\nname = \"redb\"\nversion = \"4.6.0\"\n\n[[package]]\nname = \"other\"\nversion = \"1.0.0\"\n";
        let versions = locked_versions(lock, &["redb", "sled"]);
        assert_eq!(
            versions.into_iter().collect::<Vec<_>>(),
            [("redb".into(), "4.6.0".into())]
        );
        let line = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0";
        assert_eq!(redis_version(line).as_deref(), Some("7.0.15"));
        assert_eq!(package_version(r#"{"version": "0.7.6"}"#), "0.7.6");
        assert_eq!(package_version(""), UNKNOWN);
    }

    #[test]
    fn fields_of_proc_files_are_found() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some Processor\nmodel name\t: Some Processor\n";
        assert_eq!(field(cpuinfo, "model name"), "Some Processor");
        assert_eq!(field(cpuinfo, "other"), UNKNOWN);
        assert_eq!(gibibytes("25165824 kB"), "24 GiB");
    }
}
