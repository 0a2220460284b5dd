//! What a simulated disk holds: for every file and every name both what programs see and what power loss leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CrashMode, SplitMix64, Tearing};

const PAGE_BYTES: usize = 4096;

pub(super) type InodeId = u64;

/// The bytes of a file: sparse, and cheap to copy since copies share their pages.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8; PAGE_BYTES]>>,
}

impl Pages {
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut pages = Self::default();
        pages.write(0, bytes);
        pages
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` from `offset`; holes and what lies beyond the end read as zeros.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) {
        for (page, within, span) in spans(offset, buffer.len()) {
            match self.pages.get(&page) {
                Some(bytes) => {
                    let end = within + span.len();
                    buffer[span].copy_from_slice(&bytes[within..end]);
                }
                None => buffer[span].fill(0),
            }
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }

    /// Writes `data` at `offset` and extends the file as needed.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        for (page, within, span) in spans(offset, data.len()) {
            let bytes = self
                .pages
                .entry(page)
                .or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            let end = within + span.len();
            Arc::make_mut(bytes)[within..end].copy_from_slice(&data[span]);
        }
        if !data.is_empty() {
            self.len = self.len.max(offset + data.len() as u64);
        }
    }

    /// Cuts the file, or extends it by a hole.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (last, within) = (len / PAGE_BYTES as u64, (len % PAGE_BYTES as u64) as usize);
            self.pages.retain(|&page, _| page <= last);
            if let Some(bytes) = self.pages.get_mut(&last) {
                Arc::make_mut(bytes)[within..].fill(0);
            }
        }
        self.len = len;
    }
}

/// Cuts `len` bytes at `offset` into pages: page number, offset within the page, range of the buffer.
fn spans(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let span = done..len.min(done + PAGE_BYTES - within);
        done = span.end;
        Some((at / PAGE_BYTES as u64, within, span))
    })
}

/// A change of a file that no sync has made durable yet.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    Resize { from: u64, to: u64 },
}

impl Change {
    fn apply(&self, pages: &mut Pages) {
        match self {
            Self::Write { offset, data } => pages.write(*offset, data),
            Self::Resize { to, .. } => pages.set_len(*to),
        }
    }

    /// The bytes it alters: for a cut what is cut off, for an extension nothing.
    fn extent(&self) -> std::ops::Range<u64> {
        match self {
            Self::Write { offset, data } => *offset..offset + data.len() as u64,
            Self::Resize { from, to } => *to..(*from).max(*to),
        }
    }

    fn shrinks(&self) -> bool {
        matches!(self, Self::Resize { from, to } if to < from)
    }
}

/// A file without its names.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    /// What programs read: the page cache.
    pub(super) cached: Pages,
    /// What is certainly on the disk.
    pub(super) durable: Pages,
    /// What was changed since, in order.
    pending: Vec<Change>,
    /// Whether a failed sync dropped changes that are still seen in the cache.
    dropped: bool,
    /// Bytes reserved from the start of the file, whatever its length.
    allocated: u64,
    pub(super) handles: usize,
}

impl Inode {
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if !data.is_empty() {
            self.change(Change::Write {
                offset,
                data: data.into(),
            });
        }
    }

    pub(super) fn set_len(&mut self, to: u64) {
        let from = self.cached.len();
        self.allocated = self.allocated.min(to);
        if from != to {
            self.change(Change::Resize { from, to });
        }
    }

    pub(super) fn allocate(&mut self, len: u64) {
        self.allocated = self.allocated.max(len);
    }

    /// Bytes it takes of the disk.
    pub(super) fn used_bytes(&self) -> u64 {
        self.allocated.max(self.cached.len())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Linux after a failed writeback: the pages count as clean, so that no later sync writes them.
    pub(super) fn drop_pending(&mut self) {
        self.dropped |= !self.pending.is_empty();
        self.pending.clear();
    }

    pub(super) fn is_synced(&self) -> bool {
        self.pending.is_empty() && !self.dropped
    }

    /// Replaces the content, on the disk too.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        *self = Self {
            cached: Pages::from_bytes(bytes),
            durable: Pages::from_bytes(bytes),
            handles: self.handles,
            ..Self::default()
        };
    }

    fn after_crash(&self, mode: CrashMode, tearing: Tearing, random: &mut SplitMix64) -> Self {
        let left = match mode {
            CrashMode::LoseAll => self.durable.clone(),
            CrashMode::KeepAll => {
                let mut pages = self.durable.clone();
                self.pending
                    .iter()
                    .for_each(|change| change.apply(&mut pages));
                pages
            }
            CrashMode::Random(_) => self.any_writeback(tearing, random),
        };
        Self {
            cached: left.clone(),
            durable: left,
            ..Self::default()
        }
    }

    /// A state that writeback in any order can have left. Cuts are journaled by file systems: they happen in order, and
    /// nothing written after a cut is there without it. Between two cuts each granule has any version of its own.
    fn any_writeback(&self, tearing: Tearing, random: &mut SplitMix64) -> Pages {
        let cuts: Vec<usize> = (0..self.pending.len())
            .filter(|&at| self.pending[at].shrinks())
            .collect();
        let epoch = random.below(cuts.len() as u64 + 1) as usize;
        // The changes before `from` include all cuts that happened, those from `to` on did not happen.
        let from = epoch.checked_sub(1).map_or(0, |cut| cuts[cut] + 1);
        let to = cuts.get(epoch).copied().unwrap_or(self.pending.len());

        let granule = tearing.granule();
        let mut touching = BTreeMap::<u64, Vec<usize>>::new();
        for (at, change) in self.pending[..to].iter().enumerate() {
            let extent = change.extent();
            for number in extent.start / granule..extent.end.div_ceil(granule) {
                touching.entry(number).or_default().push(at);
            }
        }
        let keep_percent = [10, 50, 90][random.below(3) as usize];
        let mut left = self.durable.clone();
        for (number, changes) in touching {
            let least = changes
                .iter()
                .rposition(|&at| at < from && self.pending[at].shrinks())
                .map_or(0, |at| at + 1);
            let mut pick = || match random.below(100) < keep_percent {
                true => changes.len(),
                false => least + random.below((changes.len() - least + 1) as u64) as usize,
            };
            let mut bytes = self.granule(number, granule, &changes[..pick()]);
            if tearing == Tearing::Byte {
                let other = self.granule(number, granule, &changes[..pick()]);
                let cut = random.below(granule + 1) as usize;
                bytes[cut..].copy_from_slice(&other[cut..]);
            }
            left.write(number * granule, &bytes);
        }
        left.set_len(self.any_len(from, to, random));
        left
    }

    /// The bytes of one granule after some of the changes.
    fn granule(&self, number: u64, granule: u64, changes: &[usize]) -> Vec<u8> {
        let start = number * granule;
        let mut bytes = vec![0; granule as usize];
        self.durable.read(start, &mut bytes);
        for &at in changes {
            let extent = self.pending[at].extent();
            let (low, high) = (extent.start.max(start), extent.end.min(start + granule));
            let target = &mut bytes[(low - start) as usize..(high - start) as usize];
            match &self.pending[at] {
                Change::Write { offset, data } => {
                    let source = (low - offset) as usize..(high - offset) as usize;
                    target.copy_from_slice(&data[source]);
                }
                Change::Resize { .. } => target.fill(0),
            }
        }
        bytes
    }

    /// A length that the file had, or passed through, between the changes `from` and `to`.
    fn any_len(&self, from: usize, to: usize, random: &mut SplitMix64) -> u64 {
        let mut len = self.durable.len();
        let mut least = len;
        for (at, change) in self.pending[..to].iter().enumerate() {
            len = match change {
                Change::Resize { to, .. } => *to,
                Change::Write { .. } => len.max(change.extent().end),
            };
            if at < from {
                least = len;
            }
        }
        match random.below(4) {
            0 => least,
            1 => len,
            _ => least + random.below(len - least + 1),
        }
    }
}

/// Names and what they point at, each change with the names it alters together.
#[derive(Debug, Clone, Default)]
struct Names {
    cached: BTreeMap<PathBuf, InodeId>,
    durable: BTreeMap<PathBuf, InodeId>,
    pending: Vec<Vec<(PathBuf, Option<InodeId>)>>,
}

fn apply(names: &mut BTreeMap<PathBuf, InodeId>, path: &Path, target: Option<InodeId>) {
    match target {
        Some(inode) => names.insert(path.to_owned(), inode),
        None => names.remove(path),
    };
}

/// The whole disk. Directories themselves are durable once created, as [`super::FileSystem::create_dir_all`] promises.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    names: Names,
    dirs: BTreeSet<PathBuf>,
    next: InodeId,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            inodes: BTreeMap::new(),
            names: Names::default(),
            dirs: [PathBuf::new(), PathBuf::from("/")].into(),
            next: 1,
        }
    }

    pub(super) fn lookup(&self, path: &Path) -> Option<InodeId> {
        self.names.cached.get(path).copied()
    }

    pub(super) fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[&id]
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        self.inodes
            .get_mut(&id)
            .expect("an inode lives while a name or handle refers to it")
    }

    pub(super) fn new_inode(&mut self) -> InodeId {
        let id = self.next;
        self.next += 1;
        self.inodes.insert(id, Inode::default());
        id
    }

    /// Changes names, together where they lie in one directory.
    pub(super) fn rename(&mut self, change: Vec<(PathBuf, Option<InodeId>)>) {
        for (path, target) in &change {
            apply(&mut self.names.cached, path, *target);
        }
        self.names.pending.push(change);
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        for change in &mut self.names.pending {
            for (path, target) in change.extract_if(.., |(path, _)| path.parent() == Some(dir)) {
                apply(&mut self.names.durable, &path, target);
            }
        }
        self.names.pending.retain(|change| !change.is_empty());
        self.collect();
    }

    pub(super) fn is_name_durable(&self, path: &Path) -> bool {
        let mut pending = self.names.pending.iter().flatten();
        !pending.any(|(name, _)| name == path)
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.dirs.contains(path)
    }

    pub(super) fn create_dir_all(&mut self, dir: &Path) {
        self.dirs.extend(dir.ancestors().map(Path::to_owned));
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let names = self.names.cached.keys();
        names
            .filter(|path| path.parent() == Some(dir))
            .cloned()
            .collect()
    }

    /// Bytes taken: the lengths of all files that have a name or an open handle.
    pub(super) fn used_bytes(&self) -> u64 {
        let named: BTreeSet<InodeId> = self.names.cached.values().copied().collect();
        self.inodes
            .iter()
            .filter(|(id, inode)| inode.handles > 0 || named.contains(id))
            .map(|(_, inode)| inode.used_bytes())
            .sum()
    }

    pub(super) fn release(&mut self, id: InodeId) {
        self.inode_mut(id).handles -= 1;
        self.collect();
    }

    /// Frees the inodes that nothing can reach any more.
    fn collect(&mut self) {
        let names = &self.names;
        let reachable: BTreeSet<InodeId> = names
            .cached
            .values()
            .chain(names.durable.values())
            .copied()
            .chain(names.pending.iter().flatten().filter_map(|(_, id)| *id))
            .collect();
        self.inodes
            .retain(|id, inode| inode.handles > 0 || reachable.contains(id));
    }

    /// The disk as the next process finds it when power never failed.
    pub(super) fn fork(&self) -> Self {
        let mut disk = self.clone();
        disk.inodes.values_mut().for_each(|inode| inode.handles = 0);
        disk.collect();
        disk
    }

    /// The disk as found after power loss.
    pub(super) fn after_crash(&self, mode: CrashMode, tearing: Tearing) -> Self {
        let mut random = SplitMix64::new(match mode {
            CrashMode::Random(seed) => seed,
            CrashMode::LoseAll | CrashMode::KeepAll => 0,
        });
        let keep_percent = [10, 50, 90][random.below(3) as usize];
        let mut names = self.names.durable.clone();
        for change in &self.names.pending {
            let keep = match mode {
                CrashMode::LoseAll => false,
                CrashMode::KeepAll => true,
                CrashMode::Random(_) => random.below(100) < keep_percent,
            };
            for (path, target) in change.iter().filter(|_| keep) {
                apply(&mut names, path, *target);
            }
        }
        let mut disk = Self {
            inodes: self
                .inodes
                .iter()
                .map(|(&id, inode)| (id, inode.after_crash(mode, tearing, &mut random)))
                .collect(),
            names: Names {
                cached: names.clone(),
                durable: names,
                pending: Vec::new(),
            },
            dirs: self.dirs.clone(),
            next: self.next,
        };
        disk.collect();
        disk
    }
}
