//! From a request to what is done and printed.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;
use storage::file::{FileSystem, RealFs};
use storage::kvs::{self, LogEngine, Options};

use crate::args::{Arguments, Request};
use crate::failure::Failure;
use crate::progress::Line;
use crate::report::{self, Copied, Figures, Repaired, Verified};
use crate::{cluster, copy, dump};

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// There is damage, and nobody asked to repair it.
    Damaged,
}

pub(crate) fn run(request: &Request) -> Result<Outcome, Failure> {
    match request {
        Request::Verify { dir, json } => verify(dir, *json),
        Request::Repair { dir, plan, json } => repair(dir, *plan, *json),
        Request::Stats { dir, json } => stats(dir, *json),
        Request::Dump { dir, raw } => dump::dump(dir, *raw).map(|()| Outcome::Done),
        Request::Copy { from, to, json } => {
            let copied: Copied = copy::copy(from, to)?;
            report::print(&copied, *json).map(|()| Outcome::Done)
        }
        Request::Cluster { verb, json } => cluster::run(verb, *json).map(|()| Outcome::Done),
        Request::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "kvs-admin", &mut script);
            let written = std::io::stdout().write_all(&script);
            written.map_err(Failure::Output).map(|()| Outcome::Done)
        }
    }
}

fn verify(dir: &Path, json: bool) -> Result<Outcome, Failure> {
    let mut line = Line::new("verify:");
    let found = kvs::verify_with(dir, &RealFs, &mut |at| line.show(at.done, at.total))?;
    drop(line);
    report::print(&Verified::from(&found), json)?;
    Ok(outcome(found.is_sound()))
}

fn repair(dir: &Path, plan: bool, json: bool) -> Result<Outcome, Failure> {
    let files: Arc<dyn FileSystem> = Arc::new(RealFs);
    let mut line = Line::new("repair: checking");
    let mut show = |at: kvs::Progress| line.show(at.done, at.total);
    let done = match plan {
        true => kvs::plan_repair(dir, &files, &mut show)?,
        false => kvs::repair(dir, &files, &mut show)?,
    };
    drop(line);
    report::print(&Repaired::new(&done, plan), json)?;
    Ok(outcome(!plan || done.before.is_sound()))
}

fn outcome(is_sound: bool) -> Outcome {
    match is_sound {
        true => Outcome::Done,
        false => Outcome::Damaged,
    }
}

fn stats(dir: &Path, json: bool) -> Result<Outcome, Failure> {
    let engine = open(dir)?;
    let figures = Figures::new(dir, &engine.stats(), engine.recovery());
    engine.close()?;
    report::print(&figures, json)?;
    Ok(Outcome::Done)
}

/// Opens an existing directory without taking more space or starting work in the background.
pub(crate) fn open(dir: &Path) -> Result<LogEngine, Failure> {
    require_data(dir)?;
    let options = Options {
        background: false,
        ..Options::small()
    };
    LogEngine::open(dir, options).map_err(Failure::of(dir))
}

/// Refuses a directory that opening would turn into a new, empty store.
pub(crate) fn require_data(dir: &Path) -> Result<(), Failure> {
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "segment");
    let has_data =
        RealFs.exists(&dir.join("KEYPROOF"))? || RealFs.list(dir)?.iter().any(is_segment);
    match has_data {
        true => Ok(()),
        false => Err(Failure::Io {
            op: "find a data directory in",
            path: dir.to_owned(),
            source: std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "it has neither a KEYPROOF file nor a segment",
            ),
        }),
    }
}
