//! `cargo xtask planted`: proof that tests fail when what they test is broken.
//!
//! # What it is
//!
//! Each patch in `xtask/planted/` plants one bug of a class that cost others dearly and names the tests that must notice
//! it (see [`bug`] for its form). The verb copies the workspace aside, sees those tests pass, then plants one bug after
//! the other and sees them fail.
//!
//! # What it guarantees
//!
//! The working tree is not touched. A patch that no longer applies, does not build, or names a test that is not there is
//! a failure and never counts as caught. A test that has not ended after [`scratch::PATIENCE`] counts as failed.
//!
//! # What it does not
//!
//! It is no part of `.ci/run`: the workspace's crates are compiled anew for every bug. What `.ci/run` checks, by `tidy`,
//! is that every patch applies and that its tests exist.

mod bug;
mod scratch;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use self::bug::{Bug, TestName};
use self::scratch::{Outcome, Scratch};
use crate::metadata::Metadata;
use crate::run::{Error, read, report, root};

/// Where the patches are, from the root.
const FOLDER: &str = "xtask/planted";

/// What to plant.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask planted            every bug
  cargo xtask planted S3         those of one row of docs/security.md
  cargo xtask planted --check    only whether the patches still apply")]
pub(crate) struct Arguments {
    /// Only bugs whose row or file name contains this
    filter: Option<String>,
    /// Only check that every patch applies and names tests that exist; builds nothing
    #[arg(long)]
    check: bool,
}

/// Plants the bugs asked for, one after the other, and fails with those that no test noticed.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let metadata = Metadata::read()?;
    report(findings(&metadata)?)?;
    if arguments.check {
        return Ok(());
    }
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let mut bugs = Vec::new();
    for path in patches()? {
        // Checked above.
        bugs.extend(parse(&path)?.ok().filter(|bug| bug.matches(filter)));
    }
    if bugs.is_empty() {
        return report(vec![format!("no bug in {FOLDER} matches `{filter}`")]);
    }
    let scratch = Scratch::new(&root().join("target/planted"))?;
    see_them_pass(&scratch, &bugs)?;
    let mut findings = Vec::new();
    for bug in &bugs {
        findings.extend(plant(&scratch, bug)?);
    }
    scratch.refresh()?;
    let caught = bugs.len() - findings.len();
    println!("{caught} of {} planted bugs were caught", bugs.len());
    report(findings)
}

/// Runs each test on the code as it is: one that fails anyway shows nothing.
fn see_them_pass(scratch: &Scratch, bugs: &[Bug]) -> Result<(), Error> {
    println!("without a bug:");
    scratch.refresh()?;
    let mut tests = BTreeMap::new();
    for bug in bugs {
        for test in &bug.tests {
            tests.insert((&bug.package, &test.file, &test.function), test);
        }
    }
    let (package, simulation) = ("raft-sim".to_owned(), TestName::simulation());
    if bugs.iter().any(|bug| bug.seeds.is_some()) {
        let key = (&package, &simulation.file, &simulation.function);
        tests.insert(key, &simulation);
    }
    let mut findings = Vec::new();
    for ((package, ..), test) in tests {
        let outcome = see(scratch, package, test, None)?;
        if outcome != Outcome::Passed {
            findings.push(format!("{test} {outcome} before anything was planted"));
        }
    }
    report(findings)
}

/// Plants one bug; what to report unless every test of it fails.
fn plant(scratch: &Scratch, bug: &Bug) -> Result<Option<String>, Error> {
    println!("{} {}:", bug.row, bug.name);
    scratch.refresh()?;
    scratch.apply(&patch_path(&bug.name))?;
    let mut unnoticed = Vec::new();
    for test in &bug.tests {
        match see(scratch, &bug.package, test, None)? {
            Outcome::Failed | Outcome::Hung => {}
            outcome @ (Outcome::Passed | Outcome::Absent | Outcome::Unbuilt) => {
                unnoticed.push(format!("{test} {outcome}"));
            }
        }
    }
    if bug.seeds.is_some() {
        let test = TestName::simulation();
        let outcome = see(scratch, "raft-sim", &test, bug.seeds)?;
        // Seeds that take too long have noticed nothing.
        if outcome != Outcome::Failed {
            unnoticed.push(format!("the simulation {outcome}"));
        }
    }
    let is_caught = unnoticed.is_empty();
    println!("  {}", if is_caught { "caught" } else { "NOT caught" });
    Ok((!is_caught).then(|| format!("{}: NOT caught: {}", bug.name, unnoticed.join(", "))))
}

