//! The figures of a run, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use history::Verdict;
use serde::Serialize;

use super::Arguments;
use super::bank::Figures;
use super::director::Director;
use super::load::Shared;
use super::plan::Kind;
use super::record::name;
use crate::run::Error;

/// See the module's page.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    seed: u64,
    nodes: usize,
    seconds: f64,
    interrupted: bool,
    operations: u64,
    acknowledged_writes: u64,
    unknown: u64,
    not_done: u64,
    /// Keys whose history has an order until the read at the end, and none with it.
    lost_acknowledged_writes: usize,
    faults: BTreeMap<Kind, u64>,
    stopped_by_full_disk: u64,
    skipped: Vec<String>,
    longest_unavailability_s: f64,
    longest_unavailability_with_majority_s: f64,
    keys_linearizable: usize,
    keys_inconclusive: usize,
    keys_violated: Vec<String>,
    /// With transactions as load.
    transactions: Option<Figures>,
    violations: Vec<String>,
}

impl Summary {
    pub(crate) fn of(
        shared: &Shared,
        director: &Director,
        seed: u64,
        arguments: &Arguments,
        lasted: Duration,
        (skipped, interrupted, transactions): (Vec<String>, bool, Option<Figures>),
    ) -> Self {
        let counts = shared.recorder.counts();
        let unavailable = shared.recorder.unavailable();
        let verdicts = shared
            .verdicts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let violated = verdicts.impossible().into_iter();
        Self {
            seed,
            nodes: arguments.nodes,
            seconds: lasted.as_secs_f64(),
            interrupted,
            operations: counts.answered + counts.unknown + counts.not_done,
            acknowledged_writes: counts.acknowledged_writes,
            unknown: counts.unknown,
            not_done: counts.not_done,
            lost_acknowledged_writes: verdicts.lost,
            faults: director.injected.clone(),
            stopped_by_full_disk: director.stopped_by_full_disk,
            skipped,
            longest_unavailability_s: unavailable.longest.as_secs_f64(),
            longest_unavailability_with_majority_s: unavailable.longest_with_majority.as_secs_f64(),
            keys_linearizable: verdicts.count(Verdict::Linearizable),
            keys_inconclusive: verdicts.count(Verdict::Inconclusive),
            keys_violated: violated.map(name).collect(),
            transactions,
            violations: shared.violations(),
        }
    }

    /// What makes the run a failure.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut findings = self.violations.clone();
        if self.faults.values().sum::<u64>() == 0 {
            findings.push("no fault was injected: the run proves nothing".into());
        }
        match self.transactions {
            None if self.keys_linearizable == 0 => {
                findings.push("no history was found linearizable: the run proves nothing".into());
            }
            Some(figures) if figures.transfers == 0 || figures.looks == 0 => {
                findings
                    .push("nothing was transferred or looked at: the run proves nothing".into());
            }
            _ => {}
        }
        findings
    }

    /// Writes the figures as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| std::fs::write(path, text + "\n"))
            .map_err(|source| Error::Write {
                path: path.to_owned(),
                source,
            })
    }

    /// Writes each history that no order explains into `dir`, in the order of the calls.
    pub(crate) fn keep_violated(&self, shared: &Shared, dir: &Path) -> Result<(), Error> {
        for key in
            (0..shared.recorder.keys()).filter(|&key| self.keys_violated.contains(&name(key)))
        {
            let path = dir.join(format!("history-{}.txt", name(key)));
            let lines = shared.recorder.history(key).into_iter();
            let lines: String = lines.map(|call| format!("{call:?}\n")).collect();
            std::fs::write(&path, lines).map_err(|source| Error::Write { path, source })?;
        }
        Ok(())
    }
}

impl Summary {
    fn write_keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "operations: {}; writes acknowledged: {}; outcome unknown: {}; refused: {}",
            self.operations, self.acknowledged_writes, self.unknown, self.not_done
        )?;
        writeln!(
            f,
            "acknowledged writes lost: {}",
            self.lost_acknowledged_writes
        )?;
        writeln!(
            f,
            "histories: {} linearizable, {} inconclusive, {} violated {}",
            self.keys_linearizable,
            self.keys_inconclusive,
            self.keys_violated.len(),
            self.keys_violated.join(" ")
        )?;
        writeln!(
            f,
            "longest time without an acknowledged write: {:.2} s; with a majority undisturbed: {:.2} s",
            self.longest_unavailability_s, self.longest_unavailability_with_majority_s
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut_short = if self.interrupted {
            ", interrupted"
        } else {
            ""
        };
        writeln!(
            f,
            "seed {}, {} nodes, {:.0} s{cut_short}",
            self.seed, self.nodes, self.seconds
        )?;
        match &self.transactions {
            None => self.write_keys(f)?,
            Some(figures) => writeln!(
                f,
                "transfers: {}, of unknown outcome: {}, wrongly reported as done: {}, not done: {}; looks: {}\n\
                 the checker saw {} committed, {} of them told by others only, and {} dependencies",
                figures.transfers,
                figures.unknown,
                figures.false_commits,
                figures.aborted,
                figures.looks,
                figures.committed,
                figures.told_by_others,
                figures.dependencies
            )?,
        }
        writeln!(f, "faults: {}", self.faults.values().sum::<u64>())?;
        for kind in Kind::ALL {
            let count = self.faults.get(&kind).copied().unwrap_or_default();
            writeln!(f, "{count:>7}  {}", kind.text())?;
        }
        write!(
            f,
            "{} kinds skipped: {}",
            self.skipped.len(),
            self.skipped.join("; ")
        )?;
        if self.stopped_by_full_disk > 0 {
            write!(
                f,
                "\na full disk stopped its node {} times, which came back when it had room",
                self.stopped_by_full_disk
            )?;
        }
        Ok(())
    }
}
