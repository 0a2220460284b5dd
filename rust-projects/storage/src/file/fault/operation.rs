//! What can be done to the simulated disk, and what can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
#[cfg(doc)]
use crate::file::{File, FileSystem, fault::FaultFs};

/// A small, fast random generator (Steele, Lea and Flood, OOPSLA 2014), so that a seed means the same everywhere.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose sequence is determined by `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit` (0 for 0); the slight bias of the remainder does not matter to tests.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit.max(1)
    }
}

/// What power loss does to that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// All of it is gone.
    LoseAll,
    /// All of it is there.
    KeepAll,
    /// Any part of it is there, chosen by the seed.
    Random(u64),
}

/// The pieces in which unsynced bytes survive or not under [`CrashMode::Random`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tearing {
    /// Pages of 4,096 bytes, as page caches write.
    Page,
    /// Sectors of 512 bytes, as disks write.
    Sector,
    /// Sectors, each of which may be cut at any byte.
    Byte,
}

impl Tearing {
    pub(super) fn granule(self) -> u64 {
        match self {
            Self::Page => 4096,
            Self::Sector | Self::Byte => 512,
        }
    }
}

/// One call, with the path as the caller opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the call's arguments")]
pub enum Operation {
    /// [`FileSystem::create`].
    Create { path: PathBuf },
    /// [`FileSystem::open`]; not counted, not logged.
    Open { path: PathBuf },
    /// [`File::read_exact_at`]; not counted, not logged.
    Read {
        path: PathBuf,
        offset: u64,
        len: usize,
    },
    /// [`File::write_all_at`].
    Write {
        path: PathBuf,
        offset: u64,
        len: usize,
    },
    /// [`File::set_len`].
    SetLen { path: PathBuf, len: u64 },
    /// [`File::allocate`].
    Allocate { path: PathBuf, len: u64 },
    /// [`File::sync_data`].
    SyncData { path: PathBuf },
    /// [`FileSystem::rename`].
    Rename { from: PathBuf, to: PathBuf },
    /// [`FileSystem::remove`].
    Remove { path: PathBuf },
    /// [`FileSystem::hard_link`].
    HardLink { from: PathBuf, to: PathBuf },
    /// [`FileSystem::create_dir_all`].
    CreateDir { dir: PathBuf },
    /// [`FileSystem::sync_dir`].
    SyncDir { dir: PathBuf },
    /// [`FileSystem::lock_dir`].
    Lock { dir: PathBuf },
}

impl Operation {
    /// The file or directory concerned; of a rename or link the new name.
    pub fn path(&self) -> &Path {
        match self {
            Self::Create { path }
            | Self::Open { path }
            | Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::SetLen { path, .. }
            | Self::Allocate { path, .. }
            | Self::SyncData { path }
            | Self::Remove { path }
            | Self::Rename { to: path, .. }
            | Self::HardLink { to: path, .. } => path,
            Self::CreateDir { dir } | Self::SyncDir { dir } | Self::Lock { dir } => dir,
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Open { .. } => "open",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::SetLen { .. } => "resize",
            Self::Allocate { .. } => "allocate",
            Self::SyncData { .. } => "sync",
            Self::Rename { .. } => "rename",
            Self::Remove { .. } => "remove",
            Self::HardLink { .. } => "link",
            Self::CreateDir { .. } => "create directory",
            Self::SyncDir { .. } => "sync directory",
            Self::Lock { .. } => "lock",
        }
    }

    pub(super) fn fail(&self, source: io::Error) -> Error {
        Error::io(self.verb(), self.path(), source)
    }

    /// Whether it alters what [`File`]'s readers see of a file's bytes.
    pub(super) fn writes(&self) -> bool {
        matches!(
            self,
            Self::Write { .. } | Self::SetLen { .. } | Self::Allocate { .. }
        )
    }
}

/// An operation that was called and whether it returned `Ok`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The call.
    pub operation: Operation,
    /// Whether it succeeded.
    pub ok: bool,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// EIO, with nothing done.
    Io,
    /// EIO of a sync, after which Linux believes the unsynced data of the file clean: programs still read it, no later sync
    /// writes it, power loss takes it. For other operations as [`Fault::Io`].
    IoLosingData,
    /// ENOSPC, with nothing done.
    NoSpace,
    /// EIO of a write, after the first so many bytes were written. For other operations as [`Fault::Io`].
    ShortWrite(usize),
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::NoSpace => rustix::io::Errno::NOSPC.into(),
            Self::Io | Self::IoLosingData | Self::ShortWrite(_) => rustix::io::Errno::IO.into(),
        }
    }
}
