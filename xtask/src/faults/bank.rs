//! The load of transactions: the bank of crate `tikv-compat`, a process of its own that uses TiKV's published client. It checks itself what it saw.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::Arguments;
use super::load::Shared;
use crate::cluster::{Error, Result, doing};

/// How long the bank may take to be read a last time and checked, once all faults have ended.
const PATIENCE: Duration = Duration::from_secs(300);

/// How many transactions have ended so far, and how; in the end, what the checker found.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Figures {
    /// Transfers that were committed, as their clients were told.
    pub(crate) transfers: u64,
    /// Times that all accounts were read as of one moment, and their sum was right.
    pub(crate) looks: u64,
    /// Transfers that did not take place.
    pub(crate) aborted: u64,
    /// Transfers of unknown outcome.
    pub(crate) unknown: u64,
    /// Transfers that the client reported as committed and the cluster did not show.
    pub(crate) false_commits: u64,
    /// Transactions that the checker found committed, looks included; 0 until the end.
    #[serde(default)]
    pub(crate) committed: u64,
    /// Of those, transfers of unknown outcome that others saw.
    #[serde(default)]
    pub(crate) told_by_others: u64,
    /// Dependencies among which the checker looked for circles.
    #[serde(default)]
    pub(crate) dependencies: u64,
}

/// The bank, running.
pub(crate) struct Bank {
    child: Child,
    input: ChildStdin,
    figures: Arc<Mutex<Figures>>,
    reading: JoinHandle<()>,
}

impl Bank {
    /// Starts it against the nodes of a run.
    pub(crate) fn start(
        program: &Path,
        arguments: &Arguments,
        seed: u64,
        endpoints: &[String],
        log: &Path,
    ) -> Result<Self> {
        let log = std::fs::File::create(log).map_err(doing("write the words of the bank"))?;
        let mut child = Command::new(program)
            .arg(format!("--endpoints={}", endpoints.join(",")))
            .arg(format!("--clients={}", arguments.clients()))
            .arg(format!("--seed={}", seed % 1_000_000))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(doing("start the bank"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no input or output"));
        };
        let figures = Arc::default();
        let reading = tokio::spawn(read(output, Arc::clone(&figures)));
        Ok(Self {
            child,
            input,
            figures,
            reading,
        })
    }

    /// What it told last.
    pub(crate) fn figures(&self) -> Figures {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run early if it has ended by itself: it saw what must not be.
    pub(crate) fn watch(&self, shared: &Shared) {
        if self.reading.is_finished() && shared.violations().is_empty() {
            shared.violated("the bank ended by itself; its words are in bank.log".into());
        }
    }

    /// Asks it to end, waits for its verdict, and gives its figures. All faults must have ended.
    pub(crate) async fn end(self, shared: &Shared) -> Result<Figures> {
        let Self {
            mut child,
            input,
            figures,
            reading,
        } = self;
        drop(input);
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        let status = status.map_err(|_| failed("it does not come to a verdict"))?;
        let status = status.map_err(doing("wait for the bank"))?;
        if !status.success() && shared.violations().is_empty() {
            shared.violated(format!("the bank: {status}; its words are in bank.log"));
        }
        // It ends with the output of a process that has ended.
        let _ = reading.await;
        Ok(*figures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn failed(reason: &str) -> Error {
    Error::Program {
        program: "bank".into(),
        reason: reason.into(),
    }
}

async fn read(output: ChildStdout, figures: Arc<Mutex<Figures>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(told) = serde_json::from_str(&line) {
            *figures.lock().unwrap_or_else(PoisonError::into_inner) = told;
        }
    }
}
