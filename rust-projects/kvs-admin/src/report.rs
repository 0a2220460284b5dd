//! What is printed: one structure per command, as text or as JSON.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use storage::kvs::format::SegmentKind;
use storage::kvs::{self, Action, FindingKind, HintState, Recovery, RepairReport, Stats};

use crate::failure::Failure;

/// Prints to standard output.
pub(crate) fn print(report: &(impl Serialize + fmt::Display), json: bool) -> Result<(), Failure> {
    let text = match json {
        true => serde_json::to_string_pretty(report).expect("paths are printed lossily"),
        false => report.to_string(),
    };
    let written = writeln!(std::io::stdout(), "{}", text.trim_end());
    written.map_err(Failure::Output)
}

/// JSON has no paths that are not UTF-8.
fn text(path: &Path) -> String {
    path.display().to_string()
}

#[derive(Debug, Serialize)]
struct Finding {
    kind: &'static str,
    damage: bool,
    path: String,
    offset: u64,
    bytes: u64,
    batches_lost: Option<u64>,
    what: String,
    #[serde(skip)]
    name: String,
}

impl From<&kvs::Finding> for Finding {
    fn from(finding: &kvs::Finding) -> Self {
        Self {
            kind: finding.kind.name(),
            damage: finding.kind.is_damage(),
            path: text(&finding.path),
            offset: finding.offset,
            bytes: finding.bytes,
            batches_lost: finding.batches,
            what: finding.what.clone(),
            name: text(Path::new(finding.path.file_name().unwrap_or_default())),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.damage { "damage" } else { "note" };
        let Self {
            kind,
            name,
            offset,
            bytes,
            what,
            ..
        } = self;
        write!(
            f,
            "{severity:6}  {name} at {offset}, {bytes} bytes, {kind}: {what}"
        )?;
        match self.batches_lost {
            Some(1) => write!(f, " (1 batch lost)"),
            Some(lost) if lost > 0 => write!(f, " ({lost} batches lost)"),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Segment {
    id: u32,
    path: String,
    kind: Option<&'static str>,
    bytes: u64,
    frames: u64,
    records: u64,
    footer: bool,
    hint: &'static str,
}

impl From<&kvs::SegmentReport> for Segment {
    fn from(segment: &kvs::SegmentReport) -> Self {
        Self {
            id: segment.id,
            path: text(&segment.path),
            kind: segment.kind.map(|kind| match kind {
                SegmentKind::Log => "log",
                SegmentKind::Compacted => "compacted",
            }),
            bytes: segment.bytes,
            frames: segment.frames,
            records: segment.records,
            footer: segment.footer,
            hint: match segment.hint {
                HintState::Absent => "absent",
                HintState::Used => "used",
                HintState::Unused => "unused",
            },
        }
    }
}

/// The result of `verify`.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    dir: String,
    sound: bool,
    segments: Vec<Segment>,
    findings: Vec<Finding>,
}

impl From<&kvs::Report> for Verified {
    fn from(report: &kvs::Report) -> Self {
        Self {
            dir: text(&report.dir),
            sound: report.is_sound(),
            segments: report.segments.iter().map(Segment::from).collect(),
            findings: report.findings.iter().map(Finding::from).collect(),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Segment) -> u64| self.segments.iter().map(of).sum::<u64>();
        writeln!(
            f,
            "{}: {} segments, {} bytes, {} frames, {} records",
            self.dir,
            self.segments.len(),
            sum(|segment| segment.bytes),
            sum(|segment| segment.frames),
            sum(|segment| segment.records),
        )?;
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        match self.sound {
            true => writeln!(f, "sound"),
            false => writeln!(
                f,
                "damaged: restore a backup, or see what `kvs-admin repair --dry-run {}` would salvage",
                self.dir
            ),
        }
    }
}

#[derive(Debug, Serialize)]
struct Step {
    action: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    len: Option<u64>,
}

impl From<&Action> for Step {
    fn from(action: &Action) -> Self {
        let step = |action, path: &PathBuf| Self {
            action,
            path: text(path),
            kept: None,
            records: None,
            len: None,
        };
        match action {
            Action::Identity { path } => step("identity-written", path),
            Action::NewSegment { path } => step("segment-added", path),
            Action::Rebuilt {
                path,
                kept,
                records,
            } => Self {
                kept: Some(text(kept)),
                records: Some(*records),
                ..step("rebuilt", path)
            },
            Action::SetAside { path, kept } => Self {
                kept: Some(text(kept)),
                ..step("set-aside", path)
            },
            Action::Cut { path, len } => Self {
                len: Some(*len),
                ..step("cut", path)
            },
            Action::HintRemoved { path } => step("hint-removed", path),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.action, self.path)?;
        if let Some(records) = self.records {
            write!(f, ", {records} records salvaged")?;
        }
        if let Some(len) = self.len {
            write!(f, " to {len} bytes")?;
        }
        match &self.kept {
            Some(kept) => write!(f, ", the damaged file is {kept}"),
            None => Ok(()),
        }
    }
}

/// The result of `repair`.
#[derive(Debug, Serialize)]
pub(crate) struct Repaired {
    dir: String,
    dry_run: bool,
    was_sound: bool,
    findings: Vec<Finding>,
    actions: Vec<Step>,
    dropped: Vec<Finding>,
}

impl Repaired {
    pub(crate) fn new(report: &RepairReport, dry_run: bool) -> Self {
        Self {
            dir: text(&report.before.dir),
            dry_run,
            was_sound: report.before.is_sound(),
            findings: report.before.findings.iter().map(Finding::from).collect(),
            actions: report.actions.iter().map(Step::from).collect(),
            dropped: report.dropped().map(Finding::from).collect(),
        }
    }
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        let verb = if self.dry_run { "would be" } else { "was" };
        if self.actions.is_empty() {
            return writeln!(f, "{}: nothing to do", self.dir);
        }
        for dropped in &self.dropped {
            let Finding {
                name,
                offset,
                bytes,
                ..
            } = dropped;
            writeln!(f, "dropped  {bytes} bytes of {name} at {offset}")?;
        }
        let torn = FindingKind::TornTail.name();
        if self.dropped.iter().any(|dropped| dropped.kind != torn) {
            writeln!(
                f,
                "keys that the dropped bytes set or deleted show their older values, if any"
            )?;
        }
        writeln!(f, "{} {verb} repaired", self.dir)
    }
}

/// The result of `stats`.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    dir: String,
    keys: u64,
    segments: usize,
    disk_bytes: u64,
    live_bytes: u64,
    garbage_percent: u64,
    last_batch: u64,
    segments_opened_by_hint: usize,
    segments_scanned: usize,
    cut_bytes: u64,
    open_ms: u128,
}

impl Figures {
    pub(crate) fn new(dir: &Path, stats: &Stats, recovery: &Recovery) -> Self {
        let garbage = stats.disk_bytes.saturating_sub(stats.live_bytes);
        Self {
            dir: text(dir),
            keys: stats.keys,
            segments: stats.segments,
            disk_bytes: stats.disk_bytes,
            live_bytes: stats.live_bytes,
            garbage_percent: garbage * 100 / stats.disk_bytes.max(1),
            last_batch: stats.applied,
            segments_opened_by_hint: recovery.hinted,
            segments_scanned: recovery.scanned,
            cut_bytes: recovery.cut.as_ref().map_or(0, |cut| cut.bytes),
            open_ms: recovery.took.as_millis(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "directory        {}", self.dir)?;
        writeln!(f, "keys             {}", self.keys)?;
        writeln!(f, "segments         {}", self.segments)?;
        writeln!(f, "bytes on disk    {}", self.disk_bytes)?;
        writeln!(f, "live bytes       {}", self.live_bytes)?;
        writeln!(f, "garbage          {} %", self.garbage_percent)?;
        writeln!(f, "last batch       {}", self.last_batch)?;
        writeln!(
            f,
            "opened by hint   {} segments",
            self.segments_opened_by_hint
        )?;
        writeln!(f, "read in full     {} segments", self.segments_scanned)?;
        writeln!(f, "cut on opening   {} bytes", self.cut_bytes)?;
        writeln!(f, "time to open     {} ms", self.open_ms)
    }
}

/// The result of `backup` and `restore`.
#[derive(Debug, Serialize)]
pub(crate) struct Copied {
    from: String,
    to: String,
    files: usize,
    bytes: u64,
}

impl Copied {
    pub(crate) fn new(from: &Path, to: &Path, files: usize, bytes: u64) -> Self {
        Self {
            from: text(from),
            to: text(to),
            files,
            bytes,
        }
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            files,
            bytes,
        } = self;
        writeln!(
            f,
            "copied {from} to {to}: {files} files, {bytes} bytes, verified"
        )
    }
}
