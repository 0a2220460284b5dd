//! Salvaging what is intact in a damaged directory.
//!
//! # What it is
//!
//! [`repair`] makes a directory openable again: of each damaged segment the intact frames move to a new file under the
//! same name, a torn tail is cut as opening would, hints that are of no use go. [`plan_repair`] says what it would do.
//!
//! # What it guarantees
//!
//! Afterwards [`super::LogEngine::open`] succeeds and serves every record of every intact frame. What was dropped is in
//! the report, by file, offset and length. Damaged files stay, under a name that ends in `.damaged` and that opening
//! ignores. A sound directory is not touched. A crash in the middle leaves a directory that can be repaired again.
//!
//! # What it does not
//!
//! A frame is a batch, or some hundred records after compaction, under one checksum: one flipped bit loses all of them.
//! Keys that a lost batch set or deleted show their older values again, where those are still on disk.
//!
//! # How it works
//!
//! ```text
//!   0000000007.segment          [header | frame | ##### | frame | footer]    damaged
//!   0000000007.segment-new      [header | frame         | frame | footer]    moved, synced
//!   0000000007.segment.damaged  second name of the first; then the second is renamed over it
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{Change, Header, Record, SegmentKind};
use super::hint::hint_path;
use super::inspect::{Fate, Inspection, inspect, read_readable};
use super::output::Output;
use super::reserve::Reserve;
use super::segment::{self, Segment};
use super::verify::{Finding, FindingKind, Progress, Report};
use super::walk::value_is_sound;
use super::{IDENTITY, Options};
use crate::file::FileSystem;
use crate::{Identity, Result};

/// What a repair found and did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// The directory as it was before.
    pub before: Report,
    /// What was done, in order.
    pub actions: Vec<Action>,
}

impl RepairReport {
    /// The findings with which bytes of the log were dropped.
    pub fn dropped(&self) -> impl Iterator<Item = &Finding> {
        use FindingKind::{FooterMissing, Frames, HeaderLost, TornTail, Value};
        let findings = self.before.findings.iter();
        findings.filter(|finding| {
            matches!(
                finding.kind,
                HeaderLost | Frames | Value | FooterMissing | TornTail
            )
        })
    }
}

/// One step of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The identity file was written anew.
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// An empty segment was added, so that the log goes on there and not in a file that a backup may share.
    NewSegment {
        /// The file.
        path: PathBuf,
    },
    /// The intact frames of a segment were moved to a new file of the same name.
    Rebuilt {
        /// The file.
        path: PathBuf,
        /// Where the damaged one is now.
        kept: PathBuf,
        /// Records in the new file.
        records: u64,
    },
    /// A segment of which nothing can be checked was renamed.
    SetAside {
        /// The file.
        path: PathBuf,
        /// Where it is now.
        kept: PathBuf,
    },
    /// A torn tail was cut off.
    Cut {
        /// The file.
        path: PathBuf,
        /// Its new length in bytes.
        len: u64,
    },
    /// A hint was removed; the next one is written by itself.
    HintRemoved {
        /// The file.
        path: PathBuf,
    },
}

