//! Checking a directory without opening it.
//!
//! # What it is
//!
//! [`verify`] reads every byte of every segment and hint and says what it found, as a [`Report`]. It is also the first
//! half of [`super::repair`].
//!
//! # What it guarantees
//!
//! It changes nothing but the lock file. It accepts what [`super::LogEngine::open`] accepts and finds what opening
//! does not look at: values behind a hint, and hints that disagree with their segment.
//!
//! # What it does not
//!
//! No list of segments is kept, so a segment that is gone as a whole is not missed; nor are frames missed that were
//! cut off at the end of the log exactly between two frames.
//!
//! # How it works
//!
//! ```text
//!   identity -> headers -> which segments may be torn -> each segment: frames, values, footer -> its hint
//! ```

use std::path::{Path, PathBuf};

use super::format::SegmentKind;
use super::inspect::inspect;
#[cfg(doc)]
use crate::Error;
use crate::Result;
use crate::file::FileSystem;

/// What a directory holds and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The directory.
    pub dir: PathBuf,
    /// Its segments by ascending id.
    pub segments: Vec<SegmentReport>,
    /// What is out of order, in the order found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing that a crash cannot explain was found.
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(|finding| finding.kind.is_damage())
    }
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// The segment's number.
    pub id: u32,
    /// Its file.
    pub path: PathBuf,
    /// Who wrote it; `None` when its header is damaged beyond restoring.
    pub kind: Option<SegmentKind>,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Intact frames, footers included.
    pub frames: u64,
    /// Records in the intact frames.
    pub records: u64,
    /// Whether it ends in an intact footer.
    pub footer: bool,
    /// Its hint file.
    pub hint: HintState,
}

/// What a hint file is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintState {
    /// There is none; the segment is read when the directory is opened.
    Absent,
    /// It is used when the directory is opened.
    Used,
    /// It does not describe the segment as it is, so the segment is read instead.
    Unused,
}

/// Something out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// File concerned.
    pub path: PathBuf,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Bytes concerned.
    pub bytes: u64,
    /// How many batches are lost with them, where the batches around them tell.
    pub batches: Option<u64>,
    /// What does not hold.
    pub what: String,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// The identity file is damaged or missing.
    Identity,
    /// A segment's header is damaged, but all of it is known from elsewhere.
    HeaderRestored,
    /// A segment's header is damaged; its frames cannot be checked without the salt that it held.
    HeaderLost,
    /// The disk fails to read a block; what it held is among the findings that follow.
    Unreadable,
    /// Bytes among or after the frames of a segment are no frame.
    Frames,
    /// The checksum of a value does not match, in an intact frame.
    Value,
    /// A segment that was complete once ends without its footer.
    FooterMissing,
    /// A hint passes its checks but does not say what the segment says.
    HintWrong,
    /// The log ends in frames that nobody was told are durable, as after a crash. Opening cuts them off.
    TornTail,
    /// A hint is not used, because it is damaged or out of date. Opening reads the segment instead.
    HintUnused,
    /// What an interrupted compaction left. Opening removes it.
    Leftover,
}

impl FindingKind {
    /// Whether no crash explains it.
    pub fn is_damage(self) -> bool {
        !matches!(self, Self::TornTail | Self::HintUnused | Self::Leftover)
    }

    /// A short name, as printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::HeaderRestored => "header-restored",
            Self::HeaderLost => "header-lost",
            Self::Unreadable => "unreadable",
            Self::Frames => "frames",
            Self::Value => "value",
            Self::FooterMissing => "footer-missing",
            Self::HintWrong => "hint-wrong",
            Self::TornTail => "torn-tail",
            Self::HintUnused => "hint-unused",
            Self::Leftover => "leftover",
        }
    }
}

/// How far a check is, in bytes of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in total.
    pub total: u64,
}

/// Checks the directory `dir`, which must not be open. Reads all of it and writes nothing.
///
/// # Errors
/// [`Error::Locked`], [`Error::WrongEngine`], [`Error::NewerFormat`]; I/O errors, of which `NotFound` when `dir` is no
/// data directory. Damage is no error but a finding.
pub fn verify(dir: &Path, files: &dyn FileSystem) -> Result<Report> {
    verify_with(dir, files, &mut |_| ())
}

/// As [`verify`], and calls `progress` after each segment.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(
    dir: &Path,
    files: &dyn FileSystem,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    Ok(inspect(dir, files, progress)?.report)
}
