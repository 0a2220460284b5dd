//! A copy of the workspace in which bugs are planted.
//!
//! It has a target folder of its own. Sharing one with the workspace would not do: cargo names what it builds by paths
//! from the root of a workspace, so it could take what was built with a bug for what was built without.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::bug::TestName;
use crate::run::{Error, root};
use crate::tidy;

/// A test that has not ended by then counts as failed: some bugs make it wait for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The same for many seeds of the simulation.
const PATIENCE_WITH_SEEDS: Duration = Duration::from_secs(900);

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It did not end.
    Hung,
    /// There is no test of that name.
    Absent,
    /// It does not compile.
    Unbuilt,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passes",
            Self::Failed => "fails",
            Self::Hung => "does not end",
            Self::Absent => "is not there",
            Self::Unbuilt => "does not build",
        })
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.file, self.function)
    }
}

/// The copy.
pub(crate) struct Scratch {
    /// The working tree as it was at the beginning, so that work on it may go on meanwhile.
    files: BTreeMap<PathBuf, Vec<u8>>,
    sources: PathBuf,
    target: PathBuf,
    /// What a test printed.
    output: PathBuf,
}

impl Scratch {
    /// A copy in `folder`, to be made by [`Scratch::refresh`].
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for file in tidy::files()? {
            let path = root().join(&file);
            let content = fs::read(&path).map_err(|source| cannot("read", &path, source))?;
            files.insert(file, content);
        }
        Ok(Self {
            files,
            sources: folder.join("workspace"),
            target: folder.join("target"),
            output: folder.join("output.txt"),
        })
    }

    /// Makes the copy equal to the working tree. Files that are equal already stay as they are, so that cargo does not
    /// build them again.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        for (file, content) in &self.files {
            let path = self.sources.join(file);
            if fs::read(&path).ok().as_ref() == Some(content) {
                continue;
            }
            let folder = path.parent().unwrap_or(&self.sources);
            fs::create_dir_all(folder).map_err(|source| cannot("create", folder, source))?;
            fs::write(&path, content).map_err(|source| cannot("write", &path, source))?;
        }
        self.remove_others(&self.sources)
    }

    /// Removes what a patch added and what is gone from the working tree.
    fn remove_others(&self, folder: &Path) -> Result<(), Error> {
        let failed = |source| cannot("list", folder, source);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let relative = path.strip_prefix(&self.sources).unwrap_or(&path);
            if path.is_dir() {
                self.remove_others(&path)?;
            } else if !self.files.contains_key(relative) {
                fs::remove_file(&path).map_err(|source| cannot("remove", &path, source))?;
            }
        }
        Ok(())
    }

    /// Plants the bug of `patch`.
    pub(crate) fn apply(&self, patch: &Path) -> Result<(), Error> {
        let status = Command::new("git")
            .arg("apply")
            .arg(patch)
            .current_dir(&self.sources)
            // The copy lies within the repository, but is no part of it.
            .env(
                "GIT_CEILING_DIRECTORIES",
                self.sources.parent().unwrap_or(root()),
            )
            .status();
        let status = status.map_err(|source| cannot_start("git apply", source))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Failed {
                program: format!("git apply {}", patch.display()),
                status,
            }),
        }
    }

    /// Builds and runs the tests of the copy that have this name; tests of the simulation with so many seeds.
    pub(crate) fn test(
        &self,
        package: &str,
        test: &TestName,
        seeds: Option<u64>,
    ) -> Result<Outcome, Error> {
        let Some(program) = self.build(package, test)? else {
            return Ok(Outcome::Unbuilt);
        };
        let output = fs::File::create(&self.output);
        let output = output.map_err(|source| cannot("create", &self.output, source))?;
        // Where cargo would run it.
        let folder = program.package.parent().unwrap_or(&self.sources);
        let mut child = Command::new(&program.executable)
            .arg(&test.function)
            .current_dir(folder)
            .stdout(output)
            .stderr(Stdio::null())
            .envs(seeds.map(|seeds| ("KEYPROOF_SIM_SEEDS", seeds.to_string())))
            .spawn()
            .map_err(|source| cannot_start(&program.executable.display().to_string(), source))?;
        let patience = seeds.map_or(PATIENCE, |_| PATIENCE_WITH_SEEDS);
        let began = Instant::now();
        let status = loop {
            let ended = child.try_wait();
            if let Some(status) = ended.map_err(|source| cannot_start("a test", source))? {
                break status;
            }
            if began.elapsed() > patience {
                // It may have ended in this very moment.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Outcome::Hung);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Ok(match status.success() {
            false => Outcome::Failed,
            true if ran_nothing(&self.printed()?) => Outcome::Absent,
            true => Outcome::Passed,
        })
    }

    /// What the last test printed.
    pub(crate) fn printed(&self) -> Result<String, Error> {
        let printed = fs::read(&self.output);
        let printed = printed.map_err(|source| cannot("read", &self.output, source))?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Builds the target that the test is in; nothing if it does not compile.
    fn build(&self, package: &str, test: &TestName) -> Result<Option<Program>, Error> {
        let output = Command::new("cargo")
            .args([
                "test",
                "--locked",
                "--no-run",
                "--message-format=json-render-diagnostics",
            ])
            .args(["--package", package])
            .args(test.target())
            .current_dir(&self.sources)
            .env("CARGO_TARGET_DIR", &self.target)
            .stderr(Stdio::piped())
            .output()
            .map_err(|source| cannot_start("cargo test", source))?;
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            return Ok(None);
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        Ok(messages.lines().rev().find_map(test_program))
    }
}

/// A program that cargo built from a target's tests.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    executable: PathBuf,
    /// The `Cargo.toml` of its package.
    package: PathBuf,
}

/// The program that a message of cargo speaks of.
fn test_program(message: &str) -> Option<Program> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        manifest_path: PathBuf,
        profile: Profile,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    Some(Program {
        executable: message.executable.filter(|_| message.profile.test)?,
        package: message.manifest_path,
    })
}

/// Whether the test program says that no test has the name.
fn ran_nothing(printed: &str) -> bool {
    printed.lines().any(|line| line == "running 0 tests")
}

fn cannot(what: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File {
        what,
        path: path.to_owned(),
        source,
    }
}

fn cannot_start(program: &str, source: std::io::Error) -> Error {
    Error::Start {
        program: program.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_test_target_is_told_from_other_messages() {
        let artifact = |test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let program = Program {
            executable: "/t/a-1".into(),
            package: "/w/a/Cargo.toml".into(),
        };
        assert_eq!(test_program(&artifact(true, r#""/t/a-1""#)), Some(program));
        assert_eq!(test_program(&artifact(false, r#""/t/a""#)), None);
        assert_eq!(test_program(&artifact(true, "null")), None);
        assert_eq!(test_program(r#"{"reason":"build-finished"}"#), None);
    }

    #[test]
    fn a_run_without_a_test_is_told_from_one_with() {
        assert!(ran_nothing("\nrunning 0 tests\n\ntest result: ok."));
        assert!(!ran_nothing("\nrunning 10 tests\n"));
    }
}