/// What [`repair`] would do. Changes nothing.
///
/// # Errors
/// As [`super::verify`].
pub fn plan_repair(
    dir: &Path,
    files: &Arc<dyn FileSystem>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RepairReport> {
    run(dir, files, progress, None)
}

/// Repairs the directory `dir`, which must not be open.
///
/// # Errors
/// As [`super::verify`]; [`crate::Error::DiskFull`] and other I/O errors, after which it can be run again.
pub fn repair(
    dir: &Path,
    files: &Arc<dyn FileSystem>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RepairReport> {
    run(dir, files, progress, Some(Options::default().entropy))
}

/// With `entropy` for the salts of new segments; without it nothing is changed.
fn run(
    dir: &Path,
    files: &Arc<dyn FileSystem>,
    progress: &mut dyn FnMut(Progress),
    entropy: Option<u64>,
) -> Result<RepairReport> {
    let Inspection {
        report,
        fates,
        identity_is_sound,
        lock,
    } = inspect(dir, &**files, progress)?;
    let mut repairer = Repairer {
        dir,
        files,
        entropy,
        actions: Vec::new(),
    };
    if !identity_is_sound {
        repairer.write_identity()?;
    }
    if let Some(id) = next_log_segment(&report, &fates) {
        repairer.add_segment(id)?;
    }
    for (segment, fate) in report.segments.iter().zip(&fates) {
        let path = &segment.path;
        match *fate {
            Fate::Keep => {}
            Fate::DropHint => repairer.remove_hint(path)?,
            Fate::Cut(len) => repairer.cut(path, len)?,
            Fate::Rebuild { header, until } => repairer.rebuild(path, header, until)?,
            Fate::SetAside => repairer.set_aside(path)?,
        }
    }
    drop(lock);
    Ok(RepairReport {
        actions: repairer.actions,
        before: report,
    })
}

/// The id of an empty segment to add when the log's last segment is about to go. Without it the next open would append
/// to an older segment, whose file a checkpoint may share by hard link.
fn next_log_segment(report: &Report, fates: &[Fate]) -> Option<u32> {
    let mut segments = report.segments.iter().zip(fates).rev();
    let (_, fate) = segments.find(|(segment, _)| segment.kind != Some(SegmentKind::Compacted))?;
    let goes = matches!(fate, Fate::Rebuild { .. } | Fate::SetAside);
    let last = report.segments.last()?.id;
    goes.then_some(last.saturating_add(1))
}

struct Repairer<'a> {
    dir: &'a Path,
    files: &'a Arc<dyn FileSystem>,
    entropy: Option<u64>,
    actions: Vec<Action>,
}

impl Repairer<'_> {
    fn write_identity(&mut self) -> Result<()> {
        let path = Identity::path(self.dir);
        if self.entropy.is_some() {
            IDENTITY.record(&**self.files, self.dir)?;
        }
        self.actions.push(Action::Identity { path });
        Ok(())
    }

    fn add_segment(&mut self, id: u32) -> Result<()> {
        let path = segment::segment_path(self.dir, id);
        if let Some(entropy) = self.entropy {
            let len = super::format::HEADER_LEN as u64;
            Segment::create_log(&**self.files, self.dir, id, entropy, len)?;
        }
        self.actions.push(Action::NewSegment { path });
        Ok(())
    }

    fn remove_hint(&mut self, segment: &Path) -> Result<()> {
        let path = hint_path(segment);
        if !self.files.exists(&path)? {
            return Ok(());
        }
        if self.entropy.is_some() {
            self.files.remove(&path)?;
            self.files.sync_dir(self.dir)?;
        }
        self.actions.push(Action::HintRemoved { path });
        Ok(())
    }

    fn cut(&mut self, path: &Path, len: u64) -> Result<()> {
        self.remove_hint(path)?;
        if self.entropy.is_some() {
            let file = self.files.open(path)?;
            file.set_len(len)?;
            file.sync_data()?;
        }
        let path = path.to_owned();
        self.actions.push(Action::Cut { path, len });
        Ok(())
    }

    fn rebuild(&mut self, path: &Path, header: Header, until: u64) -> Result<()> {
        let kept = self.damaged_path(path)?;
        let (bytes, _) = read_readable(&**self.files, path)?;
        let records = match self.entropy {
            Some(entropy) => {
                let (files, id) = (self.files, header.id);
                let mut output = Output::create(files, self.dir, id, entropy, bytes.len() as u64)?;
                let push = |record: &Record<'_>| output.push(record).map(|_| ());
                let salvaged = salvage(&bytes, &header, until, push)
                    .and_then(|records| self.keep(path, &kept).map(|()| records));
                match salvaged {
                    Ok(records) => {
                        // A server that is repaired holds no reserve yet.
                        output.finish(&Reserve::new(files, self.dir, 0))?;
                        records
                    }
                    Err(error) => {
                        output.abandon();
                        return Err(error);
                    }
                }
            }
            None => salvage(&bytes, &header, until, |_| Ok(()))?,
        };
        self.actions.push(Action::Rebuilt {
            path: path.to_owned(),
            kept,
            records,
        });
        Ok(())
    }

    /// Gives the damaged file a second name, so that there is a segment under the first at any moment.
    fn keep(&self, path: &Path, kept: &Path) -> Result<()> {
        if self.files.hard_link(path, kept).is_err() {
            // A file system without hard links.
            self.files.write_durably(kept, &self.files.read(path)?)?;
        }
        self.files.sync_dir(self.dir)
    }

    fn set_aside(&mut self, path: &Path) -> Result<()> {
        let kept = self.damaged_path(path)?;
        self.remove_hint(path)?;
        if self.entropy.is_some() {
            self.files.rename(path, &kept)?;
            self.files.sync_dir(self.dir)?;
        }
        self.actions.push(Action::SetAside {
            path: path.to_owned(),
            kept,
        });
        Ok(())
    }

    /// A free name for the damaged file.
    fn damaged_path(&self, path: &Path) -> Result<PathBuf> {
        let mut number = 1;
        loop {
            let suffix = match number {
                1 => "segment.damaged".to_owned(),
                _ => format!("segment.damaged-{number}"),
            };
            let kept = path.with_extension(suffix);
            if !self.files.exists(&kept)? {
                return Ok(kept);
            }
            number += 1;
        }
    }
}

/// Gives each sound record of the intact frames that start below `until` to `push`; returns how many.
fn salvage(
    bytes: &[u8],
    header: &Header,
    until: u64,
    mut push: impl FnMut(&Record<'_>) -> Result<()>,
) -> Result<u64> {
    let mut records = 0;
    let mut outcome = Ok(());
    segment::scan(bytes, header, true, |frame| {
        if frame.offset >= until {
            return;
        }
        for placed in frame.records().map_while(std::result::Result::ok) {
            let sound = match placed.record.change {
                Change::Put { key, value } => {
                    value_is_sound(bytes, placed.value_offset, key, value)
                }
                Change::Delete { .. } | Change::DeleteRange { .. } => true,
            };
            if sound && outcome.is_ok() {
                outcome = push(&placed.record);
                records += 1;
            }
        }
    });
    outcome.map(|()| records)
}