/// Runs a test and says how it ended.
fn see(
    scratch: &Scratch,
    package: &str,
    test: &TestName,
    seeds: Option<u64>,
) -> Result<Outcome, Error> {
    let began = Instant::now();
    let outcome = scratch.test(package, test, seeds)?;
    let seconds = began.elapsed().as_secs();
    println!("  {test} {outcome} ({seconds} s with building)");
    // A test of the simulation says how many seeds it took.
    if outcome == Outcome::Failed
        && let Some(words) = scratch
            .printed()?
            .lines()
            .find(|line| line.starts_with("after "))
    {
        println!("    {words}");
    }
    Ok(outcome)
}

/// One line per patch that does not apply, is not understood or names what is not there.
pub(crate) fn findings(metadata: &Metadata) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    for path in patches()? {
        let found = match parse(&path)? {
            Ok(bug) => missing(metadata, &bug)?,
            Err(what) => vec![what],
        };
        findings.extend(
            found
                .iter()
                .map(|what| format!("{}: {what}", path.display())),
        );
        if !applies(&path)? {
            let path = path.display();
            findings.push(format!(
                "{path}: does not apply: plant the bug anew, or delete it"
            ));
        }
    }
    Ok(findings)
}

/// Packages and tests named by `bug` that do not exist.
fn missing(metadata: &Metadata, bug: &Bug) -> Result<Vec<String>, Error> {
    let package = metadata.packages.iter().find(|p| p.name == bug.package);
    let Some(folder) = package.and_then(|package| package.manifest_path.parent()) else {
        return Ok(vec![format!("there is no package `{}`", bug.package)]);
    };
    let mut missing = Vec::new();
    for test in &bug.tests {
        let path = folder.join(&test.file);
        let source = if path.exists() {
            read(&path)?
        } else {
            String::new()
        };
        if !has_function(&source, &test.function) {
            missing.push(format!("there is no test {test}"));
        }
    }
    Ok(missing)
}

/// Whether `source` has a function of exactly that name.
fn has_function(source: &str, name: &str) -> bool {
    source.split("fn ").skip(1).any(|rest| {
        rest.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['(', '<']))
    })
}

/// The patches, from the root, in the order of their names.
fn patches() -> Result<Vec<PathBuf>, Error> {
    let folder = root().join(FOLDER);
    let failed = |source| Error::Read {
        path: PathBuf::from(FOLDER),
        source,
    };
    let mut patches = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if name.extension() == Some(OsStr::new("patch")) {
            patches.push(Path::new(FOLDER).join(name));
        }
    }
    patches.sort();
    Ok(patches)
}

fn patch_path(name: &str) -> PathBuf {
    root().join(FOLDER).join(format!("{name}.patch"))
}

fn parse(path: &Path) -> Result<Result<Bug, String>, Error> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Bug::parse(&name, &read(path)?))
}

/// Whether the patch applies to the working tree.
fn applies(path: &Path) -> Result<bool, Error> {
    let output = Command::new("git")
        .args(["apply", "--check"])
        .arg(path)
        .current_dir(root())
        .output();
    let output = output.map_err(|source| Error::Start {
        program: "git apply".to_owned(),
        source,
    })?;
    Ok(output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_there_only_under_its_whole_name() {
        let source = "#[test]\nfn it_fails() {}\nfn generic<S: Subject>() {}\n";
        assert!(has_function(source, "it_fails"));
        assert!(has_function(source, "generic"));
        assert!(!has_function(source, "it_fail"));
        assert!(!has_function(source, "fails"));
    }
}
